/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the device loop share:
 *
 *   loop.c         the rounds: the broker's requests, popping, waiting
 *   setup.c        making and freeing a loop; what the device is
 *   tell.c         faults, publishing, interrupts
 *   exec_local.c   requests whose buffers are mapped with their window
 *   exec_remote.c  requests whose buffers have to be copied or mapped
 *                  (with remote_payload.c)
 */
#ifndef VR_LOOP_INT_H
#define VR_LOOP_INT_H

#include <errno.h>

#include "loop.h"

#define NS_PER_US       INT64_C(1000)
#define COALESCE_MAX_NS (2000 * NS_PER_US)
/* Bounds of the wait for the next completion before we ask for kicks. */
#define GAP_MIN_NS (20 * NS_PER_US)
#define GAP_MAX_NS (1000 * NS_PER_US)

struct queue;

/* A request on its way. Those that were used and are free again form a stack,
 * so that a shallow load touches little memory. */
struct slot {
    struct vr_aio_req aio; /* first: completions are cast back */
    struct queue *q;
    struct slot *free;
    uint8_t *status;
    uint32_t used_len;
    uint16_t head;
    bool read;
    bool resumed;
    int64_t start;
    struct vr_chain chain; /* local: its iovecs are those of aio */
};

struct queue {
    struct vr_vq vq;
    struct slot *free;
    uint8_t *fresh; /* slots never used so far, queue_size in all */
    uint8_t *end;
    uint32_t epoch; /* of the rings in use; 0: stopped */
    unsigned int inflight;
    bool resuming;     /* chains of a former process are left to execute */
    bool reported;     /* a fault was handled */
    unsigned int held; /* completions published, guest not told */
    int64_t held_since;
    int64_t last_done;
    int64_t gap;     /* usual distance of completions, ns */
    int64_t service; /* usual time from pop to completion, ns */
};

/*
 * How the requests of a device are executed. start() and done() may leave
 * work that settle() carries out once a round, for all of them together.
 */
struct exec_ops {
    size_t slot_size; /* begins with a struct slot */
    int (*open)(struct vr_loop *l, struct vr_err *err);
    void (*close)(struct vr_loop *l);
    /*
     * Takes the chain of @s, a slot of a running queue. False: there is no
     * room for it now, but there will be when something else is done; it
     * comes again. True: the slot is handed over.
     */
    bool (*start)(struct vr_loop *l, struct slot *s);
    /* The I/O of @s has ended. */
    void (*done)(struct vr_loop *l, struct slot *s);
    /* NULL: nothing to settle. Returns true when a request came to its end. */
    bool (*settle)(struct vr_loop *l);
};

extern const struct exec_ops exec_local, exec_remote;

struct remote;

struct vr_loop {
    struct vr_loop_cfg cfg;
    const struct exec_ops *exec;
    bool opened;           /* exec->open() succeeded */
    struct remote *remote; /* of exec_remote */
    const struct vr_aio_ops *ops;
    struct vr_aio *aio;
    struct vr_blk_dev dev; /* capacity: what there is to be had */
    uint64_t offered;      /* ... and what the guest was told: never less */
    bool cut;              /* it was said that there is less */
    int64_t looked;        /* when the target's size was looked at */
    struct vr_ctrl_request req;
    uint32_t generation; /* of req; acked or about to be */
    bool acked;
    bool senseless; /* the request makes no sense */
    bool retry;     /* the request could not be read this time */
    bool stopping;
    bool armed;           /* kicks are asked for */
    bool masked;          /* the event channel was taken and not unmasked */
    bool tell;            /* the broker is to look at the counters */
    unsigned int nqueues; /* queues that may be running */
    unsigned int inflight;
    struct slot *waiting; /* popped, but start() had no room for it */
    uint64_t intr;        /* queues whose guest is to be told */
    int64_t now;
    int64_t last_progress;
    int64_t poll_ns; /* adaptive, up to cfg.poll_us */
    int64_t last_log, last_access_log, last_io_log, last_pool_log;
    bool pool;             /* mapped */
    bool pool_noted;       /* the operator knows ... */
    struct vr_err no_pool; /* ... why it is not */
    void *slots;
    size_t slots_len;
    struct queue q[VR_MAX_QUEUES];
};

static inline int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static inline struct vr_ctrl_counters *counters(struct vr_loop *l)
{
    return &l->cfg.page->counters;
}

/* Payload at [@addr, @addr + @len) was seen. */
static inline void note_payload(struct vr_loop *l, uint64_t addr, uint64_t len)
{
    struct vr_ctrl_counters *c = counters(l);

    if (!c->payload_low || addr < c->payload_low)
        c->payload_low = addr;
    if (addr + len - 1 > c->payload_high)
        c->payload_high = addr + len - 1;
}

static inline void notify_broker(struct vr_loop *l)
{
    l->cfg.ops->notify(l->cfg.ctx);
}

static inline void set_status(struct vr_loop *l, enum vr_ctrl_status status)
{
    __atomic_store_n(&l->cfg.page->status, status, __ATOMIC_RELEASE);
}

/* Are requests of this queue to be begun, or gone on with? */
static inline bool queue_wanted(const struct vr_loop *l, unsigned int i)
{
    return l->req.run && l->req.q[i].epoch &&
           l->req.q[i].epoch == l->q[i].epoch;
}

/* The queue's fault, when it has one, is counted and reported, once. */
void queue_fault(struct vr_loop *l, struct queue *q);

/* The guest's memory at @addr was not to be had: one request fails. */
void access_fault(struct vr_loop *l, struct queue *q, uint64_t addr,
                  bool write);

/* A request is under way, from now until request_end(). */
static inline void request_begin(struct vr_loop *l, struct slot *s)
{
    s->q->inflight++;
    l->inflight++;
}

static inline void put_slot(struct queue *q, struct slot *s)
{
    s->free = q->free;
    q->free = s;
}

/* An eighth of the new, seven of the old. */
static inline void average(int64_t *avg, int64_t sample)
{
    *avg += (sample - *avg) / 8;
}

/* It is not any more; the slot is free. */
static inline void request_end(struct vr_loop *l, struct slot *s)
{
    struct queue *q = s->q;

    q->inflight--;
    l->inflight--;
    put_slot(q, s);
    average(&q->service, l->now - s->start);
    /* Those that are reaped together have no distance. */
    if (q->last_done && q->last_done != l->now)
        average(&q->gap, clamp(l->now - q->last_done, 0, GAP_MAX_NS));
    q->last_done = l->now;
}

/* The request's answer, the status included, is in the guest's memory. */
static inline void request_push(struct vr_loop *l, struct slot *s,
                                uint8_t status, uint32_t used_len)
{
    struct queue *q = s->q;

    if (status != VR_BLK_S_OK)
        counters(l)->errors++;
    /* A queue that was broken meanwhile belongs to nobody. */
    if (!vr_vq_running(&q->vq))
        return;
    vr_vq_push(&q->vq, s->head, used_len);
    if (!q->held++)
        q->held_since = l->now;
}

/* The target failed the request: counted, logged, and what the guest is told
 * of it. */
uint8_t io_failed(struct vr_loop *l, const struct slot *s);

/* The answer to the request whose I/O ended with aio.res; counts its bytes. */
static inline uint8_t io_status(struct vr_loop *l, const struct slot *s)
{
    if (s->aio.res)
        return io_failed(l, s);
    if (s->aio.op == VR_AIO_READ)
        counters(l)->read_bytes += s->aio.len;
    else if (s->aio.op == VR_AIO_WRITE)
        counters(l)->write_bytes += s->aio.len;
    return VR_BLK_S_OK;
}

/* Fills in what the I/O of @s is, but for its buffers. @req: not
 * VR_BLK_DONE. */
static inline void io_prepare(const struct vr_loop *l, struct slot *s,
                              const struct vr_blk_req *req)
{
    static const enum vr_aio_op op[] = {
        [VR_BLK_READ] = VR_AIO_READ,
        [VR_BLK_WRITE] = VR_AIO_WRITE,
        [VR_BLK_FLUSH] = VR_AIO_FLUSH,
        [VR_BLK_DISCARD] = VR_AIO_DISCARD,
        [VR_BLK_WRITE_ZEROES] = VR_AIO_ZEROES,
    };

    s->used_len = req->used_len;
    s->read = req->op == VR_BLK_READ;
    s->aio.op = op[req->op];
    s->aio.direct = false;
    s->aio.offset = req->offset;
    s->aio.len = req->len;
    /* Without FLUSH the driver takes every write for final (5.2.6.2). */
    s->aio.dsync = !(l->req.features & VR_BLK_F_FLUSH);
    s->aio.unmap = req->unmap;
}

/* Tells the operator what there is to know of the device now. */
void note(struct vr_loop *l);

/* The pool could not be mapped: l->no_pool. A guest can cause that as often as
 * it likes. */
void pool_failed(struct vr_loop *l);

/* Takes in what the transfer @req tells of the target. */
void io_learn(struct vr_loop *l, const struct vr_aio_req *req);

/* What vrctl shows of the target. */
void show_target(struct vr_loop *l);

/* Looks whether the target's size has changed. */
void follow_size(struct vr_loop *l);

/* Publishes what is done, decides who is told, and tells them all at once. */
void publish(struct vr_loop *l);

/* When the guest has to be told of completions at the latest. */
int64_t held_deadline(const struct queue *q);

/* A few times the usual distance of two completions, bounded. */
int64_t gap_limit(const struct queue *q);

#endif /* VR_LOOP_INT_H */

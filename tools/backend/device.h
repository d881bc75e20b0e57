/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device, as its worker has it: what the loop (worker/), the guest's memory
 * (memory/) and the device's type (block/, ...; serve.h) know in common. The
 * way of a request:
 *
 *   loop    takes it from its queue
 *   memory  finds what the type has to see of it, and room for its data
 *   type    knows what it asks for, and does that
 *   memory  brings data and status to the guest
 *   loop    publishes it, and tells the guest
 *
 * All of it is one thread's, but what a type has threads for.
 */
#ifndef VR_DEVICE_H
#define VR_DEVICE_H

#include "libs/proto/bell.h"
#include "libs/virtio/virtq.h"
#include "libs/window/chain.h"
#include "sandbox.h"

struct vr_dev;
struct vr_dynmem;
struct vr_serve;

/* The most readable bytes in front of its data that a type sees. */
#define VR_FRONT_MAX 32u

/* Which way data goes. */
enum vr_dir {
    VR_DIR_NONE,
    VR_DIR_READ,  /* to the guest */
    VR_DIR_WRITE, /* from it */
};

struct vr_queue {
    struct vr_vq vq;
    struct vr_request *free;
    uint8_t *fresh; /* requests never used so far, queue_size in all */
    uint8_t *end;
    uint32_t epoch; /* of the rings in use; 0: stopped */
    unsigned int inflight;
    enum vr_bell bell;
    bool resuming;     /* chains of a former process are left to execute */
    bool reported;     /* a fault was handled */
    unsigned int held; /* completions published, guest not told */
    int64_t held_since;
    int64_t last_done;
    int64_t gap;     /* usual distance of completions, ns */
    int64_t service; /* usual time from pop to completion, ns */
};

/* A request on its way. Those that were used and are free again form a stack,
 * so that a shallow load touches little memory. */
struct vr_request {
    struct vr_queue *q;
    struct vr_request *next; /* in the stack, or in a list of whoever has it */
    void *io;                /* the type's part: serve->io_size bytes */
    int64_t start;
    uint16_t head;
    bool resumed;
    bool local; /* all of its buffers are memory of this process */
    /* For the type's start(): */
    uint32_t out_len, in_len;    /* readable bytes, and writable ones but for
                                  * the status */
    uint8_t front[VR_FRONT_MAX]; /* a copy of the first readable ones */
    /* ... which sets: bytes for the used ring, once the request succeeds. */
    uint32_t used_len;
    /* The data, or the piece of them that is next. Not NULL: @iov. */
    struct iovec *iov;
    unsigned int niov;
    bool foreign;          /* these are pages of the guest's */
    uint32_t moved;        /* bytes before this piece */
    uint32_t len;          /* of this piece */
    struct vr_split split; /* local: its chain's */
    struct vr_chain chain;
};

/* Where the buffers of a device's requests are: memory/local.c, remote.c. */
struct vr_memory {
    size_t request_size; /* begins with a struct vr_request */
    int (*open)(struct vr_dev *d, struct vr_err *err);
    void (*close)(struct vr_dev *d);
    /*
     * Takes the chain of @r, which is of a running queue. False: there is no
     * room for it now, but there will be when something else is done; it
     * comes again. True: the request is handed over, to the type in the end.
     */
    bool (*start)(struct vr_dev *d, struct vr_request *r);
    /* For the type, see vr_request_data() and those behind it. */
    bool (*data)(struct vr_dev *d, struct vr_request *r, enum vr_dir dir);
    void (*answer)(struct vr_dev *d, struct vr_request *r, uint8_t status,
                   uint32_t used_len, void *reply, uint32_t len);
    void (*done)(struct vr_dev *d, struct vr_request *r, uint8_t status);
    void (*drop)(struct vr_dev *d, struct vr_request *r);
    /* What was left to be done for all requests of a round together. NULL:
     * nothing ever is. Returns true when a request came to its end. */
    bool (*settle)(struct vr_dev *d);
};

extern const struct vr_memory vr_memory_local, vr_memory_remote;

#define VR_HEARD       1u /* something */
#define VR_HEARD_BELLS 2u /* ... queues' own bells */

/* What wakes the device, whoever rings, and how it wakes the broker. */
struct vr_channel_ops {
    /* Takes off wake_fd, which became readable, what has come. That arrives no
     * more before unmask(). Returns VR_HEARD_*. */
    unsigned int (*hear)(void *state);
    /* The same, but waits until something comes; 0: stop_fd has something to
     * say as well. */
    unsigned int (*sleep)(void *state);
    /* @bells: those as well; else they go on to be silent. */
    void (*unmask)(void *state, bool bells);
    /* The broker is to look at the control page. */
    void (*tell)(void *state);
};

/* How a queue and the guest wake each other, a table for each line of
 * libs/proto/bell.def. The state is the channel's. */
struct vr_bell_ops {
    /* @queue begins, with event channel @port of the guest's. Returns 0 or
     * -errno; -EBUSY: it cannot be had, or a former worker still has it. NULL,
     * as is close(): nothing is to be done. */
    int (*open)(void *state, unsigned int queue, uint32_t port);
    void (*close)(void *state, unsigned int queue);
    /* The guest is to look at @queues, a bit each. True: by an interrupt of
     * the broker's, who has to be told. */
    bool (*ring)(void *state, struct vr_ctrl_page *page, uint64_t queues);
};

/* What the device asks of its process. */
struct vr_dev_ops {
    /* One line for the log; not on the path of requests. */
    void (*log)(void *ctx, const char *text);
    /* What the operator is to know of the device as long as it is so, for the
     * log and xenstore. Empty: nothing any more. */
    void (*note)(void *ctx, const char *text);
    /* The guest has started the device: if it has a pool, maps it and enters
     * it into the window. Returns 0, or -errno with @err. */
    int (*map_pool)(void *ctx, struct vr_err *err);
    /* Undoes it; no queue runs, and nothing is under way. */
    void (*unmap_pool)(void *ctx);
};

/* What a device is made of; the pointers outlive it. */
struct vr_dev_setup {
    const struct vr_serve *serve;
    void *source; /* what serve->open() gave */
    const struct vr_window *win;
    struct vr_dynmem *mem;  /* of a remote window, else NULL */
    uint64_t map_threshold; /* remote: payloads from so many bytes on are
                             * mapped; VR_NEVER_MAP */
    struct vr_ctrl_page *page;
    const struct vr_dev_ops *ops;
    void *ctx;
    const struct vr_bell_ops *const *bells; /* by enum vr_bell */
    const struct vr_channel_ops *channel;
    void *channel_state; /* of these, and: */
    int wake_fd;
    int stop_fd; /* readable or closed: end */
    unsigned int queues, queue_size;
    unsigned int poll_us;
    unsigned int look_ms; /* between two calls of serve->look() */
};

struct vr_dev {
    struct vr_dev_setup cfg;
    const struct vr_serve *serve;
    void *source;
    const struct vr_memory *memory;
    struct vr_remote *remote;   /* of vr_memory_remote */
    struct vr_ctrl_request req; /* of the broker */
    int64_t now;
    unsigned int inflight;
    bool stopping;
    bool tell;     /* the broker is to look at the counters */
    uint64_t used; /* lent queues of which the guest is to be told */
    bool own_only; /* the type does its I/O on memory of this process alone */
    /* What the guest is told of its data buffers: the longest, by the memory,
     * and how many, by the type. 0: nothing; all will do. */
    uint32_t size_max, seg_max;
    char noted[160]; /* what the operator is to know of the source, or "" */
    bool pool_noted; /* ... and something else is worse */
    int64_t last_log, last_access_log;
    struct vr_queue q[VR_MAX_QUEUES];
};

static inline struct vr_ctrl_counters *vr_counters(struct vr_dev *d)
{
    return &d->cfg.page->counters;
}

/* Payload at [@addr, @addr + @len) was seen. */
static inline void vr_note_payload(struct vr_dev *d, uint64_t addr,
                                   uint64_t len)
{
    struct vr_ctrl_counters *c = vr_counters(d);

    if (!c->payload_low || addr < c->payload_low)
        c->payload_low = addr;
    if (addr + len - 1 > c->payload_high)
        c->payload_high = addr + len - 1;
}

static inline void vr_tell_broker(struct vr_dev *d)
{
    d->cfg.channel->tell(d->cfg.channel_state);
}

static inline void vr_dev_log(struct vr_dev *d, const char *text)
{
    d->cfg.ops->log(d->cfg.ctx, text);
}

static inline void vr_set_status(struct vr_dev *d, enum vr_ctrl_status status)
{
    __atomic_store_n(&d->cfg.page->status, status, __ATOMIC_RELEASE);
}

/* Are requests of this queue to be begun, or gone on with? */
static inline bool vr_queue_wanted(const struct vr_dev *d, unsigned int i)
{
    return d->req.run && d->req.q[i].epoch &&
           d->req.q[i].epoch == d->q[i].epoch;
}

/** vr_log_due() - may a line of the kind that @last is kept for be logged? A
 * guest may fail as often as it likes, not fill our log. */
bool vr_log_due(const struct vr_dev *d, int64_t *last);

/** vr_queue_fault() - the queue's fault, when it has one, is counted and
 * reported, once. */
void vr_queue_fault(struct vr_dev *d, struct vr_queue *q);

/** vr_access_fault() - the guest's memory at @addr was not to be had: one
 * request fails. */
void vr_access_fault(struct vr_dev *d, struct vr_queue *q, uint64_t addr,
                     bool write);

/** vr_dev_note() - tells the operator what there is to know of the source now;
 * "": nothing. */
void vr_dev_note(struct vr_dev *d, const char *text);

/* ---- requests: for the memory and the loop ---- */

static inline int64_t vr_clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The longest distance of two completions that counts, ns. */
#define VR_GAP_MAX INT64_C(1000000)

/* An eighth of the new, seven of the old. */
static inline void vr_average(int64_t *avg, int64_t sample)
{
    *avg += (sample - *avg) / 8;
}

/* The request is under way, from now until vr_request_end(). */
static inline void vr_request_begin(struct vr_dev *d, struct vr_request *r)
{
    r->q->inflight++;
    d->inflight++;
}

static inline void vr_request_free(struct vr_request *r)
{
    r->next = r->q->free;
    r->q->free = r;
}

static inline void vr_request_end(struct vr_dev *d, struct vr_request *r)
{
    struct vr_queue *q = r->q;

    q->inflight--;
    d->inflight--;
    vr_request_free(r);
    vr_average(&q->service, d->now - r->start);
    /* Those that are reaped together have no distance. */
    if (q->last_done && q->last_done != d->now)
        vr_average(&q->gap, vr_clamp(d->now - q->last_done, 0, VR_GAP_MAX));
    q->last_done = d->now;
}

/* The request's answer, the status included, is in the guest's memory. */
static inline void vr_request_push(struct vr_dev *d, struct vr_request *r,
                                   uint8_t status, uint32_t used_len)
{
    struct vr_queue *q = r->q;

    if (status)
        vr_counters(d)->errors++;
    /* A queue that was broken meanwhile belongs to nobody. */
    if (!vr_vq_running(&q->vq))
        return;
    vr_vq_push(&q->vq, r->head, used_len);
    if (!q->held++)
        q->held_since = d->now;
}

/* ---- requests: for the type ---- */

/**
 * vr_request_data() - the request is to move all data there are in direction
 * @dir; VR_DIR_NONE: it needs none.
 * True: the first piece is in iov, niov, foreign, moved and len. False: the
 * lengths of the request's buffers are not those of such a request.
 */
static inline bool vr_request_data(struct vr_dev *d, struct vr_request *r,
                                   enum vr_dir dir)
{
    unsigned int i;

    if (!r->local)
        return d->memory->data(d, r, dir);
    r->niov = 0;
    r->foreign = dir != VR_DIR_NONE;
    if (dir == VR_DIR_NONE)
        return true;
    r->iov = dir == VR_DIR_READ ? r->split.in : r->split.out;
    /* The kernel has some thousand instructions' work for each. */
    r->niov = vr_chain_join(r->iov,
                            dir == VR_DIR_READ ? r->split.nin : r->split.nout);
    r->len = dir == VR_DIR_READ ? r->in_len : r->split.out_len;
    for (i = 0; i < r->niov; i++)
        vr_note_payload(d, vr_vq_addr(d->cfg.win, r->iov[i].iov_base),
                        r->iov[i].iov_len);
    return true;
}

/**
 * vr_request_answer() - nothing is left to do for the request: it ends with
 * @status, and @used_len bytes for the used ring.
 * @reply: @len bytes for the front of the writable ones, in the type's part of
 * the request; @len: at most in_len.
 */
static inline void vr_request_answer(struct vr_dev *d, struct vr_request *r,
                                     uint8_t status, uint32_t used_len,
                                     void *reply, uint32_t len)
{
    const struct vr_memory *m = r->local ? &vr_memory_local : d->memory;

    m->answer(d, r, status, used_len, reply, len);
}

/**
 * vr_request_done() - what was begun has ended, with @status (0: it
 * succeeded). The type may be given the next piece before this returns.
 * A type that moved fewer bytes than it could makes len so many, and the
 * request ends with them.
 */
static inline void vr_request_done(struct vr_dev *d, struct vr_request *r,
                                   uint8_t status)
{
    d->memory->done(d, r, status);
}

/**
 * vr_request_drop() - the request is given up unanswered, since its queue is
 * not wanted any more or the worker ends. The log still has it: whoever goes on
 * with the queue begins it anew.
 */
static inline void vr_request_drop(struct vr_dev *d, struct vr_request *r)
{
    const struct vr_memory *m = r->local ? &vr_memory_local : d->memory;

    m->drop(d, r);
}

/** vr_request_wanted() - or is it to be dropped? */
static inline bool vr_request_wanted(const struct vr_dev *d,
                                     const struct vr_request *r)
{
    return !d->stopping && vr_queue_wanted(d, (unsigned int)(r->q - d->q));
}

#endif /* VR_DEVICE_H */

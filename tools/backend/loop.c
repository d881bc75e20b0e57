/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "loop.h"

#define NS_PER_US       INT64_C(1000)
#define COALESCE_MAX_NS (2000 * NS_PER_US)
/* Bounds of the wait for the next completion before we ask for kicks. */
#define GAP_MIN_NS (20 * NS_PER_US)
#define GAP_MAX_NS (1000 * NS_PER_US)
/* Chains taken from one queue before the others have their turn. */
#define POP_BUDGET VR_MAX_QUEUE_SIZE
/* The broker was seen writing: look again after this long. */
#define RETRY_NS (1000 * NS_PER_US)
/* A guest may break its queues as often as it likes, not fill our log. */
#define LOG_PERIOD_NS INT64_C(10000000000)
#define IO_THREADS    8

enum { WAKE_EVENT = 1u << 0, WAKE_STOP = 1u << 1 };

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
    int64_t start;
    struct vr_chain chain; /* its iovecs are those of aio */
};

struct queue {
    struct vr_vq vq;
    struct slot *free;
    struct slot *fresh; /* never used so far, queue_size in all */
    struct slot *end;
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

struct vr_loop {
    struct vr_loop_cfg cfg;
    const struct vr_aio_ops *ops;
    struct vr_aio *aio;
    struct vr_blk_dev dev;
    struct vr_ctrl_request req;
    uint32_t generation; /* of req; acked or about to be */
    bool acked;
    bool senseless; /* it could not be understood */
    bool retry;     /* the request could not be read this time */
    bool stopping;
    bool armed;           /* kicks are asked for */
    bool masked;          /* the event channel was taken and not unmasked */
    unsigned int nqueues; /* queues that may be running */
    unsigned int inflight;
    uint64_t intr; /* queues whose guest is to be told */
    int64_t now;
    int64_t last_progress;
    int64_t poll_ns; /* adaptive, up to cfg.poll_us */
    int64_t last_log;
    void *slots;
    size_t slots_len;
    struct queue q[VR_MAX_QUEUES];
};

static int64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* An eighth of the new, seven of the old. */
static void average(int64_t *avg, int64_t sample)
{
    *avg += (sample - *avg) / 8;
}

static struct vr_ctrl_counters *counters(struct vr_loop *l)
{
    return &l->cfg.page->counters;
}

static void notify_broker(struct vr_loop *l)
{
    l->cfg.ops->notify(l->cfg.ctx);
}

static void set_status(struct vr_loop *l, enum vr_ctrl_status status)
{
    __atomic_store_n(&l->cfg.page->status, status, __ATOMIC_RELEASE);
}

/* ---- faults ---- */

static void queue_fault(struct vr_loop *l, struct queue *q)
{
    char text[256];

    if (q->reported)
        return;
    q->reported = true;
    counters(l)->faults++;
    counters(l)->fault_addr = q->vq.fault_addr;
    set_status(l, VR_CTRL_BACKEND_FAILED);
    notify_broker(l);
    if (l->last_log && l->now - l->last_log < LOG_PERIOD_NS)
        return;
    l->last_log = l->now;
    snprintf(text, sizeof(text),
             "queue %u stopped: %s (0x%" PRIx64 "); the guest has to reset "
             "the device",
             (unsigned int)(q - l->q), vr_vq_fault_text(q->vq.fault),
             q->vq.fault_addr);
    l->cfg.ops->log(l->cfg.ctx, text);
}

/* ---- completion ---- */

static void complete(struct vr_loop *l, struct queue *q, struct slot *s,
                     uint8_t status, uint32_t used_len)
{
    if (status != VR_BLK_S_OK)
        counters(l)->errors++;
    /* A queue that was broken meanwhile belongs to nobody. */
    if (!vr_vq_running(&q->vq))
        return;
    *(volatile uint8_t *)s->status = status;
    vr_vq_push(&q->vq, s->head, used_len);
    if (!q->held++)
        q->held_since = l->now;
}

static void put_slot(struct queue *q, struct slot *s)
{
    s->free = q->free;
    q->free = s;
}

static void io_done(struct vr_loop *l, struct slot *s)
{
    struct queue *q = s->q;
    uint8_t status = VR_BLK_S_OK;
    uint32_t used_len = s->used_len;

    q->inflight--;
    l->inflight--;
    put_slot(q, s);
    if (s->aio.res) {
        status = s->aio.res == -EOPNOTSUPP ? VR_BLK_S_UNSUPP : VR_BLK_S_IOERR;
        /* Of a failed read nothing is promised, from its first byte on. */
        used_len = s->read ? 0 : 1;
    } else if (s->aio.op == VR_AIO_READ) {
        counters(l)->read_bytes += s->aio.len;
    } else if (s->aio.op == VR_AIO_WRITE) {
        counters(l)->write_bytes += s->aio.len;
    }
    average(&q->service, l->now - s->start);
    /* Those that are reaped together have no distance. */
    if (q->last_done && q->last_done != l->now)
        average(&q->gap, clamp(l->now - q->last_done, 0, GAP_MAX_NS));
    q->last_done = l->now;
    complete(l, q, s, status, used_len);
}

static void reap(struct vr_loop *l, struct vr_aio_req *done)
{
    if (!done)
        return;
    l->now = clock_ns();
    l->last_progress = l->now;
    while (done) {
        struct vr_aio_req *next = done->next;

        io_done(l, (struct slot *)(void *)done);
        done = next;
    }
}

static int64_t gap_limit(const struct queue *q)
{
    return clamp(4 * q->gap, GAP_MIN_NS, GAP_MAX_NS);
}

/* When the guest has to be told at the latest. */
static int64_t held_deadline(const struct queue *q)
{
    int64_t gap = q->last_done + gap_limit(q);
    int64_t whole = q->held_since + clamp(q->service / 2, 0, COALESCE_MAX_NS);

    return gap < whole ? gap : whole;
}

/* Publishes what is done, decides who is told, and tells them all at once. */
static void publish(struct vr_loop *l)
{
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        struct queue *q = &l->q[i];

        if (!q->held || !vr_vq_running(&q->vq))
            continue;
        vr_vq_publish(&q->vq);
        if (q->inflight > q->held && q->epoch && held_deadline(q) > l->now &&
            !l->stopping)
            continue;
        q->held = 0;
        if (vr_vq_should_notify(&q->vq))
            l->intr |= UINT64_C(1) << i;
    }
    if (!l->intr)
        return;
    if (vr_ctrl_post(&l->cfg.page->intr, l->intr)) {
        counters(l)->interrupts++;
        notify_broker(l);
    }
    l->intr = 0;
}

/* ---- requests ---- */

static void note_payload(struct vr_loop *l, const struct vr_blk_req *req)
{
    struct vr_ctrl_counters *c = counters(l);
    unsigned int i;

    for (i = 0; i < req->niov; i++) {
        uint64_t low = vr_vq_addr(l->cfg.win, req->iov[i].iov_base);
        uint64_t high = low + req->iov[i].iov_len - 1;

        if (!c->payload_low || low < c->payload_low)
            c->payload_low = low;
        if (high > c->payload_high)
            c->payload_high = high;
    }
}

/* Carries one chain out at once (true: the slot is free again), or starts
 * it. */
static bool execute(struct vr_loop *l, struct queue *q, struct slot *s)
{
    struct vr_blk_req req;

    counters(l)->requests++;
    s->q = q;
    s->head = s->chain.head;
    s->start = l->now;
    if (vr_blk_parse(&l->dev, l->req.features, &s->chain, &req)) {
        vr_vq_break(&q->vq, VR_VQ_REQUEST, s->head);
        return true;
    }
    s->status = req.status;
    s->used_len = req.used_len;
    s->read = req.op == VR_BLK_READ;
    s->aio.direct = false;
    s->aio.iov = req.iov;
    s->aio.niov = req.niov;
    s->aio.offset = req.offset;
    s->aio.len = req.len;
    /* Without FLUSH the driver takes every write for final (5.2.6.2). */
    s->aio.dsync = !(l->req.features & VR_BLK_F_FLUSH);
    s->aio.unmap = req.unmap;
    switch (req.op) {
    case VR_BLK_DONE:
        complete(l, q, s, req.status_value, req.used_len);
        return true;
    case VR_BLK_READ:
    case VR_BLK_WRITE:
        s->aio.op = s->read ? VR_AIO_READ : VR_AIO_WRITE;
        s->aio.direct =
            vr_target_direct_ok(l->cfg.target, req.iov, req.niov, req.offset);
        note_payload(l, &req);
        break;
    case VR_BLK_FLUSH:
        s->aio.op = VR_AIO_FLUSH;
        break;
    case VR_BLK_DISCARD:
        s->aio.op = VR_AIO_DISCARD;
        break;
    case VR_BLK_WRITE_ZEROES:
        s->aio.op = VR_AIO_ZEROES;
        break;
    }
    q->inflight++;
    l->inflight++;
    l->ops->queue(l->aio, &s->aio);
    return false;
}

static int pop_one(struct queue *q, struct vr_chain *chain)
{
    if (q->resuming) {
        int r = vr_vq_pop_resumed(&q->vq, chain);

        if (r)
            return r;
        q->resuming = false;
    }
    return vr_vq_pop(&q->vq, chain);
}

/* There is a slot for each head, and no head is taken twice. */
static struct slot *get_slot(struct queue *q)
{
    struct slot *s = q->free;

    if (s)
        q->free = s->free;
    else if (q->fresh != q->end)
        s = q->fresh++;
    return s;
}

/* Takes what the guest made available. Returns how many. */
static unsigned int pop_queue(struct vr_loop *l, struct queue *q)
{
    unsigned int n;

    for (n = 0; n < POP_BUDGET; n++) {
        bool resumed = q->resuming;
        struct slot *s = get_slot(q);

        if (!s)
            break;
        if (pop_one(q, &s->chain) <= 0) {
            put_slot(q, s);
            break;
        }
        if (resumed && q->resuming)
            counters(l)->resumed++;
        if (execute(l, q, s))
            put_slot(q, s);
    }
    if (q->vq.fault)
        queue_fault(l, q);
    return n;
}

static bool wanted(const struct vr_loop *l, unsigned int i)
{
    return l->req.run && l->req.q[i].epoch &&
           l->req.q[i].epoch == l->q[i].epoch;
}

static unsigned int pop_all(struct vr_loop *l)
{
    unsigned int i, n = 0;

    for (i = 0; i < l->nqueues; i++) {
        struct queue *q = &l->q[i];

        if (!wanted(l, i) || !vr_vq_running(&q->vq))
            continue;
        if (q->resuming || vr_vq_pending(&q->vq))
            n += pop_queue(l, q);
    }
    return n;
}

/* ---- the broker's requests ---- */

static void disarm(struct vr_loop *l)
{
    unsigned int i;

    if (!l->armed)
        return;
    l->armed = false;
    for (i = 0; i < l->nqueues; i++) {
        if (vr_vq_running(&l->q[i].vq))
            vr_vq_disable_kicks(&l->q[i].vq);
    }
}

static void read_request(struct vr_loop *l)
{
    struct vr_ctrl_request req;
    uint32_t generation;
    int rc;

    l->retry = false;
    if (__atomic_load_n(&l->cfg.page->generation, __ATOMIC_ACQUIRE) ==
        l->generation)
        return;
    rc = vr_ctrl_take(l->cfg.page, &req, &generation);
    if (rc == -EAGAIN) {
        l->retry = true;
        return;
    }
    l->senseless = rc || req.nqueues > l->cfg.queues;
    if (l->senseless) {
        /* Not to be understood: be quiet, and say so. */
        memset(&req, 0, sizeof(req));
        counters(l)->faults++;
        l->cfg.ops->log(l->cfg.ctx, "control page: request makes no sense");
    }
    l->req = req;
    l->generation = generation;
    l->acked = false;
}

static void start_queue(struct vr_loop *l, unsigned int i)
{
    struct vr_ctrl_queue cfg = l->req.q[i];
    struct queue *q = &l->q[i];

    q->epoch = cfg.epoch;
    q->reported = false;
    q->held = 0;
    q->last_done = 0;
    if (cfg.size > l->cfg.queue_size) {
        vr_vq_init(&q->vq);
        vr_vq_break(&q->vq, VR_VQ_SIZE, cfg.size);
    } else if (!vr_vq_start(&q->vq, l->cfg.win, &cfg, l->req.features,
                            &l->cfg.page->resume[i])) {
        q->resuming = true;
        /* A former process may have died before it told the guest. */
        if (q->vq.last_avail)
            l->intr |= UINT64_C(1) << i;
    }
    if (q->vq.fault)
        queue_fault(l, q);
}

/* Brings the queues where the request wants them; acknowledges that. */
static void follow_request(struct vr_loop *l)
{
    bool failed;
    unsigned int i;

    if (l->acked)
        return;
    /* Queues start with kicks off; the others are asked for theirs again. */
    disarm(l);
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        struct queue *q = &l->q[i];

        if (!q->epoch || wanted(l, i))
            continue;
        if (q->inflight)
            return; /* a completion brings us here again */
        vr_vq_stop(&q->vq);
        q->epoch = 0;
        q->held = 0;
    }
    l->nqueues = l->req.nqueues;
    /* Set before the queues start: one that is broken sets it again. */
    failed = l->senseless;
    for (i = 0; i < l->nqueues; i++)
        failed |= l->q[i].epoch && l->q[i].vq.fault;
    set_status(l, failed ? VR_CTRL_BACKEND_FAILED : VR_CTRL_BACKEND_READY);
    for (i = 0; i < l->nqueues; i++) {
        if (l->req.run && l->req.q[i].epoch && !l->q[i].epoch)
            start_queue(l, i);
    }
    vr_ctrl_ack(l->cfg.page, l->generation);
    l->acked = true;
    l->last_progress = l->now;
    notify_broker(l);
}

/* ---- waiting ---- */

/*
 * Asks for notifications. The order matters: first the guest is asked to
 * kick, then the kick word is emptied (while a bit is set the broker does not
 * notify), then the rings are looked at. Returns true when there is something
 * to do after all.
 */
static bool arm(struct vr_loop *l)
{
    bool more = false;
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        if (wanted(l, i) && vr_vq_running(&l->q[i].vq))
            vr_vq_enable_kicks(&l->q[i].vq);
    }
    vr_ctrl_collect(&l->cfg.page->kick);
    if (l->masked) {
        l->masked = false;
        l->cfg.ops->unmask(l->cfg.ctx);
    }
    l->armed = true;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (i = 0; i < l->nqueues; i++)
        more |= wanted(l, i) && vr_vq_pending(&l->q[i].vq);
    return more || __atomic_load_n(&l->cfg.page->generation,
                                   __ATOMIC_RELAXED) != l->generation;
}

/* The nearest instant at which held interrupts have to go out; or -1. */
static int64_t held_timeout(const struct vr_loop *l)
{
    int64_t t = -1;
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        const struct queue *q = &l->q[i];
        int64_t left;

        if (!q->held || !vr_vq_running(&q->vq))
            continue;
        left = clamp(held_deadline(q) - l->now, 1, COALESCE_MAX_NS);
        if (t < 0 || left < t)
            t = left;
    }
    return t;
}

/* How long a completion is likely to take: until then no kick is needed, as
 * the rings are looked at again when it comes. */
static int64_t quiet_time(const struct vr_loop *l)
{
    int64_t t = GAP_MIN_NS;
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        if (l->q[i].inflight && gap_limit(&l->q[i]) > t)
            t = gap_limit(&l->q[i]);
    }
    return t;
}

/* Nothing under way: watch the rings for a while. True when there is work. */
static bool poll_rings(struct vr_loop *l)
{
    int64_t most = l->cfg.poll_us * NS_PER_US;
    int64_t end = l->last_progress + l->poll_ns;
    unsigned int i, n = 0;

    while (l->poll_ns && l->now < end) {
        for (i = 0; i < l->nqueues; i++) {
            if (wanted(l, i) && vr_vq_pending(&l->q[i].vq)) {
                l->poll_ns = clamp(l->poll_ns * 2, 0, most);
                return true;
            }
        }
        if (__atomic_load_n(&l->cfg.page->generation, __ATOMIC_RELAXED) !=
            l->generation)
            return true;
        vr_cpu_relax();
        if (!(++n % 16))
            l->now = clock_ns();
    }
    /* In vain: poll less, but keep trying a little. */
    l->poll_ns = clamp(l->poll_ns / 2, most / 16, most);
    return false;
}

/* How long this round may wait: 0, nanoseconds, or -1 for ever. */
static int64_t choose_timeout(struct vr_loop *l)
{
    int64_t t = held_timeout(l), quiet;

    if (l->stopping)
        return -1; /* completions are all that matters */
    if (l->retry)
        return RETRY_NS;
    if (l->armed)
        return t;
    if (l->inflight) {
        quiet = l->last_progress + quiet_time(l) - l->now;
        if (quiet > 0)
            return t < 0 || quiet < t ? quiet : t;
    } else if (poll_rings(l)) {
        return 0;
    }
    return arm(l) ? 0 : t;
}

static void flush_and_leave(struct vr_loop *l)
{
    int rc = l->cfg.target->readonly ? 0 : vr_target_flush(l->cfg.target);

    if (rc)
        l->cfg.ops->log(l->cfg.ctx, "target: the last flush failed");
    set_status(l, VR_CTRL_BACKEND_ABSENT);
    notify_broker(l);
}

void vr_loop_run(struct vr_loop *l)
{
    struct vr_aio_req *done;
    unsigned int ready;

    l->now = l->last_progress = clock_ns();
    for (;;) {
        int64_t woken;

        read_request(l);
        follow_request(l);
        if (!l->stopping && pop_all(l)) {
            l->last_progress = l->now;
            counters(l)->batches++;
            disarm(l);
        }
        publish(l);
        if (l->stopping && !l->inflight)
            break;

        woken = l->armed ? l->now : 0;
        ready = l->ops->run(l->aio, choose_timeout(l), &done);
        l->now = clock_ns();
        reap(l, done);
        if (ready & WAKE_EVENT) {
            l->cfg.ops->drain(l->cfg.ctx);
            l->masked = true;
            counters(l)->kicks++;
            vr_ctrl_collect(&l->cfg.page->kick);
            /* Would a little more polling have caught it? */
            if (woken && l->now - woken < l->cfg.poll_us * NS_PER_US)
                l->poll_ns =
                    clamp(l->poll_ns * 2, 0, l->cfg.poll_us * NS_PER_US);
            /* Whatever it was about, we look at everything now. */
            disarm(l);
        }
        if (ready & WAKE_STOP)
            l->stopping = true;
    }
    flush_and_leave(l);
}

/* ---- set-up ---- */

static int open_aio(struct vr_loop *l, struct vr_err *err)
{
    struct vr_aio_cfg cfg = {
        .target = l->cfg.target,
        .depth = l->cfg.queues * l->cfg.queue_size,
        .fds = {l->cfg.wake_fd, l->cfg.stop_fd},
        .threads = IO_THREADS,
    };
    struct vr_err why;
    int rc;

    l->ops = l->cfg.aio ? l->cfg.aio : &vr_aio_uring;
    rc = l->ops->open(&l->aio, &cfg, &why);
    if (rc && !l->cfg.aio) {
        char text[480];

        snprintf(text, sizeof(text), "no io_uring here (%s), using threads",
                 why.text);
        l->cfg.ops->log(l->cfg.ctx, text);
        l->ops = &vr_aio_threads;
        rc = l->ops->open(&l->aio, &cfg, &why);
    }
    if (rc)
        vr_err_set(err, "%s", why.text);
    return rc;
}

static void describe(struct vr_loop *l)
{
    const struct vr_target *t = l->cfg.target;
    struct vr_blk_dev *d = &l->dev;
    uint8_t config[VR_CONFIG_LEN];
    uint32_t len;

    d->capacity = t->size / VR_BLK_SECTOR;
    d->blk_size = t->blk_size;
    d->queues = l->cfg.queues;
    d->queue_size = l->cfg.queue_size;
    d->readonly = t->readonly;
    d->discard = l->cfg.discard && t->can_discard;
    d->zeroes = l->cfg.discard;
    memcpy(d->serial, l->cfg.serial, sizeof(d->serial));
    len = vr_blk_config(d, config);
    vr_ctrl_set_device(l->cfg.page, vr_blk_features(d), config, len);
}

int vr_loop_new(struct vr_loop **out, const struct vr_loop_cfg *cfg,
                struct vr_err *err)
{
    unsigned int i;
    struct vr_loop *l;
    struct slot *s;
    int rc;

    l = calloc(1, sizeof(*l));
    if (!l) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    l->cfg = *cfg;
    l->poll_ns = cfg->poll_us * NS_PER_US;
    l->slots_len = sizeof(*s) * cfg->queues * cfg->queue_size;
    /* Untouched pages cost nothing: most slots are never used. */
    s = l->slots = mmap(NULL, l->slots_len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->slots == MAP_FAILED) {
        rc = -errno;
        vr_err_set(err, "out of memory");
        free(l);
        return rc;
    }
    for (i = 0; i < cfg->queues; i++) {
        l->q[i].fresh = s;
        s += cfg->queue_size;
        l->q[i].end = s;
    }
    rc = open_aio(l, err);
    if (rc) {
        munmap(l->slots, l->slots_len);
        free(l);
        return rc;
    }
    describe(l);
    /* Even without a first request there is something to acknowledge. */
    set_status(l, VR_CTRL_BACKEND_READY);
    l->acked = true;
    *out = l;
    return 0;
}

const char *vr_loop_aio_name(const struct vr_loop *loop)
{
    return loop->ops->name;
}

void vr_loop_free(struct vr_loop *loop)
{
    loop->ops->close(loop->aio);
    munmap(loop->slots, loop->slots_len);
    free(loop);
}

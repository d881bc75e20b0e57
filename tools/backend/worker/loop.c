/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "loop_int.h"

/* Chains taken from one queue before the others have their turn. */
#define POP_BUDGET VR_MAX_QUEUE_SIZE
/* The broker was seen writing: look again after this long. */
#define RETRY_NS (1000 * NS_PER_US)

enum { WAKE_EVENT = 1u << 0, WAKE_STOP = 1u << 1 };

static int64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void reap(struct vr_loop *l, struct vr_aio_req *done)
{
    if (!done)
        return;
    l->now = clock_ns();
    l->last_progress = l->now;
    while (done) {
        struct vr_aio_req *next = done->next;

        io_learn(l, done);
        l->exec->done(l, (struct slot *)(void *)done);
        done = next;
    }
}

/* ---- taking requests ---- */

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
static struct slot *get_slot(struct vr_loop *l, struct queue *q)
{
    struct slot *s = q->free;

    if (s) {
        q->free = s->free;
    } else if (q->fresh != q->end) {
        s = (struct slot *)(void *)q->fresh;
        s->q = q;
        q->fresh += l->exec->slot_size;
    }
    return s;
}

/* False: it has to wait, and everything behind it. */
static bool start(struct vr_loop *l, struct slot *s)
{
    bool resumed = s->resumed;

    if (!l->exec->start(l, s)) {
        l->waiting = s;
        return false;
    }
    if (resumed)
        counters(l)->resumed++;
    return true;
}

/* Takes what the guest made available. Returns how many. */
static unsigned int pop_queue(struct vr_loop *l, struct queue *q)
{
    unsigned int n;

    for (n = 0; n < POP_BUDGET && !l->waiting; n++) {
        bool resuming = q->resuming;
        struct slot *s = get_slot(l, q);

        if (!s)
            break;
        if (pop_one(q, &s->chain) <= 0) {
            put_slot(q, s);
            break;
        }
        s->resumed = resuming && q->resuming;
        s->head = s->chain.head;
        s->start = l->now;
        start(l, s);
    }
    if (q->vq.fault)
        queue_fault(l, q);
    return n;
}

/* Tries again to start the request for which there was no room. Returns
 * whether there was one and it has started; others can follow it then. */
static bool start_waiting(struct vr_loop *l)
{
    struct slot *s = l->waiting;

    l->waiting = NULL;
    return s && start(l, s);
}

static unsigned int pop_all(struct vr_loop *l)
{
    unsigned int i, n = start_waiting(l);

    for (i = 0; i < l->nqueues && !l->waiting; i++) {
        struct queue *q = &l->q[i];

        if (!queue_wanted(l, i) || !vr_vq_running(&q->vq))
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

/* The request that waits for room is given up with its queue. It was not
 * begun, and the log keeps it. */
static void drop_waiting(struct vr_loop *l)
{
    struct slot *s = l->waiting;

    if (!s || queue_wanted(l, (unsigned int)(s->q - l->q)))
        return;
    put_slot(s->q, s);
    l->waiting = NULL;
}

static bool map_pool(struct vr_loop *l)
{
    if (l->pool)
        return true;
    if (l->cfg.ops->map_pool(l->cfg.ctx, &l->no_pool)) {
        pool_failed(l);
        return false;
    }
    l->pool = true;
    if (l->pool_noted) {
        l->pool_noted = false;
        note(l);
    }
    return true;
}

/* Every queue is stopped, and with it went all that was under way: nobody has
 * an address in the pool any more. */
static void unmap_pool(struct vr_loop *l)
{
    if (l->pool)
        l->cfg.ops->unmap_pool(l->cfg.ctx);
    l->pool = false;
}

/* Brings the queues where the request wants them; acknowledges that. */
static void follow_request(struct vr_loop *l)
{
    bool failed, run;
    unsigned int i;

    if (l->acked)
        return;
    drop_waiting(l);
    /* Queues start with kicks off; the others are asked for theirs again. */
    disarm(l);
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        struct queue *q = &l->q[i];

        if (!q->epoch || queue_wanted(l, i))
            continue;
        if (q->inflight)
            return; /* a completion brings us here again */
        vr_vq_stop(&q->vq);
        q->epoch = 0;
        q->held = 0;
    }
    l->nqueues = l->req.nqueues;
    if (!l->req.run)
        unmap_pool(l);
    run = l->req.run && map_pool(l);
    /* Set before the queues start: one that is broken sets it again. */
    failed = l->senseless || (l->req.run && !run);
    for (i = 0; i < l->nqueues; i++)
        failed |= l->q[i].epoch && l->q[i].vq.fault;
    set_status(l, failed ? VR_CTRL_BACKEND_FAILED : VR_CTRL_BACKEND_READY);
    for (i = 0; i < l->nqueues; i++) {
        if (run && l->req.q[i].epoch && !l->q[i].epoch)
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
        if (queue_wanted(l, i) && vr_vq_running(&l->q[i].vq))
            vr_vq_enable_kicks(&l->q[i].vq);
    }
    vr_ctrl_collect(&l->cfg.page->kick);
    if (l->masked) {
        l->masked = false;
        l->cfg.ops->unmask(l->cfg.ctx);
    }
    l->armed = true;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    /* While a request waits for room, what is behind it cannot be taken; a
     * completion makes room, and takes us round again. */
    for (i = 0; i < l->nqueues && !l->waiting; i++)
        more |= queue_wanted(l, i) && vr_vq_pending(&l->q[i].vq);
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
            if (queue_wanted(l, i) && vr_vq_pending(&l->q[i].vq)) {
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
    unsigned int i;

    for (i = 0; i < VR_MAX_QUEUES; i++)
        vr_vq_stop(&l->q[i].vq);
    unmap_pool(l);
    if (rc)
        l->cfg.ops->log(l->cfg.ctx, "target: the last flush failed: what the "
                                    "guest wrote since its own last one may be "
                                    "lost");
    set_status(l, VR_CTRL_BACKEND_ABSENT);
    notify_broker(l);
}

void vr_loop_run(struct vr_loop *l)
{
    struct vr_aio_req *done;
    unsigned int ready;

    l->now = l->last_progress = clock_ns();
    for (;;) {
        bool again = false;
        int64_t woken;

        read_request(l);
        follow_request(l);
        /* No timer is needed: the broker asks a device in use every few
         * seconds whether it is there. */
        if (l->now - l->looked >= l->cfg.look_ms * INT64_C(1000000))
            follow_size(l);
        if (!l->stopping && pop_all(l)) {
            l->last_progress = l->now;
            counters(l)->batches++;
            disarm(l);
        }
        /* What came to its end may have been what an acknowledgement, or a
         * request, waits for. */
        if (l->exec->settle)
            again = l->exec->settle(l) && (!l->acked || l->waiting);
        publish(l);
        if (l->stopping && !l->inflight)
            break;

        woken = l->armed ? l->now : 0;
        ready = l->ops->run(l->aio, again ? 0 : choose_timeout(l), &done);
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

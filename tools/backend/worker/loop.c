/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rounds of the device loop, as loop.h has them: the broker's requests,
 * taking the guest's, waiting. Runs in the worker's only thread, locked in.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "loop_int.h"

/* Chains taken from one queue before the others have their turn. */
#define POP_BUDGET VR_MAX_QUEUE_SIZE
/* The broker was seen writing: look again after this long. */
#define RETRY_NS (1000 * NS_PER_US)
/* A former process's bells are free so long after its control channel at the
 * latest. On a busy machine that may be over before anybody else has run, so
 * they are also tried so often. */
#define BELL_WAIT_NS (100000 * NS_PER_US)
#define BELL_TRIES   64
/* A guest rings its own bells at no cost. So often for nothing at once, once in
 * IDLE_MS for long; beyond that none is heard for a while. What the broker does
 * with backends (broker/worker/device.c). */
#define IDLE_RINGS  64
#define IDLE_MS     1
#define THROTTLE_NS (10000 * NS_PER_US)

/* ---- taking requests ---- */

static int pop_one(struct vr_queue *q, struct vr_chain *chain)
{
    if (q->resuming) {
        int r = vr_vq_pop_resumed(&q->vq, chain);

        if (r)
            return r;
        q->resuming = false;
    }
    return vr_vq_pop(&q->vq, chain);
}

/* There is a request for each head, and no head is taken twice. */
static struct vr_request *get_request(struct vr_loop *l, struct vr_queue *q)
{
    struct vr_request *r = q->free;

    if (r) {
        q->free = r->next;
    } else if (q->fresh != q->end) {
        r = (struct vr_request *)(void *)q->fresh;
        r->q = q;
        r->io = q->fresh + l->io_offset;
        q->fresh += l->stride;
    }
    return r;
}

/* False: it has to wait, and everything behind it. */
static bool start(struct vr_loop *l, struct vr_request *r)
{
    struct vr_dev *d = &l->dev;
    bool resumed = r->resumed;

    if (!d->memory->start(d, r)) {
        l->waiting = r;
        return false;
    }
    if (resumed)
        vr_counters(d)->resumed++;
    return true;
}

/* Takes what the guest made available. Returns how many. */
static unsigned int pop_queue(struct vr_loop *l, struct vr_queue *q)
{
    unsigned int n;

    for (n = 0; n < POP_BUDGET && !l->waiting; n++) {
        bool resuming = q->resuming;
        struct vr_request *r = get_request(l, q);

        if (!r)
            break;
        if (pop_one(q, &r->chain) <= 0) {
            vr_request_free(r);
            break;
        }
        r->resumed = resuming && q->resuming;
        r->head = r->chain.head;
        r->start = l->dev.now;
        if (l->survey)
            vr_survey_take(l->count, (unsigned int)(q - l->dev.q), &r->chain,
                           !l->dev.cfg.mem, l->dev.now);
        start(l, r);
    }
    if (q->vq.fault)
        vr_queue_fault(&l->dev, q);
    return n;
}

/* Tries again to start the request for which there was no room. Returns
 * whether there was one and it has started; others can follow it then. */
static bool start_waiting(struct vr_loop *l)
{
    struct vr_request *r = l->waiting;

    l->waiting = NULL;
    return r && start(l, r);
}

static unsigned int pop_all(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    unsigned int i, n = start_waiting(l);

    for (i = 0; i < l->nqueues && !l->waiting; i++) {
        struct vr_queue *q = &d->q[i];

        if (!vr_queue_wanted(d, i) || !vr_vq_running(&q->vq))
            continue;
        if (q->resuming || vr_vq_pending(&q->vq))
            n += pop_queue(l, q);
    }
    return n;
}

/* ---- the broker's requests ---- */

/* Somebody wants another survey, or none any more. */
static void follow_survey(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    uint32_t wanted = __atomic_load_n(&d->cfg.page->survey, __ATOMIC_RELAXED);

    if (l->survey == wanted)
        return;
    l->survey = wanted;
    if (wanted)
        vr_survey_begin(l->count, &d->cfg.page->figures, wanted, d->now);
}

static void disarm(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    unsigned int i;

    if (!l->armed)
        return;
    l->armed = false;
    for (i = 0; i < l->nqueues; i++) {
        if (vr_vq_running(&d->q[i].vq))
            vr_vq_disable_kicks(&d->q[i].vq);
    }
}

static void read_request(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    struct vr_ctrl_request req;
    uint32_t generation;
    int rc;

    l->retry = false;
    if (__atomic_load_n(&d->cfg.page->generation, __ATOMIC_ACQUIRE) ==
        l->generation)
        return;
    rc = vr_ctrl_take(d->cfg.page, &req, &generation);
    if (rc == -EAGAIN) {
        l->retry = true;
        return;
    }
    l->senseless = rc || req.nqueues > d->cfg.queues;
    if (l->senseless) {
        /* Not to be understood: be quiet, and say so. */
        memset(&req, 0, sizeof(req));
        vr_counters(d)->faults++;
        vr_dev_log(d, "control page: request makes no sense");
    }
    d->req = req;
    l->generation = generation;
    l->acked = false;
}

static void close_bell(struct vr_loop *l, unsigned int i)
{
    struct vr_dev *d = &l->dev;
    struct vr_queue *q = &d->q[i];

    if (d->cfg.bells[q->bell]->close)
        d->cfg.bells[q->bell]->close(d->cfg.channel_state, i);
    l->rung[q->bell] &= ~(UINT64_C(1) << i);
    q->bell = VR_BELL_trapped;
}

/* Only after a restart (@again) is it worth to wait for a port: else a guest
 * that names a bad one would have us do so. */
static int open_bell(struct vr_loop *l, unsigned int i, bool again)
{
    struct vr_dev *d = &l->dev;
    const struct vr_ctrl_queue *cfg = &d->req.q[i];
    enum vr_bell bell = cfg->port ? VR_BELL_direct : VR_BELL_trapped;
    int64_t until = (int64_t)vr_now_ns() + BELL_WAIT_NS;
    unsigned int tries = 0;
    int rc = 0;

    if (d->cfg.bells[bell]->open) {
        do {
            rc = d->cfg.bells[bell]->open(d->cfg.channel_state, i, cfg->port);
        } while (rc == -EBUSY && again &&
                 (++tries < BELL_TRIES || (int64_t)vr_now_ns() < until) &&
                 !sched_yield());
    }
    if (rc)
        return rc;
    d->q[i].bell = bell;
    l->rung[bell] |= UINT64_C(1) << i;
    /* To be bound counts as being rung. */
    l->useful = true;
    return 0;
}

static void start_queue(struct vr_loop *l, unsigned int i)
{
    struct vr_dev *d = &l->dev;
    struct vr_ctrl_queue cfg = d->req.q[i];
    struct vr_queue *q = &d->q[i];
    const bool again = d->cfg.page->resume[i].epoch == cfg.epoch;

    q->epoch = cfg.epoch;
    q->reported = false;
    q->held = 0;
    q->last_done = 0;
    if (cfg.size > d->cfg.queue_size) {
        vr_vq_break(&q->vq, VR_VQ_SIZE, cfg.size);
    } else if (open_bell(l, i, again)) {
        vr_vq_break(&q->vq, VR_VQ_BELL, cfg.port);
    } else if (d->serve->lends && d->serve->lends(d, i)) {
        vr_loop_lend(l, i, again);
    } else if (!vr_vq_start(&q->vq, d->cfg.win, &cfg, d->req.features,
                            &d->cfg.page->resume[i])) {
        q->resuming = true;
    }
    if (q->vq.fault)
        vr_queue_fault(d, q);
    else if (again) /* a former process may have died before it told the guest
                     */
        l->intr |= UINT64_C(1) << i;
}

/* The request that waits for room is given up with its queue. It was not
 * begun, and the log keeps it. */
static void drop_waiting(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    struct vr_request *r = l->waiting;

    if (!r || vr_queue_wanted(d, (unsigned int)(r->q - d->q)))
        return;
    vr_request_free(r);
    l->waiting = NULL;
}

/* The pool could not be mapped. A guest can cause that as often as it likes. */
static void pool_failed(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;

    if (!vr_log_due(d, &l->last_pool_log))
        return;
    d->pool_noted = true;
    d->cfg.ops->note(d->cfg.ctx, l->no_pool.text);
}

/* The type hears of it, if there is one. */
static void tell_pool(struct vr_dev *d, bool mapped)
{
    const struct vr_window *w = d->cfg.win;
    bool remote = vr_window_remote(w);
    uint8_t *va = remote ? w->pool.va : w->va;

    if (va && d->serve->pool)
        d->serve->pool(d, mapped ? va : NULL, remote ? w->pool.size : w->size);
}

static bool map_pool(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;

    if (l->pool)
        return true;
    if (d->cfg.ops->map_pool(d->cfg.ctx, &l->no_pool)) {
        pool_failed(l);
        return false;
    }
    l->pool = true;
    tell_pool(d, true);
    if (d->pool_noted) {
        d->pool_noted = false;
        d->cfg.ops->note(d->cfg.ctx, d->noted);
    }
    return true;
}

/* Every queue is stopped, and with it went all that was under way: nobody has
 * an address in the pool any more. */
static void unmap_pool(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;

    if (!l->pool)
        return;
    tell_pool(d, false);
    d->cfg.ops->unmap_pool(d->cfg.ctx);
    l->pool = false;
}

/* Brings the queues where the request wants them; acknowledges that. */
static void follow_request(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    bool failed, run;
    unsigned int i;

    if (l->acked)
        return;
    drop_waiting(l);
    /* Queues start with kicks off; the others are asked for theirs again. */
    disarm(l);
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        struct vr_queue *q = &d->q[i];

        if (!q->epoch || vr_queue_wanted(d, i))
            continue;
        if (q->inflight)
            return; /* a completion brings us here again */
        vr_loop_recall(l, i);
        vr_vq_stop(&q->vq);
        close_bell(l, i);
        q->epoch = 0;
        q->held = 0;
    }
    l->nqueues = d->req.nqueues;
    if (!d->req.run)
        unmap_pool(l);
    run = d->req.run && map_pool(l);
    /* Set before the queues start: one that is broken sets it again. */
    failed = l->senseless || (d->req.run && !run);
    for (i = 0; i < l->nqueues; i++)
        failed |= d->q[i].epoch && d->q[i].vq.fault;
    vr_set_status(d, failed ? VR_CTRL_BACKEND_FAILED : VR_CTRL_BACKEND_READY);
    for (i = 0; i < l->nqueues; i++) {
        if (run && d->req.q[i].epoch && !d->q[i].epoch)
            start_queue(l, i);
    }
    vr_ctrl_ack(d->cfg.page, l->generation);
    l->acked = true;
    l->last_progress = d->now;
    vr_tell_broker(d);
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
    struct vr_dev *d = &l->dev;
    bool more = false;
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        if (vr_queue_wanted(d, i) && vr_vq_running(&d->q[i].vq))
            vr_vq_enable_kicks(&d->q[i].vq);
    }
    vr_loop_kick(l, vr_ctrl_collect(&d->cfg.page->kick));
    if (l->masked) {
        l->masked = l->quiet_until != 0;
        d->cfg.channel->unmask(d->cfg.channel_state, !l->quiet_until);
    }
    l->armed = true;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    /* While a request waits for room, what is behind it cannot be taken; a
     * completion makes room, and takes us round again. */
    for (i = 0; i < l->nqueues && !l->waiting; i++)
        more |= vr_queue_wanted(d, i) && vr_vq_pending(&d->q[i].vq);
    return more || __atomic_load_n(&d->cfg.page->generation,
                                   __ATOMIC_RELAXED) != l->generation;
}

/* The nearest instant at which held interrupts have to go out; or -1. */
static int64_t held_timeout(const struct vr_loop *l)
{
    const struct vr_dev *d = &l->dev;
    int64_t t = -1;
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        const struct vr_queue *q = &d->q[i];
        int64_t left;

        if (!q->held || !vr_vq_running(&q->vq))
            continue;
        left = vr_clamp(vr_held_deadline(q) - d->now, 1, COALESCE_MAX_NS);
        if (t < 0 || left < t)
            t = left;
    }
    return t;
}

/* How long a completion is likely to take: until then no kick is needed, as
 * the rings are looked at again when it comes. */
static int64_t quiet_time(const struct vr_loop *l)
{
    const struct vr_dev *d = &l->dev;
    int64_t t = GAP_MIN_NS;
    unsigned int i;

    for (i = 0; i < l->nqueues; i++) {
        if (d->q[i].inflight && vr_gap_limit(&d->q[i]) > t)
            t = vr_gap_limit(&d->q[i]);
    }
    return t;
}

/* Nothing under way: watch the rings for a while. True when there is work. */
static bool poll_rings(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    int64_t most = d->cfg.poll_us * NS_PER_US;
    int64_t end = l->last_progress + l->poll_ns;
    unsigned int i, n = 0;

    /* Whoever has queues of ours watches them himself. */
    if (l->lent)
        return false;
    while (l->poll_ns && d->now < end) {
        for (i = 0; i < l->nqueues; i++) {
            if (vr_queue_wanted(d, i) && vr_vq_pending(&d->q[i].vq)) {
                l->poll_ns = vr_clamp(l->poll_ns * 2, 0, most);
                return true;
            }
        }
        if (__atomic_load_n(&d->cfg.page->generation, __ATOMIC_RELAXED) !=
            l->generation)
            return true;
        vr_cpu_relax();
        if (!(++n % 16))
            d->now = (int64_t)vr_now_ns();
    }
    /* In vain: poll less, but keep trying a little. */
    l->poll_ns = vr_clamp(l->poll_ns / 2, most / 16, most);
    return false;
}

/* The earlier of two; -1: never. */
static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* How long this round may wait: 0, nanoseconds, or -1 for ever. */
static int64_t choose_timeout(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    int64_t t = held_timeout(l), quiet;

    if (l->quiet_until)
        t = sooner(t, l->quiet_until - d->now);
    if (d->stopping)
        return -1; /* completions are all that matters */
    if (l->retry)
        return RETRY_NS;
    if (l->armed)
        return t;
    if (d->inflight && !d->serve->waits) {
        quiet = l->last_progress + quiet_time(l) - d->now;
        if (quiet > 0)
            return sooner(t, quiet);
    } else if (poll_rings(l)) {
        return 0;
    }
    return arm(l) ? 0 : t;
}

static void leave(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    unsigned int i;

    d->serve->finish(d);
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        vr_loop_recall(l, i);
        vr_vq_stop(&d->q[i].vq);
        close_bell(l, i);
    }
    unmap_pool(l);
    vr_set_status(d, VR_CTRL_BACKEND_ABSENT);
    vr_tell_broker(d);
}

/* A notification came. @woken: when we began to sleep for it, or 0. */
static void take_event(struct vr_loop *l, unsigned int heard, int64_t woken)
{
    struct vr_dev *d = &l->dev;

    l->own_rang = heard & VR_HEARD_BELLS;
    l->masked = true;
    vr_counters(d)->kicks++;
    vr_loop_kick(l, (heard & VR_HEARD_BELLS ? UINT64_MAX : 0) |
                        vr_ctrl_collect(&d->cfg.page->kick));
    /* Would a little more polling have caught it? */
    if (woken && d->now - woken < d->cfg.poll_us * NS_PER_US)
        l->poll_ns = vr_clamp(l->poll_ns * 2, 0, d->cfg.poll_us * NS_PER_US);
    /* Whatever it was about, we look at everything now. */
    disarm(l);
}

/* Are queues' own bells to be heard, after what one has just brought? */
static void judge(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;

    if (!l->own_rang)
        return;
    l->own_rang = false;
    if (!l->useful && !l->waiting &&
        !vr_rate_take(&l->idle, d->now / (1000 * NS_PER_US), IDLE_MS,
                      IDLE_RINGS)) {
        l->quiet_until = d->now + THROTTLE_NS;
        vr_counters(d)->throttles++;
    }
    l->useful = false;
}

/* To ask for kicks anew unmasks. */
static void hear_again(struct vr_loop *l)
{
    if (!l->quiet_until || l->quiet_until > l->dev.now)
        return;
    l->quiet_until = 0;
    disarm(l);
}

/* No timer is needed: the broker asks a device in use every few seconds
 * whether it is there. */
static void look(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;

    if (!d->serve->look ||
        d->now - l->looked < d->cfg.look_ms * INT64_C(1000000))
        return;
    l->looked = d->now;
    d->serve->look(d);
}

/* For the survey: what is no longer under way. */
static void look_on(struct vr_loop *l)
{
    unsigned int i;

    for (i = 0; i < l->dev.cfg.queues; i++) {
        const struct vr_vq *vq = &l->dev.q[i].vq;

        vr_survey_look(l->count, i, vr_vq_running(vq) ? vq->busy : NULL,
                       l->dev.now);
    }
}

/*
 * While nothing is under way, or lent, only the channel has something to tell,
 * and to wait there takes one system call where the type's wait() and hear()
 * take two, the better part of what a single request costs. A type whose
 * requests wait for the world may have something else to wait for.
 */
static void wait_for_more(struct vr_loop *l, int64_t timeout)
{
    struct vr_dev *d = &l->dev;
    int64_t woken = l->armed ? d->now : 0;
    unsigned int heard = 0, ready;

    if (timeout < 0 && !d->inflight && !l->lent && !d->stopping &&
        !d->serve->waits)
        heard = d->cfg.channel->sleep(d->cfg.channel_state);
    if (heard) {
        d->now = (int64_t)vr_now_ns();
        take_event(l, heard, woken);
        return;
    }
    ready = d->serve->wait(d, timeout);
    d->now = (int64_t)vr_now_ns();
    if (d->serve->reap(d))
        l->last_progress = d->now;
    if (ready & VR_WAKE_EVENT)
        take_event(l, d->cfg.channel->hear(d->cfg.channel_state), woken);
    if (ready & VR_WAKE_STOP)
        d->stopping = true;
}

void vr_loop_run(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;

    d->now = l->last_progress = (int64_t)vr_now_ns();
    for (;;) {
        bool again = false;

        read_request(l);
        follow_request(l);
        follow_survey(l);
        look(l);
        hear_again(l);
        if (!d->stopping && pop_all(l)) {
            l->last_progress = d->now;
            l->useful = true;
            vr_counters(d)->batches++;
            disarm(l);
        }
        judge(l);
        /* What came to its end may have been what an acknowledgement, or a
         * request, waits for. */
        if (d->memory->settle)
            again = d->memory->settle(d) && (!l->acked || l->waiting);
        vr_loop_publish(l);
        if (l->survey)
            look_on(l);
        if (d->stopping && !d->inflight)
            break;
        wait_for_more(l, again ? 0 : choose_timeout(l));
    }
    leave(l);
}

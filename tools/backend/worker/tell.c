/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What went wrong, what is done, and who is told.
 *
 * Holding interrupts back: see loop.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "loop_int.h"

/* A guest may break its queues as often as it likes, not fill our log. */
#define LOG_PERIOD_NS INT64_C(10000000000)

/* ---- faults ---- */

/* @last: when a line of this kind was written last. */
static void log_fault(struct vr_loop *l, int64_t *last, const struct queue *q,
                      const char *what, uint64_t addr, const char *then)
{
    char text[256];

    if (*last && l->now - *last < LOG_PERIOD_NS)
        return;
    *last = l->now;
    snprintf(text, sizeof(text), "queue %u%s (0x%" PRIx64 ")%s",
             (unsigned int)(q - l->q), what, addr, then);
    l->cfg.ops->log(l->cfg.ctx, text);
}

static void count_fault(struct vr_loop *l, uint64_t addr)
{
    counters(l)->faults++;
    counters(l)->fault_addr = addr;
}

void queue_fault(struct vr_loop *l, struct queue *q)
{
    char what[128];

    if (!q->vq.fault || q->reported)
        return;
    q->reported = true;
    counters(l)->fault_access = 0;
    count_fault(l, q->vq.fault_addr);
    set_status(l, VR_CTRL_BACKEND_FAILED);
    notify_broker(l);
    snprintf(what, sizeof(what), " stopped: %s", vr_vq_fault_text(q->vq.fault));
    log_fault(l, &l->last_log, q, what, q->vq.fault_addr,
              "; the guest has to reset the device");
}

void access_fault(struct vr_loop *l, struct queue *q, uint64_t addr, bool write)
{
    counters(l)->fault_access =
        write ? VR_CTRL_FAULT_WRITE : VR_CTRL_FAULT_READ;
    count_fault(l, addr);
    l->tell = true;
    log_fault(l, &l->last_access_log, q,
              ": the guest's memory is not mapped, or not so", addr,
              "; the request fails");
}

/* ---- what the operator is to know ---- */

void note(struct vr_loop *l)
{
    char text[160] = "";

    if (!l->pool_noted && l->cut)
        snprintf(text, sizeof(text),
                 "target has %" PRIu64 " sectors, the guest was told of "
                 "%" PRIu64 ": its I/O beyond the end fails; let it grow again",
                 l->dev.capacity, l->offered);
    l->cfg.ops->note(l->cfg.ctx, l->pool_noted ? l->no_pool.text : text);
}

void pool_failed(struct vr_loop *l)
{
    if (l->last_pool_log && l->now - l->last_pool_log < LOG_PERIOD_NS)
        return;
    l->last_pool_log = l->now;
    l->pool_noted = true;
    note(l);
}

/* ---- the target ---- */

void show_target(struct vr_loop *l)
{
    const struct vr_target *t = l->cfg.target;
    struct vr_ctrl_counters *c = counters(l);

    c->target_size = t->size;
    c->target_io = (t->direct ? VR_CTRL_IO_DIRECT : 0) |
                   (vr_target_own_only(t) ? VR_CTRL_IO_OWN : 0) |
                   (vr_target_lost(t) ? VR_CTRL_IO_LOST : 0);
}

void io_learn(struct vr_loop *l, const struct vr_aio_req *req)
{
    const struct vr_target *t = l->cfg.target;
    char text[200];

    counters(l)->retries += req->first != 0;
    if (!vr_aio_learn(l->cfg.target, req))
        return;
    show_target(l);
    snprintf(text, sizeof(text), "target: direct I/O does not work%s (%s); %s",
             t->direct ? " on the guest's pages" : "", strerror(-req->first),
             t->direct && l->remote
                 ? "they are copied from now on"
                 : "the page cache is used from now on, and what the guest "
                   "writes is safe when it has flushed it");
    l->cfg.ops->log(l->cfg.ctx, text);
}

uint8_t io_failed(struct vr_loop *l, const struct slot *s)
{
    static const char *const name[] = {
        [VR_AIO_READ] = "read",      [VR_AIO_WRITE] = "write",
        [VR_AIO_FLUSH] = "flush",    [VR_AIO_DISCARD] = "discard",
        [VR_AIO_ZEROES] = "zeroing",
    };
    struct vr_ctrl_counters *c = counters(l);
    uint64_t *const count[] = {
        [VR_AIO_READ] = &c->read_errors,    [VR_AIO_WRITE] = &c->write_errors,
        [VR_AIO_FLUSH] = &c->flush_errors,  [VR_AIO_DISCARD] = &c->range_errors,
        [VR_AIO_ZEROES] = &c->range_errors,
    };
    const struct vr_aio_req *req = &s->aio;
    char text[200];

    /* These alone may be missing from a target. A flush that was answered so
     * would pass for one that is not needed. */
    if (req->res == -EOPNOTSUPP &&
        (req->op == VR_AIO_DISCARD || req->op == VR_AIO_ZEROES))
        return VR_BLK_S_UNSUPP;
    ++*count[req->op];
    c->last_errno = -req->res;
    show_target(l);
    if (!l->last_io_log || l->now - l->last_io_log >= LOG_PERIOD_NS) {
        l->last_io_log = l->now;
        snprintf(text, sizeof(text),
                 "target: %s of %" PRIu64 " bytes at %" PRIu64
                 " failed: %s; the guest is told",
                 name[req->op], req->len, req->offset, strerror(-req->res));
        l->cfg.ops->log(l->cfg.ctx, text);
    }
    return VR_BLK_S_IOERR;
}

/* ---- interrupts ---- */

int64_t gap_limit(const struct queue *q)
{
    return clamp(4 * q->gap, GAP_MIN_NS, GAP_MAX_NS);
}

int64_t held_deadline(const struct queue *q)
{
    int64_t gap = q->last_done + gap_limit(q);
    int64_t whole = q->held_since + clamp(q->service / 2, 0, COALESCE_MAX_NS);

    return gap < whole ? gap : whole;
}

void publish(struct vr_loop *l)
{
    bool tell = l->tell;
    unsigned int i;

    l->tell = false;
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
    if (l->intr && vr_ctrl_post(&l->cfg.page->intr, l->intr)) {
        counters(l)->interrupts++;
        tell = true;
    }
    l->intr = 0;
    if (tell)
        notify_broker(l);
}

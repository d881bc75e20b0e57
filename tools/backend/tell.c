/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What went wrong, what is done, and who is told.
 *
 * Holding interrupts back: see loop.h.
 */
#include <inttypes.h>
#include <stdio.h>

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

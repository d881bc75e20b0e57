/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done goes into the used rings, and the guest is told, now or a little
 * later: loop.h says why. For loop.c.
 */
#include "loop_int.h"

int64_t vr_gap_limit(const struct vr_queue *q)
{
    return vr_clamp(4 * q->gap, GAP_MIN_NS, VR_GAP_MAX);
}

int64_t vr_held_deadline(const struct vr_queue *q)
{
    int64_t gap = q->last_done + vr_gap_limit(q);
    int64_t whole =
        q->held_since + vr_clamp(q->service / 2, 0, COALESCE_MAX_NS);

    return gap < whole ? gap : whole;
}

/* Returns whether the broker has to be told, too. */
static bool ring(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    bool tell = false;
    unsigned int k;

    for (k = 0; l->intr && k < VR_BELLS; k++) {
        uint64_t queues = l->intr & l->rung[k];

        if (!queues)
            continue;
        if (d->cfg.bells[k]->ring(d->cfg.channel_state, d->cfg.page, queues))
            tell = true;
        else if (k == VR_BELL_trapped)
            continue; /* the broker has been told and did not look yet */
        vr_counters(d)->interrupts++;
    }
    l->intr = 0;
    return tell;
}

void vr_loop_publish(struct vr_loop *l)
{
    struct vr_dev *d = &l->dev;
    bool tell = d->tell;
    unsigned int i;

    d->tell = false;
    for (i = 0; i < l->nqueues; i++) {
        struct vr_queue *q = &d->q[i];

        if (!q->held || !vr_vq_running(&q->vq))
            continue;
        vr_vq_publish(&q->vq);
        if (q->inflight > q->held && !d->serve->waits && q->epoch &&
            vr_held_deadline(q) > d->now && !d->stopping)
            continue;
        q->held = 0;
        if (vr_vq_should_notify(&q->vq))
            l->intr |= UINT64_C(1) << i;
    }
    l->intr |= d->used;
    d->used = 0;
    tell |= ring(l);
    if (tell)
        vr_tell_broker(d);
}

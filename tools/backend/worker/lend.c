/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queues that the type has served by somebody else (lends() in serve.h). For
 * loop.c. */
#include "loop_int.h"

/* The areas are checked as all are. The log says no more than which rings they
 * are: what was done stands in the rings, of which the log is not kept. */
void vr_loop_lend(struct vr_loop *l, unsigned int i, bool again)
{
    struct vr_dev *d = &l->dev;
    struct vr_queue *q = &d->q[i];

    if (vr_vq_start(&q->vq, d->cfg.win, &d->req.q[i], d->req.features,
                    again ? NULL : &d->cfg.page->resume[i]))
        return;
    l->lent |= UINT64_C(1) << i;
    if (d->serve->lend(d, i, again)) {
        vr_vq_break(&q->vq, VR_VQ_LENT, d->req.q[i].desc);
        return;
    }
    vr_vq_stop(&q->vq);
}

void vr_loop_recall(struct vr_loop *l, unsigned int i)
{
    const uint64_t bit = UINT64_C(1) << i;

    if (!(l->lent & bit))
        return;
    l->dev.serve->recall(&l->dev, i);
    l->lent &= ~bit;
    l->dev.used &= ~bit;
}

void vr_loop_kick(struct vr_loop *l, uint64_t queues)
{
    queues &= l->lent;
    if (queues && l->dev.serve->kick(&l->dev, queues))
        l->useful = true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's trapped accesses. */
#include <string.h>

#include "worker.h"

static void vcpu_done(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];

    if (w->vcpu[v].req.dir == IOREQ_READ)
        slot->data = w->vcpu[v].req.data;
    /* The answer before the state (Xen reads them the other way round). */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    slot->state = STATE_IORESP_READY;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    xenevtchn_notify(w->xce, w->vcpu[v].port);
}

void vcpu_release(struct device *d)
{
    struct worker *w = d->w;
    unsigned int v;

    if (!d->hold_until || vr_mmio_waiting(&d->mmio))
        return;
    d->hold_until = 0;
    for (v = 0; v < w->nvcpus; v++) {
        if (!w->vcpu[v].held || w->vcpu[v].dev != d->index)
            continue;
        w->vcpu[v].held = false;
        vcpu_done(w, v);
    }
}

bool vcpu_event(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];
    struct vcpu *vcpu = &w->vcpu[v];
    struct device *d;
    uint32_t isr;
    int i;

    if (vcpu->held || slot->state != STATE_IOREQ_READY)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    slot->state = STATE_IOREQ_INPROCESS;
    vcpu->req = *slot;
    i = ioreq_find(w->map, w->ndevs, &vcpu->req);
    if (i < 0) {
        ioreq_refuse(&vcpu->req);
        vcpu_done(w, v);
        return true;
    }
    d = &w->dev[i];
    isr = vr_mmio_isr(&d->mmio);
    if (ioreq_exec(&w->map[i], &vcpu->req) == VR_MMIO_DONE) {
        vcpu_done(w, v);
    } else {
        vcpu->held = true;
        vcpu->dev = i;
        if (!d->hold_until)
            d->hold_until = w->now + VR_QUIESCE_MS;
    }
    /* The interrupt is acknowledged, or an answer is awaited: from now on the
     * backend is to be heard. It may have answered before. */
    if (isr & ~vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED || vcpu->held)
        device_look(d);
    /* Another vCPU's write may have completed by this one's. */
    vcpu_release(d);
    return true;
}

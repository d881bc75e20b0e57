/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's trapped accesses. */
#include <string.h>

#include "broker/iommu/iommu.h"

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

void vcpu_finish(struct worker *w, unsigned int index)
{
    unsigned int v;

    for (v = 0; v < w->nvcpus; v++) {
        if (!w->vcpu[v].held || w->vcpu[v].dev != index)
            continue;
        w->vcpu[v].held = false;
        vcpu_done(w, v);
    }
}

void vcpu_release(struct device *d)
{
    if (!d->hold_until || d->flush_until || vr_mmio_waiting(&d->mmio))
        return;
    d->hold_until = 0;
    vcpu_finish(d->w, d->index);
}

/* The access is complete, or the vCPU waits for device @index of the map. */
static void answer(struct worker *w, unsigned int v, unsigned int index,
                   bool complete)
{
    if (complete) {
        vcpu_done(w, v);
    } else {
        w->vcpu[v].held = true;
        w->vcpu[v].dev = index;
    }
}

static void device_access(struct device *d, unsigned int v)
{
    struct worker *w = d->w;
    uint32_t isr = vr_mmio_isr(&d->mmio);
    bool done;

    done = ioreq_exec(&w->map[d->index], &w->vcpu[v].req) == VR_MMIO_DONE;
    if (!done && !d->hold_until)
        d->hold_until = w->now + d->lease.patience_ms;
    answer(w, v, d->index, done);
    if (isr & ~vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED)
        device_acked(d);
    /* Now that the guest has acknowledged the interrupt, or waits for the
     * backend, the backend's port will be unmasked (device_rearm()). What the
     * backend wrote while it was masked is looked at here. */
    if (isr & ~vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED || !done)
        device_look(d);
    /* Another vCPU's write may have completed by this one's. */
    vcpu_release(d);
}

/* Only the vCPU that asked for memory to be taken away waits until it is. */
static void iommu_access(struct worker *w, unsigned int v)
{
    struct iommu *io = w->iommu;
    bool done, pending = io->pending;

    done = ioreq_exec(&w->map[w->ndevs], &w->vcpu[v].req) == VR_MMIO_DONE;
    iommu_work(io);
    answer(w, v, w->ndevs,
           (done || !vr_mmio_waiting(&io->mmio)) && pending >= io->pending);
    if (!iommu_waiting(io))
        vcpu_finish(w, w->ndevs);
}

bool vcpu_event(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];
    struct vcpu *vcpu = &w->vcpu[v];
    int i;

    if (vcpu->held || slot->state != STATE_IOREQ_READY)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    slot->state = STATE_IOREQ_INPROCESS;
    vcpu->req = *slot;
    /* What follows from it may say more. */
    w->last = vcpu->req.dir == IOREQ_READ ? VR_LOOK_READ : VR_LOOK_WRITE;
    i = ioreq_find(w->map, w->ndevs + !!w->iommu, &vcpu->req);
    if (i < 0) {
        ioreq_refuse(&vcpu->req);
        vcpu_done(w, v);
    } else if ((unsigned int)i < w->ndevs) {
        device_access(&w->dev[i], v);
    } else {
        iommu_access(w, v);
    }
    return true;
}

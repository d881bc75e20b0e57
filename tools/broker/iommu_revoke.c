/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iommu_int.h"

/* A grant copy that is under way ends in so much time, or never by itself. */
#define GRACE_MS 20
/* A killed process is gone in so much time, or its kernel does not answer. */
#define DESTROY_MS 1500
/* The supervisor may have missed what it was told: it is told again. */
#define AGAIN_MS 5000

/*
 * A domain that is being destroyed: Xen releases its grants first and takes its
 * hardware away later. The bits say nothing until all of it is gone.
 */
bool iommu_dying(const struct iommu *io, unsigned int ep)
{
    return io->ep[ep].step == STEP_DESTROY && !io->w->dev[ep].dead;
}

void iommu_step_down(struct iommu *io, unsigned int ep)
{
    if (!iommu_dying(io, ep))
        io->ep[ep].step = STEP_NONE;
}

static void take_step(struct iommu *io, unsigned int i, enum iommu_step step)
{
    io->ep[i].step = step;
    io->ep[i].since = io->w->now;
}

void iommu_climb(struct iommu *io, unsigned int i)
{
    const struct vr_record_dev *rd = &io->w->rec->devs[i];
    const struct vr_record_driver *drv = &io->w->rec->drivers[rd->driver];
    const struct vr_dev_cfg *cfg = &rd->cfg;
    struct device *d = &io->w->dev[i];
    struct iommu_ep *ep = &io->ep[i];
    int64_t past = io->w->now - ep->since;

    switch (ep->step) {
    case STEP_NONE:
        take_step(io, i, STEP_WAIT);
        if (!ep->now)
            return;
        /* fall through */
    case STEP_WAIT:
        if (!ep->now && past < GRACE_MS)
            return;
        io->stats->stops++;
        take_step(io, i, STEP_STOP);
        vr_mmio_attach(&d->mmio, false);
        vr_mmio_fail(&d->mmio, VR_FAIL_REVOKED);
        vcpu_release(d);
        return;
    case STEP_STOP:
        if (past < cfg->revoke_ms)
            return;
        io->stats->kills++;
        broker_log("device %s: its backend holds memory that the guest has "
                   "taken away: killing it",
                   cfg->id);
        device_tell(d, VR_MSG_KILL);
        take_step(io, i, STEP_KILL);
        return;
    case STEP_KILL:
        if (past < DESTROY_MS)
            return;
        io->stats->destroys += drv->owned;
        broker_log("device %s: its backend holds on", cfg->id);
        device_tell(d, VR_MSG_DESTROY);
        take_step(io, i, drv->owned ? STEP_DESTROY : STEP_STUCK);
        return;
    case STEP_STUCK:
    case STEP_DESTROY:
        if (past < AGAIN_MS)
            return;
        device_tell(d, VR_MSG_DESTROY);
        take_step(io, i, ep->step);
        return;
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a backend that holds memory which its guest has taken back:
 * the ladder (ladder.h) says which step is due, this takes it. iommu.c calls it
 * after each look at what is in use.
 */
#include "iommu_int.h"

void iommu_ladder(struct iommu *io)
{
    const struct vr_record *rec = io->unit.w->rec;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        struct vr_ladder_ep *ep = &io->ladder.ep[i];

        ep->driver = rec->devs[i].driver;
        ep->owned = rec->drivers[ep->driver].owned;
        ep->revoke_ms = rec->devs[i].cfg.revoke_ms;
    }
}

bool iommu_dying(const struct iommu *io, unsigned int ep)
{
    return vr_ladder_destroyed(&io->ladder, ep) && !io->ep[ep].dev->dead;
}

static void stop(struct iommu *io, struct device *d, enum vr_fail why)
{
    io->stats->stops++;
    io->stats->spent += why == VR_FAIL_SPENT;
    device_attach(d, false);
    device_fail(d, why);
}

static void climb(struct iommu *io, unsigned int i)
{
    const struct vr_record_dev *rd = &io->unit.w->rec->devs[i];
    const bool owned = io->ladder.ep[i].owned;
    struct device *d = io->ep[i].dev;
    enum vr_step before = io->ladder.ep[i].step;

    switch (vr_ladder_climb(&io->ladder, i, io->unit.w->now, io->ep[i].now)) {
    case VR_ACT_NONE:
        return;
    case VR_ACT_STOP:
        stop(io, d, VR_FAIL_REVOKED);
        return;
    case VR_ACT_STOP_SPENT:
        stop(io, d, VR_FAIL_SPENT);
        return;
    case VR_ACT_KILL:
        io->stats->kills++;
        broker_log("device %s: its backend holds memory that the guest has "
                   "taken away: killing it",
                   rd->cfg.id);
        unit_tell(&d->unit, VR_MSG_KILL);
        return;
    case VR_ACT_DESTROY:
        if (before == VR_STEP_KILL) {
            io->stats->destroys += owned;
            broker_log("device %s: its backend holds on", rd->cfg.id);
        }
        unit_tell(&d->unit, VR_MSG_DESTROY);
        return;
    }
}

void iommu_climb(struct iommu *io)
{
    unsigned int i;

    for (i = 0; i < io->unit.w->rec->ndevs; i++) {
        if (io->ep[i].busy)
            climb(io, i);
        else
            vr_ladder_down(&io->ladder, i, io->unit.w->now);
        io->ep[i].busy = io->ep[i].now = false;
    }
}

void iommu_step_down(struct iommu *io)
{
    unsigned int i;

    for (i = 0; i < io->unit.w->rec->ndevs; i++) {
        vr_ladder_down(&io->ladder, i, io->unit.w->now);
        io->ep[i].busy = io->ep[i].now = false;
    }
}

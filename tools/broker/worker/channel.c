/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel between the worker and a device's backend: an event channel wakes
 * either of us; what it is about stands in the control page. For BELL(trapped)
 * (libs/proto/bell.def) the worker stands between the guest's driver and the
 * backend, and device.c calls this for each kick and each event. A driver whose
 * queues have bells of their own has none of that done.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "device.h"

int channel_make(struct device *d, const struct vr_record_driver *drv,
                 struct vr_err *err)
{
    int port = xenevtchn_bind_unbound_port(d->unit.w->xce, drv->domid);

    if (port < 0) {
        vr_err_set(err,
                   "device %s: no event channel for driver domain %s "
                   "(%" PRIu32 "): %s; see whether it still runs",
                   d->unit.name, drv->name, drv->domid, strerror(errno));
        return -errno;
    }
    d->unit.port = port;
    return 0;
}

void channel_ring(struct device *d)
{
    if (!d->unit.port)
        return;
    d->stats->kick_events++;
    /* Nobody at the other end: Xen drops it, which is what we want. */
    xenevtchn_notify(d->unit.w->xce, d->unit.port);
}

void channel_kick(struct device *d, uint64_t queues)
{
    if (vr_ctrl_post(&d->page->kick, queues))
        channel_ring(d);
}

uint64_t channel_pending(const struct device *d)
{
    return __atomic_load_n(&d->page->intr, __ATOMIC_RELAXED);
}

uint64_t channel_drain(struct device *d)
{
    return vr_ctrl_collect(&d->page->intr);
}

void channel_unmask(struct device *d)
{
    ports_unmask(d->unit.w, d->unit.port);
}

void channel_close(struct device *d)
{
    xenevtchn_unbind(d->unit.w->xce, d->unit.port);
    d->unit.port = 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BELL(trapped): the worker itself stands between driver and backend. An event
 * channel for each device wakes either of us; what it is about stands in the
 * control page. device.c calls this for each kick and each event.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "device.h"

static int make(struct device *d, const struct vr_record_driver *drv,
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

static void ring(struct device *d)
{
    if (!d->unit.port)
        return;
    d->stats->kick_events++;
    /* Nobody at the other end: Xen drops it, which is what we want. */
    xenevtchn_notify(d->unit.w->xce, d->unit.port);
}

static void kick(struct device *d, unsigned int queue)
{
    if (vr_ctrl_post(&d->page->kick, UINT64_C(1) << queue))
        ring(d);
}

static uint64_t pending(const struct device *d)
{
    return __atomic_load_n(&d->page->intr, __ATOMIC_RELAXED);
}

static uint64_t drain(struct device *d)
{
    return vr_ctrl_collect(&d->page->intr);
}

static void unmask(struct device *d)
{
    ports_unmask(d->unit.w, d->unit.port);
}

static void close_port(struct device *d)
{
    xenevtchn_unbind(d->unit.w->xce, d->unit.port);
    d->unit.port = 0;
}

const struct bell broker_bell_trapped = {
    .make = make,
    .kick = kick,
    .ring = ring,
    .pending = pending,
    .drain = drain,
    .unmask = unmask,
    .close = close_port,
};

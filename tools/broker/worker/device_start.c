/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices' start, before the sandbox: control page and event channel of
 * each, which the supervisor is told of, and its registers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* All devices, in one piece for the process's life. */
struct devices {
    struct device dev[VR_MAX_DEVICES]; /* first */
    struct vr_ctrl_page nobody;
};

static int share_page(struct device *d, xengntshr_handle *gs,
                      const struct vr_record_driver *drv, uint32_t *gref,
                      struct vr_err *err)
{
    d->page = xengntshr_share_pages(gs, drv->domid, 1, gref, 1);
    if (!d->page) {
        vr_err_set(err,
                   "device %s: cannot share a control page with driver "
                   "domain %s (%" PRIu32 "): %s; raise the limit of "
                   "xen-gntalloc (module parameter `limit`)",
                   d->unit.name, drv->name, drv->domid, strerror(errno));
        return errno ? -errno : -ENOMEM;
    }
    vr_ctrl_init(d->page);
    return 0;
}

/*
 * Firmware has drivers of PCI devices, which know neither pools nor IOMMUs.
 * SeaBIOS takes such a device, and then waits for its first request for ever.
 * Without event indices, which it does not know either, it leaves it alone.
 */
static uint64_t mandatory(const struct vr_dev_cfg *cfg)
{
    return cfg->transport == VR_TRANSPORT_pci ? VR_F_MANDATORY | VR_F_EVENT_IDX
                                              : VR_F_MANDATORY;
}

static void make_registers(struct device *d, const struct vr_record_dev *rd,
                           const struct vr_record_driver *drv)
{
    struct vr_vdev_desc desc = {
        .device_id = rd->cfg.type,
        .nqueues = rd->cfg.queues,
        .queue_size_max = rd->cfg.queue_size,
        /* Without a pool no indirect tables: see bounds.h. */
        .transport = vr_cfg_has_pool(&rd->cfg)
                         ? VR_F_TRANSPORT
                         : VR_F_TRANSPORT & ~VR_F_INDIRECT_DESC,
        .mandatory = mandatory(&rd->cfg),
        .endpoint = vr_cfg_has_iova(&rd->cfg),
        .bells = true,
        .backend_domid = drv->domid,
    };
    unsigned int k;

    for (k = 0; k < VR_WINDOWS; k++) {
        const struct vr_gwin *win = vr_record_window(rd, k);

        if (win)
            desc.range[desc.nranges++] =
                (struct vr_vdev_range){win->base, win->size};
    }
    vr_vdev_init(&d->unit.vdev, &desc, &device_regs, d, d->stats);
}

static int start(struct worker *w, struct device *d, unsigned int i,
                 xengntshr_handle *gs, struct vr_err *err)
{
    const struct vr_record_dev *rd = &w->rec->devs[i];
    const struct vr_record_driver *drv = &w->rec->drivers[rd->driver];
    struct vr_msg msg = {.type = VR_MSG_DEVICE, .dev = i};
    int rc;

    d->unit.ops = &device_unit;
    d->unit.name = rd->cfg.id;
    d->unit.irq = rd->irq;
    d->stats = &w->stats->dev[i];
    d->seek = true;
    vr_lease_init(&d->lease, vr_gwin_pages(&rd->pool), VR_QUIESCE_MS);
    make_registers(d, rd, drv);
    rc = unit_add(w, &d->unit, rd->cfg.transport, rd->mmio_base, err);
    if (!rc)
        rc = share_page(d, gs, drv, &msg.gref, err);
    if (!rc)
        rc = channel_make(d, drv, err);
    if (rc)
        return rc;
    msg.port = d->unit.port;
    return broker_msg_send(w->sock, &msg);
}

int device_start(struct worker *w, const struct unit_start *s,
                 struct vr_err *err)
{
    struct devices *all = calloc(1, sizeof(*all));
    unsigned int i;
    int rc = 0;

    if (!all) {
        vr_err_set(err, "broker: out of memory");
        return -ENOMEM;
    }
    for (i = 0; i < w->rec->ndevs && !rc; i++) {
        all->dev[i].nobody = &all->nobody;
        rc = start(w, &all->dev[i], i, s->gs, err);
    }
    return rc;
}

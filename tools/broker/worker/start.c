/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's start: control pages, event channels, the ioreq server. All
 * that needs privileges happens here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "broker/iommu/iommu.h"

#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xen/memory.h>
#include <xen/hvm/hvm_op.h>

static int open_all(struct worker *w, xenforeignmemory_handle **fm,
                    xengntshr_handle **gs, struct vr_err *err)
{
    w->dm = xendevicemodel_open(NULL, 0);
    *fm = xenforeignmemory_open(NULL, 0);
    w->xce = xenevtchn_open(NULL, 0);
    *gs = xengntshr_open(NULL, 0);
    if (w->dm && *fm && w->xce && *gs)
        return 0;
    vr_err_set(err,
               "broker: cannot open Xen's device files (privcmd, evtchn, "
               "gntalloc): %s; load the modules xen-privcmd, xen-evtchn "
               "and xen-gntalloc",
               strerror(errno));
    return errno ? -errno : -EIO;
}

static int ioreq_failed(const struct worker *w, struct vr_err *err,
                        const char *what)
{
    int rc = errno ? -errno : -EIO;
    const char *remedy = "see `xl dmesg`";

    if (rc == -ENOSYS || rc == -EOPNOTSUPP)
        remedy = "this hypervisor was built without CONFIG_IOREQ_SERVER; "
                 "see `vrctl check`";
    vr_err_set(err, "guest %s: ioreq server: cannot %s: %s; %s", w->rec->name,
               what, strerror(-rc), remedy);
    return rc;
}

static int start_ioreq(struct worker *w, xenforeignmemory_handle *fm,
                       struct vr_err *err)
{
    uint32_t g = w->rec->domid;
    void *addr = NULL;
    ioservid_t id;
    unsigned int i;

    if (xendevicemodel_create_ioreq_server(w->dm, g, HVM_IOREQSRV_BUFIOREQ_OFF,
                                           &id))
        return ioreq_failed(w, err, "create it");
    /* The mapping stays when the handle is closed. */
    if (!xenforeignmemory_map_resource(
            fm, g, XENMEM_resource_ioreq_server, id,
            XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &addr,
            PROT_READ | PROT_WRITE, 0))
        return ioreq_failed(w, err, "map its page");
    w->ioreqs = addr;
    for (i = 0; i < w->ndevs + !!w->iommu; i++) {
        uint64_t base = w->map[i].base;

        if (xendevicemodel_map_io_range_to_ioreq_server(
                w->dm, g, id, 1, base, base + VR_MMIO_SIZE - 1))
            return ioreq_failed(w, err, "take a device's registers");
    }
    if (xendevicemodel_nr_vcpus(w->dm, g, &w->nvcpus))
        return ioreq_failed(w, err, "count the vCPUs");
    if (w->nvcpus > MAX_VCPUS) {
        errno = E2BIG;
        return ioreq_failed(w, err, "serve so many vCPUs (maxvcpus)");
    }
    /* Only now do the slots name their event channels. */
    if (xendevicemodel_set_ioreq_server_state(w->dm, g, id, 1))
        return ioreq_failed(w, err, "enable it");
    for (i = 0; i < w->nvcpus; i++) {
        int port = xenevtchn_bind_interdomain(
            w->xce, g, w->ioreqs->vcpu_ioreq[i].vp_eport);

        if (port < 0)
            return ioreq_failed(w, err, "bind a vCPU's event channel");
        w->vcpu[i].port = port;
    }
    return 0;
}

static int start_device(struct worker *w, unsigned int i, xengntshr_handle *gs,
                        struct vr_err *err)
{
    const struct vr_record_dev *rd = &w->rec->devs[i];
    const struct vr_record_driver *drv = &w->rec->drivers[rd->driver];
    bool endpoint = vr_cfg_has_iova(&rd->cfg);
    struct vr_mmio_desc desc = {
        .device_id = rd->cfg.type,
        .nqueues = rd->cfg.queues,
        .queue_size_max = rd->cfg.queue_size,
        /* Without a pool no indirect tables: see bounds.h. */
        .transport = vr_cfg_has_pool(&rd->cfg)
                         ? VR_F_TRANSPORT
                         : VR_F_TRANSPORT & ~VR_F_INDIRECT_DESC,
        .mandatory = VR_F_MANDATORY,
        .endpoint = endpoint,
    };
    struct vr_msg msg = {.type = VR_MSG_DEVICE, .dev = i};
    struct device *d = &w->dev[i];
    unsigned int k;
    int port;

    for (k = 0; k < VR_WINDOWS; k++) {
        const struct vr_gwin *win = vr_record_window(rd, k);

        if (win)
            desc.window[desc.nwindows++] =
                (struct vr_mmio_window){win->base, win->size};
    }
    d->w = w;
    d->index = i;
    d->irq = rd->irq;
    d->stats = &w->stats->dev[i];
    d->seek = true;
    vr_lease_init(&d->lease, vr_gwin_pages(&rd->pool), VR_QUIESCE_MS);
    d->page = xengntshr_share_pages(gs, drv->domid, 1, &msg.gref, 1);
    if (!d->page) {
        vr_err_set(err,
                   "device %s: cannot share a control page with driver "
                   "domain %s (%" PRIu32 "): %s; raise the limit of "
                   "xen-gntalloc (module parameter `limit`)",
                   rd->cfg.id, drv->name, drv->domid, strerror(errno));
        return errno ? -errno : -ENOMEM;
    }
    vr_ctrl_init(d->page);
    port = xenevtchn_bind_unbound_port(w->xce, drv->domid);
    if (port < 0) {
        vr_err_set(err,
                   "device %s: no event channel for driver domain %s "
                   "(%" PRIu32 "): %s; see whether it still runs",
                   rd->cfg.id, drv->name, drv->domid, strerror(errno));
        return -errno;
    }
    d->port = port;
    vr_mmio_init(&d->mmio, &desc, &device_ops, d, d->stats);
    w->map[i].base = rd->mmio_base;
    w->map[i].mmio = &d->mmio;
    msg.port = port;
    return broker_msg_send(w->sock, &msg);
}

int worker_start(struct worker *w, struct vr_err *err)
{
    xenforeignmemory_handle *fm = NULL;
    xengntshr_handle *gs = NULL;
    unsigned int i;
    int rc;

    rc = w->arch->check(w->rec->domid, err);
    if (!rc)
        rc = open_all(w, &fm, &gs, err);
    if (rc)
        return rc;
    for (i = 0; i < w->ndevs; i++) {
        rc = start_device(w, i, gs, err);
        if (rc)
            return rc;
    }
    if (w->rec->iommu.present) {
        rc = iommu_start(w, fm, &w->iommu, err);
        if (rc)
            return rc;
        w->map[w->ndevs].base = w->rec->iommu.mmio_base;
        w->map[w->ndevs].mmio = &w->iommu->mmio;
    }
    rc = start_ioreq(w, fm, err);
    if (rc)
        return rc;
    w->evtchn_fd = xenevtchn_fd(w->xce);
    if (fcntl(w->evtchn_fd, F_SETFL, O_NONBLOCK)) {
        vr_err_set(err, "broker: event channel: %s", strerror(errno));
        return -errno;
    }
    /* Not needed again, and gntshr knows no restriction. Guest memory is
     * mapped for the virtio-iommu alone. */
    if (!w->iommu)
        xenforeignmemory_close(fm);
    xengntshr_close(gs);
    return sandbox_enter(w->rec->domid, w->iommu != NULL, err);
}

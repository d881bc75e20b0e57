/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's start: Xen's handles, the units, the ioreq server, and last the
 * sandbox. All that needs privileges happens here and in the units' own starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "worker.h"

#include <xen/memory.h>
#include <xen/hvm/hvm_op.h>

static int open_all(struct worker *w, struct unit_start *s, struct vr_err *err)
{
    w->dm = xendevicemodel_open(NULL, 0);
    s->fm = xenforeignmemory_open(NULL, 0);
    w->xce = xenevtchn_open(NULL, 0);
    s->gs = xengntshr_open(NULL, 0);
    if (w->dm && s->fm && w->xce && s->gs)
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

static int take(const struct worker *w, const struct range *r)
{
    const uint32_t g = w->rec->domid;
    const unsigned int bdf = r->base >> 32;

    if (r->config)
        return xendevicemodel_map_pcidev_to_ioreq_server(
            w->dm, g, w->ioserver, 0, bdf >> 8, bdf >> 3 & 0x1f, bdf & 7);
    return xendevicemodel_map_io_range_to_ioreq_server(
        w->dm, g, w->ioserver, 1, r->base, r->base + r->size - 1);
}

static int start_ioreq(struct worker *w, xenforeignmemory_handle *fm,
                       struct vr_err *err)
{
    uint32_t g = w->rec->domid;
    void *addr = NULL;
    unsigned int i;

    if (xendevicemodel_create_ioreq_server(w->dm, g, HVM_IOREQSRV_BUFIOREQ_OFF,
                                           &w->ioserver))
        return ioreq_failed(w, err, "create it");
    /* The mapping stays when the handle is closed. */
    if (!xenforeignmemory_map_resource(
            fm, g, XENMEM_resource_ioreq_server, w->ioserver,
            XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &addr,
            PROT_READ | PROT_WRITE, 0))
        return ioreq_failed(w, err, "map its page");
    w->ioreqs = addr;
    for (i = 0; i < w->nranges; i++)
        if (take(w, &w->range[i]))
            return ioreq_failed(w, err, "take a device's registers");
    if (xendevicemodel_nr_vcpus(w->dm, g, &w->nvcpus))
        return ioreq_failed(w, err, "count the vCPUs");
    if (w->nvcpus > MAX_VCPUS) {
        errno = E2BIG;
        return ioreq_failed(w, err, "serve so many vCPUs (maxvcpus)");
    }
    /* Only now do the slots name their event channels. */
    if (xendevicemodel_set_ioreq_server_state(w->dm, g, w->ioserver, 1))
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

int worker_start(struct worker *w, struct vr_err *err)
{
    struct unit_start s = {.fm = NULL};
    unsigned int i;
    int rc;

    rc = w->arch->check(w->rec->domid, err);
    if (!rc)
        rc = open_all(w, &s, err);
    for (i = 0; !rc && unit_kinds[i]; i++)
        rc = unit_kinds[i](w, &s, err);
    if (!rc)
        rc = start_ioreq(w, s.fm, err);
    if (rc)
        return rc;
    w->evtchn_fd = xenevtchn_fd(w->xce);
    if (fcntl(w->evtchn_fd, F_SETFL, O_NONBLOCK)) {
        vr_err_set(err, "broker: event channel: %s", strerror(errno));
        return -errno;
    }
    /* Not needed again, and gntshr knows no restriction. */
    if (!w->maps_guest)
        xenforeignmemory_close(s.fm);
    xengntshr_close(s.gs);
    return sandbox_enter(w->rec->domid, w->maps_guest, err);
}

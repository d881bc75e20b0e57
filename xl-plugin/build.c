/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest while libxl builds it. What libxl calls on its way comes here by
 * the hooks (plugin.c), and concerns the guest in p->build, or the driver
 * domain in p->plan. Called by create.c, which has checked everything; goes on
 * to the arch hooks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>

#include "libs/proto/link.h"
#include "libs/xen/gtable.h"
#include "state.h"

/* ---- its windows ---- */

static int check_window(const struct vr_gtable *gt, const struct vr_record *rec,
                        unsigned int i, enum vr_window_kind kind,
                        struct vr_err *err)
{
    const struct vr_gwin *w = vr_record_window(&rec->devs[i], kind);
    uint32_t k, n = w ? vr_gwin_pages(w) : 0;
    struct vr_gntent *e;

    for (k = 0; k < n; k++) {
        e = vr_gtable_entry(gt, w->gref_base + k);
        if (!vr_gntent_read(e).flags)
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: grant %" PRIu32 " of a guest that "
                   "has not run yet is not free",
                   i, w->gref_base + k);
        return -EBUSY;
    }
    return 0;
}

/*
 * Mapping the frames makes the table grow to its end: the guest cannot get
 * there first. That the windows' entries are free is seen here once, for an
 * error in time.
 */
static int reserve_windows(const struct vr_record *rec, struct vr_err *err)
{
    uint32_t first = vr_record_lowest_gref(rec) / VR_GNTENT_PER_FRAME;
    xenforeignmemory_handle *fm;
    struct vr_gtable gt;
    unsigned int i;
    int rc;

    fm = xenforeignmemory_open(NULL, 0);
    if (!fm) {
        rc = -errno;
        vr_err_set(err, "virtio_restricted: cannot open privcmd: %s",
                   strerror(-rc));
        return rc;
    }
    rc = vr_ours(vr_gtable_map(&gt, fm, rec->domid, first,
                               rec->grant_frames - first, false, err),
                 err);
    if (rc)
        goto out;
    for (i = 0; !rc && i < rec->ndevs; i++) {
        rc = check_window(&gt, rec, i, VR_WINDOW_POOL, err);
        if (!rc)
            rc = check_window(&gt, rec, i, VR_WINDOW_IOVA, err);
    }
    vr_gtable_unmap(&gt);
out:
    xenforeignmemory_close(fm);
    return rc;
}

/* The guest's memory is there and the windows have their places: the broker is
 * to begin, while libxl goes on building. */
static int serve(struct vr_build *b, struct vr_err *err)
{
    struct vr_record *rec = b->rec;
    int rc;

    rec->domid = b->domid;
    rc = reserve_windows(rec, err);
    if (!rc)
        rc = vr_ours(vr_record_save(rec, err), err);
    /* A broker that is gone is found out when its answer is awaited. */
    if (!rc)
        vr_link_send(b->link, 'S', rec->uuid);
    return rc;
}

/* ---- what libxl calls on its way ---- */

int vr_build_domain(struct vr_plugin *p, xc_interface *xch, uint32_t *domid,
                    struct xen_domctl_createdomain *config)
{
    bool ours = p->build && p->build->domid == VR_DOMID_NONE;
    struct vr_err err;
    int r;

    if (ours)
        vr_arch_domain(p->build->rec, config);
    r = p->real->xc_create(xch, domid, config);
    if (ours && !r)
        p->build->domid = *domid;
    /* When it cannot be noted, create_one() tries again and says why. */
    if (p->plan && !r)
        vr_driver_made(p->plan, p->driver, *domid, &err);
    return r;
}

static bool is_ours(const struct vr_plugin *p, const struct xc_dom_image *dom)
{
    return p->build && dom->guest_domid == p->build->domid;
}

int vr_build_devicetree(struct vr_plugin *p, struct xc_dom_image *dom,
                        const void *mem, size_t size)
{
    struct vr_build *b = p->build;

    if (is_ours(p, dom)) {
        if (vr_arch_devicetree(b, mem, size, &size, &b->why)) {
            errno = EINVAL;
            return -1;
        }
        mem = b->description;
    }
    return p->real->dom_devicetree(dom, mem, size);
}

int vr_build_memory(struct vr_plugin *p, struct xc_dom_image *dom)
{
    int r = p->real->dom_mem_init(dom);

    /* Now it is known where kernel, ramdisk and device tree go; libxl fills
     * in (and dumps) the device tree next. */
    if (r || !is_ours(p, dom))
        return r;
    if (vr_arch_place(p->build, dom, &p->build->why)) {
        errno = ENOSPC;
        return -1;
    }
    if (serve(p->build, &p->build->why)) {
        errno = EIO;
        return -1;
    }
    return 0;
}

/* Now the tables that an x86 guest gets can be added: what libxl makes of the
 * memory map for it before this has no place for them yet. */
int vr_build_image(struct vr_plugin *p, struct xc_dom_image *dom)
{
    if (is_ours(p, dom) && vr_arch_image(p->build, dom, &p->build->why)) {
        errno = EINVAL;
        return -1;
    }
    return p->real->dom_build(dom);
}

/* ---- all of it ---- */

int vr_build_guest(struct vr_plugin *p, struct vr_record *rec, libxl_ctx *ctx,
                   libxl_domain_config *d_config, uint32_t *domid,
                   const void *console_how, int link, struct vr_err *err)
{
    struct vr_build build = {
        .rec = rec,
        .domid = VR_DOMID_NONE,
        .link = link,
    };
    unsigned int i;
    int r, rc;

    p->build = &build;
    r = p->real->create_new(ctx, d_config, domid, NULL, console_how);
    p->build = NULL;
    free(build.description);
    if (r && build.why.text[0]) {
        *err = build.why;
        return -EINVAL;
    }
    if (r) {
        rc = vr_check_unused(ctx, rec->name, err);
        if (rc)
            return rc;
        vr_err_set(err,
                   "virtio_restricted: guest %s cannot be created: see the "
                   "lines above",
                   rec->name);
        return -EIO;
    }
    rec->domid = *domid;
    for (i = 0; i < rec->ndevs; i++) {
        if (build.domid == *domid && build.described &&
            rec->devs[i].mmio_base && vr_record_placed(&rec->devs[i]) &&
            rec->nram)
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: libxl built guest %s past the "
                   "plug-in: build virtio-restricted for this version of Xen",
                   i, rec->name);
        return -EPROTO;
    }
    return 0;
}

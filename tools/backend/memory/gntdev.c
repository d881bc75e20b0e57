/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Grants by Linux's gntdev. Runs in granters alone. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "gntdev.h"

int vr_gntdev_init(struct vr_gntdev *g, int fd, uint16_t domid,
                   uint32_t max_refs)
{
    g->fd = fd;
    g->domid = domid;
    g->map = calloc(1, sizeof(*g->map) + max_refs * sizeof(g->map->refs[0]));
    return g->map ? 0 : -ENOMEM;
}

static int gnt_add(void *ctx, const uint32_t *refs, uint32_t n, uint32_t *first)
{
    struct vr_gntdev *g = ctx;
    uint32_t i;

    g->map->count = n;
    for (i = 0; i < n; i++) {
        g->map->refs[i].domid = g->domid;
        g->map->refs[i].ref = refs[i];
    }
    if (ioctl(g->fd, IOCTL_GNTDEV_MAP_GRANT_REF, g->map))
        return -errno;
    *first = (uint32_t)(g->map->index >> VR_PAGE_SHIFT);
    return 0;
}

static int gnt_drop(void *ctx, uint32_t first, uint32_t n)
{
    struct vr_gntdev *g = ctx;
    struct ioctl_gntdev_unmap_grant_ref run = {
        .index = (uint64_t)first << VR_PAGE_SHIFT,
        .count = n,
    };

    return ioctl(g->fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &run) ? -errno : 0;
}

static void fill(struct ioctl_gntdev_grant_copy_segment *to,
                 const struct vr_gseg *from, uint16_t domid)
{
    if (from->to_guest) {
        to->flags = GNTCOPY_dest_gref;
        to->source.virt = from->local;
        to->dest.foreign.ref = from->ref;
        to->dest.foreign.offset = from->offset;
        to->dest.foreign.domid = domid;
    } else {
        to->flags = GNTCOPY_source_gref;
        to->dest.virt = from->local;
        to->source.foreign.ref = from->ref;
        to->source.foreign.offset = from->offset;
        to->source.foreign.domid = domid;
    }
    to->len = from->len;
    to->status = GNTST_general_error;
}

static int gnt_copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct vr_gntdev *g = ctx;
    struct ioctl_gntdev_grant_copy all = {.count = n, .segments = g->seg};
    unsigned int i;

    for (i = 0; i < n; i++)
        fill(&g->seg[i], &seg[i], g->domid);
    /* An error leaves pieces behind that look done and are not. */
    if (ioctl(g->fd, IOCTL_GNTDEV_GRANT_COPY, &all))
        return -errno;
    for (i = 0; i < n; i++)
        seg[i].status = g->seg[i].status;
    return 0;
}

const struct vr_grant_ops vr_gntdev_ops = {
    .add = gnt_add,
    .drop = gnt_drop,
    .copy = gnt_copy,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hypervisor's side of grantreq.h, by way of Linux's /dev/xen/gntdev: what
 * a granter does for its worker.
 */
#ifndef VR_GNTDEV_H
#define VR_GNTDEV_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/sys/gntdev.h>

#include "libs/proto/grantreq.h"

/* Linux hands so many pieces to the hypervisor at once (GNTDEV_COPY_BATCH). */
#define VR_GNTDEV_PER_CALL 16u

struct vr_gntdev {
    int fd;
    uint16_t domid; /* whose grants they are */
    struct ioctl_gntdev_map_grant_ref *map;
    struct ioctl_gntdev_grant_copy_segment seg[VR_GRANTREQ_SEGS];
};

/** vr_gntdev_init() - @max_refs: the most registered at once. 0 or -ENOMEM. */
int vr_gntdev_init(struct vr_gntdev *g, int fd, uint16_t domid,
                   uint32_t max_refs);

/** vr_gntdev_ops - with a struct vr_gntdev as their ctx. */
extern const struct vr_grant_ops vr_gntdev_ops;

#endif /* VR_GNTDEV_H */

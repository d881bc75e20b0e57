/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hypervisor's side of dynmem.h, by way of Linux's /dev/xen/gntdev.
 */
#ifndef VR_GNTDEV_H
#define VR_GNTDEV_H

#include <xengnttab.h>

#include "dynmem.h"

struct vr_gntdev {
    xengnttab_handle *gt;
    uint32_t domid; /* whose grants they are */
    xengnttab_grant_copy_segment_t seg[VR_DYNMEM_BATCH];
};

/** vr_gntdev_ops - with a struct vr_gntdev as their ctx. */
extern const struct vr_dynmem_ops vr_gntdev_ops;

/**
 * vr_gntdev_quiet - a logger for xengnttab_open(): what fails is reported by
 * who asked for it, and a guest must not be able to fill the log.
 */
extern struct xentoollog_logger vr_gntdev_quiet;

#endif /* VR_GNTDEV_H */

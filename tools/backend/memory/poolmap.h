/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mapping a pool, whole and once. gntdev says of one that it cannot map only
 * that (EINVAL), whatever the hypervisor refused: what is behind it is found
 * out by mapping parts.
 */
#ifndef VR_POOLMAP_H
#define VR_POOLMAP_H

#include "dynmem.h"

/**
 * vr_poolmap() - map all pages of @pool, to be read and written.
 * @guest: its domain, for messages. @ops, @ctx: as in dynamic mode.
 * @va: where they are. Returns 0, or -errno with @err.
 */
int vr_poolmap(const struct vr_dynmem_ops *ops, void *ctx,
               const struct vr_gwin *pool, uint32_t guest, void **va,
               struct vr_err *err);

#endif /* VR_POOLMAP_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The granter: a second process of each device, and the only one that can map
 * and copy grants. The worker, which reads what the guest writes, has none of
 * gntdev's calls: a hypercall names a domain, which no system call filter sees,
 * so with them it could reach the windows of every guest of this driver domain.
 *
 * The granter does what its worker asks for (grants.h) with the grants of one
 * domain, in the two windows of one device. It sees nothing of the guest: what
 * it reads are requests of fixed form, in memory that it shares with the worker
 * (grantreq.h). Either process ends with the other.
 */
#ifndef VR_GRANTER_H
#define VR_GRANTER_H

#include "libs/proto/xsnode.h"
#include "grants.h"

/**
 * vr_granter_start() - fork it, for @dev; it works when this returns. If it
 * dies, so does the caller.
 * @g: open, and nothing of the guest mapped yet.
 * @keep: a descriptor that it leaves open until its end, untouched.
 * Returns 0 or -errno with @err.
 */
int vr_granter_start(struct vr_grants *g, const struct vr_xs_dev *dev, int keep,
                     bool sandbox, struct vr_err *err);

/** vr_granter_run() - the granter's life: serves @req. Never returns. */
void vr_granter_run(struct vr_grantserver *s, struct vr_grantreq *req)
    __attribute__((noreturn));

#endif /* VR_GRANTER_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's grant table frames, mapped into the toolstack domain
 * (XENMEM_acquire_resource). Mapping a frame makes Xen grow the table up to
 * it, and holds a reference: unmap before the guest is to vanish.
 */
#ifndef VR_GTABLE_H
#define VR_GTABLE_H

#include <xenforeignmemory.h>

#include "libs/window/gntent.h"

struct vr_gtable {
    xenforeignmemory_handle *fm;
    xenforeignmemory_resource_handle *res;
    struct vr_gntent *entries; /* of frame first */
    uint32_t first;            /* frame number */
    uint32_t nframes;
};

/**
 * vr_gtable_map() - map frames @first .. @first + @nframes - 1 of @domid.
 * Returns 0 or -errno with @err. Undo with vr_gtable_unmap().
 */
int vr_gtable_map(struct vr_gtable *gt, xenforeignmemory_handle *fm,
                  uint32_t domid, uint32_t first, uint32_t nframes,
                  bool writable, struct vr_err *err);
void vr_gtable_unmap(struct vr_gtable *gt);

/** vr_gtable_entry() - entry of @gref; NULL when it is not mapped here. */
struct vr_gntent *vr_gtable_entry(const struct vr_gtable *gt, uint32_t gref);

#endif /* VR_GTABLE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps frames of a guest's grant table. For broker, clean-up and audit.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include <xenctrl.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#include "gtable.h"

/* gntent.h carries Xen's values without Xen's header: here both are at hand. */
_Static_assert(sizeof(struct vr_gntent) == sizeof(grant_entry_v1_t), "size");
_Static_assert(offsetof(struct vr_gntent, flags) ==
                   offsetof(grant_entry_v1_t, flags),
               "flags");
_Static_assert(offsetof(struct vr_gntent, domid) ==
                   offsetof(grant_entry_v1_t, domid),
               "domid");
_Static_assert(offsetof(struct vr_gntent, frame) ==
                   offsetof(grant_entry_v1_t, frame),
               "frame");
/* Two names of a bit: NOLINTBEGIN(misc-redundant-expression) */
_Static_assert(VR_GTF_TYPE_MASK == GTF_type_mask, "GTF_type_mask");
_Static_assert(VR_GTF_PERMIT_ACCESS == GTF_permit_access, "permit_access");
_Static_assert(VR_GTF_READONLY == GTF_readonly, "GTF_readonly");
_Static_assert(VR_GTF_READING == GTF_reading, "GTF_reading");
_Static_assert(VR_GTF_WRITING == GTF_writing, "GTF_writing");
/* NOLINTEND(misc-redundant-expression) */

int vr_gtable_map(struct vr_gtable *gt, xenforeignmemory_handle *fm,
                  uint32_t domid, uint32_t first, uint32_t nframes,
                  bool writable, struct vr_err *err)
{
    void *addr = NULL;
    int rc;

    memset(gt, 0, sizeof(*gt));
    if (!nframes || first > UINT32_MAX - nframes) {
        vr_err_set(err,
                   "domain %" PRIu32 ": %" PRIu32 " grant table frames from "
                   "frame %" PRIu32 ": impossible range",
                   domid, nframes, first);
        return -EINVAL;
    }
    gt->res = xenforeignmemory_map_resource(
        fm, domid, XENMEM_resource_grant_table,
        XENMEM_resource_grant_table_id_shared, first, nframes, &addr,
        writable ? PROT_READ | PROT_WRITE : PROT_READ, 0);
    if (!gt->res) {
        rc = errno ? -errno : -EIO;
        vr_err_set(err,
                   "domain %" PRIu32 ": cannot map grant table frames %" PRIu32
                   "-%" PRIu32 ": %s",
                   domid, first, first + nframes - 1, strerror(-rc));
        return rc;
    }
    gt->fm = fm;
    gt->entries = addr;
    gt->first = first;
    gt->nframes = nframes;
    return 0;
}

void vr_gtable_unmap(struct vr_gtable *gt)
{
    if (gt->res)
        xenforeignmemory_unmap_resource(gt->fm, gt->res);
    memset(gt, 0, sizeof(*gt));
}

struct vr_gntent *vr_gtable_entry(const struct vr_gtable *gt, uint32_t gref)
{
    uint32_t frame = gref / VR_GNTENT_PER_FRAME;

    if (!gt->entries || frame < gt->first || frame - gt->first >= gt->nframes)
        return NULL;
    return &gt->entries[gref - gt->first * (uint32_t)VR_GNTENT_PER_FRAME];
}

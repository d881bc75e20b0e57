/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the devices of a guest go: pools in its RAM or beside it, windows of
 * dynamic devices in the virtio-iommu's address space, grant references at the
 * end of its grant table. Where its registers are is the transport's business.
 * Pure arithmetic.
 */
#ifndef VR_PLACE_H
#define VR_PLACE_H

#include "libs/config/cfg.h"

/* Pools start at such an address when we choose: whole blocks in page tables,
 * on both sides. */
#define VR_POOL_ALIGN (UINT64_C(2) << 20)

/* Dynamic windows: one behind the other from here on, far from the guest
 * physical addresses of any but the largest guests, so that nobody takes one
 * for the other. Only a mixed device depends on that, for its own two windows:
 * vr_place_pools(). */
#define VR_IOVA_BASE  (UINT64_C(1) << 36)
#define VR_IOVA_ALIGN (UINT64_C(2) << 20)

/* Addresses [start, end); an empty span is allowed and hinders nothing. */
struct vr_span {
    uint64_t start;
    uint64_t end;
    const char *what; /* "the kernel", for messages; NULL in RAM banks */
};

/**
 * vr_place_pools() - choose the guest physical address of each pool. Devices
 * without one are passed over.
 * @ram: banks, lowest first; pools without base= go into the first bank, as
 *       high as possible.
 * @used: what stands in RAM when the guest starts (kernel with its BSS,
 *        ramdisk, device tree).
 * @base: @n results; those of devices without a pool are not touched.
 *
 * Pools with base= are checked first: inside one bank, clear of @used, of each
 * other, and of the dynamic window of their own device. Returns 0, or -EINVAL /
 * -ENOSPC with @err.
 */
int vr_place_pools(const struct vr_dev_cfg *cfg, unsigned int n,
                   const struct vr_span *ram, unsigned int nram,
                   const struct vr_span *used, unsigned int nused,
                   uint64_t *base, struct vr_err *err);

/**
 * vr_place_pools_beside() - the same for pools that lie outside the guest's
 * RAM: those without base= one behind the other, from the lowest address up.
 * @room: where they may lie; base= may name a lower address, at or above
 *        @lowest.
 * @used: what is there already, or may come to be there (the guest's RAM,
 *        windows of dynamic devices).
 * Returns 0, or -EINVAL / -ENOSPC with @err.
 */
int vr_place_pools_beside(const struct vr_dev_cfg *cfg, unsigned int n,
                          uint64_t lowest, const struct vr_span *room,
                          const struct vr_span *used, unsigned int nused,
                          uint64_t *base, struct vr_err *err);

/** vr_place_iova() - choose the window of each device behind the virtio-iommu.
 * @base: @n results; those of other devices are not touched. */
void vr_place_iova(const struct vr_dev_cfg *cfg, unsigned int n,
                   uint64_t *base);

/**
 * vr_place_frames() - grant table frames that @n devices take: one reference
 * per page of every window, and whole frames for the guest's own @reserve
 * references (reserve.h), at least one.
 */
uint64_t vr_place_frames(const struct vr_dev_cfg *cfg, unsigned int n,
                         uint32_t reserve);

/**
 * vr_place_grefs() - give each window its references, from the end of a table
 * of @frames down, pools first: guests allocate theirs from the start, and
 * never look at entries that they have not allocated.
 * @pool, @iova: @n results each; those for windows that a device does not have
 * are not touched.
 * Returns 0, or -ENOSPC when @frames is less than vr_place_frames() says.
 */
int vr_place_grefs(const struct vr_dev_cfg *cfg, unsigned int n,
                   uint32_t reserve, uint32_t frames, uint32_t *pool,
                   uint32_t *iova);

#endif /* VR_PLACE_H */

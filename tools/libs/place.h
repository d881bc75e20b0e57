/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the devices of a guest go: windows (pools) in its RAM, register blocks
 * and interrupts in Xen's virtio-mmio area. Pure arithmetic.
 */
#ifndef VR_PLACE_H
#define VR_PLACE_H

#include "cfg.h"

/* Xen's virtio-mmio area on Arm (public/arch-arm.h, GUEST_VIRTIO_MMIO_*). */
#define VR_SLOT_BASE UINT64_C(0x02000000)
#define VR_SLOT_SIZE UINT64_C(0x200)
#define VR_SLOT_IRQ  33u /* INTID of the first, one each */
#define VR_SLOTS     11u

/* Pools start at such an address when we choose: whole blocks in page tables,
 * on both sides. */
#define VR_POOL_ALIGN (UINT64_C(2) << 20)

/* Addresses [start, end); an empty span is allowed and hinders nothing. */
struct vr_span {
    uint64_t start;
    uint64_t end;
    const char *what; /* "the kernel", for messages; NULL in RAM banks */
};

/**
 * vr_place_pools() - choose the guest physical address of each pool.
 * @ram: banks, lowest first; pools without base= go into the first bank, as
 *       high as possible.
 * @used: what stands in RAM when the guest starts (kernel with its BSS,
 *        ramdisk, device tree).
 * @base: @n results.
 *
 * Pools with base= are checked first: inside one bank, clear of @used and of
 * each other. Returns 0, or -EINVAL / -ENOSPC with @err.
 */
int vr_place_pools(const struct vr_dev_cfg *cfg, unsigned int n,
                   const struct vr_span *ram, unsigned int nram,
                   const struct vr_span *used, unsigned int nused,
                   uint64_t *base, struct vr_err *err);

/**
 * vr_place_slots() - choose the virtio-mmio slot of each of @n devices.
 * @taken: bit per slot that another device has.
 * @slot: @n results, ascending.
 * Returns 0 or -ENOSPC with @err.
 */
int vr_place_slots(uint32_t taken, unsigned int n, unsigned int *slot,
                   struct vr_err *err);

#endif /* VR_PLACE_H */

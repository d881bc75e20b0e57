/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the registers of virtio-mmio devices go: the slots that an architecture
 * has for them. Pure. */
#ifndef VR_MMIO_SLOTS_H
#define VR_MMIO_SLOTS_H

#include "libs/base/vr.h"

/* Bytes of a slot, on every architecture; the registers take all of them. */
#define VR_SLOT_SIZE UINT64_C(0x200)
#define VR_SLOTS_MAX 32u /* bits in a word */

/* An architecture's slots: a register block and an interrupt each, both one
 * behind the other. */
struct vr_slots {
    uint64_t base;
    uint32_t irq;       /* of the first; Arm: INTID, x86: GSI */
    unsigned int count; /* at most VR_SLOTS_MAX */
};

/**
 * vr_place_slots() - choose the slot of each of @n devices.
 * @taken: bit per slot that another device has.
 * @iommu: one more, for the virtio-iommu of dynamic devices.
 * @slot: @n results, ascending, and the virtio-iommu's behind them.
 * Returns 0 or -ENOSPC with @err.
 */
int vr_place_slots(const struct vr_slots *slots, uint32_t taken, unsigned int n,
                   bool iommu, unsigned int *slot, struct vr_err *err);

#endif /* VR_MMIO_SLOTS_H */

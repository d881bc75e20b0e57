/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's device tree, extended by our devices. A static device gets two
 * nodes:
 *
 *   /reserved-memory/pool@...  "restricted-dma-pool": the window, memory that
 *                              the guest uses for nothing but this device
 *   /virtio@...                "virtio,mmio" with memory-region = <&pool>
 *
 * a dynamic one only the second, with iommus = <&iommu ENDPOINT> in it, a mixed
 * one both, with both properties (without memory-region when its pool is to be
 * unnamed). For all devices with iommus together there is
 *
 *   /iommu@...                 "virtio,mmio" with #iommu-cells = <1>
 *
 * before the others. Any order works (Linux defers the probe of a device that
 * waits for its IOMMU), but with this one no device has to wait.
 *
 * The tree comes from libxl (and, with device_tree=, partly from a file), so
 * it is checked before use. Pure: plain memory in and out.
 */
#ifndef VR_DT_H
#define VR_DT_H

#include "libs/transport/mmio/slots.h"
#include "desc.h"
#include "place.h"

/**
 * vr_dt_taken() - the virtio-mmio slots that nodes of @fdt occupy, by their
 * registers or their interrupt.
 * @slots: the architecture's; their interrupts are SPIs.
 * @taken: bit per slot.
 * Returns 0 or -EINVAL with @err (not a device tree).
 */
int vr_dt_taken(const void *fdt, size_t size, const struct vr_slots *slots,
                uint32_t *taken, struct vr_err *err);

/** vr_dt_room() - bytes that @n devices, and a virtio-iommu, may add to a tree
 * of @size. */
size_t vr_dt_room(size_t size, unsigned int n);

/**
 * vr_dt_extend() - copy @fdt to @out and add the devices.
 * @out, @cap: vr_dt_room() bytes; the tree uses all of them, so that later
 *             changes need no other size.
 * @devs: pool_base may still be unknown: give different values below 2^63,
 *        and call vr_dt_set_pool() later.
 * @iommu: NULL when no device is behind it.
 * Returns 0, -EINVAL (broken or foreign tree) or -ENOSPC, with @err.
 */
int vr_dt_extend(const void *fdt, size_t size, void *out, size_t cap,
                 struct vr_desc_dev *devs, unsigned int n,
                 struct vr_desc_iommu *iommu, struct vr_err *err);

/**
 * vr_dt_set_pool() - move the pool of @dev in @fdt (as made
 * by vr_dt_extend()) to @base. Offsets change, the blob's size does not.
 * Returns 0 or -EINVAL with @err.
 */
int vr_dt_set_pool(void *fdt, struct vr_desc_dev *dev, uint64_t base,
                   struct vr_err *err);

#endif /* VR_DT_H */

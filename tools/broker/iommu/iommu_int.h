/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the virtio-iommu share:
 *
 *   iommu.c         its queues, the requests in them, faults; timers
 *   iommu_table.c   the page table: entries in the guest's grant table
 *   iommu_revoke.c  a backend that holds memory which is wanted back
 *   iommu_start.c   puts it together, before the sandbox
 *
 * The table asks iommu_revoke.c, and neither of them knows of the queues.
 */
#ifndef VR_BROKER_IOMMU_INT_H
#define VR_BROKER_IOMMU_INT_H

#include "iommu.h"

#define QUEUE_SIZE 256

/* What vr_viommu does to the page table; the context is the struct iommu. */
extern const struct vr_viommu_ops iommu_table_ops;

/* What it does as a unit, what its register model asks for, what the devices
 * behind it tell; the context is the struct iommu. */
extern const struct unit_ops iommu_unit;
extern const struct vr_vdev_ops iommu_regs;
extern const struct device_iommu iommu_devices;

/** iommu_ring_map(), iommu_ring_unmap() - a ring, see struct vr_window. */
void *iommu_ring_map(void *ctx, uint64_t addr, uint64_t len, bool write);
void iommu_ring_unmap(void *ctx, void *p, uint64_t len);

/** iommu_table_fetch() - a copy of an indirect table. */
const void *iommu_table_fetch(void *ctx, uint64_t addr, uint64_t len);

/** iommu_table_dead() - takes back all that is granted to endpoint @ep's
 * driver domain, which is dead. */
void iommu_table_dead(struct iommu *io, unsigned int ep);

/** iommu_table_map() - the dynamic windows of all devices, as one range of
 * references. Returns 0 or -errno with @err. */
int iommu_table_map(struct iommu *io, xenforeignmemory_handle *fm,
                    struct vr_err *err);

/** iommu_ladder() - what the ladder has to know of the endpoints. */
void iommu_ladder(struct iommu *io);

/** iommu_dying() - is endpoint @ep's driver domain being destroyed? */
bool iommu_dying(const struct iommu *io, unsigned int ep);

/** iommu_climb() - after a look at what is in use: takes the steps against
 * backends that are due. */
void iommu_climb(struct iommu *io);

/** iommu_step_down() - nobody waits any more. */
void iommu_step_down(struct iommu *io);

#endif /* VR_BROKER_IOMMU_INT_H */

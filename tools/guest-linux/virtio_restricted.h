/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restricted DMA pools for virtio-mmio devices, as a module.
 *
 * A device's pool is one range of memory that its backend may reach. The
 * driver's rings lie in it, and whatever the driver gives to the device is
 * copied into it or out of it; see README.md.
 */
#ifndef VIRTIO_RESTRICTED_H
#define VIRTIO_RESTRICTED_H

#include <linux/dma-map-ops.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct device;

/*
 * Slots are the unit of allocation. Small enough for the many small buffers of
 * virtio (a request's header, its status, its table of descriptors), and a
 * multiple of what a block device wants its data aligned to.
 */
#define VR_SLOT_SHIFT	10
#define VR_SLOT_SIZE	(1UL << VR_SLOT_SHIFT)

#define VR_POOL_MIN	SZ_128K
#define VR_POOL_MAX	SZ_1G

/**
 * struct vr_range - where a pool is
 * @base: first byte, as the CPU addresses it; page aligned
 * @size: bytes; page aligned, VR_POOL_MIN to VR_POOL_MAX
 */
struct vr_range {
	phys_addr_t base;
	size_t size;
};

/**
 * struct vr_slot - what a slot is used for
 * @orig: in a mapping's first slot: the driver's buffer; NULL for memory that
 *	  the driver uses directly (rings)
 * @size: in the first slot: bytes in use, 0 when the slot is free
 * @first: the mapping's first slot
 *
 * Belongs to who took the slots, so that no lock is needed to read it.
 */
struct vr_slot {
	void *orig;
	u32 size;
	u32 first;
};

/**
 * struct vr_area - a part of a pool with a lock of its own
 * @lock: guards everything here, and the area's part of the pool's bitmap
 * @start: first slot
 * @end: slot behind the last
 * @used: slots that are taken
 * @high_water: the most that @used ever was
 * @mappings: how many times slots were taken
 */
struct vr_area {
	spinlock_t lock;
	unsigned int start;
	unsigned int end;
	unsigned int used;
	unsigned int high_water;
	u64 mappings;
} ____cacheline_aligned_in_smp;

/**
 * struct vr_pool - a pool and its slots
 * @range: where it is
 * @dma_base: @range.base as the device addresses it
 * @vaddr: where the kernel has it mapped
 * @max_mapping: the longest mapping that is promised to fit into an empty
 *		 area, bytes
 * @bitmap: a bit per slot, set when it is taken
 * @slots: a record per slot
 * @areas: one per CPU, as far as the pool is large enough
 * @n_areas: how many
 * @area_slots: slots of every area but the last, which has the rest too
 * @n_slots: slots of all areas
 * @failed: requests for slots that could not be met
 */
struct vr_pool {
	struct vr_range range;
	dma_addr_t dma_base;
	void *vaddr;
	size_t max_mapping;
	unsigned long *bitmap;
	struct vr_slot *slots;
	struct vr_area *areas;
	unsigned int n_areas;
	unsigned int area_slots;
	unsigned int n_slots;
	atomic64_t failed;
};

/**
 * struct vr_device - a device whose memory is restricted to a pool
 * @node: in the list of all of them
 * @dev: the platform device, for which the virtio drivers map memory
 * @ops: its DMA operations; their address leads from @dev to this structure
 * @pool: its pool
 * @file: its file in debugfs
 */
struct vr_device {
	struct list_head node;
	struct device *dev;
	struct dma_map_ops ops;
	struct vr_pool pool;
	struct dentry *file;
};

/* firmware.c */
int vr_firmware_pool(struct device *dev, struct vr_range *range);

/* pool.c */
int vr_pool_init(struct vr_pool *pool, const struct vr_range *range,
		 dma_addr_t dma_base);
void vr_pool_exit(struct vr_pool *pool);
int vr_pool_get(struct vr_pool *pool, size_t size, size_t align, void *orig);
void vr_pool_put(struct vr_pool *pool, unsigned int first);
int vr_pool_find(const struct vr_pool *pool, dma_addr_t addr, size_t *offset);
unsigned long vr_pool_used(struct vr_pool *pool);

static inline void *vr_slot_addr(const struct vr_pool *pool, unsigned int slot)
{
	return pool->vaddr + ((size_t)slot << VR_SLOT_SHIFT);
}

static inline dma_addr_t vr_slot_dma(const struct vr_pool *pool,
				     unsigned int slot)
{
	return pool->dma_base + ((dma_addr_t)slot << VR_SLOT_SHIFT);
}

/* dma.c */
extern const struct dma_map_ops vr_dma_ops;

/* debugfs.c */
void vr_debugfs_init(void);
void vr_debugfs_exit(void);
void vr_debugfs_add(struct vr_device *vd);
void vr_debugfs_remove(struct vr_device *vd);

#endif /* VIRTIO_RESTRICTED_H */

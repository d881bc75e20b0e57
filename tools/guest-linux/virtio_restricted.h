/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restricted DMA pools for virtio-mmio and virtio-pci devices, as a module.
 *
 * A device's pool is one range of memory that its backend may reach. The
 * driver's rings lie in it, and whatever the driver gives to the device is
 * copied into it or out of it; unless the device has an IOMMU as well, by which
 * it can reach long buffers where they are. See README.md.
 */
#ifndef VIRTIO_RESTRICTED_H
#define VIRTIO_RESTRICTED_H

#include <linux/dma-map-ops.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/version.h>
#include <linux/virtio.h>

#include "pool.h"

/*
 * The virtio drivers map memory by the device's DMA operations, up to Linux
 * 6.17; from 6.18 on by operations of the virtio device, if it has some.
 */
#define VR_MAP_OPS	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0))

struct device;
struct iommu_domain;
struct resource;
struct seq_file;

/**
 * struct vr_stats - what became of the driver's buffers, on one CPU
 * @allocated: memory that the driver was given in the pool
 * @copied: buffers that were given slots in the pool
 * @copied_bytes: their lengths
 * @mapped: buffers that were mapped
 * @mapped_bytes: their lengths
 * @batches: how often the IOMMU was told of some of them
 * @maps: MAPs
 * @unmaps: UNMAPs
 * @fallbacks: buffers that should have been mapped, but there was no room
 * @lost: UNMAPs that failed, or may have
 *
 * @copied and @copied_bytes are not counted atomically, which would take as long
 * as to find a slot: one that comes between, by an interrupt or a migration, can
 * be lost.
 */
struct vr_stats {
	u64 allocated;
	u64 copied;
	u64 copied_bytes;
	u64 mapped;
	u64 mapped_bytes;
	u64 batches;
	u64 maps;
	u64 unmaps;
	u64 fallbacks;
	u64 lost;
};

struct vr_run;
struct vr_segment;

/**
 * struct vr_iommu - what a device can reach by its IOMMU
 * @domain: of ours, for this device
 * @stats: the device's counters
 * @base: first of the addresses that are used, page aligned
 * @pages: how many pages of them
 * @collect: whether a request's segments are collected
 * @pause: until when nothing new is mapped, jiffies
 * @lock: guards @bitmap, @next and @used
 * @bitmap: a bit per page of addresses, set when it is taken
 * @next: where to look first
 * @used: pages that are taken
 * @segments: a record per page of addresses
 * @runs: what is being collected, by CPU
 */
struct vr_iommu {
	struct iommu_domain *domain;
	struct vr_stats __percpu *stats;
	dma_addr_t base;
	unsigned int pages;
	bool collect;
	unsigned long pause;
	spinlock_t lock;
	unsigned long *bitmap;
	unsigned int next;
	unsigned int used;
	struct vr_segment *segments;
	struct vr_run __percpu *runs;
};

#if VR_MAP_OPS
/**
 * struct vr_hook - what leads from a platform device to its vr_device
 * @parms: the device's DMA parameters, while it is restricted
 * @old_parms: those that it had before
 */
struct vr_hook {
	struct device_dma_parameters parms;
	struct device_dma_parameters *old_parms;
};
#else
/**
 * struct vr_hook - what leads from a platform device to its vr_device
 * @ops: the device's DMA operations, while it is restricted
 * @old_ops: those that it had before
 * @old_dma_iommu: whether the kernel's IOMMU code came before any operations
 * @old_dma_skip_sync: whether it did not call them for syncs
 */
struct vr_hook {
	struct dma_map_ops ops;
	const struct dma_map_ops *old_ops;
	bool old_dma_iommu;
	bool old_dma_skip_sync;
};
#endif

/**
 * struct vr_device - a device whose memory is restricted to a pool
 * @node: in the list of all of them
 * @dev: the platform device, for which the virtio drivers map memory
 * @hook: by which the drivers' calls come here
 * @pool: its pool
 * @iommu: by which it reaches other memory; NULL: it does not
 * @stats: counters
 * @file: its file in debugfs
 */
struct vr_device {
	struct list_head node;
	struct device *dev;
	struct vr_hook hook;
	struct vr_pool pool;
	struct vr_iommu *iommu;
	struct vr_stats __percpu *stats;
	struct dentry *file;
};

/* firmware.c */
int vr_firmware_pool(struct device *dev, struct vr_range *range);

/* probe.c: only for kernels with a driver for virtio-iommus */
#if IS_ENABLED(CONFIG_VIRTIO_IOMMU)
int vr_probe_init(void);
void vr_probe_exit(void);
int vr_probe_pool(struct device *dev, struct resource *res);
#else
static inline int vr_probe_init(void)
{
	return 0;
}

static inline void vr_probe_exit(void)
{
}

static inline int vr_probe_pool(struct device *dev, struct resource *res)
{
	return -ENOENT;
}
#endif

/* grants.c: only for kernels that can have grants */
#ifdef CONFIG_XEN
void vr_grants_init(void);
void vr_grants_exit(void);
#else
static inline void vr_grants_init(void)
{
}

static inline void vr_grants_exit(void)
{
}
#endif

/* doorbell.c: only for kernels that can have event channels */
#ifdef CONFIG_XEN
int vr_bells_init(void);
void vr_bells_exit(void);
void vr_bells_show(struct seq_file *file);
#else
static inline int vr_bells_init(void)
{
	return 0;
}

static inline void vr_bells_exit(void)
{
}

static inline void vr_bells_show(struct seq_file *file)
{
}
#endif

/* main.c */
bool vr_is_transport(const struct device *dev);

/* iommu.c */
#ifdef CONFIG_IOMMU_API
struct vr_iommu *vr_iommu_attach(struct device *dev, const struct vr_pool *pool,
				 struct vr_stats __percpu *stats);
void vr_iommu_detach(struct device *dev, struct vr_iommu *io);
bool vr_iommu_joins(struct vr_iommu *io, phys_addr_t phys);
int vr_iommu_map(struct vr_iommu *io, phys_addr_t phys, size_t size,
		 enum dma_data_direction dir, dma_addr_t *iova);
int vr_iommu_flush(struct vr_iommu *io);
int vr_iommu_unmap(struct vr_iommu *io, dma_addr_t iova, size_t size);
#else
/* No device has an IOMMU, so that nothing but this one is called. */
static inline struct vr_iommu *vr_iommu_attach(struct device *dev,
					       const struct vr_pool *pool,
					       struct vr_stats __percpu *stats)
{
	return ERR_PTR(-ENODEV);
}

static inline void vr_iommu_detach(struct device *dev, struct vr_iommu *io)
{
}

static inline bool vr_iommu_joins(struct vr_iommu *io, phys_addr_t phys)
{
	return false;
}

static inline int vr_iommu_map(struct vr_iommu *io, phys_addr_t phys,
			       size_t size, enum dma_data_direction dir,
			       dma_addr_t *iova)
{
	return -ENOSPC;
}

static inline int vr_iommu_flush(struct vr_iommu *io)
{
	return 0;
}

static inline int vr_iommu_unmap(struct vr_iommu *io, dma_addr_t iova,
				 size_t size)
{
	return -ENOENT;
}
#endif

/*
 * What the kernel's calls say of whose memory it is, and what that leads to:
 * dma.c has the operations themselves, so that none is called by another.
 */
#if VR_MAP_OPS
typedef union virtio_map vr_token_t;

static inline struct vr_device *vr_device_of(vr_token_t token)
{
	return container_of(token.dma_dev->dma_parms, struct vr_device,
			    hook.parms);
}
#else
typedef struct device *vr_token_t;

static inline struct vr_device *vr_device_of(vr_token_t token)
{
	return container_of(token->dma_ops, struct vr_device, hook.ops);
}
#endif

/* dma.c */
extern unsigned int vr_threshold;
void *vr_alloc(struct vr_device *vd, size_t size, dma_addr_t *handle);
void vr_free(vr_token_t token, size_t size, void *vaddr, dma_addr_t handle,
	     unsigned long attrs);
dma_addr_t vr_map_page(vr_token_t token, struct page *page,
		       unsigned long offset, size_t size,
		       enum dma_data_direction dir, unsigned long attrs);
void vr_unmap_page(vr_token_t token, dma_addr_t addr, size_t size,
		   enum dma_data_direction dir, unsigned long attrs);
void vr_sync_for_cpu(vr_token_t token, dma_addr_t addr, size_t size,
		     enum dma_data_direction dir);
void vr_sync_for_device(vr_token_t token, dma_addr_t addr, size_t size,
			enum dma_data_direction dir);
void vr_stats_sum(const struct vr_device *vd, struct vr_stats *sum);

/* dmaops.c, or mapops.c: see VR_MAP_OPS */
int vr_hook_init(void);
void vr_hook_exit(void);
bool vr_hook_by_iommu(struct device *dev);
const void *vr_hook_other_ops(struct device *dev);
void vr_hook_take(struct vr_device *vd);
void vr_hook_give_back(struct vr_device *vd);

/* main.c */
bool vr_is_ours(struct device *dev);

/* debugfs.c */
void vr_debugfs_init(void);
void vr_debugfs_exit(void);
void vr_debugfs_add(struct vr_device *vd);
void vr_debugfs_remove(struct vr_device *vd);

#endif /* VIRTIO_RESTRICTED_H */

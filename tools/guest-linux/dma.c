// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done with the memory that the driver of a restricted device uses: for
 * rings, and for buffers. Called by dmaops.c or mapops.c, whichever the kernel
 * has a place for.
 *
 * What the driver maps is copied, or mapped where it is when the device has an
 * IOMMU as well and the buffer consists of whole pages and is long.
 *
 * What is copied: exactly the bytes of its buffer, so that
 * neighbours in the same page never get into the pool. A buffer that the
 * device only writes is not copied in (a mapping begins with zeros), and is
 * overwritten as a whole when it is unmapped, whatever the device wrote. The
 * virtio specification tells drivers to make no assumption about bytes that
 * the device did not write.
 */

#include <linux/dma-direction.h>
#include <linux/log2.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "virtio_restricted.h"

#ifdef CONFIG_HIGHMEM
#error "buffers have to be in the kernel's linear mapping"
#endif

/* Copying was the faster way for all lengths that were measured, up to this
 * one: see the project's docs/performance.md. */
unsigned int vr_threshold = SZ_1M;
module_param_named(threshold, vr_threshold, uint, 0644);
MODULE_PARM_DESC(threshold, "of devices with a pool and an IOMMU: buffers of whole pages are mapped from this length on, others are copied; bytes");

static bool vr_in_pool(const struct vr_pool *pool, dma_addr_t addr)
{
	return addr >= pool->dma_base &&
	       addr - pool->dma_base < pool->range.size;
}

/**
 * vr_stats_sum() - the counters of all CPUs
 * @vd: of this device
 * @sum: filled
 */
void vr_stats_sum(const struct vr_device *vd, struct vr_stats *sum)
{
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct vr_stats *one = per_cpu_ptr(vd->stats, cpu);

		sum->allocated += READ_ONCE(one->allocated);
		sum->copied += READ_ONCE(one->copied);
		sum->copied_bytes += READ_ONCE(one->copied_bytes);
		sum->mapped += READ_ONCE(one->mapped);
		sum->mapped_bytes += READ_ONCE(one->mapped_bytes);
		sum->batches += READ_ONCE(one->batches);
		sum->maps += READ_ONCE(one->maps);
		sum->unmaps += READ_ONCE(one->unmaps);
		sum->fallbacks += READ_ONCE(one->fallbacks);
		sum->lost += READ_ONCE(one->lost);
	}
}

static bool vr_to_device(enum dma_data_direction dir)
{
	return dir == DMA_TO_DEVICE || dir == DMA_BIDIRECTIONAL;
}

static bool vr_from_device(enum dma_data_direction dir)
{
	return dir == DMA_FROM_DEVICE || dir == DMA_BIDIRECTIONAL;
}

/**
 * vr_alloc() - memory in the pool that driver and device use directly: zeros
 * @vd: the device
 * @size: bytes
 * @handle: filled: the address for the device
 *
 * Return: the address for the driver, or NULL.
 */
void *vr_alloc(struct vr_device *vd, size_t size, dma_addr_t *handle)
{
	struct vr_pool *pool = &vd->pool;
	int first;

	/*
	 * Aligned to its own size, as the DMA API promises. Zeros, whatever the
	 * backend did to a free slot.
	 */
	size = PAGE_ALIGN(size);
	if (!size || size > pool->range.size)
		return NULL;
	first = vr_pool_get(pool, size, roundup_pow_of_two(size), NULL);
	if (first < 0)
		return NULL;
	memset(vr_slot_addr(pool, first), 0, size);
	this_cpu_inc(vd->stats->allocated);
	*handle = vr_slot_dma(pool, first);
	return vr_slot_addr(pool, first);
}

/**
 * vr_free() - give back what vr_alloc() gave
 * @token: the device
 * @size: bytes, as is known from then
 * @vaddr: the address for the driver, likewise
 * @handle: the address for the device
 * @attrs: none counts
 */
void vr_free(vr_token_t token, size_t size, void *vaddr, dma_addr_t handle,
	     unsigned long attrs)
{
	struct vr_device *vd = vr_device_of(token);
	struct vr_pool *pool = &vd->pool;
	int first = vr_pool_at(pool, handle);

	if (dev_WARN_ONCE(vd->dev, first < 0 || pool->slots[first].orig,
			  "freed what was not allocated: %pad\n", &handle))
		return;
	vr_pool_put(pool, first, NULL);
}

/*
 * Whether a buffer is to be mapped where it is. Only whole pages, so that
 * nobody else's data come into the device's reach.
 */
static bool vr_wants_map(const struct vr_device *vd, phys_addr_t phys,
			 size_t size)
{
	return PAGE_ALIGNED(phys | size) &&
	       (size >= READ_ONCE(vr_threshold) ||
		vr_iommu_joins(vd->iommu, phys));
}

static noinline int vr_get_any(struct vr_device *vd, void *orig, size_t size)
{
	return vr_pool_get(&vd->pool, size,
			   size < PAGE_SIZE ? VR_SMALL_SIZE : PAGE_SIZE, orig);
}

/*
 * The offset in the pool of slots for a buffer, or -ENOSPC. For most it is known
 * which they are.
 */
static __always_inline ssize_t vr_get(struct vr_device *vd, void *orig,
				      size_t size)
{
	struct vr_pool *pool = &vd->pool;
	const struct vr_part *small = &pool->part[VR_SMALL];
	int slot;

	if (size <= VR_SMALL_SIZE) {
		slot = vr_pool_get_near(pool, VR_SMALL, size, orig);
		if (likely(slot >= 0))
			return small->offset +
			       ((size_t)(slot - small->start) << VR_SMALL_SHIFT);
	} else if (size <= PAGE_SIZE) {
		slot = vr_pool_get_near(pool, VR_PAGES, size, orig);
		if (likely(slot >= 0))
			return (size_t)slot << PAGE_SHIFT;
	}
	slot = vr_get_any(vd, orig, size);
	return slot < 0 ? slot : vr_slot_offset(pool, slot);
}

/* The address of a copy of a buffer, or DMA_MAPPING_ERROR. */
static __always_inline dma_addr_t vr_map_copy(struct vr_device *vd, void *orig,
					      size_t size,
					      enum dma_data_direction dir,
					      unsigned long attrs)
{
	struct vr_pool *pool = &vd->pool;
	ssize_t offset = vr_get(vd, orig, size);
	struct vr_stats *stats;

	if (unlikely(offset < 0))
		return DMA_MAPPING_ERROR;
	if (vr_to_device(dir) && !(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		memcpy(pool->vaddr + offset, orig, size);
	stats = raw_cpu_ptr(vd->stats);
	stats->copied++;
	stats->copied_bytes += size;
	return pool->dma_base + offset;
}

/* The same for a device with an IOMMU: of a buffer, or of a copy. */
static noinline dma_addr_t vr_map_mixed(struct vr_device *vd, struct page *page,
					unsigned long offset, size_t size,
					enum dma_data_direction dir,
					unsigned long attrs)
{
	phys_addr_t phys = page_to_phys(page) + offset;
	dma_addr_t addr;
	int ret;

	if (vr_wants_map(vd, phys, size)) {
		ret = vr_iommu_map(vd->iommu, phys, size, dir, &addr);
		if (!ret) {
			this_cpu_inc(vd->stats->mapped);
			this_cpu_add(vd->stats->mapped_bytes, size);
			return addr;
		}
		this_cpu_inc(vd->stats->fallbacks);
	} else {
		ret = -ENOSPC;
	}
	/* The request may be complete after this buffer. */
	ret = vr_iommu_flush(vd->iommu) ?: ret;
	if (ret != -ENOSPC) {
		atomic64_inc(&vd->pool.failed);
		return DMA_MAPPING_ERROR;
	}
	return vr_map_copy(vd, page_address(page) + offset, size, dir, attrs);
}

/**
 * vr_map_page() - let the device reach a buffer, or a copy of it
 * @token: the device
 * @page: where the buffer begins
 * @offset: bytes from there
 * @size: bytes
 * @dir: what the device may do
 * @attrs: DMA_ATTR_SKIP_CPU_SYNC counts
 *
 * Context: any.
 * Return: the address for the device, or DMA_MAPPING_ERROR.
 */
dma_addr_t vr_map_page(vr_token_t token, struct page *page,
		       unsigned long offset, size_t size,
		       enum dma_data_direction dir, unsigned long attrs)
{
	struct vr_device *vd = vr_device_of(token);

	/* What can be mapped can be copied, too, when there is no room. */
	if (unlikely(!size || size > vd->pool.max_mapping ||
		     is_pci_p2pdma_page(page))) {
		atomic64_inc(&vd->pool.failed);
		return DMA_MAPPING_ERROR;
	}
	if (vd->iommu)
		return vr_map_mixed(vd, page, offset, size, dir, attrs);
	return vr_map_copy(vd, page_address(page) + offset, size, dir, attrs);
}

static noinline void vr_not_mapped(struct vr_device *vd, dma_addr_t addr,
				   size_t size)
{
	dev_WARN_ONCE(vd->dev, true,
		      "unmapped what was not mapped: %pad, %zu bytes\n", &addr,
		      size);
}

static noinline void vr_unmap_where_it_is(struct vr_device *vd, dma_addr_t addr,
					  size_t size)
{
	int ret = vr_iommu_unmap(vd->iommu, addr, size);

	if (ret == -ENOENT) {
		vr_not_mapped(vd, addr, size);
	} else if (ret) {
		this_cpu_inc(vd->stats->lost);
		dev_err_ratelimited(vd->dev, "the IOMMU was not told that %zu bytes at %pad are not mapped any more\n",
				    size, &addr);
	}
}

/**
 * vr_unmap_page() - the driver has its buffer back
 * @token: the device
 * @addr: what vr_map_page() returned
 * @size: as for vr_map_page(), the others too
 * @dir: see there
 * @attrs: see there
 *
 * Context: any.
 */
void vr_unmap_page(vr_token_t token, dma_addr_t addr, size_t size,
		   enum dma_data_direction dir, unsigned long attrs)
{
	struct vr_device *vd = vr_device_of(token);
	struct vr_pool *pool = &vd->pool;
	void *to = NULL;
	int first;

	if (vd->iommu && !vr_in_pool(pool, addr)) {
		vr_unmap_where_it_is(vd, addr, size);
		return;
	}
	first = vr_pool_at(pool, addr);
	if (unlikely(first < 0 || pool->slots[first].size != size ||
		     !pool->slots[first].orig)) {
		vr_not_mapped(vd, addr, size);
		return;
	}
	if (vr_from_device(dir) && !(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		to = pool->slots[first].orig;
	if (likely(size <= PAGE_SIZE))
		vr_pool_put_one(pool, first, pool->vaddr + (addr - pool->dma_base),
				size, to);
	else
		vr_pool_put(pool, first, to);
}

/* The part of a mapping that is to be copied; false when there is none. */
static bool vr_sync_part(struct vr_device *vd, dma_addr_t addr, size_t size,
			 void **slot, void **orig)
{
	struct vr_pool *pool = &vd->pool;
	size_t offset;
	int first;

	/* The device works on the buffer itself, coherently. */
	if (vd->iommu && !vr_in_pool(pool, addr))
		return false;
	first = vr_pool_find(pool, addr, &offset);
	if (dev_WARN_ONCE(vd->dev, first < 0 || !pool->slots[first].orig ||
			  size > pool->slots[first].size - offset,
			  "synced what is not mapped: %pad, %zu bytes\n",
			  &addr, size))
		return false;
	*slot = vr_slot_addr(pool, first) + offset;
	*orig = pool->slots[first].orig + offset;
	return true;
}

/**
 * vr_sync_for_cpu() - the driver is to see what the device wrote
 * @token: the device
 * @addr: in a mapping
 * @size: bytes from there
 * @dir: as it was mapped
 */
void vr_sync_for_cpu(vr_token_t token, dma_addr_t addr, size_t size,
		     enum dma_data_direction dir)
{
	void *slot, *orig;

	if (vr_from_device(dir) &&
	    vr_sync_part(vr_device_of(token), addr, size, &slot, &orig))
		memcpy(orig, slot, size);
}

/**
 * vr_sync_for_device() - the device is to see what the driver wrote
 * @token: the device
 * @addr: in a mapping
 * @size: bytes from there
 * @dir: as it was mapped
 */
void vr_sync_for_device(vr_token_t token, dma_addr_t addr, size_t size,
			enum dma_data_direction dir)
{
	void *slot, *orig;

	if (vr_to_device(dir) &&
	    vr_sync_part(vr_device_of(token), addr, size, &slot, &orig))
		memcpy(slot, orig, size);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA operations of a device that is restricted to a pool.
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
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "virtio_restricted.h"

#if !defined(CONFIG_ARCH_HAS_DMA_OPS) && !defined(CONFIG_DMA_OPS)
#error "this kernel has no DMA operations per device"
#endif
#ifdef CONFIG_HIGHMEM
#error "buffers have to be in the kernel's linear mapping"
#endif

/* Copying was the faster way for all lengths that were measured, up to this
 * one: see the project's docs/performance.md. */
unsigned int vr_threshold = SZ_1M;
module_param_named(threshold, vr_threshold, uint, 0644);
MODULE_PARM_DESC(threshold, "of devices with a pool and an IOMMU: buffers of whole pages are mapped from this length on, others are copied; bytes");

static struct vr_device *vr_device_of(struct device *dev)
{
	return container_of(get_dma_ops(dev), struct vr_device, ops);
}

static struct vr_pool *vr_pool_of(struct device *dev)
{
	return &vr_device_of(dev)->pool;
}

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

static void *vr_alloc(struct device *dev, size_t size, dma_addr_t *handle,
		      gfp_t gfp, unsigned long attrs)
{
	struct vr_pool *pool = vr_pool_of(dev);
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
	this_cpu_inc(vr_device_of(dev)->stats->allocated);
	*handle = vr_slot_dma(pool, first);
	return vr_slot_addr(pool, first);
}

static void vr_free(struct device *dev, size_t size, void *vaddr,
		    dma_addr_t handle, unsigned long attrs)
{
	struct vr_pool *pool = vr_pool_of(dev);
	size_t offset;
	int first = vr_pool_find(pool, handle, &offset);

	if (dev_WARN_ONCE(dev, first < 0 || offset || pool->slots[first].orig,
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

/*
 * 0 and the buffer's address; -ENOSPC when it is to be copied, or another error
 * when it cannot be mapped at all.
 */
static int vr_map_where_it_is(struct vr_device *vd, phys_addr_t phys,
			      size_t size, enum dma_data_direction dir,
			      dma_addr_t *addr)
{
	int ret = -ENOSPC;

	if (vr_wants_map(vd, phys, size)) {
		ret = vr_iommu_map(vd->iommu, phys, size, dir, addr);
		if (!ret) {
			this_cpu_inc(vd->stats->mapped);
			this_cpu_add(vd->stats->mapped_bytes, size);
			return 0;
		}
		this_cpu_inc(vd->stats->fallbacks);
	}
	/* The request may be complete after this buffer. */
	return vr_iommu_flush(vd->iommu) ?: ret;
}

static dma_addr_t vr_map_page(struct device *dev, struct page *page,
			      unsigned long offset, size_t size,
			      enum dma_data_direction dir, unsigned long attrs)
{
	struct vr_device *vd = vr_device_of(dev);
	struct vr_pool *pool = &vd->pool;
	phys_addr_t phys = page_to_phys(page) + offset;
	void *orig = page_address(page) + offset;
	dma_addr_t addr;
	int first, ret;

	/* What can be mapped can be copied, too, when there is no room. */
	if (!size || size > pool->max_mapping || is_pci_p2pdma_page(page)) {
		atomic64_inc(&pool->failed);
		return DMA_MAPPING_ERROR;
	}
	if (vd->iommu) {
		ret = vr_map_where_it_is(vd, phys, size, dir, &addr);
		if (!ret)
			return addr;
		if (ret != -ENOSPC) {
			atomic64_inc(&pool->failed);
			return DMA_MAPPING_ERROR;
		}
	}
	first = vr_pool_get(pool, size,
			    size < PAGE_SIZE ? VR_SMALL_SIZE : PAGE_SIZE, orig);
	if (first < 0)
		return DMA_MAPPING_ERROR;
	if (vr_to_device(dir) && !(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		memcpy(vr_slot_addr(pool, first), orig, size);
	this_cpu_inc(vd->stats->copied);
	this_cpu_add(vd->stats->copied_bytes, size);
	return vr_slot_dma(pool, first);
}

static void vr_unmap_where_it_is(struct vr_device *vd, dma_addr_t addr,
				 size_t size)
{
	int ret = vr_iommu_unmap(vd->iommu, addr, size);

	if (dev_WARN_ONCE(vd->dev, ret == -ENOENT,
			  "unmapped what was not mapped: %pad, %zu bytes\n",
			  &addr, size))
		return;
	if (ret) {
		this_cpu_inc(vd->stats->lost);
		dev_err_ratelimited(vd->dev, "the IOMMU was not told that %zu bytes at %pad are not mapped any more\n",
				    size, &addr);
	}
}

static void vr_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			  enum dma_data_direction dir, unsigned long attrs)
{
	struct vr_device *vd = vr_device_of(dev);
	struct vr_pool *pool = &vd->pool;
	void *to = NULL;
	size_t offset;
	int first;

	if (vd->iommu && !vr_in_pool(pool, addr)) {
		vr_unmap_where_it_is(vd, addr, size);
		return;
	}
	first = vr_pool_find(pool, addr, &offset);
	if (dev_WARN_ONCE(dev, first < 0 || offset ||
			  pool->slots[first].size != size ||
			  !pool->slots[first].orig,
			  "unmapped what was not mapped: %pad, %zu bytes\n",
			  &addr, size))
		return;
	if (vr_from_device(dir) && !(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		to = pool->slots[first].orig;
	vr_pool_put(pool, first, to);
}

static void vr_unmap_sg(struct device *dev, struct scatterlist *sgl, int n,
			enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		vr_unmap_page(dev, sg_dma_address(sg), sg_dma_len(sg), dir,
			      attrs);
}

static int vr_map_sg(struct device *dev, struct scatterlist *sgl, int n,
		     enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i) {
		sg->dma_address = vr_map_page(dev, sg_page(sg), sg->offset,
					      sg->length, dir, attrs);
		if (sg->dma_address == DMA_MAPPING_ERROR)
			goto undo;
		sg_dma_len(sg) = sg->length;
	}
	return n;

undo:
	vr_unmap_sg(dev, sgl, i, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
	return -ENOMEM;
}

/* The part of a mapping that is to be copied; false when there is none. */
static bool vr_sync_part(struct device *dev, dma_addr_t addr, size_t size,
			 void **slot, void **orig)
{
	struct vr_device *vd = vr_device_of(dev);
	struct vr_pool *pool = &vd->pool;
	size_t offset;
	int first;

	/* The device works on the buffer itself, coherently. */
	if (vd->iommu && !vr_in_pool(pool, addr))
		return false;
	first = vr_pool_find(pool, addr, &offset);
	if (dev_WARN_ONCE(dev, first < 0 || !pool->slots[first].orig ||
			  size > pool->slots[first].size - offset,
			  "synced what is not mapped: %pad, %zu bytes\n",
			  &addr, size))
		return false;
	*slot = vr_slot_addr(pool, first) + offset;
	*orig = pool->slots[first].orig + offset;
	return true;
}

static void vr_sync_for_cpu(struct device *dev, dma_addr_t addr, size_t size,
			    enum dma_data_direction dir)
{
	void *slot, *orig;

	if (vr_from_device(dir) && vr_sync_part(dev, addr, size, &slot, &orig))
		memcpy(orig, slot, size);
}

static void vr_sync_for_device(struct device *dev, dma_addr_t addr, size_t size,
			       enum dma_data_direction dir)
{
	void *slot, *orig;

	if (vr_to_device(dir) && vr_sync_part(dev, addr, size, &slot, &orig))
		memcpy(slot, orig, size);
}

static void vr_sync_sg_for_cpu(struct device *dev, struct scatterlist *sgl,
			       int n, enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		vr_sync_for_cpu(dev, sg_dma_address(sg), sg_dma_len(sg), dir);
}

static void vr_sync_sg_for_device(struct device *dev, struct scatterlist *sgl,
				  int n, enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		vr_sync_for_device(dev, sg_dma_address(sg), sg_dma_len(sg),
				   dir);
}

static u64 vr_last_address(struct device *dev)
{
	const struct vr_device *vd = vr_device_of(dev);
	u64 last = vd->pool.dma_base + vd->pool.range.size - 1;

	if (vd->iommu)
		last = max(last, vd->iommu->base +
			   ((u64)vd->iommu->pages << PAGE_SHIFT) - 1);
	return last;
}

static int vr_dma_supported(struct device *dev, u64 mask)
{
	return vr_last_address(dev) <= mask;
}

static u64 vr_get_required_mask(struct device *dev)
{
	return DMA_BIT_MASK(fls64(vr_last_address(dev)));
}

static size_t vr_max_mapping_size(struct device *dev)
{
	return vr_pool_of(dev)->max_mapping;
}

/* Copied into each device's vr_device. */
const struct dma_map_ops vr_dma_ops = {
	.alloc = vr_alloc,
	.free = vr_free,
	.map_page = vr_map_page,
	.unmap_page = vr_unmap_page,
	.map_sg = vr_map_sg,
	.unmap_sg = vr_unmap_sg,
	.sync_single_for_cpu = vr_sync_for_cpu,
	.sync_single_for_device = vr_sync_for_device,
	.sync_sg_for_cpu = vr_sync_sg_for_cpu,
	.sync_sg_for_device = vr_sync_sg_for_device,
	.dma_supported = vr_dma_supported,
	.get_required_mask = vr_get_required_mask,
	.max_mapping_size = vr_max_mapping_size,
};

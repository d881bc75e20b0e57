// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device with a pool and an IOMMU reaches without a copy.
 *
 * The kernel's own code for addresses behind an IOMMU is not for modules, so
 * the device gets a domain of its own, in place of the group's default domain,
 * while a driver is bound. Addresses (IOVAs) are taken from the widest range
 * that the IOMMU leaves to the device.
 *
 * Only whole pages are mapped, as they are: what shares no page with the
 * driver's buffer. iommu_unmap() returns when the IOMMU has answered; the
 * addresses are free for others only then.
 */

#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/version.h>

#include "virtio_restricted.h"

#ifdef CONFIG_IOMMU_API

/* More addresses than a guest's windows have; bounds the records. */
#define VR_IOVA_MAX	SZ_1G

static struct iommu_domain *vr_domain_alloc(struct device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	return IS_ERR(domain) ? NULL : domain;
#else
	return iommu_domain_alloc(dev->bus);
#endif
}

static int vr_domain_map(struct vr_iommu *io, dma_addr_t iova, phys_addr_t phys,
			 size_t size, enum dma_data_direction dir)
{
	int prot = IOMMU_CACHE;

	if (dir != DMA_FROM_DEVICE)
		prot |= IOMMU_READ;
	if (dir != DMA_TO_DEVICE)
		prot |= IOMMU_WRITE;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return iommu_map(io->domain, iova, phys, size, prot, GFP_ATOMIC);
#else
	return iommu_map_atomic(io->domain, iova, phys, size, prot);
#endif
}

/* Ranges that the device's addresses must not be in: see vr_free_from(). */
struct vr_taken {
	const struct list_head *regions;
	u64 pool_first;
	u64 pool_last;
	u64 first;
	u64 last;
};

/*
 * The free addresses from @at on: true when there are some, and *last is
 * filled. Otherwise *last is the end of what is in the way.
 */
static bool vr_free_from(const struct vr_taken *taken, u64 at, u64 *last)
{
	const struct iommu_resv_region *region;
	u64 end = taken->last;

	if (at >= taken->pool_first && at <= taken->pool_last) {
		*last = taken->pool_last;
		return false;
	}
	if (taken->pool_first > at)
		end = min(end, taken->pool_first - 1);

	list_for_each_entry(region, taken->regions, list) {
		u64 from = region->start, to = from + region->length - 1;

		/* For message interrupts, of which a platform device has none. */
		if (region->type == IOMMU_RESV_SW_MSI || !region->length)
			continue;
		if (at >= from && at <= to) {
			*last = to;
			return false;
		}
		if (from > at)
			end = min(end, from - 1);
	}
	*last = end;
	return true;
}

/* The widest range of free addresses, in whole pages. */
static int vr_find_window(struct vr_iommu *io, const struct vr_taken *taken)
{
	u64 at = max_t(u64, taken->first, PAGE_SIZE), last, size = 0;

	for (; at <= taken->last; at = last + 1) {
		if (vr_free_from(taken, at, &last)) {
			u64 from = PAGE_ALIGN(at);
			u64 to = (last + 1) & PAGE_MASK;

			/* 0: the end of all addresses. */
			if (!to)
				to = -PAGE_SIZE;
			if (from >= at && to > from && to - from > size) {
				size = to - from;
				io->base = from;
			}
		}
		if (last >= taken->last)
			break;
	}
	io->pages = min_t(u64, size, VR_IOVA_MAX) >> PAGE_SHIFT;
	return io->pages ? 0 : -ENOSPC;
}

static int vr_get_window(struct device *dev, struct vr_iommu *io,
			 const struct vr_pool *pool)
{
	const struct iommu_domain_geometry *g = &io->domain->geometry;
	struct vr_taken taken = {
		.pool_first = pool->dma_base,
		.pool_last = pool->dma_base + pool->range.size - 1,
		.first = g->aperture_start,
		.last = g->aperture_end,
	};
	struct iommu_group *group = iommu_group_get(dev);
	LIST_HEAD(regions);
	int ret;

	if (!group)
		return -ENODEV;
	/* The group has this device alone: iommu_attach_device() saw to it. */
	ret = iommu_get_group_resv_regions(group, &regions);
	taken.regions = &regions;
	if (!ret)
		ret = vr_find_window(io, &taken);
	iommu_put_resv_regions(dev, &regions);
	iommu_group_put(group);
	return ret;
}

static void vr_iommu_free(struct vr_iommu *io)
{
	kvfree(io->runs);
	kvfree(io->bitmap);
	kfree(io);
}

/**
 * vr_iommu_attach() - give a device a domain of ours
 * @dev: the device; no driver is bound yet
 * @pool: its pool, whose addresses are not used for anything else
 *
 * Return: the domain and its addresses, or an error, which has been reported;
 * the device has its former domain then.
 */
struct vr_iommu *vr_iommu_attach(struct device *dev, const struct vr_pool *pool)
{
	struct vr_iommu *io = kzalloc(sizeof(*io), GFP_KERNEL);
	int ret = -ENOMEM;

	if (!io)
		goto fail;
	spin_lock_init(&io->lock);
	io->domain = vr_domain_alloc(dev);
	if (!io->domain)
		goto fail_free;
	ret = iommu_attach_device(io->domain, dev);
	if (ret)
		goto fail_domain;
	/* What the addresses are is known only now. */
	ret = vr_get_window(dev, io, pool);
	if (!ret && (1UL << __ffs(io->domain->pgsize_bitmap)) > PAGE_SIZE)
		ret = -EINVAL;
	if (ret)
		goto fail_detach;
	io->bitmap = kvcalloc(BITS_TO_LONGS(io->pages), sizeof(long),
			      GFP_KERNEL);
	io->runs = kvcalloc(io->pages, sizeof(*io->runs), GFP_KERNEL);
	if (!io->bitmap || !io->runs) {
		ret = -ENOMEM;
		goto fail_detach;
	}
	return io;

fail_detach:
	iommu_detach_device(io->domain, dev);
fail_domain:
	iommu_domain_free(io->domain);
fail_free:
	vr_iommu_free(io);
fail:
	dev_err(dev, "no domain of its IOMMU for it (%d)\n", ret);
	return ERR_PTR(ret);
}

/**
 * vr_iommu_detach() - give the device its former domain back
 * @dev: the device
 * @io: from vr_iommu_attach()
 *
 * Whatever is still mapped is not any more.
 */
void vr_iommu_detach(struct device *dev, struct vr_iommu *io)
{
	iommu_detach_device(io->domain, dev);
	iommu_domain_free(io->domain);
	vr_iommu_free(io);
}

static long vr_iova_get(struct vr_iommu *io, unsigned int pages)
{
	unsigned long found, flags;

	spin_lock_irqsave(&io->lock, flags);
	found = bitmap_find_next_zero_area(io->bitmap, io->pages, io->next,
					   pages, 0);
	if (found >= io->pages)
		found = bitmap_find_next_zero_area(io->bitmap, io->pages, 0,
						   pages, 0);
	if (found < io->pages) {
		bitmap_set(io->bitmap, found, pages);
		io->next = found + pages;
		io->used += pages;
	}
	spin_unlock_irqrestore(&io->lock, flags);

	return found < io->pages ? found : -ENOSPC;
}

static void vr_iova_put(struct vr_iommu *io, unsigned long first,
			unsigned int pages)
{
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	bitmap_clear(io->bitmap, first, pages);
	io->used -= pages;
	spin_unlock_irqrestore(&io->lock, flags);
}

/**
 * vr_iommu_map() - map whole pages for the device
 * @io: the device's
 * @phys: first byte; page aligned
 * @size: bytes; whole pages, more than 0
 * @dir: what the device may do
 *
 * Context: any.
 * Return: the address for the device, or DMA_MAPPING_ERROR.
 */
dma_addr_t vr_iommu_map(struct vr_iommu *io, phys_addr_t phys, size_t size,
			enum dma_data_direction dir)
{
	unsigned int pages = size >> PAGE_SHIFT;
	long first = vr_iova_get(io, pages);
	dma_addr_t iova;

	if (first < 0)
		return DMA_MAPPING_ERROR;
	iova = io->base + ((dma_addr_t)first << PAGE_SHIFT);
	if (vr_domain_map(io, iova, phys, size, dir)) {
		vr_iova_put(io, first, pages);
		return DMA_MAPPING_ERROR;
	}
	io->runs[first] = pages;
	return iova;
}

/**
 * vr_iommu_unmap() - the device does not reach these pages any more
 * @io: the device's
 * @iova: from vr_iommu_map()
 * @size: as it was mapped
 *
 * Context: any.
 * Return: 0, -ENOENT when that is not mapped, or -EIO when the IOMMU could not
 * be asked: the device may still reach the pages then, and the addresses are
 * not used again.
 */
int vr_iommu_unmap(struct vr_iommu *io, dma_addr_t iova, size_t size)
{
	unsigned int pages = size >> PAGE_SHIFT;
	u64 first = (iova - io->base) >> PAGE_SHIFT;

	if (iova < io->base || first >= io->pages || !pages ||
	    offset_in_page(iova | size) || io->runs[first] != pages)
		return -ENOENT;
	io->runs[first] = 0;
	if (iommu_unmap(io->domain, iova, size) != size)
		return -EIO;
	vr_iova_put(io, first, pages);
	return 0;
}

#endif /* CONFIG_IOMMU_API */

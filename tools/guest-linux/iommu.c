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
 *
 * A virtio driver maps a request segment by segment, and asking the IOMMU costs
 * the same for one page and for many. So the segments of a block request are
 * collected in a run, at consecutive addresses: one call for all of them, with
 * a MAP for each piece of memory that is in one, and one UNMAP. That a request
 * is complete nobody says. But a block request begins with its header and ends
 * with its status, which are short and go to the pool: whatever is not mapped
 * ends the run, before the device can know of the request. The driver holds a
 * lock with interrupts off meanwhile, so a run belongs to a CPU. For devices of
 * other types, or with interrupts on, each buffer is a run.
 *
 * A run is unmapped with its last segment: the driver gets a request back, or
 * gives up making one, only after all of its segments were unmapped.
 */

#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include "virtio_restricted.h"

#ifdef CONFIG_IOMMU_API

/* More addresses than a guest's windows have; bounds the records. */
#define VR_IOVA_MAX	SZ_1G

/* If there is room, a run begins at least so many pages after the start of the
 * last one, so that the last one can grow: to 2 MiB, the longest request that
 * Linux makes by default. */
#define VR_RUN_STEP	(SZ_2M >> PAGE_SHIFT)

/* Pieces of memory in a run. */
#define VR_RUN_MAPS	32

/* After a request could not be mapped, nothing new is mapped for so long. */
#define VR_PAUSE	HZ

/**
 * struct vr_segment - what is mapped at a page of addresses
 * @pages: of the segment that begins here, 0: none does
 * @run: first page of its run
 * @run_pages: of a run that begins here
 * @left: of these, how many the driver has not unmapped
 * @mapped: whether the IOMMU was told
 * @lost: whether some of it may still be mapped, after mapping it had failed
 *
 * Belongs to whoever mapped it, so that no lock is needed to read it.
 */
struct vr_segment {
	u32 pages;
	u32 run;
	u32 run_pages;
	u32 left;
	bool mapped;
	bool lost;
};

/**
 * struct vr_run - a run that is being collected
 * @sg: pieces of memory
 * @n: how many; 0: no run
 * @first: its first page of addresses
 * @pages: how many
 * @dir: what the device may do
 */
struct vr_run {
	struct scatterlist sg[VR_RUN_MAPS];
	unsigned int n;
	unsigned int first;
	unsigned int pages;
	enum dma_data_direction dir;
};

static struct iommu_domain *vr_domain_alloc(struct device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	return IS_ERR(domain) ? NULL : domain;
#else
	return iommu_domain_alloc(dev->bus);
#endif
}

static dma_addr_t vr_iova(const struct vr_iommu *io, unsigned int page)
{
	return io->base + ((dma_addr_t)page << PAGE_SHIFT);
}

/*
 * Tells the IOMMU of pieces of memory. When one fails, those before it are taken
 * back, for which the IOMMU's driver needs memory as well. 0; -ENOMEM when
 * nothing is mapped; or -EIO when some may be.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
/* All of it before the IOMMU's answer is waited for. */
static int vr_map_sg(struct iommu_domain *domain, dma_addr_t iova,
		     struct scatterlist *sg, unsigned int n, size_t size,
		     int prot)
{
	if (iommu_map_sg(domain, iova, sg, n, prot, GFP_ATOMIC) == size)
		return 0;
	/* Whether the first ones could be taken back is not told. */
	return n > 1 ? -EIO : -ENOMEM;
}
#else
/* What does that without sleeping is not for modules. */
static int vr_map_sg(struct iommu_domain *domain, dma_addr_t iova,
		     struct scatterlist *sg, unsigned int n, size_t size,
		     int prot)
{
	size_t done = 0;

	for (; n; n--, sg++) {
		if (iommu_map_atomic(domain, iova + done, sg_phys(sg),
				     sg->length, prot))
			break;
		done += sg->length;
	}
	if (!n)
		return 0;
	if (done && iommu_unmap(domain, iova, done) != done)
		return -EIO;
	return -ENOMEM;
}
#endif

/* Tells the IOMMU of a run from page @first on, all at once. */
static int vr_map_run(struct vr_iommu *io, unsigned int first,
		      unsigned int pages, struct scatterlist *sg,
		      unsigned int n, enum dma_data_direction dir)
{
	size_t size = (size_t)pages << PAGE_SHIFT;
	int prot = IOMMU_CACHE, ret;

	if (dir != DMA_FROM_DEVICE)
		prot |= IOMMU_READ;
	if (dir != DMA_TO_DEVICE)
		prot |= IOMMU_WRITE;
	ret = vr_map_sg(io->domain, vr_iova(io, first), sg, n, size, prot);
	if (ret) {
		io->segments[first].lost = ret == -EIO;
		WRITE_ONCE(io->pause, jiffies + VR_PAUSE);
		return -ENOSPC;
	}
	io->segments[first].mapped = true;
	this_cpu_inc(io->stats->batches);
	this_cpu_add(io->stats->maps, n);
	return 0;
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

		/*
		 * Where the kernel would map what messages are sent to, if a
		 * device's went through its IOMMU.
		 */
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
	free_percpu(io->runs);
	kvfree(io->segments);
	kvfree(io->bitmap);
	kfree(io);
}

static int vr_alloc_records(struct vr_iommu *io)
{
	int cpu;

	io->bitmap = kvcalloc(BITS_TO_LONGS(io->pages), sizeof(long),
			      GFP_KERNEL);
	io->segments = kvcalloc(io->pages, sizeof(*io->segments), GFP_KERNEL);
	io->runs = alloc_percpu(struct vr_run);
	if (!io->bitmap || !io->segments || !io->runs)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		sg_init_table(per_cpu_ptr(io->runs, cpu)->sg, VR_RUN_MAPS);
	return 0;
}

static bool vr_mmio_is_block(struct platform_device *pdev)
{
	struct resource *res = platform_get_resource(pdev, IORESOURCE_MEM, 0);
	void __iomem *regs;
	bool is;

	if (!res || resource_size(res) < VIRTIO_MMIO_CONFIG)
		return false;
	regs = ioremap(res->start, VIRTIO_MMIO_CONFIG);
	if (!regs)
		return false;
	is = readl(regs + VIRTIO_MMIO_DEVICE_ID) == VIRTIO_ID_BLOCK;
	iounmap(regs);
	return is;
}

/* What the device is, as it says itself: its driver may not be there yet. */
static bool vr_is_block(struct device *dev)
{
	/* virtio 1.2, 4.1.2 */
	if (dev_is_pci(dev))
		return to_pci_dev(dev)->device == 0x1040 + VIRTIO_ID_BLOCK;
	return vr_mmio_is_block(to_platform_device(dev));
}

/**
 * vr_iommu_attach() - give a device a domain of ours
 * @dev: the device; no driver is bound yet
 * @pool: its pool, whose addresses are not used for anything else
 * @stats: where to count
 *
 * Return: the domain and its addresses, or an error, which has been reported;
 * the device has its former domain then.
 */
struct vr_iommu *vr_iommu_attach(struct device *dev, const struct vr_pool *pool,
				 struct vr_stats __percpu *stats)
{
	struct vr_iommu *io = kzalloc(sizeof(*io), GFP_KERNEL);
	int ret = -ENOMEM;

	if (!io)
		goto fail;
	spin_lock_init(&io->lock);
	io->pause = jiffies;
	io->stats = stats;
	io->collect = vr_is_block(dev);
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
	if (!ret)
		ret = vr_alloc_records(io);
	if (ret)
		goto fail_detach;
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

/* The run of this CPU, when runs are collected. */
static struct vr_run *vr_this_run(struct vr_iommu *io)
{
	return io->collect && irqs_disabled() ? this_cpu_ptr(io->runs) : NULL;
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
		io->next = found + max_t(unsigned int, pages, VR_RUN_STEP);
		io->used += pages;
	}
	spin_unlock_irqrestore(&io->lock, flags);

	return found < io->pages ? found : -ENOSPC;
}

/* Takes these very addresses, if nobody has them. */
static bool vr_iova_get_at(struct vr_iommu *io, unsigned int first,
			   unsigned int pages)
{
	unsigned long end = (unsigned long)first + pages, flags;
	bool got;

	if (end > io->pages)
		return false;
	spin_lock_irqsave(&io->lock, flags);
	got = find_next_bit(io->bitmap, end, first) >= end;
	if (got) {
		bitmap_set(io->bitmap, first, pages);
		io->used += pages;
	}
	spin_unlock_irqrestore(&io->lock, flags);
	return got;
}

static void vr_iova_put(struct vr_iommu *io, unsigned int first,
			unsigned int pages)
{
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	bitmap_clear(io->bitmap, first, pages);
	io->used -= pages;
	spin_unlock_irqrestore(&io->lock, flags);
}

static bool vr_is_next(const struct vr_run *run, phys_addr_t phys)
{
	const struct scatterlist *last = &run->sg[run->n - 1];

	return sg_phys((struct scatterlist *)last) + last->length == phys;
}

static void vr_begin(struct vr_run *run, unsigned int first, phys_addr_t phys,
		     size_t size, enum dma_data_direction dir)
{
	sg_set_page(&run->sg[0], pfn_to_page(PHYS_PFN(phys)), size, 0);
	run->n = 1;
	run->first = first;
	run->pages = size >> PAGE_SHIFT;
	run->dir = dir;
}

static bool vr_extend(struct vr_iommu *io, struct vr_run *run,
		      phys_addr_t phys, size_t size,
		      enum dma_data_direction dir)
{
	unsigned int pages = size >> PAGE_SHIFT;
	bool next = vr_is_next(run, phys);

	if (dir != run->dir || (!next && run->n == VR_RUN_MAPS) ||
	    !vr_iova_get_at(io, run->first + run->pages, pages))
		return false;
	if (next)
		run->sg[run->n - 1].length += size;
	else
		sg_set_page(&run->sg[run->n++], pfn_to_page(PHYS_PFN(phys)),
			    size, 0);
	run->pages += pages;
	return true;
}

/* A segment at the end of a run, which has @run_pages with it. */
static dma_addr_t vr_add_segment(struct vr_iommu *io, unsigned int first,
				 unsigned int run_pages, unsigned int pages)
{
	unsigned int at = first + run_pages - pages;
	struct vr_segment *whole = &io->segments[first];

	if (at == first) {
		whole->left = 0;
		whole->mapped = false;
		whole->lost = false;
	}
	whole->run_pages = run_pages;
	whole->left += pages;
	io->segments[at].pages = pages;
	io->segments[at].run = first;
	return vr_iova(io, at);
}

/**
 * vr_iommu_joins() - whether a buffer continues what was mapped last
 * @io: the device's
 * @phys: the buffer's first byte
 *
 * Return: true when it belongs to the same request and costs no MAP.
 */
bool vr_iommu_joins(struct vr_iommu *io, phys_addr_t phys)
{
	const struct vr_run *run = vr_this_run(io);

	return run && run->n && vr_is_next(run, phys);
}

/**
 * vr_iommu_flush() - the IOMMU has to know by now what was mapped
 * @io: the device's
 *
 * Context: any.
 * Return: 0, or an error when the IOMMU cannot be told: the request is not to
 * be made.
 */
int vr_iommu_flush(struct vr_iommu *io)
{
	struct vr_run *run = vr_this_run(io);
	int ret = 0;

	if (run && run->n) {
		ret = vr_map_run(io, run->first, run->pages, run->sg, run->n,
				 run->dir);
		run->n = 0;
		if (ret)
			ret = -EIO;
	}
	return ret;
}

/*
 * With nothing collected, and nothing to come. Interrupts may be on, and have to
 * stay so: with PREEMPT_RT the IOMMU's driver takes locks that sleep.
 */
static int vr_map_alone(struct vr_iommu *io, unsigned int first,
			phys_addr_t phys, size_t size,
			enum dma_data_direction dir, dma_addr_t *iova)
{
	unsigned int pages = size >> PAGE_SHIFT;
	struct scatterlist sg;
	int ret;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, pfn_to_page(PHYS_PFN(phys)), size, 0);
	*iova = vr_add_segment(io, first, pages, pages);
	ret = vr_map_run(io, first, pages, &sg, 1, dir);
	if (ret) {
		io->segments[first].pages = 0;
		vr_iova_put(io, first, pages);
	}
	return ret;
}

/**
 * vr_iommu_map() - map whole pages for the device
 * @io: the device's
 * @phys: first byte; page aligned
 * @size: bytes; whole pages, more than 0
 * @dir: what the device may do
 * @iova: filled: the address for the device
 *
 * The device may reach them after the next vr_iommu_flush().
 *
 * Context: any.
 * Return: 0; -ENOSPC when these cannot be mapped; or -EIO when the IOMMU could
 * not be told of others, of the same request: it is not to be made.
 */
int vr_iommu_map(struct vr_iommu *io, phys_addr_t phys, size_t size,
		 enum dma_data_direction dir, dma_addr_t *iova)
{
	struct vr_run *run = vr_this_run(io);
	unsigned int pages = size >> PAGE_SHIFT;
	long first;

	if (run && run->n) {
		if (vr_extend(io, run, phys, size, dir)) {
			*iova = vr_add_segment(io, run->first, run->pages,
					       pages);
			return 0;
		}
		if (vr_iommu_flush(io))
			return -EIO;
	}
	/* The driver makes the request again: this time it is copied. */
	if (time_before(jiffies, READ_ONCE(io->pause)))
		return -ENOSPC;
	first = vr_iova_get(io, pages);
	if (first < 0)
		return -ENOSPC;
	if (!run)
		return vr_map_alone(io, first, phys, size, dir, iova);
	vr_begin(run, first, phys, size, dir);
	*iova = vr_add_segment(io, first, pages, pages);
	return 0;
}

/**
 * vr_iommu_unmap() - the driver has no use for these pages any more
 * @io: the device's
 * @iova: from vr_iommu_map()
 * @size: as it was mapped
 *
 * Context: any.
 * Return: 0, -ENOENT when that is not mapped, or -EIO when the IOMMU could not
 * be asked: the device may still reach the pages then, and the addresses are
 * not used again. Otherwise a later mapping there would be refused, and the
 * device would find these pages in its place.
 */
int vr_iommu_unmap(struct vr_iommu *io, dma_addr_t iova, size_t size)
{
	unsigned int pages = size >> PAGE_SHIFT;
	u64 at = (iova - io->base) >> PAGE_SHIFT;
	struct vr_segment *whole;
	struct vr_run *run;
	unsigned int first;

	if (iova < io->base || at >= io->pages || !pages ||
	    offset_in_page(iova | size) || io->segments[at].pages != pages)
		return -ENOENT;
	first = io->segments[at].run;
	whole = &io->segments[first];
	io->segments[at].pages = 0;

	/* The driver gives up making the request. */
	run = vr_this_run(io);
	if (run && run->n && run->first == first)
		run->n = 0;

	whole->left -= pages;
	if (whole->left)
		return 0;
	if (whole->lost)
		return -EIO;
	if (whole->mapped) {
		size = (size_t)whole->run_pages << PAGE_SHIFT;
		if (iommu_unmap(io->domain, vr_iova(io, first), size) != size)
			return -EIO;
		this_cpu_inc(io->stats->unmaps);
	}
	vr_iova_put(io, first, whole->run_pages);
	return 0;
}

#endif /* CONFIG_IOMMU_API */

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slots of a pool.
 *
 * A pool is divided into areas. A CPU takes slots from its own area, so that
 * the queues of a device do not meet at one lock, and from the others' when
 * its own has no room. Whoever gives slots back takes the lock of the area
 * that they belong to, which is its own as long as a request completes where
 * it was made.
 *
 * All of the pool can be read and written by the backend at any time. That
 * decides what is done when:
 *
 * - A free slot holds zeros: the pool is cleared before its first use, and
 *   what was used is cleared when it is given back. So the backend sees what
 *   the driver gave to the device for as long as the device needs it, and a
 *   mapping for the device to write into begins with zeros, not with what the
 *   driver's buffer held before. What the device wrote itself is no secret to
 *   the backend, and is cleared all the same: the next mapping's user would get
 *   it where the device writes less than it should, as when a read fails.
 * - Nothing that decides where data goes lies in the pool.
 */

#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "virtio_restricted.h"

/* An area serves requests of block devices, which are up to 1.25 MiB long. */
#define VR_AREA_MIN		SZ_2M
#define VR_MAX_MAPPING_MIN	SZ_64K
#define VR_MAX_MAPPING_MAX	SZ_1M

/* Bits in a cache line: two CPUs do not write to the same one. */
#define VR_AREA_ALIGN		(SMP_CACHE_BYTES * BITS_PER_BYTE)

static unsigned int vr_slots_of(size_t size)
{
	return DIV_ROUND_UP(size, VR_SLOT_SIZE);
}

static struct vr_area *vr_area_of(const struct vr_pool *pool, unsigned int slot)
{
	unsigned int i = slot / pool->area_slots;

	return &pool->areas[min(i, pool->n_areas - 1)];
}

/* Where an area's small mappings begin: few holes are left among the others. */
static unsigned int vr_small_start(const struct vr_area *area)
{
	return area->start + (area->end - area->start) / 4 * 3;
}

static void vr_pool_divide(struct vr_pool *pool, bool few_long)
{
	size_t share = few_long ? pool->range.size : pool->range.size / 16;
	unsigned int i, n;

	n = min_t(size_t, pool->range.size / VR_AREA_MIN, num_possible_cpus());
	pool->n_areas = max(n, 1U);
	pool->area_slots = pool->n_slots;
	if (pool->n_areas > 1)
		pool->area_slots = rounddown(pool->n_slots / pool->n_areas,
					     VR_AREA_ALIGN);

	for (i = 0; i < pool->n_areas; i++) {
		struct vr_area *area = &pool->areas[i];

		spin_lock_init(&area->lock);
		area->start = i * pool->area_slots;
		area->end = area->start + pool->area_slots;
		if (i == pool->n_areas - 1)
			area->end = pool->n_slots;
		area->from = area->start;
		area->from_small = vr_small_start(area);
	}

	/*
	 * A sixteenth, so that several long mappings fit at the same time;
	 * never more than half of an area.
	 */
	pool->max_mapping = clamp_t(size_t, rounddown_pow_of_two(share),
				    VR_MAX_MAPPING_MIN, VR_MAX_MAPPING_MAX);
	pool->max_mapping = min_t(size_t, pool->max_mapping,
				  (size_t)pool->area_slots * VR_SLOT_SIZE / 2);
}

/**
 * vr_pool_init() - map a pool, clear it, and make all of its slots free
 * @pool: filled
 * @range: where it is
 * @dma_base: the same, as the device addresses it
 * @few_long: long mappings are the exception, and may take much of the pool
 *
 * Return: 0 or -ENOMEM; nothing is left to undo then.
 */
int vr_pool_init(struct vr_pool *pool, const struct vr_range *range,
		 dma_addr_t dma_base, bool few_long)
{
	memset(pool, 0, sizeof(*pool));
	pool->range = *range;
	pool->dma_base = dma_base;
	pool->n_slots = range->size >> VR_SLOT_SHIFT;

	pool->areas = kcalloc(num_possible_cpus(), sizeof(*pool->areas),
			      GFP_KERNEL);
	pool->bitmap = kvcalloc(BITS_TO_LONGS(pool->n_slots), sizeof(long),
				GFP_KERNEL);
	pool->slots = kvcalloc(pool->n_slots, sizeof(*pool->slots), GFP_KERNEL);
	pool->vaddr = memremap(range->base, range->size, MEMREMAP_WB);
	if (!pool->areas || !pool->bitmap || !pool->slots || !pool->vaddr) {
		vr_pool_exit(pool);
		return -ENOMEM;
	}

	vr_pool_divide(pool, few_long);
	memset(pool->vaddr, 0, range->size);
	return 0;
}

/**
 * vr_pool_exit() - let go of a pool
 * @pool: as vr_pool_init() left it; nobody uses it any more
 *
 * Slots that are still taken lose their contents, which stay in nobody's
 * reach that way.
 */
void vr_pool_exit(struct vr_pool *pool)
{
	if (pool->vaddr) {
		if (pool->n_areas && vr_pool_used(pool))
			memset(pool->vaddr, 0, pool->range.size);
		memunmap(pool->vaddr);
	}
	kvfree(pool->slots);
	kvfree(pool->bitmap);
	kfree(pool->areas);
}

/*
 * First fit. *from: the first slot that can be free of those that are looked
 * at, so that what is taken in front of it, with deep queues thousands of slots,
 * is not looked at each time.
 */
static unsigned long vr_area_find(const struct vr_pool *pool,
				  const struct vr_area *area,
				  unsigned int *from, unsigned int n,
				  unsigned int align)
{
	unsigned int offset = (pool->range.base >> VR_SLOT_SHIFT) & (align - 1);
	unsigned long first, found;

	first = find_next_zero_bit(pool->bitmap, area->end, *from);
	found = bitmap_find_next_zero_area_off(pool->bitmap, area->end, first,
					       n, align - 1, offset);
	*from = found == first ? found + n : first;
	return found;
}

static int vr_area_get(struct vr_pool *pool, struct vr_area *area,
		       unsigned int n, unsigned int align)
{
	unsigned long found, flags;

	spin_lock_irqsave(&area->lock, flags);
	found = area->end;
	if (area->end - area->start - area->used < n)
		goto out;
	if (n < PAGE_SIZE / VR_SLOT_SIZE)
		found = vr_area_find(pool, area, &area->from_small, n, align);
	if (found >= area->end)
		found = vr_area_find(pool, area, &area->from, n, align);
	if (found < area->end) {
		bitmap_set(pool->bitmap, found, n);
		area->used += n;
		area->high_water = max(area->high_water, area->used);
		area->mappings++;
	}
out:
	spin_unlock_irqrestore(&area->lock, flags);

	return found < area->end ? found : -ENOSPC;
}

/**
 * vr_pool_get() - take consecutive slots
 * @pool: from which
 * @size: bytes, more than 0
 * @align: of their address; a power of two, VR_SLOT_SIZE or more
 * @orig: the driver's buffer, or NULL
 *
 * Context: any.
 * Return: the first slot, or -ENOSPC (counted).
 */
int vr_pool_get(struct vr_pool *pool, size_t size, size_t align, void *orig)
{
	unsigned int cpu = raw_smp_processor_id();
	unsigned int i, n, first;
	int ret = -ENOSPC;

	if (size > (size_t)pool->n_slots << VR_SLOT_SHIFT)
		goto fail;
	n = vr_slots_of(size);
	for (i = 0; i < pool->n_areas && ret < 0; i++)
		ret = vr_area_get(pool,
				  &pool->areas[(cpu + i) % pool->n_areas], n,
				  align >> VR_SLOT_SHIFT);
	if (ret < 0)
		goto fail;

	first = ret;
	pool->slots[first].orig = orig;
	pool->slots[first].size = size;
	for (i = 0; i < n; i++)
		pool->slots[first + i].first = first;
	return first;

fail:
	atomic64_inc(&pool->failed);
	return -ENOSPC;
}

/*
 * Page by page, so that what is cleared has just been read; and by clear_page(),
 * which is the fastest way on each processor.
 */
static void vr_copy_and_clear(void *to, void *slot, size_t size)
{
	size_t part;

	for (; size; size -= part, slot += part) {
		part = min_t(size_t, size, PAGE_SIZE);
		if (to) {
			memcpy(to, slot, part);
			to += part;
		}
		if (part == PAGE_SIZE)
			clear_page(slot); /* the first slot is at a page then */
		else
			memset(slot, 0, part);
	}
}

/**
 * vr_pool_put() - clear slots and give them back
 * @pool: to which
 * @first: what vr_pool_get() returned; the caller has them, nobody else
 * @to: where to copy their contents before, or NULL
 *
 * Context: any.
 */
void vr_pool_put(struct vr_pool *pool, unsigned int first, void *to)
{
	struct vr_area *area = vr_area_of(pool, first);
	unsigned int small = vr_small_start(area);
	u32 size = pool->slots[first].size;
	unsigned int n = vr_slots_of(size);
	unsigned long flags;

	vr_copy_and_clear(to, vr_slot_addr(pool, first), size);
	pool->slots[first].size = 0;
	pool->slots[first].orig = NULL;

	spin_lock_irqsave(&area->lock, flags);
	bitmap_clear(pool->bitmap, first, n);
	area->used -= n;
	area->from = min(area->from, first);
	if (first + n > small)
		area->from_small = min(area->from_small, max(first, small));
	spin_unlock_irqrestore(&area->lock, flags);
}

/**
 * vr_pool_find() - the mapping in which an address lies
 * @pool: the device's
 * @addr: as the device addresses it
 * @offset: filled: bytes from the mapping's first byte to @addr
 *
 * Return: the mapping's first slot, or -ENOENT.
 */
int vr_pool_find(const struct vr_pool *pool, dma_addr_t addr, size_t *offset)
{
	unsigned int first;

	if (addr < pool->dma_base || addr - pool->dma_base >= pool->range.size)
		return -ENOENT;
	first = pool->slots[(addr - pool->dma_base) >> VR_SLOT_SHIFT].first;
	*offset = addr - vr_slot_dma(pool, first);
	if (addr < vr_slot_dma(pool, first) ||
	    *offset >= pool->slots[first].size)
		return -ENOENT;
	return first;
}

/** vr_pool_used() - how many bytes of a pool are taken, at about this time */
unsigned long vr_pool_used(struct vr_pool *pool)
{
	unsigned long used = 0;
	unsigned int i;

	for (i = 0; i < pool->n_areas; i++)
		used += READ_ONCE(pool->areas[i].used);
	return used << VR_SLOT_SHIFT;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slots of a pool.
 *
 * A slot is a bit of a bitmap, taken and given back by one atomic operation:
 * there is no lock, and any context will do. A CPU takes slots in ascending
 * order from a word of the bitmap that was empty when it came there, so that CPUs
 * do not meet, nothing is searched, and the pages of a request adjoin: one
 * piece of memory for the device, whatever the driver's were. When the word is
 * used up, it goes on with the next one, if it is in the middle of a request and
 * that is empty, else with the first that is empty again.
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

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "virtio_restricted.h"

#define VR_MAX_MAPPING_MIN	SZ_64K
#define VR_MAX_MAPPING_MAX	SZ_1M

/* A CPU that has little in flight goes so many slots ahead, and begins again: a
 * few of the longest requests, and no more than a cache holds. */
#define VR_AHEAD		1024

/* A CPU looks what is in use once for each such part of the pool (1 / VR_LOOK). */
#define VR_LOOK			8

/* An eighth of the pool is small slots. */
static void vr_pool_divide(struct vr_pool *pool, bool few_long)
{
	size_t share = few_long ? pool->range.size : pool->range.size / 16;
	struct vr_part *pages = &pool->part[VR_PAGES];
	struct vr_part *small = &pool->part[VR_SMALL];
	size_t n = pool->range.size >> PAGE_SHIFT;

	pages->end = n - DIV_ROUND_UP(n, 8);
	small->start = ALIGN(pages->end, BITS_PER_LONG);
	small->offset = (size_t)pages->end << PAGE_SHIFT;
	small->end = small->start +
		     ((pool->range.size - small->offset) >> VR_SMALL_SHIFT);

	/*
	 * A sixteenth, so that several long mappings fit at the same time;
	 * never more than half of the pages.
	 */
	pool->max_mapping = clamp_t(size_t, rounddown_pow_of_two(share),
				    VR_MAX_MAPPING_MIN, VR_MAX_MAPPING_MAX);
	pool->max_mapping = min_t(size_t, pool->max_mapping,
				  small->offset / 2 & PAGE_MASK);
}

/* What is no slot, at the parts' ends, is taken for ever. */
static int vr_pool_make_slots(struct vr_pool *pool)
{
	const struct vr_part *pages = &pool->part[VR_PAGES];
	const struct vr_part *small = &pool->part[VR_SMALL];
	unsigned int n = ALIGN(small->end, BITS_PER_LONG);

	pool->bitmap = kvcalloc(n / BITS_PER_LONG, sizeof(long), GFP_KERNEL);
	pool->slots = kvcalloc(n, sizeof(*pool->slots), GFP_KERNEL);
	if (!pool->bitmap || !pool->slots)
		return -ENOMEM;
	bitmap_set(pool->bitmap, pages->end, small->start - pages->end);
	bitmap_set(pool->bitmap, small->end, n - small->end);
	return 0;
}

/* The slot where a CPU begins, at a word of its own if there are so many. */
static unsigned int vr_home(const struct vr_part *part, unsigned int cpu)
{
	unsigned int words = (part->end - part->start) / BITS_PER_LONG;

	return part->start + (u64)words * cpu / num_possible_cpus() *
				     BITS_PER_LONG;
}

static int vr_pool_make_cursors(struct vr_pool *pool)
{
	unsigned int cpu, i;

	pool->cursors = alloc_percpu(struct vr_cursor);
	if (!pool->cursors)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct vr_cursor *cursor = per_cpu_ptr(pool->cursors, cpu);

		for (i = 0; i < VR_PARTS; i++)
			cursor->next[i] = vr_home(&pool->part[i], cpu);
		/* Runs keep away from single pages, which want empty words. */
		cursor->run = (vr_home(&pool->part[VR_PAGES], cpu) +
			       vr_home(&pool->part[VR_PAGES], cpu + 1)) / 2;
	}
	return 0;
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
	vr_pool_divide(pool, few_long);

	pool->vaddr = memremap(range->base, range->size, MEMREMAP_WB);
	if (!pool->vaddr || vr_pool_make_slots(pool) ||
	    vr_pool_make_cursors(pool)) {
		vr_pool_exit(pool);
		return -ENOMEM;
	}
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
		if (pool->cursors && vr_pool_used(pool))
			memset(pool->vaddr, 0, pool->range.size);
		memunmap(pool->vaddr);
	}
	free_percpu(pool->cursors);
	kvfree(pool->slots);
	kvfree(pool->bitmap);
}

/* The first free slot of a word from @slot on, taken; or -ENOSPC. */
static __always_inline int vr_take_in_word(struct vr_pool *pool, unsigned int slot)
{
	unsigned long *word = &pool->bitmap[slot / BITS_PER_LONG];
	unsigned long from = ~0UL << slot % BITS_PER_LONG;
	unsigned long old = READ_ONCE(*word);
	unsigned int bit;

	do {
		if (!(~old & from))
			return -ENOSPC;
		bit = __ffs(~old & from);
	} while (!try_cmpxchg_acquire(word, &old, old | 1UL << bit));
	return round_down(slot, BITS_PER_LONG) + bit;
}

/*
 * The first slot of a word from @slot up to @end, taken: of one where all are
 * free, or of any. -ENOSPC: there is none.
 */
static int vr_take_from(struct vr_pool *pool, unsigned int slot,
			unsigned int end, bool empty)
{
	int ret = -ENOSPC;

	for (; slot < end && ret < 0; slot += BITS_PER_LONG) {
		unsigned long word =
			READ_ONCE(pool->bitmap[slot / BITS_PER_LONG]);

		if (empty ? !word : word != ~0UL)
			ret = vr_take_in_word(pool, slot);
	}
	return ret;
}

/*
 * Whether the word that begins with @next is to be tried first. Of the word before
 * it slots are in use, so the others of their request may be wanted now.
 */
static bool vr_goes_ahead(const struct vr_pool *pool,
			  const struct vr_part *part, unsigned int home,
			  unsigned int next)
{
	if (next % BITS_PER_LONG || next <= home || next >= part->end)
		return false;
	return READ_ONCE(pool->bitmap[next / BITS_PER_LONG - 1]) &&
	       (next - home < VR_AHEAD ||
		READ_ONCE(pool->bitmap[home / BITS_PER_LONG]));
}

/*
 * A slot of another word: of the next one; of the first that is empty, as seen
 * from the CPU's home; else of the next with a free one, so that a pool where all
 * words are in use is not gone through for each slot.
 */
static int vr_take_elsewhere(struct vr_pool *pool, const struct vr_part *part,
			     unsigned int next)
{
	unsigned int home = vr_home(part, raw_smp_processor_id());
	unsigned int last = round_down(next, BITS_PER_LONG);
	int ret = -ENOSPC;

	if (vr_goes_ahead(pool, part, home, next))
		ret = vr_take_from(pool, next, next + 1, true);
	if (ret < 0)
		ret = vr_take_from(pool, home, part->end, true);
	if (ret < 0)
		ret = vr_take_from(pool, part->start, home, true);
	if (ret < 0)
		ret = vr_take_from(pool, last, part->end, false);
	if (ret < 0)
		ret = vr_take_from(pool, part->start, last, false);
	return ret;
}

static void vr_note_high_water(struct vr_pool *pool)
{
	unsigned long used = vr_pool_used(pool);

	if (used > READ_ONCE(pool->high_water))
		WRITE_ONCE(pool->high_water, used);
}

/*
 * A CPU goes on to another word, or has taken a run. All of the bitmap is looked
 * at, so this is not done each time.
 */
static void vr_look(struct vr_pool *pool, struct vr_cursor *cursor)
{
	unsigned int words = READ_ONCE(cursor->words);

	if (!words)
		vr_note_high_water(pool);
	if (++words > pool->part[VR_SMALL].end / BITS_PER_LONG / VR_LOOK)
		words = 0;
	WRITE_ONCE(cursor->words, words);
}

static noinline int vr_go_on(struct vr_pool *pool, struct vr_cursor *cursor,
			     unsigned int kind, unsigned int next)
{
	int ret = vr_take_elsewhere(pool, &pool->part[kind], next);

	vr_look(pool, cursor);
	if (ret >= 0)
		WRITE_ONCE(cursor->next[kind], ret + 1);
	return ret;
}

static __always_inline int vr_take_one(struct vr_pool *pool, unsigned int kind)
{
	struct vr_cursor *cursor = raw_cpu_ptr(pool->cursors);
	unsigned int next = READ_ONCE(cursor->next[kind]);
	int ret = -ENOSPC;

	/* A multiple is another word's first slot. */
	if (likely(next % BITS_PER_LONG))
		ret = vr_take_in_word(pool, next);
	if (unlikely(ret < 0))
		return vr_go_on(pool, cursor, kind, next);
	WRITE_ONCE(cursor->next[kind], ret + 1);
	return ret;
}

/* The bits of @first's word that belong to @n slots from there on. */
static unsigned long vr_word_mask(unsigned int first, unsigned int n)
{
	unsigned int bit = first % BITS_PER_LONG;

	n = min_t(unsigned int, n, BITS_PER_LONG - bit);
	return (~0UL >> (BITS_PER_LONG - n)) << bit;
}

static void vr_release(struct vr_pool *pool, unsigned int first, unsigned int n)
{
	unsigned int end = first + n, slot;

	/* What was done to the slots comes before they are anybody's. */
	smp_mb__before_atomic();
	for (slot = first; slot < end;
	     slot = round_down(slot, BITS_PER_LONG) + BITS_PER_LONG)
		atomic_long_andnot(vr_word_mask(slot, end - slot),
				   (atomic_long_t *)&pool->bitmap[slot /
								  BITS_PER_LONG]);
}

static bool vr_claim_in_word(struct vr_pool *pool, unsigned int slot,
			     unsigned long mask)
{
	unsigned long *word = &pool->bitmap[slot / BITS_PER_LONG];
	unsigned long old = READ_ONCE(*word);

	do {
		if (old & mask)
			return false;
	} while (!try_cmpxchg_acquire(word, &old, old | mask));
	return true;
}

/* All of them, or none. */
static bool vr_claim(struct vr_pool *pool, unsigned int first, unsigned int n)
{
	unsigned int end = first + n, slot;

	for (slot = first; slot < end;
	     slot = round_down(slot, BITS_PER_LONG) + BITS_PER_LONG) {
		if (!vr_claim_in_word(pool, slot,
				      vr_word_mask(slot, end - slot))) {
			vr_release(pool, first, slot - first);
			return false;
		}
	}
	return true;
}

/*
 * Pages that adjoin: first fit. Where another CPU is faster the search goes on
 * behind; what it gives back meanwhile is found by the second round, from the
 * first page on.
 */
static noinline int vr_take_run(struct vr_pool *pool, unsigned int n,
				unsigned int align)
{
	struct vr_cursor *cursor = raw_cpu_ptr(pool->cursors);
	unsigned int offset = (pool->range.base >> PAGE_SHIFT) & (align - 1);
	unsigned int end = pool->part[VR_PAGES].end;
	unsigned long from = READ_ONCE(cursor->run), found;
	bool again = from > 0;

	for (;;) {
		found = bitmap_find_next_zero_area_off(pool->bitmap, end, from,
						       n, align - 1, offset);
		if (found + n <= end) {
			if (vr_claim(pool, found, n))
				break;
			from = found + 1;
		} else if (again) {
			again = false;
			from = 0;
		} else {
			return -ENOSPC;
		}
	}
	WRITE_ONCE(cursor->run, found + n);
	vr_look(pool, cursor);
	return found;
}

static __always_inline int vr_take(struct vr_pool *pool, size_t size,
				   size_t align)
{
	int ret;

	if (size <= VR_SMALL_SIZE && align <= VR_SMALL_SIZE) {
		ret = vr_take_one(pool, VR_SMALL);
		if (likely(ret >= 0))
			return ret;
	}
	if (size <= PAGE_SIZE && align <= PAGE_SIZE)
		return vr_take_one(pool, VR_PAGES);
	return vr_take_run(pool, PAGE_ALIGN(size) >> PAGE_SHIFT,
			   align >> PAGE_SHIFT);
}

/**
 * vr_pool_get() - take slots that adjoin
 * @pool: from which
 * @size: bytes, more than 0
 * @align: of their address; a power of two, VR_SMALL_SIZE or PAGE_SIZE or more
 * @orig: the driver's buffer, or NULL
 *
 * Context: any.
 * Return: the first slot, or -ENOSPC (counted).
 */
int vr_pool_get(struct vr_pool *pool, size_t size, size_t align, void *orig)
{
	int first = size <= pool->range.size ? vr_take(pool, size, align) :
					       -ENOSPC;
	struct vr_slot *slot;
	unsigned int i;

	if (unlikely(first < 0)) {
		atomic64_inc(&pool->failed);
		return -ENOSPC;
	}
	slot = &pool->slots[first];
	slot->orig = orig;
	slot->size = size;
	slot->first = first;
	for (i = 1; i < PAGE_ALIGN(size) >> PAGE_SHIFT; i++)
		slot[i].first = first;
	return first;
}

/* Page by page, so that what is cleared has just been read. */
static noinline void vr_put_run(struct vr_pool *pool, unsigned int first,
				void *addr, size_t size, void *to)
{
	struct vr_cursor *cursor = raw_cpu_ptr(pool->cursors);
	size_t done, part;

	for (done = 0; done < size; done += part) {
		part = min_t(size_t, size - done, PAGE_SIZE);
		if (to)
			memcpy(to + done, addr + done, part);
		if (part == PAGE_SIZE)
			clear_page(addr + done);
		else
			memset(addr + done, 0, part);
	}
	pool->slots[first].size = 0;
	vr_release(pool, first, PAGE_ALIGN(size) >> PAGE_SHIFT);
	if (first < READ_ONCE(cursor->run))
		WRITE_ONCE(cursor->run, first);
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
	u32 size = pool->slots[first].size;
	void *addr = vr_slot_addr(pool, first);

	if (size <= PAGE_SIZE)
		vr_pool_put_one(pool, first, addr, size, to);
	else
		vr_put_run(pool, first, addr, size, to);
}

static unsigned int vr_slot_of(const struct vr_pool *pool, size_t offset)
{
	const struct vr_part *small = &pool->part[VR_SMALL];

	if (offset < small->offset)
		return offset >> PAGE_SHIFT;
	return small->start + ((offset - small->offset) >> VR_SMALL_SHIFT);
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
	first = pool->slots[vr_slot_of(pool, addr - pool->dma_base)].first;
	*offset = addr - vr_slot_dma(pool, first);
	if (addr < vr_slot_dma(pool, first) ||
	    *offset >= pool->slots[first].size)
		return -ENOENT;
	return first;
}

static size_t vr_taken(const struct vr_pool *pool, const struct vr_part *part)
{
	return bitmap_weight(pool->bitmap + part->start / BITS_PER_LONG,
			     part->end - part->start);
}

/** vr_pool_used() - how many bytes of a pool are taken, at about this time */
unsigned long vr_pool_used(struct vr_pool *pool)
{
	return vr_taken(pool, &pool->part[VR_PAGES]) * PAGE_SIZE +
	       vr_taken(pool, &pool->part[VR_SMALL]) * VR_SMALL_SIZE;
}

/** vr_pool_high_water() - the most that was seen to be taken; at about that */
unsigned long vr_pool_high_water(struct vr_pool *pool)
{
	vr_note_high_water(pool);
	return READ_ONCE(pool->high_water);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pool and its slots: pool.c, and here what a buffer of at most a page takes,
 * as most are. That is done for each of a request's buffers, so it is in line
 * with what maps them (dma.c), and no more than it has to be.
 */
#ifndef VIRTIO_RESTRICTED_POOL_H
#define VIRTIO_RESTRICTED_POOL_H

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/types.h>

/*
 * Slots are the unit of allocation: pages, and small ones for the many small
 * buffers of virtio (a request's header, its status, its table of descriptors).
 * The size of those is a multiple of what a block device wants its data
 * aligned to.
 */
#define VR_SMALL_SHIFT	10
#define VR_SMALL_SIZE	(1UL << VR_SMALL_SHIFT)

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
 * struct vr_part - slots of one size
 * @start: first slot, a multiple of BITS_PER_LONG
 * @end: slot behind the last
 * @offset: of the first slot from the pool's first byte
 */
struct vr_part {
	unsigned int start;
	unsigned int end;
	size_t offset;
};

enum { VR_PAGES, VR_SMALL, VR_PARTS };

/**
 * struct vr_cursor - where a CPU looks for free slots
 * @next: slot behind the last that was taken, by part
 * @run: no run of pages is free before it
 * @words: words and runs that it went on to since it looked what is in use
 *
 * Hints: whatever they say, what is taken is decided in the pool's bitmap.
 */
struct vr_cursor {
	unsigned int next[VR_PARTS];
	unsigned int run;
	unsigned int words;
};

/**
 * struct vr_pool - a pool and its slots
 * @range: where it is
 * @dma_base: @range.base as the device addresses it
 * @vaddr: where the kernel has it mapped
 * @max_mapping: the longest mapping that is promised to fit into an empty
 *		 pool, bytes
 * @part: its slots, by size
 * @bitmap: a bit per slot, set when it is taken or there is none
 * @slots: a record per slot
 * @cursors: by CPU
 * @high_water: the most bytes that were seen in use
 * @failed: requests for slots that could not be met
 */
struct vr_pool {
	struct vr_range range;
	dma_addr_t dma_base;
	void *vaddr;
	size_t max_mapping;
	struct vr_part part[VR_PARTS];
	unsigned long *bitmap;
	struct vr_slot *slots;
	struct vr_cursor __percpu *cursors;
	unsigned long high_water;
	atomic64_t failed;
};

int vr_pool_init(struct vr_pool *pool, const struct vr_range *range,
		 dma_addr_t dma_base, bool few_long);
void vr_pool_exit(struct vr_pool *pool);
int vr_pool_get(struct vr_pool *pool, size_t size, size_t align, void *orig);
void vr_pool_put(struct vr_pool *pool, unsigned int first, void *to);
int vr_pool_find(const struct vr_pool *pool, dma_addr_t addr, size_t *offset);
unsigned long vr_pool_used(struct vr_pool *pool);
unsigned long vr_pool_high_water(struct vr_pool *pool);

static inline size_t vr_slot_offset(const struct vr_pool *pool,
				    unsigned int slot)
{
	const struct vr_part *small = &pool->part[VR_SMALL];

	if (slot < small->start)
		return (size_t)slot << PAGE_SHIFT;
	return small->offset + ((size_t)(slot - small->start) << VR_SMALL_SHIFT);
}

static inline void *vr_slot_addr(const struct vr_pool *pool, unsigned int slot)
{
	return pool->vaddr + vr_slot_offset(pool, slot);
}

static inline dma_addr_t vr_slot_dma(const struct vr_pool *pool,
				     unsigned int slot)
{
	return pool->dma_base + vr_slot_offset(pool, slot);
}

/**
 * vr_pool_at() - the mapping that begins at an address
 * @pool: the device's
 * @addr: as the device addresses it
 *
 * Return: its first slot, or -ENOENT.
 */
static __always_inline int vr_pool_at(const struct vr_pool *pool,
				      dma_addr_t addr)
{
	const struct vr_part *small = &pool->part[VR_SMALL];
	u64 offset = addr - pool->dma_base; /* huge when @addr is below */
	size_t rest = offset % PAGE_SIZE;
	unsigned int slot;

	if (offset >= pool->range.size)
		return -ENOENT;
	if (offset < small->offset) {
		slot = offset >> PAGE_SHIFT;
	} else {
		slot = small->start +
		       ((offset - small->offset) >> VR_SMALL_SHIFT);
		rest %= VR_SMALL_SIZE;
	}
	if (rest || !pool->slots[slot].size || pool->slots[slot].first != slot)
		return -ENOENT;
	return slot;
}

/* What is cleared at once of buffers that are not longer. */
#define VR_TINY			64

/**
 * vr_pool_get_near() - take the slot that is next for this CPU
 * @pool: from which
 * @kind: VR_PAGES or VR_SMALL
 * @size: bytes, more than 0 and no more than it has
 * @orig: the driver's buffer, or NULL
 *
 * Context: any.
 * Return: the slot, or -ENOSPC: it is none or taken, but vr_pool_get() may find
 *	   another one.
 */
static __always_inline int vr_pool_get_near(struct vr_pool *pool,
					    unsigned int kind, size_t size,
					    void *orig)
{
	struct vr_cursor *cursor = raw_cpu_ptr(pool->cursors);
	unsigned int next = READ_ONCE(cursor->next[kind]);
	struct vr_slot *slot;

	/* A multiple is another word's first slot. */
	if (unlikely(!(next % BITS_PER_LONG) ||
		     test_and_set_bit_lock(next, pool->bitmap)))
		return -ENOSPC;
	WRITE_ONCE(cursor->next[kind], next + 1);
	slot = &pool->slots[next];
	slot->orig = orig;
	slot->size = size;
	slot->first = next;
	return next;
}

/**
 * vr_pool_put_one() - clear a slot and give it back
 * @pool: to which
 * @slot: which; the caller has it, and it is all of a mapping
 * @addr: where it is
 * @size: bytes in use
 * @to: where to copy them before, or NULL
 *
 * Context: any.
 */
static __always_inline void vr_pool_put_one(struct vr_pool *pool,
					    unsigned int slot, void *addr,
					    size_t size, void *to)
{
	u64 *word = addr;
	unsigned int i;

	if (to)
		memcpy(to, addr, size);
	if (size == PAGE_SIZE)
		clear_page(addr); /* the fastest way on each processor */
	else if (size > VR_TINY)
		memset(addr, 0, size);
	else
		for (i = 0; i < VR_TINY / sizeof(*word); i++)
			word[i] = 0;
	pool->slots[slot].size = 0;
	clear_bit_unlock(slot, pool->bitmap);
}

#endif /* VIRTIO_RESTRICTED_POOL_H */

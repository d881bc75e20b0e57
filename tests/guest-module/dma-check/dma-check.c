// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps and unmaps memory for a device as a driver would, and looks into the
 * device's pool as the backend could: insmod dma-check.ko device=NAME
 * base=ADDRESS size=BYTES. The device may be in use. Prints a line per check;
 * cannot be loaded when one of them fails.
 *
 * For a device with an IOMMU as well there are other checks, with mixed=BYTES:
 * the length from which buffers are mapped instead of copied. Those without
 * hold when that length is longer than any buffer.
 */

#define pr_fmt(fmt) "dma-check: " fmt

#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

/* What must never be seen in the pool. */
#define SECRET	0x5ec7e75ec7e75ec7ULL
#define DATA	0x1122334455667788ULL

static char *device;
module_param(device, charp, 0400);
static ulong base;
module_param(base, ulong, 0400);
static ulong size;
module_param(size, ulong, 0400);
static ulong mixed;
module_param(mixed, ulong, 0400);

static struct device *dev;
static u8 *pool;

static void fill(void *at, size_t bytes, u64 value)
{
	u64 *p = at;

	for (size_t i = 0; i < bytes / sizeof(*p); i++)
		p[i] = value;
}

static bool holds(const void *at, size_t bytes, u64 value)
{
	const u64 *p = at;

	for (size_t i = 0; i < bytes / sizeof(*p); i++) {
		if (READ_ONCE(p[i]) != value)
			return false;
	}
	return true;
}

static bool secret_in_pool(void)
{
	const u64 *p = (const u64 *)pool;

	for (size_t i = 0; i < size / sizeof(*p); i++) {
		if (READ_ONCE(p[i]) == SECRET)
			return true;
	}
	return false;
}

static bool in_pool(dma_addr_t addr, size_t bytes)
{
	return addr >= base && bytes <= size && addr - base <= size - bytes;
}

/* What the IOMMU lets the device reach at an address; 0 for nothing. */
static phys_addr_t reached(dma_addr_t addr)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return mixed && domain ? iommu_iova_to_phys(domain, addr) : 0;
}

/* Where the backend sees an address; NULL when it does not. */
static u8 *seen(dma_addr_t addr, size_t bytes)
{
	phys_addr_t phys;

	if (in_pool(addr, bytes))
		return pool + (addr - base);
	phys = reached(addr);
	if (!phys)
		return NULL;
	for (size_t i = 0; i < bytes; i += PAGE_SIZE) {
		if (reached(addr + i) != phys + i)
			return NULL;
	}
	return phys_to_virt(phys);
}

/* A check returns what went wrong, or NULL. */

static const char *rings(void)
{
	static const size_t sizes[] = { 1, SZ_4K, SZ_4K * 3, SZ_64K };

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t bytes = PAGE_ALIGN(sizes[i]);
		dma_addr_t addr;
		void *mem = dma_alloc_coherent(dev, sizes[i], &addr, GFP_KERNEL);
		u8 *slot;

		if (!mem)
			return "no memory";
		slot = seen(addr, bytes);
		if (!slot)
			return "not in the pool";
		if (addr & (roundup_pow_of_two(bytes) - 1))
			return "not aligned";
		if (!holds(mem, bytes, 0))
			return "not cleared";
		fill(mem, bytes, DATA);
		if (!holds(slot, bytes, DATA))
			return "the device does not see it";
		dma_free_coherent(dev, sizes[i], mem, addr);
		if (!holds(slot, bytes, 0))
			return "not cleared when it was freed";
	}
	return NULL;
}

static const char *to_device(void)
{
	u8 *page = (u8 *)__get_free_page(GFP_KERNEL);
	const char *why = NULL;
	dma_addr_t addr;
	u8 *slot;

	if (!page)
		return "no page";
	fill(page, PAGE_SIZE, SECRET);
	fill(page + 504, 104, DATA);
	addr = dma_map_single(dev, page + 504, 104, DMA_TO_DEVICE);
	slot = dma_mapping_error(dev, addr) ? NULL : seen(addr, 104);
	if (!slot)
		why = "not mapped";
	else if (!holds(slot, 104, DATA))
		why = "other contents";
	else if (secret_in_pool())
		why = "a neighbour is in the pool";
	if (slot) {
		fill(slot, 104, SECRET); /* the device writes all the same */
		dma_unmap_single(dev, addr, 104, DMA_TO_DEVICE);
		if (!why && !holds(page + 504, 104, DATA))
			why = "the device wrote to what it may only read";
		if (!why && !holds(slot, 104, 0))
			why = "not cleared when it was unmapped";
	}
	fill(page, PAGE_SIZE, 0);
	free_page((unsigned long)page);
	return why;
}

/* Several pages and a rest: all of it comes back, in order, and is cleared. */
static const char *from_device_long(void)
{
	const size_t bytes = SZ_8K + 520;
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, 2);
	const char *why = NULL;
	dma_addr_t addr;
	u8 *slot;

	if (!mem)
		return "no pages";
	fill(mem, SZ_16K, SECRET);
	addr = dma_map_single(dev, mem + 512, bytes, DMA_FROM_DEVICE);
	slot = dma_mapping_error(dev, addr) ? NULL : seen(addr, bytes);
	if (!slot)
		why = "not mapped";
	if (slot) {
		for (size_t i = 0; i < bytes; i += 8)
			*(u64 *)(slot + i) = i + 1;
		dma_unmap_single(dev, addr, bytes, DMA_FROM_DEVICE);
		for (size_t i = 0; i < bytes; i += 8) {
			if (*(u64 *)(mem + 512 + i) != i + 1)
				why = "other contents of several pages";
		}
		if (!holds(mem, 512, SECRET) ||
		    !holds(mem + 512 + bytes, SZ_16K - 512 - bytes, SECRET))
			why = "a neighbour of several pages was written";
		if (!holds(slot, bytes, 0))
			why = "several pages are not cleared";
	}
	fill(mem, SZ_16K, 0);
	free_pages((unsigned long)mem, 2);
	return why;
}

static const char *from_device(void)
{
	u8 *page = (u8 *)__get_free_page(GFP_KERNEL);
	const char *why = NULL;
	dma_addr_t addr;
	u8 *slot;

	if (!page)
		return "no page";
	fill(page, PAGE_SIZE, SECRET);
	addr = dma_map_single(dev, page + 1024, 2048, DMA_FROM_DEVICE);
	slot = dma_mapping_error(dev, addr) ? NULL : seen(addr, 2048);
	if (!slot)
		why = "not mapped";
	else if (secret_in_pool())
		why = "the buffer's old contents are in the pool";
	else if (!holds(slot, 2048, 0))
		why = "the slots are not clear";
	if (slot) {
		fill(slot, 512, DATA); /* less than all of it */
		dma_unmap_single(dev, addr, 2048, DMA_FROM_DEVICE);
		if (!why && !holds(page + 1024, 512, DATA))
			why = "other contents";
		if (!why && !holds(page + 1024 + 512, 2048 - 512, 0))
			why = "what the device did not write is not zero";
		if (!why && (!holds(page, 1024, SECRET) ||
			     !holds(page + 3072, 1024, SECRET)))
			why = "a neighbour was written";
		if (!why && !holds(slot, 2048, 0))
			why = "not cleared when it was unmapped";
	}
	fill(page, PAGE_SIZE, 0);
	free_page((unsigned long)page);
	return why ?: from_device_long();
}

static const char *parts(void)
{
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, 1);
	const char *why = NULL;
	dma_addr_t addr;
	u8 *slot;

	if (!mem)
		return "no pages";
	fill(mem, SZ_8K, 1);
	addr = dma_map_single(dev, mem, SZ_8K, DMA_BIDIRECTIONAL);
	slot = dma_mapping_error(dev, addr) ? NULL : seen(addr, SZ_8K);
	if (!slot) {
		why = "not mapped";
		goto out;
	}
	if (!holds(slot, SZ_8K, 1))
		why = "not copied when it was mapped";
	fill(slot, SZ_8K, 2);
	dma_sync_single_range_for_cpu(dev, addr, 3072, 1024, DMA_BIDIRECTIONAL);
	if (!holds(mem + 3072, 1024, 2) || !holds(mem, 3072, 1) ||
	    !holds(mem + 4096, 4096, 1))
		why = "another part was copied out";
	fill(mem + 5120, 512, 3);
	dma_sync_single_range_for_device(dev, addr, 5120, 512,
					 DMA_BIDIRECTIONAL);
	if (!holds(slot + 5120, 512, 3) || !holds(slot, 5120, 2) ||
	    !holds(slot + 5632, SZ_8K - 5632, 2))
		why = "another part was copied in";
	dma_unmap_single_attrs(dev, addr, SZ_8K, DMA_BIDIRECTIONAL,
			       DMA_ATTR_SKIP_CPU_SYNC);
	if (!holds(mem, 3072, 1))
		why = "copied out without being asked to";
out:
	free_pages((unsigned long)mem, 1);
	return why;
}

static const char *longest(void)
{
	size_t max = dma_max_mapping_size(dev);
	const char *why = NULL;
	dma_addr_t addr;
	u8 *mem, *slot;

	if (max > SZ_4M || max < SZ_64K)
		return "no sensible longest mapping";
	mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(2 * max));
	if (!mem)
		return "no pages";
	fill(mem, max, DATA);
	addr = dma_map_single(dev, mem, max, DMA_TO_DEVICE);
	slot = dma_mapping_error(dev, addr) ? NULL : seen(addr, max);
	if (!slot)
		why = "not mapped";
	else if (addr & ~PAGE_MASK)
		why = "not at a page";
	else if (!holds(slot, max, DATA))
		why = "other contents";
	if (slot) {
		dma_unmap_single(dev, addr, max, DMA_TO_DEVICE);
		if (!why && !holds(slot, max, 0))
			why = "not cleared when it was unmapped";
	}
	addr = dma_map_single(dev, mem, max + 1, DMA_TO_DEVICE);
	if (!dma_mapping_error(dev, addr))
		why = "a longer one can be mapped";
	free_pages((unsigned long)mem, get_order(2 * max));
	pr_info("longest mapping: %zu KiB\n", max >> 10);
	return why;
}

static const char *scattered(void)
{
	size_t max = dma_max_mapping_size(dev);
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, 2);
	struct scatterlist list[3];
	const char *why = NULL;

	if (!mem)
		return "no pages";
	fill(mem, SZ_16K, DATA);
	sg_init_table(list, 3);
	sg_set_buf(&list[0], mem, 512);
	sg_set_buf(&list[1], mem + 4096, 8192);
	sg_set_buf(&list[2], mem + 12288, 16);
	if (dma_map_sg(dev, list, 3, DMA_TO_DEVICE) != 3) {
		why = "not mapped";
	} else {
		for (int i = 0; i < 3; i++) {
			u8 *slot = seen(sg_dma_address(&list[i]),
					sg_dma_len(&list[i]));

			if (!slot || sg_dma_len(&list[i]) != list[i].length ||
			    !holds(slot, list[i].length, DATA))
				why = "other contents";
		}
		dma_unmap_sg(dev, list, 3, DMA_TO_DEVICE);
	}
	/* The last cannot be mapped: neither are the others then. */
	list[2].length = max + 1;
	if (dma_map_sg(dev, list, 3, DMA_TO_DEVICE))
		why = "too long an entry can be mapped";
	free_pages((unsigned long)mem, 2);
	return why;
}

/* All that can be had in pieces of one size; then all of it given back. */
static const char *fill_up(u8 *mem, size_t bytes, dma_addr_t *addr, size_t max)
{
	size_t n = 0;

	while (n < max) {
		addr[n] = dma_map_single(dev, mem, bytes, DMA_TO_DEVICE);
		if (dma_mapping_error(dev, addr[n]))
			break;
		n++;
	}
	for (size_t i = 0; i < n; i++)
		dma_unmap_single(dev, addr[i], bytes, DMA_TO_DEVICE);
	pr_info("%zu mappings of %zu bytes fit\n", n, bytes);
	if (n == max)
		return "more fits than there is";
	/*
	 * Rings and other requests have some. An eighth of the pool is in small
	 * slots, else a small buffer takes a page.
	 */
	return n * max(bytes, 1024UL) < size / 4 ? "too little fits" : NULL;
}

static const char *full(void)
{
	size_t max = dma_max_mapping_size(dev), n = size / 1024 + 1;
	dma_addr_t *addr = kvmalloc_array(n, sizeof(*addr), GFP_KERNEL);
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(max));
	const char *why = "no memory";

	if (addr && mem) {
		why = fill_up(mem, 64, addr, n);
		if (!why)
			why = fill_up(mem, 4096, addr, n);
		if (!why)
			why = fill_up(mem, 5000, addr, n);
		if (!why)
			why = fill_up(mem, max, addr, n);
	}
	free_pages((unsigned long)mem, get_order(max));
	kvfree(addr);
	return why;
}

/* All CPUs at once, so that the pool runs full and is given back by others. */

#define HELD	24

struct worker {
	struct completion done;
	unsigned int id;
	unsigned long rounds;
	const char *why;
};

struct held {
	dma_addr_t addr;
	u32 bytes;
	u8 *mem;
};

static const char *check_held(struct held *h, u64 value)
{
	u8 *slot = seen(h->addr, h->bytes);
	const char *why = NULL;

	if (!slot || !holds(slot, h->bytes, value))
		why = "another CPU wrote to a mapping";
	dma_unmap_single(dev, h->addr, h->bytes, DMA_BIDIRECTIONAL);
	if (!why && !holds(h->mem, h->bytes, value))
		why = "another CPU's data came back";
	h->addr = 0;
	return why;
}

static int work(void *arg)
{
	struct worker *w = arg;
	struct held *held = kcalloc(HELD, sizeof(*held), GFP_KERNEL);
	unsigned long end = jiffies + HZ;
	u32 rnd = w->id * 2654435761U + 1;

	for (int i = 0; held && i < HELD; i++) {
		held[i].mem = (u8 *)__get_free_pages(GFP_KERNEL, 5);
		if (!held[i].mem)
			w->why = "no pages";
	}
	if (!held)
		w->why = "no memory";
	while (!w->why && time_before(jiffies, end)) {
		struct held *h;

		rnd = rnd * 1664525 + 1013904223;
		h = &held[(rnd >> 8) % HELD];
		if (h->addr) {
			w->why = check_held(h, (u64)(h - held) << 32 | w->id);
		} else {
			h->bytes = ((rnd >> 16) % (SZ_128K / 8) + 1) * 8;
			if (rnd >> 31)
				h->bytes = h->bytes % 1024 + 8;
			h->bytes &= ~7U;
			if (mixed && rnd & BIT(30))
				h->bytes = SZ_64K + (h->bytes & SZ_32K);
			fill(h->mem, h->bytes, (u64)(h - held) << 32 | w->id);
			h->addr = dma_map_single(dev, h->mem, h->bytes,
						 DMA_BIDIRECTIONAL);
			if (dma_mapping_error(dev, h->addr))
				h->addr = 0;
		}
		w->rounds++;
		cond_resched();
	}
	for (int i = 0; held && i < HELD; i++) {
		if (held[i].addr)
			check_held(&held[i], 0);
		free_pages((unsigned long)held[i].mem, 5);
	}
	kfree(held);
	complete(&w->done);
	return 0;
}

static const char *together(void)
{
	unsigned int n = num_online_cpus() * 2, i;
	struct worker *w = kcalloc(n, sizeof(*w), GFP_KERNEL);
	unsigned long rounds = 0;
	const char *why = NULL;

	if (!w)
		return "no memory";
	for (i = 0; i < n; i++) {
		struct task_struct *task;

		init_completion(&w[i].done);
		w[i].id = i + 1;
		task = kthread_run(work, &w[i], "dma-check/%u", i);
		if (IS_ERR(task)) {
			w[i].why = "no thread";
			complete(&w[i].done);
		}
	}
	for (i = 0; i < n; i++) {
		wait_for_completion(&w[i].done);
		rounds += w[i].rounds;
		if (w[i].why)
			why = w[i].why;
	}
	kfree(w);
	pr_info("%u threads, %lu rounds\n", n, rounds);
	return why;
}

/* Of a device with an IOMMU. */

/* Maps a buffer, and tells what is wrong about where it went. */
static const char *goes(u8 *mem, size_t bytes, bool copied)
{
	dma_addr_t addr = dma_map_single(dev, mem, bytes, DMA_TO_DEVICE);
	const char *why = NULL;
	u8 *slot;

	if (dma_mapping_error(dev, addr))
		return "not mapped";
	slot = seen(addr, bytes);
	if (!slot || memcmp(slot, mem, bytes))
		why = "the device sees something else";
	else if (copied && !in_pool(addr, bytes))
		why = "not copied";
	else if (!copied && (in_pool(addr, bytes) || slot != mem))
		why = "not mapped where it is";
	dma_unmap_single(dev, addr, bytes, DMA_TO_DEVICE);
	for (size_t i = 0; !why && i < bytes; i += PAGE_SIZE) {
		if (reached(addr + i))
			why = "still mapped";
	}
	return why;
}

static const char *which_way(void)
{
	size_t max = dma_max_mapping_size(dev);
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(2 * max));
	const char *why;

	if (!mem)
		return "no pages";
	fill(mem, 2 * max, DATA);
	why = goes(mem, mixed, false);
	if (!why)
		why = goes(mem, max, false);
	if (!why)
		why = goes(mem + PAGE_SIZE, mixed + PAGE_SIZE, false);
	if (!why)
		why = goes(mem, mixed - PAGE_SIZE, true);
	if (!why)
		why = goes(mem + 512, mixed, true);
	if (!why)
		why = goes(mem, mixed + 512, true);
	if (!why)
		why = goes(mem + 512, max - 512, true);
	free_pages((unsigned long)mem, get_order(2 * max));
	return why;
}

/* A page of our own, and the device's, beside each other. */
static const char *neighbours(void)
{
	size_t bytes = mixed + 2 * PAGE_SIZE;
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(bytes));
	const char *why = NULL;
	dma_addr_t addr;

	if (!mem)
		return "no pages";
	fill(mem, bytes, SECRET);
	fill(mem + 1024, mixed + 512, DATA);
	addr = dma_map_single(dev, mem + 1024, mixed + 512, DMA_FROM_DEVICE);
	if (dma_mapping_error(dev, addr)) {
		why = "not mapped";
	} else {
		if (!in_pool(addr, mixed + 512))
			why = "parts of pages are mapped";
		else if (secret_in_pool())
			why = "a neighbour is in the pool";
		dma_unmap_single(dev, addr, mixed + 512, DMA_FROM_DEVICE);
	}
	fill(mem, bytes, 0);
	free_pages((unsigned long)mem, get_order(bytes));
	return why;
}

/* Maps until there are no addresses left: the next buffer is copied. */
static const char *no_addresses(void)
{
	size_t max = dma_max_mapping_size(dev), n = 0;
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(max));
	const char *why = NULL;
	dma_addr_t addr[129]; /* of 128 MiB */

	if (!mem)
		return "no pages";
	fill(mem, max, DATA);
	for (; !why && n < ARRAY_SIZE(addr); n++) {
		u8 *slot;

		addr[n] = dma_map_single(dev, mem, max, DMA_TO_DEVICE);
		if (dma_mapping_error(dev, addr[n])) {
			why = "not copied when there were no addresses";
			break;
		}
		slot = seen(addr[n], max);
		if (!slot || !holds(slot, max, DATA))
			why = "the device sees something else";
		if (in_pool(addr[n], max)) {
			n++;
			break;
		}
	}
	pr_info("%zu mappings of %zu bytes, then a copy\n", n - 1, max);
	if (!why && (n < 4 || n == ARRAY_SIZE(addr)))
		why = "no sensible number of addresses";
	while (n--)
		dma_unmap_single(dev, addr[n], max, DMA_TO_DEVICE);
	if (!why)
		why = goes(mem, max, false);
	free_pages((unsigned long)mem, get_order(max));
	return why;
}

static const char *mixed_list(void)
{
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(2 * mixed));
	struct scatterlist list[3];
	const char *why = NULL;

	if (!mem)
		return "no pages";
	fill(mem, 2 * mixed, DATA);
	sg_init_table(list, 3);
	sg_set_buf(&list[0], mem + mixed, 16);
	sg_set_buf(&list[1], mem, mixed);
	sg_set_buf(&list[2], mem + mixed + 512, 1);
	if (dma_map_sg(dev, list, 3, DMA_BIDIRECTIONAL) != 3) {
		why = "not mapped";
	} else {
		for (int i = 0; i < 3; i++) {
			bool in = in_pool(sg_dma_address(&list[i]),
					  list[i].length);

			if (in != (i != 1))
				why = "the wrong ones are in the pool";
		}
		if (!why && seen(sg_dma_address(&list[1]), mixed) != mem)
			why = "not mapped where it is";
		dma_sync_sg_for_cpu(dev, list, 3, DMA_BIDIRECTIONAL);
		dma_sync_sg_for_device(dev, list, 3, DMA_BIDIRECTIONAL);
		dma_unmap_sg(dev, list, 3, DMA_BIDIRECTIONAL);
		if (!why && !holds(mem, mixed, DATA))
			why = "other contents";
	}
	free_pages((unsigned long)mem, get_order(2 * mixed));
	return why;
}

static dma_addr_t map(u8 *mem, size_t bytes)
{
	return dma_map_single(dev, mem, bytes, DMA_TO_DEVICE);
}

static void unmap(dma_addr_t addr, size_t bytes)
{
	dma_unmap_single(dev, addr, bytes, DMA_TO_DEVICE);
}

/*
 * What virtio_blk does with interrupts off, and a request of three segments:
 * two in one piece and another one. With @make it becomes a request.
 */
static const char *like_a_request(u8 *mem, bool make)
{
	const char *why = NULL;
	dma_addr_t addr[3], end;
	u8 *last = mem + 3 * mixed, *small = mem + 2 * mixed + 8;
	unsigned long flags;

	local_irq_save(flags);
	addr[0] = map(mem, mixed);
	addr[1] = map(mem + mixed, mixed);
	addr[2] = map(last, mixed);
	end = make ? map(small, 16) : DMA_MAPPING_ERROR;
	local_irq_restore(flags);

	for (int i = 0; i < 3; i++) {
		if (dma_mapping_error(dev, addr[i]))
			return "not mapped";
	}
	if (addr[1] != addr[0] + mixed || addr[2] != addr[1] + mixed)
		why = "not beside each other";
	if (make && (dma_mapping_error(dev, end) || !seen(end, 16) ||
		     seen(addr[0], 2 * mixed) != mem ||
		     seen(addr[2], mixed) != last))
		why = "the device sees something else";
	if (!make && reached(addr[0]))
		why = "mapped before it was a request";
	local_irq_save(flags);
	if (make)
		unmap(end, 16);
	for (int i = 0; i < 3; i++)
		unmap(addr[i], mixed);
	local_irq_restore(flags);
	for (int i = 0; i < 3; i++) {
		if (reached(addr[i]))
			why = "still mapped";
	}
	return why;
}

static const char *requests(void)
{
	u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL, get_order(4 * mixed));
	const char *why = NULL;

	if (!mem)
		return "no pages";
	for (int i = 0; !why && i < 100; i++)
		why = like_a_request(mem, i % 3);
	free_pages((unsigned long)mem, get_order(4 * mixed));
	return why;
}

struct check {
	const char *name;
	const char *(*run)(void);
};

static const struct check pool_checks[] = {
	{ "rings: in the pool, aligned, clear before and after", rings },
	{ "to the device: these bytes, no neighbours, clear after", to_device },
	{ "from the device: nothing old before, clear after", from_device },
	{ "parts of a mapping", parts },
	{ "the longest mapping", longest },
	{ "scattered buffers, all or none", scattered },
	{ "a full pool recovers", full },
	{ "all CPUs at once", together },
	{}
};

static const struct check mixed_checks[] = {
	{ "rings: in the pool, aligned, clear before and after", rings },
	{ "long whole pages mapped, others copied, nothing after", which_way },
	{ "no neighbours of a long buffer", neighbours },
	{ "copied when there are no addresses, and mapped again", no_addresses },
	{ "scattered buffers, each its way", mixed_list },
	{ "requests: made, and given up", requests },
	{ "all CPUs at once", together },
	{}
};

static int __init dma_check_init(void)
{
	const struct check *c = mixed ? mixed_checks : pool_checks;
	int failed = 0;

	dev = bus_find_device_by_name(&platform_bus_type, NULL, device);
#ifdef CONFIG_PCI
	if (!dev)
		dev = bus_find_device_by_name(&pci_bus_type, NULL, device);
#endif
	if (!dev) {
		pr_err("no device %s\n", device);
		return -ENODEV;
	}
	pool = memremap(base, size, MEMREMAP_WB);
	if (!pool) {
		put_device(dev);
		return -ENXIO;
	}
	for (; c->name; c++) {
		const char *why = c->run();

		if (why)
			failed++;
		pr_info("%s %s%s%s\n", why ? "FAILED" : "ok", c->name,
			why ? ": " : "", why ?: "");
	}
	memunmap(pool);
	put_device(dev);
	return failed ? -EIO : 0;
}

static void __exit dma_check_exit(void)
{
}

module_init(dma_check_init);
module_exit(dma_check_exit);

MODULE_DESCRIPTION("Looks into a restricted pool while memory is mapped");
MODULE_LICENSE("GPL");

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest module's slots and DMA operations (tools/guest-linux/pool.c, dma.c,
 * dmaops.c) under a driver and a device that do what the bytes say, beside a
 * simple account of the same: what is taken, by whom, and what has to be where.
 * It finds two mappings in one place, a mapping that is refused although there
 * is room, data that is not there, that stays, or that comes into the device's
 * reach without being its.
 */
#include "guest/kernel.h"
#include "input.h"

#include "../../tools/guest-linux/pool.c"

#include "../../tools/guest-linux/dma.c"

#include "../../tools/guest-linux/dmaops.c"

#define MAPPINGS 48u
#define BUFFERS  (256u * 1024)
#define BASE     UINT64_C(0x48003000) /* not aligned to much */
#define DMA      UINT64_C(0x1048003000)

struct mapping {
    bool used, allocated;
    dma_addr_t addr;
    size_t size;
    enum dma_data_direction dir;
    uint8_t *orig;
};

static struct vr_device vd;
static struct vr_stats stats[4];
static struct device dev;
static struct mapping maps[MAPPINGS];
static uint16_t *owner; /* of each KiB: its mapping's number + 1 */
static uint8_t buffers[BUFFERS];
static struct page pages[BUFFERS / PAGE_SIZE];
/* A device that writes where it has no business: then its memory says nothing
 * any more, but the driver's is as safe as before. */
static bool hostile;

static uint8_t *at(dma_addr_t addr)
{
    return (uint8_t *)vd.pool.vaddr + (addr - DMA);
}

/* How much of the pool a mapping takes: bytes. */
static size_t taken(dma_addr_t addr, size_t size)
{
    return addr - DMA < vd.pool.part[VR_SMALL].offset ? PAGE_ALIGN(size)
                                                      : VR_SMALL_SIZE;
}

static bool zero(const uint8_t *p, size_t n)
{
    return !n || (!*p && !memcmp(p, p + 1, n - 1));
}

/* ---- the account ---- */

static bool free_at(size_t offset, size_t size)
{
    size_t i;

    for (i = offset / VR_SMALL_SIZE; size; i++, size -= VR_SMALL_SIZE)
        if (owner[i])
            return false;
    return true;
}

/* Is there room? In pages, and what is small also in small slots. */
static bool room(size_t size, size_t align)
{
    const size_t pages = vd.pool.part[VR_SMALL].offset;
    size_t off;

    for (off = 0; off + PAGE_ALIGN(size) <= pages; off += PAGE_SIZE)
        if (!((BASE + off) & (max(align, PAGE_SIZE) - 1)) &&
            free_at(off, PAGE_ALIGN(size)))
            return true;
    if (size <= VR_SMALL_SIZE && align <= VR_SMALL_SIZE)
        for (off = pages; off < vd.pool.range.size; off += VR_SMALL_SIZE)
            if (free_at(off, VR_SMALL_SIZE))
                return true;
    return false;
}

static void take(struct mapping *m, size_t align)
{
    const size_t first = (m->addr - DMA) / VR_SMALL_SIZE;
    const size_t n = taken(m->addr, m->size) / VR_SMALL_SIZE;
    size_t i;

    m->used = true;
    REQUIRE(m->addr >= DMA && m->addr - DMA + m->size <= vd.pool.range.size,
            "outside of the pool");
    REQUIRE(!((BASE + (m->addr - DMA)) & (align - 1)), "not aligned");
    for (i = 0; i < n; i++) {
        REQUIRE(!owner[first + i], "two mappings in one place");
        owner[first + i] = m - maps + 1;
    }
}

static void give_back(struct mapping *m)
{
    const size_t bytes = taken(m->addr, m->size);

    memset(&owner[(m->addr - DMA) / VR_SMALL_SIZE], 0,
           bytes / VR_SMALL_SIZE * sizeof(*owner));
    m->used = false;
    REQUIRE(hostile || zero(at(m->addr), bytes),
            "what was used stays in the device's reach");
}

static void check(void)
{
    unsigned long used = 0;
    unsigned int i;

    for (i = 0; i < MAPPINGS; i++)
        if (maps[i].used)
            used += taken(maps[i].addr, maps[i].size);
    REQUIRE(vr_pool_used(&vd.pool) == used, "slots are lost");
    REQUIRE(vr_pool_high_water(&vd.pool) >= used, "more than the most");
    REQUIRE(!kernel_warnings, "a driver's mistake is seen where there is none");
}

/* ---- what a driver does ---- */

static void do_alloc(struct mapping *m)
{
    size_t size = eat(1) % 8 ? eat(2) : eat(3) % (2 * vd.pool.range.size);
    void *p = dev.dma_ops->alloc(&dev, size, &m->addr, GFP_KERNEL, 0);
    size_t align = roundup_pow_of_two(PAGE_ALIGN(size));

    if (!p) {
        REQUIRE(!size || PAGE_ALIGN(size) > vd.pool.range.size ||
                    !room(PAGE_ALIGN(size), align),
                "no memory, but there is room");
        return;
    }
    m->size = PAGE_ALIGN(size);
    m->allocated = true;
    take(m, align);
    REQUIRE(p == at(m->addr), "another address than the device's");
    REQUIRE(zero(p, m->size), "memory that is not cleared");
}

static void do_map(struct mapping *m)
{
    static const size_t large[] = {4096, 65536, 131072, 131073, 0, 1};
    unsigned int how = eat(1);
    size_t size = how & 1 ? eat(1) : how & 2 ? eat(2) : large[eat(1) % 6];
    size_t from = eat(3) % (BUFFERS - 1), align;

    m->dir = how / 4 % 3;
    if (size > BUFFERS - from)
        size = BUFFERS - from;
    if (how & 0x80) /* as a block device's data */
        from &= ~(size_t)4095;
    m->orig = buffers + from;
    m->addr = dev.dma_ops->map_page(&dev, &pages[from / PAGE_SIZE],
                                    from % PAGE_SIZE, size, m->dir, 0);
    align = size < PAGE_SIZE ? VR_SMALL_SIZE : PAGE_SIZE;
    if (m->addr == DMA_MAPPING_ERROR) {
        REQUIRE(!size || size > vd.pool.max_mapping || !room(size, align),
                "refused, but there is room");
        return;
    }
    REQUIRE(size && size <= vd.pool.max_mapping, "more than is promised");
    m->size = size;
    m->allocated = false;
    take(m, align);
    if (m->dir != DMA_FROM_DEVICE)
        REQUIRE(!memcmp(at(m->addr), m->orig, size), "data is not there");
    else
        REQUIRE(hostile || zero(at(m->addr), size), "somebody else's data");
    REQUIRE(hostile || zero(at(m->addr) + size, taken(m->addr, size) - size),
            "a neighbour's data");
}

static void do_free(struct mapping *m)
{
    uint8_t *copy;

    if (m->allocated) {
        dev.dma_ops->free(&dev, m->size, at(m->addr), m->addr, 0);
        give_back(m);
        return;
    }
    copy = malloc(m->size);
    REQUIRE(copy, "memory");
    memcpy(copy, m->dir == DMA_TO_DEVICE ? m->orig : at(m->addr), m->size);
    dev.dma_ops->unmap_page(&dev, m->addr, m->size, m->dir, 0);
    REQUIRE(!memcmp(copy, m->orig, m->size), "what the device wrote is lost");
    free(copy);
    give_back(m);
}

static void do_sync(const struct mapping *m, bool for_cpu)
{
    size_t off = eat(3) % m->size, n = eat(3) % (m->size - off) + 1;

    if (m->allocated)
        return;
    if (for_cpu)
        dev.dma_ops->sync_single_for_cpu(&dev, m->addr + off, n, m->dir);
    else
        dev.dma_ops->sync_single_for_device(&dev, m->addr + off, n, m->dir);
    if (m->dir != (for_cpu ? DMA_TO_DEVICE : DMA_FROM_DEVICE))
        REQUIRE(!memcmp(at(m->addr) + off, m->orig + off, n), "not in sync");
}

/* A list of buffers: all of them, or none. */
static void do_list(void)
{
    struct scatterlist sg[8];
    unsigned int i, n = eat(1) % 8 + 1;
    int r;

    memset(sg, 0, sizeof(sg));
    for (i = 0; i < n; i++) {
        sg[i].page = &pages[eat(1) % 16];
        sg[i].offset = eat(1) * 16;
        sg[i].length = eat(2) % (eat(1) % 4 ? 8192 : 65535) + 1;
    }
    r = dev.dma_ops->map_sg(&dev, sg, n, DMA_TO_DEVICE, 0);
    if (r == (int)n)
        dev.dma_ops->unmap_sg(&dev, sg, n, DMA_TO_DEVICE, 0);
    else
        REQUIRE(r == -ENOMEM, "an odd answer");
}

/* ---- what a device does ---- */

static void do_device(const struct mapping *m)
{
    size_t off = eat(3), n = eat(1) + 1;

    if (hostile) {
        off %= vd.pool.range.size;
        for (; n && off < vd.pool.range.size; n--)
            at(DMA)[off++] = eat(1);
    } else if (m->used && (m->allocated || m->dir != DMA_TO_DEVICE)) {
        for (off %= m->size; n && off < m->size; n--)
            at(m->addr)[off++] = eat(1);
    }
}

static void act(unsigned int op)
{
    struct mapping *m = &maps[eat(1) % MAPPINGS];

    kernel_cpu = op / 16 % kernel_cpus;
    switch (op % 8) {
    case 0:
    case 1:
    case 2:
        if (m->used)
            do_free(m);
        else
            do_map(m);
        break;
    case 3:
        if (m->used)
            do_free(m);
        else
            do_alloc(m);
        break;
    case 4:
        if (m->used)
            do_sync(m, op & 8);
        break;
    case 5:
        do_device(m);
        break;
    case 6:
        do_list();
        break;
    case 7:
        /* The driver itself writes to a buffer, mapped or not. */
        memset(buffers + eat(3) % (BUFFERS - 256), eat(1), eat(1));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t sizes[] = {SZ_128K, SZ_128K + PAGE_SIZE, 5 * SZ_128K,
                                   2 * SZ_2M + PAGE_SIZE};
    struct vr_range range = {.base = BASE};
    unsigned int op, i;

    in = data;
    left = size;
    op = eat(1);
    hostile = op & 1;
    kernel_cpus = op / 2 % 4 + 1;
    kernel_warnings = 0;
    range.size = sizes[op / 8 % 4];
    memset(maps, 0, sizeof(maps));
    for (i = 0; i < BUFFERS / PAGE_SIZE; i++)
        pages[i] = (struct page){buffers + i * PAGE_SIZE,
                                 UINT64_C(0x80000000) + i * PAGE_SIZE};
    dev.dma_ops = NULL;
    vd.dev = &dev;
    vr_hook_take(&vd);
    vd.stats = stats;
    REQUIRE(!vr_pool_init(&vd.pool, &range, DMA, op & 0x80), "no pool");
    owner = calloc(range.size / VR_SMALL_SIZE, sizeof(*owner));
    REQUIRE(owner, "memory");
    /* What was promised: it fits while there is nothing else. */
    REQUIRE(room(vd.pool.max_mapping, PAGE_SIZE), "too large");
    REQUIRE(!vr_pool_used(&vd.pool), "in use from the beginning");
    while (left) {
        act(eat(1));
        check();
    }
    for (i = 0; i < MAPPINGS; i++)
        if (maps[i].used)
            do_free(&maps[i]);
    check();
    REQUIRE(hostile || zero(vd.pool.vaddr, range.size), "not all is cleared");
    vr_hook_give_back(&vd);
    REQUIRE(!dev.dma_ops, "the device keeps them");
    free(owner);
    vr_pool_exit(&vd.pool);
    return 0;
}

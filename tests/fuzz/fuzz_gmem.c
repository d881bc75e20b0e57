/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's window into the guest's memory (gmem.h), by which it reads the
 * virtio-iommu's queues: addresses and lengths are the guest's. It may map
 * nothing but RAM of that guest, and no byte is read or written but those that
 * were meant. Each mapping has a page on either side that nobody may touch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/iommu/gmem.h"
#include "input.h"

#define GUEST  7u
#define BANKS  3u
#define BANK   40u /* frames, at the most */
#define FRAMES (BANKS * BANK)
#define RINGS  4u
#define BUF    (3u * VR_PAGE_SIZE)
#define REQUIRE(x)                                                             \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);            \
            abort();                                                           \
        }                                                                      \
    } while (0)

static struct vr_record rec;
static struct gmem mem;
static int file = -1; /* the guest's memory, bank by bank */
static uint8_t *ram;  /* ... as the guest sees it */
static uint8_t model[FRAMES * VR_PAGE_SIZE];
static bool missing[FRAMES]; /* given back */
static unsigned int mapped;  /* pages */

static struct ring {
    uint8_t *p;
    uint64_t addr, len;
} ring[RINGS];

/* Its place in the file; -1: no RAM. */
static int place(uint64_t gfn)
{
    unsigned int i;

    for (i = 0; i < rec.nram; i++)
        if (gfn >= rec.ram[i].start && gfn < rec.ram[i].end)
            return i * BANK + (gfn - rec.ram[i].start);
    return -1;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fm, uint32_t domid,
                           int prot, size_t pages, const xen_pfn_t *frames,
                           int *err)
{
    const size_t len = pages * VR_PAGE_SIZE;
    uint8_t *p;
    size_t i;

    REQUIRE((void *)fm == &rec && domid == GUEST && !err);
    REQUIRE(pages && pages <= 17);
    for (i = 0; i < pages; i++) {
        REQUIRE(place(frames[i]) >= 0 && frames[i] == frames[0] + i);
        if (missing[place(frames[i])]) {
            errno = ENOENT;
            return NULL;
        }
    }
    p = mmap(NULL, len + 2 * VR_PAGE_SIZE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    p += VR_PAGE_SIZE;
    REQUIRE(mmap(p, len, prot, MAP_SHARED | MAP_FIXED, file,
                 place(frames[0]) * (off_t)VR_PAGE_SIZE) == p);
    mapped += pages;
    return p;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fm, void *addr,
                           size_t pages)
{
    REQUIRE((void *)fm == &rec && !((uintptr_t)addr % VR_PAGE_SIZE));
    REQUIRE(pages <= mapped);
    mapped -= pages;
    return munmap((uint8_t *)addr - VR_PAGE_SIZE, (pages + 2) * VR_PAGE_SIZE);
}

/* A few banks that do not meet, the last one at times at the end of all. */
static void begin(void)
{
    uint64_t gfn = eat(1);
    unsigned int i;

    if (file < 0) {
        file = memfd_create("guest", 0);
        REQUIRE(file >= 0 && !ftruncate(file, sizeof(model)));
        ram = mmap(NULL, sizeof(model), PROT_READ | PROT_WRITE, MAP_SHARED,
                   file, 0);
        REQUIRE(ram != MAP_FAILED);
    }
    memset(&rec, 0, sizeof(rec));
    memset(model, 0, sizeof(model));
    memset(ram, 0, sizeof(model));
    memset(missing, 0, sizeof(missing));
    memset(ring, 0, sizeof(ring));
    rec.domid = GUEST;
    rec.nram = eat(1) % (BANKS + 1);
    for (i = 0; i < rec.nram; i++) {
        if (i == BANKS - 1 && eat(1) & 1)
            gfn = (UINT64_MAX >> VR_PAGE_SHIFT) - BANK;
        rec.ram[i].start = gfn;
        gfn += 1 + eat(1) % BANK;
        rec.ram[i].end = gfn;
        gfn += 1 + eat(1);
    }
    gmem_init(&mem, (xenforeignmemory_handle *)&rec, &rec);
    mapped = 0;
}

/* Near a bank's ends, mostly. */
static uint64_t address(void)
{
    unsigned int how = eat(1);
    const struct vr_record_ram *r = &rec.ram[how % BANKS];

    if (how & 0x80)
        return eat(8);
    return ((how & 0x40 ? r->end : r->start) << VR_PAGE_SHIFT) + eat(2) -
           (how & 0x20 ? 0x8000 : 0);
}

/* May frame @gfn be had? One that is kept may, whatever became of it. */
static bool there(uint64_t gfn)
{
    const struct gmem_page *kept = &mem.page[gfn % GMEM_PAGES];

    return place(gfn) >= 0 &&
           (!missing[place(gfn)] || (kept->va && kept->gfn == gfn));
}

/* How many bytes from @addr on can be had. */
static size_t reach(uint64_t addr, size_t len)
{
    size_t n = 0;

    while (n < len && there((addr + n) >> VR_PAGE_SHIFT))
        n += VR_PAGE_SIZE - (addr + n) % VR_PAGE_SIZE;
    return n < len ? n : len;
}

static uint8_t *modelled(uint64_t addr)
{
    return model + place(addr >> VR_PAGE_SHIFT) * (size_t)VR_PAGE_SIZE +
           addr % VR_PAGE_SIZE;
}

static void copy(bool write)
{
    static uint8_t buf[BUF + 1];
    const uint64_t addr = address();
    const size_t len = eat(2) % BUF;
    const uint8_t byte = eat(1);
    const size_t n = reach(addr, len);
    size_t i;
    int rc;

    memset(buf, byte, sizeof(buf));
    rc = write ? gmem_write(&mem, addr, buf, len)
               : gmem_read(&mem, addr, buf, len);
    REQUIRE(rc == (n == len ? 0 : -EFAULT));
    for (i = 0; i < n; i++) {
        if (write)
            *modelled(addr + i) = byte;
        else
            REQUIRE(buf[i] == *modelled(addr + i));
    }
    for (; i < sizeof(buf); i++)
        REQUIRE(buf[i] == byte);
}

static void map(struct ring *r)
{
    bool whole;
    uint64_t i;

    if (r->p) {
        for (i = 0; i < r->len; i++)
            REQUIRE(r->p[i] == *modelled(r->addr + i));
        gmem_unmap(&mem, r->p, r->len);
        r->p = NULL;
        return;
    }
    r->addr = address();
    r->len = eat(1) & 1 ? eat(8) : eat(3);
    whole = r->len && r->len <= 65536;
    for (i = 0; whole && i < r->len;) {
        const int at = place((r->addr + i) >> VR_PAGE_SHIFT);

        whole = at >= 0 && !missing[at] && (!i || at % BANK);
        i += VR_PAGE_SIZE - (r->addr + i) % VR_PAGE_SIZE;
    }
    r->p = gmem_map(&mem, r->addr, r->len);
    REQUIRE(!r->p == !whole);
}

static void act(unsigned int op)
{
    unsigned int i = eat(1);

    switch (op % 8) {
    case 0:
    case 1:
        copy(false);
        break;
    case 2:
    case 3:
        copy(true);
        break;
    case 4:
        map(&ring[i % RINGS]);
        break;
    case 5:
        missing[i % FRAMES] ^= true;
        break;
    case 6: /* the guest writes */
        memset(ram + (size_t)(i % FRAMES) * VR_PAGE_SIZE, op, VR_PAGE_SIZE);
        memset(model + (size_t)(i % FRAMES) * VR_PAGE_SIZE, op, VR_PAGE_SIZE);
        break;
    case 7:
        gmem_flush(&mem);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int i;

    in = data;
    left = size;
    begin();
    while (left)
        act(eat(1));
    for (i = 0; i < RINGS; i++)
        if (ring[i].p)
            map(&ring[i]);
    gmem_flush(&mem);
    REQUIRE(!mapped);
    REQUIRE(!memcmp(ram, model, sizeof(model)));
    return 0;
}

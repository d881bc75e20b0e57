/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu [PAIRS]
 *
 * How fast the virtio-iommu request processor is, on one processor of the
 * machine that it is built on: pairs of a single-page MAP and its UNMAP, at
 * pages of the window taken in random order, while the given part of the
 * window is mapped page by page. Once with a page table that does nothing (the
 * processor alone), once with grant entries in plain memory, written and
 * revoked as the broker does it. Prints millions of pairs per second of
 * processor time.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libs/window/gntent.h"
#include "libs/iommu/viommu.h"

/* What 64 grant frames hold, the most that Xen gives by default, but for the
 * frames that the guest itself needs: one large window, behind small ones of
 * other devices, so that the domain is the last one to be found. */
#define WINDOW UINT32_C(32000)
#define SMALL  UINT32_C(16)
#define NEPS   11u
#define BASE   (UINT64_C(1) << 36)
#define DRIVER 3
#define GFN    UINT32_C(0x40000)

#define DEFAULT_PAIRS 10000000ul
#define ROUNDS        5

struct bench {
    struct vr_viommu v;
    struct vr_gntent *table;
    uint32_t order[WINDOW]; /* the window's pages, shuffled */
};

/* As in virtio 1.2, 5.13.6.5 and 5.13.6.6. */
struct map {
    uint32_t head, domain;
    uint64_t virt_start, virt_end, phys_start;
    uint32_t flags;
} __attribute__((packed));

struct unmap {
    uint32_t head, domain;
    uint64_t virt_start, virt_end;
    uint32_t reserved;
} __attribute__((packed));

static int none_map(void *ctx, unsigned int ep, uint32_t first, uint32_t npages,
                    uint64_t gfn, bool readonly)
{
    (void)ctx, (void)ep, (void)first, (void)npages, (void)gfn, (void)readonly;
    return 0;
}

static uint64_t none_unmap(void *ctx, unsigned int ep, uint32_t first,
                           uint32_t npages, bool now)
{
    (void)ctx, (void)ep, (void)first, (void)npages, (void)now;
    return 0;
}

static int grant_map(void *ctx, unsigned int ep, uint32_t first,
                     uint32_t npages, uint64_t gfn, bool readonly)
{
    struct bench *b = ctx;

    (void)ep;
    return vr_gntent_grant_range(b->table + first, npages, DRIVER,
                                 (uint32_t)gfn, readonly, NULL);
}

static uint64_t grant_unmap(void *ctx, unsigned int ep, uint32_t first,
                            uint32_t npages, bool now)
{
    struct bench *b = ctx;
    uint64_t left = 0;
    uint32_t i;

    (void)ep, (void)now;
    for (i = 0; i < npages; i++)
        if (vr_gntent_revoke(&b->table[first + i]))
            left |= UINT64_C(1) << i;
    return left;
}

static const struct vr_viommu_ops none = {none_map, none_unmap};
static const struct vr_viommu_ops grants = {grant_map, grant_unmap};

static void request(struct bench *b, const void *in, size_t len)
{
    uint8_t out[VR_VIOMMU_OUT_MAX];
    size_t out_len;

    if (vr_viommu_request(&b->v, in, len, out, 4, &out_len) != VR_VIOMMU_DONE ||
        out_len != 4 || out[0] != VR_VIOMMU_S_OK) {
        fprintf(stderr, "viommu: a request of type %u failed\n",
                *(const uint8_t *)in);
        exit(1);
    }
}

static uint64_t address(uint32_t page)
{
    return BASE + (((NEPS - 1) * (uint64_t)SMALL + page) << VR_PAGE_SHIFT);
}

static void do_map(struct bench *b, uint32_t page)
{
    struct map m = {
        .head = htole32(VR_VIOMMU_T_MAP),
        .domain = htole32(NEPS - 1),
        .virt_start = htole64(address(page)),
        .virt_end = htole64(address(page) + VR_PAGE_SIZE - 1),
        .phys_start = htole64((uint64_t)(GFN + page) << VR_PAGE_SHIFT),
        .flags = htole32(VR_VIOMMU_MAP_READ | VR_VIOMMU_MAP_WRITE),
    };

    request(b, &m, sizeof(m));
}

static void do_unmap(struct bench *b, uint32_t page, uint32_t npages)
{
    struct unmap u = {
        .head = htole32(VR_VIOMMU_T_UNMAP),
        .domain = htole32(NEPS - 1),
        .virt_start = htole64(address(page)),
        .virt_end = htole64(address(page + npages) - 1),
    };

    request(b, &u, sizeof(u));
}

static void start(struct bench *b, const struct vr_viommu_ops *ops, void *mem,
                  size_t size, const struct vr_viommu_desc *desc)
{
    unsigned int i;

    if (vr_viommu_init(&b->v, desc, ops, b, mem, size))
        exit(1);
    vr_viommu_negotiated(&b->v, VR_VIOMMU_FEATURES);
    memset(b->table, 0, WINDOW * sizeof(*b->table));
    for (i = 0; i < NEPS; i++) {
        uint32_t in[5] = {htole32(VR_VIOMMU_T_ATTACH), htole32(i), htole32(i)};

        request(b, in, sizeof(in));
    }
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Millions of pairs per second with the first @filled pages of the order
 * mapped; the pairs go round over all the others. The median of some rounds. */
static double measure(struct bench *b, uint32_t filled, unsigned long pairs)
{
    double rate[ROUNDS];
    uint32_t at = filled;
    unsigned long i;
    unsigned int r;

    for (i = 0; i < filled; i++)
        do_map(b, b->order[i]);
    for (r = 0; r < ROUNDS; r++) {
        double t = now();

        for (i = 0; i < pairs; i += ROUNDS) {
            do_map(b, b->order[at]);
            do_unmap(b, b->order[at], 1);
            if (++at == WINDOW)
                at = filled;
        }
        rate[r] = pairs / (double)ROUNDS / (now() - t) / 1e6;
    }
    do_unmap(b, 0, WINDOW);
    qsort(rate, ROUNDS, sizeof(rate[0]), by_value);
    return rate[ROUNDS / 2];
}

/* Microseconds of one UNMAP of the window, of which every @step-th page is
 * mapped; 0: none. The longest that a single request can take. */
static double measure_unmap(struct bench *b, uint32_t step)
{
    double t, sum = 0;
    unsigned int r;
    uint32_t p;

    for (r = 0; r < 100; r++) {
        for (p = 0; step && p < WINDOW; p += step)
            do_map(b, p);
        t = now();
        do_unmap(b, 0, WINDOW);
        sum += now() - t;
    }
    return sum / r * 1e6;
}

static void shuffle(struct bench *b)
{
    uint32_t i, j, t;

    srandom(1);
    for (i = 0; i < WINDOW; i++)
        b->order[i] = i;
    for (i = WINDOW - 1; i; i--) {
        j = random() % (i + 1);
        t = b->order[i];
        b->order[i] = b->order[j];
        b->order[j] = t;
    }
}

int main(int argc, char **argv)
{
    static const unsigned int fill[] = {0, 50, 99};
    static struct bench b;
    unsigned long pairs = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_PAIRS;
    struct vr_viommu_desc desc = {.neps = NEPS, .domain_end = UINT32_MAX};
    unsigned int i;
    size_t size;
    void *mem;

    for (i = 0; i < NEPS; i++)
        desc.ep[i] = (struct vr_viommu_ep_desc){
            .present = true,
            .base = BASE + ((i * (uint64_t)SMALL) << VR_PAGE_SHIFT),
            .npages = i < NEPS - 1 ? SMALL : WINDOW,
        };
    desc.input_start = BASE;
    desc.input_end = address(WINDOW) - 1;
    size = vr_viommu_memory(&desc);
    mem = malloc(size);
    b.table = calloc(WINDOW, sizeof(*b.table));
    if (!pairs || !mem || !b.table)
        return 2;
    shuffle(&b);
    printf("virtio-iommu: million MAP+UNMAP pairs of one page per second, %u "
           "endpoints, %zu bytes of state for %u pages\n",
           NEPS, size, WINDOW + (NEPS - 1) * SMALL);
    printf("%-12s%16s%16s\n", "filled", "processor", "with grants");
    for (i = 0; i < VR_ARRAY_SIZE(fill); i++) {
        uint32_t filled = WINDOW * (uint64_t)fill[i] / 100;
        double alone, granted;

        start(&b, &none, mem, size, &desc);
        alone = measure(&b, filled, pairs);
        start(&b, &grants, mem, size, &desc);
        granted = measure(&b, filled, pairs);
        printf("%3u %%       %16.1f%16.1f\n", fill[i], alone, granted);
    }
    printf(
        "UNMAP of the whole window, with grants: %.1f us when empty, %.1f us "
        "with every second page mapped\n",
        measure_unmap(&b, 0), measure_unmap(&b, 2));
    free(b.table);
    free(mem);
    return 0;
}

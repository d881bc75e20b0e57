/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The virtio-iommu's page table: which frames get an entry. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/iommu/iommu_int.h"

#define GREF  64
#define PAGES 16
#define DOMID 3

static struct vr_gntent entries[GREF + PAGES];
static struct worker worker;
static struct vr_record rec;
static struct vr_stats stats;
static struct iommu io;
static struct device device;
static bool ram;

/* A record that says that there is RAM everywhere, or nowhere. */
bool gmem_is_ram(const struct gmem *m, uint64_t gfn, uint64_t n)
{
    (void)m;
    (void)gfn;
    (void)n;
    return ram;
}

bool iommu_dying(const struct iommu *i, unsigned int ep)
{
    (void)i;
    (void)ep;
    return false;
}

static int setup(void **state)
{
    (void)state;
    memset(entries, 0, sizeof(entries));
    memset(&rec, 0, sizeof(rec));
    rec.ndevs = rec.ndrivers = 1;
    rec.drivers[0].domid = DOMID;
    rec.devs[0].cfg.mode = VR_MODE_DYNAMIC;
    rec.devs[0].cfg.aperture = PAGES * VR_PAGE_SIZE;
    rec.devs[0].iova = (struct vr_gwin){1 << 30, PAGES * VR_PAGE_SIZE, GREF};
    worker.rec = &rec;
    memset(&io, 0, sizeof(io));
    io.unit.w = &worker;
    io.ep[0].dev = &device;
    io.stats = &stats.iommu;
    io.gt.entries = entries;
    io.gt.nframes = 1;
    io.maps = calloc(1, vr_maps_size(&rec));
    vr_maps_init(io.maps, &rec);
    ram = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(io.maps);
    return 0;
}

static int map(uint64_t gfn, uint32_t n)
{
    return iommu_table_ops.map(&io, 0, 0, n, gfn, false);
}

static unsigned int granted(void)
{
    unsigned int i, n = 0;

    for (i = 0; i < VR_ARRAY_SIZE(entries); i++)
        n += entries[i].flags != 0;
    return n;
}

static void test_map(void **state)
{
    (void)state;
    assert_int_equal(map(100, 4), 0);
    assert_int_equal(granted(), 4);
    assert_int_equal(entries[GREF + 3].frame, 103);
    assert_int_equal(entries[GREF + 3].domid, DOMID);
    ram = false;
    assert_int_equal(map(100, 4), -EINVAL);
}

/* An entry would name the frame with the same lower 32 bits. */
static void test_beyond(void **state)
{
    (void)state;
    assert_int_equal(map(UINT64_C(1) << 32, 1), -EINVAL);
    assert_int_equal(map((UINT64_C(1) << 32) + 100, 4), -EINVAL);
    assert_int_equal(map((UINT64_C(1) << 52) - 1, 1), -EINVAL);
    assert_int_equal(map(UINT64_MAX, 2), -EINVAL);
    assert_int_equal(map(UINT32_MAX - 2, 4), -EINVAL);
    assert_int_equal(granted(), 0);
    assert_int_equal(stats.iommu.no_space, 0);
    assert_int_equal(map(UINT32_MAX - 3, 4), 0);
    assert_int_equal(entries[GREF + 3].frame, UINT32_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_map),
        TEST(test_beyond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

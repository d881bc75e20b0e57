/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libs/window/bounce.h"
#include "libs/window/gcopy.h"

#define BASE  UINT64_C(0x1000000000)
#define PAGES 64u
#define GREF  1000u

static const struct vr_gwin win = {BASE, PAGES *VR_PAGE_SIZE, GREF};
static struct vr_gseg seg[64];
static struct vr_gcopy batch;
static uint8_t local[1 << 20];
static int owner;

static int setup(void **state)
{
    (void)state;
    memset(seg, 0xee, sizeof(seg));
    batch = (struct vr_gcopy){seg, VR_ARRAY_SIZE(seg), 0};
    return 0;
}

static int add(const struct vr_buf *buf, unsigned int n, uint64_t skip,
               uint64_t len)
{
    return vr_gcopy_add(&batch, &win, buf, n, skip, len, local, false, &owner);
}

static void expect(unsigned int i, uint32_t ref, uint16_t offset, uint16_t len,
                   size_t at)
{
    assert_int_equal(seg[i].ref, ref);
    assert_int_equal(seg[i].offset, offset);
    assert_int_equal(seg[i].len, len);
    assert_ptr_equal(seg[i].local, local + at);
    assert_ptr_equal(seg[i].owner, &owner);
    assert_int_equal(vr_gcopy_addr(&win, &seg[i]),
                     BASE + (ref - GREF) * VR_PAGE_SIZE + offset);
}

static void pieces(void **state)
{
    const struct vr_buf buf[] = {
        {BASE + 16, 16},
        {BASE + 0x1ff0, 0x1020},
        {BASE + 63 * VR_PAGE_SIZE, VR_PAGE_SIZE},
    };

    (void)state;
    assert_int_equal(add(buf, 3, 0, 16), 0);
    assert_int_equal(batch.n, 1);
    expect(0, GREF, 16, 16, 0);
    /* Page by page, over the border of two buffers. */
    assert_int_equal(add(buf, 3, 8, 8 + 0x1020 + 100), 0);
    assert_int_equal(batch.n, 6);
    expect(1, GREF, 24, 8, 0);
    expect(2, GREF + 1, 0xff0, 16, 8);
    expect(3, GREF + 2, 0, 0x1000, 24);
    expect(4, GREF + 3, 0, 16, 24 + 0x1000);
    expect(5, GREF + 63, 0, 100, 24 + 0x1010);
    assert_false(seg[5].to_guest);
    assert_int_equal(vr_gcopy_add(&batch, &win, buf, 3, 16 + 0x1020 + 4095, 1,
                                  local, true, &owner),
                     0);
    expect(6, GREF + 63, 4095, 1, 0);
    assert_true(seg[6].to_guest);
    /* Nothing is nothing. */
    assert_int_equal(add(buf, 3, 0, 0), 0);
    assert_int_equal(add(buf, 0, 0, 0), 0);
    assert_int_equal(batch.n, 7);
}

static void not_all_there(void **state)
{
    const struct vr_buf buf[] = {{BASE, 100}, {BASE + 4096, 100}};
    const struct vr_buf bad[] = {
        {BASE - 1, 1},
        {BASE - 1, 2},
        {BASE + PAGES * VR_PAGE_SIZE, 1},
        {BASE + PAGES * VR_PAGE_SIZE - 1, 2},
        {0, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX},
        {BASE + 1, UINT64_MAX},
        {BASE + 1, UINT64_MAX - BASE},
    };
    uint32_t refs[8];
    size_t i;

    (void)state;
    assert_int_equal(add(buf, 2, 0, 201), -EFAULT);
    assert_int_equal(add(buf, 2, 200, 1), -EFAULT);
    assert_int_equal(add(buf, 2, UINT64_MAX, 1), -EFAULT);
    assert_int_equal(add(buf, 2, 0, UINT64_MAX), -EFAULT);
    assert_int_equal(add(buf, 0, 0, 1), -EFAULT);
    assert_int_equal(vr_gmap_refs(&win, buf, 2, 0, 201, refs, 8), -EFAULT);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        struct vr_buf two[] = {{BASE, 1}, bad[i]};

        assert_int_equal(add(two, 2, 1, bad[i].len), -EFAULT);
        assert_int_equal(vr_gmap_refs(&win, two, 2, 1, bad[i].len, refs, 8),
                         -EFAULT);
        /* Not asked for: not looked at. */
        assert_int_equal(add(two, 2, 0, 1), 0);
        batch.n = 0;
    }
}

static void batch_full(void **state)
{
    const struct vr_buf buf[] = {{BASE + 1, 63 * VR_PAGE_SIZE}};
    unsigned int i;

    (void)state;
    assert_int_equal(add(buf, 1, 0, 62 * VR_PAGE_SIZE), 0);
    assert_int_equal(batch.n, 63);
    assert_int_equal(add(buf, 1, 4090, 6), -ENOSPC);
    assert_int_equal(batch.n, 63);
    assert_int_equal(add(buf, 1, 4090, 5), 0);
    assert_int_equal(batch.n, 64);
    for (i = 0; i < 2; i++)
        assert_int_equal(add(buf, 1, 0, 1), -ENOSPC);
    batch.max = 0;
    batch.n = 0;
    assert_int_equal(add(buf, 1, 0, 1), -ENOSPC);
    assert_int_equal(add(buf, 1, 0, 0), 0);
}

static void map_plan(void **state)
{
    /* Two that meet, one that shares a page with its neighbour, one alone. */
    const struct vr_buf buf[] = {
        {BASE + 0x800, 0x800},
        {BASE + 0x1000, 0x1800},
        {BASE + 0x2800, 0x800},
        {BASE + 0x10010, 0x20},
    };
    struct iovec iov[4];
    uint32_t refs[8];

    (void)state;
    assert_int_equal(vr_gmap_refs(&win, buf, 4, 0, 0x2820, refs, 8), 5);
    assert_int_equal(refs[0], GREF);
    assert_int_equal(refs[1], GREF + 1);
    assert_int_equal(refs[2], GREF + 2);
    assert_int_equal(refs[3], GREF + 2);
    assert_int_equal(refs[4], GREF + 16);
    assert_int_equal(vr_gmap_refs(&win, buf, 4, 0, 0x2820, refs, 5), 5);
    assert_int_equal(vr_gmap_refs(&win, buf, 4, 0, 0x2820, refs, 4), -ENOSPC);
    assert_int_equal(vr_gmap_iov(buf, 4, 0, 0x2820, local, iov), 3);
    assert_ptr_equal(iov[0].iov_base, local + 0x800);
    assert_int_equal(iov[0].iov_len, 0x2000);
    assert_ptr_equal(iov[1].iov_base, local + 0x3800);
    assert_int_equal(iov[1].iov_len, 0x800);
    assert_ptr_equal(iov[2].iov_base, local + 0x4010);
    assert_int_equal(iov[2].iov_len, 0x20);
    /* A part of it. */
    assert_int_equal(vr_gmap_refs(&win, buf, 4, 0x1000, 0x1001, refs, 8), 3);
    assert_int_equal(refs[0], GREF + 1);
    assert_int_equal(vr_gmap_iov(buf, 4, 0x1000, 0x1001, local, iov), 2);
    assert_ptr_equal(iov[0].iov_base, local + 0x800);
    assert_int_equal(iov[0].iov_len, 0x1000);
    assert_ptr_equal(iov[1].iov_base, local + 0x2800);
    assert_int_equal(iov[1].iov_len, 1);
    assert_int_equal(vr_gmap_refs(&win, buf, 4, 0, 0, refs, 0), 0);
}

/* The window may end with the last reference, and with the last address. */
static void extremes(void **state)
{
    const struct vr_gwin top = {0 - 2 * VR_PAGE_SIZE, 2 * VR_PAGE_SIZE,
                                UINT32_MAX - 1};
    const struct vr_buf buf = {UINT64_MAX - 4096, 4097};
    uint32_t refs[2];

    (void)state;
    assert_int_equal(
        vr_gcopy_add(&batch, &top, &buf, 1, 0, 4097, local, false, NULL), 0);
    assert_int_equal(batch.n, 2);
    assert_int_equal(seg[0].ref, UINT32_MAX - 1);
    assert_int_equal(seg[0].len, 1);
    assert_int_equal(seg[1].ref, UINT32_MAX);
    assert_int_equal(seg[1].len, 4096);
    assert_int_equal(vr_gmap_refs(&top, &buf, 1, 0, 4097, refs, 2), 2);
    assert_int_equal(refs[1], UINT32_MAX);
}

/* ---- the bounce memory ---- */

static void *const mem = (void *)0x100000000; /* never touched */

static void *page(unsigned int n)
{
    return (uint8_t *)mem + n * VR_PAGE_SIZE;
}

static void bounce_runs(void **state)
{
    struct vr_bounce b;

    (void)state;
    vr_bounce_init(&b, mem, 200);
    assert_ptr_equal(vr_bounce_get(&b, 1), page(0));
    assert_ptr_equal(vr_bounce_get(&b, 130), page(1));
    assert_ptr_equal(vr_bounce_get(&b, 60), page(131));
    assert_null(vr_bounce_get(&b, 10));
    assert_ptr_equal(vr_bounce_get(&b, 9), page(191));
    assert_null(vr_bounce_get(&b, 1));
    vr_bounce_put(&b, page(0), 1);
    assert_null(vr_bounce_get(&b, 2));
    vr_bounce_put(&b, page(131), 60);
    assert_ptr_equal(vr_bounce_get(&b, 2), page(131));
    assert_ptr_equal(vr_bounce_get(&b, 1), page(0));
    assert_null(vr_bounce_get(&b, 59));
    assert_ptr_equal(vr_bounce_get(&b, 58), page(133));
    assert_null(vr_bounce_get(&b, 201));
    assert_null(vr_bounce_get(&b, UINT32_MAX));
    vr_bounce_init(&b, mem, VR_BOUNCE_MAX);
    assert_ptr_equal(vr_bounce_get(&b, VR_BOUNCE_MAX), page(0));
    assert_null(vr_bounce_get(&b, 1));
    vr_bounce_put(&b, page(0), VR_BOUNCE_MAX);
    assert_ptr_equal(vr_bounce_get(&b, 1), page(0));
}

/* Against the obvious. */
static void bounce_random(void **state)
{
    struct {
        unsigned int first, n;
    } have[64] = {{0, 0}};
    bool used[VR_BOUNCE_MAX] = {false};
    unsigned int round, i, k, run, pages;
    struct vr_bounce b;
    uint32_t seed = 7;

    (void)state;
    for (pages = 1; pages <= VR_BOUNCE_MAX; pages += 341) {
        vr_bounce_init(&b, mem, pages);
        memset(used, 0, sizeof(used));
        memset(have, 0, sizeof(have));
        for (round = 0; round < 20000; round++) {
            unsigned int n, want = VR_BOUNCE_MAX;
            void *p;

            seed = seed * 1664525 + 1013904223;
            i = seed >> 26;
            if (have[i].n) {
                vr_bounce_put(&b, page(have[i].first), have[i].n);
                memset(&used[have[i].first], 0, have[i].n);
                have[i].n = 0;
                continue;
            }
            n = 1 + (seed >> 8) % (seed >> 16 & 1 ? 4 : 100);
            for (k = run = 0; k < pages && want == VR_BOUNCE_MAX; k++) {
                run = used[k] ? 0 : run + 1;
                if (run == n)
                    want = k + 1 - n;
            }
            p = vr_bounce_get(&b, n);
            if (want == VR_BOUNCE_MAX) {
                assert_null(p);
                continue;
            }
            assert_ptr_equal(p, page(want));
            have[i].first = want;
            have[i].n = n;
            memset(&used[want], 1, n);
        }
    }
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pieces),   T(not_all_there), T(batch_full),    T(map_plan),
        T(extremes), T(bounce_runs),   T(bounce_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libs/window/bounds.h"

#define K UINT64_C(1024)
#define M (1024 * K)

static void test_table(void **state)
{
    static const struct {
        uint64_t aperture;
        unsigned int queues, queue_size;
        uint32_t size_max;
        bool mixed;
    } cases[] = {
        {M, 1, 128, 0, false},
        {M + 4 * K, 1, 128, 4 * K, false},
        {2 * M, 1, 128, 8 * K, false},
        {8 * M, 1, 128, 32 * K, false},
        {32 * M, 1, 128, 128 * K, false},
        {64 * M, 1, 128, 256 * K, false},
        {UINT64_MAX, 1, 128, VR_SIZE_MAX_LIMIT, false},
        {2 * M, 1, 256, 0, false}, /* the rings take 4 pages there */
        {2060 * K, 1, 256, 4 * K, false},
        {2060 * K - 1, 1, 256, 0, false},
        {4 * M, 1, 256, 8 * K, false},
        {64 * M, 16, 256, 8 * K, false},
        {68 * K, 1, 8, 4 * K, false},
        {68 * K - 1, 1, 8, 0, false},
        {M + 4 * K, 1, 128, 0, true},
        {M + 12 * K, 1, 128, 4 * K, true},
        {2068 * K, 1, 256, 4 * K, true},
        {64 * M, 1, 128, 256 * K, true},
        {152 * K, 2, 8, 4 * K, true},
        {152 * K - 1, 2, 8, 0, true},
        {0, 1, 128, 0, false},
        /* no such queues */
        {UINT64_MAX, 0, 128, 0, false},
        {UINT64_MAX, 17, 128, 0, false},
        {UINT64_MAX, 1, 0, 0, false},
        {UINT64_MAX, 1, 1, 0, false},
        {UINT64_MAX, 1, 512, 0, false},
        {UINT64_MAX, UINT32_MAX, UINT32_MAX, 0, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(cases); i++)
        if (vr_size_max(cases[i].aperture, cases[i].queues, cases[i].queue_size,
                        cases[i].mixed) != cases[i].size_max)
            fail_msg("case %zu", i);
}

/* For every shape of queues: the minimum is accepted, a page less is not, and
 * what is promised fits, rings of any page size included. */
static void every_shape(bool mixed)
{
    unsigned int queues, qs, pages = mixed ? 5 : 3;
    uint64_t aperture;

    for (queues = 1; queues <= VR_MAX_QUEUES; queues++) {
        for (qs = 8; qs <= VR_MAX_QUEUE_SIZE; qs *= 2) {
            uint64_t min = vr_aperture_min(queues, qs, mixed);

            assert_true(min % VR_PAGE_SIZE == 0);
            assert_int_equal(vr_size_max(min, queues, qs, mixed), VR_PAGE_SIZE);
            assert_int_equal(vr_size_max(min - 1, queues, qs, mixed), 0);
            for (aperture = min; aperture <= 1024 * M; aperture += 37 * M) {
                uint64_t size = vr_size_max(aperture, queues, qs, mixed);
                /* what a kernel with pages as large as its segments, or of
                 * 64 KiB, takes for the rings */
                uint64_t page = size < 64 * K ? size : 64 * K;
                uint64_t ring = qs == 256 && page == 4 * K ? 16 * K : 2 * page;
                uint64_t room = aperture / queues;

                assert_true(size && !(size & (size - 1)));
                assert_true(size <= VR_SIZE_MAX_LIMIT);
                assert_true((qs - 2) * 2 * size + pages * 4 * K + ring <= room);
            }
        }
    }
    assert_true(vr_aperture_min(0, 128, mixed) == UINT64_MAX);
    assert_true(vr_aperture_min(1, 512, mixed) == UINT64_MAX);
}

static void test_every_shape(void **state)
{
    (void)state;
    every_shape(false);
    every_shape(true);
}

/* A window that is a power of two loses nothing to the rings. */
static void test_powers_of_two(void **state)
{
    uint64_t aperture, plain;

    (void)state;
    for (aperture = 2 * M; aperture <= 1024 * M; aperture *= 2) {
        plain = aperture / (2 * 128);
        if (plain > VR_SIZE_MAX_LIMIT)
            plain = VR_SIZE_MAX_LIMIT;
        assert_int_equal(vr_size_max(aperture, 1, 128, false), plain);
        /* but where the rings leave a page, a table takes two */
        assert_int_equal(vr_size_max(aperture, 1, 128, true),
                         aperture == 2 * M ? plain / 2 : plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_every_shape),
        cmocka_unit_test(test_powers_of_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

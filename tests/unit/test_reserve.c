/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libs/guest/reserve.h"

static uint32_t grants(unsigned int vcpus, unsigned int disks,
                       unsigned int nics, unsigned int p9s)
{
    const struct vr_reserve r = {vcpus, disks, nics, p9s};

    return vr_reserve_grants(&r);
}

/* Worked out by hand from the drivers' constants, not by the same formula. */
static void test_cases(void **state)
{
    (void)state;
    /* one ring of 32 requests of 33 pages, 1057; one queue of 514: all fits
     * into what any guest has */
    assert_int_equal(grants(1, 0, 0, 0), 4096);
    assert_int_equal(grants(1, 1, 1, 0), 4096);
    assert_int_equal(grants(1, 3, 0, 0), 4096);
    /* 512 + 4 * 1057 */
    assert_int_equal(grants(1, 4, 0, 0), 4740);
    assert_int_equal(grants(4, 1, 0, 0), 4740);
    /* + 4 * 514 */
    assert_int_equal(grants(4, 1, 1, 0), 6796);
    /* 512 + 8 * 514: eight queues */
    assert_int_equal(grants(8, 0, 1, 0), 4624);
    /* 512 + 2 * 4228 + 2 * 4112: no more rings and queues than the drivers
     * make by themselves */
    assert_int_equal(grants(8, 2, 2, 0), 17192);
    assert_int_equal(grants(64, 2, 2, 0), 17192);
    /* 512 + 4 * 1026 */
    assert_int_equal(grants(2, 0, 0, 4), 4616);
    /* 512 + 2 * 1057 + 2 * 514 + 1026 = 4680 */
    assert_int_equal(grants(2, 1, 1, 1), 4680);
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(grants(0, 0, 0, 0), VR_RESERVE_LEAST);
    assert_int_equal(grants(UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX),
                     VR_RESERVE_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

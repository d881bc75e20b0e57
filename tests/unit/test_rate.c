/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libs/base/rate.h"

static unsigned int takes(struct vr_rate *r, int64_t now, int64_t period,
                          unsigned int burst)
{
    unsigned int n = 0;

    while (vr_rate_take(r, now, period, burst))
        n++;
    return n;
}

static void test_burst(void **state)
{
    struct vr_rate r = {0};

    (void)state;
    assert_int_equal(takes(&r, 0, 10, 4), 4);
    assert_int_equal(takes(&r, 9, 10, 4), 0);
    assert_int_equal(takes(&r, 10, 10, 4), 1);
    assert_int_equal(takes(&r, 35, 10, 4), 2);
    /* a long rest is worth a burst, and no more */
    assert_int_equal(takes(&r, 100000, 10, 4), 4);
    assert_int_equal(takes(&r, 100000, 10, 4), 0);
}

static void test_one_at_a_time(void **state)
{
    struct vr_rate r = {0};

    (void)state;
    assert_int_equal(takes(&r, 5, 1000, 1), 1);
    assert_int_equal(takes(&r, 1004, 1000, 1), 0);
    assert_int_equal(takes(&r, 1005, 1000, 1), 1);
}

/* Whenever somebody asks: burst + t / period, however the times fall. */
static void test_bound(void **state)
{
    const int64_t period = 7;
    const unsigned int burst = 5;
    struct vr_rate r = {0};
    int64_t now = 12345, begin = now;
    uint32_t x = 1, done = 0;

    (void)state;
    while (now - begin < 100000) {
        x = x * 1664525 + 1013904223;
        now += x >> 30;
        done += vr_rate_take(&r, now, period, burst);
        assert_true(done <= burst + (now - begin) / period);
    }
    /* nor is anything withheld from somebody who always asks */
    assert_true(done >= (now - begin) / period);
}

static void test_kicks_pay(void **state)
{
    struct vr_pace p = {0};
    unsigned int i;

    (void)state;
    assert_false(vr_pace_paid(&p));
    vr_pace_kick(&p);
    for (i = 0; i < VR_PACE_PER_KICK; i++)
        assert_true(vr_pace_paid(&p));
    assert_false(vr_pace_paid(&p));
    for (i = 0; i < 1000000; i++)
        vr_pace_kick(&p);
    for (i = 0; i < VR_PACE_PAID_MAX; i++)
        assert_true(vr_pace_paid(&p));
    assert_false(vr_pace_paid(&p));
}

static void test_rest(void **state)
{
    static const struct {
        int64_t took, rest;
    } cases[] = {
        {1000, VR_PACE_MIN_NS},
        {100000, 300000},
        {1000000, 3000000},
        {10000000000, VR_PACE_MAX_NS},
    };
    int64_t now = 77;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vr_pace p = {0};

        assert_true(vr_pace_take(&p, now));
        now += cases[i].took;
        vr_pace_acked(&p, now);
        assert_false(vr_pace_take(&p, now + cases[i].rest - 1));
        assert_true(vr_pace_take(&p, now + cases[i].rest));
    }
}

/* Those that are paid for are not measured, and do not shift the others. */
static void test_apart(void **state)
{
    struct vr_pace p = {0};

    (void)state;
    assert_true(vr_pace_take(&p, 1000));
    vr_pace_acked(&p, 2000);
    vr_pace_kick(&p);
    assert_true(vr_pace_paid(&p));
    vr_pace_acked(&p, 900000);
    assert_true(vr_pace_take(&p, 2000 + VR_PACE_MIN_NS));
    /* A reset took the interrupt back: its acknowledgement never came. */
    assert_true(vr_pace_paid(&p));
    vr_pace_acked(&p, INT64_C(1) << 40);
    assert_true(vr_pace_take(&p, 2001 + VR_PACE_MIN_NS));
}

/* Told by a message, the guest acknowledges nothing: the next one of those that
 * are not paid for has its time all the same. */
static void test_untold(void **state)
{
    struct vr_pace p = {0};

    (void)state;
    vr_pace_kick(&p);
    assert_true(vr_pace_paid(&p));
    vr_pace_untold(&p);
    assert_true(vr_pace_take(&p, 1000));
    vr_pace_untold(&p);
    assert_false(vr_pace_take(&p, 999 + VR_PACE_UNTOLD_NS));
    assert_true(vr_pace_take(&p, 1000 + VR_PACE_UNTOLD_NS));
    vr_pace_untold(&p);
    vr_pace_acked(&p, INT64_C(1) << 40);
    assert_true(vr_pace_take(&p, 1000 + 2 * VR_PACE_UNTOLD_NS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst),  cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_bound),  cmocka_unit_test(test_kicks_pay),
        cmocka_unit_test(test_rest),   cmocka_unit_test(test_apart),
        cmocka_unit_test(test_untold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

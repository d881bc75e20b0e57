/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-iommu against its model, random requests, a million of them.
 * VR_SEED chooses others, VR_REQUESTS how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "viommu_world.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#define REQUESTS UINT64_C(1000000)
#define SLOWER   50 /* so much slower is valgrind, and looks for other faults */

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    uint64_t v;

    return s && !vr_parse_u64(s, UINT64_MAX, &v) ? v : otherwise;
}

static void describe(const struct world *w, uint64_t seed)
{
    size_t i;

    print_error("%s\nVR_SEED=%llu, request %llu, room for %zu:", w->wrong,
                (unsigned long long)seed, (unsigned long long)w->requests,
                w->out_cap);
    for (i = 0; i < w->in_len; i++)
        print_error(" %02x", w->in[i]);
    print_error("\n");
}

static void test_random_requests(void **state)
{
    static struct world w;
    uint64_t seed = number("VR_SEED", 1), wanted = REQUESTS;
    unsigned int i;

    (void)state;
    if (RUNNING_ON_VALGRIND)
        wanted /= SLOWER;
    wanted = number("VR_REQUESTS", wanted);
    world_init(&w);
    /* never 0, and no seed near another */
    w.s.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    while (w.requests < wanted) {
        if (!world_step(&w)) {
            describe(&w, seed);
            fail();
        }
    }
    print_message("%llu requests, %llu waits, %llu resets; answers:",
                  (unsigned long long)w.requests, (unsigned long long)w.pending,
                  (unsigned long long)w.resets);
    for (i = 0; i < VR_ARRAY_SIZE(w.status); i++)
        print_message(" %llu", (unsigned long long)w.status[i]);
    print_message("\n");
    /* Else the numbers were such that little was tried. */
    assert_true(w.status[VR_VIOMMU_S_OK] > wanted / 4);
    assert_true(w.status[VR_VIOMMU_S_RANGE] > wanted / 100);
    assert_true(w.status[VR_VIOMMU_S_INVAL] > wanted / 100);
    assert_true(w.pending > wanted / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

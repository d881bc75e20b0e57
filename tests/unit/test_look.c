/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/worker/look.h"

/* Occasions let pass before the next look; that look. */
static unsigned int skipped(struct vr_look *look, enum vr_look_kind kind)
{
    unsigned int n = 0;

    while (!vr_look_begin(look, kind))
        n++;
    return n;
}

static void test_found(void **state)
{
    struct vr_look look = {0};
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        assert_true(vr_look_begin(&look, VR_LOOK_READ));
        vr_look_end(&look, VR_LOOK_READ, true);
    }
}

static void test_in_vain(void **state)
{
    static const unsigned int want[] = {0,  1,   3,   7,   15,   31,
                                        63, 127, 255, 511, 1023, 1023};
    struct vr_look look = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(skipped(&look, VR_LOOK_KICK), want[i]);
        vr_look_end(&look, VR_LOOK_KICK, false);
    }
}

/* Each find halves what was learned from failures. */
static void test_recovers(void **state)
{
    struct vr_look look = {0};
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        skipped(&look, VR_LOOK_IRQ);
        vr_look_end(&look, VR_LOOK_IRQ, false);
    }
    assert_int_equal(skipped(&look, VR_LOOK_IRQ), VR_LOOK_SKIP_MAX);
    for (i = 0; i < 10; i++) {
        vr_look_end(&look, VR_LOOK_IRQ, true);
        assert_int_equal(skipped(&look, VR_LOOK_IRQ), 0);
    }
    vr_look_end(&look, VR_LOOK_IRQ, false);
    assert_int_equal(skipped(&look, VR_LOOK_IRQ), 1);
}

static void test_kinds_apart(void **state)
{
    struct vr_look look = {0};

    (void)state;
    assert_true(vr_look_begin(&look, VR_LOOK_WRITE));
    vr_look_end(&look, VR_LOOK_WRITE, false);
    assert_true(vr_look_begin(&look, VR_LOOK_READ));
    vr_look_end(&look, VR_LOOK_READ, true);
    assert_false(vr_look_begin(&look, VR_LOOK_WRITE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_in_vain),
        cmocka_unit_test(test_recovers),
        cmocka_unit_test(test_kinds_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "place.h"

#define M    UINT64_C(0x100000)
#define RAM0 UINT64_C(0x40000000)

static struct vr_dev_cfg dev(uint64_t size, uint64_t base)
{
    struct vr_dev_cfg c = {.size = size, .base = base, .has_base = base != 0};

    return c;
}

static int place(const struct vr_dev_cfg *c, unsigned int n, uint64_t ram,
                 const struct vr_span *used, unsigned int nused, uint64_t *base,
                 struct vr_err *err)
{
    const struct vr_span banks[2] = {
        {RAM0, RAM0 + ram, NULL},
        {UINT64_C(0x200000000), UINT64_C(0x200000000), NULL},
    };

    return vr_place_pools(c, n, banks, 2, used, nused, base, err);
}

static void test_top(void **state)
{
    struct vr_dev_cfg c[3] = {dev(16 * M, 0), dev(M, 0), dev(64 * M, 0)};
    uint64_t base[3];

    (void)state;
    assert_int_equal(place(c, 3, 256 * M, NULL, 0, base, NULL), 0);
    assert_int_equal(base[0], RAM0 + 240 * M);
    assert_int_equal(base[1], RAM0 + 238 * M); /* 1 MiB, aligned to 2 */
    assert_int_equal(base[2], RAM0 + 174 * M);
}

/* RAM that does not end on 2 MiB, and a ramdisk and tree at its end. */
static void test_below_modules(void **state)
{
    const struct vr_span used[] = {
        {RAM0, RAM0 + 33 * M, "the kernel"},
        {RAM0 + 120 * M, RAM0 + 126 * M + 0x1000, "the ramdisk"},
        {RAM0 + 126 * M + 0x1000, RAM0 + 127 * M, "the device tree"},
        {0, 0, "a boot module"},
    };
    struct vr_dev_cfg c[2] = {dev(M, 0), dev(64 * M, 0)};
    uint64_t base[2];

    (void)state;
    assert_int_equal(place(c, 2, 127 * M, used, 4, base, NULL), 0);
    assert_int_equal(base[0], RAM0 + 118 * M);
    assert_int_equal(base[1], RAM0 + 54 * M);
}

static void test_no_room(void **state)
{
    const struct vr_span used[] = {
        {RAM0, RAM0 + 65 * M, "the kernel"},
    };
    struct vr_dev_cfg c[2] = {dev(32 * M, 0), dev(32 * M, 0)};
    struct vr_err err;
    uint64_t base[2];

    (void)state;
    assert_int_equal(place(c, 2, 128 * M, used, 1, base, &err), -ENOSPC);
    assert_string_equal(err.text,
                        "virtio_restricted[1]: no room for size=32M between "
                        "kernel, ramdisk and other windows: raise memory= or "
                        "lower size=");
    /* A pool of all the RAM there is, and of more. */
    c[0] = dev(128 * M, 0);
    assert_int_equal(place(c, 1, 128 * M, NULL, 0, base, NULL), 0);
    assert_int_equal(base[0], RAM0);
    assert_int_equal(place(c, 1, 127 * M, NULL, 0, base, NULL), -ENOSPC);
    assert_int_equal(vr_place_pools(c, 1, NULL, 0, NULL, 0, base, NULL),
                     -ENOSPC);
}

static void test_fixed_first(void **state)
{
    struct vr_dev_cfg c[2] = {dev(16 * M, 0), dev(16 * M, RAM0 + 100 * M)};
    uint64_t base[2];

    (void)state;
    assert_int_equal(place(c, 2, 128 * M, NULL, 0, base, NULL), 0);
    assert_int_equal(base[1], RAM0 + 100 * M);
    assert_int_equal(base[0], RAM0 + 84 * M);
}

static void test_fixed_wrong(void **state)
{
    const struct vr_span used[] = {
        {RAM0, RAM0 + 33 * M, "the kernel"},
        {RAM0 + 120 * M, RAM0 + 126 * M, "the ramdisk"},
    };
    struct vr_dev_cfg c[2];
    struct vr_err err;
    uint64_t base[2];

    (void)state;
    c[0] = dev(M, RAM0 + 32 * M);
    assert_int_equal(place(c, 1, 128 * M, used, 2, base, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: base=0x42000000 overlaps the "
                        "kernel at 0x40000000-0x420fffff: move it, or leave "
                        "base= out");
    c[0] = dev(2 * M, RAM0 + 119 * M);
    assert_int_equal(place(c, 1, 128 * M, used, 2, base, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: base=0x47700000 overlaps the "
                        "ramdisk at 0x47800000-0x47dfffff: move it, or leave "
                        "base= out");
    c[0] = dev(2 * M, RAM0 + 127 * M);
    assert_int_equal(place(c, 1, 128 * M, used, 2, base, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: base=0x47f00000 with its size "
                        "is not inside the guest's RAM 0x40000000-0x47ffffff: "
                        "move it, or leave base= out");
    c[0] = dev(2 * M, 0x1000);
    assert_int_equal(place(c, 1, 128 * M, used, 2, base, &err), -EINVAL);
    c[0] = dev(2 * M, RAM0 + 60 * M);
    c[1] = dev(2 * M, RAM0 + 61 * M);
    assert_int_equal(place(c, 2, 128 * M, used, 2, base, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted[1]: base=0x43d00000 overlaps "
                        "another window at 0x43c00000-0x43dfffff: move it, or "
                        "leave base= out");
}

static void test_limits(void **state)
{
    struct vr_dev_cfg c[VR_MAX_DEVICES + 1];
    uint64_t base[VR_MAX_DEVICES + 1];
    struct vr_span used[17] = {{0, 0, "x"}};
    unsigned int i;

    (void)state;
    for (i = 0; i <= VR_MAX_DEVICES; i++)
        c[i] = dev(2 * M, 0);
    assert_int_equal(place(c, VR_MAX_DEVICES, 128 * M, used, 16, base, NULL),
                     0);
    for (i = 0; i < VR_MAX_DEVICES; i++)
        assert_int_equal(base[i], RAM0 + (126 - 2 * i) * M);
    assert_int_equal(place(c, VR_MAX_DEVICES + 1, 128 * M, used, 0, base, NULL),
                     -EINVAL);
    assert_int_equal(place(c, 1, 128 * M, used, 17, base, NULL), -EINVAL);
}

static void test_slots(void **state)
{
    unsigned int slot[VR_SLOTS], i;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_place_slots(0, VR_SLOTS, slot, NULL), 0);
    for (i = 0; i < VR_SLOTS; i++)
        assert_int_equal(slot[i], i);
    assert_int_equal(vr_place_slots(0x5, 2, slot, NULL), 0);
    assert_int_equal(slot[0], 1);
    assert_int_equal(slot[1], 3);
    assert_int_equal(vr_place_slots(0x3ff, 1, slot, NULL), 0);
    assert_int_equal(slot[0], 10);
    assert_int_equal(vr_place_slots(~0u, 0, slot, NULL), 0);
    assert_int_equal(vr_place_slots(0x3ff, 2, slot, &err), -ENOSPC);
    assert_string_equal(err.text,
                        "virtio_restricted: 2 devices, but only 1 of the 11 "
                        "virtio-mmio slots are free beside the guest's other "
                        "virtio devices: take devices out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top),
        cmocka_unit_test(test_below_modules),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_fixed_first),
        cmocka_unit_test(test_fixed_wrong),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

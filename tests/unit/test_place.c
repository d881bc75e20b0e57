/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "libs/guest/place.h"
#include "libs/transport/mmio/slots.h"

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

static const struct vr_slots arm = {0x02000000, 33, 11};
static const struct vr_slots x86 = {0xfeb00000, 32, 16};

static void test_slots(void **state)
{
    unsigned int slot[VR_SLOTS_MAX], i;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_place_slots(&arm, 0, 11, false, slot, NULL), 0);
    for (i = 0; i < 11; i++)
        assert_int_equal(slot[i], i);
    assert_int_equal(vr_place_slots(&arm, 0x5, 2, false, slot, NULL), 0);
    assert_int_equal(slot[0], 1);
    assert_int_equal(slot[1], 3);
    assert_int_equal(vr_place_slots(&arm, 0x3ff, 1, false, slot, NULL), 0);
    assert_int_equal(slot[0], 10);
    assert_int_equal(vr_place_slots(&arm, ~0u, 0, false, slot, NULL), 0);
    assert_int_equal(vr_place_slots(&arm, 0x3ff, 2, false, slot, &err),
                     -ENOSPC);
    assert_string_equal(err.text,
                        "virtio_restricted: 2 devices, but only 1 of the 11 "
                        "virtio-mmio slots are free beside the guest's other "
                        "virtio devices: take devices out");
    /* the virtio-iommu takes one as well, the last */
    assert_int_equal(vr_place_slots(&arm, 0, 10, true, slot, NULL), 0);
    assert_int_equal(slot[9], 9);
    assert_int_equal(slot[10], 10);
    assert_int_equal(vr_place_slots(&arm, 0x2, 1, true, slot, NULL), 0);
    assert_int_equal(slot[0], 0);
    assert_int_equal(slot[1], 2);
    assert_int_equal(vr_place_slots(&arm, 0, 11, true, slot, &err), -ENOSPC);
    assert_string_equal(
        err.text, "virtio_restricted: 11 devices and the virtio-iommu "
                  "of those with mode=dynamic or mixed, but only 11 of the 11 "
                  "virtio-mmio slots are free beside the guest's other "
                  "virtio devices: take devices out");
}

/* Another architecture has more of them. */
static void test_more_slots(void **state)
{
    unsigned int slot[VR_SLOTS_MAX], i;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_place_slots(&x86, 0, 16, false, slot, NULL), 0);
    for (i = 0; i < 16; i++)
        assert_int_equal(slot[i], i);
    assert_int_equal(vr_place_slots(&x86, 0, 15, true, slot, NULL), 0);
    assert_int_equal(slot[15], 15);
    assert_int_equal(vr_place_slots(&x86, 0, 16, true, slot, &err), -ENOSPC);
    assert_string_equal(
        err.text, "virtio_restricted: 16 devices and the virtio-iommu "
                  "of those with mode=dynamic or mixed, but only 16 of the 16 "
                  "virtio-mmio slots are free beside the guest's other "
                  "virtio devices: take devices out");
    assert_int_equal(vr_place_slots(&x86, 0xfffe, 1, false, slot, NULL), 0);
    assert_int_equal(slot[0], 0);
    assert_int_equal(vr_place_slots(&x86, 0xffff, 1, false, slot, NULL),
                     -ENOSPC);
}

static struct vr_dev_cfg dynamic(uint64_t aperture)
{
    struct vr_dev_cfg c = {.mode = VR_MODE_DYNAMIC, .aperture = aperture};

    return c;
}

static void test_iova(void **state)
{
    struct vr_dev_cfg c[VR_MAX_DEVICES];
    uint64_t base[VR_MAX_DEVICES];
    unsigned int i;

    (void)state;
    c[0] = dynamic(32 * M);
    c[1] = dev(16 * M, 0);
    c[2] = dynamic(2 * M + 0x1000);
    c[3] = dynamic(0x1000);
    base[1] = 77;
    vr_place_iova(c, 4, base);
    assert_true(base[0] == VR_IOVA_BASE);
    assert_true(base[1] == 77);
    assert_true(base[2] == VR_IOVA_BASE + 32 * M);
    assert_true(base[3] == VR_IOVA_BASE + 36 * M);
    /* All that there can be: disjoint, aligned, below a grant's 2^44. */
    for (i = 0; i < VR_MAX_DEVICES; i++)
        c[i] = dynamic(1024 * M - (i & 1) * 0x1000);
    vr_place_iova(c, VR_MAX_DEVICES, base);
    for (i = 0; i < VR_MAX_DEVICES; i++) {
        assert_true(base[i] % VR_IOVA_ALIGN == 0);
        assert_true(!i || base[i] >= base[i - 1] + c[i - 1].aperture);
        assert_true(base[i] + c[i].aperture < UINT64_C(1) << 44);
    }
}

/* Pools are placed as if the dynamic devices were not there. */
static void test_pools_pass_over_dynamic(void **state)
{
    struct vr_dev_cfg c[3];
    uint64_t base[3] = {1, 2, 3};

    (void)state;
    c[0] = dynamic(1024 * M);
    c[1] = dev(16 * M, 0);
    c[2] = dynamic(1024 * M);
    assert_int_equal(place(c, 3, 64 * M, NULL, 0, base, NULL), 0);
    assert_int_equal(base[0], 1);
    assert_int_equal(base[1], RAM0 + 48 * M);
    assert_int_equal(base[2], 3);
}

static struct vr_dev_cfg mixed(uint64_t size, uint64_t aperture, uint64_t base)
{
    struct vr_dev_cfg c = dev(size, base);

    c.mode = VR_MODE_MIXED;
    c.aperture = aperture;
    return c;
}

/* A mixed device has both, and an address never names two of its pages. */
static void test_mixed(void **state)
{
    static const struct vr_span high = {VR_IOVA_BASE - 32 * M,
                                        VR_IOVA_BASE + 256 * M, NULL};
    struct vr_dev_cfg c[3];
    uint64_t base[3] = {1, 2, 3}, iova[3] = {4, 5, 6};
    uint32_t pg[3] = {0}, ig[3] = {0};
    struct vr_err err;

    (void)state;
    c[0] = mixed(16 * M, 32 * M, 0);
    c[1] = dynamic(8 * M);
    c[2] = mixed(8 * M, 4 * M, 0);
    assert_int_equal(place(c, 3, 64 * M, NULL, 0, base, NULL), 0);
    assert_int_equal(base[0], RAM0 + 48 * M);
    assert_int_equal(base[1], 2);
    assert_int_equal(base[2], RAM0 + 40 * M);
    vr_place_iova(c, 3, iova);
    assert_true(iova[0] == VR_IOVA_BASE);
    assert_true(iova[1] == VR_IOVA_BASE + 32 * M);
    assert_true(iova[2] == VR_IOVA_BASE + 40 * M);
    /* 6144 + 11264 references are 34 frames */
    assert_int_equal(vr_place_frames(c, 3, 4096), 34 + 8);
    assert_int_equal(vr_place_grefs(c, 3, 4096, 64, pg, ig), 0);
    assert_int_equal(pg[0], 32768 - 4096);
    assert_int_equal(pg[1], 0);
    assert_int_equal(pg[2], pg[0] - 2048);
    assert_int_equal(ig[0], pg[2] - 8192);
    assert_int_equal(ig[1], ig[0] - 2048);
    assert_int_equal(ig[2], ig[1] - 1024);
    /* RAM where its own dynamic window is: below it, or above */
    assert_int_equal(vr_place_pools(c, 1, &high, 1, NULL, 0, base, NULL), 0);
    assert_true(base[0] == high.end - 16 * M);
    c[0].size = 256 * M;
    assert_int_equal(vr_place_pools(c, 1, &high, 1, NULL, 0, base, &err),
                     -ENOSPC);
    c[0] = mixed(16 * M, 256 * M, 0);
    assert_int_equal(vr_place_pools(c, 1, &high, 1, NULL, 0, base, NULL), 0);
    assert_true(base[0] == VR_IOVA_BASE - 16 * M);
    c[0] = mixed(16 * M, 32 * M, VR_IOVA_BASE + 16 * M);
    assert_int_equal(vr_place_pools(c, 1, &high, 1, NULL, 0, base, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "the device's own IOVA window"));
    c[0] = mixed(16 * M, 32 * M, VR_IOVA_BASE + 32 * M);
    assert_int_equal(vr_place_pools(c, 1, &high, 1, NULL, 0, base, NULL), 0);
}

#define G    UINT64_C(0x40000000)
#define HIGH (128 * G)

static int beside(const struct vr_dev_cfg *c, unsigned int n,
                  const struct vr_span *used, unsigned int nused,
                  uint64_t *base, struct vr_err *err)
{
    const struct vr_span room = {HIGH, 256 * G, NULL};

    return vr_place_pools_beside(c, n, 6 * G, &room, used, nused, base, err);
}

static void test_beside(void **state)
{
    struct vr_dev_cfg c[4];
    uint64_t base[4] = {0};

    (void)state;
    c[0] = dev(M, 0);
    c[1] = dynamic(32 * M);
    c[2] = dev(64 * M, 0);
    c[3] = dev(2 * M, HIGH + 2 * M);
    base[1] = 77;
    assert_int_equal(beside(c, 4, NULL, 0, base, NULL), 0);
    assert_true(base[0] == HIGH);
    assert_true(base[1] == 77);
    assert_true(base[2] == HIGH + 4 * M); /* above the fixed one */
    assert_true(base[3] == HIGH + 2 * M);
    /* base= may name what is below the room, but not below the lowest */
    c[3] = dev(2 * M, 6 * G);
    assert_int_equal(beside(c, 4, NULL, 0, base, NULL), 0);
    assert_true(base[2] == HIGH + 2 * M);
    assert_true(base[3] == 6 * G);
}

static void test_beside_used(void **state)
{
    const struct vr_span used[] = {
        {0, HIGH + 3 * M + 0x1000, "the guest's RAM"},
        {HIGH + 6 * M, HIGH + 8 * M, "the windows of dynamic devices"},
        {0, 0, "nothing"},
    };
    struct vr_dev_cfg c[2] = {dev(2 * M, 0), dev(4 * M, 0)};
    uint64_t base[2];

    (void)state;
    assert_int_equal(beside(c, 2, used, 3, base, NULL), 0);
    assert_true(base[0] == HIGH + 4 * M);
    assert_true(base[1] == HIGH + 8 * M);
}

static void test_beside_wrong(void **state)
{
    const struct vr_span used[] = {
        {0, 8 * G, "the guest's RAM"},
    };
    const struct vr_span none = {64 * G, 64 * G, NULL};
    const struct vr_span top = {0xffffffffffe00000, UINT64_MAX, NULL};
    struct vr_dev_cfg c[2] = {dev(2 * M, 6 * G - 0x1000), dev(2 * M, 0)};
    struct vr_span full[17] = {{0, 0, "x"}};
    struct vr_err err;
    uint64_t base[2];

    (void)state;
    assert_int_equal(beside(c, 1, used, 1, base, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: base=0x17ffff000 with its size "
                        "is not between 0x180000000 and 0x3fffffffff, where "
                        "this guest has addresses to spare: move it, or leave "
                        "base= out");
    c[0] = dev(2 * M, 8 * G - M);
    assert_int_equal(beside(c, 1, used, 1, base, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: base=0x1fff00000 overlaps the "
                        "guest's RAM at 0x0-0x1ffffffff: move it, or leave "
                        "base= out");
    c[0] = dev(2 * M, 256 * G - M);
    assert_int_equal(beside(c, 1, NULL, 0, base, NULL), -EINVAL);
    c[0] = dev(2 * M, 256 * G - 2 * M);
    assert_int_equal(beside(c, 1, NULL, 0, base, NULL), 0);
    c[0] = dev(2 * M, 8 * G);
    c[1] = dev(2 * M, 8 * G + M);
    assert_int_equal(beside(c, 2, used, 1, base, &err), -EINVAL);
    assert_non_null(strstr(err.text, "overlaps another window"));
    c[1] = dev(2 * M, 0);
    assert_int_equal(
        vr_place_pools_beside(&c[1], 1, 6 * G, &none, NULL, 0, base, &err),
        -ENOSPC);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: no room for size=2M from "
                        "0x1000000000 up to 0x1000000000, the end of the "
                        "addresses that a guest can have on this host: lower "
                        "size= or memory=, or choose an address behind the RAM "
                        "by base=");
    c[1] = dev(128 * G + M, 0);
    assert_int_equal(beside(&c[1], 1, used, 1, base, NULL), -ENOSPC);
    c[1] = dev(4 * M, 0);
    assert_int_equal(
        vr_place_pools_beside(&c[1], 1, 0, &top, NULL, 0, base, NULL), -ENOSPC);
    assert_int_equal(beside(c, VR_MAX_DEVICES + 1, used, 1, base, NULL),
                     -EINVAL);
    assert_int_equal(beside(c, 1, full, 17, base, NULL), -EINVAL);
}

static void test_grefs(void **state)
{
    struct vr_dev_cfg c[3];
    uint32_t pool[3] = {0}, iova[3] = {0};

    (void)state;
    c[0] = dynamic(32 * M);
    c[1] = dev(64 * M, 0);
    c[2] = dynamic(M + 0x1000);
    /* 8192 + 16384 + 257 references: 49 frames */
    assert_int_equal(vr_place_frames(c, 3, 4096), 49 + 8);
    assert_int_equal(vr_place_grefs(c, 3, 4096, 64, pool, iova), 0);
    /* pools above all dynamic windows */
    assert_int_equal(pool[1], 32768 - 16384);
    assert_int_equal(iova[0], pool[1] - 8192);
    assert_int_equal(iova[2], iova[0] - 257);
    assert_true(!pool[0] && !pool[2] && !iova[1]);
    assert_int_equal(vr_place_grefs(c, 3, 4096, 57, pool, iova), 0);
    assert_true(iova[2] >= 4096);
    assert_int_equal(vr_place_grefs(c, 3, 4096, 56, pool, iova), -ENOSPC);
    assert_int_equal(vr_place_grefs(c, 3, 4096, UINT32_MAX, pool, iova),
                     -ENOSPC);
    assert_int_equal(vr_place_frames(c, 0, 4096), 8);
    c[0] = dev(2 * M, 0);
    assert_int_equal(vr_place_frames(c, 1, 4096), 1 + 8);
    /* what is left is whole frames; the first is always the guest's */
    assert_int_equal(vr_place_frames(c, 1, 4097), 1 + 9);
    assert_int_equal(vr_place_frames(c, 1, 0), 1 + 1);
    assert_int_equal(vr_place_frames(c, 1, 513), 1 + 2);
    assert_int_equal(vr_place_grefs(c, 1, 513, 3, pool, iova), 0);
    assert_int_equal(pool[0], 1024);
    assert_int_equal(vr_place_grefs(c, 1, 513, 2, pool, iova), -ENOSPC);
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
        cmocka_unit_test(test_more_slots),
        cmocka_unit_test(test_iova),
        cmocka_unit_test(test_pools_pass_over_dynamic),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_beside_used),
        cmocka_unit_test(test_beside_wrong),
        cmocka_unit_test(test_grefs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

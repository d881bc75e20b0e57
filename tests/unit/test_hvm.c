/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libs/guest/hvm.h"
#include "libs/transport/mmio/slots.h"

#define M UINT64_C(0x100000)
#define G UINT64_C(0x40000000)

/* Every slot's GSI is the line of one device that Xen takes for it, and no
 * two have the same. */
static void test_intx(void **state)
{
    static const struct {
        uint32_t gsi;
        unsigned int dev, intx;
    } known[] = {
        {32, 27, 1}, {34, 27, 3}, {35, 28, 0}, {38, 28, 3}, {39, 29, 0},
        {42, 29, 3}, {43, 30, 0}, {46, 30, 3}, {47, 31, 0},
    };
    unsigned int dev, intx, i;
    uint32_t gsi, seen = 0;

    (void)state;
    for (i = 0; i < VR_HVM_SLOTS; i++) {
        gsi = VR_HVM_GSI_FIRST + i;
        assert_int_equal(vr_hvm_intx(gsi, &dev, &intx), 0);
        assert_true(dev >= 27 && dev <= 31 && intx <= 3);
        /* as in xen/arch/x86/include/asm/hvm/irq.h */
        assert_int_equal(((((dev) << 2) + ((dev) >> 3) + (intx)) & 31) + 16,
                         gsi);
        assert_false(seen & 1u << (4 * (dev - 27) + intx));
        seen |= 1u << (4 * (dev - 27) + intx);
    }
    for (i = 0; i < VR_ARRAY_SIZE(known); i++) {
        assert_int_equal(vr_hvm_intx(known[i].gsi, &dev, &intx), 0);
        assert_int_equal(dev, known[i].dev);
        assert_int_equal(intx, known[i].intx);
    }
    for (i = 0; i < VR_HVM_PCI_SLOTS; i++) {
        gsi = VR_HVM_INTA_FIRST + i * VR_HVM_INTA_STEP;
        assert_int_equal(vr_hvm_intx(gsi, &dev, &intx), 0);
        assert_int_equal(dev, VR_HVM_PCI_FIRST + i);
        assert_int_equal(intx, 0);
    }
    assert_int_equal(vr_hvm_intx(30, &dev, &intx), -ERANGE);
    assert_int_equal(vr_hvm_intx(48, &dev, &intx), -ERANGE);
    assert_int_equal(vr_hvm_intx(0, &dev, &intx), -ERANGE);
    assert_int_equal(vr_hvm_intx(UINT32_MAX, &dev, &intx), -ERANGE);
}

static void test_split(void **state)
{
    uint64_t low, high;

    (void)state;
    vr_hvm_split(512 * M, 0, &low, &high);
    assert_true(low == 512 * M && high == 0);
    vr_hvm_split(0xf0000000, 0, &low, &high);
    assert_true(low == 0xf0000000 && high == 0);
    vr_hvm_split(8 * G, 0, &low, &high);
    assert_true(low == 0xf0000000 && high == 4 * G + 8 * G - 0xf0000000);
    /* mmio_hole=1024 widens it, mmio_hole=16 changes nothing, nor nonsense */
    vr_hvm_split(8 * G, G, &low, &high);
    assert_true(low == 3 * G && high == 9 * G);
    vr_hvm_split(8 * G, 16 * M, &low, &high);
    assert_true(low == 0xf0000000);
    vr_hvm_split(8 * G, 4 * G, &low, &high);
    assert_true(low == 0xf0000000);
}

static void test_ram(void **state)
{
    struct vr_span ram[VR_HVM_BANKS];

    (void)state;
    assert_int_equal(vr_hvm_ram(512 * M, 0, ram), 2);
    assert_true(ram[0].start == 0 && ram[0].end == 0xa0000);
    assert_true(ram[1].start == M && ram[1].end == 512 * M);
    /* hvmloader may move what lies above 2 GiB behind the rest */
    assert_int_equal(vr_hvm_ram(2 * G, 0, ram), 2);
    assert_int_equal(vr_hvm_ram(3 * G, 0, ram), 3);
    assert_true(ram[1].end == 3 * G);
    assert_true(ram[2].start == 4 * G && ram[2].end == 5 * G);
    assert_int_equal(vr_hvm_ram(0xf0000000, 8 * G, ram), 3);
    assert_true(ram[2].start == 4 * G);
    assert_true(ram[2].end == 8 * G + 0xf0000000 - 2 * G);
    /* no guest is so small, but nothing breaks */
    assert_int_equal(vr_hvm_ram(0x1000, 0, ram), 1);
    assert_true(ram[0].end == 0x1000);
    assert_int_equal(vr_hvm_ram(M, 0, ram), 1);
    assert_true(ram[0].end == 0xa0000);
}

static void test_room(void **state)
{
    struct vr_span room;
    uint64_t lowest;

    (void)state;
    vr_hvm_pool_room(512 * M, 40, &lowest, &room);
    assert_true(lowest == 4 * G);
    assert_true(room.start == VR_HVM_POOL_BASE && room.end == 1024 * G);
    vr_hvm_pool_room(9 * G, 52, &lowest, &room);
    /* clear of what QEMU has behind the RAM for a while */
    assert_true(lowest == 10 * G && room.end == UINT64_C(1) << 44);
    /* much RAM: 64 GiB stay free above it */
    vr_hvm_pool_room(64 * G, 40, &lowest, &room);
    assert_true(room.start == 128 * G);
    vr_hvm_pool_room(65 * G, 40, &lowest, &room);
    assert_true(room.start == 256 * G);
    /* addresses too short: empty, but base= may still be tried */
    vr_hvm_pool_room(512 * M, 36, &lowest, &room);
    assert_true(room.start == room.end && room.end == 64 * G);
    vr_hvm_pool_room(512 * M, 37, &lowest, &room);
    assert_true(room.start == room.end && room.end == 128 * G);
}

/* Registers, pools and windows of dynamic devices never meet. */
static void test_apart(void **state)
{
    (void)state;
    assert_true(VR_HVM_SLOT_BASE + VR_HVM_SLOTS * VR_SLOT_SIZE <= 0xfec00000);
    assert_true(VR_IOVA_BASE < VR_HVM_POOL_BASE);
    assert_true(VR_HVM_SLOTS <= VR_SLOTS_MAX);
    assert_true(VR_HVM_GSI_FIRST + VR_HVM_SLOTS <= 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intx),  cmocka_unit_test(test_split),
        cmocka_unit_test(test_ram),   cmocka_unit_test(test_room),
        cmocka_unit_test(test_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's worker with a PCI function of an x86 HVM guest: configuration
 * space beside QEMU's, BARs that the guest moves, messages to wherever it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/worker/bus.h"
#include "worker_world.h"

#define SLOT         28u
#define CONFIG       ((uint64_t)(SLOT << 3) << 32)
#define CONFIG_TYPE  IOREQ_TYPE_PCI_CONFIG
#define BAR          UINT64_C(0xf1000000)
#define MESSAGE_ADDR UINT64_C(0xfee00000)
#define MESSAGE_DATA 0x41

static unsigned int line;

static int drive_line(xendevicemodel_handle *dm, domid_t domid, uint32_t irq,
                      bool raise)
{
    (void)dm;
    assert_int_equal(domid, FX_GUEST);
    assert_int_equal(irq, VR_HVM_INTA_FIRST + VR_HVM_INTA_STEP);
    line = raise;
    return 0;
}

static int always(uint32_t domid, struct vr_err *err)
{
    (void)domid;
    (void)err;
    return 0;
}

const struct vr_arch vr_arch = {"simulated", true, &bus_hvm, always,
                                drive_line};

#include "pci_guest.h"

/* What Xen passes on beside the registers of the devices that are no
 * functions. */
static bool is_passed(uint64_t at)
{
    unsigned int i;

    for (i = 0; i < fx.nranges; i++)
        if (fx.range[i].start == at) {
            assert_int_equal(fx.range[i].end - at, VR_PCI_BAR_SIZE - 1);
            return true;
        }
    return false;
}

static int setup(void **state)
{
    unsigned int i;

    (void)state;
    line = 0;
    ww_record();
    for (i = 0; i < 2; i++) {
        ww_rec.devs[i].cfg.transport = VR_TRANSPORT_pci;
        ww_rec.devs[i].mmio_base = (uint64_t)(SLOT + i) << VR_PCI_SLOT_SHIFT;
        ww_rec.devs[i].irq =
            VR_HVM_INTA_FIRST + (SLOT + i - 27) * VR_HVM_INTA_STEP;
    }
    ww_init();
    assert_int_equal(fx.functions, 3u << SLOT);
    ww_serve(0);
    ww_run(0);
    drive();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ww_end();
    return 0;
}

static uint64_t other_get(unsigned int off, unsigned int size)
{
    return read_by(CONFIG + (UINT64_C(8) << 32) + off, size, CONFIG_TYPE);
}

static void other_put(unsigned int off, unsigned int size, uint64_t value)
{
    write_by(0, CONFIG + (UINT64_C(8) << 32) + off, size, value, CONFIG_TYPE);
}

static void test_space(void **state)
{
    (void)state;
    assert_int_equal(config_get(0, 4), 0x10421af4);
    assert_int_equal(other_get(0, 4), 0x10421af4);
    /* Other functions of the slot, and what there is not by ports */
    assert_true(read_by(CONFIG + (UINT64_C(1) << 32), 4, CONFIG_TYPE) ==
                UINT64_MAX);
    assert_true(config_get(0x100, 4) == UINT64_MAX);
    /* Memory at the same address is something else. */
    assert_true(get(CONFIG, 4) == UINT64_MAX);
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 15);
    assert_true(read_by(BAR, 4, CONFIG_TYPE) == UINT64_MAX);
}

static void test_moves(void **state)
{
    /* RAM, what is reserved, our own registers, the end; on top of QEMU's. */
    static const uint32_t nowhere[] = {
        0, 0x1000, 0x7fff8000, 0xfc000000, 0xfeb00000, 0xfee00000, 0xffff8000};
    const unsigned int before = fx.nranges;
    unsigned int i;

    (void)state;
    assert_true(is_passed(BAR));
    /* Not decoded, it keeps its place. */
    config_put(0, VR_PCI_COMMAND, 2, 4);
    assert_true(is_passed(BAR));
    assert_true(get(BAR + VR_PCI_DEVICE_STATUS, 1) == UINT64_MAX);
    config_put(0, VR_PCI_BAR0, 4, 0xffffffff);
    assert_true(is_passed(BAR));
    config_put(0, VR_PCI_BAR0, 4, 0x80000000);
    config_put(0, VR_PCI_COMMAND, 2, 6);
    assert_false(is_passed(BAR));
    assert_true(is_passed(0x80000000));
    assert_int_equal(get(0x80000000 + VR_PCI_DEVICE_STATUS, 1), 15);
    config_put(0, VR_PCI_BAR0, 4, 0xfbff8000);
    assert_int_equal(get(0xfbff8000 + VR_PCI_DEVICE_STATUS, 1), 15);
    assert_int_equal(fx.nranges, before);
    for (i = 0; i < VR_ARRAY_SIZE(nowhere); i++) {
        config_put(0, VR_PCI_BAR0, 4, nowhere[i]);
        assert_false(is_passed(nowhere[i]));
        assert_true(get(nowhere[i] + VR_PCI_DEVICE_STATUS, 1) == UINT64_MAX);
        assert_int_equal(fx.nranges, before);
    }
    config_put(0, VR_PCI_BAR0, 4, BAR);
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 15);
}

/* Two functions that change places, one on top of the other meanwhile. */
static void test_exchange(void **state)
{
    const uint64_t there = BAR + VR_PCI_BAR_SIZE;
    const unsigned int before = fx.nranges;

    (void)state;
    other_put(VR_PCI_BAR0, 4, there);
    other_put(VR_PCI_COMMAND, 2, 6);
    assert_int_equal(fx.nranges, before + 1);
    config_put(0, VR_PCI_COMMAND, 2, 4);
    other_put(VR_PCI_COMMAND, 2, 4);
    config_put(0, VR_PCI_BAR0, 4, there);
    other_put(VR_PCI_BAR0, 4, BAR);
    config_put(0, VR_PCI_COMMAND, 2, 6);
    assert_true(is_passed(there));
    assert_false(is_passed(BAR));
    other_put(VR_PCI_COMMAND, 2, 6);
    assert_true(is_passed(there) && is_passed(BAR));
    assert_int_equal(get(there + VR_PCI_DEVICE_STATUS, 1), 15);
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 0);
    /* Both at one place, and one of them away again */
    other_put(VR_PCI_BAR0, 4, there);
    assert_false(is_passed(BAR));
    config_put(0, VR_PCI_BAR0, 4, BAR);
    assert_true(is_passed(there) && is_passed(BAR));
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 15);
    assert_int_equal(get(there + VR_PCI_DEVICE_STATUS, 1), 0);
    assert_int_equal(fx.nranges, before + 1);
}

static void test_refused(void **state)
{
    (void)state;
    fx.fails = "xendevicemodel_map_io_range_to_ioreq_server";
    fx.error = ENOSPC;
    config_put(0, VR_PCI_BAR0, 4, BAR + VR_PCI_BAR_SIZE);
    assert_false(is_passed(BAR + VR_PCI_BAR_SIZE));
    assert_false(is_passed(BAR));
    fx.fails = NULL;
    config_put(0, VR_PCI_BAR0, 4, BAR);
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 15);
}

static void used(void)
{
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(10);
}

static void test_message(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t data;
    } nowhere[] = {{0, 0},
                   {0, 0x41},
                   {0x80000000, 0x41},
                   {0xfed00000, 0x41},
                   {0xfee00000, 0x700}, /* pirq 0 */
                   {0xfef00000, 0x41}};
    unsigned int i;

    (void)state;
    used();
    assert_int_equal(fx.messages, 1);
    assert_int_equal(fx.message_addr, MESSAGE_ADDR);
    assert_int_equal(fx.message_data, MESSAGE_DATA + 1);
    /* A pirq, whose mask bit says nothing */
    put(0, BAR + VR_PCI_AT_TABLE + 16, 4, 0xfee33000);
    put(0, BAR + VR_PCI_AT_TABLE + 24, 8, UINT64_C(1) << 32 | 0x700);
    used();
    assert_int_equal(fx.messages, 2);
    assert_int_equal(fx.message_addr, 0xfee33000);
    for (i = 0; i < VR_ARRAY_SIZE(nowhere); i++) {
        put(0, BAR + VR_PCI_AT_TABLE + 16, 8, nowhere[i].addr);
        put(0, BAR + VR_PCI_AT_TABLE + 24, 8, nowhere[i].data);
        used();
    }
    assert_int_equal(fx.messages, 2);
    assert_int_equal(ww.stats.dev[0].bad_accesses, VR_ARRAY_SIZE(nowhere));
}

/* INTA is a level. */
static void test_inta(void **state)
{
    (void)state;
    config_put(0, VR_PCI_MSIX_CONTROL, 2, 0);
    used();
    assert_int_equal(line, 1);
    assert_int_equal(get(BAR + VR_PCI_AT_ISR, 1), VR_INT_USED);
    assert_int_equal(line, 0);
    used();
    ww_run(VR_PACE_MAX_NS / 1000000);
    assert_int_equal(line, 1);
    config_put(0, VR_PCI_COMMAND, 2, 6 | VR_PCI_COMMAND_NO_INTX);
    assert_int_equal(line, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inta, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

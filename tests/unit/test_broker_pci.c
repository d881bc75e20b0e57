/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's worker with a PCI function: a guest's accesses to the bus, what
 * becomes of messages, and that a hostile backend cannot make a storm of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/worker/bus.h"
#include "worker_world.h"

#define SLOT         3u
#define CONFIG       (VR_PCI_ECAM + (SLOT << 15))
#define CONFIG_TYPE  IOREQ_TYPE_COPY
#define BAR          (VR_PCI_BARS + 0x10000)
#define MESSAGE_ADDR (VR_PCI_FRAME + VR_V2M_SETSPI)
#define MESSAGE_DATA VR_PCI_MESSAGES

static unsigned int raised[128];

static int raise_irq(xendevicemodel_handle *dm, domid_t domid, uint32_t irq,
                     bool raise)
{
    (void)dm;
    assert_int_equal(domid, FX_GUEST);
    assert_true(irq < VR_ARRAY_SIZE(raised));
    raised[irq] += raise;
    return 0;
}

static int always(uint32_t domid, struct vr_err *err)
{
    (void)domid;
    (void)err;
    return 0;
}

/* As on Arm: edges, and a bus. */
const struct vr_arch vr_arch = {"simulated", false, &bus_ecam, always,
                                raise_irq};

#include "pci_guest.h"

static int setup(void **state)
{
    (void)state;
    memset(raised, 0, sizeof(raised));
    ww_record();
    ww_rec.devs[0].cfg.transport = VR_TRANSPORT_pci;
    ww_rec.devs[0].mmio_base = vr_pci_registers(SLOT);
    ww_rec.devs[0].irq = VR_PCI_LINES + SLOT;
    ww_init();
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

static void test_bus(void **state)
{
    unsigned int slot;

    (void)state;
    for (slot = 0; slot < VR_PCI_SLOTS; slot++)
        assert_true(get(vr_pci_registers(slot), 4) ==
                    (slot == SLOT ? 0x10421af4 : UINT64_MAX));
    /* Other functions of it, and of other buses */
    assert_true(get(CONFIG + 0x1000, 4) == UINT64_MAX);
    assert_true(get(VR_PCI_ECAM + VR_PCI_ECAM_SIZE, 4) == UINT64_MAX);
    assert_int_equal(get(VR_PCI_FRAME + VR_V2M_TYPER, 4),
                     VR_PCI_MESSAGES << 16 | 3);
    assert_true(put(0, VR_PCI_FRAME + VR_V2M_SETSPI, 4, VR_PCI_MESSAGES));
    assert_int_equal(raised[VR_PCI_MESSAGES], 0);
    /* The BAR moves, and is not where it was. */
    config_put(0, VR_PCI_BAR0, 4, BAR + VR_PCI_BAR_SIZE);
    assert_true(get(BAR + VR_PCI_DEVICE_STATUS, 1) == UINT64_MAX);
    assert_int_equal(get(BAR + VR_PCI_BAR_SIZE + VR_PCI_DEVICE_STATUS, 1), 15);
    config_put(0, VR_PCI_COMMAND, 2, 4);
    assert_true(get(BAR + VR_PCI_BAR_SIZE + VR_PCI_DEVICE_STATUS, 1) ==
                UINT64_MAX);
}

static void test_message(void **state)
{
    (void)state;
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(1);
    assert_int_equal(raised[VR_PCI_MESSAGES + 1], 1);
    assert_int_equal(raised[VR_PCI_MESSAGES], 0);
    /* Two for each notification of the guest, at once. */
    put(0, BAR + VR_PCI_AT_NOTIFY, 2, 0);
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(0);
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(0);
    assert_int_equal(raised[VR_PCI_MESSAGES + 1], 3);
}

/* Nobody acknowledges: it is the clock that brakes. */
static void test_storm(void **state)
{
    const uint64_t begun = fx.ns;
    unsigned int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        vr_ctrl_post(&fx.ctrl[0]->intr, 1);
        ww_backend_event(0);
        ww_run(0);
        fx.ns += 10000;
    }
    assert_true(raised[VR_PCI_MESSAGES + 1] > 10);
    assert_true(raised[VR_PCI_MESSAGES + 1] <=
                (fx.ns - begun) / VR_PACE_UNTOLD_NS + 2);
    assert_true(ww.stats.dev[0].interrupts_held > 10);
    /* The last is not lost. */
    i = raised[VR_PCI_MESSAGES + 1];
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(10);
    assert_true(raised[VR_PCI_MESSAGES + 1] > i);
}

/* Messages that the guest sends elsewhere raise nothing. */
static void test_stray(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t data;
    } to[] = {
        {VR_PCI_FRAME + VR_V2M_SETSPI, 33},
        {VR_PCI_FRAME + VR_V2M_SETSPI, VR_PCI_MESSAGES + 3},
        {VR_PCI_FRAME + VR_V2M_SETSPI, UINT32_MAX},
        {VR_PCI_FRAME, VR_PCI_MESSAGES},
        {0xfee00000, VR_PCI_MESSAGES},
        {UINT64_MAX, 0},
    };
    unsigned int i, irq;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(to); i++) {
        put(0, BAR + VR_PCI_AT_TABLE + 16, 8, to[i].addr);
        put(0, BAR + VR_PCI_AT_TABLE + 24, 4, to[i].data);
        vr_ctrl_post(&fx.ctrl[0]->intr, 1);
        ww_backend_event(0);
        ww_run(10);
    }
    for (irq = 0; irq < VR_ARRAY_SIZE(raised); irq++)
        assert_int_equal(raised[irq], 0);
    assert_true(ww.stats.dev[0].bad_accesses >= VR_ARRAY_SIZE(to));
}

static void test_inta(void **state)
{
    (void)state;
    config_put(0, VR_PCI_MSIX_CONTROL, 2, 0);
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(10);
    assert_int_equal(raised[VR_PCI_LINES + SLOT], 1);
    /* As with virtio-mmio: the next one when this one is seen. */
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(10);
    assert_int_equal(raised[VR_PCI_LINES + SLOT], 1);
    assert_int_equal(get(BAR + VR_PCI_AT_ISR, 1), VR_INT_USED);
    ww_run(VR_PACE_MAX_NS / 1000000);
    assert_int_equal(raised[VR_PCI_LINES + SLOT], 2);
}

/* A reset of the function is held until the backend has let go. */
static void test_function_reset(void **state)
{
    (void)state;
    assert_false(config_put(1, VR_PCI_AF_CONTROL, 1, 1));
    assert_true(ww.vcpu[1].asks);
    assert_int_equal(fx.ctrl[0]->req.run, 0);
    /* Others go on meanwhile. */
    assert_int_equal(config_get(0, 4), 0x10421af4);
    assert_true(get(BAR + VR_PCI_DEVICE_STATUS, 1) == UINT64_MAX);
    ww_serve(0);
    ww_run(10);
    assert_false(ww.vcpu[1].asks);
    drive();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stray, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inta, setup, teardown),
        cmocka_unit_test_setup_teardown(test_function_reset, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

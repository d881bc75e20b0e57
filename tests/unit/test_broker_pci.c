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

#include "libs/transport/pci/bus.h"
#include "libs/transport/pci/function.h"
#include "worker_world.h"

#define SLOT   3u
#define CONFIG (VR_PCI_ECAM + (SLOT << 15))
#define BAR    (VR_PCI_BARS + 0x10000)

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
const struct vr_arch vr_arch = {"simulated", false, true, always, raise_irq};

static ioreq_t request(uint64_t addr, unsigned int size, int dir,
                       uint64_t value)
{
    const ioreq_t req = {.addr = addr,
                         .data = value,
                         .count = 1,
                         .size = size,
                         .dir = dir,
                         .type = IOREQ_TYPE_COPY};

    return req;
}

static uint64_t get(uint64_t addr, unsigned int size)
{
    ioreq_t req = request(addr, size, IOREQ_READ, 0);
    const unsigned int before = ww.vcpu[0].answers;

    assert_true(ww_access(0, &req));
    ww_run(0);
    assert_true(ww.vcpu[0].answers != before);
    return ww.vcpu[0].value;
}

static bool put(unsigned int v, uint64_t addr, unsigned int size,
                uint64_t value)
{
    ioreq_t req = request(addr, size, IOREQ_WRITE, value);
    const unsigned int before = ww.vcpu[v].answers;

    if (!ww_access(v, &req))
        return false;
    ww_run(0);
    return ww.vcpu[v].answers != before;
}

/* What Linux does, up to DRIVER_OK, with messages. */
static void drive(void)
{
    const uint64_t pool = ww_rec.devs[0].pool.base;
    unsigned int i;

    put(0, CONFIG + VR_PCI_BAR0, 4, BAR);
    put(0, CONFIG + VR_PCI_COMMAND, 2, 6);
    put(0, BAR + VR_PCI_DEVICE_STATUS, 1, 3);
    for (i = 0; i < 2; i++) {
        put(0, BAR + VR_PCI_DEVICE_FEATURE_SELECT, 4, i);
        put(0, BAR + VR_PCI_DRIVER_FEATURE_SELECT, 4, i);
        put(0, BAR + VR_PCI_DRIVER_FEATURE, 4,
            get(BAR + VR_PCI_DEVICE_FEATURE, 4));
    }
    put(0, BAR + VR_PCI_DEVICE_STATUS, 1, 11);
    for (i = 0; i < 3; i++) {
        put(0, BAR + VR_PCI_AT_TABLE + 16 * i, 8, VR_PCI_FRAME + VR_V2M_SETSPI);
        put(0, BAR + VR_PCI_AT_TABLE + 16 * i + 8, 8, VR_PCI_MESSAGES + i);
    }
    put(0, CONFIG + VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
    put(0, BAR + VR_PCI_QUEUE_SIZE, 2, 16);
    put(0, BAR + VR_PCI_QUEUE_DESC, 8, pool);
    put(0, BAR + VR_PCI_QUEUE_DRIVER, 8, pool + 0x800);
    put(0, BAR + VR_PCI_QUEUE_DEVICE, 8, pool + 0xa00);
    put(0, BAR + VR_PCI_QUEUE_VECTOR, 2, 1);
    put(0, BAR + VR_PCI_QUEUE_ENABLE, 2, 1);
    put(0, BAR + VR_PCI_DEVICE_STATUS, 1, 15);
    assert_int_equal(get(BAR + VR_PCI_DEVICE_STATUS, 1), 15);
    ww_serve(0);
    ww_run(10);
}

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
    put(0, CONFIG + VR_PCI_BAR0, 4, BAR + VR_PCI_BAR_SIZE);
    assert_true(get(BAR + VR_PCI_DEVICE_STATUS, 1) == UINT64_MAX);
    assert_int_equal(get(BAR + VR_PCI_BAR_SIZE + VR_PCI_DEVICE_STATUS, 1), 15);
    put(0, CONFIG + VR_PCI_COMMAND, 2, 4);
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
    put(0, CONFIG + VR_PCI_MSIX_CONTROL, 2, 0);
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
    assert_false(put(1, CONFIG + VR_PCI_AF_CONTROL, 1, 1));
    assert_true(ww.vcpu[1].asks);
    assert_int_equal(fx.ctrl[0]->req.run, 0);
    /* Others go on meanwhile. */
    assert_int_equal(get(CONFIG, 4), 0x10421af4);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI function, clause by clause: s4_1_... is about a section of virtio 1.2,
 * pci_... about PCI 3.0 and the ECN on Advanced Features. The model behind it
 * is tested by test_vdev and test_vqueue.
 */
#include "vdev_rig.h"

#include "libs/transport/pci/bus.h"
#include "libs/transport/pci/function.h"

#define VECTORS 5u /* four queues, and the device */

static struct {
    struct vr_pci p;
    uint64_t placed;
    unsigned int places, sent, raised, lowered;
    uint64_t addr;
    uint32_t data;
} fn;

static void on_place(void *ctx, uint64_t base)
{
    (void)ctx;
    fn.placed = base;
    fn.places++;
}

static void on_sent(void *ctx, uint64_t addr, uint32_t data)
{
    (void)ctx;
    fn.addr = addr;
    fn.data = data;
    fn.sent++;
}

static void on_intx(void *ctx, bool raise)
{
    (void)ctx;
    if (raise)
        fn.raised++;
    else
        fn.lowered++;
}

static const struct vr_pci_ops fn_ops = {on_place, on_sent, on_intx};

static void by_pci(void *ctx, bool raise)
{
    (void)ctx;
    vr_pci_irq(&fn.p, raise);
}

static bool told(void *ctx, uint32_t cause, uint32_t queues)
{
    (void)ctx;
    return vr_pci_message(&fn.p, cause, queues);
}

static const struct vr_vdev_ops model_ops = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = by_pci,
    .message = told,
};

static struct fake *power_on(void)
{
    struct fake *f = fresh_with(&model_ops);

    memset(&fn, 0, sizeof(fn));
    vr_pci_init(&fn.p, &f->m, &fn_ops, NULL);
    return f;
}

static uint64_t cfg(unsigned int off, unsigned int size)
{
    return vr_pci_config_face.read(&fn.p, off, size);
}

static enum vr_vdev_result set_cfg(unsigned int off, unsigned int size,
                                   uint64_t value)
{
    return vr_pci_config_face.write(&fn.p, off, size, value);
}

static uint64_t bar(unsigned int off, unsigned int size)
{
    return vr_pci_bar_face.read(&fn.p, off, size);
}

static enum vr_vdev_result set_bar(unsigned int off, unsigned int size,
                                   uint64_t value)
{
    return vr_pci_bar_face.write(&fn.p, off, size, value);
}

static void to_status(uint32_t bits)
{
    assert_int_equal(set_bar(VR_PCI_DEVICE_STATUS, 1, bits), VR_VDEV_DONE);
}

static void write_queue(unsigned int q)
{
    uint64_t base = WIN + q * 0x4000;

    set_bar(VR_PCI_QUEUE_SELECT, 2, q);
    set_bar(VR_PCI_QUEUE_SIZE, 2, 64);
    set_bar(VR_PCI_QUEUE_DESC, 4, base);
    set_bar(VR_PCI_QUEUE_DESC + 4, 4, base >> 32);
    set_bar(VR_PCI_QUEUE_DRIVER, 4, base + 0x1000);
    set_bar(VR_PCI_QUEUE_DRIVER + 4, 4, 0);
    set_bar(VR_PCI_QUEUE_DEVICE, 8, base + 0x2000);
}

static void enable_messages(void)
{
    unsigned int v;

    set_cfg(VR_PCI_COMMAND, 2, VR_PCI_COMMAND_MASTER | VR_PCI_COMMAND_MEMORY);
    for (v = 0; v < VECTORS; v++) {
        set_bar(VR_PCI_AT_TABLE + 16 * v, 4, 0x20ff040);
        set_bar(VR_PCI_AT_TABLE + 16 * v + 8, 4, 96 + v);
        set_bar(VR_PCI_AT_TABLE + 16 * v + 12, 4, 0);
    }
    set_cfg(VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
}

/* What Linux' virtio_pci does, up to DRIVER_OK with two queues. */
static struct fake *driven(bool by_message)
{
    struct fake *f = power_on();
    unsigned int i;

    set_cfg(VR_PCI_COMMAND, 2, VR_PCI_COMMAND_MASTER | VR_PCI_COMMAND_MEMORY);
    to_status(0);
    to_status(1);
    to_status(3);
    for (i = 0; i < 2; i++) {
        set_bar(VR_PCI_DEVICE_FEATURE_SELECT, 4, i);
        set_bar(VR_PCI_DRIVER_FEATURE_SELECT, 4, i);
        set_bar(VR_PCI_DRIVER_FEATURE, 4, bar(VR_PCI_DEVICE_FEATURE, 4));
    }
    to_status(11);
    assert_int_equal(bar(VR_PCI_DEVICE_STATUS, 1), 11);
    if (by_message) {
        enable_messages();
        set_bar(VR_PCI_CONFIG_VECTOR, 2, 0);
    }
    for (i = 0; i < 2; i++) {
        write_queue(i);
        if (by_message)
            set_bar(VR_PCI_QUEUE_VECTOR, 2, 1 + i);
        set_bar(VR_PCI_QUEUE_ENABLE, 2, 1);
        assert_int_equal(bar(VR_PCI_QUEUE_ENABLE, 2), 1);
    }
    to_status(15);
    assert_int_equal(f->req.run, 1);
    return f;
}

/* ---- configuration space ---- */

static void s4_1_2_identity(void **state)
{
    (void)state;
    power_on();
    assert_int_equal(cfg(VR_PCI_VENDOR_ID, 4), 0x10421af4);
    assert_int_equal(cfg(VR_PCI_REVISION, 1), 1); /* 4.1.2.1 */
    assert_true(cfg(VR_PCI_SUB_DEVICE, 2) >= 0x40);
    assert_int_equal(cfg(VR_PCI_HEADER_TYPE, 1), 0);
    assert_int_equal(cfg(VR_PCI_INT_PIN, 1), 1);
    assert_int_equal(cfg(0, 8), UINT64_C(0x0010000010421af4));
}

static void pci_6_1_read_only_and_beyond(void **state)
{
    unsigned int off;

    (void)state;
    power_on();
    set_cfg(VR_PCI_VENDOR_ID, 4, 0);
    set_cfg(VR_PCI_CLASS, 1, 0xff);
    set_cfg(VR_PCI_INT_LINE, 2, 0xffff);
    assert_int_equal(cfg(VR_PCI_VENDOR_ID, 4), 0x10421af4);
    assert_int_equal(cfg(VR_PCI_INT_LINE, 2), 0x1ff);
    /* Conventional PCI ends after 256 bytes. */
    for (off = 0x100; off < VR_PCI_CONFIG_SIZE; off += 4) {
        set_cfg(off, 4, ~0u);
        assert_int_equal(cfg(off, 4), 0);
    }
    assert_int_equal(cfg(0xfe, 4), 0);
    assert_int_equal(cfg(0xffc, 8), 0);
    /* Any values. */
    set_cfg(0xff, 8, UINT64_MAX);
    vr_pci_config_face.read(&fn.p, UINT64_MAX, 4);
    vr_pci_config_face.write(&fn.p, 0, ~0u, UINT64_MAX);
    assert_int_equal(cfg(VR_PCI_VENDOR_ID, 4), 0x10421af4);
}

static void pci_6_2_5_bar_is_sized_and_placed(void **state)
{
    (void)state;
    power_on();
    set_cfg(VR_PCI_BAR0, 4, ~0u);
    assert_int_equal(cfg(VR_PCI_BAR0, 4), 0xffff8000);
    assert_int_equal(cfg(VR_PCI_BAR0 + 4, 4), 0);
    assert_int_equal(fn.places, 0); /* it is not decoded */
    set_cfg(VR_PCI_BAR0, 4, 0x23008000);
    set_cfg(VR_PCI_COMMAND, 2, 0xffff);
    assert_int_equal(cfg(VR_PCI_COMMAND, 2), 0x406);
    assert_int_equal(fn.placed, 0x23008000);
    set_cfg(VR_PCI_BAR0 + 2, 1, 0x10); /* moved while it is */
    assert_int_equal(fn.placed, 0x23108000);
    set_cfg(VR_PCI_COMMAND, 1, 0);
    assert_int_equal(fn.placed, 0);
    assert_int_equal(fn.places, 3);
}

/* Every capability once, none overlaps another, all structures in the BAR. */
static void s4_1_4_capabilities(void **state)
{
    unsigned int at, kinds = 0, others = 0, end = 0x40;

    (void)state;
    power_on();
    assert_int_equal(cfg(VR_PCI_STATUS, 2), VR_PCI_STATUS_CAPS);
    for (at = cfg(VR_PCI_CAPABILITIES, 1); at; at = cfg(at + 1, 1)) {
        assert_int_equal(at % 4, 0);
        assert_true(at >= end);
        if (cfg(at, 1) != 0x09) {
            others++;
            end = at + 12;
            continue;
        }
        end = at + cfg(at + 2, 1);
        kinds |= 1u << cfg(at + 3, 1);
        assert_int_equal(cfg(at + 4, 1), 0); /* BAR */
        assert_true(cfg(at + 8, 4) + cfg(at + 12, 4) <= VR_PCI_BAR_SIZE);
    }
    assert_int_equal(kinds, 0x3e); /* 1 to 5 */
    assert_int_equal(others, 2);   /* MSI-X, Advanced Features */
    assert_int_equal(cfg(VR_PCI_CAP_NOTIFY + 16, 4), VR_PCI_NOTIFY_STEP);
    assert_int_equal(cfg(VR_PCI_MSIX_CONTROL, 2), VECTORS - 1);
}

static void s4_1_4_9_access_by_configuration_space(void **state)
{
    const unsigned int at = VR_PCI_CAP_ACCESS;
    struct fake *f = power_on();
    uint32_t bad;

    (void)state;
    set_cfg(at + 8, 4, VR_PCI_DEVICE_STATUS);
    set_cfg(at + 12, 4, 1);
    set_cfg(at + 16, 1, 3);
    assert_int_equal(bar(VR_PCI_DEVICE_STATUS, 1), 3);
    assert_int_equal(cfg(at + 16, 4) & 0xff, 3);
    set_cfg(at + 8, 4, VR_PCI_NUM_QUEUES);
    set_cfg(at + 12, 4, 2);
    assert_int_equal(cfg(at + 16, 2), 4);
    /* No such BAR, width, place; not aligned. */
    bad = f->stats.bad_accesses;
    set_cfg(at + 4, 1, 1);
    cfg(at + 16, 2);
    set_cfg(at + 4, 1, 0);
    set_cfg(at + 12, 4, 3);
    set_cfg(at + 16, 4, 0);
    set_cfg(at + 12, 4, 8);
    cfg(at + 16, 4);
    set_cfg(at + 12, 4, 4);
    set_cfg(at + 8, 4, 2);
    cfg(at + 16, 4);
    set_cfg(at + 8, 4, VR_PCI_BAR_SIZE);
    cfg(at + 16, 4);
    assert_int_equal(f->stats.bad_accesses, bad + 5);
    assert_int_equal(bar(VR_PCI_DEVICE_STATUS, 1), 3);
}

static void pci_af_reset_of_the_function(void **state)
{
    struct fake *f = driven(true);

    (void)state;
    set_cfg(VR_PCI_BAR0, 4, 0x23000000);
    assert_int_equal(cfg(VR_PCI_CAP_AF, 4), 0x03060013);
    assert_int_equal(set_cfg(VR_PCI_AF_CONTROL, 1, 0), VR_VDEV_DONE);
    assert_int_equal(f->req.run, 1);
    /* In use: whoever writes waits, as for a reset of the device. */
    assert_int_equal(set_cfg(VR_PCI_AF_CONTROL, 1, 1), VR_VDEV_PENDING);
    assert_int_equal(f->req.run, 0);
    assert_int_equal(fn.placed, 0);
    assert_int_equal(cfg(VR_PCI_COMMAND, 2), 0);
    assert_int_equal(cfg(VR_PCI_BAR0, 4), 0);
    assert_int_equal(cfg(VR_PCI_MSIX_CONTROL, 2), VECTORS - 1);
    assert_int_equal(bar(VR_PCI_AT_TABLE + 12, 4), 1);
    assert_int_equal(bar(VR_PCI_CONFIG_VECTOR, 2), VR_PCI_NO_VECTOR);
    /* Once more, by another vCPU. */
    assert_int_equal(set_cfg(VR_PCI_AF_CONTROL, 1, 1), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(bar(VR_PCI_DEVICE_STATUS, 1), 0);
    assert_int_equal(fn.sent + fn.raised, 0);
    assert_int_equal(set_cfg(VR_PCI_AF_CONTROL, 1, 1), VR_VDEV_DONE);
}

/* What was told by message is not told once more by the line, which a reset of
 * the function enables, while it lasts. */
static void pci_af_reset_forgets_causes(void **state)
{
    struct fake *f = driven(true);

    (void)state;
    vr_vdev_fail(&f->m, VR_FAIL_BACKEND);
    assert_true(cfg(VR_PCI_STATUS, 2) & VR_PCI_STATUS_INTX);
    assert_int_equal(set_cfg(VR_PCI_AF_CONTROL, 1, 1), VR_VDEV_PENDING);
    assert_false(cfg(VR_PCI_STATUS, 2) & VR_PCI_STATUS_INTX);
    set_cfg(VR_PCI_COMMAND, 2, VR_PCI_COMMAND_MASTER | VR_PCI_COMMAND_MEMORY);
    assert_int_equal(fn.raised, 0);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(fn.raised, 0);
}

/* ---- common configuration ---- */

static void s4_1_4_3_reads_back(void **state)
{
    struct fake *f = power_on();

    (void)state;
    to_status(3);
    assert_int_equal(bar(VR_PCI_NUM_QUEUES, 2), 4);
    set_bar(VR_PCI_DEVICE_FEATURE_SELECT, 4, 1);
    set_bar(VR_PCI_DRIVER_FEATURE_SELECT, 4, 1);
    assert_int_equal(bar(VR_PCI_DEVICE_FEATURE_SELECT, 4), 1);
    assert_int_equal(bar(VR_PCI_DEVICE_FEATURE, 4), VR_F_TRANSPORT >> 32);
    set_bar(VR_PCI_DRIVER_FEATURE, 4, 3);
    assert_int_equal(bar(VR_PCI_DRIVER_FEATURE, 4), 3);
    set_bar(VR_PCI_DRIVER_FEATURE_SELECT, 4, 2);
    assert_int_equal(bar(VR_PCI_DRIVER_FEATURE, 4), 0);
    set_bar(VR_PCI_QUEUE_SELECT, 2, 1);
    assert_int_equal(bar(VR_PCI_QUEUE_SIZE, 2), 128); /* the most */
    write_queue(1);
    assert_int_equal(bar(VR_PCI_QUEUE_SELECT, 2), 1);
    assert_int_equal(bar(VR_PCI_QUEUE_SIZE, 2), 64);
    assert_int_equal(bar(VR_PCI_QUEUE_NOTIFY_OFF, 2), 1);
    assert_int_equal(bar(VR_PCI_QUEUE_DESC, 4), WIN + 0x4000);
    assert_int_equal(bar(VR_PCI_QUEUE_DRIVER, 8), WIN + 0x5000);
    assert_int_equal(bar(VR_PCI_QUEUE_DEVICE + 4, 4), 0);
    assert_int_equal(bar(VR_PCI_QUEUE_ENABLE, 2), 0);
    assert_int_equal(bar(VR_PCI_QUEUE_RESET, 2), 0);
    assert_int_equal(bar(VR_PCI_GENERATION, 1), f->m.config_generation & 0xff);
    /* 4.1.4.3.1: one that is not there */
    set_bar(VR_PCI_QUEUE_SELECT, 2, 4);
    assert_int_equal(bar(VR_PCI_QUEUE_SIZE, 2), 0);
    assert_int_equal(bar(VR_PCI_QUEUE_VECTOR, 2), VR_PCI_NO_VECTOR);
    set_bar(VR_PCI_QUEUE_SELECT, 2, 0xffff);
    set_bar(VR_PCI_QUEUE_VECTOR, 2, 1);
    set_bar(VR_PCI_QUEUE_DESC, 8, UINT64_MAX);
    set_bar(VR_PCI_QUEUE_ENABLE, 2, 1);
    assert_int_equal(bar(VR_PCI_QUEUE_DESC, 8), 0);
}

static void s4_1_3_1_widths(void **state)
{
    static const unsigned int size[] = {1, 2, 4, 8, 0, 3, 16, ~0u};
    unsigned int off, i;
    struct fake *f = power_on();

    (void)state;
    for (off = 0; off < VR_PCI_BAR_SIZE; off++) {
        for (i = 0; i < VR_ARRAY_SIZE(size); i++) {
            uint64_t v = vr_pci_bar_face.read(&fn.p, off, size[i]);

            if (size[i] < 8)
                assert_true(v < UINT64_C(1) << (8 * size[i]) || !v);
        }
    }
    set_bar(VR_PCI_DEVICE_STATUS, 2, 3);
    set_bar(VR_PCI_DEVICE_STATUS, 4, 3);
    set_bar(VR_PCI_QUEUE_SELECT, 1, 1);
    set_bar(VR_PCI_DEVICE_FEATURE_SELECT, 2, 1);
    set_bar(VR_PCI_QUEUE_DESC + 4, 8, 1);
    assert_int_equal(bar(VR_PCI_DEVICE_STATUS, 1), 0);
    assert_int_equal(f->m.queue_sel, 0);
    assert_int_equal(f->m.dev_sel, 0);
    assert_int_equal(f->m.q[0].desc, 0);
    /* What is above a field's width is not written. */
    set_bar(VR_PCI_QUEUE_SELECT, 2, UINT64_C(0xffffffff00010002));
    assert_int_equal(f->m.queue_sel, 2);
}

static void s4_1_4_3_2_queue_enable_and_reset(void **state)
{
    struct fake *f = driven(true);
    uint32_t bad = f->stats.bad_accesses;

    (void)state;
    set_bar(VR_PCI_QUEUE_SELECT, 2, 0);
    set_bar(VR_PCI_QUEUE_ENABLE, 2, 0); /* MUST NOT */
    set_bar(VR_PCI_QUEUE_SIZE, 2, 8);   /* nor while it is in use */
    assert_int_equal(f->stats.bad_accesses, bad + 2);
    assert_int_equal(bar(VR_PCI_QUEUE_ENABLE, 2), 1);
    assert_int_equal(bar(VR_PCI_QUEUE_VECTOR, 2), 1);
    assert_int_equal(set_bar(VR_PCI_QUEUE_RESET, 2, 1), VR_VDEV_PENDING);
    assert_int_equal(bar(VR_PCI_QUEUE_RESET, 2), 1);
    assert_int_equal(bar(VR_PCI_QUEUE_ENABLE, 2), 0);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(bar(VR_PCI_QUEUE_RESET, 2), 0);
    assert_int_equal(bar(VR_PCI_QUEUE_VECTOR, 2), VR_PCI_NO_VECTOR);
    assert_int_equal(bar(VR_PCI_QUEUE_SIZE, 2), 128);
    /* ... and can be used again, while the other one was all the time. */
    write_queue(0);
    set_bar(VR_PCI_QUEUE_ENABLE, 2, 1);
    assert_int_equal(vr_vdev_queues(&f->m), 3);
}

static void s4_1_4_4_notifications(void **state)
{
    struct fake *f = driven(true);
    uint32_t bad = f->stats.bad_accesses;

    (void)state;
    set_bar(VR_PCI_AT_NOTIFY, 2, 0);
    set_bar(VR_PCI_AT_NOTIFY + VR_PCI_NOTIFY_STEP, 2, 1);
    set_bar(VR_PCI_AT_NOTIFY + VR_PCI_NOTIFY_STEP, 4, 1);
    assert_int_equal(f->kicks[0], 1);
    assert_int_equal(f->kicks[1], 2);
    /* Not enabled, not there, between two, too wide. */
    set_bar(VR_PCI_AT_NOTIFY + 2 * VR_PCI_NOTIFY_STEP, 2, 2);
    set_bar(VR_PCI_AT_NOTIFY + 0xffc, 2, 1);
    set_bar(VR_PCI_AT_NOTIFY + 2, 2, 0);
    set_bar(VR_PCI_AT_NOTIFY, 8, 0);
    assert_int_equal(f->stats.bad_accesses, bad + 4);
    assert_int_equal(f->kicks[0] + f->kicks[1], 3);
}

static void s4_1_4_6_device_configuration(void **state)
{
    (void)state;
    power_on();
    assert_int_equal(bar(VR_PCI_AT_DEVICE, 8), 4096);
    assert_int_equal(bar(VR_PCI_AT_DEVICE + 1, 1), 16);
    assert_int_equal(bar(VR_PCI_AT_DEVICE + 20, 4), 512);
    assert_int_equal(bar(VR_PCI_AT_DEVICE + VR_CONFIG_LEN, 1), 0);
    assert_int_equal(bar(VR_PCI_AT_DEVICE + VR_CONFIG_LEN - 1, 2), 0);
}

/* ---- interrupts ---- */

static void s4_1_4_5_isr_and_inta(void **state)
{
    struct fake *f = driven(false);

    (void)state;
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.raised, 1);
    assert_int_equal(cfg(VR_PCI_STATUS, 2),
                     VR_PCI_STATUS_CAPS | VR_PCI_STATUS_INTX);
    vr_vdev_interrupt(&f->m, 2); /* pending already */
    assert_int_equal(fn.raised, 1);
    assert_int_equal(bar(VR_PCI_AT_ISR, 1), VR_INT_USED);
    assert_int_equal(fn.lowered, 1);
    assert_int_equal(bar(VR_PCI_AT_ISR, 1), 0);
    assert_int_equal(cfg(VR_PCI_STATUS, 2), VR_PCI_STATUS_CAPS);
    /* Wanted no more, and again. */
    vr_vdev_interrupt(&f->m, 1);
    set_cfg(VR_PCI_COMMAND, 2, 0x406);
    assert_int_equal(fn.lowered, 2);
    set_cfg(VR_PCI_COMMAND, 2, 0x006);
    assert_int_equal(fn.raised, 3);
    assert_int_equal(fn.sent, 0);
}

static void s4_1_5_1_2_vectors(void **state)
{
    (void)state;
    power_on();
    assert_int_equal(bar(VR_PCI_CONFIG_VECTOR, 2), VR_PCI_NO_VECTOR);
    set_bar(VR_PCI_CONFIG_VECTOR, 2, VECTORS - 1);
    assert_int_equal(bar(VR_PCI_CONFIG_VECTOR, 2), VECTORS - 1);
    set_bar(VR_PCI_CONFIG_VECTOR, 2, VECTORS);
    assert_int_equal(bar(VR_PCI_CONFIG_VECTOR, 2), VR_PCI_NO_VECTOR);
    set_bar(VR_PCI_QUEUE_SELECT, 2, 3);
    set_bar(VR_PCI_QUEUE_VECTOR, 2, 2);
    assert_int_equal(bar(VR_PCI_QUEUE_VECTOR, 2), 2);
    set_bar(VR_PCI_QUEUE_VECTOR, 2, 0xfffe);
    assert_int_equal(bar(VR_PCI_QUEUE_VECTOR, 2), VR_PCI_NO_VECTOR);
    set_bar(VR_PCI_QUEUE_VECTOR, 2, 2);
    to_status(0);
    set_bar(VR_PCI_QUEUE_SELECT, 2, 3);
    assert_int_equal(bar(VR_PCI_QUEUE_VECTOR, 2), VR_PCI_NO_VECTOR);
}

static void s4_1_5_3_messages(void **state)
{
    struct fake *f = driven(true);

    (void)state;
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 1);
    assert_int_equal(fn.addr, 0x20ff040);
    assert_int_equal(fn.data, 97);
    assert_int_equal(f->m.isr, 0);
    vr_vdev_interrupt(&f->m, 1); /* none is acknowledged */
    vr_vdev_interrupt(&f->m, 3);
    assert_int_equal(fn.sent, 4);
    assert_int_equal(f->stats.interrupts, 3);
    /* One vector for both queues: one message. */
    set_bar(VR_PCI_QUEUE_SELECT, 2, 1);
    set_bar(VR_PCI_QUEUE_VECTOR, 2, 1);
    vr_vdev_interrupt(&f->m, 3);
    assert_int_equal(fn.sent, 5);
    /* None at all. */
    set_bar(VR_PCI_QUEUE_VECTOR, 2, VR_PCI_NO_VECTOR);
    vr_vdev_interrupt(&f->m, 2);
    assert_int_equal(fn.sent, 5);
    assert_int_equal(fn.raised, 0);
    /* 4.1.4.5.1: a change of the device is in the ISR as well. */
    vr_vdev_fail(&f->m, VR_FAIL_BACKEND);
    assert_int_equal(fn.sent, 6);
    assert_int_equal(fn.data, 96);
    assert_int_equal(bar(VR_PCI_AT_ISR, 1), VR_INT_CONFIG);
    assert_int_equal(fn.raised + fn.lowered, 0);
}

static void pci_6_8_2_masks_and_pending_bits(void **state)
{
    struct fake *f = driven(true);
    const unsigned int control = VR_PCI_AT_TABLE + 16 + 12;

    (void)state;
    set_bar(control, 4, ~0u);
    assert_int_equal(bar(control, 4), 1);
    vr_vdev_interrupt(&f->m, 1);
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 0);
    assert_int_equal(bar(VR_PCI_AT_PENDING, 8), 2);
    set_bar(VR_PCI_AT_PENDING, 8, 0); /* read-only */
    assert_int_equal(bar(VR_PCI_AT_PENDING, 4), 2);
    assert_int_equal(bar(VR_PCI_AT_PENDING + 4, 4), 0);
    set_bar(VR_PCI_AT_TABLE + 16 + 8, 4, 100); /* while it is masked */
    set_bar(control, 4, 0);
    assert_int_equal(fn.sent, 1);
    assert_int_equal(fn.data, 100);
    assert_int_equal(bar(VR_PCI_AT_PENDING, 8), 0);
    /* All of the function's */
    set_cfg(VR_PCI_MSIX_CONTROL, 2, 0xffff);
    assert_int_equal(cfg(VR_PCI_MSIX_CONTROL, 2), 0xc000 | (VECTORS - 1));
    vr_vdev_interrupt(&f->m, 3);
    assert_int_equal(bar(VR_PCI_AT_PENDING, 8), 6);
    set_cfg(VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
    assert_int_equal(fn.sent, 3);
    /* A function that is no master says nothing until it is. */
    set_cfg(VR_PCI_COMMAND, 2, VR_PCI_COMMAND_MEMORY);
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 3);
    set_cfg(VR_PCI_COMMAND, 2, VR_PCI_COMMAND_MEMORY | VR_PCI_COMMAND_MASTER);
    assert_int_equal(fn.sent, 4);
    /* Turned off, nothing is pending. */
    set_bar(control, 4, 1);
    vr_vdev_interrupt(&f->m, 1);
    set_cfg(VR_PCI_MSIX_CONTROL, 2, 0);
    assert_int_equal(bar(VR_PCI_AT_PENDING, 8), 0);
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.raised, 1);
}

static void pci_6_8_2_table(void **state)
{
    (void)state;
    power_on();
    assert_int_equal(bar(VR_PCI_AT_TABLE + 12, 4), 1); /* masked */
    set_bar(VR_PCI_AT_TABLE, 8, UINT64_C(0x123456789abcdef3));
    assert_int_equal(bar(VR_PCI_AT_TABLE, 4), 0x9abcdef0);
    assert_int_equal(bar(VR_PCI_AT_TABLE, 8), UINT64_C(0x123456789abcdef0));
    set_bar(VR_PCI_AT_TABLE + 8, 8, UINT64_C(0x0000000000001234));
    assert_int_equal(bar(VR_PCI_AT_TABLE + 8, 4), 0x1234);
    assert_int_equal(bar(VR_PCI_AT_TABLE + 12, 4), 0);
    /* Other widths, and entries that are not there */
    set_bar(VR_PCI_AT_TABLE + 8, 2, 1);
    set_bar(VR_PCI_AT_TABLE + 8, 1, 1);
    set_bar(VR_PCI_AT_TABLE + 10, 4, 1);
    set_bar(VR_PCI_AT_TABLE + 16 * VECTORS, 4, 1);
    assert_int_equal(bar(VR_PCI_AT_TABLE + 8, 4), 0x1234);
    assert_int_equal(bar(VR_PCI_AT_TABLE + 16 * VECTORS, 4), 0);
    assert_int_equal(bar(VR_PCI_AT_TABLE + 0xffc, 4), 0);
}

/* ---- the bus ---- */

static void frame(void **state)
{
    struct vr_v2m v = {.count = 5};
    const uint64_t to = VR_PCI_FRAME + VR_V2M_SETSPI;

    (void)state;
    assert_int_equal(vr_v2m_face.read(&v, VR_V2M_TYPER, 4), 96 << 16 | 5);
    assert_int_equal(vr_v2m_face.read(&v, 0xfcc, 4), 0);
    assert_int_equal(vr_v2m_face.read(&v, VR_V2M_TYPER, 8), 0);
    assert_int_equal(vr_v2m_face.write(&v, VR_V2M_SETSPI, 4, 96), VR_VDEV_DONE);
    assert_int_equal(vr_v2m_intid(&v, to, 96), 96);
    assert_int_equal(vr_v2m_intid(&v, to, 100), 100);
    assert_int_equal(vr_v2m_intid(&v, to, 101), 0);
    assert_int_equal(vr_v2m_intid(&v, to, 95), 0);
    assert_int_equal(vr_v2m_intid(&v, to, 33), 0);
    assert_int_equal(vr_v2m_intid(&v, to, UINT32_MAX), 0);
    assert_int_equal(vr_v2m_intid(&v, to + 4, 96), 0);
    assert_int_equal(vr_v2m_intid(&v, to | UINT64_C(1) << 32, 96), 0);
    assert_int_equal(vr_pci_slot(vr_pci_registers(31)), 31);
    assert_int_equal(vr_pci_registers(1), 0x10008000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s4_1_2_identity),
        cmocka_unit_test(pci_6_1_read_only_and_beyond),
        cmocka_unit_test(pci_6_2_5_bar_is_sized_and_placed),
        cmocka_unit_test(s4_1_4_capabilities),
        cmocka_unit_test(s4_1_4_9_access_by_configuration_space),
        cmocka_unit_test(pci_af_reset_of_the_function),
        cmocka_unit_test(pci_af_reset_forgets_causes),
        cmocka_unit_test(s4_1_4_3_reads_back),
        cmocka_unit_test(s4_1_3_1_widths),
        cmocka_unit_test(s4_1_4_3_2_queue_enable_and_reset),
        cmocka_unit_test(s4_1_4_4_notifications),
        cmocka_unit_test(s4_1_4_6_device_configuration),
        cmocka_unit_test(s4_1_4_5_isr_and_inta),
        cmocka_unit_test(s4_1_5_1_2_vectors),
        cmocka_unit_test(s4_1_5_3_messages),
        cmocka_unit_test(pci_6_8_2_masks_and_pending_bits),
        cmocka_unit_test(pci_6_8_2_table),
        cmocka_unit_test(frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI function, clause by clause: s4_1_... is about a section of virtio 1.2,
 * pci_... about PCI 3.0 and the ECN on Advanced Features. The model behind it
 * is tested by test_vdev and test_vqueue.
 */
#include "pci_rig.h"

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

/* Ours, and only where queues can have bells: docs/proposals/doorbell.md. */
static void s4_1_4_8_bells(void **state)
{
    const unsigned int at = VR_PCI_CAP_BELLS;
    struct vr_vdev_desc d = desc;
    struct fake *f = power_on();
    uint32_t bad;

    (void)state;
    assert_int_equal(cfg(VR_PCI_CAP_AF + 1, 1), 0);
    assert_int_equal(cfg(at, 4), 0);
    assert_int_equal(bar(VR_PCI_AT_BELLS, 4), 0);
    set_bar(VR_PCI_AT_BELLS, 4, 3);
    assert_int_equal(f->stats.bad_accesses, 2);
    assert_int_equal(f->m.q[0].port, 0);

    d.bells = true;
    d.backend_domid = 0x7ff0;
    vr_vdev_init(&f->m, &d, &model_ops, f, &f->stats);
    vr_pci_init(&fn.p, &f->m, &fn_ops, NULL);
    assert_int_equal(cfg(VR_PCI_CAP_AF + 1, 1), at);
    assert_int_equal(cfg(at, 4), 0x09100009);
    assert_int_equal(cfg(at + 4, 2), cfg(VR_PCI_SUB_VENDOR, 2));
    assert_int_equal(cfg(at + 8, 4), VR_PCI_AT_BELLS);
    assert_int_equal(cfg(at + 12, 4), 4);
    assert_int_equal(bar(VR_PCI_AT_BELLS, 4), 0x80007ff0);

    set_bar(VR_PCI_QUEUE_SELECT, 2, 1);
    set_bar(VR_PCI_AT_BELLS, 4, 9);
    assert_int_equal(f->m.q[0].port, 0);
    assert_int_equal(f->m.q[1].port, 9);
    /* Of another width, at another place, of no queue. */
    bad = f->stats.bad_accesses;
    set_bar(VR_PCI_AT_BELLS, 2, 1);
    set_bar(VR_PCI_AT_BELLS + 4, 4, 1);
    bar(VR_PCI_AT_BELLS, 8);
    set_bar(VR_PCI_QUEUE_SELECT, 2, 4);
    set_bar(VR_PCI_AT_BELLS, 4, 1);
    assert_int_equal(f->stats.bad_accesses, bad + 4);
    assert_int_equal(f->m.q[1].port, 9);
    to_status(0);
    assert_int_equal(f->m.q[1].port, 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s4_1_2_identity),
        cmocka_unit_test(pci_6_1_read_only_and_beyond),
        cmocka_unit_test(pci_6_2_5_bar_is_sized_and_placed),
        cmocka_unit_test(s4_1_4_capabilities),
        cmocka_unit_test(s4_1_4_8_bells),
        cmocka_unit_test(s4_1_4_9_access_by_configuration_space),
        cmocka_unit_test(pci_af_reset_of_the_function),
        cmocka_unit_test(pci_af_reset_forgets_causes),
        cmocka_unit_test(s4_1_4_3_reads_back),
        cmocka_unit_test(s4_1_3_1_widths),
        cmocka_unit_test(s4_1_4_3_2_queue_enable_and_reset),
        cmocka_unit_test(s4_1_4_4_notifications),
        cmocka_unit_test(s4_1_4_6_device_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

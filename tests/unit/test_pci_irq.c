/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a PCI function interrupts, clause by clause as in test_pci: INTA,
 * messages, and the frame that they go to.
 */
#include "pci_rig.h"

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

static const struct vr_pci_ops xen_ops = {on_place, on_sent, on_intx, true};

/* A message that names one of Xen's event channels has no vector, and a mask
 * that Linux never clears. */
static void messages_to_pirqs(void **state)
{
    struct fake *f = driven(true);
    const unsigned int entry = VR_PCI_AT_TABLE + 16;

    (void)state;
    set_bar(entry, 4, 0xfee33000);
    set_bar(entry + 8, 4, 0x700);
    set_bar(entry + 12, 4, 1);
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 0);
    fn.p.ops = &xen_ops;
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 1);
    assert_int_equal(fn.addr, 0xfee33000);
    assert_int_equal(fn.data, 0x700);
    assert_int_equal(bar(VR_PCI_AT_PENDING, 8), 0);
    /* The function's mask holds for it. */
    set_cfg(VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE | VR_PCI_MSIX_MASKALL);
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 1);
    set_cfg(VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
    assert_int_equal(fn.sent, 2);
    /* A vector is masked as ever, and so is what is nothing yet. */
    set_bar(entry + 8, 4, 0x41);
    vr_vdev_interrupt(&f->m, 1);
    set_bar(entry, 4, 0);
    set_bar(entry + 8, 4, 0);
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(fn.sent, 2);
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
        cmocka_unit_test(s4_1_4_5_isr_and_inta),
        cmocka_unit_test(s4_1_5_1_2_vectors),
        cmocka_unit_test(s4_1_5_3_messages),
        cmocka_unit_test(pci_6_8_2_masks_and_pending_bits),
        cmocka_unit_test(messages_to_pirqs),
        cmocka_unit_test(pci_6_8_2_table),
        cmocka_unit_test(frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

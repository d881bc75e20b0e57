/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A PCI function for the tests of it, in front of the device of vdev_rig.h, and
 * a driver's steps by configuration space and BAR. */
#ifndef TESTS_PCI_RIG_H
#define TESTS_PCI_RIG_H

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

static inline void on_place(void *ctx, uint64_t base)
{
    (void)ctx;
    fn.placed = base;
    fn.places++;
}

static inline void on_sent(void *ctx, uint64_t addr, uint32_t data)
{
    (void)ctx;
    fn.addr = addr;
    fn.data = data;
    fn.sent++;
}

static inline void on_intx(void *ctx, bool raise)
{
    (void)ctx;
    if (raise)
        fn.raised++;
    else
        fn.lowered++;
}

static const struct vr_pci_ops fn_ops = {on_place, on_sent, on_intx, false};

static inline void by_pci(void *ctx, bool raise)
{
    (void)ctx;
    vr_pci_irq(&fn.p, raise);
}

static inline bool told(void *ctx, uint32_t cause, uint32_t queues)
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

static inline struct fake *power_on(void)
{
    struct fake *f = fresh_with(&model_ops);

    memset(&fn, 0, sizeof(fn));
    vr_pci_init(&fn.p, &f->m, &fn_ops, NULL);
    return f;
}

static inline uint64_t cfg(unsigned int off, unsigned int size)
{
    return vr_pci_config_face.read(&fn.p, off, size);
}

static inline enum vr_vdev_result set_cfg(unsigned int off, unsigned int size,
                                          uint64_t value)
{
    return vr_pci_config_face.write(&fn.p, off, size, value);
}

static inline uint64_t bar(unsigned int off, unsigned int size)
{
    return vr_pci_bar_face.read(&fn.p, off, size);
}

static inline enum vr_vdev_result set_bar(unsigned int off, unsigned int size,
                                          uint64_t value)
{
    return vr_pci_bar_face.write(&fn.p, off, size, value);
}

static inline void to_status(uint32_t bits)
{
    assert_int_equal(set_bar(VR_PCI_DEVICE_STATUS, 1, bits), VR_VDEV_DONE);
}

static inline void write_queue(unsigned int q)
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

static inline void enable_messages(void)
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
static inline struct fake *driven(bool by_message)
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

#endif /* TESTS_PCI_RIG_H */

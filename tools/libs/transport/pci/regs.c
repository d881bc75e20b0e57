/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's accesses to a function's BAR: the structures of virtio 1.2, 4.1.4
 * and the table of MSI-X, a page each. Called by the broker's worker, for each
 * access that Xen passes on, and by config.c. Pure.
 */
#include "pci_int.h"

#define PAGE UINT64_C(0x1000)

/* 4.1.3.1: each field by accesses of its own width, those of 64 bits in two
 * halves; both at once are understood, too. */
static unsigned int width(unsigned int off)
{
    switch (off) {
    case VR_PCI_DEVICE_STATUS:
    case VR_PCI_GENERATION:
        return 1;
    case VR_PCI_CONFIG_VECTOR:
    case VR_PCI_NUM_QUEUES:
    case VR_PCI_QUEUE_SELECT:
    case VR_PCI_QUEUE_SIZE:
    case VR_PCI_QUEUE_VECTOR:
    case VR_PCI_QUEUE_ENABLE:
    case VR_PCI_QUEUE_NOTIFY_OFF:
    case VR_PCI_QUEUE_RESET:
        return 2;
    case VR_PCI_DEVICE_FEATURE_SELECT:
    case VR_PCI_DEVICE_FEATURE:
    case VR_PCI_DRIVER_FEATURE_SELECT:
    case VR_PCI_DRIVER_FEATURE:
    case VR_PCI_QUEUE_DESC:
    case VR_PCI_QUEUE_DESC + 4:
    case VR_PCI_QUEUE_DRIVER:
    case VR_PCI_QUEUE_DRIVER + 4:
    case VR_PCI_QUEUE_DEVICE:
    case VR_PCI_QUEUE_DEVICE + 4:
        return 4;
    default:
        return 0;
    }
}

static bool is_address(unsigned int off)
{
    return off >= VR_PCI_QUEUE_DESC && off < VR_PCI_QUEUE_DEVICE + 8;
}

static bool common_ok(unsigned int off, unsigned int size)
{
    return size &&
           (size == width(off) || (size == 8 && is_address(off) && !(off & 7)));
}

static const struct vr_vdev_queue *selected(const struct vr_vdev *m)
{
    return m->queue_sel < m->desc.nqueues ? &m->q[m->queue_sel] : NULL;
}

static uint32_t accepted_word(const struct vr_vdev *m)
{
    return m->drv_sel > 1 ? 0 : m->drv_features >> (32 * m->drv_sel);
}

static uint64_t address_read(const struct vr_vdev_queue *q, unsigned int off)
{
    uint64_t addr = off < VR_PCI_QUEUE_DRIVER   ? q->desc
                    : off < VR_PCI_QUEUE_DEVICE ? q->driver
                                                : q->device;

    return off & 4 ? addr >> 32 : addr;
}

static uint64_t queue_read(const struct vr_pci *p, unsigned int off)
{
    const struct vr_vdev_queue *q = selected(p->m);

    if (!q) /* 4.1.4.3.1: a queue_size of 0 says "not available" */
        return off == VR_PCI_QUEUE_VECTOR ? VR_PCI_NO_VECTOR : 0;
    switch (off) {
    case VR_PCI_QUEUE_SIZE:
        return q->size;
    case VR_PCI_QUEUE_VECTOR:
        return p->queue_vector[p->m->queue_sel];
    case VR_PCI_QUEUE_ENABLE:
        return vqueue_ready(p->m);
    case VR_PCI_QUEUE_NOTIFY_OFF:
        return p->m->queue_sel;
    case VR_PCI_QUEUE_RESET:
        return vqueue_resetting(p->m);
    default:
        return is_address(off) ? address_read(q, off) : 0;
    }
}

static uint64_t common_read(const struct vr_pci *p, unsigned int off)
{
    const struct vr_vdev *m = p->m;

    switch (off) {
    case VR_PCI_DEVICE_FEATURE_SELECT:
        return m->dev_sel;
    case VR_PCI_DEVICE_FEATURE:
        return vdev_offered_word(m);
    case VR_PCI_DRIVER_FEATURE_SELECT:
        return m->drv_sel;
    case VR_PCI_DRIVER_FEATURE:
        return accepted_word(m);
    case VR_PCI_CONFIG_VECTOR:
        return p->config_vector;
    case VR_PCI_NUM_QUEUES:
        return m->desc.nqueues;
    case VR_PCI_DEVICE_STATUS:
        return vdev_status_read(m);
    case VR_PCI_GENERATION:
        return m->config_generation & 0xff;
    case VR_PCI_QUEUE_SELECT:
        return m->queue_sel;
    default:
        return queue_read(p, off);
    }
}

static void address_write(struct vr_vdev *m, unsigned int off,
                          unsigned int size, uint64_t value)
{
    enum vqueue_area area = off < VR_PCI_QUEUE_DRIVER   ? VQUEUE_DESC
                            : off < VR_PCI_QUEUE_DEVICE ? VQUEUE_DRIVER
                                                        : VQUEUE_DEVICE;

    vqueue_set_half(m, area, off & 4, value);
    if (size == 8)
        vqueue_set_half(m, area, true, value >> 32);
}

static enum vr_vdev_result queue_reset(struct vr_pci *p, uint32_t value)
{
    enum vr_vdev_result result;
    uint32_t bad = p->m->stats->bad_accesses;

    result = vqueue_reset(p->m, value);
    if (bad == p->m->stats->bad_accesses) /* 2.6.1: to its default state */
        p->queue_vector[p->m->queue_sel] = VR_PCI_NO_VECTOR;
    return result;
}

static enum vr_vdev_result queue_write(struct vr_pci *p, unsigned int off,
                                       unsigned int size, uint64_t value)
{
    struct vr_vdev *m = p->m;

    /* A queue that stops because the device does: wait for that. */
    if (m->resetting && off == VR_PCI_QUEUE_RESET)
        return VR_VDEV_PENDING;
    if (!vqueue_writable(m, value != 0))
        return VR_VDEV_DONE;
    switch (off) {
    case VR_PCI_QUEUE_SIZE:
        vqueue_set_size(m, value);
        break;
    case VR_PCI_QUEUE_VECTOR:
        p->queue_vector[m->queue_sel] = msix_choice(p, value);
        break;
    case VR_PCI_QUEUE_ENABLE:
        /* 4.1.4.3.2: MUST NOT write 0. */
        if (value & 1)
            vqueue_enable(m);
        else
            m->stats->bad_accesses++;
        break;
    case VR_PCI_QUEUE_RESET:
        return queue_reset(p, value);
    case VR_PCI_QUEUE_NOTIFY_OFF:
        m->stats->bad_accesses++;
        break;
    default:
        address_write(m, off, size, value);
    }
    return VR_VDEV_DONE;
}

static enum vr_vdev_result common_write(struct vr_pci *p, unsigned int off,
                                        unsigned int size, uint64_t value)
{
    enum vr_vdev_result result = VR_VDEV_DONE;
    struct vr_vdev *m = p->m;

    switch (off) {
    case VR_PCI_DEVICE_FEATURE_SELECT:
        m->dev_sel = value;
        return VR_VDEV_DONE;
    case VR_PCI_DRIVER_FEATURE_SELECT:
        m->drv_sel = value;
        return VR_VDEV_DONE;
    case VR_PCI_QUEUE_SELECT:
        m->queue_sel = value;
        return VR_VDEV_DONE;
    case VR_PCI_CONFIG_VECTOR:
        p->config_vector = msix_choice(p, value);
        return VR_VDEV_DONE;
    case VR_PCI_DEVICE_FEATURE:
    case VR_PCI_NUM_QUEUES:
    case VR_PCI_GENERATION:
        m->stats->bad_accesses++;
        return VR_VDEV_DONE;
    case VR_PCI_DRIVER_FEATURE:
        vdev_accept_word(m, value);
        break;
    case VR_PCI_DEVICE_STATUS:
        if (!value)
            msix_unbind(p);
        result = vdev_status_write(m, value);
        break;
    default:
        result = queue_write(p, off, size, value);
    }
    vdev_show(m);
    return result;
}

/* The selected queue's bell; no part of the standard. */
static enum vr_vdev_result bell_write(struct vr_vdev *m, uint32_t value)
{
    if (vqueue_writable(m, value))
        vqueue_set_port(m, value);
    vdev_show(m);
    return VR_VDEV_DONE;
}

static bool bell_ok(const struct vr_vdev *m, uint64_t off, unsigned int size)
{
    return m->desc.bells && !off && size == VR_PCI_BELLS_SIZE;
}

static bool config_ok(uint64_t off, unsigned int size)
{
    return (size == 1 || size == 2 || size == 4 || size == 8) &&
           off < VR_CONFIG_LEN && size <= VR_CONFIG_LEN - off;
}

/* 4.1.4.5: reading it says that the driver knows. */
static uint64_t isr_read(struct vr_vdev *m)
{
    uint32_t isr = m->isr;

    vdev_irq_lower(m, isr);
    return isr;
}

uint64_t bar_read(struct vr_pci *p, uint64_t off, unsigned int size)
{
    const uint64_t in = off % PAGE;

    switch (off - in) {
    case VR_PCI_AT_COMMON:
        if (common_ok(in, size)) {
            uint64_t value = common_read(p, in);

            if (size < 8)
                return value & ((UINT64_C(1) << (8 * size)) - 1);
            return value;
        }
        break;
    case VR_PCI_AT_ISR:
        if (!in && size == 1)
            return isr_read(p->m);
        break;
    case VR_PCI_AT_DEVICE:
        if (config_ok(in, size))
            return vdev_config_read(p->m, in, size);
        break;
    case VR_PCI_AT_TABLE:
        return msix_table_read(p, in, size);
    case VR_PCI_AT_PENDING:
        return msix_pending_read(p, in, size);
    case VR_PCI_AT_BELLS:
        if (bell_ok(p->m, in, size))
            return vqueue_bell(p->m);
        break;
    }
    p->m->stats->bad_accesses++;
    return 0;
}

enum vr_vdev_result bar_write(struct vr_pci *p, uint64_t off, unsigned int size,
                              uint64_t value)
{
    const uint64_t in = off % PAGE;

    if (size < 8)
        value &= (UINT64_C(1) << (8 * size)) - 1;
    switch (off - in) {
    case VR_PCI_AT_NOTIFY:
        /* 4.1.5.2: the queue's number, which the place says, too. */
        if ((size == 2 || size == 4) && !(in % VR_PCI_NOTIFY_STEP)) {
            vdev_notify(p->m, in / VR_PCI_NOTIFY_STEP);
            return VR_VDEV_DONE;
        }
        break;
    case VR_PCI_AT_COMMON:
        if (common_ok(in, size))
            return common_write(p, in, size, value);
        break;
    case VR_PCI_AT_DEVICE:
        if (config_ok(in, size)) {
            vdev_config_write(p->m, in, size, value);
            return VR_VDEV_DONE;
        }
        break;
    case VR_PCI_AT_TABLE:
        msix_table_write(p, in, size, value);
        return VR_VDEV_DONE;
    case VR_PCI_AT_BELLS:
        if (bell_ok(p->m, in, size))
            return bell_write(p->m, value);
        break;
    }
    p->m->stats->bad_accesses++;
    return VR_VDEV_DONE;
}

static uint64_t read_face(void *of, uint64_t off, unsigned int size)
{
    struct vr_pci *p = of;

    p->m->stats->mmio_reads++;
    return bar_read(p, off, size);
}

static enum vr_vdev_result write_face(void *of, uint64_t off, unsigned int size,
                                      uint64_t value)
{
    struct vr_pci *p = of;

    p->m->stats->mmio_writes++;
    return bar_write(p, off, size, value);
}

const struct vr_face vr_pci_bar_face = {
    .read = read_face,
    .write = write_face,
};

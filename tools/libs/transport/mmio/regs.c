/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's accesses to the registers of virtio-mmio: which register, which
 * bytes of config space. Called by the broker's worker, for each access that
 * Xen passes on. Pure.
 */
#include "libs/virtio/vdev_int.h"
#include "regs.h"

static enum vr_vdev_result queue_write(struct vr_vdev *m, uint32_t off,
                                       uint32_t value)
{
    bool stops =
        off == VR_MMIO_QUEUE_RESET || (off == VR_MMIO_QUEUE_READY && !value);

    /* A queue that stops because the device does: wait for that. */
    if (m->resetting && stops)
        return VR_VDEV_PENDING;
    if (!vqueue_writable(m, value))
        return VR_VDEV_DONE;
    switch (off) {
    case VR_MMIO_QUEUE_READY:
        if (!(value & 1))
            return vqueue_disable(m);
        vqueue_enable(m);
        break;
    case VR_MMIO_QUEUE_RESET:
        return vqueue_reset(m, value);
    case VR_MMIO_QUEUE_SIZE:
        vqueue_set_size(m, value);
        break;
    case VR_MMIO_QUEUE_DOORBELL:
        vqueue_set_port(m, value);
        break;
    case VR_MMIO_QUEUE_DESC_LOW:
    case VR_MMIO_QUEUE_DESC_HIGH:
        vqueue_set_half(m, VQUEUE_DESC, off == VR_MMIO_QUEUE_DESC_HIGH, value);
        break;
    case VR_MMIO_QUEUE_DRIVER_LOW:
    case VR_MMIO_QUEUE_DRIVER_HIGH:
        vqueue_set_half(m, VQUEUE_DRIVER, off == VR_MMIO_QUEUE_DRIVER_HIGH,
                        value);
        break;
    case VR_MMIO_QUEUE_DEVICE_LOW:
    case VR_MMIO_QUEUE_DEVICE_HIGH:
        vqueue_set_half(m, VQUEUE_DEVICE, off == VR_MMIO_QUEUE_DEVICE_HIGH,
                        value);
        break;
    }
    return VR_VDEV_DONE;
}

static enum vr_vdev_result register_write(struct vr_vdev *m, uint32_t off,
                                          uint32_t value)
{
    enum vr_vdev_result result = VR_VDEV_DONE;

    if (off == VR_MMIO_QUEUE_DOORBELL && !m->desc.bells) {
        m->stats->bad_accesses++;
        return VR_VDEV_DONE;
    }
    switch (off) {
    case VR_MMIO_QUEUE_NOTIFY:
        vdev_notify(m, value);
        return VR_VDEV_DONE;
    case VR_MMIO_INTERRUPT_ACK:
        vdev_irq_lower(m, value);
        return VR_VDEV_DONE;
    case VR_MMIO_DEVICE_FEATURES_SEL:
        m->dev_sel = value;
        return VR_VDEV_DONE;
    case VR_MMIO_DRIVER_FEATURES_SEL:
        m->drv_sel = value;
        return VR_VDEV_DONE;
    case VR_MMIO_QUEUE_SEL:
        m->queue_sel = value;
        return VR_VDEV_DONE;
    case VR_MMIO_SHM_SEL: /* there are no shared memory regions to select */
        return VR_VDEV_DONE;
    case VR_MMIO_DRIVER_FEATURES:
        vdev_accept_word(m, value);
        break;
    case VR_MMIO_STATUS:
        result = vdev_status_write(m, value);
        break;
    case VR_MMIO_QUEUE_SIZE:
    case VR_MMIO_QUEUE_READY:
    case VR_MMIO_QUEUE_DESC_LOW:
    case VR_MMIO_QUEUE_DESC_HIGH:
    case VR_MMIO_QUEUE_DRIVER_LOW:
    case VR_MMIO_QUEUE_DRIVER_HIGH:
    case VR_MMIO_QUEUE_DEVICE_LOW:
    case VR_MMIO_QUEUE_DEVICE_HIGH:
    case VR_MMIO_QUEUE_RESET:
    case VR_MMIO_QUEUE_DOORBELL:
        result = queue_write(m, off, value);
        break;
    default:
        m->stats->bad_accesses++;
        return VR_VDEV_DONE;
    }
    vdev_show(m);
    return result;
}

static uint32_t register_read(struct vr_vdev *m, uint32_t off)
{
    switch (off) {
    case VR_MMIO_INTERRUPT_STATUS:
        return m->isr;
    case VR_MMIO_MAGIC:
        return VR_MMIO_MAGIC_VALUE;
    case VR_MMIO_VERSION:
        return 2;
    case VR_MMIO_DEVICE_ID:
        return m->desc.device_id;
    case VR_MMIO_VENDOR_ID:
        return VR_MMIO_VENDOR;
    case VR_MMIO_DEVICE_FEATURES:
        return vdev_offered_word(m);
    case VR_MMIO_QUEUE_SIZE_MAX:
        return vqueue_size_max(m);
    case VR_MMIO_QUEUE_READY:
        return vqueue_ready(m);
    case VR_MMIO_QUEUE_RESET:
        return vqueue_resetting(m);
    case VR_MMIO_STATUS:
        return vdev_status_read(m);
    case VR_MMIO_SHM_LEN_LOW:
    case VR_MMIO_SHM_LEN_HIGH:
    case VR_MMIO_SHM_BASE_LOW:
    case VR_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX;
    case VR_MMIO_QUEUE_DOORBELL:
        if (m->desc.bells)
            return vqueue_bell(m);
        break;
    case VR_MMIO_CONFIG_GENERATION:
        return m->config_generation;
    }
    m->stats->bad_accesses++;
    return 0;
}

/* Is this an access that some part of the device understands? */
static bool access_ok(uint64_t off, unsigned int size)
{
    if (off >= VR_MMIO_SIZE)
        return false;
    if (off < VR_MMIO_CONFIG) /* 4.2.2.2: 32 bits wide and aligned */
        return size == 4 && !(off & 3);
    return (size == 1 || size == 2 || size == 4 || size == 8) &&
           size <= VR_MMIO_SIZE - off;
}

uint64_t vr_mmio_read(struct vr_vdev *m, uint64_t off, unsigned int size)
{
    m->stats->mmio_reads++;
    if (!access_ok(off, size)) {
        m->stats->bad_accesses++;
        return 0;
    }
    if (off < VR_MMIO_CONFIG)
        return register_read(m, off);
    return vdev_config_read(m, off - VR_MMIO_CONFIG, size);
}

enum vr_vdev_result vr_mmio_write(struct vr_vdev *m, uint64_t off,
                                  unsigned int size, uint64_t value)
{
    m->stats->mmio_writes++;
    if (!access_ok(off, size)) {
        m->stats->bad_accesses++;
        return VR_VDEV_DONE;
    }
    if (off < VR_MMIO_CONFIG)
        return register_write(m, off, value);
    vdev_config_write(m, off - VR_MMIO_CONFIG, size, value);
    return VR_VDEV_DONE;
}

static uint64_t read_face(void *of, uint64_t off, unsigned int size)
{
    return vr_mmio_read(of, off, size);
}

static enum vr_vdev_result write_face(void *of, uint64_t off, unsigned int size,
                                      uint64_t value)
{
    return vr_mmio_write(of, off, size, value);
}

const struct vr_face vr_mmio_face = {.read = read_face, .write = write_face};

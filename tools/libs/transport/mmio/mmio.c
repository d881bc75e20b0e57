/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mmio_int.h"

static void driver_features(struct vr_mmio *m, uint32_t value)
{
    if (m->status & VR_STATUS_FEATURES_OK) { /* 2.2.1: settled */
        m->stats->bad_accesses++;
        return;
    }
    if (m->drv_sel == 0)
        set_low(&m->drv_features, value);
    else if (m->drv_sel == 1)
        set_high(&m->drv_features, value);
    else if (value)
        m->drv_excess = true;
}

/* The path that counts: one table look-up, no statistics to copy. */
static void notify(struct vr_mmio *m, uint32_t index)
{
    if (index >= m->desc.nqueues || !served(m) || !m->q[index].ready ||
        m->q[index].stopping) {
        m->stats->bad_accesses++;
        return;
    }
    m->stats->kicks++;
    m->ops->notify(m->ctx, index);
}

static enum vr_mmio_result register_write(struct vr_mmio *m, uint32_t off,
                                          uint32_t value)
{
    enum vr_mmio_result result = VR_MMIO_DONE;

    switch (off) {
    case VR_MMIO_QUEUE_NOTIFY:
        notify(m, value);
        return VR_MMIO_DONE;
    case VR_MMIO_INTERRUPT_ACK:
        mmio_irq_lower(m, value);
        return VR_MMIO_DONE;
    case VR_MMIO_DEVICE_FEATURES_SEL:
        m->dev_sel = value;
        return VR_MMIO_DONE;
    case VR_MMIO_DRIVER_FEATURES_SEL:
        m->drv_sel = value;
        return VR_MMIO_DONE;
    case VR_MMIO_QUEUE_SEL:
        m->queue_sel = value;
        return VR_MMIO_DONE;
    case VR_MMIO_SHM_SEL: /* there are no shared memory regions to select */
        return VR_MMIO_DONE;
    case VR_MMIO_DRIVER_FEATURES:
        driver_features(m, value);
        break;
    case VR_MMIO_STATUS:
        result = mmio_status_write(m, value);
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
        /* A queue that stops because the device does: wait for that. */
        if (m->resetting) {
            if (off == VR_MMIO_QUEUE_RESET ||
                (off == VR_MMIO_QUEUE_READY && !value))
                return VR_MMIO_PENDING;
            m->stats->bad_accesses++;
            return VR_MMIO_DONE;
        }
        if (m->queue_sel >= m->desc.nqueues) {
            /* Linux writes QueueReady = 0 to a queue that it did not find. */
            m->stats->bad_accesses += value != 0;
            return VR_MMIO_DONE;
        }
        result = mmio_queue_write(m, m->queue_sel, off, value);
        break;
    default:
        m->stats->bad_accesses++;
        return VR_MMIO_DONE;
    }
    mmio_show(m);
    return result;
}

static uint32_t register_read(struct vr_mmio *m, uint32_t off)
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
        return m->dev_sel > 1 ? 0 : offered(m) >> (32 * m->dev_sel);
    case VR_MMIO_QUEUE_SIZE_MAX:
    case VR_MMIO_QUEUE_READY:
    case VR_MMIO_QUEUE_RESET:
        return mmio_queue_read(m, off);
    case VR_MMIO_STATUS:
        return status_read(m);
    case VR_MMIO_SHM_LEN_LOW:
    case VR_MMIO_SHM_LEN_HIGH:
    case VR_MMIO_SHM_BASE_LOW:
    case VR_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX;
    case VR_MMIO_CONFIG_GENERATION:
        return m->config_generation;
    }
    m->stats->bad_accesses++;
    return 0;
}

/*
 * Config space of a device that failed before DRIVER_OK: what has its driver
 * give up in its probe, as far as the type knows such a thing. A device that
 * fails later keeps its config space, whose end would be taken for a change.
 */
static uint8_t blind_config(const struct vr_mmio *m, unsigned int off)
{
    return m->spec && m->spec->blind ? m->spec->blind(off) : 0;
}

/* 4.2.2.2: any width for config space; ours answers any alignment too. */
static uint64_t config_read(const struct vr_mmio *m, unsigned int off,
                            unsigned int size)
{
    uint64_t value = 0;
    unsigned int i;

    for (i = 0; i < size; i++) {
        uint8_t byte = m->blind ? blind_config(m, off + i) : m->config[off + i];

        value |= (uint64_t)byte << (8 * i);
    }
    return value;
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

uint64_t vr_mmio_read(struct vr_mmio *m, uint64_t off, unsigned int size)
{
    m->stats->mmio_reads++;
    if (!access_ok(off, size)) {
        m->stats->bad_accesses++;
        return 0;
    }
    if (off < VR_MMIO_CONFIG)
        return register_read(m, off);
    return config_read(m, off - VR_MMIO_CONFIG, size);
}

enum vr_mmio_result vr_mmio_write(struct vr_mmio *m, uint64_t off,
                                  unsigned int size, uint64_t value)
{
    m->stats->mmio_writes++;
    if (!access_ok(off, size)) {
        m->stats->bad_accesses++;
        return VR_MMIO_DONE;
    }
    if (off < VR_MMIO_CONFIG)
        return register_write(m, off, value);
    if (!m->ops->config_write || !served(m)) {
        m->stats->bad_accesses++;
        return VR_MMIO_DONE;
    }
    if (size < 8)
        value &= (UINT64_C(1) << (8 * size)) - 1;
    m->ops->config_write(m->ctx, off - VR_MMIO_CONFIG, size, value);
    return VR_MMIO_DONE;
}

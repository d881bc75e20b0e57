/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "mmio.h"

/* Status bits that the driver may set (virtio 1.2, 2.1). */
#define DRIVER_STATUS                                                          \
    (VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER | VR_STATUS_FEATURES_OK |        \
     VR_STATUS_DRIVER_OK | VR_STATUS_FAILED)

struct area {
    uint64_t start;
    uint64_t len;
};

static uint32_t status_read(const struct vr_mmio *m)
{
    bool bad = m->needs_reset || m->stale || m->gone;

    return m->status | (bad ? VR_STATUS_NEEDS_RESET : 0);
}

/* Copies what the operator is to see. */
static void show(struct vr_mmio *m)
{
    struct vr_stats_dev *s = m->stats;
    unsigned int i;

    s->status = status_read(m);
    s->failed = vr_mmio_failed(m);
    s->features = m->status & VR_STATUS_FEATURES_OK ? m->drv_features : 0;
    s->nqueues = m->desc.nqueues;
    for (i = 0; i < m->desc.nqueues; i++) {
        s->q[i].desc = m->q[i].desc;
        s->q[i].driver = m->q[i].driver;
        s->q[i].device = m->q[i].device;
        s->q[i].size = m->q[i].size;
        s->q[i].enabled = m->q[i].ready;
    }
}

static void irq_raise(struct vr_mmio *m, uint32_t cause)
{
    if (m->isr & cause)
        return;
    m->isr |= cause;
    m->stats->interrupts++;
    m->ops->irq(m->ctx, true);
}

static void irq_lower(struct vr_mmio *m, uint32_t causes)
{
    if (!m->isr)
        return;
    m->isr &= ~causes;
    if (!m->isr)
        m->ops->irq(m->ctx, false);
}

/* 2.1.2: nothing is sent to a driver that has not said DRIVER_OK. */
static void config_changed(struct vr_mmio *m)
{
    m->config_generation++;
    if (m->status & VR_STATUS_DRIVER_OK && !m->resetting) {
        m->stats->config_changes++;
        irq_raise(m, VR_MMIO_INT_CONFIG);
    }
}

static bool served(const struct vr_mmio *m)
{
    return (m->status & VR_STATUS_DRIVER_OK) &&
           !(m->status & VR_STATUS_FAILED) && !m->needs_reset && !m->resetting;
}

uint32_t vr_mmio_queues(const struct vr_mmio *m)
{
    uint32_t queues = 0;
    unsigned int i;

    if (!served(m))
        return 0;
    for (i = 0; i < m->desc.nqueues; i++)
        if (m->q[i].ready && !m->q[i].stopping)
            queues |= UINT32_C(1) << i;
    return queues;
}

/* Tells the backend how things stand, unless it idles and is to idle on. */
static void publish(struct vr_mmio *m)
{
    uint32_t queues = vr_mmio_queues(m);
    struct vr_ctrl_request req;
    unsigned int i;

    if (!served(m) && !m->running)
        return;
    memset(&req, 0, sizeof(req));
    req.run = served(m);
    req.nqueues = m->desc.nqueues;
    req.features = m->drv_features;
    for (i = 0; i < m->desc.nqueues; i++) {
        const struct vr_mmio_queue *q = &m->q[i];

        if (!(queues & UINT32_C(1) << i))
            continue;
        req.q[i].desc = q->desc;
        req.q[i].driver = q->driver;
        req.q[i].device = q->device;
        req.q[i].size = q->size;
        req.q[i].epoch = q->epoch;
    }
    m->running = req.run;
    m->owed = true;
    m->live |= queues;
    m->ops->publish(m->ctx, &req);
}

static void fault(struct vr_mmio *m, uint64_t addr)
{
    m->stats->faults++;
    m->stats->fault_addr = addr;
}

/* The driver was refused, the device is all right. */
static bool refused(const struct vr_mmio *m)
{
    return m->fail == VR_FAIL_FEATURES || m->fail == VR_FAIL_UNATTACHED;
}

static void fail(struct vr_mmio *m, enum vr_fail why)
{
    if (m->fail == VR_FAIL_NONE || refused(m))
        m->fail = why;
    if (m->needs_reset)
        return;
    m->needs_reset = true;
    m->blind = !(m->status & VR_STATUS_DRIVER_OK);
    config_changed(m);
    publish(m);
}

static void queue_clear(struct vr_mmio *m, struct vr_mmio_queue *q)
{
    memset(q, 0, sizeof(*q));
    q->size = m->desc.queue_size_max;
}

/* The state that 2.4.1 asks for. What the backend still owes (stale) and
 * whether it exists (gone) are no state of the driver's. */
static void reset_done(struct vr_mmio *m)
{
    unsigned int i;

    m->resetting = false;
    m->status = 0;
    m->dev_sel = 0;
    m->drv_sel = 0;
    m->queue_sel = 0;
    m->drv_features = 0;
    m->drv_excess = false;
    if (m->blind)
        m->config_generation++;
    m->blind = false;
    m->needs_reset = false;
    m->fail = m->gone    ? VR_FAIL_GONE
              : m->stale ? VR_FAIL_TIMEOUT
                         : VR_FAIL_NONE;
    for (i = 0; i < m->desc.nqueues; i++)
        queue_clear(m, &m->q[i]);
    irq_lower(m, UINT32_MAX);
    m->stats->resets++;
}

/* Completes every write that waits. */
static void complete(struct vr_mmio *m)
{
    unsigned int i;

    if (m->resetting) {
        reset_done(m);
        return;
    }
    for (i = 0; i < m->desc.nqueues; i++) {
        struct vr_mmio_queue *q = &m->q[i];

        if (!q->stopping)
            continue;
        /* 2.6.1: QueueReset puts the queue back to its default; a driver that
         * wrote QueueReady = 0 finds its addresses again. */
        if (q->by_reset)
            queue_clear(m, q);
        q->stopping = false;
        q->by_reset = false;
        q->ready = false;
    }
}

bool vr_mmio_waiting(const struct vr_mmio *m)
{
    unsigned int i;

    if (m->resetting)
        return true;
    for (i = 0; i < m->desc.nqueues; i++)
        if (m->q[i].stopping)
            return true;
    return false;
}

bool vr_mmio_unquiet(const struct vr_mmio *m)
{
    return m->stale || vr_mmio_waiting(m);
}

void vr_mmio_quiesced(struct vr_mmio *m)
{
    m->live = vr_mmio_queues(m);
    m->owed = false;
    m->stale = false;
    if (m->fail == VR_FAIL_TIMEOUT && !m->needs_reset)
        m->fail = VR_FAIL_NONE;
    complete(m);
    show(m);
}

void vr_mmio_timeout(struct vr_mmio *m)
{
    if (!vr_mmio_waiting(m))
        return;
    m->stale = true;
    if (!m->resetting)
        fail(m, VR_FAIL_TIMEOUT);
    complete(m);
    show(m);
}

void vr_mmio_fail(struct vr_mmio *m, enum vr_fail why)
{
    if (why == VR_FAIL_GONE) {
        m->gone = true;
        m->stale = false;
        m->live = 0;
        m->fail = why;
    }
    /* A device that no driver uses need not ask for a reset. FEATURES_OK
     * without DRIVER, from a driver that skipped a step, counts as use. */
    if (m->status & (VR_STATUS_DRIVER | VR_STATUS_FEATURES_OK) && !m->resetting)
        fail(m, why);
    if (m->gone) {
        m->live = 0;
        complete(m);
    }
    show(m);
}

enum vr_fail vr_mmio_failed(const struct vr_mmio *m)
{
    return m->fail;
}

/* The queues in @queues leave service; whoever writes waits if need be. */
static enum vr_mmio_result quiesce(struct vr_mmio *m, uint32_t queues)
{
    bool kept;

    publish(m);
    kept = m->resetting && m->desc.keeps && m->owed;
    if ((m->live & queues || kept) && !m->gone)
        return VR_MMIO_PENDING;
    /* None of these was in use. Others may be waiting and go on doing so. */
    if (m->resetting) {
        complete(m);
    } else {
        unsigned int i;

        for (i = 0; i < m->desc.nqueues; i++) {
            struct vr_mmio_queue *q = &m->q[i];

            if (!(queues & UINT32_C(1) << i))
                continue;
            if (q->by_reset)
                queue_clear(m, q);
            q->stopping = false;
            q->ready = false;
        }
    }
    return VR_MMIO_DONE;
}

static enum vr_mmio_result reset_start(struct vr_mmio *m)
{
    m->resetting = true;
    return quiesce(m, UINT32_MAX);
}

static enum vr_mmio_result queue_stop(struct vr_mmio *m, unsigned int i,
                                      bool by_reset)
{
    struct vr_mmio_queue *q = &m->q[i];

    if (q->stopping) { /* another vCPU was first: both wait */
        q->by_reset |= by_reset;
        return VR_MMIO_PENDING;
    }
    if (!q->ready && !by_reset)
        return VR_MMIO_DONE;
    q->stopping = true;
    q->by_reset = by_reset;
    return quiesce(m, UINT32_C(1) << i);
}

static uint64_t offered(const struct vr_mmio *m)
{
    return m->desc.transport | m->dev_features;
}

/* 3.1.1 step 5 and 2.2.2: may FEATURES_OK be set? */
static void features_ok(struct vr_mmio *m)
{
    if (m->status & VR_STATUS_FEATURES_OK)
        return;
    if (m->needs_reset || m->stale || m->gone || !m->described)
        return;
    if (m->drv_excess || m->drv_features & ~offered(m) ||
        (m->drv_features & m->desc.mandatory) != m->desc.mandatory) {
        m->fail = VR_FAIL_FEATURES;
        return;
    }
    if (m->desc.endpoint && !m->attached) {
        m->fail = VR_FAIL_UNATTACHED;
        return;
    }
    if (refused(m))
        m->fail = VR_FAIL_NONE;
    m->status |= VR_STATUS_FEATURES_OK;
}

static enum vr_mmio_result status_write(struct vr_mmio *m, uint32_t value)
{
    uint32_t set;

    if (!(value & 0xff))
        return reset_start(m);
    if (m->resetting) {
        m->stats->bad_accesses++;
        return VR_MMIO_DONE;
    }
    /* 2.1.1: the driver does not clear a bit, and NEEDS_RESET is ours. */
    set = value & DRIVER_STATUS & ~m->status;
    m->status |= set & (VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER);
    if (set & VR_STATUS_FEATURES_OK)
        features_ok(m);
    if (set & VR_STATUS_DRIVER_OK && m->status & VR_STATUS_FEATURES_OK &&
        !m->needs_reset) {
        m->status |= VR_STATUS_DRIVER_OK;
        publish(m);
    }
    if (set & VR_STATUS_FAILED) {
        m->status |= VR_STATUS_FAILED;
        publish(m);
    }
    return VR_MMIO_DONE;
}

static bool inside(const struct vr_mmio *m, const struct area *a)
{
    unsigned int i;

    for (i = 0; i < m->desc.nwindows; i++) {
        const struct vr_mmio_window *w = &m->desc.window[i];

        if (a->start >= w->base && a->len <= w->size &&
            a->start - w->base <= w->size - a->len)
            return true;
    }
    return false;
}

/* Without adding: an area may end where the address space does. */
static bool overlap(const struct area *a, const struct area *b)
{
    if (a->start < b->start)
        return b->start - a->start < a->len;
    return a->start - b->start < b->len;
}

/* 2.7: sizes of the three parts, with the event index that follows a ring. */
static void areas(const struct vr_mmio_queue *q, struct area a[3])
{
    a[0].start = q->desc;
    a[0].len = UINT64_C(16) * q->size;
    a[1].start = q->driver;
    a[1].len = 6 + UINT64_C(2) * q->size;
    a[2].start = q->device;
    a[2].len = 6 + UINT64_C(8) * q->size;
}

static enum vr_fail queue_check(struct vr_mmio *m, unsigned int index)
{
    const struct vr_mmio_queue *q = &m->q[index];
    struct area a[3], b[3];
    unsigned int i, j, k;

    if (!(m->status & VR_STATUS_FEATURES_OK))
        return VR_FAIL_FEATURES;
    if (!q->size || q->size & (q->size - 1) ||
        q->size > m->desc.queue_size_max) {
        fault(m, q->size);
        return VR_FAIL_QUEUE;
    }
    areas(q, a);
    for (i = 0; i < 3; i++) {
        if (!inside(m, &a[i])) {
            fault(m, a[i].start);
            /* When setting up an identity domain fails, Linux stays attached
             * but uses untranslated addresses, as if it were not. */
            return m->desc.endpoint ? VR_FAIL_UNATTACHED : VR_FAIL_OUTSIDE;
        }
    }
    if (q->desc & 15 || q->driver & 1 || q->device & 3) {
        fault(m, q->desc & 15    ? q->desc
                 : q->driver & 1 ? q->driver
                                 : q->device);
        return VR_FAIL_QUEUE;
    }
    for (k = 0; k < m->desc.nqueues; k++) {
        if (k != index && !m->q[k].ready)
            continue;
        areas(&m->q[k], b);
        for (i = 0; i < 3; i++) {
            for (j = 0; j < 3; j++) {
                if (k == index && j <= i)
                    continue;
                if (overlap(&a[i], &b[j])) {
                    fault(m, a[i].start);
                    return VR_FAIL_QUEUE;
                }
            }
        }
    }
    return VR_FAIL_NONE;
}

static void queue_start(struct vr_mmio *m, unsigned int index)
{
    struct vr_mmio_queue *q = &m->q[index];
    enum vr_fail why;

    if (q->ready || q->stopping || m->needs_reset || m->stale || m->gone) {
        m->stats->bad_accesses++;
        return;
    }
    why = queue_check(m, index);
    if (why != VR_FAIL_NONE) {
        fail(m, why);
        return;
    }
    if (!++m->epoch)
        m->epoch = 1;
    q->epoch = m->epoch;
    q->ready = true;
    publish(m);
}

static void set_low(uint64_t *v, uint32_t low)
{
    *v = (*v & ~UINT64_C(0xffffffff)) | low;
}

static void set_high(uint64_t *v, uint32_t high)
{
    *v = (*v & UINT64_C(0xffffffff)) | (uint64_t)high << 32;
}

/* The queue registers proper; @i is a queue that exists. */
static enum vr_mmio_result queue_write(struct vr_mmio *m, unsigned int i,
                                       uint32_t off, uint32_t value)
{
    struct vr_mmio_queue *q = &m->q[i];

    switch (off) {
    case VR_MMIO_QUEUE_READY:
        if (!(value & 1))
            return queue_stop(m, i, false);
        queue_start(m, i);
        return VR_MMIO_DONE;
    case VR_MMIO_QUEUE_RESET:
        /* 4.2.2.1: only when negotiated; writing anything but 1 is void. */
        if (value != 1 || !(m->status & VR_STATUS_FEATURES_OK) ||
            !(m->drv_features & VR_F_RING_RESET)) {
            m->stats->bad_accesses++;
            return VR_MMIO_DONE;
        }
        return queue_stop(m, i, true);
    }
    /* 4.2.2.2: the rest must not be changed while the queue is in use. */
    if (q->ready || q->stopping) {
        m->stats->bad_accesses++;
        return VR_MMIO_DONE;
    }
    switch (off) {
    case VR_MMIO_QUEUE_SIZE:
        q->size = value;
        break;
    case VR_MMIO_QUEUE_DESC_LOW:
        set_low(&q->desc, value);
        break;
    case VR_MMIO_QUEUE_DESC_HIGH:
        set_high(&q->desc, value);
        break;
    case VR_MMIO_QUEUE_DRIVER_LOW:
        set_low(&q->driver, value);
        break;
    case VR_MMIO_QUEUE_DRIVER_HIGH:
        set_high(&q->driver, value);
        break;
    case VR_MMIO_QUEUE_DEVICE_LOW:
        set_low(&q->device, value);
        break;
    case VR_MMIO_QUEUE_DEVICE_HIGH:
        set_high(&q->device, value);
        break;
    }
    return VR_MMIO_DONE;
}

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
        irq_lower(m, value);
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
        result = status_write(m, value);
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
        result = queue_write(m, m->queue_sel, off, value);
        break;
    default:
        m->stats->bad_accesses++;
        return VR_MMIO_DONE;
    }
    show(m);
    return result;
}

static uint32_t queue_read(const struct vr_mmio *m, uint32_t off)
{
    const struct vr_mmio_queue *q;

    if (m->queue_sel >= m->desc.nqueues)
        return 0; /* 4.2.2.1: QueueSizeMax 0 says "not available" */
    q = &m->q[m->queue_sel];
    switch (off) {
    case VR_MMIO_QUEUE_SIZE_MAX:
        return m->desc.queue_size_max;
    case VR_MMIO_QUEUE_READY:
        /* 2.6.1: 0 right after QueueReset, but a queue that is being stopped
         * by QueueReady = 0 is ready until it is stopped (4.2.2.2). */
        return q->ready && !(q->stopping && q->by_reset);
    case VR_MMIO_QUEUE_RESET:
        return q->stopping && q->by_reset;
    }
    return 0;
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
        return queue_read(m, off);
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
 * Config space of a device that failed before DRIVER_OK.
 *
 * That is the fate of a guest whose kernel ignores the pool: its rings lie
 * outside of the window, QueueReady stays 0. Linux does not look at QueueReady
 * after it has written it, nor at DEVICE_NEEDS_RESET in probe, and would wait
 * for ever for the first read of the partition scan. But virtio_blk sets up
 * its queues (init_vq) before it reads the limits from config space, so a
 * block size that cannot be makes the probe fail in the ordinary way:
 * Linux 6.1 checks it itself ("invalid block size: 0x1"), 6.12 leaves it to
 * the block layer ("Invalid logical block size (1)"). Zero would not do: the
 * block layer of 6.12 takes it for 512. All the rest reads as zero, so that a
 * driver that goes on nevertheless finds a disk of no sectors, which Linux
 * does not scan for partitions.
 *
 * A device that fails later keeps its config space: a capacity of zero would
 * be taken for a resize.
 */
static uint8_t blind_config(uint32_t device_id, unsigned int off)
{
    const unsigned int blk_size = 20; /* struct virtio_blk_config, 5.2.4 */

    return device_id == 2 && off == blk_size;
}

/* 4.2.2.2: any width for config space; ours answers any alignment too. */
static uint64_t config_read(const struct vr_mmio *m, unsigned int off,
                            unsigned int size)
{
    uint64_t value = 0;
    unsigned int i;

    for (i = 0; i < size; i++) {
        uint8_t byte = m->blind ? blind_config(m->desc.device_id, off + i)
                                : m->config[off + i];

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

void vr_mmio_attach(struct vr_mmio *m, bool attached)
{
    m->attached = attached;
}

void vr_mmio_interrupt(struct vr_mmio *m)
{
    if (m->status & VR_STATUS_DRIVER_OK && !m->resetting)
        irq_raise(m, VR_MMIO_INT_USED);
}

uint32_t vr_mmio_isr(const struct vr_mmio *m)
{
    return m->isr;
}

int vr_mmio_set_device(struct vr_mmio *m, uint64_t features, const void *config,
                       uint32_t len)
{
    uint8_t fresh[VR_CONFIG_LEN] = {0};
    bool changed;
    int rc = 0;

    if (len > sizeof(fresh))
        len = sizeof(fresh);
    memcpy(fresh, config, len);
    changed = memcmp(fresh, m->config, sizeof(fresh)) != 0;
    memcpy(m->config, fresh, sizeof(fresh));
    m->dev_features = features & VR_F_DEVICE_TYPE;
    m->described = true;
    if (m->gone) {
        m->gone = false;
        if (!m->needs_reset)
            m->fail = VR_FAIL_NONE;
    }
    if (m->status & VR_STATUS_FEATURES_OK && !m->resetting &&
        m->drv_features & ~offered(m)) {
        fail(m, VR_FAIL_BACKEND);
        rc = -EPROTO;
    } else if (changed) {
        config_changed(m);
    }
    show(m);
    return rc;
}

void vr_mmio_init(struct vr_mmio *m, const struct vr_mmio_desc *desc,
                  const struct vr_mmio_ops *ops, void *ctx,
                  struct vr_stats_dev *stats)
{
    unsigned int i;

    memset(m, 0, sizeof(*m));
    m->desc = *desc;
    m->ops = ops;
    m->ctx = ctx;
    m->stats = stats;
    for (i = 0; i < m->desc.nqueues; i++)
        queue_clear(m, &m->q[i]);
    show(m);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mmio_int.h"

struct area {
    uint64_t start;
    uint64_t len;
};

static void fault(struct vr_mmio *m, uint64_t addr)
{
    m->stats->faults++;
    m->stats->fault_addr = addr;
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
    return mmio_quiesce(m, UINT32_C(1) << i);
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
        mmio_give_up(m, why);
        return;
    }
    if (!++m->epoch)
        m->epoch = 1;
    q->epoch = m->epoch;
    q->ready = true;
    mmio_publish(m);
}

enum vr_mmio_result mmio_queue_write(struct vr_mmio *m, unsigned int i,
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

uint32_t mmio_queue_read(const struct vr_mmio *m, uint32_t off)
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

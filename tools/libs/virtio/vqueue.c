/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue of the device model, as its driver sets it up and takes it down
 * (virtio 1.2, 2.6): whether its rings may lie where the driver says, and when
 * it is out of service for good. Called by the transports. Pure.
 */
#include "libs/base/range.h"
#include "vdev_int.h"

struct area {
    uint64_t start;
    uint64_t len;
};

static void fault(struct vr_vdev *m, uint64_t addr)
{
    m->stats->faults++;
    m->stats->fault_addr = addr;
}

static enum vr_vdev_result queue_stop(struct vr_vdev *m, unsigned int i,
                                      bool by_reset)
{
    struct vr_vdev_queue *q = &m->q[i];

    if (q->stopping) { /* another vCPU was first: both wait */
        q->by_reset |= by_reset;
        return VR_VDEV_PENDING;
    }
    if (!q->ready && !by_reset)
        return VR_VDEV_DONE;
    q->stopping = true;
    q->by_reset = by_reset;
    return vdev_quiesce(m, UINT32_C(1) << i);
}

static bool in_ranges(const struct vr_vdev *m, const struct area *a)
{
    unsigned int i;

    for (i = 0; i < m->desc.nranges; i++) {
        const struct vr_vdev_range *range = &m->desc.range[i];

        if (vr_range_has(range->base, range->size, a->start, a->len))
            return true;
    }
    return false;
}

/* 2.7: sizes of the three parts, with the event index that follows a ring. */
static void areas(const struct vr_vdev_queue *q, struct area a[3])
{
    a[0].start = q->desc;
    a[0].len = UINT64_C(16) * q->size;
    a[1].start = q->driver;
    a[1].len = 6 + UINT64_C(2) * q->size;
    a[2].start = q->device;
    a[2].len = 6 + UINT64_C(8) * q->size;
}

/* Nothing overlaps @a, the areas of queue @index: neither another of them nor
 * one of a queue that is in service. */
static bool apart(struct vr_vdev *m, unsigned int index, const struct area a[3])
{
    struct area b[3];
    unsigned int i, j, k;

    for (k = 0; k < m->desc.nqueues; k++) {
        if (k != index && !m->q[k].ready)
            continue;
        areas(&m->q[k], b);
        for (i = 0; i < 3; i++) {
            for (j = k == index ? i + 1 : 0; j < 3; j++) {
                if (vr_ranges_overlap(a[i].start, a[i].len, b[j].start,
                                      b[j].len)) {
                    fault(m, a[i].start);
                    return false;
                }
            }
        }
    }
    return true;
}

static enum vr_fail queue_check(struct vr_vdev *m, unsigned int index)
{
    const struct vr_vdev_queue *q = &m->q[index];
    struct area a[3];
    unsigned int i;

    if (!(m->status & VR_STATUS_FEATURES_OK))
        return VR_FAIL_FEATURES;
    if (!q->size || q->size & (q->size - 1) ||
        q->size > m->desc.queue_size_max) {
        fault(m, q->size);
        return VR_FAIL_QUEUE;
    }
    areas(q, a);
    for (i = 0; i < 3; i++) {
        if (!in_ranges(m, &a[i])) {
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
    if (!apart(m, index, a))
        return VR_FAIL_QUEUE;
    return VR_FAIL_NONE;
}

static void queue_start(struct vr_vdev *m, unsigned int index)
{
    struct vr_vdev_queue *q = &m->q[index];
    enum vr_fail why;

    if (q->ready || q->stopping || m->needs_reset || m->stale || m->gone) {
        m->stats->bad_accesses++;
        return;
    }
    why = queue_check(m, index);
    if (why != VR_FAIL_NONE) {
        vdev_give_up(m, why);
        return;
    }
    if (!++m->epoch)
        m->epoch = 1;
    q->epoch = m->epoch;
    q->ready = true;
    vdev_publish(m);
}

bool vqueue_writable(struct vr_vdev *m, uint32_t value)
{
    if (!m->resetting && m->queue_sel < m->desc.nqueues)
        return true;
    /* Linux writes QueueReady = 0 to a queue that it did not find. */
    m->stats->bad_accesses += m->resetting || value;
    return false;
}

/* 4.2.2.2: these must not be changed while the queue is in use. */
static struct vr_vdev_queue *unused(struct vr_vdev *m)
{
    struct vr_vdev_queue *q = &m->q[m->queue_sel];

    if (!q->ready && !q->stopping)
        return q;
    m->stats->bad_accesses++;
    return NULL;
}

void vqueue_set_size(struct vr_vdev *m, uint32_t value)
{
    struct vr_vdev_queue *q = unused(m);

    if (q)
        q->size = value;
}

void vqueue_set_half(struct vr_vdev *m, enum vqueue_area area, bool high,
                     uint32_t half)
{
    struct vr_vdev_queue *q = unused(m);

    if (q)
        vdev_set_half(area == VQUEUE_DESC     ? &q->desc
                      : area == VQUEUE_DRIVER ? &q->driver
                                              : &q->device,
                      high, half);
}

/* Whether it can be bound is the backend's to find out: a number proves
 * nothing. */
void vqueue_set_port(struct vr_vdev *m, uint32_t value)
{
    struct vr_vdev_queue *q = unused(m);

    if (q)
        q->port = value;
}

uint32_t vqueue_bell(const struct vr_vdev *m)
{
    return m->desc.bells ? VR_DOORBELL_OK | m->desc.backend_domid : 0;
}

void vqueue_enable(struct vr_vdev *m)
{
    queue_start(m, m->queue_sel);
}

enum vr_vdev_result vqueue_disable(struct vr_vdev *m)
{
    return queue_stop(m, m->queue_sel, false);
}

enum vr_vdev_result vqueue_reset(struct vr_vdev *m, uint32_t value)
{
    /* 4.2.2.1: only when negotiated; writing anything but 1 is void. */
    if (value != 1 || !(m->status & VR_STATUS_FEATURES_OK) ||
        !(m->drv_features & VR_F_RING_RESET)) {
        m->stats->bad_accesses++;
        return VR_VDEV_DONE;
    }
    return queue_stop(m, m->queue_sel, true);
}

static const struct vr_vdev_queue *selected(const struct vr_vdev *m)
{
    return m->queue_sel < m->desc.nqueues ? &m->q[m->queue_sel] : NULL;
}

uint32_t vqueue_size_max(const struct vr_vdev *m)
{
    /* 4.2.2.1: 0 says "not available" */
    return selected(m) ? m->desc.queue_size_max : 0;
}

uint32_t vqueue_ready(const struct vr_vdev *m)
{
    const struct vr_vdev_queue *q = selected(m);

    /* 2.6.1: 0 right after a reset of the queue, but one that is being stopped
     * by QueueReady = 0 is ready until it is stopped (4.2.2.2). */
    return q && q->ready && !(q->stopping && q->by_reset);
}

uint32_t vqueue_resetting(const struct vr_vdev *m)
{
    const struct vr_vdev_queue *q = selected(m);

    return q && q->stopping && q->by_reset;
}

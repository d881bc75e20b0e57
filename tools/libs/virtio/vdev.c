/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device model proper: status, features, config space, reset, failure,
 * interrupts; what the backend is told and still owes. Called by the transports
 * for what the driver does, and by the broker's worker for the rest. Pure.
 */
#include <errno.h>
#include <string.h>

#include "vdev_int.h"

/* Status bits that the driver may set (virtio 1.2, 2.1). */
#define DRIVER_STATUS                                                          \
    (VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER | VR_STATUS_FEATURES_OK |        \
     VR_STATUS_DRIVER_OK | VR_STATUS_FAILED)

void vdev_show(struct vr_vdev *m)
{
    struct vr_stats_dev *s = m->stats;
    unsigned int i;

    s->status = vdev_status_read(m);
    s->failed = vr_vdev_failed(m);
    s->features = m->status & VR_STATUS_FEATURES_OK ? m->drv_features : 0;
    s->nqueues = m->desc.nqueues;
    s->described = m->described;
    memcpy(s->config, m->config, sizeof(s->config));
    for (i = 0; i < m->desc.nqueues; i++) {
        s->q[i].desc = m->q[i].desc;
        s->q[i].driver = m->q[i].driver;
        s->q[i].device = m->q[i].device;
        s->q[i].size = m->q[i].size;
        s->q[i].port = m->q[i].port;
        s->q[i].enabled = m->q[i].ready;
    }
}

uint32_t vdev_offered_word(const struct vr_vdev *m)
{
    return m->dev_sel > 1 ? 0 : vdev_offered(m) >> (32 * m->dev_sel);
}

void vdev_accept_word(struct vr_vdev *m, uint32_t value)
{
    if (m->status & VR_STATUS_FEATURES_OK) { /* 2.2.1: settled */
        m->stats->bad_accesses++;
        return;
    }
    if (m->drv_sel == 0)
        vdev_set_half(&m->drv_features, false, value);
    else if (m->drv_sel == 1)
        vdev_set_half(&m->drv_features, true, value);
    else if (value)
        m->drv_excess = true;
}

/* The path that counts: one table look-up, no statistics to copy. */
void vdev_notify(struct vr_vdev *m, uint32_t index)
{
    if (index >= m->desc.nqueues || !vdev_served(m) || !m->q[index].ready ||
        m->q[index].stopping) {
        m->stats->bad_accesses++;
        return;
    }
    m->stats->kicks++;
    m->ops->notify(m->ctx, index);
}

/*
 * Config space of a device that failed before DRIVER_OK: what has its driver
 * give up in its probe, as far as the type knows such a thing. A device that
 * fails later keeps its config space, whose end would be taken for a change.
 */
static uint8_t blind_config(const struct vr_vdev *m, unsigned int off)
{
    return m->spec && m->spec->blind ? m->spec->blind(off) : 0;
}

/* 4.2.2.2: any width for config space; ours answers any alignment too. */
uint64_t vdev_config_read(const struct vr_vdev *m, unsigned int off,
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

void vdev_config_write(struct vr_vdev *m, unsigned int off, unsigned int size,
                       uint64_t value)
{
    if (!m->ops->config_write || !vdev_served(m)) {
        m->stats->bad_accesses++;
        return;
    }
    if (size < 8)
        value &= (UINT64_C(1) << (8 * size)) - 1;
    m->ops->config_write(m->ctx, off, size, value);
}

static void irq_raise(struct vr_vdev *m, uint32_t cause, uint32_t queues)
{
    if (m->ops->message && m->ops->message(m->ctx, cause, queues)) {
        m->stats->interrupts++;
        return;
    }
    if (m->isr & cause)
        return;
    m->isr |= cause;
    m->stats->interrupts++;
    m->ops->irq(m->ctx, true);
}

void vdev_irq_lower(struct vr_vdev *m, uint32_t causes)
{
    if (!m->isr)
        return;
    m->isr &= ~causes;
    if (!m->isr)
        m->ops->irq(m->ctx, false);
}

/* 2.1.2: nothing is sent to a driver that has not said DRIVER_OK. */
static void config_changed(struct vr_vdev *m)
{
    m->config_generation++;
    if (m->status & VR_STATUS_DRIVER_OK && !m->resetting) {
        m->stats->config_changes++;
        irq_raise(m, VR_INT_CONFIG, 0);
    }
}

uint32_t vr_vdev_queues(const struct vr_vdev *m)
{
    uint32_t queues = 0;
    unsigned int i;

    if (!vdev_served(m))
        return 0;
    for (i = 0; i < m->desc.nqueues; i++)
        if (m->q[i].ready && !m->q[i].stopping)
            queues |= UINT32_C(1) << i;
    return queues;
}

void vdev_publish(struct vr_vdev *m)
{
    uint32_t queues = vr_vdev_queues(m);
    struct vr_ctrl_request req;
    unsigned int i;

    if (!vdev_served(m) && !m->running)
        return;
    memset(&req, 0, sizeof(req));
    req.run = vdev_served(m);
    req.nqueues = m->desc.nqueues;
    req.features = m->drv_features;
    for (i = 0; i < m->desc.nqueues; i++) {
        const struct vr_vdev_queue *q = &m->q[i];

        if (!(queues & UINT32_C(1) << i))
            continue;
        req.q[i].desc = q->desc;
        req.q[i].driver = q->driver;
        req.q[i].device = q->device;
        req.q[i].size = q->size;
        req.q[i].epoch = q->epoch;
        req.q[i].port = q->port;
    }
    m->running = req.run;
    m->owed = true;
    m->live |= queues;
    m->ops->publish(m->ctx, &req);
}

/* The driver was refused, the device is all right. */
static bool refused(const struct vr_vdev *m)
{
    return m->fail == VR_FAIL_FEATURES || m->fail == VR_FAIL_UNATTACHED;
}

void vdev_give_up(struct vr_vdev *m, enum vr_fail why)
{
    if (m->fail == VR_FAIL_NONE || refused(m))
        m->fail = why;
    if (m->needs_reset)
        return;
    m->needs_reset = true;
    m->blind = !(m->status & VR_STATUS_DRIVER_OK);
    config_changed(m);
    vdev_publish(m);
}

static void queue_clear(struct vr_vdev *m, struct vr_vdev_queue *q)
{
    memset(q, 0, sizeof(*q));
    q->size = m->desc.queue_size_max;
}

/* The state that 2.4.1 asks for. What the backend still owes (stale) and
 * whether it exists (gone) are no state of the driver's. */
static void reset_done(struct vr_vdev *m)
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
    vdev_irq_lower(m, UINT32_MAX);
    m->stats->resets++;
}

/* Completes every write that waits. */
static void complete(struct vr_vdev *m)
{
    unsigned int i;

    if (m->resetting) {
        reset_done(m);
        return;
    }
    for (i = 0; i < m->desc.nqueues; i++) {
        struct vr_vdev_queue *q = &m->q[i];

        if (!q->stopping)
            continue;
        /* QueueReset returns the queue to its defaults (2.6.1). After
         * QueueReady = 0 it keeps its size and addresses. */
        if (q->by_reset)
            queue_clear(m, q);
        q->stopping = false;
        q->by_reset = false;
        q->ready = false;
    }
}

bool vr_vdev_waiting(const struct vr_vdev *m)
{
    unsigned int i;

    if (m->resetting)
        return true;
    for (i = 0; i < m->desc.nqueues; i++)
        if (m->q[i].stopping)
            return true;
    return false;
}

bool vr_vdev_unquiet(const struct vr_vdev *m)
{
    return m->stale || vr_vdev_waiting(m);
}

void vr_vdev_quiesced(struct vr_vdev *m)
{
    m->live = vr_vdev_queues(m);
    m->owed = false;
    m->stale = false;
    if (m->fail == VR_FAIL_TIMEOUT && !m->needs_reset)
        m->fail = VR_FAIL_NONE;
    complete(m);
    vdev_show(m);
}

void vr_vdev_timeout(struct vr_vdev *m)
{
    if (!vr_vdev_waiting(m))
        return;
    m->stale = true;
    if (!m->resetting)
        vdev_give_up(m, VR_FAIL_TIMEOUT);
    complete(m);
    vdev_show(m);
}

void vr_vdev_fail(struct vr_vdev *m, enum vr_fail why)
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
        vdev_give_up(m, why);
    if (m->gone) {
        m->live = 0;
        complete(m);
    }
    vdev_show(m);
}

enum vr_fail vr_vdev_failed(const struct vr_vdev *m)
{
    return m->fail;
}

enum vr_vdev_result vdev_quiesce(struct vr_vdev *m, uint32_t queues)
{
    bool kept;

    vdev_publish(m);
    kept = m->resetting && m->desc.keeps && m->owed;
    if ((m->live & queues || kept) && !m->gone)
        return VR_VDEV_PENDING;
    /* None of these was in use. Others may be waiting and go on doing so. */
    if (m->resetting) {
        complete(m);
    } else {
        unsigned int i;

        for (i = 0; i < m->desc.nqueues; i++) {
            struct vr_vdev_queue *q = &m->q[i];

            if (!(queues & UINT32_C(1) << i))
                continue;
            if (q->by_reset)
                queue_clear(m, q);
            q->stopping = false;
            q->ready = false;
        }
    }
    return VR_VDEV_DONE;
}

static enum vr_vdev_result reset_start(struct vr_vdev *m)
{
    m->resetting = true;
    return vdev_quiesce(m, UINT32_MAX);
}

/* 3.1.1 step 5 and 2.2.2: may FEATURES_OK be set? */
static void features_ok(struct vr_vdev *m)
{
    if (m->status & VR_STATUS_FEATURES_OK)
        return;
    if (m->needs_reset || m->stale || m->gone || !m->described)
        return;
    if (m->drv_excess || m->drv_features & ~vdev_offered(m) ||
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

enum vr_vdev_result vdev_status_write(struct vr_vdev *m, uint32_t value)
{
    uint32_t set;

    if (!(value & 0xff))
        return reset_start(m);
    if (m->resetting) {
        m->stats->bad_accesses++;
        return VR_VDEV_DONE;
    }
    /* 2.1.1: the driver does not clear a bit, and NEEDS_RESET is ours. */
    set = value & DRIVER_STATUS & ~m->status;
    m->status |= set & (VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER);
    if (set & VR_STATUS_FEATURES_OK)
        features_ok(m);
    if (set & VR_STATUS_DRIVER_OK && m->status & VR_STATUS_FEATURES_OK &&
        !m->needs_reset) {
        m->status |= VR_STATUS_DRIVER_OK;
        vdev_publish(m);
    }
    if (set & VR_STATUS_FAILED) {
        m->status |= VR_STATUS_FAILED;
        vdev_publish(m);
    }
    return VR_VDEV_DONE;
}

void vr_vdev_attach(struct vr_vdev *m, bool attached)
{
    m->attached = attached;
}

void vr_vdev_interrupt(struct vr_vdev *m, uint32_t queues)
{
    if (m->status & VR_STATUS_DRIVER_OK && !m->resetting)
        irq_raise(m, VR_INT_USED, queues);
}

uint32_t vr_vdev_isr(const struct vr_vdev *m)
{
    return m->isr;
}

/* The backend is not trusted, and a driver takes what it has read for granted:
 * while there is one, the type decides. Returns whether @fresh has changed
 * anything. */
static bool take_config(struct vr_vdev *m, const uint8_t *fresh)
{
    if (m->spec && m->spec->renew && m->described &&
        m->status & VR_STATUS_DRIVER)
        return m->spec->renew(m->config, fresh);
    if (!memcmp(fresh, m->config, VR_CONFIG_LEN))
        return false;
    memcpy(m->config, fresh, VR_CONFIG_LEN);
    return true;
}

int vr_vdev_set_device(struct vr_vdev *m, uint64_t features, const void *config,
                       uint32_t len)
{
    uint8_t fresh[VR_CONFIG_LEN] = {0};
    bool changed;
    int rc = 0;

    if (len > sizeof(fresh))
        len = sizeof(fresh);
    memcpy(fresh, config, len);
    changed = take_config(m, fresh);
    m->dev_features = features & VR_F_DEVICE_TYPE;
    m->described = true;
    if (m->gone) {
        m->gone = false;
        if (!m->needs_reset)
            m->fail = VR_FAIL_NONE;
    }
    if (m->status & VR_STATUS_FEATURES_OK && !m->resetting &&
        m->drv_features & ~vdev_offered(m)) {
        vdev_give_up(m, VR_FAIL_BACKEND);
        rc = -EPROTO;
    } else if (changed) {
        config_changed(m);
    }
    vdev_show(m);
    return rc;
}

void vr_vdev_init(struct vr_vdev *m, const struct vr_vdev_desc *desc,
                  const struct vr_vdev_ops *ops, void *ctx,
                  struct vr_stats_dev *stats)
{
    unsigned int i;

    memset(m, 0, sizeof(*m));
    m->desc = *desc;
    m->spec = vr_type_spec(desc->device_id);
    m->ops = ops;
    m->ctx = ctx;
    m->stats = stats;
    for (i = 0; i < m->desc.nqueues; i++)
        queue_clear(m, &m->q[i]);
    vdev_show(m);
}

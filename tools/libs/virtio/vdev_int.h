/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device model's inside, for its own files and for the transports:
 *
 *   libs/transport/  registers: which access means what
 *   vqueue.c         a queue; whether its rings may be where they are
 *   vdev.c           the device: status, features, config space, reset,
 *                    failure, interrupts; what the backend is told and owes
 *
 * Each uses those below it only.
 */
#ifndef VR_VDEV_INT_H
#define VR_VDEV_INT_H

#include "vdev.h"

/*
 * 2.4.1: after a reset the status is 0, and drivers wait for that. A device
 * whose backend has ended is quiet, so it says that it cannot be driven only
 * to a driver that begins with it. While the backend owes its answer (stale)
 * the reset is not complete.
 */
static inline uint32_t vdev_status_read(const struct vr_vdev *m)
{
    bool bad = m->needs_reset || m->stale ||
               (m->gone && m->status & VR_STATUS_ACKNOWLEDGE);

    return m->status | (bad ? VR_STATUS_NEEDS_RESET : 0);
}

/* Does the driver use the device, as far as the backend is concerned? */
static inline bool vdev_served(const struct vr_vdev *m)
{
    return (m->status & VR_STATUS_DRIVER_OK) &&
           !(m->status & VR_STATUS_FAILED) && !m->needs_reset && !m->resetting;
}

static inline uint64_t vdev_offered(const struct vr_vdev *m)
{
    return m->desc.transport | m->dev_features;
}

/* Half of a number that the driver writes in two. */
static inline void vdev_set_half(uint64_t *v, bool high, uint32_t half)
{
    const unsigned int shift = high ? 32 : 0;

    *v = (*v & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)half << shift;
}

/** vdev_show() - copies what the operator is to see. */
void vdev_show(struct vr_vdev *m);

/** vdev_irq_lower() - the driver has seen @causes. */
void vdev_irq_lower(struct vr_vdev *m, uint32_t causes);

/** vdev_publish() - tells the backend how things stand, unless it idles and is
 * to idle on. */
void vdev_publish(struct vr_vdev *m);

/** vdev_give_up() - the device asks for a reset, and is not served before. */
void vdev_give_up(struct vr_vdev *m, enum vr_fail why);

/**
 * vdev_quiesce() - the queues in @queues leave service. Whoever writes waits if
 * need be (VR_VDEV_PENDING).
 */
enum vr_vdev_result vdev_quiesce(struct vr_vdev *m, uint32_t queues);

/** vdev_status_write() - the driver writes Status. */
enum vr_vdev_result vdev_status_write(struct vr_vdev *m, uint32_t value);

/** vdev_offered_word() - 32 of the bits that are offered, by dev_sel. */
uint32_t vdev_offered_word(const struct vr_vdev *m);

/** vdev_accept_word() - the driver writes 32 of those it accepts, by drv_sel.
 */
void vdev_accept_word(struct vr_vdev *m, uint32_t value);

/** vdev_notify() - there are buffers in queue @index; any value. */
void vdev_notify(struct vr_vdev *m, uint32_t index);

/** vdev_config_read() - @size bytes of config space at @off, which it has. */
uint64_t vdev_config_read(const struct vr_vdev *m, unsigned int off,
                          unsigned int size);

/** vdev_config_write() - the same; bits above @size are ignored. */
void vdev_config_write(struct vr_vdev *m, unsigned int off, unsigned int size,
                       uint64_t value);

/* ---- vqueue.c: the queue that queue_sel names ---- */

/** vqueue_writable() - is there such a queue, in a device that is not being
 * reset? If not, and @value is not 0, that is a bad access. */
bool vqueue_writable(struct vr_vdev *m, uint32_t value);

/* The rest is for a queue that is there. */
enum vqueue_area { VQUEUE_DESC, VQUEUE_DRIVER, VQUEUE_DEVICE };

/** vqueue_set_size(), vqueue_set_half(), vqueue_set_port() - its size; a half
 * of an address; the event channel that is its own bell, or 0. */
void vqueue_set_size(struct vr_vdev *m, uint32_t value);
void vqueue_set_half(struct vr_vdev *m, enum vqueue_area area, bool high,
                     uint32_t half);
void vqueue_set_port(struct vr_vdev *m, uint32_t value);

/** vqueue_bell() - what QueueDoorbell reads as (docs/proposals/doorbell.md):
 * 0, or whom the driver has to make the queues' bells for. */
uint32_t vqueue_bell(const struct vr_vdev *m);

/** vqueue_enable(), vqueue_disable() - it enters service, or leaves it. */
void vqueue_enable(struct vr_vdev *m);
enum vr_vdev_result vqueue_disable(struct vr_vdev *m);

/** vqueue_reset() - by a write of @value to its reset register (2.6.1). */
enum vr_vdev_result vqueue_reset(struct vr_vdev *m, uint32_t value);

/** vqueue_size_max(), vqueue_ready(), vqueue_resetting() - what the driver
 * reads of it; 0 when there is none. */
uint32_t vqueue_size_max(const struct vr_vdev *m);
uint32_t vqueue_ready(const struct vr_vdev *m);
uint32_t vqueue_resetting(const struct vr_vdev *m);

#endif /* VR_VDEV_INT_H */

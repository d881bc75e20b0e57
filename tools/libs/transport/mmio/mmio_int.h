/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the register model share:
 *
 *   mmio.c       the guest's accesses: which register, which bytes of config
 *   mmioqueue.c  a queue's registers; whether its rings may be where they are
 *   mmiostate.c  the device: status, features, reset, failure, interrupts, and
 *                what the backend is told and still owes
 *
 * Each uses those below it only.
 */
#ifndef VR_MMIO_INT_H
#define VR_MMIO_INT_H

#include "libs/types/types.h"
#include "mmio.h"

/*
 * 2.4.1: after a reset the status is 0, and drivers wait for that. A device
 * whose backend has ended is quiet, so it says that it cannot be driven only
 * to a driver that begins with it. While the backend owes its answer (stale)
 * the reset is not complete.
 */
static inline uint32_t status_read(const struct vr_mmio *m)
{
    bool bad = m->needs_reset || m->stale ||
               (m->gone && m->status & VR_STATUS_ACKNOWLEDGE);

    return m->status | (bad ? VR_STATUS_NEEDS_RESET : 0);
}

/* Does the driver use the device, as far as the backend is concerned? */
static inline bool served(const struct vr_mmio *m)
{
    return (m->status & VR_STATUS_DRIVER_OK) &&
           !(m->status & VR_STATUS_FAILED) && !m->needs_reset && !m->resetting;
}

static inline uint64_t offered(const struct vr_mmio *m)
{
    return m->desc.transport | m->dev_features;
}

static inline void set_low(uint64_t *v, uint32_t low)
{
    *v = (*v & ~UINT64_C(0xffffffff)) | low;
}

static inline void set_high(uint64_t *v, uint32_t high)
{
    *v = (*v & UINT64_C(0xffffffff)) | (uint64_t)high << 32;
}

/** mmio_show() - copies what the operator is to see. */
void mmio_show(struct vr_mmio *m);

/** mmio_irq_lower() - the driver has seen @causes. */
void mmio_irq_lower(struct vr_mmio *m, uint32_t causes);

/** mmio_publish() - tells the backend how things stand, unless it idles and is
 * to idle on. */
void mmio_publish(struct vr_mmio *m);

/** mmio_give_up() - the device asks for a reset, and is not served before. */
void mmio_give_up(struct vr_mmio *m, enum vr_fail why);

/**
 * mmio_quiesce() - the queues in @queues leave service. Whoever writes waits if
 * need be (VR_MMIO_PENDING).
 */
enum vr_mmio_result mmio_quiesce(struct vr_mmio *m, uint32_t queues);

/** mmio_status_write() - the driver writes Status. */
enum vr_mmio_result mmio_status_write(struct vr_mmio *m, uint32_t value);

/** mmio_queue_write() - the queue registers proper; @i is a queue that
 * exists. */
enum vr_mmio_result mmio_queue_write(struct vr_mmio *m, unsigned int i,
                                     uint32_t off, uint32_t value);

/** mmio_queue_read() - a register of the queue that is selected, if any. */
uint32_t mmio_queue_read(const struct vr_mmio *m, uint32_t off);

#endif /* VR_MMIO_INT_H */

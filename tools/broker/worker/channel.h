/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channel between the broker's worker and a device's backend. */
#ifndef VR_BROKER_CHANNEL_H
#define VR_BROKER_CHANNEL_H

#include "libs/config/record.h"

struct device;

/** channel_make() - before the sandbox: what driver domain @drv is to connect
 * to. Returns 0 or -errno with @err. */
int channel_make(struct device *d, const struct vr_record_driver *drv,
                 struct vr_err *err);

/** channel_kick() - @queues, a bit each, have new buffers; or VR_CTRL_PING. */
void channel_kick(struct device *d, uint64_t queues);

/** channel_ring() - have the backend look at its control page. */
void channel_ring(struct device *d);

/** channel_pending() - the queues, a bit each, that have used buffers of which
 * the guest is to be told by an interrupt. A look that takes nothing. */
uint64_t channel_pending(const struct device *d);

/** channel_drain() - the same, and takes them. */
uint64_t channel_drain(struct device *d);

/** channel_unmask() - hear the backend again. */
void channel_unmask(struct device *d);

/** channel_close() - nothing is left of the driver domain: nor is to be of
 * this. */
void channel_close(struct device *d);

#endif /* VR_BROKER_CHANNEL_H */

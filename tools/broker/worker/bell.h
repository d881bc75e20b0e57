/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the broker's worker does for each kind of bell (libs/proto/bell.def): a
 * device's driver kicks its backend, the backend has used buffers for it.
 * Another kind is a file like bell_trapped.c and a line in bell.def.
 */
#ifndef VR_BROKER_BELL_H
#define VR_BROKER_BELL_H

#include "libs/config/record.h"
#include "libs/proto/bell.h"

struct device;

struct bell {
    /** make() - before the sandbox: what driver domain @drv is to connect to.
     * Returns 0 or -errno with @err. */
    int (*make)(struct device *d, const struct vr_record_driver *drv,
                struct vr_err *err);

    /** kick() - the guest's driver has notified @queue. */
    void (*kick)(struct device *d, unsigned int queue);

    /** ring() - have the backend look at its control page. */
    void (*ring)(struct device *d);

    /** pending() - the queues, a bit each, that have used buffers of which the
     * guest is to be told by an interrupt. A look that takes nothing. */
    uint64_t (*pending)(const struct device *d);

    /** drain() - the same, and takes them. */
    uint64_t (*drain)(struct device *d);

    /** unmask() - hear the backend again. */
    void (*unmask)(struct device *d);

    /** close() - nothing is left of the driver domain: nor is to be of this. */
    void (*close)(struct device *d);
};

/** broker_bells - by enum vr_bell. */
extern const struct bell *const broker_bells[VR_BELLS];

#endif /* VR_BROKER_BELL_H */

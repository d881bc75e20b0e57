/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the worker needs to know of the architecture: how a device's interrupt
 * line is driven. Another architecture is another file with another table.
 */
#ifndef VR_BROKER_ARCH_H
#define VR_BROKER_ARCH_H

#include <stdbool.h>

#include <xendevicemodel.h>

#include "libs/base/vr.h"

struct bus_ops;

struct vr_arch {
    const char *name;
    /*
     * Is the line level-triggered for the guest? If not, only irq(true) is
     * called, once for each cause.
     */
    bool level;
    /* Where such a guest has PCI functions (bus.h); NULL: nowhere. */
    const struct bus_ops *bus;
    /**
     * check() - may irq() be called for this domain? Asked once, before the
     * privileges go. Returns 0, or -errno with @err.
     */
    int (*check)(uint32_t domid, struct vr_err *err);
    /** irq() - drive the line. Returns 0, or -1 with errno set. */
    int (*irq)(xendevicemodel_handle *dm, domid_t domid, uint32_t irq,
               bool raise);
};

/* Of the architecture that this was built for. */
extern const struct vr_arch vr_arch;

#endif /* VR_BROKER_ARCH_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event channels of a device: the broker's, for as long as the process
 * lives, and those of the guest's that are its queues' own bells. All are of
 * one descriptor, which can bind none of any other domain's.
 */
#ifndef VR_CHANNEL_H
#define VR_CHANNEL_H

#include <xenevtchn.h>

#include "libs/proto/xsnode.h"

struct vr_channel {
    xenevtchn_handle *ec;
    uint32_t guest;
    evtchn_port_t broker;
    evtchn_port_t bell[VR_MAX_QUEUES]; /* 0: none */
    /* What was heard and is not unmasked: */
    bool broker_masked;
    uint64_t bells_masked; /* a bit each */
    bool slept;            /* since it was heard last */
};

/** vr_channel_open() - @fd: readable when something has come. Returns 0 or
 * -errno with @err; -EBUSY: a former worker still has the broker's channel. */
int vr_channel_open(struct vr_channel *c, const struct vr_xs_dev *dev, int *fd,
                    struct vr_err *err);

/** vr_channel_wake_for() - what @fd, a socket, has to say ends the sleep of the
 * thread that calls this. Once in a process. Returns 0 or -errno with @err. */
int vr_channel_wake_for(struct vr_channel *c, int fd, struct vr_err *err);

/** vr_channel_ops - as device.h has them; the state is the channel. */
extern const struct vr_channel_ops vr_channel_ops;

#endif /* VR_CHANNEL_H */

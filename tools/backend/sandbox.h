/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the backend gives up: root at its start, and in each worker and granter,
 * once all is open, everything but the few system calls of its loop, and more
 * memory than it has.
 */
#ifndef VR_SANDBOX_H
#define VR_SANDBOX_H

#include "libs/base/vr.h"

/** vr_sandbox_user() - become @user (a name), for good. 0 or -errno. */
int vr_sandbox_user(const char *user, struct vr_err *err);

/**
 * vr_sandbox_locked() - allows for pools that are locked in memory, as those
 * count that the kernel holds for io_uring. Only root can; it does not matter
 * if it fails.
 */
void vr_sandbox_locked(void);

/* System calls of a type of device, by number, and what may be asked of any
 * descriptor. */
struct vr_calls {
    const int *call;
    unsigned int calls;
    const unsigned long *ioctl;
    unsigned int ioctls;
    const unsigned int *uring; /* ... of io_uring_register() */
    unsigned int urings;
};

/**
 * vr_sandbox_worker() - no new privileges, no new files, no core, little more
 * memory, and a system call filter that kills. Threads started before are bound
 * as well.
 * @type: what its type of device takes, beside what all workers do.
 * @gntdev: descriptor that may be mapped; nothing else can be done with it.
 * @evtchn: descriptor whose event channels may be bound to, sent by, and let
 * go.
 * @more: bytes of address space that it may take beyond what it has.
 * Returns 0 or -errno with @err.
 */
int vr_sandbox_worker(const struct vr_calls *type, int gntdev, int evtchn,
                      size_t more, struct vr_err *err);

/**
 * vr_sandbox_granter() - the same, with even fewer calls.
 * @gntdev: the descriptor on which grants may be registered, forgotten and
 * copied.
 */
int vr_sandbox_granter(int gntdev, struct vr_err *err);

#endif /* VR_SANDBOX_H */

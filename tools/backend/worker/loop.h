/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device loop: one device, all its queues, one thread. It knows memory, the
 * device's type (serve.h) and a few callbacks, nothing of Xen, so that it runs
 * and is tested on any Linux. The guest's memory is a local window (static
 * mode) or a remote one (dynamic and mixed mode, dynmem.h).
 *
 * A round of it:
 *
 *   1. a new request of the broker: queues that change drain, then start,
 *      then the request is acknowledged. The pool is mapped from a request to
 *      run until one not to;
 *   2. everything available in all queues is popped and handed to the type,
 *      as one batch; remote: what has to be copied from or to the guest, for
 *      new requests and for those that are done, is copied by one call;
 *   3. what it has done is put into the used rings, published once a
 *      queue, and the guest is told once, if it wants to be;
 *   4. with nothing to do: poll for a bounded time, then ask for
 *      notifications, look once more, sleep.
 *
 * Holding interrupts back (3): with n requests of a queue still under way, an
 * interrupt may wait until as many are done as are still to come, so that the
 * guest always has half of its requests to be served while it handles the
 * other half. It never waits for more than a few times the usual distance of
 * two completions, half of the usual service time, or COALESCE_MAX_NS; and
 * not at all when nothing is under way, so depth 1 sees no delay.
 */
#ifndef VR_LOOP_H
#define VR_LOOP_H

#include "backend/serve.h"

struct vr_loop;

/** vr_loop_local() - what a loop with a remote window, and that, take of its
 * alloc(). */
size_t vr_loop_local(const struct vr_serve *serve, unsigned int queues,
                     unsigned int queue_size);

/**
 * vr_loop_new() - prepare: allocates all there is, publishes what the device
 * is, sets the status to ready. @cfg's pointers must outlive the loop. The
 * thread that calls this has to be the one that calls vr_loop_run().
 * Returns 0 or -errno with @err.
 */
int vr_loop_new(struct vr_loop **out, const struct vr_dev_setup *cfg,
                struct vr_err *err);

/** vr_loop_dev() - the loop's device. */
struct vr_dev *vr_loop_dev(struct vr_loop *loop);

/**
 * vr_loop_run() - serve until stop_fd says so; then finish what is under
 * way, let go of the rings and set the status to absent.
 */
void vr_loop_run(struct vr_loop *loop);

void vr_loop_free(struct vr_loop *loop);

#endif /* VR_LOOP_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device loop: one block device, all its queues, one thread. It knows
 * memory and a few callbacks, nothing of Xen, so that it runs and is tested
 * on any Linux. The guest's memory is a local window (static mode) or a remote
 * one (dynamic and mixed mode, dynmem.h).
 *
 * A round of it:
 *
 *   1. a new request of the broker: queues that change drain, then start,
 *      then the request is acknowledged. The pool is mapped from a request to
 *      run until one not to;
 *   2. everything available in all queues is popped and handed to the kernel
 *      as one batch; remote: what has to be copied from or to the guest, for
 *      new requests and for those that are done, is copied by one call;
 *   3. what the kernel has done is put into the used rings, published once a
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

#include "libs/types/block/request.h"
#include "libs/virtio/virtq.h"
#include "libs/config/cfg.h"
#include "backend/block/aio.h"

/* How the loop reaches the broker's side. */
struct vr_loop_ops {
    /* A notification came (wake_fd is readable): take it off the fd. No
     * further one is to arrive before unmask(). */
    void (*drain)(void *ctx);
    void (*unmask)(void *ctx);
    /* Tell the broker to look at the control page. */
    void (*notify)(void *ctx);
    /* One line for the log; not on the path of requests. */
    void (*log)(void *ctx, const char *text);
    /* What the operator is to know of the device as long as it is so, for the
     * log and xenstore. Empty: nothing any more. */
    void (*note)(void *ctx, const char *text);
    /* The guest has started the device: if it has a pool, maps it and enters
     * it into the window. Returns 0, or -errno with @err. */
    int (*map_pool)(void *ctx, struct vr_err *err);
    /* Undoes it; no queue runs, and nothing is under way. */
    void (*unmap_pool)(void *ctx);
};

struct vr_dynmem;

struct vr_loop_cfg {
    const struct vr_window *win;
    struct vr_dynmem *mem;  /* of a remote window, else NULL */
    uint64_t map_threshold; /* remote: payloads from so many bytes on are
                             * mapped; VR_NEVER_MAP */
    struct vr_ctrl_page *page;
    struct vr_target *target;
    const struct vr_loop_ops *ops;
    void *ctx;
    const struct vr_aio_ops *aio; /* NULL: io_uring, else threads */
    int wake_fd;                  /* notifications */
    int stop_fd;                  /* readable or closed: end */
    unsigned int queues, queue_size;
    unsigned int poll_us;
    unsigned int look_ms; /* between two looks at the target's size */
    bool discard;         /* offer DISCARD and WRITE_ZEROES */
    char serial[VR_SERIAL_LEN + 1];
};

struct vr_loop;

/** vr_loop_local() - what a loop with @mem, and that, take of its alloc(). */
size_t vr_loop_local(unsigned int queues, unsigned int queue_size);

/**
 * vr_loop_new() - prepare: allocates all there is, publishes what the device
 * is, sets the status to ready. @cfg's pointers must outlive the loop. The
 * thread that calls this has to be the one that calls vr_loop_run().
 * Returns 0 or -errno with @err.
 */
int vr_loop_new(struct vr_loop **out, const struct vr_loop_cfg *cfg,
                struct vr_err *err);

/** vr_loop_aio_name() - which kind of I/O is in use. */
const char *vr_loop_aio_name(const struct vr_loop *loop);

/**
 * vr_loop_run() - serve until stop_fd says so; then finish what is under
 * way, flush the target, let go of the rings and set the status to absent.
 */
void vr_loop_run(struct vr_loop *loop);

void vr_loop_free(struct vr_loop *loop);

#endif /* VR_LOOP_H */

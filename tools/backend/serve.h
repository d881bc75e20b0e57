/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a type of device is to the backend. Each type has a folder here, a table
 * as below in it (const struct vr_serve vr_serve_NAME), and a line in
 * libs/types/types.def; nothing else knows of it.
 *
 * A type sees of a request the first readable bytes, how many bytes there are,
 * and its data as memory, whether the guest's is mapped here or not (device.h).
 * It has to do with no ring, no grant and no other device.
 *
 * When a worker died, the next one starts the requests again that it had under
 * way, from their beginning. Those of a type must bear that.
 */
#ifndef VR_SERVE_H
#define VR_SERVE_H

#include "libs/config/cfg.h"
#include "device.h"
#include "sandbox.h"

enum vr_cache {
    VR_CACHE_AUTO,     /* direct where it works */
    VR_CACHE_DIRECT,   /* an error where it does not */
    VR_CACHE_BUFFERED, /* always through the page cache */
};

/* How vr-backend was told to do its I/O; for whom it concerns. */
struct vr_io_opts {
    enum vr_cache cache;
    bool threads;   /* no io_uring */
    int keeper;     /* a socket (net/keeper.h); -1: there is none */
    uint32_t guest; /* whose device it is */
};

/* What wait() says beside: */
#define VR_WAKE_EVENT 1u /* wake_fd became readable */
#define VR_WAKE_STOP  2u /* stop_fd did, or was closed */

struct vr_serve {
    enum vr_type type;
    /* What its requests take of system calls, beside vr_sandbox_worker()'s. */
    struct vr_calls calls;

    /*
     * The form of a request. The type sees the first @front readable bytes of
     * it, or less if there are less, and data are those behind them. A request
     * of exactly @front_only readable bytes has no such data: the type sees
     * all of them. At most VR_FRONT_MAX.
     */
    uint32_t front, front_only;
    bool status;    /* the last writable byte is one; 0: it succeeded */
    uint8_t error;  /* the status when the guest's memory is not to be had */
    size_t io_size; /* of the type's part of a request */
    /* Its requests wait for what happens in the world: that some are under way
     * does not say that one of them ends soon. */
    bool waits;

    /*
     * Opens what the device is about, by @cfg's words, with all privileges that
     * vr-backend has. Returns 0, or -errno with @err. -EBUSY: a former worker
     * still has it; -ENOENT, -ENXIO, -ENODEV, -ENOMEDIUM, -EACCES: it is not
     * there, yet.
     */
    int (*open)(void **source, const struct vr_dev_cfg *cfg,
                const struct vr_io_opts *opts, struct vr_err *err);
    /* The rest, once the device is there; sets d->seg_max, tells the guest
     * what it is (vr_ctrl_set_device()). The thread that calls it is the one
     * that makes all further calls. Returns 0 or -errno with @err. */
    int (*begin)(struct vr_dev *d, struct vr_err *err);
    /* For the log: "2048 sectors in blocks of 512 bytes, io_uring, direct". */
    void (*show)(struct vr_dev *d, char *buf, size_t size);
    /* Looks, now and then, whether the source has changed; what the guest is
     * told of it may change, too. NULL: it cannot. */
    void (*look)(struct vr_dev *d);

    /* The pool, where most data are, is mapped at @va, or NULL: it is about to
     * be unmapped, with nothing under way. NULL: no matter. */
    void (*pool)(struct vr_dev *d, void *va, size_t len);

    /*
     * Queues that the type has served by somebody else, such as the kernel,
     * right from the pool: the loop does not look at their rings. NULL: there
     * are none; else all four are there.
     *
     * lends():  is queue @i to be one?
     * lend():   it begins. Its areas were checked, and are q[i].vq's until this
     *           returns; who serves it has seen none of the guest's kicks.
     *           @again: a former worker had it. Returns 0 or -errno.
     * kick():   the guest may have kicked @queues, a bit each, all lent.
     *           Returns whether one of them has something new.
     * recall(): when it returns nobody touches queue @i any more. It may be
     *           one that was recalled before.
     *
     * Used buffers are told by adding to d->used, in wait() at the latest.
     */
    bool (*lends)(const struct vr_dev *d, unsigned int i);
    int (*lend)(struct vr_dev *d, unsigned int i, bool again);
    bool (*kick)(struct vr_dev *d, uint64_t queues);
    void (*recall)(struct vr_dev *d, unsigned int i);

    /*
     * Remote memory: from its lengths alone (out_len, in_len), which data would
     * @r move? Returns how many bytes, in direction *@dir. It may turn out not
     * to: the type calls vr_request_data() when it knows.
     */
    uint32_t (*guess)(const struct vr_dev *d, const struct vr_request *r,
                      enum vr_dir *dir);
    /*
     * What @r asks for is in front, out_len and in_len. Either answers it
     * (vr_request_answer()), or sets used_len, asks for its data
     * (vr_request_data()) and begins; reap() says when that has ended.
     */
    void (*start)(struct vr_dev *d, struct vr_request *r);
    /* The next piece of its data, if one is not all. */
    void (*more)(struct vr_dev *d, struct vr_request *r);
    /*
     * Lets begin what was started, and waits until some of it has ended, for
     * one of the descriptors, or for @timeout_ns (-1: no limit, 0: not at all).
     * Returns VR_WAKE_*; neither is said again before it was read.
     */
    unsigned int (*wait)(struct vr_dev *d, int64_t timeout_ns);
    /* vr_request_done() for all that has ended. Returns whether something
     * had. */
    bool (*reap)(struct vr_dev *d);

    /* The end, with nothing under way: what the guest takes for done is. */
    void (*finish)(struct vr_dev *d);
    void (*close)(struct vr_dev *d); /* undoes begin() */
};

#endif /* VR_SERVE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asynchronous I/O on a target, together with the wait for everything else: a
 * batch of requests, the completions of earlier ones and the notification
 * from the broker take one system call. Two kinds: io_uring, and a few
 * threads where the kernel lacks or forbids that.
 *
 * Nothing here allocates after vr_aio_ops.open(). One thread calls.
 */
#ifndef VR_AIO_H
#define VR_AIO_H

#include "target.h"

enum vr_aio_op {
    VR_AIO_READ,
    VR_AIO_WRITE,
    VR_AIO_FLUSH,
    VR_AIO_DISCARD,
    VR_AIO_ZEROES,
};

struct vr_aio_req {
    enum vr_aio_op op;
    bool direct;             /* READ, WRITE: direct I/O */
    bool foreign;            /* ... on pages that are not this process's own */
    bool dsync;              /* what is written is to be on stable storage */
    bool unmap;              /* ZEROES */
    const struct iovec *iov; /* stays as it is until the request is done */
    unsigned int niov;
    uint64_t offset, len; /* bytes */
    int res;              /* when done: 0 or -errno */
    int first;            /* how direct I/O failed at first: -errno, or 0 */
    enum vr_way way;      /* READ, WRITE: that was done, or tried last */
    /* For who carries it out in parts: how many are under way, and bytes. */
    unsigned int parts;
    uint64_t moved;
    struct vr_aio_req *next;
};

#define VR_AIO_FDS 2 /* descriptors waited for besides the requests */

struct vr_aio_cfg {
    struct vr_target *target;
    unsigned int depth;   /* the most requests at once */
    int fds[VR_AIO_FDS];  /* -1: none */
    unsigned int threads; /* how many, for those */
};

struct vr_aio;

struct vr_aio_ops {
    const char *name;
    /* Returns 0, or -errno with @err (-ENOSYS, -EPERM: not available here). */
    int (*open)(struct vr_aio **aio, const struct vr_aio_cfg *cfg,
                struct vr_err *err);
    /* Takes @req over; it starts with the next run() at the latest. */
    void (*queue)(struct vr_aio *aio, struct vr_aio_req *req);
    /*
     * Starts what was queued and gathers what is done, into the list *@done.
     * With none done, waits for the first, for one of the descriptors, or for
     * @timeout_ns (-1: no limit, 0: not at all). Bit i of the result: fds[i]
     * became readable; it is not reported again before it was read.
     */
    unsigned int (*run)(struct vr_aio *aio, int64_t timeout_ns,
                        struct vr_aio_req **done);
    /*
     * Most buffers will lie in the @len bytes at @va, until let_go(): the
     * kernel is to look up their pages once, not for each request. Returns 0,
     * or -errno: it does not, and all goes on as without. NULL: it cannot.
     */
    int (*hold)(struct vr_aio *aio, void *va, size_t len);
    /* Undoes hold(), if there was one, before it returns. Only when no request
     * is under way. */
    void (*let_go)(struct vr_aio *aio);
    /* Only when no request is under way. */
    void (*close)(struct vr_aio *aio);
};

extern const struct vr_aio_ops vr_aio_uring, vr_aio_threads;

/** vr_aio_exec() - carry @req out now, but for a first attempt that has failed;
 * fills res, first and way. */
void vr_aio_exec(struct vr_target *t, struct vr_aio_req *req);

/**
 * vr_aio_learn() - what a transfer that is done tells of @t. True when direct
 * I/O is given up for that, on the guest's pages or altogether. For the thread
 * that asks vr_target_direct_ok().
 */
bool vr_aio_learn(struct vr_target *t, const struct vr_aio_req *req);

#endif /* VR_AIO_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* I/O by io_uring, with threads for what that cannot do. For serve.c. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "threads.h"

/*
 * The ring knows its files by index and is restricted, before it is enabled,
 * to the few operations used here on exactly these files: what a system call
 * filter does for system calls.
 */
enum {
    FILE_WAKE = 0, /* VR_AIO_FDS of them */
    FILE_THREADS = VR_AIO_FDS,
    FILE_TARGET,
    FILE_DIRECT,
    NFILES,
};

/* user_data: a request's address, or for a poll the file's index + 1, which
 * is no address; 0: it does not matter. */
#define TAG_LIMIT (FILE_THREADS + 2)
#define POLLS     (FILE_THREADS + 1) /* the first ones */

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 1024u /* beyond that the kernel keeps them (NODROP) */

/* Transfers that one request may become, and bytes of one on average. */
#define PARTS_MAX 16u
#define PART_MEAN 8192u

#define FEATURES                                                               \
    (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL |        \
     IORING_FEAT_RSRC_TAGS) /* the last: 5.13, as is multishot poll */

struct vr_aio {
    struct io_uring ring;
    struct vr_target *target;
    struct vr_threads
        *threads;       /* what io_uring cannot do, and second attempts */
    unsigned int armed; /* polls, a bit each */
    bool quiet;         /* those that end are not armed again */
    unsigned int inflight;
    /* Registered: its pages are pinned once, not for each request. */
    const uint8_t *held;
    size_t held_len;
    bool deferred; /* completions appear only while we are in the kernel */
};

static struct io_uring_sqe *get_sqe(struct vr_aio *aio)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&aio->ring);

    while (!sqe) {
        io_uring_submit(&aio->ring);
        sqe = io_uring_get_sqe(&aio->ring);
    }
    return sqe;
}

static void arm_poll(struct vr_aio *aio, unsigned int file)
{
    struct io_uring_sqe *sqe = get_sqe(aio);

    io_uring_prep_poll_multishot(sqe, file, POLLIN);
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    sqe->user_data = file + 1;
    aio->armed |= 1u << file;
}

static void arm_polls(struct vr_aio *aio, unsigned int files)
{
    unsigned int i;

    for (i = 0; i < POLLS; i++) {
        if (files & 1u << i)
            arm_poll(aio, i);
    }
}

/* By hand: some builds of liburing do not export all of these, and the filter
 * knows them by what they ask for. */
static int ask(const struct vr_aio *aio, unsigned int what, const void *arg,
               unsigned int n)
{
    return syscall(__NR_io_uring_register, aio->ring.ring_fd, what, arg, n)
               ? -errno
               : 0;
}

static int restrict_ring(struct vr_aio *aio)
{
    static const uint8_t ops[] = {
        IORING_OP_READ,   IORING_OP_WRITE,      IORING_OP_READV,
        IORING_OP_WRITEV, IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
        IORING_OP_FSYNC,  IORING_OP_POLL_ADD,   IORING_OP_POLL_REMOVE,
    };
    static const uint8_t asks[] = {IORING_REGISTER_BUFFERS,
                                   IORING_UNREGISTER_BUFFERS};
    struct io_uring_restriction
        res[VR_ARRAY_SIZE(ops) + VR_ARRAY_SIZE(asks) + 1];
    unsigned int i, n = 0;
    int rc;

    memset(res, 0, sizeof(res));
    for (i = 0; i < VR_ARRAY_SIZE(ops); i++, n++) {
        res[n].opcode = IORING_RESTRICTION_SQE_OP;
        res[n].sqe_op = ops[i];
    }
    for (i = 0; i < VR_ARRAY_SIZE(asks); i++, n++) {
        res[n].opcode = IORING_RESTRICTION_REGISTER_OP;
        res[n].register_op = asks[i];
    }
    res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    res[n++].sqe_flags = IOSQE_FIXED_FILE;
    rc = ask(aio, IORING_REGISTER_RESTRICTIONS, res, n);
    return rc ? rc : ask(aio, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Newer kernels do less for a ring that only one thread uses. */
static int setup_ring(struct vr_aio *aio)
{
    static const unsigned int flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, /* 6.1 */
        IORING_SETUP_COOP_TASKRUN,                               /* 5.19 */
        0,
    };
    unsigned int i;
    int r = -EINVAL;

    for (i = 0; i < VR_ARRAY_SIZE(flags) && r == -EINVAL; i++) {
        struct io_uring_params p = {
            .flags = flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
            .cq_entries = CQ_ENTRIES,
        };

        r = io_uring_queue_init_params(SQ_ENTRIES, &aio->ring, &p);
        if (r)
            continue;
        aio->deferred = flags[i] & IORING_SETUP_DEFER_TASKRUN;
        if ((p.features & FEATURES) != FEATURES) {
            io_uring_queue_exit(&aio->ring);
            return -ENOSYS;
        }
    }
    return r;
}

static int uring_open(struct vr_aio **out, const struct vr_aio_cfg *cfg,
                      struct vr_err *err)
{
    struct vr_aio *aio = calloc(1, sizeof(*aio));
    const char *what = "io_uring";
    int files[NFILES];
    unsigned int i, polls = 1u << FILE_THREADS;
    bool ring = false;
    int rc;

    if (!aio)
        return -ENOMEM;
    aio->target = cfg->target;
    rc = setup_ring(aio);
    if (rc)
        goto out;
    ring = true;
    what = "I/O thread";
    rc = vr_threads_new(&aio->threads, cfg->target, 1);
    if (rc)
        goto out;
    what = "io_uring files";
    for (i = 0; i < VR_AIO_FDS; i++) {
        files[FILE_WAKE + i] = cfg->fds[i];
        if (cfg->fds[i] >= 0)
            polls |= 1u << (FILE_WAKE + i);
    }
    files[FILE_THREADS] = vr_threads_fd(aio->threads);
    files[FILE_TARGET] = cfg->target->fd;
    files[FILE_DIRECT] = cfg->target->direct_fd;
    rc = io_uring_register_files(&aio->ring, files, NFILES);
    if (rc)
        goto out;
    what = "io_uring restrictions";
    rc = restrict_ring(aio);
    if (rc)
        goto out;
    arm_polls(aio, polls);
    *out = aio;
    return 0;
out:
    vr_err_set(err, "%s: %s", what, strerror(-rc));
    if (aio->threads)
        vr_threads_free(aio->threads);
    if (ring)
        io_uring_queue_exit(&aio->ring);
    free(aio);
    return rc;
}

static void to_threads(struct vr_aio *aio, struct vr_aio_req *req)
{
    req->next = NULL;
    vr_threads_add(aio->threads, req);
}

static bool held(const struct vr_aio *aio, const struct iovec *iov)
{
    uintptr_t off = (uintptr_t)iov->iov_base - (uintptr_t)aio->held;

    return off < aio->held_len && iov->iov_len <= aio->held_len - off;
}

/* One piece of memory has a form of its own, with pages that are held or not.
 */
static void prep_read(struct vr_aio *aio, struct io_uring_sqe *sqe, int file,
                      const struct iovec *iov, unsigned int niov, uint64_t at)
{
    if (niov != 1)
        io_uring_prep_readv(sqe, file, iov, niov, at);
    else if (held(aio, iov))
        io_uring_prep_read_fixed(sqe, file, iov->iov_base, iov->iov_len, at, 0);
    else
        io_uring_prep_read(sqe, file, iov->iov_base, iov->iov_len, at);
}

static void prep_write(struct vr_aio *aio, struct io_uring_sqe *sqe, int file,
                       const struct iovec *iov, unsigned int niov, uint64_t at)
{
    if (niov != 1)
        io_uring_prep_writev(sqe, file, iov, niov, at);
    else if (held(aio, iov))
        io_uring_prep_write_fixed(sqe, file, iov->iov_base, iov->iov_len, at,
                                  0);
    else
        io_uring_prep_write(sqe, file, iov->iov_base, iov->iov_len, at);
}

static void queue_part(struct vr_aio *aio, struct vr_aio_req *req,
                       const struct iovec *iov, unsigned int niov, uint64_t at)
{
    int file = req->direct ? FILE_DIRECT : FILE_TARGET;
    struct io_uring_sqe *sqe = get_sqe(aio);

    if (req->op == VR_AIO_READ) {
        prep_read(aio, sqe, file, iov, niov, at);
    } else {
        prep_write(aio, sqe, file, iov, niov, at);
        if (req->dsync)
            sqe->rw_flags = RWF_DSYNC;
    }
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    sqe->user_data = (uintptr_t)req;
    req->parts++;
}

/* Only a transfer of one piece of memory uses pages that are held. To look up a
 * page costs the kernel about as much as a transfer of its own. */
static bool in_parts(const struct vr_aio *aio, const struct vr_aio_req *req)
{
    unsigned int i;

    if (req->niov == 1 || req->niov > PARTS_MAX ||
        req->len / req->niov < PART_MEAN)
        return false;
    for (i = 0; i < req->niov; i++) {
        if (!held(aio, &req->iov[i]))
            return false;
    }
    return true;
}

static void queue_transfer(struct vr_aio *aio, struct vr_aio_req *req)
{
    uint64_t at = req->offset;
    unsigned int i;

    req->parts = 0;
    req->moved = 0;
    if (!in_parts(aio, req)) {
        queue_part(aio, req, req->iov, req->niov, at);
        return;
    }
    for (i = 0; i < req->niov; at += req->iov[i++].iov_len)
        queue_part(aio, req, &req->iov[i], 1, at);
}

static void queue_flush(struct vr_aio *aio, struct vr_aio_req *req)
{
    struct io_uring_sqe *sqe = get_sqe(aio);

    io_uring_prep_fsync(sqe, FILE_TARGET, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    sqe->user_data = (uintptr_t)req;
}

static void uring_queue(struct vr_aio *aio, struct vr_aio_req *req)
{
    aio->inflight++;
    req->first = 0;
    switch (req->op) {
    case VR_AIO_READ:
        queue_transfer(aio, req);
        return;
    case VR_AIO_WRITE:
        queue_transfer(aio, req);
        if (!req->direct)
            vr_target_cached(aio->target);
        return;
    case VR_AIO_FLUSH:
        if (!vr_target_lost(aio->target)) {
            queue_flush(aio, req);
            return;
        }
        break;
    default:
        /* Several steps, or an ioctl: not for the ring. */
        break;
    }
    to_threads(aio, req);
}

static void done_with(struct vr_aio *aio, struct vr_aio_req *req, int res,
                      struct vr_aio_req **done)
{
    req->res = res;
    req->next = *done;
    *done = req;
    aio->inflight--;
}

/* One that ended early or failed: aio_exec.c knows what then. */
static void finish_transfer(struct vr_aio *aio, struct vr_aio_req *req, int res,
                            struct vr_aio_req **done)
{
    if (res < 0)
        req->first = res;
    else
        req->moved += (unsigned int)res;
    if (--req->parts)
        return;
    if (req->first || req->moved != req->len) {
        req->first = req->first ? req->first : -EAGAIN;
        to_threads(aio, req);
        return;
    }
    req->way = req->direct ? VR_WAY_DIRECT : VR_WAY_CACHE;
    done_with(aio, req, 0, done);
}

static void finish(struct vr_aio *aio, struct vr_aio_req *req, int res,
                   struct vr_aio_req **done)
{
    if (req->op == VR_AIO_FLUSH)
        done_with(aio, req, vr_target_flushed(aio->target, res), done);
    else
        finish_transfer(aio, req, res, done);
}

static void threads_done(struct vr_aio *aio, struct vr_aio_req **done)
{
    struct vr_aio_req *req = vr_threads_done(aio->threads);

    while (req) {
        struct vr_aio_req *next = req->next;

        req->next = *done;
        *done = req;
        aio->inflight--;
        req = next;
    }
}

/* A poll tells that its file is readable, or ends, or both. */
static unsigned int polled(struct vr_aio *aio, unsigned int file, bool more,
                           struct vr_aio_req **done)
{
    unsigned int ready = 0;

    if (file == FILE_THREADS)
        threads_done(aio, done);
    else
        ready = 1u << (file - FILE_WAKE);
    if (!more) {
        aio->armed &= ~(1u << file);
        if (!aio->quiet)
            arm_poll(aio, file);
    }
    return ready;
}

static unsigned int reap(struct vr_aio *aio, struct vr_aio_req **done)
{
    unsigned int head, n = 0, ready = 0;
    struct io_uring_cqe *cqe;

    io_uring_for_each_cqe(&aio->ring, head, cqe)
    {
        uint64_t data = cqe->user_data;

        n++;
        if (data >= TAG_LIMIT)
            finish(aio, (struct vr_aio_req *)(uintptr_t)data, cqe->res, done);
        else if (data)
            ready |=
                polled(aio, data - 1, cqe->flags & IORING_CQE_F_MORE, done);
    }
    io_uring_cq_advance(&aio->ring, n);
    return ready;
}

static unsigned int uring_run(struct vr_aio *aio, int64_t timeout_ns,
                              struct vr_aio_req **done)
{
    struct __kernel_timespec ts = {timeout_ns / 1000000000,
                                   timeout_ns % 1000000000};
    struct io_uring_cqe *cqe;
    int r = 0;

    *done = NULL;
    if (timeout_ns && !io_uring_cq_ready(&aio->ring))
        r = io_uring_submit_and_wait_timeout(&aio->ring, &cqe, 1,
                                             timeout_ns < 0 ? NULL : &ts, NULL);
    else if (io_uring_sq_ready(&aio->ring) || (aio->inflight && aio->deferred))
        r = io_uring_submit_and_get_events(&aio->ring);
    /* A ring that does not work cannot be repaired: the next process shall
     * try, and goes on with what is in flight. */
    if (r < 0 && r != -ETIME && r != -EINTR && r != -EAGAIN && r != -EBUSY)
        abort();
    return reap(aio, done);
}

static int uring_hold(struct vr_aio *aio, void *va, size_t len)
{
    const struct iovec iov = {va, len};
    int rc = ask(aio, IORING_REGISTER_BUFFERS, &iov, 1);

    if (rc)
        return rc;
    aio->held = va;
    aio->held_len = len;
    return 0;
}

static void remove_polls(struct vr_aio *aio)
{
    unsigned int i;

    for (i = 0; i < POLLS; i++) {
        struct io_uring_sqe *sqe;

        if (!(aio->armed & 1u << i))
            continue;
        sqe = get_sqe(aio);
        io_uring_prep_poll_remove(sqe, i + 1);
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
        sqe->user_data = 0;
    }
}

/* What becomes readable meanwhile is told by the next polls. */
static void end_polls(struct vr_aio *aio)
{
    struct vr_aio_req *none = NULL;
    int r;

    aio->quiet = true;
    while (aio->armed) {
        /* One that is just about to tell something cannot be removed: again. */
        remove_polls(aio);
        r = io_uring_submit_and_wait(&aio->ring, 1);
        if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
            abort();
        reap(aio, &none);
    }
    aio->quiet = false;
}

static void uring_let_go(struct vr_aio *aio)
{
    unsigned int polls = aio->armed;
    int rc;

    aio->held_len = 0;
    /* Up to Linux 6.12 whatever began before the end of a buffer keeps it, and
     * so would the polls for ever. */
    end_polls(aio);
    do {
        rc = ask(aio, IORING_UNREGISTER_BUFFERS, NULL, 0);
    } while (rc == -EINTR);
    /* The guest waits for these pages; they go with the process as well. */
    if (rc)
        abort();
    arm_polls(aio, polls);
}

static void uring_close(struct vr_aio *aio)
{
    io_uring_queue_exit(&aio->ring);
    vr_threads_free(aio->threads);
    free(aio);
}

const struct vr_aio_ops vr_aio_uring = {
    .name = "io_uring",
    .open = uring_open,
    .queue = uring_queue,
    .run = uring_run,
    .hold = uring_hold,
    .let_go = uring_let_go,
    .close = uring_close,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entropy devices, as backend/serve.h has it: writable buffers, which get some
 * bytes of a source of random numbers in this domain (virtio 1.2, 5.4.6).
 *
 * A source may have nothing to give for a while, or fail. The device has no way
 * to say so: a buffer is answered with one byte at the least. So requests wait
 * here until there is something, and the source is asked again now and then.
 * A queue that is to become quiet drops those that wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libs/base/rate.h"
#include "rng.h"

#define NS_PER_MS INT64_C(1000000)

/* At the most for one request, bytes: Linux asks for 64. A slow source is asked
 * for no more at a time than it can be waited for. */
#define REQUEST_MAX 512u
/* Requests between two looks at the descriptors. */
#define ROUND_MAX 16u
/* What one guest takes of a source that others use as well: 1 MiB a second. */
#define PERIOD_NS (NS_PER_MS / 2)
#define BURST     64u
/* A source that has nothing is asked again soon, one that fails later. */
#define EMPTY_NS  (10 * NS_PER_MS)
#define FAILED_NS (1000 * NS_PER_MS)

struct rng_io {
    struct vr_request *r;
    struct rng_io *next;
};

/* ---- the source ---- */

/* Character devices that give random numbers: Linux, Documentation/admin-guide/
 * devices.txt. Any other would be read as well, and be none. */
static bool is_source(const struct stat *st)
{
    static const struct {
        unsigned int major, minor;
    } sources[] = {
        {1, 8},    /* random */
        {1, 9},    /* urandom */
        {10, 183}, /* hwrng */
    };
    unsigned int i;

    for (i = 0; S_ISCHR(st->st_mode) && i < VR_ARRAY_SIZE(sources); i++)
        if (st->st_rdev == makedev(sources[i].major, sources[i].minor))
            return true;
    return false;
}

static int rng_open(void **source, const struct vr_dev_cfg *cfg,
                    const struct vr_io_opts *opts, struct vr_err *err)
{
    struct vr_rng *rng = calloc(1, sizeof(*rng));
    struct stat st;
    int rc;

    (void)opts;
    if (!rng) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    rng->fd = open(cfg->target, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (rng->fd < 0 || fstat(rng->fd, &st)) {
        rc = -errno;
        vr_err_set(err, "target %s: %s", cfg->target, strerror(errno));
        goto out;
    }
    if (!is_source(&st)) {
        vr_err_set(err,
                   "target %s: no source of random numbers; use /dev/urandom "
                   "or /dev/hwrng",
                   cfg->target);
        rc = -EINVAL;
        goto out;
    }
    rng->name = cfg->target;
    *source = rng;
    return 0;
out:
    if (rng->fd >= 0)
        close(rng->fd);
    free(rng);
    return rc;
}

static int rng_begin(struct vr_dev *d, struct vr_err *err)
{
    struct vr_rng *rng = d->source;

    (void)err;
    rng->last = &rng->first;
    vr_ctrl_set_device(d->cfg.page, 0, "", 0);
    return 0;
}

static void rng_show(struct vr_dev *d, char *buf, size_t size)
{
    const struct vr_rng *rng = d->source;

    snprintf(buf, size, "random numbers of %s", rng->name);
}

/* ---- requests ---- */

static uint32_t rng_guess(const struct vr_dev *d, const struct vr_request *r,
                          enum vr_dir *dir)
{
    (void)d;
    *dir = VR_DIR_READ;
    return r->in_len < REQUEST_MAX ? r->in_len : REQUEST_MAX;
}

static void rng_more(struct vr_dev *d, struct vr_request *r)
{
    struct vr_rng *rng = d->source;
    struct rng_io *io = r->io;

    io->r = r;
    io->next = NULL;
    *rng->last = io;
    rng->last = &io->next;
}

static void rng_start(struct vr_dev *d, struct vr_request *r)
{
    /* 5.4.6.1: a buffer has writable bytes, and no others. */
    if (!r->in_len || !vr_request_data(d, r, VR_DIR_READ)) {
        vr_request_answer(d, r, 0, 0, NULL, 0);
        return;
    }
    rng_more(d, r);
}

static void take_first(struct vr_rng *rng)
{
    rng->first = rng->first->next;
    if (!rng->first)
        rng->last = &rng->first;
}

static unsigned int rng_wait(struct vr_dev *d, int64_t timeout_ns)
{
    const struct vr_rng *rng = d->source;
    struct pollfd fds[] = {{.fd = d->cfg.wake_fd, .events = POLLIN},
                           {.fd = d->cfg.stop_fd, .events = POLLIN}};
    struct timespec ts;
    int64_t left;

    if (rng->first) {
        left = vr_clamp(rng->retry - d->now, 0, FAILED_NS);
        if (!vr_request_wanted(d, rng->first->r))
            left = 0;
        if (timeout_ns < 0 || left < timeout_ns)
            timeout_ns = left;
    }
    ts.tv_sec = timeout_ns / (1000 * NS_PER_MS);
    ts.tv_nsec = timeout_ns % (1000 * NS_PER_MS);
    if (ppoll(fds, 2, timeout_ns < 0 ? NULL : &ts, NULL) <= 0)
        return 0;
    return (fds[0].revents ? VR_WAKE_EVENT : 0) |
           (fds[1].revents ? VR_WAKE_STOP : 0);
}

static void source_failed(struct vr_dev *d, int err)
{
    struct vr_rng *rng = d->source;
    char text[120];

    rng->retry = d->now + FAILED_NS;
    vr_counters(d)->read_errors++;
    vr_counters(d)->last_errno = (uint32_t)err;
    if (!vr_log_due(d, &rng->last_log))
        return;
    snprintf(text, sizeof(text), "target: read failed: %s; requests wait",
             strerror(err));
    vr_dev_note(d, text);
    rng->noted = true;
}

/* Bytes for the request that waits first. 0: not now. */
static uint32_t read_source(struct vr_dev *d)
{
    struct vr_rng *rng = d->source;
    const struct iovec *iov = rng->first->r->iov;
    size_t len;
    ssize_t n;

    if (d->now < rng->retry)
        return 0;
    if (!vr_rate_take(&rng->rate, d->now, PERIOD_NS, BURST)) {
        rng->retry = d->now + PERIOD_NS;
        return 0;
    }
    /* There are bytes: one of them has some. */
    while (!iov->iov_len)
        iov++;
    len = iov->iov_len < REQUEST_MAX ? iov->iov_len : REQUEST_MAX;
    n = read(rng->fd, iov->iov_base, len);
    if (n > 0) {
        if (rng->noted)
            vr_dev_note(d, "");
        rng->noted = false;
        return (uint32_t)n;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        source_failed(d, errno);
    else
        rng->retry = d->now + EMPTY_NS;
    return 0;
}

static bool rng_reap(struct vr_dev *d)
{
    struct vr_rng *rng = d->source;
    unsigned int i;
    uint32_t n;

    for (i = 0; rng->first && i < ROUND_MAX; i++) {
        struct vr_request *r = rng->first->r;

        if (!vr_request_wanted(d, r)) {
            take_first(rng);
            vr_request_drop(d, r);
            continue;
        }
        n = read_source(d);
        if (!n)
            break;
        take_first(rng);
        vr_counters(d)->read_bytes += n;
        r->len = r->used_len = n;
        vr_request_done(d, r, 0);
    }
    return i;
}

/* ---- the end ---- */

static void rng_finish(struct vr_dev *d)
{
    (void)d;
}

static void rng_close(struct vr_dev *d)
{
    (void)d;
}

/* What it waits for; its source is read as everything else is. */
static const int calls[] = {SCMP_SYS(ppoll)};

const struct vr_serve vr_serve_rng = {
    .type = VR_TYPE_rng,
    .calls = {calls, VR_ARRAY_SIZE(calls), NULL, 0},
    .io_size = sizeof(struct rng_io),
    .open = rng_open,
    .begin = rng_begin,
    .show = rng_show,
    .guess = rng_guess,
    .start = rng_start,
    .more = rng_more,
    .wait = rng_wait,
    .reap = rng_reap,
    .finish = rng_finish,
    .close = rng_close,
};

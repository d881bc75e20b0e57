/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entropy devices, as backend/serve.h has it: writable buffers, which get some
 * bytes of a source of random numbers in this domain (virtio 1.2, 5.4.6).
 *
 * A source may have nothing to give for a while, or fail. The device has no way
 * to say so: a buffer is answered with one byte at the least. So requests wait
 * here until a thread (reader.c) has read something, and a source that fails is
 * asked again now and then. A queue that is to become quiet drops those that
 * wait; what is read then is for a later one.
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

/* Reads of up to VR_RNG_MAX bytes. What one guest takes of a source that others
 * use as well: 1 MiB a second. */
#define PERIOD_NS (NS_PER_MS / 2)
#define BURST     64u
/* A source that has failed is asked again then. */
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
    rng->fd = open(cfg->target, O_RDONLY | O_NOCTTY | O_CLOEXEC);
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
    int rc = vr_rng_reader_start(rng);

    if (rc) {
        vr_err_set(err, "target %s: no thread to read it: %s", rng->name,
                   strerror(-rc));
        return rc;
    }
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
    return r->in_len < VR_RNG_MAX ? r->in_len : VR_RNG_MAX;
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

/* Has the source read for the requests that wait, if it may be. */
static void ask_source(struct vr_dev *d)
{
    struct vr_rng *rng = d->source;
    const struct rng_io *io;
    uint32_t want = 0;

    if (rng->asked || d->now < rng->retry)
        return;
    if (!vr_rate_take(&rng->rate, d->now, PERIOD_NS, BURST)) {
        rng->retry = d->now + PERIOD_NS;
        return;
    }
    for (io = rng->first; io && want < VR_RNG_MAX; io = io->next)
        want += vr_clamp(io->r->len, 1, VR_RNG_MAX - want);
    vr_rng_reader_ask(rng, want);
}

/* How long until the requests here have to be seen to; -1: something else will
 * tell. */
static int64_t due_in(const struct vr_dev *d)
{
    const struct vr_rng *rng = d->source;

    if (!rng->first)
        return -1;
    if (rng->at < rng->end || !vr_request_wanted(d, rng->first->r))
        return 0;
    return rng->asked ? -1 : vr_clamp(rng->retry - d->now, 0, FAILED_NS);
}

static unsigned int rng_wait(struct vr_dev *d, int64_t timeout_ns)
{
    struct vr_rng *rng = d->source;
    struct pollfd fds[] = {{.fd = d->cfg.wake_fd, .events = POLLIN},
                           {.fd = d->cfg.stop_fd, .events = POLLIN},
                           {.fd = rng->done, .events = POLLIN}};
    struct timespec ts;
    int64_t due;

    if (rng->first && rng->at == rng->end)
        ask_source(d);
    due = due_in(d);
    if (due >= 0 && (timeout_ns < 0 || due < timeout_ns))
        timeout_ns = due;
    ts.tv_sec = timeout_ns / (1000 * NS_PER_MS);
    ts.tv_nsec = timeout_ns % (1000 * NS_PER_MS);
    if (ppoll(fds, VR_ARRAY_SIZE(fds), timeout_ns < 0 ? NULL : &ts, NULL) <= 0)
        return 0;
    rng->ended = fds[2].revents;
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

/* A read has ended. */
static void take_bytes(struct vr_dev *d)
{
    struct vr_rng *rng = d->source;
    int n = vr_rng_reader_take(rng);

    rng->ended = false;
    if (n <= 0) {
        source_failed(d, n ? -n : ENODATA);
        return;
    }
    rng->at = 0;
    rng->end = (uint32_t)n;
    if (rng->noted)
        vr_dev_note(d, "");
    rng->noted = false;
}

/* Gives the request its bytes, which nobody gets again. */
static void give(struct vr_dev *d, struct vr_request *r)
{
    struct vr_rng *rng = d->source;
    uint32_t n = rng->end - rng->at;

    if (n > r->len)
        n = r->len;
    vr_chain_put(r->iov, rng->bytes + rng->at, n);
    memset(rng->bytes + rng->at, 0, n);
    rng->at += n;
    vr_counters(d)->read_bytes += n;
    r->len = r->used_len = n;
    vr_request_done(d, r, 0);
}

static bool rng_reap(struct vr_dev *d)
{
    struct vr_rng *rng = d->source;
    bool any = false;

    if (rng->ended)
        take_bytes(d);
    while (rng->first) {
        struct vr_request *r = rng->first->r;
        bool wanted = vr_request_wanted(d, r);

        if (wanted && rng->at == rng->end)
            break;
        take_first(rng);
        any = true;
        if (wanted)
            give(d, r);
        else
            vr_request_drop(d, r);
    }
    return any;
}

/* ---- the end ---- */

static void rng_finish(struct vr_dev *d)
{
    (void)d;
}

static void rng_close(struct vr_dev *d)
{
    vr_rng_reader_stop(d->source);
}

/* To wait. The thread that reads the source has read(), as all workers have. */
static const int calls[] = {SCMP_SYS(ppoll)};

const struct vr_serve vr_serve_rng = {
    .type = VR_TYPE_rng,
    .calls = {.call = calls, .calls = VR_ARRAY_SIZE(calls)},
    .waits = true,
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices_int.h"

/* When the device needs a deed of ours; INT64_MAX: when it is told to. */
static int64_t next_deed(const struct device *d)
{
    switch (d->state) {
    case DEV_IDLE:
    case DEV_STOPPING:
    case DEV_LEAVING:
        return d->when;
    case DEV_RUNNING:
        return d->stable || d->late ? INT64_MAX : d->when;
    case DEV_FAILED:
        break;
    }
    return INT64_MAX;
}

/* A worker that hangs at its start is not to be killed: it may come. */
static void late(struct devices *ds, struct device *d)
{
    char why[VR_WORKER_MSG_MAX];

    d->late = true;
    snprintf(why, sizeof(why),
             "worker %d is not ready after %d s: does target %.200s hang?",
             d->pid, (int)(ds->now - d->started) / 1000, d->dev.cfg.target);
    vr_log(d->guest, d->id, "%s", why);
    devices_say_why(ds, d, why);
}

/*
 * The domain is shut down, which its guests may be as well, a little later:
 * they still have data to write. While they do, they are served; new ones are
 * not.
 */
void devices_leave(struct devices *ds, bool now)
{
    if (now || !ds->opts->wait) {
        ds->quit = true;
    } else if (!ds->leaving) {
        ds->leaving = true;
        ds->leave_at = ds->now + ds->opts->wait;
        if (ds->list)
            vr_log(0, NULL,
                   "to end: waiting for the guests of %u devices to end, at "
                   "most %u s (SIGINT: at once)",
                   ds->count, ds->opts->wait / 1000);
    }
}

/* Is there nobody to wait for, or no time? */
static bool left(const struct devices *ds)
{
    const struct device *d;

    for (d = ds->list; d && ds->now < ds->leave_at; d = d->next) {
        if (d->pid || (d->present && d->state != DEV_FAILED))
            return false;
    }
    if (d)
        vr_log(0, NULL, "guests have not ended: not waiting any longer");
    return true;
}

/* Does what is due; forgets who is gone. Returns the time to the next deed. */
static int due(struct devices *ds)
{
    struct device **p = &ds->list, *d;
    int64_t next = INT64_MAX;

    while ((d = *p)) {
        if (d->state == DEV_STOPPING && ds->now >= d->when) {
            vr_log(d->guest, d->id, "worker %d does not end; killed", d->pid);
            kill(d->pid, SIGKILL);
            d->when = ds->now + STOP_LIMIT;
        }
        if (d->state == DEV_LEAVING && ds->now >= d->when) {
            vr_log(d->guest, d->id,
                   "worker %d is gone, but its I/O is not; waiting for that",
                   d->last_pid);
            d->when = INT64_MAX;
        }
        if (!d->pid && (!d->present || ds->quit)) {
            *p = d->next;
            if (d->sock >= 0)
                close(d->sock);
            free(d);
            ds->count--;
            continue;
        }
        if (d->state == DEV_IDLE && !d->dev.pool.size && !d->dev.iova.size)
            d->state = DEV_FAILED; /* its nodes said nothing usable */
        if (d->state == DEV_IDLE && ds->now >= d->when)
            devices_worker_start(ds, d);
        if (d->state == DEV_RUNNING && ds->now >= next_deed(d))
            late(ds, d);
        if (next_deed(d) < next)
            next = next_deed(d);
        p = &d->next;
    }
    /* What failed is not left until the next look by the clock. */
    if (ds->unread && ds->look_at > in(ds, AGAIN_STEP))
        ds->look_at = in(ds, AGAIN_STEP);
    if (!ds->quit && ds->look_at < next)
        next = ds->look_at;
    /* Events that came during the last look. */
    if (!ds->quit && !ds->unread && (ds->root || ds->ntold))
        next = ds->now;
    if (!ds->quit && ds->leaving && ds->leave_at < next)
        next = ds->leave_at;
    if (next == INT64_MAX)
        return -1;
    return next > ds->now ? (int)(next - ds->now) : 0;
}

static void wait_for_work(struct devices *ds, int timeout)
{
    struct pollfd pfd[2 + MAX_DEVICES];
    struct device *owner[2 + MAX_DEVICES], *d;
    unsigned int n = 2, i;
    bool clock;

    pfd[0].fd = ds->sigfd;
    pfd[1].fd = xs_fileno(ds->xs);
    for (d = ds->list; d; d = d->next) {
        if (d->sock < 0)
            continue;
        pfd[n].fd = d->sock;
        owner[n++] = d;
    }
    for (i = 0; i < n; i++) {
        pfd[i].events = POLLIN;
        pfd[i].revents = 0;
    }
    if (poll(pfd, n, timeout) < 0)
        return;
    ds->now = vr_now_ms();
    for (i = 2; i < n; i++) {
        if (pfd[i].revents)
            devices_worker_message(ds, owner[i]);
    }
    if (pfd[0].revents)
        devices_worker_reap(ds);
    if (pfd[1].revents)
        devices_store_events(ds);
    clock = ds->now >= ds->look_at;
    if (!ds->quit && (clock || ds->root || ds->ntold))
        devices_store_look(ds, clock);
}

int vr_devices_serve(const struct vr_worker_opts *opts, struct vr_err *err)
{
    struct devices ds = {.opts = opts, .sigfd = -1};
    sigset_t set, before;
    struct device *d;
    int rc = 0, wait = 0;

    /* A worker that dies leaves its granter to us. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* Before libxenstore starts its thread, which inherits this. */
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, &before);
    ds.sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (ds.sigfd < 0) {
        rc = -errno;
        vr_err_set(err, "signalfd: %s", strerror(errno));
        goto out;
    }
    ds.xs = xs_open(0);
    if (!ds.xs || !xs_watch(ds.xs, ROOT, "devices")) {
        rc = -errno;
        vr_err_set(err,
                   "xenstore cannot be reached: %s (is this a Xen "
                   "domain? /dev/xen/xenbus and its owner?)",
                   strerror(errno));
        goto out;
    }
    vr_log(0, NULL, "watching %s", ROOT);
    ds.now = vr_now_ms();
    ds.look_at = in(&ds, LOOK_STEP);
    while (!ds.quit || ds.list) {
        if (ds.leaving && !ds.quit)
            ds.quit = left(&ds);
        if (ds.quit) {
            for (d = ds.list; d; d = d->next)
                devices_worker_stop(&ds, d);
        }
        wait = due(&ds);
        if (!ds.quit || ds.list)
            wait_for_work(&ds, wait);
    }
out:
    if (ds.xs)
        xs_close(ds.xs);
    if (ds.sigfd >= 0)
        close(ds.sigfd);
    /* Who waits for xenstore can be told to stop. */
    if (rc)
        sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's main process: a loop over all devices, what is due for each by
 * the clock, and the end. Called by main.c; libxenstore's thread aside it has
 * one thread, and all privileges that vr-backend was given.
 */
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

/* A worker that hangs at its start is not killed: it may come up still. */
static void late(struct devices *ds, struct device *d)
{
    char why[VR_WORKER_MSG_MAX], about[VR_ABOUT_LEN];

    d->late = true;
    snprintf(why, sizeof(why),
             "worker %d is not ready after %d s: does %s hang?", d->pid,
             (int)(ds->now - d->started) / 1000,
             vr_type_about(&d->dev.cfg, about));
    vr_log(d->guest, d->id, "%s", why);
    devices_say_why(ds, d, why);
}

/* It has been told to end long ago. */
static void end_it(struct devices *ds, struct device *d)
{
    vr_log(d->guest, d->id, "worker %d does not end; killed", d->pid);
    kill(d->pid, SIGKILL);
    d->when = ds->now + STOP_LIMIT;
}

static void say_io_left(struct devices *ds, struct device *d)
{
    (void)ds;
    vr_log(d->guest, d->id,
           "worker %d is gone, but its I/O is not; waiting for that",
           d->last_pid);
    d->when = INT64_MAX;
}

/* What is done at a device's time. */
static void (*const act[])(struct devices *ds, struct device *d) = {
    [DEV_IDLE] = devices_worker_start,
    [DEV_RUNNING] = late,
    [DEV_STOPPING] = end_it,
    [DEV_LEAVING] = say_io_left,
    [DEV_FAILED] = NULL,
};

/* Its time; INT64_MAX: only an event brings it further. */
static int64_t time_of(const struct device *d)
{
    if (!act[d->state] || (d->state == DEV_RUNNING && (d->stable || d->late)))
        return INT64_MAX;
    return d->when;
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

/* A device that is over: no process, and nobody who wants one. */
static bool over(const struct devices *ds, const struct device *d)
{
    return !d->pid && (!d->present || ds->quit);
}

static void forget(struct devices *ds, struct device **p)
{
    struct device *d = *p;

    *p = d->next;
    if (d->sock >= 0)
        close(d->sock);
    free(d);
    ds->count--;
}

/* Does what is due for the devices. Returns the next time of one. */
static int64_t serve_devices(struct devices *ds)
{
    struct device **p = &ds->list, *d;
    int64_t next = INT64_MAX;

    while ((d = *p)) {
        if (over(ds, d)) {
            forget(ds, p);
            continue;
        }
        if (d->state == DEV_IDLE && !d->dev.pool.size && !d->dev.iova.size)
            d->state = DEV_FAILED; /* its nodes said nothing usable */
        if (ds->now >= time_of(d))
            act[d->state](ds, d);
        if (time_of(d) < next)
            next = time_of(d);
        p = &d->next;
    }
    return next;
}

/* When to look at xenstore, or to leave. */
static int64_t next_look(struct devices *ds)
{
    if (ds->quit)
        return INT64_MAX;
    /* Events that came during the last look. */
    if (!ds->unread && (ds->root || ds->ntold))
        return ds->now;
    /* What failed is not left until the next look by the clock. */
    if (ds->unread && ds->look_at > in(ds, AGAIN_STEP))
        ds->look_at = in(ds, AGAIN_STEP);
    return ds->leaving && ds->leave_at < ds->look_at ? ds->leave_at
                                                     : ds->look_at;
}

/* Does what is due. Returns the time to the next, in milliseconds, or -1. */
static int due(struct devices *ds)
{
    int64_t next = serve_devices(ds), look = next_look(ds);

    if (look < next)
        next = look;
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

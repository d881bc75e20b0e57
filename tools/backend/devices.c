/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

#include "devices.h"

#define ROOT "backend/" VR_NAME /* relative: of the domain we run in */

#define MAX_DEVICES 256

/* All times in milliseconds. */
#define BACKOFF_MIN 100
#define BACKOFF_MAX 10000
#define STABLE      60000 /* a worker that lived so long starts afresh */
#define MAX_STARTS  5     /* deaths before it ever connected */
#define WAIT_STEP   250   /* a target that is not there: look again ... */
#define WAIT_LIMIT  15000 /* ... for so long */
#define STOP_LIMIT  10000 /* to finish what is under way */
#define LEAVE_LIMIT 2000  /* I/O of a dead worker: longer is worth a line */
#define HELLO_LIMIT 10000 /* a start that takes longer is, too */
#define LOOK_STEP   5000  /* between two looks for what no event told of */
#define AGAIN_STEP  1000  /* after one that failed */
#define LOOK_TRIES  3     /* so many that fail: a new connection */

enum dev_state {
    DEV_IDLE, /* to be started at @when */
    DEV_RUNNING,
    DEV_STOPPING, /* told to end; killed at @when */
    DEV_LEAVING,  /* the process is gone, the kernel still does its I/O;
                   * said aloud at @when */
    DEV_FAILED,   /* until its nodes change */
};

struct device {
    struct device *next;
    struct vr_xs_dev dev;
    uint32_t guest; /* and id: as in the path */
    char id[VR_ID_LEN + 1];
    enum dev_state state;
    bool present; /* its nodes exist */
    bool was_present;
    bool connected; /* once, at least */
    bool stable;    /* this worker connected */
    bool killed;    /* this worker was, because the toolstack wants it gone */
    bool late;      /* that this worker does not come up was said */
    bool unsaid;    /* @said and @error are still to be written */
    bool kills_known;
    uint64_t kills; /* the node `kill`, as last seen */
    pid_t pid;
    int sock;
    pid_t last_pid; /* of DEV_LEAVING, and how it ended */
    int last_status;
    char report; /* VR_WORKER_WAIT, VR_WORKER_FAILED: the worker's last word */
    char why[VR_WORKER_MSG_MAX];
    enum vr_xbstate said; /* VR_XB_UNKNOWN: nothing yet */
    char error[VR_WORKER_MSG_MAX];
    int64_t when, started, waiting_since;
    unsigned int backoff, starts;
};

struct devices {
    const struct vr_worker_opts *opts;
    struct xs_handle *xs;
    int sigfd;
    struct device *list;
    unsigned int count;
    bool quit;
    bool unread;        /* a node could not be read this time */
    int64_t look_at;    /* when to look without an event */
    unsigned int fails; /* looks in a row that failed */
    int64_t now;
};

/* The time in @ms milliseconds, or sooner for those in haste. */
static int64_t in(const struct devices *ds, int ms)
{
    return ds->now + ms / ds->opts->haste;
}

static void node_path(const struct device *d, const char *leaf, char *buf)
{
    snprintf(buf, VR_XS_PATH, ROOT "/%u/%s/%s", d->guest, d->id, leaf);
}

/* Is it that there is no such node, or none for us? Anything else says nothing
 * about the node, and may be over at the next try. */
static bool store_refused(int error)
{
    return error == ENOENT || error == EACCES;
}

static bool write_node(struct devices *ds, const struct device *d,
                       const char *leaf, const char *value)
{
    char path[VR_XS_PATH];

    node_path(d, leaf, path);
    /* Nodes that were withdrawn meanwhile cannot be made anew by us, which is
     * right. */
    return xs_write(ds->xs, XBT_NULL, path, value, strlen(value)) ||
           store_refused(errno);
}

static void write_said(struct devices *ds, struct device *d)
{
    char value[16];

    snprintf(value, sizeof(value), "%d", d->said);
    d->unsaid = !write_node(ds, d, "error", d->error);
    if (!d->unsaid && d->said != VR_XB_UNKNOWN)
        d->unsaid = !write_node(ds, d, "state", value);
    ds->unread |= d->unsaid;
}

/* What the toolstack sees of us. */
static void say(struct devices *ds, struct device *d, enum vr_xbstate state,
                const char *error)
{
    d->said = state;
    snprintf(d->error, sizeof(d->error), "%s", error);
    if (d->present)
        write_said(ds, d);
}

/* Why it takes so long: for the toolstack's message, should it give up. */
static void say_why(struct devices *ds, struct device *d, const char *error)
{
    say(ds, d, d->said, error);
}

static void fail(struct devices *ds, struct device *d, const char *why)
{
    vr_log(d->guest, d->id, "%s", why);
    d->state = DEV_FAILED;
    say(ds, d, VR_XB_CLOSED, why);
}

/* ---- workers ---- */

static void start(struct devices *ds, struct device *d)
{
    struct device *o;
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        fail(ds, d, "cannot make a socket pair");
        return;
    }
    pid = fork();
    if (pid < 0) {
        close(pair[0]);
        close(pair[1]);
        fail(ds, d, "cannot start a process for the device");
        return;
    }
    if (!pid) {
        /* Another worker must see its socket close when the parent's end
         * does: no copy of it may live here. */
        for (o = ds->list; o; o = o->next) {
            if (o->sock >= 0)
                close(o->sock);
        }
        close(pair[0]);
        close(ds->sigfd);
        xs_daemon_destroy_postfork(ds->xs);
        vr_worker_main(&d->dev, pair[1], ds->opts);
    }
    close(pair[1]);
    d->sock = pair[0];
    d->pid = pid;
    d->state = DEV_RUNNING;
    d->stable = d->killed = d->late = false;
    d->report = 0;
    d->started = ds->now;
    d->when = in(ds, HELLO_LIMIT);
    d->starts++;
}

static void stop(struct devices *ds, struct device *d)
{
    if (d->state != DEV_RUNNING)
        return;
    /* That is the order to end. */
    close(d->sock);
    d->sock = -1;
    d->state = DEV_STOPPING;
    d->when = ds->now + STOP_LIMIT;
}

/* The toolstack wants this worker dead, for what it holds; the device is to
 * go on. */
static void kill_worker(struct devices *ds, struct device *d)
{
    if (d->state != DEV_RUNNING && d->state != DEV_STOPPING)
        return;
    kill(d->pid, SIGKILL);
    vr_log(d->guest, d->id, "worker %d killed: the toolstack asks for it",
           d->pid);
    d->killed = true;
    /* Should it not die (the kernel hangs), that is said again. */
    if (d->state == DEV_STOPPING)
        d->when = ds->now + STOP_LIMIT;
}

static void died(struct devices *ds, struct device *d);

/* Takes one message. Returns false when there is none, for now or for good. */
static bool message(struct devices *ds, struct device *d)
{
    char msg[VR_WORKER_MSG_MAX + 1];
    ssize_t n = recv(d->sock, msg, sizeof(msg) - 1, MSG_DONTWAIT);

    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        /* It is about to die; the signal says how. Or it died long ago. */
        close(d->sock);
        d->sock = -1;
        if (d->state == DEV_LEAVING)
            died(ds, d);
        return false;
    }
    msg[n] = '\0';
    if (msg[0] == VR_WORKER_CONNECTED) {
        d->connected = d->stable = true;
        d->starts = 0;
        d->waiting_since = 0;
        vr_log(d->guest, d->id, "%s", msg + 1);
        say(ds, d, VR_XB_CONNECTED, "");
        return true;
    }
    d->report = msg[0];
    snprintf(d->why, sizeof(d->why), "%s", msg + 1);
    return true;
}

/* The worker ended by itself, and all that it had under way as well. */
static void died(struct devices *ds, struct device *d)
{
    char why[VR_WORKER_MSG_MAX];
    int status = d->last_status;

    if (d->report == VR_WORKER_FAILED && !d->killed) {
        fail(ds, d, d->why);
        return;
    }
    d->state = DEV_IDLE;
    if (d->killed) {
        d->starts = 0;
        d->when = ds->now;
        if (d->connected)
            say(ds, d, VR_XB_CONNECTED, "worker killed by the toolstack");
        return;
    }
    if (d->report == VR_WORKER_WAIT) {
        if (!d->waiting_since) {
            d->waiting_since = ds->now;
            vr_log(d->guest, d->id, "%s; waiting for it", d->why);
            say_why(ds, d, d->why);
        }
        d->starts = 0;
        d->when = ds->now + WAIT_STEP;
        if (ds->now - d->waiting_since > WAIT_LIMIT)
            fail(ds, d, d->why);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "worker %d was killed by signal %d%s",
                 d->last_pid, WTERMSIG(status),
                 WTERMSIG(status) == SIGSYS
                     ? " (a system call that its filter forbids)"
                     : "");
    else
        snprintf(why, sizeof(why), "worker %d ended with code %d", d->last_pid,
                 WEXITSTATUS(status));
    if (!d->connected && d->starts >= MAX_STARTS) {
        fail(ds, d, why);
        return;
    }
    if (d->stable && ds->now - d->started > STABLE)
        d->backoff = 0;
    d->backoff = d->backoff ? d->backoff * 2 : BACKOFF_MIN;
    if (d->backoff > BACKOFF_MAX)
        d->backoff = BACKOFF_MAX;
    d->when = ds->now + d->backoff;
    vr_log(d->guest, d->id, "%s; a new one starts in %u ms", why, d->backoff);
    if (d->connected)
        say(ds, d, VR_XB_CONNECTED, why);
}

static void reap(struct devices *ds)
{
    struct signalfd_siginfo si;
    struct device *d;
    int status;
    pid_t pid;

    while (read(ds->sigfd, &si, sizeof(si)) == sizeof(si)) {
        if (si.ssi_signo != SIGCHLD)
            ds->quit = true;
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (d = ds->list; d && d->pid != pid; d = d->next)
            ;
        if (!d)
            continue;
        /* Its last words may still be in the socket. */
        while (d->sock >= 0 && message(ds, d))
            ;
        d->pid = 0;
        if (d->state == DEV_STOPPING) {
            d->state = DEV_IDLE;
            d->when = ds->now;
            d->backoff = d->starts = 0;
            vr_log(d->guest, d->id, "closed");
            continue;
        }
        d->last_pid = pid;
        d->last_status = status;
        if (d->sock < 0) {
            died(ds, d);
            continue;
        }
        /* The kernel may still be at work on the dead worker's requests. Until
         * the last one is done, its io_uring keeps the worker's end of the
         * socket open, and a new worker must neither execute them again nor
         * declare the queues quiet. So wait for the socket to end. */
        d->state = DEV_LEAVING;
        d->when = ds->now + LEAVE_LIMIT;
    }
}

/* ---- xenstore ---- */

struct node_ctx {
    struct devices *ds;
    struct device *d;
    bool unread; /* a node could not be, for now */
};

static char *read_node(void *ctx, const char *key, size_t *len)
{
    struct node_ctx *n = ctx;
    char path[VR_XS_PATH];
    unsigned int l = 0;
    char *value;

    node_path(n->d, key, path);
    value = xs_read(n->ds->xs, XBT_NULL, path, &l);
    if (!value && !store_refused(errno))
        n->unread = n->ds->unread = true;
    *len = l;
    return value;
}

/* Kills the worker if the counter has changed. The first value seen is only
 * remembered: it was meant for a worker of an earlier main process. */
static void check_kill(struct devices *ds, struct device *d)
{
    struct node_ctx ctx = {.ds = ds, .d = d};
    uint64_t kills;
    size_t len;
    char *value = read_node(&ctx, VR_XS_KILL, &len);
    int rc = value ? vr_parse_u64(value, UINT64_MAX, &kills) : -ENOENT;

    free(value);
    if (ctx.unread)
        return;
    if (rc)
        kills = d->kills;
    if (d->kills_known && kills != d->kills)
        kill_worker(ds, d);
    d->kills_known = true;
    d->kills = kills;
}

static bool same_window(const struct vr_gwin *a, const struct vr_gwin *b)
{
    return a->base == b->base && a->size == b->size &&
           a->gref_base == b->gref_base;
}

static bool same(const struct vr_xs_dev *a, const struct vr_xs_dev *b)
{
    return a->guest == b->guest && same_window(&a->pool, &b->pool) &&
           same_window(&a->iova, &b->iova) && a->ctrl_domid == b->ctrl_domid &&
           a->ctrl_gref == b->ctrl_gref && a->ctrl_port == b->ctrl_port &&
           !strcmp(a->cfg.target, b->cfg.target) &&
           a->cfg.readonly == b->cfg.readonly && a->cfg.mode == b->cfg.mode &&
           a->cfg.map_threshold == b->cfg.map_threshold;
}

static struct device *known(const struct devices *ds, uint32_t guest,
                            const char *id)
{
    struct device *d;

    for (d = ds->list; d; d = d->next) {
        if (d->guest == guest && !strcmp(d->id, id))
            return d;
    }
    return NULL;
}

static struct device *find(struct devices *ds, uint32_t guest, const char *id)
{
    struct device *d = known(ds, guest, id);

    if (d)
        return d;
    if (ds->count >= MAX_DEVICES)
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->guest = guest;
    d->sock = -1;
    snprintf(d->id, sizeof(d->id), "%s", id);
    d->next = ds->list;
    ds->list = d;
    ds->count++;
    return d;
}

/* Not even a slot for it: the toolstack is not to wait in vain. */
static void refuse(struct devices *ds, uint32_t guest, const char *id)
{
    struct device d = {.guest = guest, .present = true};

    snprintf(d.id, sizeof(d.id), "%s", id);
    say(ds, &d, VR_XB_CLOSED,
        "the backend serves as many devices as it can: use another driver "
        "domain");
}

static void look_at(struct devices *ds, uint32_t guest, const char *id)
{
    struct node_ctx ctx = {.ds = ds};
    struct vr_xs_dev dev;
    struct vr_err err = {""};
    struct device *d;
    bool changed;
    int rc;

    if (!vr_id_valid(id))
        return;
    d = find(ds, guest, id);
    if (!d) {
        refuse(ds, guest, id);
        return;
    }
    d->present = true;
    check_kill(ds, d);
    ctx.d = d;
    memset(&dev, 0, sizeof(dev));
    rc = vr_xs_dev_parse(&dev, id, read_node, &ctx, &err);
    if (ctx.unread)
        return; /* it stays what it is */
    if (!rc && dev.guest != guest) {
        rc = -EINVAL;
        vr_err_set(&err, "xenstore: frontend-id: %u: the path says %u",
                   dev.guest, guest);
    }
    if (rc) {
        if (d->state == DEV_RUNNING)
            stop(ds, d);
        else if (d->state == DEV_IDLE)
            fail(ds, d, err.text);
        memset(&d->dev, 0, sizeof(d->dev));
        return;
    }
    changed = !same(&dev, &d->dev);
    if (!changed)
        return;
    if (d->state == DEV_RUNNING)
        stop(ds, d);
    d->dev = dev;
    d->connected = false;
    d->said = VR_XB_UNKNOWN;
    if (d->state == DEV_FAILED)
        d->state = DEV_IDLE;
    if (d->state == DEV_IDLE)
        d->when = ds->now;
}

/* Its nodes cannot be read now: that does not take a device away. */
static void keep_guest(struct devices *ds, uint32_t guest)
{
    struct device *d;

    for (d = ds->list; d; d = d->next) {
        if (d->guest == guest)
            d->present = true;
    }
}

/* A device that is known and was there the last time is told of by events. */
static void glance_at(struct devices *ds, uint32_t guest, const char *id)
{
    struct device *d = known(ds, guest, id);

    if (!d || !d->was_present) {
        look_at(ds, guest, id);
        return;
    }
    d->present = true;
    check_kill(ds, d);
}

/* False: nothing is known of the devices now. */
static bool look_around(struct devices *ds, bool closely)
{
    unsigned int ng = 0, ni, i, k;
    struct device *d;
    char **guests;

    guests = xs_directory(ds->xs, XBT_NULL, ROOT, &ng);
    if (!guests && errno != ENOENT)
        return false; /* an unreadable store says nothing about devices */
    for (d = ds->list; d; d = d->next) {
        d->was_present = d->present;
        d->present = false;
    }
    for (i = 0; i < ng; i++) {
        char path[VR_XS_PATH];
        uint64_t guest;
        char **ids;

        if (vr_parse_u64(guests[i], VR_DOMID_NONE, &guest))
            continue;
        snprintf(path, sizeof(path), ROOT "/%u", (uint32_t)guest);
        ni = 0;
        ids = xs_directory(ds->xs, XBT_NULL, path, &ni);
        if (!ids && errno != ENOENT) {
            ds->unread |= errno != EACCES;
            keep_guest(ds, guest);
        }
        for (k = 0; k < ni; k++) {
            if (closely)
                look_at(ds, guest, ids[k]);
            else
                glance_at(ds, guest, ids[k]);
        }
        free(ids);
    }
    free(guests);
    return true;
}

/* libxenstore gives a connection up for good at its first error, and says so
 * only to who asks for something. */
static void connect_anew(struct devices *ds)
{
    struct xs_handle *xs = xs_open(0);

    if (!xs)
        return;
    if (!xs_watch(xs, ROOT, "devices")) {
        xs_close(xs);
        return;
    }
    xs_close(ds->xs);
    ds->xs = xs;
    vr_log(0, NULL, "xenstore: connected anew");
}

/*
 * Looks at all there is, which is not much; at each device's nodes when
 * @closely. Events alone would do if none were ever lost: but xenstored drops
 * those that a domain has not taken for 20 s, and what could not be read, or
 * written, when an event came has to be tried again.
 */
static void scan(struct devices *ds, bool closely)
{
    struct device *d;

    closely |= ds->unread;
    ds->unread = false;
    if (look_around(ds, closely)) {
        for (d = ds->list; d; d = d->next) {
            if (!d->present)
                stop(ds, d);
            else if (d->unsaid)
                write_said(ds, d);
        }
    } else {
        ds->unread = true;
    }
    ds->fails = ds->unread ? ds->fails + 1 : 0;
    if (ds->fails >= LOOK_TRIES) {
        ds->fails = 0;
        connect_anew(ds);
    }
    ds->look_at = in(ds, ds->unread ? AGAIN_STEP : LOOK_STEP);
}

/*
 * A watch fired. A device's folder comes and goes in one transaction, whole;
 * what changes in it later is our own answer, or `kill`. So only what happens
 * to a folder needs a look at all of it (true), and a new device is read once,
 * not once for each of its nodes.
 */
static bool event(struct devices *ds, const char *path)
{
    char id[VR_ID_LEN + 1], leaf[8];
    const char *p = strstr(path, ROOT "/");
    struct device *d;
    unsigned int guest;

    if (!p ||
        sscanf(p + strlen(ROOT), "/%u/%31[^/]/%7[^/]", &guest, id, leaf) != 3)
        return true;
    d = strcmp(leaf, VR_XS_KILL) ? NULL : known(ds, guest, id);
    if (d)
        check_kill(ds, d);
    return false;
}

/* ---- the loop ---- */

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
    say_why(ds, d, why);
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
            start(ds, d);
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
    if (next == INT64_MAX)
        return -1;
    return next > ds->now ? (int)(next - ds->now) : 0;
}

static void wait_for_work(struct devices *ds, int timeout)
{
    struct pollfd pfd[2 + MAX_DEVICES];
    struct device *owner[2 + MAX_DEVICES], *d;
    unsigned int n = 2, i;
    bool changed = false;

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
            message(ds, owner[i]);
    }
    if (pfd[0].revents)
        reap(ds);
    if (pfd[1].revents) {
        char **ev;

        while ((ev = xs_check_watch(ds->xs))) {
            changed |= event(ds, ev[XS_WATCH_PATH]);
            free(ev);
        }
    }
    if (!ds->quit && (changed || ds->now >= ds->look_at))
        scan(ds, changed);
}

int vr_devices_serve(const struct vr_worker_opts *opts, struct vr_err *err)
{
    struct devices ds = {.opts = opts, .sigfd = -1};
    sigset_t set, before;
    struct device *d;
    int rc = 0, wait = 0;

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
        if (ds.quit) {
            for (d = ds.list; d; d = d->next)
                stop(&ds, d);
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

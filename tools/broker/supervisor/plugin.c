/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plug-in says, from 'P' to 'C' (see supervisor.c): the guest's
 * devices are prepared, started, and let run. The loop calls this when there is
 * a message, or the plug-in is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libs/proto/link.h"
#include "supervisor.h"

/* The old one stays when the new one cannot be had. */
static int load_record(struct super *s, struct vr_err *err)
{
    static struct vr_record fresh;
    int rc = vr_record_load(s->uuid, &fresh, err);

    if (rc)
        return rc;
    if (strcmp(fresh.uuid, s->uuid)) {
        vr_err_set(err, "broker: the record of %s is about another guest",
                   s->uuid);
        return -EINVAL;
    }
    s->rec = fresh;
    return 0;
}

static void on_prepare(struct super *s)
{
    struct vr_err err;

    /* Whatever happens now, a plug-in that vanishes leaves us to clean up. */
    s->step = STEP_PREPARED;
    if (load_record(s, &err)) {
        super_refuse(s, err.text);
        return;
    }
    s->rec.broker = getpid();
    s->rec.broker_start = vr_proc_start(getpid());
    if (vr_record_save(&s->rec, &err)) {
        super_refuse(s, err.text);
        return;
    }
    broker_log("prepared for guest %s", s->rec.name);
    vr_link_send(s->link, 'O', NULL);
}

static int open_xen(struct super *s, struct vr_err *err)
{
    s->xch = xc_interface_open(NULL, NULL, 0);
    s->xs = xs_open(0);
    if (!s->xch || !s->xs) {
        vr_err_set(err,
                   "broker: cannot reach %s: %s; is this the toolstack's "
                   "domain, with xenstored running?",
                   s->xch ? "xenstore" : "the hypervisor", strerror(errno));
        return -EIO;
    }
    return 0;
}

/*
 * xenstored looks at each of its sockets for every request of anybody's: that
 * is what a guest that merely runs would cost the others. So its broker goes on
 * by way of the kernel, whose one connection all programs share. While xl
 * waits, the socket is faster.
 */
static void share_connection(struct super *s)
{
    static const char name[] = "XENSTORED_PATH"; /* libxenstore's */
    struct xs_handle *old = s->xs, *xs;
    struct vr_err err;

    if (getenv(name) || setenv(name, "/dev/xen/xenbus", 0))
        return;
    xs = xs_open(0);
    unsetenv(name);
    if (!xs)
        return;
    s->xs = xs;
    if (!backends_watch(s, &err)) {
        names_watch(s);
        xs_close(old);
        return;
    }
    broker_log("%s", err.text);
    xs_close(xs);
    s->xs = old;
}

static int start(struct super *s, struct vr_err *err)
{
    int rc;

    rc = load_record(s, err);
    if (rc)
        return rc;
    if (s->rec.domid == VR_DOMID_NONE || !s->rec.ndevs) {
        vr_err_set(err,
                   "broker: the record of %s names no domain or no "
                   "device yet",
                   s->rec.name);
        return -EINVAL;
    }
    s->stats = vr_stats_open(s->uuid, true);
    if (!s->stats) {
        vr_err_set(err, "broker: cannot make %s/%s.stats: %s", VR_RUN_DIR,
                   s->uuid, strerror(errno));
        return -errno;
    }
    s->stats->ndevs = s->rec.ndevs;
    rc = spawn_worker(s, err);
    if (rc)
        return rc;
    rc = open_xen(s, err);
    if (!rc)
        rc = pools_start(s, err);
    if (rc)
        return rc;
    s->started = vr_now_ms();
    names_watch(s);
    return 0;
}

static void on_start(struct super *s)
{
    struct vr_err err;

    if (s->step != STEP_PREPARED) {
        super_refuse(
            s, "broker: the plug-in said 'S' out of turn; install matching "
               "versions of both");
        return;
    }
    s->step = STEP_STARTING;
    if (start(s, &err))
        super_refuse(s, err.text);
    else
        domains_check(s);
}

static void on_commit(struct super *s)
{
    struct vr_err err;

    if (s->step != STEP_READY) {
        super_refuse(
            s, "broker: the plug-in said 'C' out of turn; install matching "
               "versions of both");
        return;
    }
    /* The plug-in had its turn: what it wrote since is not to be lost. */
    if (load_record(s, &err))
        broker_log("%s", err.text);
    s->rec.phase = VR_PHASE_RUNNING;
    if (vr_record_save(&s->rec, &err))
        broker_log("%s", err.text);
    s->step = STEP_RUNNING;
    broker_log("the guest may run");
    vr_link_send(s->link, 'O', NULL);
    close(s->link);
    s->link = -1;
    share_connection(s);
    names_check(s);
    scope_leave(s);
    domains_check(s);
}

/*
 * xl ended before it said 'P': no domain was made, the record is all there is.
 * An xl that lives has removed it, or will.
 */
static void never_begun(struct super *s)
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    unsigned int i;

    s->done = true;
    /* A process closes its files some time before it is gone. */
    for (i = 0; i < 20; i++) {
        if (load_record(s, NULL) || s->rec.broker ||
            s->rec.phase != VR_PHASE_CREATING)
            return;
        if (vr_proc_start(s->rec.creator) != s->rec.creator_start) {
            vr_record_remove(s->uuid);
            return;
        }
        nanosleep(&step, NULL);
    }
}

void plugin_message(struct super *s)
{
    char type, text[VR_LINK_MAX + 1];
    int rc = vr_link_recv(s->link, 0, &type, text);

    if (rc == -ETIMEDOUT)
        return;
    if (rc) {
        if (s->step == STEP_IDLE) {
            never_begun(s);
            return;
        }
        broker_log("the plug-in is gone before the guest was complete: "
                   "undoing everything");
        super_cleanup(s, true);
        return;
    }
    if ((type == 'P' || type == 'S') && strcmp(text, s->uuid)) {
        super_refuse(s,
                     "broker: asked to serve another guest than the one it was "
                     "started for");
        return;
    }
    switch (type) {
    case 'P':
        on_prepare(s);
        break;
    case 'S':
        on_start(s);
        break;
    case 'C':
        on_commit(s);
        break;
    case 'A':
        broker_log("xl gives up: undoing everything");
        super_cleanup(s, true);
        break;
    default:
        super_refuse(s, "broker: the plug-in sent an unknown message; install "
                        "matching versions of both");
    }
}

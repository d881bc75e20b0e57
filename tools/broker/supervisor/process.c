/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the worker says: a process not to be trusted. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

/* A worker that its guest has taken over may send messages as fast as it
 * likes: so often do we look at a device. */
#define CHANGED_MS 500
#define KILL_MS    500
/* The clean-up of a driver domain has limits of its own, 80 s in all: so often
 * is one begun. */
#define DESTROY_MS 90000

/* Without its worker the guest hangs at its next access to a device. */
static void worker_lost(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    spawn_reap(s, WNOHANG);
    close(s->sock);
    s->sock = -1;
    if (s->step == STEP_STARTING) {
        vr_err_set(&err, "the broker's worker ended unexpectedly; see %s",
                   broker_log_path());
        super_refuse(s, err.text);
        return;
    }
    s->lost = true;
    for (i = 0; i < s->rec.ndevs; i++)
        backends_show(s, i);
}

static void worker_serving(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    if (s->step != STEP_STARTING || s->published)
        return;
    for (i = 0; i < s->rec.ndevs; i++) {
        if (!s->dev[i].has_page) {
            super_refuse(s, "the broker's worker has forgotten a device");
            return;
        }
    }
    if (backends_publish(s, &err)) {
        super_refuse(s, err.text);
        return;
    }
    backends_check(s);
}

/* ---- a backend that holds on ---- */

/*
 * The worker cannot get back memory that the guest has taken away. It may be
 * lying in its guest's interest, or be lied to: the table that shows what is
 * in use is the guest's own memory. So all that a guest can bring about here
 * is the end of what serves nobody else: its device's process, and a driver
 * domain that was created for it. One that others share is the operator's to
 * judge; until then that guest waits.
 */
static void kill_backend(struct super *s, unsigned int i)
{
    int64_t now = vr_now_ms();

    if (now - s->dev[i].killed_at < KILL_MS || s->dev[i].gone)
        return;
    s->dev[i].killed_at = now;
    broker_log("device %s: its backend keeps memory that the guest has taken "
               "away: having its process killed",
               dev_id(s, i));
    vr_store_kill(s->xs, &s->rec, i);
}

static void destroy_backend(struct super *s, unsigned int i)
{
    const unsigned int j = s->rec.devs[i].driver;
    const struct vr_record_driver *drv = &s->rec.drivers[j];
    int64_t now = vr_now_ms();

    /* First the gentler way, whatever the worker says; a domain that has shut
     * down cannot go it. */
    if (!s->dev[i].killed_at && !s->dev[i].gone) {
        kill_backend(s, i);
        return;
    }
    if (vr_domstate_dead(s->driver[j]) || now - s->dev[i].killed_at < KILL_MS)
        return;
    if (!drv->owned && !s->dev[i].holds)
        broker_log("device %s: that did not help: the operator has to end its "
                   "guest or driver domain %s",
                   dev_id(s, i), drv->name);
    s->dev[i].holds = true;
    backends_show(s, i);
    if (!drv->owned ||
        (s->destroyed_at[j] && now - s->destroyed_at[j] < DESTROY_MS))
        return;
    broker_log("device %s: that did not help: destroying driver domain %s",
               dev_id(s, i), drv->name);
    s->destroyed_at[j] = now;
    spawn_driver_cleanup(s, drv->uuid);
}

/* It is worth a look at a device's figures. */
static void look_at(struct super *s, unsigned int i)
{
    int64_t now = vr_now_ms();

    if (now - s->dev[i].changed_at < CHANGED_MS) {
        s->stats_at = s->dev[i].changed_at + CHANGED_MS;
        return;
    }
    s->dev[i].changed_at = now;
    backends_stats(s, i);
}

static void worker_message(struct super *s, const struct vr_msg *msg)
{
    char text[sizeof(msg->text)];
    struct vr_err err;
    struct sdev *d;

    switch (msg->type) {
    case VR_MSG_SERVING:
        worker_serving(s);
        return;
    case VR_MSG_ERROR:
        vr_xs_sanitise(text, sizeof(text), msg->text, strlen(msg->text));
        if (s->step == STEP_STARTING)
            super_refuse(s, text);
        else
            broker_log_of(&s->says, "worker: %s", text);
        return;
    case VR_MSG_LOG:
        vr_xs_sanitise(text, sizeof(text), msg->text, strlen(msg->text));
        broker_log_of(&s->says, "worker: %s", text);
        return;
    }
    if (msg->dev >= s->rec.ndevs)
        return;
    d = &s->dev[msg->dev];
    switch (msg->type) {
    case VR_MSG_DEVICE:
        /* From the time before it dropped its privileges, and only then. */
        if (s->step != STEP_STARTING || s->published)
            return;
        d->has_page = true;
        d->gref = msg->gref;
        d->port = msg->port;
        return;
    case VR_MSG_CONNECTED:
        if (d->connected)
            return;
        d->connected = true;
        if (s->step == STEP_STARTING)
            backends_complete(s);
        return;
    case VR_MSG_INVALID:
        vr_err_set(&err,
                   "device %s: driver domain %s describes a device that "
                   "cannot be: use a vr-backend of this version in it",
                   dev_id(s, msg->dev), dev_driver(s, msg->dev)->name);
        if (s->step == STEP_STARTING)
            super_refuse(s, err.text);
        else
            broker_log_of(&d->log, "%s", err.text);
        return;
    case VR_MSG_KILL:
    case VR_MSG_DESTROY:
        if (!s->published)
            return;
        if (msg->type == VR_MSG_KILL)
            kill_backend(s, msg->dev);
        else
            destroy_backend(s, msg->dev);
        /* The guest waits: the reason may be that its domain is gone. */
        domains_soon(s);
        return;
    case VR_MSG_CHANGED:
        look_at(s, msg->dev);
        return;
    case VR_MSG_GRANT:
    case VR_MSG_REVOKE:
        pools_order(s, msg->dev, msg->type == VR_MSG_GRANT);
        look_at(s, msg->dev);
        return;
    }
}

void process_messages(struct super *s)
{
    struct vr_msg msg;
    unsigned int n;
    int rc;

    /* Bounded: a worker that chatters must not keep us from the rest. */
    for (n = 0; n < 64 && s->sock >= 0 && !s->done; n++) {
        rc = broker_msg_recv(s->sock, &msg);
        if (rc == -EAGAIN)
            return;
        if (rc == -EPROTO)
            continue;
        if (rc) {
            worker_lost(s);
            return;
        }
        worker_message(s, &msg);
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the worker says: a process that its guest may have taken over, so that
 * each message is weighed, and none may come so often that it keeps us from the
 * rest. The loop calls this when there are messages, or the worker is gone.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

/* A worker that its guest has taken over may send messages as fast as it likes.
 * The time between two looks at a device's figures, two kills of its backend,
 * and two clean-ups of its driver domain, which take up to 80 s each. */
#define CHANGED_MS 500
#define KILL_MS    500
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

static void on_serving(struct super *s, const struct vr_msg *msg)
{
    struct vr_err err;
    unsigned int i;

    (void)msg;
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

/* Returns @text, with the worker's words as one may read them. */
static const char *clean(const struct vr_msg *msg, char text[VR_MSG_TEXT])
{
    vr_xs_sanitise(text, VR_MSG_TEXT, msg->text, strlen(msg->text));
    return text;
}

static void on_log(struct super *s, const struct vr_msg *msg)
{
    char text[VR_MSG_TEXT];

    broker_log_of(&s->says, "worker: %s", clean(msg, text));
}

static void on_error(struct super *s, const struct vr_msg *msg)
{
    char text[VR_MSG_TEXT];

    if (s->step == STEP_STARTING)
        super_refuse(s, clean(msg, text));
    else
        on_log(s, msg);
}

/* From the time before it dropped its privileges, and only then. */
static void on_device(struct super *s, const struct vr_msg *msg)
{
    struct sdev *d = &s->dev[msg->dev];

    if (s->step != STEP_STARTING || s->published)
        return;
    d->has_page = true;
    d->gref = msg->gref;
    d->port = msg->port;
}

static void on_connected(struct super *s, const struct vr_msg *msg)
{
    if (s->dev[msg->dev].connected)
        return;
    s->dev[msg->dev].connected = true;
    if (s->step == STEP_STARTING)
        backends_complete(s);
}

static void on_invalid(struct super *s, const struct vr_msg *msg)
{
    struct vr_err err;

    vr_err_set(&err,
               "device %s: driver domain %s describes a device that "
               "cannot be: use a vr-backend of this version in it",
               dev_id(s, msg->dev), dev_driver(s, msg->dev)->name);
    if (s->step == STEP_STARTING)
        super_refuse(s, err.text);
    else
        broker_log_of(&s->dev[msg->dev].log, "%s", err.text);
}

static void on_changed(struct super *s, const struct vr_msg *msg)
{
    look_at(s, msg->dev);
}

/* The guest waits: the reason may be that the domain is gone. */
static void on_kill(struct super *s, const struct vr_msg *msg)
{
    if (!s->published)
        return;
    kill_backend(s, msg->dev);
    domains_soon(s);
}

static void on_destroy(struct super *s, const struct vr_msg *msg)
{
    if (!s->published)
        return;
    destroy_backend(s, msg->dev);
    domains_soon(s);
}

static void on_pool(struct super *s, const struct vr_msg *msg)
{
    pools_order(s, msg->dev, msg->type == VR_MSG_GRANT);
    look_at(s, msg->dev);
}

/* Those that come from the worker. */
static const struct {
    void (*act)(struct super *s, const struct vr_msg *msg);
    bool of_device; /* msg->dev counts */
} reports[] = {
    [VR_MSG_DEVICE] = {on_device, true},
    [VR_MSG_SERVING] = {on_serving, false},
    [VR_MSG_ERROR] = {on_error, false},
    [VR_MSG_LOG] = {on_log, false},
    [VR_MSG_CONNECTED] = {on_connected, true},
    [VR_MSG_INVALID] = {on_invalid, true},
    [VR_MSG_CHANGED] = {on_changed, true},
    [VR_MSG_KILL] = {on_kill, true},
    [VR_MSG_DESTROY] = {on_destroy, true},
    [VR_MSG_GRANT] = {on_pool, true},
    [VR_MSG_REVOKE] = {on_pool, true},
};

static void worker_message(struct super *s, const struct vr_msg *msg)
{
    if (msg->type >= VR_ARRAY_SIZE(reports) || !reports[msg->type].act)
        return;
    if (!reports[msg->type].of_device || msg->dev < s->rec.ndevs)
        reports[msg->type].act(s, msg);
}

void reports_read(struct super *s)
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

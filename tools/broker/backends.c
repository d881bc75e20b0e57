/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices' nodes in xenstore: what the backends say there, and what
 * operators see.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "link.h"
#include "supervisor.h"

static bool backend_refused(struct super *s, unsigned int i, const char *why)
{
    struct vr_err err;

    if (s->dev[i].backend != VR_XB_CLOSING && s->dev[i].backend != VR_XB_CLOSED)
        return false;
    vr_err_set(&err, "device %s: driver domain %s: %s", dev_id(s, i),
               dev_driver(s, i)->name,
               why[0] ? why
                      : "the backend closed without giving a reason; "
                        "see the domain's console");
    super_refuse(s, err.text);
    return true;
}

void backends_complete(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++)
        if (s->dev[i].backend != VR_XB_CONNECTED || !s->dev[i].connected)
            return;
    s->rec.phase = VR_PHASE_READY;
    s->rec.broker = getpid();
    s->rec.broker_start = vr_proc_start(getpid());
    if (vr_record_save(&s->rec, &err)) {
        super_refuse(s, err.text);
        return;
    }
    for (i = 0; i < s->rec.ndevs; i++)
        vr_store_state(s->xs, &s->rec, i, "connected", "");
    s->step = STEP_READY;
    broker_log("all %u devices are connected", s->rec.ndevs);
    vr_link_send(s->link, 'O', NULL);
}

/* A backend's state node has changed, perhaps. */
static void check_backend(struct super *s, unsigned int i)
{
    struct sdev *d = &s->dev[i];
    enum vr_xbstate last = d->backend;
    char why[256];

    if (!s->published || d->gone)
        return;
    d->backend = vr_store_backend_state(s->xs, &s->rec, i, why, sizeof(why));
    if (d->backend == last)
        return;
    broker_log("device %s: backend's state %d -> %d%s%s", dev_id(s, i), last,
               d->backend, why[0] ? ": " : "", why);
    if (s->step == STEP_STARTING) {
        if (!backend_refused(s, i, why))
            backends_complete(s);
        return;
    }
    if (s->step != STEP_READY && s->step != STEP_RUNNING)
        return;
    if (d->backend == VR_XB_CONNECTED && d->shown == VR_FAIL_NONE)
        vr_store_state(s->xs, &s->rec, i, "connected", "");
    else if (d->backend != VR_XB_CONNECTED)
        vr_store_state(s->xs, &s->rec, i, "waiting",
                       why[0] ? why
                              : "the backend is not connected: the guest's "
                                "requests wait for it");
}

void backends_check(struct super *s)
{
    unsigned int i;

    /* There are few backends; which one's watch it was does not matter. */
    for (i = 0; i < s->rec.ndevs; i++)
        check_backend(s, i);
}

int backends_publish(struct super *s, struct vr_err *err)
{
    unsigned int i;
    int rc;

    for (i = 0; i < s->rec.ndevs; i++) {
        const struct vr_record_driver *drv = dev_driver(s, i);
        char path[VR_XS_PATH], token[16];

        rc = vr_store_publish(s->xs, &s->rec, i, s->dev[i].gref, s->dev[i].port,
                              err);
        if (rc)
            return rc;
        snprintf(token, sizeof(token), "b%u", i);
        vr_xs_backend(path, drv->domid, s->rec.domid, dev_id(s, i), "state");
        if (!xs_watch(s->xs, path, token)) {
            vr_err_set(err, "device %s: xenstore: cannot watch %s: %s",
                       dev_id(s, i), path, strerror(errno));
            return -EIO;
        }
    }
    s->published = true;
    return 0;
}

/* Whose answer is still missing, for the person who waits for it. */
static void refuse_late(struct super *s, unsigned int i)
{
    const struct vr_record_driver *drv = dev_driver(s, i);
    const unsigned int seconds = s->rec.devs[i].cfg.timeout;
    const struct sdev *d = &s->dev[i];
    char why[160] = "";
    struct vr_err err;

    if (s->published)
        vr_store_backend_state(s->xs, &s->rec, i, why, sizeof(why));
    if (why[0])
        vr_err_set(&err,
                   "device %s: driver domain %s (%" PRIu32 ") did not connect "
                   "within %u s: %s; mend that, or raise timeout=",
                   dev_id(s, i), drv->name, drv->domid, seconds, why);
    else
        vr_err_set(&err,
                   "device %s: driver domain %s (%" PRIu32 ") did not connect "
                   "within %u s (backend state %d, control page %s): see "
                   "whether vr-backend runs there "
                   "(/var/log/xen/console/guest-%s.log), or raise timeout=",
                   dev_id(s, i), drv->name, drv->domid, seconds, d->backend,
                   d->connected ? "ready" : "not ready", drv->name);
    super_refuse(s, err.text);
}

void backends_timeout(struct super *s)
{
    unsigned int i;

    /* The last answer may just have come. */
    backends_check(s);
    for (i = 0; i < s->rec.ndevs && s->step == STEP_STARTING; i++) {
        if (s->dev[i].backend != VR_XB_CONNECTED || !s->dev[i].connected)
            refuse_late(s, i);
    }
}

static void show_failure(struct super *s, unsigned int i, enum vr_fail fail)
{
    struct sdev *d = &s->dev[i];

    if (fail == d->shown)
        return;
    d->shown = fail;
    broker_log("device %s: %s", dev_id(s, i), vr_fail_text(fail));
    if (d->gone) /* said already, and better */
        return;
    vr_store_state(s->xs, &s->rec, i,
                   fail == VR_FAIL_NONE     ? "connected"
                   : fail == VR_FAIL_SILENT ? "waiting"
                                            : "failed",
                   fail == VR_FAIL_NONE ? "" : vr_fail_text(fail));
}

void backends_stats(struct super *s, unsigned int i)
{
    struct vr_stats_dev now;

    if (!s->stats || !s->published)
        return;
    /* One copy: the worker may be writing, or lying. */
    memcpy(&now, &s->stats->dev[i], sizeof(now));
    show_failure(s, i, vr_stats_why(&now));
    if (!memcmp(&now, &s->dev[i].last, sizeof(now)))
        return;
    s->dev[i].last = now;
    vr_store_counters(s->xs, &s->rec, i, &now);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices' nodes in xenstore: what the backends say there, and what
 * operators see.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libs/proto/link.h"
#include "supervisor.h"

/* A backend decides how often its words change, not how often we write them. */
#define SHOW_MS 500

static bool answered(const struct super *s, unsigned int i)
{
    return s->dev[i].backend == VR_XB_CONNECTED && s->dev[i].connected;
}

struct vr_devfacts backends_facts(const struct super *s, unsigned int i)
{
    const struct vr_record_driver *drv = dev_driver(s, i);
    const struct sdev *d = &s->dev[i];

    return (struct vr_devfacts){
        .phase = s->rec.phase,
        .lost = s->lost ? broker_log_path() : NULL,
        .name = drv->name,
        .domid = drv->domid,
        .dom = s->driver[s->rec.devs[i].driver],
        .owned = drv->owned,
        .holds = d->holds,
        .backend = d->backend,
        .says = d->says,
        .fail = d->fail,
        .overwritten = d->overwritten ? d->why.text : NULL,
    };
}

void backends_show(struct super *s, unsigned int i)
{
    const struct vr_devfacts facts = backends_facts(s, i);
    struct sdev *d = &s->dev[i];
    int64_t now = vr_now_ms();
    struct vr_devstate new;
    bool same;

    if (!s->published)
        return;
    vr_devstate(&facts, &new);
    same = new.state == d->told.state;
    if (same &&
        (!strcmp(new.reason, d->told.reason) || now - d->told_at < SHOW_MS))
        return;
    /* Nobody but the toolstack has to do with a domain that is gone. */
    if (d->gone)
        broker_log("device %s: %s%s%s", dev_id(s, i), vr_state_name(new.state),
                   new.reason[0] ? ": " : "", new.reason);
    else
        broker_log_of(&d->log, "device %s: %s%s%s", dev_id(s, i),
                      vr_state_name(new.state), new.reason[0] ? ": " : "",
                      new.reason);
    vr_store_state(s->xs, &s->rec, i, new.state, new.reason);
    d->told = new;
    d->told_at = now;
}

static bool has_closed(const struct super *s, unsigned int i)
{
    return s->dev[i].backend == VR_XB_CLOSING ||
           s->dev[i].backend == VR_XB_CLOSED;
}

/*
 * Tells the plug-in of every device that has not connected, not of the first
 * alone: whoever mends one should not have to try again to learn of the next.
 * @seconds: they had so much time; 0: one has closed, and those count that say
 * what is wrong with them.
 */
static void refuse_missing(struct super *s, unsigned int seconds)
{
    char text[VR_LINK_MAX - 256] = "", one[512];
    unsigned int i, more = 0;
    struct vr_err err;
    size_t len = 0;

    for (i = 0; i < s->rec.ndevs; i++) {
        const struct vr_devfacts facts = backends_facts(s, i);
        int n;

        if (answered(s, i) ||
            (!seconds && !has_closed(s, i) && !s->dev[i].says[0]))
            continue;
        vr_devstate_missing(&facts, s->dev[i].connected, one, sizeof(one));
        broker_log("device %s: %s", dev_id(s, i), one);
        n = snprintf(text + len, sizeof(text) - len, "%sdevice %s: %s",
                     len ? "; " : "", dev_id(s, i), one);
        if (!more && len + (size_t)n < sizeof(text))
            len += n;
        else
            more++;
        text[len] = '\0';
    }
    if (more)
        snprintf(text + len, sizeof(text) - len, "; and %u more, see %s", more,
                 broker_log_path());
    if (seconds)
        vr_err_set(&err,
                   "not connected within %u s: %s; mend that, or raise "
                   "timeout=",
                   seconds, text);
    super_refuse(s, seconds ? err.text : text);
}

void backends_complete(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++)
        if (!answered(s, i))
            return;
    s->rec.phase = VR_PHASE_READY;
    s->rec.broker = getpid();
    s->rec.broker_start = vr_proc_start(getpid());
    if (vr_record_save(&s->rec, &err)) {
        super_refuse(s, err.text);
        return;
    }
    for (i = 0; i < s->rec.ndevs; i++)
        backends_show(s, i);
    s->step = STEP_READY;
    broker_log("all %u devices are connected", s->rec.ndevs);
    vr_link_send(s->link, 'O', NULL);
}

/* A backend's state or error node has changed, perhaps. */
static void check_backend(struct super *s, unsigned int i)
{
    struct sdev *d = &s->dev[i];
    enum vr_xbstate last = d->backend;

    if (!s->published || d->gone)
        return;
    d->backend =
        vr_store_backend_state(s->xs, &s->rec, i, d->says, sizeof(d->says));
    if (d->backend != last) {
        broker_log_of(&d->log, "device %s: backend %s -> %s", dev_id(s, i),
                      vr_xbstate_name(last), vr_xbstate_name(d->backend));
        /* Another process of it begins anew. */
        d->holds = d->holds && d->backend != VR_XB_CONNECTED;
    }
    if (d->backend != VR_XB_CONNECTED)
        grants_check(s, true);
    backends_show(s, i);
}

void backends_check(struct super *s)
{
    unsigned int i;

    /* There are few backends; which one's watch it was does not matter. */
    for (i = 0; i < s->rec.ndevs; i++)
        check_backend(s, i);
    for (i = 0; i < s->rec.ndevs && s->step == STEP_STARTING; i++)
        if (has_closed(s, i))
            refuse_missing(s, 0);
    if (s->step == STEP_STARTING)
        backends_complete(s);
}

int backends_watch(struct super *s, struct vr_err *err)
{
    char path[VR_XS_PATH];
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++) {
        /* All of it: the words may change without the state. */
        vr_xs_backend(path, dev_driver(s, i)->domid, s->rec.domid, dev_id(s, i),
                      NULL);
        if (xs_watch(s->xs, path, "b"))
            continue;
        vr_err_set(err, "device %s: xenstore: cannot watch %s: %s",
                   dev_id(s, i), path, strerror(errno));
        return -EIO;
    }
    return 0;
}

int backends_publish(struct super *s, struct vr_err *err)
{
    unsigned int i;
    int rc;

    for (i = 0; i < s->rec.ndevs; i++) {
        rc = vr_store_publish(s->xs, &s->rec, i, s->dev[i].gref, s->dev[i].port,
                              err);
        if (rc)
            return rc;
    }
    rc = backends_watch(s, err);
    if (rc)
        return rc;
    s->published = true;
    for (i = 0; i < s->rec.ndevs; i++) {
        const struct vr_devfacts facts = backends_facts(s, i);

        /* "starting" is there already; vrctl finds the usual reason itself. */
        vr_devstate(&facts, &s->dev[i].told);
    }
    return 0;
}

int64_t backends_deadline(const struct super *s)
{
    int64_t end, next = INT64_MAX;
    unsigned int i;

    if (s->step != STEP_STARTING || !s->started)
        return next;
    for (i = 0; i < s->rec.ndevs; i++) {
        end = s->started + s->rec.devs[i].cfg.timeout * INT64_C(1000);
        if (!answered(s, i) && end < next)
            next = end;
    }
    return next;
}

void backends_timeout(struct super *s)
{
    unsigned int i, seconds = UINT_MAX;

    /* The last answer may just have come. */
    backends_check(s);
    if (s->step != STEP_STARTING || backends_deadline(s) > (int64_t)vr_now_ms())
        return;
    for (i = 0; i < s->rec.ndevs; i++)
        if (!answered(s, i) && s->rec.devs[i].cfg.timeout < seconds)
            seconds = s->rec.devs[i].cfg.timeout;
    refuse_missing(s, seconds);
}

static void show_pool(struct super *s, unsigned int i)
{
    enum vr_pool_state now = vr_pools_state(s->pools, i);

    if (now == s->dev[i].pool_told)
        return;
    s->dev[i].pool_told = now;
    vr_store_pool(s->xs, &s->rec, i, vr_pool_state_name(now));
}

void backends_stats(struct super *s, unsigned int i)
{
    const enum vr_fail was = s->dev[i].fail;
    struct vr_stats_dev now;

    if (!s->stats || !s->published)
        return;
    /* One copy: the worker may be writing, or lying. */
    memcpy(&now, &s->stats->dev[i], sizeof(now));
    s->dev[i].fail = vr_stats_why(&now);
    if (was != s->dev[i].fail)
        grants_check(s, true);
    backends_show(s, i);
    show_pool(s, i);
    if (s->dev[i].counted && vr_store_same_counters(&now, &s->dev[i].last))
        return;
    if (now.b.restarts != s->dev[i].last.b.restarts ||
        now.b.faults != s->dev[i].last.b.faults)
        grants_check(s, true);
    s->dev[i].counted = true;
    s->dev[i].last = now;
    vr_store_counters(s->xs, &s->rec, i, &now);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Do the guest and its driver domains still live? xenstore's @releaseDomain
 * tells of the end of any domain, and would wake the brokers of all guests for
 * it. libxl removes a domain's nodes just before it destroys the domain, which
 * the watches of its name (names.c) and of its backends (backends.c) tell of.
 * What ends in another way, and what has shut down and is kept, shows at the
 * next tick.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor.h"
#include "libs/xen/domstate.h"

/* A domain that is ending is looked at so often, and for so long after the
 * last sign of its end. */
#define ENDING_MS     100
#define ENDING_FOR_MS 2000

static void guest_gone(struct super *s, enum vr_domstate how)
{
    broker_log("guest %s (%" PRIu32 ") is %s", s->rec.name, s->rec.domid,
               vr_domstate_name(how));
    if (s->step == STEP_RUNNING)
        super_cleanup(s, false);
    else if (s->step == STEP_STARTING)
        super_refuse(s, "the guest has gone while its devices were starting");
    /* Else the plug-in is there and says what is to be done. */
}

/* How domain @domid is, which is to be @uuid; @now where that cannot be told.
 * Nobody tells that it is paused, or runs again: the tick finds out. */
static enum vr_domstate domain_state(struct super *s, uint32_t domid,
                                     const char *uuid, enum vr_domstate now)
{
    char text[VR_UUID_LEN + 1];
    xc_domaininfo_t info;
    int rc = vr_domain_info(s->xch, domid, &info);

    if (rc == -ESRCH)
        return VR_DOM_GONE;
    if (rc) {
        broker_log("domain %" PRIu32 ": %s", domid, strerror(-rc));
        return now;
    }
    if (strcmp(vr_uuid_format(info.handle, text), uuid))
        return VR_DOM_GONE;
    return vr_domain_state(&info);
}

static void driver_gone(struct super *s, unsigned int j)
{
    struct vr_msg msg = {.type = VR_MSG_GONE};
    struct vr_err err;
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++) {
        const bool gone = s->dev[i].gone;

        if (s->rec.devs[i].driver != j)
            continue;
        s->dev[i].gone = true;
        if (!gone && s->step == STEP_STARTING) {
            vr_err_set(&err,
                       "device %s: driver domain %s (%" PRIu32 ") is %s; see "
                       "its console's log in /var/log/xen/console",
                       dev_id(s, i), s->rec.drivers[j].name,
                       s->rec.drivers[j].domid, vr_domstate_name(s->driver[j]));
            super_refuse(s, err.text);
            return;
        }
        msg.dev = i;
        /* Its socket may be full: once more at the next look. */
        if (!s->dev[i].gone_sent && s->sock >= 0)
            s->dev[i].gone_sent = !broker_msg_send(s->sock, &msg);
        if (!gone)
            backends_show(s, i);
    }
}

static void driver_changed(struct super *s, unsigned int j)
{
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++)
        if (s->rec.devs[i].driver == j && s->step != STEP_STARTING)
            backends_show(s, i);
}

/* A domain that has merely shut down keeps what it has mapped until somebody
 * destroys it; x86 Linux shuts down when it panics. */
static void driver_dead(struct super *s, unsigned int j)
{
    struct vr_msg msg = {.type = VR_MSG_DEAD};
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++) {
        if (s->rec.devs[i].driver != j)
            continue;
        pools_dead(s, i);
        if (s->dev[i].dead || s->sock < 0)
            continue;
        msg.dev = i;
        s->dev[i].dead = !broker_msg_send(s->sock, &msg);
    }
}

void domains_soon(struct super *s)
{
    int64_t now = vr_now_ms();

    s->ending_until = now + ENDING_FOR_MS;
    if (!s->ending_at)
        s->ending_at = now;
}

void domains_check(struct super *s)
{
    int64_t now = vr_now_ms();
    enum vr_domstate how;
    unsigned int j;

    if (!s->xch)
        return;
    s->ending_at = s->ending_until > now ? now + ENDING_MS : 0;
    /* xl decides what becomes of a guest that has shut down. */
    how = domain_state(s, s->rec.domid, s->rec.uuid, VR_DOM_RUNNING);
    if (vr_domstate_dead(how)) {
        guest_gone(s, how);
        return;
    }
    for (j = 0; j < s->rec.ndrivers; j++) {
        const struct vr_record_driver *d = &s->rec.drivers[j];
        const enum vr_domstate before = s->driver[j];

        how = s->driver[j] = domain_state(s, d->domid, d->uuid, before);
        if (vr_domstate_ended(how))
            driver_gone(s, j);
        else if (how != before)
            driver_changed(s, j);
        if (vr_domstate_dead(how) && s->step != STEP_FAILED)
            driver_dead(s, j);
        /* libxl and Xen may take long. */
        if (s->destroyed_at[j] && !vr_domstate_dead(how))
            domains_soon(s);
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor.h"

#define GONE  "gone" /* the hypervisor knows it no more */
#define DYING "dying"

static void guest_gone(struct super *s, const char *how)
{
    broker_log("guest %s (%" PRIu32 ") is %s", s->rec.name, s->rec.domid, how);
    if (s->step == STEP_RUNNING)
        super_cleanup(s, false);
    else if (s->step == STEP_STARTING)
        super_refuse(s, "the guest has gone while its devices were starting");
    /* Else the plug-in is there and says what is to be done. */
}

static bool same_uuid(const char *text, const xen_domain_handle_t handle)
{
    char buf[VR_UUID_LEN + 1];
    const uint8_t *u = handle;

    snprintf(buf, sizeof(buf),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
             "%02x%02x%02x%02x%02x%02x",
             u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
             u[11], u[12], u[13], u[14], u[15]);
    return !strcmp(text, buf);
}

/*
 * NULL when domain @domid exists, is @uuid and lives. @shutdown: false when a
 * domain that has shut down, but was not destroyed, counts as alive.
 */
static const char *domain_lost(struct super *s, uint32_t domid,
                               const char *uuid, bool shutdown)
{
    xc_domaininfo_t info;
    int rc = vr_domain_info(s->xch, domid, &info);

    if (rc == -ESRCH)
        return GONE;
    if (rc) {
        broker_log("domain %" PRIu32 ": %s", domid, strerror(-rc));
        return NULL;
    }
    if (!same_uuid(uuid, info.handle))
        return GONE;
    if (info.flags & XEN_DOMINF_dying)
        return DYING;
    if (shutdown && info.flags & XEN_DOMINF_shutdown) {
        unsigned int why =
            (info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;

        return why == SHUTDOWN_crash ? "crashed" : "shut down";
    }
    return NULL;
}

static void driver_gone(struct super *s, unsigned int j, const char *how)
{
    struct vr_msg msg = {.type = VR_MSG_GONE};
    struct vr_err err;
    unsigned int i;

    vr_err_set(&err,
               "driver domain %s (%" PRIu32 ") is %s: the guest's requests "
               "wait; see its console's log, destroy the guest and create it "
               "again",
               s->rec.drivers[j].name, s->rec.drivers[j].domid, how);
    for (i = 0; i < s->rec.ndevs; i++) {
        if (s->rec.devs[i].driver != j || s->dev[i].gone)
            continue;
        s->dev[i].gone = true;
        broker_log("device %s: %s", dev_id(s, i), err.text);
        if (s->step == STEP_STARTING) {
            struct vr_err why;

            vr_err_set(&why,
                       "device %s: driver domain %s (%" PRIu32 ") is %s; see "
                       "its console's log in /var/log/xen/console",
                       dev_id(s, i), s->rec.drivers[j].name,
                       s->rec.drivers[j].domid, how);
            super_refuse(s, why.text);
            return;
        }
        msg.dev = i;
        if (s->sock >= 0)
            broker_msg_send(s->sock, &msg);
        if (s->published)
            vr_store_state(s->xs, &s->rec, i, "failed", err.text);
    }
}

/* A domain that has shut down keeps what it has mapped until somebody destroys
 * it; x86 Linux shuts down when it panics. */
static void driver_ending(struct super *s, unsigned int j)
{
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++)
        if (s->rec.devs[i].driver == j)
            s->dev[i].ending = true;
}

static void driver_dead(struct super *s, unsigned int j)
{
    struct vr_msg msg = {.type = VR_MSG_DEAD};
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++) {
        if (s->rec.devs[i].driver != j || s->dev[i].dead || s->sock < 0)
            continue;
        msg.dev = i;
        s->dev[i].dead = !broker_msg_send(s->sock, &msg);
    }
}

void domains_check(struct super *s)
{
    const char *how;
    unsigned int j;

    if (!s->xch)
        return;
    /* xl decides what becomes of a guest that has shut down. */
    how = domain_lost(s, s->rec.domid, s->rec.uuid, false);
    if (how) {
        guest_gone(s, how);
        return;
    }
    s->dying = false;
    for (j = 0; j < s->rec.ndrivers; j++) {
        const struct vr_record_driver *d = &s->rec.drivers[j];

        how = domain_lost(s, d->domid, d->uuid, true);
        if (how)
            driver_gone(s, j, how);
        if (how && (!strcmp(how, DYING) || !strcmp(how, GONE)))
            driver_ending(s, j);
        /* Xenstore tells of a domain's death, but not of its end. */
        if (how && !strcmp(how, DYING))
            s->dying = true;
        if (how && !strcmp(how, GONE) && s->step != STEP_FAILED)
            driver_dead(s, j);
    }
}

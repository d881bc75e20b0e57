/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl rename` gives a domain another name while it runs. The record follows,
 * so that whoever reads it knows the name of now, and so does the log: a new
 * guest may get the old name, and begins a log of that name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor.h"
#include "libs/base/text.h"

static char *name_path(char *buf, uint32_t domid)
{
    snprintf(buf, VR_XS_PATH, "/local/domain/%" PRIu32 "/name", domid);
    return buf;
}

static void watch(struct super *s, uint32_t domid)
{
    char path[VR_XS_PATH];

    if (!xs_watch(s->xs, name_path(path, domid), "n"))
        broker_log("xenstore: cannot watch %s: %s: names may be old ones", path,
                   strerror(errno));
}

void names_watch(struct super *s)
{
    unsigned int j;

    watch(s, s->rec.domid);
    for (j = 0; j < s->rec.ndrivers; j++)
        watch(s, s->rec.drivers[j].domid);
}

/* Has @domid another name than @name by now? Then that is in @name, except
 * while the record is the plug-in's to write. */
static bool renamed(struct super *s, uint32_t domid, const char *what,
                    char name[VR_NAME_LEN + 1])
{
    char path[VR_XS_PATH], now[VR_NAME_LEN + 1];
    unsigned int len = 0;
    char *v = xs_read(s->xs, XBT_NULL, name_path(path, domid), &len);

    /* The domain's nodes are gone, and the domain will be. */
    if (!v)
        domains_soon(s);
    vr_name_clean(now, sizeof(now), v ? v : "", v ? len : 0);
    free(v);
    if (!now[0] || !strcmp(now, name) || s->step != STEP_RUNNING)
        return false;
    broker_log("%s %s (%" PRIu32 ") is called %s now", what, name, domid, now);
    strcpy(name, now);
    return true;
}

/* Nothing but the names: what others have written meanwhile stays, and once a
 * clean-up is at work it is too late. */
static void save(const struct super *s)
{
    static struct vr_record rec; /* too large for the stack */
    struct vr_err err;
    unsigned int j;
    int rc;

    rc = vr_record_load(s->uuid, &rec, &err);
    if (!rc && (rec.phase != VR_PHASE_RUNNING || rec.domid != s->rec.domid ||
                rec.ndrivers != s->rec.ndrivers))
        return;
    if (!rc) {
        strcpy(rec.name, s->rec.name);
        for (j = 0; j < rec.ndrivers; j++)
            strcpy(rec.drivers[j].name, s->rec.drivers[j].name);
        rc = vr_record_save(&rec, &err);
    }
    if (rc)
        broker_log("%s", err.text);
}

void names_check(struct super *s)
{
    bool guest, any;
    unsigned int j;

    guest = any = renamed(s, s->rec.domid, "guest", s->rec.name);
    for (j = 0; j < s->rec.ndrivers; j++) {
        struct vr_record_driver *d = &s->rec.drivers[j];

        if (vr_domstate_dead(s->driver[j]) ||
            !renamed(s, d->domid, "driver domain", d->name))
            continue;
        vr_store_driver_name(s->xs, &s->rec, j);
        any = true;
    }
    if (guest) {
        broker_log_move(s->rec.name);
        broker_title("vr-broker %s", s->rec.name);
    }
    if (any)
        save(s);
}

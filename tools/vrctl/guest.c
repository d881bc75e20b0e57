/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest with restricted devices: its record beside what is true now (domain,
 * processes, xenstore). For all commands; changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/base/text.h"
#include "vrctl.h"
#include "libs/xen/domstate.h"
#include "libs/xen/store.h"

int guest_load(xc_interface *xch, const char *uuid, struct guest *g,
               struct vr_err *err)
{
    int rc;

    memset(g, 0, sizeof(*g));
    rc = vr_record_load(uuid, &g->rec, err);
    if (rc)
        return rc;
    if (xch && !dom_identify(xch, uuid, g->rec.domid, &g->info)) {
        g->exists = true;
        /* An interrupted creation did not get to note it. */
        g->rec.domid = g->info.domain;
    }
    g->broker = proc_alive(g->rec.broker, g->rec.broker_start);
    g->creator = proc_alive(g->rec.creator, g->rec.creator_start);
    return 0;
}

static bool named(const struct vr_record *rec, const char *what)
{
    uint64_t domid;

    if (!vr_parse_u64(what, VR_DOMID_MAX, &domid))
        return rec->domid == domid;
    return !strcmp(rec->name, what) || !strcmp(rec->uuid, what);
}

int guest_lookup(xc_interface *xch, const char *what, struct guest *g,
                 struct vr_err *err)
{
    char(*uuids)[VR_UUID_LEN + 1] = NULL;
    int i, n, rc = -ESRCH;

    n = vr_record_list(&uuids);
    if (n < 0) {
        vr_err_set(err, "%s: %s", VR_RUN_DIR, strerror(-n));
        return n;
    }
    /* A guest that lives goes before the remains of one of its name. */
    for (i = 0; i < n; i++) {
        if (guest_load(xch, uuids[i], g, err) || !named(&g->rec, what))
            continue;
        rc = 0;
        if (g->exists)
            goto out;
    }
    if (!rc) {
        for (i = n - 1; i >= 0; i--)
            if (!guest_load(xch, uuids[i], g, err) && named(&g->rec, what))
                goto out;
        rc = -ESRCH;
    }
    vr_err_set(err,
               "%s: no guest of this name, domid or uuid has restricted "
               "devices; vrctl list shows those that have",
               what);
out:
    free(uuids);
    return rc;
}

const char *guest_stale(const struct guest *g)
{
    bool gone = !g->exists || (g->info.flags & XEN_DOMINF_dying);

    switch (g->rec.phase) {
    case VR_PHASE_CREATING:
    case VR_PHASE_READY:
        if (!g->creator && !g->broker)
            return "its creation was interrupted";
        return NULL;
    case VR_PHASE_RUNNING:
        if (gone && !g->broker)
            return "the guest and its broker are gone";
        return NULL;
    case VR_PHASE_CLOSING:
        return lock_held(g->rec.uuid) ? NULL : "its clean-up was interrupted";
    }
    return NULL;
}

enum vr_domstate guest_driver_state(xc_interface *xch, const struct guest *g,
                                    unsigned int j)
{
    const struct vr_record_driver *d = &g->rec.drivers[j];
    xc_domaininfo_t info;

    if (xch && !dom_identify(xch, d->uuid, d->domid, &info))
        return vr_domain_state(&info);
    return d->domid == VR_DOMID_NONE ? VR_DOM_UNMADE : VR_DOM_GONE;
}

/* What the broker has published of the device; VR_STATE_NONE: nothing. */
static void read_told(struct xs_handle *xs, const struct guest *g,
                      unsigned int i, struct vr_devstate *out)
{
    const char *id = g->rec.devs[i].cfg.id;
    char path[VR_XS_PATH], *v;
    unsigned int len = 0;

    out->state = VR_STATE_NONE;
    out->fail = VR_FAIL_NONE;
    out->reason[0] = '\0';
    if (!xs || g->rec.domid == VR_DOMID_NONE)
        return;
    v = xs_read(xs, XBT_NULL, vr_xs_truth(path, g->rec.domid, id, "state"),
                &len);
    if (v)
        out->state = vr_state_parse(v);
    free(v);
    v = xs_read(xs, XBT_NULL, vr_xs_truth(path, g->rec.domid, id, "error"),
                &len);
    if (v)
        vr_name_clean(out->reason, sizeof(out->reason), v, len);
    free(v);
}

/*
 * Whether domains and processes live is seen here, the rest is known to the
 * broker. So its word counts when nothing that is seen here keeps the device
 * from its work, and when the backend has failed, for it knows the cause.
 */
void guest_dev_state(xc_interface *xch, struct xs_handle *xs,
                     const struct guest *g, unsigned int i,
                     const struct vr_stats *stats, struct vr_devstate *out)
{
    unsigned int j = g->rec.devs[i].driver;
    const struct vr_record_driver *d = &g->rec.drivers[j];
    struct vr_devfacts f = {
        .phase = g->rec.phase,
        .stale = guest_stale(g),
        .broker_gone = !g->broker,
        .name = d->name,
        .domid = d->domid,
        .dom = guest_driver_state(xch, g, j),
        .owned = d->owned,
        .backend = VR_XB_CONNECTED,
        .fail = stats && i < stats->ndevs ? vr_stats_why(&stats->dev[i])
                                          : VR_FAIL_NONE,
    };
    struct vr_devstate told;
    bool backend;

    vr_devstate(&f, out);
    backend = out->fail == VR_FAIL_BACKEND;
    if (out->state != VR_STATE_CONNECTED && out->state != VR_STATE_STARTING &&
        !backend)
        return;
    read_told(xs, g, i, &told);
    if (told.state == VR_STATE_NONE || (backend && told.state != out->state))
        return;
    if (told.reason[0] || told.state == VR_STATE_CONNECTED)
        *out = told;
}

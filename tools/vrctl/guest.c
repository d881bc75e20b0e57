/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vrctl.h"
#include "xen/store.h"

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

void guest_dev_state(struct xs_handle *xs, const struct guest *g,
                     unsigned int i, const struct vr_stats *stats, char *state,
                     size_t ssize, char *why, size_t wsize)
{
    const char *id = g->rec.devs[i].cfg.id, *stale = guest_stale(g);
    char path[VR_XS_PATH], *v = NULL;
    unsigned int len = 0;

    why[0] = '\0';
    snprintf(state, ssize, "%s", vr_phase_name(g->rec.phase));
    if (stale) {
        snprintf(state, ssize, "stale");
        snprintf(why, wsize, "%s: run vrctl cleanup --stale", stale);
        return;
    }
    if (xs && g->rec.domid != VR_DOMID_NONE) {
        v = xs_read(xs, XBT_NULL, vr_xs_truth(path, g->rec.domid, id, "state"),
                    &len);
        if (v)
            vr_xs_sanitise(state, ssize, v, len);
        free(v);
        v = xs_read(xs, XBT_NULL, vr_xs_truth(path, g->rec.domid, id, "error"),
                    &len);
        if (v)
            vr_xs_sanitise(why, wsize, v, len);
        free(v);
    }
    if (g->rec.phase == VR_PHASE_RUNNING && !g->broker) {
        snprintf(state, ssize, "failed");
        snprintf(why, wsize,
                 "the broker is gone: the guest hangs at its next "
                 "access to a device; destroy it");
        return;
    }
    if (stats && i < stats->ndevs && vr_stats_why(&stats->dev[i]) && !why[0])
        snprintf(why, wsize, "%s", vr_fail_text(vr_stats_why(&stats->dev[i])));
}

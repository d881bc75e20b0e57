/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices_int.h"

#define LOOK_TRIES 3 /* so many that fail: a new connection */

struct node_ctx {
    struct devices *ds;
    struct device *d;
    bool unread; /* a node could not be, for now */
};

static char *read_node(void *ctx, const char *key, size_t *len)
{
    struct node_ctx *n = ctx;
    char path[VR_XS_PATH];
    unsigned int l = 0;
    char *value;

    node_path(n->d, key, path);
    value = xs_read(n->ds->xs, XBT_NULL, path, &l);
    if (!value && !store_refused(errno))
        n->unread = n->ds->unread = true;
    *len = l;
    return value;
}

/* Kills the worker if the counter has changed. The first value seen is only
 * remembered: it was meant for a worker of an earlier main process. */
static void check_kill(struct devices *ds, struct device *d)
{
    struct node_ctx ctx = {.ds = ds, .d = d};
    uint64_t kills;
    size_t len;
    char *value = read_node(&ctx, VR_XS_KILL, &len);
    int rc = value ? vr_parse_u64(value, UINT64_MAX, &kills) : -ENOENT;

    free(value);
    if (ctx.unread)
        return;
    if (rc)
        kills = d->kills;
    if (d->kills_known && kills != d->kills)
        devices_worker_kill(ds, d);
    d->kills_known = true;
    d->kills = kills;
}

static bool same_window(const struct vr_gwin *a, const struct vr_gwin *b)
{
    return a->base == b->base && a->size == b->size &&
           a->gref_base == b->gref_base;
}

static bool same(const struct vr_xs_dev *a, const struct vr_xs_dev *b)
{
    return a->guest == b->guest && same_window(&a->pool, &b->pool) &&
           same_window(&a->iova, &b->iova) && a->ctrl_domid == b->ctrl_domid &&
           a->ctrl_gref == b->ctrl_gref && a->ctrl_port == b->ctrl_port &&
           !strcmp(a->cfg.target, b->cfg.target) &&
           a->cfg.readonly == b->cfg.readonly && a->cfg.mode == b->cfg.mode &&
           a->cfg.map_threshold == b->cfg.map_threshold;
}

static struct device *known(const struct devices *ds, uint32_t guest,
                            const char *id)
{
    struct device *d;

    for (d = ds->list; d; d = d->next) {
        if (d->guest == guest && !strcmp(d->id, id))
            return d;
    }
    return NULL;
}

static struct device *find(struct devices *ds, uint32_t guest, const char *id)
{
    struct device *d = known(ds, guest, id);

    if (d)
        return d;
    if (ds->count >= MAX_DEVICES)
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->guest = guest;
    d->sock = -1;
    snprintf(d->id, sizeof(d->id), "%s", id);
    d->next = ds->list;
    ds->list = d;
    ds->count++;
    return d;
}

/* Not even a slot for it: the toolstack is not to wait in vain. */
static void refuse(struct devices *ds, uint32_t guest, const char *id)
{
    struct device d = {.guest = guest, .present = true};

    snprintf(d.id, sizeof(d.id), "%s", id);
    devices_say(ds, &d, VR_XB_CLOSED,
                "the backend serves as many devices as it can: use another "
                "driver domain");
}

static void look_at(struct devices *ds, uint32_t guest, const char *id)
{
    struct node_ctx ctx = {.ds = ds};
    struct vr_xs_dev dev;
    struct vr_err err = {""};
    struct device *d;
    bool changed;
    int rc;

    if (!vr_id_valid(id))
        return;
    d = find(ds, guest, id);
    if (!d) {
        refuse(ds, guest, id);
        return;
    }
    d->present = true;
    check_kill(ds, d);
    ctx.d = d;
    memset(&dev, 0, sizeof(dev));
    rc = vr_xs_dev_parse(&dev, id, read_node, &ctx, &err);
    if (ctx.unread)
        return; /* it stays what it is */
    if (!rc && dev.guest != guest) {
        rc = -EINVAL;
        vr_err_set(&err, "xenstore: frontend-id: %u: the path says %u",
                   dev.guest, guest);
    }
    if (rc) {
        if (d->state == DEV_RUNNING)
            devices_worker_stop(ds, d);
        else if (d->state == DEV_IDLE)
            devices_fail(ds, d, err.text);
        memset(&d->dev, 0, sizeof(d->dev));
        return;
    }
    changed = !same(&dev, &d->dev);
    if (!changed)
        return;
    if (d->state == DEV_RUNNING)
        devices_worker_stop(ds, d);
    d->dev = dev;
    d->connected = false;
    d->said = VR_XB_UNKNOWN;
    if (d->state == DEV_FAILED)
        d->state = DEV_IDLE;
    if (d->state == DEV_IDLE)
        d->when = ds->now;
}

/* Its nodes cannot be read now: that does not take a device away. */
static void keep_guest(struct devices *ds, uint32_t guest)
{
    struct device *d;

    for (d = ds->list; d; d = d->next) {
        if (d->guest == guest)
            d->present = true;
    }
}

/* A device that is known and was there the last time is told of by events. */
static void glance_at(struct devices *ds, uint32_t guest, const char *id)
{
    struct device *d = known(ds, guest, id);

    if (!d || !d->was_present) {
        look_at(ds, guest, id);
        return;
    }
    d->present = true;
    check_kill(ds, d);
}

/* False: nothing is known of the devices now. */
static bool look_around(struct devices *ds, bool closely)
{
    unsigned int ng = 0, ni, i, k;
    struct device *d;
    char **guests;

    guests = xs_directory(ds->xs, XBT_NULL, ROOT, &ng);
    if (!guests && errno != ENOENT)
        return false; /* an unreadable store says nothing about devices */
    for (d = ds->list; d; d = d->next) {
        d->was_present = d->present;
        d->present = false;
    }
    for (i = 0; i < ng; i++) {
        char path[VR_XS_PATH];
        uint64_t guest;
        char **ids;

        if (vr_parse_u64(guests[i], VR_DOMID_NONE, &guest))
            continue;
        snprintf(path, sizeof(path), ROOT "/%u", (uint32_t)guest);
        ni = 0;
        ids = xs_directory(ds->xs, XBT_NULL, path, &ni);
        if (!ids && errno != ENOENT) {
            ds->unread |= errno != EACCES;
            keep_guest(ds, guest);
        }
        for (k = 0; k < ni; k++) {
            if (closely)
                look_at(ds, guest, ids[k]);
            else
                glance_at(ds, guest, ids[k]);
        }
        free(ids);
    }
    free(guests);
    return true;
}

/* libxenstore gives a connection up for good at its first error, and says so
 * only to who asks for something. */
static void connect_anew(struct devices *ds)
{
    struct xs_handle *xs = xs_open(0);

    if (!xs)
        return;
    if (!xs_watch(xs, ROOT, "devices")) {
        xs_close(xs);
        return;
    }
    xs_close(ds->xs);
    ds->xs = xs;
    vr_log(0, NULL, "xenstore: connected anew");
}

void devices_store_scan(struct devices *ds, bool closely)
{
    struct device *d;

    closely |= ds->unread;
    ds->unread = false;
    if (look_around(ds, closely)) {
        for (d = ds->list; d; d = d->next) {
            if (!d->present)
                devices_worker_stop(ds, d);
            else if (d->unsaid)
                devices_write_said(ds, d);
        }
    } else {
        ds->unread = true;
    }
    ds->fails = ds->unread ? ds->fails + 1 : 0;
    if (ds->fails >= LOOK_TRIES) {
        ds->fails = 0;
        connect_anew(ds);
    }
    ds->look_at = in(ds, ds->unread ? AGAIN_STEP : LOOK_STEP);
}

bool devices_store_event(struct devices *ds, const char *path)
{
    char id[VR_ID_LEN + 1], leaf[8];
    const char *p = strstr(path, ROOT "/");
    struct device *d;
    unsigned int guest;

    if (!p ||
        sscanf(p + strlen(ROOT), "/%u/%31[^/]/%7[^/]", &guest, id, leaf) != 3)
        return true;
    d = strcmp(leaf, VR_XS_KILL) ? NULL : known(ds, guest, id);
    if (d)
        check_kill(ds, d);
    return false;
}

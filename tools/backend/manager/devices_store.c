/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What xenstore says: which devices there are, what each is, and `kill`. The
 * nodes are the toolstack's, but each is checked (xsnode.h). For devices.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices_int.h"

#define LOOK_TRIES 3 /* so many that fail: a new connection */

/* Remembers that something happened to a guest's devices. */
static void tell(struct devices *ds, uint32_t guest)
{
    unsigned int i;

    for (i = 0; i < ds->ntold; i++) {
        if (ds->told[i] == guest)
            return;
    }
    /* No room: there are more guests than can be served. What is not known yet
     * shows in the list of guests, the rest has its turn. */
    if (ds->ntold < MAX_DEVICES)
        ds->told[ds->ntold++] = guest;
}

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
    if (!value && !store_refused(errno)) {
        n->unread = n->ds->unread = true;
        tell(n->ds, n->d->guest);
    }
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
static void refuse(struct devices *ds, uint32_t guest, const char *id,
                   const char *why)
{
    struct device d = {.guest = guest, .present = true};

    snprintf(d.id, sizeof(d.id), "%s", id);
    devices_say(ds, &d, VR_XB_CLOSED, why);
}

static bool node_is(struct node_ctx *ctx, const char *key, uint64_t expected)
{
    size_t len;
    char *value = read_node(ctx, key, &len);
    uint64_t v;
    bool is = value && !vr_parse_u64(value, UINT64_MAX, &v) && v == expected;

    free(value);
    return is;
}

/* Is it the device that was read before? What was published anew has a control
 * page and an event channel of its own. */
static bool unchanged(struct devices *ds, struct device *d)
{
    struct node_ctx ctx = {.ds = ds, .d = d};

    return d->present && d->dev.ctrl_port &&
           node_is(&ctx, "event-channel", d->dev.ctrl_port) &&
           node_is(&ctx, "ctrl-gref", d->dev.ctrl_gref) &&
           node_is(&ctx, "online", 1);
}

static void look_at(struct devices *ds, uint32_t guest, const char *id)
{
    struct node_ctx ctx = {.ds = ds};
    struct vr_xs_dev dev;
    struct vr_err err = {""};
    struct device *d;
    bool changed, known_before;
    int rc;

    if (!vr_id_valid(id))
        return;
    if (ds->leaving && !known(ds, guest, id)) {
        refuse(ds, guest, id,
               "the driver domain shuts down when its present guests have: "
               "start it again first");
        return;
    }
    d = find(ds, guest, id);
    if (!d) {
        refuse(ds, guest, id,
               "the backend serves as many devices as it can: use another "
               "driver domain");
        return;
    }
    known_before = unchanged(ds, d);
    d->present = true;
    check_kill(ds, d);
    if (known_before)
        return;
    ctx.d = d;
    memset(&dev, 0, sizeof(dev));
    rc = vr_xs_dev_parse(&dev, id, read_node, &ctx, &err);
    if (ctx.unread)
        return; /* it is looked at again */
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

/* A device that is known and was there the last time is told of by events. */
static void glance_at(struct devices *ds, uint32_t guest, const char *id)
{
    struct device *d = known(ds, guest, id);

    if (d && d->present)
        check_kill(ds, d);
    else
        look_at(ds, guest, id);
}

static void gone(struct devices *ds, struct device *d)
{
    d->present = false;
    devices_worker_stop(ds, d);
}

/* The guest's devices; all their nodes when @closely. */
static void look_at_guest(struct devices *ds, uint32_t guest, bool closely)
{
    unsigned int num = 0, i;
    char path[VR_XS_PATH];
    struct device *d;
    char **ids;

    snprintf(path, sizeof(path), ROOT "/%u", guest);
    ids = xs_directory(ds->xs, XBT_NULL, path, &num);
    if (!ids && errno != ENOENT) {
        /* That does not take its devices away. */
        if (errno != EACCES) {
            ds->unread = true;
            tell(ds, guest);
        }
        return;
    }
    for (d = ds->list; d; d = d->next)
        d->listed = false;
    for (i = 0; i < num; i++) {
        d = known(ds, guest, ids[i]);
        if (d)
            d->listed = true;
    }
    for (d = ds->list; d; d = d->next) {
        if (d->guest == guest && !d->listed)
            gone(ds, d);
    }
    for (i = 0; i < num; i++) {
        if (closely)
            look_at(ds, guest, ids[i]);
        else
            glance_at(ds, guest, ids[i]);
    }
    free(ids);
}

/* Which guests there are. */
static void look_at_guests(struct devices *ds)
{
    unsigned int num = 0, i;
    struct device *d;
    char **guests;

    ds->root = false;
    guests = xs_directory(ds->xs, XBT_NULL, ROOT, &num);
    if (!guests && errno != ENOENT) {
        /* An unreadable store says nothing about devices. */
        ds->unread = ds->root = true;
        return;
    }
    for (d = ds->list; d; d = d->next)
        d->listed = false;
    for (i = 0; i < num; i++) {
        bool found = false;
        uint64_t guest;

        if (vr_parse_u64(guests[i], VR_DOMID_NONE, &guest))
            continue;
        for (d = ds->list; d; d = d->next) {
            if (d->guest != guest)
                continue;
            d->listed = true;
            found |= d->present;
        }
        if (!found)
            tell(ds, guest);
    }
    for (d = ds->list; d; d = d->next) {
        if (!d->listed)
            gone(ds, d);
    }
    free(guests);
}

/* The guest whose turn it is after @last; VR_DOMID_NONE: there is none. */
static uint32_t next_guest(const struct devices *ds, uint32_t last)
{
    uint32_t next = VR_DOMID_NONE, first = VR_DOMID_NONE;
    const struct device *d;

    for (d = ds->list; d; d = d->next) {
        if (d->guest < first)
            first = d->guest;
        if (d->guest > last && d->guest < next)
            next = d->guest;
    }
    return next != VR_DOMID_NONE ? next : first;
}

/* However many guests there are, a look takes no longer: they take turns. */
static void look_at_some(struct devices *ds)
{
    uint32_t guest, begin = VR_DOMID_NONE;
    unsigned int i;

    for (i = 0; i < LOOK_GUESTS; i++) {
        guest = next_guest(ds, ds->turn);
        if (guest == VR_DOMID_NONE || guest == begin)
            return;
        if (!i)
            begin = guest;
        ds->turn = guest;
        look_at_guest(ds, guest, false);
    }
}

/* libxenstore gives a connection up for good at its first error, and says so
 * only to who asks for something. */
static void connect_anew(struct devices *ds)
{
    struct xs_handle *xs = xs_open(0);
    struct device *d;

    if (!xs)
        return;
    if (!xs_watch(xs, ROOT, "devices")) {
        xs_close(xs);
        return;
    }
    xs_close(ds->xs);
    ds->xs = xs;
    /* Whose events may have been lost. */
    for (d = ds->list; d; d = d->next)
        tell(ds, d->guest);
    vr_log(0, NULL, "xenstore: connected anew");
}

/* Events of the nodes of a device are its toolstack's only in `kill`. */
static void take_event(struct devices *ds, const char *path)
{
    char id[VR_ID_LEN + 1], leaf[8];
    const char *p = strstr(path, ROOT);
    struct device *d;
    unsigned int guest;
    int n;

    n = p ? sscanf(p + strlen(ROOT), "/%u/%31[^/]/%7[^/]", &guest, id, leaf)
          : 0;
    if (n < 1) {
        ds->root = true;
        return;
    }
    if (n < 3) {
        tell(ds, guest);
        return;
    }
    d = strcmp(leaf, VR_XS_KILL) ? NULL : known(ds, guest, id);
    if (d)
        check_kill(ds, d);
}

void devices_store_events(struct devices *ds)
{
    char **ev;

    while ((ev = xs_check_watch(ds->xs))) {
        take_event(ds, ev[XS_WATCH_PATH]);
        free(ev);
    }
}

void devices_store_look(struct devices *ds, bool clock)
{
    struct device *d;
    unsigned int n;

    ds->unread = false;
    look_at_guests(ds);
    /* A transaction that makes a device causes an event for each of its nodes.
     * Now that there was an answer behind them, they are all here, and what is
     * read below is newer. */
    devices_store_events(ds);
    /* Those that cannot be read are told of again, behind the others. */
    for (n = ds->ntold; n && ds->ntold; n--) {
        uint32_t guest = ds->told[0];

        memmove(ds->told, ds->told + 1, --ds->ntold * sizeof(ds->told[0]));
        look_at_guest(ds, guest, true);
    }
    if (clock)
        look_at_some(ds);
    for (d = ds->list; d; d = d->next) {
        if (d->present && d->unsaid)
            devices_write_said(ds, d);
    }
    if (!clock)
        return;
    ds->fails = ds->unread ? ds->fails + 1 : 0;
    if (ds->fails >= LOOK_TRIES) {
        ds->fails = 0;
        connect_anew(ds);
    }
    ds->look_at = in(ds, ds->unread ? AGAIN_STEP : LOOK_STEP);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guests that have records already: each record is read once in a
 * creation, for what it takes to clean up after an xl that was killed, and to
 * see that no target is served twice. And those that have ended, but whose
 * memory a driver domain keeps. Called by create.c; a stale guest is taken down
 * by `vrctl cleanup`, everything else is only looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libs/xen/zombies.h"

#include "child.h"
#include "state.h"
#include "xllock.h"

/* The devices in driver domains that another guest may name, too. */
static int note(struct vr_others *o, const struct vr_record *rec)
{
    unsigned int i;
    void *p;

    p = realloc(o->dev, (o->ndevs + rec->ndevs) * sizeof(*o->dev));
    if (!p)
        return -ENOMEM;
    o->dev = p;
    for (i = 0; i < rec->ndevs; i++) {
        const struct vr_record_dev *d = &rec->devs[i];
        const struct vr_record_driver *drv = &rec->drivers[d->driver];
        struct vr_other_dev *n = &o->dev[o->ndevs++];

        strcpy(n->guest, rec->name);
        n->cfg = d->cfg;
        strcpy(n->driver, drv->uuid);
        n->domid = drv->domid;
        n->owned = drv->owned;
    }
    return 0;
}

/* What an xl that was killed left behind, when its broker died as well, is
 * taken down. */
static int look_at(struct vr_plan *plan, libxl_ctx *ctx,
                   const struct vr_record *rec)
{
    bool begun =
        rec->phase == VR_PHASE_CREATING || rec->phase == VR_PHASE_READY;
    struct vr_err err;
    int lock;

    if (vr_alive(rec->broker, rec->broker_start) ||
        (begun && vr_alive(rec->creator, rec->creator_start)) ||
        (!begun && vr_domain_exists(ctx, rec->domid, rec->uuid))) {
        if (strcmp(rec->uuid, plan->rec.uuid))
            return note(&plan->others, rec);
        strcpy(plan->others.same_uuid, rec->name);
        return 0;
    }
    vr_say("virtio_restricted: cleaning up after guest %s", rec->name);
    /* Driver domains are waited for. Who creates a domain meanwhile may take
     * the memory that xl has made room for: then libxl says so. */
    lock = vr_xllock_drop();
    if (vr_child_cleanup(rec->uuid, begun, &err))
        vr_say("virtio_restricted: %s", err.text);
    vr_xllock_take(lock);
    return 0;
}

int vr_others_read(struct vr_plan *plan, libxl_ctx *ctx, struct vr_err *err)
{
    char(*uuids)[VR_UUID_LEN + 1] = NULL;
    struct vr_record *rec = malloc(sizeof(*rec));
    int i, n = vr_record_list(&uuids), rc = 0;

    if (n < 0)
        rc = n;
    else if (!rec)
        rc = -ENOMEM;
    for (i = 0; !rc && i < n; i++) {
        /* Gone meanwhile, or broken: vrctl's to judge. */
        if (!vr_record_load(uuids[i], rec, NULL))
            rc = look_at(plan, ctx, rec);
    }
    if (rc)
        vr_err_set(err, "virtio_restricted: cannot read %s: %s", VR_RUN_DIR,
                   strerror(-rc));
    free(uuids);
    free(rec);
    return rc;
}

/* May device @i of @rec be served beside @other? */
static int check_device(const struct vr_record *rec, unsigned int i,
                        const struct vr_other_dev *other, struct vr_err *err)
{
    const struct vr_dev_cfg *cfg = &rec->devs[i].cfg;
    const struct vr_type_spec *spec = vr_type_spec(cfg->type);
    const struct vr_record_driver *drv = &rec->drivers[rec->devs[i].driver];
    char about[VR_ABOUT_LEN];

    if (strcmp(drv->uuid, other->driver) || drv->domid != other->domid)
        return 0;
    if (other->owned) {
        vr_err_set(err,
                   "virtio_restricted[%u]: backend=%s belongs to guest %s and "
                   "ends with it: create a driver domain by itself and name "
                   "that",
                   i, drv->name, other->guest);
        return -EBUSY;
    }
    if (!vr_type_clash(cfg, &other->cfg))
        return 0;
    vr_err_set(err,
               "virtio_restricted[%u]: %s of %s is in use by guest %s: "
               "choose another%s%s",
               i, vr_type_about(cfg, about), drv->name, other->guest,
               spec->remedy ? ", or " : "", spec->remedy ? spec->remedy : "");
    return -EBUSY;
}

int vr_others_check(const struct vr_plan *plan, struct vr_err *err)
{
    const struct vr_record *rec = &plan->rec;
    const struct vr_others *o = &plan->others;
    unsigned int i, j;
    int rc = 0;

    if (o->same_uuid[0]) {
        vr_err_set(err,
                   "virtio_restricted: uuid %s belongs to guest %s, which has "
                   "not ended: run `vrctl cleanup %s` if it has, or change "
                   "uuid=",
                   rec->uuid, o->same_uuid, rec->uuid);
        return -EEXIST;
    }
    for (i = 0; !rc && i < rec->ndevs; i++) {
        /* A new driver domain: nobody else can be in it. */
        if (rec->drivers[rec->devs[i].driver].owned)
            continue;
        for (j = 0; !rc && j < o->ndevs; j++)
            rc = check_device(rec, i, &o->dev[j], err);
    }
    return rc;
}

/* @z: the first of the @n that the driver domain of device @dev keeps. */
static int check_dead(const struct vr_record *rec, unsigned int dev,
                      const struct vr_zombie *z, unsigned int n,
                      struct vr_err *err)
{
    const char *name = rec->drivers[rec->devs[dev].driver].name;
    unsigned int i, own = 0;

    for (i = 0; i < n && i < VR_ZOMBIES_MAX; i++)
        own += !strcmp(z[i].uuid, rec->uuid);
    if (n < VR_ZOMBIES_MAX && own < VR_ZOMBIES_OWN)
        return 0;
    vr_err_set(err,
               "virtio_restricted[%u]: backend=%s keeps memory of %u guests "
               "that have ended, %u of them this one: restart vr-backend "
               "there, or `xl destroy %s` and create it again; vrctl list "
               "shows them",
               dev, name, n, own, name);
    return -EBUSY;
}

int vr_others_dead(const struct vr_record *rec, struct vr_err *err)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    struct xs_handle *xs = xs_open(0);
    struct vr_zombie z[VR_ZOMBIES_MAX];
    unsigned int i, n;
    int rc = 0;

    for (i = 0; !rc && xch && xs && i < rec->ndevs; i++) {
        const struct vr_record_driver *d = &rec->drivers[rec->devs[i].driver];

        if (d->owned)
            continue;
        n = vr_zombie_list(xch, xs, d->domid, z, VR_ZOMBIES_MAX);
        rc = check_dead(rec, i, z, n, err);
    }
    if (xs)
        xs_close(xs);
    if (xch)
        xc_interface_close(xch);
    return rc;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pools of static and mixed devices: granted while the guest's driver has
 * the device running. The worker says when (lease.h); which entries these are,
 * what they grant and to whom is fixed by the record. A worker that its guest
 * has taken over can thus have its own guest's pool granted to that pool's
 * driver domain, and no more. So it needs no access to the grant table for it.
 */
#include <errno.h>
#include <string.h>

#include "libs/base/shfile.h"
#include "supervisor.h"

/* A guest may start and stop its device as often as it likes: one part of our
 * time in so many is for that, and so much at once. A start that is too much is
 * dropped, since the worker asks again; what is granted is taken back at once.
 */
#define SHARE    10
#define BURST_MS 200

static bool may_work(struct super *s)
{
    int64_t earned = ((int64_t)vr_now_ms() - s->pools_at) / SHARE;

    s->pools_at += earned * SHARE;
    s->pools_debt -= earned < s->pools_debt ? earned : s->pools_debt;
    return s->pools_debt < BURST_MS;
}

static void set_entries(struct super *s, unsigned int i, struct vr_gntent *e,
                        bool grant)
{
    const struct vr_gwin *win = &s->rec.devs[i].pool;
    uint32_t gfn = win->base >> VR_PAGE_SHIFT, n = vr_gwin_pages(win);
    uint16_t domid = dev_driver(s, i)->domid;
    enum vr_pool_state state;

    vr_shfile_begin(&s->pools->generation);
    if (grant && !vr_gntent_grant_range(e, n, domid, gfn, false, NULL))
        state = VR_POOL_GRANTED;
    else
        state = vr_gntent_take_back(e, n, domid, gfn) ? VR_POOL_HELD
                                                      : VR_POOL_PRIVATE;
    s->pools->state[i] = state;
    vr_shfile_end(&s->pools->generation);
}

/* Grants the pool, or takes it back. Its state says afterwards what has been
 * achieved. */
static void change(struct super *s, unsigned int i, bool grant)
{
    const struct vr_gwin *win = &s->rec.devs[i].pool;
    uint32_t first = win->gref_base / VR_GNTENT_PER_FRAME;
    uint32_t last =
        (win->gref_base + vr_gwin_pages(win) - 1) / VR_GNTENT_PER_FRAME;
    int64_t begin = vr_now_ms();
    struct vr_gtable gt;
    struct vr_err err;

    /* For a moment only: a mapping would keep a guest from going. */
    if (vr_gtable_map(&gt, s->fm, s->rec.domid, first, last - first + 1, true,
                      &err)) {
        broker_log("device %s: %s", dev_id(s, i), err.text);
    } else {
        set_entries(s, i, vr_gtable_entry(&gt, win->gref_base), grant);
        vr_gtable_unmap(&gt);
    }
    s->pools_debt += (int64_t)vr_now_ms() - begin + 1;
}

int pools_start(struct super *s, struct vr_err *err)
{
    int rc;

    s->pools = vr_pools_open(s->uuid, true);
    s->fm = xenforeignmemory_open(NULL, 0);
    s->pools_at = vr_now_ms();
    if (s->pools && s->fm)
        return 0;
    rc = errno ? -errno : -EIO;
    vr_err_set(err, "broker: cannot open %s%s%s: %s",
               s->pools ? "privcmd" : VR_RUN_DIR "/", s->pools ? "" : s->uuid,
               s->pools ? "" : ".pools", strerror(-rc));
    return rc;
}

void pools_stop(struct super *s)
{
    vr_pools_close(s->pools);
    if (s->fm)
        xenforeignmemory_close(s->fm);
    s->pools = NULL;
    s->fm = NULL;
}

void pools_order(struct super *s, unsigned int i, bool grant)
{
    struct vr_msg msg = {.dev = i};
    enum vr_pool_state state;

    if (!vr_cfg_has_pool(&s->rec.devs[i].cfg) || !s->published ||
        (s->step != STEP_READY && s->step != STEP_RUNNING))
        return;
    state = vr_pools_state(s->pools, i);
    if (state != (grant ? VR_POOL_GRANTED : VR_POOL_PRIVATE)) {
        if (grant && (s->dev[i].gone || state == VR_POOL_HELD))
            return;
        if (state != VR_POOL_GRANTED && !may_work(s))
            return;
        change(s, i, grant);
        state = vr_pools_state(s->pools, i);
    }
    if (grant)
        msg.type = state == VR_POOL_GRANTED ? VR_MSG_GRANTED : VR_MSG_REFUSED;
    else if (state == VR_POOL_PRIVATE)
        msg.type = VR_MSG_REVOKED;
    else
        return; /* the backend has some of it: asked again */
    broker_msg_send(s->sock, &msg);
    if (msg.type == VR_MSG_REFUSED)
        grants_check(s, true);
}

void pools_dead(struct super *s, unsigned int i)
{
    if (vr_pools_state(s->pools, i) != VR_POOL_PRIVATE)
        change(s, i, false);
}

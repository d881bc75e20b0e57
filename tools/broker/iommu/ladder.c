/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See ladder.h. iommu_revoke.c asks, and does what it says. */
#include "ladder.h"

bool vr_ladder_destroyed(const struct vr_ladder *l, unsigned int i)
{
    return l->destroyed[l->ep[i].driver];
}

/* When the present wait, until @now, will be made up for: each millisecond
 * takes VR_BUDGET_PART of them. */
static int64_t pays_until(const struct vr_ladder_ep *ep, int64_t now)
{
    int64_t from = ep->paid > ep->waiting ? ep->paid : ep->waiting;

    return from + (now - ep->waiting) * VR_BUDGET_PART;
}

static bool spent(const struct vr_ladder_ep *ep, int64_t now)
{
    return pays_until(ep, now) - now > VR_BUDGET_MS * VR_BUDGET_PART;
}

static void take_step(struct vr_ladder_ep *ep, enum vr_step step, int64_t now)
{
    ep->step = step;
    ep->since = now;
}

enum vr_act vr_ladder_climb(struct vr_ladder *l, unsigned int i, int64_t now,
                            bool at_once)
{
    struct vr_ladder_ep *ep = &l->ep[i];
    bool grace;

    if (!ep->waiting)
        ep->waiting = now;
    /* Another endpoint has brought it that far. */
    if (vr_ladder_destroyed(l, i) && ep->step != VR_STEP_DESTROY)
        take_step(ep, VR_STEP_DESTROY, now);
    switch (ep->step) {
    case VR_STEP_NONE:
        take_step(ep, VR_STEP_WAIT, now);
        /* fall through */
    case VR_STEP_WAIT:
        grace = !at_once && now - ep->since < VR_GRACE_MS;
        if (grace && !spent(ep, now))
            return VR_ACT_NONE;
        take_step(ep, VR_STEP_STOP, now);
        return grace ? VR_ACT_STOP_SPENT : VR_ACT_STOP;
    case VR_STEP_STOP:
        if (now - ep->since < ep->revoke_ms)
            return VR_ACT_NONE;
        take_step(ep, VR_STEP_KILL, now);
        return VR_ACT_KILL;
    case VR_STEP_KILL:
        if (now - ep->since < VR_DESTROY_MS)
            return VR_ACT_NONE;
        take_step(ep, ep->owned ? VR_STEP_DESTROY : VR_STEP_STUCK, now);
        l->destroyed[ep->driver] |= ep->owned;
        return VR_ACT_DESTROY;
    case VR_STEP_STUCK:
    case VR_STEP_DESTROY:
        if (now - ep->since < VR_AGAIN_MS)
            return VR_ACT_NONE;
        ep->since = now;
        return VR_ACT_DESTROY;
    }
    return VR_ACT_NONE;
}

void vr_ladder_down(struct vr_ladder *l, unsigned int i, int64_t now)
{
    struct vr_ladder_ep *ep = &l->ep[i];
    const int64_t most = now + VR_BUDGET_MS * VR_BUDGET_PART;

    if (!ep->waiting)
        return;
    ep->paid = pays_until(ep, now);
    /* A device that exceeds its budget is stopped: it owes no more than that.
     */
    if (ep->paid > most)
        ep->paid = most;
    ep->waiting = 0;
    ep->step = VR_STEP_NONE;
}

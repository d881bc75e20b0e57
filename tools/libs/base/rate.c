/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits how often somebody who is not trusted can make us do something. Pure:
 * the time is passed in.
 */
#include "rate.h"

bool vr_rate_take(struct vr_rate *r, int64_t now, int64_t period,
                  unsigned int burst)
{
    int64_t full = r->full_at > now ? r->full_at : now;

    if (full - now > period * (burst - 1))
        return false;
    r->full_at = full + period;
    return true;
}

void vr_pace_kick(struct vr_pace *p)
{
    if (p->paid <= VR_PACE_PAID_MAX - VR_PACE_PER_KICK)
        p->paid += VR_PACE_PER_KICK;
}

bool vr_pace_paid(struct vr_pace *p)
{
    if (!p->paid)
        return false;
    p->paid--;
    p->raised = 0;
    return true;
}

bool vr_pace_take(struct vr_pace *p, int64_t now_ns)
{
    if (now_ns < p->next)
        return false;
    p->raised = now_ns;
    return true;
}

void vr_pace_acked(struct vr_pace *p, int64_t now_ns)
{
    int64_t rest;

    if (!p->raised)
        return;
    rest = VR_PACE_REST * (now_ns - p->raised);
    if (rest < VR_PACE_MIN_NS)
        rest = VR_PACE_MIN_NS;
    if (rest > VR_PACE_MAX_NS)
        rest = VR_PACE_MAX_NS;
    p->next = now_ns + rest;
    p->raised = 0;
}

void vr_pace_untold(struct vr_pace *p)
{
    if (!p->raised)
        return;
    p->next = p->raised + VR_PACE_UNTOLD_NS;
    p->raised = 0;
}

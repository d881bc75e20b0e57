/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See lease.h. device.c asks, and does what it says. */
#include <string.h>

#include "lease.h"

/* The first time that something is asked again, and the longest pause. */
#define AGAIN_MS     5
#define AGAIN_MS_MAX 100
/* ... each time after another part of the time waited. */
#define AGAIN_PART 8
/* Unmapping this many pages takes a millisecond, on a slow machine. */
#define PAGES_PER_MS 16

static void take_step(struct vr_lease *l, enum vr_lease_step step, int64_t now)
{
    l->step = step;
    l->since = l->ask_at = now;
}

void vr_lease_init(struct vr_lease *l, uint32_t pages, unsigned int patience_ms)
{
    memset(l, 0, sizeof(*l));
    l->step = pages ? VR_LEASE_PRIVATE : VR_LEASE_NONE;
    l->patience_ms = patience_ms + pages / PAGES_PER_MS;
}

bool vr_lease_request(struct vr_lease *l, const struct vr_ctrl_request *req,
                      int64_t now)
{
    if (l->step == VR_LEASE_NONE)
        return true;
    if (!req->run) {
        l->kept = false;
        take_step(l, VR_LEASE_STOPPING, now);
        l->kill_at = now + l->patience_ms;
        return true;
    }
    if (l->step == VR_LEASE_GRANTED)
        return true;
    l->req = *req;
    l->kept = true;
    if (l->step == VR_LEASE_PRIVATE)
        take_step(l, VR_LEASE_ASKED, now);
    return false;
}

bool vr_lease_acked(struct vr_lease *l, int64_t now)
{
    if (l->step != VR_LEASE_STOPPING)
        return l->step != VR_LEASE_RETURNING;
    take_step(l, VR_LEASE_RETURNING, now);
    return false;
}

enum vr_lease_act vr_lease_answer(struct vr_lease *l,
                                  enum vr_lease_answer answer, int64_t now)
{
    switch (answer) {
    case VR_LEASE_IS_GRANTED:
        if (l->step != VR_LEASE_ASKED)
            break;
        take_step(l, VR_LEASE_GRANTED, now);
        l->kept = false;
        return VR_LEASE_PUBLISH;
    case VR_LEASE_IS_REFUSED:
        if (l->step != VR_LEASE_ASKED)
            break;
        return VR_LEASE_FAIL;
    case VR_LEASE_IS_PRIVATE:
        if (l->step != VR_LEASE_RETURNING)
            break;
        take_step(l, l->kept ? VR_LEASE_ASKED : VR_LEASE_PRIVATE, now);
        return l->kept ? VR_LEASE_NOTHING : VR_LEASE_QUIET;
    }
    return VR_LEASE_NOTHING;
}

static bool asks(const struct vr_lease *l)
{
    return l->step == VR_LEASE_ASKED || l->step == VR_LEASE_RETURNING;
}

static bool waits(const struct vr_lease *l)
{
    return l->step == VR_LEASE_STOPPING || l->step == VR_LEASE_RETURNING;
}

enum vr_lease_act vr_lease_due(struct vr_lease *l, int64_t now)
{
    if (asks(l) && l->ask_at <= now) {
        int64_t pause = AGAIN_MS + (now - l->since) / AGAIN_PART;

        l->ask_at = now + (pause < AGAIN_MS_MAX ? pause : AGAIN_MS_MAX);
        return l->step == VR_LEASE_ASKED ? VR_LEASE_ASK_GRANT
                                         : VR_LEASE_ASK_REVOKE;
    }
    if (waits(l) && l->kill_at <= now) {
        /* A domain that is paused may be so for long: each time after twice
         * the time. */
        l->kill_at = now + (now - l->since) + l->patience_ms;
        return VR_LEASE_KILL;
    }
    return VR_LEASE_NOTHING;
}

int64_t vr_lease_next(const struct vr_lease *l)
{
    int64_t next = asks(l) ? l->ask_at : 0;

    if (waits(l) && (!next || l->kill_at < next))
        next = l->kill_at;
    return next;
}

void vr_lease_end(struct vr_lease *l)
{
    l->step = VR_LEASE_NONE;
    l->kept = false;
}

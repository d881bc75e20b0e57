/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done, and when, against a backend that holds memory which the guest
 * has taken back (docs/revocation.md). Pure: endpoints and times in, steps out.
 *
 * Each endpoint of the virtio-iommu stands on a ladder of its own, whose last
 * step concerns its driver domain, and with it all endpoints that this domain
 * serves. Whoever has asked for the memory waits meanwhile, so there is also a
 * budget for waits that end before the first step is due: a backend that
 * exceeds it is given no more time.
 *
 * Times are in milliseconds, by a clock that does not go back.
 */
#ifndef VR_LADDER_H
#define VR_LADDER_H

#include <stdbool.h>
#include <stdint.h>

#include "libs/base/vr.h"

/* A grant copy that is under way ends in so much time, or never by itself. */
#define VR_GRACE_MS 20
/* A killed process is gone in so much time, or its kernel does not answer. */
#define VR_DESTROY_MS 1500
/* Whoever acts may have missed what it was told: it is told again. */
#define VR_AGAIN_MS 5000
/* What an endpoint's backend may keep the guest waiting, one wait after the
 * other: so long, and a part of the time that goes by since. */
#define VR_BUDGET_MS   200
#define VR_BUDGET_PART 50

enum vr_step {
    VR_STEP_NONE,    /* nothing is in the way */
    VR_STEP_WAIT,    /* a copy under way ends by itself */
    VR_STEP_STOP,    /* its device was stopped */
    VR_STEP_KILL,    /* its process is being killed */
    VR_STEP_STUCK,   /* its domain serves others: the operator has to decide */
    VR_STEP_DESTROY, /* its domain is being destroyed */
};

/* What is to be done now. */
enum vr_act {
    VR_ACT_NONE,
    VR_ACT_STOP,       /* stop the device */
    VR_ACT_STOP_SPENT, /* ... because its budget is used up */
    VR_ACT_KILL,       /* kill the backend's process */
    VR_ACT_DESTROY,    /* destroy its domain, or tell that it is stuck */
};

struct vr_ladder_ep {
    /* given */
    unsigned int driver; /* its driver domain, below VR_MAX_DEVICES */
    bool owned;          /* which may be destroyed */
    uint32_t revoke_ms;  /* how long a backend has to obey */
    /* state */
    enum vr_step step;
    int64_t since;   /* when that step was taken */
    int64_t waiting; /* ... and the first one; 0: nobody waits */
    int64_t paid;    /* when all that was waited for will be made up for */
};

struct vr_ladder {
    struct vr_ladder_ep ep[VR_MAX_DEVICES];
    bool destroyed[VR_MAX_DEVICES]; /* by driver domain: that was asked for */
};

/**
 * vr_ladder_destroyed() - was the end of endpoint @i's driver domain asked for?
 * Xen releases a domain's grants first and takes its hardware away later: until
 * all of it is gone, what the entries say is not enough.
 */
bool vr_ladder_destroyed(const struct vr_ladder *l, unsigned int i);

/**
 * vr_ladder_climb() - memory of endpoint @i is still in use: which step is due?
 * @now: the time, not 0. @at_once: a backend that obeys has let go already, so
 * that there is nothing to wait for.
 */
enum vr_act vr_ladder_climb(struct vr_ladder *l, unsigned int i, int64_t now,
                            bool at_once);

/** vr_ladder_down() - none is in use any more, or nobody waits for it. */
void vr_ladder_down(struct vr_ladder *l, unsigned int i, int64_t now);

#endif /* VR_LADDER_H */

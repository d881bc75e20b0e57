/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often may somebody who is not trusted make us do something? Pure: the
 * time is passed in. Of both structures all zero is the beginning.
 */
#ifndef VR_RATE_H
#define VR_RATE_H

#include "vr.h"

/*
 * So many at once, and in the long run one in a period: a bucket of tokens,
 * kept as the time at which it will be full again.
 */
struct vr_rate {
    int64_t full_at;
};

/**
 * vr_rate_take() - may it be done once more?
 * @now, @period: in the same unit. @burst: so many at once.
 * In any time t no more than @burst + t / @period are let through.
 */
bool vr_rate_take(struct vr_rate *r, int64_t now, int64_t period,
                  unsigned int burst);

/*
 * Interrupts that a backend asks for. Whether there is anything in the used
 * ring cannot be told without the guest's memory, and would prove nothing:
 * the backend writes that ring. What it cannot forge is what the guest does.
 *
 * A notification of the guest's stands for VR_PACE_PER_KICK interrupts, which
 * are not delayed. There may be more than it has notifications, since a driver
 * gives none while the backend is at work. For these counts how long the guest
 * takes to acknowledge one: until the next it has VR_PACE_REST times as long
 * for itself, VR_PACE_MIN_NS at least. What comes earlier is delayed, so that
 * several become one; none is lost. Of a guest that acknowledges none, since
 * it is told by messages, it is not known how long it takes: the next one is
 * VR_PACE_UNTOLD_NS later.
 */
#define VR_PACE_PER_KICK  2
#define VR_PACE_PAID_MAX  64
#define VR_PACE_REST      3
#define VR_PACE_MIN_NS    50000
#define VR_PACE_UNTOLD_NS 200000
/* A vCPU that was not running has not taken so long for the interrupt. */
#define VR_PACE_MAX_NS 100000000

struct vr_pace {
    unsigned int paid; /* interrupts that notifications still stand for */
    int64_t raised;    /* when one of the others was; 0: it is acknowledged */
    int64_t next;      /* the next of the others not before */
};

/** vr_pace_kick() - the guest has notified the device. */
void vr_pace_kick(struct vr_pace *p);

/** vr_pace_paid() - is the next interrupt one that a notification stands for?
 * Then it may be raised, and counts as raised. */
bool vr_pace_paid(struct vr_pace *p);

/** vr_pace_take() - if not: may it be raised now? Then it counts as raised. */
bool vr_pace_take(struct vr_pace *p, int64_t now_ns);

/** vr_pace_acked() - the interrupt was acknowledged. */
void vr_pace_acked(struct vr_pace *p, int64_t now_ns);

/** vr_pace_untold() - the interrupt that was just raised will not be
 * acknowledged. */
void vr_pace_untold(struct vr_pace *p);

#endif /* VR_RATE_H */

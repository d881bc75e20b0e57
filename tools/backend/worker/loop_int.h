/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the device loop share:
 *
 *   loop.c     the rounds: the broker's requests, popping, waiting
 *   setup.c    making and freeing a loop
 *   publish.c  what is done, and when the guest is told
 *   lend.c     queues that somebody else serves
 */
#ifndef VR_LOOP_INT_H
#define VR_LOOP_INT_H

#include <errno.h>

#include "libs/base/rate.h"
#include "libs/survey/count.h"
#include "loop.h"

#define NS_PER_US       INT64_C(1000)
#define COALESCE_MAX_NS (2000 * NS_PER_US)
/* Bounds of the wait for the next completion before we ask for kicks. */
#define GAP_MIN_NS (20 * NS_PER_US)

struct vr_loop {
    struct vr_dev dev;
    bool opened;         /* the memory is */
    bool begun;          /* the type has */
    size_t stride;       /* from one request to the next */
    size_t io_offset;    /* from a request to the type's part of it */
    void *requests;      /* all there can be */
    size_t requests_len; /* bytes */
    int64_t looked;      /* when serve->look() was called */
    uint32_t generation; /* of dev.req; acked or about to be */
    bool acked;
    bool senseless;             /* the request makes no sense */
    bool retry;                 /* the request could not be read this time */
    bool armed;                 /* kicks are asked for */
    bool masked;                /* events were heard and not unmasked */
    unsigned int nqueues;       /* queues that may be running */
    uint64_t lent;              /* those that somebody else serves */
    struct vr_request *waiting; /* popped, but start() had no room for it */
    uint64_t intr;              /* queues whose guest is to be told */
    uint64_t rung[VR_BELLS];    /* ... in which way */
    bool own_rang;              /* a queue's own bell, in this round */
    bool useful;                /* something was taken since one did */
    struct vr_rate idle;        /* their rings about nothing */
    int64_t quiet_until;        /* they are not heard; 0: they are */
    int64_t last_progress;
    int64_t poll_ns; /* adaptive, up to cfg.poll_us */
    struct vr_survey_count *count;
    uint32_t survey; /* what @count is for; 0: there is none */
    int64_t last_pool_log;
    bool pool;             /* mapped */
    struct vr_err no_pool; /* why it is not */
};

/* Publishes what is done, decides who is told, and tells them all at once. */
void vr_loop_publish(struct vr_loop *l);

/* When the guest has to be told of completions at the latest. */
int64_t vr_held_deadline(const struct vr_queue *q);

/* A few times the usual distance of two completions, bounded. */
int64_t vr_gap_limit(const struct vr_queue *q);

/* Queue @i begins, and is lent; if not, its fault is set. @again: a former
 * process had it. */
void vr_loop_lend(struct vr_loop *l, unsigned int i, bool again);

/* Nobody else has queue @i when it returns. */
void vr_loop_recall(struct vr_loop *l, unsigned int i);

/* The guest may have kicked @queues: those that are lent hear of it. */
void vr_loop_kick(struct vr_loop *l, uint64_t queues);

#endif /* VR_LOOP_INT_H */

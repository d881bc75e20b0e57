/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counting what a survey is about, from the chains that a backend takes from
 * its queues. For the backend's loop; nothing is called while there is no
 * survey. Pure.
 */
#ifndef VR_SURVEY_COUNT_H
#define VR_SURVEY_COUNT_H

#include "libs/window/window.h"
#include "figures.h"

/* So many buffers are looked at, and from then on those of a run of requests in
 * each so many; of the others only the room that they take is known. */
#define VR_SURVEY_ALL   4096u
#define VR_SURVEY_RUN   32u
#define VR_SURVEY_EVERY 512u
/* Pages that are remembered, of those met last. */
#define VR_SURVEY_PAGES 1024u

struct vr_survey_count {
    struct vr_survey_figures *f; /* where they are shown */
    int64_t began;
    uint64_t met; /* buffers */
    /* Under way: */
    uint64_t requests, bytes, small, pages;
    /* The last buffers, by page. */
    struct vr_survey_page {
        uint64_t page; /* its number and 1; 0: none */
        uint64_t met;  /* when */
        uint32_t begin, end;
    } page[VR_SURVEY_PAGES];
    /* Chains under way, by queue and head. */
    uint64_t taken[VR_MAX_QUEUES][VR_MAX_QUEUE_SIZE / 64];
    struct vr_survey_chain {
        int64_t start;
        uint64_t bytes;
        uint32_t small, pages;
    } chain[VR_MAX_QUEUES][VR_MAX_QUEUE_SIZE];
};

/**
 * vr_survey_begin() - from nothing.
 * @session: not 0. @now: nanoseconds.
 */
void vr_survey_begin(struct vr_survey_count *c, struct vr_survey_figures *f,
                     uint64_t session, int64_t now);

/**
 * vr_survey_take() - @chain was taken from queue @q, and is as the queue had
 * it. @local: its buffers are memory here.
 */
void vr_survey_take(struct vr_survey_count *c, unsigned int q,
                    const struct vr_chain *chain, bool local, int64_t now);

/**
 * vr_survey_look() - chains of queue @q that are not in @busy (a bit for each
 * head; NULL: the queue is stopped) have ended.
 */
void vr_survey_look(struct vr_survey_count *c, unsigned int q,
                    const uint64_t *busy, int64_t now);

#endif /* VR_SURVEY_COUNT_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a device's pool may be reached by its backend: while the guest's driver
 * has the device running, and no longer. Kept by the broker's worker for each
 * device; the grants themselves are written and taken back by the supervisor,
 * which the worker asks. Pure: time comes in, nothing is called.
 *
 *            driver starts      supervisor: granted
 *   PRIVATE ---------------> ASKED ---------------> GRANTED
 *      ^                       | driver stops           | driver stops
 *      | supervisor:           v                        |
 *      | private             STOPPING <-----------------+
 *      +------ RETURNING <-----+
 *                     backend acknowledges
 *
 * A request with run = 1 is kept back until the pool is granted: the backend
 * does not hear of it before it can map. One with run = 0 is published at once,
 * and counts as acknowledged when the pool is private again.
 *
 * What is asked of the supervisor is asked again until there is an answer, so
 * that neither a message nor an answer can be lost. An answer that comes twice,
 * or too late, does not fit the step and does nothing.
 */
#ifndef VR_LEASE_H
#define VR_LEASE_H

#include "libs/proto/ctrl.h"

enum vr_lease_step {
    VR_LEASE_NONE = 0, /* the device has no pool, or its backend is gone */
    VR_LEASE_PRIVATE,
    VR_LEASE_ASKED,
    VR_LEASE_GRANTED,
    VR_LEASE_STOPPING,  /* the backend is to stop */
    VR_LEASE_RETURNING, /* it has; the grants are being taken back */
};

struct vr_lease {
    enum vr_lease_step step;
    bool kept; /* req waits for the grants */
    struct vr_ctrl_request req;
    unsigned int patience_ms;
    int64_t since; /* when the step was taken */
    int64_t ask_at, kill_at;
};

/* What the supervisor has done. */
enum vr_lease_answer {
    VR_LEASE_IS_GRANTED,
    VR_LEASE_IS_REFUSED, /* entries are not free */
    VR_LEASE_IS_PRIVATE,
};

enum vr_lease_act {
    VR_LEASE_NOTHING,
    VR_LEASE_ASK_GRANT,
    VR_LEASE_ASK_REVOKE,
    VR_LEASE_KILL,    /* the backend does not let go */
    VR_LEASE_PUBLISH, /* lease->req */
    VR_LEASE_FAIL,    /* the device: its pool cannot be granted */
    VR_LEASE_QUIET,   /* the request with run = 0 is carried out */
};

/**
 * vr_lease_init() - @pages: of the device's pool; 0: it has none, and nothing
 * is ever kept back. @patience_ms: how long a backend may take to stop, apart
 * from what unmapping so many pages takes.
 */
void vr_lease_init(struct vr_lease *l, uint32_t pages,
                   unsigned int patience_ms);

/**
 * vr_lease_request() - the driver wants what @req says.
 * Returns whether it is to be published at once; it is kept otherwise.
 */
bool vr_lease_request(struct vr_lease *l, const struct vr_ctrl_request *req,
                      int64_t now);

/**
 * vr_lease_acked() - the backend has acknowledged what was published last.
 * Returns whether that is all. Else the pool comes first, see
 * VR_LEASE_QUIET.
 */
bool vr_lease_acked(struct vr_lease *l, int64_t now);

/** vr_lease_answer() - the supervisor answers. Returns what follows from it. */
enum vr_lease_act vr_lease_answer(struct vr_lease *l,
                                  enum vr_lease_answer answer, int64_t now);

/** vr_lease_due() - what is to be done now; call it until there is nothing. */
enum vr_lease_act vr_lease_due(struct vr_lease *l, int64_t now);

/** vr_lease_next() - when vr_lease_due() has something to say; 0: never. */
int64_t vr_lease_next(const struct vr_lease *l);

/** vr_lease_end() - the driver domain has ended: nothing is asked for any
 * more. */
void vr_lease_end(struct vr_lease *l);

#endif /* VR_LEASE_H */

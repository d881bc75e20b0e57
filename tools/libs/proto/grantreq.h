/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a device's worker asks its granter for (granter.h), in memory that the
 * two share, and the granter's side of it. The worker reads what a guest
 * writes, so it counts as hostile: all that it asks is copied once and checked
 * on the copy. Whatever it writes, no grant outside of the device's two windows
 * is named, copies reach no grant of the pool and no memory but the arena, and
 * the number of pages registered at a time is bounded.
 *
 * One request may do all of these, in this order:
 *
 *   drop  what is not mapped any more is forgotten: Xen lets go of the pages
 *   copy  pieces, between grants and the arena
 *   add   grants are registered, to be mapped as one piece
 *
 * Pure: no Xen calls, no allocation.
 */
#ifndef VR_GRANTREQ_H
#define VR_GRANTREQ_H

#include "libs/window/gcopy.h"

#define VR_GRANTREQ_SEGS  1024u
#define VR_GRANTREQ_DROPS 64u

struct vr_grantreq_seg {
    uint32_t ref;
    uint32_t local; /* byte of the arena */
    uint16_t offset;
    uint16_t len;
    uint16_t to_guest;
    int16_t status; /* the granter's */
};

/* What was registered at once: pages of the descriptor's offsets. */
struct vr_grantreq_run {
    uint32_t first, count;
};

struct vr_grantreq {
    /* The worker's. @asked changes when a request is complete. */
    uint32_t asked;
    uint32_t ndrops, nsegs, nrefs;
    struct vr_grantreq_run drop[VR_GRANTREQ_DROPS];
    uint8_t pad[48];
    /* The granter's. @done becomes what @asked was. */
    uint32_t done;
    int32_t rc;       /* 0 or -errno, of the first thing that failed */
    uint32_t dropped; /* how many of @drop */
    uint32_t first;   /* of what was registered */
    uint8_t pad2[48];
    struct vr_grantreq_seg seg[VR_GRANTREQ_SEGS];
    uint32_t refs[]; /* vr_grantserver.max_refs */
};

/* Who does it: gntdev; the tests have one of plain memory. Each returns 0 or
 * -errno. */
struct vr_grant_ops {
    int (*add)(void *ctx, const uint32_t *refs, uint32_t n, uint32_t *first);
    int (*drop)(void *ctx, uint32_t first, uint32_t n);
    /* Fills in each status; -errno: it is not known what was copied. */
    int (*copy)(void *ctx, struct vr_gseg *seg, unsigned int n);
};

/* The granter's own memory. */
struct vr_grantserver {
    struct vr_gwin pool, iova; /* size 0: there is none */
    uint8_t *arena;
    size_t arena_size;
    const struct vr_grant_ops *ops;
    void *ctx;
    uint32_t max_refs; /* of one request; room for so many: */
    uint32_t *refs;
    uint32_t max_pages, pages; /* the most registered, and now */
    struct vr_gseg seg[VR_GRANTREQ_SEGS];
};

/** vr_grantreq_size() - bytes of a request with room for @max_refs. */
static inline size_t vr_grantreq_size(uint32_t max_refs)
{
    return sizeof(struct vr_grantreq) + max_refs * sizeof(uint32_t);
}

/**
 * vr_grantreq_serve() - do what @req asks for now.
 * Returns what it has put into @req->rc: -EACCES (names what is not the
 * device's), -EINVAL (senseless), -ENOSPC (too much is registered), or the
 * error of @s->ops.
 */
int vr_grantreq_serve(struct vr_grantserver *s, struct vr_grantreq *req);

#endif /* VR_GRANTREQ_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who can reach which pages of a guest: read from a copy of its grant table
 * and compared with the windows that were declared. Pure.
 *
 * In a static window a page counts as declared only where entry, frame, domain
 * and access are exactly what the window says, and all have to be there while
 * the pool is granted, none otherwise (pools.h). In a dynamic one an entry may
 * be there or not, for any frame of the guest's RAM, read-only or not. If it is
 * known which pages the guest had mapped at that instant (maps.h), exactly
 * these must have an entry. Whatever else a device's driver domain can reach is
 * excess, even when the guest itself granted it: the claim is about what that
 * domain can reach, not about who allowed it. An entry of a dynamic window that
 * grants to another domain is excess as well.
 */
#ifndef VR_AUDIT_H
#define VR_AUDIT_H

#include "libs/window/gntent.h"
#include "libs/proto/pools.h"
#include "libs/config/record.h"

/* Windows of one guest. */
#define VR_AUDIT_WINDOWS (VR_MAX_DEVICES * VR_WINDOWS)

struct vr_audit_window {
    uint16_t domid; /* the driver domain */
    bool dynamic;
    enum vr_pool_state pool; /* static: whether it is granted */
    uint32_t gfn; /* static: first frame; dynamic: first page of IOVA space */
    uint32_t gref;
    uint32_t count;         /* pages */
    const uint64_t *mapped; /* dynamic: bit per page; NULL: not known */
};

enum vr_audit_kind {
    VR_AUDIT_WINDOW,  /* declared and there */
    VR_AUDIT_MISSING, /* declared (static: and granted; dynamic: mapped), but
                       * the table has no such entry */
    VR_AUDIT_EXCESS,  /* reachable by a driver domain or through a dynamic
                       * window, and not declared */
    VR_AUDIT_OTHER,   /* for a domain that serves no device of ours */
};

struct vr_audit_range {
    enum vr_audit_kind kind;
    uint16_t domid;
    bool readonly;
    /* guest frames, consecutive; but pages of IOVA space where kind is MISSING
     * and the window dynamic */
    uint32_t first, last;
    uint32_t entries;    /* entries that grant them, >= frames */
    uint32_t in_use;     /* of these: mapped or being copied now */
    uint32_t gref;       /* of the first */
    unsigned int window; /* index, for WINDOW, MISSING, and EXCESS through a
                          * dynamic window; else the number of windows */
};

/* One domain's sum. */
struct vr_audit_dom {
    uint16_t domid;
    bool driver;                        /* some window names it */
    uint32_t pages;                     /* different frames that it can reach */
    uint32_t declared, missing, excess; /* frames */
    uint32_t in_use;
};

struct vr_audit {
    struct vr_audit_range *ranges; /* sorted by domain, kind, frame */
    unsigned int nranges;
    struct vr_audit_dom *doms; /* the driver domains in any case */
    unsigned int ndoms;
    /* right entries of each window */
    uint32_t live[VR_AUDIT_WINDOWS];
    uint32_t odd;  /* entries of types other than a plain grant */
    uint32_t lost; /* entries of windows that the guest has overwritten */
    bool ok;       /* nothing missing, nothing in excess */
};

/**
 * vr_audit_run() - judge @n entries, of which the first is reference 0.
 * @win: the declared windows, VR_AUDIT_WINDOWS at most; they do not overlap.
 * @ram: the guest's RAM, for dynamic windows.
 * Returns 0, -EINVAL (too many windows) or -ENOMEM. Free with vr_audit_free().
 */
int vr_audit_run(const struct vr_gntent *entries, uint32_t n,
                 const struct vr_audit_window *win, unsigned int nwin,
                 const struct vr_record_ram *ram, unsigned int nram,
                 struct vr_audit *out);
void vr_audit_free(struct vr_audit *audit);

#endif /* VR_AUDIT_H */

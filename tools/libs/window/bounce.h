/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded stock of memory that payload passes through on its way between a
 * guest that is reached by grant copies and the device's resource. Pieces are
 * runs of pages, contiguous, lowest first, so that a light load touches little
 * of it. Pure. One thread.
 */
#ifndef VR_BOUNCE_H
#define VR_BOUNCE_H

#include "libs/base/vr.h"

#define VR_BOUNCE_MAX 1024u /* pages */

struct vr_bounce {
    uint8_t *mem;
    unsigned int pages;
    uint64_t used[VR_BOUNCE_MAX / 64]; /* bit per page; set beyond the last */
};

/** vr_bounce_init() - @mem: @pages (1 to VR_BOUNCE_MAX) pages. */
void vr_bounce_init(struct vr_bounce *b, void *mem, unsigned int pages);

/** vr_bounce_get() - a run of @pages (not 0), NULL if there is none now. */
void *vr_bounce_get(struct vr_bounce *b, unsigned int pages);

/** vr_bounce_put() - give back exactly what vr_bounce_get() returned. */
void vr_bounce_put(struct vr_bounce *b, void *p, unsigned int pages);

#endif /* VR_BOUNCE_H */

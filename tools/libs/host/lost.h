/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries of a guest's windows that the guest has written its own grants over.
 *
 * Nobody else writes there while it runs, and Linux does when its own grants do
 * not fit in front of the windows (reserve.h). Such an entry may be empty
 * again: the guest has taken its grant back, not knowing whose place it was.
 * Pure.
 */
#ifndef VR_LOST_H
#define VR_LOST_H

#include "libs/window/gntent.h"
#include "libs/config/record.h"

/* What the entries of a window have to be. */
enum vr_lost_rule {
    VR_LOST_POOL,    /* a granted pool: each as it was written */
    VR_LOST_PRIVATE, /* a pool that is not granted: each empty */
    VR_LOST_DYNAMIC, /* an empty one tells nothing; one that is not for the
                      * driver domain is lost */
};

/**
 * vr_lost_count() - how many entries of a window are lost.
 * @e: the entries of @win, which are @domid's.
 */
uint32_t vr_lost_count(const struct vr_gntent *e, const struct vr_gwin *win,
                       enum vr_lost_rule rule, uint16_t domid);

/**
 * vr_lost_text() - says so: what happened, why, and what to do.
 * @what: "its windows", of whose @of entries @lost are lost.
 */
void vr_lost_text(struct vr_err *text, const struct vr_record *rec,
                  const char *what, uint32_t lost, uint32_t of);

#endif /* VR_LOST_H */

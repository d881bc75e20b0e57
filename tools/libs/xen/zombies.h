/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests that have ended, but not quite: a shared driver domain keeps some of
 * their pages, which Xen therefore cannot free.
 *
 * Nothing can be done for them but to end what keeps the pages, in the driver
 * domain or with it. So a guest of the same uuid may start meanwhile; but who
 * keeps what is noted, shown, and counted, since each of them takes memory.
 *
 * The note is /libxl/<B>/virtio_restricted_zombies/<domid>, which goes with the
 * driver domain B: "<uuid> <pages> <name>". It is written before the domain
 * ends. Nobody has to remove it: it counts as long as there is a domain of this
 * number and uuid that is dying.
 */
#ifndef VR_ZOMBIES_H
#define VR_ZOMBIES_H

#include <xenctrl.h>
#include <xenstore.h>

#include "libs/base/vr.h"

/* So many of one guest, and of all, may one driver domain keep; a further one
 * does not start. The first limit is the lower: what is in use shows in memory
 * that a guest can write to, so it may be lying about its own lives, and must
 * not be able to use up what all share. */
#define VR_ZOMBIES_OWN 4
#define VR_ZOMBIES_MAX 16

struct vr_zombie {
    uint32_t domid;
    uint32_t pages; /* kept, when it ended; 0: not known */
    char uuid[VR_UUID_LEN + 1];
    char name[VR_NAME_LEN + 1];
};

/** vr_zombie_parse() - the value of a note. Returns whether it is one. */
bool vr_zombie_parse(const char *value, struct vr_zombie *z);

/**
 * vr_zombie_note() - driver domain @b keeps pages of @z, which is about to end.
 * Removes notes that do not count any more. Returns 0 or -errno.
 */
int vr_zombie_note(xc_interface *xch, struct xs_handle *xs, uint32_t b,
                   const struct vr_zombie *z);

/**
 * vr_zombie_list() - those of driver domain @b, up to @max of them in @out.
 * Returns how many there are.
 */
unsigned int vr_zombie_list(xc_interface *xch, struct xs_handle *xs, uint32_t b,
                            struct vr_zombie *out, unsigned int max);

#endif /* VR_ZOMBIES_H */

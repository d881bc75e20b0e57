/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Driver domains that are to go down.
 *
 * A driver domain must not end before the guests that it serves: their last
 * writes would be lost. One that is asked to go down too early stays up, and
 * the toolstack keeps a note. Whoever ends the last guest asks it again.
 *
 * The note is /libxl/<B>/virtio_restricted_down, which goes with the domain;
 * "<poweroff|reboot> <milliseconds since boot>". Nobody has to remove a note
 * that was not acted upon: it lapses.
 *
 * No race can lose it. Who keeps a note looks again, after that, whether there
 * still are guests. Who ends a guest removes its record first and looks for a
 * note then.
 */
#ifndef VR_DOWN_H
#define VR_DOWN_H

#include <xenctrl.h>
#include <xenstore.h>

#include "libs/config/record.h"

/* Guests may take long to shut down, but a driver domain is not to go down
 * with a guest that ends days later. */
#define VR_DOWN_MS (60 * 60 * 1000)

enum vr_down {
    VR_DOWN_NO,
    VR_DOWN_POWEROFF,
    VR_DOWN_REBOOT,
};

/** vr_down_name() - "poweroff", "reboot"; NULL for VR_DOWN_NO. */
const char *vr_down_name(enum vr_down how);

/** vr_down_note() - domain @b is to go down when no guest uses it any more.
 * Returns 0 or -errno. */
int vr_down_note(struct xs_handle *xs, uint32_t b, enum vr_down how);

/** vr_down_noted() - is it? VR_DOWN_NO also when the note has lapsed. */
enum vr_down vr_down_noted(struct xs_handle *xs, uint32_t b);

/** vr_down_forget() - it is not, or has been asked. */
void vr_down_forget(struct xs_handle *xs, uint32_t b);

/**
 * vr_down_ask() - ask domain @b to do what was noted, and forget the note.
 * Does not wait for it. Returns 0, -ENOENT (nothing was) or -errno.
 */
int vr_down_ask(struct xs_handle *xs, uint32_t b);

/**
 * vr_down_guests() - the guests that use driver domain @b, by their records.
 * Those that have shut down do not; those that reboot, or are suspended, do.
 * @but: the uuid of a guest that does not count; NULL: all do.
 * @names: a list for a message, cut where it is too long; may be NULL.
 * Returns how many, or -errno.
 */
int vr_down_guests(xc_interface *xch, uint32_t b, const char *but, char *names,
                   size_t size);

#endif /* VR_DOWN_H */

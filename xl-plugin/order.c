/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order in which a guest and its driver domains go (xen/down.h). Called
 * when xl is to end a domain, and by create.c, whose guest must not come when
 * its driver domain goes. Reads xenstore, and writes its one note there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libs/xen/down.h"
#include "libs/proto/xsnode.h"

#include <libxl_utils.h>

#include "state.h"

/* Has the domain a folder for our devices? Then it is, or was, a driver domain,
 * and the records are worth reading. */
static bool serves(struct xs_handle *xs, uint32_t domid)
{
    char path[VR_XS_PATH], **guests;
    unsigned int n = 0;

    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/backend/" VR_NAME,
             domid);
    guests = xs_directory(xs, XBT_NULL, path, &n);
    free(guests);
    return n;
}

int vr_order_guests(uint32_t domid, char *names, size_t size)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    struct xs_handle *xs = xs_open(0);
    int rc = -EIO;

    if (xch && xs)
        rc = serves(xs, domid) ? vr_down_guests(xch, domid, NULL, names, size)
                               : 0;
    if (xs)
        xs_close(xs);
    if (xch)
        xc_interface_close(xch);
    return rc;
}

bool vr_order_down(libxl_ctx *ctx, uint32_t domid, bool reboot)
{
    const enum vr_down how = reboot ? VR_DOWN_REBOOT : VR_DOWN_POWEROFF;
    char guests[VR_ORDER_NAMES], *name = NULL;
    struct xs_handle *xs;
    bool later = false;

    if (vr_order_guests(domid, NULL, 0) <= 0)
        return false;
    xs = xs_open(0);
    if (!xs || vr_down_note(xs, domid, how))
        goto out;
    /* The last one may have ended before it could see the note. */
    later = vr_order_guests(domid, guests, sizeof(guests)) > 0;
    if (!later) {
        vr_down_forget(xs, domid);
        goto out;
    }
    name = libxl_domid_to_name(ctx, domid);
    vr_say("virtio_restricted: driver domain %s waits with its %s, up to %d "
           "min, for the guests that use it: %s; shut them down (`xl destroy` "
           "of the driver domain would lose their data)",
           name ? name : "?", vr_down_name(how), VR_DOWN_MS / 60000, guests);
out:
    if (xs)
        xs_close(xs);
    free(name);
    return later;
}

int vr_order_check(const struct vr_record *rec, struct vr_err *err)
{
    struct xs_handle *xs = xs_open(0);
    enum vr_down how = VR_DOWN_NO;
    unsigned int i;

    for (i = 0; xs && i < rec->ndevs; i++) {
        const struct vr_record_driver *d = &rec->drivers[rec->devs[i].driver];

        if (!d->owned)
            how = vr_down_noted(xs, d->domid);
        if (!how)
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: backend=%s is to %s when its "
                   "guests have ended: let it, or take that back by "
                   "`xenstore-rm /libxl/%" PRIu32 "/" VR_NAME "_down`",
                   i, rec->devs[i].cfg.backend, vr_down_name(how), d->domid);
        break;
    }
    if (xs)
        xs_close(xs);
    return how ? -EBUSY : 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What xl must not do to a domain while it has, or serves, restricted devices.
 * Called by plugin.c before libxl is. Looks and says why; all that is changed
 * is the file that `xl save` has begun.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "state.h"

bool vr_refuse_driver(libxl_ctx *ctx, uint32_t domid, const char *what,
                      const char *remedy)
{
    char guests[VR_ORDER_NAMES], *name;

    if (vr_order_guests(domid, guests, sizeof(guests)) <= 0)
        return false;
    name = libxl_domid_to_name(ctx, domid);
    vr_say("virtio_restricted: driver domain %s cannot %s: guests use it: %s; "
           "shut them down first%s",
           name ? name : "?", what, guests, remedy);
    free(name);
    return true;
}

bool vr_refuse_move(libxl_ctx *ctx, uint32_t domid, const char *what)
{
    struct vr_record *rec = malloc(sizeof(*rec));
    int rc = rec ? vr_find_record(ctx, domid, rec) : -ENOMEM;
    bool yes = true;

    if (!rc) {
        vr_say("virtio_restricted: guest %s cannot %s: its driver domains "
               "hold its windows; use xl shutdown and xl create",
               rec->name, what);
    } else if (rc != -ENOENT) {
        vr_say("virtio_restricted: cannot read the record of domain %" PRIu32
               " (%s): look at `vrctl list`",
               domid, strerror(-rc));
    } else {
        yes = vr_refuse_driver(ctx, domid, what, "");
    }
    free(rec);
    return yes;
}

/*
 * xl has opened the file and written its header before it asks us. Left there,
 * it would pass for a saved domain: xendomains tries to restore it at the next
 * boot and, when that fails, does not start the domain either.
 */
void vr_refuse_file(int fd)
{
    char link[32], path[PATH_MAX];
    struct stat a, b;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return;
    path[n] = '\0';
    if (!fstat(fd, &a) && S_ISREG(a.st_mode) && !lstat(path, &b) &&
        a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        unlink(path);
}

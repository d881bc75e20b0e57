/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What xenstore is told of a device. For the other files here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices_int.h"

static bool write_node(struct devices *ds, const struct device *d,
                       const char *leaf, const char *value)
{
    char path[VR_XS_PATH];

    node_path(d, leaf, path);
    /* Nodes that were withdrawn meanwhile cannot be made anew by us, which is
     * right. */
    return xs_write(ds->xs, XBT_NULL, path, value, strlen(value)) ||
           store_refused(errno);
}

void devices_write_said(struct devices *ds, struct device *d)
{
    char value[16];

    snprintf(value, sizeof(value), "%d", d->said);
    d->unsaid = !write_node(ds, d, "error", d->error);
    if (!d->unsaid && d->said != VR_XB_UNKNOWN)
        d->unsaid = !write_node(ds, d, "state", value);
    ds->unread |= d->unsaid;
}

void devices_say(struct devices *ds, struct device *d, enum vr_xbstate state,
                 const char *error)
{
    d->said = state;
    snprintf(d->error, sizeof(d->error), "%s", error);
    if (d->present)
        devices_write_said(ds, d);
}

void devices_say_why(struct devices *ds, struct device *d, const char *error)
{
    devices_say(ds, d, d->said, error);
}

void devices_fail(struct devices *ds, struct device *d, const char *why)
{
    vr_log(d->guest, d->id, "%s", why);
    d->state = DEV_FAILED;
    devices_say(ds, d, VR_XB_CLOSED, why);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notes in xenstore of guests that have ended but of which a driver domain
 * keeps pages: written by clean-up, read by vrctl list and the plug-in.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/base/text.h"
#include "libs/proto/xsnode.h"
#include "compat.h"
#include "domstate.h"
#include "zombies.h"

static char *folder(char *path, uint32_t b)
{
    snprintf(path, VR_XS_PATH, "/libxl/%" PRIu32 "/" VR_NAME "_zombies", b);
    return path;
}

static char *note_path(char *path, uint32_t b, uint32_t domid)
{
    snprintf(path, VR_XS_PATH,
             "/libxl/%" PRIu32 "/" VR_NAME "_zombies/%" PRIu32, b, domid);
    return path;
}

bool vr_zombie_parse(const char *value, struct vr_zombie *z)
{
    const char *pages = value + VR_UUID_LEN + 1, *name = strchr(value, ' ');
    char number[12] = "";
    uint64_t v;

    if (!name || name != value + VR_UUID_LEN)
        return false;
    name = strchr(pages, ' ');
    if (!name || (size_t)(name - pages) >= sizeof(number))
        return false;
    memcpy(z->uuid, value, VR_UUID_LEN);
    z->uuid[VR_UUID_LEN] = '\0';
    memcpy(number, pages, name - pages);
    if (!vr_uuid_valid(z->uuid) || vr_parse_u64(number, UINT32_MAX, &v) ||
        !vr_name_valid(name + 1))
        return false;
    z->pages = v;
    strcpy(z->name, name + 1);
    return true;
}

/* Is it, still or already, what the note says it will be? */
static bool counts(xc_interface *xch, const struct vr_zombie *z)
{
    char uuid[VR_UUID_LEN + 1];
    xc_domaininfo_t info;

    return !vr_domain_info(xch, z->domid, &info) &&
           vr_domain_state(&info) == VR_DOM_DYING &&
           !strcmp(vr_uuid_format(info.handle, uuid), z->uuid);
}

static bool read_note(struct xs_handle *xs, uint32_t b, const char *node,
                      struct vr_zombie *z)
{
    char path[VR_XS_PATH], *value;
    unsigned int len = 0;
    uint64_t domid;
    bool is_one;

    if (vr_parse_u64(node, VR_DOMID_MAX, &domid))
        return false;
    z->domid = domid;
    value = xs_read(xs, XBT_NULL, note_path(path, b, domid), &len);
    is_one = value && vr_zombie_parse(value, z);
    free(value);
    return is_one;
}

unsigned int vr_zombie_list(xc_interface *xch, struct xs_handle *xs, uint32_t b,
                            struct vr_zombie *out, unsigned int max)
{
    unsigned int i, num = 0, n = 0;
    char path[VR_XS_PATH];
    char **nodes = xs_directory(xs, XBT_NULL, folder(path, b), &num);
    struct vr_zombie z;

    for (i = 0; nodes && i < num; i++) {
        if (!read_note(xs, b, nodes[i], &z) || !counts(xch, &z))
            continue;
        if (n < max)
            out[n] = z;
        n++;
    }
    free(nodes);
    return n;
}

/* Those that have gone at last, or had not been zombies after all. */
static void prune(xc_interface *xch, struct xs_handle *xs, uint32_t b)
{
    char path[VR_XS_PATH];
    unsigned int i, num = 0;
    char **nodes = xs_directory(xs, XBT_NULL, folder(path, b), &num);
    xc_domaininfo_t info;
    struct vr_zombie z;

    for (i = 0; nodes && i < num; i++)
        if (read_note(xs, b, nodes[i], &z) &&
            vr_domain_info(xch, z.domid, &info) == -ESRCH)
            xs_rm(xs, XBT_NULL, note_path(path, b, z.domid));
    free(nodes);
}

int vr_zombie_note(xc_interface *xch, struct xs_handle *xs, uint32_t b,
                   const struct vr_zombie *z)
{
    char path[VR_XS_PATH], value[VR_UUID_LEN + VR_NAME_LEN + 16];
    int n = snprintf(value, sizeof(value), "%s %" PRIu32 " %s", z->uuid,
                     z->pages, z->name);

    errno = 0;
    prune(xch, xs, b);
    if (!xs_write(xs, XBT_NULL, note_path(path, b, z->domid), value, n))
        return errno ? -errno : -EIO;
    return 0;
}

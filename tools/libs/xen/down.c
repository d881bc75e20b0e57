/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The note in xenstore that a driver domain is to go down once no guest needs
 * it: for plug-in and clean-up. Calls xenstore and the hypervisor.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/proto/xsnode.h"
#include "compat.h"
#include "domstate.h"
#include "down.h"

static const char *const names_of[] = {
    [VR_DOWN_POWEROFF] = "poweroff",
    [VR_DOWN_REBOOT] = "reboot",
};

const char *vr_down_name(enum vr_down how)
{
    return (unsigned int)how < VR_ARRAY_SIZE(names_of) ? names_of[how] : NULL;
}

/* ---- the note ---- */

static char *note_path(char *path, uint32_t b)
{
    snprintf(path, VR_XS_PATH, "/libxl/%" PRIu32 "/" VR_NAME "_down", b);
    return path;
}

int vr_down_note(struct xs_handle *xs, uint32_t b, enum vr_down how)
{
    char path[VR_XS_PATH], value[48];
    int n = snprintf(value, sizeof(value), "%s %" PRIu64, vr_down_name(how),
                     vr_now_ms());

    if (!xs_write(xs, XBT_NULL, note_path(path, b), value, n))
        return errno ? -errno : -EIO;
    return 0;
}

enum vr_down vr_down_noted(struct xs_handle *xs, uint32_t b)
{
    enum vr_down how = VR_DOWN_NO;
    unsigned int len = 0, i;
    char path[VR_XS_PATH];
    uint64_t since, now = vr_now_ms();
    char *value = xs_read(xs, XBT_NULL, note_path(path, b), &len);
    char *blank = value ? strchr(value, ' ') : NULL;

    if (!blank || vr_parse_u64(blank + 1, UINT64_MAX, &since) || since > now ||
        now - since > VR_DOWN_MS)
        goto out;
    *blank = '\0';
    for (i = VR_DOWN_POWEROFF; i < VR_ARRAY_SIZE(names_of); i++)
        if (!strcmp(value, names_of[i]))
            how = i;
out:
    free(value);
    return how;
}

void vr_down_forget(struct xs_handle *xs, uint32_t b)
{
    char path[VR_XS_PATH];

    xs_rm(xs, XBT_NULL, note_path(path, b));
}

/* As libxl does it, which then waits for an answer: a driver domain that
 * serves has Xen's drivers, and needs no other way to be asked. */
int vr_down_ask(struct xs_handle *xs, uint32_t b)
{
    const char *how = vr_down_name(vr_down_noted(xs, b));
    char path[VR_XS_PATH];

    if (!how)
        return -ENOENT;
    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/control/shutdown",
             b);
    if (!xs_write(xs, XBT_NULL, path, how, strlen(how)))
        return errno ? -errno : -EIO;
    vr_down_forget(xs, b);
    return 0;
}

/* ---- the guests ---- */

static bool has_driver(const struct vr_record *rec, uint32_t b,
                       const char *uuid)
{
    unsigned int i;

    for (i = 0; i < rec->ndrivers; i++)
        if (rec->drivers[i].domid == b && !strcmp(rec->drivers[i].uuid, uuid))
            return true;
    return false;
}

/* Does the guest need its devices, now or when it has rebooted? */
static bool needs_devices(xc_interface *xch, const struct vr_record *rec)
{
    char uuid[VR_UUID_LEN + 1];
    enum vr_domstate state;
    xc_domaininfo_t info;

    if (rec->domid == VR_DOMID_NONE) /* is being created, or that failed */
        return rec->creator &&
               vr_proc_start(rec->creator) == rec->creator_start;
    if (vr_domain_info(xch, rec->domid, &info) ||
        strcmp(vr_uuid_format(info.handle, uuid), rec->uuid))
        return false;
    state = vr_domain_state(&info);
    return !vr_domstate_ended(state) || state == VR_DOM_REBOOTING;
}

int vr_down_guests(xc_interface *xch, uint32_t b, const char *but, char *names,
                   size_t size)
{
    char(*uuids)[VR_UUID_LEN + 1] = NULL;
    struct vr_record *rec = malloc(sizeof(*rec));
    char uuid[VR_UUID_LEN + 1];
    xc_domaininfo_t info;
    size_t len = 0;
    int i, n, rc;

    if (names)
        names[0] = '\0';
    rc = rec ? vr_domain_info(xch, b, &info) : -ENOMEM;
    if (rc)
        goto out;
    vr_uuid_format(info.handle, uuid);
    n = vr_record_list(&uuids);
    if (n < 0)
        rc = n;
    for (i = 0; i < n; i++) {
        if ((but && !strcmp(uuids[i], but)) ||
            vr_record_load(uuids[i], rec, NULL) || !has_driver(rec, b, uuid) ||
            !needs_devices(xch, rec))
            continue;
        if (names && len < size)
            len += snprintf(names + len, size - len, "%s%s", rc ? ", " : "",
                            rec->name);
        rc++;
    }
out:
    free(uuids);
    free(rec);
    return rc;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of an xl.cfg that are ours, read when xl has parsed the file: what
 * is wrong with them is said before xl does anything, and by `xl create -n`.
 * Called by plugin.c; touches nothing but the plug-in's own state.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <libxlutil.h>

#include "libs/guest/reserve.h"
#include "state.h"

static int parse_devices(struct vr_plugin *p, XLU_ConfigList *list, int count,
                         struct vr_err *err)
{
    int i, rc;

    if (count > VR_MAX_DEVICES) {
        vr_err_set(err,
                   "virtio_restricted: %d devices: a guest can have %d at "
                   "most, take some out",
                   count, VR_MAX_DEVICES);
        return -EINVAL;
    }
    for (i = 0; i < count; i++) {
        const char *text = xlu_cfg_get_listitem(list, i);

        if (!text) {
            vr_err_set(err,
                       "virtio_restricted[%d]: not a string: write the device "
                       "as \"id=disk0, type=block, ...\"",
                       i);
            return -EINVAL;
        }
        rc = vr_cfg_parse(i, text, &p->devs[i], err);
        if (rc)
            return rc;
        /* Looked at again when the domain is made; here for `xl create -n`. */
        if (p->devs[i].driver[0] && access(p->devs[i].driver, R_OK)) {
            rc = -errno;
            vr_err_set(err,
                       "virtio_restricted[%d]: driver=%.200s: %s: name the "
                       "xl.cfg of the driver domain",
                       i, p->devs[i].driver, strerror(-rc));
            return rc;
        }
    }
    return vr_cfg_check_all(p->devs, count, err);
}

/* What the administrator leaves to the guest's own grants. */
static int parse_grants(struct vr_plugin *p, XLU_Config *cfg,
                        struct vr_err *err)
{
    long n;
    int r = xlu_cfg_get_long(cfg, VR_NAME "_grants", &n, 1);

    p->grants = 0;
    if (r == ESRCH)
        return 0;
    if (r || n < 1 || n > VR_RESERVE_MOST) {
        vr_err_set(err,
                   "virtio_restricted_grants: not a number from 1 to %u: give "
                   "the grants that the guest's own devices need, such as "
                   "8192, or leave the key out",
                   VR_RESERVE_MOST);
        return -EINVAL;
    }
    p->grants = n;
    return 0;
}

/*
 * Looked at here: what libxl_domain_create_new() is given may be a default.
 * With autoballoon on, xl has libxl fill in the host's before it makes room for
 * the guest.
 */
static int check_version(XLU_Config *cfg, struct vr_err *err)
{
    long n;
    int r = xlu_cfg_get_long(cfg, "max_grant_version", &n, 1);

    if (r || n == 1)
        return 0; /* if it is no number xl says so */
    vr_err_set(err,
               "virtio_restricted: max_grant_version=%ld: windows are entries "
               "of version 1, which a guest that changes to another would "
               "wipe: set it to 1, or leave it out",
               n);
    return -EINVAL;
}

int vr_keys_read(struct vr_plugin *p, XLU_Config *cfg)
{
    XLU_ConfigList *list;
    struct vr_err err;
    int count, r, rc;

    p->ndevs = 0;
    p->created = false;
    r = xlu_cfg_get_list(cfg, VR_NAME, &list, &count, 1);
    if (r == ESRCH)
        return 0;
    if (r) {
        vr_say("virtio_restricted: not a list: write virtio_restricted = "
               "[ \"id=disk0, type=block, ...\" ]");
        return EINVAL;
    }
    rc = parse_devices(p, list, count, &err);
    if (!rc)
        rc = parse_grants(p, cfg, &err);
    if (!rc)
        rc = check_version(cfg, &err);
    if (rc) {
        vr_say("%s", err.text);
        return EINVAL;
    }
    p->ndevs = count;
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fetches what tells of the hypervisor, by version calls and hypfs;
 * libs/host/hostparse.c reads it. For plug-in and vrctl check.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenhypfs.h>
#include <xen/version.h>

#include "hostinfo.h"

static int read_version(xc_interface *xch, struct vr_hostinfo *info,
                        char *cmdline, size_t size, struct vr_err *err)
{
    xen_capabilities_info_t caps = "";
    xen_extraversion_t extra = "";
    xen_commandline_t line = "";
    int r, rc;

    r = xc_version(xch, XENVER_version, NULL);
    if (r < 0) {
        rc = -errno;
        vr_err_set(err, "hypervisor: cannot read its version: %s",
                   strerror(-rc));
        return rc;
    }
    info->major = r >> 16;
    info->minor = r & 0xffff;
    /* What these cannot tell stays empty, that is: unknown. */
    if (xc_version(xch, XENVER_extraversion, extra) >= 0)
        snprintf(info->extra, sizeof(info->extra), "%.*s",
                 (int)sizeof(extra) - 1, extra);
    if (xc_version(xch, XENVER_commandline, line) >= 0)
        snprintf(cmdline, size, "%.*s", (int)sizeof(line) - 1, line);
    if (xc_version(xch, XENVER_capabilities, caps) >= 0) {
        caps[sizeof(caps) - 1] = '\0';
        vr_hostinfo_caps(info, caps);
    }
    return 0;
}

static void read_limit(xenhypfs_handle *fs, const char *path, uint32_t *out)
{
    char *s = xenhypfs_read(fs, path);
    uint64_t v;

    if (s && !vr_parse_u64(s, UINT32_MAX, &v))
        *out = v;
    free(s);
}

int vr_hostinfo_read(struct vr_hostinfo *info, struct vr_err *err)
{
    char cmdline[sizeof(info->cmdline)] = "", *config = NULL;
    xenhypfs_handle *fs = NULL;
    xc_interface *xch;
    int rc;

    memset(info, 0, sizeof(*info));
    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch) {
        rc = errno ? -errno : -EIO;
        vr_err_set(err,
                   "hypervisor: cannot reach it (%s): run this as root in the "
                   "toolstack domain of a Xen host",
                   strerror(-rc));
        return rc;
    }
    rc = read_version(xch, info, cmdline, sizeof(cmdline), err);
    if (rc)
        goto out;
    /* hypfs may be left out of a hypervisor: then things stay unknown. */
    fs = xenhypfs_open(NULL, 0);
    if (fs)
        config = xenhypfs_read(fs, "/buildinfo/config");
    vr_hostinfo_parse(info, config, cmdline);
    if (fs) {
        read_limit(fs, "/params/gnttab_max_frames", &info->max_grant_frames);
        read_limit(fs, "/params/gnttab_max_maptrack_frames",
                   &info->max_maptrack_frames);
    }
out:
    free(config);
    if (fs)
        xenhypfs_close(fs);
    xc_interface_close(xch);
    return rc;
}

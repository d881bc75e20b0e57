/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table of Xen's security advisories and whom they concern, for vrctl check.
 * Pure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advisory.h"

/* To add one: its number, whom it concerns, the releases, and what it means
 * here. The releases are those whose tags contain the commits that name it. */
static const struct vr_advisory table[] = {
    {
        .xsa = 486,
        .arch = "x86_64",
        .version2 = true,
        .fixed = {7, 6, 6, 4, 2, 0},
        .means = "a domain that changes its grant table's version can keep "
                 "memory mapped that Xen has freed",
    },
    {
        .xsa = 493,
        .arch = "arm64",
        .fixed = {7, 6, 6, 4, 2, 0},
        .means = "on some processors a driver domain's last write can arrive "
                 "after its mapping was removed, and the guest told so",
    },
    {
        .xsa = 500,
        .fixed = {7, 6, 6, 4, 2, 0},
        .means = "a guest that changes a grant entry while a driver domain "
                 "copies by it can have Xen use a page that nothing holds",
    },
    {
        .xsa = 501,
        .arch = "x86_64",
        .version2 = true,
        .fixed = {7, 6, 6, 4, 2, 0},
        .means = "a domain that changes its grant table's version during a "
                 "copy or mapping can have Xen use memory that was freed",
    },
    {
        .xsa = 506,
        .fixed = {7, 6, 6, 4, 2, 0},
        .means = "a broker's process that was taken over can read bytes of the "
                 "hypervisor's stack",
    },
};

#define END (table + VR_ARRAY_SIZE(table))

/* Of "4.17.5" the 5; a candidate comes before its release. */
static long release(const char *extra)
{
    long n = extra[0] == '.' ? strtol(extra + 1, NULL, 10) : 0;

    if (strstr(extra, "-rc") || strstr(extra, "-pre") ||
        strstr(extra, "unstable"))
        n--;
    return n;
}

/* Version 1 for all: gnttab=max-ver:1 among the hypervisor's options. */
static bool only_version1(const char *cmdline)
{
    const char *p = cmdline;

    while ((p = strstr(p, "gnttab="))) {
        size_t len = strcspn(p, " \t");
        const char *v = strstr(p, "max-ver:1");

        if ((p == cmdline || p[-1] == ' ') && v && v < p + len)
            return true;
        p += len;
    }
    return false;
}

static bool concerns(const struct vr_advisory *a,
                     const struct vr_hostinfo *info)
{
    unsigned int branch = info->minor - VR_ADVISORY_FIRST_MINOR;

    if (info->major != 4 || info->minor < VR_ADVISORY_FIRST_MINOR ||
        branch >= VR_ADVISORY_BRANCHES)
        return false;
    if (a->arch && strcmp(a->arch, info->arch))
        return false;
    if (a->version2 && only_version1(info->cmdline))
        return false;
    return release(info->extra) < a->fixed[branch];
}

const struct vr_advisory *vr_advisory_next(const struct vr_advisory *a,
                                           const struct vr_hostinfo *info)
{
    for (a = a ? a + 1 : table; a < END; a++) {
        if (concerns(a, info))
            return a;
    }
    return NULL;
}

char *vr_advisory_fixed(const struct vr_advisory *a,
                        const struct vr_hostinfo *info, char *buf, size_t size)
{
    snprintf(buf, size, "%u.%u.%u", info->major, info->minor,
             a->fixed[info->minor - VR_ADVISORY_FIRST_MINOR]);
    return buf;
}

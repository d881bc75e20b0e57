/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains as the hypervisor lists them: found by number, uuid or name. For all
 * commands; changes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/base/text.h"
#include "vrctl.h"
#include "libs/xen/compat.h"
#include "libs/xen/domstate.h"

char *dom_uuid(const xc_domaininfo_t *info, char *buf)
{
    return vr_uuid_format(info->handle, buf);
}

/* Calls @match for each domain until it says true. */
static int dom_scan(xc_interface *xch,
                    bool (*match)(const xc_domaininfo_t *info, void *ctx),
                    void *ctx, xc_domaininfo_t *found)
{
    xc_domaininfo_t list[32];
    uint32_t next = 0;
    int r, i;

    do {
        r = xc_domain_getinfolist(xch, next, VR_ARRAY_SIZE(list), list);
        if (r < 0)
            return -errno;
        for (i = 0; i < r; i++) {
            if (match(&list[i], ctx)) {
                *found = list[i];
                return 0;
            }
            next = list[i].domain + 1;
        }
    } while (r == (int)VR_ARRAY_SIZE(list));
    return -ESRCH;
}

struct by_uuid {
    const char *uuid;
    bool dying;
};

static bool has_uuid(const xc_domaininfo_t *info, void *ctx)
{
    const struct by_uuid *b = ctx;
    char uuid[VR_UUID_LEN + 1];

    return !!(info->flags & XEN_DOMINF_dying) == b->dying &&
           !strcmp(dom_uuid(info, uuid), b->uuid);
}

int dom_find(xc_interface *xch, const char *uuid, xc_domaininfo_t *info)
{
    struct by_uuid b = {.uuid = uuid};
    int rc;

    if (!vr_uuid_valid(uuid))
        return -ESRCH;
    /* A guest that reboots keeps its uuid: its last life may be dying still
     * when the next one begins. */
    rc = dom_scan(xch, has_uuid, &b, info);
    if (rc != -ESRCH)
        return rc;
    b.dying = true;
    return dom_scan(xch, has_uuid, &b, info);
}

int dom_identify(xc_interface *xch, const char *uuid, uint32_t domid,
                 xc_domaininfo_t *info)
{
    char text[VR_UUID_LEN + 1];
    int rc;

    if (domid == VR_DOMID_NONE)
        return dom_find(xch, uuid, info);
    rc = vr_domain_info(xch, domid, info);
    if (!rc && strcmp(dom_uuid(info, text), uuid))
        rc = -ESRCH;
    return rc;
}

void dom_name(struct xs_handle *xs, uint32_t domid, char *buf, size_t size)
{
    char path[64], *v = NULL;
    unsigned int len = 0;

    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/name", domid);
    if (xs)
        v = xs_read(xs, XBT_NULL, path, &len);
    vr_name_clean(buf, size, v ? v : "?", v ? len : 1);
    free(v);
}

const char *dom_state(const xc_domaininfo_t *info)
{
    return vr_domstate_name(vr_domain_state(info));
}

const char *dom_number(uint32_t domid, char *buf, size_t size)
{
    if (domid == VR_DOMID_NONE)
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%" PRIu32, domid);
    return buf;
}

struct by_name {
    struct xs_handle *xs;
    const char *name;
};

static bool has_name(const xc_domaininfo_t *info, void *ctx)
{
    const struct by_name *b = ctx;
    char name[VR_NAME_LEN + 1];

    dom_name(b->xs, info->domain, name, sizeof(name));
    return !strcmp(name, b->name);
}

int dom_lookup(xc_interface *xch, struct xs_handle *xs, const char *what,
               uint32_t *domid)
{
    struct by_name b = {.xs = xs, .name = what};
    xc_domaininfo_t info;
    uint64_t v;
    int rc;

    if (!vr_parse_u64(what, VR_DOMID_MAX, &v))
        rc = vr_domain_info(xch, v, &info);
    else if (vr_uuid_valid(what))
        rc = dom_find(xch, what, &info);
    else
        rc = dom_scan(xch, has_name, &b, &info);
    if (!rc)
        *domid = info.domain;
    return rc;
}

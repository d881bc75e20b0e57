/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which domains, processes and records there are. Called by all that decides by
 * that; asks libxl and reads records, changes nothing. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <libxl_utils.h>

#include "state.h"

int vr_find_record(libxl_ctx *ctx, uint32_t domid, struct vr_record *rec)
{
    char uuid[VR_UUID_LEN + 1];
    libxl_dominfo info;
    int rc = -ENOENT;

    libxl_dominfo_init(&info);
    if (!libxl_domain_info(ctx, &info, domid))
        rc = vr_record_load(vr_uuid_text(&info.uuid, uuid), rec, NULL);
    /* Some other domain with this uuid: nothing keeps it from that. */
    if (!rc && rec->domid != VR_DOMID_NONE && rec->domid != domid)
        rc = -ENOENT;
    libxl_dominfo_dispose(&info);
    return rc;
}

bool vr_alive(pid_t pid, uint64_t start)
{
    return pid && start && vr_proc_start(pid) == start;
}

bool vr_domain_exists(libxl_ctx *ctx, uint32_t domid, const char *uuid)
{
    char text[VR_UUID_LEN + 1];
    libxl_dominfo info;
    bool exists;

    if (domid == VR_DOMID_NONE)
        return false;
    libxl_dominfo_init(&info);
    exists = !libxl_domain_info(ctx, &info, domid) && !info.dying &&
             !strcmp(vr_uuid_text(&info.uuid, text), uuid);
    libxl_dominfo_dispose(&info);
    return exists;
}

int vr_check_unused(libxl_ctx *ctx, const char *name, struct vr_err *err)
{
    uint32_t other;

    if (libxl_name_to_domid(ctx, name, &other))
        return 0;
    vr_err_set(err,
               "virtio_restricted: a domain named %s exists already (domid "
               "%" PRIu32 "): destroy it, or change name=",
               name, other);
    return -EEXIST;
}

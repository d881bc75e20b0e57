/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is plugged into a guest that runs is checked as what it was created
 * with: the grants of its PV devices have to fit in front of the windows
 * (reserve.h), and a PCI device's interrupt must not be one of ours.
 * Called by plugin.c before libxl is; changes nothing.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "state.h"

/* The guest's record; NULL: it has no restricted devices. */
static struct vr_record *record_of(libxl_ctx *ctx, uint32_t domid)
{
    struct vr_record *rec = malloc(sizeof(*rec));

    if (rec && !vr_find_record(ctx, domid, rec))
        return rec;
    free(rec);
    return NULL;
}

/*
 * Room for the grants of one more disk or interface? Where there was too little
 * from the start, the administrator has set virtio_restricted_grants= and knows
 * better.
 */
static bool room(libxl_ctx *ctx, uint32_t domid, unsigned int disks,
                 unsigned int nics)
{
    struct vr_record *rec = record_of(ctx, domid);
    libxl_domain_config d_config;
    uint32_t lowest, before, after;
    struct vr_reserve r;
    bool ok = false;

    if (!rec)
        return true;
    libxl_domain_config_init(&d_config);
    if (libxl_retrieve_domain_configuration(ctx, domid, &d_config, NULL)) {
        vr_say("virtio_restricted: guest %s: libxl cannot tell which devices "
               "it has: see the lines above",
               rec->name);
        goto out;
    }
    vr_check_pv(&d_config, &r);
    lowest = vr_record_lowest_gref(rec);
    before = vr_reserve_grants(&r);
    r.disks += disks;
    r.nics += nics;
    after = vr_reserve_grants(&r);
    ok = after <= lowest || before > lowest;
    if (!ok)
        vr_say("virtio_restricted: guest %s: another %s would make its own "
               "grants up to %" PRIu32 ", but its windows begin at %" PRIu32
               ": detach others first, or create it with "
               "virtio_restricted_grants=%" PRIu32,
               rec->name, disks ? "disk" : "interface", after, lowest, after);
out:
    libxl_domain_config_dispose(&d_config);
    free(rec);
    return ok;
}

bool vr_hotplug_disk(libxl_ctx *ctx, uint32_t domid,
                     const libxl_device_disk *disk)
{
    return disk->is_cdrom || room(ctx, domid, 1, 0);
}

bool vr_hotplug_nic(libxl_ctx *ctx, uint32_t domid)
{
    return room(ctx, domid, 0, 1);
}

bool vr_hotplug_pci(libxl_ctx *ctx, uint32_t domid, const libxl_device_pci *pci)
{
    struct vr_record *rec = record_of(ctx, domid);
    struct vr_err err;
    bool ok = !rec || !vr_arch_pci(pci, &err);

    if (!ok)
        vr_say("%s", err.text);
    free(rec);
    return ok;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that can be judged of a guest's config before a domain exists; what else
 * depends on the architecture is arch_*.c's. Called by create.c. Looks at
 * files and at the config; changes the config's limits of the grant table, and
 * says in the plan where the windows are to be.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libs/guest/place.h"
#include "libs/guest/reserve.h"
#include "state.h"
#include "libs/base/text.h"

/* What a hypervisor starts with when nothing tells. */
#define DEFAULT_FRAMES          64
#define DEFAULT_MAPTRACK_FRAMES 1024
/* 16-byte entries, and some for the control pages and B's own drivers. */
#define MAPTRACK_PER_FRAME 256
#define MAPTRACK_RESERVE   1024
/* Linux gntdev's `limit`: pages in one mapping, one for the control page. */
#define GNTDEV_PAGES 65535
/* Of each queue of a device behind the virtio-iommu: three areas, two pages
 * each at most. */
#define RING_PAGES 6

static int check_file(const char *key, const char *path, struct vr_err *err)
{
    if (!path || !access(path, R_OK))
        return 0;
    vr_err_set(err, "virtio_restricted: %s=%s: %s: correct the path", key, path,
               strerror(errno));
    return -ENOENT;
}

/* libxl writes a domain's configuration as JSON, and cannot read it again when
 * something in it is not UTF-8: nothing could be plugged into such a guest, and
 * our own record is JSON as well. */
int vr_check_name(const char *key, const char *name, struct vr_err *err)
{
    char shown[VR_NAME_LEN + 1];

    if (name && vr_name_valid(name))
        return 0;
    if (!name || !name[0]) {
        vr_err_set(err, "virtio_restricted: %s= is empty: give a name", key);
        return -EINVAL;
    }
    vr_name_clean(shown, sizeof(shown), name, strlen(name));
    if (strlen(name) > VR_NAME_LEN)
        vr_err_set(err,
                   "virtio_restricted: %s=%s is longer than %d bytes: shorten "
                   "it",
                   key, shown, VR_NAME_LEN);
    else
        vr_err_set(err,
                   "virtio_restricted: %s=%s has bytes that are not UTF-8 "
                   "text, which libxl could not read back: save the file as "
                   "UTF-8, or use ASCII characters",
                   key, shown);
    return -EINVAL;
}

int vr_check_user(struct vr_err *err)
{
    if (getpwnam(VR_USER))
        return 0;
    vr_err_set(err,
               "virtio_restricted: there is no user " VR_USER ", which brokers "
               "run as: " VR_USER_REMEDY);
    return -ENOENT;
}

int vr_check_guest(const struct vr_plugin *p,
                   const libxl_domain_config *d_config, struct vr_err *err)
{
    const libxl_domain_build_info *b_info = &d_config->b_info;
    char size[24];
    unsigned int i;
    int n, rc;

    rc = vr_check_name("name", d_config->c_info.name, err);
    if (rc)
        return rc;
    if (!b_info->bootloader) {
        rc = check_file("kernel", b_info->kernel, err);
        if (!rc)
            rc = check_file("ramdisk", b_info->ramdisk, err);
        if (rc)
            return rc;
    }
    rc = check_file("device_tree", b_info->device_tree, err);
    if (rc)
        return rc;
    for (i = 0; i < p->ndevs; i++) {
        if (!vr_cfg_has_pool(&p->devs[i]) ||
            p->devs[i].size >> VR_PAGE_SHIFT <= GNTDEV_PAGES)
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: size=%s needs more than the %u "
                   "pages that a driver domain's gntdev maps at once: use at "
                   "most 255M, or several devices",
                   i, vr_format_size(p->devs[i].size, size), GNTDEV_PAGES);
        return -EINVAL;
    }
    rc = vr_arch_check(d_config, p->devs, p->ndevs, err);
    for (n = 0; !rc && n < d_config->num_pcidevs; n++)
        rc = vr_arch_pci(&d_config->pcidevs[n], err);
    return rc;
}

/* From 4.18 on the hypervisor's limits are only defaults for domains. */
static bool limits_bind(const struct vr_hostinfo *host)
{
    return host->major < 4 || (host->major == 4 && host->minor < 18);
}

/* Of all pools, or of all apertures. */
static uint64_t mib_of(const struct vr_dev_cfg *cfg, unsigned int n,
                       enum vr_window_kind kind)
{
    uint64_t sum = 0;
    unsigned int i;

    for (i = 0; i < n; i++)
        sum += kind == VR_WINDOW_POOL ? cfg[i].size : cfg[i].aperture;
    return (sum + 0xfffff) >> 20;
}

void vr_check_pv(const libxl_domain_config *d_config, struct vr_reserve *r)
{
    int i;

    *r = (struct vr_reserve){
        .vcpus = d_config->b_info.max_vcpus,
        .nics = d_config->num_nics,
        .p9s = d_config->num_p9s,
    };
    /* The CD-ROMs of an HVM guest are emulated only. */
    for (i = 0; i < d_config->num_disks; i++)
        r->disks += !(d_config->disks[i].is_cdrom &&
                      d_config->c_info.type == LIBXL_DOMAIN_TYPE_HVM);
}

/* References to be left to the guest. */
static uint32_t reserve_of(const struct vr_plugin *p,
                           const libxl_domain_config *d_config)
{
    struct vr_reserve r;

    if (p->grants)
        return p->grants;
    vr_check_pv(d_config, &r);
    return vr_reserve_grants(&r);
}

static int check_frames(struct vr_plan *plan, const struct vr_dev_cfg *cfg,
                        uint32_t reserve, libxl_domain_build_info *b_info,
                        struct vr_err *err)
{
    const struct vr_hostinfo *host = &plan->host;
    uint64_t limit =
        host->max_grant_frames ? host->max_grant_frames : DEFAULT_FRAMES;
    uint64_t need = vr_place_frames(cfg, plan->rec.ndevs, reserve);
    uint64_t frames = b_info->max_grant_frames;

    if (frames == LIBXL_MAX_GRANT_DEFAULT)
        frames = limit;
    if (frames < need)
        frames = need;
    if (frames > limit && limits_bind(host)) {
        vr_err_set(err,
                   "virtio_restricted: pools of %" PRIu64 " MiB, apertures of "
                   "%" PRIu64 " MiB and %" PRIu32 " grants for the guest's own "
                   "disks and interfaces need %" PRIu64 " grant table frames, "
                   "this hypervisor allows %" PRIu64 ": boot Xen with "
                   "gnttab_max_frames=%" PRIu64 ", run `xenhypfs write "
                   "/params/gnttab_max_frames %" PRIu64 "`, or lower size=, "
                   "aperture= or virtio_restricted_grants=",
                   mib_of(cfg, plan->rec.ndevs, VR_WINDOW_POOL),
                   mib_of(cfg, plan->rec.ndevs, VR_WINDOW_IOVA), reserve,
                   frames, limit, frames, frames);
        return -ENOSPC;
    }
    /* Set explicitly even when it equals the default: the windows' references
     * are counted from the end of the table, so its size has to be certain. */
    b_info->max_grant_frames = frames;
    plan->rec.grant_frames = frames;
    /* What the windows need; libxl would fill in what the host has. */
    b_info->max_grant_version = 1;
    return 0;
}

/* The most pages that a backend has mapped of a device. Copies take none. */
static uint64_t mapped_pages(const struct vr_dev_cfg *c)
{
    uint64_t pages = c->size >> VR_PAGE_SHIFT;

    if (vr_cfg_has_iova(c))
        pages += c->map_threshold == VR_NEVER_MAP
                     ? c->queues * RING_PAGES
                     : c->aperture >> VR_PAGE_SHIFT;
    return pages;
}

static int check_maptrack(struct vr_plan *plan, unsigned int driver,
                          struct vr_err *err)
{
    const struct vr_hostinfo *host = &plan->host;
    const struct vr_record *rec = &plan->rec;
    libxl_domain_build_info *b_info = &plan->driver_config[driver].b_info;
    bool owned = rec->drivers[driver].owned;
    uint64_t limit = host->max_maptrack_frames ? host->max_maptrack_frames
                                               : DEFAULT_MAPTRACK_FRAMES;
    uint64_t pages = 0, need;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        if (rec->devs[i].driver == driver)
            pages += mapped_pages(&rec->devs[i].cfg);
    }
    need = (pages + MAPTRACK_RESERVE) / MAPTRACK_PER_FRAME + 1;
    if (owned && b_info->max_maptrack_frames != LIBXL_MAX_GRANT_DEFAULT &&
        b_info->max_maptrack_frames >= need)
        return 0;
    if (need > limit && (!owned || limits_bind(host))) {
        vr_err_set(err,
                   "virtio_restricted: driver domain %s has to map %" PRIu64
                   " pages, which takes %" PRIu64 " maptrack frames of %" PRIu64
                   ": boot Xen with gnttab_max_maptrack_frames=%" PRIu64
                   ", or lower size= or aperture=",
                   rec->drivers[driver].name, pages, need, limit, need);
        return -ENOSPC;
    }
    if (owned && (need > limit ||
                  b_info->max_maptrack_frames != LIBXL_MAX_GRANT_DEFAULT))
        b_info->max_maptrack_frames = need;
    return 0;
}

int vr_check_grants(const struct vr_plugin *p, struct vr_plan *plan,
                    libxl_domain_config *d_config, struct vr_err *err)
{
    struct vr_record *rec = &plan->rec;
    struct vr_dev_cfg cfg[VR_MAX_DEVICES];
    uint32_t pool_gref[VR_MAX_DEVICES], iova_gref[VR_MAX_DEVICES];
    uint64_t iova[VR_MAX_DEVICES];
    uint32_t reserve = reserve_of(p, d_config);
    unsigned int i;
    int rc;

    for (i = 0; i < rec->ndevs; i++)
        cfg[i] = rec->devs[i].cfg;
    rc = check_frames(plan, cfg, reserve, &d_config->b_info, err);
    if (rc)
        return rc;
    rc = vr_place_grefs(cfg, rec->ndevs, reserve, rec->grant_frames, pool_gref,
                        iova_gref);
    if (rc) {
        vr_err_set(err,
                   "virtio_restricted: max_grant_frames=%" PRIu32 " is more "
                   "than grant references can number: lower it",
                   rec->grant_frames);
        return rc;
    }
    vr_place_iova(cfg, rec->ndevs, iova);
    for (i = 0; i < rec->ndevs; i++) {
        struct vr_record_dev *d = &rec->devs[i];

        if (vr_cfg_has_pool(&cfg[i]))
            d->pool.gref_base = pool_gref[i];
        if (vr_cfg_has_iova(&cfg[i]))
            d->iova = (struct vr_gwin){iova[i], cfg[i].aperture, iova_gref[i]};
    }
    for (i = 0; i < rec->ndrivers; i++) {
        rc = check_maptrack(plan, i, err);
        if (rc)
            return rc;
    }
    return 0;
}

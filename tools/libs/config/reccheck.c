/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tables cannot say: the form of a name or a uuid, what belongs
 * together, and what must not overlap. Knows nothing of JSON. */
#include <errno.h>
#include <string.h>

#include "libs/base/range.h"
#include "libs/window/bounds.h"
#include "libs/window/gntent.h"
#include "record_int.h"

static bool domid_ok(uint32_t domid)
{
    return domid <= VR_DOMID_MAX || domid == VR_DOMID_NONE;
}

static const char *check_driver(const struct vr_record_driver *d)
{
    if (!d->name[0])
        return "no name";
    /* A driver domain that was found, not made, may be known by domid. */
    if (!vr_uuid_valid(d->uuid))
        return "malformed uuid";
    if (!domid_ok(d->domid))
        return "domid out of range";
    if (d->owned != (d->config[0] != '\0'))
        return "a config belongs to an owned driver domain, and to no other";
    return NULL;
}

/* A window of @cfg_size bytes by the config, or none (0). */
static const char *check_window(const struct vr_gwin *w, uint64_t cfg_size,
                                uint64_t limit)
{
    uint64_t last = w->gref_base + (w->size >> VR_PAGE_SHIFT);

    if ((w->base | w->size | cfg_size) & (VR_PAGE_SIZE - 1))
        return "pool or window not in whole pages";
    if (w->base + w->size > ADDR_MAX + 1)
        return "window beyond the address limit";
    if (w->size ? w->size != cfg_size : !cfg_size && (w->base || w->gref_base))
        return "window of another size than the config's";
    /* gref_base 0: window not placed yet. */
    if (w->gref_base && (last > UINT32_MAX || (limit && last > limit)))
        return "grant references beyond the guest's grant table";
    return NULL;
}

/* What a device has by its mode, and no other. */
static const char *check_mode(const struct vr_record_dev *d)
{
    const struct vr_dev_cfg *c = &d->cfg;

    if (!vr_cfg_has_iova(c) && c->aperture)
        return "aperture of a static device";
    if (!vr_cfg_has_pool(c) && (c->size || c->has_base || c->base))
        return "pool of a dynamic device";
    if (c->mode != VR_MODE_MIXED && c->pool_in != VR_POOL_IN_FIRMWARE)
        return "pool_in of a device that is not mixed";
    if (!vr_cfg_has_iova(c))
        return NULL;
    if (c->revoke_ms < VR_REVOKE_MS_MIN)
        return "revoke_ms out of range";
    if (!vr_size_max(c->aperture, c->queues, c->queue_size,
                     c->mode == VR_MODE_MIXED))
        return "aperture too small for the queues";
    return NULL;
}

static bool needs_target(const struct vr_dev_cfg *c)
{
    const struct vr_type_spec *spec = vr_type_spec(c->type);

    return !spec || vr_key_find(spec->keys, spec->nkeys, "target");
}

static const char *check_dev(const struct vr_record *rec,
                             const struct vr_record_dev *d)
{
    const struct vr_dev_cfg *c = &d->cfg;
    uint64_t limit = rec->grant_frames * (uint64_t)VR_GNTENT_PER_FRAME;
    const char *what;

    if (!vr_id_valid(c->id))
        return "malformed id";
    if (d->driver >= rec->ndrivers)
        return "driver names no driver domain";
    if (!c->driver[0] == !c->backend[0])
        return "not exactly one of driver_config and backend";
    if (!c->target[0] && needs_target(c))
        return "no target";
    if (!c->queues)
        return "no queue";
    if (!c->queue_size || (c->queue_size & (c->queue_size - 1)))
        return "queue_size is no power of two";
    if (c->base & (VR_PAGE_SIZE - 1))
        return "pool or window not in whole pages";
    what = check_mode(d);
    if (!what)
        what = check_window(&d->pool, c->size, limit);
    if (!what)
        what = check_window(&d->iova, c->aperture, limit);
    return what;
}

static bool grefs_overlap(const struct vr_gwin *a, const struct vr_gwin *b)
{
    return a->gref_base && b->gref_base &&
           vr_ranges_overlap(a->gref_base, vr_gwin_pages(a), b->gref_base,
                             vr_gwin_pages(b));
}

/* Pools lie in the guest's memory, the others in the virtio-iommu's space: an
 * address may be in one of each, unless both are one device's. */
static const char *check_pair(const struct vr_record_dev *a,
                              const struct vr_record_dev *b)
{
    const struct vr_gwin *v, *w;
    unsigned int i, j;

    for (i = 0; i < VR_WINDOWS; i++) {
        for (j = 0; j < VR_WINDOWS; j++) {
            v = vr_record_window(a, i);
            w = vr_record_window(b, j);
            if (!v || !w || v == w)
                continue;
            if (grefs_overlap(v, w))
                return "grant references overlap another window's";
            if ((i == j || a == b) &&
                vr_ranges_overlap(v->base, v->size, w->base, w->size))
                return "window overlaps another one";
        }
    }
    return NULL;
}

static const char *check_ram(const struct vr_record *rec)
{
    unsigned int i;

    for (i = 0; i < rec->nram; i++)
        if (rec->ram[i].start >= rec->ram[i].end ||
            (i && rec->ram[i].start < rec->ram[i - 1].end))
            return "RAM banks are empty, or not in order";
    return NULL;
}

static const char *check_iommu(const struct vr_record *rec)
{
    const struct vr_record_iommu *m = &rec->iommu;
    unsigned int i;

    if (!m->present)
        return m->mmio_base || m->irq ? "a virtio-iommu that is not present"
                                      : NULL;
    if (!vr_record_endpoints(rec))
        return "a virtio-iommu, but no device behind it";
    for (i = 0; i < rec->ndevs; i++)
        if (rec->devs[i].mmio_base == m->mmio_base ||
            rec->devs[i].irq == m->irq)
            return "the virtio-iommu has a device's registers or interrupt";
    return NULL;
}

/* A guest that is said to run must have everything that running takes. */
static const char *check_placed(const struct vr_record *rec)
{
    unsigned int i;

    if (rec->phase != VR_PHASE_READY && rec->phase != VR_PHASE_RUNNING)
        return NULL;
    if (rec->domid == VR_DOMID_NONE)
        return "phase and missing domid contradict each other";
    for (i = 0; i < rec->ndrivers; i++)
        if (rec->drivers[i].domid == VR_DOMID_NONE)
            return "phase and a driver's missing domid contradict each other";
    for (i = 0; i < rec->ndevs; i++)
        if (!vr_record_placed(&rec->devs[i]))
            return "phase and a missing window contradict each other";
    if (vr_record_endpoints(rec) && (!rec->iommu.present || !rec->nram))
        return "phase and a missing virtio-iommu or RAM contradict each other";
    return NULL;
}

int vr_record_check(const struct vr_record *rec, struct vr_err *err)
{
    const char *what = NULL;
    unsigned int i, j;

    if (!rec->name[0])
        what = "no name";
    else if (!vr_uuid_valid(rec->uuid))
        what = "malformed uuid";
    else if (!domid_ok(rec->domid))
        what = "domid out of range";
    else
        what = check_placed(rec);
    if (!what)
        what = check_ram(rec);
    if (!what)
        what = check_iommu(rec);
    if (what) {
        vr_err_set(err, "record: %s", what);
        return -EINVAL;
    }
    for (i = 0; i < rec->ndrivers; i++) {
        what = check_driver(&rec->drivers[i]);
        if (what) {
            vr_err_set(err, "record: driver domain %u: %s", i, what);
            return -EINVAL;
        }
    }
    for (i = 0; i < rec->ndevs; i++) {
        what = check_dev(rec, &rec->devs[i]);
        for (j = 0; !what && j <= i; j++) {
            if (j < i && !strcmp(rec->devs[i].cfg.id, rec->devs[j].cfg.id))
                what = "same id as an earlier device";
            else
                what = check_pair(&rec->devs[i], &rec->devs[j]);
        }
        if (what) {
            vr_err_set(err, "record: device %u: %s", i, what);
            return -EINVAL;
        }
    }
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page table: MAP and UNMAP as entries of the guest's grant table, and what
 * is known of them in the maps (maps.h).
 */
#include <errno.h>

#include "iommu_int.h"

static struct vr_gntent *entries(struct iommu *io, unsigned int ep,
                                 uint32_t first)
{
    return vr_gtable_entry(&io->gt,
                           io->unit.w->rec->devs[ep].iova.gref_base + first);
}

static uint64_t *map_bits(struct iommu *io, unsigned int ep)
{
    return io->maps->bits + vr_maps_offset(io->unit.w->rec, ep);
}

static int on_map(void *ctx, unsigned int ep, uint32_t first, uint32_t npages,
                  uint64_t gfn, bool readonly)
{
    struct iommu *io = ctx;
    const struct vr_record *rec = io->unit.w->rec;
    uint32_t domid = rec->drivers[rec->devs[ep].driver].domid;
    struct vr_gntent *e = entries(io, ep, first);
    uint64_t *bits = map_bits(io, ep);
    uint32_t i;

    /* Its number may be another domain's by now. */
    if (io->ep[ep].dev->dead)
        return -EIO;
    /* Whatever the record says of the guest's RAM. */
    if (!vr_gntent_fits(gfn, npages) || !gmem_is_ram(&io->mem, gfn, npages))
        return -EINVAL;
    for (i = 0; i < npages; i++) {
        if (vr_gntent_grant(&e[i], domid, gfn + i, readonly)) {
            /* The guest has written to its own table. */
            io->stats->no_space++;
            return i ? (int)i : -EBUSY;
        }
        vr_maps_set(bits, first + i);
    }
    return 0;
}

static uint64_t on_unmap(void *ctx, unsigned int ep, uint32_t first,
                         uint32_t npages, bool now)
{
    struct iommu *io = ctx;
    struct vr_gntent *e = entries(io, ep, first);
    uint64_t *bits = map_bits(io, ep), busy = 0;
    bool wait = iommu_dying(io, ep);
    uint32_t i;

    for (i = 0; i < npages; i++) {
        if (wait || vr_gntent_revoke(&e[i]))
            busy |= UINT64_C(1) << i;
        else
            vr_maps_clear(bits, first + i);
    }
    if (busy) {
        io->ep[ep].busy = true;
        io->ep[ep].now |= now;
    }
    return busy;
}

/* The mappings remain as far as the guest is concerned: their UNMAPs find
 * nothing left to do. */
void iommu_table_dead(struct iommu *io, unsigned int ep)
{
    uint32_t i, n = vr_gwin_pages(&io->unit.w->rec->devs[ep].iova);
    struct vr_gntent *e = entries(io, ep, 0);
    uint64_t *bits = map_bits(io, ep);

    vr_maps_begin(io->maps);
    for (i = 0; i < n; i++)
        if (vr_maps_test(bits, i) && !vr_gntent_revoke(&e[i]))
            vr_maps_clear(bits, i);
    vr_maps_end(io->maps);
}

const struct vr_viommu_ops iommu_table_ops = {
    .map = on_map,
    .unmap = on_unmap,
};

int iommu_table_map(struct iommu *io, xenforeignmemory_handle *fm,
                    struct vr_err *err)
{
    const struct vr_record *rec = io->unit.w->rec;
    uint32_t first = UINT32_MAX, end = 0;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        const struct vr_gwin *win =
            vr_record_window(&rec->devs[i], VR_WINDOW_IOVA);
        uint32_t last;

        if (!win)
            continue;
        last = win->gref_base + vr_gwin_pages(win) - 1;
        if (win->gref_base / VR_GNTENT_PER_FRAME < first)
            first = win->gref_base / VR_GNTENT_PER_FRAME;
        if (last / VR_GNTENT_PER_FRAME >= end)
            end = last / VR_GNTENT_PER_FRAME + 1;
    }
    return vr_gtable_map(&io->gt, fm, rec->domid, first, end - first, true,
                         err);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "vrctl.h"
#include "xen/gtable.h"

/* Maps the frames that hold the window of device @i, for as long as it takes
 * to look: a mapping that stays would keep a dead guest from going. */
static bool map_window(const struct guest *g, unsigned int i, bool writable,
                       xenforeignmemory_handle *fm, struct vr_gtable *gt)
{
    const struct vr_record_dev *d = &g->rec.devs[i];
    uint32_t pages = d->dma_size >> VR_PAGE_SHIFT, first, last;
    struct vr_err err;

    if (!g->exists || !d->gref_base || !pages)
        return false;
    first = d->gref_base / VR_GNTENT_PER_FRAME;
    last = (d->gref_base + pages - 1) / VR_GNTENT_PER_FRAME;
    if (vr_gtable_map(gt, fm, g->info.domain, first, last - first + 1, writable,
                      &err)) {
        /* A guest that is half made or half gone may have no table. */
        if (!(g->info.flags & XEN_DOMINF_dying) &&
            g->rec.phase != VR_PHASE_CREATING)
            say("%s", err.text);
        return false;
    }
    return true;
}

static uint32_t count_busy(const struct guest *g, xenforeignmemory_handle *fm,
                           unsigned int *who)
{
    uint32_t total = 0, most = 0;
    unsigned int i;

    for (i = 0; i < g->rec.ndevs; i++) {
        const struct vr_record_dev *d = &g->rec.devs[i];
        uint32_t k, busy = 0;
        struct vr_gtable gt;

        if (!map_window(g, i, false, fm, &gt))
            continue;
        for (k = 0; k < d->dma_size >> VR_PAGE_SHIFT; k++)
            if (vr_gntent_read(vr_gtable_entry(&gt, d->gref_base + k)).flags &
                VR_GTF_IN_USE)
                busy++;
        vr_gtable_unmap(&gt);
        total += busy;
        if (busy > most && who) {
            most = busy;
            *who = d->driver;
        }
    }
    return total;
}

uint32_t windows_busy(const struct guest *g, int wait_ms, unsigned int *who)
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    xenforeignmemory_handle *fm;
    uint32_t busy;
    int waited;

    if (!g->exists)
        return 0;
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return 0;
    for (waited = 0;; waited += 20) {
        busy = count_busy(g, fm, who);
        if (!busy || waited >= wait_ms)
            break;
        nanosleep(&step, NULL);
    }
    xenforeignmemory_close(fm);
    return busy;
}

uint32_t windows_revoke(const struct guest *g)
{
    xenforeignmemory_handle *fm;
    uint32_t busy = 0;
    unsigned int i;

    if (!g->exists)
        return 0;
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return 0;
    for (i = 0; i < g->rec.ndevs; i++) {
        const struct vr_record_dev *d = &g->rec.devs[i];
        struct vr_gtable gt;

        if (!map_window(g, i, true, fm, &gt))
            continue;
        busy += vr_gntent_revoke_range(vr_gtable_entry(&gt, d->gref_base),
                                       d->dma_size >> VR_PAGE_SHIFT);
        vr_gtable_unmap(&gt);
    }
    xenforeignmemory_close(fm);
    return busy;
}

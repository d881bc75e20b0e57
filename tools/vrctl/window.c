/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's windows during its clean-up: waits until they are unused, and
 * revokes them. Maps the grant table for as long as it looks.
 */
#include <string.h>
#include <time.h>

#include "vrctl.h"
#include "libs/xen/gtable.h"

/* Maps the frames that hold a window, for as long as it takes to look: a
 * mapping that stays would keep a dead guest from going. */
static bool map_window(const struct guest *g, const struct vr_gwin *win,
                       bool writable, xenforeignmemory_handle *fm,
                       struct vr_gtable *gt)
{
    uint32_t first, last;
    struct vr_err err;

    if (!g->exists || !win || !win->gref_base)
        return false;
    first = win->gref_base / VR_GNTENT_PER_FRAME;
    last = (win->gref_base + vr_gwin_pages(win) - 1) / VR_GNTENT_PER_FRAME;
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

static uint32_t busy_in(const struct guest *g, const struct vr_gwin *win,
                        xenforeignmemory_handle *fm)
{
    struct vr_gtable gt;
    uint32_t k, busy = 0;

    if (!map_window(g, win, false, fm, &gt))
        return 0;
    for (k = 0; k < vr_gwin_pages(win); k++)
        if (vr_gntent_read(vr_gtable_entry(&gt, win->gref_base + k)).flags &
            VR_GTF_IN_USE)
            busy++;
    vr_gtable_unmap(&gt);
    return busy;
}

static uint32_t count_busy(const struct guest *g, xenforeignmemory_handle *fm,
                           uint32_t *held)
{
    unsigned int i, kind;
    uint32_t total = 0;

    memset(held, 0, VR_MAX_DEVICES * sizeof(*held));
    for (i = 0; i < g->rec.ndevs; i++) {
        const struct vr_record_dev *d = &g->rec.devs[i];
        uint32_t busy = 0;

        for (kind = 0; kind < VR_WINDOWS; kind++)
            busy += busy_in(g, vr_record_window(d, kind), fm);
        total += busy;
        held[d->driver] += busy;
    }
    return total;
}

uint32_t windows_busy(const struct guest *g, int wait_ms,
                      uint32_t held[VR_MAX_DEVICES])
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    xenforeignmemory_handle *fm;
    uint32_t busy;
    int waited;

    memset(held, 0, VR_MAX_DEVICES * sizeof(*held));
    if (!g->exists)
        return 0;
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return 0;
    for (waited = 0;; waited += 20) {
        busy = count_busy(g, fm, held);
        if (!busy || waited >= wait_ms)
            break;
        nanosleep(&step, NULL);
    }
    xenforeignmemory_close(fm);
    return busy;
}

static uint32_t revoke_in(const struct guest *g, const struct vr_gwin *win,
                          xenforeignmemory_handle *fm)
{
    struct vr_gtable gt;
    uint32_t busy;

    if (!map_window(g, win, true, fm, &gt))
        return 0;
    busy = vr_gntent_revoke_range(vr_gtable_entry(&gt, win->gref_base),
                                  vr_gwin_pages(win));
    vr_gtable_unmap(&gt);
    return busy;
}

uint32_t windows_revoke(const struct guest *g)
{
    xenforeignmemory_handle *fm;
    uint32_t busy = 0;
    unsigned int i, kind;

    if (!g->exists)
        return 0;
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return 0;
    for (i = 0; i < g->rec.ndevs; i++)
        for (kind = 0; kind < VR_WINDOWS; kind++)
            busy += revoke_in(g, vr_record_window(&g->rec.devs[i], kind), fm);
    xenforeignmemory_close(fm);
    return busy;
}

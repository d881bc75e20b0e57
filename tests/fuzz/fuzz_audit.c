/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The audit of a grant table that a hostile guest wrote: the input is the
 * account of what is mapped in a dynamic window, then the table. Two static
 * windows and the dynamic one lie in its first 128 entries. Held against
 * counts that are made the simple way.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libs/host/audit.h"
#include "libs/host/lost.h"
#include "libs/proto/maps.h"

#define MAX_ENTRIES 2048
#define DYN         2u /* index of the dynamic window ... */
#define DYN_GREF    64u
#define DYN_PAGES   64u
#define DYN_DOMID   3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vr_record_ram ram[] = {{0x100, 0x1000}};

/* Entries of the dynamic window that are missing, and such as must not be. */
static void count_dynamic(const struct vr_gntent *t, uint32_t n, uint64_t bits,
                          uint32_t *missing, uint32_t *excess)
{
    uint32_t page;

    *missing = *excess = 0;
    for (page = 0; page < DYN_PAGES; page++) {
        struct vr_gntent e = {0};
        bool mapped = bits >> page & 1, good;

        if (DYN_GREF + page < n)
            e = t[DYN_GREF + page];
        good = (e.flags & VR_GTF_TYPE_MASK) == VR_GTF_PERMIT_ACCESS &&
               e.domid == DYN_DOMID && e.frame >= ram[0].start &&
               e.frame < ram[0].end;
        *missing += mapped && !good;
        *excess += (e.flags & VR_GTF_TYPE_MASK) && !(mapped && good);
    }
}

/* Entries that the guest has overwritten, as the broker counts them. */
static uint32_t count_lost(const struct vr_gntent *t,
                           const struct vr_audit_window *win, unsigned int nwin)
{
    uint32_t lost = 0;
    unsigned int i;

    for (i = 0; i < nwin; i++) {
        const struct vr_gwin w = {
            .base = (uint64_t)win[i].gfn << VR_PAGE_SHIFT,
            .size = (uint64_t)win[i].count << VR_PAGE_SHIFT,
        };

        lost += vr_lost_count(&t[win[i].gref], &w,
                              win[i].dynamic ? VR_LOST_DYNAMIC
                              : win[i].pool  ? VR_LOST_POOL
                                             : VR_LOST_PRIVATE,
                              win[i].domid);
    }
    return lost;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bits = 0;
    const struct vr_audit_window win[] = {
        {.domid = 1,
         .pool = VR_POOL_GRANTED,
         .gfn = 0x100,
         .gref = 8,
         .count = 16},
        {.domid = 2, .gfn = 0xfffffff8, .gref = 32, .count = 16},
        {.domid = DYN_DOMID,
         .dynamic = true,
         .gfn = 0x1000000,
         .gref = DYN_GREF,
         .count = DYN_PAGES,
         .mapped = &bits},
    };
    static struct vr_gntent t[MAX_ENTRIES];
    uint32_t n, i, access = 0, frames = 0, missing, excess;
    struct vr_audit a;

    if (size < sizeof(bits))
        return 0;
    memcpy(&bits, data, sizeof(bits));
    data += sizeof(bits);
    size -= sizeof(bits);
    n = size / sizeof(*t) > MAX_ENTRIES ? MAX_ENTRIES : size / sizeof(*t);
    memcpy(t, data, n * sizeof(*t));
    if (vr_audit_run(t, n, win, 3, ram, 1, &a))
        return 0;
    for (i = 0; i < n; i++)
        if ((t[i].flags & VR_GTF_TYPE_MASK) == VR_GTF_PERMIT_ACCESS)
            access++;
    count_dynamic(t, n, bits, &missing, &excess);
    if (a.ok && (missing || excess))
        abort();
    for (i = 0; i < a.nranges; i++) {
        const struct vr_audit_range *r = &a.ranges[i];

        if (r->last < r->first || r->entries <= r->last - r->first ||
            r->in_use > r->entries)
            abort();
        if (r->kind != VR_AUDIT_MISSING)
            frames += r->entries;
        if (r->window == DYN && r->kind == VR_AUDIT_MISSING)
            missing -= r->entries;
        if (r->window == DYN && r->kind == VR_AUDIT_EXCESS)
            excess -= r->entries;
    }
    /* Every entry that lets somebody reach a page is in the answer. */
    if (n >= DYN_GREF + DYN_PAGES && count_lost(t, win, 3) != a.lost)
        abort();
    if (frames < access || frames > access + a.odd || missing || excess)
        abort();
    vr_audit_free(&a);
    return 0;
}

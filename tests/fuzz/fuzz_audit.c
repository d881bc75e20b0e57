/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The audit of a grant table that a hostile guest wrote: the input is the
 * table. Two windows lie in its first 64 entries. Held against a count that
 * is made the simple way.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"

#define MAX_ENTRIES 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vr_audit_window win[] = {
        {.domid = 1, .gfn = 0x100, .gref = 8, .count = 16},
        {.domid = 2, .gfn = 0xfffffff8, .gref = 32, .count = 16},
    };
    static struct vr_gntent t[MAX_ENTRIES];
    uint32_t n = size / sizeof(*t), i, access = 0, frames = 0;
    struct vr_audit a;

    if (n > MAX_ENTRIES)
        n = MAX_ENTRIES;
    memcpy(t, data, n * sizeof(*t));
    if (vr_audit_run(t, n, win, 2, &a))
        return 0;
    for (i = 0; i < n; i++)
        if ((t[i].flags & VR_GTF_TYPE_MASK) == VR_GTF_PERMIT_ACCESS)
            access++;
    for (i = 0; i < a.nranges; i++) {
        const struct vr_audit_range *r = &a.ranges[i];

        if (r->last < r->first || r->entries <= r->last - r->first ||
            r->in_use > r->entries)
            abort();
        if (r->kind != VR_AUDIT_MISSING)
            frames += r->entries;
    }
    /* Every entry that lets somebody reach a page is in the answer. */
    if (frames < access || frames > access + a.odd)
        abort();
    vr_audit_free(&a);
    return 0;
}

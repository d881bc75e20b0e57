/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mapping a pool when the guest starts its device; for worker/worker.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "poolmap.h"

/* Pages: few calls for a large pool, and seldom all of its parts lost. */
#define PART 64u

/* How many parts of the pool can be mapped by themselves. */
static uint32_t count_parts(const struct vr_dynmem_ops *ops, void *ctx,
                            const uint32_t *refs, uint32_t count)
{
    uint32_t i, good = 0;

    for (i = 0; i < count; i += PART) {
        uint32_t n = count - i < PART ? count - i : PART;
        void *p = ops->map(ctx, refs + i, n, true);

        if (!p)
            continue;
        ops->unmap(ctx, p, n);
        good++;
    }
    return good;
}

static const char *reason(uint32_t good, uint32_t parts)
{
    if (good == parts)
        return "each part of it can: too much is mapped at once; raise "
               "gnttab_max_maptrack_frames, or gntdev's limit";
    if (good)
        return "parts of it can: the guest has overwritten the others' grants, "
               "probably with its own; see vrctl audit";
    return "nor can any part: SILO (boot Xen with xsm=dummy), or the guest has "
           "overwritten all its grants; see vrctl audit";
}

int vr_poolmap(const struct vr_dynmem_ops *ops, void *ctx,
               const struct vr_gwin *pool, uint32_t guest, void **va,
               struct vr_err *err)
{
    uint32_t i, count = vr_gwin_pages(pool), good;
    uint32_t *refs = malloc(count * sizeof(*refs));
    int rc = 0;

    if (!refs) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    for (i = 0; i < count; i++)
        refs[i] = pool->gref_base + i;
    errno = 0;
    *va = ops->map(ctx, refs, count, true);
    if (!*va) {
        rc = errno ? -errno : -EIO;
        good = count_parts(ops, ctx, refs, count);
        ops->settle(ctx);
        vr_err_set(err,
                   "pool of %" PRIu32 " pages at grant %" PRIu32 " of domain "
                   "%" PRIu32 " cannot be mapped (%s), %s",
                   count, pool->gref_base, guest, strerror(-rc),
                   reason(good, (count + PART - 1) / PART));
    }
    free(refs);
    return rc;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Window and pool of a dynamic or mixed device, for remote.c and the
 * virtqueues: copies are gathered, pages mapped and let go of by vr_dynmem_ops.
 */
#include <errno.h>
#include <string.h>

#include "dynmem.h"

static unsigned int whole_pages(uint64_t addr, uint64_t len)
{
    return (
        unsigned int)(((addr & (VR_PAGE_SIZE - 1)) + len + VR_PAGE_SIZE - 1) >>
                      VR_PAGE_SHIFT);
}

/* A ring area, contiguous here as it is there. */
static void *window_map(void *ctx, uint64_t addr, uint64_t len, bool write)
{
    struct vr_dynmem *dm = ctx;
    const struct vr_buf area = {addr, len};
    uint8_t *p = vr_window_pool_ptr(&dm->window, addr, len);
    int n;

    if (p)
        return p;
    n = vr_gmap_refs(&dm->gwin, &area, 1, 0, len, dm->refs,
                     VR_DYNMEM_MAP_PAGES);
    if (n <= 0)
        return NULL;
    p = dm->ops->map(dm->ctx, dm->refs, n, write);
    return p ? p + (addr & (VR_PAGE_SIZE - 1)) : NULL;
}

static void window_unmap(void *ctx, void *p, uint64_t len)
{
    struct vr_dynmem *dm = ctx;
    uintptr_t addr = (uintptr_t)p, offset = addr & (VR_PAGE_SIZE - 1);

    if (addr - (uintptr_t)dm->window.pool.va < dm->window.pool.size)
        return;
    dm->ops->unmap(dm->ctx, (uint8_t *)p - offset, whole_pages(addr, len));
    dm->ops->settle(dm->ctx);
}

/* The most pages that a table touches. */
#define TABLE_PAGES (16 * VR_INDIRECT_MAX / VR_PAGE_SIZE + 1)

/* An indirect table. What is gathered for requests waits for its turn. */
static const void *window_fetch(void *ctx, uint64_t addr, uint64_t len)
{
    struct vr_dynmem *dm = ctx;
    const struct vr_buf area = {addr, len};
    struct vr_gseg seg[TABLE_PAGES];
    struct vr_gcopy one = {.seg = seg, .max = TABLE_PAGES};
    const void *pool = vr_window_pool_ptr(&dm->window, addr, len);
    unsigned int i;

    if (pool)
        return pool;
    if (!dm->table || len > VR_DYNMEM_LOCAL ||
        vr_gcopy_add(&one, &dm->gwin, &area, 1, 0, len, dm->table, false, dm))
        return NULL;
    dm->counters->grant_ops++;
    if (dm->ops->copy(dm->ctx, seg, one.n))
        return NULL;
    for (i = 0; i < one.n; i++) {
        if (seg[i].status)
            return NULL;
    }
    dm->counters->copied_bytes += len;
    return dm->table;
}

void vr_dynmem_init(struct vr_dynmem *dm, const struct vr_gwin *win,
                    const struct vr_dynmem_ops *ops, void *ctx)
{
    memset(dm, 0, sizeof(*dm));
    dm->gwin = *win;
    dm->window.base = win->base;
    dm->window.size = win->size;
    dm->window.map = window_map;
    dm->window.unmap = window_unmap;
    dm->window.ctx = dm;
    dm->ops = ops;
    dm->ctx = ctx;
    dm->budget = VR_DYNMEM_BUDGET;
    dm->batch.seg = dm->seg;
    dm->batch.max = VR_DYNMEM_BATCH;
}

void vr_dynmem_pool(struct vr_dynmem *dm, const struct vr_gwin *pool, void *va)
{
    dm->window.pool.base = pool->base;
    dm->window.pool.size = pool->size;
    dm->window.pool.va = va;
    dm->window.fetch = window_fetch;
    if (!dm->table)
        dm->table = dm->ops->alloc(dm->ctx, VR_DYNMEM_LOCAL);
}

/* For the grants' copies alone. */
static int gather(struct vr_dynmem *dm, const struct vr_buf *buf,
                  unsigned int n, uint64_t skip, uint64_t len, void *local,
                  bool to_guest, void *owner)
{
    int rc = vr_gcopy_add(&dm->batch, &dm->gwin, buf, n, skip, len, local,
                          to_guest, owner);

    if (rc != -ENOSPC)
        return rc;
    vr_dynmem_run(dm);
    rc = vr_gcopy_add(&dm->batch, &dm->gwin, buf, n, skip, len, local, to_guest,
                      owner);
    return rc ? -EFAULT : 0;
}

/* Are all @len bytes in the buffers, and each buffer where it may be? */
static bool reachable(const struct vr_dynmem *dm, struct vr_walk walk)
{
    struct vr_buf part;

    while (vr_walk_next(&walk, &part)) {
        if (!vr_window_covers(&dm->window, part.addr, part.len))
            return false;
    }
    return !walk.left;
}

static int copy(struct vr_dynmem *dm, const struct vr_buf *buf, unsigned int n,
                uint64_t skip, uint64_t len, void *local, bool to_guest,
                void *owner)
{
    struct vr_walk walk = {buf, n, skip, len};
    uint8_t *p = local, *pool;
    struct vr_buf part;
    int rc;

    if (!dm->window.pool.size)
        return gather(dm, buf, n, skip, len, local, to_guest, owner);
    if (!reachable(dm, walk))
        return -EFAULT;
    for (; vr_walk_next(&walk, &part); p += part.len) {
        pool = vr_window_pool_ptr(&dm->window, part.addr, part.len);
        if (!pool) {
            rc = gather(dm, &part, 1, 0, part.len, p, to_guest, owner);
            if (rc)
                return rc;
        } else if (to_guest) {
            memcpy(pool, p, part.len);
        } else {
            memcpy(p, pool, part.len);
        }
    }
    /* The guest can change its memory; from here on the copy counts. */
    __asm__ volatile("" : : "r"(local) : "memory");
    return 0;
}

int vr_dynmem_fetch(struct vr_dynmem *dm, const struct vr_buf *buf,
                    unsigned int n, uint64_t skip, uint64_t len, void *local,
                    void *owner)
{
    return copy(dm, buf, n, skip, len, local, false, owner);
}

int vr_dynmem_store(struct vr_dynmem *dm, const struct vr_buf *buf,
                    unsigned int n, uint64_t skip, uint64_t len, void *local,
                    void *owner)
{
    return copy(dm, buf, n, skip, len, local, true, owner);
}

void vr_dynmem_run(struct vr_dynmem *dm)
{
    unsigned int i, n = dm->batch.n;
    uint64_t bytes = 0;
    int rc;

    if (!n) {
        vr_dynmem_settle(dm);
        return;
    }
    dm->batch.n = 0;
    dm->loose = false;
    rc = dm->ops->copy(dm->ctx, dm->seg, n);
    dm->counters->grant_ops += (n + dm->ops->per_call - 1) / dm->ops->per_call;
    for (i = 0; i < n; i++) {
        const struct vr_gseg *seg = &dm->seg[i];

        if (!rc && !seg->status)
            bytes += seg->len;
        else
            dm->refused(dm->refused_ctx, seg, vr_gcopy_addr(&dm->gwin, seg));
    }
    dm->counters->copied_bytes += bytes;
}

bool vr_dynmem_in_pool(const struct vr_dynmem *dm, struct vr_chain *chain)
{
    unsigned int i, n = chain->nread + chain->nwrite;

    for (i = 0; i < n; i++) {
        if (!vr_window_pool_ptr(&dm->window, chain->buf[i].addr,
                                chain->buf[i].len))
            return false;
    }
    for (i = 0; i < n; i++)
        chain->iov[i].iov_base =
            dm->window.pool.va + (chain->buf[i].addr - dm->window.pool.base);
    return true;
}

void *vr_dynmem_map(struct vr_dynmem *dm, const struct vr_buf *buf,
                    unsigned int n, uint64_t skip, uint64_t len, bool write,
                    struct iovec *iov, unsigned int *niov, unsigned int *pages)
{
    void *p;
    int r;

    r = vr_gmap_refs(&dm->gwin, buf, n, skip, len, dm->refs,
                     VR_DYNMEM_MAP_PAGES);
    if (r <= 0)
        return NULL;
    dm->counters->grant_ops++;
    dm->loose = false;
    p = dm->ops->map(dm->ctx, dm->refs, r, write);
    if (!p)
        return NULL;
    *niov = vr_gmap_iov(buf, n, skip, len, p, iov);
    *pages = r;
    dm->mapped += r;
    return p;
}

void vr_dynmem_unmap(struct vr_dynmem *dm, void *p, unsigned int pages)
{
    if (!p)
        return;
    dm->ops->unmap(dm->ctx, p, pages);
    dm->loose = true;
    dm->counters->grant_ops++;
    dm->mapped -= pages;
}

void vr_dynmem_settle(struct vr_dynmem *dm)
{
    if (dm->loose)
        dm->ops->settle(dm->ctx);
    dm->loose = false;
}

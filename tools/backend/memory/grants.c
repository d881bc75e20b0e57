/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worker's end of the requests to its granter: vr_dynmem_ops. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "futex.h"
#include "gntdev.h"
#include "grants.h"

_Static_assert(VR_DYNMEM_BATCH <= VR_GRANTREQ_SEGS, "one batch, one request");

/* Ring areas of a queue: the most pages that they touch. */
#define RING_PAGES 6u
/* gntdev takes the first gap in which a map fits: there may be gaps. */
#define ROOM_FACTOR 4u

/* Keeps addresses free: no memory, and nothing else can come there. */
static void *reserve(void *at, uint32_t pages)
{
    return mmap(at, pages * VR_PAGE_SIZE, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                    (at ? MAP_FIXED : 0),
                -1, 0);
}

static size_t whole(size_t size)
{
    return (size + VR_PAGE_SIZE - 1) & ~(VR_PAGE_SIZE - 1);
}

int vr_grants_open(struct vr_grants *g, const struct vr_gwin *pool,
                   const struct vr_gwin *iova, int fd, size_t local)
{
    size_t head;
    void *p;

    memset(g, 0, sizeof(*g));
    g->fd = fd;
    g->max_refs = g->max_pages = vr_gwin_pages(pool);
    if (iova->size) {
        if (g->max_refs < VR_DYNMEM_MAP_PAGES)
            g->max_refs = VR_DYNMEM_MAP_PAGES;
        /* Twice: what is to be dropped is still registered. */
        g->max_pages += 2 * (VR_DYNMEM_BUDGET + VR_DYNMEM_MAP_PAGES) +
                        RING_PAGES * VR_MAX_QUEUES;
    }
    head = whole(vr_grantreq_size(g->max_refs));
    g->arena_size = whole(local);
    p = mmap(NULL, head + g->arena_size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    g->req = p;
    g->arena = (uint8_t *)p + head;
    g->room_pages = ROOM_FACTOR * g->max_pages;
    p = reserve(NULL, g->room_pages);
    if (p == MAP_FAILED)
        return -errno;
    g->room = p;
    return 0;
}

int vr_grants_ask(struct vr_grants *g)
{
    struct vr_grantreq *req = g->req;
    uint32_t done = g->turn++;

    __atomic_store_n(&req->asked, g->turn, __ATOMIC_RELEASE);
    vr_futex_wake(&req->asked);
    while (__atomic_load_n(&req->done, __ATOMIC_ACQUIRE) != g->turn)
        vr_futex_wait(&req->done, done);
    /* The guest waits for the page and must not be told that it is free. When
     * the process ends, the kernel unmaps everything. */
    if (req->dropped != req->ndrops)
        abort();
    req->ndrops = req->nsegs = req->nrefs = 0;
    return req->rc;
}

static void *grants_alloc(void *ctx, size_t size)
{
    struct vr_grants *g = ctx;
    void *p = g->arena + g->used;

    size = whole(size);
    if (size > g->arena_size - g->used)
        return NULL;
    g->used += size;
    return p;
}

/* With the next request, whatever that is for. */
static void forget(struct vr_grants *g, uint32_t first, uint32_t n)
{
    struct vr_grantreq *req = g->req;

    req->drop[req->ndrops++] = (struct vr_grantreq_run){first, n};
    if (req->ndrops == VR_GRANTREQ_DROPS)
        vr_grants_ask(g);
}

/* Maps what is registered. NULL with errno: Xen refuses. */
static void *map_run(struct vr_grants *g, uint32_t first, uint32_t n, int prot)
{
    uint8_t *at = g->room + first * VR_PAGE_SIZE;
    void *p;
    int error;

    if (first > g->room_pages || n > g->room_pages - first) {
        errno = ENOSPC;
        return NULL;
    }
    p = mmap(at, n * VR_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, g->fd,
             (off_t)(first * VR_PAGE_SIZE));
    if (p != MAP_FAILED)
        return p;
    error = errno;
    if (reserve(at, n) == MAP_FAILED)
        abort();
    errno = error;
    return NULL;
}

static void *grants_map(void *ctx, const uint32_t *refs, unsigned int n,
                        bool write)
{
    struct vr_grants *g = ctx;
    uint32_t first;
    void *p;
    int rc;

    memcpy(g->req->refs, refs, n * sizeof(*refs));
    g->req->nrefs = n;
    rc = vr_grants_ask(g);
    if (rc) {
        errno = -rc;
        return NULL;
    }
    first = g->req->first;
    p = map_run(g, first, n, PROT_READ | (write ? PROT_WRITE : 0));
    if (!p) {
        rc = errno;
        forget(g, first, n);
        errno = rc;
    }
    return p;
}

static void grants_settle(void *ctx)
{
    struct vr_grants *g = ctx;

    if (g->req->ndrops)
        vr_grants_ask(g);
}

static void grants_unmap(void *ctx, void *p, unsigned int n)
{
    struct vr_grants *g = ctx;
    uintptr_t offset = (uintptr_t)p - (uintptr_t)g->room;

    if (reserve(p, n) == MAP_FAILED)
        abort();
    forget(g, (uint32_t)(offset >> VR_PAGE_SHIFT), n);
}

static int grants_copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct vr_grants *g = ctx;
    struct vr_grantreq *req = g->req;
    unsigned int i;
    int rc;

    for (i = 0; i < n; i++)
        req->seg[i] = (struct vr_grantreq_seg){
            .ref = seg[i].ref,
            .local = (uint32_t)(seg[i].local - g->arena),
            .offset = seg[i].offset,
            .len = seg[i].len,
            .to_guest = seg[i].to_guest,
        };
    req->nsegs = n;
    rc = vr_grants_ask(g);
    for (i = 0; !rc && i < n; i++)
        seg[i].status = req->seg[i].status;
    return rc;
}

const struct vr_dynmem_ops vr_grants_ops = {
    .alloc = grants_alloc,
    .map = grants_map,
    .unmap = grants_unmap,
    .copy = grants_copy,
    .settle = grants_settle,
    .per_call = VR_GNTDEV_PER_CALL,
};

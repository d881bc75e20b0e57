/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Anything in the memory that worker and granter share, which changes while the
 * granter works: no grant outside of the two windows is named, no byte outside
 * of the arena or of a page, and no more pages are registered than may be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libs/proto/grantreq.h"

#define ARENA     8192u
#define REFS      40u
#define MAX_PAGES 100u

static const struct vr_gwin pool = {0x1000, 33 * VR_PAGE_SIZE, 1};
static const struct vr_gwin iova = {0x100000, 50 * VR_PAGE_SIZE, 7000};

struct world {
    struct vr_grantreq *req;
    size_t size;
    const uint8_t *data; /* what the worker writes meanwhile */
    size_t left;
    uint32_t registered;
};

static bool in(const struct vr_gwin *win, uint32_t ref)
{
    return ref >= win->gref_base &&
           ref < win->gref_base + win->size / VR_PAGE_SIZE;
}

static void scribble(struct world *w)
{
    size_t n = w->left < 64 ? w->left : 64;

    if (n < 3)
        return;
    memcpy((uint8_t *)w->req + (w->data[0] << 8 | w->data[1]) % (w->size - n),
           w->data + 2, n - 2);
    w->data += n;
    w->left -= n;
}

static int add(void *ctx, const uint32_t *refs, uint32_t n, uint32_t *first)
{
    struct world *w = ctx;
    uint32_t i;

    scribble(w);
    if (!n || n > REFS || n > MAX_PAGES - w->registered)
        abort();
    for (i = 0; i < n; i++)
        if (!in(&pool, refs[i]) && !in(&iova, refs[i]))
            abort();
    if (refs[0] % 5 == 0)
        return -EINVAL;
    *first = w->registered;
    w->registered += n;
    return 0;
}

/* Takes what was registered in any pieces. */
static int drop(void *ctx, uint32_t first, uint32_t n)
{
    struct world *w = ctx;

    scribble(w);
    if (!n)
        abort();
    if (first >= w->registered || n > w->registered)
        return -ENOENT;
    w->registered -= n;
    return 0;
}

static int copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct world *w = ctx;
    unsigned int i;

    scribble(w);
    if (!n || n > VR_GRANTREQ_SEGS)
        abort();
    for (i = 0; i < n; i++) {
        if (!in(&iova, seg[i].ref) || !seg[i].len ||
            seg[i].offset + seg[i].len > 4096)
            abort();
        if (!seg[i].to_guest)
            memset(seg[i].local, 1, seg[i].len);
        else if (memchr(seg[i].local, 0xa5, seg[i].len))
            abort();
        seg[i].status = seg[i].ref % 3;
    }
    return seg[0].ref % 7 ? 0 : -EIO;
}

static const struct vr_grant_ops ops = {add, drop, copy};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vr_grantserver s;
    static uint32_t refs[REFS];
    struct world w = {.size = vr_grantreq_size(REFS)};
    unsigned int round;

    /* By itself, so that no byte beyond it can be touched unseen. */
    w.req = calloc(1, w.size);
    s.pool = pool;
    s.iova = iova;
    s.arena = malloc(ARENA);
    memset(s.arena, 0, ARENA);
    s.arena_size = ARENA;
    s.ops = &ops;
    s.ctx = &w;
    s.max_refs = REFS;
    s.refs = refs;
    s.max_pages = MAX_PAGES;
    s.pages = 0;
    w.data = data;
    w.left = size;
    for (round = 0; round < 16 && w.left >= 3; round++) {
        const uint8_t *p = w.data;

        /* Small numbers, most of the time. */
        w.req->ndrops = p[0] % 4 ? p[0] % 8 : p[0];
        w.req->nsegs = p[1] % 4 ? p[1] % 8 : p[1] * 5u;
        w.req->nrefs = p[2] % 4 ? p[2] % 8 : p[2];
        w.data += 3;
        w.left -= 3;
        scribble(&w);
        if (vr_grantreq_serve(&s, w.req) != w.req->rc)
            abort();
        if (s.pages != w.registered || s.pages > MAX_PAGES)
            abort();
    }
    free(s.arena);
    free(w.req);
    return 0;
}

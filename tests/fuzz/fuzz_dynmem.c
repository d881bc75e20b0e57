/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers of a mixed device, anywhere in pool, window or outside: what is
 * copied is what the buffers say, each byte once, and nothing else is touched.
 * Indirect tables are what stands there.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/memory/dynmem.h"

#define BASE  UINT64_C(0x1000000000)
#define POOL  UINT64_C(0x40000000)
#define PAGES 3u
#define SIZE  (PAGES * 4096u)
#define FIRST 77u /* reference of the window's first page */
#define MAX   12u

struct head {
    uint32_t skip, len;
    uint8_t nbuf, to_guest, adjacent;
};

struct guest_buf {
    int32_t off;
    uint16_t len;
    uint8_t where;
};

struct guest {
    uint8_t *pool, *window;
};

static int copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct guest *g = ctx;
    unsigned int i;

    for (i = 0; i < n; i++) {
        uint8_t *there;

        if (seg[i].ref < FIRST || seg[i].ref - FIRST >= PAGES || !seg[i].len ||
            seg[i].offset + seg[i].len > 4096)
            abort();
        there = g->window + (seg[i].ref - FIRST) * 4096 + seg[i].offset;
        if (seg[i].to_guest)
            memcpy(there, seg[i].local, seg[i].len);
        else
            memcpy(seg[i].local, there, seg[i].len);
        seg[i].status = 0;
    }
    return 0;
}

static void *map(void *ctx, const uint32_t *refs, unsigned int n, bool write)
{
    struct guest *g = ctx;
    unsigned int i;

    (void)write;
    for (i = 0; i < n; i++)
        if (refs[i] < FIRST || refs[i] - FIRST >= PAGES)
            abort();
    return g->window;
}

static void unmap(void *ctx, void *p, unsigned int n)
{
    struct guest *g = ctx;

    if (p != g->window || n > PAGES * MAX)
        abort();
}

static void refused(void *ctx, const struct vr_gseg *seg, uint64_t addr)
{
    (void)ctx;
    (void)seg;
    (void)addr;
    abort();
}

static void settle(void *ctx)
{
    (void)ctx;
}

/* One table of a guest's, of many. */
static void *alloc(void *ctx, size_t size)
{
    static uint8_t table[VR_DYNMEM_LOCAL];

    (void)ctx;
    return size <= sizeof(table) ? table : NULL;
}

static const struct vr_dynmem_ops ops = {alloc, map, unmap, settle, copy, 16};

/* Where the guest has byte @addr; NULL: nowhere. */
static uint8_t *byte_at(const struct guest *g, uint64_t pool, uint64_t addr)
{
    if (addr - pool < SIZE)
        return g->pool + (addr - pool);
    return addr - BASE < SIZE ? g->window + (addr - BASE) : NULL;
}

/* Does each part of the run lie wholly in one of the two? */
static bool fits(const struct vr_buf *buf, unsigned int n, uint64_t pool,
                 uint64_t skip, uint64_t left)
{
    for (; n && left; buf++, n--) {
        uint64_t addr = buf->addr + skip, len = buf->len - skip;

        if (skip >= buf->len) {
            skip -= buf->len;
            continue;
        }
        skip = 0;
        len = len < left ? len : left;
        left -= len;
        if (!(addr - pool < SIZE && len <= SIZE - (addr - pool)) &&
            !(addr - BASE < SIZE && len <= SIZE - (addr - BASE)))
            return false;
    }
    return !left;
}

/* As a virtqueue would have it, which has checked where it lies. */
static void table(struct vr_dynmem *dm, const struct guest *g, uint64_t pool,
                  const struct vr_buf *buf)
{
    uint64_t len = buf->len % (16 * VR_INDIRECT_MAX + 1);
    const uint8_t *got;
    uint64_t i;

    if (!len || !vr_window_covers(&dm->window, buf->addr, len))
        return;
    got = dm->window.fetch(dm, buf->addr, len);
    for (i = 0; i < len; i++)
        if (got[i] != *byte_at(g, pool, buf->addr + i))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pattern[2 * SIZE];
    static struct vr_dynmem dm;
    struct vr_ctrl_counters counters = {0};
    struct vr_gwin win = {BASE, SIZE, FIRST}, pool = {POOL, SIZE, 1};
    struct vr_buf buf[MAX];
    struct guest_buf gb;
    struct guest g;
    struct vr_chain chain = {0};
    struct iovec iov[MAX];
    unsigned int n = 0, i, niov, pages;
    bool pooled;
    uint8_t *local;
    struct head h;
    uint64_t skip;
    void *p;
    int r;

    if (size < sizeof(h))
        return 0;
    memcpy(&h, data, sizeof(h));
    data += sizeof(h);
    size -= sizeof(h);
    h.skip %= SIZE / 2;
    h.len = h.len % SIZE + 1;
    if (h.adjacent & 1)
        pool.base = BASE - SIZE;
    while (n < h.nbuf % (MAX + 1) && size >= sizeof(gb)) {
        memcpy(&gb, data, sizeof(gb));
        data += sizeof(gb);
        size -= sizeof(gb);
        /* Mostly inside, now and then anywhere. */
        if (gb.where & 0xfc)
            gb.off = (int32_t)((uint32_t)gb.off % SIZE);
        buf[n].addr =
            (gb.where & 1 ? pool.base : BASE) + (uint64_t)(int64_t)gb.off;
        buf[n++].len = gb.len ? gb.len : 1;
    }
    /* Exactly as large as said, so that ASan sees a step outside. */
    g.pool = malloc(SIZE);
    g.window = malloc(SIZE);
    local = malloc(h.len);
    for (i = 0; !pattern[2 * SIZE - 1] && i < 2 * SIZE; i++)
        pattern[i] = (uint8_t)(1 + (i * 5 + i / 251) % 255);
    memcpy(g.pool, pattern, SIZE);
    memcpy(g.window, pattern + SIZE, SIZE);
    memset(local, 0xa5, h.len);
    vr_dynmem_init(&dm, &win, &ops, &g);
    vr_dynmem_pool(&dm, &pool, g.pool);
    dm.counters = &counters;
    dm.refused = refused;
    r = h.to_guest & 1 ? vr_dynmem_store(&dm, buf, n, h.skip, h.len, local, &h)
                       : vr_dynmem_fetch(&dm, buf, n, h.skip, h.len, local, &h);
    if (!r != fits(buf, n, pool.base, h.skip, h.len))
        abort();
    if (r && dm.batch.n)
        abort();
    vr_dynmem_run(&dm);
    for (i = 0, skip = h.skip; !r && i < h.len; i++, skip++) {
        const struct vr_buf *b = buf;
        uint64_t off = skip;

        for (; off >= b->len; b++)
            off -= b->len;
        if (local[i] != *byte_at(&g, pool.base, b->addr + off) &&
            /* buffers that overlap in what is read from them agree */
            !(h.to_guest & 1))
            abort();
        if (h.to_guest & 1 && *byte_at(&g, pool.base, b->addr + off) != 0xa5)
            abort();
    }
    for (i = 0; i < n; i++)
        table(&dm, &g, pool.base, &buf[i]);
    memcpy(chain.buf, buf, n * sizeof(buf[0]));
    chain.nread = n;
    pooled = vr_dynmem_in_pool(&dm, &chain);
    for (i = 0; pooled && i < n; i++) {
        uint8_t *at = chain.iov[i].iov_base;

        if (at < g.pool || buf[i].len > SIZE ||
            at - g.pool > (ptrdiff_t)(SIZE - buf[i].len))
            abort();
    }
    p = vr_dynmem_map(&dm, buf, n, h.skip, h.len, false, iov, &niov, &pages);
    vr_dynmem_unmap(&dm, p, p ? pages : 0);
    free(g.pool);
    free(g.window);
    free(local);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A window full of hostile rings. The input is its content, behind a few
 * bytes that say where the rings are; while the device works, more of the
 * input is written over it. Each buffer handed out is touched, so that ASan
 * sees one that is not inside. Some inputs make the window a remote one: its
 * rings are maps of exactly their size, its buffers addresses; some of these
 * make its second half a pool.
 */
#include <stdlib.h>
#include <string.h>

#include "libs/virtio/virtq.h"

#define BASE UINT64_C(0x100000)
#define SIZE 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
    uint16_t desc, driver, device;
    uint8_t shift, features;
    uint16_t last_avail, used_idx;
    uint64_t inflight;
};

static volatile uint8_t sink;

/* The window is remote. */
#define F_REMOTE 0x80
/* ... and a copy of indirect tables can be had. */
#define F_FETCH 0x40
/* In features, where it means nothing to a queue: it has a pool. */
#define F_POOL 0x04

struct area {
    uint8_t *copy;
    uint64_t addr, len;
};

static struct far {
    struct vr_window win;
    uint8_t *mem;
    struct area area[3];
    unsigned int mapped;
    uint8_t *table;
} far;

static void *far_map(void *ctx, uint64_t addr, uint64_t len, bool write)
{
    struct far *f = ctx;
    uint8_t *pool = vr_window_pool_ptr(&f->win, addr, len);
    struct area *a;

    (void)write;
    if (pool)
        return pool;
    if (!vr_window_has(&f->win, addr, len))
        abort(); /* in neither, or in parts */
    if (f->mapped == VR_ARRAY_SIZE(f->area) || addr < BASE || !len ||
        addr - BASE > SIZE || len > SIZE - (addr - BASE))
        abort();
    a = &f->area[f->mapped++];
    a->copy = malloc(len);
    a->addr = addr;
    a->len = len;
    memcpy(a->copy, f->mem + (addr - BASE), len);
    return a->copy;
}

static void far_unmap(void *ctx, void *p, uint64_t len)
{
    struct far *f = ctx;
    unsigned int i;

    if ((uintptr_t)p - (uintptr_t)f->win.pool.va < f->win.pool.size)
        return;
    for (i = 0; i < VR_ARRAY_SIZE(f->area); i++) {
        if (f->area[i].copy != p)
            continue;
        if (f->area[i].len != len)
            abort();
        free(p);
        f->area[i].copy = NULL;
        f->mapped--;
        return;
    }
    abort();
}

static const void *far_fetch(void *ctx, uint64_t addr, uint64_t len)
{
    struct far *f = ctx;

    if (addr < BASE || addr - BASE > SIZE || len > SIZE - (addr - BASE) ||
        len > 16 * VR_INDIRECT_MAX || !vr_window_covers(&f->win, addr, len))
        abort();
    if (addr >> 8 & 8)
        return NULL; /* not given */
    free(f->table);
    f->table = malloc(len);
    memcpy(f->table, f->mem + (addr - BASE), len);
    return f->table;
}

static void make_far(const struct vr_window *win, bool fetch, bool pool)
{
    memset(&far, 0, sizeof(far));
    far.mem = win->va;
    far.win.base = win->base;
    far.win.size = win->size;
    far.win.map = far_map;
    far.win.unmap = far_unmap;
    far.win.fetch = fetch ? far_fetch : NULL;
    far.win.ctx = &far;
    if (!pool)
        return;
    far.win.size = SIZE / 2;
    far.win.pool.base = BASE + SIZE / 2;
    far.win.pool.size = SIZE / 2;
    far.win.pool.va = win->va + SIZE / 2;
}

static void touch(const struct vr_chain *c, bool remote)
{
    unsigned int i, n = c->nread + c->nwrite;

    if (n > VR_CHAIN_MAX)
        abort();
    for (i = 0; remote && i < n; i++) {
        if (!vr_window_covers(&far.win, c->buf[i].addr, c->buf[i].len) ||
            !c->buf[i].len)
            abort();
    }
    for (i = 0; !remote && i < n; i++) {
        uint8_t *p = c->iov[i].iov_base;

        sink = p[0] + p[c->iov[i].iov_len - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_ctrl_resume log = {.epoch = 1};
    struct vr_window win = {.base = BASE, .size = SIZE}, *w = &win;
    struct vr_ctrl_queue cfg = {.epoch = 1};
    static struct vr_chain chain;
    unsigned int i, n;
    struct vr_vq vq;
    struct head h;
    bool remote;

    if (size < sizeof(h))
        return 0;
    memcpy(&h, data, sizeof(h));
    data += sizeof(h);
    size -= sizeof(h);
    win.va = aligned_alloc(4096, SIZE);
    memset(win.va, 0, SIZE);
    n = size < SIZE ? size : SIZE;
    memcpy(win.va, data, n);

    remote = h.shift & F_REMOTE;
    if (remote) {
        make_far(&win, h.shift & F_FETCH, h.features & F_POOL);
        w = &far.win;
    }
    cfg.desc = BASE + h.desc;
    cfg.driver = BASE + h.driver;
    cfg.device = BASE + h.device;
    cfg.size = 1u << ((h.shift & 0x3f) % 10);
    log.last_avail = h.last_avail;
    log.used_idx = h.used_idx;
    log.inflight[0] = h.inflight;
    vr_vq_init(&vq);
    if (!vr_vq_start(&vq, w, &cfg, (uint64_t)h.features << 24,
                     h.features & 1 ? &log : NULL)) {
        while (vr_vq_pop_resumed(&vq, &chain) > 0) {
            touch(&chain, remote);
            vr_vq_push(&vq, chain.head, chain.write_len);
        }
        for (i = 0; i < 600 && vr_vq_pop(&vq, &chain) > 0; i++) {
            touch(&chain, remote);
            if (i & 1 || h.features & 2)
                vr_vq_push(&vq, chain.head, 1);
            if (i & 2)
                vr_vq_publish(&vq);
            if (size <= SIZE + i)
                continue;
            win.va[data[SIZE + i] * 32u] ^= data[i];
            if (remote && far.area[0].len > data[SIZE + i])
                far.area[0].copy[data[SIZE + i]] ^= data[i];
        }
        vr_vq_publish(&vq);
        sink = vr_vq_should_notify(&vq);
        sink = vr_vq_enable_kicks(&vq);
        vr_vq_disable_kicks(&vq);
    }
    vr_vq_stop(&vq);
    if (remote) {
        if (far.mapped)
            abort();
        free(far.table);
    }
    free(win.va);
    return 0;
}

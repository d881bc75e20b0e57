/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver's side of a split virtqueue, as small as can be, over a window
 * of ordinary memory: for tests of the device's side.
 */
#ifndef TEST_RING_H
#define TEST_RING_H

#include <string.h>

#include "libs/virtio/virtq.h"

#define RING_F_NEXT     1
#define RING_F_WRITE    2
#define RING_F_INDIRECT 4

#define RING_BASE 0x40000000ull

struct ring {
    uint8_t *mem; /* the window */
    struct vr_ctrl_queue cfg;
    uint16_t avail_idx, used_seen;
};

/* Rings of @size at offset @at of the window; data belongs behind 0x4000. */
static inline void ring_init(struct ring *r, uint8_t *mem, uint32_t at,
                             uint32_t size)
{
    memset(r, 0, sizeof(*r));
    r->mem = mem;
    r->cfg.desc = RING_BASE + at;
    r->cfg.driver = RING_BASE + at + 0x1000;
    r->cfg.device = RING_BASE + at + 0x2000;
    r->cfg.size = size;
    r->cfg.epoch = 1;
    memset(mem + at, 0, 0x3000);
}

static inline void *ring_at(const struct ring *r, uint64_t addr)
{
    return r->mem + (addr - RING_BASE);
}

static inline void ring_desc(struct ring *r, unsigned int i, uint64_t addr,
                             uint32_t len, uint16_t flags, uint16_t next)
{
    struct vr_vring_desc *d = ring_at(r, r->cfg.desc);

    d[i] = (struct vr_vring_desc){addr, len, flags, next};
}

static inline uint16_t *ring_avail(const struct ring *r)
{
    return ring_at(r, r->cfg.driver);
}

static inline uint16_t *ring_used(const struct ring *r)
{
    return ring_at(r, r->cfg.device);
}

/* Makes @head available. */
static inline void ring_add(struct ring *r, uint16_t head)
{
    uint16_t *a = ring_avail(r);

    a[2 + (r->avail_idx & (r->cfg.size - 1))] = head;
    __atomic_store_n(&a[1], ++r->avail_idx, __ATOMIC_RELEASE);
}

/* Takes a used element; false when there is none. */
static inline bool ring_get(struct ring *r, uint32_t *id, uint32_t *len)
{
    uint16_t *u = ring_used(r);
    struct vr_vring_used_elem *e = (void *)&u[2];

    if (__atomic_load_n(&u[1], __ATOMIC_ACQUIRE) == r->used_seen)
        return false;
    e += r->used_seen++ & (r->cfg.size - 1);
    *id = e->id;
    *len = e->len;
    return true;
}

/* Event indices: what the driver asks for, and what it was asked for. */
static inline uint16_t *ring_used_event(const struct ring *r)
{
    return &ring_avail(r)[2 + r->cfg.size];
}

static inline uint16_t *ring_avail_event(const struct ring *r)
{
    return &ring_used(r)[2 + 4 * r->cfg.size];
}

#endif /* TEST_RING_H */

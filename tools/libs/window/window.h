/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A window: the device addresses that a device's rings and buffers may lie at,
 * and what is behind them. Everything that a backend does with a guest's memory
 * goes through one. Pure.
 */
#ifndef VR_WINDOW_H
#define VR_WINDOW_H

#include <sys/uio.h>

#include "libs/base/range.h"
#include "libs/base/vr.h"

/* The most buffers of one chain: 126 segments, header and status, and two to
 * spare for drivers that cut a header in pieces. */
#define VR_CHAIN_MAX 130
/* The most entries of an indirect table; spec: not above the queue size. */
#define VR_INDIRECT_MAX VR_MAX_QUEUE_SIZE

/*
 * A range of device addresses.
 *
 * A *local* window is mapped as a whole: memory is one comparison and one
 * addition away (static mode).
 *
 * A *remote* window is not: what stands behind an address comes and goes as
 * the guest maps and unmaps (dynamic mode). A queue's rings are mapped when it
 * starts and let go of when it stops; buffers stay addresses, checked against
 * the range, for whoever executes the request to copy or to map.
 * Beside it there may be a pool, a second range that is mapped as a whole
 * (mixed mode): every area and every buffer lies in one of the two.
 */
struct vr_window {
    uint64_t base; /* device address of the first byte */
    uint64_t size; /* bytes */
    uint8_t *va;   /* local: where it is mapped */
    /*
     * Remote, else NULL. Maps @len bytes at device address @addr, both inside
     * the window; read-only unless @write. Returns NULL when that cannot be.
     */
    void *(*map)(void *ctx, uint64_t addr, uint64_t len, bool write);
    /* Remote: undoes it. @p, @len: what map() returned, and for how many. */
    void (*unmap)(void *ctx, void *p, uint64_t len);
    /*
     * Remote, optional: the @len bytes (at most 16 * VR_INDIRECT_MAX) at
     * @addr, wholly in window or pool, valid until the next call; NULL when the
     * guest does not grant them. Each is read once, so it need not be a copy.
     * Without it there are no indirect tables.
     */
    const void *(*fetch)(void *ctx, uint64_t addr, uint64_t len);
    void *ctx;
    /* Remote, optional: the pool; map() and unmap() know of it, too. */
    struct {
        uint64_t base, size;
        uint8_t *va;
    } pool;
};

/** vr_window_remote() - is it not mapped as a whole? */
static inline bool vr_window_remote(const struct vr_window *w)
{
    return w->map != NULL;
}

/**
 * vr_window_has() - does [@addr, @addr + @len) lie inside, the pool aside? No
 * value of @addr or @len overflows.
 */
static inline bool vr_window_has(const struct vr_window *w, uint64_t addr,
                                 uint64_t len)
{
    return vr_range_has(w->base, w->size, addr, len);
}

/**
 * vr_window_ptr() - local window: memory of [@addr, @addr + @len), NULL when
 * any byte of it is outside.
 */
static inline void *vr_window_ptr(const struct vr_window *w, uint64_t addr,
                                  uint64_t len)
{
    if (__builtin_expect(!vr_window_has(w, addr, len), 0))
        return NULL;
    return w->va + (addr - w->base);
}

/**
 * vr_window_pool_ptr() - memory of [@addr, @addr + @len), NULL when any byte of
 * it is outside of the pool, or there is none.
 */
static inline void *vr_window_pool_ptr(const struct vr_window *w, uint64_t addr,
                                       uint64_t len)
{
    if (!vr_range_has(w->pool.base, w->pool.size, addr, len))
        return NULL;
    return w->pool.va + (addr - w->pool.base);
}

/** vr_window_covers() - does it lie wholly in window or pool? */
static inline bool vr_window_covers(const struct vr_window *w, uint64_t addr,
                                    uint64_t len)
{
    return __builtin_expect(vr_window_has(w, addr, len), 1) ||
           vr_window_pool_ptr(w, addr, len);
}

/* A buffer of a remote window: inside of it, or of its pool; never empty. */
struct vr_buf {
    uint64_t addr; /* device address */
    uint64_t len;  /* bytes, below 4 GiB */
};

/* A chain of buffers: @nread readable ones first, then @nwrite writable. */
struct vr_chain {
    uint16_t head;
    uint16_t nread;
    uint16_t nwrite;
    uint32_t read_len; /* bytes */
    uint32_t write_len;
    union {
        struct iovec iov[VR_CHAIN_MAX];  /* local window */
        struct vr_buf buf[VR_CHAIN_MAX]; /* remote window */
    };
};

#endif /* VR_WINDOW_H */

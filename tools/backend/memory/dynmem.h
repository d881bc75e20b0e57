/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a backend reaches a guest in dynamic mode: the guest's memory behind a
 * window of grants that come and go. Three ways:
 *
 *   - rings are mapped while their queue runs: window is what vr_vq_start()
 *     takes;
 *   - small things and payload are copied by the hypervisor. Copies, both
 *     ways and for any number of requests, are gathered and then carried out
 *     by one call, vr_dynmem_run();
 *   - large payload can be mapped for the time of its I/O, so that nobody
 *     copies it.
 *
 * In mixed mode there is a pool beside that window: memory that is mapped all
 * the time. Rings that lie in it need no mapping of their own, what is to be
 * copied from or to it is copied at once, without the hypervisor, and payload
 * in it need not be copied at all. One request may have buffers in both.
 * Indirect tables, which only such a device has, are read where they are in
 * the pool, and copied from the window, by a call of their own.
 *
 * A grant that is missing, or read-only where it is to be written, is no
 * error of this module: the copy's owner is told, a map is refused. For any
 * type of device. One thread.
 */
#ifndef VR_DYNMEM_H
#define VR_DYNMEM_H

#include "libs/proto/ctrl.h"
#include "libs/window/gcopy.h"

/* The most pieces carried out by one call. */
#define VR_DYNMEM_BATCH 1024u
/* The most payload mapped in one go: whole pages, and two that are cut for
 * each buffer. */
#define VR_DYNMEM_CHUNK     (1280u << 10)
#define VR_DYNMEM_MAP_PAGES (VR_DYNMEM_CHUNK / 4096 + 2 * VR_CHAIN_MAX)
/* What vr_dynmem_pool() takes of alloc(). */
#define VR_DYNMEM_LOCAL (16u * VR_INDIRECT_MAX)
/* Once this many payload pages are mapped, no further request should start. */
#define VR_DYNMEM_BUDGET 4096u

/* The hypervisor's side; the tests have one of plain memory. */
struct vr_dynmem_ops {
    /* Memory of zeroes, for good: the local side of copies. NULL: no more. */
    void *(*alloc)(void *ctx, size_t size);
    /* Maps @n pages, one behind the other. NULL: refused. */
    void *(*map)(void *ctx, const uint32_t *refs, unsigned int n, bool write);
    /* Gone from here on; the guest's page is free of us after settle(), or the
     * next map() or copy(). Cannot fail: what cannot be unmapped ends the
     * process. */
    void (*unmap)(void *ctx, void *p, unsigned int n);
    void (*settle)(void *ctx);
    /* Carries out @n pieces and fills in each status. A negative errno: it is
     * not known what was copied. */
    int (*copy)(void *ctx, struct vr_gseg *seg, unsigned int n);
    unsigned int per_call; /* pieces that one hypercall carries out */
};

struct vr_dynmem {
    struct vr_window window; /* for the virtqueues; knows the pool */
    struct vr_gwin gwin;
    const struct vr_dynmem_ops *ops;
    void *ctx;
    struct vr_ctrl_counters *counters;
    /* A piece was refused. Called while the batch is being evaluated, so it
     * must not gather anything itself. */
    void (*refused)(void *ctx, const struct vr_gseg *seg, uint64_t addr);
    void *refused_ctx;
    bool loose;          /* something was unmapped, and not settled */
    unsigned int mapped; /* payload pages */
    unsigned int budget; /* VR_DYNMEM_BUDGET */
    struct vr_gcopy batch;
    struct vr_gseg seg[VR_DYNMEM_BATCH];
    uint32_t refs[VR_DYNMEM_MAP_PAGES];
    uint8_t *table; /* copy of one in the window */
};

/**
 * vr_dynmem_init() - nothing is mapped yet.
 * @dm: counters and refused are the user's to set before the first copy. It
 * must not move.
 * @win: whole pages. @ops, @ctx: must outlive @dm.
 */
void vr_dynmem_init(struct vr_dynmem *dm, const struct vr_gwin *win,
                    const struct vr_dynmem_ops *ops, void *ctx);

/**
 * vr_dynmem_pool() - mixed mode: there is a pool, too.
 * @pool: its device addresses, none of them in the window. @va: where it is
 * mapped, until the next call; NULL: it is not, while no queue runs.
 */
void vr_dynmem_pool(struct vr_dynmem *dm, const struct vr_gwin *pool, void *va);

/**
 * vr_dynmem_fetch() - gather a copy from the guest: @len bytes, from byte
 * @skip of the buffers @buf on, to @local, which must stay until the copy was
 * carried out. vr_dynmem_store() - the other way.
 * @owner: handed to refused().
 *
 * What lies in the pool is copied before they return. When the batch is full it
 * is carried out first. Returns 0; or -EFAULT, with nothing copied or gathered,
 * when the bytes are not all in the buffers, or in window and pool.
 */
int vr_dynmem_fetch(struct vr_dynmem *dm, const struct vr_buf *buf,
                    unsigned int n, uint64_t skip, uint64_t len, void *local,
                    void *owner);
int vr_dynmem_store(struct vr_dynmem *dm, const struct vr_buf *buf,
                    unsigned int n, uint64_t skip, uint64_t len, void *local,
                    void *owner);

/** vr_dynmem_run() - carry out what was gathered, and settle. */
void vr_dynmem_run(struct vr_dynmem *dm);

/**
 * vr_dynmem_in_pool() - does all of @chain lie in the pool?
 * True: its buffers are memory now, as those of a local window are. False: it
 * is as it was.
 */
bool vr_dynmem_in_pool(const struct vr_dynmem *dm, struct vr_chain *chain);

/**
 * vr_dynmem_map() - map payload: @len (at most VR_DYNMEM_CHUNK) bytes from
 * byte @skip of the buffers @buf on.
 * @write: the guest's pages are to be written.
 * @iov: room for @n; *@niov: how many were filled.
 * @pages: how many were mapped, for vr_dynmem_unmap().
 * Returns what to unmap; NULL when a page is not granted, or not for this kind
 * of access, or not in the window.
 */
void *vr_dynmem_map(struct vr_dynmem *dm, const struct vr_buf *buf,
                    unsigned int n, uint64_t skip, uint64_t len, bool write,
                    struct iovec *iov, unsigned int *niov, unsigned int *pages);

/** vr_dynmem_unmap() - @p may be NULL. The guest's pages are let go of by the
 * next vr_dynmem_settle(), or vr_dynmem_run(). */
void vr_dynmem_unmap(struct vr_dynmem *dm, void *p, unsigned int pages);

/** vr_dynmem_settle() - what was unmapped is let go of. */
void vr_dynmem_settle(struct vr_dynmem *dm);

#endif /* VR_DYNMEM_H */

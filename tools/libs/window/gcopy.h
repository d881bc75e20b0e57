/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers of a remote window, brought into the shape that Xen's grant calls
 * want: a grant copy moves bytes of one granted page, a grant map takes whole
 * pages. The grant of a page follows from its address:
 *
 *     gref = gref_base + (address - base) / 4096
 *
 * Lists of buffers are seen as one run of bytes, of which a part (@skip,
 * @len) is planned. Whatever a guest writes into its descriptors, no plan
 * names a grant outside the window or a byte outside of a page.
 *
 * Pure: no Xen calls, no allocation. For any type of device.
 */
#ifndef VR_GCOPY_H
#define VR_GCOPY_H

#include "window.h"

/* What is still to be visited of a run of bytes. */
struct vr_walk {
    const struct vr_buf *buf;
    unsigned int n;
    uint64_t skip, left;
};

/**
 * vr_walk_next() - the next part of it that lies in one buffer. Returns false
 * at the end of the run, or of the buffers: @w->left tells.
 */
bool vr_walk_next(struct vr_walk *w, struct vr_buf *part);

/* One piece: @len bytes at @offset of the page that @ref grants. */
struct vr_gseg {
    uint8_t *local;
    void *owner; /* the caller's: whom it concerns when Xen refuses */
    uint32_t ref;
    uint16_t offset;
    uint16_t len;   /* 1 .. 4096 - offset */
    int16_t status; /* afterwards: 0, or what Xen says (GNTST_*) */
    bool to_guest;
};

/* A batch of pieces; the caller provides the array. */
struct vr_gcopy {
    struct vr_gseg *seg;
    unsigned int max;
    unsigned int n;
};

/** vr_gcopy_addr() - device address of the first byte of @seg. */
static inline uint64_t vr_gcopy_addr(const struct vr_gwin *w,
                                     const struct vr_gseg *seg)
{
    return w->base + ((uint64_t)(seg->ref - w->gref_base) << VR_PAGE_SHIFT) +
           seg->offset;
}

/**
 * vr_gcopy_add() - plan to copy @len bytes, from byte @skip of the @n buffers
 * @buf on, to or (@to_guest) from @local.
 * Returns 0, or with nothing added: -ENOSPC (the batch has no room for it) or
 * -EFAULT (not all of it is in the buffers, or in the window).
 */
int vr_gcopy_add(struct vr_gcopy *batch, const struct vr_gwin *w,
                 const struct vr_buf *buf, unsigned int n, uint64_t skip,
                 uint64_t len, void *local, bool to_guest, void *owner);

/**
 * vr_gmap_refs() - the grants of the pages that hold these bytes, one after
 * the other, a page twice when two buffers lie in it.
 * Returns how many of @refs (@max) were filled, -ENOSPC or -EFAULT.
 */
int vr_gmap_refs(const struct vr_gwin *w, const struct vr_buf *buf,
                 unsigned int n, uint64_t skip, uint64_t len, uint32_t *refs,
                 unsigned int max);

/**
 * vr_gmap_iov() - where the bytes are once those pages are mapped at @va, one
 * behind the other.
 * @iov: room for @n. Buffers that meet at a page boundary become one.
 * Returns how many were filled.
 */
unsigned int vr_gmap_iov(const struct vr_buf *buf, unsigned int n,
                         uint64_t skip, uint64_t len, void *va,
                         struct iovec *iov);

#endif /* VR_GCOPY_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's buffers as pieces that Xen's grant copy and grant map can take. For
 * the backend. Pure: it plans, others call Xen.
 */
#include <errno.h>

#include "libs/base/range.h"
#include "gcopy.h"

#define OFFSET(addr) ((addr) & (VR_PAGE_SIZE - 1))

bool vr_walk_next(struct vr_walk *w, struct vr_buf *part)
{
    while (w->n && w->skip >= w->buf->len) {
        w->skip -= w->buf->len;
        w->buf++;
        w->n--;
    }
    if (!w->n || !w->left)
        return false;
    part->addr = w->buf->addr + w->skip;
    part->len = w->buf->len - w->skip;
    if (part->len > w->left)
        part->len = w->left;
    w->skip += part->len;
    w->left -= part->len;
    return true;
}

static uint32_t gref(const struct vr_gwin *w, uint64_t addr)
{
    return w->gref_base + (uint32_t)((addr - w->base) >> VR_PAGE_SHIFT);
}

int vr_gcopy_add(struct vr_gcopy *batch, const struct vr_gwin *w,
                 const struct vr_buf *buf, unsigned int n, uint64_t skip,
                 uint64_t len, void *local, bool to_guest, void *owner)
{
    struct vr_walk walk = {buf, n, skip, len};
    unsigned int used = batch->n;
    struct vr_buf part;
    uint8_t *p = local;

    while (vr_walk_next(&walk, &part)) {
        if (!vr_range_has(w->base, w->size, part.addr, part.len))
            return -EFAULT;
        while (part.len) {
            struct vr_gseg *seg = &batch->seg[used];
            uint64_t room = VR_PAGE_SIZE - OFFSET(part.addr);

            if (used == batch->max)
                return -ENOSPC;
            used++;
            seg->local = p;
            seg->owner = owner;
            seg->ref = gref(w, part.addr);
            seg->offset = OFFSET(part.addr);
            seg->len = part.len < room ? part.len : room;
            seg->to_guest = to_guest;
            part.addr += seg->len;
            part.len -= seg->len;
            p += seg->len;
        }
    }
    if (walk.left)
        return -EFAULT;
    batch->n = used;
    return 0;
}

int vr_gmap_refs(const struct vr_gwin *w, const struct vr_buf *buf,
                 unsigned int n, uint64_t skip, uint64_t len, uint32_t *refs,
                 unsigned int max)
{
    struct vr_walk walk = {buf, n, skip, len};
    unsigned int pages = 0;
    struct vr_buf part;

    while (vr_walk_next(&walk, &part)) {
        uint64_t count =
            (OFFSET(part.addr) + part.len + VR_PAGE_SIZE - 1) >> VR_PAGE_SHIFT;
        uint32_t ref = gref(w, part.addr);

        if (!vr_range_has(w->base, w->size, part.addr, part.len))
            return -EFAULT;
        if (count > max - pages)
            return -ENOSPC;
        while (count--)
            refs[pages++] = ref++;
    }
    return walk.left ? -EFAULT : (int)pages;
}

unsigned int vr_gmap_iov(const struct vr_buf *buf, unsigned int n,
                         uint64_t skip, uint64_t len, void *va,
                         struct iovec *iov)
{
    struct vr_walk walk = {buf, n, skip, len};
    uint8_t *page = va, *end = NULL;
    unsigned int niov = 0;
    struct vr_buf part;

    while (vr_walk_next(&walk, &part)) {
        uint8_t *p = page + OFFSET(part.addr);

        if (p == end) {
            iov[niov - 1].iov_len += part.len;
        } else {
            iov[niov].iov_base = p;
            iov[niov].iov_len = part.len;
            niov++;
        }
        end = p + part.len;
        page += (OFFSET(part.addr) + part.len + VR_PAGE_SIZE - 1) &
                ~(VR_PAGE_SIZE - 1);
    }
    return niov;
}

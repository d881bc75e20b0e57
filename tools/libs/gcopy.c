/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "gcopy.h"

#define OFFSET(addr) ((addr) & (VR_PAGE_SIZE - 1))

/* What is still to be visited of a list of buffers. */
struct walk {
    const struct vr_buf *buf;
    unsigned int n;
    uint64_t skip, left;
};

/* The next part that lies in one buffer. False at the end of list or walk. */
static bool next_part(struct walk *w, uint64_t *addr, uint64_t *len)
{
    while (w->n && w->skip >= w->buf->len) {
        w->skip -= w->buf->len;
        w->buf++;
        w->n--;
    }
    if (!w->n || !w->left)
        return false;
    *addr = w->buf->addr + w->skip;
    *len = w->buf->len - w->skip;
    if (*len > w->left)
        *len = w->left;
    w->skip += *len;
    w->left -= *len;
    return true;
}

static bool inside(const struct vr_gwin *w, uint64_t addr, uint64_t len)
{
    uint64_t off = addr - w->base;

    return off < w->size && len <= w->size - off;
}

static uint32_t gref(const struct vr_gwin *w, uint64_t addr)
{
    return w->gref_base + (uint32_t)((addr - w->base) >> VR_PAGE_SHIFT);
}

int vr_gcopy_add(struct vr_gcopy *batch, const struct vr_gwin *w,
                 const struct vr_buf *buf, unsigned int n, uint64_t skip,
                 uint64_t len, void *local, bool to_guest, void *owner)
{
    struct walk walk = {buf, n, skip, len};
    unsigned int used = batch->n;
    uint8_t *p = local;
    uint64_t addr, part;

    while (next_part(&walk, &addr, &part)) {
        if (!inside(w, addr, part))
            return -EFAULT;
        while (part) {
            struct vr_gseg *seg = &batch->seg[used];
            uint64_t room = VR_PAGE_SIZE - OFFSET(addr);

            if (used == batch->max)
                return -ENOSPC;
            used++;
            seg->local = p;
            seg->owner = owner;
            seg->ref = gref(w, addr);
            seg->offset = OFFSET(addr);
            seg->len = part < room ? part : room;
            seg->to_guest = to_guest;
            addr += seg->len;
            part -= seg->len;
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
    struct walk walk = {buf, n, skip, len};
    unsigned int pages = 0;
    uint64_t addr, part;

    while (next_part(&walk, &addr, &part)) {
        uint64_t count =
            (OFFSET(addr) + part + VR_PAGE_SIZE - 1) >> VR_PAGE_SHIFT;
        uint32_t ref = gref(w, addr);

        if (!inside(w, addr, part))
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
    struct walk walk = {buf, n, skip, len};
    uint8_t *page = va, *end = NULL;
    uint64_t addr, part;
    unsigned int niov = 0;

    while (next_part(&walk, &addr, &part)) {
        uint8_t *p = page + OFFSET(addr);

        if (p == end) {
            iov[niov - 1].iov_len += part;
        } else {
            iov[niov].iov_base = p;
            iov[niov].iov_len = part;
            niov++;
        }
        end = p + part;
        page += (OFFSET(addr) + part + VR_PAGE_SIZE - 1) & ~(VR_PAGE_SIZE - 1);
    }
    return niov;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers as a guest might describe them, cut into pieces for Xen. A plan has
 * to name each byte that was asked for, once and in order, in grants of the
 * window; or nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "libs/window/bounce.h"
#include "libs/window/gcopy.h"

#define PAGES 16u
#define MAX   24u /* buffers, pieces, pages */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
    uint64_t base;
    uint32_t gref;
    uint8_t nbuf, max;
    uint32_t skip, len;
    uint8_t to_guest;
};

struct guest_buf {
    int32_t off; /* from the window's start */
    uint32_t len;
};

/* The address of byte @at of the list; false behind its end. */
static bool byte_addr(const struct vr_buf *buf, unsigned int n, uint64_t at,
                      uint64_t *addr)
{
    for (; n; buf++, n--) {
        if (at < buf->len) {
            *addr = buf->addr + at;
            return true;
        }
        at -= buf->len;
    }
    return false;
}

static void check_copy(const struct vr_gcopy *b, unsigned int first,
                       const struct vr_gwin *w, const struct vr_buf *buf,
                       unsigned int n, const struct head *h,
                       const uint8_t *local)
{
    uint64_t at = 0, addr;
    unsigned int i;

    for (i = first; i < b->n; i++) {
        const struct vr_gseg *s = &b->seg[i];

        if (!s->len || s->offset + s->len > (int)VR_PAGE_SIZE ||
            s->ref < w->gref_base || s->ref - w->gref_base >= PAGES ||
            s->local != local + at || s->to_guest != (h->to_guest & 1) ||
            s->owner != h || !byte_addr(buf, n, h->skip + at, &addr) ||
            vr_gcopy_addr(w, s) != addr ||
            !byte_addr(buf, n, h->skip + at + s->len - 1, &addr) ||
            vr_gcopy_addr(w, s) + s->len - 1 != addr)
            abort();
        at += s->len;
    }
    if (at != h->len)
        abort();
}

static void check_map(const uint32_t *refs, unsigned int pages,
                      const struct vr_gwin *w, const struct vr_buf *buf,
                      unsigned int n, const struct head *h)
{
    uint8_t *va = (uint8_t *)0x10000000;
    struct iovec iov[MAX];
    unsigned int niov, i;
    uint64_t at = 0, k, addr;

    niov = vr_gmap_iov(buf, n, h->skip, h->len, va, iov);
    if (niov > n)
        abort();
    for (i = 0; i < niov; i++) {
        uint64_t off = (uint64_t)((uint8_t *)iov[i].iov_base - va);

        /* Every byte stands where its page is mapped. */
        for (k = 0; k < iov[i].iov_len; k++, at++) {
            if ((off + k) / VR_PAGE_SIZE >= pages ||
                !byte_addr(buf, n, h->skip + at, &addr) ||
                addr % VR_PAGE_SIZE != (off + k) % VR_PAGE_SIZE ||
                refs[(off + k) / VR_PAGE_SIZE] - w->gref_base !=
                    (addr - w->base) / VR_PAGE_SIZE)
                abort();
        }
    }
    if (at != h->len)
        abort();
}

/* Runs of the bounce memory, each byte of the input a wish. */
static void bounce(const uint8_t *data, size_t size)
{
    struct {
        uint8_t *p;
        unsigned int n;
    } have[8] = {{NULL, 0}};
    uint8_t taken[64] = {0}, *mem = (uint8_t *)0x10000000;
    struct vr_bounce b;
    unsigned int k;
    size_t i;

    vr_bounce_init(&b, mem, sizeof(taken));
    for (i = 0; i < size && i < 256; i++) {
        unsigned int slot = data[i] & 7, first;

        if (have[slot].p) {
            vr_bounce_put(&b, have[slot].p, have[slot].n);
            first = (unsigned int)((have[slot].p - mem) / VR_PAGE_SIZE);
            memset(taken + first, 0, have[slot].n);
            have[slot].p = NULL;
            continue;
        }
        have[slot].n = 1 + (data[i] >> 3);
        have[slot].p = vr_bounce_get(&b, have[slot].n);
        if (!have[slot].p)
            continue;
        first = (unsigned int)((have[slot].p - mem) / VR_PAGE_SIZE);
        for (k = first; k < first + have[slot].n; k++) {
            if (k >= sizeof(taken) || taken[k]++)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_gwin w = {.size = PAGES * VR_PAGE_SIZE};
    struct vr_buf buf[MAX];
    struct guest_buf gb;
    struct vr_gcopy batch = {.n = 0};
    uint32_t *refs;
    unsigned int n = 0, before;
    uint8_t *local = (uint8_t *)0x20000000;
    struct head h;
    int r;

    if (size < sizeof(h))
        return 0;
    memcpy(&h, data, sizeof(h));
    data += sizeof(h);
    size -= sizeof(h);
    bounce(data, size);
    w.base = h.base & ~(VR_PAGE_SIZE - 1);
    if (w.base > UINT64_MAX - w.size)
        w.base = UINT64_MAX - w.size - VR_PAGE_SIZE + 1;
    w.gref_base = h.gref > UINT32_MAX - PAGES ? UINT32_MAX - PAGES : h.gref;
    h.skip %= 1u << 18;
    h.len %= 1u << 17;
    while (n < h.nbuf % MAX && size >= sizeof(gb)) {
        memcpy(&gb, data, sizeof(gb));
        data += sizeof(gb);
        size -= sizeof(gb);
        /* Mostly inside, now and then anywhere. */
        if (gb.len & 0xff000000) {
            gb.off = (int32_t)((uint32_t)gb.off % (PAGES << VR_PAGE_SHIFT));
            gb.len %= 3 * VR_PAGE_SIZE;
        }
        buf[n].addr = w.base + (uint64_t)(int64_t)gb.off;
        buf[n].len = gb.len ? gb.len : 1;
        n++;
    }
    /* Exactly as large as said, so that ASan sees a step outside. */
    batch.max = h.max % (MAX + 1);
    batch.seg = malloc(sizeof(*batch.seg) * batch.max + 1);
    refs = malloc(sizeof(*refs) * batch.max + 1);
    do {
        before = batch.n;
        r = vr_gcopy_add(&batch, &w, buf, n, h.skip, h.len, local,
                         h.to_guest & 1, &h);
        if (!r)
            check_copy(&batch, before, &w, buf, n, &h, local);
        else if (batch.n != before)
            abort();
    } while (!r && batch.n != before);
    r = vr_gmap_refs(&w, buf, n, h.skip, h.len, refs, batch.max);
    if (r >= 0)
        check_map(refs, r, &w, buf, n, &h);
    free(batch.seg);
    free(refs);
    return 0;
}

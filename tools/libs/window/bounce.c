/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded stock of pages of the backend's own, for payload on its way to a
 * guest that is reached by grant copies. Pure.
 */
#include <string.h>

#include "bounce.h"

void vr_bounce_init(struct vr_bounce *b, void *mem, unsigned int pages)
{
    unsigned int i;

    b->mem = mem;
    b->pages = pages;
    memset(b->used, 0, sizeof(b->used));
    for (i = pages; i < VR_BOUNCE_MAX; i++)
        b->used[i / 64] |= UINT64_C(1) << (i % 64);
}

/* The first page from @i on that is (@used) in use or free; or the limit. */
static unsigned int next(const struct vr_bounce *b, unsigned int i, bool used)
{
    uint64_t flip = used ? 0 : ~UINT64_C(0), word;

    while (i < VR_BOUNCE_MAX) {
        word = (b->used[i / 64] ^ flip) >> (i % 64);
        if (word)
            return i + (unsigned int)__builtin_ctzll(word);
        i = (i / 64 + 1) * 64;
    }
    return VR_BOUNCE_MAX;
}

static void mark(struct vr_bounce *b, unsigned int first, unsigned int pages)
{
    /* Toggles: what is taken was free, what is given back was taken. */
    while (pages) {
        unsigned int bit = first % 64;
        unsigned int n = pages < 64 - bit ? pages : 64 - bit;
        uint64_t ones = n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;

        b->used[first / 64] ^= ones << bit;
        first += n;
        pages -= n;
    }
}

void *vr_bounce_get(struct vr_bounce *b, unsigned int pages)
{
    unsigned int start = 0, end;

    if (pages > b->pages)
        return NULL;
    for (;;) {
        start = next(b, start, false);
        if (start > b->pages - pages)
            return NULL;
        end = next(b, start, true);
        if (end - start >= pages)
            break;
        start = end;
    }
    mark(b, start, pages);
    return b->mem + start * VR_PAGE_SIZE;
}

void vr_bounce_put(struct vr_bounce *b, void *p, unsigned int pages)
{
    mark(b, (unsigned int)(((uint8_t *)p - b->mem) / VR_PAGE_SIZE), pages);
}

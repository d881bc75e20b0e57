/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See gmem.h. Part of the worker; maps frames of its own guest alone, and of
 * them only what the record calls RAM. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem.h"

#define OFFSET_MASK (VR_PAGE_SIZE - 1)
#define MAP_MAX     (UINT64_C(64) << 10)

void gmem_init(struct gmem *m, xenforeignmemory_handle *fm,
               const struct vr_record *rec)
{
    memset(m, 0, sizeof(*m));
    m->fm = fm;
    m->domid = rec->domid;
    m->rec = rec;
}

bool gmem_is_ram(const struct gmem *m, uint64_t gfn, uint64_t n)
{
    unsigned int i;

    for (i = 0; i < m->rec->nram; i++) {
        const struct vr_record_ram *r = &m->rec->ram[i];

        if (gfn >= r->start && gfn < r->end && n <= r->end - gfn)
            return true;
    }
    return false;
}

static void *map_frames(struct gmem *m, uint64_t gfn, unsigned int n)
{
    xen_pfn_t frames[MAP_MAX / VR_PAGE_SIZE + 1];
    unsigned int i;

    if (!gmem_is_ram(m, gfn, n))
        return NULL;
    for (i = 0; i < n; i++)
        frames[i] = gfn + i;
    return xenforeignmemory_map(m->fm, m->domid, PROT_READ | PROT_WRITE, n,
                                frames, NULL);
}

static unsigned int frames_of(uint64_t addr, uint64_t len)
{
    return ((addr & OFFSET_MASK) + len + OFFSET_MASK) >> VR_PAGE_SHIFT;
}

void *gmem_map(struct gmem *m, uint64_t addr, uint64_t len)
{
    uint8_t *p;

    if (!len || len > MAP_MAX)
        return NULL;
    p = map_frames(m, addr >> VR_PAGE_SHIFT, frames_of(addr, len));
    return p ? p + (addr & OFFSET_MASK) : NULL;
}

void gmem_unmap(struct gmem *m, void *p, uint64_t len)
{
    uintptr_t offset = (uintptr_t)p & OFFSET_MASK;

    if (p)
        xenforeignmemory_unmap(m->fm, (uint8_t *)p - offset,
                               frames_of(offset, len));
}

static void drop(struct gmem *m, struct gmem_page *page)
{
    if (page->va)
        xenforeignmemory_unmap(m->fm, page->va, 1);
    page->va = NULL;
}

static uint8_t *kept_page(struct gmem *m, uint64_t gfn)
{
    struct gmem_page *page = &m->page[gfn % GMEM_PAGES];

    if (page->va && page->gfn == gfn)
        return page->va;
    drop(m, page);
    page->va = map_frames(m, gfn, 1);
    page->gfn = gfn;
    m->used = true;
    return page->va;
}

static int copy(struct gmem *m, uint64_t addr, uint8_t *buf, size_t len,
                bool write)
{
    while (len) {
        size_t off = addr & OFFSET_MASK;
        size_t n = VR_PAGE_SIZE - off < len ? VR_PAGE_SIZE - off : len;
        uint8_t *page = kept_page(m, addr >> VR_PAGE_SHIFT);

        if (!page)
            return -EFAULT;
        if (write)
            memcpy(page + off, buf, n);
        else
            memcpy(buf, page + off, n);
        /* The copy exists now; nobody is to look there again. */
        __asm__ volatile("" ::: "memory");
        buf += n;
        addr += n;
        len -= n;
    }
    return 0;
}

int gmem_read(struct gmem *m, uint64_t addr, void *dst, size_t len)
{
    return copy(m, addr, dst, len, false);
}

int gmem_write(struct gmem *m, uint64_t addr, const void *src, size_t len)
{
    return copy(m, addr, (uint8_t *)(uintptr_t)src, len, true);
}

void gmem_flush(struct gmem *m)
{
    unsigned int i;

    if (!m->used)
        return;
    m->used = false;
    for (i = 0; i < GMEM_PAGES; i++)
        drop(m, &m->page[i]);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of an IOVA window are mapped, and where each mapping begins: two
 * bits a page. Pure: plain memory of the caller's, nothing is allocated.
 *
 * A mapping is what one MAP request made: it is unmapped as a whole or not at
 * all. It begins at a page whose `first` bit is set and goes on over the
 * mapped pages behind it whose bit is not. So a look at the two ends of a range
 * shows whether it cuts a mapping in two, whatever lies between them, and the
 * cost of no operation depends on the number of mappings.
 * Operations on a range cost one step for each 64 pages of it.
 */
#ifndef VR_IOVAMAP_H
#define VR_IOVAMAP_H

#include "libs/base/vr.h"

/* 4 TiB of addresses: the sum of two page numbers does not overflow. */
#define VR_IOVAMAP_MAX_PAGES (UINT32_C(1) << 30)

/* 64 pages, bit 0 is the lowest; the two words share a cache line. */
struct vr_iovamap_word {
    uint64_t mapped;
    uint64_t first; /* of a mapping; never set where mapped is not */
};

struct vr_iovamap {
    struct vr_iovamap_word *word;
    uint32_t npages;
    uint32_t mapped; /* pages mapped now ... */
    uint32_t peak;   /* ... and the most that ever were */
};

/** vr_iovamap_size() - bytes of memory that a window of @npages needs. */
size_t vr_iovamap_size(uint32_t npages);

/**
 * vr_iovamap_init() - an empty window.
 * @npages: 1 .. VR_IOVAMAP_MAX_PAGES.
 * @mem: vr_iovamap_size(@npages) bytes, aligned for uint64_t; stays the
 * caller's and must outlive @m.
 */
void vr_iovamap_init(struct vr_iovamap *m, uint32_t npages, void *mem);

/** vr_iovamap_is_mapped() - is page @page (below npages) mapped? */
static inline bool vr_iovamap_is_mapped(const struct vr_iovamap *m,
                                        uint32_t page)
{
    return m->word[page / 64].mapped >> (page % 64) & 1;
}

/**
 * vr_iovamap_splits() - would a cut between @page - 1 and @page (below npages)
 * divide a mapping?
 */
static inline bool vr_iovamap_splits(const struct vr_iovamap *m, uint32_t page)
{
    const struct vr_iovamap_word *w = &m->word[page / 64];

    return (w->mapped & ~w->first) >> (page % 64) & 1;
}

/** vr_iovamap_any() - is one of pages @first to @last (inclusive) mapped? */
bool vr_iovamap_any(const struct vr_iovamap *m, uint32_t first, uint32_t last);

/**
 * vr_iovamap_add() - pages @first to @last (inclusive), of which none is
 * mapped, become one mapping.
 */
void vr_iovamap_add(struct vr_iovamap *m, uint32_t first, uint32_t last);

/**
 * vr_iovamap_run() - find mapped pages that follow each other.
 * @from, @last: where to look, inclusive; @from may be @last + 1.
 * @start, @npages: set when there are some: the lowest of them, at most 64,
 * and none beyond a multiple of 64. Mappings are not told apart.
 */
bool vr_iovamap_run(const struct vr_iovamap *m, uint32_t from, uint32_t last,
                    uint32_t *start, uint32_t *npages);

/**
 * vr_iovamap_remove() - take away a run that vr_iovamap_run() found, but for
 * some of its pages.
 * @left: those that stay mapped; bit 0 is @start.
 *
 * What is left of a mapping becomes a mapping of its own, each piece: a mapped
 * page always belongs to a mapping that has a beginning.
 */
void vr_iovamap_remove(struct vr_iovamap *m, uint32_t start, uint32_t npages,
                       uint64_t left);

/**
 * vr_iovamap_next() - the first mapping that begins at page @from or later.
 * @from: any value. Costs one step for each 64 pages skipped or covered.
 * Returns false when there is none.
 */
bool vr_iovamap_next(const struct vr_iovamap *m, uint32_t from, uint32_t *first,
                     uint32_t *npages);

#endif /* VR_IOVAMAP_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of a window behind the virtio-iommu are mapped, and where each
 * mapping begins. Pure.
 */
#include <string.h>

#include "iovamap.h"

#define WORD_BITS 64u

static uint32_t word_count(uint32_t npages)
{
    return npages / WORD_BITS + (npages % WORD_BITS != 0);
}

/* Bits of those pages of word @i that lie between @first and @last. */
static uint64_t pages_of_word(uint32_t i, uint32_t first, uint32_t last)
{
    uint64_t bits = ~UINT64_C(0);

    if (i == first / WORD_BITS)
        bits &= ~UINT64_C(0) << first % WORD_BITS;
    if (i == last / WORD_BITS)
        bits &= ~UINT64_C(0) >> (WORD_BITS - 1 - last % WORD_BITS);
    return bits;
}

size_t vr_iovamap_size(uint32_t npages)
{
    return word_count(npages) * sizeof(struct vr_iovamap_word);
}

void vr_iovamap_init(struct vr_iovamap *m, uint32_t npages, void *mem)
{
    m->word = mem;
    m->npages = npages;
    m->mapped = 0;
    m->peak = 0;
    memset(mem, 0, vr_iovamap_size(npages));
}

bool vr_iovamap_any(const struct vr_iovamap *m, uint32_t first, uint32_t last)
{
    uint32_t i;

    for (i = first / WORD_BITS; i <= last / WORD_BITS; i++)
        if (m->word[i].mapped & pages_of_word(i, first, last))
            return true;
    return false;
}

void vr_iovamap_add(struct vr_iovamap *m, uint32_t first, uint32_t last)
{
    uint32_t i;

    for (i = first / WORD_BITS; i <= last / WORD_BITS; i++)
        m->word[i].mapped |= pages_of_word(i, first, last);
    m->word[first / WORD_BITS].first |= UINT64_C(1) << first % WORD_BITS;
    m->mapped += last - first + 1;
    if (m->mapped > m->peak)
        m->peak = m->mapped;
}

bool vr_iovamap_run(const struct vr_iovamap *m, uint32_t from, uint32_t last,
                    uint32_t *start, uint32_t *npages)
{
    uint64_t bits;
    uint32_t i;

    /* The usual end of a search: what was mapped has been found. */
    if (!m->mapped || from > last)
        return false;
    for (i = from / WORD_BITS; i <= last / WORD_BITS; i++) {
        bits = m->word[i].mapped & pages_of_word(i, from, last);
        if (!bits)
            continue;
        *start = i * WORD_BITS + __builtin_ctzll(bits);
        bits = ~(bits >> *start % WORD_BITS);
        *npages = bits ? (uint32_t)__builtin_ctzll(bits) : WORD_BITS;
        return true;
    }
    return false;
}

void vr_iovamap_remove(struct vr_iovamap *m, uint32_t start, uint32_t npages,
                       uint64_t left)
{
    uint32_t i = start / WORD_BITS, last = start + npages - 1;
    struct vr_iovamap_word *w = &m->word[i];
    uint64_t gone = pages_of_word(i, start, last);

    if (left) {
        gone &= ~(left << start % WORD_BITS);
        npages = __builtin_popcountll(gone);
    }
    w->mapped &= ~gone;
    w->first &= ~gone;
    w->first |= w->mapped & gone << 1;
    m->mapped -= npages;
    /* The page behind a word's last one begins the next word. */
    if (gone >> (WORD_BITS - 1) && last + 1 < m->npages)
        w[1].first |= w[1].mapped & 1;
}

bool vr_iovamap_next(const struct vr_iovamap *m, uint32_t from, uint32_t *first,
                     uint32_t *npages)
{
    uint32_t words = word_count(m->npages), i, bit;
    uint64_t bits = 0;

    if (from >= m->npages)
        return false;
    for (i = from / WORD_BITS; i < words; i++) {
        bits = m->word[i].first & pages_of_word(i, from, m->npages - 1);
        if (bits)
            break;
    }
    if (!bits)
        return false;
    *first = i * WORD_BITS + __builtin_ctzll(bits);
    /* It ends before the next page that is not mapped or begins another. */
    bit = *first % WORD_BITS + 1;
    bits = bit < WORD_BITS ? ~UINT64_C(0) << bit : 0;
    for (;;) {
        bits &= ~m->word[i].mapped | m->word[i].first;
        if (bits || ++i == words)
            break;
        bits = ~UINT64_C(0);
    }
    *npages =
        (bits ? i * WORD_BITS + __builtin_ctzll(bits) : m->npages) - *first;
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranges of numbers, most often addresses: @size of them from @base on. Nothing
 * is added up, so a range may end where the numbers do, but not beyond.
 */
#ifndef VR_RANGE_H
#define VR_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * vr_range_has() - are @len numbers from @start on in the range? Any values of
 * @start and @len. @start itself has to be in it, even when @len is 0.
 */
static inline bool vr_range_has(uint64_t base, uint64_t size, uint64_t start,
                                uint64_t len)
{
    uint64_t off = start - base;

    return off < size && len <= size - off;
}

/** vr_ranges_overlap() - is a number in both? Not when one is empty. */
static inline bool vr_ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b,
                                     uint64_t b_size)
{
    if (!a_size || !b_size)
        return false;
    return a < b ? b - a < a_size : a - b < b_size;
}

#endif /* VR_RANGE_H */

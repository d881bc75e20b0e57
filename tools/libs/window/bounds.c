/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large a dynamic window must be for what its driver may have in flight,
 * and the reverse. For plug-in and backend. Pure arithmetic.
 */
#include "bounds.h"

/* Descriptors that hold no data in the least request, header and status, and
 * the pages that they touch; and those that an indirect table touches. */
#define OVERHEAD       2u
#define OVERHEAD_PAGES 3u
#define TABLE_PAGES    2u

static bool possible(unsigned int queues, unsigned int queue_size)
{
    return queues && queues <= VR_MAX_QUEUES && queue_size >= OVERHEAD &&
           queue_size <= VR_MAX_QUEUE_SIZE;
}

/* Linux on Arm has pages of 4, 16 or 64 KiB. */
#define GUEST_PAGE_MAX (UINT64_C(64) << 10)

/* One block with the descriptors and the available ring, padded to a page of
 * the guest's, and the used ring (virtio 1.2, 2.7); at an address that is a
 * multiple of the next power of two. */
static uint64_t rings(unsigned int queue_size, uint64_t page)
{
    uint64_t first = 16 * queue_size + 2 * (3 + queue_size);
    uint64_t used = 2 * 3 + 8 * queue_size, size = page;

    first = (first + page - 1) & ~(page - 1);
    while (size < first + used)
        size <<= 1;
    return size;
}

static uint64_t need(unsigned int queues, unsigned int queue_size, bool mixed,
                     uint64_t size_max)
{
    uint64_t page = size_max < GUEST_PAGE_MAX ? size_max : GUEST_PAGE_MAX;
    unsigned int pages = OVERHEAD_PAGES + (mixed ? TABLE_PAGES : 0);

    return queues * ((queue_size - OVERHEAD) * 2 * size_max +
                     pages * VR_PAGE_SIZE + rings(queue_size, page));
}

uint32_t vr_size_max(uint64_t aperture, unsigned int queues,
                     unsigned int queue_size, bool mixed)
{
    uint32_t size;

    if (!possible(queues, queue_size))
        return 0;
    for (size = VR_SIZE_MAX_LIMIT; size >= VR_PAGE_SIZE; size >>= 1)
        if (need(queues, queue_size, mixed, size) <= aperture)
            return size;
    return 0;
}

uint64_t vr_aperture_min(unsigned int queues, unsigned int queue_size,
                         bool mixed)
{
    if (!possible(queues, queue_size))
        return UINT64_MAX;
    return need(queues, queue_size, mixed, VR_PAGE_SIZE);
}

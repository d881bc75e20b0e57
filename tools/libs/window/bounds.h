/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large a dynamic window must be for what its driver may have in
 * flight, and the reverse: how large one segment may be in a given window. The
 * plug-in refuses smaller windows, and the backend tells the driver its
 * SIZE_MAX by this. Pure arithmetic.
 *
 * A driver that finds no room for a request while nothing else is under way
 * tries again for ever, silently. So everything that the queues can hold has to
 * fit at once:
 *
 *   per queue: (queue_size - 2) segments of 2 * size_max,
 *              3 pages for header and status of at least one request (the
 *              header may lie across a page boundary),
 *              the rings,
 *              mixed devices: 2 pages for the request's indirect table
 *
 * Twice size_max, because a segment that does not begin at a page boundary
 * touches one page more, and Linux's allocator gives out addresses in powers
 * of two. The rings are counted as Linux lays them out with the largest pages
 * that the guest's kernel can have: none takes segments smaller than its pages.
 *
 * The same applies to the dynamic window of a mixed device. Where the guest
 * uses the pool as it is meant, header, status and rings are not in the
 * aperture, and the first of the three lines would do. But the guest need not
 * use the pool. A kernel that does not know how to use it beside an IOMMU
 * (Linux without our module) has all of them behind the IOMMU, and the device,
 * which has to name its SIZE_MAX beforehand, cannot know. The other two lines
 * are 2 % of the least aperture for a queue of 128, and less of larger ones:
 * that buys a device which cannot get stuck with any kernel.
 *
 * There is one more condition: no indirect tables. Only without them the
 * queue's descriptors are all there is, segments included. With them a queue of
 * 128 could have 128 requests of 126 segments under way, more than any grant
 * table covers.
 *
 * A mixed device offers them all the same, since its requests are meant to lie
 * in the pool, where a ring without tables holds only seven requests of 16
 * segments. A kernel that has everything behind the IOMMU can then ask for more
 * addresses than there are. It finds none when it maps, gives back what it has
 * for that request, and tries again when others are done. So it waits, but not
 * for ever: by the same sum, one request of any kind fits for each queue when
 * no other is under way.
 */
#ifndef VR_BOUNDS_H
#define VR_BOUNDS_H

#include "libs/base/vr.h"

/* The longest segment offered, however large the window. */
#define VR_SIZE_MAX_LIMIT (UINT32_C(1) << 20)
/* The same in a pool: Linux's restricted pool maps at most 256 KiB at once. */
#define VR_POOL_SIZE_MAX (UINT32_C(256) << 10)

/**
 * vr_size_max() - the longest segment that a request may have.
 * @aperture: bytes of the window.
 * @queues, @queue_size: as configured.
 * @mixed: whether there is a pool, too, and so indirect tables.
 *
 * Returns a power of two from VR_PAGE_SIZE to VR_SIZE_MAX_LIMIT; 0 when the
 * window is too small for the queues, or there cannot be such queues.
 */
uint32_t vr_size_max(uint64_t aperture, unsigned int queues,
                     unsigned int queue_size, bool mixed);

/**
 * vr_aperture_min() - the smallest window with which vr_size_max() is not 0.
 * Returns whole pages, in bytes; UINT64_MAX when there cannot be such queues.
 */
uint64_t vr_aperture_min(unsigned int queues, unsigned int queue_size,
                         bool mixed);

#endif /* VR_BOUNDS_H */

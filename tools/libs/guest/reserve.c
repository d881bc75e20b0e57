/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many grants a guest's own PV devices take, as reserve.h has it. Called by
 * the plug-in's checks. Pure arithmetic. */
#include "reserve.h"

/* References 0 to 7, which are never given to drivers, and the small devices.
 */
#define BASE 512u

/*
 * A disk has a ring per processor, but no more than xen-blkfront's max_queues.
 * A ring is one page (max_ring_page_order 0) of 32 requests, and a request has
 * up to 32 segments (max_indirect_segments) and the page that lists them.
 */
#define DISK_RINGS    4u
#define DISK_REQUESTS 32u
#define DISK_SEGMENTS 32u
#define DISK_RING     (1 + DISK_REQUESTS * (DISK_SEGMENTS + 1))

/* A network interface has a queue per processor, but no more than max_queues of
 * xen-netfront; each has two rings of a page, with 256 slots for a page each.
 */
#define NIC_QUEUES 8u
#define NIC_QUEUE  (2 * (1 + 256u))

/* 9pfs: two rings, each with its page and 2^9 pages of data. */
#define P9 (2 * (1 + 512u))

static unsigned int at_most(unsigned int n, unsigned int most)
{
    return n < most ? n : most;
}

uint32_t vr_reserve_grants(const struct vr_reserve *r)
{
    uint64_t sum = BASE;

    sum += (uint64_t)r->disks * at_most(r->vcpus, DISK_RINGS) * DISK_RING;
    sum += (uint64_t)r->nics * at_most(r->vcpus, NIC_QUEUES) * NIC_QUEUE;
    sum += (uint64_t)r->p9s * P9;
    if (sum < VR_RESERVE_LEAST)
        return VR_RESERVE_LEAST;
    return sum < VR_RESERVE_MOST ? sum : VR_RESERVE_MOST;
}

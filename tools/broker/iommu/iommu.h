/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's virtio-iommu, served by the worker itself: its queues lie in
 * ordinary guest memory (gmem.h), its page table is the part of the guest's
 * grant table that belongs to the dynamic windows.
 *
 * A request that takes memory away is answered when the hypervisor shows that
 * nobody has that memory any more, and not before. Until then the vCPU that
 * asked waits; meanwhile a backend in the way is asked to stop, then killed,
 * then its domain destroyed (docs/revocation.md).
 */
#ifndef VR_BROKER_IOMMU_H
#define VR_BROKER_IOMMU_H

#include "broker/worker/device.h"

#include "gmem.h"
#include "ladder.h"
#include "libs/proto/maps.h"
#include "libs/iommu/viommu.h"
#include "libs/virtio/virtq.h"
#include "libs/xen/gtable.h"

struct iommu_ep {
    struct device *dev;
    bool busy;           /* at this look memory was in use */
    bool now;            /* ... that is wanted back at once */
    uint64_t fault_seen; /* the backend's count, as reported to the guest */
    int64_t fault_period;
    unsigned int faults; /* events sent in this period */
};

struct iommu {
    struct unit unit; /* first */
    struct vr_viommu v;
    struct vr_gtable gt;
    struct vr_maps *maps;
    struct gmem mem;
    struct vr_window ram;
    uint8_t table[16 * VR_INDIRECT_MAX]; /* copy of an indirect one */
    void *book;                          /* memory of v */
    struct vr_stats_iommu *stats;

    struct vr_vq q[VR_VIOMMU_NQUEUES];
    uint32_t epoch[VR_VIOMMU_NQUEUES]; /* of the rings in use; 0: none */
    struct vr_ctrl_request req;        /* what the driver has set up */
    bool changed;                      /* ... and we have not followed yet */
    bool kicked;
    bool deaf;      /* the driver does not kick at present */
    bool resetting; /* all is being taken back */

    /* The request that waits for memory to be let go of. */
    bool pending;
    struct vr_chain chain;
    uint8_t in[VR_VIOMMU_IN_MAX];
    size_t in_len;

    int64_t wait_since; /* 0: nothing waits */
    int64_t logged;     /* when a broken queue was last logged; 0: never */
    int64_t flush_at;   /* 0: no page of the guest's is kept */
    struct iommu_ep ep[VR_MAX_DEVICES];
    struct vr_ladder ladder; /* by which backends in the way are removed */
};

/** iommu_start() - see unit_kinds: maps what is needed, if the guest has a
 * virtio-iommu. */
int iommu_start(struct worker *w, const struct unit_start *s,
                struct vr_err *err);

/** iommu_has_news() - are there requests without a kick? */
bool iommu_has_news(const struct iommu *io);

/** iommu_waiting() - does a vCPU that has just made an access have to wait? */
bool iommu_waiting(const struct iommu *io);

#endif /* VR_BROKER_IOMMU_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of the virtio-iommu: requests as virtio 1.2, 5.13.6 lays them out,
 * and a page table in plain memory that behaves like a grant table, other
 * domains that hold on to a page and entries that the guest itself has
 * written included. It aborts when the processor breaks the rules of
 * struct vr_viommu_ops.
 */
#ifndef TEST_VIOMMU_RIG_H
#define TEST_VIOMMU_RIG_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libs/iommu/viommu.h"

struct rig_attach {
    uint8_t type, head_reserved[3];
    uint32_t domain, endpoint, flags;
    uint8_t reserved[4];
} __attribute__((packed));

struct rig_detach {
    uint8_t type, head_reserved[3];
    uint32_t domain, endpoint;
    uint8_t reserved[8];
} __attribute__((packed));

struct rig_map {
    uint8_t type, head_reserved[3];
    uint32_t domain;
    uint64_t virt_start, virt_end, phys_start;
    uint32_t flags;
} __attribute__((packed));

struct rig_unmap {
    uint8_t type, head_reserved[3];
    uint32_t domain;
    uint64_t virt_start, virt_end;
    uint8_t reserved[4];
} __attribute__((packed));

struct rig_probe {
    uint8_t type, head_reserved[3];
    uint32_t endpoint;
    uint8_t reserved[64];
} __attribute__((packed));

/* The guest's RAM, in frames: two banks. */
#define RIG_RAM0     UINT64_C(0x40000)
#define RIG_RAM0_END UINT64_C(0x40400)
#define RIG_RAM1     UINT64_C(0x48000)
#define RIG_RAM1_END UINT64_C(0x48200)

#define RIG_PAGES 256u /* the largest window that a test may use */

#define RIG_REQUIRE(x)                                                         \
    do {                                                                       \
        if (!(x))                                                              \
            abort();                                                           \
    } while (0)

struct rig_page {
    bool granted; /* the device can reach it */
    bool readonly;
    bool held;    /* in use as soon as it is granted: cannot be revoked */
    bool planted; /* the entry is not free: the guest wrote it itself */
    uint64_t gfn;
};

struct rig_table {
    uint32_t npages[VR_MAX_DEVICES]; /* 0: no such endpoint */
    struct rig_page page[VR_MAX_DEVICES][RIG_PAGES];
    unsigned int granted; /* pages, of all endpoints */
    unsigned int maps, unmaps, unmaps_now;
    int map_error; /* not 0: map() fails so, having done nothing */
};

static inline bool rig_is_ram(uint64_t gfn)
{
    return (gfn >= RIG_RAM0 && gfn < RIG_RAM0_END) ||
           (gfn >= RIG_RAM1 && gfn < RIG_RAM1_END);
}

static inline void rig_check_range(const struct rig_table *t, unsigned int ep,
                                   uint32_t first, uint32_t npages)
{
    RIG_REQUIRE(ep < VR_MAX_DEVICES && npages);
    RIG_REQUIRE(first < t->npages[ep] && npages <= t->npages[ep] - first);
}

static inline int rig_op_map(void *ctx, unsigned int ep, uint32_t first,
                             uint32_t npages, uint64_t gfn, bool readonly)
{
    struct rig_table *t = ctx;
    struct rig_page *p;
    uint32_t i;

    t->maps++;
    rig_check_range(t, ep, first, npages);
    RIG_REQUIRE(gfn < UINT64_C(1) << 52);
    if (t->map_error)
        return t->map_error;
    for (i = 0; i < npages; i++)
        if (!rig_is_ram(gfn + i))
            return -EINVAL;
    p = &t->page[ep][first];
    for (i = 0; i < npages; i++) {
        RIG_REQUIRE(!p[i].granted);
        if (p[i].planted)
            return i ? (int)i : -EBUSY;
        p[i].granted = true;
        p[i].readonly = readonly;
        p[i].gfn = gfn + i;
        t->granted++;
    }
    return 0;
}

static inline uint64_t rig_op_unmap(void *ctx, unsigned int ep, uint32_t first,
                                    uint32_t npages, bool now)
{
    struct rig_table *t = ctx;
    uint64_t left = 0;
    uint32_t i;

    t->unmaps++;
    if (now)
        t->unmaps_now++;
    rig_check_range(t, ep, first, npages);
    RIG_REQUIRE(npages <= 64);
    for (i = 0; i < npages; i++) {
        struct rig_page *p = &t->page[ep][first + i];

        RIG_REQUIRE(p->granted);
        if (p->held) {
            left |= UINT64_C(1) << i;
        } else {
            p->granted = false;
            t->granted--;
        }
    }
    return left;
}

static const struct vr_viommu_ops rig_ops = {
    .map = rig_op_map,
    .unmap = rig_op_unmap,
};

#endif /* TEST_VIOMMU_RIG_H */

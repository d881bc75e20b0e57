/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chooses places, as place.h has it. Called by the plug-in while it checks and
 * builds a guest. Pure. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "libs/base/range.h"
#include "libs/window/gntent.h"
#include "place.h"

static uint64_t span_size(const struct vr_span *span)
{
    return span->start < span->end ? span->end - span->start : 0;
}

/* The first obstacle to [start, start + size), NULL when it is free. */
static const struct vr_span *obstacle(const struct vr_span *used,
                                      unsigned int nused, uint64_t start,
                                      uint64_t size)
{
    unsigned int i;

    for (i = 0; i < nused; i++) {
        if (vr_ranges_overlap(used[i].start, span_size(&used[i]), start, size))
            return &used[i];
    }
    return NULL;
}

static bool in_ram(const struct vr_span *ram, unsigned int nram, uint64_t start,
                   uint64_t size)
{
    unsigned int i;

    for (i = 0; i < nram; i++) {
        if (vr_range_has(ram[i].start, span_size(&ram[i]), start, size))
            return true;
    }
    return false;
}

/* Does base= keep clear of all that is in its way? */
static int check_clear(const struct vr_dev_cfg *cfg, unsigned int index,
                       const struct vr_span *used, unsigned int nused,
                       struct vr_err *err)
{
    const struct vr_span *o = obstacle(used, nused, cfg->base, cfg->size);

    if (!o)
        return 0;
    vr_err_set(err,
               "virtio_restricted[%u]: base=0x%" PRIx64 " overlaps %s at "
               "0x%" PRIx64 "-0x%" PRIx64 ": move it, or leave base= out",
               index, cfg->base, o->what, o->start, o->end - 1);
    return -EINVAL;
}

static int check_base(const struct vr_dev_cfg *cfg, unsigned int index,
                      const struct vr_span *ram, unsigned int nram,
                      const struct vr_span *used, unsigned int nused,
                      struct vr_err *err)
{
    if (!in_ram(ram, nram, cfg->base, cfg->size)) {
        vr_err_set(err,
                   "virtio_restricted[%u]: base=0x%" PRIx64 " with its size "
                   "is not inside the guest's RAM 0x%" PRIx64 "-0x%" PRIx64
                   ": move it, or leave base= out",
                   index, cfg->base, nram ? ram[0].start : 0,
                   nram && ram[0].end ? ram[0].end - 1 : 0);
        return -EINVAL;
    }
    return check_clear(cfg, index, used, nused, err);
}

/* Highest aligned free place in @bank; each round goes below an obstacle. */
static bool find(const struct vr_span *bank, const struct vr_span *used,
                 unsigned int nused, uint64_t size, uint64_t *base)
{
    uint64_t end = bank->end;

    while (end > bank->start && end - bank->start >= size) {
        uint64_t start = (end - size) & ~(VR_POOL_ALIGN - 1);
        const struct vr_span *o;

        if (start < bank->start)
            return false;
        o = obstacle(used, nused, start, size);
        if (!o) {
            *base = start;
            return true;
        }
        end = o->start;
    }
    return false;
}

/* Obstacles: those given, the pools placed so far; one more for a while. */
struct obstacles {
    struct vr_span span[VR_MAX_DEVICES + 16 + 1];
    unsigned int n;
};

static int start_obstacles(struct obstacles *o, unsigned int n,
                           const struct vr_span *used, unsigned int nused)
{
    if (n > VR_MAX_DEVICES ||
        nused > VR_ARRAY_SIZE(o->span) - 1 - VR_MAX_DEVICES)
        return -EINVAL;
    for (o->n = 0; o->n < nused; o->n++)
        o->span[o->n] = used[o->n];
    return 0;
}

static void add_pool(struct obstacles *o, uint64_t base, uint64_t size)
{
    o->span[o->n++] = (struct vr_span){base, base + size, "another window"};
}

int vr_place_pools(const struct vr_dev_cfg *cfg, unsigned int n,
                   const struct vr_span *ram, unsigned int nram,
                   const struct vr_span *used, unsigned int nused,
                   uint64_t *base, struct vr_err *err)
{
    struct obstacles o;
    uint64_t iova[VR_MAX_DEVICES];
    unsigned int nhere, i, pass;
    char size[24];
    int rc = start_obstacles(&o, n, used, nused);

    if (rc)
        return rc;
    vr_place_iova(cfg, n, iova);
    /* Fixed ones first, so that the others keep clear of them. */
    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < n; i++) {
            if (!vr_cfg_has_pool(&cfg[i]) || cfg[i].has_base != (pass == 0))
                continue;
            nhere = o.n;
            /* An address tells which of a device's two windows is meant. */
            if (vr_cfg_has_iova(&cfg[i]))
                o.span[nhere++] =
                    (struct vr_span){iova[i], iova[i] + cfg[i].aperture,
                                     "the device's own IOVA window"};
            if (cfg[i].has_base) {
                rc = check_base(&cfg[i], i, ram, nram, o.span, nhere, err);
                if (rc)
                    return rc;
                base[i] = cfg[i].base;
            } else if (!nram ||
                       !find(&ram[0], o.span, nhere, cfg[i].size, &base[i])) {
                vr_err_set(err,
                           "virtio_restricted[%u]: no room for size=%s "
                           "between kernel, ramdisk and other windows: raise "
                           "memory= or lower size=",
                           i, vr_format_size(cfg[i].size, size));
                return -ENOSPC;
            }
            add_pool(&o, base[i], cfg[i].size);
        }
    }
    return 0;
}

static int check_base_beside(const struct vr_dev_cfg *cfg, unsigned int index,
                             uint64_t lowest, uint64_t end,
                             const struct obstacles *all, struct vr_err *err)
{
    if (cfg->base < lowest || cfg->base >= end || cfg->size > end - cfg->base) {
        vr_err_set(err,
                   "virtio_restricted[%u]: base=0x%" PRIx64 " with its size "
                   "is not between 0x%" PRIx64 " and 0x%" PRIx64 ", where "
                   "this guest has addresses to spare: move it, or leave "
                   "base= out",
                   index, cfg->base, lowest, end - 1);
        return -EINVAL;
    }
    return check_clear(cfg, index, all->span, all->n, err);
}

/* Lowest aligned free place in @room; each round goes above an obstacle. */
static bool find_up(const struct vr_span *room, const struct obstacles *all,
                    uint64_t size, uint64_t *base)
{
    uint64_t start = room->start;

    while (start < room->end) {
        const struct vr_span *o;

        start = (start + VR_POOL_ALIGN - 1) & ~(VR_POOL_ALIGN - 1);
        if (start < room->start || start >= room->end ||
            size > room->end - start)
            return false;
        o = obstacle(all->span, all->n, start, size);
        if (!o) {
            *base = start;
            return true;
        }
        start = o->end;
    }
    return false;
}

int vr_place_pools_beside(const struct vr_dev_cfg *cfg, unsigned int n,
                          uint64_t lowest, const struct vr_span *room,
                          const struct vr_span *used, unsigned int nused,
                          uint64_t *base, struct vr_err *err)
{
    struct obstacles o;
    unsigned int i, pass;
    char size[24];
    int rc = start_obstacles(&o, n, used, nused);

    if (rc)
        return rc;
    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < n; i++) {
            if (!vr_cfg_has_pool(&cfg[i]) || cfg[i].has_base != (pass == 0))
                continue;
            if (cfg[i].has_base) {
                rc = check_base_beside(&cfg[i], i, lowest, room->end, &o, err);
                if (rc)
                    return rc;
                base[i] = cfg[i].base;
            } else if (!find_up(room, &o, cfg[i].size, &base[i])) {
                vr_err_set(err,
                           "virtio_restricted[%u]: no room for size=%s from "
                           "0x%" PRIx64 " up to 0x%" PRIx64 ", the end of "
                           "the addresses that a guest can have on this "
                           "host: lower size= or memory=, or choose an "
                           "address behind the RAM by base=",
                           i, vr_format_size(cfg[i].size, size), room->start,
                           room->end);
                return -ENOSPC;
            }
            add_pool(&o, base[i], cfg[i].size);
        }
    }
    return 0;
}

void vr_place_iova(const struct vr_dev_cfg *cfg, unsigned int n, uint64_t *base)
{
    uint64_t next = VR_IOVA_BASE;
    unsigned int i;

    for (i = 0; i < n; i++) {
        if (!vr_cfg_has_iova(&cfg[i]))
            continue;
        base[i] = next;
        next += cfg[i].aperture + VR_IOVA_ALIGN - 1;
        next &= ~(VR_IOVA_ALIGN - 1);
    }
}

static uint64_t pages(const struct vr_dev_cfg *cfg, unsigned int n)
{
    uint64_t sum = 0;
    unsigned int i;

    for (i = 0; i < n; i++)
        sum += vr_cfg_window(&cfg[i]) >> VR_PAGE_SHIFT;
    return sum;
}

static uint64_t frames_of(uint64_t grefs)
{
    return (grefs + VR_GNTENT_PER_FRAME - 1) / VR_GNTENT_PER_FRAME;
}

uint64_t vr_place_frames(const struct vr_dev_cfg *cfg, unsigned int n,
                         uint32_t reserve)
{
    return frames_of(pages(cfg, n)) + frames_of(reserve ? reserve : 1);
}

int vr_place_grefs(const struct vr_dev_cfg *cfg, unsigned int n,
                   uint32_t reserve, uint32_t frames, uint32_t *pool,
                   uint32_t *iova)
{
    uint64_t next = frames * (uint64_t)VR_GNTENT_PER_FRAME;
    unsigned int i;

    if (frames < vr_place_frames(cfg, n, reserve) || next > UINT32_MAX)
        return -ENOSPC;
    /* The broker has the frames of all dynamic windows mapped for writing:
     * pools are kept out of them. */
    for (i = 0; i < n; i++) {
        if (!vr_cfg_has_pool(&cfg[i]))
            continue;
        next -= cfg[i].size >> VR_PAGE_SHIFT;
        pool[i] = next;
    }
    for (i = 0; i < n; i++) {
        if (!vr_cfg_has_iova(&cfg[i]))
            continue;
        next -= cfg[i].aperture >> VR_PAGE_SHIFT;
        iova[i] = next;
    }
    return 0;
}

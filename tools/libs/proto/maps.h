/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of the dynamic windows are mapped, by the broker's own account:
 * VR_RUN_DIR/<guest uuid>.maps, a file in shared memory that the broker's
 * worker writes and `vrctl audit` compares with the guest's grant table. One
 * bit per page of each dynamic window, behind a header.
 *
 * A bit is set from the moment the broker writes the page's grant entry until
 * it has taken it away for certain. Entry and bit change only between
 * vr_maps_begin() and vr_maps_end(), see shfile.h. The layout follows from the
 * record, so a reader has to trust nothing in the file but the bits.
 */
#ifndef VR_MAPS_H
#define VR_MAPS_H

#include "libs/config/record.h"
#include "libs/base/shfile.h"

#define VR_MAPS_MAGIC UINT64_C(0x3150414d52560001)

struct vr_maps {
    uint64_t magic;
    uint32_t generation; /* odd while bits and entries change */
    uint32_t ndevs;
    /* Of the dynamic window of each device: 0 in static mode. */
    uint32_t pages[VR_MAX_DEVICES];
    uint64_t bits[]; /* whole words per device, in the record's order */
};

/** vr_maps_size() - bytes of the file for the devices of @rec. */
size_t vr_maps_size(const struct vr_record *rec);

/** vr_maps_init() - fill the header in zeroed memory of vr_maps_size(). */
void vr_maps_init(struct vr_maps *maps, const struct vr_record *rec);

/** vr_maps_check() - is this, @size bytes long, what vr_maps_init() makes for
 * @rec? Returns 0 or -EPROTO. */
int vr_maps_check(const struct vr_maps *maps, size_t size,
                  const struct vr_record *rec);

/**
 * vr_maps_offset() - index of the first word of device @i in bits[].
 * vr_maps_words() - how many words device @i has.
 */
size_t vr_maps_offset(const struct vr_record *rec, unsigned int i);
size_t vr_maps_words(const struct vr_record *rec, unsigned int i);

/** vr_maps_begin(), vr_maps_end() - around each batch of changes. Cheap: use
 * them per request, not per page. They do not nest. */
static inline void vr_maps_begin(struct vr_maps *maps)
{
    vr_shfile_begin(&maps->generation);
}

static inline void vr_maps_end(struct vr_maps *maps)
{
    vr_shfile_end(&maps->generation);
}

/** vr_maps_set(), vr_maps_clear() - @bits: of one device; @page: index in its
 * window, below maps->pages[]. */
static inline void vr_maps_set(uint64_t *bits, uint32_t page)
{
    bits[page / 64] |= UINT64_C(1) << page % 64;
}

static inline void vr_maps_clear(uint64_t *bits, uint32_t page)
{
    bits[page / 64] &= ~(UINT64_C(1) << page % 64);
}

static inline bool vr_maps_test(const uint64_t *bits, uint32_t page)
{
    return bits[page / 64] >> page % 64 & 1;
}

/** vr_maps_generation() - for a reader, before and after it looks. */
static inline uint32_t vr_maps_generation(const struct vr_maps *maps)
{
    return vr_shfile_generation(&maps->generation);
}

/** vr_maps_count() - pages of device @i that are mapped now, roughly: the
 * worker may be at it. */
uint32_t vr_maps_count(const struct vr_maps *maps, const struct vr_record *rec,
                       unsigned int i);

/**
 * vr_maps_open() - map the file of the guest that @rec is about.
 * @create: make it (the broker), else map it read-only (vrctl).
 *
 * Returns NULL with errno set on failure; ENOENT when there is none (no
 * dynamic device, or an older broker), EPROTO when it is another guest's or
 * another version's. Unmap with vr_maps_close().
 */
struct vr_maps *vr_maps_open(const struct vr_record *rec, bool create);
void vr_maps_close(struct vr_maps *maps, const struct vr_record *rec);

/* The same with a path, for tests. */
struct vr_maps *vr_maps_create_at(const char *path,
                                  const struct vr_record *rec);
struct vr_maps *vr_maps_open_at(const char *path, const struct vr_record *rec);

#endif /* VR_MAPS_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries of a guest's version 1 grant table, as the toolstack writes and
 * revokes them in shared memory. Pure: works on plain memory laid out like
 * grant_entry_v1_t (Xen public/grant_table.h): u16 flags, u16 domid, u32 frame.
 *
 * Discipline: an entry is written only while its flags are 0 (domid and frame
 * first, then a barrier, then the flags), and taken away only by
 * compare-and-exchange while the hypervisor's in-use bits are clear. A plain
 * store over a live entry would wipe those bits and a later look would lie.
 */
#ifndef VR_GNTENT_H
#define VR_GNTENT_H

#include "libs/base/vr.h"

struct vr_gntent {
    uint16_t flags;
    uint16_t domid;
    uint32_t frame;
};

/* Values of Xen's ABI, checked against its header where that is at hand. */
#define VR_GTF_TYPE_MASK     3u
#define VR_GTF_PERMIT_ACCESS 1u
#define VR_GTF_READONLY      (1u << 2)
#define VR_GTF_READING       (1u << 3)
#define VR_GTF_WRITING       (1u << 4)
#define VR_GTF_IN_USE        (VR_GTF_READING | VR_GTF_WRITING)

/** vr_gntent_fits() - can entries of this version name the @n frames from @gfn
 * on? They have 32 bits for it. */
static inline bool vr_gntent_fits(uint64_t gfn, uint64_t n)
{
    return gfn <= UINT32_MAX && n <= UINT64_C(1) + UINT32_MAX - gfn;
}

#define VR_GNTENT_PER_FRAME (VR_PAGE_SIZE / sizeof(struct vr_gntent))

/**
 * vr_gntent_grant() - let @domid reach guest frame @gfn through entry @e.
 * Returns 0; -EBUSY when the entry is not free, -EINVAL when the frame does not
 * fit (nothing is changed).
 */
int vr_gntent_grant(struct vr_gntent *e, uint16_t domid, uint64_t gfn,
                    bool readonly);

/**
 * vr_gntent_revoke() - take an entry away for certain.
 * Returns 0 when the entry is free (now or already), -EBUSY while the
 * hypervisor shows it in use; then nothing is changed.
 */
int vr_gntent_revoke(struct vr_gntent *e);

/** vr_gntent_read() - one consistent copy (flags are read first and last). */
struct vr_gntent vr_gntent_read(const struct vr_gntent *e);

/** vr_gntent_grants() - does a copy say that @domid can read and write frame
 * @gfn? */
bool vr_gntent_grants(const struct vr_gntent *copy, uint16_t domid,
                      uint64_t gfn);

/** vr_gntent_foreign() - does it say anything else than that @domid can reach
 * some frame? Not when it is free. */
bool vr_gntent_foreign(const struct vr_gntent *copy, uint16_t domid);

/**
 * vr_gntent_grant_range() - grant @count consecutive frames.
 * All or nothing: on -EBUSY every entry that was written is revoked again.
 * @bad: may be NULL; index of the entry that was not free.
 * Returns 0, -EBUSY, or -EINVAL when the frames do not fit into 32 bits.
 */
int vr_gntent_grant_range(struct vr_gntent *e, uint32_t count, uint16_t domid,
                          uint64_t gfn, bool readonly, uint32_t *bad);

/**
 * vr_gntent_revoke_range() - revoke what can be revoked.
 * Returns the number of entries still in use (0: all are free).
 */
uint32_t vr_gntent_revoke_range(struct vr_gntent *e, uint32_t count);

/**
 * vr_gntent_take_back() - revoke what grants @domid the @count frames from @gfn
 * on, in order, and leave alone what the guest has written instead.
 * Returns the number of entries still in use (0: none of these grants is left).
 */
uint32_t vr_gntent_take_back(struct vr_gntent *e, uint32_t count,
                             uint16_t domid, uint32_t gfn);

#endif /* VR_GNTENT_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes and takes back entries of a grant table (version 1) that the guest can
 * write to as well, with atomic operations. Pure: no call of Xen.
 */
#include <errno.h>

#include "gntent.h"

_Static_assert(sizeof(struct vr_gntent) == 8, "grant_entry_v1_t");
_Static_assert(offsetof(struct vr_gntent, flags) == 0, "grant_entry_v1_t");
_Static_assert(offsetof(struct vr_gntent, domid) == 2, "grant_entry_v1_t");
_Static_assert(offsetof(struct vr_gntent, frame) == 4, "grant_entry_v1_t");

/* The guest owns this memory too and may change an entry as fast as we look
 * at it. That must not hold us: after so many tries we give the entry up. */
#define TRIES 64

int vr_gntent_grant(struct vr_gntent *e, uint16_t domid, uint64_t gfn,
                    bool readonly)
{
    uint16_t none = 0;
    uint16_t flags = VR_GTF_PERMIT_ACCESS | (readonly ? VR_GTF_READONLY : 0);

    if (!vr_gntent_fits(gfn, 1))
        return -EINVAL;
    if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE))
        return -EBUSY;
    __atomic_store_n(&e->domid, domid, __ATOMIC_RELAXED);
    __atomic_store_n(&e->frame, (uint32_t)gfn, __ATOMIC_RELAXED);
    /* Release: whoever sees the flags sees domid and frame as well. */
    if (!__atomic_compare_exchange_n(&e->flags, &none, flags, false,
                                     __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return -EBUSY;
    return 0;
}

int vr_gntent_revoke(struct vr_gntent *e)
{
    uint16_t flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
    unsigned int i;

    for (i = 0; i < TRIES; i++) {
        if (!flags)
            return 0;
        if (flags & VR_GTF_IN_USE)
            return -EBUSY;
        /* On failure flags becomes what stands there now. */
        if (__atomic_compare_exchange_n(&e->flags, &flags, 0, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
            return 0;
    }
    return -EBUSY;
}

struct vr_gntent vr_gntent_read(const struct vr_gntent *e)
{
    const uint16_t stable = (uint16_t)~VR_GTF_IN_USE;
    struct vr_gntent copy;
    uint16_t before;
    unsigned int i;

    copy.flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
    for (i = 0; i < TRIES; i++) {
        before = copy.flags;
        copy.domid = __atomic_load_n(&e->domid, __ATOMIC_ACQUIRE);
        copy.frame = __atomic_load_n(&e->frame, __ATOMIC_ACQUIRE);
        copy.flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
        /* The in-use bits come and go beneath a grant that stays the same. */
        if ((before & stable) == (copy.flags & stable))
            break;
    }
    return copy;
}

bool vr_gntent_grants(const struct vr_gntent *copy, uint16_t domid,
                      uint64_t gfn)
{
    return (copy->flags & VR_GTF_TYPE_MASK) == VR_GTF_PERMIT_ACCESS &&
           !(copy->flags & VR_GTF_READONLY) && copy->domid == domid &&
           copy->frame == gfn;
}

bool vr_gntent_foreign(const struct vr_gntent *copy, uint16_t domid)
{
    unsigned int type = copy->flags & VR_GTF_TYPE_MASK;

    return type && (type != VR_GTF_PERMIT_ACCESS || copy->domid != domid);
}

int vr_gntent_grant_range(struct vr_gntent *e, uint32_t count, uint16_t domid,
                          uint64_t gfn, bool readonly, uint32_t *bad)
{
    uint32_t i;
    int rc;

    if (!vr_gntent_fits(gfn, count))
        return -EINVAL;
    for (i = 0; i < count; i++) {
        rc = vr_gntent_grant(&e[i], domid, gfn + i, readonly);
        if (rc) {
            if (bad)
                *bad = i;
            vr_gntent_revoke_range(e, i);
            return rc;
        }
    }
    return 0;
}

uint32_t vr_gntent_revoke_range(struct vr_gntent *e, uint32_t count)
{
    uint32_t i, busy = 0;

    for (i = 0; i < count; i++)
        if (vr_gntent_revoke(&e[i]))
            busy++;
    return busy;
}

uint32_t vr_gntent_take_back(struct vr_gntent *e, uint32_t count,
                             uint16_t domid, uint32_t gfn)
{
    uint32_t i, busy = 0;

    for (i = 0; i < count; i++) {
        const struct vr_gntent now = vr_gntent_read(&e[i]);

        if (vr_gntent_grants(&now, domid, gfn + i) && vr_gntent_revoke(&e[i]))
            busy++;
    }
    return busy;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chooses slots for devices. Called by the plug-in. Pure. */
#include <errno.h>

#include "regs.h"
#include "slots.h"

_Static_assert(VR_SLOT_SIZE == VR_MMIO_SIZE, "a slot is a device's registers");

int vr_place_slots(const struct vr_slots *slots, uint32_t taken, unsigned int n,
                   bool iommu, unsigned int *slot, struct vr_err *err)
{
    unsigned int i = 0, s, want = n + (iommu ? 1 : 0);

    for (s = 0; s < slots->count && s < VR_SLOTS_MAX && i < want; s++) {
        if (!(taken & (1u << s)))
            slot[i++] = s;
    }
    if (i == want)
        return 0;
    vr_err_set(err,
               "virtio_restricted: %u devices%s, but only %u of the %u "
               "virtio-mmio slots are free beside the guest's other virtio "
               "devices: take devices out",
               n,
               iommu
                   ? " and the virtio-iommu of those with mode=dynamic or mixed"
                   : "",
               i, slots->count);
    return -ENOSPC;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The GICv2m frame (Arm Base System Architecture, appendix on GICv2m): which
 * interrupts there are for messages, and what a message means. Called by the
 * broker's worker. Pure. */
#include "bus.h"

_Static_assert(VR_PCI_MESSAGES + VR_PCI_MESSAGES_MAX <= 0x3ff,
               "fields of TYPER, and SPIs of a GIC");

uint32_t vr_v2m_intid(const struct vr_v2m *v, uint64_t addr, uint32_t data)
{
    if (addr != VR_PCI_FRAME + VR_V2M_SETSPI || data < VR_PCI_MESSAGES ||
        data - VR_PCI_MESSAGES >= v->count)
        return 0;
    return data;
}

static uint64_t frame_read(void *of, uint64_t off, unsigned int size)
{
    const struct vr_v2m *v = of;

    if (off == VR_V2M_TYPER && size == 4)
        return (uint64_t)VR_PCI_MESSAGES << 16 | v->count;
    return 0;
}

/* Not by a processor: a guest would only interrupt itself. */
static enum vr_vdev_result frame_write(void *of, uint64_t off,
                                       unsigned int size, uint64_t value)
{
    (void)of;
    (void)off;
    (void)size;
    (void)value;
    return VR_VDEV_DONE;
}

const struct vr_face vr_v2m_face = {.read = frame_read, .write = frame_write};

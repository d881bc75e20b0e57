/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interrupts of a guest on Arm, see arch.h. */
#if defined(__aarch64__) || defined(__arm__)
#include "bus.h"

/* Every guest has a vgic; a line that is none of its is refused by Xen. */
static int arm_check(uint32_t domid, struct vr_err *err)
{
    (void)domid;
    (void)err;
    return 0;
}

/*
 * A shared peripheral interrupt, described as edge-rising in the device tree.
 * XEN_DMOP_set_irq_level with level 1 is one edge: the vgic queues it even
 * while the guest still handles the one before. Level 0 is accepted and does
 * nothing (vgic_inject_irq() returns at once, Xen 4.17 to 4.20), so that call
 * is saved.
 */
static int arm_irq(xendevicemodel_handle *dm, domid_t domid, uint32_t irq,
                   bool raise)
{
    return xendevicemodel_set_irq_level(dm, domid, irq, raise);
}

const struct vr_arch vr_arch = {
    .name = "arm",
    .level = false,
    .bus = &bus_ecam,
    .check = arm_check,
    .irq = arm_irq,
};

#endif

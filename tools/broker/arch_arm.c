/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arch.h"

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

const struct vr_arch vr_arch_arm = {
    .name = "arm",
    .level = false,
    .irq = arm_irq,
};

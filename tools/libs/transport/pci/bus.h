/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PCI bus of an Arm guest: a host bridge with ECAM, a place for BARs, and a
 * GICv2m frame, all of which the broker answers for. One bus; a device is
 * function 0 of a slot, 1 and up.
 *
 * The frame is where messages are addressed to. Nobody writes there: the broker
 * takes a message from a function's table and raises the interrupt that it
 * names. A guest reads the frame to learn which interrupts it has. Pure.
 */
#ifndef VR_PCI_BUS_H
#define VR_PCI_BUS_H

#include "libs/transport/transport.h"

/* What Xen sets aside for virtual PCI (xen/include/public/arch-arm.h), which
 * nothing else is in but libxl's own host bridge, for devices that are passed
 * through. The frame is the last page of the virtio-mmio area. */
#define VR_PCI_ECAM       UINT64_C(0x10000000)
#define VR_PCI_ECAM_SIZE  UINT64_C(0x00100000) /* bus 0 */
#define VR_PCI_BARS       UINT64_C(0x23000000)
#define VR_PCI_BARS_SIZE  UINT64_C(0x00100000)
#define VR_PCI_FRAME      UINT64_C(0x020ff000)
#define VR_PCI_FRAME_SIZE UINT64_C(0x00001000)
#define VR_PCI_SLOT_SHIFT 15  /* of a slot's configuration space in ECAM */
#define VR_PCI_SLOTS      32u /* 0 stays empty, as a host bridge's own */

/* INTIDs: a line per slot, then those of messages: one for each vector. */
#define VR_PCI_LINES        64u
#define VR_PCI_MESSAGES     (VR_PCI_LINES + VR_PCI_SLOTS)
#define VR_PCI_MESSAGES_MAX (VR_MAX_DEVICES * (VR_MAX_QUEUES + 1u))

/* Registers of the frame */
#define VR_V2M_TYPER  0x008
#define VR_V2M_SETSPI 0x040

/** vr_pci_registers() - where the configuration space of @slot is. */
static inline uint64_t vr_pci_registers(unsigned int slot)
{
    return VR_PCI_ECAM + ((uint64_t)slot << VR_PCI_SLOT_SHIFT);
}

/** vr_pci_slot() - the reverse, for any bus. */
static inline unsigned int vr_pci_slot(uint64_t registers)
{
    return registers >> VR_PCI_SLOT_SHIFT & (VR_PCI_SLOTS - 1);
}

/* An architecture's places for functions: slots one behind the other, and an
 * interrupt that is INTA in each. */
struct vr_pci_slots {
    uint64_t registers; /* configuration space of slot 0 */
    unsigned int first;
    uint32_t irq;  /* of the first; Arm: INTID, x86: GSI */
    uint32_t step; /* to that of the next */
};

/* The messages' interrupts, VR_PCI_MESSAGES and up. */
struct vr_v2m {
    unsigned int count;
};

/**
 * vr_v2m_intid() - the interrupt that a message raises.
 * @addr, @data: any.
 * Returns 0 for one that goes elsewhere.
 */
uint32_t vr_v2m_intid(const struct vr_v2m *v, uint64_t addr, uint32_t data);

/* A struct vr_v2m's frame. */
extern const struct vr_face vr_v2m_face;

#endif /* VR_PCI_BUS_H */

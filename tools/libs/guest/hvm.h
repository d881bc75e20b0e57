/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine that Xen emulates for an x86 HVM guest, as far as our devices
 * have to fit into it. Pure arithmetic.
 *
 *   RAM       from 0 up to a hole below 4 GiB, and from 4 GiB on. hvmloader
 *             may widen the hole for PCI devices, down to 2 GiB at the most,
 *             and moves the RAM there behind the rest.
 *   PCI       32-bit resources in that hole up to 0xfc000000; what does not
 *             fit, and is 64 bits wide, follows the RAM above 4 GiB.
 *   reserved  0xfc000000 to 4 GiB, for the guest's memory map. Of this,
 *             hvmloader takes its own up to 0xfe000000; 0xfe700000 belongs to
 *             the guest, 0xfec00000 to the I/O APIC, 0xfed00000 to HPET and
 *             TPM, 0xfee00000 to the local APIC, and Xen's special pages end
 *             at 0xfefff000 (hvmloader's config.h, xenguest.h). Nobody has
 *             0xfeb00000: our registers are there.
 *   GSIs      16 to 47 are PCI devices' lines. Four lines of each of 32
 *             devices share them: those of devices 27 to 31, which only a
 *             guest with very many emulated devices has, make up 31 to 47.
 *             32 to 47 are for virtio-mmio slots, and INTA of each of the five
 *             for PCI functions there: where a function is, no slot is used.
 */
#ifndef VR_HVM_H
#define VR_HVM_H

#include "place.h"

#define VR_HVM_SLOT_BASE UINT64_C(0xfeb00000)
#define VR_HVM_GSI_FIRST 32u
#define VR_HVM_SLOTS     16u
#define VR_HVM_PCI_FIRST 27u /* of the devices whose lines those are */
#define VR_HVM_PCI_SLOTS 5u

/* INTA of the first of them, and from one to the next. */
#define VR_HVM_INTA_FIRST 31u
#define VR_HVM_INTA_STEP  4u

/* Where the guest may have its BARs: as far down as hvmloader's hole can
 * reach, and up to what is reserved. */
#define VR_HVM_BARS     UINT64_C(0x80000000)
#define VR_HVM_BARS_END UINT64_C(0xfc000000)

/* Where pools begin when nothing is in the way: above the windows of dynamic
 * devices (VR_IOVA_BASE). */
#define VR_HVM_POOL_BASE (UINT64_C(1) << 37)
/* What is left free above RAM for 64-bit resources of PCI devices. */
#define VR_HVM_PCI_ROOM (UINT64_C(1) << 36)

#define VR_HVM_BANKS 3u

/**
 * vr_hvm_intx() - the line of a PCI device that is @gsi.
 * @gsi: VR_HVM_INTA_FIRST .. VR_HVM_GSI_FIRST + VR_HVM_SLOTS - 1.
 * @dev: 27 .. 31; @intx: 0 (INTA) .. 3.
 * Returns 0, or -ERANGE for another GSI.
 */
int vr_hvm_intx(uint32_t gsi, unsigned int *dev, unsigned int *intx);

/**
 * vr_hvm_split() - how libxl divides RAM, before it is asked to.
 * @bytes: the guest's RAM; @hole: size of the hole below 4 GiB, 0: Xen's own.
 * @low_end: of the RAM below the hole; @high_end: of that above 4 GiB, 0: none.
 */
void vr_hvm_split(uint64_t bytes, uint64_t hole, uint64_t *low_end,
                  uint64_t *high_end);

/**
 * vr_hvm_ram() - where the guest may have RAM once hvmloader is through.
 * @low_end, @high_end: as from vr_hvm_split(), or libxl's own.
 * @ram: VR_HVM_BANKS results, lowest first: what lies between 640 KiB and
 *       1 MiB (the video hole, the BIOS) is left out.
 *
 * Above 4 GiB that is more than there is; where there is no page, Xen refuses.
 * Returns the number of banks.
 */
unsigned int vr_hvm_ram(uint64_t low_end, uint64_t high_end,
                        struct vr_span *ram);

/**
 * vr_hvm_pool_room() - where pools may lie.
 * @ram_end: end of the last bank. @bits: of a guest physical address.
 * @lowest: for base=; @room: for pools without it, empty when there is none.
 */
void vr_hvm_pool_room(uint64_t ram_end, unsigned int bits, uint64_t *lowest,
                      struct vr_span *room);

#endif /* VR_HVM_H */

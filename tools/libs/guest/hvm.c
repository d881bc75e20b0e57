/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses and interrupts of x86 HVM guests, as hvm.h has it. Called by the
 * plug-in and by the broker's interrupt line. Pure arithmetic. */
#include <errno.h>

#include "hvm.h"

#define GIB4       (UINT64_C(1) << 32)
#define HOLE       (UINT64_C(0x10000000)) /* HVM_BELOW_4G_MMIO_LENGTH */
#define VIDEO      UINT64_C(0xa0000)
#define MIB        UINT64_C(0x100000)
#define GRANT_BITS 44 /* 32-bit frame numbers */
/* QEMU populates video memory and ROMs right behind the RAM, where it has any
 * above 4 GiB, and moves them to their places later. */
#define QEMU_ROOM (UINT64_C(1) << 30)

#define DEV_END  32u
#define INTX_END 4u

/* Xen's hvm_pci_intx_gsi(). */
static uint32_t gsi_of(unsigned int dev, unsigned int intx)
{
    return (((dev << 2) + (dev >> 3) + intx) & 31) + 16;
}

int vr_hvm_intx(uint32_t gsi, unsigned int *dev, unsigned int *intx)
{
    unsigned int d, i;

    if (gsi < VR_HVM_INTA_FIRST || gsi >= VR_HVM_GSI_FIRST + VR_HVM_SLOTS)
        return -ERANGE;
    for (d = VR_HVM_PCI_FIRST; d < DEV_END; d++) {
        for (i = 0; i < INTX_END; i++) {
            if (gsi_of(d, i) != gsi)
                continue;
            *dev = d;
            *intx = i;
            return 0;
        }
    }
    return -ERANGE;
}

void vr_hvm_split(uint64_t bytes, uint64_t hole, uint64_t *low_end,
                  uint64_t *high_end)
{
    /* libxl widens the hole, but does not make it smaller. */
    uint64_t start = GIB4 - (hole > HOLE && hole < GIB4 ? hole : HOLE);

    *low_end = bytes < start ? bytes : start;
    *high_end = bytes > start ? GIB4 + bytes - start : 0;
}

unsigned int vr_hvm_ram(uint64_t low_end, uint64_t high_end,
                        struct vr_span *ram)
{
    uint64_t moved = low_end > VR_HVM_BARS ? low_end - VR_HVM_BARS : 0;
    unsigned int n = 0;

    if (high_end < GIB4)
        high_end = GIB4;
    high_end += moved;
    ram[n++] = (struct vr_span){0, low_end < VIDEO ? low_end : VIDEO, NULL};
    if (low_end > MIB)
        ram[n++] = (struct vr_span){MIB, low_end, NULL};
    if (high_end > GIB4)
        ram[n++] = (struct vr_span){GIB4, high_end, NULL};
    return n;
}

void vr_hvm_pool_room(uint64_t ram_end, unsigned int bits, uint64_t *lowest,
                      struct vr_span *room)
{
    uint64_t end = UINT64_C(1) << (bits < GRANT_BITS ? bits : GRANT_BITS);
    uint64_t start = VR_HVM_POOL_BASE;

    while (start < end && start < ram_end + VR_HVM_PCI_ROOM)
        start <<= 1;
    *lowest = ram_end > GIB4 ? ram_end + QEMU_ROOM : GIB4;
    room->start = start < end ? start : end;
    room->end = end;
    room->what = NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A function's inside, for its own files:
 *
 *   config.c  configuration space: what it says, and what writes to it do
 *   regs.c    the BAR: which access means what to the model
 *   msix.c    interrupts: the table, what is pending, INTA instead of them
 */
#ifndef VR_PCI_INT_H
#define VR_PCI_INT_H

#include "function.h"
#include "libs/virtio/vdev_int.h"

static inline uint32_t pci_get(const struct vr_pci *p, unsigned int off,
                               unsigned int size)
{
    uint32_t v = 0;

    while (size--)
        v = v << 8 | p->config[off + size];
    return v;
}

static inline void pci_set(struct vr_pci *p, unsigned int off,
                           unsigned int size, uint32_t v)
{
    unsigned int i;

    for (i = 0; i < size; i++, v >>= 8)
        p->config[off + i] = v;
}

/* ---- regs.c ---- */

/** bar_read(), bar_write() - the BAR's faces; @off and @size may be any. */
uint64_t bar_read(struct vr_pci *p, uint64_t off, unsigned int size);
enum vr_vdev_result bar_write(struct vr_pci *p, uint64_t off, unsigned int size,
                              uint64_t value);

/* ---- msix.c ---- */

static inline unsigned int msix_vectors(const struct vr_pci *p)
{
    return 1 + p->m->desc.nqueues;
}

/** msix_reset() - as after power-on: all masked. */
void msix_reset(struct vr_pci *p);

/** msix_unbind() - no queue has a vector, nor has the device. */
void msix_unbind(struct vr_pci *p);

/** msix_update() - what decides about interrupts in the configuration space
 * may have changed. */
void msix_update(struct vr_pci *p);

/** msix_choice() - the vector that is chosen when the driver writes @value. */
uint16_t msix_choice(const struct vr_pci *p, uint32_t value);

uint64_t msix_table_read(const struct vr_pci *p, unsigned int off,
                         unsigned int size);
void msix_table_write(struct vr_pci *p, unsigned int off, unsigned int size,
                      uint64_t value);
uint64_t msix_pending_read(const struct vr_pci *p, unsigned int off,
                           unsigned int size);

#endif /* VR_PCI_INT_H */

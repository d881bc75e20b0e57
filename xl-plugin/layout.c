/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a guest's devices are, as every architecture writes it down: slots,
 * interrupts and RAM, in the record and in what the guest is to be told.
 * Called by arch_*.c; touches nothing else.
 */
#include <string.h>

#include "state.h"

unsigned int vr_count_by(const struct vr_dev_cfg *devs, unsigned int n,
                         enum vr_transport transport)
{
    unsigned int i, count = 0;

    for (i = 0; i < n; i++)
        count += devs[i].transport == transport;
    return count;
}

bool vr_any_iova(const struct vr_dev_cfg *devs, unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n; i++)
        if (vr_cfg_has_iova(&devs[i]))
            return true;
    return false;
}

bool vr_any_pool(const struct vr_dev_cfg *devs, unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n; i++)
        if (vr_cfg_has_pool(&devs[i]))
            return true;
    return false;
}

/* A register block of virtio-mmio, or the next function of the PCI bus. */
static void place(struct vr_build *b, unsigned int i,
                  const struct vr_slots *slots, const unsigned int **slot,
                  const struct vr_pci_slots *functions, unsigned int *function)
{
    struct vr_record_dev *dev = &b->rec->devs[i];

    if (dev->cfg.transport == VR_TRANSPORT_pci) {
        dev->mmio_base =
            functions->registers +
            ((uint64_t)(functions->first + *function) << VR_PCI_SLOT_SHIFT);
        dev->irq = functions->irq + (*function)++ * functions->step;
    } else {
        dev->mmio_base = slots->base + **slot * VR_SLOT_SIZE;
        dev->irq = slots->irq + *(*slot)++;
    }
    b->desc[i].transport = dev->cfg.transport;
    b->desc[i].mmio_base = dev->mmio_base;
    b->desc[i].irq = dev->irq;
    b->desc[i].vectors = 1 + dev->cfg.queues;
    b->desc[i].behind_iommu = vr_cfg_has_iova(&dev->cfg);
    b->desc[i].endpoint = i;
    b->desc[i].pool_size = dev->cfg.size;
    b->desc[i].pool_unnamed = !vr_cfg_pool_in_firmware(&dev->cfg);
    /* Where memory is free may be known later: something unique until then. */
    b->desc[i].pool_base = i * VR_PAGE_SIZE;
}

int vr_build_slots(struct vr_build *b, const struct vr_slots *slots,
                   uint32_t taken, const struct vr_pci_slots *functions,
                   struct vr_err *err)
{
    struct vr_record *rec = b->rec;
    bool iommu = vr_record_endpoints(rec);
    unsigned int slot[VR_SLOTS_MAX], n = 0, function = 0, i;
    const unsigned int *next = slot;
    int rc;

    for (i = 0; i < rec->ndevs; i++)
        n += rec->devs[i].cfg.transport == VR_TRANSPORT_mmio;
    rc = vr_place_slots(slots, taken, n, iommu, slot, err);
    if (rc)
        return rc;
    for (i = 0; i < rec->ndevs; i++)
        place(b, i, slots, &next, functions, &function);
    memset(&rec->iommu, 0, sizeof(rec->iommu));
    if (!iommu)
        return 0;
    rec->iommu.present = true;
    rec->iommu.mmio_base = slots->base + *next * VR_SLOT_SIZE;
    rec->iommu.irq = slots->irq + *next;
    b->desc_iommu.mmio_base = rec->iommu.mmio_base;
    b->desc_iommu.irq = rec->iommu.irq;
    return 0;
}

void vr_build_ram(struct vr_record *rec, const struct vr_span *ram,
                  unsigned int n)
{
    unsigned int i;

    rec->nram = 0;
    for (i = 0; i < n && rec->nram < VR_MAX_BANKS; i++) {
        if (ram[i].start == ram[i].end)
            continue;
        rec->ram[rec->nram].start = ram[i].start >> VR_PAGE_SHIFT;
        rec->ram[rec->nram++].end = ram[i].end >> VR_PAGE_SHIFT;
    }
}

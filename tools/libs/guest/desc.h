/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest is told of its devices, by device tree (dt.h) or by ACPI
 * (acpi.h). */
#ifndef VR_DESC_H
#define VR_DESC_H

#include <stdbool.h>
#include <stdint.h>

#include "libs/types/dev.h"

/* A device has a pool (pool_size is not 0), stands behind the virtio-iommu, or
 * both: it is static, dynamic, or mixed. */
struct vr_desc_dev {
    enum vr_transport transport;
    uint64_t mmio_base;   /* of its registers */
    uint32_t irq;         /* Arm: INTID, 32 and above (SPI); x86: GSI */
    unsigned int vectors; /* PCI: messages that it may send */
    bool behind_iommu;
    uint32_t endpoint; /* behind_iommu: its number there */
    uint64_t pool_base;
    uint64_t pool_size;
    /* The pool is described, so that nothing else is placed there, but the
     * device does not refer to it: the guest is told in another way. */
    bool pool_unnamed;
    uint32_t phandle; /* of the pool's node: filled by vr_dt_extend() */
};

struct vr_desc_iommu {
    uint64_t mmio_base;
    uint32_t irq;
    uint32_t phandle; /* filled by vr_dt_extend() */
};

#endif /* VR_DESC_H */

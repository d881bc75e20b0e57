/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a guest's driver reaches a device: a transport is a face of the device
 * model (libs/virtio/vdev.h). Each has a folder here, a line in
 * libs/types/transport.def, and a table of how a guest is told of it.
 */
#ifndef VR_TRANSPORT_H
#define VR_TRANSPORT_H

#include "libs/virtio/vdev.h"

/* What answers for some of the guest's addresses. @of: whatever the face is
 * of, such as a struct vr_vdev for the registers of virtio-mmio. */
struct vr_face {
    /*
     * The guest reads or writes @size bytes at @off from the beginning; any
     * values. A read gives 0 for what is not to be read; a write that gives
     * VR_VDEV_PENDING is complete when vr_vdev_waiting() says so.
     */
    uint64_t (*read)(void *of, uint64_t off, unsigned int size);
    enum vr_vdev_result (*write)(void *of, uint64_t off, unsigned int size,
                                 uint64_t value);
};

/* What a guest is told of a device, whatever the transport. */
struct vr_told {
    const char *kind;   /* of device: the first part of a node's name */
    uint64_t registers; /* guest physical address */
    uint32_t irq;       /* Arm: INTID, 32 and above (SPI) */
    unsigned int vectors;
    uint32_t phandle; /* free for what a transport itself refers to */
};

/* How a guest is told of a device: apart, since who serves it has no use for
 * libfdt. Each has a struct vr_transport_told vr_transport_told_NAME. The
 * functions return 0 or libfdt's negative error. */
struct vr_transport_told {
    /* Adds a device's node to @fdt, a tree with 2 + 2 cells at its root.
     * @node: its offset. */
    int (*dt)(void *fdt, const struct vr_told *dev, int *node);
    /* The device of @node is endpoint @endpoint of the IOMMU at @iommu. */
    int (*behind)(void *fdt, int node, const struct vr_told *dev,
                  uint32_t iommu, uint32_t endpoint);
};

#define TRANSPORT(name)                                                        \
    extern const struct vr_transport_told vr_transport_told_##name;
#include "libs/types/transport.def"
#undef TRANSPORT

#endif /* VR_TRANSPORT_H */

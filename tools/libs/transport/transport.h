/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a guest's driver reaches a device: a transport is a face of the device
 * model (libs/virtio/vdev.h). Each has a folder here, a table as below in it
 * (const struct vr_transport vr_transport_NAME), and a line in transport.def.
 */
#ifndef VR_TRANSPORT_H
#define VR_TRANSPORT_H

#include "libs/virtio/vdev.h"

struct vr_transport {
    const char *name;
    /* Bytes of guest physical addresses that it answers for, from a device's
     * base on. */
    uint64_t size;
    /*
     * The guest reads or writes @size bytes at @off from the base; any values.
     * A read gives 0 for what is not to be read; a write that gives
     * VR_VDEV_PENDING is complete when vr_vdev_waiting() says so.
     */
    uint64_t (*read)(struct vr_vdev *dev, uint64_t off, unsigned int size);
    enum vr_vdev_result (*write)(struct vr_vdev *dev, uint64_t off,
                                 unsigned int size, uint64_t value);
};

/* How a guest is told of a device: apart, since who serves it has no use for
 * libfdt. Each has a struct vr_transport_told vr_transport_told_NAME. */
struct vr_transport_told {
    /*
     * Adds a device's node to @fdt, a tree with 2 + 2 cells at its root.
     * @kind: first part of its name. @irq: its interrupt, an SPI's INTID.
     * @node: its offset. Returns 0 or libfdt's negative error.
     */
    int (*dt)(void *fdt, const char *kind, uint64_t base, uint32_t irq,
              int *node);
};

#define TRANSPORT(name)                                                        \
    extern const struct vr_transport vr_transport_##name;                      \
    extern const struct vr_transport_told vr_transport_told_##name;
#include "transport.def"
#undef TRANSPORT

#endif /* VR_TRANSPORT_H */

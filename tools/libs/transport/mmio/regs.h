/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of one virtio-mmio version 2 device (virtio 1.2, 4.2.2), as the
 * guest sees them: a face of the device model (libs/virtio/vdev.h). Pure.
 */
#ifndef VR_MMIO_REGS_H
#define VR_MMIO_REGS_H

#include "libs/transport/transport.h"

#define VR_MMIO_SIZE   0x200u /* registers, then config space */
#define VR_MMIO_CONFIG 0x100u

/* Register offsets (virtio 1.2, table 4.1) */
#define VR_MMIO_MAGIC               0x000
#define VR_MMIO_VERSION             0x004
#define VR_MMIO_DEVICE_ID           0x008
#define VR_MMIO_VENDOR_ID           0x00c
#define VR_MMIO_DEVICE_FEATURES     0x010
#define VR_MMIO_DEVICE_FEATURES_SEL 0x014
#define VR_MMIO_DRIVER_FEATURES     0x020
#define VR_MMIO_DRIVER_FEATURES_SEL 0x024
#define VR_MMIO_QUEUE_SEL           0x030
#define VR_MMIO_QUEUE_SIZE_MAX      0x034
#define VR_MMIO_QUEUE_SIZE          0x038
#define VR_MMIO_QUEUE_READY         0x044
#define VR_MMIO_QUEUE_NOTIFY        0x050
#define VR_MMIO_INTERRUPT_STATUS    0x060
#define VR_MMIO_INTERRUPT_ACK       0x064
#define VR_MMIO_STATUS              0x070
#define VR_MMIO_QUEUE_DESC_LOW      0x080
#define VR_MMIO_QUEUE_DESC_HIGH     0x084
#define VR_MMIO_QUEUE_DRIVER_LOW    0x090
#define VR_MMIO_QUEUE_DRIVER_HIGH   0x094
#define VR_MMIO_QUEUE_DEVICE_LOW    0x0a0
#define VR_MMIO_QUEUE_DEVICE_HIGH   0x0a4
#define VR_MMIO_SHM_SEL             0x0ac
#define VR_MMIO_SHM_LEN_LOW         0x0b0
#define VR_MMIO_SHM_LEN_HIGH        0x0b4
#define VR_MMIO_SHM_BASE_LOW        0x0b8
#define VR_MMIO_SHM_BASE_HIGH       0x0bc
#define VR_MMIO_QUEUE_RESET         0x0c0
/* Ours, where the specification has nothing: docs/proposals/doorbell.md. Read:
 * may queues have bells of their own, and for which domain are they to be made?
 * 0: no. Write, before QueueReady: the selected queue's event channel. */
#define VR_MMIO_QUEUE_DOORBELL    0x0d0
#define VR_MMIO_CONFIG_GENERATION 0x0fc

#define VR_MMIO_MAGIC_VALUE 0x74726976u
#define VR_MMIO_VENDOR      0x4e4558u /* "XEN" */

/**
 * vr_mmio_read() - the guest reads.
 * @off: from the device's base; any value. @size: bytes; any value.
 * Returns the value, 0 for an access that the device does not support.
 */
uint64_t vr_mmio_read(struct vr_vdev *m, uint64_t off, unsigned int size);

/**
 * vr_mmio_write() - the guest writes.
 * @value: bits above @size are ignored.
 * Returns VR_VDEV_PENDING when the vCPU has to wait, see vdev.h.
 */
enum vr_vdev_result vr_mmio_write(struct vr_vdev *m, uint64_t off,
                                  unsigned int size, uint64_t value);

/* A struct vr_vdev's registers, VR_MMIO_SIZE bytes. */
extern const struct vr_face vr_mmio_face;

#endif /* VR_MMIO_REGS_H */

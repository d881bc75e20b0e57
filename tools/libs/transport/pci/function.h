/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One PCI function, as the guest sees it: a face of the device model
 * (libs/virtio/vdev.h) by virtio 1.2, 4.1. It has a configuration space and
 * one BAR, and two ways to interrupt: INTA and MSI-X. Pure, as the model is.
 *
 * What the guest may break is its own: a function answers at whatever address
 * the guest has given its BAR, and a message is whatever the guest has written
 * into the table. Who carries the message out decides where it may go.
 *
 * Memory Space Enable and Bus Master Enable do what they say for the BAR and
 * for messages. The rings are served until the device is reset, whatever Bus
 * Master Enable says: virtio drivers stop a device by resetting it. There is no
 * power management capability, so that there is no state but D0; a reset of the
 * function (Advanced Features) waits for the backend as one of the device does.
 */
#ifndef VR_PCI_FUNCTION_H
#define VR_PCI_FUNCTION_H

#include "libs/transport/transport.h"

#define VR_PCI_CONFIG_SIZE 0x1000u /* of ECAM; conventional PCI has 0x100 */
#define VR_PCI_CONFIG_USED 0x100u

/* The configuration space's header (PCI 3.0, 6.1) */
#define VR_PCI_VENDOR_ID    0x00
#define VR_PCI_DEVICE_ID    0x02
#define VR_PCI_COMMAND      0x04
#define VR_PCI_STATUS       0x06
#define VR_PCI_REVISION     0x08
#define VR_PCI_CLASS        0x09
#define VR_PCI_HEADER_TYPE  0x0e
#define VR_PCI_BAR0         0x10
#define VR_PCI_SUB_VENDOR   0x2c
#define VR_PCI_SUB_DEVICE   0x2e
#define VR_PCI_CAPABILITIES 0x34
#define VR_PCI_INT_LINE     0x3c
#define VR_PCI_INT_PIN      0x3d

#define VR_PCI_COMMAND_MEMORY  0x0002u
#define VR_PCI_COMMAND_MASTER  0x0004u
#define VR_PCI_COMMAND_NO_INTX 0x0400u
#define VR_PCI_STATUS_INTX     0x0008u
#define VR_PCI_STATUS_CAPS     0x0010u

/* ... its capabilities, where ours has them */
#define VR_PCI_CAP_MSIX   0x40
#define VR_PCI_CAP_COMMON 0x50
#define VR_PCI_CAP_NOTIFY 0x60
#define VR_PCI_CAP_ISR    0x74
#define VR_PCI_CAP_DEVICE 0x84
#define VR_PCI_CAP_ACCESS 0x94 /* to the BAR (4.1.4.9) */
#define VR_PCI_CAP_AF     0xa8 /* Advanced Features: a reset of the function */
#define VR_PCI_CAP_BELLS  0xb0 /* ours: docs/proposals/doorbell.md */

#define VR_PCI_MSIX_CONTROL (VR_PCI_CAP_MSIX + 2)
#define VR_PCI_MSIX_ENABLE  0x8000u
#define VR_PCI_MSIX_MASKALL 0x4000u
#define VR_PCI_AF_CONTROL   (VR_PCI_CAP_AF + 4)

/* The BAR: a page for each, so that a host could map one without another. */
#define VR_PCI_BAR_SIZE   0x8000u
#define VR_PCI_AT_COMMON  0x0000u
#define VR_PCI_AT_ISR     0x1000u
#define VR_PCI_AT_DEVICE  0x2000u
#define VR_PCI_AT_NOTIFY  0x3000u
#define VR_PCI_AT_TABLE   0x4000u
#define VR_PCI_AT_PENDING 0x5000u
#define VR_PCI_AT_BELLS   0x6000u

#define VR_PCI_COMMON_SIZE 60u
#define VR_PCI_BELLS_SIZE  4u /* QueueDoorbell */
#define VR_PCI_NOTIFY_STEP 4u /* bytes from queue to queue */

/* Common configuration (4.1.4.3) */
#define VR_PCI_DEVICE_FEATURE_SELECT 0x00
#define VR_PCI_DEVICE_FEATURE        0x04
#define VR_PCI_DRIVER_FEATURE_SELECT 0x08
#define VR_PCI_DRIVER_FEATURE        0x0c
#define VR_PCI_CONFIG_VECTOR         0x10
#define VR_PCI_NUM_QUEUES            0x12
#define VR_PCI_DEVICE_STATUS         0x14
#define VR_PCI_GENERATION            0x15
#define VR_PCI_QUEUE_SELECT          0x16
#define VR_PCI_QUEUE_SIZE            0x18
#define VR_PCI_QUEUE_VECTOR          0x1a
#define VR_PCI_QUEUE_ENABLE          0x1c
#define VR_PCI_QUEUE_NOTIFY_OFF      0x1e
#define VR_PCI_QUEUE_DESC            0x20
#define VR_PCI_QUEUE_DRIVER          0x28
#define VR_PCI_QUEUE_DEVICE          0x30
#define VR_PCI_QUEUE_RESET           0x3a

/* One vector for each queue and one for changes of the device. */
#define VR_PCI_VECTORS_MAX (VR_MAX_QUEUES + 1)
#define VR_PCI_NO_VECTOR   0xffffu

/* What a function asks for; called from within a call to it. */
struct vr_pci_ops {
    /* The BAR is decoded at @base from now on; 0: nowhere. */
    void (*place)(void *ctx, uint64_t base);
    /* A message: the driver's values, unchecked. */
    void (*message)(void *ctx, uint64_t addr, uint32_t data);
    /* INTA, as vr_vdev_ops.irq() has it. */
    void (*intx)(void *ctx, bool raise);
    /* Vectors may stand for pirqs of Xen's (msix.c). */
    bool pirqs;
};

struct vr_pci_vector {
    uint32_t addr_low, addr_high, data;
    uint32_t control; /* bit 0: masked */
};

struct vr_pci {
    /* private: pci_int.h */
    struct vr_vdev *m;
    const struct vr_pci_ops *ops;
    void *ctx;
    uint8_t config[VR_PCI_CONFIG_USED];
    uint64_t placed; /* where the BAR is decoded; 0: nowhere */
    bool line;       /* INTA is asserted */
    struct vr_pci_vector vector[VR_PCI_VECTORS_MAX];
    uint64_t pending; /* bit per vector */
    uint16_t config_vector;
    uint16_t queue_vector[VR_MAX_QUEUES];
};

/**
 * vr_pci_init() - a function after power-on.
 * @m: the device behind it; its operations call vr_pci_irq() and
 * vr_pci_message().
 */
void vr_pci_init(struct vr_pci *p, struct vr_vdev *m,
                 const struct vr_pci_ops *ops, void *ctx);

/** vr_pci_irq() - for the model's irq(): a cause is pending, or none is. */
void vr_pci_irq(struct vr_pci *p, bool raise);

/** vr_pci_message() - for the model's message(). Returns false when the driver
 * has not enabled messages. */
bool vr_pci_message(struct vr_pci *p, uint32_t cause, uint32_t queues);

/** vr_pci_by_message() - has the driver enabled messages? */
bool vr_pci_by_message(const struct vr_pci *p);

/* A struct vr_pci's configuration space (VR_PCI_CONFIG_SIZE bytes), and its
 * BAR (VR_PCI_BAR_SIZE). */
extern const struct vr_face vr_pci_config_face;
extern const struct vr_face vr_pci_bar_face;

#endif /* VR_PCI_FUNCTION_H */

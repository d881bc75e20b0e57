/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of one virtio-mmio version 2 device (virtio 1.2, 4.2.2), as
 * the guest sees them. Pure: what happens in the world goes through a table
 * of operations, time comes in as calls, nothing is allocated, and guest
 * memory is never looked at: a ring's address is only checked and handed on.
 *
 * The device lives in another, untrusted domain (the backend). Therefore a
 * write that promises the guest "your memory is not touched any more" (device
 * reset, QueueReset, QueueReady = 0) is not complete before the backend has
 * acknowledged it: vr_mmio_write() returns VR_MMIO_PENDING and the caller
 * keeps the writing vCPU waiting until vr_mmio_waiting() turns false, by
 * vr_mmio_quiesced(), vr_mmio_timeout() or vr_mmio_fail(). Meanwhile the other
 * vCPUs may go on reading and writing.
 *
 * A device that failed says DEVICE_NEEDS_RESET (2.1) and does not take part in
 * feature negotiation; the statistics say why. When it failed before
 * DRIVER_OK, its config space turns unusable as well, see the comment above
 * blind_config() in mmio.c.
 */
#ifndef VR_MMIO_H
#define VR_MMIO_H

#include "libs/proto/ctrl.h"
#include "libs/proto/stats.h"
#include "libs/virtio/spec.h"

#define VR_MMIO_SIZE        0x200u /* registers, then config space */
#define VR_MMIO_CONFIG      0x100u
#define VR_MMIO_MAX_WINDOWS 4

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
#define VR_MMIO_CONFIG_GENERATION   0x0fc

#define VR_MMIO_MAGIC_VALUE 0x74726976u
#define VR_MMIO_VENDOR      0x4e4558u /* "XEN" */

#define VR_MMIO_INT_USED   1u
#define VR_MMIO_INT_CONFIG 2u

enum vr_mmio_result {
    VR_MMIO_DONE,
    VR_MMIO_PENDING, /* the writing vCPU has to wait */
};

/* Device addresses that rings may lie at. */
struct vr_mmio_window {
    uint64_t base;
    uint64_t size;
};

struct vr_mmio_desc {
    uint32_t device_id;
    unsigned int nqueues;        /* 1 .. VR_MAX_QUEUES */
    unsigned int queue_size_max; /* power of two, at most VR_MAX_QUEUE_SIZE */
    unsigned int nwindows;       /* 1 .. VR_MMIO_MAX_WINDOWS */
    struct vr_mmio_window window[VR_MMIO_MAX_WINDOWS];
    /* Transport features: offered, and those of them without which the device
     * does not work. */
    uint64_t transport;
    uint64_t mandatory;
    /* It works only while vr_mmio_attach() says so: the guest's virtio-iommu
     * driver has to attach it before its own driver starts it. */
    bool endpoint;
    /* It keeps state for its driver that outlives the queues, as the
     * virtio-iommu keeps mappings: a reset has to be acknowledged even when no
     * queue was in use. */
    bool keeps;
};

/* What the model asks for. Each is called from within a vr_mmio_*() call and
 * must not call back into the model. */
struct vr_mmio_ops {
    /* The driver has put buffers into @queue, which is enabled. */
    void (*notify)(void *ctx, unsigned int queue);
    /* The backend is to work as @req says from now on. */
    void (*publish)(void *ctx, const struct vr_ctrl_request *req);
    /*
     * true: a cause of interrupt has come up that was not pending before.
     * false: none is pending any more. For an edge-triggered line each `true`
     * is one edge; for a level-triggered one it sets the level.
     */
    void (*irq)(void *ctx, bool raise);
    /* Optional: the driver writes to config space (size 1, 2, 4 or 8). */
    void (*config_write)(void *ctx, unsigned int off, unsigned int size,
                         uint64_t value);
};

struct vr_mmio_queue {
    uint64_t desc, driver, device;
    uint32_t size;
    uint32_t epoch;
    bool ready;
    bool stopping; /* leaves service: the backend has not acknowledged yet */
    bool by_reset; /* ... because of QueueReset, not of QueueReady */
};

struct vr_mmio {
    /* private to mmio*.c */
    struct vr_mmio_desc desc;
    const struct vr_type_spec *spec; /* NULL: none of the types' devices */
    const struct vr_mmio_ops *ops;
    void *ctx;
    struct vr_stats_dev *stats;

    uint64_t dev_features; /* device-type bits, from the backend */
    uint8_t config[VR_CONFIG_LEN];
    uint32_t config_generation;
    bool described;
    bool attached; /* to a domain of the virtio-iommu */

    uint32_t status; /* without DEVICE_NEEDS_RESET */
    uint32_t dev_sel, drv_sel, queue_sel;
    uint64_t drv_features;
    bool drv_excess; /* the driver set a bit above 63 */
    uint32_t isr;
    struct vr_mmio_queue q[VR_MAX_QUEUES];
    uint32_t epoch;

    enum vr_fail fail;
    bool needs_reset;
    bool blind; /* failed before DRIVER_OK */
    bool stale; /* a time limit passed, the acknowledgement is still due */
    bool gone;  /* nobody is there to acknowledge anything */
    bool resetting;
    bool running;  /* the last request published had run = 1 */
    bool owed;     /* ... and is not acknowledged */
    uint32_t live; /* queues that the backend may still be using */
};

/**
 * vr_mmio_init() - a device after power-on.
 * @m: caller's memory. @ops, @stats: kept, not copied; @stats is written by
 * the model alone (but for kick_events, intr_events, backend and b).
 */
void vr_mmio_init(struct vr_mmio *m, const struct vr_mmio_desc *desc,
                  const struct vr_mmio_ops *ops, void *ctx,
                  struct vr_stats_dev *stats);

/**
 * vr_mmio_set_device() - what the backend says that the device is.
 * @features: bits that are none of the device type's are ignored.
 * @len: at most VR_CONFIG_LEN.
 *
 * For the first time, after a backend's restart, or when the device has grown:
 * then the driver gets a config-change interrupt (4.2.3.4). While a
 * driver has the device, its type says what may change (renew() in types.h).
 * Also ends the state that vr_mmio_fail(VR_FAIL_GONE) began.
 *
 * Returns 0, or -EPROTO when the driver works with features that are gone from
 * @features: then the device has failed (VR_FAIL_BACKEND).
 */
int vr_mmio_set_device(struct vr_mmio *m, uint64_t features, const void *config,
                       uint32_t len);

/**
 * vr_mmio_attach() - whether the device, an endpoint of the virtio-iommu, is
 * attached to a domain. While it is not, FEATURES_OK is refused: a driver that
 * went on would hand over physical addresses (virtio 1.2, 6: "MAY fail to
 * operate").
 */
void vr_mmio_attach(struct vr_mmio *m, bool attached);

/**
 * vr_mmio_read() - the guest reads.
 * @off: from the device's base; any value. @size: bytes; any value.
 * Returns the value, 0 for an access that the device does not support.
 */
uint64_t vr_mmio_read(struct vr_mmio *m, uint64_t off, unsigned int size);

/**
 * vr_mmio_write() - the guest writes.
 * @value: bits above @size are ignored.
 * Returns VR_MMIO_PENDING when the vCPU has to wait, see above.
 */
enum vr_mmio_result vr_mmio_write(struct vr_mmio *m, uint64_t off,
                                  unsigned int size, uint64_t value);

/** vr_mmio_waiting() - is a write of this device still incomplete? */
bool vr_mmio_waiting(const struct vr_mmio *m);

/**
 * vr_mmio_unquiet() - is an acknowledgement of the last request of use?
 * True while a write waits for it and also after vr_mmio_timeout().
 */
bool vr_mmio_unquiet(const struct vr_mmio *m);

/** vr_mmio_quiesced() - the backend has acknowledged the last request. */
void vr_mmio_quiesced(struct vr_mmio *m);

/**
 * vr_mmio_timeout() - the backend has had enough time.
 * The write completes; the device has failed (VR_FAIL_TIMEOUT) and cannot be
 * driven until vr_mmio_quiesced(). Nothing happens when nothing waits.
 */
void vr_mmio_timeout(struct vr_mmio *m);

/**
 * vr_mmio_fail() - the device cannot go on.
 * @why: VR_FAIL_BACKEND: the driver has to reset it. VR_FAIL_GONE: besides,
 * nobody will acknowledge anything until vr_mmio_set_device(); what waits
 * completes.
 */
void vr_mmio_fail(struct vr_mmio *m, enum vr_fail why);

/**
 * vr_mmio_interrupt() - the backend has used buffers (4.2.3.4).
 * Before DRIVER_OK and during a reset nothing happens, as 2.1.2 asks.
 */
void vr_mmio_interrupt(struct vr_mmio *m);

/** vr_mmio_isr() - InterruptStatus, without counting as a guest's access. */
uint32_t vr_mmio_isr(const struct vr_mmio *m);

/** vr_mmio_queues() - bitmap of the queues that the backend is to serve. */
uint32_t vr_mmio_queues(const struct vr_mmio *m);

/** vr_mmio_failed() - why the device does not work; VR_FAIL_NONE: it does. */
enum vr_fail vr_mmio_failed(const struct vr_mmio *m);

#endif /* VR_MMIO_H */

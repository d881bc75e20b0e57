/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One virtio device as the guest's driver sees it (virtio 1.2, 2), whatever the
 * transport: status, features, config space, queues, reset. A transport gives
 * it a face, registers of its own (libs/transport), and reaches it by
 * vdev_int.h. Pure: what happens in the world goes through a table of
 * operations, time comes in as calls, nothing is allocated, and guest memory is
 * never looked at: a ring's address is only checked and handed on.
 *
 * The device lives in another, untrusted domain (the backend). Therefore a
 * write that promises the guest "your memory is not touched any more" (device
 * reset, queue reset, a queue that is disabled) is not complete before the
 * backend has acknowledged it: it gives VR_VDEV_PENDING, and the caller keeps
 * the writing vCPU waiting until vr_vdev_waiting() turns false, by
 * vr_vdev_quiesced(), vr_vdev_timeout() or vr_vdev_fail(). Meanwhile the other
 * vCPUs may go on reading and writing.
 *
 * A device that failed says DEVICE_NEEDS_RESET (2.1) and does not take part in
 * feature negotiation; the statistics say why. When it failed before
 * DRIVER_OK, its config space turns unusable as well, see vdev_config_read().
 */
#ifndef VR_VDEV_H
#define VR_VDEV_H

#include "libs/proto/ctrl.h"
#include "libs/proto/stats.h"
#include "libs/types/types.h"
#include "spec.h"

#define VR_VDEV_RANGES_MAX 4

/* What QueueDoorbell reads as, beside a domain: docs/proposals/doorbell.md. */
#define VR_DOORBELL_OK 0x80000000u

enum vr_vdev_result {
    VR_VDEV_DONE,
    VR_VDEV_PENDING, /* the writing vCPU has to wait */
};

/* Device addresses that rings may lie at. */
struct vr_vdev_range {
    uint64_t base;
    uint64_t size;
};

struct vr_vdev_desc {
    uint32_t device_id;
    unsigned int nqueues;        /* 1 .. VR_MAX_QUEUES */
    unsigned int queue_size_max; /* power of two, at most VR_MAX_QUEUE_SIZE */
    unsigned int nranges;        /* 1 .. VR_VDEV_RANGES_MAX */
    struct vr_vdev_range range[VR_VDEV_RANGES_MAX];
    /* Transport features: offered, and those of them without which the device
     * does not work. */
    uint64_t transport;
    uint64_t mandatory;
    /* It works only while vr_vdev_attach() says so: the guest's virtio-iommu
     * driver has to attach it before its own driver starts it. */
    bool endpoint;
    /* It keeps state for its driver that outlives the queues, as the
     * virtio-iommu keeps mappings: a reset has to be acknowledged even when no
     * queue was in use. */
    bool keeps;
    /* Its queues can have bells of their own, event channels between the guest
     * and this domain. */
    bool bells;
    uint16_t backend_domid;
};

/* What the model asks for. Each is called from within a call to the model and
 * must not call back into the model. */
struct vr_vdev_ops {
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
    /*
     * Optional, and asked first: tells the driver of @cause (and of @queues)
     * by a message, which it does not acknowledge. Returns false when it wants
     * none: then it is a cause of interrupt.
     */
    bool (*message)(void *ctx, uint32_t cause, uint32_t queues);
    /* Optional: the driver writes to config space (size 1, 2, 4 or 8). */
    void (*config_write)(void *ctx, unsigned int off, unsigned int size,
                         uint64_t value);
};

struct vr_vdev_queue {
    uint64_t desc, driver, device;
    uint32_t size;
    uint32_t epoch;
    uint32_t port; /* its own bell; 0: none */
    bool ready;
    bool stopping; /* leaves service: the backend has not acknowledged yet */
    bool by_reset; /* ... because of QueueReset, not of QueueReady */
};

struct vr_vdev {
    /* private: vdev_int.h */
    struct vr_vdev_desc desc;
    const struct vr_type_spec *spec; /* NULL: none of the types' devices */
    const struct vr_vdev_ops *ops;
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
    struct vr_vdev_queue q[VR_MAX_QUEUES];
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
 * vr_vdev_init() - a device after power-on.
 * @m: caller's memory. @ops, @stats: kept, not copied; @stats is written by
 * the model alone (but for kick_events, intr_events, backend and b).
 */
void vr_vdev_init(struct vr_vdev *m, const struct vr_vdev_desc *desc,
                  const struct vr_vdev_ops *ops, void *ctx,
                  struct vr_stats_dev *stats);

/**
 * vr_vdev_set_device() - what the backend says that the device is.
 * @features: bits that are none of the device type's are ignored.
 * @len: at most VR_CONFIG_LEN.
 *
 * For the first time, after a backend's restart, or when the device has grown:
 * then the driver gets a config-change interrupt (4.2.3.4). While a
 * driver has the device, its type says what may change (renew() in types.h).
 * Also ends the state that vr_vdev_fail(VR_FAIL_GONE) began.
 *
 * Returns 0, or -EPROTO when the driver works with features that are gone from
 * @features: then the device has failed (VR_FAIL_BACKEND).
 */
int vr_vdev_set_device(struct vr_vdev *m, uint64_t features, const void *config,
                       uint32_t len);

/**
 * vr_vdev_attach() - whether the device, an endpoint of the virtio-iommu, is
 * attached to a domain. While it is not, FEATURES_OK is refused: a driver that
 * went on would hand over physical addresses (virtio 1.2, 6: "MAY fail to
 * operate").
 */
void vr_vdev_attach(struct vr_vdev *m, bool attached);

/** vr_vdev_waiting() - is a write of this device still incomplete? */
bool vr_vdev_waiting(const struct vr_vdev *m);

/**
 * vr_vdev_unquiet() - is an acknowledgement of the last request of use?
 * True while a write waits for it and also after vr_vdev_timeout().
 */
bool vr_vdev_unquiet(const struct vr_vdev *m);

/** vr_vdev_quiesced() - the backend has acknowledged the last request. */
void vr_vdev_quiesced(struct vr_vdev *m);

/**
 * vr_vdev_timeout() - the backend has had enough time.
 * The write completes; the device has failed (VR_FAIL_TIMEOUT) and cannot be
 * driven until vr_vdev_quiesced(). Nothing happens when nothing waits.
 */
void vr_vdev_timeout(struct vr_vdev *m);

/**
 * vr_vdev_fail() - the device cannot go on.
 * @why: VR_FAIL_BACKEND: the driver has to reset it. VR_FAIL_GONE: besides,
 * nobody will acknowledge anything until vr_vdev_set_device(); what waits
 * completes.
 */
void vr_vdev_fail(struct vr_vdev *m, enum vr_fail why);

/**
 * vr_vdev_interrupt() - the backend has used buffers of @queues, a bit each
 * (4.2.3.4).
 * Before DRIVER_OK and during a reset nothing happens, as 2.1.2 asks.
 */
void vr_vdev_interrupt(struct vr_vdev *m, uint32_t queues);

/** vr_vdev_isr() - what interrupts were about, and is not acknowledged. */
uint32_t vr_vdev_isr(const struct vr_vdev *m);

/** vr_vdev_queues() - bitmap of the queues that the backend is to serve. */
uint32_t vr_vdev_queues(const struct vr_vdev *m);

/** vr_vdev_failed() - why the device does not work; VR_FAIL_NONE: it does. */
enum vr_fail vr_vdev_failed(const struct vr_vdev *m);

#endif /* VR_VDEV_H */

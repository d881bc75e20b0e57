/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device: a unit whose registers the worker answers and whose requests a
 * backend in another domain does. Between them a control page and a port.
 */
#ifndef VR_BROKER_DEVICE_H
#define VR_BROKER_DEVICE_H

#include "channel.h"
#include "lease.h"
#include "libs/base/rate.h"
#include "worker.h"

struct device;

/* What an IOMMU wants to know of the devices behind it. */
struct device_iommu {
    /** fault() - an event of its backend has come, which may have counted
     * accesses that were refused. Address and kind of access are the backend's
     * word; only the device is certain. */
    void (*fault)(void *ctx, const struct device *d);

    /** dead() - nothing is left of its backend's domain, nor is to be left of
     * what was granted to it. */
    void (*dead)(void *ctx, const struct device *d);
};

struct device {
    struct unit unit; /* first; its port: the channel's; 0: closed */
    struct vr_stats_dev *stats;
    struct vr_ctrl_page *page;   /* shared with the backend */
    struct vr_ctrl_page *nobody; /* instead of it when the backend is dead */
    const struct device_iommu *iommu; /* NULL: it is behind none */
    void *iommu_ctx;

    uint32_t generation; /* of the last request; 0: none */
    bool acked;          /* it was acknowledged */
    uint32_t backend;    /* enum vr_ctrl_status, as last acted upon */
    uint32_t described;  /* config_generation taken */
    int64_t grown_at; /* when the guest was told of a larger disk; 0: never */
    bool seek;        /* look again at the page before long */
    bool connected;   /* a description was taken */
    bool told_connected; /* ... and the supervisor knows */
    bool invalid;        /* ... that the description is bad */
    bool gone;           /* its driver domain has ended, or is about to */
    bool dead;           /* ... and it reaches nothing any more */

    bool masked;
    bool excused;        /* watch() has seen what its next event is about */
    int64_t hold_until;  /* a vCPU waits: its time limit; 0: none */
    int64_t flush_until; /* ... but for so long in any case; 0: not */
    int64_t quiet_until; /* throttled; 0: not */
    struct vr_rate idle; /* events about nothing */
    struct vr_pace pace; /* interrupts for used buffers */
    uint32_t owed;       /* queues of which it is not told yet */
    struct vr_rate complaints;

    int64_t ping_at;  /* of the last question; 0: none */
    int64_t ping_due; /* when to look after it again; 0: never */
    enum vr_fail told;
    int64_t told_at;

    struct vr_lease lease; /* of its pool */
};

/** device_at() - the device that the record has at @index. */
static inline struct device *device_at(const struct worker *w,
                                       unsigned int index)
{
    return (struct device *)w->unit[index];
}

/** device_start() - see unit_kinds. */
int device_start(struct worker *w, const struct unit_start *s,
                 struct vr_err *err);

/** device_unit(), device_regs - what devices do as units, and what their
 * register model asks for; its ctx is the struct device. */
extern const struct unit_ops device_unit;
extern const struct vr_vdev_ops device_regs;

/** device_behind() - @d is behind an IOMMU. */
void device_behind(struct device *d, const struct device_iommu *iommu,
                   void *ctx);

/** device_attach() - may its driver start it, as far as the IOMMU goes? */
void device_attach(struct device *d, bool attached);

/** device_fail() - it needs a reset. */
void device_fail(struct device *d, enum vr_fail why);

/** device_has_news() - has the backend said something that matters now? */
bool device_has_news(const struct device *d);

#endif /* VR_BROKER_DEVICE_H */

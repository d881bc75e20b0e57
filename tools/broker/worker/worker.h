/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's parts, and who calls whom:
 *
 *   worker.c  the loop, timers, ports, the supervisor's messages
 *   start.c   opens and binds everything, before the privileges go
 *   watch.c   looks on for a moment before the loop sleeps
 *   vcpu.c    a vCPU's trapped access: takes it, answers it
 *   device.c  a device: its register model, its backend's control page
 *   lease.c   when a device's pool may be reached by its backend
 *   look.c    whether it pays to look on
 *   iommu.c   the virtio-iommu, dynamic windows (iommu_int.h: its parts)
 */
#ifndef VR_BROKER_WORKER_H
#define VR_BROKER_WORKER_H

/* First: it asks Xen's public headers for the toolstack's part. */
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xen/hvm/ioreq.h>

#include "arch.h"
#include "broker/broker.h"
#include "libs/transport/ioreq.h"
#include "lease.h"
#include "look.h"
#include "libs/base/rate.h"

/* One page of requests is one page of vCPUs. */
#define MAX_VCPUS (VR_PAGE_SIZE / sizeof(ioreq_t))
/* Ports read or unmasked by one system call. */
#define BATCH 32

/* The descriptors and timers have their turn at least this often, however long
 * it pays to look on before sleeping, and whatever poll= says. */
#define LOOK_MS 5

struct worker;
struct iommu;

struct device {
    struct worker *w;
    unsigned int index;
    struct vr_mmio mmio;
    struct vr_stats_dev *stats;
    struct vr_ctrl_page *page; /* shared with the backend */
    evtchn_port_t port;        /* 0: closed */
    uint32_t irq;

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
    bool owed;           /* ... one of which is delayed */
    struct vr_rate complaints;

    int64_t ping_at;  /* of the last question; 0: none */
    int64_t ping_due; /* when to look after it again; 0: never */
    enum vr_fail told;
    int64_t told_at;

    struct vr_lease lease; /* of its pool */
};

struct vcpu {
    evtchn_port_t port;
    bool masked;
    bool held;
    unsigned int dev; /* of which device a write is incomplete */
    ioreq_t req;      /* the private copy of it */
};

struct worker {
    const struct vr_record *rec;
    struct vr_stats *stats;
    const struct vr_arch *arch;
    int sock;

    xendevicemodel_handle *dm;
    xenevtchn_handle *xce;
    int evtchn_fd;
    shared_iopage_t *ioreqs;

    unsigned int ndevs;
    struct device dev[VR_MAX_DEVICES];
    struct iommu *iommu;                      /* NULL: no device needs it */
    struct ioreq_dev map[VR_MAX_DEVICES + 1]; /* it is the last one */
    unsigned int nvcpus;
    struct vcpu vcpu[MAX_VCPUS];

    evtchn_port_t unmask[BATCH];
    unsigned int nunmask;

    int64_t poll_ns; /* how long to look on; 0: never */
    int64_t looked;  /* when the descriptors were last looked at, ms */
    struct vr_look look;
    enum vr_look_kind last; /* what was served last */

    int64_t now;         /* when this wake-up began */
    int64_t sleep_ns;    /* until there is something to do; -1: for ever */
    int64_t counters_at; /* 0: nothing has happened since the last copy */
    bool irq_error;
    struct vr_ctrl_page nobody; /* the control page of a backend that is dead */
};

/* ---- worker.c ---- */

/**
 * worker_open() - everything that comes before the first turn of the loop.
 * @w: all zero. @rec, @stats, @sock: as for worker_run(); kept.
 * Returns 0 or -errno with @err.
 */
int worker_open(struct worker *w, const struct vr_record *rec,
                struct vr_stats *stats, int sock, struct vr_err *err);

/** worker_settle() - before it sleeps: does what is due, and hears all ports.
 * Returns the milliseconds until something is due; -1: never. sleep_ns has it
 * exactly. */
int worker_settle(struct worker *w);

/** worker_serve() - it was woken. @ports: there are events. @supervisor: there
 * are messages. */
void worker_serve(struct worker *w, bool ports, bool supervisor);

/** worker_unmask() - hear a port again, from the next time we sleep. */
void worker_unmask(struct worker *w, evtchn_port_t port);

/** worker_irq() - drive interrupt @irq; @who: for the log. */
void worker_irq(struct worker *w, uint32_t irq, bool level, const char *who);

/* ---- start.c ---- */

/** worker_start() - everything up to the sandbox. Returns 0 or -errno. */
int worker_start(struct worker *w, struct vr_err *err);

/* ---- watch.c ---- */

/** worker_watch() - look on, after something was served. */
void worker_watch(struct worker *w);

/* ---- vcpu.c ---- */

/** vcpu_event() - serve vCPU @v. Returns whether it had something to ask. */
bool vcpu_event(struct worker *w, unsigned int v);

/** vcpu_finish() - answer all vCPUs that wait for map[@index]. */
void vcpu_finish(struct worker *w, unsigned int index);

/**
 * vcpu_release() - let go of the vCPUs whose writes to @d are complete.
 *
 * The reset of a device behind the IOMMU takes VR_FLUSH_MS at least. Linux
 * collects UNMAP requests and asks for the answers when a timer ends. When it
 * shuts down, it resets its devices one after the other, the virtio-iommu last,
 * and then looks at that one's queue no more: the timer, if it ends later and
 * there are such requests, waits for their answers for ever. While the reset of
 * the last device is held, the timer ends in time.
 */
void vcpu_release(struct device *d);

/* ---- device.c ---- */

/** What a device's register model asks for; ctx is the struct device. */
extern const struct vr_mmio_ops device_ops;

/** device_acked() - the guest has acknowledged its interrupt. */
void device_acked(struct device *d);

/** device_event() - its port was notified. Returns whether that was of use. */
bool device_event(struct device *d);

/** device_look() - look at all that the backend may have written. */
void device_look(struct device *d);

/** device_has_news() - has the backend said something that matters now? */
bool device_has_news(const struct device *d);

/** device_serve_news() - act upon it, without an event. */
void device_serve_news(struct device *d);

/** device_rearm() - hear its port again, unless the backend is to wait. */
void device_rearm(struct device *d);

/** device_timers() - what is due; @count: copy the backend's counters. */
void device_timers(struct device *d, bool count);

/** device_next() - when device_timers() has something to do; 0: never. */
int64_t device_next(const struct device *d);

/** device_tell() - send the supervisor a message about it. Returns 0 or
 * -errno: there may be no room for it. */
int device_tell(struct device *d, enum vr_msg_type type);

/** device_pool() - the supervisor has done something to its pool. */
void device_pool(struct device *d, enum vr_lease_answer answer);

/** device_gone() - its driver domain has ended, or is about to. */
void device_gone(struct device *d);

/** device_dead() - ... and nothing is left of it: nor is to be left of what
 * was given to it, since another domain may come to have its number. */
void device_dead(struct device *d);

#endif /* VR_BROKER_WORKER_H */

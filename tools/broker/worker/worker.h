/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's parts:
 *
 *   worker.c   the loop, timers, the supervisor's messages
 *   start.c    opens and binds everything, before the privileges go
 *   ports.c    event channels, interrupts, messages to the supervisor
 *   places.c   what answers for which of the guest's addresses
 *   pci.c      ... for PCI functions
 *   bus_*.c    and the bus that they are on
 *   access.c   a vCPU's trapped access: takes it, answers it
 *   watch.c    looks on for a moment before the loop sleeps
 *   look.c     whether it pays to look on
 *
 * These know units (unit.h). One kind of them is here as well:
 *
 *   device.c   a device: its register model, its backend's control page
 *   channel.c  how the worker and its backend wake each other
 *   lease.c    when a device's pool may be reached by its backend
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
#include "look.h"
#include "unit.h"

/* One page of requests is one page of vCPUs. */
#define MAX_VCPUS (VR_PAGE_SIZE / sizeof(ioreq_t))
/* All devices, and an IOMMU. */
#define MAX_UNITS (VR_MAX_DEVICES + 1)
/* A PCI function has two, the bus one. */
#define MAX_PLACES (2 * MAX_UNITS + 1)
/* What Xen is asked to pass on: registers each, or the bus. */
#define MAX_RANGES (MAX_UNITS + 3)
/* Ports read or unmasked by one system call. */
#define BATCH     32
#define NS_PER_MS 1000000
/* After an event so much time passes until the backends' counters are copied.
 */
#define COUNTERS_MS 1000

/* The descriptors and timers have their turn at least this often, however long
 * it pays to look on before sleeping, and whatever poll= says. */
#define LOOK_MS 5

struct vcpu {
    evtchn_port_t port;
    bool masked;
    struct unit *waits; /* whose answer is not complete; NULL: none's */
    ioreq_t req;        /* the private copy of its access */
    const struct ioreq_place *place; /* that this is to */
};

struct range {
    uint64_t base; /* as in struct ioreq_place */
    uint64_t size;
    bool config;
};

struct worker {
    const struct vr_record *rec;
    struct vr_stats *stats;
    const struct vr_arch *arch;
    int sock;

    xendevicemodel_handle *dm;
    xenevtchn_handle *xce;
    int evtchn_fd;
    ioservid_t ioserver;
    shared_iopage_t *ioreqs;

    unsigned int nunits;
    struct unit *unit[MAX_UNITS];
    unsigned int nplaces;
    struct ioreq_place place[MAX_PLACES];
    unsigned int nranges;
    struct range range[MAX_RANGES];
    struct pci_bus *bus; /* NULL: there is no PCI function */
    bool maps_guest;     /* one of them goes on mapping the guest's memory */
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
    bool irq_error;      /* has been told */
    bool bar_error;
};

/** worker_until() - nanoseconds until the clock says @ms; INT64_MAX for 0,
 * which is never. */
static inline int64_t worker_until(const struct worker *w, int64_t ms)
{
    if (!ms)
        return INT64_MAX;
    return ms > w->now ? (ms - w->now) * NS_PER_MS : 0;
}

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

/* ---- start.c ---- */

/** worker_start() - everything up to the sandbox. Returns 0 or -errno. */
int worker_start(struct worker *w, struct vr_err *err);

/* ---- places.c ---- */

/**
 * worker_place() - @face of @of answers from @base on.
 * @owner: which unit has to say that an access is complete; NULL: it always is.
 * Returns the place, whose base and size may change later.
 */
struct ioreq_place *worker_place(struct worker *w, uint64_t base, uint64_t size,
                                 const struct vr_face *face, void *of,
                                 struct unit *owner);

/** worker_range() - Xen is to pass on accesses to these addresses. */
void worker_range(struct worker *w, uint64_t base, uint64_t size);

/** worker_function() - the configuration space of a PCI function on the guest's
 * own bus is @of's, as worker_place() and worker_range(). */
void worker_function(struct worker *w, unsigned int slot, void *of,
                     struct unit *owner);

/* ---- pci.c ---- */

/** pci_add() - unit_add() for a PCI function. */
int pci_add(struct worker *w, struct unit *u, uint64_t registers,
            struct vr_err *err);

/* ---- watch.c ---- */

/** worker_watch() - look on, after something was served. */
void worker_watch(struct worker *w);

/* ---- ports.c ---- */

/** ports_serve() - all ports that have an event, each once. Returns whether one
 * was of use. */
bool ports_serve(struct worker *w);

/** ports_unmask() - hear a port again, from ports_flush() on. */
void ports_unmask(struct worker *w, evtchn_port_t port);

/** ports_flush() - have the kernel unmask them. */
void ports_flush(struct worker *w);

/* ---- access.c ---- */

/** vcpu_event() - serve vCPU @v. Returns whether it had something to ask. */
bool vcpu_event(struct worker *w, unsigned int v);

/** vcpu_access() - let @u's registers carry out what vCPU @v asks. Returns
 * whether that is complete. */
bool vcpu_access(struct unit *u, unsigned int v);

/** vcpu_answer() - @complete: vCPU @v goes on; else it waits for @u. */
void vcpu_answer(struct unit *u, unsigned int v, bool complete);

/** vcpu_finish() - let go of all vCPUs that wait for @u. */
void vcpu_finish(struct unit *u);

#endif /* VR_BROKER_WORKER_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the worker serves: a unit has registers that the guest's accesses reach
 * and an interrupt line. A device is one, whose backend is another domain
 * (device.h); so is the virtio-iommu, which the worker serves itself. The
 * worker's loop knows units and nothing else: a new kind of them is a file and
 * a line in the table of units.c.
 */
#ifndef VR_BROKER_UNIT_H
#define VR_BROKER_UNIT_H

/* First: it asks Xen's public headers for the toolstack's part. */
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "broker/broker.h"
#include "libs/transport/ioreq.h"
#include "libs/types/dev.h"

struct worker;
struct unit;

/* event is NULL for what has no port, told for what is no device. */
struct unit_ops {
    /** access() - carry out vCPU @v's access to the registers, and say by
     * vcpu_answer() whether it is complete. */
    void (*access)(struct unit *u, unsigned int v);

    /** event() - its port was notified. Returns whether that was of use. */
    bool (*event)(struct unit *u);

    /** poll() - serve what can be seen without an event. Returns whether there
     * was something. */
    bool (*poll)(struct unit *u);

    /** due() - do what is due by the clock. @count: keep the figures up to
     * date, too. */
    void (*due)(struct unit *u, bool count);

    /** left() - nanoseconds until due() has something to do; INT64_MAX: never.
     */
    int64_t (*left)(const struct unit *u);

    /** hear() - the worker is about to sleep: have everything that happens told
     * by an event. */
    void (*hear)(struct unit *u);

    /** told() - the supervisor says something about it. */
    void (*told)(struct unit *u, enum vr_msg_type type);
};

struct unit {
    const struct unit_ops *ops;
    struct worker *w;
    const char *name;   /* for the log */
    unsigned int index; /* a device's number in the record and in messages */
    uint32_t irq;
    evtchn_port_t port; /* that its events come by; 0: none */
    struct vr_vdev vdev;
    struct vr_pci *pci; /* its function; NULL: virtio-mmio */
};

/* What the start has open, and the sandbox closes. */
struct unit_start {
    xenforeignmemory_handle *fm;
    xengntshr_handle *gs;
};

/**
 * unit_kinds - a function for each kind, which adds those units of it that the
 * record names; in their units' order, devices first. Ends with NULL. They
 * return 0 or -errno with @err.
 */
extern int (*const unit_kinds[])(struct worker *w, const struct unit_start *s,
                                 struct vr_err *err);

/** unit_add() - the worker serves @u from now on.
 * @u: ops and name are set; kept. @registers: where they are.
 * Returns 0 or -errno with @err. */
int unit_add(struct worker *w, struct unit *u, enum vr_transport transport,
             uint64_t registers, struct vr_err *err);

/** unit_irq(), unit_message() - for a model's irq() and message(). */
void unit_irq(struct unit *u, bool level);
bool unit_message(struct unit *u, uint32_t cause, uint32_t queues);

/** unit_line() - drive interrupt @irq, in @u's name. */
void unit_line(struct unit *u, uint32_t irq, bool level);

/** unit_unacked() - does its driver take interrupts without acknowledging
 * them? */
bool unit_unacked(const struct unit *u);

/** unit_tell() - send the supervisor a message about it. Returns 0 or -errno:
 * there may be no room for it. */
int unit_tell(struct unit *u, enum vr_msg_type type);

#endif /* VR_BROKER_UNIT_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus that a guest's PCI functions are on: how their configuration space is
 * reached, and where messages and BARs may go. One for each kind of guest
 * (arch.h); pci.c has the functions themselves, which are the same on all.
 */
#ifndef VR_BROKER_BUS_H
#define VR_BROKER_BUS_H

#include "libs/transport/pci/bus.h"
#include "libs/transport/pci/function.h"
#include "worker.h"

struct function {
    struct vr_pci pci;
    struct unit *unit;
    struct ioreq_place *bar;
    uint64_t passed; /* where Xen passes on accesses to the BAR; 0: nowhere */
};

struct pci_bus {
    struct vr_v2m frame; /* Arm */
    unsigned int n;
    struct function function[MAX_UNITS];
};

struct bus_ops {
    /** start() - what the bus has beside its functions, the first time. NULL:
     * nothing. */
    void (*start)(struct worker *w);
    /** add() - the configuration space of @f is at @registers, as the record
     * has it. */
    void (*add)(struct worker *w, struct function *f, uint64_t registers);

    /* What a function asks for; values are the guest's. */
    struct vr_pci_ops function;

    /* Where messages are written to, if a virtio-iommu has to tell of it. */
    struct vr_vdev_range messages;
};

/** bus_place() - for vr_pci_ops.place(): @f's BAR answers at @base. */
void bus_place(struct function *f, uint64_t base);

/** bus_intx() - for vr_pci_ops.intx(): INTA is the unit's interrupt. */
void bus_intx(void *ctx, bool raise);

/** bus_ecam - of Arm guests; bus_hvm - of x86 HVM guests. */
extern const struct bus_ops bus_ecam;
extern const struct bus_ops bus_hvm;

#endif /* VR_BROKER_BUS_H */

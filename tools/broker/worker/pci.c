/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI functions as units, and the bus that they are on (libs/transport/pci):
 * where the guest has put their BARs, and what becomes of their interrupts.
 * Called by the devices' start, and by what the guest does.
 *
 * All of the bus's addresses are passed on from the start, so a BAR that moves
 * asks nothing of Xen. One that the guest puts elsewhere is out of its reach.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libs/transport/pci/bus.h"
#include "libs/transport/pci/function.h"
#include "worker.h"

struct function {
    struct vr_pci pci; /* first */
    struct unit *unit;
    struct ioreq_place *bar;
};

struct pci_bus {
    struct vr_v2m frame;
    unsigned int n;
    struct function function[MAX_UNITS];
};

static void on_place(void *ctx, uint64_t base)
{
    struct function *f = ctx;

    f->bar->base = base;
    f->bar->size = base ? VR_PCI_BAR_SIZE : 0;
}

/* Of all that the guest may have written as address and data, only what its
 * frame offers interrupts anybody, which is the guest. */
static void on_message(void *ctx, uint64_t addr, uint32_t data)
{
    struct function *f = ctx;
    uint32_t intid = vr_v2m_intid(&f->unit->w->bus->frame, addr, data);

    if (intid)
        unit_line(f->unit, intid, true);
    else
        f->unit->vdev.stats->bad_accesses++;
}

static void on_intx(void *ctx, bool raise)
{
    struct function *f = ctx;

    unit_line(f->unit, f->unit->irq, raise);
}

static const struct vr_pci_ops ops = {
    .place = on_place,
    .message = on_message,
    .intx = on_intx,
};

static int start_bus(struct worker *w, struct vr_err *err)
{
    if (!w->arch->pci) {
        vr_err_set(err, "broker: the record has PCI functions, but such a "
                        "guest has no bus for them");
        return -ENOTSUP;
    }
    w->bus = calloc(1, sizeof(*w->bus)); /* for the process's life */
    if (!w->bus) {
        vr_err_set(err, "broker: out of memory");
        return -ENOMEM;
    }
    worker_range(w, VR_PCI_ECAM, VR_PCI_ECAM_SIZE);
    worker_range(w, VR_PCI_BARS, VR_PCI_BARS_SIZE);
    worker_range(w, VR_PCI_FRAME, VR_PCI_FRAME_SIZE);
    worker_place(w, VR_PCI_FRAME, VR_PCI_FRAME_SIZE, &vr_v2m_face,
                 &w->bus->frame, NULL);
    w->bus->frame.count = vr_record_vectors(w->rec);
    return 0;
}

int pci_add(struct worker *w, struct unit *u, uint64_t registers,
            struct vr_err *err)
{
    struct function *f;
    int rc = w->bus ? 0 : start_bus(w, err);

    if (rc)
        return rc;
    f = &w->bus->function[w->bus->n++];
    f->unit = u;
    /* The BAR first: that is where most accesses go. */
    f->bar = worker_place(w, 0, 0, &vr_pci_bar_face, f, u);
    worker_place(w, registers, VR_PCI_CONFIG_SIZE, &vr_pci_config_face, f, u);
    vr_pci_init(&f->pci, &u->vdev, &ops, f);
    u->pci = &f->pci;
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI functions as units. Called by the devices' start; the bus that they are
 * on (bus.h) says what becomes of what the guest does to them.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"

void bus_place(struct function *f, uint64_t base)
{
    f->bar->base = base;
    f->bar->size = base ? VR_PCI_BAR_SIZE : 0;
}

void bus_intx(void *ctx, bool raise)
{
    struct function *f = ctx;

    unit_line(f->unit, f->unit->irq, raise);
}

static int start_bus(struct worker *w, struct vr_err *err)
{
    if (!w->arch->bus) {
        vr_err_set(err, "broker: the record has PCI functions, but such a "
                        "guest has no bus for them");
        return -ENOTSUP;
    }
    w->bus = calloc(1, sizeof(*w->bus)); /* for the process's life */
    if (!w->bus) {
        vr_err_set(err, "broker: out of memory");
        return -ENOMEM;
    }
    if (w->arch->bus->start)
        w->arch->bus->start(w);
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
    w->arch->bus->add(w, f, registers);
    vr_pci_init(&f->pci, &u->vdev, &w->arch->bus->function, f);
    u->pci = &f->pci;
    return 0;
}

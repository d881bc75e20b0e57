/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus of an Arm guest (libs/transport/pci/bus.h). All of its addresses are
 * passed on from the start, so a BAR that moves asks nothing of Xen. One that
 * the guest puts elsewhere is out of its reach.
 */
#include "bus.h"

static void start(struct worker *w)
{
    worker_range(w, VR_PCI_ECAM, VR_PCI_ECAM_SIZE);
    worker_range(w, VR_PCI_BARS, VR_PCI_BARS_SIZE);
    worker_range(w, VR_PCI_FRAME, VR_PCI_FRAME_SIZE);
    worker_place(w, VR_PCI_FRAME, VR_PCI_FRAME_SIZE, &vr_v2m_face,
                 &w->bus->frame, NULL);
    w->bus->frame.count = vr_record_vectors(w->rec);
}

static void add(struct worker *w, struct function *f, uint64_t registers)
{
    worker_place(w, registers, VR_PCI_CONFIG_SIZE, &vr_pci_config_face, f,
                 f->unit);
}

static void on_place(void *ctx, uint64_t base)
{
    bus_place(ctx, base);
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

const struct bus_ops bus_ecam = {
    .start = start,
    .add = add,
    .function = {.place = on_place, .message = on_message, .intx = bus_intx},
    .messages = {VR_PCI_FRAME, VR_PCI_FRAME_SIZE},
};

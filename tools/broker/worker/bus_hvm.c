/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions on the bus that QEMU emulates for an x86 HVM guest, in slots where
 * QEMU has nothing (libs/guest/hvm.h). Xen passes on to us what is for them:
 * configuration space from the start, a BAR where the guest has it, which its
 * firmware and its operating system each decide anew. Called by pci.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bus.h"
#include "libs/guest/hvm.h"

/* Where processors take messages from; Xen reads the rest. */
#define MESSAGES UINT64_C(0xfee00000)

static void add(struct worker *w, struct function *f, uint64_t registers)
{
    worker_function(w, vr_pci_slot(registers), f, f->unit);
}

/* BARs are as long as they are aligned: two of them have the same place, or
 * nothing in common. */
static bool shared(const struct function *f)
{
    const struct pci_bus *bus = f->unit->w->bus;
    unsigned int i;

    for (i = 0; i < bus->n; i++)
        if (&bus->function[i] != f && bus->function[i].passed == f->passed)
            return true;
    return false;
}

static void unpass(struct function *f)
{
    struct worker *w = f->unit->w;

    if (f->passed && !shared(f))
        xendevicemodel_unmap_io_range_from_ioreq_server(
            w->dm, w->rec->domid, w->ioserver, 1, f->passed,
            f->passed + VR_PCI_BAR_SIZE - 1);
    f->passed = 0;
}

static void pass(struct function *f, uint64_t base)
{
    struct worker *w = f->unit->w;

    f->passed = base;
    if (shared(f) || !xendevicemodel_map_io_range_to_ioreq_server(
                         w->dm, w->rec->domid, w->ioserver, 1, base,
                         base + VR_PCI_BAR_SIZE - 1))
        return;
    f->passed = 0;
    if (w->bar_error)
        return;
    w->bar_error = true;
    broker_log("%s: cannot take accesses at 0x%" PRIx64 ": %s", f->unit->name,
               base, strerror(errno));
}

/*
 * Only where BARs may be is anything taken, and QEMU's accesses to a device of
 * its own that the guest covers are the guest's loss. A BAR that is not decoded
 * keeps its place in Xen, since it comes back there most of the time: Linux
 * switches decoding off seven times for one look at a function.
 */
static void on_place(void *ctx, uint64_t base)
{
    struct function *f = ctx;

    if (base < VR_HVM_BARS || base >= VR_HVM_BARS_END)
        base = 0;
    bus_place(f, base);
    if (!base || base == f->passed)
        return;
    unpass(f);
    pass(f, base);
}

/* Xen looks at the rest, and reaches nobody but the guest. */
static void on_message(void *ctx, uint64_t addr, uint32_t data)
{
    struct function *f = ctx;
    const struct worker *w = f->unit->w;

    if ((addr & 0xfff00000) != MESSAGES ||
        xendevicemodel_inject_msi(w->dm, w->rec->domid, addr, data))
        f->unit->vdev.stats->bad_accesses++;
}

const struct bus_ops bus_hvm = {
    .add = add,
    .function = {.place = on_place,
                 .message = on_message,
                 .intx = bus_intx,
                 .pirqs = true},
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What answers for which of the guest's addresses: filled by the units' starts,
 * looked through for each access (access.c).
 */
#include "libs/transport/mmio/regs.h"
#include "libs/transport/pci/function.h"
#include "worker.h"

struct ioreq_place *worker_place(struct worker *w, uint64_t base, uint64_t size,
                                 const struct vr_face *face, void *of,
                                 struct unit *owner)
{
    struct ioreq_place *place = &w->place[w->nplaces++];

    *place = (struct ioreq_place){base, size, face, of, owner, false};
    return place;
}

void worker_range(struct worker *w, uint64_t base, uint64_t size)
{
    w->range[w->nranges++] = (struct range){base, size, false};
}

void worker_function(struct worker *w, unsigned int slot, void *of,
                     struct unit *owner)
{
    /* Bus 0, function 0. */
    const uint64_t base = (uint64_t)(slot << 3) << 32;

    worker_place(w, base, VR_PCI_CONFIG_USED, &vr_pci_config_face, of, owner)
        ->config = true;
    w->range[w->nranges++] = (struct range){base, VR_PCI_CONFIG_USED, true};
}

static int mmio_add(struct worker *w, struct unit *u, uint64_t registers,
                    struct vr_err *err)
{
    (void)err;
    worker_range(w, registers, VR_MMIO_SIZE);
    worker_place(w, registers, VR_MMIO_SIZE, &vr_mmio_face, &u->vdev, u);
    return 0;
}

int unit_add(struct worker *w, struct unit *u, enum vr_transport transport,
             uint64_t registers, struct vr_err *err)
{
    static int (*const add[])(struct worker * w, struct unit * u,
                              uint64_t registers, struct vr_err * err) = {
#define TRANSPORT(name) [VR_TRANSPORT_##name] = name##_add,
#include "libs/types/transport.def"
#undef TRANSPORT
    };

    u->w = w;
    u->index = w->nunits++;
    w->unit[u->index] = u;
    return add[transport](w, u, registers, err);
}

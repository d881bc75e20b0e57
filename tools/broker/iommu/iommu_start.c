/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts the virtio-iommu together, before the sandbox: its part of the guest's
 * grant table, memory for its book-keeping, its registers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/worker/bus.h"
#include "iommu_int.h"

#define TRANSPORT                                                              \
    (VR_F_VERSION_1 | VR_F_INDIRECT_DESC | VR_F_EVENT_IDX | VR_F_RING_RESET)

static void describe(const struct worker *w, struct vr_viommu_desc *desc)
{
    const struct vr_record *rec = w->rec;
    unsigned int i;

    memset(desc, 0, sizeof(*desc));
    desc->domain_end = UINT32_MAX;
    desc->input_start = UINT64_MAX;
    desc->neps = rec->ndevs;
    for (i = 0; i < rec->ndevs; i++) {
        const struct vr_gwin *win =
            vr_record_window(&rec->devs[i], VR_WINDOW_IOVA);

        if (!win)
            continue;
        desc->ep[i].present = true;
        desc->ep[i].base = win->base;
        desc->ep[i].npages = vr_gwin_pages(win);
        if (vr_cfg_pool_in_probe(&rec->devs[i].cfg)) {
            desc->ep[i].pool_base = rec->devs[i].pool.base;
            desc->ep[i].pool_size = rec->devs[i].pool.size;
        }
        if (rec->devs[i].cfg.transport == VR_TRANSPORT_pci) {
            desc->ep[i].msi_base = w->arch->bus->messages.base;
            desc->ep[i].msi_size = w->arch->bus->messages.size;
        }
        if (win->base < desc->input_start)
            desc->input_start = win->base;
        if (win->base + win->size - 1 > desc->input_end)
            desc->input_end = win->base + win->size - 1;
    }
}

static int start_processor(struct iommu *io, struct vr_err *err)
{
    struct vr_viommu_desc desc;
    size_t size;
    int rc;

    describe(io->unit.w, &desc);
    size = vr_viommu_memory(&desc);
    io->book = calloc(1, size);
    if (!io->book) {
        vr_err_set(err, "broker: out of memory");
        return -ENOMEM;
    }
    rc = vr_viommu_init(&io->v, &desc, &iommu_table_ops, io, io->book, size);
    if (rc)
        vr_err_set(err, "broker: the record's windows make no sense");
    return rc;
}

static void start_registers(struct iommu *io)
{
    const struct vr_record *rec = io->unit.w->rec;
    struct vr_vdev_desc desc = {
        .device_id = VR_VIOMMU_DEVICE_ID,
        .nqueues = VR_VIOMMU_NQUEUES,
        .queue_size_max = QUEUE_SIZE,
        .nranges = rec->nram,
        /* It speaks of physical addresses itself: no ACCESS_PLATFORM. */
        .transport = TRANSPORT,
        .mandatory = VR_F_VERSION_1,
        .keeps = true, /* mappings outlive their request's queue */
    };
    uint8_t config[VR_VIOMMU_CONFIG_LEN];
    unsigned int i;

    for (i = 0; i < rec->nram; i++) {
        desc.range[i].base = rec->ram[i].start << VR_PAGE_SHIFT;
        desc.range[i].size = (rec->ram[i].end - rec->ram[i].start)
                             << VR_PAGE_SHIFT;
    }
    vr_vdev_init(&io->unit.vdev, &desc, &iommu_regs, io, &io->stats->vdev);
    vr_viommu_config(&io->v, config);
    vr_vdev_set_device(&io->unit.vdev, VR_VIOMMU_FEATURES, config,
                       sizeof(config));
}

/* All devices are there. */
static void start_endpoints(struct iommu *io)
{
    const struct vr_record *rec = io->unit.w->rec;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        io->ep[i].dev = device_at(io->unit.w, i);
        if (vr_cfg_has_iova(&rec->devs[i].cfg))
            device_behind(io->ep[i].dev, &iommu_devices, io);
    }
    iommu_ladder(io);
}

static int start_unit(struct iommu *io, struct worker *w, struct vr_err *err)
{
    io->unit.ops = &iommu_unit;
    io->unit.name = "virtio-iommu";
    io->unit.irq = w->rec->iommu.irq;
    io->stats = &w->stats->iommu;
    /* Its queues lie in the guest's memory. */
    w->maps_guest = true;
    io->ram = (struct vr_window){
        .size = UINT64_MAX,
        .map = iommu_ring_map,
        .unmap = iommu_ring_unmap,
        .fetch = iommu_table_fetch,
        .ctx = io,
    };
    return unit_add(w, &io->unit, VR_TRANSPORT_mmio, w->rec->iommu.mmio_base,
                    err);
}

int iommu_start(struct worker *w, const struct unit_start *s,
                struct vr_err *err)
{
    struct iommu *io;
    int rc;

    if (!w->rec->iommu.present)
        return 0;
    io = calloc(1, sizeof(*io)); /* for the process's life */
    if (!io) {
        vr_err_set(err, "broker: out of memory");
        return -ENOMEM;
    }
    rc = start_unit(io, w, err);
    if (rc)
        return rc;
    gmem_init(&io->mem, s->fm, w->rec);
    start_endpoints(io);
    io->maps = vr_maps_open(w->rec, true);
    if (!io->maps) {
        rc = errno ? -errno : -EIO;
        vr_err_set(err, "broker: cannot make %s/%s.maps: %s", VR_RUN_DIR,
                   w->rec->uuid, strerror(-rc));
        return rc;
    }
    rc = iommu_table_map(io, s->fm, err);
    if (!rc)
        rc = start_processor(io, err);
    if (!rc)
        start_registers(io);
    return rc;
}

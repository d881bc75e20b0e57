/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommu_int.h"

#define TRANSPORT                                                              \
    (VR_F_VERSION_1 | VR_F_INDIRECT_DESC | VR_F_EVENT_IDX | VR_F_RING_RESET)

/* ---- the register model ---- */

static void on_notify(void *ctx, unsigned int queue)
{
    struct iommu *io = ctx;

    io->kicked |= queue == VR_VIOMMU_REQUESTQ;
}

static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    struct iommu *io = ctx;

    io->req = *req;
    io->changed = true;
}

static void on_irq(void *ctx, bool level)
{
    struct iommu *io = ctx;

    worker_irq(io->w, io->irq, level, "virtio-iommu");
}

static const struct vr_mmio_ops mmio_ops = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
};

static void *ring_map(void *ctx, uint64_t addr, uint64_t len, bool write)
{
    struct iommu *io = ctx;

    (void)write;
    return gmem_map(&io->mem, addr, len);
}

static void ring_unmap(void *ctx, void *p, uint64_t len)
{
    struct iommu *io = ctx;

    gmem_unmap(&io->mem, p, len);
}

static const void *table_fetch(void *ctx, uint64_t addr, uint64_t len)
{
    struct iommu *io = ctx;

    return gmem_read(&io->mem, addr, io->table, len) ? NULL : io->table;
}

static void describe(const struct vr_record *rec, struct vr_viommu_desc *desc)
{
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

    describe(io->w->rec, &desc);
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
    const struct vr_record *rec = io->w->rec;
    struct vr_mmio_desc desc = {
        .device_id = VR_VIOMMU_DEVICE_ID,
        .nqueues = VR_VIOMMU_NQUEUES,
        .queue_size_max = QUEUE_SIZE,
        .nwindows = rec->nram,
        /* It speaks of physical addresses itself: no ACCESS_PLATFORM. */
        .transport = TRANSPORT,
        .mandatory = VR_F_VERSION_1,
        .keeps = true, /* mappings outlive their request's queue */
    };
    uint8_t config[VR_VIOMMU_CONFIG_LEN];
    unsigned int i;

    for (i = 0; i < rec->nram; i++) {
        desc.window[i].base = rec->ram[i].start << VR_PAGE_SHIFT;
        desc.window[i].size = (rec->ram[i].end - rec->ram[i].start)
                              << VR_PAGE_SHIFT;
    }
    vr_mmio_init(&io->mmio, &desc, &mmio_ops, io, &io->stats->mmio);
    vr_viommu_config(&io->v, config);
    vr_mmio_set_device(&io->mmio, VR_VIOMMU_FEATURES, config, sizeof(config));
}

int iommu_start(struct worker *w, xenforeignmemory_handle *fm,
                struct iommu **out, struct vr_err *err)
{
    struct iommu *io = calloc(1, sizeof(*io));
    int rc;

    if (!io) {
        vr_err_set(err, "broker: out of memory");
        return -ENOMEM;
    }
    io->w = w;
    io->irq = w->rec->iommu.irq;
    io->stats = &w->stats->iommu;
    io->ram = (struct vr_window){
        .size = UINT64_MAX,
        .map = ring_map,
        .unmap = ring_unmap,
        .fetch = table_fetch,
        .ctx = io,
    };
    gmem_init(&io->mem, fm, w->rec);
    iommu_ladder(io);
    io->maps = vr_maps_open(w->rec, true);
    if (!io->maps) {
        rc = errno ? -errno : -EIO;
        vr_err_set(err, "broker: cannot make %s/%s.maps: %s", VR_RUN_DIR,
                   w->rec->uuid, strerror(-rc));
        goto out;
    }
    rc = iommu_table_map(io, fm, err);
    if (!rc)
        rc = start_processor(io, err);
    if (rc)
        goto out;
    start_registers(io);
    *out = io;
    return 0;
out:
    /* The process ends. */
    free(io->book);
    free(io);
    return rc;
}

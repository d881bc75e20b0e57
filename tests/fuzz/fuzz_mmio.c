/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The register model under a guest and a backend that do what the bytes say.
 * What must hold after each step stands in check() and in the operations.
 */
#include <stdlib.h>
#include <string.h>

#include "libs/transport/mmio/regs.h"
#include "libs/types/block/request.h"
#include "input.h"

#define WIN  UINT64_C(0x48000000)
#define SIZE UINT64_C(0x8000)

#define REQUIRE(x)                                                             \
    do {                                                                       \
        if (!(x))                                                              \
            abort();                                                           \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct vr_vdev m;
    struct vr_stats_dev stats;
    struct vr_ctrl_request req;
    bool quiet;    /* the last request was acknowledged */
    uint32_t busy; /* queues that the backend works on */
    bool line;
    uint64_t capacity; /* of the disk when its driver began; 0: none has */
};

static const struct vr_vdev_desc desc = {
    .device_id = 2,
    .nqueues = 3,
    .queue_size_max = 64,
    .transport = VR_F_TRANSPORT,
    .mandatory = VR_F_MANDATORY,
    .nranges = 1,
    .range = {{.base = WIN, .size = SIZE}},
    .bells = true,
    .backend_domid = 5,
};

static void inside(uint64_t addr, uint64_t len)
{
    REQUIRE(addr >= WIN && len <= SIZE && addr - WIN <= SIZE - len);
}

static void on_notify(void *ctx, unsigned int queue)
{
    struct world *w = ctx;

    REQUIRE(queue < desc.nqueues && w->req.run && w->req.q[queue].epoch);
}

/* Whatever the guest does: only sound queues reach the backend. */
static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    struct world *w = ctx;
    unsigned int i;

    w->req = *req;
    w->quiet = false;
    REQUIRE(req->run <= 1 && req->nqueues == desc.nqueues);
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        const struct vr_ctrl_queue *q = &req->q[i];

        if (!q->epoch) {
            REQUIRE(!q->port);
            continue;
        }
        REQUIRE(q->port == w->m.q[i].port);
        REQUIRE(req->run && i < desc.nqueues);
        REQUIRE((req->features & VR_F_MANDATORY) == VR_F_MANDATORY);
        REQUIRE(q->size && !(q->size & (q->size - 1)) && q->size <= 64);
        inside(q->desc, 16 * q->size);
        inside(q->driver, 6 + 2 * q->size);
        inside(q->device, 6 + 8 * q->size);
        w->busy |= 1u << i;
    }
}

static void on_irq(void *ctx, bool raise)
{
    struct world *w = ctx;

    w->line = raise;
}

static const struct vr_vdev_ops ops = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
};

static void acknowledge(struct world *w)
{
    unsigned int i;

    for (i = 0; i < desc.nqueues; i++)
        if (!w->req.q[i].epoch)
            w->busy &= ~(1u << i);
    w->quiet = true;
    vr_vdev_quiesced(&w->m);
    REQUIRE(!vr_vdev_waiting(&w->m) && !vr_vdev_unquiet(&w->m));
}

/* A driver's disk does not shrink, whatever the backend says. */
static void check_capacity(struct world *w, uint32_t status)
{
    uint64_t capacity = vr_blk_capacity(w->stats.config);

    if (!(status & VR_STATUS_DRIVER)) {
        w->capacity = 0;
        return;
    }
    REQUIRE(capacity >= w->capacity);
    w->capacity = capacity;
}

static void check(struct world *w)
{
    uint32_t status = vr_mmio_read(&w->m, VR_MMIO_STATUS, 4);

    check_capacity(w, status);

    REQUIRE(w->line == (vr_vdev_isr(&w->m) != 0));
    REQUIRE(!vr_vdev_isr(&w->m) || status & VR_STATUS_DRIVER_OK);
    REQUIRE(!(status & VR_STATUS_DRIVER_OK) || status & VR_STATUS_FEATURES_OK);
    /* The promise: reset without a complaint means that nobody is at it. */
    if (!status && !vr_vdev_waiting(&w->m))
        REQUIRE(!w->busy || w->quiet);
}

/* Queue 0 to 2 as a well-behaved driver would set it up. */
static void good_queue(struct world *w, unsigned int q)
{
    static const uint32_t off[] = {VR_MMIO_QUEUE_DESC_LOW,
                                   VR_MMIO_QUEUE_DRIVER_LOW,
                                   VR_MMIO_QUEUE_DEVICE_LOW};
    unsigned int i;

    vr_mmio_write(&w->m, VR_MMIO_QUEUE_SEL, 4, q);
    for (i = 0; i < 3; i++)
        vr_mmio_write(&w->m, off[i], 4, WIN + q * 0x2000 + i * 0x800);
    vr_mmio_write(&w->m, VR_MMIO_QUEUE_READY, 4, 1);
}

static void good_start(struct world *w)
{
    vr_mmio_write(&w->m, VR_MMIO_STATUS, 4, 3);
    vr_mmio_write(&w->m, VR_MMIO_DRIVER_FEATURES_SEL, 4, 1);
    vr_mmio_write(&w->m, VR_MMIO_DRIVER_FEATURES, 4, VR_F_TRANSPORT >> 32);
    vr_mmio_write(&w->m, VR_MMIO_STATUS, 4, 11);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    uint8_t config[4 * VR_CONFIG_LEN];

    memset(&w, 0, sizeof(w));
    vr_vdev_init(&w.m, &desc, &ops, &w, &w.stats);
    memset(config, 1, sizeof(config));
    vr_vdev_set_device(&w.m, 0x40, config, sizeof(config));
    in = data;
    left = size;
    while (left) {
        uint8_t op = eat(1);
        uint64_t off = eat(1) * 4;
        bool waited = vr_vdev_waiting(&w.m);
        uint64_t value;

        switch (op % 16) {
        default:
            value = eat(op & 0x40 ? 4 : 1);
            if (vr_mmio_write(&w.m, off, 4, value) == VR_VDEV_PENDING)
                REQUIRE(vr_vdev_waiting(&w.m));
            else if (off == VR_MMIO_STATUS && !(value & 0xff))
                REQUIRE(!vr_vdev_waiting(&w.m));
            break;
        case 6:
            value = vr_mmio_read(&w.m, off, 4);
            if (off == VR_MMIO_QUEUE_READY)
                REQUIRE(value <= 1);
            if (off == VR_MMIO_QUEUE_DOORBELL)
                REQUIRE(value == (VR_DOORBELL_OK | 5));
            break;
        case 7: /* any offset, size and direction */
            value = eat(op & 0x80 ? 8 : 2);
            vr_mmio_read(&w.m, value, off / 4);
            vr_mmio_write(&w.m, value, off / 4, ~value);
            break;
        case 8:
            good_start(&w);
            break;
        case 9:
            good_queue(&w, off / 4 % 4);
            break;
        case 10:
            vr_mmio_write(&w.m, VR_MMIO_STATUS, 4, 15);
            break;
        case 11:
            acknowledge(&w);
            break;
        case 12:
            vr_vdev_timeout(&w.m);
            REQUIRE(!vr_vdev_waiting(&w.m));
            REQUIRE(!waited || vr_mmio_read(&w.m, VR_MMIO_STATUS, 4) &
                                   VR_STATUS_NEEDS_RESET);
            break;
        case 13:
            vr_vdev_fail(&w.m, off & 4 ? VR_FAIL_GONE : VR_FAIL_BACKEND);
            if (off & 4) {
                w.busy = 0;
                REQUIRE(!vr_vdev_waiting(&w.m));
            }
            break;
        case 14:
            vr_vdev_interrupt(&w.m, 1);
            break;
        case 15:
            memset(config, off / 4, sizeof(config));
            vr_vdev_set_device(&w.m, off, config, off);
            break;
        }
        check(&w);
    }
    return 0;
}

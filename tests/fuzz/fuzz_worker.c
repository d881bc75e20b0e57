/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's worker as a whole, under a guest, backends, a hypervisor and a
 * supervisor that do what the bytes say. What must hold stands in
 * worker_rules.h.
 */
#include "../unit/worker_world.h"
#include "input.h"

/* A number below @n. */
static unsigned int below(unsigned int n)
{
    return eat(n > 256 ? 2 : 1) % n;
}

/* ---- the guest ---- */

/* What it does to the virtio-iommu by itself spoils the account. */
static void spoil(uint64_t addr)
{
    const uint64_t off = addr - (WW_MMIO + WW_IOMMU * VR_MMIO_SIZE);

    if (off < VR_MMIO_SIZE && off != VR_MMIO_QUEUE_NOTIFY &&
        off != VR_MMIO_INTERRUPT_ACK && off != VR_MMIO_QUEUE_SEL)
        ww.lost_track = true;
}

static void access_register(void)
{
    static const uint8_t common[] = {
        VR_MMIO_STATUS,           VR_MMIO_QUEUE_READY, VR_MMIO_QUEUE_RESET,
        VR_MMIO_INTERRUPT_STATUS, VR_MMIO_QUEUE_SEL,   VR_MMIO_QUEUE_NOTIFY,
        VR_MMIO_INTERRUPT_ACK,    VR_MMIO_QUEUE_SIZE};
    unsigned int v = below(FX_VCPUS), how = eat(1), off = eat(1);
    ioreq_t req = {.count = 1, .size = 4, .type = IOREQ_TYPE_COPY};

    req.dir = how & 1;
    off = how & 2 ? off * 4 % VR_MMIO_SIZE : common[off % sizeof(common)];
    req.addr = WW_MMIO + (how >> 2) % (WW_DEVS + 1) * VR_MMIO_SIZE + off;
    req.data = eat(how & 0x80 ? 4 : 1);
    if (!req.dir)
        spoil(req.addr);
    ww_access(v, &req);
}

/* Any access at all that Xen may hand on. */
static void access_any(void)
{
    static const uint8_t size[] = {1, 2, 4, 8, 0, 3};
    unsigned int v = below(FX_VCPUS), how = eat(1);
    ioreq_t req = {.addr = WW_MMIO + eat(2),
                   .size = size[below(sizeof(size))],
                   .count = how & 1 ? eat(2) : 1,
                   .data = eat(4)};
    uint64_t i;

    req.dir = how >> 1;
    req.df = how >> 2;
    req.data_is_ptr = how >> 3;
    req.type = how & 0x70 ? IOREQ_TYPE_COPY : eat(1);
    if (req.addr >= WW_MMIO + (WW_DEVS + 1) * VR_MMIO_SIZE && how & 0x80)
        req.addr = eat(8);
    for (i = 0; i <= req.count && !req.dir; i++)
        spoil(req.df ? req.addr - i * req.size : req.addr + i * req.size);
    ww_access(v, &req);
}

/* A request that makes sense, to a device that may not. */
static void request(unsigned int op)
{
    static const uint8_t types[] = {VR_VIOMMU_T_MAP,    VR_VIOMMU_T_UNMAP,
                                    VR_VIOMMU_T_MAP,    VR_VIOMMU_T_UNMAP,
                                    VR_VIOMMU_T_ATTACH, VR_VIOMMU_T_DETACH,
                                    VR_VIOMMU_T_PROBE,  VR_VIOMMU_T_MAP};
    unsigned int what = eat(1), dev = 1 + what / 8 % 3;
    uint32_t first = below(ww_npages[dev]), npages = 1 + below(8);
    /* RAM that its own rings do not lie in, or a little beyond. */
    uint32_t frame = FX_RAM0 + WW_LAST + below(FX_BANK - WW_LAST + 2);

    if (what & 0x40)
        frame = FX_RAM1 + below(FX_BANK + 2);
    if (what & 0x80)
        npages = ww_npages[dev] - first;
    if (npages > ww_npages[dev] - first)
        npages = ww_npages[dev] - first;
    ww_request(types[what % 8], dev, first, npages, frame, op & 0x40);
}

/* Its own memory: rings, requests, anything. */
static void scribble(void)
{
    unsigned int at = eat(2) % (WW_LAST * VR_PAGE_SIZE), n = 1 + below(32);

    ww.lost_track = true;
    while (n-- && at < WW_LAST * VR_PAGE_SIZE)
        fx.ram[at++] = eat(1);
}

static void meddle(void)
{
    unsigned int dev = 1 + below(3), page = below(ww_npages[dev]);
    struct vr_gntent e = {.flags = eat(1), .domid = below(8), .frame = eat(1)};

    e.frame += FX_RAM0;
    ww_meddle(dev, page, e);
}

/* ---- the rest of the world ---- */

static void scribble_page(unsigned int dev)
{
    uint8_t *page = (uint8_t *)fx.ctrl[dev];
    unsigned int how = eat(1), n = 1 + how % 16;
    /* What it is to write, or all that it can write. */
    unsigned int at = how & 0x80
                          ? eat(2) % VR_PAGE_SIZE
                          : offsetof(struct vr_ctrl_page, intr) + eat(2) % 1000;

    if (ww.ended[ww_driver[dev]])
        return;
    while (n-- && at < VR_PAGE_SIZE)
        page[at++] = eat(1);
    if (how & 0x40)
        ww_backend_event(dev);
}

static void backend(unsigned int op)
{
    unsigned int dev = below(WW_DEVS), n;

    switch (op % 4) {
    case 0:
        ww_serve(dev);
        break;
    case 1:
        scribble_page(dev);
        break;
    case 2:
        if (!ww.ended[ww_driver[dev]] &&
            vr_ctrl_post(&fx.ctrl[dev]->intr, 1 + eat(1)))
            ww_backend_event(dev);
        break;
    case 3:
        /* Again and again, about nothing. */
        for (n = eat(1); n; n--) {
            ww_backend_event(dev);
            ww_run(0);
        }
        break;
    }
}

static void hypervisor(unsigned int op)
{
    unsigned int dev = 1 + below(3);
    uint32_t page = below(ww_npages[dev]), i;

    if (op & 1)
        ww_take(dev, page, op & 2);
    else if (op & 2)
        ww_drop_all(dev);
    else
        ww_drop(dev, page);
    /* Whatever there is of its window. */
    for (i = 0; (op & 5) == 5 && i < ww_npages[dev]; i++)
        ww_take(dev, i, op & 2);
}

static void supervisor(unsigned int op)
{
    unsigned int driver = op & 1, i;

    switch (op / 2 % 4) {
    case 0:
        ww_obey();
        break;
    case 1:
        ww_tell_gone(driver);
        break;
    case 2:
        ww_begin_end(driver);
        break;
    case 3:
        ww_finish_end(driver);
        break;
    }
    for (i = 0; i < WW_DEVS && op & 0x10; i++)
        ww.kill[i] = ww.destroy[i] = false; /* it was not heard */
}

static void trouble(void)
{
    unsigned int what = eat(1);

    fx.irq_fails = what & 1;
    fx.socket_full = what & 2;
    ww.pools_wait = what & 4;
    ww.pool_held[what / 8 % WW_DEVS] = what & 0x20;
    fx.missing[eat(1) % FX_FRAMES] = what & 0x80;
}

static void act(unsigned int op)
{
    static const int64_t times[] = {1, 5, 20, 50, 200, 1000, 2000, 5000};

    switch (op % 16) {
    case 0:
        access_register();
        break;
    case 1:
        access_any();
        break;
    case 2:
    case 3:
        request(op);
        break;
    case 4:
        request(op);
        ww_kick(below(FX_VCPUS));
        break;
    case 5:
        ww_write(below(FX_VCPUS), below(WW_DEVS + 1), VR_MMIO_QUEUE_NOTIFY,
                 op >> 4 & 1);
        break;
    case 6:
        ww_start_iommu(below(FX_VCPUS));
        break;
    case 7:
        ww_start(below(FX_VCPUS), below(WW_DEVS));
        break;
    case 8:
        ww_acknowledge(below(FX_VCPUS), below(WW_DEVS + 1));
        break;
    case 9:
        scribble();
        break;
    case 10:
        meddle();
        break;
    case 11:
        backend(op / 16);
        break;
    case 12:
        hypervisor(op / 16);
        break;
    case 13:
        supervisor(op / 16);
        break;
    case 14:
        trouble();
        break;
    case 15:
        ww_run(times[op / 16 % 8]);
        break;
    }
}

/* Somebody does something while the worker looks on. */
static void looking(void)
{
    unsigned int op = eat(1);

    switch (op % 8) {
    case 0:
        access_register();
        break;
    case 1:
        request(op);
        ww_kick(op / 64 % FX_VCPUS);
        break;
    case 2:
        if (fx.ctrl[op / 8 % WW_DEVS])
            vr_ctrl_post(&fx.ctrl[op / 8 % WW_DEVS]->intr, 1);
        break;
    case 3:
        hypervisor(op / 8);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int op, how;

    in = data;
    left = size;
    how = eat(1);
    ww_init();
    /* From the start that most guests have, or from nothing. */
    if (how & 2) {
        unsigned int dev;

        for (dev = 0; dev < WW_DEVS; dev++)
            ww_serve(dev);
        ww_run(0);
        ww_start_iommu(0);
        for (dev = 1; dev < WW_DEVS; dev++)
            ww_do(0, VR_VIOMMU_T_ATTACH, dev, 0, 0, 0);
        for (dev = 0; dev < WW_DEVS; dev++)
            ww_start(0, dev);
    }
    fx.looking = how & 1 ? looking : NULL;
    ww.w.poll_ns = how & 4 ? 1000000 : 0; /* poll= */
    while (left) {
        op = eat(1);
        if (how & 1) /* it has always paid to look */
            memset(&ww.w.look, 0, sizeof(ww.w.look));
        act(op);
        /* Else the worker is somewhere else for a moment. */
        if (op & 0x80 || op % 16 != 0)
            ww_run(0);
    }
    fx.looking = NULL;
    ww_settle();
    ww_end();
    return 0;
}

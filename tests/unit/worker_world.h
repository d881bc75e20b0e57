/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Around the broker's worker a guest, its driver domains, the hypervisor's
 * grant table and a supervisor, which do what a test or a fuzzer's input says.
 * What must hold is in worker_rules.h; ww_settle() lets all of them behave and
 * looks whether nothing is left undone.
 */
#ifndef TEST_WORKER_WORLD_H
#define TEST_WORKER_WORLD_H

#include "libs/transport/mmio/regs.h"
#include "worker_rules.h"

/* ---- the guest ---- */

/* vCPU @v makes an access. False: it is busy with another. */
static bool ww_access(unsigned int v, const ioreq_t *req)
{
    ioreq_t *slot = &fx.ioreqs[v];
    uint32_t port = slot->vp_eport;

    if (ww.vcpu[v].asks)
        return false;
    *slot = *req;
    slot->vp_eport = port;
    slot->state = STATE_IOREQ_READY;
    ww.vcpu[v].asks = true;
    ww.vcpu[v].since = fx_ms();
    fx_event(port);
    return true;
}

/* Writes a register of block @dev. True: that is complete. */
static bool ww_write(unsigned int v, unsigned int dev, uint32_t off,
                     uint32_t value)
{
    ioreq_t req = {.addr = WW_MMIO + dev * VR_MMIO_SIZE + off,
                   .data = value,
                   .count = 1,
                   .size = 4,
                   .dir = IOREQ_WRITE,
                   .type = IOREQ_TYPE_COPY};

    const unsigned int before = ww.vcpu[v].answers;

    if (!ww_access(v, &req))
        return false;
    ww_run(0);
    return ww.vcpu[v].answers != before;
}

/* Reads one; 0 when the vCPU is busy. */
static uint32_t ww_read(unsigned int v, unsigned int dev, uint32_t off)
{
    ioreq_t req = {.addr = WW_MMIO + dev * VR_MMIO_SIZE + off,
                   .count = 1,
                   .size = 4,
                   .dir = IOREQ_READ,
                   .type = IOREQ_TYPE_COPY};

    const unsigned int before = ww.vcpu[v].answers;

    if (!ww_access(v, &req))
        return 0;
    ww_run(0);
    FX_REQUIRE(ww.vcpu[v].answers != before, "a read waits");
    return ww.vcpu[v].value;
}

static void ww_queue(unsigned int v, unsigned int dev, unsigned int q,
                     uint32_t size, uint64_t desc, uint64_t avail,
                     uint64_t used)
{
    ww_write(v, dev, VR_MMIO_QUEUE_SEL, q);
    ww_write(v, dev, VR_MMIO_QUEUE_SIZE, size);
    ww_write(v, dev, VR_MMIO_QUEUE_DESC_LOW, desc);
    ww_write(v, dev, VR_MMIO_QUEUE_DESC_HIGH, desc >> 32);
    ww_write(v, dev, VR_MMIO_QUEUE_DRIVER_LOW, avail);
    ww_write(v, dev, VR_MMIO_QUEUE_DRIVER_HIGH, avail >> 32);
    ww_write(v, dev, VR_MMIO_QUEUE_DEVICE_LOW, used);
    ww_write(v, dev, VR_MMIO_QUEUE_DEVICE_HIGH, used >> 32);
    ww_write(v, dev, VR_MMIO_QUEUE_READY, 1);
}

/* Up to FEATURES_OK, with everything that is offered. */
static void ww_negotiate(unsigned int v, unsigned int dev)
{
    uint32_t i, features;

    ww_write(v, dev, VR_MMIO_STATUS, 3);
    for (i = 0; i < 2; i++) {
        ww_write(v, dev, VR_MMIO_DEVICE_FEATURES_SEL, i);
        features = ww_read(v, dev, VR_MMIO_DEVICE_FEATURES);
        ww_write(v, dev, VR_MMIO_DRIVER_FEATURES_SEL, i);
        ww_write(v, dev, VR_MMIO_DRIVER_FEATURES, features);
    }
    ww_write(v, dev, VR_MMIO_STATUS, 11);
}

/* Resets device @dev and starts it. False: the reset is not complete yet. */
static inline bool ww_start(unsigned int v, unsigned int dev)
{
    const struct vr_record_dev *rd = &ww_rec.devs[dev];
    uint64_t at = ww_npages[dev] ? rd->iova.base : rd->pool.base;

    if (!ww_write(v, dev, VR_MMIO_STATUS, 0))
        return false;
    ww_negotiate(v, dev);
    ww_queue(v, dev, 0, 16, at, at + 0x800, at + 0xa00);
    ww_write(v, dev, VR_MMIO_STATUS, 15);
    return true;
}

/* The same for the virtio-iommu, with rings and account begun anew. */
static inline bool ww_start_iommu(unsigned int v)
{
    unsigned int dev, i;

    ww.lost_track = true;
    if (!ww_write(v, WW_IOMMU, VR_MMIO_STATUS, 0) ||
        ww_read(v, WW_IOMMU, VR_MMIO_STATUS))
        return false;
    memset(fx.ram, 0, WW_LAST * VR_PAGE_SIZE);
    memset(ww.req, 0, sizeof(ww.req));
    ww.avail = ww.used = ww.kicked = 0;
    for (dev = 0; dev < WW_DEVS; dev++) {
        for (i = 0; i < ww_npages[dev]; i++) {
            struct ww_page *p = &ww.page[dev][i];

            FX_REQUIRE(p->meddled || (!p->holds && !p->reach),
                       "reset while a backend reaches a page");
            p->mapped = false;
        }
    }
    ww_negotiate(v, WW_IOMMU);
    ww_queue(v, WW_IOMMU, 0, 2 * WW_SLOTS, WW_RING, WW_RING + 0x400,
             WW_RING + 0x800);
    ww_queue(v, WW_IOMMU, 1, 4, WW_EVENTQ, WW_EVENTQ + 0x80, WW_EVENTQ + 0x100);
    ww_write(v, WW_IOMMU, VR_MMIO_STATUS, 15);
    /* A write that did not get through, since the vCPU made another access
     * meanwhile, may have been that of the features. */
    ww.lost_track = !ww_iommu()->q[VR_VIOMMU_REQUESTQ].event_idx;
    return true;
}

/* Puts a request into the queue; NULL: there is no room. @npages 0 with DETACH:
 * the whole window. The guest's domain of endpoint e is e + 1. */
static struct ww_request *ww_request(uint8_t type, unsigned int ep,
                                     uint32_t first, uint32_t npages,
                                     uint32_t frame, bool readonly)
{
    struct vr_vring_desc *desc = (struct vr_vring_desc *)fx.ram;
    uint16_t *avail = (uint16_t *)(fx.ram + 0x400);
    union {
        struct rig_attach attach;
        struct rig_detach detach;
        struct rig_map map;
        struct rig_unmap unmap;
        struct rig_probe probe;
    } in;
    struct ww_request *r = ww.req;
    size_t len = sizeof(in.attach);
    unsigned int slot;

    while (r < ww.req + WW_SLOTS && r->busy)
        r++;
    if (ww.lost_track || r == ww.req + WW_SLOTS)
        return NULL;
    slot = r - ww.req;
    memset(&in, 0, sizeof(in));
    switch (type) {
    case VR_VIOMMU_T_ATTACH:
    case VR_VIOMMU_T_DETACH:
        in.attach.domain = ep + 1;
        in.attach.endpoint = ep;
        first = 0;
        npages = ww_npages[ep];
        break;
    case VR_VIOMMU_T_MAP:
        in.map.domain = ep + 1;
        in.map.virt_start = WW_AT(ep) + first * UINT64_C(4096);
        in.map.virt_end = in.map.virt_start + npages * UINT64_C(4096) - 1;
        in.map.phys_start = (uint64_t)frame << 12;
        in.map.flags =
            VR_VIOMMU_MAP_READ | (readonly ? 0 : VR_VIOMMU_MAP_WRITE);
        len = sizeof(in.map);
        break;
    case VR_VIOMMU_T_UNMAP:
        in.unmap.domain = ep + 1;
        in.unmap.virt_start = WW_AT(ep) + first * UINT64_C(4096);
        in.unmap.virt_end = in.unmap.virt_start + npages * UINT64_C(4096) - 1;
        len = sizeof(in.unmap);
        break;
    default:
        in.probe.endpoint = ep;
        len = sizeof(in.probe);
        break;
    }
    in.attach.type = type;
    *r = (struct ww_request){.busy = true,
                             .type = type,
                             .ep = ep,
                             .first = first,
                             .npages = npages,
                             .frame = frame,
                             .readonly = readonly,
                             .status = 0xff};
    memcpy(ww_requests + slot * 1024, &in, len);
    desc[2 * slot] =
        (struct vr_vring_desc){WW_REQUEST + slot * 1024, len, 1, 2 * slot + 1};
    desc[2 * slot + 1] = (struct vr_vring_desc){
        WW_REQUEST + slot * 1024 + 128,
        type == VR_VIOMMU_T_PROBE ? VR_VIOMMU_OUT_MAX : 4, 2, 0};
    avail[2 + ww.avail++ % (2 * WW_SLOTS)] = 2 * slot;
    avail[1] = ww.avail;
    return r;
}

/* Does the device want to be told of what was added since the last time? */
static bool ww_kick_due(void)
{
    /* Behind the used ring (VIRTIO_F_EVENT_IDX). */
    const uint16_t event = ((uint16_t *)(fx.ram + 0x800))[2 + 8 * WW_SLOTS];
    const uint16_t added = ww.avail - ww.kicked;

    ww.kicked = ww.avail;
    return !ww.lost_track && (uint16_t)(ww.avail - event - 1) < added;
}

/* Tells it, by vCPU @v, if that is due and it is not busy. */
static void ww_kick(unsigned int v)
{
    const ioreq_t req = {.addr = WW_MMIO + WW_IOMMU * VR_MMIO_SIZE +
                                 VR_MMIO_QUEUE_NOTIFY,
                         .data = VR_VIOMMU_REQUESTQ,
                         .count = 1,
                         .size = 4,
                         .dir = IOREQ_WRITE,
                         .type = IOREQ_TYPE_COPY};

    if (!ww.vcpu[v].asks && ww_kick_due())
        ww_access(v, &req);
}

/* A request, and the kick, by vCPU @v. Returns the status; 0xff: none yet. */
static inline uint8_t ww_do(unsigned int v, uint8_t type, unsigned int ep,
                            uint32_t first, uint32_t npages, uint32_t frame)
{
    struct ww_request *r = ww_request(type, ep, first, npages, frame, false);

    if (!r)
        return 0xff;
    ww_kick(v);
    ww_run(0);
    return r->status;
}

/* What a driver does upon an interrupt. */
static void ww_acknowledge(unsigned int v, unsigned int dev)
{
    uint32_t isr = ww_read(v, dev, VR_MMIO_INTERRUPT_STATUS);

    if (isr)
        ww_write(v, dev, VR_MMIO_INTERRUPT_ACK, isr);
}

/* The guest writes to an entry of its grant table. */
static inline void ww_meddle(unsigned int dev, uint32_t page,
                             struct vr_gntent e)
{
    ww.page[dev][page].meddled = true;
    *ww_entry(dev, page) = e;
}

/* ---- driver domains and the hypervisor ---- */

static void ww_backend_event(unsigned int dev)
{
    if (!ww.ended[ww_driver[dev]])
        fx_event(ww_dev(dev)->unit.port);
}

/* A backend as it should be: describes its device, does what it is asked. */
static void ww_serve(unsigned int dev)
{
    static const uint8_t config[VR_CONFIG_LEN] = {0, 8};
    struct vr_ctrl_page *page = fx.ctrl[dev];
    struct vr_ctrl_request req;
    uint32_t generation;

    if (ww.ended[ww_driver[dev]])
        return;
    if (page->status != VR_CTRL_BACKEND_READY) {
        vr_ctrl_set_device(page, 0, config, sizeof(config));
        page->status = VR_CTRL_BACKEND_READY;
    }
    if (!vr_ctrl_take(page, &req, &generation))
        vr_ctrl_ack(page, generation);
    vr_ctrl_collect(&page->kick);
    ww_backend_event(dev);
}

/* It maps a page, if its entry says that it may: what Xen does then. */
static inline bool ww_take(unsigned int dev, uint32_t page, bool write)
{
    struct ww_page *p = &ww.page[dev][page];
    struct vr_gntent *e = ww_entry(dev, page);

    if (ww.ended[ww_driver[dev]] || p->holds ||
        (e->flags & VR_GTF_TYPE_MASK) != VR_GTF_PERMIT_ACCESS ||
        e->domid != ww_domid[ww_driver[dev]] ||
        (write && e->flags & VR_GTF_READONLY))
        return false;
    e->flags |= VR_GTF_READING | (write ? VR_GTF_WRITING : 0);
    p->holds = 1;
    p->reach = true;
    return true;
}

static void ww_clear_bits(unsigned int dev, uint32_t page)
{
    if (ww.page[dev][page].holds)
        ww_entry(dev, page)->flags &= ~VR_GTF_IN_USE;
    ww.page[dev][page].holds = 0;
}

static void ww_drop(unsigned int dev, uint32_t page)
{
    ww_clear_bits(dev, page);
    ww.page[dev][page].reach = false;
}

static void ww_drop_all(unsigned int dev)
{
    uint32_t i;

    for (i = 0; i < ww_npages[dev]; i++)
        ww_drop(dev, i);
}

/* ---- the supervisor ---- */

/* A driver domain has shut down, or is about to be destroyed. */
static void ww_tell_gone(unsigned int driver)
{
    unsigned int i;

    for (i = 0; i < WW_DEVS; i++)
        if (ww_driver[i] == driver && !ww.gone[driver])
            fx_tell(VR_MSG_GONE, i);
    ww.gone[driver] = true;
}

/* It is being destroyed: first of all its grants are released. What it reaches
 * by its hardware it still reaches. The worker knows of that when it has asked
 * for it, and only then (docs/revocation.md, Limits). */
static void ww_begin_end(unsigned int driver)
{
    unsigned int i;
    uint32_t n;

    ww_tell_gone(driver);
    for (i = 0; i < WW_DEVS; i++) {
        for (n = 0; ww_driver[i] == driver && n < ww_npages[i]; n++) {
            ww_clear_bits(i, n);
            ww.page[i][n].reach &= ww.asked[driver];
        }
    }
}

/* Nothing is left of it. */
static void ww_finish_end(unsigned int driver)
{
    unsigned int i;

    if (ww.ended[driver])
        return;
    ww_begin_end(driver);
    ww.ended[driver] = true;
    for (i = 0; i < WW_DEVS; i++) {
        if (ww_driver[i] != driver)
            continue;
        ww_drop_all(i);
        fx_tell(VR_MSG_DEAD, i);
    }
}

/* Does what it was asked for; an operator does the rest. */
static void ww_obey(void)
{
    unsigned int i;

    for (i = 0; i < WW_DEVS; i++) {
        if (ww.destroy[i])
            ww_finish_end(ww_driver[i]);
        else if (ww.kill[i])
            ww_drop_all(i);
        ww.kill[i] = ww.destroy[i] = false;
    }
}

/* ---- everybody behaves ---- */

/* The longest ladder: a copy's time, revoke=, a process's end, a message that
 * was lost and is repeated. */
#define WW_LADDER_MS (20 + WW_REVOKE + 1500 + 5000 + 10 * 50)

static void ww_behave(void)
{
    unsigned int dev, v;
    uint32_t i;

    fx.irq_fails = fx.socket_full = ww.pools_wait = false;
    memset(ww.pool_held, 0, sizeof(ww.pool_held));
    memset(fx.missing, 0, sizeof(fx.missing));
    for (dev = 0; dev < WW_DEVS; dev++) {
        /* What it wrote itself it takes away itself. */
        for (i = 0; i < ww_npages[dev]; i++)
            if (ww.page[dev][i].meddled && !ww.page[dev][i].holds)
                ww_entry(dev, i)->flags &= ~VR_GTF_IN_USE;
        ww_serve(dev);
    }
    ww_obey();
    ww_run(0);
    for (dev = 0; dev <= WW_DEVS; dev++)
        for (v = 0; v < FX_VCPUS; v++)
            if (!ww.vcpu[v].asks)
                ww_acknowledge(v, dev);
    for (v = 0; v < FX_VCPUS; v++)
        ww_kick(v);
    ww_run(0);
}

static bool ww_quiet(void)
{
    unsigned int i;

    for (i = 0; i < FX_VCPUS; i++)
        if (ww.vcpu[i].asks)
            return false;
    for (i = 0; i < WW_SLOTS; i++)
        if (ww.req[i].busy && !ww.lost_track &&
            vr_vq_running(&ww_iommu()->q[VR_VIOMMU_REQUESTQ]))
            return false;
    return !iommu_waiting(ww_iommu());
}

/* Whatever came before: in the end nothing is outstanding. */
static inline void ww_settle(void)
{
    const int64_t end = fx_ms() + WW_LADDER_MS;
    unsigned int i;

    while (ww_behave(), !ww_quiet()) {
        FX_REQUIRE(fx_ms() < end, "an access or a request waits for ever");
        ww_run(20);
    }
    /* No interrupt is delayed for longer. */
    ww_run(VR_PACE_MAX_NS / 1000000 + 20);
    ww_behave();
    for (i = 0; i < WW_DEVS; i++) {
        const struct device *d = ww_dev(i);

        if (d->gone)
            continue;
        FX_REQUIRE(!fx.port[d->unit.port].masked &&
                       !fx.port[d->unit.port].pending,
                   "a port that is not heard any more");
        FX_REQUIRE(!device_has_news(d), "news that nobody takes");
    }
    /* A reset of everything takes everything back. */
    ww.lost_track = true;
    for (i = 0; i <= WW_DEVS; i++) {
        ww_write(0, i, VR_MMIO_STATUS, 0);
        while (!ww_quiet()) {
            FX_REQUIRE(fx_ms() < end + 2 * WW_LADDER_MS, "a reset for ever");
            ww_run(20);
            ww_behave();
        }
    }
    ww_run(GMEM_KEEP_MS + 1);
    for (i = 0; i < WW_DEVS; i++)
        FX_REQUIRE(!vr_viommu_mapped_pages(&ww_iommu()->v, i),
                   "mapped after a reset");
    FX_REQUIRE(!fx.mapped, "the guest's memory is kept mapped");
    ww_check_rest();
}

#endif /* TEST_WORKER_WORLD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's whole worker, and around it a guest, its driver domains, the
 * hypervisor's grant table and a supervisor, which do what a test or a
 * fuzzer's input says. After each turn of the worker check() looks at what must
 * hold whatever they do; ww_settle() lets all of them behave and looks whether
 * nothing is left undone.
 *
 *   device 0  static, of driver domain 3, which others share
 *   device 1  dynamic, of driver domain 4, which is the guest's own
 *   device 2  mixed, of driver domain 3
 *   device 3  dynamic, of driver domain 4
 */
#ifndef TEST_WORKER_WORLD_H
#define TEST_WORKER_WORLD_H

#include "fakexen.h"
#include "viommu_rig.h"

#define WW_DEVS    4u
#define WW_DRIVERS 2u
#define WW_IOMMU   WW_DEVS /* its index among the register blocks */
#define WW_PAGES   80u     /* of the largest window */
#define WW_IOVA    UINT64_C(0x1000000000)
#define WW_AT(dev) (WW_IOVA + (dev)*UINT64_C(0x100000))
#define WW_POOL    UINT64_C(0x48008000) /* the pools: two frames each */
#define WW_MMIO    UINT64_C(0xfeb00000)
#define WW_REVOKE  200u
#define WW_SLOTS   8u /* requests in the queue at a time */

/* Where the guest has the virtio-iommu's rings and requests. */
#define WW_RING    (FX_RAM0 << 12)
#define WW_EVENTQ  (WW_RING + 0xc00)
#define WW_REQUEST (WW_RING + 0x1000)
#define WW_LAST    3u /* frames from here on hold nothing of that */

/* A page of a dynamic window. */
struct ww_page {
    unsigned int holds; /* the hypervisor has it mapped for the backend */
    bool writing;
    bool reach;   /* the backend's domain can reach it, whatever is shown */
    bool meddled; /* the guest has written to the entry itself */
    bool mapped;  /* by an answered request ... */
    bool readonly;
    uint32_t frame;
};

struct ww_vcpu {
    bool asks; /* its access is not answered yet */
    unsigned int dev;
    int64_t since;
    unsigned int answers;
    uint64_t value; /* of the last read */
};

struct ww_request {
    bool busy;
    uint8_t type;
    unsigned int ep;
    uint32_t first, npages, frame;
    bool readonly;
    uint8_t status; /* of the answer; 0xff: none */
};

struct ww {
    struct worker w;
    struct vr_stats stats;
    int timeout; /* the worker sleeps so long; -1: for ever */
    struct ww_vcpu vcpu[FX_VCPUS];
    struct ww_page page[WW_DEVS][WW_PAGES];

    /* the guest's driver of the virtio-iommu */
    bool lost_track; /* its rings and requests are anybody's */
    uint16_t avail, used, kicked;
    struct ww_request req[WW_SLOTS];

    /* pools: asked of the supervisor; what the backend keeps of them */
    enum { WW_POOL_IDLE, WW_POOL_ASKED, WW_POOL_RETURNS } pool[WW_DEVS];
    bool pools_wait, pool_held[WW_DEVS];

    /* driver domains */
    bool gone[WW_DRIVERS];                /* the worker was told */
    bool ended[WW_DRIVERS];               /* nothing is left of it */
    bool asked[WW_DRIVERS];               /* the worker wants it destroyed */
    bool kill[WW_DEVS], destroy[WW_DEVS]; /* asked for */
    unsigned int kills, destroys;
};

static struct ww ww;
static struct vr_record ww_rec;
static size_t ww_maps[WW_DEVS]; /* where each one's bits begin */
static uint8_t *const ww_requests = fx.ram + VR_PAGE_SIZE;

static const uint32_t ww_npages[WW_DEVS] = {0, 70, 64, 5};
/* The last window crosses from one frame of the table to the next. */
static const uint32_t ww_gref[WW_DEVS] = {0, 2048, 2118, 2557};
static const unsigned int ww_driver[WW_DEVS] = {0, 1, 0, 1};
static const uint32_t ww_domid[WW_DRIVERS] = {3, 4};

static uint32_t ww_irq(unsigned int dev)
{
    return 33 + dev;
}

static void ww_record(void)
{
    struct vr_record *r = &ww_rec;
    unsigned int i;

    if (r->ndevs)
        return;
    strcpy(r->name, "guest");
    strcpy(r->uuid, "01234567-89ab-cdef-0123-456789abcdef");
    r->domid = FX_GUEST;
    r->vcpus = FX_VCPUS;
    r->grant_frames = FX_GTFRAMES;
    r->nram = 2;
    r->ram[0] = (struct vr_record_ram){FX_RAM0, FX_RAM0 + FX_BANK};
    r->ram[1] = (struct vr_record_ram){FX_RAM1, FX_RAM1 + FX_BANK};
    r->iommu.present = true;
    r->iommu.mmio_base = WW_MMIO + WW_IOMMU * VR_MMIO_SIZE;
    r->iommu.irq = ww_irq(WW_IOMMU);
    r->ndrivers = WW_DRIVERS;
    for (i = 0; i < WW_DRIVERS; i++) {
        snprintf(r->drivers[i].name, sizeof(r->drivers[i].name), "driver%u", i);
        strcpy(r->drivers[i].uuid, r->uuid);
        r->drivers[i].domid = ww_domid[i];
        r->drivers[i].owned = i == 1;
    }
    r->ndevs = WW_DEVS;
    for (i = 0; i < WW_DEVS; i++) {
        struct vr_record_dev *d = &r->devs[i];

        snprintf(d->cfg.id, sizeof(d->cfg.id), "disk%u", i);
        d->cfg.type = VR_TYPE_BLOCK;
        d->cfg.mode = i == 0   ? VR_MODE_STATIC
                      : i == 2 ? VR_MODE_MIXED
                               : VR_MODE_DYNAMIC;
        d->cfg.queues = 2;
        d->cfg.queue_size = 16;
        d->cfg.revoke_ms = WW_REVOKE;
        d->driver = ww_driver[i];
        d->mmio_base = WW_MMIO + i * VR_MMIO_SIZE;
        d->irq = ww_irq(i);
        if (vr_cfg_has_pool(&d->cfg))
            d->pool = (struct vr_gwin){WW_POOL + i * 0x2000, 0x2000, 1024 + i};
        if (ww_npages[i])
            d->iova = (struct vr_gwin){WW_AT(i), ww_npages[i] * UINT64_C(4096),
                                       ww_gref[i]};
    }
    for (i = 0; i < WW_DEVS; i++)
        ww_maps[i] = vr_maps_offset(r, i);
}

static struct vr_gntent *ww_entry(unsigned int dev, uint32_t page)
{
    return &fx.table[ww_gref[dev] + page];
}

static bool ww_mapped_bit(unsigned int dev, uint32_t page)
{
    const struct vr_maps *maps = fx.maps;

    return vr_maps_test(maps->bits + ww_maps[dev], page);
}

/* ---- what must hold after each turn ---- */

/* Is there a MAP in the queue that may have been carried out in part? */
static bool ww_may_be(unsigned int dev, uint32_t page, uint32_t frame)
{
    unsigned int i;

    for (i = 0; i < WW_SLOTS; i++) {
        const struct ww_request *r = &ww.req[i];

        if (r->busy && r->type == VR_VIOMMU_T_MAP && r->ep == dev &&
            page - r->first < r->npages && frame == r->frame + page - r->first)
            return true;
    }
    return false;
}

static bool ww_check_page(unsigned int dev, uint32_t i)
{
    struct ww_page *p = &ww.page[dev][i];
    struct vr_gntent e = *ww_entry(dev, i);
    bool bit = ww_mapped_bit(dev, i);

    if (p->meddled && !e.flags && !bit && !p->holds)
        p->meddled = false;
    if (p->meddled)
        return bit;
    FX_REQUIRE(!e.flags == !bit, "an entry that the maps do not know of");
    if (!bit) {
        FX_REQUIRE(!p->holds, "a page in use that is not granted");
        return bit;
    }
    FX_REQUIRE(!ww.w.dev[dev].dead, "granted to a domain that is dead");
    FX_REQUIRE((e.flags & VR_GTF_TYPE_MASK) == VR_GTF_PERMIT_ACCESS,
               "an entry of another kind");
    FX_REQUIRE(e.domid == ww_domid[ww_driver[dev]],
               "granted to another domain");
    FX_REQUIRE(fx_frame(e.frame) >= 0, "a frame that is no RAM");
    if (ww.lost_track)
        return bit;
    FX_REQUIRE((p->mapped && p->frame == e.frame) || ww_may_be(dev, i, e.frame),
               "granted, but no request said so");
    FX_REQUIRE(!p->mapped || p->frame != e.frame || !p->readonly ||
                   e.flags & VR_GTF_READONLY,
               "writable, but no request said so");
    return bit;
}

static void ww_check_table(void)
{
    unsigned int dev;
    uint32_t i, n;

    for (dev = 0; dev < WW_DEVS; dev++) {
        const uint32_t mapped = vr_viommu_mapped_pages(&ww.w.iommu->v, dev);

        for (i = n = 0; i < ww_npages[dev]; i++)
            n += ww_check_page(dev, i);
        FX_REQUIRE(mapped == n || (ww.w.dev[dev].dead && mapped > n),
                   "maps and virtio-iommu disagree");
    }
}

/* What is not the worker's. That takes long: once is enough. */
static void ww_check_rest(void)
{
    unsigned int dev;
    uint32_t i;

    for (i = 0; i < VR_ARRAY_SIZE(fx.table); i++) {
        for (dev = 1; dev < WW_DEVS; dev++)
            if (i - ww_gref[dev] < ww_npages[dev])
                break;
        FX_REQUIRE(dev < WW_DEVS || !fx.table[i].flags,
                   "an entry outside of the windows");
    }
}

/* A vCPU waits only while there is a reason, and for a time that is known. */
static void ww_check_vcpu(unsigned int v)
{
    const struct ww_vcpu *vcpu = &ww.vcpu[v];
    const struct vcpu *theirs = &ww.w.vcpu[v];
    const struct device *d;

    if (fx.ioreqs[v].state == STATE_IOREQ_READY)
        return; /* it has come while the worker was at something else */
    FX_REQUIRE(vcpu->asks == theirs->held, "an access was lost");
    if (!vcpu->asks)
        return;
    if (theirs->dev == WW_IOMMU) {
        FX_REQUIRE(iommu_waiting(ww.w.iommu), "waits for the virtio-iommu");
        return;
    }
    d = &ww.w.dev[theirs->dev];
    FX_REQUIRE(vr_mmio_waiting(&d->mmio) || d->flush_until,
               "waits for nothing");
    FX_REQUIRE(fx_ms() - vcpu->since <= d->lease.patience_ms + VR_FLUSH_MS,
               "waits too long");
}

/* What comes to an interrupt that the guest did not ask for is paced. */
static void ww_check_interrupts(const struct device *d)
{
    const uint64_t most = d->stats->config_changes +
                          VR_PACE_PER_KICK * d->stats->kicks +
                          (fx.ns - FX_START) / VR_PACE_MIN_NS;

    FX_REQUIRE(fx.edges[ww_irq(d->index)] <= most + 1, "a storm of interrupts");
}

static void ww_check_device(struct device *d)
{
    const uint32_t line = ww_irq(d->index);

    ww_check_interrupts(d);
    if (vr_arch.level && !fx.irq_failed)
        FX_REQUIRE(fx.level[line] == (vr_mmio_isr(&d->mmio) != 0),
                   "the interrupt line is not what InterruptStatus says");
    if (fx.port[d->port].masked && !d->gone && !d->quiet_until && !d->owed)
        FX_REQUIRE(vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED,
                   "a port is masked for no reason");
}

/* A request was answered: the account follows. */
static void ww_answered(struct ww_request *r, uint32_t len)
{
    const uint8_t *out = ww_requests + (r - ww.req) * 1024 + 128;
    uint32_t i;

    r->busy = false;
    r->status = len >= 4 ? out[len - 4] : 0xff;
    if (r->status != VR_VIOMMU_S_OK)
        return;
    for (i = r->first; i < r->first + r->npages; i++) {
        struct ww_page *p = &ww.page[r->ep][i];

        switch (r->type) {
        case VR_VIOMMU_T_MAP:
            p->mapped = true;
            p->readonly = r->readonly;
            p->frame = r->frame + i - r->first;
            break;
        case VR_VIOMMU_T_UNMAP:
        case VR_VIOMMU_T_DETACH:
            p->mapped = false;
            FX_REQUIRE(p->meddled || (!p->holds && !p->reach),
                       "answered while a backend reaches the page");
            break;
        }
    }
}

static void ww_collect(void)
{
    const uint16_t *used = (const uint16_t *)(fx.ram + 0x800);

    while (!ww.lost_track && ww.used != used[1]) {
        const uint32_t *elem =
            (const uint32_t *)(used + 2) + 2 * (ww.used++ % (2 * WW_SLOTS));

        FX_REQUIRE(elem[0] < 2 * WW_SLOTS && !(elem[0] & 1) &&
                       ww.req[elem[0] / 2].busy,
                   "an answer to nothing");
        ww_answered(&ww.req[elem[0] / 2], elem[1]);
    }
}

static void ww_messages(void)
{
    unsigned int i;

    for (i = 0; i < fx.nsaid; i++) {
        const struct vr_msg *m = &fx.said[i];

        if (m->type == VR_MSG_GRANT)
            ww.pool[m->dev] = WW_POOL_ASKED;
        else if (m->type == VR_MSG_REVOKE)
            ww.pool[m->dev] = WW_POOL_RETURNS;
        if (m->type != VR_MSG_KILL && m->type != VR_MSG_DESTROY)
            continue;
        FX_REQUIRE(m->dev < WW_DEVS, "against a device that there is not");
        FX_REQUIRE(ww_npages[m->dev] ||
                       (m->type == VR_MSG_KILL &&
                        ww.w.dev[m->dev].lease.step > VR_LEASE_GRANTED),
                   "against a device that cannot hold anything");
        ww.kills += m->type == VR_MSG_KILL;
        ww.destroys += m->type == VR_MSG_DESTROY;
        if (m->type == VR_MSG_KILL)
            ww.kill[m->dev] = true;
        else
            ww.destroy[m->dev] = ww.asked[ww_driver[m->dev]] = true;
    }
    fx.nsaid = 0;
    for (i = 0; i < WW_DEVS && !ww.pools_wait; i++) {
        if (ww.pool[i] == WW_POOL_ASKED && !ww.gone[ww_driver[i]])
            fx_tell(VR_MSG_GRANTED, i);
        else if (ww.pool[i] == WW_POOL_RETURNS && !ww.pool_held[i])
            fx_tell(VR_MSG_REVOKED, i);
        else
            continue;
        ww.pool[i] = WW_POOL_IDLE;
    }
}

static void ww_check(void)
{
    unsigned int i;

    for (i = 0; i < FX_VCPUS; i++) {
        ioreq_t *slot = &fx.ioreqs[i];

        if (!ww.vcpu[i].asks || slot->state != STATE_IORESP_READY)
            continue;
        FX_REQUIRE(fx.port[i + 1].notified, "answered, and nobody is told");
        fx.port[i + 1].notified = 0;
        slot->state = STATE_IOREQ_NONE;
        ww.vcpu[i].value = slot->data;
        ww.vcpu[i].asks = false;
        ww.vcpu[i].answers++;
    }
    ww_collect();
    ww_messages();
    ww_check_table();
    for (i = 0; i < FX_VCPUS; i++)
        ww_check_vcpu(i);
    for (i = 0; i < WW_DEVS; i++)
        ww_check_device(&ww.w.dev[i]);
    FX_REQUIRE(fx.lines <= 100 + 10 * (fx.ns - FX_START) / 1000000000,
               "too much to say");
}

/* ---- the worker ---- */

/* Lets it run, and @ms pass. */
static void ww_run(int64_t ms)
{
    const int64_t end = fx_ms() + ms;
    int64_t last = fx_ms();
    unsigned int n, turns = 0;

    for (;;) {
        n = fx_deliver();
        if (!n && !fx.ntold) {
            /* Looking on may have taken longer. */
            if (ww.timeout < 0 || (ww.timeout && ww.timeout > end - fx_ms()))
                break;
            fx.ns += ww.timeout * INT64_C(1000000);
        }
        worker_serve(&ww.w, n != 0, fx.ntold != 0);
        ww.timeout = worker_settle(&ww.w);
        fx_unmasked();
        ww_check();
        turns = fx_ms() == last ? turns + 1 : 0;
        last = fx_ms();
        FX_REQUIRE(turns < 1000, "the worker does not come to rest");
    }
    for (n = 0; n < FX_VCPUS; n++)
        FX_REQUIRE(fx.ioreqs[n].state != STATE_IOREQ_READY,
                   "an access that nobody looks at");
    FX_REQUIRE(ww.lost_track || ww.kicked != ww.avail ||
                   !iommu_has_news(ww.w.iommu),
               "a request that nobody looks at");
    if (fx_ms() < end) {
        ww.timeout -= ww.timeout < 0 ? 0 : end - fx_ms();
        fx.ns = end * 1000000;
    }
}

static void ww_init(void)
{
    struct vr_err err;

    fx_init();
    ww_record();
    memset(&ww, 0, sizeof(ww));
    ww.lost_track = true;
    FX_REQUIRE(!worker_open(&ww.w, &ww_rec, &ww.stats, 0, &err), err.text);
    fx.nsaid = 0;
    ww.timeout = worker_settle(&ww.w);
    ww_check();
}

/* Its memory, which it keeps for as long as it lives. */
static void ww_end(void)
{
    free(ww.w.iommu->book);
    free(ww.w.iommu);
    free(fx.maps);
}

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
static bool ww_start(unsigned int v, unsigned int dev)
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
static bool ww_start_iommu(unsigned int v)
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
    ww.lost_track = false;
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
static uint8_t ww_do(unsigned int v, uint8_t type, unsigned int ep,
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
static void ww_meddle(unsigned int dev, uint32_t page, struct vr_gntent e)
{
    ww.page[dev][page].meddled = true;
    *ww_entry(dev, page) = e;
}

/* ---- driver domains and the hypervisor ---- */

static void ww_backend_event(unsigned int dev)
{
    if (!ww.ended[ww_driver[dev]])
        fx_event(ww.w.dev[dev].port);
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
static bool ww_take(unsigned int dev, uint32_t page, bool write)
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
 * by its hardware it still reaches, and the worker knows that when it has asked
 * for it. */
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
            vr_vq_running(&ww.w.iommu->q[VR_VIOMMU_REQUESTQ]))
            return false;
    return !iommu_waiting(ww.w.iommu);
}

/* Whatever came before: in the end nothing is outstanding. */
static void ww_settle(void)
{
    const int64_t end = fx_ms() + WW_LADDER_MS;
    unsigned int i;

    while (ww_behave(), !ww_quiet()) {
        FX_REQUIRE(fx_ms() < end, "an access or a request waits for ever");
        ww_run(20);
    }
    ww_run(20);
    ww_behave();
    for (i = 0; i < WW_DEVS; i++) {
        const struct device *d = &ww.w.dev[i];

        if (d->gone)
            continue;
        FX_REQUIRE(!fx.port[d->port].masked && !fx.port[d->port].pending,
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
        FX_REQUIRE(!vr_viommu_mapped_pages(&ww.w.iommu->v, i),
                   "mapped after a reset");
    FX_REQUIRE(!fx.mapped, "the guest's memory is kept mapped");
    ww_check_rest();
}

#endif /* TEST_WORKER_WORLD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's whole worker in a world (worker_world.h): the guest and its
 * devices, the account of what has happened, and what must hold whatever
 * anybody does. ww_run() lets the worker have its turns, and looks after each
 * of them.
 *
 *   device 0  static, of driver domain 3, which others share
 *   device 1  dynamic, of driver domain 4, which is the guest's own
 *   device 2  mixed, of driver domain 3
 *   device 3  dynamic, of driver domain 4
 */
#ifndef TEST_WORKER_RULES_H
#define TEST_WORKER_RULES_H

#include "libs/transport/mmio/regs.h"
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
    bool asked[WW_DRIVERS];               /* the worker has it destroyed */
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

static struct device *ww_dev(unsigned int dev)
{
    return device_at(&ww.w, dev);
}

static struct iommu *ww_iommu(void)
{
    return (struct iommu *)ww.w.unit[WW_IOMMU];
}

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
        d->cfg.type = VR_TYPE_block;
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
    FX_REQUIRE(!ww_dev(dev)->dead, "granted to a domain that is dead");
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
        const uint32_t mapped = vr_viommu_mapped_pages(&ww_iommu()->v, dev);

        for (i = n = 0; i < ww_npages[dev]; i++)
            n += ww_check_page(dev, i);
        FX_REQUIRE(mapped == n || (ww_dev(dev)->dead && mapped > n),
                   "maps and virtio-iommu disagree");
    }
}

/* What is not the worker's. That takes long: once is enough. */
static inline void ww_check_rest(void)
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
    FX_REQUIRE(vcpu->asks == (theirs->waits != NULL), "an access was lost");
    if (!vcpu->asks)
        return;
    if (theirs->waits->index == WW_IOMMU) {
        FX_REQUIRE(iommu_waiting(ww_iommu()), "waits for the virtio-iommu");
        return;
    }
    d = ww_dev(theirs->waits->index);
    FX_REQUIRE(vr_vdev_waiting(&d->unit.vdev) || d->flush_until,
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

    FX_REQUIRE(fx.edges[ww_irq(d->unit.index)] <= most + 1,
               "a storm of interrupts");
}

static void ww_check_device(struct device *d)
{
    const uint32_t line = ww_irq(d->unit.index);

    ww_check_interrupts(d);
    /* A function has messages, and a line of its own. */
    if (vr_arch.level && !fx.irq_failed && !d->unit.pci)
        FX_REQUIRE(fx.level[line] == (vr_vdev_isr(&d->unit.vdev) != 0),
                   "the interrupt line is not what InterruptStatus says");
    if (fx.port[d->unit.port].masked && !d->gone && !d->quiet_until && !d->owed)
        FX_REQUIRE(vr_vdev_isr(&d->unit.vdev) & VR_INT_USED,
                   "a port is masked for no reason");
}

/* Is there an answer to a MAP of that page behind those that were read? It is
 * the backend's again by then. */
static bool ww_mapped_since(unsigned int dev, uint32_t page)
{
    const uint16_t *used = (const uint16_t *)(fx.ram + 0x800);
    uint16_t n;

    for (n = ww.used; n != used[1]; n++) {
        const uint32_t *elem =
            (const uint32_t *)(used + 2) + 2 * (n % (2 * WW_SLOTS));
        const struct ww_request *r = &ww.req[elem[0] / 2 % WW_SLOTS];

        if (r->type == VR_VIOMMU_T_MAP && r->ep == dev &&
            page - r->first < r->npages)
            return true;
    }
    return false;
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
            FX_REQUIRE(p->meddled || (!p->holds && !p->reach) ||
                           ww_mapped_since(r->ep, i),
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
                        ww_dev(m->dev)->lease.step > VR_LEASE_GRANTED),
                   "against a device that cannot hold anything");
        ww.kills += m->type == VR_MSG_KILL;
        ww.destroys += m->type == VR_MSG_DESTROY;
        if (m->type == VR_MSG_KILL)
            ww.kill[m->dev] = true;
        else
            ww.destroy[m->dev] = true;
        /* The end of one that is shared is the operator's to bring about. */
        if (m->type == VR_MSG_DESTROY &&
            ww_rec.drivers[ww_driver[m->dev]].owned)
            ww.asked[ww_driver[m->dev]] = true;
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
        ww_check_device(ww_dev(i));
    FX_REQUIRE(fx.lines <= 100 + 10 * (fx.ns - FX_START) / 1000000000,
               "too much to say");
}

/* ---- the worker ---- */

/* Lets it run, and @ms pass. */
static inline void ww_run(int64_t ms)
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
                   !iommu_has_news(ww_iommu()),
               "a request that nobody looks at");
    if (fx_ms() < end) {
        ww.timeout -= ww.timeout < 0 ? 0 : end - fx_ms();
        fx.ns = end * 1000000;
    }
}

/* Its start, with what fx.fails names. Returns 0 or -errno with @err. */
static int ww_open(struct vr_err *err)
{
    ww_record();
    memset(&ww, 0, sizeof(ww));
    ww.lost_track = true;
    return worker_open(&ww.w, &ww_rec, &ww.stats, 0, err);
}

static inline void ww_init(void)
{
    struct vr_err err;

    fx_init();
    FX_REQUIRE(!ww_open(&err), err.text);
    fx.nsaid = 0;
    ww.timeout = worker_settle(&ww.w);
    ww_check();
}

/* Its memory, which it keeps for as long as it lives. */
static void ww_end(void)
{
    if (ww.w.unit[WW_IOMMU]) {
        free(ww_iommu()->book);
        free(ww_iommu());
    }
    if (ww.w.unit[0])
        free(ww_dev(0)); /* all devices */
    free(ww.w.bus);
    free(fx.maps);
}

#endif /* TEST_WORKER_RULES_H */

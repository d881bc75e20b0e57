/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "iommu.h"

/* A grant copy that is under way ends in so much time, or never by itself. */
#define GRACE_MS 20
/* So often is looked whether memory is free at last: each time after another
 * sixteenth of the time waited. It may be for ever, and our processor's time is
 * not the guest's. */
#define RETRY_PART   16
#define RETRY_MS_MAX 50
/* A killed process is gone in so much time, or its kernel does not answer. */
#define DESTROY_MS 1500
/* The supervisor may have missed what it was told: it is told again. */
#define AGAIN_MS 5000
/* A guest may break its queues as often as it likes, not fill our log. */
#define LOG_MS 10000
/* Fault events to the guest, per device. */
#define FAULT_PERIOD_MS 1000
#define FAULTS_MAX      10

#define QUEUE_SIZE 256
#define TRANSPORT                                                              \
    (VR_F_VERSION_1 | VR_F_INDIRECT_DESC | VR_F_EVENT_IDX | VR_F_RING_RESET)

/* ---- the page table ---- */

/*
 * A domain that is being destroyed: Xen releases its grants first and takes its
 * hardware away later. The bits say nothing until all of it is gone.
 */
static bool dying(const struct iommu *io, unsigned int ep)
{
    return io->ep[ep].step == STEP_DESTROY && !io->w->dev[ep].dead;
}

static struct vr_gntent *entries(struct iommu *io, unsigned int ep,
                                 uint32_t first)
{
    return vr_gtable_entry(&io->gt,
                           io->w->rec->devs[ep].iova.gref_base + first);
}

static uint64_t *map_bits(struct iommu *io, unsigned int ep)
{
    return io->maps->bits + vr_maps_offset(io->w->rec, ep);
}

static int on_map(void *ctx, unsigned int ep, uint32_t first, uint32_t npages,
                  uint64_t gfn, bool readonly)
{
    struct iommu *io = ctx;
    const struct vr_record *rec = io->w->rec;
    uint32_t domid = rec->drivers[rec->devs[ep].driver].domid;
    struct vr_gntent *e = entries(io, ep, first);
    uint64_t *bits = map_bits(io, ep);
    uint32_t i;

    if (!gmem_is_ram(&io->mem, gfn, npages))
        return -EINVAL;
    for (i = 0; i < npages; i++) {
        if (vr_gntent_grant(&e[i], domid, gfn + i, readonly)) {
            /* The guest has written to its own table. */
            io->stats->no_space++;
            return i ? (int)i : -EBUSY;
        }
        vr_maps_set(bits, first + i);
    }
    return 0;
}

static uint64_t on_unmap(void *ctx, unsigned int ep, uint32_t first,
                         uint32_t npages, bool now)
{
    struct iommu *io = ctx;
    struct vr_gntent *e = entries(io, ep, first);
    uint64_t *bits = map_bits(io, ep), busy = 0;
    bool wait = dying(io, ep);
    uint32_t i;

    for (i = 0; i < npages; i++) {
        if (wait || vr_gntent_revoke(&e[i]))
            busy |= UINT64_C(1) << i;
        else
            vr_maps_clear(bits, first + i);
    }
    if (busy) {
        io->ep[ep].busy = true;
        io->ep[ep].now |= now;
    }
    return busy;
}

static const struct vr_viommu_ops table_ops = {
    .map = on_map,
    .unmap = on_unmap,
};

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

/* ---- queues ---- */

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

static void broken(struct iommu *io, unsigned int i)
{
    io->stats->mmio.faults++;
    io->stats->mmio.fault_addr = io->q[i].fault_addr;
    if (!io->logged || io->w->now - io->logged >= LOG_MS) {
        io->logged = io->w->now;
        broker_log("virtio-iommu: queue %u stopped: %s (0x%" PRIx64 ")", i,
                   vr_vq_fault_text(io->q[i].fault), io->q[i].fault_addr);
    }
    vr_mmio_fail(&io->mmio, VR_FAIL_QUEUE);
}

/* Makes what was pushed visible. */
static void publish(struct iommu *io, unsigned int i)
{
    vr_vq_publish(&io->q[i]);
    if (vr_vq_should_notify(&io->q[i]))
        vr_mmio_interrupt(&io->mmio);
}

/* Copies @len bytes of @src to the writable buffers of @chain. Returns how
 * many got there. */
static uint32_t scatter(struct iommu *io, const struct vr_chain *chain,
                        const uint8_t *src, size_t len)
{
    const struct vr_buf *b = chain->buf + chain->nread;
    uint32_t done = 0;

    for (; done < len && b < chain->buf + chain->nread + chain->nwrite; b++) {
        size_t n = b->len < len - done ? b->len : len - done;

        if (gmem_write(&io->mem, b->addr, src + done, n))
            break;
        done += n;
    }
    return done;
}

/* The readable buffers' first bytes. Returns how many there are, or -errno. */
static int gather(struct iommu *io, const struct vr_chain *chain, uint8_t *dst,
                  size_t size)
{
    size_t done = 0;
    unsigned int i;

    for (i = 0; i < chain->nread && done < size; i++) {
        const struct vr_buf *b = &chain->buf[i];
        size_t n = b->len < size - done ? b->len : size - done;
        int rc = gmem_read(&io->mem, b->addr, dst + done, n);

        if (rc)
            return rc;
        done += n;
    }
    return done;
}

/* ---- requests ---- */

static void count(struct iommu *io, const uint8_t *out, size_t used)
{
    struct vr_stats_iommu *s = io->stats;

    s->requests++;
    if (!used)
        s->malformed++;
    else if (out[used - 4] != VR_VIOMMU_S_OK)
        s->refused++;
    else if (io->in[0] == VR_VIOMMU_T_MAP)
        s->maps++;
    else if (io->in[0] == VR_VIOMMU_T_UNMAP)
        s->unmaps++;
}

/* What the requests have changed, for the devices and the operator. */
static void follow_endpoints(struct iommu *io)
{
    struct worker *w = io->w;
    unsigned int i;

    for (i = 0; i < w->ndevs; i++) {
        bool attached = vr_viommu_attached(&io->v, i);

        if (!vr_cfg_has_iova(&w->rec->devs[i].cfg))
            continue;
        /* Nor may a device be started whose backend is to let go: it would
         * take the pages again, and be killed for it. */
        vr_mmio_attach(&w->dev[i].mmio, attached && io->ep[i].step < STEP_STOP);
        io->stats->ep[i].attached = attached;
        io->stats->ep[i].pages = vr_viommu_mapped_pages(&io->v, i);
        io->stats->ep[i].pages_max = vr_viommu_peak_pages(&io->v, i);
    }
}

/* Memory is wanted back that is in use. */
static void begin_wait(struct iommu *io)
{
    if (io->wait_since)
        return;
    io->wait_since = io->w->now;
    io->stats->waits++;
}

static void end_wait(struct iommu *io)
{
    uint64_t ms = io->w->now - io->wait_since;

    if (!io->wait_since)
        return;
    io->wait_since = 0;
    if (ms > io->stats->longest_wait_ms)
        io->stats->longest_wait_ms = ms;
}

/* Carries out the request in io->in. False: it waits. */
static bool execute(struct iommu *io)
{
    uint8_t out[VR_VIOMMU_OUT_MAX];
    enum vr_viommu_result result;
    size_t used = 0;

    vr_maps_begin(io->maps);
    result = vr_viommu_request(&io->v, io->in, io->in_len, out,
                               io->chain.write_len, &used);
    vr_maps_end(io->maps);
    io->pending = result == VR_VIOMMU_PENDING;
    if (io->pending) {
        begin_wait(io);
        return false;
    }
    end_wait(io);
    count(io, out, used);
    vr_vq_push(&io->q[VR_VIOMMU_REQUESTQ], io->chain.head,
               scatter(io, &io->chain, out, used));
    return true;
}

/*
 * All that is there, as one batch, but no more than a queue's worth: a guest
 * that goes on adding from another vCPU has to wait for its turn like others.
 */
static void serve_requests(struct iommu *io)
{
    struct vr_vq *q = &io->q[VR_VIOMMU_REQUESTQ];
    unsigned int n;
    int r = 0;

    io->kicked = false;
    if (io->pending || io->resetting || !vr_vq_running(q))
        return;
    io->stats->batches++;
    for (n = 0; n < QUEUE_SIZE && !io->pending; n++) {
        r = vr_vq_pop(q, &io->chain);
        if (r <= 0)
            break;
        r = gather(io, &io->chain, io->in, sizeof(io->in));
        if (r < 0) {
            vr_vq_break(q, VR_VQ_OUTSIDE, io->chain.buf[0].addr);
            break;
        }
        io->in_len = r;
        execute(io);
    }
    follow_endpoints(io);
    if (!vr_vq_running(q)) {
        broken(io, VR_VIOMMU_REQUESTQ);
        return;
    }
    publish(io, VR_VIOMMU_REQUESTQ);
    io->deaf = true;
    io->kicked = !io->pending && n == QUEUE_SIZE;
}

/* ---- what the driver has set up ---- */

static void step_down(struct iommu *io, unsigned int ep)
{
    if (!dying(io, ep))
        io->ep[ep].step = STEP_NONE;
}

static void stop_queue(struct iommu *io, unsigned int i)
{
    unsigned int ep;

    vr_vq_stop(&io->q[i]);
    io->epoch[i] = 0;
    if (i != VR_VIOMMU_REQUESTQ || !io->pending)
        return;
    /* Nobody waits for its answer any more; what it took is taken. */
    io->pending = false;
    end_wait(io);
    /* The next one to wait begins at the ladder's foot. */
    for (ep = 0; ep < io->w->ndevs; ep++)
        step_down(io, ep);
}

static void start_queue(struct iommu *io, unsigned int i)
{
    if (vr_vq_start(&io->q[i], &io->ram, &io->req.q[i], io->req.features,
                    NULL)) {
        broken(io, i);
        return;
    }
    io->epoch[i] = io->req.q[i].epoch;
    if (i == VR_VIOMMU_REQUESTQ)
        io->deaf = true;
}

/* A virtio-iommu that is not served maps nothing. False: not yet. */
static bool take_all(struct iommu *io)
{
    enum vr_viommu_result result;

    vr_maps_begin(io->maps);
    result = vr_viommu_reset(&io->v);
    vr_maps_end(io->maps);
    follow_endpoints(io);
    io->resetting = result == VR_VIOMMU_PENDING;
    if (io->resetting)
        begin_wait(io);
    else
        end_wait(io);
    return !io->resetting;
}

/* Brings the queues to where the driver wants them. */
static void follow_driver(struct iommu *io)
{
    unsigned int i;

    io->changed = false;
    for (i = 0; i < VR_VIOMMU_NQUEUES; i++)
        if (io->epoch[i] && io->epoch[i] != io->req.q[i].epoch)
            stop_queue(io, i);
    if (!io->req.run) {
        if (take_all(io))
            vr_mmio_quiesced(&io->mmio);
        return;
    }
    vr_viommu_negotiated(&io->v, io->req.features);
    for (i = 0; i < VR_VIOMMU_NQUEUES && !io->changed; i++)
        if (io->req.q[i].epoch && !io->epoch[i])
            start_queue(io, i);
    /* A request that came meanwhile is not followed yet. */
    if (!io->changed)
        vr_mmio_quiesced(&io->mmio);
}

void iommu_work(struct iommu *io)
{
    /* A queue that turns out to be broken changes the request once more. */
    while (io->changed)
        follow_driver(io);
    if (io->kicked)
        serve_requests(io);
    while (io->changed)
        follow_driver(io);
    if (!io->flush_at && io->mem.used)
        io->flush_at = io->w->now + GMEM_KEEP_MS;
}

bool iommu_has_news(const struct iommu *io)
{
    return !io->pending && !io->resetting &&
           vr_vq_pending(&io->q[VR_VIOMMU_REQUESTQ]);
}

void iommu_serve_news(struct iommu *io)
{
    io->kicked = true;
    iommu_work(io);
}

void iommu_hear(struct iommu *io)
{
    struct vr_vq *q = &io->q[VR_VIOMMU_REQUESTQ];

    if (!io->deaf || io->pending || io->resetting || !vr_vq_running(q))
        return;
    io->deaf = false;
    io->kicked |= vr_vq_enable_kicks(q);
}

bool iommu_waiting(const struct iommu *io)
{
    return io->pending || io->resetting || vr_mmio_waiting(&io->mmio);
}

/* ---- a backend in the way ---- */

static void take_step(struct iommu *io, unsigned int i, enum iommu_step step)
{
    io->ep[i].step = step;
    io->ep[i].since = io->w->now;
}

static void climb(struct iommu *io, unsigned int i)
{
    const struct vr_record_dev *rd = &io->w->rec->devs[i];
    const struct vr_record_driver *drv = &io->w->rec->drivers[rd->driver];
    const struct vr_dev_cfg *cfg = &rd->cfg;
    struct device *d = &io->w->dev[i];
    struct iommu_ep *ep = &io->ep[i];
    int64_t past = io->w->now - ep->since;

    switch (ep->step) {
    case STEP_NONE:
        take_step(io, i, STEP_WAIT);
        if (!ep->now)
            return;
        /* fall through */
    case STEP_WAIT:
        if (!ep->now && past < GRACE_MS)
            return;
        io->stats->stops++;
        take_step(io, i, STEP_STOP);
        vr_mmio_attach(&d->mmio, false);
        vr_mmio_fail(&d->mmio, VR_FAIL_REVOKED);
        vcpu_release(d);
        return;
    case STEP_STOP:
        if (past < cfg->revoke_ms)
            return;
        io->stats->kills++;
        broker_log("device %s: its backend holds memory that the guest has "
                   "taken away: killing it",
                   cfg->id);
        device_tell(d, VR_MSG_KILL);
        take_step(io, i, STEP_KILL);
        return;
    case STEP_KILL:
        if (past < DESTROY_MS)
            return;
        io->stats->destroys += drv->owned;
        broker_log("device %s: its backend holds on", cfg->id);
        device_tell(d, VR_MSG_DESTROY);
        take_step(io, i, drv->owned ? STEP_DESTROY : STEP_STUCK);
        return;
    case STEP_STUCK:
    case STEP_DESTROY:
        if (past < AGAIN_MS)
            return;
        device_tell(d, VR_MSG_DESTROY);
        take_step(io, i, ep->step);
        return;
    }
}

/* Looks again whether what is wanted back has become free. */
static void retry(struct iommu *io)
{
    unsigned int i;

    for (i = 0; i < io->w->ndevs; i++)
        io->ep[i].busy = io->ep[i].now = false;
    if (io->resetting) {
        if (take_all(io))
            vr_mmio_quiesced(&io->mmio);
    } else if (io->pending && execute(io)) {
        publish(io, VR_VIOMMU_REQUESTQ);
        io->kicked = true; /* those behind it */
    }
    for (i = 0; i < io->w->ndevs; i++) {
        if (io->ep[i].busy)
            climb(io, i);
        else
            step_down(io, i);
    }
    follow_endpoints(io);
}

void iommu_timers(struct iommu *io)
{
    if (io->wait_since)
        retry(io);
    if (io->kicked || io->changed)
        iommu_work(io);
    if (!iommu_waiting(io))
        vcpu_finish(io->w, io->w->ndevs);
    if (io->flush_at && io->flush_at <= io->w->now) {
        io->flush_at = 0;
        gmem_flush(&io->mem);
    }
}

int64_t iommu_next(const struct iommu *io)
{
    int64_t ms;

    if (io->kicked || io->changed)
        return io->w->now;
    if (!io->wait_since)
        return io->flush_at;
    ms = (io->w->now - io->wait_since) / RETRY_PART + 1;
    return io->w->now + (ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX);
}

/* ---- faults ---- */

static bool may_report(struct iommu *io, struct iommu_ep *ep)
{
    if (io->w->now - ep->fault_period >= FAULT_PERIOD_MS) {
        ep->fault_period = io->w->now;
        ep->faults = 0;
    }
    return ep->faults++ < FAULTS_MAX;
}

static bool report(struct iommu *io, unsigned int i, uint32_t flags,
                   uint64_t addr)
{
    struct vr_vq *q = &io->q[VR_VIOMMU_EVENTQ];
    uint8_t event[VR_VIOMMU_FAULT_LEN];
    struct vr_chain chain;
    size_t len;

    if (vr_vq_pop(q, &chain) <= 0) {
        if (q->fault)
            broken(io, VR_VIOMMU_EVENTQ);
        return false;
    }
    len = vr_viommu_fault(&io->v, i, flags | VR_VIOMMU_FAULT_ADDRESS, addr,
                          event, chain.write_len);
    vr_vq_push(q, chain.head, scatter(io, &chain, event, len));
    publish(io, VR_VIOMMU_EVENTQ);
    return len != 0;
}

void iommu_backend_fault(struct iommu *io, const struct device *d)
{
    struct iommu_ep *ep = &io->ep[d->index];
    const struct vr_ctrl_counters *c = &d->page->counters;
    uint64_t faults = __atomic_load_n(&c->faults, __ATOMIC_ACQUIRE);
    uint64_t addr = __atomic_load_n(&c->fault_addr, __ATOMIC_RELAXED);
    uint64_t access = __atomic_load_n(&c->fault_access, __ATOMIC_RELAXED);

    if (faults == ep->fault_seen)
        return;
    ep->fault_seen = faults;
    if (may_report(io, ep) &&
        report(io, d->index,
               access & (VR_CTRL_FAULT_READ | VR_CTRL_FAULT_WRITE), addr))
        io->stats->faults_sent++;
    else
        io->stats->faults_dropped++;
    while (io->changed)
        follow_driver(io);
}

/* ---- start ---- */

/* The dynamic windows of all devices, as one range of references. */
static int map_table(struct iommu *io, xenforeignmemory_handle *fm,
                     struct vr_err *err)
{
    const struct vr_record *rec = io->w->rec;
    uint32_t first = UINT32_MAX, end = 0;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        const struct vr_gwin *win =
            vr_record_window(&rec->devs[i], VR_WINDOW_IOVA);
        uint32_t last;

        if (!win)
            continue;
        last = win->gref_base + vr_gwin_pages(win) - 1;
        if (win->gref_base / VR_GNTENT_PER_FRAME < first)
            first = win->gref_base / VR_GNTENT_PER_FRAME;
        if (last / VR_GNTENT_PER_FRAME >= end)
            end = last / VR_GNTENT_PER_FRAME + 1;
    }
    return vr_gtable_map(&io->gt, fm, rec->domid, first, end - first, true,
                         err);
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
    rc = vr_viommu_init(&io->v, &desc, &table_ops, io, io->book, size);
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
    io->maps = vr_maps_open(w->rec, true);
    if (!io->maps) {
        rc = errno ? -errno : -EIO;
        vr_err_set(err, "broker: cannot make %s/%s.maps: %s", VR_RUN_DIR,
                   w->rec->uuid, strerror(-rc));
        goto out;
    }
    rc = map_table(io, fm, err);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-iommu as a unit of the worker: its queues and the requests in
 * them, faults of the devices behind it, what is due when. Nothing here blocks:
 * a request that has to wait is looked at again when it is due.
 */
#include <inttypes.h>

#include "iommu_int.h"

/* How often a request that waits is tried again: after another sixteenth of the
 * time that it has waited, 50 ms at the most. It may wait for ever, and our
 * processor's time is not the guest's. */
#define RETRY_PART   16
#define RETRY_MS_MAX 50

/* A guest may break its queues as often as it likes, not fill our log. */
#define LOG_MS 10000
/* Fault events to the guest, per device. */
#define FAULT_PERIOD_MS 1000
#define FAULTS_MAX      10

static struct iommu *of(struct unit *u)
{
    return (struct iommu *)u;
}

/* ---- queues ---- */

static void broken(struct iommu *io, unsigned int i)
{
    io->stats->vdev.faults++;
    io->stats->vdev.fault_addr = io->q[i].fault_addr;
    if (!io->logged || io->unit.w->now - io->logged >= LOG_MS) {
        io->logged = io->unit.w->now;
        broker_log("virtio-iommu: queue %u stopped: %s (0x%" PRIx64 ")", i,
                   vr_vq_fault_text(io->q[i].fault), io->q[i].fault_addr);
    }
    vr_vdev_fail(&io->unit.vdev, VR_FAIL_QUEUE);
}

/* Makes what was pushed visible. */
static void push(struct iommu *io, unsigned int i)
{
    vr_vq_publish(&io->q[i]);
    if (vr_vq_should_notify(&io->q[i]))
        vr_vdev_interrupt(&io->unit.vdev, UINT32_C(1) << i);
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
    const struct vr_record *rec = io->unit.w->rec;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        bool attached = vr_viommu_attached(&io->v, i);

        if (!vr_cfg_has_iova(&rec->devs[i].cfg))
            continue;
        /* Nor may a device be started whose backend is to let go: it would
         * take the pages again, and be killed for it. */
        device_attach(io->ep[i].dev, attached &&
                                         io->ladder.ep[i].step < VR_STEP_STOP &&
                                         !iommu_dying(io, i));
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
    io->wait_since = io->unit.w->now;
    io->stats->waits++;
}

static void end_wait(struct iommu *io)
{
    uint64_t ms = io->unit.w->now - io->wait_since;

    if (!io->wait_since)
        return;
    io->wait_since = 0;
    io->stats->waited_ms += ms;
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
        if (!execute(io))
            iommu_climb(io);
    }
    follow_endpoints(io);
    if (!vr_vq_running(q)) {
        broken(io, VR_VIOMMU_REQUESTQ);
        return;
    }
    push(io, VR_VIOMMU_REQUESTQ);
    io->deaf = true;
    io->kicked = !io->pending && n == QUEUE_SIZE;
}

/* ---- what the driver has set up ---- */

static void stop_queue(struct iommu *io, unsigned int i)
{
    vr_vq_stop(&io->q[i]);
    io->epoch[i] = 0;
    if (i != VR_VIOMMU_REQUESTQ || !io->pending)
        return;
    /* Nobody waits for its answer any more; what it took is taken. */
    io->pending = false;
    end_wait(io);
    /* The next one to wait begins at the ladder's foot. */
    iommu_step_down(io);
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
            vr_vdev_quiesced(&io->unit.vdev);
        else
            iommu_climb(io);
        return;
    }
    vr_viommu_negotiated(&io->v, io->req.features);
    for (i = 0; i < VR_VIOMMU_NQUEUES && !io->changed; i++)
        if (io->req.q[i].epoch && !io->epoch[i])
            start_queue(io, i);
    /* A request that came meanwhile is not followed yet. */
    if (!io->changed)
        vr_vdev_quiesced(&io->unit.vdev);
}

/* After an access to its registers: follows what the driver wants, and
 * processes requests. */
static void work(struct iommu *io)
{
    /* A queue that turns out to be broken changes the request once more. */
    while (io->changed)
        follow_driver(io);
    if (io->kicked)
        serve_requests(io);
    while (io->changed)
        follow_driver(io);
    if (!io->flush_at && io->mem.used)
        io->flush_at = io->unit.w->now + GMEM_KEEP_MS;
}

bool iommu_has_news(const struct iommu *io)
{
    return !io->pending && !io->resetting &&
           vr_vq_pending(&io->q[VR_VIOMMU_REQUESTQ]);
}

static bool iommu_poll(struct unit *u)
{
    struct iommu *io = of(u);

    if (!iommu_has_news(io))
        return false;
    io->kicked = true;
    work(io);
    return true;
}

/*
 * Has the driver kick from now on. While we are awake it need not: each kick is
 * an exit that says what we see anyway. What came meanwhile makes iommu_due()
 * due at once.
 */
static void iommu_hear(struct unit *u)
{
    struct iommu *io = of(u);
    struct vr_vq *q = &io->q[VR_VIOMMU_REQUESTQ];

    if (!io->deaf || io->pending || io->resetting || !vr_vq_running(q))
        return;
    io->deaf = false;
    io->kicked |= vr_vq_enable_kicks(q);
}

bool iommu_waiting(const struct iommu *io)
{
    return io->pending || io->resetting || vr_vdev_waiting(&io->unit.vdev);
}

/* Only the vCPU that asked for memory to be taken away waits until it is. */
static void iommu_access(struct unit *u, unsigned int v)
{
    struct iommu *io = of(u);
    const bool waited = io->pending;
    bool done = vcpu_access(u, v);

    work(io);
    done |= !vr_vdev_waiting(&u->vdev);
    vcpu_answer(u, v, done && (waited || !io->pending));
    if (!iommu_waiting(io))
        vcpu_finish(u);
}

/* Looks again whether what is wanted back has become free. */
static void retry(struct iommu *io)
{
    if (io->resetting) {
        if (take_all(io))
            vr_vdev_quiesced(&io->unit.vdev);
    } else if (io->pending && execute(io)) {
        push(io, VR_VIOMMU_REQUESTQ);
        io->kicked = true; /* those behind it */
    }
    iommu_climb(io);
    follow_endpoints(io);
}

static void iommu_due(struct unit *u, bool count)
{
    struct iommu *io = of(u);

    (void)count;
    if (io->wait_since)
        retry(io);
    if (io->kicked || io->changed)
        work(io);
    if (!iommu_waiting(io))
        vcpu_finish(u);
    if (io->flush_at && io->flush_at <= io->unit.w->now) {
        io->flush_at = 0;
        gmem_flush(&io->mem);
    }
}

static int64_t next_ms(const struct iommu *io)
{
    int64_t ms;

    if (io->kicked || io->changed)
        return io->unit.w->now;
    if (!io->wait_since)
        return io->flush_at;
    ms = (io->unit.w->now - io->wait_since) / RETRY_PART + 1;
    return io->unit.w->now + (ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX);
}

static int64_t iommu_left(const struct unit *u)
{
    return worker_until(u->w, next_ms((const struct iommu *)u));
}

const struct unit_ops iommu_unit = {
    .access = iommu_access,
    .poll = iommu_poll,
    .due = iommu_due,
    .left = iommu_left,
    .hear = iommu_hear,
};

/* ---- what the register model asks for ---- */

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

    unit_irq(&io->unit, level);
}

const struct vr_vdev_ops iommu_regs = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
};

/* ---- the guest's memory, as the queues see it ---- */

void *iommu_ring_map(void *ctx, uint64_t addr, uint64_t len, bool write)
{
    struct iommu *io = ctx;

    (void)write;
    return gmem_map(&io->mem, addr, len);
}

void iommu_ring_unmap(void *ctx, void *p, uint64_t len)
{
    struct iommu *io = ctx;

    gmem_unmap(&io->mem, p, len);
}

const void *iommu_table_fetch(void *ctx, uint64_t addr, uint64_t len)
{
    struct iommu *io = ctx;

    return gmem_read(&io->mem, addr, io->table, len) ? NULL : io->table;
}

/* ---- faults ---- */

static bool may_report(struct iommu *io, struct iommu_ep *ep)
{
    if (io->unit.w->now - ep->fault_period >= FAULT_PERIOD_MS) {
        ep->fault_period = io->unit.w->now;
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
    push(io, VR_VIOMMU_EVENTQ);
    return len != 0;
}

static void on_fault(void *ctx, const struct device *d)
{
    struct iommu *io = ctx;
    struct iommu_ep *ep = &io->ep[d->unit.index];
    const struct vr_ctrl_counters *c = &d->page->counters;
    uint64_t faults = __atomic_load_n(&c->faults, __ATOMIC_ACQUIRE);
    uint64_t addr = __atomic_load_n(&c->fault_addr, __ATOMIC_RELAXED);
    uint64_t access = __atomic_load_n(&c->fault_access, __ATOMIC_RELAXED);

    if (faults == ep->fault_seen)
        return;
    ep->fault_seen = faults;
    if (may_report(io, ep) &&
        report(io, d->unit.index,
               access & (VR_CTRL_FAULT_READ | VR_CTRL_FAULT_WRITE), addr))
        io->stats->faults_sent++;
    else
        io->stats->faults_dropped++;
    while (io->changed)
        follow_driver(io);
}

static void on_dead(void *ctx, const struct device *d)
{
    iommu_table_dead(ctx, d->unit.index);
}

const struct device_iommu iommu_devices = {
    .fault = on_fault,
    .dead = on_dead,
};

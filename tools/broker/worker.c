/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker: turns the guest's trapped accesses into calls of the register
 * model, and what the model asks for into events and interrupts.
 *
 * It waits at one place, in worker_run(). All that happens on a wake-up is in
 * serve_ports() and serve_timers(), which do not block. Before it sleeps it
 * may look on for some microseconds (watch()): a guest's accesses come in
 * groups, and to be woken costs more than to answer.
 *
 * Three kinds of events come by event channel:
 *   - a vCPU's: its slot of the ioreq page holds a request;
 *   - a backend's: look at its control page;
 * and the supervisor's messages by socket.
 *
 * A port is masked by the kernel when its event is read and has to be unmasked
 * to be heard again, which happens only before the worker sleeps: while it
 * looks by itself no event interrupts it. What came meanwhile is delivered by
 * the unmasking. That is also the brake on a hostile backend: its port stays
 * masked as long as the guest has an interrupt to acknowledge (what the
 * backend has to say can wait in the control page), and for a while when its
 * events turn out to be about nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* First: it asks Xen's public headers for the toolstack's part. */
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xen/memory.h>
#include <xen/hvm/hvm_op.h>

#include "arch.h"
#include "broker.h"
#include "ioreq.h"

/* One page of requests is one page of vCPUs. */
#define MAX_VCPUS (VR_PAGE_SIZE / sizeof(ioreq_t))
/* Ports read or unmasked by one system call. */
#define BATCH 32

/* How often a backend that is not there yet (or again) is looked for; it may
 * come without an event, when the broker was not listening. */
#define SEEK_MS     200
#define COUNTERS_MS 1000
/* A backend in use is asked so often whether it is there (a driver domain that
 * was paused or has panicked causes no event on Arm), and has so long to
 * answer before the operator hears of it. */
#define PING_MS   5000
#define SILENT_MS 4000
/* So many events about nothing in a period, then silence for a period. */
#define IDLE_EVENTS 64
#define THROTTLE_MS 10
/* At most so often does the supervisor hear of one device. */
#define TELL_MS 1000

/* Looking on before sleeping: however long that pays, and whatever poll= says,
 * the descriptors and timers have their turn so often. */
#define LOOK_MS 5
#define LOOK_NS (LOOK_MS * INT64_C(1000000))
/* After looking in vain so many occasions are let pass at the most. */
#define SKIP_MAX 255

struct worker;

struct device {
    struct worker *w;
    unsigned int index;
    struct vr_mmio mmio;
    struct vr_stats_dev *stats;
    struct vr_ctrl_page *page; /* shared with the backend */
    evtchn_port_t port;
    uint32_t irq;

    uint32_t generation; /* of the last request; 0: none */
    bool acked;          /* it was acknowledged */
    uint32_t backend;    /* enum vr_ctrl_status, as last acted upon */
    uint32_t described;  /* config_generation taken */
    bool seek;           /* look again at the page before long */
    bool connected;      /* the supervisor knows */
    bool invalid;        /* ... that the description is bad */
    bool gone;

    bool masked;
    bool excused;        /* watch() has seen what its next event is about */
    int64_t hold_until;  /* a vCPU waits: its time limit; 0: none */
    int64_t quiet_until; /* throttled; 0: not */
    int64_t period;
    unsigned int idle_events;

    int64_t ping_at;  /* of the last question; 0: none */
    int64_t ping_due; /* when to look after it again; 0: never */
    enum vr_fail told;
    int64_t told_at;
};

struct vcpu {
    evtchn_port_t port;
    bool masked;
    bool held;
    unsigned int dev; /* of which device a write is incomplete */
    ioreq_t req;      /* the private copy of it */
};

struct worker {
    const struct vr_record *rec;
    struct vr_stats *stats;
    const struct vr_arch *arch;
    int sock;

    xendevicemodel_handle *dm;
    xenevtchn_handle *xce;
    int evtchn_fd;
    shared_iopage_t *ioreqs;

    unsigned int ndevs;
    struct device dev[VR_MAX_DEVICES];
    struct ioreq_dev map[VR_MAX_DEVICES];
    unsigned int nvcpus;
    struct vcpu vcpu[MAX_VCPUS];

    evtchn_port_t unmask[BATCH];
    unsigned int nunmask;

    int64_t poll_ns;      /* how long to look on; 0: never */
    int64_t looked;       /* when the descriptors were last looked at, ms */
    unsigned int skip;    /* occasions not to be used */
    unsigned int penalty; /* how many after the next failure */

    int64_t now;         /* when this wake-up began */
    int64_t counters_at; /* 0: nothing has happened since the last copy */
    bool irq_error;
};

/* ---- ports ---- */

/* The library unmasks one port a call, the kernel takes any number. */
static void flush_unmask(struct worker *w)
{
    size_t len = w->nunmask * sizeof(w->unmask[0]);

    if (len && write(w->evtchn_fd, w->unmask, len) != (ssize_t)len)
        broker_log("worker: cannot unmask event channels: %s", strerror(errno));
    w->nunmask = 0;
}

static void unmask(struct worker *w, evtchn_port_t port)
{
    if (w->nunmask == BATCH)
        flush_unmask(w);
    w->unmask[w->nunmask++] = port;
}

static void notify_backend(struct device *d)
{
    d->stats->kick_events++;
    /* Nobody at the other end: Xen drops it, which is what we want. */
    xenevtchn_notify(d->w->xce, d->port);
}

/* ---- what the model asks for ---- */

static void on_notify(void *ctx, unsigned int queue)
{
    struct device *d = ctx;

    if (vr_ctrl_post(&d->page->kick, UINT64_C(1) << queue))
        notify_backend(d);
}

static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    struct device *d = ctx;

    d->generation = vr_ctrl_publish(d->page, req);
    d->acked = false;
    notify_backend(d);
}

static void on_irq(void *ctx, bool level)
{
    struct device *d = ctx;
    struct worker *w = d->w;

    if (!level && !w->arch->level)
        return;
    if (!w->arch->irq(w->dm, w->rec->domid, d->irq, level) || w->irq_error)
        return;
    w->irq_error = true;
    broker_log("device %s: cannot raise interrupt %" PRIu32 ": %s",
               w->rec->devs[d->index].cfg.id, d->irq, strerror(errno));
}

static const struct vr_mmio_ops ops = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
};

/* ---- vCPUs ---- */

static void vcpu_done(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];

    if (w->vcpu[v].req.dir == IOREQ_READ)
        slot->data = w->vcpu[v].req.data;
    /* The answer before the state (Xen reads them the other way round). */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    slot->state = STATE_IORESP_READY;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    xenevtchn_notify(w->xce, w->vcpu[v].port);
}

/* Lets go of the vCPUs whose writes have become complete. */
static void release(struct device *d)
{
    struct worker *w = d->w;
    unsigned int v;

    if (!d->hold_until || vr_mmio_waiting(&d->mmio))
        return;
    d->hold_until = 0;
    for (v = 0; v < w->nvcpus; v++) {
        if (!w->vcpu[v].held || w->vcpu[v].dev != d->index)
            continue;
        w->vcpu[v].held = false;
        vcpu_done(w, v);
    }
}

/* ---- backends ---- */

/* Is the port to be heard? See the comment at the top. */
static void rearm(struct device *d)
{
    /* First of all, or a guest that acknowledges nothing keeps us awake. */
    if (d->quiet_until <= d->w->now)
        d->quiet_until = 0;
    if (!d->masked || d->gone || d->quiet_until)
        return;
    if (vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED && !vr_mmio_unquiet(&d->mmio))
        return;
    d->masked = false;
    unmask(d->w, d->port);
}

/*
 * Used buffers. What is posted while the guest has an interrupt to
 * acknowledge stays in the page until it has: no driver, in whichever order it
 * handles and acknowledges, loses it.
 */
static bool collect(struct device *d)
{
    uint64_t queues;

    if (vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED)
        return false;
    queues = vr_ctrl_collect(&d->page->intr);
    if (!(queues & vr_mmio_queues(&d->mmio)))
        return false;
    vr_mmio_interrupt(&d->mmio);
    return true;
}

static bool take_ack(struct device *d)
{
    if (d->acked || !d->generation || !vr_ctrl_acked(d->page, d->generation))
        return false;
    d->acked = true;
    vr_mmio_quiesced(&d->mmio);
    release(d);
    return true;
}

static void tell(struct device *d, enum vr_msg_type type)
{
    struct vr_msg msg = {.type = type, .dev = d->index};

    broker_msg_send(d->w->sock, &msg);
}

/* The backend has come back: what was kicked meanwhile may have been lost. */
static void kick_all(struct device *d)
{
    uint32_t queues = vr_mmio_queues(&d->mmio);

    if (!queues)
        return;
    vr_ctrl_post(&d->page->kick, queues);
    notify_backend(d);
}

static bool take_description(struct device *d)
{
    struct vr_ctrl_device dev;
    int rc = vr_ctrl_take_device(d->page, &dev);

    if (rc == -EAGAIN) {
        d->seek = true;
        return false;
    }
    if (rc) {
        if (!d->invalid) {
            d->invalid = true;
            tell(d, VR_MSG_INVALID);
        }
        vr_mmio_fail(&d->mmio, VR_FAIL_BACKEND);
        release(d);
        return true;
    }
    d->invalid = false;
    d->described = dev.config_generation;
    vr_mmio_set_device(&d->mmio, dev.features, dev.config, dev.config_len);
    if (d->backend != VR_CTRL_BACKEND_READY) {
        d->backend = VR_CTRL_BACKEND_READY;
        if (d->connected)
            kick_all(d);
    }
    if (!d->connected) {
        d->connected = true;
        tell(d, VR_MSG_CONNECTED);
    }
    return true;
}

static bool take_status(struct device *d)
{
    uint32_t status = __atomic_load_n(&d->page->status, __ATOMIC_ACQUIRE);
    uint32_t version =
        __atomic_load_n(&d->page->dev.config_generation, __ATOMIC_ACQUIRE);
    bool change = status != d->backend;

    d->seek = status != VR_CTRL_BACKEND_READY;
    d->stats->backend = status;
    if (status == VR_CTRL_BACKEND_READY) {
        if (change || version != d->described)
            return take_description(d);
        return false;
    }
    if (!change)
        return false;
    d->backend = status;
    if (status == VR_CTRL_BACKEND_FAILED) {
        vr_mmio_fail(&d->mmio, VR_FAIL_BACKEND);
        release(d);
    }
    /* Absent: the guest's requests wait for a new backend process. */
    return true;
}

/* Looks at all that the backend may have written. */
static void look(struct device *d)
{
    if (d->gone)
        return;
    take_status(d);
    take_ack(d);
    collect(d);
}

/* Returns whether it was about something. */
static bool backend_event(struct device *d)
{
    bool useful;

    d->stats->intr_events++;
    d->masked = true;
    if (d->gone)
        return false;
    useful = collect(d);
    useful |= take_ack(d);
    /* The backend decides how often its state changes: counts as idle. */
    take_status(d);
    if (!useful && !d->excused) {
        if (d->w->now - d->period >= THROTTLE_MS) {
            d->period = d->w->now;
            d->idle_events = 0;
        }
        if (++d->idle_events > IDLE_EVENTS)
            d->quiet_until = d->w->now + THROTTLE_MS;
    }
    d->excused = false;
    return useful;
}

/* ---- guest accesses ---- */

/* Returns whether the vCPU had something to ask. */
static bool vcpu_event(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];
    struct vcpu *vcpu = &w->vcpu[v];
    struct device *d;
    uint32_t isr;
    int i;

    if (vcpu->held || slot->state != STATE_IOREQ_READY)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    slot->state = STATE_IOREQ_INPROCESS;
    vcpu->req = *slot;
    i = ioreq_find(w->map, w->ndevs, &vcpu->req);
    if (i < 0) {
        ioreq_refuse(&vcpu->req);
        vcpu_done(w, v);
        return true;
    }
    d = &w->dev[i];
    isr = vr_mmio_isr(&d->mmio);
    if (ioreq_exec(&w->map[i], &vcpu->req) == VR_MMIO_DONE) {
        vcpu_done(w, v);
    } else {
        vcpu->held = true;
        vcpu->dev = i;
        if (!d->hold_until)
            d->hold_until = w->now + VR_QUIESCE_MS;
    }
    /* The interrupt is acknowledged, or an answer is awaited: from now on the
     * backend is to be heard. It may have answered before. */
    if (isr & ~vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED || vcpu->held)
        look(d);
    /* Another vCPU's write may have completed by this one's. */
    release(d);
    return true;
}

/* ---- the loop ---- */

static bool serve_port(struct worker *w, evtchn_port_t port)
{
    unsigned int i;

    for (i = 0; i < w->nvcpus; i++) {
        if (w->vcpu[i].port == port) {
            w->vcpu[i].masked = true;
            return vcpu_event(w, i);
        }
    }
    for (i = 0; i < w->ndevs; i++) {
        if (w->dev[i].port == port)
            return backend_event(&w->dev[i]);
    }
    return false;
}

/* All ports that have an event, each once. True when one was of use. */
static bool serve_ports(struct worker *w)
{
    evtchn_port_t ports[BATCH];
    ssize_t r = read(w->evtchn_fd, ports, sizeof(ports));
    bool useful = false;
    unsigned int i, n;

    if (r < 0)
        return false;
    n = r / sizeof(ports[0]);
    for (i = 0; i < n; i++)
        useful |= serve_port(w, ports[i]);
    if (n && !w->counters_at)
        w->counters_at = w->now + COUNTERS_MS;
    return useful;
}

static bool in_use(const struct device *d)
{
    return d->connected && !d->gone && vr_mmio_queues(&d->mmio);
}

static void ping(struct device *d)
{
    bool pending =
        __atomic_load_n(&d->page->kick, __ATOMIC_RELAXED) & VR_CTRL_PING;

    d->ping_due = 0;
    if (!in_use(d)) {
        d->stats->silent = 0;
    } else if (pending) {
        d->stats->silent = d->w->now - d->ping_at >= SILENT_MS;
        d->ping_due =
            d->stats->silent ? d->w->now + PING_MS : d->ping_at + SILENT_MS;
    } else {
        d->stats->silent = 0;
        if (!d->ping_at || d->w->now - d->ping_at >= PING_MS) {
            d->ping_at = d->w->now;
            if (vr_ctrl_post(&d->page->kick, VR_CTRL_PING))
                notify_backend(d);
        }
        d->ping_due = d->ping_at + PING_MS;
    }
}

static void tell_failure(struct device *d)
{
    enum vr_fail fail = vr_stats_why(d->stats);

    if (fail == d->told || d->w->now - d->told_at < TELL_MS)
        return;
    d->told = fail;
    d->told_at = d->w->now;
    tell(d, VR_MSG_CHANGED);
}

static void serve_timers(struct worker *w)
{
    bool count = w->counters_at && w->counters_at <= w->now;
    unsigned int i;

    for (i = 0; i < w->ndevs; i++) {
        struct device *d = &w->dev[i];

        if (d->seek || (d->hold_until && d->hold_until <= w->now))
            look(d);
        if (d->hold_until && d->hold_until <= w->now) {
            vr_mmio_timeout(&d->mmio);
            release(d);
        }
        if (d->quiet_until && d->quiet_until <= w->now)
            look(d);
        if (count)
            vr_ctrl_take_counters(d->page, &d->stats->b);
        ping(d);
        tell_failure(d);
    }
    if (count)
        w->counters_at = 0;
}

/* From here on whatever happens is told by an event. */
static void hear(struct worker *w)
{
    unsigned int i;

    for (i = 0; i < w->nvcpus; i++) {
        if (!w->vcpu[i].masked)
            continue;
        w->vcpu[i].masked = false;
        unmask(w, w->vcpu[i].port);
    }
    for (i = 0; i < w->ndevs; i++)
        rearm(&w->dev[i]);
    flush_unmask(w);
}

/* ---- looking on ---- */

static int64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Has this backend news that matter now? A throttled one has to wait. */
static bool has_news(const struct device *d)
{
    uint64_t intr = __atomic_load_n(&d->page->intr, __ATOMIC_RELAXED);

    if (d->gone || d->quiet_until)
        return false;
    if (intr & vr_mmio_queues(&d->mmio) &&
        !(vr_mmio_isr(&d->mmio) & VR_MMIO_INT_USED))
        return true;
    return d->generation && !d->acked && vr_ctrl_acked(d->page, d->generation);
}

/* One look at all there is; serves what it finds. */
static bool look_around(struct worker *w)
{
    bool found = false;
    unsigned int i;

    for (i = 0; i < w->nvcpus; i++) {
        if (w->ioreqs->vcpu_ioreq[i].state == STATE_IOREQ_READY)
            found |= vcpu_event(w, i);
    }
    for (i = 0; i < w->ndevs; i++) {
        struct device *d = &w->dev[i];

        if (!has_news(d))
            continue;
        take_ack(d);
        collect(d);
        d->excused = true;
        found = true;
    }
    return found;
}

/*
 * After something was served: looks on for poll_ns, anew after each find.
 * When nothing came in that time, the next occasions are let pass, more of
 * them with each failure, so that the processor is not kept from those that
 * we wait for. Bounded by LOOK_MS.
 */
static void watch(struct worker *w)
{
    int64_t end;
    bool found = false;
    unsigned int n = 0;

    if (!w->poll_ns)
        return;
    if (w->skip) {
        w->skip--;
        return;
    }
    end = clock_ns() + w->poll_ns;
    for (;;) {
        if (look_around(w)) {
            found = true;
            w->now = broker_now_ms();
            if (w->now - w->looked >= LOOK_MS)
                break;
            end = clock_ns() + w->poll_ns;
        } else if (!(++n % 8) && clock_ns() >= end) {
            break;
        }
        vr_cpu_relax();
    }
    if (found) {
        w->penalty /= 2;
    } else {
        w->penalty = w->penalty * 2 + 1;
        if (w->penalty > SKIP_MAX)
            w->penalty = SKIP_MAX;
        w->skip = w->penalty;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return !b || (a && a < b) ? a : b;
}

/* Milliseconds until serve_timers() has something to do; -1: never. */
static int time_left(const struct worker *w)
{
    int64_t next = w->counters_at;
    unsigned int i;

    for (i = 0; i < w->ndevs; i++) {
        const struct device *d = &w->dev[i];

        next = earlier(next, d->hold_until);
        next = earlier(next, d->quiet_until);
        if (d->seek && !d->gone)
            next = earlier(next, w->now + SEEK_MS);
        next = earlier(next, d->ping_due);
    }
    if (!next)
        return -1;
    return next > w->now ? (int)(next - w->now) : 0;
}

static void serve_supervisor(struct worker *w)
{
    struct device *d;
    struct vr_msg msg;
    int rc;

    for (;;) {
        rc = broker_msg_recv(w->sock, &msg);
        if (rc == -EAGAIN)
            return;
        if (rc) /* the supervisor is gone, and so would be the clean-up */
            _exit(0);
        if (msg.type != VR_MSG_GONE || msg.dev >= w->ndevs)
            continue;
        d = &w->dev[msg.dev];
        d->gone = true;
        d->seek = false;
        d->quiet_until = 0;
        vr_mmio_fail(&d->mmio, VR_FAIL_GONE);
        d->told = VR_FAIL_GONE;
        release(d);
    }
}

/* ---- start ---- */

static void die(const struct worker *w, unsigned int dev, const char *text)
{
    struct vr_msg msg = {.type = VR_MSG_ERROR, .dev = dev};

    strncpy(msg.text, text, sizeof(msg.text) - 1);
    broker_msg_send(w->sock, &msg);
    _exit(1);
}

static int open_all(struct worker *w, xenforeignmemory_handle **fm,
                    xengntshr_handle **gs, struct vr_err *err)
{
    w->dm = xendevicemodel_open(NULL, 0);
    *fm = xenforeignmemory_open(NULL, 0);
    w->xce = xenevtchn_open(NULL, 0);
    *gs = xengntshr_open(NULL, 0);
    if (w->dm && *fm && w->xce && *gs)
        return 0;
    vr_err_set(err,
               "broker: cannot open Xen's device files (privcmd, evtchn, "
               "gntalloc): %s; load the modules xen-privcmd, xen-evtchn "
               "and xen-gntalloc",
               strerror(errno));
    return errno ? -errno : -EIO;
}

static int ioreq_failed(const struct worker *w, struct vr_err *err,
                        const char *what)
{
    int rc = errno ? -errno : -EIO;
    const char *remedy = "see `xl dmesg`";

    if (rc == -ENOSYS || rc == -EOPNOTSUPP)
        remedy = "this hypervisor was built without CONFIG_IOREQ_SERVER; "
                 "see `vrctl check`";
    vr_err_set(err, "guest %s: ioreq server: cannot %s: %s; %s", w->rec->name,
               what, strerror(-rc), remedy);
    return rc;
}

static int start_ioreq(struct worker *w, xenforeignmemory_handle *fm,
                       struct vr_err *err)
{
    uint32_t g = w->rec->domid;
    void *addr = NULL;
    ioservid_t id;
    unsigned int i;

    if (xendevicemodel_create_ioreq_server(w->dm, g, HVM_IOREQSRV_BUFIOREQ_OFF,
                                           &id))
        return ioreq_failed(w, err, "create it");
    /* The mapping stays when the handle is closed. */
    if (!xenforeignmemory_map_resource(
            fm, g, XENMEM_resource_ioreq_server, id,
            XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &addr,
            PROT_READ | PROT_WRITE, 0))
        return ioreq_failed(w, err, "map its page");
    w->ioreqs = addr;
    for (i = 0; i < w->ndevs; i++) {
        uint64_t base = w->rec->devs[i].mmio_base;

        if (xendevicemodel_map_io_range_to_ioreq_server(
                w->dm, g, id, 1, base, base + VR_MMIO_SIZE - 1))
            return ioreq_failed(w, err, "take a device's registers");
    }
    if (xendevicemodel_nr_vcpus(w->dm, g, &w->nvcpus))
        return ioreq_failed(w, err, "count the vCPUs");
    if (w->nvcpus > MAX_VCPUS) {
        errno = E2BIG;
        return ioreq_failed(w, err, "serve so many vCPUs (maxvcpus)");
    }
    /* Only now do the slots name their event channels. */
    if (xendevicemodel_set_ioreq_server_state(w->dm, g, id, 1))
        return ioreq_failed(w, err, "enable it");
    for (i = 0; i < w->nvcpus; i++) {
        int port = xenevtchn_bind_interdomain(
            w->xce, g, w->ioreqs->vcpu_ioreq[i].vp_eport);

        if (port < 0)
            return ioreq_failed(w, err, "bind a vCPU's event channel");
        w->vcpu[i].port = port;
    }
    return 0;
}

static int start_device(struct worker *w, unsigned int i, xengntshr_handle *gs,
                        struct vr_err *err)
{
    const struct vr_record_dev *rd = &w->rec->devs[i];
    const struct vr_record_driver *drv = &w->rec->drivers[rd->driver];
    const struct vr_mmio_desc desc = {
        .device_id = rd->cfg.type,
        .nqueues = rd->cfg.queues,
        .queue_size_max = rd->cfg.queue_size,
        .nwindows = 1,
        .window = {{.base = rd->dma_base, .size = rd->dma_size}},
    };
    struct vr_msg msg = {.type = VR_MSG_DEVICE, .dev = i};
    struct device *d = &w->dev[i];
    int port;

    d->w = w;
    d->index = i;
    d->irq = rd->irq;
    d->stats = &w->stats->dev[i];
    d->seek = true;
    d->page = xengntshr_share_pages(gs, drv->domid, 1, &msg.gref, 1);
    if (!d->page) {
        vr_err_set(err,
                   "device %s: cannot share a control page with driver "
                   "domain %s (%" PRIu32 "): %s; raise the limit of "
                   "xen-gntalloc (module parameter `limit`)",
                   rd->cfg.id, drv->name, drv->domid, strerror(errno));
        return errno ? -errno : -ENOMEM;
    }
    vr_ctrl_init(d->page);
    port = xenevtchn_bind_unbound_port(w->xce, drv->domid);
    if (port < 0) {
        vr_err_set(err,
                   "device %s: no event channel for driver domain %s "
                   "(%" PRIu32 "): %s; see whether it still runs",
                   rd->cfg.id, drv->name, drv->domid, strerror(errno));
        return -errno;
    }
    d->port = port;
    vr_mmio_init(&d->mmio, &desc, &ops, d, d->stats);
    w->map[i].base = rd->mmio_base;
    w->map[i].mmio = &d->mmio;
    msg.port = port;
    return broker_msg_send(w->sock, &msg);
}

static int start(struct worker *w, struct vr_err *err)
{
    xenforeignmemory_handle *fm = NULL;
    xengntshr_handle *gs = NULL;
    unsigned int i;
    int rc;

    rc = open_all(w, &fm, &gs, err);
    if (rc)
        return rc;
    for (i = 0; i < w->ndevs; i++) {
        rc = start_device(w, i, gs, err);
        if (rc)
            return rc;
    }
    rc = start_ioreq(w, fm, err);
    if (rc)
        return rc;
    w->evtchn_fd = xenevtchn_fd(w->xce);
    if (fcntl(w->evtchn_fd, F_SETFL, O_NONBLOCK)) {
        vr_err_set(err, "broker: event channel: %s", strerror(errno));
        return -errno;
    }
    /* Neither is needed again, and gntshr knows no restriction. */
    xenforeignmemory_close(fm);
    xengntshr_close(gs);
    return sandbox_enter(w->rec->domid, err);
}

void worker_run(const struct vr_record *rec, struct vr_stats *stats, int sock)
{
    static struct worker worker;
    struct worker *w = &worker;
    struct vr_msg serving = {.type = VR_MSG_SERVING, .dev = VR_MSG_NO_DEV};
    struct vr_err err = {.text = ""};
    struct pollfd p[2];
    unsigned int i;

    prctl(PR_SET_NAME, "vr-worker");
    broker_title("vr-worker %s", rec->name);
    w->rec = rec;
    w->stats = stats;
    w->sock = sock;
    w->arch = &vr_arch_arm;
    w->ndevs = rec->ndevs;
    for (i = 0; i < rec->ndevs; i++) {
        int64_t ns = rec->devs[i].cfg.poll_us * INT64_C(1000);

        if (ns > w->poll_ns)
            w->poll_ns = ns < LOOK_NS ? ns : LOOK_NS;
    }
    /* Timers and the supervisor wait no longer than this. */
    if (w->poll_ns > LOOK_MS * INT64_C(1000000))
        w->poll_ns = LOOK_MS * INT64_C(1000000);
    if (start(w, &err))
        die(w, VR_MSG_NO_DEV, err.text);
    broker_msg_send(sock, &serving);
    p[0] = (struct pollfd){.fd = w->evtchn_fd, .events = POLLIN};
    p[1] = (struct pollfd){.fd = sock, .events = POLLIN};
    for (;;) {
        bool served = false;

        w->now = broker_now_ms();
        serve_timers(w);
        hear(w);
        if (poll(p, 2, time_left(w)) < 0 && errno != EINTR)
            die(w, VR_MSG_NO_DEV, "broker's worker: poll failed");
        w->now = w->looked = broker_now_ms();
        /* One device's backend cannot cause this: each port counts once. */
        if (p[0].revents & POLLERR)
            die(w, VR_MSG_NO_DEV, "broker's worker: event channels overflow");
        if (p[0].revents & POLLIN)
            served = serve_ports(w);
        if (p[1].revents)
            serve_supervisor(w);
        if (served)
            watch(w);
    }
}

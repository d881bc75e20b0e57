/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker: turns the guest's trapped accesses into calls of the register
 * model, and what the model asks for into events and interrupts.
 *
 * It waits at one place, in worker_run(). What happens around it,
 * worker_settle() before and worker_serve() after, does not block; that is also
 * what tests take by itself. Before it sleeps it may look on for some
 * microseconds (watch.c).
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
 * masked as long as the guest has an interrupt to acknowledge, or is not to
 * have the next one yet (what the backend has to say can wait in the control
 * page), and for a while when its events turn out to be about nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "broker/iommu/iommu.h"

#define COUNTERS_MS 1000
#define NS_PER_MS   1000000

/* The library unmasks one port a call, the kernel takes any number. */
static void flush_unmask(struct worker *w)
{
    size_t len = w->nunmask * sizeof(w->unmask[0]);

    if (len && write(w->evtchn_fd, w->unmask, len) != (ssize_t)len)
        broker_log("worker: cannot unmask event channels: %s", strerror(errno));
    w->nunmask = 0;
}

void worker_unmask(struct worker *w, evtchn_port_t port)
{
    if (w->nunmask == BATCH)
        flush_unmask(w);
    w->unmask[w->nunmask++] = port;
}

void worker_irq(struct worker *w, uint32_t irq, bool level, const char *who)
{
    if (!level && !w->arch->level)
        return;
    if (level)
        w->last = VR_LOOK_IRQ;
    if (!w->arch->irq(w->dm, w->rec->domid, irq, level) || w->irq_error)
        return;
    w->irq_error = true;
    broker_log("%s: cannot raise interrupt %" PRIu32 ": %s", who, irq,
               strerror(errno));
}

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
            return device_event(&w->dev[i]);
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

static void serve_timers(struct worker *w)
{
    bool count = w->counters_at && w->counters_at <= w->now;
    unsigned int i;

    for (i = 0; i < w->ndevs; i++)
        device_timers(&w->dev[i], count);
    if (w->iommu)
        iommu_timers(w->iommu);
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
        worker_unmask(w, w->vcpu[i].port);
    }
    for (i = 0; i < w->ndevs; i++)
        device_rearm(&w->dev[i]);
    flush_unmask(w);
    if (w->iommu)
        iommu_hear(w->iommu);
}

/* Nanoseconds until an interrupt that is owed may be raised. */
static int64_t interrupt_left(const struct worker *w)
{
    int64_t next = INT64_MAX, left;
    unsigned int i;

    for (i = 0; i < w->ndevs; i++)
        if (w->dev[i].owed && w->dev[i].pace.next < next)
            next = w->dev[i].pace.next;
    if (next == INT64_MAX)
        return next;
    left = next - (int64_t)vr_now_ns();
    return left > 0 ? left : 0;
}

/* Nanoseconds until serve_timers() has something to do; -1: never. */
static int64_t time_left(const struct worker *w)
{
    int64_t t, next = w->counters_at, left = interrupt_left(w);
    unsigned int i;

    for (i = 0; i < w->ndevs; i++) {
        t = device_next(&w->dev[i]);
        if (t && (!next || t < next))
            next = t;
    }
    t = w->iommu ? iommu_next(w->iommu) : 0;
    if (t && (!next || t < next))
        next = t;
    if (next) {
        t = next > w->now ? (next - w->now) * NS_PER_MS : 0;
        if (t < left)
            left = t;
    }
    return left < INT64_MAX ? left : -1;
}

static void serve_supervisor(struct worker *w)
{
    struct vr_msg msg;
    struct device *d;
    int rc;

    for (;;) {
        rc = broker_msg_recv(w->sock, &msg);
        if (rc == -EAGAIN)
            return;
        if (rc) /* the supervisor is gone, and so would be the clean-up */
            _exit(0);
        if (msg.dev >= w->ndevs)
            continue;
        d = &w->dev[msg.dev];
        switch (msg.type) {
        case VR_MSG_GONE:
            device_gone(d);
            break;
        case VR_MSG_DEAD:
            device_dead(d);
            break;
        case VR_MSG_GRANTED:
            device_pool(d, VR_LEASE_IS_GRANTED);
            break;
        case VR_MSG_REFUSED:
            device_pool(d, VR_LEASE_IS_REFUSED);
            break;
        case VR_MSG_REVOKED:
            device_pool(d, VR_LEASE_IS_PRIVATE);
            break;
        }
    }
}

static void die(const struct worker *w, unsigned int dev, const char *text)
{
    struct vr_msg msg = {.type = VR_MSG_ERROR, .dev = dev};

    strncpy(msg.text, text, sizeof(msg.text) - 1);
    broker_msg_send(w->sock, &msg);
    _exit(1);
}

int worker_open(struct worker *w, const struct vr_record *rec,
                struct vr_stats *stats, int sock, struct vr_err *err)
{
    struct vr_msg serving = {.type = VR_MSG_SERVING, .dev = VR_MSG_NO_DEV};
    unsigned int i;
    int rc;

    w->rec = rec;
    w->stats = stats;
    w->sock = sock;
    w->arch = &vr_arch;
    w->ndevs = rec->ndevs;
    for (i = 0; i < rec->ndevs; i++) {
        int64_t ns = rec->devs[i].cfg.poll_us * INT64_C(1000);

        if (ns > w->poll_ns)
            w->poll_ns = ns;
    }
    /* Timers and the supervisor wait no longer than this. */
    if (w->poll_ns > LOOK_MS * INT64_C(1000000))
        w->poll_ns = LOOK_MS * INT64_C(1000000);
    rc = worker_start(w, err);
    if (!rc)
        broker_msg_send(sock, &serving);
    return rc;
}

int worker_settle(struct worker *w)
{
    w->now = vr_now_ms();
    serve_timers(w);
    hear(w);
    w->sleep_ns = time_left(w);
    return w->sleep_ns < 0 ? -1 : (w->sleep_ns + NS_PER_MS - 1) / NS_PER_MS;
}

void worker_serve(struct worker *w, bool ports, bool supervisor)
{
    bool served = false;

    w->now = w->looked = vr_now_ms();
    if (ports)
        served = serve_ports(w);
    if (supervisor)
        serve_supervisor(w);
    if (served)
        worker_watch(w);
}

void worker_run(const struct vr_record *rec, struct vr_stats *stats, int sock)
{
    static struct worker worker;
    struct worker *w = &worker;
    struct vr_err err = {.text = ""};
    struct pollfd p[2];
    struct timespec t;

    prctl(PR_SET_NAME, "vr-worker");
    broker_title("vr-worker %s", rec->name);
    if (worker_open(w, rec, stats, sock, &err))
        die(w, VR_MSG_NO_DEV, err.text);
    p[0] = (struct pollfd){.fd = w->evtchn_fd, .events = POLLIN};
    p[1] = (struct pollfd){.fd = sock, .events = POLLIN};
    for (;;) {
        worker_settle(w);
        t.tv_sec = w->sleep_ns / (1000 * NS_PER_MS);
        t.tv_nsec = w->sleep_ns % (1000 * NS_PER_MS);
        if (ppoll(p, 2, w->sleep_ns < 0 ? NULL : &t, NULL) < 0 &&
            errno != EINTR)
            die(w, VR_MSG_NO_DEV, "broker's worker: poll failed");
        /* One device's backend cannot cause this: each port counts once. */
        if (p[0].revents & POLLERR)
            die(w, VR_MSG_NO_DEV, "broker's worker: event channels overflow");
        worker_serve(w, p[0].revents & POLLIN, p[1].revents != 0);
    }
}

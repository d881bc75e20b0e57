/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker: turns the guest's trapped accesses into calls of the units'
 * register models, and what these ask for into events and interrupts. The
 * supervisor forks it (spawn.c).
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

#include "worker.h"

static void serve_timers(struct worker *w)
{
    bool count = w->counters_at && w->counters_at <= w->now;
    unsigned int i;

    for (i = 0; i < w->nunits; i++)
        w->unit[i]->ops->due(w->unit[i], count);
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
        ports_unmask(w, w->vcpu[i].port);
    }
    for (i = 0; i < w->nunits; i++)
        w->unit[i]->ops->hear(w->unit[i]);
    ports_flush(w);
}

/* Nanoseconds until serve_timers() has something to do; -1: never. */
static int64_t time_left(const struct worker *w)
{
    int64_t left = worker_until(w, w->counters_at), t;
    unsigned int i;

    for (i = 0; i < w->nunits; i++) {
        t = w->unit[i]->ops->left(w->unit[i]);
        if (t < left)
            left = t;
    }
    return left < INT64_MAX ? left : -1;
}

static void serve_supervisor(struct worker *w)
{
    struct vr_msg msg;
    int rc;

    for (;;) {
        rc = broker_msg_recv(w->sock, &msg);
        if (rc == -EAGAIN)
            return;
        if (rc) /* the supervisor is gone: nobody would clean up */
            _exit(0);
        if (msg.dev < w->rec->ndevs)
            w->unit[msg.dev]->ops->told(w->unit[msg.dev], msg.type);
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
        served = ports_serve(w);
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

    /* The backend has a vr-worker, and one domain may have both. */
    prctl(PR_SET_NAME, "vr-ioreq");
    broker_title("vr-ioreq %s", rec->name);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device, seen from the worker: the register model asks for events and
 * interrupts, the backend writes to the control page. None of this blocks.
 */
#include <errno.h>
#include <sys/mman.h>

#include "device.h"

/* How often a backend that is not there yet (or again) is looked for; it may
 * come without an event, when the broker was not listening. */
#define SEEK_MS 200
/* At most so often does the guest's driver hear that its disk has grown. */
#define GROW_MS 1000
/* A backend in use is asked so often whether it is there (a driver domain that
 * was paused or has panicked causes no event on Arm), and has so long to
 * answer before the operator hears of it. */
#define PING_MS   5000
#define SILENT_MS 4000
/* So many events about nothing at once, one in IDLE_MS for long. Beyond that
 * the port is not heard for a while. */
#define IDLE_EVENTS 64
#define IDLE_MS     1
#define THROTTLE_MS 10
/* At most so often does the supervisor hear of one device. */
#define TELL_MS 1000

static struct device *of(struct unit *u)
{
    return (struct device *)u;
}

/* ---- what the register model asks for ---- */

static void on_notify(void *ctx, unsigned int queue)
{
    struct device *d = ctx;

    d->unit.w->last = VR_LOOK_KICK;
    vr_pace_kick(&d->pace);
    channel_kick(d, UINT64_C(1) << queue);
}

static void publish(struct device *d, const struct vr_ctrl_request *req)
{
    d->generation = vr_ctrl_publish(d->page, req);
    d->acked = false;
    channel_ring(d);
}

/*
 * Lets go of the vCPUs whose writes to @d are complete.
 *
 * The reset of a device behind the IOMMU takes VR_FLUSH_MS at least. Linux
 * collects UNMAP requests and asks for the answers when a timer ends. When it
 * shuts down, it resets its devices one after the other, the virtio-iommu last,
 * and then looks at that one's queue no more: the timer, if it ends later and
 * there are such requests, waits for their answers for ever. While the reset of
 * the last device is held, the timer ends in time.
 */
static void release(struct device *d)
{
    if (!d->hold_until || d->flush_until || vr_vdev_waiting(&d->unit.vdev))
        return;
    d->hold_until = 0;
    vcpu_finish(&d->unit);
}

void device_fail(struct device *d, enum vr_fail why)
{
    vr_vdev_fail(&d->unit.vdev, why);
    release(d);
}

static void act(struct device *d, enum vr_lease_act what)
{
    switch (what) {
    case VR_LEASE_NOTHING:
        break;
    case VR_LEASE_ASK_GRANT:
        unit_tell(&d->unit, VR_MSG_GRANT);
        break;
    case VR_LEASE_ASK_REVOKE:
        unit_tell(&d->unit, VR_MSG_REVOKE);
        break;
    case VR_LEASE_KILL:
        unit_tell(&d->unit, VR_MSG_KILL);
        break;
    case VR_LEASE_PUBLISH:
        publish(d, &d->lease.req);
        break;
    case VR_LEASE_FAIL:
        device_fail(d, VR_FAIL_GRANTS);
        break;
    case VR_LEASE_QUIET:
        vr_vdev_quiesced(&d->unit.vdev);
        release(d);
        break;
    }
}

static void follow_lease(struct device *d)
{
    enum vr_lease_act what;

    while ((what = vr_lease_due(&d->lease, d->unit.w->now)) != VR_LEASE_NOTHING)
        act(d, what);
}

static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    struct device *d = ctx;

    if (d->iommu && !req->run)
        d->flush_until = d->unit.w->now + VR_FLUSH_MS;
    if (vr_lease_request(&d->lease, req, d->unit.w->now))
        publish(d, req);
    else
        follow_lease(d);
}

static void on_irq(void *ctx, bool level)
{
    struct device *d = ctx;

    unit_irq(&d->unit, level);
}

static bool on_message(void *ctx, uint32_t cause, uint32_t queues)
{
    struct device *d = ctx;

    return unit_message(&d->unit, cause, queues);
}

const struct vr_vdev_ops device_regs = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
    .message = on_message,
};

/* ---- backends ---- */

/* Hears the port again, unless the backend is to wait: see worker.c. */
static void device_hear(struct unit *u)
{
    struct device *d = of(u);

    /* Whatever keeps the port masked: a time that has passed and stays set
     * would be due at once, again and again. */
    if (d->quiet_until <= d->unit.w->now)
        d->quiet_until = 0;
    if (!d->masked || d->gone || d->quiet_until)
        return;
    if ((d->owed || vr_vdev_isr(&d->unit.vdev) & VR_INT_USED) &&
        !vr_vdev_unquiet(&d->unit.vdev))
        return;
    d->masked = false;
    channel_unmask(d);
}

/* Most interrupts cost no look at the clock. */
static bool may_interrupt(struct device *d)
{
    return vr_pace_paid(&d->pace) || vr_pace_take(&d->pace, vr_now_ns());
}

/*
 * Used buffers. What is posted while the guest has an interrupt to
 * acknowledge stays in the page until it has: no driver, in whichever order it
 * handles and acknowledges, loses it. What comes too early for the guest to do
 * anything else (rate.h) is owed until its time has come.
 */
static bool collect(struct device *d)
{
    const bool held = d->owed;
    uint32_t queues;

    if (vr_vdev_isr(&d->unit.vdev) & VR_INT_USED)
        return false;
    d->owed |= channel_drain(d) & vr_vdev_queues(&d->unit.vdev);
    if (!d->owed)
        return false;
    if (!may_interrupt(d)) {
        d->stats->interrupts_held += !held;
        return false;
    }
    queues = d->owed;
    d->owed = 0;
    /* The event of what this one tells, too, may be on its way. */
    d->excused = true;
    vr_vdev_interrupt(&d->unit.vdev, queues);
    if (unit_unacked(&d->unit))
        vr_pace_untold(&d->pace);
    return true;
}

static void guest_acked(struct device *d)
{
    if (d->pace.raised)
        vr_pace_acked(&d->pace, vr_now_ns());
}

static bool take_ack(struct device *d)
{
    if (d->acked || !d->generation || !vr_ctrl_acked(d->page, d->generation))
        return false;
    d->acked = true;
    if (vr_lease_acked(&d->lease, d->unit.w->now))
        act(d, VR_LEASE_QUIET);
    else
        follow_lease(d);
    return true;
}

static void tell_connected(struct device *d)
{
    if (d->connected && !d->told_connected)
        d->told_connected = !unit_tell(&d->unit, VR_MSG_CONNECTED);
}

/* The backend has come back: what was kicked meanwhile may have been lost. */
static void kick_all(struct device *d)
{
    uint32_t queues = vr_vdev_queues(&d->unit.vdev);

    if (!queues)
        return;
    vr_ctrl_post(&d->page->kick, queues);
    channel_ring(d);
}

static bool take_description(struct device *d)
{
    const uint64_t changes = d->stats->config_changes;
    struct vr_ctrl_device dev;
    int rc = vr_ctrl_take_device(d->page, &dev);

    if (rc == -EAGAIN) {
        d->seek = true;
        return false;
    }
    if (rc) {
        if (!d->invalid &&
            vr_rate_take(&d->complaints, d->unit.w->now, TELL_MS, 1))
            unit_tell(&d->unit, VR_MSG_INVALID);
        d->invalid = true;
        device_fail(d, VR_FAIL_BACKEND);
        return true;
    }
    d->invalid = false;
    d->described = dev.config_generation;
    vr_ctrl_take_counters(d->page, &d->stats->b); /* the target's size */
    vr_vdev_set_device(&d->unit.vdev, dev.features, dev.config, dev.config_len);
    if (d->stats->config_changes != changes)
        d->grown_at = d->unit.w->now;
    if (d->backend != VR_CTRL_BACKEND_READY) {
        d->backend = VR_CTRL_BACKEND_READY;
        if (d->connected)
            kick_all(d);
    }
    d->connected = true;
    tell_connected(d);
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
        if (!change && version == d->described)
            return false;
        if (d->grown_at && d->unit.w->now - d->grown_at < GROW_MS) {
            d->seek = true;
            return false;
        }
        return take_description(d);
    }
    if (!change)
        return false;
    d->backend = status;
    if (status == VR_CTRL_BACKEND_FAILED) {
        device_fail(d, VR_FAIL_BACKEND);
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
static bool device_event(struct unit *u)
{
    struct device *d = of(u);
    const bool owed = d->owed;
    bool useful;

    d->stats->intr_events++;
    d->masked = true;
    if (d->gone)
        return false;
    useful = collect(d);
    useful |= take_ack(d);
    if (d->iommu)
        d->iommu->fault(d->iommu_ctx, d);
    /* The backend decides how often its state changes: counts as idle. */
    take_status(d);
    if (!useful && !d->excused && (owed || !d->owed) &&
        !vr_rate_take(&d->idle, d->unit.w->now, IDLE_MS, IDLE_EVENTS))
        d->quiet_until = d->unit.w->now + THROTTLE_MS;
    d->excused = false;
    return useful;
}

/* Has this backend news that matter now? A throttled one has to wait. */
bool device_has_news(const struct device *d)
{
    if (d->gone || d->quiet_until)
        return false;
    if (d->owed)
        return d->pace.paid || (int64_t)vr_now_ns() >= d->pace.next;
    if (channel_pending(d) & vr_vdev_queues(&d->unit.vdev) &&
        !(vr_vdev_isr(&d->unit.vdev) & VR_INT_USED))
        return true;
    return d->generation && !d->acked && vr_ctrl_acked(d->page, d->generation);
}

static bool device_poll(struct unit *u)
{
    struct device *d = of(u);

    if (!device_has_news(d))
        return false;
    take_ack(d);
    collect(d);
    d->excused = true;
    return true;
}

/* ---- what is shown of it ---- */

static void take_figures(struct device *d)
{
    vr_ctrl_take_counters(d->page, &d->stats->b);
    vr_ctrl_take_figures(d->page, &d->stats->survey);
}

/* The backend is told of the survey that vrctl would like, or of none. */
static void follow_survey(struct device *d)
{
    const struct vr_stats *s = d->unit.w->stats;
    int64_t until = __atomic_load_n(&s->survey.until, __ATOMIC_ACQUIRE);
    uint32_t session = __atomic_load_n(&s->survey.session, __ATOMIC_RELAXED);

    if (until <= d->unit.w->now)
        session = 0;
    if (d->page->survey != session)
        __atomic_store_n(&d->page->survey, session, __ATOMIC_RELAXED);
}

/* ---- time ---- */

static bool in_use(const struct device *d)
{
    return d->connected && !d->gone && vr_vdev_queues(&d->unit.vdev);
}

static void ping(struct device *d)
{
    bool pending =
        __atomic_load_n(&d->page->kick, __ATOMIC_RELAXED) & VR_CTRL_PING;

    d->ping_due = 0;
    if (!in_use(d)) {
        d->stats->silent = 0;
    } else if (pending) {
        d->stats->silent = d->unit.w->now - d->ping_at >= SILENT_MS;
        d->ping_due = d->stats->silent ? d->unit.w->now + PING_MS
                                       : d->ping_at + SILENT_MS;
    } else {
        d->stats->silent = 0;
        if (!d->ping_at || d->unit.w->now - d->ping_at >= PING_MS) {
            d->ping_at = d->unit.w->now;
            /* With bells of its own hardly anything else wakes us. */
            take_figures(d);
            channel_kick(d, VR_CTRL_PING);
        }
        d->ping_due = d->ping_at + PING_MS;
    }
}

static void tell_failure(struct device *d)
{
    enum vr_fail fail = vr_stats_why(d->stats);

    if (fail == d->told || d->unit.w->now - d->told_at < TELL_MS)
        return;
    d->told = fail;
    d->told_at = d->unit.w->now;
    unit_tell(&d->unit, VR_MSG_CHANGED);
}

static void device_due(struct unit *u, bool count)
{
    struct device *d = of(u);
    const int64_t now = d->unit.w->now;

    if (d->flush_until && d->flush_until <= now) {
        d->flush_until = 0;
        release(d);
    }
    if (d->seek || (d->hold_until && d->hold_until <= now))
        look(d);
    if (d->hold_until && d->hold_until <= now) {
        vr_vdev_timeout(&d->unit.vdev);
        release(d);
    }
    if (d->quiet_until && d->quiet_until <= now)
        look(d);
    if (d->owed)
        collect(d);
    if (count && !d->dead)
        take_figures(d);
    follow_survey(d);
    follow_lease(d);
    ping(d);
    tell_connected(d);
    tell_failure(d);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return !b || (a && a < b) ? a : b;
}

static int64_t next_ms(const struct device *d)
{
    /* Past its time limit a vCPU waits for the flush alone. */
    int64_t next = d->hold_until > d->unit.w->now ? d->hold_until : 0;

    next = earlier(next, d->quiet_until);
    next = earlier(next, d->flush_until);
    next = earlier(next, vr_lease_next(&d->lease));
    if ((d->seek && !d->gone) || d->connected != d->told_connected)
        next = earlier(next, d->unit.w->now + SEEK_MS);
    return earlier(next, d->ping_due);
}

static int64_t device_left(const struct unit *u)
{
    const struct device *d = (const struct device *)u;
    int64_t ns = worker_until(u->w, next_ms(d)), interrupt;

    if (!d->owed)
        return ns;
    interrupt = d->pace.next - (int64_t)vr_now_ns();
    if (interrupt < 0)
        interrupt = 0;
    return interrupt < ns ? interrupt : ns;
}

/* ---- what the supervisor says ---- */

static void pool(struct device *d, enum vr_lease_answer answer)
{
    act(d, vr_lease_answer(&d->lease, answer, d->unit.w->now));
    follow_lease(d);
}

/* Its driver domain has ended, or is about to. */
static void gone(struct device *d)
{
    d->gone = true;
    d->seek = false;
    d->owed = 0;
    d->quiet_until = 0;
    vr_lease_end(&d->lease);
    device_fail(d, VR_FAIL_GONE);
    d->told = VR_FAIL_GONE;
}

/* ... and nothing is left of it: nor is to be left of what was given to it,
 * since another domain may come to have its number. */
static void dead(struct device *d)
{
    if (!d->gone)
        gone(d);
    if (d->dead)
        return;
    d->dead = true;
    channel_close(d);
    /* The page's grant ends with its mapping, start.c has closed the file. */
    munmap(d->page, sizeof(*d->page));
    d->page = d->nobody;
    if (d->iommu)
        d->iommu->dead(d->iommu_ctx, d);
}

static void device_told(struct unit *u, enum vr_msg_type type)
{
    struct device *d = of(u);

    switch (type) {
    case VR_MSG_GONE:
        gone(d);
        break;
    case VR_MSG_DEAD:
        dead(d);
        break;
    case VR_MSG_GRANTED:
        pool(d, VR_LEASE_IS_GRANTED);
        break;
    case VR_MSG_REFUSED:
        pool(d, VR_LEASE_IS_REFUSED);
        break;
    case VR_MSG_REVOKED:
        pool(d, VR_LEASE_IS_PRIVATE);
        break;
    default:
        break;
    }
}

/* ---- what the guest does ---- */

static void device_access(struct unit *u, unsigned int v)
{
    struct device *d = of(u);
    uint32_t isr = vr_vdev_isr(&u->vdev);
    bool done = vcpu_access(u, v), acked;

    if (!done && !d->hold_until)
        d->hold_until = u->w->now + d->lease.patience_ms;
    vcpu_answer(u, v, done);
    acked = isr & ~vr_vdev_isr(&u->vdev) & VR_INT_USED;
    if (acked)
        guest_acked(d);
    /* Now that the guest has acknowledged the interrupt, or waits for the
     * backend, the backend's port will be unmasked (device_hear()). What the
     * backend wrote while it was masked is looked at here. */
    if (acked || !done)
        look(d);
    /* Another vCPU's write may have completed by this one's. */
    release(d);
}

/* ---- what an IOMMU does ---- */

void device_behind(struct device *d, const struct device_iommu *iommu,
                   void *ctx)
{
    d->iommu = iommu;
    d->iommu_ctx = ctx;
}

void device_attach(struct device *d, bool attached)
{
    vr_vdev_attach(&d->unit.vdev, attached);
}

const struct unit_ops device_unit = {
    .access = device_access,
    .event = device_event,
    .poll = device_poll,
    .due = device_due,
    .left = device_left,
    .hear = device_hear,
    .told = device_told,
};

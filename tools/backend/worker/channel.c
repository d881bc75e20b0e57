/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's event channels, see channel.h. The loop hears of them by one
 * descriptor, and calls this once for a batch, not for each request.
 *
 * An event is delivered once, and the port then masked until it is written back
 * to the descriptor. So what was read is remembered here, however it came: a
 * port that the guest has closed and made anew may be read twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/device.h"
#include "channel.h"

static int bind_broker(struct vr_channel *c, const struct vr_xs_dev *dev,
                       struct vr_err *err)
{
    int rc, r;

    r = xenevtchn_bind_interdomain(c->ec, dev->ctrl_domid, dev->ctrl_port);
    if (r < 0) {
        /* Xen says EINVAL when the other end is bound already: to a former
         * worker, whose end goes with the last of its I/O. */
        rc = errno == EINVAL ? -EBUSY : -errno;
        vr_err_set(err, "event channel %u of domain %u cannot be bound: %s",
                   dev->ctrl_port, dev->ctrl_domid, strerror(errno));
        return rc;
    }
    c->broker = r;
    return 0;
}

int vr_channel_open(struct vr_channel *c, const struct vr_xs_dev *dev, int *fd,
                    struct vr_err *err)
{
    int rc;

    c->guest = dev->guest;
    c->ec = xenevtchn_open(NULL, 0);
    if (!c->ec) {
        rc = -errno;
        vr_err_set(err,
                   "/dev/xen/evtchn cannot be opened: %s (module "
                   "xen-evtchn? owner?)",
                   strerror(errno));
        return rc;
    }
    rc = bind_broker(c, dev, err);
    if (rc)
        return rc;
    /* What is bound stays. From here on a number can only be one of this
     * guest's; other guests' ports are meant for this domain as well. */
    if (xenevtchn_restrict(c->ec, dev->guest)) {
        rc = -errno;
        vr_err_set(err,
                   "event channels cannot be restricted to domain %u: %s; "
                   "Linux can from 4.8 on",
                   dev->guest, strerror(errno));
        return rc;
    }
    *fd = xenevtchn_fd(c->ec);
    return 0;
}

/* What channel_sleep() reads. */
static int sleeps_at;

/* Ends a read() that waits, and keeps one that is about to from it. */
static void dont_sleep(int sig)
{
    int saved = errno;

    (void)sig;
    fcntl(sleeps_at, F_SETFL, O_NONBLOCK);
    errno = saved;
}

int vr_channel_wake_for(struct vr_channel *c, int fd, struct vr_err *err)
{
    struct sigaction sa = {.sa_handler = dont_sleep};
    struct f_owner_ex self = {F_OWNER_TID, gettid()};
    int flags = fcntl(fd, F_GETFL), rc;

    sleeps_at = xenevtchn_fd(c->ec);
    if (flags < 0 || sigaction(SIGIO, &sa, NULL) ||
        fcntl(fd, F_SETOWN_EX, &self) || fcntl(fd, F_SETFL, flags | O_ASYNC)) {
        rc = -errno;
        vr_err_set(err, "signals of a descriptor cannot be had: %s",
                   strerror(errno));
        return rc;
    }
    return 0;
}

/* Returns whether it is the bell of a queue. */
static bool heard(struct vr_channel *c, evtchn_port_t port)
{
    unsigned int i;

    if (port == c->broker) {
        c->broker_masked = true;
        return false;
    }
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        if (c->bell[i] != port)
            continue;
        c->bells_masked |= UINT64_C(1) << i;
        return true;
    }
    return false; /* of a queue that is gone */
}

/* The library reads one port a call and unmasks one, the kernel any number: all
 * there are, and for each queue one that it had before. */
static unsigned int take(struct vr_channel *c)
{
    evtchn_port_t port[2 * VR_MAX_QUEUES + 1];
    ssize_t i, n = read(xenevtchn_fd(c->ec), port, sizeof(port));
    bool bells = false;

    if (n < 0)
        return 0;
    for (i = 0; i < n / (ssize_t)sizeof(port[0]); i++)
        bells |= heard(c, port[i]);
    return bells ? VR_HEARD | VR_HEARD_BELLS : VR_HEARD;
}

static bool readable(struct vr_channel *c)
{
    static const struct timespec at_once;
    struct pollfd p = {.fd = xenevtchn_fd(c->ec), .events = POLLIN};

    return ppoll(&p, 1, &at_once, NULL) == 1;
}

/* An io_uring whose work is not deferred (before Linux 6.1) can tell of an
 * event that a sleep takes before it is asked. To wait for another here would
 * be to wait with requests under way. */
static unsigned int channel_hear(void *state)
{
    struct vr_channel *c = state;
    bool late = c->slept && !readable(c);

    c->slept = false;
    return late ? 0 : take(c);
}

/* It is looked at again whether there is more than the channel's to hear; so
 * the next time may wait. */
static unsigned int channel_sleep(void *state)
{
    struct vr_channel *c = state;
    unsigned int heard = take(c);

    c->slept = true;
    if (!heard)
        fcntl(xenevtchn_fd(c->ec), F_SETFL, 0);
    return heard;
}

static void channel_unmask(void *state, bool bells)
{
    struct vr_channel *c = state;
    evtchn_port_t port[VR_MAX_QUEUES + 1];
    unsigned int n = 0;

    if (c->broker_masked)
        port[n++] = c->broker;
    c->broker_masked = false;
    while (bells && c->bells_masked) {
        port[n++] = c->bell[__builtin_ctzll(c->bells_masked)];
        c->bells_masked &= c->bells_masked - 1;
    }
    /* It fails for ports that are not ours, which these are. */
    if (n && write(xenevtchn_fd(c->ec), port, n * sizeof(port[0])) < 0)
        abort();
}

static void channel_tell(void *state)
{
    struct vr_channel *c = state;

    xenevtchn_notify(c->ec, c->broker);
}

const struct vr_channel_ops vr_channel_ops = {
    .hear = channel_hear,
    .sleep = channel_sleep,
    .unmask = channel_unmask,
    .tell = channel_tell,
};

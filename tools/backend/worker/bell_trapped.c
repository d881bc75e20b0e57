/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BELL(trapped): the broker stands between the guest's driver and us. An event
 * channel of the device wakes either side; what it is about stands in the
 * control page. The loop calls this once for a batch, not for each request.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <xenevtchn.h>
#include <xen/sys/evtchn.h>

#include "libs/proto/xsnode.h"
#include "bell.h"

struct trapped {
    xenevtchn_handle *ec;
    evtchn_port_t port;
};

static int trapped_open(void **state, const struct vr_xs_dev *dev, int *fd,
                        struct vr_err *err)
{
    static struct trapped t; /* of the device, and the process has one */
    int rc, r;

    t.ec = xenevtchn_open(NULL, 0);
    if (!t.ec) {
        rc = -errno;
        vr_err_set(err,
                   "/dev/xen/evtchn cannot be opened: %s (module "
                   "xen-evtchn? owner?)",
                   strerror(errno));
        return rc;
    }
    r = xenevtchn_bind_interdomain(t.ec, dev->ctrl_domid, dev->ctrl_port);
    if (r < 0) {
        /* Xen says EINVAL when the other end is bound already: to a former
         * worker, whose end goes with the last of its I/O. */
        rc = errno == EINVAL ? -EBUSY : -errno;
        vr_err_set(err, "event channel %u of domain %u cannot be bound: %s",
                   dev->ctrl_port, dev->ctrl_domid, strerror(errno));
        return rc;
    }
    t.port = r;
    *fd = xenevtchn_fd(t.ec);
    /* The loop reads it only after it was reported; never wait there. */
    if (fcntl(*fd, F_SETFL, O_NONBLOCK)) {
        rc = -errno;
        vr_err_set(err, "event channel: %s", strerror(errno));
        return rc;
    }
    *state = &t;
    return 0;
}

static void trapped_hear(void *state)
{
    struct trapped *t = state;

    xenevtchn_pending(t->ec);
}

static void trapped_unmask(void *state)
{
    struct trapped *t = state;

    xenevtchn_unmask(t->ec, t->port);
}

static void trapped_tell(void *state)
{
    struct trapped *t = state;

    xenevtchn_notify(t->ec, t->port);
}

static bool trapped_ring(void *state, struct vr_ctrl_page *page,
                         uint64_t queues)
{
    (void)state;
    return vr_ctrl_post(&page->intr, queues);
}

static const unsigned long ioctls[] = {IOCTL_EVTCHN_NOTIFY};

const struct vr_bell_ops vr_bell_trapped = {
    .calls = {.ioctl = ioctls, .ioctls = VR_ARRAY_SIZE(ioctls)},
    .open = trapped_open,
    .hear = trapped_hear,
    .unmask = trapped_unmask,
    .tell = trapped_tell,
    .ring = trapped_ring,
};

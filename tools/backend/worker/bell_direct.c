/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BELL(direct): the guest has made an event channel for the queue, meant for
 * this domain. Its end of it outlives ours: when a process is gone the next one
 * binds the same port, and the guest has seen nothing.
 *
 * Whatever number the guest says, what can be bound is a port of its own that
 * was meant for us. Xen drops what is sent while nobody is at the other end, so
 * the rings are looked at after each bind.
 */
#include <errno.h>

#include "bell.h"
#include "channel.h"

static int direct_open(void *state, unsigned int queue, uint32_t port)
{
    struct vr_channel *c = state;
    int r = xenevtchn_bind_interdomain(c->ec, c->guest, port);

    if (r < 0)
        return errno == EINVAL ? -EBUSY : -errno;
    c->bell[queue] = r;
    return 0;
}

static void direct_close(void *state, unsigned int queue)
{
    struct vr_channel *c = state;

    xenevtchn_unbind(c->ec, c->bell[queue]);
    c->bell[queue] = 0;
    c->bells_masked &= ~(UINT64_C(1) << queue);
}

static bool direct_ring(void *state, struct vr_ctrl_page *page, uint64_t queues)
{
    struct vr_channel *c = state;

    (void)page;
    for (; queues; queues &= queues - 1)
        xenevtchn_notify(c->ec, c->bell[__builtin_ctzll(queues)]);
    return false;
}

const struct vr_bell_ops vr_bell_direct = {
    .open = direct_open,
    .close = direct_close,
    .ring = direct_ring,
};

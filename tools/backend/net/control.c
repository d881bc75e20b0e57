/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control queue: how many pairs of queues the driver uses, and which frames
 * it wants. Both are the interface's business: a queue of it that is not in use
 * is detached, and it filters by itself. Each command is carried out at once.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vhost.h"

/* ---- the interface ---- */

/* Detaching what is detached, and the like, fails, which does not matter. */
static void attach(struct net_pair *pair, bool in_use)
{
    struct ifreq ifr = {.ifr_flags =
                            in_use ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

    ioctl(pair->tap, TUNSETQUEUE, &ifr);
    pair->more = in_use;
}

/* vhost has a queue only while it is attached. */
static int set_pairs(struct vr_dev *d, unsigned int pairs)
{
    struct vr_net *net = d->source;
    unsigned int i;
    int rc = 0;

    if (net->pairs == 1)
        return 0;
    if (net->vhost)
        rc = vr_vhost_set_pairs(d, pairs < net->now ? pairs : net->now);
    for (i = 0; i < net->pairs; i++)
        attach(&net->pair[i], i < pairs);
    if (!rc && net->vhost)
        rc = vr_vhost_set_pairs(d, pairs);
    net->now = pairs;
    return rc;
}

/* No filter lets everything pass. */
static int set_filter(const struct vr_net *net)
{
    const struct vr_net_control *c = &net->control;
    union {
        struct tun_filter f;
        uint8_t
            room[sizeof(struct tun_filter) + (2 + VR_NET_FILTERED) * ETH_ALEN];
    } u = {.f = {.flags = c->allmulti ? TUN_FLT_ALLMULTI : 0}};
    uint8_t *at = u.room + sizeof(u.f);

    if (!c->promisc && !c->many) {
        memcpy(at, net->mac, ETH_ALEN);
        memset(at + ETH_ALEN, 0xff, ETH_ALEN);
        memcpy(at + 2 * ETH_ALEN, c->addr, c->naddr * ETH_ALEN);
        u.f.count = (uint16_t)(2 + c->naddr);
    }
    return ioctl(net->pair[0].tap, TUNSETTXFILTER, &u.f) < 0 ? -errno : 0;
}

/* ---- what is remembered, for another worker ---- */

static void remember(struct vr_dev *d)
{
    const struct vr_net *net = d->source;

    vr_counters(d)->target_io = VR_NET_IO(net->epoch, net->control.pairs,
                                          net->vhost ? VR_NET_IO_VHOST : 0);
}

void vr_net_control_begin(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    uint64_t io = vr_counters(d)->target_io;
    unsigned int pairs = VR_NET_IO_PAIRS(io);

    vr_net_control_init(&net->control);
    net->epoch = VR_NET_IO_EPOCH(io);
    /* The driver may have gone on, and the interface has. */
    net->now = net->pairs;
    if (pairs && pairs <= net->pairs)
        net->control.pairs = net->now = pairs;
    remember(d);
}

void vr_net_control_reset(struct vr_dev *d)
{
    struct vr_net *net = d->source;

    vr_net_control_init(&net->control);
    if (net->pairs > 1) {
        set_filter(net);
        set_pairs(d, 1);
    }
    remember(d);
}

/* ---- commands ---- */

static bool carry_out(struct vr_dev *d, const uint8_t *cmd, size_t len)
{
    struct vr_net *net = d->source;
    int what = vr_net_control(&net->control, cmd, len, net->pairs, net->mac);
    int rc = what < 0 ? what : 0;

    if (what == VR_NET_CTRL_PAIRS) {
        rc = set_pairs(d, net->control.pairs);
        remember(d);
    } else if (what == VR_NET_CTRL_FILTER) {
        rc = set_filter(net);
    }
    return !rc;
}

static void answer(struct vr_dev *d, struct vr_request *r, bool ok)
{
    struct net_io *io = r->io;
    uint32_t len = r->in_len ? 1 : 0;

    io->bytes[0] = ok ? VR_NET_CTRL_OK : VR_NET_CTRL_ERR;
    vr_request_answer(d, r, 0, len, io->bytes, len);
}

void vr_net_control_start(struct vr_dev *d, struct vr_request *r)
{
    uint32_t front = vr_front_len(d->serve->front, 0, r->out_len);

    if (r->out_len > VR_NET_CTRL_MAX)
        answer(d, r, false);
    else if (r->out_len == front)
        answer(d, r, carry_out(d, r->front, front));
    else if (vr_request_data(d, r, VR_DIR_WRITE))
        vr_net_control_more(d, r);
    else
        answer(d, r, false);
}

void vr_net_control_more(struct vr_dev *d, struct vr_request *r)
{
    uint32_t front = vr_front_len(d->serve->front, 0, r->out_len);
    uint8_t cmd[VR_NET_CTRL_MAX];
    size_t len = front;
    unsigned int i;

    memcpy(cmd, r->front, front);
    for (i = 0; i < r->niov && r->iov[i].iov_len <= sizeof(cmd) - len; i++) {
        memcpy(cmd + len, r->iov[i].iov_base, r->iov[i].iov_len);
        len += r->iov[i].iov_len;
    }
    answer(d, r, carry_out(d, cmd, len));
}

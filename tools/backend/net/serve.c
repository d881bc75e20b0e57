/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network devices, as backend/serve.h has it (virtio 1.2, 5.1). Buffers to
 * receive in are requests that wait for a frame; frames to be sent are handed
 * to the interface at once, which takes them or drops them.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <poll.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vhost.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* Beside numbers of queues, what the epoll descriptor tells of. */
#define WAKE 0x100u /* wake_fd */
#define STOP 0x101u /* stop_fd */

/* The queues of a pair (5.1.2): even ones to the guest. */
static bool is_rx(const struct vr_dev *d, const struct vr_request *r)
{
    return !((r->q - d->q) & 1);
}

/* The control queue is behind them. */
static bool is_control(const struct vr_dev *d, const struct vr_request *r)
{
    const struct vr_net *net = d->source;

    return r->q - d->q == 2 * (ptrdiff_t)net->pairs;
}

/* ---- the interface ---- */

static int net_open(void **source, const struct vr_dev_cfg *cfg,
                    const struct vr_io_opts *opts, struct vr_err *err)
{
    struct vr_net *net = calloc(1, sizeof(*net));
    struct vr_net_iface got;
    unsigned int i;
    int rc;

    if (!net) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    rc = -EINVAL;
    net->pairs = vr_net_pairs(cfg);
    if (!net->pairs || cfg->queues != vr_net_queues(net->pairs) ||
        vr_net_mac_parse(cfg->mac, net->mac) ||
        vr_net_addrs_parse(cfg->ip, &net->own) ||
        vr_net_rate_parse(cfg->rate, &net->rate)) {
        vr_err_set(err, "mac=%s, ip=%s, rate=%s, %u queues: no such device",
                   vr_shown(cfg->mac).text, vr_shown(cfg->ip).text,
                   vr_shown(cfg->rate).text, cfg->queues);
        goto out;
    }
    rc = vr_net_ask(opts->keeper, opts->guest, cfg->id, net->pairs, &got, err);
    if (rc)
        goto out;
    for (i = 0; i < net->pairs; i++) {
        net->pair[i].tap = got.tap[i];
        net->pair[i].rx.last = &net->pair[i].rx.first;
    }
    memcpy(net->no_vhost, got.no_vhost, sizeof(net->no_vhost));
    if (got.has_vhost) {
        net->vhost = vr_vhost_new(net->pairs, got.vhost, got.name, err);
        if (!net->vhost) {
            rc = -ENOMEM;
            goto out;
        }
    }
    net->mtu = got.mtu;
    memcpy(net->name, got.name, sizeof(net->name));
    net->epoll = -1;
    net->can =
        cfg->offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN : 0;
    net->tx.last = &net->tx.first;
    *source = net;
    return 0;
out:
    free(net);
    return rc;
}

static bool link_is_up(const struct vr_net *net)
{
    struct pollfd fd = {.fd = net->pair[0].tap, .events = POLLOUT};
    struct timespec at_once = {0, 0};

    /* An interface that is down takes nothing. */
    return ppoll(&fd, 1, &at_once, NULL) == 1 && fd.revents & POLLOUT;
}

static void describe(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    struct vr_net_config config = {
        .status = net->link ? VR_NET_S_LINK_UP : 0,
        .max_pairs = (uint16_t)net->pairs,
        .mtu = (uint16_t)net->mtu,
    };
    uint64_t features =
        VR_NET_F_MAC | VR_NET_F_MTU | VR_NET_F_STATUS | VR_NET_F_MRG_RXBUF;

    memcpy(config.mac, net->mac, sizeof(config.mac));
    if (net->can)
        features |= VR_NET_OFFLOADS;
    if (net->pairs > 1)
        features |= VR_NET_CONTROL;
    vr_ctrl_set_device(d->cfg.page, features, &config, sizeof(config));
}

/* Frames come as edges: a queue is read until there are none, whether it was
 * waited for or not. */
static int watch_taps(const struct vr_net *net)
{
    unsigned int i;

    for (i = 0; i < net->pairs; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = i};

        if (epoll_ctl(net->epoll, EPOLL_CTL_ADD, net->pair[i].tap, &event))
            return -errno;
    }
    return 0;
}

static int watch_end(const struct vr_net *net, int fd, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

    return epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_epoll(struct vr_dev *d, struct vr_err *err)
{
    struct vr_net *net = d->source;
    int rc;

    net->epoll = epoll_create1(EPOLL_CLOEXEC);
    rc = net->epoll < 0 ? -errno : watch_end(net, d->cfg.wake_fd, WAKE);
    if (!rc)
        rc = watch_end(net, d->cfg.stop_fd, STOP);
    if (rc) {
        vr_err_set(err, "epoll: %s", strerror(-rc));
        return rc;
    }
    if (net->vhost)
        return vr_vhost_begin(net->vhost, net->epoll, err);
    rc = watch_taps(net);
    if (rc)
        vr_err_set(err, "epoll: %s", strerror(-rc));
    return rc;
}

static int net_begin(struct vr_dev *d, struct vr_err *err)
{
    struct vr_net *net = d->source;
    int rc;

    if (net->vhost || net->pairs > 1) {
        rc = open_epoll(d, err);
        if (rc)
            return rc;
    }
    vr_net_control_begin(d);
    /* One that does not have them all is used without any. */
    if (net->can &&
        ioctl(net->pair[0].tap, TUNSETOFFLOAD, (unsigned long)net->can))
        net->can = 0;
    net->link = link_is_up(net);
    describe(d);
    return 0;
}

static void net_show(struct vr_dev *d, char *buf, size_t size)
{
    const struct vr_net *net = d->source;

    snprintf(buf, size, "interface %s, MTU %u, %s%s%s%s", net->name, net->mtu,
             net->can ? "with offloads" : "no offloads",
             net->vhost ? ", by vhost-net" : "",
             net->no_vhost[0] ? ", without vhost-net: " : "", net->no_vhost);
}

/* The link follows what the operator does with the interface. */
static void net_look(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    bool up = !net->gone && link_is_up(net);

    if (net->vhost)
        vr_vhost_count(d);
    if (up == net->link)
        return;
    net->link = up;
    describe(d);
    vr_tell_broker(d);
}

static unsigned int wanted_offloads(const struct vr_net *net)
{
    static const struct {
        uint64_t feature;
        unsigned int flag;
    } table[] = {
        {VR_NET_F_GUEST_CSUM, TUN_F_CSUM},
        {VR_NET_F_GUEST_TSO4, TUN_F_TSO4},
        {VR_NET_F_GUEST_TSO6, TUN_F_TSO6},
        {VR_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
    };
    unsigned int i, flags = 0;

    for (i = 0; i < VR_ARRAY_SIZE(table); i++)
        if (net->features & table[i].feature)
            flags |= table[i].flag;
    return flags & TUN_F_CSUM ? flags & net->can : 0;
}

void vr_net_meet_driver(struct vr_dev *d)
{
    struct vr_net *net = d->source;

    bool same = net->epoch == d->req.q[0].epoch;

    if (net->met && same && net->features == d->req.features)
        return;
    net->features = d->req.features;
    net->epoch = d->req.q[0].epoch;
    net->met = true;
    if (!same)
        vr_net_control_reset(d);
    if (ioctl(net->pair[0].tap, TUNSETOFFLOAD,
              (unsigned long)wanted_offloads(net)))
        vr_counters(d)->last_errno = (uint64_t)errno;
    vr_net_rx_flush(d);
}

/* ---- requests ---- */

static uint32_t net_guess(const struct vr_dev *d, const struct vr_request *r,
                          enum vr_dir *dir)
{
    uint32_t front = vr_front_len(d->serve->front, 0, r->out_len);

    *dir = VR_DIR_NONE;
    if (is_control(d, r)) {
        if (r->out_len <= front || r->out_len > VR_NET_CTRL_MAX)
            return 0;
        *dir = VR_DIR_WRITE;
        return r->out_len - front;
    }
    /* What is for the guest is copied when there is something; what is no frame
     * is not copied. */
    if (is_rx(d, r) || r->resumed || r->out_len <= front ||
        r->out_len > VR_NET_MAX)
        return 0;
    *dir = VR_DIR_WRITE;
    return r->out_len - front;
}

static void net_start(struct vr_dev *d, struct vr_request *r)
{
    vr_net_meet_driver(d);
    if (is_control(d, r))
        vr_net_control_start(d, r);
    else if (is_rx(d, r))
        vr_net_rx_start(d, r);
    else
        vr_net_tx_start(d, r);
}

static void net_more(struct vr_dev *d, struct vr_request *r)
{
    if (is_control(d, r))
        vr_net_control_more(d, r);
    else
        vr_net_tx_more(d, r);
}

/* ---- waiting ---- */

static bool unwanted(const struct vr_dev *d, const struct net_list *list)
{
    return list->first && !vr_request_wanted(d, list->first->r);
}

static void sooner(int64_t *t, int64_t when, int64_t now)
{
    int64_t left = vr_clamp(when - now, 0, NS_PER_S);

    if (*t < 0 || left < *t)
        *t = left;
}

static int64_t due_in(const struct vr_dev *d, int64_t t)
{
    const struct vr_net *net = d->source;
    unsigned int i;

    if (unwanted(d, &net->tx))
        return 0;
    if (net->tx.first)
        sooner(&t, net->fill_at, d->now);
    for (i = 0; i < net->pairs; i++) {
        const struct net_pair *pair = &net->pair[i];

        if (unwanted(d, &pair->rx) || vr_net_rx_ready(net, pair))
            return 0;
        if (pair->held_len)
            sooner(&t, pair->held_until, d->now);
    }
    return t;
}

static void lost_interface(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    char text[80];

    if (net->gone)
        return;
    net->gone = true;
    snprintf(text, sizeof(text),
             "interface %s was taken away: restart vr-backend", net->name);
    vr_dev_note(d, text);
}

static unsigned int take_event(struct vr_dev *d, uint32_t number,
                               uint32_t events)
{
    struct vr_net *net = d->source;

    if (number == WAKE)
        return VR_WAKE_EVENT;
    if (number == STOP)
        return VR_WAKE_STOP;
    if (net->vhost)
        vr_vhost_heard(d, number);
    else if (!(events & EPOLLERR))
        net->pair[number].more = true;
    else if (number < net->now) /* others are detached */
        lost_interface(d);
    return 0;
}

/* In whole milliseconds: nothing is so urgent that it is waited for. */
static unsigned int wait_for_many(struct vr_dev *d, int64_t due)
{
    struct epoll_event event[VR_MAX_QUEUES];
    const struct vr_net *net = d->source;
    unsigned int said = 0;
    int i, n;

    n = epoll_pwait(net->epoll, event, VR_ARRAY_SIZE(event),
                    due < 0 ? -1 : (int)((due + NS_PER_MS - 1) / NS_PER_MS),
                    NULL);
    for (i = 0; i < n; i++)
        said |= take_event(d, event[i].data.u32, event[i].events);
    return said;
}

/* No more than three descriptors can be polled (sandbox.c); and to wait for the
 * interface by epoll would take another call for each time that there are no
 * buffers. */
static unsigned int net_wait(struct vr_dev *d, int64_t timeout_ns)
{
    struct vr_net *net = d->source;
    struct net_pair *pair = &net->pair[0];
    struct pollfd fds[] = {
        {.fd = d->cfg.wake_fd, .events = POLLIN},
        {.fd = d->cfg.stop_fd, .events = POLLIN},
        {.fd = vr_net_rx_wants(net, pair) ? pair->tap : -1, .events = POLLIN}};
    int64_t due = due_in(d, timeout_ns);
    struct timespec ts = {due / NS_PER_S, due % NS_PER_S};

    if (net->epoll >= 0)
        return wait_for_many(d, due);
    if (ppoll(fds, VR_ARRAY_SIZE(fds), due < 0 ? NULL : &ts, NULL) <= 0)
        return 0;
    if (fds[2].revents & (POLLERR | POLLNVAL))
        lost_interface(d);
    else if (fds[2].revents)
        pair->more = true;
    return (fds[0].revents ? VR_WAKE_EVENT : 0) |
           (fds[1].revents ? VR_WAKE_STOP : 0);
}

static bool net_reap(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    bool any = vr_net_tx_reap(d);
    unsigned int i;

    for (i = 0; i < net->pairs; i++)
        any |= vr_net_rx_reap(d, &net->pair[i]);
    return any;
}

/* ---- the end ---- */

static void net_finish(struct vr_dev *d)
{
    (void)d;
}

static void net_close(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    unsigned int i;

    for (i = 0; i < net->pairs; i++)
        close(net->pair[i].tap);
    if (net->epoll >= 0)
        close(net->epoll);
    if (net->vhost)
        vr_vhost_free(net->vhost);
}

static const int calls[] = {SCMP_SYS(ppoll), SCMP_SYS(readv), SCMP_SYS(writev),
                            SCMP_SYS(pread64), SCMP_SYS(epoll_pwait)};
static const unsigned long ioctls[] = {
    TUNSETOFFLOAD,        TUNSETQUEUE,          TUNSETTXFILTER,
    VHOST_SET_FEATURES,   VHOST_SET_MEM_TABLE,  VHOST_SET_VRING_NUM,
    VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_NET_SET_BACKEND,
};

const struct vr_serve vr_serve_net = {
    .type = VR_TYPE_net,
    .calls = {.call = calls,
              .calls = VR_ARRAY_SIZE(calls),
              .ioctl = ioctls,
              .ioctls = VR_ARRAY_SIZE(ioctls)},
    .front = VR_NET_HDR_LEN + VR_NET_ETH_LEN,
    .waits = true,
    .io_size = sizeof(struct net_io),
    .open = net_open,
    .begin = net_begin,
    .show = net_show,
    .look = net_look,
    .pool = vr_vhost_pool,
    .lends = vr_vhost_lends,
    .lend = vr_vhost_lend,
    .kick = vr_vhost_kick,
    .recall = vr_vhost_recall,
    .guess = net_guess,
    .start = net_start,
    .more = net_more,
    .wait = net_wait,
    .reap = net_reap,
    .finish = net_finish,
    .close = net_close,
};

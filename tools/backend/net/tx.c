/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the guest to the interface. Header and Ethernet header are a copy
 * (serve.h: front), which is what is checked and what is sent; the rest goes to
 * the kernel from where it is.
 *
 * A frame that a former worker had begun may have been sent: it is not sent
 * again.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "net.h"

#define NS_PER_US INT64_C(1000)
/* More make no difference: any frame is paid for. */
#define PERIODS_MAX (INT64_C(1) << 17)

static void drop(struct vr_dev *d, struct vr_request *r, enum vr_net_counter n)
{
    ++*vr_net_counter(d, n);
    vr_request_answer(d, r, 0, 0, NULL, 0);
}

void vr_net_tx_start(struct vr_dev *d, struct vr_request *r)
{
    struct vr_net *net = d->source;
    uint32_t front = vr_front_len(d->serve->front, 0, r->out_len);
    struct net_io *io = r->io;
    int rc;

    if (r->resumed) {
        drop(d, r, VR_NET_FROM_DROPPED);
        return;
    }
    rc = front < VR_NET_HDR_LEN
             ? -EPROTO
             : vr_net_check(r->front, front, r->out_len - VR_NET_HDR_LEN,
                            net->features, net->mac, &io->hdr);
    if (rc) {
        drop(d, r, rc == -EACCES ? VR_NET_FROM_SPOOFED : VR_NET_FROM_BAD);
        return;
    }
    io->head_len = 0;
    if (!vr_request_data(d, r, VR_DIR_WRITE)) {
        drop(d, r, VR_NET_FROM_BAD);
        return;
    }
    vr_net_tx_more(d, r);
}

/* What says who sends it is copied, too: what was looked at is what is sent. */
static void copy_head(struct vr_request *r, struct net_io *io)
{
    size_t at = VR_NET_ETH_LEN;
    unsigned int i;

    memcpy(io->head, r->front + VR_NET_HDR_LEN, at);
    for (i = 0; i < r->niov && at < sizeof(io->head); i++) {
        size_t n = r->iov[i].iov_len;

        if (n > sizeof(io->head) - at)
            n = sizeof(io->head) - at;
        memcpy(io->head + at, r->iov[i].iov_base, n);
        at += n;
    }
    io->head_len = (uint32_t)at;
}

/* The frame, from the copies as far as there are some. */
static unsigned int gather(struct vr_request *r, struct iovec *iov)
{
    struct net_io *io = r->io;
    unsigned int i, n = 0;
    size_t skip = 0;

    iov[n++] = (struct iovec){&io->hdr, sizeof(io->hdr)};
    if (io->head_len) {
        skip = io->head_len - VR_NET_ETH_LEN;
        iov[n++] = (struct iovec){io->head, io->head_len};
    } else {
        iov[n++] = (struct iovec){r->front + VR_NET_HDR_LEN, VR_NET_ETH_LEN};
    }
    for (i = 0; i < r->niov; i++) {
        size_t k = skip < r->iov[i].iov_len ? skip : r->iov[i].iov_len;

        skip -= k;
        iov[n++] = (struct iovec){(uint8_t *)r->iov[i].iov_base + k,
                                  r->iov[i].iov_len - k};
    }
    return n;
}

static void send_frame(struct vr_dev *d, struct vr_request *r)
{
    struct iovec iov[2 + VR_CHAIN_MAX];
    struct vr_net *net = d->source;
    struct net_io *io = r->io;
    ssize_t n;

    n = writev(vr_net_pair_of(d, r)->tap, iov, (int)gather(r, iov));
    if (n < 0) {
        ++*vr_net_counter(d, VR_NET_FROM_DROPPED);
        vr_counters(d)->write_errors++;
        vr_counters(d)->last_errno = (uint64_t)errno;
    } else {
        ++*vr_net_counter(d, VR_NET_FROM_GUEST);
        if (io->hdr.gso_type)
            ++*vr_net_counter(d, VR_NET_FROM_GSO);
        vr_counters(d)->write_bytes += (uint64_t)n - VR_NET_HDR_LEN;
    }
    net->credit -= r->len + VR_NET_ETH_LEN;
    r->used_len = 0;
    vr_request_done(d, r, 0);
}

/* May another frame be sent? The last one may have been longer than there was
 * left; the next then waits accordingly. */
static bool may_send(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    const int64_t period = net->rate.usecs * NS_PER_US;
    const int64_t bytes = (int64_t)net->rate.bytes;

    if (!bytes)
        return true;
    if (d->now >= net->fill_at) {
        int64_t n = (d->now - net->fill_at) / period + 1;

        net->fill_at += n * period;
        net->credit += vr_clamp(n, 1, PERIODS_MAX) * bytes;
        if (net->credit > bytes)
            net->credit = bytes;
    }
    return net->credit > 0;
}

void vr_net_tx_more(struct vr_dev *d, struct vr_request *r)
{
    struct vr_net *net = d->source;
    struct net_io *io = r->io;

    if (net->own.n) {
        copy_head(r, io);
        if (!vr_net_addrs_allow(&net->own, io->head, io->head_len)) {
            drop(d, r, VR_NET_FROM_SPOOFED);
            return;
        }
    }
    io->r = r;
    if (net->tx.first || !may_send(d))
        vr_net_add(&net->tx, io);
    else
        send_frame(d, r);
}

bool vr_net_tx_reap(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    bool any = false;

    while (net->tx.first) {
        struct vr_request *r = net->tx.first->r;
        bool wanted = vr_request_wanted(d, r);

        if (wanted && !may_send(d))
            break;
        vr_net_take(&net->tx);
        any = true;
        if (wanted)
            send_frame(d, r);
        else
            vr_request_drop(d, r);
    }
    return any;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the interface to the guest. A frame is read right into the buffers that
 * the guest has made available, where they are mapped here, and else into the
 * requests, from which it is copied with all others of the round.
 *
 * A frame may need several buffers (MRG_RXBUF), and how many is known only when
 * it was read. So it is read when there are enough for the longest; with fewer
 * it is read into memory of our own and waits a little for the rest.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net.h"

#define NS_PER_MS INT64_C(1000000)
/* How long a frame waits for buffers. */
#define HELD_NS (500 * NS_PER_MS)
/* Frames taken before the queues have their turn. */
#define BUDGET 64u
/* What a former driver left: no more than an interface keeps. */
#define FLUSH 2048u
/* Pieces of memory for one read: the kernel's limit is 1024. */
#define PIECES 512u
/* After a long frame so many reads are prepared for another one. */
#define LONG_RUN 32u

static const size_t at_num_buffers = offsetof(struct vr_net_hdr, num_buffers);

void vr_net_rx_start(struct vr_dev *d, struct vr_request *r)
{
    struct net_pair *pair = vr_net_pair_of(d, r);
    struct net_io *io = r->io;

    /* 5.1.6.3.2: a buffer has room for a header at the least. */
    if (r->out_len || r->in_len < VR_NET_HDR_LEN + VR_NET_ETH_LEN) {
        vr_request_answer(d, r, 0, 0, NULL, 0);
        return;
    }
    io->r = r;
    io->room = r->in_len;
    if (r->local)
        vr_request_data(d, r, VR_DIR_READ);
    else if (io->room > VR_NET_PIECE)
        io->room = VR_NET_PIECE;
    vr_net_add(&pair->rx, io);
    pair->room += io->room;
}

bool vr_net_rx_wants(const struct vr_net *net, const struct net_pair *pair)
{
    return pair->rx.first && !pair->held_len && !net->gone;
}

static bool merges(const struct vr_net *net)
{
    return net->features & VR_NET_F_MRG_RXBUF;
}

/* One as the link has it, header included. */
static uint32_t usual(const struct vr_net *net)
{
    return VR_NET_HDR_LEN + VR_NET_ETH_LEN + VR_NET_VLAN_LEN + net->mtu;
}

/* The longest that may come. */
static uint32_t longest(const struct vr_net *net)
{
    const uint64_t tso = VR_NET_F_GUEST_TSO4 | VR_NET_F_GUEST_TSO6;

    return net->features & tso ? VR_NET_MAX : usual(net);
}

/* Where the request's bytes go. */
static unsigned int pieces(struct net_io *io, struct iovec *iov,
                           unsigned int max)
{
    unsigned int i;

    if (!io->r->local) {
        iov[0] = (struct iovec){io->bytes, io->room};
        return 1;
    }
    if (io->r->niov > max)
        return 0;
    for (i = 0; i < io->r->niov; i++)
        iov[i] = io->r->iov[i];
    return i;
}

/* Memory of the guest's for @want bytes, or of the first buffer; *@room: how
 * many there are. */
static unsigned int gather(const struct vr_net *net,
                           const struct net_pair *pair, uint32_t want,
                           struct iovec *iov, uint32_t *room)
{
    struct net_io *io;
    unsigned int n = 0, k;

    *room = 0;
    for (io = pair->rx.first; io && *room < want; io = io->next) {
        k = pieces(io, iov + n, PIECES - n);
        if (!k)
            break;
        n += k;
        *room += io->room;
        if (!merges(net))
            break;
    }
    return n;
}

/* Puts two bytes at the header's num_buffers, wherever the guest has cut. */
static void put_count(const struct iovec *iov, uint16_t count)
{
    const uint8_t bytes[] = {(uint8_t)count, (uint8_t)(count >> 8)};
    size_t at = at_num_buffers;
    unsigned int i;

    for (i = 0; i < sizeof(bytes); i++, at++) {
        while (at >= iov->iov_len) {
            at -= iov->iov_len;
            iov++;
        }
        *((volatile uint8_t *)iov->iov_base + at) = bytes[i];
    }
}

/* How many buffers @len bytes take; 0: there are not enough. */
static uint16_t buffers_for(const struct vr_net *net,
                            const struct net_pair *pair, uint32_t len)
{
    const struct net_io *io;
    uint16_t n = 0;

    for (io = pair->rx.first; io; io = io->next) {
        n++;
        if (len <= io->room)
            return n;
        if (!merges(net))
            break;
        len -= io->room;
    }
    return 0;
}

bool vr_net_rx_ready(const struct vr_net *net, const struct net_pair *pair)
{
    return pair->held_len ? buffers_for(net, pair, pair->held_len) != 0
                          : pair->more && vr_net_rx_wants(net, pair);
}

static void fill(struct vr_dev *d, struct net_io *io, const uint8_t *from,
                 uint32_t len)
{
    struct vr_request *r = io->r;

    if (!r->local) {
        if (from)
            memcpy(io->bytes, from, len);
        vr_request_answer(d, r, 0, len, io->bytes, len);
        return;
    }
    if (from)
        vr_chain_put(r->iov, from, len);
    r->len = r->used_len = len;
    vr_request_done(d, r, 0);
}

/* A frame of @len bytes goes to the guest, in @count buffers. The first @placed
 * of them are there already, which is whole buffers or all; the rest is at
 * @from. */
static void deliver(struct vr_dev *d, struct net_pair *pair, uint32_t placed,
                    const uint8_t *from, uint32_t len, uint16_t count)
{
    const struct vr_net *net = d->source;
    struct net_io *io = pair->rx.first;
    struct iovec own = {io->bytes, io->room};

    vr_counters(d)->read_bytes += len - VR_NET_HDR_LEN;
    ++*vr_net_counter(d, VR_NET_TO_GUEST);
    if (len > usual(net))
        ++*vr_net_counter(d, VR_NET_TO_GSO);
    if (placed)
        put_count(io->r->local ? io->r->iov : &own, count);
    while (len) {
        uint32_t n;

        io = vr_net_take(&pair->rx);
        pair->room -= io->room;
        n = len < io->room ? len : io->room;
        fill(d, io, placed ? NULL : from, n);
        if (placed)
            placed -= n;
        else
            from += n;
        len -= n;
    }
}

/* The frame that waits. */
static bool give_held(struct vr_dev *d, struct net_pair *pair)
{
    const struct vr_net *net = d->source;
    uint16_t count = buffers_for(net, pair, pair->held_len);
    struct iovec own = {pair->held, pair->held_len};

    if (count) {
        put_count(&own, count);
        deliver(d, pair, 0, pair->held, pair->held_len, count);
    } else if (merges(net) && d->now < pair->held_until) {
        return false;
    } else {
        ++*vr_net_counter(d, VR_NET_TO_DROPPED);
    }
    pair->held_len = 0;
    return count;
}

static bool too_short(ssize_t n)
{
    return n < (ssize_t)(VR_NET_HDR_LEN + VR_NET_ETH_LEN);
}

static bool lost(struct vr_dev *d, struct net_pair *pair, ssize_t n)
{
    pair->more = n > 0 || errno == EINTR;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        vr_counters(d)->read_errors++;
        vr_counters(d)->last_errno = (uint64_t)errno;
    }
    return false;
}

/* Too few buffers for the longest: into memory of our own. */
static bool hold_frame(struct vr_dev *d, struct net_pair *pair)
{
    ssize_t n = read(pair->tap, pair->held, sizeof(pair->held));

    if (too_short(n))
        return lost(d, pair, n);
    pair->held_len = (uint32_t)n;
    pair->held_until = d->now + HELD_NS;
    return give_held(d, pair);
}

/*
 * One frame. Returns whether a request has ended. To make ready the many
 * buffers that the longest takes is most of what a short one costs; so that is
 * done only while there are long ones. What does not fit arrives in memory of
 * our own, and is copied from there, or shows that there is no room.
 */
static bool read_frame(struct vr_dev *d, struct net_pair *pair)
{
    const struct vr_net *net = d->source;
    struct iovec iov[PIECES + 1];
    uint32_t want = longest(net), room, len;
    uint16_t count;
    unsigned int k;
    ssize_t n;

    if (merges(net) && pair->room < want)
        return hold_frame(d, pair);
    if (pair->expect_long)
        pair->expect_long--;
    else
        want = usual(net);
    k = gather(net, pair, want, iov, &room);
    if (!k || (merges(net) && room < want))
        return hold_frame(d, pair);
    iov[k++] = (struct iovec){pair->held, sizeof(pair->held)};
    n = readv(pair->tap, iov, (int)k);
    if (too_short(n))
        return lost(d, pair, n);
    len = (uint32_t)n;
    count = buffers_for(net, pair, len);
    if (!count) {
        ++*vr_net_counter(d, VR_NET_TO_DROPPED);
        return false;
    }
    if (len > usual(net))
        pair->expect_long = LONG_RUN;
    deliver(d, pair, len < room ? len : room, pair->held, len, count);
    return true;
}

static bool drop_unwanted(struct vr_dev *d, struct net_pair *pair)
{
    bool any = false;

    while (pair->rx.first && !vr_request_wanted(d, pair->rx.first->r)) {
        struct net_io *io = vr_net_take(&pair->rx);

        pair->room -= io->room;
        vr_request_drop(d, io->r);
        any = true;
    }
    return any;
}

bool vr_net_rx_reap(struct vr_dev *d, struct net_pair *pair)
{
    const struct vr_net *net = d->source;
    bool any = drop_unwanted(d, pair);
    unsigned int i;

    if (pair->held_len)
        any |= give_held(d, pair);
    for (i = 0; i < BUDGET && pair->more && vr_net_rx_wants(net, pair); i++)
        any |= read_frame(d, pair);
    return any;
}

void vr_net_rx_flush(struct vr_dev *d)
{
    struct vr_net *net = d->source;
    unsigned int i, k;

    for (k = 0; k < net->pairs; k++) {
        struct net_pair *pair = &net->pair[k];

        pair->held_len = 0;
        for (i = 0; i < FLUSH; i++) {
            if (read(pair->tap, pair->held, sizeof(pair->held)) <= 0)
                break;
            ++*vr_net_counter(d, VR_NET_TO_DROPPED);
        }
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A network device: an interface of this domain (tap) on one side, a receive
 * and a transmit queue on the other. What the files here share:
 *
 *   serve.c   the type's table (backend/serve.h): opening, waiting, the link
 *   rx.c      from the interface to the guest
 *   tx.c      from the guest to the interface
 *   control.c what the driver asks for beside
 *   vhost.c   frames by the kernel, instead of these two
 *   ask.c     how a worker comes by its interface
 *   keeper.c  the process with the privilege to make interfaces
 *   iface.c   ... and its child for one of them: tap, hotplug script
 *   guard.c   ... and what may come out of the tap, where the kernel says so
 */
#ifndef VR_BACKEND_NET_H
#define VR_BACKEND_NET_H

#include "libs/types/net/net.h"
#include "backend/serve.h"

/* Bytes of a receive buffer that are used of one that is not mapped here: what
 * is copied to it has to be in the request. Linux' own are not longer. */
#define VR_NET_PIECE 4096u
/* The longest that the interface hands over. */
#define VR_NET_MAX (VR_NET_HDR_LEN + VR_NET_FRAME_MAX)

struct net_io {
    struct vr_request *r;
    struct net_io *next;
    uint32_t room;         /* to the guest: bytes that it has for us */
    struct vr_net_hdr hdr; /* from it: as the interface gets it */
    uint32_t head_len;     /* ... and bytes in front of it, if they matter */
    uint8_t head[VR_NET_HEAD];
    uint8_t bytes[VR_NET_PIECE];
};

/* Requests in the order in which they came. */
struct net_list {
    struct net_io *first, **last;
};

struct vr_vhost;

/* A receive and a transmit queue. */
struct net_pair {
    int tap;
    struct net_list rx; /* buffers to fill */
    uint64_t room;      /* bytes in rx */
    bool more;          /* there may be another frame to read */
    /* Reads from now on for which a long frame is expected (rx.c). */
    unsigned int expect_long;
    /* A frame for which there were too few buffers; dropped at @held_until. */
    uint8_t held[VR_NET_MAX];
    uint32_t held_len;
    int64_t held_until;
};

struct vr_net {
    unsigned int pairs;
    struct net_pair pair[VR_NET_PAIRS_MAX];
    int epoll;              /* of vhost, or of several interfaces' queues */
    struct vr_vhost *vhost; /* NULL: frames go through this process */
    char no_vhost[80];      /* why */
    char name[VR_IFNAME_LEN + 1];
    uint8_t mac[6];
    struct vr_net_addrs own; /* it may send from */
    uint32_t mtu;
    unsigned int can; /* offloads of the interface: TUN_F_* */
    bool link;
    bool gone;          /* the interface is not there any more */
    bool met;           /* a driver, by this process */
    uint32_t epoch;     /* its queue 0's, by whatever process */
    uint64_t features;  /* what the interface was told of it */
    struct net_list tx; /* frames that are to wait */
    struct vr_net_control control;
    unsigned int now; /* pairs that the interface has */
    struct vr_net_rate rate;
    int64_t credit, fill_at; /* bytes that may be sent; when there are more */
    int64_t last_log;
};

extern const struct vr_serve vr_serve_net;

/** vr_net_meet_driver() - if the driver is another one than before, the
 * interface is told what it can take. */
void vr_net_meet_driver(struct vr_dev *d);

/** vr_net_pair_of() - the pair that queue @i is of; not of a control queue. */
static inline struct net_pair *vr_net_pair_of(const struct vr_dev *d,
                                              const struct vr_request *r)
{
    struct vr_net *net = d->source;

    return &net->pair[(r->q - d->q) / 2];
}

static inline uint64_t *vr_net_counter(struct vr_dev *d, enum vr_net_counter n)
{
    return &vr_counters(d)->own[n];
}

static inline void vr_net_add(struct net_list *list, struct net_io *io)
{
    io->next = NULL;
    *list->last = io;
    list->last = &io->next;
}

static inline struct net_io *vr_net_take(struct net_list *list)
{
    struct net_io *io = list->first;

    list->first = io->next;
    if (!list->first)
        list->last = &list->first;
    return io;
}

/** vr_net_rx_start() - a buffer to be filled. */
void vr_net_rx_start(struct vr_dev *d, struct vr_request *r);
/** vr_net_rx_wants() - is there room for a frame, and none waits for it? */
bool vr_net_rx_wants(const struct vr_net *net, const struct net_pair *pair);
/** vr_net_rx_ready() - has vr_net_rx_reap() something to do? */
bool vr_net_rx_ready(const struct vr_net *net, const struct net_pair *pair);
/** vr_net_rx_reap() - frames that are there go to the guest. Returns whether a
 * request has ended. */
bool vr_net_rx_reap(struct vr_dev *d, struct net_pair *pair);
/** vr_net_rx_flush() - what was sent to the driver before this one goes. */
void vr_net_rx_flush(struct vr_dev *d);

/** vr_net_tx_start() - a frame of the guest's. */
void vr_net_tx_start(struct vr_dev *d, struct vr_request *r);
/** vr_net_tx_more() - its data are there. */
void vr_net_tx_more(struct vr_dev *d, struct vr_request *r);
/** vr_net_tx_reap() - those that had to wait, as far as they may. Returns
 * whether a request has ended. */
bool vr_net_tx_reap(struct vr_dev *d);

/** vr_net_control_start() - a command of the driver's. */
void vr_net_control_start(struct vr_dev *d, struct vr_request *r);
/** vr_net_control_more() - the rest of it is there. */
void vr_net_control_more(struct vr_dev *d, struct vr_request *r);
/** vr_net_control_begin() - as a former worker has left it, for a start. */
void vr_net_control_begin(struct vr_dev *d);
/** vr_net_control_reset() - as a driver that has just begun finds it. */
void vr_net_control_reset(struct vr_dev *d);

/* What a worker is given. */
struct vr_net_iface {
    /* For each pair of queues: frames behind a header of VR_NET_HDR_LEN. */
    int tap[VR_NET_PAIRS_MAX];
    int vhost[VR_NET_PAIRS_MAX]; /* /dev/vhost-net */
    bool has_vhost;              /* those are there; else: */
    char no_vhost[80];           /* why not, where there should be */
    char name[VR_IFNAME_LEN + 1];
    uint32_t mtu;
};

/**
 * vr_net_ask() - the interface of guest @guest's device @id with @pairs of
 * queues, from the keeper at @keeper: made, and its script run, unless a former
 * worker had it already. Returns 0, or -errno with @err.
 */
int vr_net_ask(int keeper, uint32_t guest, const char *id, unsigned int pairs,
               struct vr_net_iface *out, struct vr_err *err);

#endif /* VR_BACKEND_NET_H */

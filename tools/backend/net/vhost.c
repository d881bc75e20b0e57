/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel serves the queues, as vhost.h has it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vhost.h"

/* What a queue's form follows from. The transport's ACCESS_PLATFORM is not
 * passed on: to vhost it says that addresses have to be asked for. */
#define RINGS                                                                  \
    (VR_F_VERSION_1 | VR_F_EVENT_IDX | VR_F_INDIRECT_DESC | VR_NET_F_MRG_RXBUF)

#define QUEUES_MAX (2 * VR_NET_PAIRS_MAX)
#define FAULT      QUEUES_MAX /* vr_vhost_heard(): no queue's number */

/* Of the interface, as this domain sees it: what it receives is the guest's. */
enum figure {
    RX_PACKETS,
    RX_BYTES,
    RX_DROPPED,
    TX_PACKETS,
    TX_BYTES,
    TX_DROPPED,
};

static const char *const figures[] = {
    [RX_PACKETS] = "rx_packets", [RX_BYTES] = "rx_bytes",
    [RX_DROPPED] = "rx_dropped", [TX_PACKETS] = "tx_packets",
    [TX_BYTES] = "tx_bytes",     [TX_DROPPED] = "tx_dropped",
};

#define FIGURES VR_ARRAY_SIZE(figures)

struct queue {
    int kick, call;        /* eventfds */
    const uint16_t *avail; /* available ring; NULL: the queue is not lent */
    bool runs;             /* vhost has it and its interface */
    uint16_t seen;         /* its index at the last kick */
};

struct vr_vhost {
    unsigned int pairs;
    int fd[VR_NET_PAIRS_MAX];
    int fault; /* eventfd: a ring makes no sense */
    struct queue q[QUEUES_MAX];
    int figure[FIGURES];
};

/* ---- making ---- */

static int new_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Each write is told, so that it need not be read. */
static int watch(int epoll, int fd, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET,
                                .data.u32 = number};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

struct vr_vhost *vr_vhost_new(unsigned int pairs, const int *fd,
                              const char *iface, struct vr_err *err)
{
    struct vr_vhost *v = calloc(1, sizeof(*v));
    char path[80];
    unsigned int i;

    if (!v) {
        vr_err_set(err, "out of memory");
        return NULL;
    }
    v->pairs = pairs;
    for (i = 0; i < pairs; i++)
        v->fd[i] = fd[i];
    v->fault = -1;
    for (i = 0; i < QUEUES_MAX; i++)
        v->q[i].kick = v->q[i].call = -1;
    for (i = 0; i < FIGURES; i++) {
        snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", iface,
                 figures[i]);
        /* Without it its figure stays 0. */
        v->figure[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
    return v;
}

/* Number @n of the pair's own two: the receive queue is 0 there as well. */
static int vring_file(const struct vr_vhost *v, unsigned int i,
                      unsigned long request, int fd)
{
    struct vhost_vring_file file = {.index = i & 1, .fd = fd};

    return ioctl(v->fd[i / 2], request, &file) ? -errno : 0;
}

static int open_queue(struct vr_vhost *v, unsigned int i, int epoll)
{
    struct queue *q = &v->q[i];
    int rc;

    q->kick = new_eventfd();
    q->call = new_eventfd();
    if (q->kick < 0 || q->call < 0)
        return -errno;
    rc = vring_file(v, i, VHOST_SET_VRING_KICK, q->kick);
    if (!rc)
        rc = vring_file(v, i, VHOST_SET_VRING_CALL, q->call);
    if (!rc)
        rc = vring_file(v, i, VHOST_SET_VRING_ERR, v->fault);
    return rc ? rc : watch(epoll, q->call, i);
}

int vr_vhost_begin(struct vr_vhost *v, int epoll, struct vr_err *err)
{
    const char *what = "eventfd";
    uint64_t can;
    unsigned int i;
    int rc;

    v->fault = new_eventfd();
    rc = v->fault < 0 ? -errno : watch(epoll, v->fault, FAULT);
    if (rc)
        goto out;
    for (i = 0; i < v->pairs; i++) {
        what = "VHOST_SET_OWNER";
        if (ioctl(v->fd[i], VHOST_SET_OWNER) ||
            ioctl(v->fd[i], VHOST_GET_FEATURES, &can)) {
            rc = -errno;
            goto out;
        }
        what = "features";
        if (RINGS & ~can) {
            rc = -EOPNOTSUPP;
            goto out;
        }
    }
    what = "eventfds";
    for (i = 0; !rc && i < 2 * v->pairs; i++)
        rc = open_queue(v, i, epoll);
out:
    if (rc)
        vr_err_set(err, "vhost-net, %s: %s", what, strerror(-rc));
    return rc;
}

void vr_vhost_free(struct vr_vhost *v)
{
    unsigned int i;

    for (i = 0; i < v->pairs; i++)
        close(v->fd[i]);
    for (i = 0; i < 2 * v->pairs; i++) {
        close(v->q[i].kick);
        close(v->q[i].call);
    }
    for (i = 0; i < FIGURES; i++)
        close(v->figure[i]);
    close(v->fault);
    free(v);
}

/* ---- queues ---- */

static struct vr_vhost *vhost_of(const struct vr_dev *d)
{
    const struct vr_net *net = d->source;

    return net->vhost;
}

/* One region, or none: what else this process has is out of reach. */
void vr_vhost_pool(struct vr_dev *d, void *va, size_t len)
{
    const struct vr_vhost *v = vhost_of(d);
    union {
        struct vhost_memory table;
        uint8_t room[sizeof(struct vhost_memory) +
                     sizeof(struct vhost_memory_region)];
    } m = {.table = {.nregions = va ? 1 : 0}};
    unsigned int i;

    if (!v)
        return;
    if (va)
        m.table.regions[0] = (struct vhost_memory_region){
            .guest_phys_addr = d->cfg.win->base,
            .memory_size = len,
            .userspace_addr = (uintptr_t)va,
        };
    /* Should it fail, so does each queue: none is there without it. */
    for (i = 0; i < v->pairs; i++)
        if (ioctl(v->fd[i], VHOST_SET_MEM_TABLE, &m.table))
            vr_counters(d)->last_errno = (uint64_t)errno;
}

bool vr_vhost_lends(const struct vr_dev *d, unsigned int i)
{
    const struct vr_vhost *v = vhost_of(d);

    return v && i < 2 * v->pairs;
}

/* What a former worker may have had sent is not sent again: it is answered
 * unsent, as frames that were lost. */
static void answer_begun(struct vr_dev *d, unsigned int i)
{
    struct vr_vq *vq = &d->q[i].vq;
    struct vr_chain chain;
    unsigned int n;

    for (n = 0; n < vq->size && vr_vq_pop(vq, &chain) == 1; n++)
        vr_vq_push(vq, chain.head, 0);
    vr_vq_publish(vq);
}

static int set_rings(const struct vr_dev *d, int fd, unsigned int i)
{
    const struct vr_vq *vq = &d->q[i].vq;
    uint64_t features = d->req.features & RINGS;
    struct vhost_vring_state num = {.index = i & 1, .num = vq->size};
    struct vhost_vring_state base = {.index = i & 1, .num = vq->last_avail};
    struct vhost_vring_addr addr = {
        .index = i & 1,
        .desc_user_addr = (uintptr_t)vq->desc,
        .avail_user_addr = (uintptr_t)vq->avail,
        .used_user_addr = (uintptr_t)vq->used,
    };

    if (ioctl(fd, VHOST_SET_FEATURES, &features) ||
        ioctl(fd, VHOST_SET_VRING_NUM, &num) ||
        ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
        ioctl(fd, VHOST_SET_VRING_ADDR, &addr))
        return -errno;
    return 0;
}

static void wake(struct queue *q)
{
    if (eventfd_write(q->kick, 1))
        abort(); /* it is never full: it would have to be read first */
}

/* vhost begins with the queue. */
static int run(struct vr_net *net, unsigned int i)
{
    struct vr_vhost *v = net->vhost;
    int rc = vring_file(v, i, VHOST_NET_SET_BACKEND, net->pair[i / 2].tap);

    if (rc)
        return rc;
    v->q[i].runs = true;
    wake(&v->q[i]);
    return 0;
}

/* vhost lets go of it; VHOST_NET_SET_BACKEND waits for what is under way. */
static void rest(struct vr_vhost *v, unsigned int i)
{
    if (!v->q[i].runs)
        return;
    v->q[i].runs = false;
    if (vring_file(v, i, VHOST_NET_SET_BACKEND, -1))
        abort(); /* only the end of this process is sure to end it */
}

int vr_vhost_lend(struct vr_dev *d, unsigned int i, bool again)
{
    struct vr_net *net = d->source;
    struct vr_vhost *v = net->vhost;
    struct vr_vq *vq = &d->q[i].vq;
    struct queue *q = &v->q[i];
    int rc;

    vr_net_meet_driver(d);
    if (again) {
        vr_vq_go_on(vq);
        if (i & 1)
            answer_begun(d, i);
    }
    rc = set_rings(d, v->fd[i / 2], i);
    if (!rc && i / 2 < net->control.pairs)
        rc = run(net, i);
    if (rc) {
        vr_counters(d)->last_errno = (uint64_t)-rc;
        return rc;
    }
    q->avail = vq->avail;
    q->seen = vq->last_avail;
    return 0;
}

void vr_vhost_recall(struct vr_dev *d, unsigned int i)
{
    struct vr_vhost *v = vhost_of(d);

    v->q[i].avail = NULL;
    rest(v, i);
}

/* Frames of a queue that is not in use would find no interface, which vhost
 * takes for a fault; in the ring they wait. */
int vr_vhost_set_pairs(struct vr_dev *d, unsigned int pairs)
{
    struct vr_net *net = d->source;
    struct vr_vhost *v = net->vhost;
    unsigned int i;
    int rc = 0;

    for (i = 0; i < 2 * v->pairs && !rc; i++) {
        if (i / 2 >= pairs)
            rest(v, i);
        else if (v->q[i].avail && !v->q[i].runs)
            rc = run(net, i);
    }
    return rc;
}

bool vr_vhost_kick(struct vr_dev *d, uint64_t queues)
{
    struct vr_vhost *v = vhost_of(d);
    bool news = false;
    unsigned int i;

    for (i = 0; i < 2 * v->pairs; i++) {
        struct queue *q = &v->q[i];
        uint16_t now;

        if (!(queues >> i & 1) || !q->avail)
            continue;
        now = __atomic_load_n(&q->avail[1], __ATOMIC_RELAXED);
        if (now == q->seen)
            continue;
        news = true;
        q->seen = now;
        wake(q);
    }
    return news;
}

/* ---- what vhost says ---- */

/* A ring of the guest's makes no sense, and which one is not said. */
static void fault(struct vr_dev *d)
{
    struct vr_vhost *v = vhost_of(d);
    unsigned int i;

    for (i = 0; i < 2 * v->pairs; i++) {
        if (!v->q[i].avail)
            continue;
        vr_vhost_recall(d, i);
        vr_vq_break(&d->q[i].vq, VR_VQ_LENT, d->req.q[i].desc);
        vr_queue_fault(d, &d->q[i]);
    }
}

void vr_vhost_heard(struct vr_dev *d, uint32_t number)
{
    struct vr_vhost *v = vhost_of(d);

    if (number == FAULT)
        fault(d);
    else if (v->q[number].avail)
        d->used |= UINT64_C(1) << number;
}

/* ---- figures ---- */

static uint64_t read_figure(int fd)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    return strtoull(text, NULL, 10);
}

void vr_vhost_count(struct vr_dev *d)
{
    const struct vr_vhost *v = vhost_of(d);
    struct vr_ctrl_counters *c = vr_counters(d);
    uint64_t n[FIGURES];
    unsigned int i;

    for (i = 0; i < FIGURES; i++)
        n[i] = read_figure(v->figure[i]);
    *vr_net_counter(d, VR_NET_FROM_GUEST) = n[RX_PACKETS];
    *vr_net_counter(d, VR_NET_FROM_DROPPED) = n[RX_DROPPED];
    *vr_net_counter(d, VR_NET_TO_GUEST) = n[TX_PACKETS];
    *vr_net_counter(d, VR_NET_TO_DROPPED) = n[TX_DROPPED];
    c->write_bytes = n[RX_BYTES];
    c->read_bytes = n[TX_BYTES];
}

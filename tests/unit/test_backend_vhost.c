/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues lent to the kernel: what vhost is told and when, which kicks are worth
 * something, and where it goes on after another worker. The kernel is the
 * test's, as far as its descriptor goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/ioctl.h>

/* The kernel. */
static int kernel(int fd, unsigned long request, ...);
#define ioctl kernel
#include "../../tools/backend/net/vhost.c"
#undef ioctl

#include "ring.h"

#define VHOST_FD 99 /* of nobody */
#define TAP      98
#define SIZE     64
#define MEM      0x8000u
#define RX       0
#define TX       1

static struct {
    struct vr_dev d;
    struct vr_net net;
    struct vr_ctrl_page page;
    struct vr_window win;
    struct ring ring[2];
    uint8_t *mem;
    int epoll;
    unsigned int met; /* drivers */
    /* What vhost was told. */
    bool owned;
    uint64_t can, features;
    unsigned int regions;
    struct vhost_memory_region region;
    struct vhost_vring_addr addr[2];
    unsigned int num[2], base[2];
    int backend[2], kick[2], call[2], err[2];
    unsigned long refuses;
    bool quiet_first; /* the memory went only when no queue was there */
} t;

static int answer(unsigned long request, void *arg)
{
    const struct vhost_vring_state *state = arg;
    const struct vhost_vring_file *file = arg;
    const struct vhost_vring_addr *addr = arg;
    const struct vhost_memory *m = arg;

    if (request != VHOST_SET_OWNER)
        assert_true(t.owned);
    switch (request) {
    case VHOST_SET_OWNER:
        t.owned = true;
        break;
    case VHOST_GET_FEATURES:
        memcpy(arg, &t.can, sizeof(t.can));
        break;
    case VHOST_SET_FEATURES:
        memcpy(&t.features, arg, sizeof(t.features));
        break;
    case VHOST_SET_MEM_TABLE:
        assert_int_equal(m->padding, 0);
        t.quiet_first = t.backend[0] < 0 && t.backend[1] < 0;
        t.regions = m->nregions;
        if (m->nregions)
            t.region = m->regions[0];
        break;
    case VHOST_SET_VRING_NUM:
        assert_int_equal(t.backend[state->index], -1);
        t.num[state->index] = state->num;
        break;
    case VHOST_SET_VRING_BASE:
        assert_int_equal(t.backend[state->index], -1);
        t.base[state->index] = state->num;
        break;
    case VHOST_SET_VRING_ADDR:
        t.addr[addr->index] = *addr;
        break;
    case VHOST_SET_VRING_KICK:
        t.kick[file->index] = file->fd;
        break;
    case VHOST_SET_VRING_CALL:
        t.call[file->index] = file->fd;
        break;
    case VHOST_SET_VRING_ERR:
        t.err[file->index] = file->fd;
        break;
    case VHOST_NET_SET_BACKEND:
        assert_true(t.regions);
        t.backend[file->index] = file->fd;
        break;
    default:
        fail();
    }
    return 0;
}

static int kernel(int fd, unsigned long request, ...)
{
    va_list ap;
    int r;

    assert_int_equal(fd, VHOST_FD);
    if (request == t.refuses) {
        errno = EFAULT;
        return -1;
    }
    va_start(ap, request);
    r = answer(request, request == VHOST_SET_OWNER ? NULL : va_arg(ap, void *));
    va_end(ap);
    return r;
}

void vr_net_meet_driver(struct vr_dev *d)
{
    (void)d;
    t.met++;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void text(void *ctx, const char *s)
{
    (void)ctx;
    (void)s;
}

static int set_up(void **state)
{
    static const struct vr_channel_ops channel = {.tell = nothing};
    static const struct vr_dev_ops ops = {.log = text, .note = text};
    const int fd = VHOST_FD;
    struct vr_err err;
    unsigned int i;

    (void)state;
    memset(&t, 0, sizeof(t));
    t.mem = calloc(1, MEM);
    t.win = (struct vr_window){.base = RING_BASE, .size = MEM, .va = t.mem};
    t.can = UINT64_MAX;
    t.epoll = epoll_create1(0);
    assert_true(t.epoll >= 0);
    t.backend[0] = t.backend[1] = -1;
    t.net.pairs = t.net.control.pairs = 1;
    t.net.pair[0].tap = TAP;
    t.net.vhost = vr_vhost_new(1, &fd, "nosuch0", &err);
    assert_non_null(t.net.vhost);
    assert_int_equal(vr_vhost_begin(t.net.vhost, t.epoll, &err), 0);
    t.d.source = &t.net;
    t.d.cfg.page = &t.page;
    t.d.cfg.win = &t.win;
    t.d.cfg.ops = &ops;
    t.d.cfg.channel = &channel;
    t.d.req.run = 1;
    t.d.req.features = VR_F_MANDATORY | VR_F_EVENT_IDX | VR_NET_F_MRG_RXBUF |
                       VR_NET_F_MAC | VR_NET_F_GUEST_CSUM;
    for (i = 0; i < 2; i++) {
        ring_init(&t.ring[i], t.mem, i * 0x3000, SIZE);
        t.d.req.q[i] = t.ring[i].cfg;
    }
    vr_vhost_pool(&t.d, t.mem, MEM);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vr_vhost_free(t.net.vhost);
    close(t.epoll);
    free(t.mem);
    return 0;
}

/* As the loop does it. */
static int lend(unsigned int i, bool again)
{
    struct vr_queue *q = &t.d.q[i];
    int rc;

    assert_int_equal(vr_vq_start(&q->vq, &t.win, &t.d.req.q[i],
                                 t.d.req.features,
                                 again ? NULL : &t.page.resume[i]),
                     0);
    rc = vr_vhost_lend(&t.d, i, again);
    vr_vq_stop(&q->vq);
    return rc;
}

static uint64_t taken(int fd)
{
    eventfd_t n = 0;

    eventfd_read(fd, &n);
    return n;
}

static void test_set_up(void **state)
{
    (void)state;
    assert_int_equal(t.regions, 1);
    assert_int_equal(t.region.guest_phys_addr, RING_BASE);
    assert_int_equal(t.region.memory_size, MEM);
    assert_ptr_equal((void *)(uintptr_t)t.region.userspace_addr, t.mem);
    assert_true(vr_vhost_lends(&t.d, RX) && vr_vhost_lends(&t.d, TX));
    assert_false(vr_vhost_lends(&t.d, 2)); /* a control queue */

    assert_int_equal(lend(TX, false), 0);
    /* Neither what it has no part in, nor a wish to be asked for addresses. */
    assert_int_equal(t.features,
                     VR_F_VERSION_1 | VR_F_EVENT_IDX | VR_NET_F_MRG_RXBUF);
    assert_int_equal(t.num[TX], SIZE);
    assert_int_equal(t.base[TX], 0);
    assert_ptr_equal((void *)(uintptr_t)t.addr[TX].desc_user_addr,
                     t.mem + 0x3000);
    assert_ptr_equal((void *)(uintptr_t)t.addr[TX].avail_user_addr,
                     t.mem + 0x4000);
    assert_ptr_equal((void *)(uintptr_t)t.addr[TX].used_user_addr,
                     t.mem + 0x5000);
    assert_int_equal(t.backend[TX], TAP);
    assert_int_equal(t.backend[RX], -1);
    assert_int_equal(t.met, 1);
    /* What the guest has kicked before was nobody's. */
    assert_int_equal(taken(t.kick[TX]), 1);
}

static void test_stop(void **state)
{
    (void)state;
    lend(RX, false);
    lend(TX, false);
    vr_vhost_recall(&t.d, TX);
    assert_int_equal(t.backend[TX], -1);
    assert_int_equal(t.backend[RX], TAP);
    vr_vhost_recall(&t.d, TX);
    vr_vhost_recall(&t.d, RX);
    vr_vhost_pool(&t.d, NULL, MEM);
    assert_true(t.quiet_first);
    assert_int_equal(t.regions, 0);
}

/* A kick of a queue without anything new is a ring for nothing. */
static void test_kicks(void **state)
{
    (void)state;
    lend(RX, false);
    lend(TX, false);
    taken(t.kick[RX]);
    taken(t.kick[TX]);
    assert_false(vr_vhost_kick(&t.d, VR_CTRL_PING));
    assert_int_equal(taken(t.kick[TX]), 0);
    assert_false(vr_vhost_kick(&t.d, 1 << TX));
    assert_int_equal(taken(t.kick[TX]), 0);
    ring_add(&t.ring[TX], 0);
    assert_true(vr_vhost_kick(&t.d, 1 << TX | 1 << RX));
    assert_int_equal(taken(t.kick[TX]), 1);
    assert_int_equal(taken(t.kick[RX]), 0);
    assert_false(vr_vhost_kick(&t.d, 1 << TX));
    vr_vhost_recall(&t.d, TX);
    ring_add(&t.ring[TX], 1);
    taken(t.kick[TX]);
    assert_false(vr_vhost_kick(&t.d, 1 << TX));
    assert_int_equal(taken(t.kick[TX]), 0);
}

/* What vhost has written, as numbers; 0 when there is no more. */
static bool heard(uint32_t *number)
{
    struct epoll_event event;

    if (epoll_wait(t.epoll, &event, 1, 0) != 1)
        return false;
    *number = event.data.u32;
    return true;
}

static void test_calls(void **state)
{
    uint32_t number = UINT32_MAX;

    (void)state;
    lend(RX, false);
    lend(TX, false);
    assert_false(heard(&number));
    eventfd_write(t.call[TX], 3);
    assert_true(heard(&number));
    vr_vhost_heard(&t.d, number);
    assert_int_equal(t.d.used, 1 << TX);
    t.d.used = 0;
    /* Nobody reads it, and each is told. */
    assert_false(heard(&number));
    eventfd_write(t.call[TX], 1);
    assert_true(heard(&number));
    vr_vhost_recall(&t.d, TX);
    vr_vhost_heard(&t.d, number);
    assert_int_equal(t.d.used, 0);
}

/* A ring that makes no sense ends it all. */
static void test_fault(void **state)
{
    uint32_t number = UINT32_MAX;
    unsigned int i;

    (void)state;
    lend(RX, false);
    lend(TX, false);
    assert_int_equal(t.err[RX], t.err[TX]);
    eventfd_write(t.err[TX], 1);
    assert_true(heard(&number));
    vr_vhost_heard(&t.d, number);
    for (i = 0; i < 2; i++) {
        assert_int_equal(t.backend[i], -1);
        assert_int_equal(t.d.q[i].vq.fault, VR_VQ_LENT);
    }
    assert_int_equal(t.page.status, VR_CTRL_BACKEND_FAILED);
}

/* Another worker served the queue: frames to be sent are answered, unsent;
 * buffers wait on. */
static void test_again(void **state)
{
    uint32_t id, len;
    unsigned int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct ring *r = &t.ring[i];

        ring_desc(r, 3, RING_BASE + 0x6800, 64, i == RX ? RING_F_WRITE : 0, 0);
        ring_desc(r, 4, RING_BASE + 0x6900, 64, i == RX ? RING_F_WRITE : 0, 0);
        r->avail_idx = 0xffff;
        ring_add(r, 3);
        ring_add(r, 4);
        ring_used(r)[1] = r->used_seen = 0xffff;
        assert_int_equal(lend(i, true), 0);
    }
    assert_int_equal(t.base[RX], 0xffff);
    assert_false(ring_get(&t.ring[RX], &id, &len));
    assert_int_equal(t.base[TX], 1);
    assert_true(ring_get(&t.ring[TX], &id, &len));
    assert_int_equal(id, 3);
    assert_true(ring_get(&t.ring[TX], &id, &len));
    assert_int_equal(id, 4);
    assert_int_equal(len, 0);
    assert_false(ring_get(&t.ring[TX], &id, &len));
}

static void test_refused(void **state)
{
    struct vr_err err;
    struct vr_vhost *v;
    const int fd = VHOST_FD;

    (void)state;
    t.refuses = VHOST_NET_SET_BACKEND;
    assert_int_equal(lend(RX, false), -EFAULT);
    assert_false(vr_vhost_kick(&t.d, 1 << RX));
    t.refuses = 0;

    v = vr_vhost_new(1, &fd, "nosuch0", &err);
    t.can = ~VR_NET_F_MRG_RXBUF;
    assert_int_equal(vr_vhost_begin(v, t.epoll, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "features"));
    vr_vhost_free(v);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set_up),  TEST(test_stop),  TEST(test_kicks),
        TEST(test_calls),   TEST(test_fault), TEST(test_again),
        TEST(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

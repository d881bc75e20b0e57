/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network devices in the backend, between a memory and an interface that are
 * the test's: frames to the guest and from it, what is dropped, what waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>

#include "../../tools/backend/net/serve.c"

#define MS       INT64_C(1000000)
#define N        64
#define BUF      2048u
#define FEATURES (VR_NET_F_MAC | VR_NET_F_MRG_RXBUF | VR_NET_F_CSUM)

static const uint8_t mac[6] = {0, 0x16, 0x3e, 1, 2, 3};

static struct {
    struct vr_dev d;
    struct vr_net *net;
    struct vr_ctrl_page page;
    struct vr_request r[N];
    struct net_io io[N];
    struct iovec iov[N][4];
    uint8_t mem[N][BUF];
    unsigned int ndone, done[2 * N]; /* requests in their order */
    uint32_t used[N];
    unsigned int ndropped;
    int wire; /* the interface's other side */
    int wake[2], stop[2];
} t;

static unsigned int index_of(const struct vr_request *r)
{
    return (unsigned int)(r - t.r);
}

static void ended(struct vr_request *r, uint32_t used)
{
    t.used[index_of(r)] = used;
    t.done[t.ndone++] = index_of(r);
}

/* ---- the memory: local requests go to the first two, as local.c has them ----
 */

static bool mem_data(struct vr_dev *d, struct vr_request *r, enum vr_dir dir)
{
    (void)d;
    r->iov = t.iov[index_of(r)];
    r->len = dir == VR_DIR_WRITE ? r->out_len - 26 : r->in_len;
    return true;
}

static void mem_done(struct vr_dev *d, struct vr_request *r, uint8_t status)
{
    (void)d;
    assert_int_equal(status, 0);
    ended(r, r->used_len);
}

static void mem_answer(struct vr_dev *d, struct vr_request *r, uint8_t status,
                       uint32_t used_len, void *reply, uint32_t len)
{
    (void)d;
    assert_int_equal(status, 0);
    assert_true(len <= r->in_len);
    if (len)
        memcpy(t.mem[index_of(r)], reply, len);
    ended(r, used_len);
}

static void mem_drop(struct vr_dev *d, struct vr_request *r)
{
    (void)d;
    (void)r;
    t.ndropped++;
}

static const struct vr_memory memory = {
    .data = mem_data,
    .answer = mem_answer,
    .done = mem_done,
    .drop = mem_drop,
};

static void op_text(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static const struct vr_dev_ops ops = {.log = op_text, .note = op_text};

/* ---- the world ---- */

static int set_up(void **state)
{
    struct vr_err err;
    int pair[2];

    (void)state;
    memset(&t, 0, sizeof(t));
    t.net = calloc(1, sizeof(*t.net));
    assert_non_null(t.net);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair),
                     0);
    t.net->pairs = 1;
    t.net->epoll = -1;
    t.net->now = 1;
    t.net->pair[0].tap = pair[0];
    t.wire = pair[1];
    t.net->mtu = 1500;
    memcpy(t.net->mac, mac, sizeof(mac));
    t.net->pair[0].rx.last = &t.net->pair[0].rx.first;
    t.net->tx.last = &t.net->tx.first;
    t.d.source = t.net;
    assert_int_equal(pipe(t.wake), 0);
    assert_int_equal(pipe(t.stop), 0);
    t.d.cfg.page = &t.page;
    t.d.cfg.ops = &ops;
    t.d.cfg.wake_fd = t.wake[0];
    t.d.cfg.stop_fd = t.stop[0];
    t.d.memory = &memory;
    t.d.serve = &vr_serve_net;
    t.d.now = 1000 * MS;
    t.d.req.run = 1;
    t.d.req.features = FEATURES;
    t.d.req.q[0].epoch = t.d.q[0].epoch = 1;
    t.d.req.q[1].epoch = t.d.q[1].epoch = 1;
    assert_int_equal(net_begin(&t.d, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    unsigned int i;

    (void)state;
    net_close(&t.d);
    close(t.wire);
    for (i = 0; i < 2; i++) {
        close(t.wake[i]);
        close(t.stop[i]);
    }
    free(t.net);
    return 0;
}

static struct vr_request *request(unsigned int i, unsigned int queue)
{
    struct vr_request *r = &t.r[i];

    memset(r, 0, sizeof(*r));
    r->q = &t.d.q[queue];
    r->io = &t.io[i];
    return r;
}

/* Buffer @i, cut in two at @cut; 0: in one. It is remote memory. */
static void post(unsigned int i, uint32_t len)
{
    struct vr_request *r = request(i, 0);

    r->in_len = len;
    net_start(&t.d, r);
}

/* Frame @i of @len bytes, in all, from the guest. */
static void give(unsigned int i, uint32_t len, const uint8_t *src)
{
    struct vr_request *r = request(i, 1);

    r->out_len = VR_NET_HDR_LEN + len;
    memcpy(r->front + VR_NET_HDR_LEN + 6, src, 6);
    r->front[VR_NET_HDR_LEN + 12] = 8;
    memset(t.mem[i], (int)i + 1, BUF);
    t.iov[i][0] = (struct iovec){t.mem[i], len - VR_NET_ETH_LEN};
    r->iov = t.iov[i];
    r->niov = 1;
    net_start(&t.d, r);
}

/* A frame arrives at the interface, behind its header. */
static void arrive(uint32_t len, uint8_t fill)
{
    static uint8_t frame[VR_NET_MAX];

    memset(frame, 0, VR_NET_HDR_LEN);
    memset(frame + VR_NET_HDR_LEN, fill, len);
    assert_int_equal(write(t.wire, frame, VR_NET_HDR_LEN + len),
                     VR_NET_HDR_LEN + len);
}

static bool turn(void)
{
    net_wait(&t.d, 0);
    return net_reap(&t.d);
}

static uint64_t counter(enum vr_net_counter n)
{
    return t.page.counters.own[n];
}

static uint16_t buffers_said(unsigned int i)
{
    return (uint16_t)(t.mem[i][10] | t.mem[i][11] << 8);
}

/* ---- to the guest ---- */

static void test_to_guest(void **state)
{
    (void)state;
    post(0, BUF);
    post(1, BUF);
    assert_false(turn());
    arrive(60, 7);
    assert_true(turn());
    assert_int_equal(t.ndone, 1);
    assert_int_equal(t.done[0], 0);
    assert_int_equal(t.used[0], 72);
    assert_int_equal(t.mem[0][12], 7);
    assert_int_equal(t.mem[0][71], 7);
    assert_int_equal(t.mem[0][72], 0);
    assert_int_equal(buffers_said(0), 1);
    assert_int_equal(counter(VR_NET_TO_GUEST), 1);
    assert_int_equal(t.page.counters.read_bytes, 60);
    assert_int_equal(t.net->pair[0].room, BUF);
}

/* Without a buffer the interface keeps it, and is not looked at. */
static void test_no_buffer(void **state)
{
    (void)state;
    post(0, BUF);
    arrive(60, 1);
    arrive(60, 2);
    turn();
    assert_int_equal(t.ndone, 1);
    assert_false(turn());
    assert_false(vr_net_rx_wants(t.net, &t.net->pair[0]));
    post(1, BUF);
    assert_true(turn());
    assert_int_equal(t.mem[1][12], 2);
}

/* A long one is spread over as many buffers as it takes. */
static void test_merged(void **state)
{
    unsigned int i;

    (void)state;
    t.net->mtu = 9000;
    for (i = 0; i < 8; i++)
        post(i, BUF);
    arrive(5000, 9);
    assert_true(turn());
    assert_int_equal(t.ndone, 3);
    assert_int_equal(buffers_said(0), 3);
    assert_int_equal(t.used[0], BUF);
    assert_int_equal(t.used[1], BUF);
    assert_int_equal(t.used[2], 5012 - 2 * BUF);
    assert_int_equal(t.mem[2][5011 - 2 * BUF], 9);
    assert_int_equal(counter(VR_NET_TO_GSO), 0);
}

/* Longer than the link has them: the first is not expected, the next is. */
static void test_long(void **state)
{
    const unsigned int each = 5012 / BUF + 1;
    unsigned int i, k;

    (void)state;
    t.d.req.features |= VR_NET_F_GUEST_CSUM | VR_NET_F_GUEST_TSO4;
    for (i = 0; i < N; i++)
        post(i, BUF);
    for (k = 0; k < 2; k++) {
        unsigned int first = k * each, last = first + each - 1;

        arrive(5000, (uint8_t)(7 + k));
        assert_true(turn());
        assert_int_equal(t.ndone, (k + 1) * each);
        assert_int_equal(buffers_said(first), each);
        for (i = first; i < last; i++) {
            assert_int_equal(t.used[i], BUF);
            assert_int_equal(t.mem[i][BUF - 1], 7 + k);
        }
        assert_int_equal(t.used[last], 5012 % BUF);
        assert_int_equal(t.mem[last][0], 7 + k);
        assert_int_equal(t.mem[last][5012 % BUF - 1], 7 + k);
        assert_true(t.net->pair[0].expect_long);
    }
    assert_int_equal(counter(VR_NET_TO_GSO), 2);
}

/* Too few buffers: it waits for more, and for a while only. */
static void test_held(void **state)
{
    (void)state;
    t.net->mtu = 9000;
    post(0, BUF);
    arrive(3000, 4);
    assert_false(turn());
    assert_int_equal(t.net->pair[0].held_len, 3012);
    assert_true(due_in(&t.d, -1) > 0);
    post(1, BUF);
    assert_int_equal(due_in(&t.d, -1), 0);
    assert_true(turn());
    assert_int_equal(t.ndone, 2);
    assert_int_equal(buffers_said(0), 2);
    assert_int_equal(t.used[1], 3012 - BUF);

    post(2, BUF);
    arrive(3000, 5);
    arrive(60, 6);
    assert_false(turn());
    t.d.now += 600 * MS;
    assert_int_equal(due_in(&t.d, -1), 0);
    assert_true(turn());
    assert_int_equal(counter(VR_NET_TO_DROPPED), 1);
    assert_int_equal(t.done[2], 2);
    assert_int_equal(t.mem[2][12], 6);
}

/* A driver that does not merge buffers gets what fits in one. */
static void test_not_merged(void **state)
{
    (void)state;
    t.d.req.features &= ~VR_NET_F_MRG_RXBUF;
    t.net->mtu = 9000;
    post(0, BUF);
    post(1, BUF);
    arrive(3000, 1);
    arrive(1000, 2);
    assert_true(turn());
    assert_int_equal(t.ndone, 1);
    assert_int_equal(counter(VR_NET_TO_DROPPED), 1);
    assert_int_equal(t.mem[0][12], 2);
    assert_int_equal(buffers_said(0), 1);
}

/* Mapped memory: it is read right there, however the buffer is cut. */
static void test_local(void **state)
{
    struct vr_request *r = request(0, 0);

    (void)state;
    t.d.req.features &= ~VR_NET_F_MRG_RXBUF;
    vr_net_meet_driver(&t.d);
    r->in_len = 500;
    r->local = true;
    t.iov[0][0] = (struct iovec){t.mem[0], 11};
    t.iov[0][1] = (struct iovec){t.mem[1], 1};
    t.iov[0][2] = (struct iovec){t.mem[2], 488};
    r->split.in = t.iov[0];
    r->split.nin = 3;
    /* vr_request_data() of a local request is the window's own. */
    t.d.cfg.win = &(struct vr_window){.va = t.mem[0]};
    net_start(&t.d, r);
    arrive(60, 3);
    assert_true(turn());
    assert_int_equal(t.used[0], 72);
    assert_int_equal(t.mem[0][10], 1);
    assert_int_equal(t.mem[1][0], 0);
    assert_int_equal(t.mem[2][0], 3);
    assert_int_equal(t.mem[2][59], 3);
}

/* Buffers that are none are given back at once. */
static void test_bad_buffers(void **state)
{
    struct vr_request *r = request(1, 0);

    (void)state;
    post(0, VR_NET_HDR_LEN + VR_NET_ETH_LEN - 1);
    assert_int_equal(t.ndone, 1);
    assert_int_equal(t.used[0], 0);
    r->in_len = BUF;
    r->out_len = 1;
    net_start(&t.d, r);
    assert_int_equal(t.ndone, 2);
    assert_null(t.net->pair[0].rx.first);
}

/* What was sent to nobody is not for the next driver. */
static void test_new_driver(void **state)
{
    (void)state;
    post(0, BUF);
    arrive(60, 1);
    t.d.req.features |= VR_NET_F_MTU;
    post(1, BUF);
    assert_false(turn());
    assert_int_equal(counter(VR_NET_TO_DROPPED), 1);
    arrive(60, 2);
    assert_true(turn());
    assert_int_equal(t.mem[0][12], 2);
}

static void test_quiet(void **state)
{
    (void)state;
    post(0, BUF);
    post(1, BUF);
    t.d.req.q[0].epoch = 2;
    assert_int_equal(due_in(&t.d, -1), 0);
    arrive(60, 1);
    assert_true(turn());
    assert_int_equal(t.ndropped, 2);
    assert_int_equal(t.ndone, 0);
    assert_int_equal(t.net->pair[0].room, 0);
}

/* ---- from the guest ---- */

static ssize_t sent(uint8_t *buf, size_t size)
{
    return read(t.wire, buf, size);
}

static void test_from_guest(void **state)
{
    uint8_t buf[BUF];

    (void)state;
    give(3, 60, mac);
    assert_int_equal(t.ndone, 1);
    assert_int_equal(t.used[3], 0);
    assert_int_equal(sent(buf, sizeof(buf)), 72);
    assert_memory_equal(buf + 12 + 6, mac, 6);
    assert_int_equal(buf[12 + 12], 8);
    assert_int_equal(buf[12 + 14], 4);
    assert_int_equal(counter(VR_NET_FROM_GUEST), 1);
    assert_int_equal(t.page.counters.write_bytes, 60);
}

static void test_refused(void **state)
{
    static const uint8_t other[6] = {2, 2, 2, 2, 2, 2};
    uint8_t buf[BUF];
    struct vr_request *r;

    (void)state;
    give(0, 60, other);
    assert_int_equal(counter(VR_NET_FROM_SPOOFED), 1);
    r = request(1, 1);
    r->out_len = 5; /* not even a header */
    net_start(&t.d, r);
    r = request(2, 1);
    net_start(&t.d, r);
    r = request(3, 1);
    r->out_len = VR_NET_MAX + 1;
    net_start(&t.d, r);
    assert_int_equal(counter(VR_NET_FROM_BAD), 3);
    assert_int_equal(t.ndone, 4);
    assert_true(sent(buf, sizeof(buf)) < 0);
}

/* From its own addresses alone, however the guest cuts its frames. */
static void test_other_address(void **state)
{
    const uint32_t len = 200, source = 12;
    uint8_t buf[BUF];
    unsigned int cut, i;

    (void)state;
    assert_int_equal(vr_net_addrs_parse("10.9.8.7", &t.net->own), 0);
    for (cut = 1; cut < 100; cut += 7) {
        struct vr_request *r = request(0, 1);

        for (i = 0; i < len; i++)
            t.mem[0][i] = (uint8_t)i;
        memcpy(t.mem[0] + source, "\x0a\x09\x08\x07", 4);
        r->out_len = VR_NET_HDR_LEN + VR_NET_ETH_LEN + len;
        memcpy(r->front + VR_NET_HDR_LEN + 6, mac, 6);
        r->front[VR_NET_HDR_LEN + 12] = 8;
        t.iov[0][0] = (struct iovec){t.mem[0], cut};
        t.iov[0][1] = (struct iovec){t.mem[0] + cut, 1};
        t.iov[0][2] = (struct iovec){t.mem[0] + cut + 1, len - cut - 1};
        r->iov = t.iov[0];
        r->niov = 3;
        net_start(&t.d, r);
        assert_int_equal(sent(buf, sizeof(buf)), r->out_len);
        assert_memory_equal(buf + VR_NET_HDR_LEN + VR_NET_ETH_LEN, t.mem[0],
                            len);
        t.mem[0][source + 3]++;
        net_start(&t.d, r);
        assert_true(sent(buf, sizeof(buf)) < 0);
    }
    assert_int_equal(counter(VR_NET_FROM_SPOOFED), counter(VR_NET_FROM_GUEST));
    assert_int_equal(t.ndone, 2 * counter(VR_NET_FROM_GUEST));
}

/* A former worker had it: perhaps it was sent. */
static void test_not_twice(void **state)
{
    struct vr_request *r = request(0, 1);
    enum vr_dir dir;
    uint8_t buf[BUF];

    (void)state;
    r->resumed = true;
    r->out_len = 72;
    memcpy(r->front + 18, mac, 6);
    assert_int_equal(net_guess(&t.d, r, &dir), 0);
    net_start(&t.d, r);
    assert_int_equal(t.ndone, 1);
    assert_int_equal(counter(VR_NET_FROM_DROPPED), 1);
    assert_true(sent(buf, sizeof(buf)) < 0);
}

/* Nobody takes them: they are lost, and counted. */
static void test_not_taken(void **state)
{
    (void)state;
    close(t.wire);
    t.wire = dup(t.wake[0]);
    give(0, 60, mac);
    assert_int_equal(t.ndone, 1);
    assert_int_equal(counter(VR_NET_FROM_DROPPED), 1);
    assert_int_equal(t.page.counters.write_errors, 1);
}

static void test_rate(void **state)
{
    unsigned int i;

    (void)state;
    t.net->rate = (struct vr_net_rate){1000, 10000};
    /* The first three come to less than there is, or begin with some. */
    for (i = 0; i < 6; i++)
        give(i, 400, mac);
    assert_int_equal(t.ndone, 3);
    assert_false(turn());
    assert_int_equal(due_in(&t.d, -1), 10 * MS);
    t.d.now += 10 * MS;
    /* 1000 less what was too much. */
    assert_true(turn());
    assert_int_equal(t.ndone, 5);
    /* Idle for long: no more than a period's. */
    t.d.now += 100000 * MS;
    turn();
    assert_int_equal(t.ndone, 6);
    assert_int_equal(t.net->credit, 600);
    assert_int_equal(t.done[5], 5);
}

/* Those that wait go when their queue is to be quiet. */
static void test_rate_quiet(void **state)
{
    (void)state;
    t.net->rate = (struct vr_net_rate){1, 1000000};
    give(0, 400, mac);
    give(1, 400, mac);
    assert_int_equal(t.ndone, 1);
    t.d.stopping = true;
    assert_int_equal(due_in(&t.d, -1), 0);
    assert_true(turn());
    assert_int_equal(t.ndropped, 1);
}

static void test_room(void **state)
{
    struct vr_request *r = request(0, 0);
    enum vr_dir dir;

    (void)state;
    /* A buffer to receive in takes none of the memory for copies. */
    r->in_len = 60000;
    assert_int_equal(net_guess(&t.d, r, &dir), 0);
    assert_int_equal(dir, VR_DIR_NONE);
    r = request(1, 1);
    r->out_len = 1000;
    assert_int_equal(net_guess(&t.d, r, &dir), 1000 - 26);
    assert_int_equal(dir, VR_DIR_WRITE);
    r->out_len = UINT32_MAX;
    assert_int_equal(net_guess(&t.d, r, &dir), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* A command of @len bytes, of which the first are seen at once. Returns the
 * answer; -1: there was no room for one. */
static int command(const uint8_t *cmd, uint32_t len, uint32_t room)
{
    unsigned int i = t.ndone;
    struct vr_request *r = request(i, 2 * t.net->pairs);
    uint32_t front = len < 26 ? len : 26;

    r->out_len = len;
    r->in_len = room;
    memcpy(r->front, cmd, front);
    memcpy(t.mem[i], cmd + front, len - front);
    t.iov[i][0] = (struct iovec){t.mem[i], len - front};
    r->niov = 1;
    net_start(&t.d, r);
    assert_int_equal(t.ndone, i + 1);
    assert_int_equal(t.used[i], room ? 1 : 0);
    return room ? t.mem[i][0] : -1;
}

static void test_control(void **state)
{
    static const uint8_t two[] = {4, 0, 2, 0}, three[] = {4, 0, 3, 0};
    static const uint8_t own[] = {1, 1, 0, 0x16, 0x3e, 1, 2, 3};
    static uint8_t table[VR_NET_CTRL_MAX] = {1, 0, 40};

    (void)state;
    t.net->pairs = 2;
    t.net->pair[1].tap = dup(t.net->pair[0].tap);
    t.net->pair[1].rx.last = &t.net->pair[1].rx.first;
    assert_int_equal(command(own, sizeof(own), 1), VR_NET_CTRL_OK);
    assert_int_equal(VR_NET_IO_PAIRS(t.page.counters.target_io), 1);
    assert_int_equal(command(two, sizeof(two), 1), VR_NET_CTRL_OK);
    assert_int_equal(VR_NET_IO_PAIRS(t.page.counters.target_io), 2);
    assert_int_equal(VR_NET_IO_EPOCH(t.page.counters.target_io), 1);
    assert_int_equal(command(three, sizeof(three), 1), VR_NET_CTRL_ERR);
    assert_int_equal(command(two, sizeof(two), 0), -1);
    assert_int_equal(command(two, 0, 1), VR_NET_CTRL_ERR);
    /* The interface is none that filters. */
    assert_int_equal(command(table, 2 + 4 + 40 * 6 + 4, 1), VR_NET_CTRL_ERR);
    assert_int_equal(t.net->control.naddr, 40);
    assert_int_equal(command(table, BUF, 1), VR_NET_CTRL_ERR);

    /* Another worker finds how many there were, another driver begins anew. */
    vr_net_control_begin(&t.d);
    assert_int_equal(t.net->control.pairs, 2);
    t.d.req.q[0].epoch = 2;
    assert_int_equal(command(own, sizeof(own), 1), VR_NET_CTRL_OK);
    assert_int_equal(t.net->control.pairs, 1);
    assert_int_equal(t.net->control.naddr, 0);
    assert_int_equal(VR_NET_IO_PAIRS(t.page.counters.target_io), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_to_guest),      TEST(test_no_buffer),   TEST(test_merged),
        TEST(test_long),          TEST(test_held),        TEST(test_not_merged),
        TEST(test_local),         TEST(test_bad_buffers), TEST(test_new_driver),
        TEST(test_quiet),         TEST(test_from_guest),  TEST(test_refused),
        TEST(test_not_twice),     TEST(test_not_taken),   TEST(test_rate),
        TEST(test_rate_quiet),    TEST(test_room),        TEST(test_control),
        TEST(test_other_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

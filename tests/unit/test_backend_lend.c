/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues that a type has served by somebody else, in the device loop: who is
 * told of what, and in which order things end. The type is the test's; so is
 * the one that serves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "backend/worker/loop_int.h"
#include "ring.h"

#define SIZE   64
#define MEM    0x8000u
#define QUEUES 3 /* the last is the loop's own */

static struct {
    struct vr_loop *loop;
    struct vr_ctrl_page page;
    struct vr_ctrl_request req;
    struct vr_window win;
    struct ring ring[QUEUES];
    uint8_t *mem;
    uint64_t bells; /* that come with each event */
    uint64_t bound;
    uint64_t rings, told; /* of the guest; of the broker */
    uint64_t kicked;
    bool news, refuses;
    char log[64]; /* what happened, a letter each */
    uint64_t used_next;
    unsigned int event, turns;
} t;

static void happened(char what)
{
    size_t n = strlen(t.log);

    assert_true(n < sizeof(t.log) - 1);
    t.log[n] = what;
}

/* ---- the type ---- */

static int begin(struct vr_dev *d, struct vr_err *err)
{
    (void)d;
    (void)err;
    return 0;
}

static void no_dev(struct vr_dev *d)
{
    (void)d;
}

static void pool(struct vr_dev *d, void *va, size_t len)
{
    (void)d;
    assert_int_equal(len, MEM);
    happened(va ? 'M' : 'm');
}

static bool lends(const struct vr_dev *d, unsigned int i)
{
    (void)d;
    return i < 2;
}

static int lend(struct vr_dev *d, unsigned int i, bool again)
{
    assert_ptr_equal(d->q[i].vq.desc, t.mem + i * 0x3000);
    happened(again ? 'A' : 'L');
    return t.refuses ? -EIO : 0;
}

static bool kick(struct vr_dev *d, uint64_t queues)
{
    (void)d;
    t.kicked |= queues;
    return t.news;
}

static void recall(struct vr_dev *d, unsigned int i)
{
    (void)d;
    (void)i;
    happened('R');
}

static void start(struct vr_dev *d, struct vr_request *r)
{
    vr_request_answer(d, r, 0, 0, NULL, 0);
}

/* One event, then the end. */
static unsigned int wait_for(struct vr_dev *d, int64_t timeout_ns)
{
    (void)timeout_ns;
    d->used |= t.used_next;
    t.used_next = 0;
    if (t.event) {
        t.event--;
        return VR_WAKE_EVENT;
    }
    return t.turns-- ? 0 : VR_WAKE_STOP;
}

static bool reap(struct vr_dev *d)
{
    (void)d;
    return false;
}

static const struct vr_serve serve = {
    .front = 8,
    .waits = true,
    .begin = begin,
    .pool = pool,
    .lends = lends,
    .lend = lend,
    .kick = kick,
    .recall = recall,
    .start = start,
    .wait = wait_for,
    .reap = reap,
    .finish = no_dev,
    .close = no_dev,
};

/* ---- the rest of the process ---- */

static unsigned int hear(void *state)
{
    (void)state;
    return t.bells ? VR_HEARD | VR_HEARD_BELLS : VR_HEARD;
}

/* Not while a queue is lent: nobody would hear of what was used. */
static unsigned int never(void *state)
{
    (void)state;
    fail();
    return 0;
}

static void unmask(void *state, bool bells)
{
    (void)state;
    (void)bells;
}

static void tell(void *state)
{
    (void)state;
    t.told++;
}

static int bind_bell(void *state, unsigned int queue, uint32_t port)
{
    (void)state;
    (void)port;
    happened('B');
    t.bound |= UINT64_C(1) << queue;
    return 0;
}

static void close_bell(void *state, unsigned int queue)
{
    (void)state;
    if (t.bound >> queue & 1)
        happened('b');
    t.bound &= ~(UINT64_C(1) << queue);
}

static bool ring(void *state, struct vr_ctrl_page *page, uint64_t queues)
{
    (void)state;
    (void)page;
    t.rings |= queues;
    return false;
}

static void text(void *ctx, const char *s)
{
    (void)ctx;
    (void)s;
}

static int map_pool(void *ctx, struct vr_err *err)
{
    (void)ctx;
    (void)err;
    t.win.va = t.mem;
    return 0;
}

static void unmap_pool(void *ctx)
{
    (void)ctx;
    happened('u');
    t.win.va = NULL;
}

static void set_queues(uint32_t run)
{
    unsigned int i;

    t.req.run = run;
    t.req.nqueues = QUEUES;
    t.req.features = VR_F_MANDATORY;
    for (i = 0; i < QUEUES; i++)
        t.req.q[i] = t.ring[i].cfg;
    vr_ctrl_publish(&t.page, &t.req);
}

static int set_up(void **state)
{
    static const struct vr_channel_ops channel = {hear, never, unmask, tell};
    static const struct vr_dev_ops ops = {text, text, map_pool, unmap_pool};
    static const struct vr_bell_ops bell = {bind_bell, close_bell, ring};
    static const struct vr_bell_ops *const bells[VR_BELLS] = {&bell, &bell};
    const struct vr_dev_setup setup = {
        .serve = &serve,
        .win = &t.win,
        .page = &t.page,
        .ops = &ops,
        .bells = bells,
        .channel = &channel,
        .queues = QUEUES,
        .queue_size = SIZE,
        .poll_us = 1000000, /* the test would take as long */
    };
    struct vr_err err;
    unsigned int i;

    (void)state;
    memset(&t, 0, sizeof(t));
    t.mem = calloc(2, MEM);
    t.win.base = RING_BASE;
    t.win.size = MEM;
    for (i = 0; i < QUEUES; i++) {
        ring_init(&t.ring[i], t.mem, i < 2 ? i * 0x3000 : 0x400, SIZE);
        t.ring[i].cfg.port = 7;
    }
    vr_ctrl_init(&t.page);
    set_queues(1);
    assert_int_equal(vr_loop_new(&t.loop, &setup, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vr_loop_free(t.loop);
    free(t.mem);
    return 0;
}

/* All is taken back before the memory goes, which is before the end is told. */
static void test_order(void **state)
{
    (void)state;
    vr_loop_run(t.loop);
    assert_string_equal(t.log, "MBLBLBRbRbbmu");
    assert_int_equal(t.page.status, VR_CTRL_BACKEND_ABSENT);
    assert_int_equal(t.page.ack, t.page.generation);
    /* Nobody but who serves it tells the guest whether to kick. */
    assert_int_equal(ring_used(&t.ring[0])[1], 0);
}

static void test_kicked(void **state)
{
    (void)state;
    t.event = 1;
    t.bells = 2;
    t.page.kick = 1 | VR_CTRL_PING;
    vr_loop_run(t.loop);
    assert_int_equal(t.kicked & 3, 3);
    assert_int_equal(t.page.kick, 0);
}

/* A word that is emptied because kicks are asked for again was one, too. */
static void test_kick_meanwhile(void **state)
{
    (void)state;
    t.page.kick = 2;
    vr_loop_run(t.loop);
    assert_int_equal(t.kicked & 3, 2);
}

static void test_rung_for_something(void **state)
{
    (void)state;
    t.event = 200;
    t.bells = 1;
    t.news = true;
    vr_loop_run(t.loop);
    assert_int_equal(t.page.counters.throttles, 0);
}

static void test_rung_for_nothing(void **state)
{
    (void)state;
    t.event = 200;
    t.bells = 1;
    vr_loop_run(t.loop);
    assert_int_not_equal(t.page.counters.throttles, 0);
}

static void test_used(void **state)
{
    (void)state;
    t.used_next = 2;
    t.turns = 2;
    vr_loop_run(t.loop);
    assert_int_equal(t.rings, 2);
    assert_int_equal(t.page.counters.interrupts, 1);
}

/* Another worker was there: the guest may still have to hear of what it did. */
static void test_again(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < QUEUES; i++)
        t.page.resume[i].epoch = 1;
    ring_used(&t.ring[0])[1] = 500; /* far from what any log says */
    vr_loop_run(t.loop);
    assert_string_equal(t.log, "MBABABRbRbbmu");
    assert_int_equal(t.rings & 3, 3);
}

/* Who should serve it does not: the device needs a reset. */
static void test_refused(void **state)
{
    (void)state;
    t.refuses = true;
    t.turns = 1;
    vr_loop_run(t.loop);
    assert_int_equal(t.page.counters.faults, 2);
    assert_string_equal(t.log, "MBLBLBRbRbbmu");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_kicked),
        TEST(test_kick_meanwhile),
        TEST(test_rung_for_something),
        TEST(test_rung_for_nothing),
        TEST(test_used),
        TEST(test_again),
        TEST(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

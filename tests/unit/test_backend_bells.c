/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues with bells of their own, in the backend's device loop: which the guest
 * names and may name wrongly, ring for nothing, and find as they were after a
 * process is gone. test_backend_loop.c runs its tests with them as well.
 */
#include "loophost.h"

static void one_request(unsigned int q, unsigned int n)
{
    uint32_t used;

    request(q, n, 0, 8 * n, 4096, true);
    assert_int_equal(wait_used(q, &used), 3 * n);
    assert_int_equal(status_of(q, n), 0);
}

static void used(void **state)
{
    unsigned int n;

    (void)state;
    for (n = 0; n < 20; n++)
        one_request(n % 2, n);
    assert_int_equal(h.bells->binds, 2);
    assert_true(h.bells->rings > 0);
    assert_true(h.bells->sleeps > 0);
    assert_int_equal(h.page->kick | h.page->intr, 0);
    assert_int_equal(h.page->counters.throttles, 0);
}

/* Each queue has what it was given. */
static void one_of_two(void **state)
{
    (void)state;
    h.req.run = 0;
    publish();
    run_queues();
    h.req.q[1].port = 0;
    h.req.q[1].epoch++;
    publish();
    one_request(0, 0);
    request(1, 1, 0, 0, 4096, true);
    assert_true(vr_ctrl_post(&h.page->kick, 2));
    eventfd_write(h.wake_fd, 1);
    while (!(vr_ctrl_collect(&h.page->intr) & 2))
        usleep(100);
    assert_int_equal(status_of(1, 1), 0);
}

static void refused(void **state)
{
    unsigned int i, before;

    (void)state;
    for (i = 0; i < 2; i++) {
        /* Not to be had, or never there. */
        h.req.q[0].port = i ? UINT32_MAX : PORT + 1;
        h.req.q[0].epoch++;
        before = h.bells->tries;
        publish();
        assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
        assert_int_equal(h.page->counters.fault_addr, h.req.q[0].port);
        /* It is not waited for. */
        assert_int_equal(h.bells->tries - before, 1);
        /* The other one is as it was. */
        one_request(1, 0);
    }
    assert_int_equal(h.page->counters.faults, 2);
    h.req.run = 0;
    publish();
    run_queues();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    one_request(0, 1);
}

/* The former process's end is closed a little after it is gone. */
static void still_bound(void **state)
{
    unsigned int gen;

    (void)state;
    one_request(0, 0);
    gen = h.page->generation;
    backend_stop(SIGKILL);
    h.bells->busy = 3;
    h.page->ack = 0;
    backend_start();
    while (!vr_ctrl_acked(h.page, gen))
        usleep(1000);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    assert_int_equal(h.bells->busy, 0);
    one_request(0, 1);
    one_request(1, 0);
}

static void stays_bound(void **state)
{
    unsigned int gen;

    (void)state;
    one_request(0, 0);
    gen = h.page->generation;
    backend_stop(SIGKILL);
    h.bells->busy = UINT32_MAX;
    h.page->ack = 0;
    backend_start();
    while (!vr_ctrl_acked(h.page, gen))
        usleep(1000);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
    h.bells->busy = 0;
}

/* What came while nobody was there. */
static void dead_letters(void **state)
{
    uint32_t used;

    (void)state;
    one_request(0, 0);
    backend_stop(SIGKILL);
    request(0, 1, 0, 0, 4096, true);
    request(1, 1, 0, 0, 4096, true);
    h.bells->pending = h.bells->masked = 0;
    backend_start();
    assert_int_equal(wait_used(0, &used), 3);
    assert_int_equal(wait_used(1, &used), 3);
    one_request(1, 0);
}

static int64_t now_ms(void)
{
    return (int64_t)vr_now_ns() / 1000000;
}

static void flood(unsigned int ms)
{
    int64_t until = now_ms() + ms;

    while (now_ms() < until) {
        ring_bell();
        usleep(20);
    }
}

/* How often the backend may be woken for nothing since @begin: 64 times at
 * once, and once in a ms. */
static uint64_t allowed(int64_t begin)
{
    return 64 + (uint64_t)(now_ms() - begin);
}

/* A guest that rings for nothing is not heard for a while, again and again, and
 * all the same its requests are served, and the broker heard. */
static void throttled(void **state)
{
    int64_t begin = now_ms();
    uint64_t kicks;
    unsigned int i;

    (void)state;
    for (i = 0; i < LIMIT_MS / 100 && !h.page->counters.throttles; i++)
        flood(100);
    if (!h.page->counters.throttles) {
        /* A machine that has other work to do does not flood. */
        assert_true(h.page->counters.kicks < allowed(begin));
        skip();
    }
    begin = now_ms();
    kicks = h.page->counters.kicks;
    flood(200);
    /* 64 at once are forgiven again after as many ms. */
    assert_true(h.page->counters.kicks - kicks < 2 * allowed(begin));
    for (i = 0; i < 10; i++) {
        ring_bell();
        one_request(0, i);
    }
    flood(100);
    vr_ctrl_post(&h.page->kick, VR_CTRL_PING);
    eventfd_write(h.wake_fd, 1);
    for (i = 0; i < LIMIT_MS; i++) {
        if (!(__atomic_load_n(&h.page->kick, __ATOMIC_RELAXED)))
            break;
        usleep(1000);
    }
    assert_true(i < LIMIT_MS);
    h.req.run = 0;
    publish();
}

static const struct variant variants[] = {
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK, .bells = true},
    {&vr_aio_threads, VR_CACHE_AUTO, VR_F_VERSION_1 | BLK, .bells = true},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, 0, .bells = true},
};

#define T(name)                                                                \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown,            \
                                             (void *)(uintptr_t)&variants[v])

int main(void)
{
    bool uring = have_uring();
    int failed = 0;
    size_t v;

    for (v = 0; v < VR_ARRAY_SIZE(variants); v++) {
        const struct CMUnitTest tests[] = {
            T(used),        T(one_of_two),   T(refused),   T(still_bound),
            T(stays_bound), T(dead_letters), T(throttled),
        };

        if (variants[v].aio == &vr_aio_uring && !uring)
            continue;
        failed += cmocka_run_group_tests_name("bells", tests, NULL, NULL);
    }
    return failed;
}

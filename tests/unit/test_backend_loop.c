/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's device loop: everything runs with io_uring and with threads,
 * through the page cache and direct, in static, dynamic and mixed mode, with
 * payload copied and mapped.
 */
#include "loophost.h"

static void device_page(void **state)
{
    struct vr_ctrl_device dev;

    (void)state;
    assert_int_equal(vr_ctrl_take_device(h.page, &dev), 0);
    assert_int_equal(dev.config[0] | dev.config[1] << 8, FILE_SIZE / 512);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    assert_true(dev.features & VR_BLK_F_MQ);
}

static void write_read(void **state)
{
    uint8_t expect[4096];
    unsigned int i;
    uint32_t used;

    (void)state;
    for (i = 0; i < 200; i++) {
        uint64_t sector = (i * 37 % 2000) * 8;

        fill(expect, sizeof(expect), i);
        memcpy(data_of(i % 2, 0), expect, sizeof(expect));
        assert_int_equal(do_request(i % 2, 1, sector, 4096, false), 0);
        memset(data_of(1, 1), 0, 4096);
        request(1, 1, 0, sector, 4096, true);
        assert_int_equal(wait_used(1, &used), 3);
        assert_int_equal(used, 4097);
        assert_int_equal(status_of(1, 1), 0);
        assert_memory_equal(data_of(1, 1), expect, 4096);
    }
    assert_int_equal(h.page->counters.requests, 400);
    assert_int_equal(h.page->counters.errors, 0);
    assert_int_equal(h.page->counters.read_bytes, 200 * 4096);
    assert_true(h.page->counters.payload_low >= DATA);
    assert_true(h.page->counters.payload_high < RING_BASE + MEM_SIZE);
}

/* 512-byte requests at odd places: not for direct I/O with larger blocks. */
static void unaligned(void **state)
{
    uint8_t *p = data_of(0, 0) + 4;
    uint32_t used;

    (void)state;
    fill(p, 512, 9);
    request(0, 0, 1, 5, 512, false);
    wait_used(0, &used);
    ring_desc(&h.ring[0], 1, DATA + 0x100000 + 4, 512, RING_F_NEXT, 2);
    ring_add(&h.ring[0], 0);
    kick(0);
    wait_used(0, &used);
    assert_int_equal(status_of(0, 0), 0);
    request(0, 1, 0, 5, 512, true);
    wait_used(0, &used);
    assert_int_equal(status_of(0, 1), 0);
    assert_memory_equal(data_of(0, 1), p, 512);
}

static void others(void **state)
{
    uint64_t range[2] = {0, 16};
    unsigned int i;

    (void)state;
    assert_int_equal(do_request(0, 4, 0, 0, false), 0); /* flush */
    assert_int_equal(do_request(0, 8, 0, 20, true), 0);
    assert_memory_equal(data_of(0, 0), "serial-0123456789abc", 20);
    memset(data_of(0, 0), 0x55, 8192);
    assert_int_equal(do_request(0, 1, 0, 8192, false), 0);
    memcpy(data_of(0, 0), range, 16);
    assert_int_equal(do_request(0, 13, 0, 16, false), 0); /* zeroes */
    assert_int_equal(do_request(0, 0, 0, 8192, true), 0);
    for (i = 0; i < 8192; i++)
        assert_int_equal(data_of(0, 0)[i], 0);
    memcpy(data_of(0, 0), range, 16);
    i = do_request(0, 11, 0, 16, false); /* discard */
    assert_true(i == VR_BLK_S_OK || i == VR_BLK_S_UNSUPP);
    assert_int_equal(do_request(0, 99, 0, 0, false), VR_BLK_S_UNSUPP);
    assert_int_equal(do_request(0, 0, FILE_SIZE / 512, 512, true),
                     VR_BLK_S_IOERR);
}

/* Depth 16 on both queues: all right, and few notifications. */
static void deep(void **state)
{
    const unsigned int depth = 16, rounds = 300;
    unsigned int i, q, done = 0, given = 0;
    uint64_t before = h.page->counters.interrupts;
    uint32_t used;

    (void)state;
    while (done < rounds * depth * QUEUES) {
        for (q = 0; q < QUEUES; q++) {
            for (i = 0; i < depth && given < rounds * depth * QUEUES; i++) {
                uint8_t *p = data_of(q, i);

                memset(p, given, 4096);
                request(q, i, 1, 8 * (q * depth + i), 4096, false);
                given++;
            }
        }
        for (q = 0; q < QUEUES; q++) {
            for (i = 0; i < depth; i++, done++) {
                uint32_t id = wait_used(q, &used);

                assert_int_equal(status_of(q, id / 3), 0);
            }
        }
    }
    assert_int_equal(h.page->counters.requests, done);
    assert_int_equal(h.page->counters.errors, 0);
    print_message("%s: %.3f notifications per request\n", h.v->aio->name,
                  (double)(h.page->counters.interrupts - before) / done);
    if (!h.v->dynamic) {
        assert_int_equal(h.page->counters.grant_ops, 0);
        assert_int_equal(h.page->counters.copied_bytes, 0);
    } else if (h.v->threshold == VR_NEVER_MAP) {
        /* Header and status, when they are not in a pool; payload. */
        assert_int_equal(h.page->counters.copied_bytes,
                         done * ((h.v->pool ? 0 : 16 + 1) + 4096));
        print_message("%.3f grant operations per request\n",
                      (double)h.page->counters.grant_ops / done);
    }
}

static void want_survey(uint32_t session)
{
    __atomic_store_n(&h.page->survey, session, __ATOMIC_SEQ_CST);
    eventfd_write(h.wake_fd, 1);
}

/* What is asked for is counted, from then on, and to the unit. */
static void surveyed(void **state)
{
    const struct vr_survey_figures *f = &h.page->figures;
    unsigned int i;

    (void)state;
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
    assert_int_equal(f->session, 0);
    assert_int_equal(f->requests, 0);
    want_survey(5);
    while (__atomic_load_n(&f->session, __ATOMIC_SEQ_CST) != 5)
        usleep(1000);
    for (i = 0; i < 20; i++)
        assert_int_equal(do_request(i % 2, i % 4 ? 0 : 1, 8 * i, 4096, i % 4),
                         0);
    want_survey(6);
    while (__atomic_load_n(&f->session, __ATOMIC_SEQ_CST) != 6)
        usleep(1000);
    assert_int_equal(f->requests, 0);
    for (i = 0; i < 20; i++)
        assert_int_equal(do_request(i % 2, i % 4 ? 0 : 1, 8 * i, 4096, i % 4),
                         0);
    /* Until it has seen that the last one has ended. */
    want_survey(0);
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
    assert_int_equal(f->requests, 20);
    assert_int_equal(f->looked, 20);
    assert_int_equal(f->out_bytes, 20 * 16 + 5 * 4096);
    assert_int_equal(f->in_bytes, 20 + 15 * 4096);
    assert_int_equal(f->size[0].buffers, 40);
    assert_int_equal(f->size[6].buffers, 20);
    assert_int_equal(f->size[6].whole, 20 * 4096);
    assert_int_equal(f->most_requests, 1);
    assert_int_equal(f->most_pages, 1);
    assert_int_equal(f->most_small, 3);
}

/* A kick before the backend was told of the queue. */
static void early_kick(void **state)
{
    uint32_t used;

    (void)state;
    h.req.run = 0;
    publish();
    request(0, 0, 1, 0, 4096, false);
    kick(0);
    usleep(20000);
    h.req.run = 1;
    h.req.q[1].epoch++;
    publish();
    assert_int_equal(wait_used(0, &used), 0);
    assert_int_equal(status_of(0, 0), 0);
}

static void hostile_then_reset(void **state)
{
    unsigned int ms;

    (void)state;
    ring_desc(&h.ring[0], 0, 0x1000, 16, 0, 0); /* not in the window */
    ring_add(&h.ring[0], 0);
    kick(0);
    for (ms = 0; ms < LIMIT_MS; ms++) {
        if (h.page->status == VR_CTRL_BACKEND_FAILED)
            break;
        usleep(1000);
    }
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
    assert_int_equal(h.page->counters.faults, 1);
    assert_int_equal(h.page->counters.fault_addr, 0x1000);
    /* The other queue goes on. */
    assert_int_equal(do_request(1, 1, 0, 4096, false), 0);
    h.req.run = 0;
    publish();
    assert_int_equal(*h.logs, 1);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    run_queues();
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

static bool has_pool(void)
{
    return !h.v->dynamic || h.v->pool;
}

/* What the kernel holds of the pool while the device runs. */
static uint64_t to_hold(void)
{
    if (h.v->aio != &vr_aio_uring || !has_pool() || h.poor)
        return 0;
    return h.v->dynamic ? h.v->pool : MEM_SIZE;
}

/* There only while the device runs, also with requests under way at its end.
 * A guest that starts and stops its queues meanwhile changes nothing. */
static void pool_while_running(void **state)
{
    unsigned int i, round;

    (void)state;
    for (round = 1; round < 10; round++) {
        uint32_t epoch = h.req.q[1].epoch;

        assert_int_equal(h.pool->mapped, has_pool());
        assert_int_equal(h.pool->maps, has_pool() ? round : 0);
        assert_int_equal(held(), to_hold());
        assert_int_equal(!!(h.page->counters.target_io & VR_BLK_IO_HELD),
                         to_hold() != 0);
        assert_int_equal(do_request(1, 1, 0, 4096, false), 0);
        h.req.q[1].epoch = 0;
        publish();
        for (i = 0; i < 16; i++)
            request(0, i, 1, 8 * i, 4096, false);
        h.req.q[1].epoch = epoch;
        h.req.run = 0;
        publish();
        assert_int_equal(h.pool->mapped, 0);
        assert_int_equal(held(), 0);
        assert_int_equal(fake_pins(&h.gnt), 0);
        run_queues();
    }
}

/* The kernel holds no pool for a process that may lock little: all goes on
 * without, and is said once. */
static void little_locked(void **state)
{
    unsigned int i, logs = *h.logs + (to_hold() != 0);

    (void)state;
    assert_int_equal(backend_stop(0), 0);
    h.poor = true;
    backend_start();
    for (i = 0; i < 3; i++) {
        run_queues();
        assert_int_equal(held(), 0);
        assert_int_equal(*h.logs, logs);
        assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
        assert_int_equal(do_request(1, 0, 0, 4096, true), 0);
        h.req.run = 0;
        publish();
    }
}

/* A request in pages that adjoin, that do not, and that lie the other way
 * round: @order has their places. */
static void pieces_of(const unsigned int order[8])
{
    struct ring *r = &h.ring[0];
    uint64_t hdr = DATA, data = DATA + 0x100000;
    unsigned int i, type;
    uint8_t expect[4096];
    uint32_t used;

    for (type = 2; type--;) {
        uint8_t *p = ring_at(r, hdr);

        memset(p, 0, 33);
        memcpy(p, &type, 4);
        ring_desc(r, 0, hdr, 16, RING_F_NEXT, 1);
        for (i = 0; i < 8; i++) {
            uint8_t *page = ring_at(r, data + 4096 * order[i]);

            fill(page, 4096, type ? 50 + i : 0);
            ring_desc(r, i + 1, data + 4096 * order[i], 4096,
                      RING_F_NEXT | (type ? 0 : RING_F_WRITE), i + 2);
        }
        ring_desc(r, 9, hdr + 32, 1, RING_F_WRITE, 0);
        p[32] = 0xff;
        add_and_kick(0, 0);
        assert_int_equal(wait_used(0, &used), 0);
        assert_int_equal(used, type ? 1 : 8 * 4096 + 1);
        assert_int_equal(p[32], 0);
    }
    for (i = 0; i < 8; i++) {
        fill(expect, sizeof(expect), 50 + i);
        assert_memory_equal(ring_at(r, data + 4096 * order[i]), expect, 4096);
    }
}

static void pieces(void **state)
{
    (void)state;
    pieces_of((unsigned int[]){0, 1, 2, 3, 4, 5, 6, 7});
    pieces_of((unsigned int[]){0, 1, 2, 10, 11, 20, 22, 23});
    pieces_of((unsigned int[]){7, 6, 5, 4, 3, 2, 1, 0});
    pieces_of((unsigned int[]){0, 2, 4, 6, 8, 10, 12, 14});
}

/* The guest's device fails, the operator knows why; its next start is tried
 * again, also by another process. */
static void pool_refused(void **state)
{
    (void)state;
    if (!has_pool())
        return;
    h.req.run = 0;
    publish();
    h.pool->refuse = 1000;
    run_queues();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
    assert_string_equal(h.note, "the pool is refused");
    request(0, 0, 1, 0, 4096, false);
    kick(0);
    assert_int_equal(backend_stop(0), 0);
    memset(h.note, 0, NOTE_LEN);
    backend_start();
    publish();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
    assert_string_equal(h.note, "the pool is refused");
    assert_int_equal(ring_used(&h.ring[0])[1], 0);
    h.req.run = 0;
    publish();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    assert_int_equal(h.pool->mapped, 0);
    /* Once more, which is not said again so soon. */
    strcpy(h.note, "unchanged");
    run_queues();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
    assert_string_equal(h.note, "unchanged");
    h.req.run = 0;
    publish();
    h.pool->refuse = 0;
    run_queues();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    assert_string_equal(h.note, "");
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

static void senseless_request(void **state)
{
    (void)state;
    h.req.q[0].size = 7;
    publish();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_FAILED);
    run_queues();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

static void queue_reset(void **state)
{
    uint32_t epoch = h.req.q[0].epoch;
    unsigned int i;

    (void)state;
    for (i = 0; i < 16; i++)
        request(0, i, 1, 8 * i, 4096, false);
    h.req.q[0].epoch = 0;
    publish();
    /* Quiet: what is made available now is not looked at. */
    i = ring_used(&h.ring[0])[1];
    request(0, 20, 1, 0, 4096, false);
    kick(0);
    assert_int_equal(do_request(1, 1, 0, 4096, false), 0);
    assert_int_equal(ring_used(&h.ring[0])[1], i);
    ring_init(&h.ring[0], h.gnt.mem, 0, QSIZE);
    h.req.q[0] = h.ring[0].cfg;
    h.req.q[0].epoch = epoch + 1;
    h.req.q[0].port = h.v->bells ? PORT : 0;
    publish();
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

/* The backend goes and comes back under load; nothing is lost or doubled. */
static void come_back(int signal, unsigned int rounds)
{
    unsigned int round, i;
    uint32_t used;

    if (h.v->dynamic)
        rounds /= 2; /* test_backend_dynamic.c has more of it */
    for (round = 0; round < rounds; round++) {
        bool seen[16] = {false};

        for (i = 0; i < 16; i++)
            request(0, i, 1, 8 * i, 4096, false);
        if (signal)
            usleep(round * 20);
        assert_int_equal(backend_stop(signal), signal);
        backend_start();
        for (i = 0; i < 16; i++) {
            uint32_t id = wait_used(0, &used) / 3;

            assert_true(id < 16 && !seen[id]);
            seen[id] = true;
            assert_int_equal(status_of(0, id), 0);
        }
    }
}

static void restart(void **state)
{
    (void)state;
    come_back(0, 20);
}

static void killed(void **state)
{
    (void)state;
    come_back(SIGKILL, 40);
}

/* Died with requests in flight: the log says so, they are executed again. */
static void resume(void **state)
{
    uint32_t used;

    (void)state;
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
    assert_int_equal(backend_stop(0), 0);
    /* As if request 1 had been taken and never answered. */
    request(0, 1, 1, 8, 4096, false);
    h.page->resume[0].inflight[0] |= 1u << 3;
    h.page->resume[0].last_avail++;
    backend_start();
    assert_int_equal(wait_used(0, &used), 3);
    assert_int_equal(status_of(0, 1), 0);
    assert_int_equal(h.page->counters.resumed, 1);
}

/* Died when it had published, and not told the guest, at that point of the
 * rings where their indices are 0 again. */
static void wrapped(void **state)
{
    struct ring *r = &h.ring[0];
    unsigned int ms, rings;

    (void)state;
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
    assert_int_equal(backend_stop(0), 0);
    r->avail_idx = r->used_seen = 0;
    ring_avail(r)[1] = ring_used(r)[1] = 0;
    h.page->resume[0].last_avail = h.page->resume[0].used_idx = 0;
    vr_ctrl_collect(&h.page->intr);
    rings = h.bells->rings;
    backend_start();
    for (ms = 0; ms < LIMIT_MS && !vr_ctrl_collect(&h.page->intr) &&
                 h.bells->rings == rings;
         ms++)
        usleep(1000);
    assert_in_range(ms, 0, LIMIT_MS - 1);
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

/* A hostile guest writes all over its rings while the device works. */
static void scribble(void **state)
{
    unsigned int round, i;
    uint32_t seed = 1;

    (void)state;
    for (round = 0; round < 60; round++) {
        for (i = 0; i < 16; i++)
            request(0, i, i & 1, 8 * i, 4096, !(i & 1));
        kick(0);
        for (i = 0; i < 2000; i++) {
            seed = seed * 1664525 + 1013904223;
            h.gnt.mem[(seed >> 8) % 0x3000] = seed >> 24;
            h.gnt.mem[0x10000 + (seed >> 9) % 0x800] = seed >> 3;
        }
        kick(0);
        h.req.run = 0;
        publish();
        run_queues();
    }
    assert_int_equal(do_request(1, 1, 0, 4096, false), 0);
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

static const struct variant variants[] = {
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK, false, 0, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_BUFFERED, VR_F_VERSION_1 | BLK, false, 0, 0, 0,
     false},
    {&vr_aio_threads, VR_CACHE_AUTO, ALL | BLK, false, 0, 0, 0, false},
    {&vr_aio_threads, VR_CACHE_BUFFERED, VR_F_VERSION_1 | BLK, false, 0, 0, 0,
     false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, VR_NEVER_MAP, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 0, false},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, VR_NEVER_MAP, 0, 0,
     false},
    {&vr_aio_threads, VR_CACHE_BUFFERED, VR_F_VERSION_1 | BLK, true, 4096, 0, 0,
     false},
    /* mixed: headers in the pool; payload there as well */
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, VR_NEVER_MAP, 0, 1 << 20,
     false},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 1 << 20, false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 16 << 20, false},
    /* queues with bells of their own */
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK, .bells = true},
    {&vr_aio_threads, VR_CACHE_AUTO, VR_F_VERSION_1 | BLK, .bells = true},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, 4096, .bells = true},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 1 << 20, true},
    /* Without FLUSH each write is final. */
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | VR_BLK_F_DISCARD, false, 0, 0, 0,
     false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | VR_BLK_F_DISCARD, true, VR_NEVER_MAP,
     0, 0, false},
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
            T(device_page),
            T(write_read),
            T(unaligned),
            T(deep),
            T(surveyed),
            T(early_kick),
            T(hostile_then_reset),
            T(senseless_request),
            T(pool_while_running),
            T(pool_refused),
            T(little_locked),
            T(pieces),
            T(queue_reset),
            T(restart),
            T(killed),
            T(resume),
            T(wrapped),
            T(scribble),
            T(others),
        };
        bool final = !(variants[v].features & VR_BLK_F_FLUSH);

        if (variants[v].aio == &vr_aio_uring && !uring)
            continue;
        /* others() wants all features: it is the last one. */
        failed += _cmocka_run_group_tests(
            "backend loop", tests, VR_ARRAY_SIZE(tests) - final, NULL, NULL);
    }
    return failed;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's device loop on plain Linux: a process runs it, locked in as a
 * worker is, over shared memory and a temporary file; the test plays broker
 * and guest. Everything runs with io_uring and with threads, through the page
 * cache and direct.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../tools/backend/loop.h"
#include "../../tools/backend/sandbox.h"
#include "ring.h"

#define MEM_SIZE  (4u << 20)
#define FILE_SIZE (8u << 20)
#define QSIZE     64u
#define QUEUES    2u
#define DATA      (RING_BASE + 0x10000)
#define ALL       (VR_F_VERSION_1 | VR_F_EVENT_IDX | VR_F_INDIRECT_DESC)
#define BLK       (VR_BLK_F_FLUSH | VR_BLK_F_DISCARD | VR_BLK_F_WRITE_ZEROES)
#define LIMIT_MS  10000

/* How a group of tests runs. */
struct variant {
    const struct vr_aio_ops *aio;
    enum vr_cache cache;
    uint64_t features;
};

struct host {
    const struct variant *v;
    char path[64];
    struct vr_window win;
    struct vr_ctrl_page *page;
    struct vr_target target;
    pid_t pid;
    int wake_fd, intr_fd, stop[2];
    struct vr_ctrl_request req;
    struct ring ring[QUEUES];
    unsigned int *logs; /* shared */
};

static struct host h;

static void op_drain(void *ctx)
{
    struct host *host = ctx;
    eventfd_t n;

    eventfd_read(host->wake_fd, &n);
}

static void op_unmask(void *ctx)
{
    (void)ctx;
}

static void op_notify(void *ctx)
{
    struct host *host = ctx;

    eventfd_write(host->intr_fd, 1);
}

static void op_log(void *ctx, const char *text)
{
    struct host *host = ctx;

    (void)text;
    ++*host->logs;
}

static const struct vr_loop_ops ops = {op_drain, op_unmask, op_notify, op_log};

static bool in_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

/* The filter would also bind what these tools do beside the program. */
static bool lock_in(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#else
    return !in_valgrind();
#endif
}

static void child(void)
{
    struct vr_loop_cfg cfg = {
        .win = &h.win,
        .page = h.page,
        .target = &h.target,
        .ops = &ops,
        .ctx = &h,
        .aio = h.v->aio,
        .wake_fd = h.wake_fd,
        .stop_fd = h.stop[0],
        .queues = QUEUES,
        .queue_size = QSIZE,
        .poll_us = 20,
        .discard = true,
        .serial = "serial-0123456789abc",
    };
    struct vr_loop *loop;
    struct vr_err err;
    int rc, ms = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(h.stop[1]);
    do {
        /* A ring that was closed holds its files for a moment. */
        rc = vr_target_open(&h.target, h.path, false, h.v->cache, &err);
    } while (rc == -EBUSY && ms++ < LIMIT_MS && !usleep(1000));
    if (!rc)
        rc = vr_loop_new(&loop, &cfg, &err);
    if (!rc && lock_in())
        rc = vr_sandbox_worker(&err);
    if (rc) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    vr_loop_run(loop);
    _exit(0);
}

static void backend_start(void)
{
    assert_int_equal(pipe(h.stop), 0);
    h.pid = fork();
    assert_true(h.pid >= 0);
    if (!h.pid)
        child();
    close(h.stop[0]);
}

/* Returns the status that the process ended with. */
static int backend_stop(int signal)
{
    int status;

    if (signal)
        kill(h.pid, signal);
    close(h.stop[1]);
    assert_int_equal(waitpid(h.pid, &status, 0), h.pid);
    return status;
}

static void publish(void)
{
    uint32_t gen = vr_ctrl_publish(h.page, &h.req);
    int ms;

    eventfd_write(h.wake_fd, 1);
    for (ms = 0; ms < LIMIT_MS && !vr_ctrl_acked(h.page, gen); ms++)
        usleep(1000);
    assert_true(vr_ctrl_acked(h.page, gen));
}

static void run_queues(void)
{
    unsigned int i;

    h.req.run = 1;
    h.req.nqueues = QUEUES;
    h.req.features = h.v->features;
    for (i = 0; i < QUEUES; i++) {
        uint32_t epoch = h.req.q[i].epoch + 1;

        ring_init(&h.ring[i], h.win.va, i * 0x4000, QSIZE);
        h.req.q[i] = h.ring[i].cfg;
        h.req.q[i].epoch = epoch;
    }
    publish();
}

static int setup(void **state)
{
    int fd;

    memset(&h, 0, sizeof(h));
    h.v = *state;
    /* Not in /tmp, which may be a tmpfs: direct I/O is to be seen, too. */
    snprintf(h.path, sizeof(h.path), "vr-test-XXXXXX");
    fd = mkstemp(h.path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
    close(fd);
    h.win.base = RING_BASE;
    h.win.size = MEM_SIZE;
    /* Window, control page, and a page for the test itself. */
    h.win.va = mmap(NULL, MEM_SIZE + 8192, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    h.page = (void *)(h.win.va + MEM_SIZE);
    h.logs = (void *)(h.win.va + MEM_SIZE + 4096);
    vr_ctrl_init(h.page);
    h.wake_fd = eventfd(0, EFD_NONBLOCK);
    h.intr_fd = eventfd(0, EFD_NONBLOCK);
    backend_start();
    run_queues();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(backend_stop(0), 0);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_ABSENT);
    munmap(h.win.va, MEM_SIZE + 8192);
    close(h.wake_fd);
    close(h.intr_fd);
    unlink(h.path);
    return 0;
}

/* ---- the guest ---- */

static void kick(unsigned int q)
{
    if (vr_ctrl_post(&h.page->kick, UINT64_C(1) << q))
        eventfd_write(h.wake_fd, 1);
}

/* As a driver does it: a kick only if the device wants one. */
static void add_and_kick(unsigned int q, uint16_t head)
{
    struct ring *r = &h.ring[q];
    bool event_idx = h.v->features & VR_F_EVENT_IDX;
    uint16_t old = r->avail_idx;

    ring_add(r, head);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (event_idx ? (uint16_t)(old - *ring_avail_event(r)) == 0
                  : !(ring_used(r)[0] & 1))
        kick(q);
}

/* Chain @head of three descriptors: header, data, status, all of slot n. */
static void request(unsigned int q, unsigned int n, uint32_t type,
                    uint64_t sector, uint32_t len, bool in)
{
    uint64_t hdr = DATA + 0x40000 * q + 64 * n;
    uint64_t data = DATA + 0x100000 + 0x100000 * q + 8192 * n;
    uint8_t *p = ring_at(&h.ring[q], hdr);
    uint16_t head = n * 3;

    memset(p, 0, 16);
    memcpy(p, &type, 4);
    memcpy(p + 8, &sector, 8);
    p[32] = 0xff;
    ring_desc(&h.ring[q], head, hdr, 16, RING_F_NEXT, head + 1);
    ring_desc(&h.ring[q], head + 1, data, len,
              RING_F_NEXT | (in ? RING_F_WRITE : 0), head + 2);
    ring_desc(&h.ring[q], head + 2, hdr + 32, 1, RING_F_WRITE, 0);
    if (!len)
        ring_desc(&h.ring[q], head, hdr, 16, RING_F_NEXT, head + 2);
    add_and_kick(q, head);
}

static uint8_t *data_of(unsigned int q, unsigned int n)
{
    return ring_at(&h.ring[q], DATA + 0x100000 + 0x100000 * q + 8192 * n);
}

static uint8_t status_of(unsigned int q, unsigned int n)
{
    return *(uint8_t *)ring_at(&h.ring[q], DATA + 0x40000 * q + 64 * n + 32);
}

/* Sleeps for the interrupt as a guest would; a lost one is a failure. */
static uint32_t wait_used(unsigned int q, uint32_t *len)
{
    struct ring *r = &h.ring[q];
    struct pollfd pfd = {.fd = h.intr_fd, .events = POLLIN};
    uint32_t id;

    for (;;) {
        eventfd_t n;

        *ring_used_event(r) = r->used_seen;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ring_get(r, &id, len))
            return id;
        assert_int_equal(poll(&pfd, 1, LIMIT_MS), 1);
        eventfd_read(h.intr_fd, &n);
        vr_ctrl_collect(&h.page->intr);
    }
}

static uint8_t do_request(unsigned int q, uint32_t type, uint64_t sector,
                          uint32_t len, bool in)
{
    uint32_t used;

    request(q, 0, type, sector, len, in);
    assert_int_equal(wait_used(q, &used), 0);
    return status_of(q, 0);
}

static void fill(uint8_t *p, uint32_t len, uint32_t seed)
{
    while (len--) {
        seed = seed * 1664525 + 1013904223;
        *p++ = seed >> 24;
    }
}

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
    ring_init(&h.ring[0], h.win.va, 0, QSIZE);
    h.req.q[0] = h.ring[0].cfg;
    h.req.q[0].epoch = epoch + 1;
    publish();
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
}

/* The backend goes and comes back under load; nothing is lost or doubled. */
static void come_back(int signal, unsigned int rounds)
{
    unsigned int round, i;
    uint32_t used;

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
            h.win.va[(seed >> 8) % 0x3000] = seed >> 24;
            h.win.va[0x10000 + (seed >> 9) % 0x800] = seed >> 3;
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
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK},
    {&vr_aio_uring, VR_CACHE_BUFFERED, VR_F_VERSION_1 | BLK},
    {&vr_aio_threads, VR_CACHE_AUTO, ALL | BLK},
    {&vr_aio_threads, VR_CACHE_BUFFERED, VR_F_VERSION_1 | BLK},
    /* Without FLUSH each write is final. */
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | VR_BLK_F_DISCARD},
};

#define T(name)                                                                \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown,            \
                                             (void *)(uintptr_t)&variants[v])

static bool have_uring(void)
{
    struct vr_target t = {.fd = 0, .direct_fd = -1};
    struct vr_aio_cfg cfg = {.target = &t, .depth = 1, .fds = {-1, -1}};
    struct vr_err err;
    struct vr_aio *aio;

    if (in_valgrind()) {
        print_message("io_uring: skipped: valgrind does not know it well\n");
        return false;
    }
    if (vr_aio_uring.open(&aio, &cfg, &err)) {
        print_message("io_uring: skipped: %s\n", err.text);
        return false;
    }
    vr_aio_uring.close(aio);
    return true;
}

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
            T(early_kick),
            T(hostile_then_reset),
            T(senseless_request),
            T(queue_reset),
            T(restart),
            T(killed),
            T(resume),
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entropy devices in the backend, between a memory and a source that are the
 * test's: what a request is given, when it waits, and when it is dropped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../tools/backend/rng/serve.c"

#define MS NS_PER_MS
#define N  100

static struct {
    struct vr_dev d;
    struct vr_rng *rng;
    struct vr_ctrl_page page;
    struct vr_request r[N];
    struct rng_io io[N];
    struct iovec iov[N];
    uint8_t mem[N][4096];
    unsigned int done, dropped, answered;
    struct vr_request *last;
    int source[2], wake[2], stop[2];
    char note[160];
} t;

/* ---- the memory ---- */

static bool mem_data(struct vr_dev *d, struct vr_request *r, enum vr_dir dir)
{
    (void)d;
    assert_int_equal(dir, VR_DIR_READ);
    r->len = rng_guess(d, r, &dir);
    return true;
}

static void mem_done(struct vr_dev *d, struct vr_request *r, uint8_t status)
{
    (void)d;
    assert_int_equal(status, 0);
    t.done++;
    t.last = r;
}

static void mem_answer(struct vr_dev *d, struct vr_request *r, uint8_t status,
                       uint32_t used_len, void *reply, uint32_t len)
{
    (void)d;
    (void)r;
    (void)reply;
    assert_int_equal(status + used_len + len, 0);
    t.answered++;
}

static void mem_drop(struct vr_dev *d, struct vr_request *r)
{
    (void)d;
    (void)r;
    t.dropped++;
}

static const struct vr_memory memory = {
    .data = mem_data,
    .answer = mem_answer,
    .done = mem_done,
    .drop = mem_drop,
};

static void op_log(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static void op_note(void *ctx, const char *text)
{
    (void)ctx;
    strncpy(t.note, text, sizeof(t.note) - 1);
}

static const struct vr_dev_ops ops = {.log = op_log, .note = op_note};

/* ---- the world ---- */

static int set_up(void **state)
{
    struct vr_dev_cfg cfg = {.target = "/dev/urandom"};
    struct vr_io_opts opts = {0};
    struct vr_err err;

    (void)state;
    memset(&t, 0, sizeof(t));
    assert_int_equal(rng_open(&t.d.source, &cfg, &opts, &err), 0);
    t.rng = t.d.source;
    close(t.rng->fd);
    assert_int_equal(pipe(t.source), 0);
    assert_int_equal(pipe(t.wake), 0);
    assert_int_equal(pipe(t.stop), 0);
    t.rng->fd = t.source[0];
    t.d.cfg.page = &t.page;
    t.d.cfg.ops = &ops;
    t.d.cfg.wake_fd = t.wake[0];
    t.d.cfg.stop_fd = t.stop[0];
    t.d.memory = &memory;
    t.d.serve = &vr_serve_rng;
    t.d.now = 1000 * MS;
    t.d.req.run = 1;
    t.d.req.q[0].epoch = t.d.q[0].epoch = 1;
    assert_int_equal(rng_begin(&t.d, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    unsigned int i;

    (void)state;
    rng_close(&t.d);
    for (i = 0; i < 2; i++) {
        close(t.source[i]);
        close(t.wake[i]);
        close(t.stop[i]);
    }
    free(t.rng);
    return 0;
}

static void start(unsigned int i, uint32_t len)
{
    struct vr_request *r = &t.r[i];

    memset(r, 0, sizeof(*r));
    r->q = &t.d.q[0];
    r->io = &t.io[i];
    r->in_len = len;
    t.iov[i] = (struct iovec){t.mem[i], len};
    r->iov = &t.iov[i];
    r->niov = 1;
    rng_start(&t.d, r);
}

static void feed(size_t n)
{
    static uint8_t bytes[4096];

    memset(bytes, 0x5a, sizeof(bytes));
    assert_int_equal(write(t.source[1], bytes, n), n);
}

/* Has the source read, waits for that, and takes it in. */
static bool turn(void)
{
    struct pollfd fd = {.fd = t.rng->done, .events = POLLIN};

    rng_wait(&t.d, 0);
    if (t.rng->asked)
        assert_int_equal(poll(&fd, 1, 10000), 1);
    rng_wait(&t.d, 0);
    return rng_reap(&t.d);
}

/* ---- */

static void test_bytes(void **state)
{
    (void)state;
    feed(64);
    start(0, 64);
    assert_int_equal(rng_wait(&t.d, -1), 0); /* the reader ends it */
    assert_true(rng_reap(&t.d));
    assert_int_equal(t.done, 1);
    assert_int_equal(t.r[0].used_len, 64);
    assert_int_equal(t.r[0].len, 64);
    assert_int_equal(t.mem[0][63], 0x5a);
    assert_int_equal(t.page.counters.read_bytes, 64);
    assert_null(t.rng->first);
}

/* 5.4.6.1: one byte will do; and nothing is said of more than there is. */
static void test_short(void **state)
{
    (void)state;
    feed(5);
    start(0, 64);
    turn();
    assert_int_equal(t.r[0].used_len, 5);
    assert_int_equal(t.mem[0][5], 0);
}

static void test_long_requests_get_a_part(void **state)
{
    enum vr_dir dir;

    (void)state;
    feed(4096);
    start(0, 4096);
    assert_int_equal(rng_guess(&t.d, &t.r[0], &dir), VR_RNG_MAX);
    turn();
    assert_int_equal(t.r[0].used_len, VR_RNG_MAX);
    assert_int_equal(t.mem[0][VR_RNG_MAX], 0);
}

static void test_buffers_without_bytes(void **state)
{
    (void)state;
    start(0, 0);
    assert_int_equal(t.answered, 1);
    assert_null(t.rng->first);
    feed(8);
    start(1, 8);
    t.iov[1].iov_len = 0; /* the first of them */
    t.iov[2] = (struct iovec){t.mem[2], 8};
    t.r[1].niov = 2;
    turn();
    assert_int_equal(t.done, 1);
    assert_int_equal(t.mem[2][7], 0x5a);
}

/* One that blocks blocks the reader alone. */
static void test_an_empty_source_is_waited_for(void **state)
{
    (void)state;
    start(0, 64);
    start(1, 64);
    assert_int_equal(rng_wait(&t.d, 1 * MS), 0);
    assert_true(t.rng->asked);
    assert_false(rng_reap(&t.d));
    assert_int_equal(write(t.wake[1], "x", 1), 1);
    assert_int_equal(rng_wait(&t.d, -1), VR_WAKE_EVENT);
    assert_int_equal(t.done, 0);
    feed(70);
    assert_true(turn());
    /* Of one read there is something for both. */
    assert_int_equal(t.done, 2);
    assert_int_equal(t.r[0].used_len, 64);
    assert_int_equal(t.r[1].used_len, 6);
    assert_int_equal(t.page.counters.read_errors, 0);
}

/* What was read for a request that is gone is for the next one; nobody gets
 * bytes twice. */
static void test_bytes_that_are_left(void **state)
{
    (void)state;
    start(0, 64);
    rng_wait(&t.d, 0);
    t.d.req.q[0].epoch = 2;
    assert_true(rng_reap(&t.d));
    assert_int_equal(t.dropped, 1);
    t.d.req.q[0].epoch = 1;
    feed(64);
    start(1, 32);
    assert_true(turn());
    assert_int_equal(t.r[1].used_len, 32);
    assert_int_equal(t.rng->bytes[0], 0);
    start(2, 64);
    assert_int_equal(rng_wait(&t.d, -1), 0); /* does not sleep */
    assert_true(rng_reap(&t.d));
    assert_int_equal(t.r[2].used_len, 32);
    assert_int_equal(t.mem[2][31], 0x5a);
}

static void test_a_source_that_fails(void **state)
{
    (void)state;
    t.rng->fd = t.source[1]; /* cannot be read: EBADF */
    start(0, 64);
    assert_false(turn());
    assert_int_equal(t.page.counters.read_errors, 1);
    assert_int_equal(t.page.counters.last_errno, EBADF);
    assert_string_equal(t.note, "target: read failed: Bad file descriptor; "
                                "requests wait");
    t.d.now += FAILED_NS;
    t.rng->fd = t.source[0];
    feed(64);
    assert_true(turn());
    assert_int_equal(t.done, 1);
    assert_string_equal(t.note, ""); /* it is over */
}

/* What waits must not hold a queue that is to become quiet, nor the worker's
 * end; nothing is answered that was not done. */
static void test_dropped(void **state)
{
    (void)state;
    start(0, 64);
    start(1, 64);
    rng_wait(&t.d, 0);
    assert_false(rng_reap(&t.d));
    t.d.req.q[0].epoch = 2;
    assert_int_equal(rng_wait(&t.d, -1), 0); /* at once */
    assert_true(rng_reap(&t.d));
    assert_int_equal(t.dropped, 2);
    t.d.req.q[0].epoch = 1;
    start(2, 64);
    t.d.stopping = true;
    assert_true(rng_reap(&t.d));
    assert_int_equal(t.dropped, 3);
    assert_int_equal(t.done, 0);
}

static void test_a_greedy_guest(void **state)
{
    unsigned int i, n = 0, before;

    (void)state;
    for (i = 0; i < N; i++) {
        feed(1);
        start(0, 1);
        n += turn();
        if (t.rng->first)
            break;
    }
    assert_in_range(n, BURST, BURST + 1);
    assert_int_equal(t.rng->retry, t.d.now + PERIOD_NS);
    before = n;
    for (i = 0; i < 10; i++) {
        t.d.now += PERIOD_NS;
        if (!t.rng->first) {
            feed(1);
            start(0, 1);
        }
        n += turn();
    }
    assert_in_range(n - before, 9, 11);
}

static void test_descriptors(void **state)
{
    (void)state;
    assert_int_equal(rng_wait(&t.d, 0), 0);
    assert_int_equal(write(t.wake[1], "x", 1), 1);
    assert_int_equal(rng_wait(&t.d, -1), VR_WAKE_EVENT);
    close(t.stop[1]);
    assert_int_equal(rng_wait(&t.d, -1), VR_WAKE_EVENT | VR_WAKE_STOP);
    t.stop[1] = dup(t.stop[0]);
}

static void refused(const char *target, int want, const char *why)
{
    struct vr_dev_cfg cfg;
    struct vr_io_opts opts = {0};
    struct vr_err err;
    void *source;

    memset(&cfg, 0, sizeof(cfg));
    strcpy(cfg.target, target);
    assert_int_equal(rng_open(&source, &cfg, &opts, &err), want);
    assert_non_null(strstr(err.text, target));
    assert_non_null(strstr(err.text, why));
}

static void test_sources(void **state)
{
    (void)state;
    refused("/dev/zero", -EINVAL, "use /dev/urandom or /dev/hwrng");
    refused("/etc/passwd", -EINVAL, "use /dev/urandom or /dev/hwrng");
    refused("/dev", -EINVAL, "use /dev/urandom or /dev/hwrng");
    refused("/dev/nowhere", -ENOENT, "No such file");
}

#define RNG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RNG_TEST(test_bytes),
        RNG_TEST(test_short),
        RNG_TEST(test_long_requests_get_a_part),
        RNG_TEST(test_buffers_without_bytes),
        RNG_TEST(test_an_empty_source_is_waited_for),
        RNG_TEST(test_bytes_that_are_left),
        RNG_TEST(test_a_source_that_fails),
        RNG_TEST(test_dropped),
        RNG_TEST(test_a_greedy_guest),
        RNG_TEST(test_descriptors),
        cmocka_unit_test(test_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A type of device that is not block (backend/serve.h): no status, data one way
 * or the other, fewer of them than there is room for, answers without I/O. The
 * real loop and memory carry it out, in each mode.
 */
#include "backend/memory/remote.h"
#include "backend/worker/loop.h"
#include "loophost.h"

enum { FILL = 1, SUM, TALK };

#define PATTERN 0x5a

struct toy_io {
    char reply[8];
    uint32_t done;
};

static struct {
    struct vr_request *queued[QSIZE];
    unsigned int n, starts, pieces, looks, finished;
    uint32_t most; /* bytes that one request gets; 0: all */
    uint64_t sum;
    bool foreign;
} toy;

static int toy_begin(struct vr_dev *d, struct vr_err *err)
{
    const uint8_t config = 7;

    (void)err;
    vr_ctrl_set_device(d->cfg.page, 1, &config, 1);
    return 0;
}

static void toy_look(struct vr_dev *d)
{
    (void)d;
    toy.looks++;
}

static uint32_t toy_guess(const struct vr_dev *d, const struct vr_request *r,
                          enum vr_dir *dir)
{
    (void)d;
    if (r->out_len > 1) {
        *dir = VR_DIR_WRITE;
        return r->out_len - 1;
    }
    *dir = r->in_len ? VR_DIR_READ : VR_DIR_NONE;
    return r->in_len;
}

static void toy_more(struct vr_dev *d, struct vr_request *r)
{
    (void)d;
    toy.pieces++;
    toy.foreign |= r->foreign;
    toy.queued[toy.n++] = r;
}

static void toy_start(struct vr_dev *d, struct vr_request *r)
{
    struct toy_io *io = r->io;

    toy.starts++;
    io->done = 0;
    if (r->out_len && r->front[0] == TALK) {
        strcpy(io->reply, "hello");
        vr_request_answer(d, r, 0, 5, io->reply, 5);
        return;
    }
    if (!r->out_len ||
        !vr_request_data(d, r,
                         r->front[0] == FILL ? VR_DIR_READ : VR_DIR_WRITE)) {
        vr_request_answer(d, r, 1, 0, NULL, 0);
        return;
    }
    toy_more(d, r);
}

static unsigned int toy_wait(struct vr_dev *d, int64_t timeout_ns)
{
    (void)timeout_ns;
    return toy.n || d->inflight ? 0 : VR_WAKE_STOP;
}

static void move(struct vr_request *r)
{
    struct toy_io *io = r->io;
    bool fill = r->front[0] == FILL;
    uint32_t left = toy.most && toy.most < r->len ? toy.most : r->len;
    unsigned int i;
    size_t k;

    r->len = left;
    io->done += left;
    for (i = 0; i < r->niov && left; i++) {
        uint8_t *p = r->iov[i].iov_base;

        for (k = 0; k < r->iov[i].iov_len && left; k++, left--) {
            if (fill)
                p[k] = PATTERN;
            else
                toy.sum += p[k];
        }
    }
    r->used_len = fill ? io->done : 0;
}

static bool toy_reap(struct vr_dev *d)
{
    unsigned int i, n = toy.n;
    struct vr_request *done[QSIZE];

    memcpy(done, toy.queued, sizeof(done));
    toy.n = 0;
    for (i = 0; i < n; i++) {
        move(done[i]);
        vr_request_done(d, done[i], 0);
    }
    return n;
}

static void toy_end(struct vr_dev *d)
{
    (void)d;
    toy.finished++;
}

static const struct vr_serve serve_toy = {
    .front = 1,
    .error = 1,
    .io_size = sizeof(struct toy_io),
    .begin = toy_begin,
    .look = toy_look,
    .guess = toy_guess,
    .start = toy_start,
    .more = toy_more,
    .wait = toy_wait,
    .reap = toy_reap,
    .finish = toy_end,
    .close = toy_end,
};

/* What the guest asks for, and gets. */
struct ask {
    uint8_t what;
    uint32_t len;  /* of its buffer */
    bool in;       /* ... which is to be written */
    uint32_t used; /* expected */
};

#define MEBI (1u << 20)

/* Buffer @i of the guest. */
static uint64_t at(unsigned int i)
{
    return DATA + MEBI + i * (3 * MEBI);
}

static void add(unsigned int i, const struct ask *ask)
{
    uint64_t front = DATA + 64 * i;
    uint16_t head = 2 * i;

    *(uint8_t *)ring_at(&h.ring[0], front) = ask->what;
    memset(ring_at(&h.ring[0], at(i)), 1, ask->len);
    ring_desc(&h.ring[0], head, front, 1, ask->len ? RING_F_NEXT : 0, head + 1);
    if (ask->len)
        ring_desc(&h.ring[0], head + 1, at(i), ask->len,
                  ask->in ? RING_F_WRITE : 0, 0);
    ring_add(&h.ring[0], head);
}

static void expect(const struct ask *ask, unsigned int n)
{
    unsigned int i, got;
    uint32_t id, len, k;

    for (got = 0; ring_get(&h.ring[0], &id, &len); got++) {
        const uint8_t *p;

        i = id / 2;
        p = ring_at(&h.ring[0], at(i));
        assert_true(i < n);
        assert_int_equal(len, ask[i].used);
        for (k = 0; ask[i].what == FILL && k < ask[i].len; k++)
            assert_int_equal(p[k], k < len ? PATTERN : 1);
        if (ask[i].what == TALK && len)
            assert_memory_equal(p, "hello", 5);
    }
    assert_int_equal(got, n);
}

/* A device's life, with all that was asked for before it began. */
static void serve(const struct variant *v, const struct ask *ask,
                  unsigned int n, uint32_t most, int hidden)
{
    const struct vr_gwin gwin = {RING_BASE + v->pool, MEM_SIZE - v->pool,
                                 FAKE_GREF +
                                     (uint32_t)(v->pool >> VR_PAGE_SHIFT)};
    struct vr_dev_setup cfg = {
        .serve = &serve_toy,
        .win = v->dynamic ? &h.dynmem.window : &h.win,
        .mem = v->dynamic ? &h.dynmem : NULL,
        .map_threshold = v->threshold,
        .ops = &loop_ops,
        .ctx = &h,
        .bells = loop_bells,
        .channel = &loop_channel,
        .channel_state = &h,
        .wake_fd = -1,
        .stop_fd = -1,
        .queues = 1,
        .queue_size = QSIZE,
    };
    struct vr_ctrl_device dev;
    struct vr_loop *loop;
    struct vr_err err;
    unsigned int i;

    memset(&h, 0, sizeof(h));
    memset(&toy, 0, sizeof(toy));
    toy.most = most;
    h.v = v;
    fake_open(&h.gnt, MEM_SIZE / VR_PAGE_SIZE);
    h.win.base = RING_BASE;
    h.win.size = MEM_SIZE;
    if (v->dynamic)
        vr_dynmem_init(&h.dynmem, &gwin, &fake_ops, &h.gnt);
    place_pool(&h, NULL);
    h.page = cfg.page = calloc(1, VR_PAGE_SIZE);
    h.pool = calloc(1, sizeof(*h.pool));
    h.logs = calloc(1, sizeof(*h.logs));
    h.note = calloc(1, NOTE_LEN);
    h.wake_fd = eventfd(0, EFD_NONBLOCK);
    h.intr_fd = eventfd(0, EFD_NONBLOCK);
    vr_ctrl_init(h.page);
    ring_init(&h.ring[0], h.gnt.mem, 0, QSIZE);
    for (i = 0; i < n; i++)
        add(i, &ask[i]);
    if (hidden >= 0)
        fake_set(&h.gnt, at((unsigned int)hidden) - RING_BASE, 1, FAKE_NONE);
    h.req = (struct vr_ctrl_request){.run = 1, .nqueues = 1, .features = DYN};
    h.req.q[0] = h.ring[0].cfg;
    h.req.q[0].epoch = 1;
    vr_ctrl_publish(h.page, &h.req);
    assert_int_equal(vr_loop_new(&loop, &cfg, &err), 0);
    assert_int_equal(vr_ctrl_take_device(h.page, &dev), 0);
    assert_int_equal(dev.config[0], 7);
    vr_loop_run(loop);
    vr_loop_free(loop);
    assert_int_equal(toy.finished, 2); /* finish and close */
    assert_int_equal(h.page->counters.requests, n);
    expect(ask, n);
    assert_int_equal(fake_pins(&h.gnt), 0);
    free(h.page);
    free(h.pool);
    free(h.logs);
    free(h.note);
    fake_close(&h.gnt);
    close(h.wake_fd);
    close(h.intr_fd);
}

static const struct variant fixed = {0},
                            copied = {.dynamic = true,
                                      .threshold = VR_NEVER_MAP},
                            mapped = {.dynamic = true},
                            mixed = {.dynamic = true,
                                     .threshold = VR_NEVER_MAP,
                                     .pool = 4u << 20};

static void both_ways(void **state)
{
    static const struct ask ask[] = {
        {FILL, 5000, true, 5000},
        {SUM, 3000, false, 0},
        {TALK, 6, true, 5},
        {FILL, 0, false, 0},
    };

    serve(*state, ask, VR_ARRAY_SIZE(ask), 0, -1);
    assert_int_equal(toy.starts, 4);
    assert_int_equal(toy.sum, 3000);
    assert_true(toy.looks > 0);
    assert_true(toy.foreign ==
                (*state == &fixed || *state == &mapped || *state == &mixed));
}

/* Less than the guest has room for: the rest stays as it was. */
static void few(void **state)
{
    static const struct ask ask[] = {
        {FILL, 5000, true, 100},
        {FILL, 2 * MEBI, true, 100},
    };

    serve(*state, ask, VR_ARRAY_SIZE(ask), 100, -1);
    assert_int_equal(toy.pieces, 2);
}

/* More than is worked on at a time. */
static void pieces(void **state)
{
    static const struct ask ask[] = {{FILL, 2 * MEBI, true, 2 * MEBI},
                                     {SUM, 2 * MEBI, false, 0}};

    serve(*state, ask, VR_ARRAY_SIZE(ask), 0, -1);
    assert_int_equal(toy.sum, 2 * MEBI);
    assert_int_equal(toy.pieces, *state == &fixed ? 2 : 4);
}

/* A type without a status has no word for it: nothing is used. */
static void not_granted(void **state)
{
    static const struct ask ask[] = {{TALK, 6, true, 0}, {TALK, 6, true, 5}};

    serve(*state, ask, VR_ARRAY_SIZE(ask), 0, 0);
}

#define T(name, mode) cmocka_unit_test_prestate(name, (void *)(uintptr_t)&mode)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(both_ways, fixed),    T(both_ways, copied), T(both_ways, mapped),
        T(both_ways, mixed),    T(few, fixed),        T(few, copied),
        T(few, mapped),         T(few, mixed),        T(pieces, fixed),
        T(pieces, copied),      T(pieces, mapped),    T(not_granted, copied),
        T(not_granted, mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block requests of a mixed device from the ring to the target and back
 * (backend/memory/remote.c, payload.c): their buffers lie in pool and window as
 * the input says, and some of their pages are not granted. The loop is the real
 * one; target and hypervisor are played. What must hold:
 *
 *   - each request is used once, and nothing stays mapped or kept;
 *   - what reaches the target is what the guest's buffers hold;
 *   - what the guest is told was read is what the target holds;
 *   - I/O is on bounce memory, the pool, or pages that are granted. Others are
 *     not mapped: a step there ends the program.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/block.h"
#include "backend/worker/loop.h"
#include "../unit/fakegnt.h"
#include "../unit/ring.h"
#include "input.h"

#define QSIZE     64u
#define POOL      (1u << 20)
#define WINDOW    (16u << 20)
#define MAX_REQS  6u
#define SHARE     (2u << 20) /* of the window, for one request */
#define RANGE     (8u << 20) /* of the target */
#define POOL_DATA 0x10000u

struct request {
    bool write;
    uint16_t head;
    struct vr_buf data[QSIZE];
    unsigned int n;
    uint64_t status; /* address */
    bool used;
};

static struct {
    struct fakegnt gnt;
    struct vr_dynmem mem;
    struct vr_ctrl_page page;
    struct ring ring;
    struct request req[MAX_REQS];
    unsigned int n, descs;
    struct vr_aio_req *queued, *later;
    uint8_t errors; /* which of the target's answers are some */
    unsigned int asked;
} w;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what is where ---- */

static uint8_t target_byte(uint64_t off)
{
    return (uint8_t)(off % 251 + off / 4096);
}

static uint8_t guest_byte(uint64_t addr)
{
    return (uint8_t)(addr % 241 + addr / 4096);
}

/* Byte @at of what request @r moves. */
static uint64_t address(const struct request *r, uint64_t at)
{
    const struct vr_buf *b = r->data;

    for (; at >= b->len; b++)
        at -= b->len;
    return b->addr + at;
}

/* ---- the target ---- */

static int fake_aio_open(struct vr_aio **aio, const struct vr_aio_cfg *cfg,
                         struct vr_err *err)
{
    (void)cfg;
    (void)err;
    *aio = (struct vr_aio *)&w;
    return 0;
}

/* Looks at a sample of the bytes, the ends of each piece of memory included. */
static void transfer(struct vr_aio_req *req)
{
    const struct request *r = &w.req[req->offset / RANGE % MAX_REQS];
    uint64_t off = req->offset, len = 0;
    unsigned int i;

    for (i = 0; i < req->niov; i++) {
        uint8_t *p = req->iov[i].iov_base;
        size_t n = req->iov[i].iov_len, k;

        len += n;
        for (k = 0; k < n; k++) {
            if (req->op == VR_AIO_READ)
                p[k] = target_byte(off + k);
            else if (p[k] != guest_byte(address(r, (off + k) % RANGE)))
                abort();
        }
        off += n;
    }
    if (len != req->len)
        abort();
}

static void fake_aio_queue(struct vr_aio *aio, struct vr_aio_req *req)
{
    (void)aio;
    req->first = 0;
    req->res = w.errors >> w.asked++ % 8 & 1 ? -EIO : 0;
    req->way = req->direct ? VR_WAY_DIRECT : VR_WAY_CACHE;
    /* Direct I/O that is not possible on the guest's pages. */
    if (!req->res && req->direct && req->foreign && w.errors & 0x80) {
        req->first = -EOPNOTSUPP;
        req->way = VR_WAY_COPY;
    }
    if (req->op == VR_AIO_READ || req->op == VR_AIO_WRITE)
        transfer(req);
    req->next = w.queued;
    w.queued = req;
}

/* What was queued is done in the next turn; when nothing is left, the end. */
static unsigned int fake_aio_run(struct vr_aio *aio, int64_t timeout_ns,
                                 struct vr_aio_req **done)
{
    (void)aio;
    *done = w.queued;
    w.queued = NULL;
    return *done || !timeout_ns ? 0 : VR_WAKE_STOP;
}

static void fake_aio_close(struct vr_aio *aio)
{
    (void)aio;
}

static const struct vr_aio_ops aio_ops = {
    .name = "fuzz",
    .open = fake_aio_open,
    .queue = fake_aio_queue,
    .run = fake_aio_run,
    .close = fake_aio_close,
};

/* ---- the broker's side ---- */

static void nothing(void *state)
{
    (void)state;
}

static bool no_ring(void *state, struct vr_ctrl_page *page, uint64_t queues)
{
    (void)state;
    (void)page;
    (void)queues;
    return false;
}

static unsigned int heard(void *ctx)
{
    (void)ctx;
    return 0;
}

static void unmask(void *ctx, bool own)
{
    (void)ctx;
    (void)own;
}

static void no_text(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static const struct vr_gwin pool_win = {RING_BASE, POOL, 0};

static int map_pool(void *ctx, struct vr_err *err)
{
    (void)ctx;
    (void)err;
    vr_dynmem_pool(&w.mem, &pool_win, w.gnt.mem);
    return 0;
}

static void unmap_pool(void *ctx)
{
    (void)ctx;
    vr_dynmem_pool(&w.mem, &pool_win, NULL);
}

static const struct vr_dev_ops dev_ops = {no_text, no_text, map_pool,
                                          unmap_pool};
static const struct vr_channel_ops channel = {
    .hear = heard,
    .sleep = heard,
    .unmask = unmask,
    .tell = nothing,
};
static const struct vr_bell_ops bell = {.ring = no_ring};
static const struct vr_bell_ops *const bells[VR_BELLS] = {&bell, &bell};

/* ---- memory for requests and bounce, anew for each input ---- */

static struct {
    uint8_t *at;
    size_t size, used;
} arena;

static void *take(void *ctx, size_t size)
{
    uint8_t *p = arena.at + arena.used;

    (void)ctx;
    size = (size + 4095) & ~(size_t)4095;
    if (size > arena.size - arena.used)
        abort();
    arena.used += size;
    return p;
}

static struct vr_dynmem_ops arena_begin(void)
{
    struct vr_dynmem_ops ops = fake_ops;

    ops.alloc = take;
    if (!arena.at) {
        arena.size = vr_loop_local(&vr_serve_block, 1, QSIZE);
        arena.at = fake_alloc(NULL, arena.size);
    }
    madvise(arena.at, arena.size, MADV_DONTNEED);
    arena.used = 0;
    return ops;
}

/* ---- the guest ---- */

static void desc(uint64_t addr, uint32_t len, bool write, bool last)
{
    ring_desc(&w.ring, w.descs, addr, len,
              (write ? RING_F_WRITE : 0) | (last ? 0 : RING_F_NEXT),
              (uint16_t)(w.descs + 1));
    w.descs++;
}

/* Data buffers, one behind the other in the request's share of the window or
 * of the pool, with gaps as the input wants them. */
static void data_buffers(struct request *r, unsigned int i, unsigned int n)
{
    static const uint32_t lens[] = {512,  1,     511,   4096,
                                    8192, 65536, 12288, 131072};
    uint64_t window = RING_BASE + POOL + i * SHARE;
    uint64_t pool = RING_BASE + POOL_DATA + i * 0x20000;
    const uint64_t window_end = window + SHARE, pool_end = pool + 0x20000;

    for (; n; n--) {
        uint8_t how = (uint8_t)eat(1);
        uint32_t len = lens[how & 7];
        bool in_pool = how & 8;
        uint64_t *at = in_pool ? &pool : &window;

        *at += how & 16 ? eat(2) : 0;
        if (*at + len > (in_pool ? pool_end : window_end))
            continue;
        if (how & 32)
            fake_set(&w.gnt, *at - RING_BASE, 1,
                     how & 64 ? FAKE_READ : FAKE_NONE);
        r->data[r->n++] = (struct vr_buf){*at, len};
        *at += len;
    }
}

static void one_request(unsigned int i)
{
    struct request *r = &w.req[i];
    uint8_t how = (uint8_t)eat(1);
    uint32_t type = how & 1 ? 1 : how & 2 ? (uint32_t)eat(1) : 0;
    uint64_t sector = (uint64_t)i * (RANGE / 512), k;
    uint64_t front =
        (how & 4 ? RING_BASE + 0x8000 : RING_BASE + POOL + WINDOW - 0x10000) +
        256 * i;
    unsigned int n = how >> 4, room = QSIZE - w.descs;

    if (room < n + 3)
        return;
    memset(r, 0, sizeof(*r));
    r->write = how & 1;
    r->head = (uint16_t)w.descs;
    r->status = front + 128;
    data_buffers(r, i, n);
    for (k = 0; r->write && k < r->n; k++) {
        uint64_t b;

        for (b = 0; b < r->data[k].len; b++)
            *(uint8_t *)ring_at(&w.ring, r->data[k].addr + b) =
                guest_byte(r->data[k].addr + b);
    }
    memcpy(ring_at(&w.ring, front), &type, 4);
    memcpy(ring_at(&w.ring, front + 8), &sector, 8);
    *(uint8_t *)ring_at(&w.ring, r->status) = 0xff;
    if (how & 8) {
        desc(front, 5, false, false);
        desc(front + 5, 11, false, false);
    } else {
        desc(front, 16, false, false);
    }
    for (k = 0; k < r->n; k++)
        desc(r->data[k].addr, (uint32_t)r->data[k].len, !r->write, false);
    desc(r->status, 1, true, true);
    ring_add(&w.ring, r->head);
    w.n = i + 1;
}

/* What the guest finds in the end. */
static void check(bool stopped)
{
    unsigned int i, got = 0, known = 0;
    uint32_t id, len;

    while (ring_get(&w.ring, &id, &len)) {
        got++;
        for (i = 0; i < w.n; i++) {
            struct request *r = &w.req[i];
            uint64_t k, all = 0;

            if (!r->status || r->head != id)
                continue;
            if (r->used)
                abort();
            r->used = true;
            for (k = 0; k < r->n; k++)
                all += r->data[k].len;
            if (*(uint8_t *)ring_at(&w.ring, r->status) == 0xff)
                abort(); /* no answer, and the queue goes on */
            if (*(uint8_t *)ring_at(&w.ring, r->status) || r->write ||
                len != all + 1)
                continue;
            for (k = 0; k < all; k++)
                if (*(uint8_t *)ring_at(&w.ring, address(r, k)) !=
                    target_byte((uint64_t)i * RANGE + k))
                    abort();
        }
    }
    for (i = 0; i < w.n; i++)
        known += w.req[i].status != 0;
    if (!stopped && got != known)
        abort();
    if (fake_pins(&w.gnt))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vr_block block;
    struct vr_dynmem_ops ops;
    const struct vr_gwin win = {RING_BASE + POOL, WINDOW,
                                FAKE_GREF + POOL / 4096};
    struct vr_dev_setup setup = {
        .serve = &vr_serve_block,
        .source = &block,
        .win = &w.mem.window,
        .mem = &w.mem,
        .page = &w.page,
        .ops = &dev_ops,
        .bells = bells,
        .channel = &channel,
        .wake_fd = -1,
        .stop_fd = -1,
        .queues = 1,
        .queue_size = QSIZE,
    };
    struct vr_ctrl_request req = {.run = 1, .nqueues = 1};
    struct vr_loop *loop;
    struct vr_err err;
    unsigned int i, n;
    bool faults;

    in = data;
    left = size;
    if (!w.gnt.mem)
        fake_open(&w.gnt, (POOL + WINDOW) / 4096);
    memset(w.gnt.table->right, FAKE_WRITE, w.gnt.pages);
    memset(w.req, 0, sizeof(w.req));
    w.n = w.descs = w.asked = 0;
    ops = arena_begin();
    vr_dynmem_init(&w.mem, &win, &ops, &w.gnt);
    vr_dynmem_pool(&w.mem, &pool_win, NULL);
    block = (struct vr_block){
        .ops = &aio_ops,
        .only = true,
        .target = {.fd = -1,
                   .direct_fd = -1,
                   .direct = true,
                   .foreign = true,
                   .readonly = false,
                   .size = (uint64_t)RANGE * MAX_REQS,
                   .blk_size = 512,
                   .mem_align = 512,
                   .off_align = 512},
    };
    i = (unsigned int)eat(1);
    setup.map_threshold = i & 1 ? 0 : i & 2 ? VR_NEVER_MAP : 65536;
    if (i & 4)
        w.mem.budget = 16;
    w.errors = (uint8_t)eat(1);
    w.gnt.table->refuse_maps = 0;
    w.gnt.table->fail_copies = 0;
    memset(&w.page, 0, sizeof(w.page));
    vr_ctrl_init(&w.page);
    ring_init(&w.ring, w.gnt.mem, 0, QSIZE);
    n = 1 + (i >> 4) % MAX_REQS;
    for (i = 0; i < n; i++)
        one_request(i);
    req.features = UINT64_C(1) << 32 | VR_BLK_F_FLUSH;
    req.q[0] = w.ring.cfg;
    vr_ctrl_publish(&w.page, &req);
    if (vr_loop_new(&loop, &setup, &err))
        abort();
    vr_loop_run(loop);
    faults = vr_loop_dev(loop)->cfg.page->counters.fault_addr &&
             !vr_loop_dev(loop)->cfg.page->counters.fault_access;
    vr_loop_free(loop);
    check(faults);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ring.h"

#define SIZE     8u
#define MEM_SIZE 0x10000u
#define DATA     (RING_BASE + 0x4000)
#define ALL      (VR_F_VERSION_1 | VR_F_EVENT_IDX | VR_F_INDIRECT_DESC)

struct fixture {
    struct ring r;
    struct vr_window win;
    struct vr_vq vq;
    struct vr_chain chain;
    struct vr_ctrl_resume log;
};

static struct fixture f;

static void start(uint32_t size, uint64_t features)
{
    ring_init(&f.r, f.win.va, 0, size);
    vr_vq_init(&f.vq);
    assert_int_equal(vr_vq_start(&f.vq, &f.win, &f.r.cfg, features, &f.log), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    /* Exactly as large as the window, so that ASan sees a step outside. */
    f.win.va = aligned_alloc(4096, MEM_SIZE);
    memset(f.win.va, 0, MEM_SIZE);
    f.win.base = RING_BASE;
    f.win.size = MEM_SIZE;
    start(SIZE, ALL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(f.win.va);
    return 0;
}

static void expect_fault(enum vr_vq_fault fault, uint64_t addr)
{
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), -EPROTO);
    assert_int_equal(f.vq.fault, fault);
    assert_int_equal(f.vq.fault_addr, addr);
    /* And it stays so. */
    assert_false(vr_vq_running(&f.vq));
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), -EPROTO);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), -EPROTO);
    assert_false(vr_vq_pending(&f.vq));
}

static void window(void **state)
{
    struct vr_window w = f.win;

    (void)state;
    assert_ptr_equal(vr_window_ptr(&w, RING_BASE, 1), w.va);
    assert_ptr_equal(vr_window_ptr(&w, RING_BASE, MEM_SIZE), w.va);
    assert_null(vr_window_ptr(&w, RING_BASE, MEM_SIZE + 1));
    assert_null(vr_window_ptr(&w, RING_BASE - 1, 2));
    assert_null(vr_window_ptr(&w, RING_BASE + MEM_SIZE, 0));
    assert_null(vr_window_ptr(&w, RING_BASE + MEM_SIZE - 1, 2));
    assert_non_null(vr_window_ptr(&w, RING_BASE + MEM_SIZE - 1, 1));
    assert_null(vr_window_ptr(&w, RING_BASE + 1, UINT64_MAX));
    assert_null(vr_window_ptr(&w, UINT64_MAX, UINT64_MAX));
    assert_null(vr_window_ptr(&w, 0, UINT64_MAX));
}

/* ---- a remote window ---- */

#define GUARD 64u

/* Maps by handing out copies of exactly the size asked for: what is changed
 * through them goes back when they are unmapped. */
struct far {
    uint8_t *mem; /* the guest's */
    unsigned int mapped, calls;
    unsigned int refuse_at; /* 0: never; else which call is refused */
    bool write[8];
    uint64_t addr[8];
};

static struct far far;

static void *far_map(void *ctx, uint64_t addr, uint64_t len, bool write)
{
    struct far *fa = ctx;
    uint64_t *p;

    assert_true(addr >= RING_BASE && addr + len <= RING_BASE + MEM_SIZE);
    if (++fa->calls == fa->refuse_at)
        return NULL;
    p = malloc(GUARD + len);
    p[0] = addr;
    p[1] = write;
    memcpy((uint8_t *)p + GUARD, fa->mem + (addr - RING_BASE), len);
    fa->write[fa->mapped] = write;
    fa->addr[fa->mapped++] = addr;
    return (uint8_t *)p + GUARD;
}

static void far_unmap(void *ctx, void *p, uint64_t len)
{
    struct far *fa = ctx;
    uint64_t *info = (void *)((uint8_t *)p - GUARD);

    /* Read-only areas must not have been changed. */
    if (info[1])
        memcpy(fa->mem + (info[0] - RING_BASE), p, len);
    else
        assert_memory_equal(fa->mem + (info[0] - RING_BASE), p, len);
    free(info);
    assert_true(fa->mapped--);
}

static struct vr_window far_window(void)
{
    memset(&far, 0, sizeof(far));
    far.mem = f.win.va;
    return (struct vr_window){
        .base = RING_BASE,
        .size = MEM_SIZE,
        .map = far_map,
        .unmap = far_unmap,
        .ctx = &far,
    };
}

static void remote_chain(void **state)
{
    struct vr_window w = far_window();

    (void)state;
    assert_true(vr_window_remote(&w));
    assert_false(vr_window_remote(&f.win));
    ring_desc(&f.r, 2, DATA, 16, RING_F_NEXT, 5);
    ring_desc(&f.r, 5, DATA + 0x1ff0, 0x2000, RING_F_NEXT | RING_F_WRITE, 0);
    ring_desc(&f.r, 0, RING_BASE + MEM_SIZE - 1, 1, RING_F_WRITE, 0);
    ring_add(&f.r, 2);
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg,
                                 VR_F_VERSION_1 | VR_F_EVENT_IDX, &f.log),
                     0);
    assert_int_equal(far.mapped, 3);
    assert_int_equal(far.addr[2], f.r.cfg.device);
    assert_false(far.write[0] || far.write[1]);
    assert_true(far.write[2]);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 2);
    assert_int_equal(f.chain.nread, 1);
    assert_int_equal(f.chain.nwrite, 2);
    assert_int_equal(f.chain.read_len, 16);
    assert_int_equal(f.chain.write_len, 0x2001);
    assert_int_equal(f.chain.buf[0].addr, DATA);
    assert_int_equal(f.chain.buf[0].len, 16);
    assert_int_equal(f.chain.buf[1].addr, DATA + 0x1ff0);
    assert_int_equal(f.chain.buf[1].len, 0x2000);
    assert_int_equal(f.chain.buf[2].addr, RING_BASE + MEM_SIZE - 1);
    vr_vq_push(&f.vq, 2, 7);
    vr_vq_publish(&f.vq);
    vr_vq_enable_kicks(&f.vq);
    vr_vq_stop(&f.vq);
    assert_int_equal(far.mapped, 0);
    assert_int_equal(ring_used(&f.r)[1], 1);
    assert_int_equal(*ring_avail_event(&f.r), 1);
    vr_vq_stop(&f.vq);
    assert_int_equal(far.mapped, 0);
}

/* Whatever goes wrong at the start, nothing stays mapped. */
static void remote_start_fails(void **state)
{
    struct vr_window w = far_window();
    uint64_t area[4] = {0, f.r.cfg.desc, f.r.cfg.driver, f.r.cfg.device};
    struct vr_ctrl_queue c = f.r.cfg;
    unsigned int i;

    (void)state;
    for (i = 1; i <= 3; i++) {
        far.calls = 0;
        far.refuse_at = i;
        assert_int_equal(vr_vq_start(&f.vq, &w, &c, VR_F_VERSION_1, &f.log),
                         -EPROTO);
        assert_int_equal(f.vq.fault, VR_VQ_RING_REFUSED);
        assert_int_equal(f.vq.fault_addr, area[i]);
        assert_int_equal(far.mapped, 0);
        assert_false(vr_vq_running(&f.vq));
        assert_int_equal(vr_vq_pop(&f.vq, &f.chain), -EPROTO);
        vr_vq_stop(&f.vq);
    }
    far.refuse_at = 0;
    c.device = RING_BASE + MEM_SIZE - 68;
    assert_int_equal(vr_vq_start(&f.vq, &w, &c, VR_F_VERSION_1, &f.log),
                     -EPROTO);
    assert_int_equal(f.vq.fault, VR_VQ_RING_OUTSIDE);
    assert_int_equal(far.mapped, 0);
    /* A log that makes no sense, found out when all is mapped. */
    f.log.epoch = f.r.cfg.epoch;
    f.log.used_idx = 0x8000;
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, VR_F_VERSION_1, &f.log),
                     -EPROTO);
    assert_int_equal(f.vq.fault, VR_VQ_RESUME);
    assert_int_equal(far.mapped, 0);
}

/* Tables cannot be had; who negotiates them is refused, and so is who uses
 * one all the same. */
static void remote_indirect(void **state)
{
    struct vr_window w = far_window();

    (void)state;
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, ALL, &f.log), -EPROTO);
    assert_int_equal(f.vq.fault, VR_VQ_INDIRECT_REMOTE);
    assert_int_equal(far.mapped, 0);
    ring_desc(&f.r, 0, DATA, 32, RING_F_INDIRECT, 0);
    ring_add(&f.r, 0);
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, VR_F_VERSION_1, &f.log),
                     0);
    expect_fault(VR_VQ_INDIRECT_OFF, DATA);
    vr_vq_stop(&f.vq);
    assert_int_equal(far.mapped, 0);
}

static const void *far_fetch(void *ctx, uint64_t addr, uint64_t len)
{
    static uint64_t table[2 * VR_INDIRECT_MAX];
    struct far *fa = ctx;

    if (++fa->calls == fa->refuse_at)
        return NULL;
    return memcpy(table, fa->mem + (addr - RING_BASE), len);
}

/* Where they can be had: fetched once each, and the queue stops without. */
static void remote_fetched(void **state)
{
    struct vr_window w = far_window();
    struct vr_vring_desc *t = ring_at(&f.r, DATA);

    (void)state;
    w.fetch = far_fetch;
    ring_desc(&f.r, 0, DATA, 32, RING_F_INDIRECT, 0);
    t[0] = (struct vr_vring_desc){DATA + 0x100, 16, RING_F_NEXT, 1};
    t[1] = (struct vr_vring_desc){DATA + 0x200, 1, RING_F_WRITE, 0};
    ring_add(&f.r, 0);
    ring_desc(&f.r, 1, RING_BASE + MEM_SIZE - 16, 32, RING_F_INDIRECT, 0);
    ring_add(&f.r, 1);
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, ALL, &f.log), 0);
    far.calls = 0;
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(far.calls, 1);
    assert_int_equal(f.chain.nread, 1);
    assert_int_equal(f.chain.nwrite, 1);
    assert_int_equal(f.chain.buf[1].addr, DATA + 0x200);
    expect_fault(VR_VQ_OUTSIDE, RING_BASE + MEM_SIZE - 16);
    assert_int_equal(far.calls, 1);
    vr_vq_stop(&f.vq);
    assert_int_equal(far.mapped, 0);
}

static void remote_refused(void **state)
{
    struct vr_window w = far_window();

    (void)state;
    w.fetch = far_fetch;
    ring_desc(&f.r, 0, DATA, 32, RING_F_INDIRECT, 0);
    ring_add(&f.r, 0);
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, ALL, &f.log), 0);
    far.refuse_at = far.calls + 1;
    expect_fault(VR_VQ_INDIRECT_REFUSED, DATA);
    vr_vq_stop(&f.vq);
    assert_int_equal(far.mapped, 0);
}

static void remote_outside(void **state)
{
    const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        {RING_BASE - 1, 2},
        {RING_BASE + MEM_SIZE, 1},
        {RING_BASE + MEM_SIZE - 1, 2},
        {UINT64_MAX, 2},
        {0, UINT32_MAX},
    };
    struct vr_window w = far_window();
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        ring_init(&f.r, f.win.va, 0, SIZE);
        ring_desc(&f.r, 0, bad[i].addr, bad[i].len, 0, 0);
        ring_add(&f.r, 0);
        assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, VR_F_VERSION_1, NULL),
                         0);
        expect_fault(VR_VQ_OUTSIDE, bad[i].addr);
        vr_vq_stop(&f.vq);
    }
    assert_int_equal(far.mapped, 0);
}

/* A later process goes on with the same log over rings mapped anew. */
static void remote_resume(void **state)
{
    struct vr_window w = far_window();
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        ring_desc(&f.r, i, DATA + 16 * i, 16, RING_F_WRITE, 0);
        ring_add(&f.r, i);
    }
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, VR_F_VERSION_1, &f.log),
                     0);
    for (i = 0; i < 3; i++)
        assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    vr_vq_push(&f.vq, 1, 16);
    vr_vq_publish(&f.vq);
    vr_vq_stop(&f.vq); /* 0 and 2 are in flight */
    assert_int_equal(vr_vq_start(&f.vq, &w, &f.r.cfg, VR_F_VERSION_1, &f.log),
                     0);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.buf[0].addr, DATA);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.buf[0].addr, DATA + 32);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 0);
    vr_vq_stop(&f.vq);
    assert_int_equal(far.mapped, 0);
}

static void bad_start(void **state)
{
    struct {
        uint64_t desc, driver, device;
        uint32_t size;
        enum vr_vq_fault fault;
    } bad[] = {
        {0, 0x1000, 0x2000, 0, VR_VQ_SIZE},
        {0, 0x1000, 0x2000, 12, VR_VQ_SIZE},
        {0, 0x1000, 0x2000, 512, VR_VQ_SIZE},
        {8, 0x1000, 0x2000, 8, VR_VQ_ALIGN},
        {0, 0x1001, 0x2000, 8, VR_VQ_ALIGN},
        {0, 0x1000, 0x2002, 8, VR_VQ_ALIGN},
        {MEM_SIZE, 0x1000, 0x2000, 8, VR_VQ_RING_OUTSIDE},
        {MEM_SIZE - 16 * 7, 0x1000, 0x2000, 8, VR_VQ_RING_OUTSIDE},
        {0, MEM_SIZE - 20, 0x2000, 8, VR_VQ_RING_OUTSIDE},
        {0, 0x1000, MEM_SIZE - 68, 8, VR_VQ_RING_OUTSIDE},
        {-16ull, 0x1000, 0x2000, 8, VR_VQ_RING_OUTSIDE},
        {-RING_BASE - 16, 0x1000, 0x2000, 8, VR_VQ_RING_OUTSIDE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        struct vr_ctrl_queue c = {
            .desc = RING_BASE + bad[i].desc,
            .driver = RING_BASE + bad[i].driver,
            .device = RING_BASE + bad[i].device,
            .size = bad[i].size,
            .epoch = 1,
        };

        assert_int_equal(vr_vq_start(&f.vq, &f.win, &c, ALL, NULL), -EPROTO);
        assert_int_equal(f.vq.fault, bad[i].fault);
        assert_false(vr_vq_running(&f.vq));
    }
    /* The last bytes that fit. */
    f.r.cfg.desc = RING_BASE + MEM_SIZE - 128;
    f.r.cfg.driver = RING_BASE + MEM_SIZE - 128 - 22;
    f.r.cfg.device = RING_BASE + MEM_SIZE - 128 - 24 - 72;
    assert_int_equal(vr_vq_start(&f.vq, &f.win, &f.r.cfg, ALL, NULL), 0);
}

static void simple_chain(void **state)
{
    uint32_t id, len;

    (void)state;
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 0);
    ring_desc(&f.r, 2, DATA, 16, RING_F_NEXT, 5);
    ring_desc(&f.r, 5, DATA + 0x1000, 512, RING_F_NEXT | RING_F_WRITE, 0);
    ring_desc(&f.r, 0, DATA + 0x2000, 1, RING_F_WRITE, 7);
    assert_false(vr_vq_pending(&f.vq));
    ring_add(&f.r, 2);
    assert_true(vr_vq_pending(&f.vq));
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 2);
    assert_int_equal(f.chain.nread, 1);
    assert_int_equal(f.chain.nwrite, 2);
    assert_int_equal(f.chain.read_len, 16);
    assert_int_equal(f.chain.write_len, 513);
    assert_ptr_equal(f.chain.iov[0].iov_base, ring_at(&f.r, DATA));
    assert_int_equal(f.chain.iov[1].iov_len, 512);
    assert_ptr_equal(f.chain.iov[2].iov_base, ring_at(&f.r, DATA + 0x2000));
    assert_int_equal(vr_vq_addr(&f.win, f.chain.iov[2].iov_base),
                     DATA + 0x2000);

    vr_vq_push(&f.vq, 2, 513);
    assert_false(ring_get(&f.r, &id, &len)); /* not yet visible */
    vr_vq_publish(&f.vq);
    assert_true(ring_get(&f.r, &id, &len));
    assert_int_equal(id, 2);
    assert_int_equal(len, 513);
    assert_false(ring_get(&f.r, &id, &len));
}

static void indirect_chain(void **state)
{
    struct vr_vring_desc *t;

    (void)state;
    /* A direct buffer in front, a table that is not aligned. */
    ring_desc(&f.r, 0, DATA, 16, RING_F_NEXT, 1);
    ring_desc(&f.r, 1, DATA + 0x104, 3 * 16, RING_F_INDIRECT | RING_F_WRITE, 0);
    t = ring_at(&f.r, DATA + 0x104);
    memcpy(&t[0], &(struct vr_vring_desc){DATA + 0x200, 8, RING_F_NEXT, 2}, 16);
    memcpy(&t[2], &(struct vr_vring_desc){DATA + 0x300, 9, RING_F_WRITE, 0},
           16);
    ring_add(&f.r, 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.nread, 2);
    assert_int_equal(f.chain.nwrite, 1);
    assert_int_equal(f.chain.iov[2].iov_len, 9);
}

static void avail_jump(void **state)
{
    (void)state;
    ring_avail(&f.r)[1] = SIZE + 1;
    expect_fault(VR_VQ_AVAIL_JUMP, SIZE + 1);
}

static void avail_backwards(void **state)
{
    (void)state;
    ring_avail(&f.r)[1] = 0xffff;
    expect_fault(VR_VQ_AVAIL_JUMP, 0xffff);
}

static void head_range(void **state)
{
    (void)state;
    ring_add(&f.r, SIZE);
    expect_fault(VR_VQ_HEAD_RANGE, SIZE);
}

static void head_busy(void **state)
{
    (void)state;
    ring_desc(&f.r, 3, DATA, 16, 0, 0);
    ring_add(&f.r, 3);
    ring_add(&f.r, 3);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    expect_fault(VR_VQ_HEAD_BUSY, 3);
}

static void next_range(void **state)
{
    (void)state;
    ring_desc(&f.r, 0, DATA, 16, RING_F_NEXT, SIZE);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_NEXT_RANGE, SIZE);
}

static void loop_of_one(void **state)
{
    (void)state;
    ring_desc(&f.r, 1, DATA, 16, RING_F_NEXT, 1);
    ring_add(&f.r, 1);
    expect_fault(VR_VQ_TOO_LONG, 1);
}

static void loop_of_many(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < SIZE; i++)
        ring_desc(&f.r, i, DATA, 16, RING_F_NEXT, (i + 1) % SIZE);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_TOO_LONG, 0);
}

static void longest(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < SIZE; i++)
        ring_desc(&f.r, i, DATA, 16, i + 1 < SIZE ? RING_F_NEXT : 0, i + 1);
    ring_add(&f.r, 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.nread, SIZE);
}

static void too_many_buffers(void **state)
{
    unsigned int i;

    (void)state;
    start(256, ALL);
    for (i = 0; i < 256; i++)
        ring_desc(&f.r, i, DATA, 16, i < VR_CHAIN_MAX ? RING_F_NEXT : 0, i + 1);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_TOO_LONG, 0);
}

static void too_big(void **state)
{
    (void)state;
    /* A window that is larger than one chain may be. */
    f.win.size = UINT64_C(1) << 36;
    ring_desc(&f.r, 0, DATA, UINT32_MAX, RING_F_NEXT, 1);
    ring_desc(&f.r, 1, DATA, 1, 0, 0);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_TOO_BIG, DATA);
}

static void order(void **state)
{
    (void)state;
    ring_desc(&f.r, 0, DATA, 16, RING_F_NEXT | RING_F_WRITE, 1);
    ring_desc(&f.r, 1, DATA + 64, 16, 0, 0);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_ORDER, DATA + 64);
}

static void zero_length(void **state)
{
    (void)state;
    ring_desc(&f.r, 0, DATA, 0, 0, 0);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_ZERO, DATA);
}

static void outside(void **state)
{
    const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        {0, 16},
        {RING_BASE - 1, 16},
        {RING_BASE + MEM_SIZE - 15, 16},
        {RING_BASE + MEM_SIZE, 1},
        {UINT64_MAX - 7, 16},
        {RING_BASE, MEM_SIZE + 1},
        {RING_BASE, UINT32_MAX},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        f.r.cfg.epoch++;
        start(SIZE, ALL);
        ring_desc(&f.r, 0, bad[i].addr, bad[i].len, 0, 0);
        ring_add(&f.r, 0);
        expect_fault(VR_VQ_OUTSIDE, bad[i].addr);
    }
}

static void indirect_off(void **state)
{
    (void)state;
    f.log.epoch = 0;
    start(SIZE, VR_F_VERSION_1);
    ring_desc(&f.r, 0, DATA, 16, RING_F_INDIRECT, 0);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_INDIRECT_OFF, DATA);
}

static void indirect_len(void **state)
{
    const uint32_t bad[] = {0, 8, 17, 16 * (VR_INDIRECT_MAX + 1), 0xfffffff0};
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        f.log.epoch = 0;
        start(SIZE, ALL);
        ring_desc(&f.r, 0, DATA, bad[i], RING_F_INDIRECT, 0);
        ring_add(&f.r, 0);
        expect_fault(VR_VQ_INDIRECT_LEN, DATA);
    }
}

static void indirect_outside(void **state)
{
    (void)state;
    ring_desc(&f.r, 0, RING_BASE + MEM_SIZE - 16, 32, RING_F_INDIRECT, 0);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_OUTSIDE, RING_BASE + MEM_SIZE - 16);
}

static void indirect_next(void **state)
{
    (void)state;
    ring_desc(&f.r, 0, DATA, 16, RING_F_INDIRECT | RING_F_NEXT, 1);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_INDIRECT_NEXT, DATA);
}

/* The table is the queue's own descriptor table: each look would lead back. */
static void indirect_is_the_queue(void **state)
{
    (void)state;
    ring_desc(&f.r, 0, f.r.cfg.desc, 32, RING_F_INDIRECT, 0);
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_INDIRECT_NESTED, f.r.cfg.desc);
}

static void indirect_nested(void **state)
{
    struct vr_vring_desc *t = ring_at(&f.r, DATA);

    (void)state;
    ring_desc(&f.r, 0, DATA, 32, RING_F_INDIRECT, 0);
    t[0] = (struct vr_vring_desc){DATA + 0x100, 16, RING_F_INDIRECT, 0};
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_INDIRECT_NESTED, DATA + 0x100);
}

static void indirect_next_range(void **state)
{
    struct vr_vring_desc *t = ring_at(&f.r, DATA);

    (void)state;
    ring_desc(&f.r, 0, DATA, 32, RING_F_INDIRECT, 0);
    t[0] = (struct vr_vring_desc){DATA + 0x100, 16, RING_F_NEXT, 2};
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_NEXT_RANGE, 2);
}

static void indirect_loop(void **state)
{
    struct vr_vring_desc *t = ring_at(&f.r, DATA);

    (void)state;
    ring_desc(&f.r, 0, DATA, 32, RING_F_INDIRECT, 0);
    t[0] = (struct vr_vring_desc){DATA + 0x100, 16, RING_F_NEXT, 0};
    ring_add(&f.r, 0);
    expect_fault(VR_VQ_TOO_LONG, 0);
}

static void broken_by_device(void **state)
{
    (void)state;
    vr_vq_break(&f.vq, VR_VQ_REQUEST, 42);
    vr_vq_break(&f.vq, VR_VQ_SIZE, 43); /* the first reason counts */
    expect_fault(VR_VQ_REQUEST, 42);
}

static void fault_texts(void **state)
{
    int i;

    (void)state;
    for (i = VR_VQ_OK; i <= VR_VQ_LENT; i++)
        assert_string_not_equal(vr_vq_fault_text(i), "unknown fault");
    assert_string_equal(vr_vq_fault_text(VR_VQ_LENT + 1), "unknown fault");
}

/* Three times around the 16-bit indices, with a varying number in flight. */
static void wrap(void **state)
{
    uint16_t inflight[SIZE], n = 0, next = 0;
    uint32_t i, done = 0, id, len;
    unsigned int k;

    (void)state;
    for (k = 0; k < SIZE; k++)
        ring_desc(&f.r, k, DATA + 64 * k, 64, RING_F_WRITE, 0);
    for (i = 0; done < 200000; i++) {
        unsigned int depth = 1 + i % SIZE;

        while (n < depth) {
            ring_add(&f.r, next);
            inflight[n++] = next;
            next = (next + 1) % SIZE;
        }
        for (k = 0; k < n; k++) {
            assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
            assert_int_equal(f.chain.head, inflight[k]);
            vr_vq_push(&f.vq, f.chain.head, 64);
        }
        assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 0);
        vr_vq_publish(&f.vq);
        for (k = 0; k < n; k++) {
            assert_true(ring_get(&f.r, &id, &len));
            assert_int_equal(id, inflight[k]);
        }
        assert_false(ring_get(&f.r, &id, &len));
        done += n;
        n = 0;
    }
    assert_int_equal(f.vq.last_avail, (uint16_t)done);
    assert_int_equal(f.log.last_avail, (uint16_t)done);
    assert_int_equal(f.log.used_idx, (uint16_t)done);
}

static void serve(unsigned int n)
{
    while (n--) {
        ring_desc(&f.r, 0, DATA, 64, RING_F_WRITE, 0);
        ring_add(&f.r, 0);
        assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
        vr_vq_push(&f.vq, f.chain.head, 1);
        vr_vq_publish(&f.vq);
    }
}

static void notify_event_idx(void **state)
{
    (void)state;
    *ring_used_event(&f.r) = 0;
    serve(1);
    assert_true(vr_vq_should_notify(&f.vq)); /* the first: nothing is known */
    *ring_used_event(&f.r) = 1;
    serve(1);
    assert_true(vr_vq_should_notify(&f.vq));
    serve(1); /* the event was passed before */
    assert_false(vr_vq_should_notify(&f.vq));
    *ring_used_event(&f.r) = 10;
    serve(7);
    assert_false(vr_vq_should_notify(&f.vq));
    serve(3);
    assert_true(vr_vq_should_notify(&f.vq));
    /* A batch that jumps over the event, and over the wrap. */
    *ring_used_event(&f.r) = 65535;
    serve(65530 - 13);
    assert_false(vr_vq_should_notify(&f.vq));
    serve(8);
    assert_true(vr_vq_should_notify(&f.vq));
}

static void notify_flags(void **state)
{
    (void)state;
    f.log.epoch = 0;
    start(SIZE, VR_F_VERSION_1);
    serve(1);
    assert_true(vr_vq_should_notify(&f.vq));
    ring_avail(&f.r)[0] = 1;
    serve(1);
    assert_false(vr_vq_should_notify(&f.vq));
    ring_avail(&f.r)[0] = 0;
    assert_true(vr_vq_should_notify(&f.vq));
}

static void kicks_event_idx(void **state)
{
    (void)state;
    serve(3);
    assert_int_equal(*ring_avail_event(&f.r), 0); /* passed: no kicks */
    assert_false(vr_vq_enable_kicks(&f.vq));
    assert_int_equal(*ring_avail_event(&f.r), 3);
    ring_desc(&f.r, 0, DATA, 64, RING_F_WRITE, 0);
    ring_add(&f.r, 0);
    assert_true(vr_vq_enable_kicks(&f.vq)); /* the race: look again */
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    vr_vq_disable_kicks(&f.vq);
    assert_int_equal(ring_used(&f.r)[0], 0); /* flags stay 0 */
}

static void kicks_flags(void **state)
{
    (void)state;
    f.log.epoch = 0;
    start(SIZE, VR_F_VERSION_1);
    assert_int_equal(ring_used(&f.r)[0], 1);
    assert_false(vr_vq_enable_kicks(&f.vq));
    assert_int_equal(ring_used(&f.r)[0], 0);
    ring_desc(&f.r, 0, DATA, 64, RING_F_WRITE, 0);
    ring_add(&f.r, 0);
    assert_true(vr_vq_enable_kicks(&f.vq));
    vr_vq_disable_kicks(&f.vq);
    assert_int_equal(ring_used(&f.r)[0], 1);
}

/* A process that dies: the queue is simply started again from the log. */
static void restart(void)
{
    vr_vq_init(&f.vq);
    assert_int_equal(vr_vq_start(&f.vq, &f.win, &f.r.cfg, ALL, &f.log), 0);
}

static void add_buffers(unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n; i++) {
        ring_desc(&f.r, i, DATA + 64 * i, 64, RING_F_WRITE, 0);
        ring_add(&f.r, i);
    }
}

static void resume_inflight(void **state)
{
    uint32_t id, len;

    (void)state;
    add_buffers(4);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1); /* 0 */
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1); /* 1 */
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1); /* 2 */
    vr_vq_push(&f.vq, 1, 1);
    vr_vq_publish(&f.vq);

    restart();
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 0);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 2);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 3);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 0);
    vr_vq_push(&f.vq, 3, 1);
    vr_vq_push(&f.vq, 0, 1);
    vr_vq_push(&f.vq, 2, 1);
    vr_vq_publish(&f.vq);
    assert_true(ring_get(&f.r, &id, &len) && id == 1);
    assert_true(ring_get(&f.r, &id, &len) && id == 3);
    assert_true(ring_get(&f.r, &id, &len) && id == 0);
    assert_true(ring_get(&f.r, &id, &len) && id == 2);
    restart();
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 0);
}

/* Died a second time before the first one's work was done again. */
static void resume_twice(void **state)
{
    (void)state;
    add_buffers(2);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    restart();
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    restart();
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 0);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 1);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
}

/* Died between the head's bit and last_avail: popped once, not twice. */
static void resume_half_popped(void **state)
{
    (void)state;
    add_buffers(1);
    f.log.inflight[0] = 1;
    restart();
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 0);
}

/* Died between the used index and the log: not answered twice. */
static void resume_half_published(void **state)
{
    struct vr_ctrl_resume before;

    (void)state;
    add_buffers(2);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    vr_vq_push(&f.vq, 1, 1);
    before = f.log;
    vr_vq_publish(&f.vq);
    f.log = before;
    restart();
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 0);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
}

static void resume_other_epoch(void **state)
{
    (void)state;
    add_buffers(2);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    f.r.cfg.epoch++;
    ring_used(&f.r)[1] = 0;
    restart();
    assert_int_equal(f.log.epoch, 2);
    assert_int_equal(f.log.inflight[0], 0);
    assert_int_equal(vr_vq_pop_resumed(&f.vq, &f.chain), 0);
    assert_int_equal(vr_vq_pop(&f.vq, &f.chain), 1);
    assert_int_equal(f.chain.head, 0);
}

static void resume_nonsense(void **state)
{
    (void)state;
    f.log.inflight[1] = 1; /* head 64 of 8 */
    assert_int_equal(vr_vq_start(&f.vq, &f.win, &f.r.cfg, ALL, &f.log),
                     -EPROTO);
    assert_int_equal(f.vq.fault, VR_VQ_RESUME);
    f.log.inflight[1] = 0;
    ring_used(&f.r)[1] = 0x8000; /* the guest wrote there */
    assert_int_equal(vr_vq_start(&f.vq, &f.win, &f.r.cfg, ALL, &f.log),
                     -EPROTO);
    assert_int_equal(f.vq.fault, VR_VQ_RESUME);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(window),
        T(remote_chain),
        T(remote_start_fails),
        T(remote_indirect),
        T(remote_fetched),
        T(remote_refused),
        T(remote_outside),
        T(remote_resume),
        T(bad_start),
        T(simple_chain),
        T(indirect_chain),
        T(avail_jump),
        T(avail_backwards),
        T(head_range),
        T(head_busy),
        T(next_range),
        T(loop_of_one),
        T(loop_of_many),
        T(longest),
        T(too_many_buffers),
        T(too_big),
        T(order),
        T(zero_length),
        T(outside),
        T(indirect_off),
        T(indirect_len),
        T(indirect_outside),
        T(indirect_next),
        T(indirect_nested),
        T(indirect_is_the_queue),
        T(indirect_next_range),
        T(indirect_loop),
        T(broken_by_device),
        T(fault_texts),
        T(wrap),
        T(notify_event_idx),
        T(notify_flags),
        T(kicks_event_idx),
        T(kicks_flags),
        T(resume_inflight),
        T(resume_twice),
        T(resume_half_popped),
        T(resume_half_published),
        T(resume_other_epoch),
        T(resume_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

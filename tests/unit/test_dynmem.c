/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dynmem.h over the fake grants, one process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fakegnt.h"
#include "libs/virtio/virtq.h"

#define BASE  UINT64_C(0x1000000000)
#define PAGES 2048u

static struct fakegnt g;
static struct vr_dynmem dm;
static struct vr_ctrl_counters counters;
static struct {
    unsigned int n;
    uint64_t addr;
    void *owner;
} refusal;

static void refused(void *ctx, const struct vr_gseg *seg, uint64_t addr)
{
    assert_ptr_equal(ctx, &g);
    if (!refusal.n++) {
        refusal.addr = addr;
        refusal.owner = seg->owner;
    }
}

static int setup(void **state)
{
    const struct vr_gwin win = {BASE, PAGES * VR_PAGE_SIZE, FAKE_GREF};
    unsigned int i;

    (void)state;
    fake_open(&g, PAGES);
    for (i = 0; i < PAGES * 4; i++)
        g.mem[i * 1024] = i;
    memset(&counters, 0, sizeof(counters));
    memset(&refusal, 0, sizeof(refusal));
    vr_dynmem_init(&dm, &win, &fake_ops, &g);
    dm.counters = &counters;
    dm.refused = refused;
    dm.refused_ctx = &g;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_pins(&g), 0);
    assert_int_equal(dm.mapped, 0);
    assert_null(g.maps);
    fake_close(&g);
    return 0;
}

/* Rings: contiguous here, whatever pages they lie in, and not counted. */
static void rings(void **state)
{
    struct vr_window *w = &dm.window;
    uint8_t *p, *q;

    (void)state;
    assert_true(vr_window_remote(w));
    p = w->map(w->ctx, BASE + 0xff0, 0x1020, true);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % VR_PAGE_SIZE, 0xff0);
    assert_int_equal(fake_pins(&g), 3);
    p[0x1000] = 0x77;
    assert_int_equal(g.mem[0x1ff0], 0x77);
    /* The same pages again, read-only. */
    fake_set(&g, 0x1000, VR_PAGE_SIZE, FAKE_READ);
    assert_null(w->map(w->ctx, BASE + 0xff0, 0x1020, true));
    q = w->map(w->ctx, BASE + 0xff0, 0x1020, false);
    assert_non_null(q);
    assert_int_equal(q[0x1000], 0x77);
    w->unmap(w->ctx, p, 0x1020);
    w->unmap(w->ctx, q, 0x1020);
    fake_set(&g, 0x2000, VR_PAGE_SIZE, FAKE_NONE);
    assert_null(w->map(w->ctx, BASE + 0x1ff0, 0x20, false));
    assert_null(w->map(w->ctx, BASE - 16, 0x20, false));
    assert_null(w->map(w->ctx, BASE + PAGES * VR_PAGE_SIZE - 16, 32, false));
    assert_int_equal(counters.grant_ops, 0);
}

/* Many requests, both ways, one call. */
static void one_call(void **state)
{
    const struct vr_buf buf[] = {{BASE + 1024, 0x1400}, {BASE + 0x8000, 0x800}};
    uint8_t in[0x1c00], out[] = "hello";
    int a, b;

    (void)state;
    memset(in, 0xee, sizeof(in));
    vr_dynmem_run(&dm);
    assert_int_equal(vr_dynmem_store(&dm, buf, 2, 0x13fe, 5, out, &a), 0);
    assert_int_equal(vr_dynmem_fetch(&dm, buf, 2, 0, 0x1c00, in, &b), 0);
    assert_int_equal(in[0], 0xee);
    assert_int_equal(g.table->copies, 0);
    vr_dynmem_run(&dm);
    assert_int_equal(g.table->copies, 1);
    assert_memory_equal(g.mem + 1024 + 0x13fe, "he", 2);
    assert_memory_equal(g.mem + 0x8000, "llo", 3);
    assert_memory_equal(in, g.mem + 1024, 0x1400);
    assert_memory_equal(in + 0x1400, g.mem + 0x8000, 0x800);
    assert_int_equal(counters.copied_bytes, 5 + 0x1c00);
    assert_int_equal(counters.grant_ops, 1);
    assert_int_equal(refusal.n, 0);
    vr_dynmem_run(&dm);
    assert_int_equal(g.table->copies, 1);
}

/* One that is refused does not harm the others. */
static void refusals(void **state)
{
    const struct vr_buf buf = {BASE, 0x4000};
    uint8_t in[0x4000];
    int a, b;

    (void)state;
    fake_set(&g, 0x1000, 2, FAKE_NONE);
    fake_set(&g, 0x3000, 2, FAKE_READ);
    vr_dynmem_fetch(&dm, &buf, 1, 0, 0x1000, in, &a);
    vr_dynmem_fetch(&dm, &buf, 1, 0x1080, 0x10, in, &b);
    vr_dynmem_fetch(&dm, &buf, 1, 0x2000, 0x2000, in + 0x2000, &a);
    vr_dynmem_run(&dm);
    assert_int_equal(refusal.n, 1);
    assert_int_equal(refusal.addr, BASE + 0x1080);
    assert_ptr_equal(refusal.owner, &b);
    assert_int_equal(counters.copied_bytes, 0x3000);
    assert_memory_equal(in, g.mem, 0x1000);
    assert_memory_equal(in + 0x2000, g.mem + 0x2000, 0x2000);
    refusal.n = 0;
    vr_dynmem_store(&dm, &buf, 1, 0x2800, 0x1000, in, &a);
    vr_dynmem_run(&dm);
    assert_int_equal(refusal.n, 1);
    assert_int_equal(refusal.addr, BASE + 0x3000);
    /* A call that fails: all of it counts as refused. */
    refusal.n = 0;
    g.table->fail_copies = 1;
    vr_dynmem_fetch(&dm, &buf, 1, 0, 0x1000, in, &a);
    vr_dynmem_fetch(&dm, &buf, 1, 0x2000, 0x1000, in, &b);
    vr_dynmem_run(&dm);
    assert_int_equal(refusal.n, 2);
    assert_int_equal(counters.copied_bytes, 0x3000 + 0x800);
    /* Not in the buffers at all. */
    assert_int_equal(vr_dynmem_fetch(&dm, &buf, 1, 0x3fff, 2, in, &a), -EFAULT);
    assert_int_equal(vr_dynmem_store(&dm, &buf, 1, 0x4000, 1, in, &a), -EFAULT);
}

/* A full batch is carried out by the way. */
static void overflow(void **state)
{
    const struct vr_buf buf = {BASE, PAGES * VR_PAGE_SIZE};
    static uint8_t in[PAGES * 1024];
    unsigned int i;

    (void)state;
    for (i = 0; i < PAGES; i++)
        assert_int_equal(vr_dynmem_fetch(&dm, &buf, 1, i * VR_PAGE_SIZE, 1024,
                                         in + i * 1024, NULL),
                         0);
    assert_int_equal(g.table->copies, PAGES / VR_DYNMEM_BATCH - 1);
    vr_dynmem_run(&dm);
    assert_int_equal(g.table->copies, PAGES / VR_DYNMEM_BATCH);
    assert_int_equal(counters.grant_ops, PAGES / 16);
    for (i = 0; i < PAGES; i++)
        assert_memory_equal(in + i * 1024, g.mem + i * VR_PAGE_SIZE, 1024);
    /* What no batch can hold. */
    assert_int_equal(
        vr_dynmem_fetch(&dm, &buf, 1, 0, PAGES * VR_PAGE_SIZE, in, NULL),
        -EFAULT);
}

/* A pool beside the window: [POOL, POOL + 16 pages), mapped at pool[]. */
#define POOL UINT64_C(0x70000000)

static uint8_t pool[16 * VR_PAGE_SIZE] __attribute__((aligned(4096)));

static void add_pool(void)
{
    const struct vr_gwin win = {POOL, sizeof(pool), 1};
    unsigned int i;

    for (i = 0; i < sizeof(pool); i++)
        pool[i] = (uint8_t)(i * 7 + i / 4096);
    vr_dynmem_pool(&dm, &win, pool);
}

static void pool_rings(void **state)
{
    struct vr_window *w = &dm.window;
    uint8_t *p;

    (void)state;
    add_pool();
    p = w->map(w->ctx, POOL + 0xff0, 0x1020, true);
    assert_ptr_equal(p, pool + 0xff0);
    w->unmap(w->ctx, p, 0x1020);
    p = w->map(w->ctx, POOL + sizeof(pool) - 6, 6, true);
    assert_ptr_equal(p, pool + sizeof(pool) - 6);
    w->unmap(w->ctx, p, 6);
    assert_int_equal(g.table->maps, 0);
    assert_int_equal(g.table->unmaps, 0);
    assert_null(w->map(w->ctx, POOL + sizeof(pool) - 6, 7, true));
    assert_null(w->map(w->ctx, POOL - 2, 6, true));
    p = w->map(w->ctx, BASE, 16, false);
    assert_non_null(p);
    assert_int_equal(fake_pins(&g), 1);
    w->unmap(w->ctx, p, 16);
}

/* What lies in the pool is copied at once, the rest by the hypervisor. */
static void pool_copies(void **state)
{
    const struct vr_buf buf[] = {{POOL + 4090, 20},
                                 {BASE + 4090, 20},
                                 {POOL, 0x1000},
                                 {POOL + 0x8000, 4}};
    uint8_t in[20 + 20 + 0x1000 + 4], out[30];

    (void)state;
    add_pool();
    memset(in, 0, sizeof(in));
    assert_int_equal(vr_dynmem_fetch(&dm, buf, 4, 0, sizeof(in), in, NULL), 0);
    assert_memory_equal(in, pool + 4090, 20);
    assert_memory_equal(in + 40, pool, 0x1000);
    assert_memory_equal(in + 40 + 0x1000, pool + 0x8000, 4);
    assert_int_equal(g.table->copies, 0);
    vr_dynmem_run(&dm);
    assert_memory_equal(in + 20, g.mem + 4090, 20);
    assert_int_equal(g.table->copies, 1);
    assert_int_equal(counters.copied_bytes, 20);
    /* the other way, from the middle of one to the middle of the next */
    memset(out, 0x5a, sizeof(out));
    assert_int_equal(vr_dynmem_store(&dm, buf, 4, 15, 30, out, NULL), 0);
    assert_int_equal(pool[4090 + 14], (uint8_t)(4104 * 7 + 1));
    assert_memory_equal(pool + 4090 + 15, out, 5);
    assert_memory_equal(pool, out, 5);
    assert_int_equal(pool[5], 35);
    vr_dynmem_run(&dm);
    assert_memory_equal(g.mem + 4090, out, 20);
    /* only the pool: nothing for the hypervisor */
    assert_int_equal(vr_dynmem_store(&dm, buf, 1, 0, 20, out, NULL), 0);
    vr_dynmem_run(&dm);
    assert_int_equal(g.table->copies, 2);
    assert_int_equal(refusal.n, 0);
}

/* Refused as a whole, before a byte is copied. */
static void pool_bounds(void **state)
{
    static const struct vr_buf bad[] = {
        {POOL - 1, 2},
        {POOL + sizeof(pool) - 1, 2},
        {POOL + sizeof(pool), 1},
        {BASE - 1, 1},
        {BASE + PAGES * VR_PAGE_SIZE - 1, 2},
        {UINT64_MAX, 1},
    };
    uint8_t in[8] = {0}, out[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct vr_chain chain = {.nread = 1, .nwrite = 1};
    unsigned int i;

    (void)state;
    add_pool();
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        const struct vr_buf buf[] = {{POOL, 4}, bad[i]};
        uint64_t len = 4 + bad[i].len;

        assert_int_equal(vr_dynmem_fetch(&dm, buf, 2, 0, len, in, NULL),
                         -EFAULT);
        assert_int_equal(in[1], 0);
        assert_int_equal(vr_dynmem_store(&dm, buf, 2, 0, len, out, NULL),
                         -EFAULT);
        assert_int_equal(pool[1], 7);
        memcpy(chain.buf, buf, sizeof(buf));
        assert_false(vr_dynmem_in_pool(&dm, &chain));
        assert_memory_equal(chain.buf, buf, sizeof(buf));
        /* what there is of it is fine */
        assert_int_equal(vr_dynmem_fetch(&dm, buf, 2, 0, 4, out, NULL), 0);
        memset(out, 1, sizeof(out));
        /* longer than the buffers */
        assert_int_equal(vr_dynmem_fetch(&dm, buf, 1, 0, 5, in, NULL), -EFAULT);
    }
    assert_int_equal(dm.batch.n, 0);
}

static void pool_payload(void **state)
{
    const struct vr_buf buf[] = {
        {POOL + 10, 1000}, {POOL + 0x3000, 0x5000}, {BASE, 0x1000}};
    struct vr_chain chain = {.nread = 1, .nwrite = 1};
    unsigned int niov = 0, pages = 0;
    struct iovec iov[3];
    void *p;

    (void)state;
    add_pool();
    memcpy(chain.buf, buf, sizeof(buf));
    assert_true(vr_dynmem_in_pool(&dm, &chain));
    assert_ptr_equal(chain.iov[0].iov_base, pool + 10);
    assert_int_equal(chain.iov[0].iov_len, 1000);
    assert_ptr_equal(chain.iov[1].iov_base, pool + 0x3000);
    assert_int_equal(chain.iov[1].iov_len, 0x5000);
    assert_int_equal(vr_vq_addr(&dm.window, chain.iov[1].iov_base),
                     POOL + 0x3000);
    chain.nwrite = 2;
    memcpy(chain.buf, buf, sizeof(buf));
    assert_false(vr_dynmem_in_pool(&dm, &chain));
    assert_memory_equal(chain.buf, buf, sizeof(buf));
    /* the pool is nothing to be mapped */
    assert_null(
        vr_dynmem_map(&dm, buf, 3, 0, 0x6000, false, iov, &niov, &pages));
    p = vr_dynmem_map(&dm, buf, 3, 1000 + 0x5000, 0x1000, false, iov, &niov,
                      &pages);
    assert_non_null(p);
    vr_dynmem_unmap(&dm, p, pages);
    vr_dynmem_settle(&dm);
}

static void payload(void **state)
{
    const struct vr_buf buf[] = {{BASE + 0x5000, 0x1000},
                                 {BASE + 0x3000, 0x1000},
                                 {BASE + 0x4000, 0x10}};
    struct iovec iov[3];
    unsigned int niov, pages;
    uint8_t *p;

    (void)state;
    p = vr_dynmem_map(&dm, buf, 3, 0, 0x2010, true, iov, &niov, &pages);
    assert_non_null(p);
    assert_int_equal(pages, 3);
    assert_int_equal(dm.mapped, 3);
    assert_int_equal(niov, 1); /* they meet, here */
    assert_ptr_equal(iov[0].iov_base, p);
    assert_int_equal(iov[0].iov_len, 0x2010);
    assert_memory_equal(p, g.mem + 0x5000, 0x1000);
    assert_memory_equal(p + 0x1000, g.mem + 0x3000, 0x1010);
    p[0x1005] = 0x99;
    assert_int_equal(g.mem[0x3005], 0x99);
    vr_dynmem_unmap(&dm, p, pages);
    assert_int_equal(counters.grant_ops, 2);
    vr_dynmem_unmap(&dm, NULL, 5);
    assert_int_equal(counters.grant_ops, 2);
    /* Let go of with the next call, or when that is asked for. */
    assert_int_equal(fake_pins(&g), 3);
    vr_dynmem_settle(&dm);
    assert_int_equal(fake_pins(&g), 0);
    /* Refused as a whole when one page is. */
    fake_set(&g, 0x3000, 1, FAKE_READ);
    assert_null(
        vr_dynmem_map(&dm, buf, 3, 0, 0x2010, true, iov, &niov, &pages));
    p = vr_dynmem_map(&dm, buf, 3, 0x800, 0x1000, false, iov, &niov, &pages);
    assert_non_null(p);
    assert_int_equal(pages, 2);
    assert_ptr_equal(iov[0].iov_base, p + 0x800);
    vr_dynmem_unmap(&dm, p, pages);
    vr_dynmem_run(&dm);
    assert_int_equal(fake_pins(&g), 0);
    assert_null(
        vr_dynmem_map(&dm, buf, 3, 0, 0x2011, false, iov, &niov, &pages));
    assert_null(vr_dynmem_map(&dm, buf, 3, 0, 0, false, iov, &niov, &pages));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rings),       T(one_call),    T(refusals),
        T(overflow),    T(payload),     T(pool_rings),
        T(pool_copies), T(pool_bounds), T(pool_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker may ask of its granter: each rule by itself, and then the two
 * processes, over memory instead of grants.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "backend/memory/granter.h"
#include "fakegnt.h"

#define ARENA  (64u << 10)
#define PAGES  512u
#define POOL   64u /* pages, the first ones */
#define WINDOW (PAGES - POOL)

/*
 * gntdev as a server sees it. Page n of the "descriptor" is page n of the
 * guest's memory, so that references have to be consecutive, and each is
 * registered once.
 */
struct dev {
    struct fakegnt gnt;
    uint8_t registered[PAGES];
    unsigned int adds, drops;
};

static int dev_add(void *ctx, const uint32_t *refs, uint32_t n, uint32_t *first)
{
    struct dev *d = ctx;
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (fake_check(&d->gnt, refs[i], false))
            return -EINVAL;
        if (refs[i] != refs[0] + i || d->registered[refs[i] - FAKE_GREF])
            return -EBUSY;
    }
    *first = refs[0] - FAKE_GREF;
    memset(d->registered + *first, 1, n);
    d->adds++;
    return 0;
}

static int dev_drop(void *ctx, uint32_t first, uint32_t n)
{
    struct dev *d = ctx;

    if (first >= PAGES || n > PAGES - first || !d->registered[first])
        return -ENOENT;
    memset(d->registered + first, 0, n);
    d->drops++;
    return 0;
}

static int dev_copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct dev *d = ctx;

    return fake_copy(&d->gnt, seg, n);
}

static const struct vr_grant_ops dev_ops = {dev_add, dev_drop, dev_copy};

static const struct vr_gwin pool = {0x40000000, POOL *VR_PAGE_SIZE, FAKE_GREF};
static const struct vr_gwin iova = {0x80000000, WINDOW *VR_PAGE_SIZE,
                                    FAKE_GREF + POOL};

static struct dev *dev;
static struct vr_grantserver *s;
static struct vr_grantreq *req;

static void serve_by(uint8_t *arena, size_t size, uint32_t max_refs)
{
    s = calloc(1, sizeof(*s));
    s->pool = pool;
    s->iova = iova;
    s->arena = arena;
    s->arena_size = size;
    s->ops = &dev_ops;
    s->ctx = dev;
    s->max_refs = max_refs;
    s->refs = calloc(max_refs, sizeof(*s->refs));
    s->max_pages = 100;
}

static int setup(void **state)
{
    (void)state;
    dev = mmap(NULL, sizeof(*dev), PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fake_open(&dev->gnt, PAGES);
    return 0;
}

static int setup_server(void **state)
{
    setup(state);
    serve_by(malloc(ARENA), ARENA, 80);
    req = calloc(1, vr_grantreq_size(80));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_close(&dev->gnt);
    munmap(dev, sizeof(*dev));
    return 0;
}

static int teardown_server(void **state)
{
    free(s->arena);
    free(s->refs);
    free(s);
    free(req);
    return teardown(state);
}

static int ask_seg(uint32_t ref, uint32_t offset, uint32_t len, uint32_t local)
{
    req->ndrops = req->nrefs = 0;
    req->nsegs = 2;
    req->seg[0] = (struct vr_grantreq_seg){.ref = iova.gref_base, .len = 1};
    req->seg[1] = (struct vr_grantreq_seg){
        .ref = ref, .local = local, .offset = offset, .len = len};
    return vr_grantreq_serve(s, req);
}

static void copies(void **state)
{
    const uint32_t last = iova.gref_base + WINDOW - 1;
    unsigned int done;

    (void)state;
    memset(dev->gnt.mem, 0x5a, PAGES * VR_PAGE_SIZE);
    assert_int_equal(ask_seg(last, 0, 4096, ARENA - 4096), 0);
    assert_int_equal(req->seg[1].status, 0);
    assert_int_equal(s->arena[ARENA - 1], 0x5a);
    assert_int_equal(ask_seg(last, 4095, 1, ARENA - 1), 0);
    done = dev->gnt.table->copies;
    /* Nothing of a request is done when a piece of it is refused: no other
     * reference, the pool's neither, no byte outside of page and arena. */
    assert_int_equal(ask_seg(last + 1, 0, 1, 0), -EACCES);
    assert_int_equal(ask_seg(iova.gref_base - 1, 0, 1, 0), -EACCES);
    assert_int_equal(ask_seg(0, 0, 1, 0), -EACCES);
    assert_int_equal(ask_seg(UINT32_MAX, 0, 1, 0), -EACCES);
    assert_int_equal(ask_seg(last, 0, 4096, ARENA - 4095), -EACCES);
    assert_int_equal(ask_seg(last, 0, 1, ARENA), -EACCES);
    assert_int_equal(ask_seg(last, 0, 1, UINT32_MAX), -EACCES);
    assert_int_equal(ask_seg(last, 0, 0, 0), -EINVAL);
    assert_int_equal(ask_seg(last, 1, 4096, 0), -EINVAL);
    assert_int_equal(ask_seg(last, 4096, 1, 0), -EINVAL);
    assert_int_equal(ask_seg(last, 65535, 65535, 0), -EINVAL);
    req->nsegs = VR_GRANTREQ_SEGS + 1;
    assert_int_equal(vr_grantreq_serve(s, req), -EINVAL);
    req->nsegs = UINT32_MAX;
    assert_int_equal(vr_grantreq_serve(s, req), -EINVAL);
    assert_int_equal(dev->gnt.table->copies, done);
    /* What the guest does not grant is no error of the request's. */
    fake_set(&dev->gnt, (PAGES - 1) * VR_PAGE_SIZE, 1, FAKE_NONE);
    assert_int_equal(ask_seg(last, 0, 1, 0), 0);
    assert_int_equal(req->seg[0].status, 0);
    assert_int_equal(req->seg[1].status, FAKE_BAD_REF);
    dev->gnt.table->fail_copies = 1;
    assert_int_equal(ask_seg(last, 0, 1, 0), -EIO);
    /* Without a dynamic window there is nothing to be copied. */
    s->iova.size = 0;
    assert_int_equal(ask_seg(iova.gref_base, 0, 1, 0), -EACCES);
}

static int ask_refs(uint32_t first, uint32_t n)
{
    uint32_t i;

    req->ndrops = req->nsegs = 0;
    req->nrefs = n;
    for (i = 0; i < n && i < s->max_refs; i++)
        req->refs[i] = first + i;
    return vr_grantreq_serve(s, req);
}

static int ask_drop(uint32_t first, uint32_t n)
{
    req->nrefs = req->nsegs = 0;
    req->ndrops = 1;
    req->drop[0] = (struct vr_grantreq_run){first, n};
    return vr_grantreq_serve(s, req);
}

static void maps(void **state)
{
    unsigned int i;

    (void)state;
    assert_int_equal(ask_refs(pool.gref_base, POOL), 0);
    assert_int_equal(req->first, 0);
    assert_int_equal(ask_refs(iova.gref_base, 3), 0);
    assert_int_equal(req->first, POOL);
    assert_int_equal(s->pages, POOL + 3);
    assert_int_equal(ask_drop(0, POOL), 0);
    assert_int_equal(req->dropped, 1);
    assert_int_equal(ask_drop(POOL, 3), 0);
    assert_int_equal(s->pages, 0);
    assert_int_equal(ask_drop(POOL, 3), -ENOENT);
    assert_int_equal(req->dropped, 0);
    /* gntdev takes a length of 0 for any */
    assert_int_equal(ask_drop(POOL, 0), -EINVAL);
    assert_int_equal(ask_refs(pool.gref_base - 1, 2), -EACCES);
    assert_int_equal(ask_refs(iova.gref_base + WINDOW - 1, 2), -EACCES);
    assert_int_equal(ask_refs(0, 1), -EACCES);
    assert_int_equal(ask_refs(pool.gref_base, 81), -EINVAL);
    assert_int_equal(ask_refs(pool.gref_base, UINT32_MAX), -EINVAL);
    assert_int_equal(dev->adds, 2);
    /* So many pages, whatever is asked for. */
    assert_int_equal(ask_refs(pool.gref_base, POOL), 0);
    assert_int_equal(ask_refs(iova.gref_base, 37), -ENOSPC);
    assert_int_equal(ask_refs(iova.gref_base, 36), 0);
    assert_int_equal(ask_refs(iova.gref_base + 36, 1), -ENOSPC);
    assert_int_equal(ask_drop(POOL, 36), 0);
    for (i = 0; i < 36; i++)
        assert_int_equal(ask_refs(iova.gref_base + i, 1), 0);
    req->ndrops = VR_GRANTREQ_DROPS + 1;
    assert_int_equal(vr_grantreq_serve(s, req), -EINVAL);
    /* Several, the second of which is none. */
    req->ndrops = 3;
    req->nrefs = 0;
    for (i = 0; i < 3; i++)
        req->drop[i] = (struct vr_grantreq_run){i == 1 ? 400 : POOL + i, 1};
    assert_int_equal(vr_grantreq_serve(s, req), -ENOENT);
    assert_int_equal(req->dropped, 1);
    /* A refusal of gntdev's. */
    fake_set(&dev->gnt, 200 * VR_PAGE_SIZE, 1, FAKE_NONE);
    assert_int_equal(ask_drop(0, POOL), 0);
    assert_int_equal(ask_refs(FAKE_GREF + 200, 1), -EINVAL);
}

/* ---- two processes ---- */

static struct vr_grants g;
static pid_t granter;

static void start(void)
{
    granter = fork();
    assert_true(granter >= 0);
    if (granter)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve_by(g.arena, g.arena_size, g.max_refs);
    s->max_pages = g.max_pages;
    vr_granter_run(s, g.req);
}

static int setup_both(void **state)
{
    setup(state);
    assert_int_equal(vr_grants_open(&g, &pool, &iova, dev->gnt.fd, ARENA), 0);
    start();
    return 0;
}

static int teardown_both(void **state)
{
    kill(granter, SIGKILL);
    waitpid(granter, NULL, 0);
    return teardown(state);
}

static void *map(uint32_t page, uint32_t n, bool write)
{
    uint32_t refs[PAGES], i;

    for (i = 0; i < n; i++)
        refs[i] = FAKE_GREF + page + i;
    return vr_grants_ops.map(&g, refs, n, write);
}

static void both(void **state)
{
    struct vr_gseg seg[VR_GRANTREQ_SEGS];
    uint8_t *local, *p, *q;
    unsigned int i, round;

    (void)state;
    local = vr_grants_ops.alloc(&g, ARENA - 4096);
    assert_non_null(local);
    assert_non_null(vr_grants_ops.alloc(&g, 1));
    assert_null(vr_grants_ops.alloc(&g, 1));
    for (round = 0; round < 200; round++) {
        for (i = 0; i < VR_GRANTREQ_SEGS; i++) {
            uint32_t page = POOL + i % WINDOW;

            dev->gnt.mem[page * VR_PAGE_SIZE + i % 4096] = i + round;
            local[i] = 0;
            seg[i] = (struct vr_gseg){.local = local + i,
                                      .ref = FAKE_GREF + page,
                                      .offset = i % 4096,
                                      .len = 1,
                                      .status = 1};
        }
        assert_int_equal(vr_grants_ops.copy(&g, seg, VR_GRANTREQ_SEGS), 0);
        for (i = 0; i < VR_GRANTREQ_SEGS; i++) {
            assert_int_equal(seg[i].status, 0);
            assert_int_equal(local[i], (uint8_t)(i + round));
        }
        for (i = 0; i < 3; i++) {
            local[i] = ~round;
            seg[i].to_guest = true;
        }
        assert_int_equal(vr_grants_ops.copy(&g, seg, 3), 0);
        assert_int_equal(dev->gnt.mem[POOL * VR_PAGE_SIZE], (uint8_t)~round);
        /* Two maps at a time, let go of in the order in which they came. */
        p = map(0, POOL, true);
        assert_non_null(p);
        assert_ptr_equal(p, g.room);
        q = map(POOL + round, 7, false);
        assert_ptr_equal(q, g.room + (POOL + round) * VR_PAGE_SIZE);
        p[round] = 0x77;
        assert_int_equal(dev->gnt.mem[round], 0x77);
        dev->gnt.mem[(POOL + round) * VR_PAGE_SIZE] = round;
        assert_int_equal(*q, (uint8_t)round);
        vr_grants_ops.unmap(&g, p, POOL);
        assert_int_equal(dev->drops, 2 * round);
        vr_grants_ops.unmap(&g, q, 7);
        vr_grants_ops.settle(&g);
        assert_int_equal(dev->drops, 2 * round + 2);
        vr_grants_ops.settle(&g);
    }
    /* More unmaps than one request takes. */
    for (i = 0; i < 2 * VR_GRANTREQ_DROPS + 1; i++)
        assert_non_null(map(POOL + i, 1, false));
    for (i = 0; i < 2 * VR_GRANTREQ_DROPS + 1; i++)
        vr_grants_ops.unmap(&g, g.room + (POOL + i) * VR_PAGE_SIZE, 1);
    assert_int_equal(dev->drops, 400 + 2 * VR_GRANTREQ_DROPS);
    /* What a map, or a copy, has to do before. */
    assert_non_null(map(POOL + i, 1, false));
    assert_int_equal(dev->drops, 400 + 2 * VR_GRANTREQ_DROPS + 1);
    vr_grants_ops.unmap(&g, g.room + (POOL + i) * VR_PAGE_SIZE, 1);
    assert_int_equal(vr_grants_ops.copy(&g, seg, 1), 0);
    assert_int_equal(dev->drops, 400 + 2 * VR_GRANTREQ_DROPS + 2);
}

/* A map that fails at either step leaves nothing behind. */
static void refusals(void **state)
{
    void *p;

    (void)state;
    fake_set(&dev->gnt, 100 * VR_PAGE_SIZE, 1, FAKE_NONE);
    assert_null(map(100, 1, false));
    assert_int_equal(errno, EINVAL);
    assert_null(map(PAGES, 1, false)); /* none of ours */
    assert_int_equal(errno, EACCES);
    /* Registered, but not to be mapped. */
    g.fd = -1;
    assert_null(map(101, 3, false));
    assert_int_equal(errno, EBADF);
    g.fd = dev->gnt.fd;
    p = map(101, 3, false);
    assert_non_null(p);
    assert_int_equal(dev->adds, 2);
    assert_int_equal(dev->drops, 1);
    /* The room is free again, and kept so. */
    assert_ptr_equal(p, g.room + 101 * VR_PAGE_SIZE);
    vr_grants_ops.unmap(&g, p, 3);
    assert_int_equal(mincore(p, 3 * VR_PAGE_SIZE, (unsigned char[3]){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copies, setup_server, teardown_server),
        cmocka_unit_test_setup_teardown(maps, setup_server, teardown_server),
        cmocka_unit_test_setup_teardown(both, setup_both, teardown_both),
        cmocka_unit_test_setup_teardown(refusals, setup_both, teardown_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

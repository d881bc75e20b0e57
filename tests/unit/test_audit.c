/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libs/host/audit.h"
#include "libs/proto/maps.h"

#define N 2048

/* Two devices in driver domains 3 and 4; entries of frames 2 and 3. */
static const struct vr_audit_window win[] = {
    {.domid = 3,
     .pool = VR_POOL_GRANTED,
     .gfn = 0x48000,
     .gref = 1024,
     .count = 512},
    {.domid = 4,
     .pool = VR_POOL_GRANTED,
     .gfn = 0x50000,
     .gref = 1536,
     .count = 256},
};

static void fill(struct vr_gntent *t)
{
    memset(t, 0, N * sizeof(*t));
    /* as the toolstack does for console and xenstore */
    assert_int_equal(vr_gntent_grant(&t[0], 0, 0x39000, false), 0);
    assert_int_equal(vr_gntent_grant(&t[1], 0, 0x39001, false), 0);
    assert_int_equal(
        vr_gntent_grant_range(&t[1024], 512, 3, 0x48000, false, NULL), 0);
    assert_int_equal(
        vr_gntent_grant_range(&t[1536], 256, 4, 0x50000, false, NULL), 0);
}

static const struct vr_audit_dom *dom(const struct vr_audit *a, uint16_t domid)
{
    unsigned int i;

    for (i = 0; i < a->ndoms; i++)
        if (a->doms[i].domid == domid)
            return &a->doms[i];
    return NULL;
}

static void run(const struct vr_gntent *t, struct vr_audit *a)
{
    assert_int_equal(vr_audit_run(t, N, win, 2, NULL, 0, a), 0);
}

static void test_as_declared(void **state)
{
    static struct vr_gntent t[N];
    struct vr_audit a;

    (void)state;
    fill(t);
    t[1030].flags |= VR_GTF_IN_USE;
    run(t, &a);
    assert_true(a.ok);
    assert_int_equal(a.ndoms, 3);
    assert_int_equal(a.nranges, 3);
    assert_int_equal(dom(&a, 0)->pages, 2);
    assert_false(dom(&a, 0)->driver);
    assert_int_equal(dom(&a, 3)->pages, 512);
    assert_int_equal(dom(&a, 3)->in_use, 1);
    assert_int_equal(dom(&a, 4)->declared, 256);
    assert_int_equal(a.ranges[1].first, 0x48000);
    assert_int_equal(a.ranges[1].last, 0x481ff);
    assert_int_equal(a.ranges[1].kind, VR_AUDIT_WINDOW);
    vr_audit_free(&a);
}

static void test_excess(void **state)
{
    static struct vr_gntent t[N];
    struct vr_audit a;

    (void)state;
    /* a planted entry */
    fill(t);
    assert_int_equal(vr_gntent_grant(&t[700], 3, 0x1234, true), 0);
    run(t, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->excess, 1);
    assert_int_equal(dom(&a, 3)->pages, 513);
    assert_int_equal(dom(&a, 4)->excess, 0);
    assert_int_equal(a.lost, 0);
    vr_audit_free(&a);
    /* a second entry for a page inside of the window is one too many */
    fill(t);
    assert_int_equal(vr_gntent_grant(&t[700], 3, 0x48000, false), 0);
    run(t, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->pages, 512);
    assert_int_equal(dom(&a, 3)->excess, 1);
    vr_audit_free(&a);
    /* one driver domain let into the other's window */
    fill(t);
    t[1024].domid = 4;
    run(t, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->missing, 1);
    assert_int_equal(dom(&a, 4)->excess, 1);
    vr_audit_free(&a);
    /* a transfer entry for a driver domain */
    fill(t);
    t[700] = (struct vr_gntent){.flags = 2, .domid = 3, .frame = 1};
    run(t, &a);
    assert_false(a.ok);
    assert_int_equal(a.odd, 1);
    vr_audit_free(&a);
}

static void test_missing(void **state)
{
    static struct vr_gntent t[N];
    struct vr_audit a;

    (void)state;
    fill(t);
    t[1100].flags = 0;
    t[1101].flags |= VR_GTF_READONLY;
    t[1102].frame++;
    run(t, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->missing, 3);
    assert_int_equal(dom(&a, 3)->declared, 509);
    assert_int_equal(dom(&a, 3)->excess, 2);
    assert_int_equal(a.lost, 3);
    vr_audit_free(&a);
    /* a table that is smaller than the windows */
    fill(t);
    assert_int_equal(vr_audit_run(t, 1024, win, 2, NULL, 0, &a), 0);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->missing, 512);
    assert_int_equal(dom(&a, 3)->pages, 0);
    assert_int_equal(dom(&a, 4)->missing, 256);
    vr_audit_free(&a);
}

static void test_others(void **state)
{
    static struct vr_gntent t[N];
    struct vr_audit a;
    unsigned int i;

    (void)state;
    /* what PV drivers grant, scattered, to a domain that is none of ours */
    fill(t);
    for (i = 0; i < 100; i++)
        assert_int_equal(vr_gntent_grant(&t[8 + i], 7, 1000 + 2 * i, i & 1), 0);
    run(t, &a);
    assert_true(a.ok);
    assert_int_equal(dom(&a, 7)->pages, 100);
    assert_false(dom(&a, 7)->driver);
    assert_int_equal(a.nranges, 103);
    vr_audit_free(&a);
    /* nothing declared, nothing wrong */
    assert_int_equal(vr_audit_run(t, N, NULL, 0, NULL, 0, &a), 0);
    assert_true(a.ok);
    vr_audit_free(&a);
    assert_int_equal(vr_audit_run(NULL, 0, NULL, 0, NULL, 0, &a), 0);
    assert_true(a.ok);
    assert_int_equal(a.ndoms, 0);
    vr_audit_free(&a);
}

/* A dynamic window of domain 5 beside the static one of domain 3. */
#define IOVA 0x1000000u

static const struct vr_record_ram ram[] = {
    {0x40000, 0x48000},
    {0x200000, 0x200010},
};

static void run_dynamic(const struct vr_gntent *t, uint32_t n,
                        const uint64_t *mapped, struct vr_audit *a)
{
    const struct vr_audit_window w[] = {
        win[0],
        {.domid = 5,
         .dynamic = true,
         .gfn = IOVA,
         .gref = 1536,
         .count = 512,
         .mapped = mapped},
    };

    assert_int_equal(vr_audit_run(t, n, w, 2, ram, 2, a), 0);
}

/* Three pages are mapped: two of them to the same frame, one read-only. */
static void fill_dynamic(struct vr_gntent *t, uint64_t bits[8])
{
    memset(t, 0, N * sizeof(*t));
    memset(bits, 0, 8 * sizeof(*bits));
    assert_int_equal(
        vr_gntent_grant_range(&t[1024], 512, 3, 0x48000, false, NULL), 0);
    assert_int_equal(vr_gntent_grant(&t[1536], 5, 0x40000, false), 0);
    assert_int_equal(vr_gntent_grant(&t[1537], 5, 0x40000, false), 0);
    assert_int_equal(vr_gntent_grant(&t[1536 + 511], 5, 0x20000f, true), 0);
    vr_maps_set(bits, 0);
    vr_maps_set(bits, 1);
    vr_maps_set(bits, 511);
}

static void test_dynamic(void **state)
{
    static struct vr_gntent t[N];
    uint64_t bits[8];
    struct vr_audit a;

    (void)state;
    fill_dynamic(t, bits);
    t[1537].flags |= VR_GTF_IN_USE;
    run_dynamic(t, N, bits, &a);
    assert_true(a.ok);
    assert_int_equal(a.live[0], 512);
    assert_int_equal(a.live[1], 3);
    assert_int_equal(dom(&a, 5)->pages, 2);
    assert_int_equal(dom(&a, 5)->declared, 3);
    assert_int_equal(dom(&a, 5)->in_use, 1);
    assert_true(dom(&a, 5)->driver);
    vr_audit_free(&a);
    /* nothing known of what is mapped: all of this may be */
    run_dynamic(t, N, NULL, &a);
    assert_true(a.ok);
    assert_int_equal(a.live[1], 3);
    vr_audit_free(&a);
    /* nothing mapped, nothing granted, and not even a table so large */
    memset(&t[1536], 0, 512 * sizeof(*t));
    memset(bits, 0, sizeof(bits));
    run_dynamic(t, N, bits, &a);
    assert_true(a.ok);
    assert_int_equal(dom(&a, 5)->pages, 0);
    assert_true(dom(&a, 5)->driver);
    vr_audit_free(&a);
    run_dynamic(t, 1536, bits, &a);
    assert_true(a.ok);
    vr_audit_free(&a);
}

static void expect_dynamic(const struct vr_gntent *t, const uint64_t *bits,
                           uint16_t domid, uint32_t excess, uint32_t missing)
{
    struct vr_audit a;

    run_dynamic(t, N, bits, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, domid)->excess, excess);
    assert_int_equal(dom(&a, 5)->missing, missing);
    vr_audit_free(&a);
}

/* Both windows of one device, and with them of one domain. */
static void test_mixed(void **state)
{
    static struct vr_gntent t[N];
    uint64_t bits[8];
    const struct vr_audit_window w[] = {
        win[0],
        {.domid = 3,
         .dynamic = true,
         .gfn = IOVA,
         .gref = 1536,
         .count = 512,
         .mapped = bits},
    };
    struct vr_audit a;

    (void)state;
    fill_dynamic(t, bits);
    t[1536].domid = t[1537].domid = t[1536 + 511].domid = 3;
    assert_int_equal(vr_audit_run(t, N, w, 2, ram, 2, &a), 0);
    assert_true(a.ok);
    assert_int_equal(a.live[0], 512);
    assert_int_equal(a.live[1], 3);
    assert_int_equal(dom(&a, 3)->pages, 512 + 2);
    vr_audit_free(&a);
    /* one entry too many in the dynamic window */
    assert_int_equal(vr_gntent_grant(&t[1540], 3, 0x40005, false), 0);
    assert_int_equal(vr_audit_run(t, N, w, 2, ram, 2, &a), 0);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->excess, 1);
    assert_int_equal(dom(&a, 3)->missing, 0);
    vr_audit_free(&a);
    memset(&t[1540], 0, sizeof(*t));
    /* an entry of the pool for another frame: what should be there is not,
     * what is should not */
    t[1024 + 7].frame = 0x40005;
    assert_int_equal(vr_audit_run(t, N, w, 2, ram, 2, &a), 0);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->excess, 1);
    assert_int_equal(dom(&a, 3)->missing, 1);
    vr_audit_free(&a);
}

/* A guest's own grants that went on into the windows: granted, or given back
 * again. */
static void test_lost(void **state)
{
    static struct vr_gntent t[N];
    uint64_t bits[8];
    struct vr_audit a;
    unsigned int i;

    (void)state;
    fill(t);
    for (i = 0; i < 100; i++)
        t[1024 + i] = (struct vr_gntent){
            .flags = i < 60 ? VR_GTF_PERMIT_ACCESS : 0, .frame = i};
    run(t, &a);
    assert_false(a.ok);
    assert_int_equal(a.lost, 100);
    assert_int_equal(dom(&a, 3)->missing, 100);
    vr_audit_free(&a);
    /* of a dynamic window what is empty tells nothing */
    fill_dynamic(t, bits);
    for (i = 0; i < 100; i++)
        t[1700 + i] = (struct vr_gntent){
            .flags = i < 60 ? VR_GTF_PERMIT_ACCESS : 0, .frame = i};
    run_dynamic(t, N, bits, &a);
    assert_false(a.ok);
    assert_int_equal(a.lost, 60);
    vr_audit_free(&a);
}

static void run_pool(const struct vr_gntent *t, enum vr_pool_state pool,
                     struct vr_audit *a)
{
    struct vr_audit_window w[] = {win[0], win[1]};

    w[0].pool = pool;
    assert_int_equal(vr_audit_run(t, N, w, 2, NULL, 0, a), 0);
}

/* A pool whose device the guest's driver has not started. */
static void test_private(void **state)
{
    static struct vr_gntent t[N];
    struct vr_audit a;

    (void)state;
    fill(t);
    memset(&t[1024], 0, 512 * sizeof(*t));
    run_pool(t, VR_POOL_PRIVATE, &a);
    assert_true(a.ok);
    assert_int_equal(dom(&a, 3)->pages, 0);
    assert_int_equal(dom(&a, 4)->pages, 256);
    assert_int_equal(a.lost, 0);
    vr_audit_free(&a);
    /* none is there, but all should be */
    run_pool(t, VR_POOL_GRANTED, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->missing, 512);
    vr_audit_free(&a);
    /* an entry as it would be, which nobody should have written yet */
    assert_int_equal(vr_gntent_grant(&t[1024 + 9], 3, 0x48009, false), 0);
    run_pool(t, VR_POOL_PRIVATE, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->excess, 1);
    assert_int_equal(a.lost, 1);
    vr_audit_free(&a);
    /* the guest's own, for another domain: lost, but reachable by none of
     * ours */
    t[1024 + 9].domid = 9;
    run_pool(t, VR_POOL_PRIVATE, &a);
    assert_true(a.ok);
    assert_int_equal(a.lost, 1);
    assert_int_equal(dom(&a, 9)->pages, 1);
    vr_audit_free(&a);
    /* a table too small for it */
    assert_int_equal(vr_audit_run(t, 0, win, 0, NULL, 0, &a), 0);
    vr_audit_free(&a);
}

/* A pool that was taken back while the backend held some of it. */
static void test_held(void **state)
{
    static struct vr_gntent t[N];
    struct vr_audit a;

    (void)state;
    fill(t);
    memset(&t[1024], 0, 500 * sizeof(*t));
    run_pool(t, VR_POOL_HELD, &a);
    assert_true(a.ok);
    assert_int_equal(a.live[0], 12);
    assert_int_equal(dom(&a, 3)->pages, 12);
    assert_int_equal(a.lost, 0);
    vr_audit_free(&a);
    t[1024 + 505].frame = 0x1234;
    run_pool(t, VR_POOL_HELD, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 3)->excess, 1);
    assert_int_equal(a.lost, 1);
    vr_audit_free(&a);
}

static void test_dynamic_wrong(void **state)
{
    static struct vr_gntent t[N];
    uint64_t bits[8];
    struct vr_audit a;
    unsigned int i;

    (void)state;
    /* an entry that nobody mapped: seen by the account, by nothing else */
    fill_dynamic(t, bits);
    assert_int_equal(vr_gntent_grant(&t[1600], 5, 0x40001, false), 0);
    expect_dynamic(t, bits, 5, 1, 0);
    run_dynamic(t, N, NULL, &a);
    assert_true(a.ok);
    vr_audit_free(&a);
    /* the same outside of every window: seen in any case */
    fill_dynamic(t, bits);
    assert_int_equal(vr_gntent_grant(&t[700], 5, 0x40001, false), 0);
    expect_dynamic(t, bits, 5, 1, 0);
    expect_dynamic(t, NULL, 5, 1, 0);
    /* one that was to go and did not */
    fill_dynamic(t, bits);
    vr_maps_clear(bits, 511);
    expect_dynamic(t, bits, 5, 1, 0);
    /* one that is gone and should not */
    fill_dynamic(t, bits);
    t[1537].flags = 0;
    run_dynamic(t, N, bits, &a);
    assert_false(a.ok);
    assert_int_equal(dom(&a, 5)->missing, 1);
    for (i = 0; i < a.nranges && a.ranges[i].kind != VR_AUDIT_MISSING; i++)
        ;
    assert_true(i < a.nranges);
    assert_int_equal(a.ranges[i].first, IOVA + 1);
    assert_int_equal(a.ranges[i].gref, 1537);
    assert_int_equal(a.ranges[i].window, 1);
    vr_audit_free(&a);
    /* to another domain: of none of our devices, and of another device */
    fill_dynamic(t, bits);
    t[1537].domid = 9;
    expect_dynamic(t, bits, 9, 1, 1);
    t[1537].domid = 3;
    expect_dynamic(t, bits, 3, 1, 1);
    assert_int_equal(vr_gntent_revoke(&t[1537]), 0);
    assert_int_equal(vr_gntent_grant(&t[1538], 9, 0x40000, false), 0);
    vr_maps_clear(bits, 1);
    expect_dynamic(t, bits, 9, 1, 0);
    /* to what is no RAM: below, between, above */
    for (i = 0; i < 3; i++) {
        static const uint32_t bad[] = {0x3ffff, 0x48000, 0x200010};

        fill_dynamic(t, bits);
        t[1536].frame = bad[i];
        expect_dynamic(t, bits, 5, 1, 1);
        expect_dynamic(t, NULL, 5, 1, 0);
    }
    /* the static window's driver domain is none of the dynamic one's */
    fill_dynamic(t, bits);
    t[1024].domid = 5;
    run_dynamic(t, N, bits, &a);
    assert_int_equal(dom(&a, 3)->missing, 1);
    assert_int_equal(dom(&a, 5)->excess, 1);
    vr_audit_free(&a);
    /* an offer to transfer, where only access is granted */
    fill_dynamic(t, bits);
    t[1538] = (struct vr_gntent){.flags = 2, .domid = 9, .frame = 1};
    run_dynamic(t, N, bits, &a);
    assert_false(a.ok);
    assert_int_equal(a.odd, 1);
    assert_int_equal(dom(&a, 9)->excess, 1);
    vr_audit_free(&a);
    /* mapped beyond the table's end */
    fill_dynamic(t, bits);
    run_dynamic(t, 1537, bits, &a);
    assert_int_equal(dom(&a, 5)->missing, 2);
    vr_audit_free(&a);
}

static void test_too_many(void **state)
{
    struct vr_audit_window w[VR_AUDIT_WINDOWS + 1] = {{0}};
    struct vr_audit a;

    (void)state;
    assert_int_equal(
        vr_audit_run(NULL, 0, w, VR_AUDIT_WINDOWS + 1, NULL, 0, &a), -EINVAL);
    assert_int_equal(vr_audit_run(NULL, 0, w, VR_AUDIT_WINDOWS, NULL, 0, &a),
                     0);
    vr_audit_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_declared),
        cmocka_unit_test(test_excess),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_dynamic_wrong),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit.h"

#define N 2048

/* Two devices in driver domains 3 and 4; entries of frames 2 and 3. */
static const struct vr_audit_window win[] = {
    {.domid = 3, .gfn = 0x48000, .gref = 1024, .count = 512},
    {.domid = 4, .gfn = 0x50000, .gref = 1536, .count = 256},
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
    assert_int_equal(vr_audit_run(t, N, win, 2, a), 0);
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
    vr_audit_free(&a);
    /* a table that is smaller than the windows */
    fill(t);
    assert_int_equal(vr_audit_run(t, 1024, win, 2, &a), 0);
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
    assert_int_equal(vr_audit_run(t, N, NULL, 0, &a), 0);
    assert_true(a.ok);
    vr_audit_free(&a);
    assert_int_equal(vr_audit_run(NULL, 0, NULL, 0, &a), 0);
    assert_true(a.ok);
    assert_int_equal(a.ndoms, 0);
    vr_audit_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_declared),
        cmocka_unit_test(test_excess),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

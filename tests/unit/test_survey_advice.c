/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a survey's figures to what a device should be set to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "libs/survey/advice.h"

#define MIB (UINT64_C(1) << 20)

static struct vr_survey_figures f;
static struct vr_survey_advice a;
static const struct vr_dev_cfg cfg = {
    .type = VR_TYPE_block, .queues = 1, .queue_size = 128};
/* An exit, and a page, of a machine that one would like to have. */
static const struct vr_survey_costs cheap = {2000, 5, 100};

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    return 0;
}

static void add(uint64_t n, uint64_t len)
{
    struct vr_survey_size *s =
        &f.size[vr_survey_class(len, VR_SURVEY_LEAST, VR_SURVEY_SIZES)];

    s->buffers += n;
    s->bytes += n * len;
    s->pages += n * ((len + 4095) / 4096);
    if (!(len % 4096))
        s->whole += n * len;
}

/* @n requests, @depth at a time, of @pieces buffers of @len. */
static void load(uint64_t n, uint64_t depth, uint64_t pieces, uint64_t len)
{
    f.requests = f.looked = n;
    add(2 * n, 16);
    add(n * pieces, len);
    f.most_requests = depth;
    f.most_small = 3 * depth;
    f.most_pages = depth * pieces * ((len + 4095) / 4096);
}

static void crossover(void **state)
{
    const struct vr_survey_costs none = {0, 8, 3500}, free_exit = {0, 1, 1};
    const struct vr_survey_costs dear = {1e12, 1, 4095.99};

    (void)state;
    /* The examples of docs/survey. */
    assert_int_equal(
        vr_survey_crossover(&(struct vr_survey_costs){10000, 5, 300}),
        156 << 10);
    assert_int_equal(
        vr_survey_crossover(&(struct vr_survey_costs){5000, 5, 300}), 80 << 10);
    assert_int_equal(
        vr_survey_crossover(&(struct vr_survey_costs){2000, 10, 500}), 0);
    assert_int_equal(vr_survey_crossover(&vr_survey_counted), 0);
    assert_int_equal(vr_survey_crossover(&none), 0);
    assert_int_equal(vr_survey_crossover(&free_exit), 4096);
    assert_int_equal(vr_survey_crossover(&dear), 0);
}

static void nothing_seen(void **state)
{
    (void)state;
    vr_survey_advise(&f, &cfg, &cheap, &a);
    assert_false(a.known);
}

/* On the project's own host copying is ahead, whatever the load. */
static void counted_host(void **state)
{
    (void)state;
    load(1000, 1, 1, 4096);
    vr_survey_advise(&f, &cfg, &vr_survey_counted, &a);
    assert_true(a.known);
    assert_int_equal(a.mode, VR_MODE_STATIC);
    assert_int_equal(a.size, 2 * MIB); /* the least of a disk */
    assert_int_equal(a.aperture, 0);
    assert_int_equal(a.threshold, 0);
    assert_true(a.mapped_ns > 100 * a.copied_ns);
    assert_true(a.exposed > 2.9 && a.exposed < 3.1);
    setup(NULL);
    load(1000, 32, 1, MIB);
    vr_survey_advise(&f, &cfg, &vr_survey_counted, &a);
    assert_int_equal(a.mode, VR_MODE_STATIC);
    assert_int_equal(a.mixed_from, 0);
    assert_true(a.room > 32 * MIB && a.room < 33 * MIB);
}

/* What a receive queue may hold counts, however little was seen in use. */
static void no_queue_starves(void **state)
{
    struct vr_dev_cfg net = {
        .type = VR_TYPE_net, .queues = 2, .queue_size = 256, .mtu = 1500};

    (void)state;
    load(1000, 4, 1, 1514);
    vr_survey_advise(&f, &net, &vr_survey_counted, &a);
    assert_true(a.size >= vr_type_pool_min(&net));
    net.mtu = 9000;
    vr_survey_advise(&f, &net, &vr_survey_counted, &a);
    assert_true(a.size >= vr_type_pool_min(&net));
    assert_true(vr_type_pool_min(&net) > 2 * MIB);
}

/* Enough for what was under way, and half of that is not, in both kinds of
 * pool: the module's, of which an eighth is for short buffers, and Linux's. */
static void pool_sizes(void **state)
{
    static const uint64_t depths[] = {8, 16, 32, 64};
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(depths); i++) {
        setup(NULL);
        load(1000, depths[i], 16, 65536);
        vr_survey_advise(&f, &cfg, &vr_survey_counted, &a);
        assert_true(a.size / 8 * 7 > depths[i] * MIB);
        assert_true(a.size > depths[i] * MIB + 3 * depths[i] * 2048);
        assert_true(a.size / 2 / 8 * 7 < depths[i] * MIB);
        assert_int_equal(a.size % (256 << 10), 0);
    }
    /* Short ones alone. */
    setup(NULL);
    load(1000, 128, 0, 0);
    f.most_small = 100000;
    vr_survey_advise(&f, &cfg, &vr_survey_counted, &a);
    assert_true(a.size >= 100000 * 2048);
}

static void large_ones_are_mapped(void **state)
{
    (void)state;
    load(1000, 8, 4, 256 << 10);
    vr_survey_advise(&f, &cfg, &cheap, &a);
    assert_int_equal(a.mode, VR_MODE_MIXED);
    assert_int_equal(a.threshold, 256 << 10);
    assert_true(a.aperture >= 4 * MIB);
    assert_true(a.size >= 8 * MIB);
    assert_true(a.mixed_ns < a.copied_ns);
    /* With those of a page beside, these are copied. */
    add(4000, 4096);
    vr_survey_advise(&f, &cfg, &cheap, &a);
    assert_int_equal(a.threshold, 256 << 10);
    /* Not in whole pages: the module copies them, an IOMMU alone maps them. */
    f.size[12].whole = 0;
    vr_survey_advise(&f, &cfg, &cheap, &a);
    assert_int_equal(a.mode, VR_MODE_DYNAMIC);
    assert_int_equal(a.mixed_from, 0);
    assert_int_equal(a.threshold, 0);
}

/* Whole objects, and nothing else. */
static void objects(void **state)
{
    (void)state;
    f.requests = f.looked = 10;
    add(10, 4 * MIB);
    f.most_pages = 1024;
    vr_survey_advise(&f, &cfg, &cheap, &a);
    assert_int_equal(a.mode, VR_MODE_DYNAMIC);
    assert_int_equal(a.size, 0);
    assert_int_equal(a.aperture, 64 * MIB);
    assert_true(a.exposed == 1);
}

static void any_words(void **state)
{
    (void)state;
    memset(&f, 0xff, sizeof(f));
    vr_survey_advise(&f, &cfg, &cheap, &a);
    assert_true(a.known);
    assert_true(a.size <= UINT64_C(16) << 30);
    f.looked = 1;
    vr_survey_advise(&f, &cfg, &vr_survey_counted, &a);
    assert_true(a.size <= UINT64_C(16) << 30);
}

static void quantiles(void **state)
{
    const uint64_t none[4] = {0}, some[4] = {1, 0, 8, 1};
    const uint64_t huge[4] = {0, UINT64_MAX, UINT64_MAX, 0};

    (void)state;
    assert_int_equal(vr_survey_quantile(none, 4, 0.5), 4);
    assert_int_equal(vr_survey_quantile(some, 4, 0.5), 2);
    assert_int_equal(vr_survey_quantile(some, 4, 0.05), 0);
    assert_int_equal(vr_survey_quantile(some, 4, 1), 3);
    assert_int_equal(vr_survey_quantile(huge, 4, 0.9), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(crossover, setup),
        cmocka_unit_test_setup(nothing_seen, setup),
        cmocka_unit_test_setup(counted_host, setup),
        cmocka_unit_test_setup(pool_sizes, setup),
        cmocka_unit_test_setup(no_queue_starves, setup),
        cmocka_unit_test_setup(large_ones_are_mapped, setup),
        cmocka_unit_test_setup(objects, setup),
        cmocka_unit_test_setup(any_words, setup),
        cmocka_unit_test_setup(quantiles, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

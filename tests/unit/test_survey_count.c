/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a survey counts of chains: sizes, places, what is under way at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "libs/survey/count.h"

static struct vr_survey_count c;
static struct vr_survey_figures f;
static uint64_t busy[VR_MAX_QUEUES][VR_MAX_QUEUE_SIZE / 64];

static int setup(void **state)
{
    (void)state;
    memset(busy, 0, sizeof(busy));
    memset(&f, 0xff, sizeof(f)); /* of an earlier one */
    vr_survey_begin(&c, &f, 7, 1000);
    return 0;
}

/* A read of @pages, each by itself, from page @page on: header, data, status.
 */
static void take(unsigned int q, unsigned int head, unsigned int pages,
                 uint64_t page, int64_t now)
{
    struct vr_chain chain = {.head = (uint16_t)head,
                             .nread = 1,
                             .nwrite = (uint16_t)(pages + 1),
                             .read_len = 16,
                             .write_len = pages * 4096 + 1};
    unsigned int i;

    chain.buf[0] = (struct vr_buf){0x7fff0, 16};
    for (i = 0; i < pages; i++)
        chain.buf[1 + i] = (struct vr_buf){(page + i) << 12, 4096};
    chain.buf[1 + pages] = (struct vr_buf){0x7f110, 1};
    busy[q][head / 64] |= UINT64_C(1) << head % 64;
    vr_survey_take(&c, q, &chain, false, now);
}

static void end(unsigned int q, unsigned int head, int64_t now)
{
    busy[q][head / 64] &= ~(UINT64_C(1) << head % 64);
    vr_survey_look(&c, q, busy[q], now);
}

static void classes(void **state)
{
    (void)state;
    assert_int_equal(vr_survey_class(0, 64, 16), 0);
    assert_int_equal(vr_survey_class(127, 64, 16), 0);
    assert_int_equal(vr_survey_class(128, 64, 16), 1);
    assert_int_equal(vr_survey_class(4095, 64, 16), 5);
    assert_int_equal(vr_survey_class(4096, 64, 16), 6);
    assert_int_equal(vr_survey_class(1 << 20, 64, 16), 14);
    assert_int_equal(vr_survey_class(UINT64_MAX, 64, 16), 15);
}

static void buffers(void **state)
{
    (void)state;
    take(0, 3, 1, 0x100, 2000);
    assert_int_equal(f.session, 7);
    assert_int_equal(f.requests, 1);
    assert_int_equal(f.out_bytes, 16);
    assert_int_equal(f.in_bytes, 4097);
    assert_int_equal(f.size[0].buffers, 2);
    assert_int_equal(f.size[0].bytes, 17);
    assert_int_equal(f.size[0].whole, 0);
    assert_int_equal(f.size[0].pages, 2);
    assert_int_equal(f.size[6].buffers, 1);
    assert_int_equal(f.size[6].bytes, 4096);
    assert_int_equal(f.size[6].whole, 4096);
    assert_int_equal(f.align[0], 1);
    assert_int_equal(f.align[2], 2);
    /* Header and status lie on one page, 0xedf bytes apart. */
    assert_int_equal(f.apart[3], 1);
}

/* A buffer across the end of a page touches two. */
static void across(void **state)
{
    struct vr_chain chain = {.nread = 1, .read_len = 4096};

    (void)state;
    chain.buf[0] = (struct vr_buf){0x1800, 4096};
    vr_survey_take(&c, 0, &chain, false, 0);
    assert_int_equal(f.size[6].pages, 2);
    assert_int_equal(f.size[6].whole, 0);
    assert_int_equal(f.align[1], 1);
}

/* Local memory: pointers, and places in pages that are theirs. */
static void local(void **state)
{
    static _Alignas(4096) uint8_t mem[8192];
    struct vr_chain chain = {.nwrite = 1, .write_len = 8192};

    (void)state;
    chain.iov[0] = (struct iovec){mem, 8192};
    vr_survey_take(&c, 0, &chain, true, 0);
    assert_int_equal(f.size[7].whole, 8192);
}

static void under_way(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 32; i++)
        take(i % 2, 8 * i, 4, 0x100 + 4 * i, 1000);
    assert_int_equal(f.most_requests, 32);
    assert_int_equal(f.most_bytes, 32 * (4 * 4096 + 17));
    assert_int_equal(f.most_pages, 32 * 4);
    assert_int_equal(f.most_small, 32 * 3); /* and the table */
    for (i = 0; i < 32; i++)
        end(i % 2, 8 * i, 1000 + 5000 * (i + 1));
    take(0, 0, 4, 0x100, 200000);
    assert_int_equal(f.most_requests, 32);
    assert_int_equal(c.requests, 1);
    assert_int_equal(c.bytes, 4 * 4096 + 17);
    assert_int_equal(f.time[2], 1); /* 5 us: from 4 us on */
    assert_int_equal(f.time[7], 7); /* from 128 us on: 130 to 160 */
    assert_int_equal(f.ns, 32 * 5000);
}

/* Used anew before anybody has looked: the first one has ended. */
static void anew(void **state)
{
    (void)state;
    take(1, 255, 1, 5, 1000);
    take(1, 255, 2, 9, 4000);
    assert_int_equal(c.requests, 1);
    assert_int_equal(c.pages, 2);
    assert_int_equal(f.most_requests, 1);
    assert_int_equal(f.time[0] + f.time[1], 1);
    /* The queue is stopped. */
    vr_survey_look(&c, 1, NULL, 5000);
    assert_int_equal(c.requests, 0);
    assert_int_equal(c.bytes, 0);
}

static void again(void **state)
{
    unsigned int i;

    (void)state;
    take(0, 0, 1, 0x200, 0);
    assert_int_equal(f.again[6], 2); /* the status comes upon its header */
    assert_int_equal(f.again[0], 1);
    for (i = 1; i < 20; i++) {
        end(0, 0, i);
        take(0, 0, 1, 0x200, i);
    }
    assert_int_equal(f.again[6], 2);
    assert_int_equal(f.again[0], 1 + 3 * 19);
    /* Another one that has the same place in the table. */
    end(0, 0, 99);
    take(0, 0, 1, 0x200 + VR_SURVEY_PAGES, 99);
    assert_int_equal(f.again[6], 3);
}

/* Of many requests the buffers of some are looked at; all count. */
static void some_buffers(void **state)
{
    unsigned int i, looked = 0;

    (void)state;
    for (i = 0; i < 8 * VR_SURVEY_EVERY; i++) {
        looked += 3 * i < VR_SURVEY_ALL || i % VR_SURVEY_EVERY < VR_SURVEY_RUN;
        take(0, i % VR_MAX_QUEUE_SIZE, 1, 0x200, 0);
    }
    assert_int_equal(f.looked, looked);
    assert_int_equal(f.size[6].buffers, f.looked);
    assert_int_equal(f.requests, 8 * VR_SURVEY_EVERY);
    assert_int_equal(f.in_bytes, 4097 * f.requests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(classes, setup),
        cmocka_unit_test_setup(buffers, setup),
        cmocka_unit_test_setup(across, setup),
        cmocka_unit_test_setup(local, setup),
        cmocka_unit_test_setup(under_way, setup),
        cmocka_unit_test_setup(anew, setup),
        cmocka_unit_test_setup(again, setup),
        cmocka_unit_test_setup(some_buffers, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The survey's reader of a kernel's trace: tests/survey/events.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/survey/events.h"

#define HEAD "              dd-123     [001] d..1.    12.345678: "
#define AT   12345678u

static struct sv_event got[200];
static int n_got;

static void keep(const struct sv_event *ev, void *arg)
{
    (void)arg;
    assert_true(n_got < 200);
    got[n_got++] = *ev;
}

static int parse(const char *line)
{
    n_got = 0;
    memset(got, 0, sizeof(got));
    return sv_parse(line, keep, NULL);
}

static void a_piece_is_mapped_and_unmapped(void **state)
{
    (void)state;
    assert_int_equal(
        parse(HEAD "dma_map_page: 0000:00:03.0 dir=TO_DEVICE "
                   "dma_addr=ffffb0f8 size=16 phys_addr=a27c0f8 attrs="),
        1);
    assert_int_equal(got[0].kind, SV_MAP);
    assert_int_equal(got[0].us, AT);
    assert_int_equal(got[0].dir, SV_TO_DEVICE);
    assert_int_equal(got[0].dma, 0xffffb0f8);
    assert_int_equal(got[0].phys, 0xa27c0f8);
    assert_int_equal(got[0].size, 16);

    assert_int_equal(parse(HEAD "dma_unmap_page: 0000:00:03.0 dir=FROM_DEVICE "
                                "dma_addr=ffffb0f8 size=1 attrs=SKIP_CPU_SYNC"),
                     1);
    assert_int_equal(got[0].kind, SV_UNMAP);
    assert_int_equal(got[0].dir, SV_FROM_DEVICE);
    assert_int_equal(got[0].size, 1);
}

static void rings_the_iommu_and_bounces(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD
                           "dma_alloc: 0000:00:03.0 dir=BIDIRECTIONAL "
                           "dma_addr=ffffe000 size=6726 virt_addr=00000000abc "
                           "flags=GFP_KERNEL|__GFP_ZERO attrs="),
                     1);
    assert_int_equal(got[0].kind, SV_ALLOC);
    assert_int_equal(got[0].dir, SV_BOTH);
    assert_int_equal(got[0].size, 6726);

    assert_int_equal(parse(HEAD "map: IOMMU: iova=0x00000000ffffe000 - "
                                "0x00000000fffff000 paddr=0x0000000009c32000 "
                                "size=4096"),
                     1);
    assert_int_equal(got[0].kind, SV_IOMAP);
    assert_int_equal(got[0].dma, 0xffffe000);
    assert_int_equal(got[0].phys, 0x9c32000);

    assert_int_equal(parse(HEAD "unmap: IOMMU: iova=0x00000000ffffe000 - "
                                "0x00000000fffff000 size=4096 "
                                "unmapped_size=4096"),
                     1);
    assert_int_equal(got[0].kind, SV_IOUNMAP);
    assert_int_equal(got[0].size, 4096);

    assert_int_equal(parse(HEAD "swiotlb_bounced: dev_name: 0000:00:03.0 "
                                "dma_mask=ffffffffffffffff dev_addr=a27c0f8 "
                                "size=16 FORCE"),
                     1);
    assert_int_equal(got[0].kind, SV_BOUNCE);
    assert_int_equal(got[0].dma, 0xa27c0f8);
}

static void scattered_memory(void **state)
{
    (void)state;
    assert_int_equal(
        parse(HEAD "dma_map_sg: 0000:00:0a.0 dir=BIDIRECTIONAL nents=3/3 "
                   "ents=2/2 dma_addrs={0xffc00000,0xffd00000} "
                   "sizes={0x2000,0x1000} "
                   "phys_addrs={0x9b80000,0x9b82000,0x1000} attrs="),
        2);
    assert_int_equal(got[0].kind, SV_SG);
    assert_int_equal(got[0].size, 0x2000);
    assert_int_equal(got[1].dma, 0xffd00000);
    assert_int_equal(got[1].phys, 0x9b82000);

    /* What the kernel leaves out of a long one is said. */
    assert_int_equal(
        parse(HEAD "dma_map_sg: 0000:00:0a.0 dir=TO_DEVICE nents=1/700 "
                   "ents=1/700 [TRUNCATED] dma_addrs={0xf000} sizes={0x1000} "
                   "phys_addrs={0x1000} attrs="),
        2);
    assert_int_equal(got[1].kind, SV_SGMORE);
    assert_int_equal(got[1].size, 699);

    assert_int_equal(parse(HEAD "dma_unmap_sg: 0000:00:0a.0 dir=TO_DEVICE "
                                "phys_addrs={0x1000,0x3000} attrs="),
                     2);
    assert_int_equal(got[1].kind, SV_UNSG);
    assert_int_equal(got[1].phys, 0x3000);
}

static void marks_are_kept_short(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD "tracing_mark_write: random-4k"), 1);
    assert_int_equal(got[0].kind, SV_MARK);
    assert_string_equal(got[0].text, "random-4k");
    assert_int_equal(parse(HEAD "tracing_mark_write: 0123456789012345678901"
                                "2345678901234567890123456789"),
                     1);
    assert_int_equal(strlen(got[0].text), sizeof(got[0].text) - 1);
}

static void other_lines_are_no_events(void **state)
{
    static const char *const none[] = {
        "",
        "# tracer: nop",
        "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION",
        HEAD "sched_switch: prev_comm=a",
        HEAD "dma_sync_single_for_cpu: 0000:00:03.0 dir=TO_DEVICE",
        "              dd-123     [001] d..1.    12.3456789: map: IOMMU:",
        "              dd-123     [001] d..1.    twelve: map: IOMMU:",
        "CPU:0 [LOST 5 EVENTS]",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(parse(none[i]), 0);
    assert_int_equal(n_got, 0);
}

/* A task can call itself what it likes. */
static void a_task_s_name_is_not_read(void **state)
{
    (void)state;
    assert_int_equal(
        parse("] d 1.5: map: x=-123     [001] d..1.    12.345678: "
              "dma_unmap_page: 0000:00:03.0 dir=TO_DEVICE dma_addr=f000 "
              "size=9 attrs="),
        1);
    assert_int_equal(got[0].kind, SV_UNMAP);
    assert_int_equal(got[0].us, AT);
}

static void what_is_cut_off_is_an_error(void **state)
{
    static const char *const bad[] = {
        HEAD "dma_map_page: 0000:00:03.0 dir=TO_DEVICE dma_addr= size=16 "
             "phys_addr=1",
        HEAD "dma_map_page: 0000:00:03.0 dir=SIDEWAYS dma_addr=1 size=16 "
             "phys_addr=1",
        HEAD "dma_map_page: 0000:00:03.0 dir=TO_DEVICE dma_addr=1 size=16",
        HEAD "dma_map_page: 0000:00:03.0 dir=TO_DEVICE "
             "dma_addr=11111111111111111 size=16 phys_addr=1",
        HEAD "dma_map_sg: 0000:00:0a.0 dir=TO_DEVICE nents=1/1 ents=1/1 "
             "dma_addrs={0xf000} sizes={} phys_addrs={0x1000} attrs=",
        HEAD "dma_map_sg: 0000:00:0a.0 dir=TO_DEVICE nents=1/1 ents=1/1 "
             "dma_addrs={0xf000",
        HEAD "dma_map_sg: 0000:00:0a.0 dir=TO_DEVICE nents=1/1 ents=2/1 "
             "dma_addrs={} sizes={} phys_addrs={} attrs=",
        HEAD "dma_unmap_sg: 0000:00:0a.0 dir=TO_DEVICE phys_addrs={0x1",
        HEAD "map: IOMMU: iova=0x1000 size=4096",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (parse(bad[i]) != -1)
            fail_msg("taken: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_is_mapped_and_unmapped),
        cmocka_unit_test(rings_the_iommu_and_bounces),
        cmocka_unit_test(scattered_memory),
        cmocka_unit_test(marks_are_kept_short),
        cmocka_unit_test(other_lines_are_no_events),
        cmocka_unit_test(a_task_s_name_is_not_read),
        cmocka_unit_test(what_is_cut_off_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

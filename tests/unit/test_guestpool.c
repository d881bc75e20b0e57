/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest module's slots (tools/guest-linux/pool.c) where fuzz_guestpool does
 * not come: processors that take and give back at the same time, and whether
 * the pages of a request adjoin.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include "../fuzz/guest/kernel.h"

#include "../../tools/guest-linux/pool.c"

#include <cmocka.h>

#define CPUS    4u
#define HELD    40u
#define ROUNDS  20000u
#define CROWDED 100u

static const struct vr_range range = {.base = 0x48003000, .size = SZ_2M * 2};
static struct vr_pool pool;
static uint8_t owner[SZ_2M * 2 / VR_SMALL_SIZE];

static int make(void **state)
{
    (void)state;
    kernel_cpu = 0;
    kernel_cpus = CPUS;
    memset(owner, 0, sizeof(owner));
    return vr_pool_init(&pool, &range, range.base, true);
}

static int drop(void **state)
{
    (void)state;
    vr_pool_exit(&pool);
    return 0;
}

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525 + 1013904223;
}

/* Marks a mapping's slots as @mine; they have to be nobody's, or the other way.
 */
static void mark(unsigned int first, size_t size, uint8_t from, uint8_t to)
{
    const size_t offset = vr_slot_offset(&pool, first);
    size_t i;

    for (i = offset / VR_SMALL_SIZE; i * VR_SMALL_SIZE < offset + size; i++) {
        uint8_t was = __atomic_exchange_n(&owner[i], to, __ATOMIC_RELAXED);

        REQUIRE(was == from, "two have it");
    }
}

struct held {
    int first;
    size_t size;
};

static void give(struct held *h, uint8_t mine)
{
    const uint8_t *p = vr_slot_addr(&pool, h->first);

    REQUIRE(p[0] == mine && p[h->size - 1] == mine, "somebody else wrote");
    mark(h->first, h->size, mine, 0);
    vr_pool_put(&pool, h->first, NULL);
    h->size = 0;
}

static void get(struct held *h, uint8_t mine, uint32_t random)
{
    static const size_t sizes[] = {1, 64, 1024, 1500, 4096, 4096, 8192, 70000};
    size_t size = sizes[random % (sizeof(sizes) / sizeof(sizes[0]))];
    uint8_t *p;

    h->first = vr_pool_get(&pool, size,
                           size < PAGE_SIZE ? VR_SMALL_SIZE : PAGE_SIZE, h);
    if (h->first < 0)
        return;
    h->size = size;
    mark(h->first, size, 0, mine);
    p = vr_slot_addr(&pool, h->first);
    REQUIRE(!p[0] && !p[size - 1], "not cleared");
    memset(p, mine, size);
}

static void *work(void *arg)
{
    const uint8_t mine = (uintptr_t)arg;
    struct held held[HELD] = {0};
    uint32_t seed = mine, i;

    for (i = 0; i < ROUNDS; i++) {
        struct held *h = &held[next_random(&seed) % HELD];

        /* An interrupt, another CPU: any context may use any cursor. */
        if (i % 64 == 0)
            kernel_cpu = next_random(&seed) % CPUS;
        if (h->size)
            give(h, mine);
        else
            get(h, mine, next_random(&seed));
    }
    for (i = 0; i < HELD; i++)
        if (held[i].size)
            give(&held[i], mine);
    return NULL;
}

static bool nothing_taken(void)
{
    unsigned int i, slot;

    for (i = 0; i < VR_PARTS; i++)
        for (slot = pool.part[i].start; slot < pool.part[i].end; slot++)
            if (kernel_bit(pool.bitmap, slot))
                return false;
    return !vr_pool_used(&pool);
}

static void test_processors_do_not_meet(void **state)
{
    pthread_t thread[CPUS];
    uintptr_t i;

    (void)state;
    for (i = 0; i < CPUS; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, work, (void *)(i + 1)), 0);
    for (i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    assert_true(vr_pool_high_water(&pool) > 0);
    assert_true(nothing_taken());
}

/* A request of single pages, as a block device's driver maps it: its header,
 * its pages, its status. Returns how many pieces its pages are. */
static unsigned int request(int *slots, unsigned int pages)
{
    unsigned int i, pieces = 1;

    for (i = 0; i < pages + 2; i++) {
        size_t size = i && i <= pages ? PAGE_SIZE : 16;

        slots[i] = vr_pool_get(
            &pool, size, size < PAGE_SIZE ? VR_SMALL_SIZE : PAGE_SIZE, slots);
        assert_true(slots[i] >= 0);
        if (i > 1 && i <= pages && slots[i] != slots[i - 1] + 1)
            pieces++;
    }
    return pieces;
}

static void done(const int *slots, unsigned int pages)
{
    unsigned int i;

    for (i = 0; i < pages + 2; i++)
        vr_pool_put(&pool, slots[i], NULL);
}

/* A CPU has 16 requests of 16 pages in flight, which complete in any order. */
static void test_pages_of_a_request_adjoin(void **state)
{
    enum { PAGES = 16, DEPTH = 16, REQUESTS = 2000 };
    int slots[DEPTH][PAGES + 2];
    unsigned int i, n, pieces = 0;
    uint32_t seed = 1;

    (void)state;
    kernel_cpu = 1;
    for (i = 0; i < DEPTH; i++)
        pieces += request(slots[i], PAGES);
    assert_int_equal(pieces, DEPTH);
    for (i = 0; i < REQUESTS; i++) {
        n = next_random(&seed) % DEPTH;
        done(slots[n], PAGES);
        pieces += request(slots[n], PAGES);
    }
    assert_true(pieces < (DEPTH + REQUESTS) * 3 / 2);
    for (i = 0; i < DEPTH; i++)
        done(slots[i], PAGES);
    assert_true(nothing_taken());
}

/* One request after the other uses the same memory, which a cache has. */
static void test_a_shallow_queue_stays_where_it_is(void **state)
{
    int slots[18], first[2] = {-1, -1}, i;

    (void)state;
    for (i = 0; i < 100; i++) {
        assert_int_equal(request(slots, 16), 1);
        done(slots, 16);
        if (first[0] < 0 || slots[1] < first[0])
            first[0] = slots[1];
        first[1] = max(first[1], slots[16]);
    }
    assert_true(first[1] - first[0] < BITS_PER_LONG);
}

/* Wherever they begin, and if they are long. Again it is no more memory than it
 * has to be. */
static void one_after_the_other(unsigned int before, unsigned int pages)
{
    enum { REQUESTS = 200 };
    int slots[258], small[64], lowest = pool.part[VR_PAGES].end, highest = 0;
    unsigned int i, pieces = 0;

    kernel_cpu = 1;
    for (i = 0; i < before; i++)
        small[i] = vr_pool_get(&pool, PAGE_SIZE, PAGE_SIZE, small);
    for (i = 0; i < before; i++)
        vr_pool_put(&pool, small[i], NULL);
    for (i = 0; i < REQUESTS; i++) {
        pieces += request(slots, pages);
        lowest = min(lowest, slots[1]);
        highest = max(highest, slots[pages]);
        done(slots, pages);
    }
    assert_true(pieces < REQUESTS * 5 / 4);
    assert_true(highest - lowest < 1024 + BITS_PER_LONG);
    assert_true(nothing_taken());
}

static void test_requests_go_over_words(void **state)
{
    (void)state;
    one_after_the_other(5, 16);
}

static void test_long_requests_adjoin(void **state)
{
    (void)state;
    one_after_the_other(5, 128);
}

/* With no word left that is empty, and no small slot, what is free is found. */
static void test_all_can_be_taken(void **state)
{
    static int slots[SZ_2M * 2 / VR_SMALL_SIZE];
    int n = 0, i;

    (void)state;
    while ((slots[n] = vr_pool_get(&pool, 64, VR_SMALL_SIZE, slots)) >= 0)
        n++;
    assert_int_equal(n, pool.part[VR_PAGES].end + pool.part[VR_SMALL].end -
                            pool.part[VR_SMALL].start);
    assert_int_equal(vr_pool_used(&pool), range.size);
    for (i = 0; i < n; i += 3)
        vr_pool_put(&pool, slots[i], NULL);
    for (i = 0; i < n; i += 3)
        assert_true((slots[i] = vr_pool_get(&pool, 64, VR_SMALL_SIZE, slots)) >=
                    0);
    assert_int_equal(vr_pool_get(&pool, 64, VR_SMALL_SIZE, slots), -ENOSPC);
    for (i = 0; i < n; i++)
        vr_pool_put(&pool, slots[i], NULL);
    assert_true(nothing_taken());
}

/* Processors want all of the pool at the same time: what one is refused others
 * have, and nothing is lost. Long mappings are among them, whose pages have to
 * adjoin, and are given back when another one is faster. */
static void *crowd(void *arg)
{
    const uint8_t mine = (uintptr_t)arg;
    static const size_t sizes[] = {64, PAGE_SIZE, PAGE_SIZE, 5 * PAGE_SIZE,
                                   70 * PAGE_SIZE};
    static __thread struct held held[SZ_2M * 2 / VR_SMALL_SIZE];
    unsigned int n, round, refused = 0;
    uint32_t seed = mine;

    kernel_cpu = mine - 1;
    for (round = 0; round < CROWDED; round++) {
        for (n = 0, refused = 0; refused < 20; n++) {
            size_t size = sizes[(next_random(&seed) >> 8) % 5];
            uint8_t *p;

            held[n].first = vr_pool_get(
                &pool, size, size < PAGE_SIZE ? VR_SMALL_SIZE : PAGE_SIZE, &n);
            if (held[n].first < 0) {
                refused++;
                n--;
                continue;
            }
            held[n].size = size;
            mark(held[n].first, size, 0, mine);
            p = vr_slot_addr(&pool, held[n].first);
            REQUIRE(!p[0] && !p[size - 1], "not cleared");
            memset(p, mine, size);
        }
        while (n--)
            give(&held[n], mine);
    }
    return NULL;
}

static void test_processors_crowd_a_full_pool(void **state)
{
    pthread_t thread[CPUS];
    uintptr_t i;

    (void)state;
    kernel_busy = true;
    for (i = 0; i < CPUS; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, crowd, (void *)(i + 1)), 0);
    for (i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    kernel_busy = false;
    assert_true(pool.failed.n >= CPUS * CROWDED * 20);
    assert_true(nothing_taken());
}

/* Where no mapping begins there is none, whatever was there before. */
static void test_only_beginnings_are_found(void **state)
{
    static const size_t sizes[] = {16, PAGE_SIZE, 3 * PAGE_SIZE};
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        int first =
            vr_pool_get(&pool, sizes[i], i ? PAGE_SIZE : VR_SMALL_SIZE, state);
        dma_addr_t at = vr_slot_dma(&pool, first);
        size_t offset;

        assert_int_equal(vr_pool_at(&pool, at), first);
        for (offset = 1; offset < sizes[i]; offset += 5)
            assert_int_equal(vr_pool_at(&pool, at + offset), -ENOENT);
        if (sizes[i] > PAGE_SIZE)
            assert_int_equal(vr_pool_at(&pool, at + PAGE_SIZE), -ENOENT);
        vr_pool_put(&pool, first, NULL);
        assert_int_equal(vr_pool_at(&pool, at), -ENOENT);
    }
    assert_int_equal(vr_pool_at(&pool, range.base - 1), -ENOENT);
    assert_int_equal(vr_pool_at(&pool, range.base + range.size), -ENOENT);
    assert_int_equal(vr_pool_at(&pool, 0), -ENOENT);
    assert_int_equal(vr_pool_at(&pool, ~(dma_addr_t)0), -ENOENT);
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_processors_do_not_meet),
        POOL_TEST(test_pages_of_a_request_adjoin),
        POOL_TEST(test_requests_go_over_words),
        POOL_TEST(test_long_requests_adjoin),
        POOL_TEST(test_a_shallow_queue_stays_where_it_is),
        POOL_TEST(test_all_can_be_taken),
        POOL_TEST(test_processors_crowd_a_full_pool),
        POOL_TEST(test_only_beginnings_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

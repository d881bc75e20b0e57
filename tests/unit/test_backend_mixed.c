/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's device loop in mixed mode: rings, headers and payload in the
 * pool, in the window beside it, or in both.
 */
#include "loophost.h"

#define PAGE 4096u
/* The pool is the first POOL bytes, the window all that follows. */
#define POOL   (4u << 20)
#define WINDOW (RING_BASE + POOL)
/* Small things in the pool, and payload. */
#define HDR    (RING_BASE + 0x100000)
#define STATUS (RING_BASE + 0x101000)
#define PAY    (RING_BASE + 0x200000)
/* The same in the window. */
#define WHDR    (WINDOW + 0x10000)
#define WSTATUS (WINDOW + 0x11000)
#define WPAY    (WINDOW + 0x100000)
#define SEG     (64u << 10)

static uint8_t *at(uint64_t addr)
{
    return h.gnt.mem + (addr - RING_BASE);
}

static const struct vr_ctrl_counters *counts(void)
{
    return &h.page->counters;
}

static bool maps(void)
{
    return h.v->threshold != VR_NEVER_MAP;
}

/* Where a request's parts are. */
struct parts {
    uint64_t hdr, status;
    unsigned int n;
    struct vr_buf pay[24];
};

/* Lays request @p out from descriptor @head on. */
static void lay(unsigned int q, uint16_t head, uint32_t type, uint64_t sector,
                const struct parts *p)
{
    struct ring *r = &h.ring[q];
    uint16_t d = head;
    unsigned int i;

    memset(at(p->hdr), 0, 16);
    memcpy(at(p->hdr), &type, 4);
    memcpy(at(p->hdr) + 8, &sector, 8);
    *at(p->status) = 0xff;
    ring_desc(r, d, p->hdr, 16, RING_F_NEXT, d + 1);
    for (i = 0, d++; i < p->n; i++, d++)
        ring_desc(r, d, p->pay[i].addr, p->pay[i].len,
                  RING_F_NEXT | (type == 1 ? 0 : RING_F_WRITE), d + 1);
    ring_desc(r, d, p->status, 1, RING_F_WRITE, 0);
}

/* One request; returns its used length. */
static uint32_t one(uint32_t type, uint64_t sector, const struct parts *p)
{
    uint32_t used;

    lay(0, 0, type, sector, p);
    add_and_kick(0, 0);
    assert_int_equal(wait_used(0, &used), 0);
    return used;
}

static uint32_t length(const struct parts *p)
{
    uint32_t len = 0;
    unsigned int i;

    for (i = 0; i < p->n; i++)
        len += p->pay[i].len;
    return len;
}

static void put_payload(const struct parts *p, uint32_t seed)
{
    static uint8_t data[FILE_SIZE];
    uint8_t *from = data;
    unsigned int i;

    fill(data, length(p), seed);
    for (i = 0; i < p->n; from += p->pay[i++].len)
        memcpy(at(p->pay[i].addr), from, p->pay[i].len);
}

static void expect_payload(const struct parts *p, uint32_t seed)
{
    static uint8_t data[FILE_SIZE];
    uint8_t *want = data;
    unsigned int i;

    fill(data, length(p), seed);
    for (i = 0; i < p->n; want += p->pay[i++].len)
        assert_memory_equal(at(p->pay[i].addr), want, p->pay[i].len);
}

/* Written and read back; returns how many grant calls that took. */
static uint64_t round_trip(const struct parts *p, uint32_t seed)
{
    uint64_t ops = counts()->grant_ops;
    unsigned int i;

    put_payload(p, seed);
    assert_int_equal(one(1, seed, p), 1);
    assert_int_equal(*at(p->status), VR_BLK_S_OK);
    for (i = 0; i < p->n; i++)
        memset(at(p->pay[i].addr), 0, p->pay[i].len);
    assert_int_equal(one(0, seed, p), length(p) + 1);
    assert_int_equal(*at(p->status), VR_BLK_S_OK);
    expect_payload(p, seed);
    return counts()->grant_ops - ops;
}

/* All of it in the pool: Xen is not asked for anything. */
static void in_pool(void **state)
{
    const struct parts small = {HDR, STATUS, 1, {{PAY, PAGE}}};
    const struct parts odd = {
        HDR + 8,
        STATUS + 3,
        3,
        {{PAY + 5, 300}, {PAY + PAGE, 212}, {PAY + 0x20001, 1024}}};
    const struct parts large = {HDR,
                                STATUS,
                                8,
                                {{PAY, SEG},
                                 {PAY + 2 * SEG, SEG},
                                 {PAY + 4 * SEG, SEG},
                                 {PAY + 6 * SEG, SEG},
                                 {PAY + 8 * SEG, SEG},
                                 {PAY + 10 * SEG, SEG},
                                 {PAY + 12 * SEG, SEG},
                                 {PAY + 14 * SEG, SEG}}};
    const struct parts id = {HDR, STATUS, 1, {{PAY + 1, 20}}};
    const struct parts none = {HDR, STATUS, 0, {{0, 0}}};

    (void)state;
    assert_int_equal(fake_pins(&h.gnt), 0);
    assert_int_equal(round_trip(&small, 1), 0);
    assert_int_equal(round_trip(&odd, 2), 0);
    assert_int_equal(round_trip(&large, 3), 0);
    assert_int_equal(one(4, 0, &none), 1);
    assert_int_equal(*at(STATUS), 0);
    assert_int_equal(one(8, 0, &id), 21);
    assert_memory_equal(at(PAY + 1), "serial-0123456789abc", 20);
    /* an error is one, too: beyond the target's end */
    assert_int_equal(one(0, FILE_SIZE / 512, &small), 0);
    assert_int_equal(*at(STATUS), VR_BLK_S_IOERR);
    assert_int_equal(counts()->faults, 0);
    assert_int_equal(counts()->copied_bytes, 0);
    assert_int_equal(h.gnt.table->copies, 0);
    assert_int_equal(h.gnt.table->maps, 0);
    assert_true(counts()->payload_low >= RING_BASE);
    assert_true(counts()->payload_high < WINDOW);
}

/* Small things in the pool, payload in the window: what this mode is for. */
static void payload_in_window(void **state)
{
    const struct parts p = {HDR, STATUS, 1, {{WPAY, PAGE}}};

    (void)state;
    /* One copy, or a map and an unmap, each way. */
    assert_int_equal(round_trip(&p, 1), maps() ? 4 : 2);
    assert_int_equal(counts()->copied_bytes, maps() ? 0 : 2 * PAGE);
    assert_int_equal(fake_pins(&h.gnt), 0);
    assert_int_equal(counts()->faults, 0);
}

/* Buffers of one request in both. */
static void across(void **state)
{
    const struct parts p[] = {
        {HDR, STATUS, 2, {{PAY, 512}, {WPAY, 512}}},
        {HDR, STATUS, 2, {{WPAY, 512}, {PAY, 512}}},
        {WHDR,
         STATUS,
         5,
         {{PAY + 7, 9},
          {WPAY + 4090, 1015},
          {PAY + 4000, 1024},
          {WPAY + 3 * PAGE - 1, 2},
          {PAY + 9 * PAGE, 510}}},
        {HDR,
         WSTATUS,
         4,
         {{WPAY, SEG}, {PAY, SEG}, {WPAY + SEG, SEG}, {PAY + SEG, SEG}}},
        /* the last byte of one and the first of the other */
        {HDR, STATUS, 2, {{WINDOW - 512, 512}, {WINDOW, 512}}},
    };
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(p); i++)
        round_trip(&p[i], 40 + i);
    assert_int_equal(counts()->errors, 0);
    assert_int_equal(counts()->faults, 0);
    assert_int_equal(fake_pins(&h.gnt), 0);
}

/* The first chunk could be mapped, the second could not. */
static void across_chunks(void **state)
{
    struct parts p = {HDR, STATUS, VR_DYNMEM_CHUNK / SEG + 2, {{0, 0}}};
    unsigned int i;

    (void)state;
    for (i = 0; i < p.n; i++)
        p.pay[i] = (struct vr_buf){WPAY + i * SEG, SEG};
    assert_int_equal(round_trip(&p, 1) != 0, true);
    assert_int_equal(h.gnt.table->maps, maps() ? 4 : 0);
    p.pay[p.n - 1].addr = PAY;
    round_trip(&p, 2);
    assert_int_equal(h.gnt.table->maps, maps() ? 4 : 0);
    assert_int_equal(counts()->faults, 0);
    assert_int_equal(fake_pins(&h.gnt), 0);
}

/* A kernel that knows nothing of the pool. */
static void all_in_window(void **state)
{
    const struct parts p = {
        WHDR, WSTATUS, 2, {{WPAY, PAGE}, {WPAY + SEG, 512}}};
    unsigned int i;

    (void)state;
    h.req.run = 0;
    publish();
    for (i = 0; i < QUEUES; i++) {
        ring_init(&h.ring[i], h.gnt.mem, POOL + 0x4000 * i, QSIZE);
        h.ring[i].cfg.epoch = h.req.q[i].epoch + 1;
        h.req.q[i] = h.ring[i].cfg;
    }
    h.req.run = 1;
    publish();
    assert_int_equal(fake_pins(&h.gnt), 3 * QUEUES);
    round_trip(&p, 9);
    assert_int_equal(counts()->faults, 0);
    h.req.run = 0;
    publish();
    assert_int_equal(fake_pins(&h.gnt), 0);
}

/* Each ring area where it likes. */
static void rings_in_both(void **state)
{
    const struct parts p = {HDR, STATUS, 1, {{WPAY, PAGE}}};
    uint64_t used = WINDOW + 0x2000, desc = WINDOW + 0x8000;
    unsigned int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        h.req.run = 0;
        publish();
        ring_init(&h.ring[0], h.gnt.mem, 0, QSIZE);
        h.ring[0].cfg.epoch = h.req.q[0].epoch + 1;
        h.ring[0].cfg.device = used;
        if (i)
            h.ring[0].cfg.desc = desc;
        memset(at(used), 0, PAGE);
        h.req.q[0] = h.ring[0].cfg;
        h.req.q[1].epoch = 0;
        h.req.run = 1;
        publish();
        assert_int_equal(fake_pins(&h.gnt), 1 + i);
        round_trip(&p, 20 + i);
    }
    assert_int_equal(counts()->faults, 0);
}

static void await_status(enum vr_ctrl_status want)
{
    unsigned int ms;

    for (ms = 0; ms < LIMIT_MS && h.page->status != want; ms++)
        usleep(1000);
    assert_int_equal(h.page->status, want);
}

static void start_again(void)
{
    h.req.run = 0;
    publish();
    run_queues();
    await_status(VR_CTRL_BACKEND_READY);
}

/* Buffers that are in neither, or in both at once, stop the queue. */
static void in_neither(void **state)
{
    static const struct vr_buf bad[] = {
        {RING_BASE - 1, 1},
        {RING_BASE - 512, 512},
        {RING_BASE - PAGE, 2 * PAGE},
        {WINDOW - 1, 2},
        {WINDOW - 512, 1024},
        {RING_BASE, POOL + 1},
        {RING_BASE + MEM_SIZE - 511, 512},
        {RING_BASE + MEM_SIZE, 512},
        {UINT64_MAX - 511, 512},
        {UINT64_MAX, 1},
        {PAY, UINT32_MAX},
        {WPAY, UINT32_MAX},
    };
    const struct parts good = {HDR, STATUS, 1, {{PAY, PAGE}}};
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        lay(0, 0, 0, 0, &good);
        ring_desc(&h.ring[0], 1, bad[i].addr, (uint32_t)bad[i].len,
                  RING_F_NEXT | RING_F_WRITE, 2);
        add_and_kick(0, 0);
        await_status(VR_CTRL_BACKEND_FAILED);
        assert_int_equal(counts()->faults, i + 1);
        assert_int_equal(*at(STATUS), 0xff);
        start_again();
        assert_int_equal(one(0, 0, &good), PAGE + 1);
    }
}

static void rings_in_neither(void **state)
{
    static const uint64_t bad[] = {
        RING_BASE - 16,        WINDOW - 16, RING_BASE + MEM_SIZE - 16,
        WINDOW - PAGE + 0xff0, 0,           UINT64_C(1) << 60,
    };
    const struct parts good = {HDR, STATUS, 1, {{PAY, PAGE}}};
    unsigned int i, k;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        for (k = 0; k < 3; k++) {
            h.req.run = 0;
            publish();
            ring_init(&h.ring[0], h.gnt.mem, 0, QSIZE);
            h.req.q[0].epoch++;
            h.req.q[0].desc = k == 0 ? bad[i] : h.ring[0].cfg.desc;
            h.req.q[0].driver = k == 1 ? bad[i] : h.ring[0].cfg.driver;
            h.req.q[0].device = k == 2 ? bad[i] : h.ring[0].cfg.device;
            h.req.run = 1;
            publish();
            await_status(VR_CTRL_BACKEND_FAILED);
            assert_int_equal(fake_pins(&h.gnt), 0);
        }
    }
    start_again();
    assert_int_equal(one(0, 0, &good), PAGE + 1);
}

/* Moves request @p, laid out from descriptor 0 on, into a table at @table. */
static void into_table(const struct parts *p, uint64_t table)
{
    memcpy(at(table), at(h.ring[0].cfg.desc), 16 * (p->n + 2));
    memset(at(h.ring[0].cfg.desc), 0xee, 16 * (p->n + 2));
    ring_desc(&h.ring[0], 0, table, 16 * (p->n + 2), RING_F_INDIRECT, 0);
}

/* Tables in the pool cost nothing, those in the window a copy. */
static void indirect(void **state)
{
    const struct parts p[] = {
        {HDR, STATUS, 1, {{PAY, PAGE}}},
        {HDR, STATUS, 3, {{PAY, 512}, {WPAY, 512}, {PAY + PAGE, PAGE}}},
        {WHDR, WSTATUS, 2, {{WPAY, PAGE}, {WPAY + SEG, 512}}},
    };
    const uint64_t tables[] = {PAY + 0x80000, PAY + 0x80005, WINDOW - 80,
                               WPAY + 0x80000, WPAY + 0x81000 - 33};
    uint64_t ops, plain;
    unsigned int i, k;
    uint32_t used;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(p); i++) {
        put_payload(&p[i], 70 + i);
        ops = counts()->grant_ops;
        assert_int_equal(one(1, 8 * i, &p[i]), 1);
        plain = counts()->grant_ops - ops;
        for (k = 0; k < VR_ARRAY_SIZE(tables); k++) {
            ops = counts()->grant_ops;
            lay(0, 0, 1, 8 * i, &p[i]);
            into_table(&p[i], tables[k]);
            add_and_kick(0, 0);
            assert_int_equal(wait_used(0, &used), 0);
            assert_int_equal(*at(p[i].status), VR_BLK_S_OK);
            assert_int_equal(counts()->grant_ops - ops,
                             plain + (tables[k] >= WINDOW));
        }
    }
    assert_int_equal(counts()->faults, 0);
    assert_int_equal(fake_pins(&h.gnt), 0);
}

/* Tables that the guest does not give, or that lie in both. */
static void bad_table(void **state)
{
    const struct parts p = {HDR, STATUS, 1, {{PAY, PAGE}}};
    const uint64_t tables[] = {WPAY + 0x80000, WPAY + 0x7ffe0, WPAY + 0x80ff0,
                               WINDOW - 16, RING_BASE + MEM_SIZE - 32};
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(tables); i++) {
        fake_set(&h.gnt, WPAY + 0x80000 - RING_BASE, PAGE,
                 i == 3 ? FAKE_READ : FAKE_NONE);
        lay(0, 0, 0, 0, &p);
        if (i < 3)
            into_table(&p, tables[i]);
        else
            ring_desc(&h.ring[0], 0, tables[i], 48, RING_F_INDIRECT, 0);
        add_and_kick(0, 0);
        await_status(VR_CTRL_BACKEND_FAILED);
        assert_int_equal(counts()->faults, i + 1);
        assert_int_equal(*at(STATUS), 0xff);
        assert_int_equal(fake_pins(&h.gnt), 0);
        start_again();
        assert_int_equal(one(0, 0, &p), PAGE + 1);
    }
    /* The hypervisor does not say what it did. */
    lay(0, 0, 0, 0, &p);
    into_table(&p, WPAY);
    h.gnt.table->fail_copies = 1;
    add_and_kick(0, 0);
    await_status(VR_CTRL_BACKEND_FAILED);
    start_again();
    assert_int_equal(one(0, 0, &p), PAGE + 1);
}

/* Pages of the window that are not there: the pool's parts do not save the
 * request, and its answer is in the pool. */
static void refused(void **state)
{
    const struct parts p[] = {
        {HDR, STATUS, 1, {{WPAY, PAGE}}},
        {HDR, STATUS, 2, {{PAY, PAGE}, {WPAY, PAGE}}},
        {HDR, STATUS, 3, {{WPAY - PAGE, PAGE}, {PAY, 512}, {WPAY, 512}}},
        {WHDR, STATUS, 1, {{PAY, PAGE}}},
        {HDR, WSTATUS, 1, {{PAY, PAGE}}},
    };
    unsigned int i, type;
    uint16_t used;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (type = 0; type < 2; type++) {
            fake_set(&h.gnt, WPAY - RING_BASE, PAGE,
                     type ? FAKE_NONE : FAKE_READ);
            assert_int_equal(one(type, 0, &p[i]), type);
            assert_int_equal(*at(STATUS), VR_BLK_S_IOERR);
            assert_int_equal(counts()->fault_addr, WPAY);
            assert_int_equal(counts()->faults, 2 * i + type + 1);
        }
    }
    fake_set(&h.gnt, WHDR - RING_BASE, PAGE, FAKE_NONE);
    assert_int_equal(one(0, 0, &p[3]), 0);
    assert_int_equal(*at(STATUS), VR_BLK_S_IOERR);
    assert_int_equal(counts()->fault_addr, WHDR);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    /* No place for the answer, though the data arrived. */
    fake_set(&h.gnt, WSTATUS - RING_BASE, PAGE, FAKE_READ);
    used = ring_used(&h.ring[0])[1];
    lay(0, 0, 0, 0, &p[4]);
    add_and_kick(0, 0);
    await_status(VR_CTRL_BACKEND_FAILED);
    assert_int_equal(ring_used(&h.ring[0])[1], used);
    assert_int_equal(counts()->fault_addr, WSTATUS);
    fake_set(&h.gnt, POOL, MEM_SIZE - POOL, FAKE_WRITE);
    start_again();
    round_trip(&p[1], 5);
    assert_int_equal(fake_pins(&h.gnt), 0);
}

/* Six requests a queue, of each kind of place. */
#define MANY 6u

static struct parts place(unsigned int q, unsigned int n)
{
    uint64_t pay = PAY + q * 0x100000 + n * 2 * SEG;
    uint64_t wpay = WPAY + q * 0x800000 + n * 2 * SEG;
    struct parts p = {.n = 2};

    p.hdr = (n % 2 ? WHDR : HDR) + 1024 * q + 64 * n;
    p.status = (n % 4 < 2 ? STATUS : WSTATUS) + 64 * q + n;
    p.pay[0] = (struct vr_buf){n % 3 == 1 ? wpay : pay, SEG};
    p.pay[1] = (struct vr_buf){(n % 3 ? wpay : pay) + SEG, SEG};
    return p;
}

static void many(unsigned int q, uint32_t type)
{
    unsigned int n;

    for (n = 0; n < MANY; n++) {
        const struct parts p = place(q, n);

        if (type == 1)
            put_payload(&p, n);
        lay(q, n * 4, type, n * (2 * SEG / 512), &p);
        ring_add(&h.ring[q], n * 4);
    }
}

static void many_done(unsigned int q)
{
    unsigned int n, seen = 0;
    uint32_t used;

    for (n = 0; n < MANY; n++)
        seen |= 1u << wait_used(q, &used) / 4;
    assert_int_equal(seen, (1u << MANY) - 1);
    for (n = 0; n < MANY; n++)
        assert_int_equal(*at(place(q, n).status), 0);
}

/* A backend that is killed, or told to be quiet, and one that goes on. */
static void killed(void **state)
{
    unsigned int round, n;

    (void)state;
    many(0, 1);
    kick(0);
    many_done(0);
    for (round = 0; round < 24; round++) {
        int sig = round % 3 ? SIGKILL : 0;

        many(0, 1);
        many(1, 0);
        kick(0);
        kick(1);
        usleep(round * 60);
        if (round % 3 == 2) {
            h.req.run = 0;
            publish();
            assert_int_equal(fake_pins(&h.gnt), 0);
            h.req.run = 1;
            publish();
        } else {
            assert_int_equal(backend_stop(sig), sig);
            backend_start();
        }
        many_done(0);
        many_done(1);
        for (n = 0; n < MANY; n++) {
            const struct parts p = place(1, n);

            expect_payload(&p, n);
        }
    }
    assert_int_equal(counts()->errors, 0);
}

/* The guest changes everything under our feet, in both windows: requests end,
 * queues may stop, and nothing else happens (the sanitizers watch). */
static void storm(void **state)
{
    static const uint64_t base[] = {RING_BASE,     PAY,
                                    WINDOW - PAGE, WINDOW,
                                    WPAY,          RING_BASE + MEM_SIZE - PAGE};
    uint32_t seed = 11, used, id;
    unsigned int round, i;

    (void)state;
    for (round = 0; round < 200; round++) {
        many(0, round & 1);
        kick(0);
        for (i = 0; i < 60; i++) {
            uint64_t addr;

            seed = seed * 1664525 + 1013904223;
            addr = base[(seed >> 8) % VR_ARRAY_SIZE(base)] + (seed >> 20);
            if (round % 2)
                ring_desc(&h.ring[0], (seed >> 4) % (4 * MANY), addr,
                          seed >> 22, (seed >> 5) & 3, (seed >> 12) % QSIZE);
            fake_set(&h.gnt, WPAY - RING_BASE + (seed >> 16) % 48 * PAGE, 1,
                     (seed >> 24) % 3);
        }
        if (round % 2) {
            usleep(300);
            while (ring_get(&h.ring[0], &id, &used))
                ;
            start_again();
        } else {
            for (i = 0; i < MANY; i++)
                wait_used(0, &used);
        }
        fake_set(&h.gnt, POOL, MEM_SIZE - POOL, FAKE_WRITE);
    }
    start_again();
    many(0, 0);
    kick(0);
    many_done(0);
    assert_int_equal(fake_pins(&h.gnt), 0);
}

static const struct variant variants[] = {
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK, true, VR_NEVER_MAP, 0, POOL,
     false},
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK, true, 0, 300, POOL, false},
    {&vr_aio_threads, VR_CACHE_BUFFERED, ALL | BLK, true, VR_NEVER_MAP, 0, POOL,
     false},
};

#define T(name)                                                                \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown,            \
                                             (void *)(uintptr_t)&variants[v])

int main(void)
{
    bool uring = have_uring();
    int failed = 0;
    size_t v;

    for (v = 0; v < VR_ARRAY_SIZE(variants); v++) {
        const struct CMUnitTest tests[] = {
            T(in_pool),       T(payload_in_window), T(across),
            T(across_chunks), T(all_in_window),     T(rings_in_both),
            T(in_neither),    T(rings_in_neither),  T(indirect),
            T(bad_table),     T(refused),           T(killed),
            T(storm),
        };

        if (variants[v].aio == &vr_aio_uring && !uring)
            continue;
        failed += cmocka_run_group_tests_name("mixed", tests, NULL, NULL);
    }
    return failed;
}

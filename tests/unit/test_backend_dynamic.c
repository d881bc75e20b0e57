/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's device loop in dynamic mode: what happens when the guest's
 * pages are not there, or not so; when there is more to do than room; and
 * when it has to let go.
 */
#include "loophost.h"

#define PAGE 4096u
/* Header, payload and status of a request, each with pages of its own. */
#define HDR    (RING_BASE + 0x100000)
#define STATUS (RING_BASE + 0x101000)
#define PAY    (RING_BASE + 0x200000)
#define SEG    (128u << 10) /* the size_max that the window leads to */

static uint64_t off(uint64_t addr)
{
    return addr - RING_BASE;
}

static uint8_t *at(uint64_t addr)
{
    return h.gnt.mem + off(addr);
}

static const struct vr_ctrl_counters *counts(void)
{
    return &h.page->counters;
}

static void header(uint64_t addr, uint32_t type, uint64_t sector)
{
    memset(at(addr), 0, 16);
    memcpy(at(addr), &type, 4);
    memcpy(at(addr) + 8, &sector, 8);
}

/*
 * Request @n of queue @q: @len bytes of payload from @pay on, in segments of
 * at most @seg, laid out from descriptor @head on. Returns the next free one.
 */
static uint16_t make(unsigned int q, unsigned int n, uint16_t head,
                     uint32_t type, uint64_t sector, uint64_t pay, uint32_t len,
                     uint32_t seg)
{
    struct ring *r = &h.ring[q];
    uint64_t hdr = HDR + 64 * n + 1024 * q, st = STATUS + n + 64 * q;
    uint16_t d = head;

    header(hdr, type, sector);
    *at(st) = 0xff;
    ring_desc(r, d, hdr, 16, RING_F_NEXT, d + 1);
    for (d++; len; d++) {
        uint32_t part = len < seg ? len : seg;

        ring_desc(r, d, pay, part, RING_F_NEXT | (type == 1 ? 0 : RING_F_WRITE),
                  d + 1);
        pay += part;
        len -= part;
    }
    ring_desc(r, d, st, 1, RING_F_WRITE, 0);
    return d + 1;
}

static uint8_t status(unsigned int q, unsigned int n)
{
    return *at(STATUS + n + 64 * q);
}

/* One request; returns its used length. */
static uint32_t one(uint32_t type, uint64_t sector, uint64_t pay, uint32_t len)
{
    uint32_t used;

    make(0, 0, 0, type, sector, pay, len, SEG);
    add_and_kick(0, 0);
    assert_int_equal(wait_used(0, &used), 0);
    return used;
}

/* A fault was counted, at @addr, and one request failed; then all is well. */
static void expect_fault(uint64_t faults, uint64_t addr, uint64_t errors)
{
    assert_int_equal(counts()->faults, faults);
    assert_int_equal(counts()->fault_addr, addr);
    assert_int_equal(counts()->errors, errors);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    fake_set(&h.gnt, 0, MEM_SIZE, FAKE_WRITE);
    assert_int_equal(one(0, 0, PAY, PAGE), PAGE + 1);
    assert_int_equal(status(0, 0), 0);
}

static bool maps(void)
{
    return h.v->threshold != VR_NEVER_MAP;
}

static void offer(void **state)
{
    struct vr_ctrl_device dev;

    (void)state;
    assert_int_equal(vr_ctrl_take_device(h.page, &dev), 0);
    assert_true(dev.features & VR_BLK_F_SIZE_MAX);
    assert_true(dev.features & VR_BLK_F_SEG_MAX);
    assert_int_equal(dev.config[8] | dev.config[9] << 8 | dev.config[10] << 16,
                     SEG);
    assert_int_equal(dev.config[12], QSIZE - 2);
}

/* What one small request costs. */
static void cost(void **state)
{
    uint64_t ops;

    (void)state;
    one(1, 0, PAY, PAGE);
    ops = counts()->grant_ops;
    one(1, 0, PAY, PAGE);
    /* Head and payload; status. Mapped: map and unmap instead of payload. */
    assert_int_equal(counts()->grant_ops - ops, maps() ? 4 : 2);
    ops = counts()->grant_ops;
    one(0, 0, PAY, PAGE);
    assert_int_equal(counts()->grant_ops - ops, maps() ? 4 : 2);
    assert_int_equal(counts()->faults, 0);
    /* Nothing but the rings stays. */
    assert_int_equal(fake_pins(&h.gnt), 3 * QUEUES);
}

static void payload_gone(void **state)
{
    (void)state;
    fake_set(&h.gnt, off(PAY) + PAGE, PAGE, FAKE_NONE);
    assert_int_equal(one(0, 0, PAY, 4 * PAGE), 0);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    expect_fault(1, PAY + PAGE, 1);
    fake_set(&h.gnt, off(PAY) + PAGE, PAGE, FAKE_NONE);
    assert_int_equal(one(1, 0, PAY, 4 * PAGE), 1);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    expect_fault(2, PAY + PAGE, 2);
}

/* A read-only page may be written from, not read into. */
static void payload_readonly(void **state)
{
    (void)state;
    fake_set(&h.gnt, off(PAY), PAGE, FAKE_READ);
    assert_int_equal(one(1, 0, PAY, PAGE), 1);
    assert_int_equal(status(0, 0), 0);
    assert_int_equal(one(0, 0, PAY, PAGE), 0);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    expect_fault(1, PAY, 1);
}

static void header_gone(void **state)
{
    (void)state;
    fake_set(&h.gnt, off(HDR), PAGE, FAKE_NONE);
    assert_int_equal(one(0, 0, PAY, PAGE), 0);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    expect_fault(1, HDR, 1);
    fake_set(&h.gnt, off(HDR), PAGE, FAKE_NONE);
    assert_int_equal(one(4, 0, PAY, 0), 1);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    assert_int_equal(counts()->fault_access, VR_CTRL_FAULT_READ);
    expect_fault(2, HDR, 2);
}

static void await_status(enum vr_ctrl_status want)
{
    unsigned int ms;

    for (ms = 0; ms < LIMIT_MS && h.page->status != want; ms++)
        usleep(1000);
    assert_int_equal(h.page->status, want);
}

/* Nothing can be said of a request: it must not look done. */
static void expect_stop(uint32_t type, uint64_t addr, uint64_t errors)
{
    uint16_t used = ring_used(&h.ring[0])[1];

    make(0, 0, 0, type, 0, PAY, type == 8 ? 20 : PAGE, SEG);
    add_and_kick(0, 0);
    await_status(VR_CTRL_BACKEND_FAILED);
    assert_int_equal(ring_used(&h.ring[0])[1], used);
    assert_int_equal(counts()->fault_addr, addr);
    assert_int_equal(counts()->errors, errors);
    fake_set(&h.gnt, 0, MEM_SIZE, FAKE_WRITE);
    h.req.run = 0;
    publish();
    run_queues();
    await_status(VR_CTRL_BACKEND_READY);
    assert_int_equal(one(0, 0, PAY, PAGE), PAGE + 1);
}

static void status_gone(void **state)
{
    (void)state;
    fake_set(&h.gnt, off(STATUS), PAGE, FAKE_READ);
    expect_stop(0, STATUS, 1);
    fake_set(&h.gnt, off(STATUS), PAGE, FAKE_NONE);
    expect_stop(1, STATUS, 2);
}

static void all_gone(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        fake_set(&h.gnt, 0x100000, MEM_SIZE - 0x100000, FAKE_NONE);
        expect_stop(i == 2 ? 8 : i, STATUS, i + 1);
    }
}

static void reply_gone(void **state)
{
    (void)state;
    fake_set(&h.gnt, off(PAY), PAGE, FAKE_READ);
    assert_int_equal(one(8, 0, PAY, 20), 0);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    assert_int_equal(counts()->fault_access, VR_CTRL_FAULT_WRITE);
    expect_fault(1, PAY, 1);
    assert_int_equal(one(8, 0, PAY, 20), 21);
    assert_memory_equal(at(PAY), "serial-0123456789abc", 20);
}

/* The kernel refuses the whole call: what was copied is not known. */
static void copy_fails(void **state)
{
    uint32_t used;

    (void)state;
    h.gnt.table->fail_copies = 1;
    used = one(1, 0, PAY, PAGE);
    assert_int_equal(used, 1);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    h.gnt.table->fail_copies = 2;
    expect_stop(0, STATUS, 2);
}

/* No map to be had: a copy does. */
static void map_fails(void **state)
{
    (void)state;
    h.gnt.table->refuse_maps = 1;
    fill(at(PAY), PAGE, 77);
    assert_int_equal(one(1, 8, PAY, PAGE), 1);
    assert_int_equal(status(0, 0), 0);
    memset(at(PAY), 0, PAGE);
    assert_int_equal(one(0, 8, PAY, PAGE), PAGE + 1);
    fill(at(PAY + PAGE), PAGE, 77);
    assert_memory_equal(at(PAY), at(PAY + PAGE), PAGE);
    assert_int_equal(counts()->faults, 0);
    h.gnt.table->refuse_maps = 0;
}

/* As large as a request may be, and cut at odd places. */
static void largest(void **state)
{
    uint32_t len = SEG * (QSIZE - 2) & ~511u, used, i;

    (void)state;
    for (i = 0; i < 2; i++) {
        uint64_t pay = PAY + 512 * i;
        uint32_t seg = SEG - 512 * i, n = (QSIZE - 2) * seg;

        if (n > len)
            n = len;
        fill(at(pay), n, 5 + i);
        make(0, 0, 0, 1, 0, pay, n, seg);
        add_and_kick(0, 0);
        assert_int_equal(wait_used(0, &used), 0);
        assert_int_equal(status(0, 0), 0);
        assert_int_equal(used, 1);
        memset(at(pay), 0, n);
        make(0, 0, 0, 0, 0, pay, n, seg);
        add_and_kick(0, 0);
        assert_int_equal(wait_used(0, &used), 0);
        assert_int_equal(status(0, 0), 0);
        assert_int_equal(used, n + 1);
        fill(at(PAY + 0x1000000), n, 5 + i);
        assert_memory_equal(at(pay), at(PAY + 0x1000000), n);
    }
    assert_true(h.gnt.table->most_pins <= 3 * QUEUES + VR_DYNMEM_MAP_PAGES);
    assert_int_equal(fake_pins(&h.gnt), 3 * QUEUES);
    /* Refused half-way: the chunks before it are no success. */
    fake_set(&h.gnt, off(PAY) + len / 2, PAGE, FAKE_NONE);
    assert_int_equal(one(0, 0, PAY, SEG * 20), SEG * 20 + 1);
    make(0, 0, 0, 0, 0, PAY, len, SEG);
    add_and_kick(0, 0);
    wait_used(0, &used);
    assert_int_equal(used, 0);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    make(0, 0, 0, 1, 0, PAY, len, SEG);
    add_and_kick(0, 0);
    wait_used(0, &used);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    expect_fault(2, (PAY + len / 2) & ~UINT64_C(4095), 2);
}

/* Crumbs: more pieces than a batch of copies holds. */
static void crumbs(void **state)
{
    uint32_t used, i;

    (void)state;
    for (i = 0; i < 50; i++) {
        uint32_t seg = 1 + i * 2;
        uint32_t n = (QSIZE - 2) * seg / 512 * 512;

        if (!n)
            continue;
        fill(at(PAY + 5), n, i);
        make(0, 0, 0, 1, 3, PAY + 5, n, seg);
        make(1, 0, 0, 1, 100, PAY + 5, n, seg);
        ring_add(&h.ring[1], 0);
        add_and_kick(0, 0);
        kick(1);
        wait_used(0, &used);
        assert_int_equal(status(0, 0), 0);
        wait_used(1, &used);
        assert_int_equal(status(1, 0), 0);
        memset(at(PAY + 5), 0, n);
        make(0, 0, 0, 0, 3, PAY + 5, n, seg);
        add_and_kick(0, 0);
        wait_used(0, &used);
        assert_int_equal(status(0, 0), 0);
        fill(at(PAY + 0x100000), n, i);
        assert_memory_equal(at(PAY + 5), at(PAY + 0x100000), n);
    }
}

static void beyond_the_offer(void **state)
{
    struct ring *r = &h.ring[0];
    uint32_t used;
    unsigned int i;

    (void)state;
    make(0, 0, 0, 1, 0, PAY, SEG + 512, SEG + 512);
    add_and_kick(0, 0);
    wait_used(0, &used);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    assert_int_equal(used, 1);
    make(0, 0, 0, 0, 0, PAY, SEG + 512, SEG + 512);
    add_and_kick(0, 0);
    wait_used(0, &used);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    assert_int_equal(used, 0);
    /* Header and data in one buffer: one segment more than offered. */
    make(0, 0, 0, 1, 0, PAY, (QSIZE - 2) * 512, 512);
    ring_desc(r, 0, HDR, 16 + 512, RING_F_NEXT, 1);
    add_and_kick(0, 0);
    wait_used(0, &used);
    assert_int_equal(status(0, 0), VR_BLK_S_IOERR);
    /* The status may stand behind the data, in the same buffer. */
    make(0, 0, 0, 0, 0, PAY, SEG, SEG);
    ring_desc(r, 1, PAY, SEG + 1, RING_F_WRITE, 0);
    add_and_kick(0, 0);
    wait_used(0, &used);
    assert_int_equal(used, SEG + 1);
    assert_int_equal(*at(PAY + SEG), 0);
    assert_int_equal(counts()->errors, 3);
    assert_int_equal(counts()->faults, 0);
    /* Data both ways make no request of either kind. */
    for (i = 0; i < 2; i++) {
        make(0, 0, 0, i, 0, PAY, 512, 512);
        ring_desc(r, 1, PAY, 512, RING_F_NEXT, 2);
        ring_desc(r, 2, PAY + PAGE, 512, RING_F_NEXT | RING_F_WRITE, 3);
        ring_desc(r, 3, STATUS, 1, RING_F_WRITE, 0);
        add_and_kick(0, 0);
        wait_used(0, &used);
        assert_int_equal(status(0, 0), i ? VR_BLK_S_OK : VR_BLK_S_IOERR);
    }
}

static void rings_gone(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        h.req.run = 0;
        publish();
        assert_int_equal(fake_pins(&h.gnt), 0);
        /* The used ring is the one that has to be writable. */
        fake_set(&h.gnt, 0x1000 * i, PAGE, i == 2 ? FAKE_READ : FAKE_NONE);
        run_queues();
        await_status(VR_CTRL_BACKEND_FAILED);
        assert_int_equal(counts()->faults, i + 1);
        assert_int_equal(counts()->fault_addr, RING_BASE + 0x1000 * i);
        assert_int_equal(fake_pins(&h.gnt), 3);
        /* The other queue works. */
        assert_int_equal(do_request(1, 1, 0, PAGE, false), 0);
        fake_set(&h.gnt, 0, MEM_SIZE, FAKE_WRITE);
    }
    h.req.run = 0;
    publish();
    fake_set(&h.gnt, 0, 0x2000, FAKE_READ);
    run_queues();
    await_status(VR_CTRL_BACKEND_READY);
    assert_int_equal(one(0, 0, PAY, PAGE), PAGE + 1);
    assert_int_equal(*h.logs, 1);
}

static void indirect(void **state)
{
    struct variant v = *h.v;
    const struct variant *old = h.v;

    (void)state;
    v.features |= VR_F_INDIRECT_DESC;
    h.v = &v;
    run_queues();
    await_status(VR_CTRL_BACKEND_FAILED);
    assert_int_equal(fake_pins(&h.gnt), 0);
    h.v = old;
    run_queues();
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_READY);
    ring_desc(&h.ring[0], 0, PAY, 48, RING_F_INDIRECT, 0);
    add_and_kick(0, 0);
    await_status(VR_CTRL_BACKEND_FAILED);
    h.req.run = 0;
    publish();
    assert_int_equal(fake_pins(&h.gnt), 0);
    run_queues();
    assert_int_equal(one(0, 0, PAY, PAGE), PAGE + 1);
}

/* Five requests a queue, together more than there is room for. */
#define MANY     5u
#define MANY_LEN (10 * SEG)

static void many(unsigned int q, uint32_t type)
{
    uint16_t d = 0;
    unsigned int i;

    for (i = 0; i < MANY; i++) {
        uint16_t head = d;

        d = make(q, i, head, type, i * (MANY_LEN / 512),
                 PAY + q * 0x800000 + i * MANY_LEN, MANY_LEN, SEG);
        ring_add(&h.ring[q], head);
    }
    assert_true(d <= QSIZE);
}

static void many_done(unsigned int q)
{
    unsigned int i, seen = 0;
    uint32_t used;

    for (i = 0; i < MANY; i++)
        seen |= 1u << wait_used(q, &used) / 12;
    assert_int_equal(seen, (1u << MANY) - 1);
    for (i = 0; i < MANY; i++)
        assert_int_equal(status(q, i), 0);
}

static void no_room(void **state)
{
    unsigned int round, i;

    (void)state;
    for (round = 0; round < 10; round++) {
        fill(at(PAY), MANY * MANY_LEN, round);
        many(0, 1);
        kick(0);
        many_done(0);
        memset(at(PAY), 0, MANY * MANY_LEN);
        many(0, 0);
        many(1, 0);
        kick(0);
        kick(1);
        many_done(0);
        many_done(1);
        fill(at(PAY + 0x1000000), MANY * MANY_LEN, round);
        assert_memory_equal(at(PAY), at(PAY + 0x1000000), MANY * MANY_LEN);
        assert_memory_equal(at(PAY + 0x800000), at(PAY + 0x1000000),
                            MANY * MANY_LEN);
    }
    assert_int_equal(counts()->errors, 0);
    assert_int_equal(counts()->requests, 10 * 3 * MANY);
    assert_int_equal(fake_pins(&h.gnt), 3 * QUEUES);
    if (h.v->budget)
        assert_true(h.gnt.table->most_pins <=
                    h.v->budget + VR_DYNMEM_MAP_PAGES + 3 * QUEUES);
    /* And the little ones are not forgotten. */
    many(0, 0);
    kick(0);
    for (i = 0; i < 100; i++)
        assert_int_equal(do_request(1, 1, 0, PAGE, false), 0);
    many_done(0);
}

/* It answers while requests wait for room. */
static void no_room_ping(void **state)
{
    unsigned int round, ms;

    (void)state;
    h.gnt.table->copy_delay_us = 3000;
    for (round = 0; round < 5; round++) {
        many(0, 0);
        many(1, 0);
        kick(0);
        kick(1);
        if (vr_ctrl_post(&h.page->kick, VR_CTRL_PING))
            eventfd_write(h.wake_fd, 1);
        for (ms = 0; ms < LIMIT_MS; ms++) {
            if (!(__atomic_load_n(&h.page->kick, __ATOMIC_SEQ_CST) &
                  VR_CTRL_PING))
                break;
            usleep(1000);
        }
        assert_true(ms < 1000);
        many_done(0);
        many_done(1);
    }
    h.gnt.table->copy_delay_us = 0;
}

/* Told to be quiet in the middle of it: nothing is mapped any more when it
 * says that it is, and nothing is lost when it may go on. */
static void no_room_stop(void **state)
{
    unsigned int round, taken;

    (void)state;
    for (round = 0; round < 30; round++) {
        many(0, round & 1);
        many(1, 0);
        kick(0);
        kick(1);
        usleep(round * 50);
        h.req.run = 0;
        publish();
        assert_int_equal(fake_pins(&h.gnt), 0);
        taken = ring_used(&h.ring[0])[1];
        usleep(500);
        assert_int_equal(ring_used(&h.ring[0])[1], taken);
        h.req.run = 1;
        publish();
        many_done(0);
        many_done(1);
    }
    assert_int_equal(counts()->errors, 0);
    /* One queue alone, the other goes on. */
    many(0, 0);
    kick(0);
    h.req.q[0].epoch = 0;
    publish();
    assert_int_equal(fake_pins(&h.gnt), 3);
    assert_int_equal(do_request(1, 1, 0, PAGE, false), 0);
}

static void no_room_killed(void **state)
{
    unsigned int round;

    (void)state;
    for (round = 0; round < 16; round++) {
        int sig = round & 1 ? SIGKILL : 0;

        many(0, 1);
        many(1, 0);
        kick(0);
        kick(1);
        usleep(round * 100);
        assert_int_equal(backend_stop(sig), sig);
        backend_start();
        many_done(0);
        many_done(1);
    }
}

/* The guest's driver maps and unmaps under our feet. */
static void storm(void **state)
{
    uint32_t seed = 3, used;
    unsigned int round, i, n;

    (void)state;
    for (round = 0; round < 300; round++) {
        for (i = 0; i < 8; i++) {
            seed = seed * 1664525 + 1013904223;
            make(0, i, i * 6, seed >> 30 & 1, 8 * i, PAY + i * 4 * PAGE,
                 4 * PAGE, 2 * PAGE);
            ring_add(&h.ring[0], i * 6);
        }
        kick(0);
        for (i = 0; i < 50; i++) {
            seed = seed * 1664525 + 1013904223;
            fake_set(&h.gnt, off(PAY) + (seed >> 8) % 32 * PAGE, 1,
                     (seed >> 24) % 3);
            if (seed >> 29 == 0)
                fake_set(&h.gnt, off(HDR), 1, (seed >> 20) % 3);
        }
        for (n = 0; n < 8; n++)
            assert_true(wait_used(0, &used) % 6 == 0);
        fake_set(&h.gnt, 0, MEM_SIZE, FAKE_WRITE);
        if (round % 50 == 0) {
            h.req.run = 0;
            publish();
            assert_int_equal(fake_pins(&h.gnt), 0);
            run_queues();
        }
    }
    assert_int_equal(counts()->requests, 300 * 8);
    assert_int_equal(fake_pins(&h.gnt), 3 * QUEUES);
    assert_int_equal(one(0, 0, PAY, PAGE), PAGE + 1);
    assert_int_equal(status(0, 0), 0);
    assert_true(*h.logs <= 1);
}

/* Apertures that leave no room for a page a descriptor are refused. */
static void small_aperture(void **state)
{
    const struct vr_gwin gwin = {RING_BASE, (1u << 20) - 4096, FAKE_GREF};
    static struct vr_dynmem dm;
    struct vr_dev_setup cfg = {
        .serve = &vr_serve_block,
        .win = &dm.window,
        .mem = &dm,
        .queues = 1,
        .queue_size = 128,
    };
    struct vr_loop *loop;
    struct vr_err err;

    (void)state;
    vr_dynmem_init(&dm, &gwin, &fake_ops, NULL);
    assert_int_equal(vr_loop_new(&loop, &cfg, &err), -EINVAL);
    assert_string_equal(err.text, "aperture of 1020K is too small for 1 "
                                  "queues of 128: 1028K is the least");
    cfg.queue_size = 2;
    assert_int_equal(vr_loop_new(&loop, &cfg, &err), -EINVAL);
    assert_non_null(strstr(err.text, "4 is the least"));
}

/*
 * A target whose driver cannot take the guest's pages: I/O that plays its
 * part, in this process. Requests are done at once.
 */
static struct {
    struct vr_aio_req *queued;
    unsigned int n, pins[4];
    bool direct[4], pooled[4];
} part;

static int part_open(struct vr_aio **aio, const struct vr_aio_cfg *cfg,
                     struct vr_err *err)
{
    (void)cfg;
    (void)err;
    *aio = (struct vr_aio *)&part;
    return 0;
}

static void part_queue(struct vr_aio *aio, struct vr_aio_req *req)
{
    (void)aio;
    req->next = NULL;
    part.queued = req;
}

static unsigned int part_run(struct vr_aio *aio, int64_t timeout_ns,
                             struct vr_aio_req **done)
{
    struct vr_aio_req *req = part.queued;
    unsigned int rings = h.win.va ? 0 : 3;
    uint32_t id, len;

    (void)aio;
    (void)timeout_ns;
    *done = req;
    part.queued = NULL;
    if (!req) {
        if (part.n == 3)
            return 2; /* stop */
        if (ring_get(&h.ring[0], &id, &len))
            ring_add(&h.ring[0], 0);
        return 0;
    }
    part.direct[part.n] = req->direct;
    part.pooled[part.n] = h.win.va && (size_t)((uint8_t *)req->iov->iov_base -
                                               h.win.va) < MEM_SIZE / 2;
    part.pins[part.n] = fake_pins(&h.gnt) - rings;
    /* As aio_exec.c does it. */
    req->res = req->first = 0;
    req->way = VR_WAY_DIRECT;
    if (part.pins[part.n] || part.pooled[part.n]) {
        req->first = -EIO;
        req->way = VR_WAY_COPY;
    }
    part.n++;
    return 0;
}

static void part_close(struct vr_aio *aio)
{
    (void)aio;
}

/* @pool: the first half of the guest's memory is the pool. */
static void not_taken(bool pool)
{
    static const struct vr_aio_ops aio = {
        .name = "part",
        .open = part_open,
        .queue = part_queue,
        .run = part_run,
        .close = part_close,
    };
    const uint64_t half = MEM_SIZE / 2;
    const struct vr_gwin all = {RING_BASE, MEM_SIZE, FAKE_GREF};
    const struct variant v = {.dynamic = true, .pool = pool ? half : 0};
    const struct vr_gwin high = {RING_BASE + half, half,
                                 FAKE_GREF + (uint32_t)(half / PAGE)};
    struct vr_dev_setup cfg = {
        .win = &h.dynmem.window,
        .mem = &h.dynmem,
        .map_threshold = 0,
        .serve = &vr_serve_block,
        .source = &h.block,
        .ops = &loop_ops,
        .ctx = &h,
        .bells = loop_bells,
        .channel = &loop_channel,
        .channel_state = &h,
        .wake_fd = -1,
        .stop_fd = -1,
        .queues = 1,
        .queue_size = QSIZE,
    };
    struct vr_loop *loop;
    struct vr_err err;

    memset(&h, 0, sizeof(h));
    memset(&part, 0, sizeof(part));
    fake_open(&h.gnt, MEM_SIZE / VR_PAGE_SIZE);
    vr_dynmem_init(&h.dynmem, pool ? &high : &all, &fake_ops, &h.gnt);
    h.v = &v;
    place_pool(&h, NULL);
    h.page = calloc(1, VR_PAGE_SIZE);
    h.pool = calloc(1, sizeof(*h.pool));
    h.logs = calloc(1, sizeof(*h.logs));
    h.wake_fd = eventfd(0, EFD_NONBLOCK);
    h.intr_fd = eventfd(0, EFD_NONBLOCK);
    vr_ctrl_init(h.page);
    h.block.ops = &aio;
    h.block.only = true;
    h.block.target = (struct vr_target){
        .fd = -1,
        .direct_fd = -1,
        .direct = true,
        .foreign = true,
        .readonly = true,
        .size = FILE_SIZE,
        .blk_size = 512,
        .mem_align = 512,
        .off_align = 512,
    };
    cfg.page = h.page;
    ring_init(&h.ring[0], h.gnt.mem, 0, QSIZE);
    make(0, 0, 0, 0, 0, PAY, PAGE, SEG);
    ring_add(&h.ring[0], 0);
    h.req.run = h.req.nqueues = 1;
    h.req.features = DYN;
    h.req.q[0] = h.ring[0].cfg;
    vr_ctrl_publish(h.page, &h.req);
    assert_int_equal(vr_loop_new(&loop, &cfg, &err), 0);
    vr_loop_run(loop);
    vr_loop_free(loop);
    /* Mapped (or used where it is) once, then copied; direct all the time. */
    assert_int_equal(part.pins[0], pool ? 0 : 1);
    assert_true(part.pooled[0] == pool);
    assert_true(!part.pooled[1] && !part.pooled[2]);
    assert_int_equal(part.pins[1], 0);
    assert_int_equal(part.pins[2], 0);
    assert_true(part.direct[0] && part.direct[1] && part.direct[2]);
    assert_int_equal(counts()->requests, 3);
    assert_int_equal(counts()->errors, 0);
    assert_int_equal(counts()->retries, 1);
    assert_int_equal(counts()->target_io, VR_BLK_IO_DIRECT | VR_BLK_IO_OWN);
    assert_int_equal(*h.logs, 1);
    assert_int_equal(fake_pins(&h.gnt), 0);
    free(h.page);
    free(h.logs);
    free(h.pool);
    fake_close(&h.gnt);
    close(h.wake_fd);
    close(h.intr_fd);
}

static void pages_not_taken(void **state)
{
    (void)state;
    not_taken(false);
    not_taken(true);
}

static const struct variant variants[] = {
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, VR_NEVER_MAP, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, 0, 300, 0, false},
    {&vr_aio_threads, VR_CACHE_BUFFERED, DYN | BLK, true, VR_NEVER_MAP, 0, 0,
     false},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 0, false},
};

#define T(name)                                                                \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown,            \
                                             (void *)(uintptr_t)&variants[v])

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(small_aperture),
        cmocka_unit_test(pages_not_taken),
    };
    bool uring = have_uring();
    int failed = cmocka_run_group_tests(alone, NULL, NULL);
    size_t v;

    for (v = 0; v < VR_ARRAY_SIZE(variants); v++) {
        const struct CMUnitTest tests[] = {
            T(offer),
            T(cost),
            T(payload_gone),
            T(payload_readonly),
            T(header_gone),
            T(status_gone),
            T(all_gone),
            T(reply_gone),
            T(copy_fails),
            T(map_fails),
            T(largest),
            T(crumbs),
            T(beyond_the_offer),
            T(rings_gone),
            T(indirect),
            T(no_room),
            T(no_room_ping),
            T(no_room_stop),
            T(no_room_killed),
            T(storm),
        };

        if (variants[v].aio == &vr_aio_uring && !uring)
            continue;
        failed += cmocka_run_group_tests_name("dynamic", tests, NULL, NULL);
    }
    return failed;
}

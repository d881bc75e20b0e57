/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's whole worker: what it does over time, between a guest, driver
 * domains and its supervisor (worker_world.h). What must hold at any time is
 * checked there, after each turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker_world.h"

#define STATUS(dev) ww_read(1, dev, VR_MMIO_STATUS)

/* A guest that uses all its devices. */
static int setup(void **state)
{
    unsigned int dev;

    (void)state;
    ww_init();
    for (dev = 0; dev < WW_DEVS; dev++)
        ww_serve(dev);
    ww_run(0);
    assert_true(ww_start_iommu(0));
    for (dev = 1; dev < WW_DEVS; dev++)
        assert_int_equal(ww_do(0, VR_VIOMMU_T_ATTACH, dev, 0, 0, 0), 0);
    for (dev = 0; dev < WW_DEVS; dev++) {
        assert_true(ww_start(0, dev));
        ww_serve(dev);
        ww_run(0);
        assert_int_equal(STATUS(dev), 15);
    }
    ww_run(10);
    return 0;
}

/* And goes on to use them, whatever has happened. */
static int teardown(void **state)
{
    (void)state;
    ww_settle();
    ww_end();
    return 0;
}

static void map(unsigned int dev, uint32_t page, uint32_t frame)
{
    assert_int_equal(ww_do(0, VR_VIOMMU_T_MAP, dev, page, 1, frame), 0);
    assert_int_equal(ww_entry(dev, page)->frame, frame);
}

/* ---- accesses ---- */

static void test_start(void **state)
{
    unsigned int dev;

    (void)state;
    for (dev = 0; dev < WW_DEVS; dev++) {
        assert_int_equal(ww.stats.dev[dev].backend, VR_CTRL_BACKEND_READY);
        assert_int_equal(fx.ctrl[dev]->req.run, 1);
        assert_int_equal(fx.ctrl[dev]->req.q[0].size, 16);
        assert_int_equal(fx.ctrl[dev]->req.q[1].epoch, 0);
    }
}

/* What no device answers is answered as an empty bus does it. */
static void test_nobody(void **state)
{
    ioreq_t req = {.addr = WW_MMIO + 0x10000,
                   .count = 1,
                   .size = 4,
                   .dir = IOREQ_READ,
                   .type = IOREQ_TYPE_COPY};

    (void)state;
    assert_true(ww_access(2, &req));
    ww_run(0);
    assert_false(ww.vcpu[2].asks);
    assert_int_equal(ww.vcpu[2].value, UINT64_MAX);
}

static void test_interrupt(void **state)
{
    (void)state;
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(10);
    assert_int_equal(fx.edges[ww_irq(0)], 1);
    /* What is posted meanwhile waits for the acknowledgement. */
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_backend_event(0);
    ww_run(10);
    assert_int_equal(fx.edges[ww_irq(0)], 1);
    ww_acknowledge(0, 0);
    /* The guest was slow to acknowledge, so it has time until the next. */
    ww_run(VR_PACE_MAX_NS / 1000000);
    assert_int_equal(fx.edges[ww_irq(0)], 2);
}

/* ---- bells of the guest's own ---- */

/* The guest tells port and domain; the broker hands that on and has nothing
 * more to do with requests: no event, no interrupt, and the counters and the
 * question whether the backend is there come by themselves. */
static void test_direct(void **state)
{
    struct vr_ctrl_page *page = fx.ctrl[0];
    unsigned int edges, i;

    (void)state;
    assert_int_equal(ww_read(0, 0, VR_MMIO_QUEUE_DOORBELL),
                     VR_DOORBELL_OK |
                         ww_rec.drivers[ww_rec.devs[0].driver].domid);
    assert_false(ww_write(0, 0, VR_MMIO_STATUS, 0));
    ww_serve(0);
    ww_run(0);
    ww_write(0, 0, VR_MMIO_QUEUE_SEL, 0);
    ww_write(0, 0, VR_MMIO_QUEUE_DOORBELL, 17);
    ww_negotiate(0, 0);
    ww_queue(0, 0, 0, 16, ww_rec.devs[0].pool.base,
             ww_rec.devs[0].pool.base + 0x800,
             ww_rec.devs[0].pool.base + 0xa00);
    ww_write(0, 0, VR_MMIO_STATUS, 15);
    ww_serve(0);
    ww_run(0);
    assert_int_equal(page->req.q[0].port, 17);
    assert_int_equal(ww.stats.dev[0].q[0].port, 17);
    edges = fx.edges[ww_irq(0)];
    for (i = 1; i <= 4; i++) {
        page->counters.requests += 100;
        vr_ctrl_collect(&page->kick);
        ww_run(5000);
        assert_int_equal(ww.stats.dev[0].b.requests, 100 * i);
        assert_int_equal(ww.stats.dev[0].silent, 0);
        assert_true(page->kick & VR_CTRL_PING);
    }
    assert_int_equal(fx.edges[ww_irq(0)], edges);
    /* It has stopped answering. */
    ww_run(10000);
    assert_int_equal(ww.stats.dev[0].silent, 1);
    assert_int_equal(vr_stats_why(&ww.stats.dev[0]), VR_FAIL_SILENT);
    /* The number means nothing to it. */
    page->status = VR_CTRL_BACKEND_FAILED;
    ww_backend_event(0);
    ww_run(0);
    assert_true(STATUS(0) & VR_STATUS_NEEDS_RESET);
    page->status = VR_CTRL_BACKEND_READY;
}

/* ---- surveys ---- */

/* What vrctl would like reaches the backends, for as long as it would; their
 * figures come back. */
static void test_survey(void **state)
{
    (void)state;
    assert_int_equal(fx.ctrl[0]->survey, 0);
    ww.stats.survey.session = 9;
    ww.stats.survey.until = (int64_t)vr_now_ms() + 12000;
    ww_run(5000);
    assert_int_equal(fx.ctrl[0]->survey, 9);
    assert_int_equal(fx.ctrl[1]->survey, 9);
    fx.ctrl[1]->figures.session = 9;
    fx.ctrl[1]->figures.requests = 77;
    vr_ctrl_collect(&fx.ctrl[1]->kick);
    ww_run(5000);
    assert_int_equal(ww.stats.dev[1].survey.session, 9);
    assert_int_equal(ww.stats.dev[1].survey.requests, 77);
    vr_ctrl_collect(&fx.ctrl[1]->kick);
    ww_run(5000);
    assert_int_equal(fx.ctrl[0]->survey, 0);
    assert_int_equal(fx.ctrl[1]->survey, 0);
}

/* ---- resets ---- */

static void test_reset_waits(void **state)
{
    (void)state;
    assert_false(ww_write(0, 0, VR_MMIO_STATUS, 0));
    ww_run(500);
    assert_true(ww.vcpu[0].asks);
    /* Others do not wait. */
    assert_int_equal(ww_read(1, 1, VR_MMIO_MAGIC), VR_MMIO_MAGIC_VALUE);
    ww_serve(0);
    ww_run(0);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(STATUS(0), 0);
}

static void test_reset_times_out(void **state)
{
    (void)state;
    assert_false(ww_write(0, 0, VR_MMIO_STATUS, 0));
    ww_run(ww_dev(0)->lease.patience_ms - 1);
    assert_true(ww.vcpu[0].asks);
    ww_run(1);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(ww.stats.dev[0].failed, VR_FAIL_TIMEOUT);
    ww_serve(0);
    ww_run(0);
    assert_true(ww_start(0, 0));
}

/* The backend has stopped, but has some of the pool mapped. */
static void test_reset_waits_for_pool(void **state)
{
    (void)state;
    assert_int_equal(ww_dev(0)->lease.step, VR_LEASE_GRANTED);
    ww.pool_held[0] = true;
    assert_false(ww_write(0, 0, VR_MMIO_STATUS, 0));
    ww_serve(0);
    ww_run(500);
    assert_true(ww.vcpu[0].asks);
    ww.pool_held[0] = false;
    ww_run(500);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(STATUS(0), 0);
    assert_int_equal(ww.kills, 0);
}

/* A driver that starts its device: its backend hears of it when it can map the
 * pool. */
static void test_start_waits_for_pool(void **state)
{
    (void)state;
    ww_write(0, 0, VR_MMIO_STATUS, 0);
    ww_serve(0);
    ww_run(10);
    assert_int_equal(fx.ctrl[0]->req.run, 0);
    ww.pools_wait = true;
    assert_true(ww_start(0, 0));
    ww_run(100);
    assert_int_equal(fx.ctrl[0]->req.run, 0);
    assert_int_equal(STATUS(0), 15);
    ww.pools_wait = false;
    ww_run(1000);
    assert_int_equal(fx.ctrl[0]->req.run, 1);
}

/* Behind the virtio-iommu it takes its time, see release() in device.c. */
static void test_reset_flushes(void **state)
{
    (void)state;
    assert_false(ww_write(0, 1, VR_MMIO_STATUS, 0));
    ww_serve(1);
    ww_run(VR_FLUSH_MS - 1);
    assert_true(ww.vcpu[0].asks);
    ww_run(1);
    assert_false(ww.vcpu[0].asks);
}

/* A queue is stopped, nobody answers: the device is, and that is flushed. The
 * worker sleeps until then. */
static void test_limit_and_flush(void **state)
{
    (void)state;
    ww_write(0, 1, VR_MMIO_QUEUE_SEL, 0);
    assert_false(ww_write(0, 1, VR_MMIO_QUEUE_READY, 0));
    ww_run(VR_QUIESCE_MS);
    assert_true(ww.timeout > 0);
    ww_run(VR_FLUSH_MS);
    assert_false(ww.vcpu[0].asks);
}

static void test_reset_of_gone(void **state)
{
    (void)state;
    assert_false(ww_write(0, 0, VR_MMIO_STATUS, 0));
    ww_tell_gone(0);
    ww_run(0);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(ww.stats.dev[0].failed, VR_FAIL_GONE);
    assert_int_equal(ww.stats.dev[2].failed, VR_FAIL_GONE);
    assert_int_equal(ww.stats.dev[1].failed, VR_FAIL_NONE);
}

/* ---- memory that is taken back ---- */

/* A copy that is under way ends by itself: nobody is the worse for it. */
static void test_unmap_soon(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    assert_true(ww_take(1, 3, true));
    assert_int_equal(ww_do(0, VR_VIOMMU_T_UNMAP, 1, 3, 1, 0), 0xff);
    ww_run(10);
    assert_true(ww.vcpu[0].asks);
    ww_drop(1, 3);
    ww_run(10);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(ww.req[0].status, 0);
    assert_int_equal(ww_entry(1, 3)->flags, 0);
    assert_int_equal(ww.stats.iommu.stops, 0);
}

static void test_unmap_obeys(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    ww_take(1, 3, true);
    ww_do(0, VR_VIOMMU_T_UNMAP, 1, 3, 1, 0);
    ww_run(25);
    assert_int_equal(ww.stats.iommu.stops, 1);
    assert_int_equal(fx.ctrl[1]->req.run, 0);
    ww_drop(1, 3);
    ww_serve(1);
    ww_run(10);
    assert_int_equal(ww.req[0].status, 0);
    assert_int_equal(ww.kills, 0);
    /* Its driver resets it, and goes on. */
    assert_int_equal(STATUS(1) & VR_STATUS_NEEDS_RESET, VR_STATUS_NEEDS_RESET);
    ww_write(0, 1, VR_MMIO_STATUS, 0);
    ww_run(VR_FLUSH_MS);
    assert_true(ww_start(0, 1));
    assert_int_equal(STATUS(1), 15);
}

/* Up to the end of its domain; and that alone is no answer. */
static void test_unmap_to_the_end(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    map(2, 3, FX_RAM1 + 1);
    ww_take(1, 3, false);
    ww_do(0, VR_VIOMMU_T_UNMAP, 1, 3, 1, 0);
    ww_run(20 + WW_REVOKE);
    assert_int_equal(ww.kills, 0);
    ww_run(50);
    assert_int_equal(ww.kills, 1);
    assert_true(ww.kill[1]);
    ww_run(1400);
    assert_int_equal(ww.destroys, 0);
    ww_run(200);
    assert_int_equal(ww.destroys, 1);
    /* Other devices work. */
    assert_int_equal(STATUS(2), 15);
    ww_begin_end(1);
    ww_run(1000);
    assert_int_equal(ww_entry(1, 3)->flags & VR_GTF_IN_USE, 0);
    assert_true(ww.vcpu[0].asks);
    ww_finish_end(1);
    ww_run(50);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(ww.req[0].status, 0);
    assert_int_equal(ww_do(0, VR_VIOMMU_T_UNMAP, 2, 3, 1, 0), 0);
}

/* Nothing is left to a domain that is dead, whoever it was that ended it. */
static void test_dead(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    map(3, 1, FX_RAM1 + 1);
    map(2, 1, FX_RAM1 + 2);
    ww_finish_end(1);
    ww_run(0);
    assert_int_equal(ww_entry(1, 3)->flags, 0);
    assert_int_equal(ww_entry(3, 1)->flags, 0);
    assert_int_not_equal(ww_entry(2, 1)->flags, 0);
    assert_null(fx.ctrl[1]);
    assert_non_null(fx.ctrl[2]);
    assert_int_equal(ww_do(0, VR_VIOMMU_T_MAP, 1, 5, 1, FX_RAM1 + 3),
                     VR_VIOMMU_S_DEVERR);
    assert_int_equal(ww_do(0, VR_VIOMMU_T_UNMAP, 1, 3, 1, 0), 0);
}

/* A domain that serves others is the operator's to end. The worker repeats what
 * it has to say. */
static void test_unmap_shared(void **state)
{
    (void)state;
    map(2, 3, FX_RAM1);
    ww_take(2, 3, true);
    ww_do(0, VR_VIOMMU_T_UNMAP, 2, 3, 1, 0);
    ww_run(25);
    ww_serve(2); /* it stops, but keeps the page */
    ww_run(2000);
    assert_int_equal(ww.kills, 1);
    assert_int_equal(ww.destroys, 1);
    assert_int_equal(ww.stats.iommu.destroys, 0);
    ww_run(20000);
    assert_in_range(ww.destroys, 4, 5);
    assert_true(ww.vcpu[0].asks);
    ww_drop_all(2);
    ww_run(50);
    assert_false(ww.vcpu[0].asks);
}

/* The supervisor's socket was full: it hears of it all the same. */
static void test_unmap_unheard(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    ww_take(1, 3, true);
    ww_do(0, VR_VIOMMU_T_UNMAP, 1, 3, 1, 0);
    fx.socket_full = true;
    ww_run(3000);
    assert_int_equal(ww.kills + ww.destroys, 0);
    fx.socket_full = false;
    ww_run(5000);
    assert_int_equal(ww.destroys, 1);
}

/* Requests behind one that waits are carried out after it, in order. */
static void test_unmap_queue(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    ww_take(1, 3, true);
    ww_do(0, VR_VIOMMU_T_UNMAP, 1, 3, 1, 0);
    assert_non_null(ww_request(VR_VIOMMU_T_MAP, 1, 3, 1, FX_RAM1 + 1, false));
    ww_write(1, WW_IOMMU, VR_MMIO_QUEUE_NOTIFY, 0);
    assert_false(ww.vcpu[1].asks); /* it has asked for nothing back */
    assert_int_equal(ww.req[1].status, 0xff);
    ww_drop(1, 3);
    ww_run(10);
    assert_int_equal(ww.req[0].status, 0);
    assert_int_equal(ww.req[1].status, 0);
    assert_int_equal(ww_entry(1, 3)->frame, FX_RAM1 + 1);
}

/* The virtio-iommu's own reset takes everything back, and waits for it. */
static void test_iommu_reset(void **state)
{
    (void)state;
    map(1, 3, FX_RAM1);
    map(2, 3, FX_RAM1 + 1);
    ww_take(2, 3, true);
    assert_false(ww_write(0, WW_IOMMU, VR_MMIO_STATUS, 0));
    ww_run(10);
    assert_int_equal(ww_entry(1, 3)->flags, 0);
    assert_true(ww.vcpu[0].asks);
    ww_drop(2, 3);
    ww_run(10);
    assert_false(ww.vcpu[0].asks);
    assert_int_equal(ww_entry(2, 3)->flags, 0);
}

/* An entry that the guest has written itself is not taken from it. */
static void test_meddled(void **state)
{
    const struct vr_gntent own = {VR_GTF_PERMIT_ACCESS, 0, 5};

    (void)state;
    ww_meddle(1, 4, own);
    assert_int_equal(ww_do(0, VR_VIOMMU_T_MAP, 1, 3, 2, FX_RAM1),
                     VR_VIOMMU_S_DEVERR);
    assert_int_equal(ww_entry(1, 3)->flags, 0);
    assert_memory_equal(ww_entry(1, 4), &own, sizeof(own));
    ww_meddle(1, 4, (struct vr_gntent){0});
}

/* ---- backends ---- */

/* Events about nothing: it is not heard for a while, and then it is. */
static void test_throttle(void **state)
{
    const uint64_t before = ww.stats.dev[0].intr_events;
    unsigned int n;

    (void)state;
    for (n = 0; n < 1000; n++) {
        ww_backend_event(0);
        ww_run(0);
    }
    assert_in_range(ww.stats.dev[0].intr_events - before, 1, 100);
    vr_ctrl_post(&fx.ctrl[0]->intr, 1);
    ww_run(20);
    assert_int_equal(fx.edges[ww_irq(0)], 1);
}

static void test_bad_description(void **state)
{
    (void)state;
    fx.ctrl[0]->dev.config_generation += 2;
    fx.ctrl[0]->dev.config_len = VR_CONFIG_LEN + 1;
    ww_backend_event(0);
    ww_run(0);
    assert_int_equal(STATUS(0) & VR_STATUS_NEEDS_RESET, VR_STATUS_NEEDS_RESET);
    fx.ctrl[0]->dev.config_generation += 2;
    fx.ctrl[0]->dev.config_len = VR_CONFIG_LEN;
}

/* The pool's grants cannot be had. */
static void test_pool_refused(void **state)
{
    (void)state;
    ww.pools_wait = true;
    ww_write(0, 0, VR_MMIO_STATUS, 0);
    ww_serve(0);
    ww_run(0);
    fx_tell(VR_MSG_REVOKED, 0);
    ww_run(0);
    assert_false(ww.vcpu[0].asks);
    assert_true(ww_start(0, 0));
    fx_tell(VR_MSG_REFUSED, 0);
    ww_run(0);
    assert_int_equal(STATUS(0) & VR_STATUS_NEEDS_RESET, VR_STATUS_NEEDS_RESET);
    assert_int_equal(vr_stats_why(&ww.stats.dev[0]), VR_FAIL_GRANTS);
    ww.pool[0] = WW_POOL_IDLE;
}

/* The log says so once. */
static void test_no_interrupt(void **state)
{
    unsigned int i;

    (void)state;
    fx.irq_fails = true;
    for (i = 0; i < 3; i++) {
        vr_ctrl_post(&fx.ctrl[0]->intr, 1);
        ww_backend_event(0);
        ww_run(VR_PACE_MAX_NS / 1000000);
        ww_acknowledge(0, 0);
    }
    assert_int_equal(fx.lines, 1);
    assert_non_null(strstr(fx.line, "disk0: cannot raise interrupt"));
}

/* ---- the virtio-iommu's queues ---- */

/* The driver claims more than its ring holds. */
static void test_broken_queue(void **state)
{
    (void)state;
    ((uint16_t *)(fx.ram + 0x400))[1] += 100;
    ww.lost_track = true;
    ww_write(0, WW_IOMMU, VR_MMIO_QUEUE_NOTIFY, VR_VIOMMU_REQUESTQ);
    assert_int_equal(STATUS(WW_IOMMU) & VR_STATUS_NEEDS_RESET,
                     VR_STATUS_NEEDS_RESET);
    assert_non_null(strstr(fx.line, "virtio-iommu: queue 0 stopped"));
}

/* A backend counts accesses that were refused: the guest has an event of it, if
 * it has given a buffer, and so many in a second. */
static void test_faults(void **state)
{
    uint8_t *const queue = fx.ram + 0xc00;
    struct vr_ctrl_counters *c = &fx.ctrl[1]->counters;
    uint16_t *const avail = (uint16_t *)(queue + 0x80);
    unsigned int i;

    (void)state;
    *(struct vr_vring_desc *)queue =
        (struct vr_vring_desc){WW_EVENTQ + 0x180, 24, 2 /* writable */, 0};
    avail[2] = 0;
    avail[1] = 1;
    c->fault_addr = WW_AT(1) + 0x1234;
    c->fault_access = VR_CTRL_FAULT_WRITE;
    c->faults = 1;
    ww_backend_event(1);
    ww_run(0);
    assert_int_equal(ww.stats.iommu.faults_sent, 1);
    assert_int_equal(((uint16_t *)(queue + 0x100))[1], 1);
    assert_int_equal(*(uint32_t *)(queue + 0x188), 1); /* endpoint */
    assert_int_equal(*(uint64_t *)(queue + 0x190), WW_AT(1) + 0x1234);
    for (i = 2; i < 20; i++) {
        avail[1] = i;
        avail[2 + (i - 1) % 4] = 0;
        c->faults = i;
        ww_backend_event(1);
        ww_run(0);
    }
    assert_int_equal(ww.stats.iommu.faults_sent, 10);
    assert_int_equal(ww.stats.iommu.faults_dropped, 9);
    /* No buffer is left in the next period. */
    avail[1] = ((uint16_t *)(queue + 0x100))[1];
    ww_run(1000);
    c->faults = 20;
    ww_backend_event(1);
    ww_run(0);
    assert_int_equal(ww.stats.iommu.faults_dropped, 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start),
        TEST(test_nobody),
        TEST(test_interrupt),
        TEST(test_direct),
        TEST(test_survey),
        TEST(test_reset_waits),
        TEST(test_reset_times_out),
        TEST(test_reset_waits_for_pool),
        TEST(test_start_waits_for_pool),
        TEST(test_reset_flushes),
        TEST(test_limit_and_flush),
        TEST(test_reset_of_gone),
        TEST(test_unmap_soon),
        TEST(test_unmap_obeys),
        TEST(test_unmap_to_the_end),
        TEST(test_dead),
        TEST(test_unmap_shared),
        TEST(test_unmap_unheard),
        TEST(test_unmap_queue),
        TEST(test_iommu_reset),
        TEST(test_meddled),
        TEST(test_throttle),
        TEST(test_bad_description),
        TEST(test_pool_refused),
        TEST(test_no_interrupt),
        TEST(test_broken_queue),
        TEST(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

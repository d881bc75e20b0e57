/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queues of the device model: where they may lie, in and out of service.
 * Names of tests cite virtio 1.2. */
#include "vdev_rig.h"

/* ---- 4.2.2 and 2.6, queues ---- */

static void s4_2_2_queue_sel(void **state)
{
    struct fake *f = fresh();

    (void)state;
    wr_done(f, VR_MMIO_QUEUE_SEL, 3);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_SIZE_MAX), 128);
    wr_done(f, VR_MMIO_QUEUE_SEL, 4);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_SIZE_MAX), 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    wr_done(f, VR_MMIO_QUEUE_SEL, UINT32_MAX);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    wr_done(f, VR_MMIO_QUEUE_RESET, 1);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
}

static void s4_2_2_queue_is_published_with_driver_ok(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 1);
    assert_int_equal(f->published, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(f->published, 1);
    assert_int_equal(f->req.nqueues, 4);
    assert_int_equal(f->req.q[0].epoch, 0);
    assert_int_not_equal(f->req.q[1].epoch, 0);
    assert_true(f->req.q[1].desc == WIN + 0x4000);
    assert_true(f->req.q[1].driver == WIN + 0x5000);
    assert_true(f->req.q[1].device == WIN + 0x6000);
    assert_int_equal(f->req.q[1].size, 128);
    assert_int_equal(vr_vdev_queues(&f->m), 2);
    assert_int_equal(f->stats.q[1].enabled, 1);
    /* a queue that comes later is published at once */
    queue_up(f, 2);
    assert_int_equal(f->published, 2);
    assert_int_not_equal(f->req.q[2].epoch, f->req.q[1].epoch);
}

static void s4_2_2_2_registers_of_a_ready_queue_stay(void **state)
{
    struct fake *f = running();
    uint64_t bad = f->stats.bad_accesses;

    (void)state;
    queue_regs(f, 0, 4, 0, 0, 0);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(f->stats.bad_accesses, bad + 8);
    assert_true(f->stats.q[0].desc == WIN);
    assert_int_equal(f->stats.q[0].size, 128);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
}

struct bad_queue {
    uint32_t size;
    uint64_t desc, driver, device;
    enum vr_fail why;
};

static void s2_7_bad_queues(void **state)
{
    static const struct bad_queue bad[] = {
        {0, WIN, WIN + 0x1000, WIN + 0x2000, VR_FAIL_QUEUE},
        {3, WIN, WIN + 0x1000, WIN + 0x2000, VR_FAIL_QUEUE},
        {256, WIN, WIN + 0x1000, WIN + 0x2000, VR_FAIL_QUEUE},
        {0x80000000, WIN, WIN + 0x1000, WIN + 0x2000, VR_FAIL_QUEUE},
        {128, WIN + 8, WIN + 0x1000, WIN + 0x2000, VR_FAIL_QUEUE},
        {128, WIN, WIN + 0x1001, WIN + 0x2000, VR_FAIL_QUEUE},
        {128, WIN, WIN + 0x1000, WIN + 0x2002, VR_FAIL_QUEUE},
        /* overlaps: one with itself, at the edge, all three the same */
        {128, WIN, WIN + 0x7fe, WIN + 0x2000, VR_FAIL_QUEUE},
        {128, WIN, WIN + 0x1000, WIN + 0x1000 + 260, VR_FAIL_QUEUE},
        {128, WIN, WIN, WIN, VR_FAIL_QUEUE},
        /* outside: before, behind, across the end, wrapping */
        {128, WIN - 16, WIN + 0x1000, WIN + 0x2000, VR_FAIL_OUTSIDE},
        {128, WIN, WIN + SIZE, WIN + 0x2000, VR_FAIL_OUTSIDE},
        {128, WIN + SIZE - 0x7f0, WIN, WIN + 0x2000, VR_FAIL_OUTSIDE},
        {128, WIN, WIN + 0x1000, WIN + SIZE - 1028, VR_FAIL_OUTSIDE},
        {128, UINT64_MAX - 15, WIN, WIN + 0x2000, VR_FAIL_OUTSIDE},
        {128, 0, 0, 0, VR_FAIL_OUTSIDE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        const struct bad_queue *b = &bad[i];
        struct fake *f = fresh();

        to_features_ok(f, VR_F_TRANSPORT);
        queue_regs(f, 0, b->size, b->desc, b->driver, b->device);
        wr_done(f, VR_MMIO_QUEUE_READY, 1);
        assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
        assert_int_equal(f->stats.failed, b->why);
        assert_int_equal(rd(f, VR_MMIO_STATUS), 11 | VR_STATUS_NEEDS_RESET);
        assert_int_equal(f->stats.faults, 1);
        /* it does not become better */
        add_status(f, VR_STATUS_DRIVER_OK);
        assert_int_equal(rd(f, VR_MMIO_STATUS), 11 | VR_STATUS_NEEDS_RESET);
        assert_int_equal(f->published, 0);
        /* but by a reset */
        to_features_ok(f, VR_F_TRANSPORT);
        assert_int_equal(rd(f, VR_MMIO_STATUS), 11);
        queue_up(f, 0);
    }
}

static void s2_7_queues_fit_exactly(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    /* 2048 + 262 (to 264) + 1030, up to the window's last byte but one */
    queue_regs(f, 0, 128, WIN + SIZE - 3344 - 0, WIN + SIZE - 1296,
               WIN + SIZE - 1032);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
}

static void s2_7_overlap_with_another_queue(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    queue_regs(f, 1, 128, WIN + 0x4000, WIN + 0x5000, WIN + 0x2400);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_QUEUE);
}

static void s3_1_1_queue_before_features_ok(void **state)
{
    struct fake *f = fresh();

    (void)state;
    wr_done(f, VR_MMIO_STATUS, 3);
    queue_regs(f, 0, 128, WIN, WIN + 0x1000, WIN + 0x2000);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_FEATURES);
}

static void two_windows(void **state)
{
    struct vr_vdev_desc two = desc;
    struct fake *f = &fake;

    (void)state;
    memset(f, 0, sizeof(*f));
    two.nranges = 2;
    two.range[1] = (struct vr_vdev_range){UINT64_MAX - 0xfff, 0x1000};
    vr_vdev_init(&f->m, &two, &ops, f, &f->stats);
    vr_vdev_set_device(&f->m, 0, disk, sizeof(disk));
    to_features_ok(f, VR_F_TRANSPORT);
    queue_regs(f, 0, 16, UINT64_MAX - 0xfff, WIN, WIN + 0x1000);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
    /* the last bytes of all, which end at 2^64 */
    queue_regs(f, 1, 16, WIN + 0x2000, WIN + 0x3000, UINT64_MAX - 0x87);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
    queue_regs(f, 2, 16, WIN + 0x4000, WIN + 0x5000, UINT64_MAX - 0x87 - 8);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_QUEUE);
}

static void s4_2_3_3_notify(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 0); /* before DRIVER_OK: void */
    assert_int_equal(f->kicks[0], 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 0);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 1); /* not ready */
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 4);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, UINT32_MAX);
    assert_int_equal(f->kicks[0], 1);
    assert_int_equal(f->kicks[1], 0);
    assert_int_equal(f->stats.kicks, 1);
}

static void s4_2_2_queue_ready_0_waits_for_the_backend(void **state)
{
    struct fake *f = running();
    uint32_t epoch = f->req.q[0].epoch;

    (void)state;
    assert_int_equal(wr(f, VR_MMIO_QUEUE_READY, 0), VR_VDEV_PENDING);
    assert_true(vr_vdev_waiting(&f->m));
    assert_int_equal(f->req.run, 1);
    assert_int_equal(f->req.q[0].epoch, 0);
    /* meanwhile it still is ready, but takes no kicks */
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 0);
    assert_int_equal(f->kicks[0], 0);
    vr_vdev_quiesced(&f->m);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    /* up again: a new epoch */
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_not_equal(f->req.q[0].epoch, 0);
    assert_int_not_equal(f->req.q[0].epoch, epoch);
    /* a queue that is not ready has nothing to wait for */
    wr_done(f, VR_MMIO_QUEUE_SEL, 1);
    wr_done(f, VR_MMIO_QUEUE_READY, 0);
}

static void s2_6_1_queue_reset(void **state)
{
    struct fake *f = running();

    (void)state;
    wr_done(f, VR_MMIO_QUEUE_RESET, 0);
    wr_done(f, VR_MMIO_QUEUE_RESET, 2);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
    assert_int_equal(wr(f, VR_MMIO_QUEUE_RESET, 1), VR_VDEV_PENDING);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_RESET), 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_RESET), 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_true(f->stats.q[0].desc == 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    queue_up(f, 0);
    assert_int_equal(f->req.q[0].size, 128);
    /* a queue that never was up is reset at once */
    wr_done(f, VR_MMIO_QUEUE_SEL, 2);
    wr_done(f, VR_MMIO_QUEUE_RESET, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_RESET), 0);
}

static void s2_6_1_queue_reset_not_negotiated(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_MANDATORY);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    wr_done(f, VR_MMIO_QUEUE_RESET, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
}

/* ---- bells of their own: docs/proposals/doorbell.md ---- */

static void bell_is_published(void **state)
{
    struct fake *f = fresh_bells(7);

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    wr_done(f, VR_MMIO_QUEUE_SEL, 1);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, UINT32_MAX);
    queue_up(f, 1);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(f->req.q[0].port, 0);
    /* Any number: whoever binds it finds out. */
    assert_int_equal(f->req.q[1].port, UINT32_MAX);
    assert_int_equal(f->stats.q[1].port, UINT32_MAX);
    /* not while it is in use */
    wr_done(f, VR_MMIO_QUEUE_SEL, 0);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, 4);
    assert_int_equal(f->stats.bad_accesses, 1);
    /* of no queue */
    wr_done(f, VR_MMIO_QUEUE_SEL, 9);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, 4);
    assert_int_equal(f->stats.bad_accesses, 2);
    wr_done(f, VR_MMIO_QUEUE_SEL, 2);
    queue_up(f, 2);
    assert_int_equal(f->req.q[0].port, 0);
    assert_int_equal(f->req.q[2].port, 0);
}

static void bell_goes_with_its_queue(void **state)
{
    struct fake *f = fresh_bells(7);

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    wr_done(f, VR_MMIO_QUEUE_SEL, 0);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, 5);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(f->req.q[0].port, 5);
    /* The backend lets go of it before the guest goes on. */
    assert_int_equal(wr(f, VR_MMIO_QUEUE_RESET, 1), VR_VDEV_PENDING);
    assert_int_equal(f->req.q[0].port, 0);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, 6);
    vr_vdev_quiesced(&f->m);
    queue_up(f, 0);
    assert_int_equal(f->req.q[0].port, 0);
    assert_int_equal(wr(f, VR_MMIO_QUEUE_READY, 0), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, 6);
    queue_up(f, 0);
    assert_int_equal(f->req.q[0].port, 6);
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(f->req.q[0].port, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s4_2_2_queue_sel),
        cmocka_unit_test(s4_2_2_queue_is_published_with_driver_ok),
        cmocka_unit_test(s4_2_2_2_registers_of_a_ready_queue_stay),
        cmocka_unit_test(s2_7_bad_queues),
        cmocka_unit_test(s2_7_queues_fit_exactly),
        cmocka_unit_test(s2_7_overlap_with_another_queue),
        cmocka_unit_test(s3_1_1_queue_before_features_ok),
        cmocka_unit_test(two_windows),
        cmocka_unit_test(s4_2_3_3_notify),
        cmocka_unit_test(s4_2_2_queue_ready_0_waits_for_the_backend),
        cmocka_unit_test(s2_6_1_queue_reset),
        cmocka_unit_test(s2_6_1_queue_reset_not_negotiated),
        cmocka_unit_test(bell_is_published),
        cmocka_unit_test(bell_goes_with_its_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

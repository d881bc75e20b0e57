/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device model but for its queues (test_vqueue.c). Names of tests cite
 * virtio 1.2. */
#include "vdev_rig.h"

#include "libs/types/block/request.h"

/* ---- 2.1 and 3.1, status ---- */

static void s2_1_driver_cannot_clear_bits(void **state)
{
    struct fake *f = fresh();

    (void)state;
    wr_done(f, VR_MMIO_STATUS, VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER);
    wr_done(f, VR_MMIO_STATUS, VR_STATUS_ACKNOWLEDGE);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
    wr_done(f, VR_MMIO_STATUS, 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    /* NEEDS_RESET and unknown bits are not the driver's */
    wr_done(f, VR_MMIO_STATUS, VR_STATUS_NEEDS_RESET | 0x30 | 1);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 1);
    /* only the low byte counts */
    wr_done(f, VR_MMIO_STATUS, 0x100);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
}

static void s2_1_failed_stops_the_device(void **state)
{
    struct fake *f = running();

    (void)state;
    add_status(f, VR_STATUS_FAILED);
    assert_int_equal(f->req.run, 0);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 0);
    assert_int_equal(f->kicks[0], 0);
}

static void s3_1_1_driver_ok_needs_features_ok(void **state)
{
    struct fake *f = fresh();

    (void)state;
    wr_done(f, VR_MMIO_STATUS, 3);
    wr_done(f, VR_MMIO_STATUS, 7);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
    assert_int_equal(f->published, 0);
    /* all at once is unusual, but in order */
    set_features(f, VR_F_MANDATORY);
    wr_done(f, VR_MMIO_STATUS, 15);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
}

/* ---- 2.2 and 6, features ---- */

static void s2_2_offered(void **state)
{
    struct fake *f = fresh();

    (void)state;
    assert_true(get_features(f) ==
                (VR_F_TRANSPORT | BLK_F_BLK_SIZE | BLK_F_MQ));
    wr_done(f, VR_MMIO_DEVICE_FEATURES_SEL, 2);
    assert_int_equal(rd(f, VR_MMIO_DEVICE_FEATURES), 0);
    wr_done(f, VR_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
    assert_int_equal(rd(f, VR_MMIO_DEVICE_FEATURES), 0);
    /* the backend cannot offer what belongs to the transport */
    vr_vdev_set_device(&f->m, UINT64_MAX, disk, sizeof(disk));
    assert_true(get_features(f) == (VR_F_TRANSPORT | VR_F_DEVICE_TYPE));
}

static void s6_mandatory_features(void **state)
{
    static const uint64_t bad[] = {
        0,
        VR_F_VERSION_1,
        VR_F_ACCESS_PLATFORM,
        VR_F_TRANSPORT & ~VR_F_ACCESS_PLATFORM,
        VR_F_TRANSPORT & ~VR_F_VERSION_1,
    };
    struct fake *f = fresh();
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        to_features_ok(f, bad[i]);
        assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
        assert_int_equal(f->stats.failed, VR_FAIL_FEATURES);
    }
    to_features_ok(f, VR_F_MANDATORY);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 11);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
    assert_true(f->stats.features == VR_F_MANDATORY);
}

static void s2_2_not_offered_is_refused(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_MANDATORY | UINT64_C(1) << 34); /* RING_PACKED */
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
    to_features_ok(f, VR_F_MANDATORY | UINT64_C(1) << 13); /* DISCARD */
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
    /* the driver may think again without a reset */
    set_features(f, VR_F_MANDATORY);
    add_status(f, VR_STATUS_FEATURES_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 11);

    wr_done(f, VR_MMIO_STATUS, 0);
    wr_done(f, VR_MMIO_STATUS, 3);
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 2);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, 1);
    set_features(f, VR_F_MANDATORY);
    add_status(f, VR_STATUS_FEATURES_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
}

static void s2_2_1_settled_after_features_ok(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    set_features(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    assert_true(f->req.features == VR_F_TRANSPORT);
}

static void undescribed_device_cannot_be_driven(void **state)
{
    struct fake *f = &fake;

    (void)state;
    memset(f, 0, sizeof(*f));
    vr_vdev_init(&f->m, &desc, &ops, f, &f->stats);
    to_features_ok(f, VR_F_MANDATORY);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3);
}

/* An endpoint of the virtio-iommu works only once it is attached. */
static void an_endpoint_has_to_be_attached(void **state)
{
    struct vr_vdev_desc d = desc;
    struct fake *f = &fake;

    (void)state;
    d.endpoint = true;
    d.transport &= ~VR_F_INDIRECT_DESC;
    memset(f, 0, sizeof(*f));
    vr_vdev_init(&f->m, &d, &ops, f, &f->stats);
    vr_vdev_set_device(&f->m, 0, disk, sizeof(disk));
    to_features_ok(f, VR_F_MANDATORY);
    assert_false(rd(f, VR_MMIO_STATUS) & VR_STATUS_FEATURES_OK);
    assert_int_equal(f->stats.failed, VR_FAIL_UNATTACHED);
    vr_vdev_attach(&f->m, true);
    wr_done(f, VR_MMIO_STATUS, 0);
    to_features_ok(f, VR_F_MANDATORY);
    assert_true(rd(f, VR_MMIO_STATUS) & VR_STATUS_FEATURES_OK);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
    /* what is not offered cannot be had */
    wr_done(f, VR_MMIO_STATUS, 0);
    to_features_ok(f, VR_F_MANDATORY | VR_F_INDIRECT_DESC);
    assert_false(rd(f, VR_MMIO_STATUS) & VR_STATUS_FEATURES_OK);
    /* attached, and driven with physical addresses all the same */
    wr_done(f, VR_MMIO_STATUS, 0);
    to_features_ok(f, VR_F_MANDATORY);
    queue_regs(f, 0, 128, 0x1000, 0x2000, 0x3000);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_true(rd(f, VR_MMIO_STATUS) & VR_STATUS_NEEDS_RESET);
    assert_int_equal(f->stats.failed, VR_FAIL_UNATTACHED);
}

/* ---- interrupts ---- */

static void s4_2_3_4_interrupt_and_ack(void **state)
{
    struct fake *f = running();

    (void)state;
    vr_vdev_interrupt(&f->m, 1);
    assert_int_equal(f->raised, 1);
    assert_int_equal(rd(f, VR_MMIO_INTERRUPT_STATUS), 1);
    vr_vdev_interrupt(&f->m, 1); /* pending already */
    assert_int_equal(f->raised, 1);
    wr_done(f, VR_MMIO_INTERRUPT_ACK, 2); /* not this one */
    assert_int_equal(vr_vdev_isr(&f->m), 1);
    assert_int_equal(f->lowered, 0);
    wr_done(f, VR_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(vr_vdev_isr(&f->m), 0);
    assert_int_equal(f->lowered, 1);
    wr_done(f, VR_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(f->lowered, 1);
    assert_int_equal(f->stats.interrupts, 1);
}

static void s4_2_3_4_second_cause_is_an_edge_of_its_own(void **state)
{
    uint8_t bigger[sizeof(disk)];
    struct fake *f = running();

    (void)state;
    memcpy(bigger, disk, sizeof(disk));
    bigger[1]++;
    vr_vdev_interrupt(&f->m, 1);
    vr_vdev_set_device(&f->m, BLK_F_BLK_SIZE, bigger, sizeof(bigger));
    assert_int_equal(f->raised, 2);
    assert_int_equal(rd(f, VR_MMIO_INTERRUPT_STATUS), 3);
    wr_done(f, VR_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(f->lowered, 0);
    wr_done(f, VR_MMIO_INTERRUPT_ACK, 2);
    assert_int_equal(f->lowered, 1);
}

static void s2_1_2_no_interrupt_before_driver_ok(void **state)
{
    uint8_t bigger[sizeof(disk)] = {1};
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    vr_vdev_interrupt(&f->m, 1);
    vr_vdev_set_device(&f->m, 0, bigger, sizeof(bigger));
    assert_int_equal(f->raised, 0);
    assert_int_equal(rd(f, VR_MMIO_INTERRUPT_STATUS), 0);
}

static void s2_5_config_generation(void **state)
{
    const uint8_t bigger[sizeof(disk)] = {1, 16, [21] = 2, [34] = 4};
    struct fake *f = running();
    uint32_t generation = rd(f, VR_MMIO_CONFIG_GENERATION);

    (void)state;
    /* the same again: a restarted backend */
    vr_vdev_set_device(&f->m, BLK_F_BLK_SIZE | BLK_F_MQ, disk, sizeof(disk));
    assert_int_equal(rd(f, VR_MMIO_CONFIG_GENERATION), generation);
    assert_int_equal(f->raised, 0);
    vr_vdev_set_device(&f->m, BLK_F_BLK_SIZE, bigger, sizeof(bigger));
    assert_int_not_equal(rd(f, VR_MMIO_CONFIG_GENERATION), generation);
    assert_int_equal(f->raised, 1);
    assert_int_equal(f->stats.config_changes, 1);
}

/* What a backend makes of a disk that is in use. */
static void a_disk_in_use_only_grows(void **state)
{
    static const uint8_t smaller[60] = {1, 15, [21] = 2, [34] = 4};
    static const uint8_t other[60] = {0, 17, [8] = 1, [21] = 16, [34] = 3};
    static const uint8_t huge[60] = {[6] = 64, [21] = 2, [34] = 4};
    const uint64_t features = BLK_F_BLK_SIZE | BLK_F_MQ;
    struct fake *f = running();

    (void)state;
    assert_int_equal(vr_blk_capacity(f->stats.config), 4096);
    assert_int_equal(vr_blk_block_size(f->stats.config), 512);
    vr_vdev_set_device(&f->m, features, smaller, sizeof(smaller));
    vr_vdev_set_device(&f->m, features, huge, sizeof(huge));
    vr_vdev_set_device(&f->m, features, disk, 0);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_CONFIG, 8), 4096);
    assert_int_equal(f->raised, 0);
    /* Of a description that is larger, the size counts and nothing else. */
    vr_vdev_set_device(&f->m, features, other, sizeof(other));
    assert_int_equal(f->raised, 1);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_CONFIG, 8), 17 * 256);
    assert_int_equal(vr_blk_capacity(f->stats.config), 17 * 256);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_CONFIG + 8, 4), 0);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_CONFIG + 20, 4), 512);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_CONFIG + 34, 2), 4);
    /* No driver, no promise. */
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    vr_vdev_set_device(&f->m, features, smaller, sizeof(smaller));
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_CONFIG, 8), 15 * 256 + 1);
}

/* ---- 2.4, reset ---- */

static void s2_4_reset_of_an_idle_device(void **state)
{
    struct fake *f = fresh();

    (void)state;
    wr_done(f, VR_MMIO_STATUS, 0);
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    /* no DRIVER_OK: the backend never heard of it */
    wr_done(f, VR_MMIO_STATUS, 0);
    assert_int_equal(f->published, 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
}

/* A virtio-iommu whose only queue was reset still has its mappings. */
static void s2_4_reset_waits_for_what_is_kept(void **state)
{
    struct vr_vdev_desc keeps = desc;
    struct fake *f = fresh();

    (void)state;
    keeps.keeps = true;
    vr_vdev_init(&f->m, &keeps, &ops, f, &f->stats);
    vr_vdev_set_device(&f->m, 0, disk, sizeof(disk));
    /* nothing was made: nothing to wait for */
    wr_done(f, VR_MMIO_STATUS, 0);
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    wr_done(f, VR_MMIO_STATUS, 15);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(wr(f, VR_MMIO_QUEUE_RESET, 1), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    assert_int_equal(f->req.run, 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    wr_done(f, VR_MMIO_STATUS, 0);
    /* the same after a driver has given up */
    to_features_ok(f, VR_F_TRANSPORT);
    wr_done(f, VR_MMIO_STATUS, 15);
    vr_vdev_quiesced(&f->m);
    wr_done(f, VR_MMIO_STATUS, 15 | VR_STATUS_FAILED);
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
}

/* FEATURES_OK and DRIVER_OK alone make a device work. */
static void s2_1_driver_that_never_said_so_can_fail(void **state)
{
    struct fake *f = fresh();

    (void)state;
    to_features_ok(f, VR_F_TRANSPORT);
    f->m.status &= ~(VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER);
    queue_up(f, 0);
    wr_done(f, VR_MMIO_STATUS, VR_STATUS_DRIVER_OK | VR_STATUS_FEATURES_OK);
    assert_int_equal(f->req.run, 1);
    vr_vdev_fail(&f->m, VR_FAIL_REVOKED);
    assert_true(rd(f, VR_MMIO_STATUS) & VR_STATUS_NEEDS_RESET);
    assert_int_equal(f->req.run, 0);
}

static void s2_4_reset_waits_and_others_go_on(void **state)
{
    struct fake *f = running();

    (void)state;
    vr_vdev_interrupt(&f->m, 1);
    /* vCPU 0 */
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    assert_int_equal(f->req.run, 0);
    assert_int_equal(f->req.q[0].epoch, 0);
    /* vCPU 1 sees a device that is not reset yet, and changes nothing */
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    assert_int_equal(rd(f, VR_MMIO_MAGIC), VR_MMIO_MAGIC_VALUE);
    wr_done(f, VR_MMIO_STATUS, 1);
    wr_done(f, VR_MMIO_QUEUE_NOTIFY, 0);
    wr_done(f, VR_MMIO_QUEUE_SEL, 1);
    wr_done(f, VR_MMIO_QUEUE_SIZE, 8);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(f->kicks[0], 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    vr_vdev_interrupt(&f->m, 1);
    /* it may wait as well */
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    assert_int_equal(wr(f, VR_MMIO_QUEUE_READY, 0), VR_VDEV_PENDING);
    assert_int_equal(wr(f, VR_MMIO_QUEUE_RESET, 1), VR_VDEV_PENDING);
    assert_int_equal(f->published, 2);
    vr_vdev_quiesced(&f->m);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    assert_int_equal(vr_vdev_isr(&f->m), 0);
    assert_int_equal(f->lowered, 1);
    wr_done(f, VR_MMIO_STATUS, 0);
}

static void s2_4_reset_overtakes_queue_reset(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(wr(f, VR_MMIO_QUEUE_RESET, 1), VR_VDEV_PENDING);
    assert_int_equal(wr(f, VR_MMIO_QUEUE_READY, 0), VR_VDEV_PENDING);
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    assert_int_equal(f->req.run, 0);
    vr_vdev_quiesced(&f->m);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
}

static void s2_4_idle_queue_stops_while_another_waits(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(wr(f, VR_MMIO_QUEUE_READY, 0), VR_VDEV_PENDING);
    wr_done(f, VR_MMIO_QUEUE_SEL, 1);
    wr_done(f, VR_MMIO_QUEUE_RESET, 1);
    assert_true(vr_vdev_waiting(&f->m));
    wr_done(f, VR_MMIO_QUEUE_SEL, 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
}

static void reset_times_out_and_recovers(void **state)
{
    struct fake *f = running();

    (void)state;
    vr_vdev_timeout(&f->m); /* nothing waits: nothing happens */
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_timeout(&f->m);
    assert_false(vr_vdev_waiting(&f->m));
    assert_true(vr_vdev_unquiet(&f->m));
    assert_int_equal(f->stats.failed, VR_FAIL_TIMEOUT);
    assert_int_equal(rd(f, VR_MMIO_STATUS), VR_STATUS_NEEDS_RESET);
    /* a new driver is refused ... */
    wr_done(f, VR_MMIO_STATUS, 3);
    set_features(f, VR_F_TRANSPORT);
    add_status(f, VR_STATUS_FEATURES_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3 | VR_STATUS_NEEDS_RESET);
    /* ... a reset waits again ... */
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    /* ... until the backend answers */
    vr_vdev_quiesced(&f->m);
    assert_false(vr_vdev_unquiet(&f->m));
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
    to_features_ok(f, VR_F_TRANSPORT);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
}

static void late_answer_after_timeout(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_timeout(&f->m);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
}

static void queue_stop_times_out(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(wr(f, VR_MMIO_QUEUE_READY, 0), VR_VDEV_PENDING);
    vr_vdev_timeout(&f->m);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15 | VR_STATUS_NEEDS_RESET);
    assert_int_equal(f->req.run, 0);
    /* 2.1.2: the driver is told */
    assert_int_equal(vr_vdev_isr(&f->m), VR_INT_CONFIG);
    /* the answer alone does not heal a device in use */
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15 | VR_STATUS_NEEDS_RESET);
    wr_done(f, VR_MMIO_STATUS, 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
}

/* ---- failures of the backend ---- */

static void driver_domain_gone(void **state)
{
    struct fake *f = running();

    (void)state;
    vr_vdev_fail(&f->m, VR_FAIL_GONE);
    assert_int_equal(f->stats.failed, VR_FAIL_GONE);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15 | VR_STATUS_NEEDS_RESET);
    /* a running disk does not shrink to nothing */
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 4), 4096);
    /* nobody to wait for */
    wr_done(f, VR_MMIO_QUEUE_READY, 0);
    wr_done(f, VR_MMIO_STATUS, 0);
    /* 2.4.1: drivers wait for that ... */
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_GONE);
    /* ... and the next one is told */
    wr_done(f, VR_MMIO_STATUS, VR_STATUS_ACKNOWLEDGE);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 1 | VR_STATUS_NEEDS_RESET);
    to_features_ok(f, VR_F_TRANSPORT);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 3 | VR_STATUS_NEEDS_RESET);
}

static void driver_domain_gone_during_reset(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_fail(&f->m, VR_FAIL_GONE);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);

    f = running();
    assert_int_equal(wr(f, VR_MMIO_QUEUE_RESET, 1), VR_VDEV_PENDING);
    vr_vdev_fail(&f->m, VR_FAIL_GONE);
    assert_false(vr_vdev_waiting(&f->m));
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
}

static void backend_fails_and_comes_back(void **state)
{
    struct fake *f = running();

    (void)state;
    vr_vdev_fail(&f->m, VR_FAIL_BACKEND);
    assert_int_equal(f->stats.failed, VR_FAIL_BACKEND);
    assert_int_equal(vr_vdev_isr(&f->m), VR_INT_CONFIG);
    assert_int_equal(f->req.run, 0);
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    to_features_ok(f, VR_F_TRANSPORT);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 11);
}

static void gone_and_described_again(void **state)
{
    struct fake *f = fresh();

    (void)state;
    vr_vdev_fail(&f->m, VR_FAIL_GONE); /* no driver: nothing to reset */
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    vr_vdev_set_device(&f->m, BLK_F_BLK_SIZE, disk, sizeof(disk));
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
    to_features_ok(f, VR_F_TRANSPORT);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 11);
}

static void backend_takes_a_feature_away(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(vr_vdev_set_device(&f->m, 0, disk, sizeof(disk)), -71);
    assert_int_equal(f->stats.failed, VR_FAIL_BACKEND);
    assert_true(rd(f, VR_MMIO_STATUS) & VR_STATUS_NEEDS_RESET);
    assert_int_equal(f->req.run, 0);
}

static void overlong_config_is_cut(void **state)
{
    static const uint8_t big[VR_CONFIG_LEN + 64] = {7};
    struct fake *f = fresh();

    (void)state;
    vr_vdev_set_device(&f->m, 0, big, sizeof(big));
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 1), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s2_1_driver_cannot_clear_bits),
        cmocka_unit_test(s2_1_failed_stops_the_device),
        cmocka_unit_test(s3_1_1_driver_ok_needs_features_ok),
        cmocka_unit_test(s2_2_offered),
        cmocka_unit_test(s6_mandatory_features),
        cmocka_unit_test(s2_2_not_offered_is_refused),
        cmocka_unit_test(s2_2_1_settled_after_features_ok),
        cmocka_unit_test(undescribed_device_cannot_be_driven),
        cmocka_unit_test(s4_2_3_4_interrupt_and_ack),
        cmocka_unit_test(s4_2_3_4_second_cause_is_an_edge_of_its_own),
        cmocka_unit_test(s2_1_2_no_interrupt_before_driver_ok),
        cmocka_unit_test(s2_5_config_generation),
        cmocka_unit_test(a_disk_in_use_only_grows),
        cmocka_unit_test(s2_4_reset_of_an_idle_device),
        cmocka_unit_test(s2_4_reset_waits_for_what_is_kept),
        cmocka_unit_test(s2_1_driver_that_never_said_so_can_fail),
        cmocka_unit_test(s2_4_reset_waits_and_others_go_on),
        cmocka_unit_test(s2_4_reset_overtakes_queue_reset),
        cmocka_unit_test(s2_4_idle_queue_stops_while_another_waits),
        cmocka_unit_test(reset_times_out_and_recovers),
        cmocka_unit_test(late_answer_after_timeout),
        cmocka_unit_test(queue_stop_times_out),
        cmocka_unit_test(driver_domain_gone),
        cmocka_unit_test(driver_domain_gone_during_reset),
        cmocka_unit_test(backend_fails_and_comes_back),
        cmocka_unit_test(gone_and_described_again),
        cmocka_unit_test(backend_takes_a_feature_away),
        cmocka_unit_test(overlong_config_is_cut),
        cmocka_unit_test(an_endpoint_has_to_be_attached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

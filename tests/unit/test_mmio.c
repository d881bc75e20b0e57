/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The register model. Names of tests cite virtio 1.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/transport/mmio/regs.h"
#include "libs/types/block/request.h"

#define WIN  UINT64_C(0x48000000)
#define SIZE UINT64_C(0x100000)

#define BLK_F_BLK_SIZE (UINT64_C(1) << 6)
#define BLK_F_MQ       (UINT64_C(1) << 12)

struct fake {
    struct vr_vdev m;
    struct vr_stats_dev stats;
    struct vr_ctrl_request req;
    unsigned int published;
    unsigned int kicks[VR_MAX_QUEUES];
    unsigned int raised, lowered;
    unsigned int config_writes;
    uint64_t config_value;
};

static void on_notify(void *ctx, unsigned int queue)
{
    struct fake *f = ctx;

    assert_true(queue < VR_MAX_QUEUES);
    f->kicks[queue]++;
}

static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    struct fake *f = ctx;

    f->req = *req;
    f->published++;
}

static void on_irq(void *ctx, bool raise)
{
    struct fake *f = ctx;

    if (raise)
        f->raised++;
    else
        f->lowered++;
}

static void on_config(void *ctx, unsigned int off, unsigned int size,
                      uint64_t value)
{
    struct fake *f = ctx;

    assert_true(off + size <= VR_CONFIG_LEN);
    f->config_writes++;
    f->config_value = value;
}

static const struct vr_vdev_ops ops = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
};

static const struct vr_vdev_ops ops_config = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
    .config_write = on_config,
};

static const struct vr_vdev_desc desc = {
    .device_id = 2,
    .nqueues = 4,
    .queue_size_max = 128,
    .transport = VR_F_TRANSPORT,
    .mandatory = VR_F_MANDATORY,
    .nranges = 1,
    .range = {{.base = WIN, .size = SIZE}},
};

/* A disk of 4096 sectors with blocks of 512 bytes. */
static const uint8_t disk[60] = {0, 16, [20] = 0, [21] = 2, [34] = 4};

static struct fake fake;

static struct fake *fresh_with(const struct vr_vdev_ops *o)
{
    memset(&fake, 0, sizeof(fake));
    vr_vdev_init(&fake.m, &desc, o, &fake, &fake.stats);
    assert_int_equal(vr_vdev_set_device(&fake.m, BLK_F_BLK_SIZE | BLK_F_MQ,
                                        disk, sizeof(disk)),
                     0);
    return &fake;
}

static struct fake *fresh(void)
{
    return fresh_with(&ops);
}

static uint32_t rd(struct fake *f, uint32_t off)
{
    return vr_mmio_read(&f->m, off, 4);
}

static enum vr_vdev_result wr(struct fake *f, uint32_t off, uint32_t value)
{
    return vr_mmio_write(&f->m, off, 4, value);
}

static void wr_done(struct fake *f, uint32_t off, uint32_t value)
{
    assert_int_equal(wr(f, off, value), VR_VDEV_DONE);
}

static void set_features(struct fake *f, uint64_t features)
{
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 1);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, features >> 32);
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 0);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, features);
}

static uint64_t get_features(struct fake *f)
{
    uint64_t v;

    wr_done(f, VR_MMIO_DEVICE_FEATURES_SEL, 1);
    v = (uint64_t)rd(f, VR_MMIO_DEVICE_FEATURES) << 32;
    wr_done(f, VR_MMIO_DEVICE_FEATURES_SEL, 0);
    return v | rd(f, VR_MMIO_DEVICE_FEATURES);
}

static void add_status(struct fake *f, uint32_t bit)
{
    wr_done(f, VR_MMIO_STATUS, rd(f, VR_MMIO_STATUS) | bit);
}

static void to_features_ok(struct fake *f, uint64_t features)
{
    wr_done(f, VR_MMIO_STATUS, 0);
    add_status(f, VR_STATUS_ACKNOWLEDGE);
    add_status(f, VR_STATUS_DRIVER);
    set_features(f, features);
    add_status(f, VR_STATUS_FEATURES_OK);
}

static void queue_regs(struct fake *f, unsigned int q, uint32_t size,
                       uint64_t d, uint64_t a, uint64_t u)
{
    wr_done(f, VR_MMIO_QUEUE_SEL, q);
    wr_done(f, VR_MMIO_QUEUE_SIZE, size);
    wr_done(f, VR_MMIO_QUEUE_DESC_LOW, d);
    wr_done(f, VR_MMIO_QUEUE_DESC_HIGH, d >> 32);
    wr_done(f, VR_MMIO_QUEUE_DRIVER_LOW, a);
    wr_done(f, VR_MMIO_QUEUE_DRIVER_HIGH, a >> 32);
    wr_done(f, VR_MMIO_QUEUE_DEVICE_LOW, u);
    wr_done(f, VR_MMIO_QUEUE_DEVICE_HIGH, u >> 32);
}

static void queue_up(struct fake *f, unsigned int q)
{
    uint64_t base = WIN + q * 0x4000;

    queue_regs(f, q, 128, base, base + 0x1000, base + 0x2000);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
}

/* Up to DRIVER_OK with one queue. */
static struct fake *running(void)
{
    struct fake *f = fresh();

    to_features_ok(f, VR_F_TRANSPORT | BLK_F_BLK_SIZE);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    assert_int_equal(f->req.run, 1);
    return f;
}

/* ---- 4.2.2, registers ---- */

static void s4_2_2_identity(void **state)
{
    struct fake *f = fresh();

    (void)state;
    assert_int_equal(rd(f, VR_MMIO_MAGIC), 0x74726976);
    assert_int_equal(rd(f, VR_MMIO_VERSION), 2);
    assert_int_equal(rd(f, VR_MMIO_DEVICE_ID), 2);
    assert_int_equal(rd(f, VR_MMIO_VENDOR_ID), VR_MMIO_VENDOR);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
}

static void s4_2_2_shm_registers_say_none(void **state)
{
    struct fake *f = fresh();
    uint32_t off;

    (void)state;
    wr_done(f, VR_MMIO_SHM_SEL, 0);
    for (off = VR_MMIO_SHM_LEN_LOW; off <= VR_MMIO_SHM_BASE_HIGH; off += 4)
        assert_int_equal(rd(f, off), UINT32_MAX);
}

static void s4_2_2_only_aligned_words(void **state)
{
    static const unsigned int sizes[] = {0, 1, 2, 3, 8, 16};
    struct fake *f = fresh();
    uint64_t bad;
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(sizes); i++) {
        bad = f->stats.bad_accesses;
        assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_MAGIC, sizes[i]), 0);
        assert_int_equal(vr_mmio_write(&f->m, VR_MMIO_STATUS, sizes[i], 1),
                         VR_VDEV_DONE);
        assert_int_equal(f->stats.bad_accesses, bad + 2);
    }
    assert_int_equal(vr_mmio_read(&f->m, 2, 4), 0);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_SIZE, 4), 0);
    assert_int_equal(vr_mmio_read(&f->m, UINT64_MAX - 1, 4), 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
}

static void s4_2_2_write_only_read_only_and_holes(void **state)
{
    static const uint32_t wo[] = {
        VR_MMIO_DEVICE_FEATURES_SEL,
        VR_MMIO_DRIVER_FEATURES,
        VR_MMIO_QUEUE_SEL,
        VR_MMIO_QUEUE_SIZE,
        VR_MMIO_QUEUE_NOTIFY,
        VR_MMIO_INTERRUPT_ACK,
        VR_MMIO_QUEUE_DESC_LOW,
        VR_MMIO_QUEUE_DEVICE_HIGH,
        0x018,
        0x0f8,
    };
    static const uint32_t ro[] = {
        VR_MMIO_MAGIC,
        VR_MMIO_DEVICE_ID,
        VR_MMIO_DEVICE_FEATURES,
        VR_MMIO_QUEUE_SIZE_MAX,
        VR_MMIO_INTERRUPT_STATUS,
        VR_MMIO_CONFIG_GENERATION,
    };
    struct fake *f = fresh();
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(wo); i++)
        assert_int_equal(rd(f, wo[i]), 0);
    for (i = 0; i < VR_ARRAY_SIZE(ro); i++) {
        uint32_t was = rd(f, ro[i]);

        wr_done(f, ro[i], 0x5a5a5a5a);
        assert_int_equal(rd(f, ro[i]), was);
    }
    assert_true(f->stats.bad_accesses >= 2);
}

static void s4_2_2_config_space_widths(void **state)
{
    struct fake *f = fresh();

    (void)state;
    assert_int_equal(vr_mmio_read(&f->m, 0x101, 1), 16);
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 2), 4096);
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 4), 4096);
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 8), 4096);
    assert_int_equal(vr_mmio_read(&f->m, 0x114, 4), 512);
    /* behind what the backend described, and at the very end */
    assert_int_equal(vr_mmio_read(&f->m, 0x180, 8), 0);
    assert_int_equal(vr_mmio_read(&f->m, 0x1ff, 1), 0);
    assert_int_equal(f->stats.bad_accesses, 0);
    assert_int_equal(vr_mmio_read(&f->m, 0x1ff, 2), 0);
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 3), 0);
    assert_int_equal(f->stats.bad_accesses, 2);
}

static void s4_2_2_config_writes_only_where_the_type_allows(void **state)
{
    struct fake *f = running();

    (void)state;
    assert_int_equal(vr_mmio_write(&f->m, 0x100, 4, 1), VR_VDEV_DONE);
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 4), 4096);
    assert_int_equal(f->stats.bad_accesses, 1);

    f = fresh_with(&ops_config);
    vr_mmio_write(&f->m, 0x100, 2, 0x12345);
    assert_int_equal(f->config_writes, 0); /* not before DRIVER_OK */
    to_features_ok(f, VR_F_MANDATORY);
    add_status(f, VR_STATUS_DRIVER_OK);
    vr_mmio_write(&f->m, 0x100, 2, 0x12345);
    assert_int_equal(f->config_writes, 1);
    assert_int_equal(f->config_value, 0x2345);
    vr_mmio_write(&f->m, 0x100, 8, UINT64_MAX);
    assert_true(f->config_value == UINT64_MAX);
}

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

/* ---- interrupts ---- */

static void s4_2_3_4_interrupt_and_ack(void **state)
{
    struct fake *f = running();

    (void)state;
    vr_vdev_interrupt(&f->m);
    assert_int_equal(f->raised, 1);
    assert_int_equal(rd(f, VR_MMIO_INTERRUPT_STATUS), 1);
    vr_vdev_interrupt(&f->m); /* pending already */
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
    vr_vdev_interrupt(&f->m);
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
    vr_vdev_interrupt(&f->m);
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
    vr_vdev_interrupt(&f->m);
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
    vr_vdev_interrupt(&f->m);
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

/* ---- Linux ---- */

/* virtio_mmio_probe(), register_virtio_device(), virtio_dev_probe() and
 * virtio_blk's probe up to its queues, as in 6.12. */
static void linux_probe(struct fake *f, uint64_t rings)
{
    uint64_t features;

    assert_int_equal(rd(f, VR_MMIO_MAGIC), 0x74726976);
    assert_int_equal(rd(f, VR_MMIO_VERSION), 2);
    assert_int_equal(rd(f, VR_MMIO_DEVICE_ID), 2);
    rd(f, VR_MMIO_VENDOR_ID);
    wr_done(f, VR_MMIO_STATUS, 0);
    add_status(f, VR_STATUS_ACKNOWLEDGE);
    add_status(f, VR_STATUS_DRIVER);
    features = get_features(f) & ~VR_F_RING_RESET;
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 1);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, features >> 32);
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 0);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, features);
    add_status(f, VR_STATUS_FEATURES_OK);
    assert_true(rd(f, VR_MMIO_STATUS) & VR_STATUS_FEATURES_OK);
    assert_int_equal(vr_mmio_read(&f->m, 0x100 + 34, 2), 4); /* num_queues */
    wr_done(f, VR_MMIO_QUEUE_SEL, 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_SIZE_MAX), 128);
    queue_regs(f, 0, 128, rings, rings + 0x800, rings + 0x1000);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
}

static void linux_remove(struct fake *f)
{
    assert_int_equal(wr(f, VR_MMIO_STATUS, 0), VR_VDEV_PENDING);
    vr_vdev_quiesced(&f->m);
    wr_done(f, VR_MMIO_QUEUE_SEL, 0);
    wr_done(f, VR_MMIO_QUEUE_READY, 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 0);
    add_status(f, VR_STATUS_ACKNOWLEDGE);
}

static void linux_bind_and_unbind(void **state)
{
    struct fake *f = fresh();
    unsigned int i;

    (void)state;
    for (i = 1; i <= 3; i++) {
        linux_probe(f, WIN);
        assert_int_equal(vr_mmio_read(&f->m, 0x100 + 20, 4), 512);
        add_status(f, VR_STATUS_DRIVER_OK);
        assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
        wr_done(f, VR_MMIO_QUEUE_NOTIFY, 0);
        assert_int_equal(f->kicks[0], i);
        vr_vdev_interrupt(&f->m);
        assert_int_equal(rd(f, VR_MMIO_INTERRUPT_STATUS), 1);
        wr_done(f, VR_MMIO_INTERRUPT_ACK, 1);
        linux_remove(f);
    }
    assert_int_equal(f->stats.bad_accesses, 0);
    assert_int_equal(f->stats.faults, 0);
}

/* A kernel without the pool: see blind_config() in mmio.c. */
static void linux_without_the_pool(void **state)
{
    struct fake *f = fresh();

    (void)state;
    linux_probe(f, UINT64_C(0x41000000));
    assert_int_equal(f->stats.failed, VR_FAIL_OUTSIDE);
    assert_true(f->stats.fault_addr == UINT64_C(0x41000000));
    assert_int_equal(vr_mmio_read(&f->m, 0x100, 8), 0);
    assert_int_equal(vr_mmio_read(&f->m, 0x100 + 20, 4), 1);
    assert_int_equal(vr_mmio_read(&f->m, 0x100 + 20, 8), 1);
    assert_int_equal(vr_mmio_read(&f->m, 0x100 + 34, 2), 0);
    /* the probe fails: vm_del_vqs(), FAILED */
    wr_done(f, VR_MMIO_QUEUE_SEL, 0);
    wr_done(f, VR_MMIO_QUEUE_READY, 0);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 0);
    add_status(f, VR_STATUS_FAILED);
    assert_int_equal(f->published, 0);
    assert_int_equal(f->stats.failed, VR_FAIL_OUTSIDE);
    /* kexec into a better kernel */
    linux_probe(f, WIN);
    assert_int_equal(vr_mmio_read(&f->m, 0x100 + 20, 4), 512);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    assert_int_equal(f->stats.failed, VR_FAIL_NONE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s4_2_2_identity),
        cmocka_unit_test(s4_2_2_shm_registers_say_none),
        cmocka_unit_test(s4_2_2_only_aligned_words),
        cmocka_unit_test(s4_2_2_write_only_read_only_and_holes),
        cmocka_unit_test(s4_2_2_config_space_widths),
        cmocka_unit_test(s4_2_2_config_writes_only_where_the_type_allows),
        cmocka_unit_test(s2_1_driver_cannot_clear_bits),
        cmocka_unit_test(s2_1_failed_stops_the_device),
        cmocka_unit_test(s3_1_1_driver_ok_needs_features_ok),
        cmocka_unit_test(s2_2_offered),
        cmocka_unit_test(s6_mandatory_features),
        cmocka_unit_test(s2_2_not_offered_is_refused),
        cmocka_unit_test(s2_2_1_settled_after_features_ok),
        cmocka_unit_test(undescribed_device_cannot_be_driven),
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
        cmocka_unit_test(linux_bind_and_unbind),
        cmocka_unit_test(linux_without_the_pool),
        cmocka_unit_test(an_endpoint_has_to_be_attached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

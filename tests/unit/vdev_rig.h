/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device for the tests of the device model, and a driver's steps by the
 * registers of virtio-mmio. What the model asks for is counted. */
#ifndef TESTS_VDEV_RIG_H
#define TESTS_VDEV_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/transport/mmio/regs.h"

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

static inline void on_notify(void *ctx, unsigned int queue)
{
    struct fake *f = ctx;

    assert_true(queue < VR_MAX_QUEUES);
    f->kicks[queue]++;
}

static inline void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    struct fake *f = ctx;

    f->req = *req;
    f->published++;
}

static inline void on_irq(void *ctx, bool raise)
{
    struct fake *f = ctx;

    if (raise)
        f->raised++;
    else
        f->lowered++;
}

static inline void on_config(void *ctx, unsigned int off, unsigned int size,
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

static inline struct fake *fresh_with(const struct vr_vdev_ops *o)
{
    memset(&fake, 0, sizeof(fake));
    vr_vdev_init(&fake.m, &desc, o, &fake, &fake.stats);
    assert_int_equal(vr_vdev_set_device(&fake.m, BLK_F_BLK_SIZE | BLK_F_MQ,
                                        disk, sizeof(disk)),
                     0);
    return &fake;
}

/* One whose queues can have bells of their own. */
static inline struct fake *fresh_bells(uint16_t domid)
{
    struct vr_vdev_desc d = desc;

    d.bells = true;
    d.backend_domid = domid;
    fresh_with(&ops);
    vr_vdev_init(&fake.m, &d, &ops, &fake, &fake.stats);
    assert_int_equal(vr_vdev_set_device(&fake.m, BLK_F_BLK_SIZE | BLK_F_MQ,
                                        disk, sizeof(disk)),
                     0);
    return &fake;
}

static inline struct fake *fresh(void)
{
    return fresh_with(&ops);
}

static inline uint32_t rd(struct fake *f, uint32_t off)
{
    return vr_mmio_read(&f->m, off, 4);
}

static inline enum vr_vdev_result wr(struct fake *f, uint32_t off,
                                     uint32_t value)
{
    return vr_mmio_write(&f->m, off, 4, value);
}

static inline void wr_done(struct fake *f, uint32_t off, uint32_t value)
{
    assert_int_equal(wr(f, off, value), VR_VDEV_DONE);
}

static inline void set_features(struct fake *f, uint64_t features)
{
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 1);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, features >> 32);
    wr_done(f, VR_MMIO_DRIVER_FEATURES_SEL, 0);
    wr_done(f, VR_MMIO_DRIVER_FEATURES, features);
}

static inline uint64_t get_features(struct fake *f)
{
    uint64_t v;

    wr_done(f, VR_MMIO_DEVICE_FEATURES_SEL, 1);
    v = (uint64_t)rd(f, VR_MMIO_DEVICE_FEATURES) << 32;
    wr_done(f, VR_MMIO_DEVICE_FEATURES_SEL, 0);
    return v | rd(f, VR_MMIO_DEVICE_FEATURES);
}

static inline void add_status(struct fake *f, uint32_t bit)
{
    wr_done(f, VR_MMIO_STATUS, rd(f, VR_MMIO_STATUS) | bit);
}

static inline void to_features_ok(struct fake *f, uint64_t features)
{
    wr_done(f, VR_MMIO_STATUS, 0);
    add_status(f, VR_STATUS_ACKNOWLEDGE);
    add_status(f, VR_STATUS_DRIVER);
    set_features(f, features);
    add_status(f, VR_STATUS_FEATURES_OK);
}

static inline void queue_regs(struct fake *f, unsigned int q, uint32_t size,
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

static inline void queue_up(struct fake *f, unsigned int q)
{
    uint64_t base = WIN + q * 0x4000;

    queue_regs(f, q, 128, base, base + 0x1000, base + 0x2000);
    wr_done(f, VR_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VR_MMIO_QUEUE_READY), 1);
}

/* Up to DRIVER_OK with one queue. */
static inline struct fake *running(void)
{
    struct fake *f = fresh();

    to_features_ok(f, VR_F_TRANSPORT | BLK_F_BLK_SIZE);
    queue_up(f, 0);
    add_status(f, VR_STATUS_DRIVER_OK);
    assert_int_equal(rd(f, VR_MMIO_STATUS), 15);
    assert_int_equal(f->req.run, 1);
    return f;
}

#endif /* TESTS_VDEV_RIG_H */

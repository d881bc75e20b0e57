/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/transport/ioreq.h"
#include "libs/transport/mmio/regs.h"

#define BASE0 UINT64_C(0x02000000)
#define BASE1 UINT64_C(0x02000600)

static struct vr_vdev vdev[2];
static struct vr_stats_dev stats[2];
static const struct ioreq_place devs[2] = {
    {BASE0, VR_MMIO_SIZE, &vr_mmio_face, &vdev[0], NULL, false},
    {BASE1, VR_MMIO_SIZE, &vr_mmio_face, &vdev[1], NULL, false},
};

static void on_notify(void *ctx, unsigned int queue)
{
    (void)ctx;
    (void)queue;
}

static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    (void)ctx;
    (void)req;
}

static void on_irq(void *ctx, bool raise)
{
    (void)ctx;
    (void)raise;
}

static const struct vr_vdev_ops ops = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
};

static int setup(void **state)
{
    static const uint8_t config[4] = {1, 2, 3, 4};
    const struct vr_vdev_desc desc = {
        .device_id = 2,
        .nqueues = 1,
        .queue_size_max = 16,
        .transport = VR_F_TRANSPORT,
        .mandatory = VR_F_MANDATORY,
        .nranges = 1,
        .range = {{.base = 0x40000000, .size = 0x10000}},
    };
    unsigned int i;

    (void)state;
    memset(stats, 0, sizeof(stats));
    for (i = 0; i < 2; i++) {
        vr_vdev_init(&vdev[i], &desc, &ops, NULL, &stats[i]);
        vr_vdev_set_device(&vdev[i], 0, config, sizeof(config));
    }
    return 0;
}

static ioreq_t access_at(uint64_t addr, uint32_t size, int dir)
{
    const ioreq_t req = {
        .addr = addr,
        .size = size,
        .count = 1,
        .dir = dir,
        .type = IOREQ_TYPE_COPY,
        .state = STATE_IOREQ_READY,
        .data = UINT64_C(0xffffffff00000003),
    };

    return req;
}

static int find(const ioreq_t *req)
{
    return ioreq_find(devs, 2, req);
}

static void device_by_address(void **state)
{
    static const struct {
        uint64_t addr;
        int dev;
    } at[] = {
        {BASE0, 0},
        {BASE0 + 0x1fc, 0},
        {BASE0 + 0x1fd, -1}, /* four bytes do not fit */
        {BASE0 + 0x200, -1},
        {BASE0 - 4, -1},
        {BASE1 - 4, -1},
        {BASE1, 1},
        {BASE1 + 0x1fc, 1},
        {BASE1 + 0x200, -1},
        {0, -1},
        {UINT64_MAX, -1},
        {UINT64_MAX - 3, -1},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(at); i++) {
        ioreq_t req = access_at(at[i].addr, 4, IOREQ_READ);

        assert_int_equal(find(&req), at[i].dev);
    }
}

static void only_plain_accesses(void **state)
{
    static const uint32_t bad[] = {0, 3, 5, 16, 64, UINT32_MAX};
    ioreq_t req;
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        req = access_at(BASE0, bad[i], IOREQ_READ);
        assert_int_equal(find(&req), -1);
    }
    req = access_at(BASE0, 4, IOREQ_READ);
    req.data_is_ptr = 1;
    assert_int_equal(find(&req), -1);
    req = access_at(BASE0, 4, IOREQ_READ);
    req.type = IOREQ_TYPE_PIO;
    assert_int_equal(find(&req), -1);
    req.type = IOREQ_TYPE_INVALIDATE;
    assert_int_equal(find(&req), -1);
}

static void reads_and_writes(void **state)
{
    ioreq_t req = access_at(BASE1, 4, IOREQ_READ);

    (void)state;
    assert_int_equal(ioreq_exec(&devs[1], &req), VR_VDEV_DONE);
    assert_int_equal(req.data, VR_MMIO_MAGIC_VALUE);
    /* what stands above the size in the guest's register is not written */
    req = access_at(BASE1 + VR_MMIO_STATUS, 4, IOREQ_WRITE);
    assert_int_equal(ioreq_exec(&devs[1], &req), VR_VDEV_DONE);
    assert_int_equal(vr_mmio_read(&vdev[1], VR_MMIO_STATUS, 4), 3);
    assert_int_equal(stats[0].mmio_reads + stats[0].mmio_writes, 0);
    req = access_at(BASE0 + 0x100, 8, IOREQ_READ);
    assert_int_equal(ioreq_exec(&devs[0], &req), VR_VDEV_DONE);
    assert_int_equal(req.data, 0x04030201);
}

static void repeated_accesses_stay_inside(void **state)
{
    ioreq_t req = access_at(BASE0 + 0x100, 1, IOREQ_READ);

    (void)state;
    req.count = 4;
    assert_int_equal(find(&req), 0);
    assert_int_equal(ioreq_exec(&devs[0], &req), VR_VDEV_DONE);
    assert_int_equal(req.data, 4); /* the last one's */
    req.addr += 3;
    req.df = 1;
    assert_int_equal(find(&req), 0);
    ioreq_exec(&devs[0], &req);
    assert_int_equal(req.data, 1);
    assert_int_equal(stats[0].mmio_reads, 8);

    req.df = 0;
    req.addr = BASE0;
    req.count = 0x200;
    assert_int_equal(find(&req), 0);
    req.addr++;
    assert_int_equal(find(&req), -1);
    req.addr = BASE0;
    req.count = 0x201;
    assert_int_equal(find(&req), -1);
    req.count = UINT32_MAX;
    assert_int_equal(find(&req), -1);
    req.count = 0;
    assert_int_equal(find(&req), -1);
    req.count = 2;
    req.df = 1; /* downwards, out of the first register */
    assert_int_equal(find(&req), -1);
    req.addr = BASE0 + 1;
    assert_int_equal(find(&req), 0);
}

/* Configuration space has addresses of its own. */
static void config_is_no_memory(void **state)
{
    const struct ioreq_place places[] = {
        {BASE0, VR_MMIO_SIZE, &vr_mmio_face, &vdev[0], NULL, false},
        {BASE0, 0x100, &vr_mmio_face, &vdev[1], NULL, true},
    };
    ioreq_t req = access_at(BASE0 + 0xfc, 4, IOREQ_READ);

    (void)state;
    assert_int_equal(ioreq_find(places, 2, &req), 0);
    req.type = IOREQ_TYPE_PCI_CONFIG;
    assert_int_equal(ioreq_find(places, 2, &req), 1);
    req.addr++;
    assert_int_equal(ioreq_find(places, 2, &req), -1);
    req.addr = BASE0 + UINT64_C(0x100000000);
    assert_int_equal(ioreq_find(places, 2, &req), -1);
    req.addr = BASE0;
    req.data_is_ptr = 1;
    assert_int_equal(ioreq_find(places, 2, &req), -1);
}

static void empty_bus(void **state)
{
    ioreq_t req = access_at(0x1000, 4, IOREQ_READ);

    (void)state;
    ioreq_refuse(&req);
    assert_true(req.data == UINT64_MAX);
    req = access_at(0x1000, 4, IOREQ_WRITE);
    ioreq_refuse(&req);
    assert_true(req.data == UINT64_C(0xffffffff00000003));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(device_by_address, setup),
        cmocka_unit_test_setup(only_plain_accesses, setup),
        cmocka_unit_test_setup(reads_and_writes, setup),
        cmocka_unit_test_setup(repeated_accesses_stay_inside, setup),
        cmocka_unit_test_setup(config_is_no_memory, setup),
        cmocka_unit_test_setup(empty_bus, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

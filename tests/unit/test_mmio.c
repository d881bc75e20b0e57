/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registers of virtio-mmio, and Linux as it drives a device by them. Names
 * of tests cite virtio 1.2. */
#include "vdev_rig.h"

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
        vr_vdev_interrupt(&f->m, 1);
        assert_int_equal(rd(f, VR_MMIO_INTERRUPT_STATUS), 1);
        wr_done(f, VR_MMIO_INTERRUPT_ACK, 1);
        linux_remove(f);
    }
    assert_int_equal(f->stats.bad_accesses, 0);
    assert_int_equal(f->stats.faults, 0);
}

/* A kernel without the pool: see blind_config() in vdev.c. */
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

/* A driver finds out by reading; one that does not look sees no difference. */
static void doorbell_says_for_whom(void **state)
{
    struct fake *f = fresh_bells(0x7ff0);

    (void)state;
    assert_int_equal(rd(f, VR_MMIO_QUEUE_DOORBELL), 0x80007ff0);
    assert_int_equal(vr_mmio_read(&f->m, VR_MMIO_QUEUE_DOORBELL, 2), 0);
    assert_int_equal(f->stats.bad_accesses, 1);
    f = fresh();
    assert_int_equal(rd(f, VR_MMIO_QUEUE_DOORBELL), 0);
    wr_done(f, VR_MMIO_QUEUE_DOORBELL, 3);
    assert_int_equal(f->stats.bad_accesses, 2);
    assert_int_equal(f->m.q[0].port, 0);
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
        cmocka_unit_test(linux_bind_and_unbind),
        cmocka_unit_test(linux_without_the_pool),
        cmocka_unit_test(doorbell_says_for_whom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

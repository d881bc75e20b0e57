/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "libs/proto/ctrl.h"

static struct vr_ctrl_page page;

static int fresh(void **state)
{
    (void)state;
    vr_ctrl_init(&page);
    return 0;
}

static struct vr_ctrl_request one_queue(void)
{
    struct vr_ctrl_request req = {
        .run = 1,
        .nqueues = 1,
        .features = 1,
        .q[0] = {.desc = 0x1000,
                 .driver = 0x2000,
                 .device = 0x3000,
                 .size = 128,
                 .epoch = 7},
    };

    return req;
}

static void check_magic(void **state)
{
    (void)state;
    assert_int_equal(vr_ctrl_check(&page), 0);
    page.magic ^= 1;
    assert_int_equal(vr_ctrl_check(&page), -EPROTO);
    page.magic ^= 1;
    page.version++;
    assert_int_equal(vr_ctrl_check(&page), -EPROTO);
}

static void publish_take_ack(void **state)
{
    struct vr_ctrl_request req = one_queue(), got;
    uint32_t gen, g;

    (void)state;
    /* Nothing yet: an empty request. */
    assert_int_equal(vr_ctrl_take(&page, &got, &g), 0);
    assert_int_equal(g, 0);
    assert_int_equal(got.run, 0);

    gen = vr_ctrl_publish(&page, &req);
    assert_true(gen && !(gen & 1));
    assert_false(vr_ctrl_acked(&page, gen));
    assert_int_equal(vr_ctrl_take(&page, &got, &g), 0);
    assert_int_equal(g, gen);
    assert_memory_equal(&got, &req, sizeof(req));
    vr_ctrl_ack(&page, g);
    assert_true(vr_ctrl_acked(&page, gen));

    assert_int_equal(vr_ctrl_publish(&page, &req), gen + 2);
}

static void generation_skips_zero(void **state)
{
    struct vr_ctrl_request req = one_queue();

    (void)state;
    page.generation = 0xfffffffe;
    assert_int_equal(vr_ctrl_publish(&page, &req), 2);
}

static void busy_writer(void **state)
{
    struct vr_ctrl_request got;
    struct vr_ctrl_device dev;
    uint32_t g;

    (void)state;
    page.generation = 5;
    assert_int_equal(vr_ctrl_take(&page, &got, &g), -EAGAIN);
    page.dev.config_generation = 5;
    assert_int_equal(vr_ctrl_take_device(&page, &dev), -EAGAIN);
}

static void senseless_requests(void **state)
{
    struct {
        uint32_t run, nqueues, size;
        uint64_t desc, driver, device;
    } bad[] = {
        {2, 1, 128, 0, 0, 0},
        {1, VR_MAX_QUEUES + 1, 128, 0, 0, 0},
        {1, 0, 128, 0, 0, 0}, /* a queue beyond nqueues */
        {1, 1, 0, 0, 0, 0},
        {1, 1, 3, 0, 0, 0},
        {1, 1, 512, 0, 0, 0},
        {1, 1, 128, UINT64_MAX - 15, 0, 0},
        {1, 1, 128, 0, UINT64_MAX - 15, 0},
        {1, 1, 128, 0, 0, UINT64_MAX - 15},
    };
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        struct vr_ctrl_request req = one_queue(), got;
        uint32_t g;

        req.run = bad[i].run;
        req.nqueues = bad[i].nqueues;
        req.q[0].size = bad[i].size;
        req.q[0].desc = bad[i].desc;
        req.q[0].driver = bad[i].driver;
        req.q[0].device = bad[i].device;
        vr_ctrl_publish(&page, &req);
        assert_int_equal(vr_ctrl_take(&page, &got, &g), -EPROTO);
    }
}

static void device(void **state)
{
    uint8_t config[VR_CONFIG_LEN + 8];
    struct vr_ctrl_device dev;

    (void)state;
    memset(config, 0x5a, sizeof(config));
    assert_int_equal(vr_ctrl_take_device(&page, &dev), -EAGAIN);
    vr_ctrl_set_device(&page, 0x42, config, 60);
    assert_int_equal(vr_ctrl_take_device(&page, &dev), 0);
    assert_int_equal(dev.config_generation, 2);
    assert_int_equal(dev.features, 0x42);
    assert_int_equal(dev.config_len, 60);
    assert_memory_equal(dev.config, config, 60);
    assert_int_equal(dev.config[60], 0);
    /* Too much is cut, and does not run over. */
    vr_ctrl_set_device(&page, 0x42, config, sizeof(config));
    assert_int_equal(vr_ctrl_take_device(&page, &dev), 0);
    assert_int_equal(dev.config_len, VR_CONFIG_LEN);
}

static void hostile_device(void **state)
{
    struct vr_ctrl_device dev;
    uint8_t c = 0;

    (void)state;
    vr_ctrl_set_device(&page, 0, &c, 1);
    page.dev.config_len = VR_CONFIG_LEN + 1;
    assert_int_equal(vr_ctrl_take_device(&page, &dev), -EPROTO);
    vr_ctrl_set_device(&page, UINT64_C(1) << 33, &c, 1);
    assert_int_equal(vr_ctrl_take_device(&page, &dev), -EPROTO);
    vr_ctrl_set_device(&page, UINT64_C(1) << 24, &c, 1);
    assert_int_equal(vr_ctrl_take_device(&page, &dev), -EPROTO);
    vr_ctrl_set_device(&page, UINT64_C(1) << 23 | UINT64_C(1) << 50, &c, 1);
    assert_int_equal(vr_ctrl_take_device(&page, &dev), 0);
}

static void bits(void **state)
{
    (void)state;
    assert_int_equal(vr_ctrl_collect(&page.kick), 0);
    assert_true(vr_ctrl_post(&page.kick, 1));
    assert_false(vr_ctrl_post(&page.kick, 1));
    assert_true(vr_ctrl_post(&page.kick, 3));
    assert_int_equal(vr_ctrl_collect(&page.kick), 3);
    assert_true(vr_ctrl_post(&page.kick, 1));
}

static void counters(void **state)
{
    struct vr_ctrl_counters c;

    (void)state;
    page.counters.requests = 1;
    page.counters.fault_access = 2;
    vr_ctrl_take_counters(&page, &c);
    assert_memory_equal(&c, &page.counters, sizeof(c));
}

/* A reader beside a writer sees whole requests only. */
static void *writer(void *arg)
{
    struct vr_ctrl_request req = one_queue();
    uint64_t i;

    (void)arg;
    for (i = 0; i < 20000; i++) {
        req.features = i;
        req.q[0].desc = i << 4;
        vr_ctrl_publish(&page, &req);
    }
    return NULL;
}

static void torn(void **state)
{
    struct vr_ctrl_request got;
    uint32_t g, last = 0;
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, writer, NULL), 0);
    while (last != 40000) {
        int rc = vr_ctrl_take(&page, &got, &g);

        if (rc == -EAGAIN)
            continue;
        assert_int_equal(rc, 0);
        assert_true(g >= last);
        last = g;
        if (g)
            assert_int_equal(got.q[0].desc, got.features << 4);
    }
    pthread_join(t, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(check_magic, fresh),
        cmocka_unit_test_setup(publish_take_ack, fresh),
        cmocka_unit_test_setup(generation_skips_zero, fresh),
        cmocka_unit_test_setup(busy_writer, fresh),
        cmocka_unit_test_setup(senseless_requests, fresh),
        cmocka_unit_test_setup(device, fresh),
        cmocka_unit_test_setup(hostile_device, fresh),
        cmocka_unit_test_setup(bits, fresh),
        cmocka_unit_test_setup(counters, fresh),
        cmocka_unit_test_setup(torn, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

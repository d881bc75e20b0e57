/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of a network device's control queue: the right ones, and those that
 * are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "libs/types/net/net.h"

static const uint8_t mac[6] = {0, 0x16, 0x3e, 1, 2, 3};
static struct vr_net_control c;

static int set_up(void **state)
{
    (void)state;
    memset(&c, 0xa5, sizeof(c));
    vr_net_control_init(&c);
    return 0;
}

static int command(const void *cmd, size_t len)
{
    return vr_net_control(&c, cmd, len, 4, mac);
}

/* What is refused changes nothing. */
static void refused(const void *cmd, size_t len)
{
    struct vr_net_control before = c;

    assert_int_equal(command(cmd, len), -EPROTO);
    assert_memory_equal(&before, &c, sizeof(c));
}

#define SAY(...)                                                               \
    command((uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))
#define REFUSE(...)                                                            \
    refused((uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static void test_init(void **state)
{
    (void)state;
    assert_int_equal(c.pairs, 1);
    assert_true(c.promisc && !c.allmulti && !c.many && !c.naddr);
}

static void test_none(void **state)
{
    (void)state;
    refused("", 0);
    REFUSE(4);
    REFUSE(2, 0, 1, 0); /* VLAN: not offered */
    REFUSE(3, 0);       /* ANNOUNCE: the same */
    REFUSE(0, 2, 1);    /* CTRL_RX_EXTRA: the same */
    REFUSE(1, 2);
    REFUSE(4, 1, 1, 0); /* RSS: the same */
    REFUSE(255, 255, 0, 0);
}

static void test_rx(void **state)
{
    (void)state;
    assert_int_equal(SAY(0, 0, 0), VR_NET_CTRL_FILTER);
    assert_false(c.promisc);
    assert_int_equal(SAY(0, 1, 1), VR_NET_CTRL_FILTER);
    assert_true(c.allmulti);
    assert_int_equal(SAY(0, 0, 1), VR_NET_CTRL_FILTER);
    assert_true(c.promisc);
    REFUSE(0, 0);
    REFUSE(0, 0, 2);
    REFUSE(0, 0, 0, 0);
}

static void test_table(void **state)
{
    static uint8_t many[2 + 4 + 65 * 6 + 4] = {1, 0, 65};

    (void)state;
    assert_int_equal(SAY(1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, /* one */
                         2, 0, 0, 0, 7, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 2),
                     VR_NET_CTRL_FILTER);
    assert_int_equal(c.naddr, 3);
    assert_int_equal(c.addr[0][0], 1);
    assert_int_equal(c.addr[1][5], 1);
    assert_int_equal(c.addr[2][0], 9);
    REFUSE(1, 0);
    REFUSE(1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5);
    REFUSE(1, 0, 0, 0, 0, 0);
    REFUSE(1, 0, 0, 0, 0, 0, 0, 0, 0);
    REFUSE(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    REFUSE(1, 0, 0xab, 0xaa, 0xaa, 0xaa, 1, 2, 3, 4, 5, 6);
    assert_int_equal(command(many, sizeof(many)), VR_NET_CTRL_FILTER);
    assert_true(c.many);
    many[2] = 64;
    assert_int_equal(command(many, sizeof(many) - 6), VR_NET_CTRL_FILTER);
    assert_false(c.many);
    assert_int_equal(c.naddr, 64);
    assert_int_equal(SAY(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), VR_NET_CTRL_FILTER);
    assert_int_equal(c.naddr, 0);
}

/* Its own address is the only one that it can have. */
static void test_address(void **state)
{
    (void)state;
    assert_int_equal(SAY(1, 1, 0, 0x16, 0x3e, 1, 2, 3), 0);
    REFUSE(1, 1, 0, 0x16, 0x3e, 1, 2, 4);
    REFUSE(1, 1, 0, 0x16, 0x3e, 1, 2);
    REFUSE(1, 1, 0, 0x16, 0x3e, 1, 2, 3, 0);
}

static void test_pairs(void **state)
{
    (void)state;
    assert_int_equal(SAY(4, 0, 4, 0), VR_NET_CTRL_PAIRS);
    assert_int_equal(c.pairs, 4);
    assert_int_equal(SAY(4, 0, 1, 0), VR_NET_CTRL_PAIRS);
    assert_int_equal(c.pairs, 1);
    REFUSE(4, 0, 0, 0);
    REFUSE(4, 0, 5, 0);
    REFUSE(4, 0, 1, 1);
    REFUSE(4, 0, 1);
    REFUSE(4, 0, 1, 0, 0);
}

#define TEST(t) cmocka_unit_test_setup(t, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init),  TEST(test_none),    TEST(test_rx),
        TEST(test_table), TEST(test_address), TEST(test_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

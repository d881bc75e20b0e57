/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network devices: ip=, as the user writes it, and frames that are from other
 * addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/types/net/net.h"

static struct vr_net_addrs own;
static uint8_t frame[VR_NET_HEAD];

#define IP(at) (frame + VR_NET_ETH_LEN + (at))

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(
        vr_net_addrs_parse("10.0.0.7 192.168.4.0/22  fd00::7 2001:db8::/61",
                           &own),
        0);
    assert_int_equal(own.n, 4);
    memset(frame, 0, sizeof(frame));
    memcpy(frame + 6, "\x00\x16\x3e\x01\x02\x03", 6);
    return 0;
}

static void put_type(unsigned int type)
{
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
}

static bool allowed(uint32_t len)
{
    return vr_net_addrs_allow(&own, frame, len);
}

static bool from4(const char *text)
{
    put_type(0x0800);
    assert_int_equal(inet_pton(AF_INET, text, IP(12)), 1);
    return allowed(VR_NET_ETH_LEN + 20);
}

static bool from6(const char *text)
{
    put_type(0x86dd);
    assert_int_equal(inet_pton(AF_INET6, text, IP(8)), 1);
    return allowed(VR_NET_ETH_LEN + 40);
}

static void test_words(void **state)
{
    static const char *const bad[] = {
        "10.0.0.256", "10.0.0.1/33",
        "10.0.0.1/",  "10.0.0.1/a",
        "fd00::/129", "10.0.0.1,10.0.0.2",
        "host",       "10.0.0",
        "::1::",      "0000:0000:0000:0000:0000:ffff:192.168.100.200/1280"};
    char many[20 * 8] = "";
    unsigned int i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(vr_net_addrs_parse(bad[i], &own), -EINVAL);
    assert_int_equal(vr_net_addrs_parse("", &own), 0);
    assert_int_equal(own.n, 0);
    for (i = 0; i < VR_NET_ADDRS_MAX; i++)
        strcat(many, "1.2.3.4 ");
    assert_int_equal(vr_net_addrs_parse(many, &own), 0);
    strcat(many, "::1");
    assert_int_equal(vr_net_addrs_parse(many, &own), -E2BIG);
}

static void test_ipv4(void **state)
{
    (void)state;
    assert_true(from4("10.0.0.7"));
    assert_false(from4("10.0.0.8"));
    assert_true(from4("192.168.4.0"));
    assert_true(from4("192.168.7.255"));
    assert_false(from4("192.168.8.0"));
    /* Nobody's yet. */
    assert_true(from4("0.0.0.0"));
    assert_true(from4("10.0.0.7"));
    assert_false(allowed(VR_NET_ETH_LEN + 19));
    assert_false(allowed(VR_NET_ETH_LEN));
    assert_false(allowed(0));
}

static void test_ipv6(void **state)
{
    (void)state;
    assert_true(from6("fd00::7"));
    assert_false(from6("fd00::8"));
    assert_true(from6("2001:db8:0:7::1"));
    assert_false(from6("2001:db8:0:8::1"));
    assert_true(from6("fe80::1"));
    assert_true(from6("febf::1"));
    assert_false(from6("fec0::1"));
    assert_true(from6("::"));
    assert_false(from6("::1"));
    assert_true(from6("fd00::7"));
    assert_false(allowed(VR_NET_ETH_LEN + 39));
    assert_false(from6("::ffff:10.0.0.7"));
}

/* All of one kind are none of the other. */
static void test_all(void **state)
{
    (void)state;
    assert_int_equal(vr_net_addrs_parse("::/0", &own), 0);
    assert_true(from6("fd00::8"));
    assert_false(from4("10.0.0.7"));
    assert_int_equal(vr_net_addrs_parse("0.0.0.0/0", &own), 0);
    assert_false(from6("fd00::8"));
    assert_true(from4("1.2.3.4"));
}

/* Who is advertised has to be the guest as well. */
static void test_advertisement(void **state)
{
    const uint32_t whole = VR_NET_ETH_LEN + 40 + 24;

    (void)state;
    assert_true(from6("fe80::1"));
    frame[VR_NET_ETH_LEN + 6] = 58;
    *IP(40) = 136;
    assert_int_equal(inet_pton(AF_INET6, "fd00::7", IP(48)), 1);
    assert_true(allowed(whole));
    assert_false(allowed(whole - 1));
    assert_int_equal(inet_pton(AF_INET6, "fd00::8", IP(48)), 1);
    assert_false(allowed(whole));
    *IP(40) = 135; /* a question */
    assert_true(allowed(whole));
}

static void test_arp(void **state)
{
    const uint32_t whole = VR_NET_ETH_LEN + 28;
    static const uint8_t ether_ipv4[] = {0, 1, 8, 0, 6, 4};

    (void)state;
    put_type(0x0806);
    memcpy(IP(0), ether_ipv4, sizeof(ether_ipv4));
    memcpy(IP(8), frame + 6, 6);
    assert_int_equal(inet_pton(AF_INET, "10.0.0.7", IP(14)), 1);
    assert_true(allowed(whole));
    assert_false(allowed(whole - 1));
    *IP(13) ^= 1; /* another station's */
    assert_false(allowed(whole));
    *IP(13) ^= 1;
    *IP(5) = 16; /* addresses of another length */
    assert_false(allowed(whole));
    *IP(5) = 4;
    assert_int_equal(inet_pton(AF_INET, "10.0.0.1", IP(14)), 1);
    assert_false(allowed(whole));
    assert_int_equal(inet_pton(AF_INET, "0.0.0.0", IP(14)), 1);
    assert_true(allowed(whole));
}

static void test_tags(void **state)
{
    (void)state;
    put_type(0x8100);
    IP(2)[0] = 0x08;
    assert_int_equal(inet_pton(AF_INET, "10.0.0.7", IP(16)), 1);
    assert_true(allowed(VR_NET_ETH_LEN + 24));
    assert_false(allowed(VR_NET_ETH_LEN + 23));
    assert_int_equal(inet_pton(AF_INET, "10.0.0.9", IP(16)), 1);
    assert_false(allowed(VR_NET_ETH_LEN + 24));
    /* Another tag; and what is none of the three. */
    IP(2)[0] = 0x81;
    assert_false(allowed(VR_NET_HEAD));
    put_type(0x88cc);
    assert_false(allowed(VR_NET_HEAD));
    put_type(60);
    assert_false(allowed(VR_NET_HEAD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_words, set_up),
        cmocka_unit_test_setup(test_ipv4, set_up),
        cmocka_unit_test_setup(test_ipv6, set_up),
        cmocka_unit_test_setup(test_all, set_up),
        cmocka_unit_test_setup(test_advertisement, set_up),
        cmocka_unit_test_setup(test_arp, set_up),
        cmocka_unit_test_setup(test_tags, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

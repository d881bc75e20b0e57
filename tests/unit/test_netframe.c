/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network devices: what a guest sends, the user's words, and the least pool. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/types/net/net.h"

static const uint8_t mac[] = {0, 0x16, 0x3e, 1, 2, 3};
static uint8_t front[VR_NET_HDR_LEN + VR_NET_ETH_LEN];
static struct vr_net_hdr in, out;

#define ALL VR_NET_OFFLOADS

/* A frame of @len bytes behind the header @in. */
static int check(uint32_t len, uint64_t features)
{
    memcpy(front, &in, sizeof(in));
    memcpy(front + VR_NET_HDR_LEN + 6, mac, sizeof(mac));
    memset(&out, 0xff, sizeof(out));
    return vr_net_check(front, sizeof(front), len, features, mac, &out);
}

static int set_up(void **state)
{
    (void)state;
    memset(&in, 0, sizeof(in));
    return 0;
}

static void test_plain(void **state)
{
    const struct vr_net_hdr none = {0};

    (void)state;
    assert_int_equal(check(60, 0), 0);
    assert_memory_equal(&out, &none, sizeof(out));
    assert_int_equal(check(VR_NET_FRAME_MAX, 0), 0);
    assert_int_equal(check(VR_NET_FRAME_MAX + 1, 0), -EPROTO);
    assert_int_equal(check(VR_NET_ETH_LEN + 1, 0), 0);
    /* Nothing behind the Ethernet header, or not all of that. */
    assert_int_equal(check(VR_NET_ETH_LEN, 0), -EPROTO);
    assert_int_equal(check(0, 0), -EPROTO);
    assert_int_equal(vr_net_check(front, sizeof(front) - 1, 60, 0, mac, &out),
                     -EPROTO);
    assert_int_equal(vr_net_check(front, 0, UINT32_MAX, 0, mac, &out), -EPROTO);
}

/* What a driver writes where it has nothing to say is not handed on. */
static void test_rest_is_zero(void **state)
{
    const struct vr_net_hdr none = {0};

    (void)state;
    in.hdr_len = 99;
    in.gso_size = 7;
    in.csum_start = 3;
    in.csum_offset = 65535;
    in.num_buffers = 5;
    assert_int_equal(check(60, ALL), 0);
    assert_memory_equal(&out, &none, sizeof(out));
}

static void test_csum(void **state)
{
    (void)state;
    in.flags = VR_NET_HDR_F_NEEDS_CSUM;
    in.csum_start = 34;
    in.csum_offset = 16;
    assert_int_equal(check(60, ALL), 0);
    assert_int_equal(out.flags, VR_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(out.csum_start, 34);
    assert_int_equal(out.csum_offset, 16);
    assert_int_equal(check(60, ALL & ~VR_NET_F_CSUM), -EPROTO);
    /* Its two bytes lie within the frame, and not in the first header. */
    assert_int_equal(check(52, ALL), 0);
    assert_int_equal(check(51, ALL), -EPROTO);
    in.csum_offset = 65535;
    assert_int_equal(check(60, ALL), -EPROTO);
    in.csum_offset = 16;
    in.csum_start = VR_NET_ETH_LEN - 1;
    assert_int_equal(check(60, ALL), -EPROTO);
    /* Flags that are the device's to set, or nobody's. */
    in.csum_start = 34;
    in.flags |= 2;
    assert_int_equal(check(60, ALL), -EPROTO);
}

static void test_gso(void **state)
{
    static const struct {
        uint8_t type;
        uint64_t needs;
    } types[] = {
        {VR_NET_GSO_TCPV4, VR_NET_F_HOST_TSO4},
        {VR_NET_GSO_TCPV6, VR_NET_F_HOST_TSO6},
        {VR_NET_GSO_TCPV4 | VR_NET_GSO_ECN, VR_NET_F_HOST_ECN},
    };
    unsigned int i;

    (void)state;
    in.flags = VR_NET_HDR_F_NEEDS_CSUM;
    in.csum_start = 34;
    in.csum_offset = 16;
    in.hdr_len = 66;
    in.gso_size = 1448;
    for (i = 0; i < VR_ARRAY_SIZE(types); i++) {
        in.gso_type = types[i].type;
        assert_int_equal(check(32000, ALL), 0);
        assert_int_equal(out.gso_type, in.gso_type);
        assert_int_equal(out.gso_size, 1448);
        assert_int_equal(out.hdr_len, 66);
        assert_int_equal(check(32000, ALL & ~types[i].needs), -EPROTO);
    }
    in.gso_type = VR_NET_GSO_ECN;
    assert_int_equal(check(32000, ALL), -EPROTO);
    in.gso_type = 3; /* UDP: not offered */
    assert_int_equal(check(32000, ALL), -EPROTO);
    in.gso_type = VR_NET_GSO_TCPV4;
    in.gso_size = 0;
    assert_int_equal(check(32000, ALL), -EPROTO);
    in.gso_size = 1448;
    in.hdr_len = 32001;
    assert_int_equal(check(32000, ALL), -EPROTO);
    in.hdr_len = 66;
    in.flags = 0;
    assert_int_equal(check(32000, ALL), -EPROTO);
}

static void test_spoofed(void **state)
{
    uint8_t other[6] = {0, 0x16, 0x3e, 1, 2, 4};

    (void)state;
    assert_int_equal(check(60, 0), 0);
    assert_int_equal(vr_net_check(front, sizeof(front), 60, 0, other, &out),
                     -EACCES);
}

static void test_mac(void **state)
{
    static const char *const bad[] = {"",
                                      "00",
                                      "00:16:3e:01:02",
                                      "00:16:3e:01:02:3",
                                      "00:16:3e:01:02:0g",
                                      "00:16:3e:01:02:03:",
                                      "00-16-3e-01-02-03",
                                      "0016:3e:01:02:03:04",
                                      "00:16:3e:01:02:033"};
    uint8_t m[6];
    unsigned int i;

    (void)state;
    assert_int_equal(vr_net_mac_parse("00:16:3E:ab:CD:0f", m), 0);
    assert_int_equal(m[4], 0xcd);
    assert_int_equal(m[5], 0x0f);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_int_equal(vr_net_mac_parse(bad[i], m), -EINVAL);
}

static void test_rate(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
        uint32_t usecs;
        int rc;
    } rows[] = {
        {"", 0, 0, 0},
        {"10Mb/s", 62500, 50000, 0},
        {"250KB/s", 12500, 50000, 0},
        {"1MB/s@20ms", 20000, 20000, 0},
        {"8000b/s@1s", 1000, 1000000, 0},
        {"1GB/s@100us", 100000, 100, 0},
        {"10Mb", 0, 0, -EINVAL},
        {"Mb/s", 0, 0, -EINVAL},
        {"10Tb/s", 0, 0, -EINVAL},
        {"10M/s", 0, 0, -EINVAL},
        {"10Mb/s@", 0, 0, -EINVAL},
        {"10Mb/s@5", 0, 0, -EINVAL},
        {"10Mb/s@5h", 0, 0, -EINVAL},
        {"10Mb/s 20ms", 0, 0, -EINVAL},
        {"-1Mb/s", 0, 0, -EINVAL},
        {"10Mb/s@0ms", 0, 0, -ERANGE},
        {"10Mb/s@11s", 0, 0, -ERANGE},
        {"0Mb/s", 0, 0, -ERANGE},
        {"1b/s", 0, 0, -ERANGE},
        {"4000000000GB/s@10s", 0, 0, -ERANGE},
        {"99999999999999999999999999b/s", 0, 0, -ERANGE},
    };
    struct vr_net_rate rate;
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(rows); i++) {
        print_message("%s\n", rows[i].text);
        assert_int_equal(vr_net_rate_parse(rows[i].text, &rate), rows[i].rc);
        if (rows[i].rc)
            continue;
        assert_int_equal(rate.bytes, rows[i].bytes);
        assert_int_equal(rate.usecs, rows[i].usecs);
    }
}

/* The manual page's table. */
static void test_pool(void **state)
{
    static const struct {
        unsigned int queue_size, mtu, kib;
    } rows[] = {
        {64, 0, 576},      {128, 0, 832},      {256, 0, 1344},
        {128, 1500, 832},  {64, 9000, 1088},   {128, 9000, 1856},
        {256, 9000, 3392}, {128, 65521, 9024},
    };
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(rows); i++) {
        struct vr_dev_cfg cfg = {
            .queues = 2, .queue_size = rows[i].queue_size, .mtu = rows[i].mtu};

        assert_int_equal(vr_net_pool_min(&cfg) >> 10, rows[i].kib);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plain, set_up),
        cmocka_unit_test_setup(test_rest_is_zero, set_up),
        cmocka_unit_test_setup(test_csum, set_up),
        cmocka_unit_test_setup(test_gso, set_up),
        cmocka_unit_test_setup(test_spoofed, set_up),
        cmocka_unit_test(test_mac),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

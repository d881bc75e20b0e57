/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network devices as the user writes them: what is taken, what is refused and
 * with which words, and what is made of what he leaves out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libs/config/cfg.h"
#include "libs/types/net/net.h"

#define HEAD "id=net0, type=net, backend=net"
#define GOOD HEAD ", size=4M"
#define DYN  HEAD ", mode=dynamic, aperture=8M"
#define X16  "xxxxxxxxxxxxxxxx"

static struct vr_dev_cfg parsed(const char *text)
{
    struct vr_dev_cfg c;
    struct vr_err err = {""};

    if (vr_cfg_parse(0, text, &c, &err))
        fail_msg("%s: %s", text, err.text);
    return c;
}

static void test_defaults(void **state)
{
    struct vr_dev_cfg c = parsed(GOOD);

    (void)state;
    assert_int_equal(c.type, VR_TYPE_net);
    assert_int_equal(c.queues, 2);
    assert_int_equal(c.queue_size, 128);
    assert_string_equal(c.script, "/etc/xen/scripts/vif-bridge");
    assert_string_equal(c.mac, "");
    assert_string_equal(c.bridge, "");
    assert_string_equal(c.vifname, "");
    assert_int_equal(c.mtu, 0);
    assert_true(c.offload);
    assert_string_equal(c.vhost, "auto");
    assert_true(vr_net_may_vhost(&c));
    c = parsed(DYN);
    assert_false(vr_net_may_vhost(&c));
    parsed(HEAD ", mode=mixed, aperture=8M, size=832K");
    parsed(HEAD ", size=576K, queue_size=64");
}

static void test_all_keys(void **state)
{
    struct vr_dev_cfg c =
        parsed(GOOD ", mac=00:16:3E:AB:cd:ef, bridge=xenbr0.7:1:2, "
                    "gatewaydev=eth0, ip=10.0.0.7 fe80::1/64, "
                    "script=/opt/my script, vifname=web0, mtu=1400, "
                    "rate=10Mb/s@20ms, offload=off");

    (void)state;
    assert_string_equal(c.mac, "00:16:3e:ab:cd:ef");
    assert_string_equal(c.bridge, "xenbr0.7:1:2");
    assert_string_equal(c.gatewaydev, "eth0");
    assert_string_equal(c.ip, "10.0.0.7 fe80::1/64");
    assert_string_equal(c.script, "/opt/my script");
    assert_string_equal(c.vifname, "web0");
    assert_int_equal(c.mtu, 1400);
    assert_string_equal(c.rate, "10Mb/s@20ms");
    assert_false(c.offload);
    assert_false(vr_net_may_vhost(&c));
    c = parsed(GOOD ", vhost=on");
    assert_true(vr_net_may_vhost(&c));
    c = parsed(GOOD ", vhost=off");
    assert_false(vr_net_may_vhost(&c));
    parsed(DYN ", vhost=off");
    c = parsed(HEAD ", size=4M, queues=1");
    assert_int_equal(c.queues, 2);
    c = parsed(HEAD ", size=4M, queues=4");
    assert_int_equal(c.queues, 9);
    assert_int_equal(vr_net_pairs(&c), 4);
    c = parsed(HEAD ", size=8M, queues=7");
    assert_int_equal(c.queues, 15);
    c = parsed(GOOD ", script=vif-route");
    assert_string_equal(c.script, "/etc/xen/scripts/vif-route");
}

#define P "virtio_restricted[0]: "
#define NOT_MAC                                                                \
    " is not an Ethernet address: use six bytes such as "                      \
    "00:16:3e:12:34:56"
#define NOT_NAME                                                               \
    " is not the name of an interface: use 1 to 15 letters, digits or "        \
    "characters of -._"
#define NOT_RATE " is not a rate: use one such as 10Mb/s, 250KB/s or 1MB/s@20ms"
#define NO_PAIRS                                                               \
    " is out of range: use a number from 1 to 7, of pairs of queues"
#define NO_VHOST                                                               \
    "vhost=on goes with mode=static and without rate= and ip= only: leave "    \
    "one "                                                                     \
    "of them out, or use vhost=auto"
#define OUT_OF_RATE                                                            \
    " comes to no byte a period, or to more than 4 GiB: use a rate such as "   \
    "10Mb/s, with a period of at most 10s"
#define SMALL                                                                  \
    " is too small: a guest passes its rings and all data in flight through "  \
    "the window, use at least "

static const struct {
    const char *text, *line;
} bad[] = {
    {GOOD ", mac=00:16:3e:12:34", P "mac=00:16:3e:12:34" NOT_MAC},
    {GOOD ", mac=00:16:3e:12:34:5g", P "mac=00:16:3e:12:34:5g" NOT_MAC},
    {GOOD ", mac=random", P "mac=random" NOT_MAC},
    {GOOD ", mac=01:16:3e:12:34:56",
     P "mac=01:16:3e:12:34:56 cannot be an interface's: it is a group's "
       "address or 0; use one such as 00:16:3e:12:34:56"},
    {GOOD ", mac=00:00:00:00:00:00",
     P "mac=00:00:00:00:00:00 cannot be an interface's: it is a group's "
       "address or 0; use one such as 00:16:3e:12:34:56"},
    {GOOD ", mac=", P "mac= is empty: give a value or leave the key out"},
    {GOOD ", bridge=br 0", P "bridge=br 0" NOT_NAME},
    {GOOD ", bridge=../x", P "bridge=../x" NOT_NAME},
    {GOOD ", bridge=..", P "bridge=.." NOT_NAME},
    {GOOD ", bridge=" X16, P "bridge=" X16 NOT_NAME},
    {GOOD ", bridge=$(reboot)", P "bridge=$(reboot)" NOT_NAME},
    {GOOD ", gatewaydev=eth0/1", P "gatewaydev=eth0/1" NOT_NAME},
    {GOOD ", vifname=" X16, P "vifname=" X16 NOT_NAME},
    {GOOD ", vifname=a:b", P "vifname=a:b: the name of an interface has no "
                             "colon: take it out"},
    {GOOD ", script=../../bin/sh",
     P "script=../../bin/sh is neither a path nor the name of a script in "
       "/etc/xen/scripts/: use one of them, such as vif-bridge"},
    {GOOD ", mtu=67", P "mtu=67 is out of range: use a number from 68 to "
                        "65521"},
    {GOOD ", mtu=65522", P "mtu=65522 is out of range: use a number from 68 to "
                           "65521"},
    {GOOD ", mtu=1500B", P "mtu=1500B is out of range: use a number from 68 "
                           "to 65521"},
    {GOOD ", ip=10.0.0.1;reboot",
     P "ip=10.0.0.1;reboot is no list of addresses: use addresses or networks "
       "with blanks between them, such as 192.168.0.7 fd00::7"},
    {GOOD ", ip=1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4 5.5.5.5 6.6.6.6 7.7.7.7 "
          "8.8.8.8 9.9.9.9 1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4 5.5.5.5 6.6.6.6 "
          "7.7.7.7 8.8.8.8",
     P "ip=1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4 5.5.5.5 6.6.6.6 ... is too long: "
       "use at most 16 addresses or networks and 255 characters"},
    {GOOD ", rate=10", P "rate=10" NOT_RATE},
    {GOOD ", rate=10Mb", P "rate=10Mb" NOT_RATE},
    {GOOD ", rate=fast", P "rate=fast" NOT_RATE},
    {GOOD ", rate=10Mb/s@20", P "rate=10Mb/s@20" NOT_RATE},
    {GOOD ", rate=0Mb/s", P "rate=0Mb/s" OUT_OF_RATE},
    {GOOD ", rate=1Mb/s@60s", P "rate=1Mb/s@60s" OUT_OF_RATE},
    {GOOD ", rate=1000000000GB/s", P "rate=1000000000GB/s" OUT_OF_RATE},
    {GOOD ", offload=yes", P "offload=yes is neither off nor on: use one of "
                             "them"},
    {GOOD ", queues=0", P "queues=0" NO_PAIRS},
    {GOOD ", queues=8", P "queues=8" NO_PAIRS},
    {HEAD ", size=3M, queues=4", P "size=3M" SMALL "3392K"},
    {GOOD ", vhost=yes", P "vhost=yes is unknown: use auto, on or off"},
    {GOOD ", vhost=on, rate=1Mb/s", P NO_VHOST},
    {GOOD ", vhost=on, ip=10.0.0.1", P NO_VHOST},
    {DYN ", vhost=on", P NO_VHOST},
    {GOOD ", queue_size=32",
     P "queue_size=32 is too small for type=net, Linux would never send a "
       "long frame: use 64, 128 or 256"},
    {HEAD ", size=828K", P "size=828K" SMALL "832K"},
    {HEAD ", size=1M, queue_size=256", P "size=1M" SMALL "1344K"},
    {HEAD ", size=1M, mtu=9000", P "size=1M" SMALL "1856K"},
    {HEAD ", mode=mixed, aperture=8M, size=256K", P "size=256K" SMALL "832K"},
    {HEAD ", mode=dynamic, aperture=1M",
     P "aperture=1M is too small for queues=2 and queue_size=128, requests "
       "could wait for address space for ever: use at least 2056K, or smaller "
       "or fewer queues"},
    {DYN ", size=4M", P "size=4M is for mode=static and mode=mixed; with "
                        "mode=dynamic: write aperture= instead, or mode=mixed "
                        "for both"},
    {GOOD ", target=/dev/xvdb",
     P "target= is for type=block: take it out of a device with type=net"},
    {GOOD ", access=ro",
     P "access= is for type=block: take it out of a device with type=net"},
    {GOOD ", serial=a",
     P "serial= is for type=block: take it out of a device with type=net"},
    {"id=a, type=block, backend=b, size=4M, target=/dev/xvdb, mac=1",
     P "mac= is for type=net: take it out of a device with type=block"},
    {"id=a, type=rng, backend=b, size=4M, target=/dev/urandom, bridge=br0",
     P "bridge= is for type=net: take it out of a device with type=rng"},
};

static void test_refused(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        memset(&err, 0, sizeof(err));
        assert_int_equal(vr_cfg_parse(0, bad[i].text, &c, &err), -EINVAL);
        assert_string_equal(err.text, bad[i].line);
    }
}

static void test_together(void **state)
{
    struct vr_dev_cfg c[2] = {parsed(GOOD ", mac=00:16:3e:00:00:01"),
                              parsed("id=net1, type=net, backend=net, size=4M, "
                                     "mac=00:16:3e:00:00:02")};
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_cfg_check_all(c, 2, &err), 0);
    strcpy(c[1].mac, c[0].mac);
    assert_int_equal(vr_cfg_check_all(c, 2, &err), -EINVAL);
    assert_string_equal(
        err.text, "virtio_restricted[1]: mac=00:16:3e:00:00:01 is used by "
                  "virtio_restricted[0] as well: give each device its own");
    /* In another driver domain they disturb nobody of ours. */
    strcpy(c[1].backend, "other");
    assert_int_equal(vr_cfg_check_all(c, 2, &err), 0);
    /* Both still to be made. */
    c[0].mac[0] = c[1].mac[0] = '\0';
    strcpy(c[1].backend, c[0].backend);
    assert_int_equal(vr_cfg_check_all(c, 2, &err), 0);
    strcpy(c[0].vifname, "web0");
    strcpy(c[1].vifname, "web0");
    assert_int_equal(vr_cfg_check_all(c, 2, &err), -EINVAL);
}

/* The same guest and device have the same address, and no others do. */
static void test_own_mac(void **state)
{
    const struct vr_type_spec *spec = vr_type_spec(VR_TYPE_net);
    static const char a[] = "11111111-1111-1111-1111-111111111111",
                      b[] = "11111111-1111-1111-1111-111111111112";
    struct vr_dev_cfg c = parsed(GOOD), again = c, other = c, next = c;
    uint8_t mac[6];

    (void)state;
    spec->complete(&c, a);
    spec->complete(&again, a);
    spec->complete(&other, b);
    strcpy(next.id, "net1");
    spec->complete(&next, a);
    assert_int_equal(vr_net_mac_parse(c.mac, mac), 0);
    assert_memory_equal(mac, "\x00\x16\x3e", 3);
    assert_false(mac[3] & 0x80);
    assert_string_equal(c.mac, again.mac);
    assert_string_not_equal(c.mac, other.mac);
    assert_string_not_equal(c.mac, next.mac);
    c = parsed(GOOD ", mac=02:00:00:00:00:01");
    spec->complete(&c, a);
    assert_string_equal(c.mac, "02:00:00:00:00:01");
}

/* While there is a driver nothing but the link changes. */
static void test_renew(void **state)
{
    const struct vr_type_spec *spec = vr_type_spec(VR_TYPE_net);
    struct vr_net_config now = {{0, 1, 2, 3, 4, 5}, 1, 1, 1500};
    struct vr_net_config fresh = {{9, 9, 9, 9, 9, 9}, 0xfffe, 7, 68};
    uint8_t c[VR_CONFIG_LEN] = {0}, f[VR_CONFIG_LEN] = {0};

    (void)state;
    memcpy(c, &now, sizeof(now));
    memcpy(f, &fresh, sizeof(fresh));
    assert_true(spec->renew(c, f));
    now.status = 0;
    assert_memory_equal(c, &now, sizeof(now));
    assert_false(spec->renew(c, f));
    fresh.status = 1;
    memcpy(f, &fresh, sizeof(fresh));
    assert_true(spec->renew(c, f));
    now.status = 1;
    assert_memory_equal(c, &now, sizeof(now));
}

static char shown[2048];

static void __attribute__((format(printf, 3, 4)))
line(void *ctx, const char *name, const char *fmt, ...)
{
    size_t len = strlen(shown);
    va_list ap;

    (void)ctx;
    len += (size_t)snprintf(shown + len, sizeof(shown) - len, "%s: ", name);
    va_start(ap, fmt);
    vsnprintf(shown + len, sizeof(shown) - len, fmt, ap);
    va_end(ap);
    strcat(shown, "\n");
}

static void text(void *ctx, const char *name, const char *value)
{
    line(ctx, name, "%s", value);
}

static void number(void *ctx, const char *name, uint64_t value)
{
    line(ctx, name, "%u", (unsigned int)value);
}

static void flag(void *ctx, const char *name, bool value)
{
    line(ctx, name, "%d", value);
}

static void test_show(void **state)
{
    static const struct vr_show to = {line, text, number, flag, NULL};
    const struct vr_type_spec *spec = vr_type_spec(VR_TYPE_net);
    struct vr_dev_cfg c =
        parsed(GOOD ", mac=00:16:3e:00:00:01, bridge=br0, ip=10.0.0.1, "
                    "rate=1Mb/s, offload=off");
    const struct vr_net_config config = {.status = 1, .mtu = 1400};
    const uint64_t own[] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t bytes[VR_SEEN_CONFIG] = {0};
    struct vr_seen seen = {.cfg = &c};

    (void)state;
    memcpy(bytes, &config, sizeof(config));
    shown[0] = '\0';
    spec->show(&seen, &to);
    assert_null(strstr(shown, "link"));
    seen.config = bytes;
    seen.own = own;
    shown[0] = '\0';
    spec->show(&seen, &to);
    assert_string_equal(
        shown,
        "mac: 00:16:3e:00:00:01, without offloads\n"
        "script: /etc/xen/scripts/vif-bridge, bridge br0, ip 10.0.0.1\n"
        "rate: 1Mb/s\n"
        "frames: moved by vr-backend; 0 of 1 queue pairs in use\n"
        "link: up, MTU 1400\n"
        "to guest: 1 packets, 7 of them long; 3 dropped\n"
        "from guest: 2 packets, 8 of them long; 4 dropped, 5 bad, 6 from "
        "other addresses\n");
    shown[0] = '\0';
    spec->json(&seen, &to);
    assert_non_null(strstr(shown, "vhost: auto\nvhost_used: 0\n"));
    assert_non_null(strstr(shown, "link: 1\nmtu: 1400\npackets_to_guest: 1\n"));
    assert_non_null(strstr(shown, "spoofed_from_guest: 6\n"));
    seen.target_io = VR_NET_IO(7, 3, VR_NET_IO_VHOST);
    spec->json(&seen, &to);
    assert_non_null(strstr(shown, "vhost_used: 1\n"));
    assert_non_null(strstr(shown, "queue_pairs: 1\nqueue_pairs_used: 3\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_together),
        cmocka_unit_test(test_own_mac),  cmocka_unit_test(test_renew),
        cmocka_unit_test(test_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "libs/window/bounds.h"
#include "libs/config/cfg.h"

#define GOOD_NO_ID                                                             \
    "type=block,mode=static,size=64M,driver=/etc/d.cfg,target=/dev/xvdb"
#define GOOD    "id=disk0," GOOD_NO_ID
#define NO_SIZE "id=disk0,type=block,driver=/etc/d.cfg,target=/dev/xvdb"
#define DYN_NO_WINDOW                                                          \
    "id=disk0,type=block,mode=dynamic,driver=/etc/d.cfg,target=/dev/xvdb"
#define MIX "id=disk0,type=block,mode=mixed,driver=/etc/d.cfg,target=/dev/xvdb"
#define DYN DYN_NO_WINDOW ",aperture=32M"

#define X16   "xxxxxxxxxxxxxxxx"
#define X128  X16 X16 X16 X16 X16 X16 X16 X16
#define X1024 X128 X128 X128 X128 X128 X128 X128 X128

static void test_defaults(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_cfg_parse(0, GOOD, &c, &err), 0);
    assert_string_equal(c.id, "disk0");
    assert_int_equal(c.type, VR_TYPE_block);
    assert_int_equal(c.mode, VR_MODE_STATIC);
    assert_int_equal(c.size, 64 << 20);
    assert_false(c.has_base);
    assert_string_equal(c.driver, "/etc/d.cfg");
    assert_string_equal(c.backend, "");
    assert_string_equal(c.target, "/dev/xvdb");
    assert_false(c.readonly);
    assert_int_equal(c.queues, 1);
    assert_int_equal(c.queue_size, 128);
    assert_string_equal(c.serial, "");
    assert_true(c.discard);
    assert_int_equal(c.timeout, 60);
    assert_int_equal(c.poll_us, 0);
    assert_int_equal(c.aperture, 0);
    assert_int_equal(vr_cfg_window(&c), 64 << 20);
}

/* The words of xl's disk=, too; and what looks like a slip and is none. */
static void test_access_and_paths(void **state)
{
    static const struct {
        const char *text;
        bool readonly;
    } word[] = {{"ro", true}, {"r", true}, {"rw", false}, {"w", false}};
    char text[256];
    struct vr_dev_cfg c;
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(word); i++) {
        snprintf(text, sizeof(text), GOOD ",access=%s", word[i].text);
        assert_int_equal(vr_cfg_parse(0, text, &c, NULL), 0);
        assert_int_equal(c.readonly, word[i].readonly);
    }
    assert_int_equal(vr_cfg_parse(0,
                                  "id=a,type=block,size=2M,backend=b c,"
                                  "target=/my disk#1; it's id/x=1",
                                  &c, NULL),
                     0);
    assert_string_equal(c.target, "/my disk#1; it's id/x=1");
}

static void test_dynamic(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_cfg_parse(0, DYN, &c, &err), 0);
    assert_int_equal(c.mode, VR_MODE_DYNAMIC);
    assert_int_equal(c.aperture, 32 << 20);
    assert_int_equal(vr_cfg_window(&c), 32 << 20);
    assert_int_equal(c.size, 0);
    assert_false(c.has_base);
    assert_true(c.map_threshold == VR_NEVER_MAP);
    assert_int_equal(c.revoke_ms, 1000);
    assert_int_equal(c.queues, 1);
    assert_int_equal(c.queue_size, 128);
    assert_int_equal(
        vr_cfg_parse(0, DYN ",map_threshold=64K,revoke_timeout=250", &c, &err),
        0);
    assert_int_equal(c.map_threshold, 65536);
    assert_int_equal(c.revoke_ms, 250);
    assert_int_equal(vr_cfg_parse(0, DYN ",map_threshold=always", &c, &err), 0);
    assert_true(c.map_threshold == 0);
    assert_int_equal(vr_cfg_parse(0, DYN ",map_threshold=never", &c, &err), 0);
    assert_true(c.map_threshold == VR_NEVER_MAP);
    /* The keys' order does not count. */
    assert_int_equal(vr_cfg_parse(0,
                                  "aperture=2060K,queue_size=256,target=/t,"
                                  "backend=b,type=block,id=a,mode=dynamic",
                                  &c, &err),
                     0);
    assert_int_equal(c.aperture, 2060 << 10);
}

static void test_mixed(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_cfg_parse(0,
                                  MIX ",size=16M,aperture=32M,base=0x50000000,"
                                      "map_threshold=64K,revoke_timeout=250",
                                  &c, &err),
                     0);
    assert_int_equal(c.mode, VR_MODE_MIXED);
    assert_true(vr_cfg_has_pool(&c) && vr_cfg_has_iova(&c));
    assert_int_equal(c.size, 16 << 20);
    assert_int_equal(c.aperture, 32 << 20);
    assert_int_equal(vr_cfg_window(&c), 48 << 20);
    assert_true(c.has_base);
    assert_int_equal(c.base, 0x50000000);
    assert_int_equal(c.map_threshold, 65536);
    assert_int_equal(c.revoke_ms, 250);
    assert_string_equal(vr_mode_name(c.mode), "mixed");
    assert_string_equal(vr_window_name(VR_WINDOW_POOL), "static");
    assert_string_equal(vr_window_name(VR_WINDOW_IOVA), "dynamic");
}

/* Where the guest is told of a pool: by default, and for static devices always,
 * where the device is. */
static void test_transport(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;

    (void)state;
    assert_int_equal(vr_cfg_parse(0, GOOD, &c, &err), 0);
    assert_int_equal(c.transport, VR_TRANSPORT_mmio);
    assert_int_equal(vr_cfg_parse(0, GOOD ",transport=pci", &c, &err), 0);
    assert_int_equal(c.transport, VR_TRANSPORT_pci);
    assert_string_equal(vr_transport_name(VR_TRANSPORT_pci), "pci");
    assert_null(vr_transport_name((enum vr_transport)2));
    assert_int_equal(vr_cfg_parse(0, GOOD ",transport=PCI", &c, &err), -EINVAL);
    assert_string_equal(err.text, "virtio_restricted[0]: transport=PCI is not "
                                  "a transport: use mmio or pci");
}

static void test_pool_in(void **state)
{
    static const struct {
        const char *text;
        enum vr_pool_in where;
        bool firmware, probe;
    } t[] = {
        {GOOD, VR_POOL_IN_FIRMWARE, true, false},
        {GOOD ",pool_in=firmware", VR_POOL_IN_FIRMWARE, true, false},
        {DYN, VR_POOL_IN_FIRMWARE, false, false},
        {MIX ",size=16M,aperture=32M", VR_POOL_IN_FIRMWARE, true, false},
        {"pool_in=firmware," MIX ",size=16M,aperture=32M", VR_POOL_IN_FIRMWARE,
         true, false},
        {"pool_in=probe," MIX ",size=16M,aperture=32M", VR_POOL_IN_PROBE, false,
         true},
        {"pool_in=both," MIX ",size=16M,aperture=32M", VR_POOL_IN_BOTH, true,
         true},
    };
    struct vr_dev_cfg c;
    struct vr_err err;
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(t); i++) {
        assert_int_equal(vr_cfg_parse(0, t[i].text, &c, &err), 0);
        assert_int_equal(c.pool_in, t[i].where);
        assert_int_equal(vr_cfg_pool_in_firmware(&c), t[i].firmware);
        assert_int_equal(vr_cfg_pool_in_probe(&c), t[i].probe);
    }
    assert_string_equal(vr_pool_in_name(VR_POOL_IN_BOTH), "both");
    assert_null(vr_pool_in_name((enum vr_pool_in)3));
}

/* What the text of a refusal asks for is accepted, for all queues. */
static void smallest_aperture(const char *start, bool mixed)
{
    unsigned int queues, qs;
    struct vr_dev_cfg c;
    struct vr_err err;
    char text[256], size[24], wanted[48];

    for (queues = 1; queues <= VR_MAX_QUEUES; queues++) {
        for (qs = 8; qs <= VR_MAX_QUEUE_SIZE; qs *= 2) {
            uint64_t min = vr_aperture_min(queues, qs, mixed);

            vr_format_size(min - VR_PAGE_SIZE, size);
            snprintf(text, sizeof(text),
                     "%s,queues=%u,queue_size=%u,aperture=%s", start, queues,
                     qs, size);
            assert_int_equal(vr_cfg_parse(0, text, &c, &err), -EINVAL);
            vr_format_size(min, size);
            snprintf(wanted, sizeof(wanted), "use at least %s,", size);
            assert_non_null(strstr(err.text, wanted));
            snprintf(text, sizeof(text),
                     "%s,queues=%u,queue_size=%u,aperture=%s", start, queues,
                     qs, size);
            assert_int_equal(vr_cfg_parse(0, text, &c, &err), 0);
        }
    }
}

static void test_smallest_aperture(void **state)
{
    (void)state;
    smallest_aperture(DYN_NO_WINDOW, false);
    smallest_aperture(MIX ",size=16M", true);
}

static void test_threshold_text(void **state)
{
    static const char *const texts[] = {"never", "always", "64K", "1M", "4097"};
    uint64_t v = 1;
    char buf[24];
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(texts); i++) {
        assert_int_equal(vr_threshold_parse(texts[i], &v), 0);
        assert_string_equal(vr_threshold_text(v, buf), texts[i]);
    }
    assert_int_equal(vr_threshold_parse("0", &v), 0);
    assert_string_equal(vr_threshold_text(v, buf), "always");
    assert_int_equal(vr_threshold_parse("", &v), -EINVAL);
    assert_int_equal(vr_threshold_parse("Never", &v), -EINVAL);
    assert_int_equal(vr_threshold_parse("64KB", &v), -EINVAL);
    assert_int_equal(vr_threshold_parse("1G", &v), 0);
    assert_int_equal(vr_threshold_parse("1025M", &v), -ERANGE);
    assert_int_equal(vr_threshold_parse("18446744073709551615", &v), -ERANGE);
}

static void test_all_keys(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;

    (void)state;
    assert_int_equal(
        vr_cfg_parse(
            3,
            "\t id = a-B_9 , type= block,mode =static, size=0x200000,"
            " base=0x7c000000, backend= disk d\xc3\xb6m ,target=/a = b,"
            "access=ro,queues=16,queue_size=256,serial= S.N-1 ,"
            "discard=off,timeout=3600,poll=50 \n",
            &c, &err),
        0);
    assert_string_equal(c.id, "a-B_9");
    assert_int_equal(c.size, 2 << 20);
    assert_true(c.has_base);
    assert_int_equal(c.base, 0x7c000000);
    assert_string_equal(c.backend, "disk d\xc3\xb6m");
    assert_string_equal(c.driver, "");
    assert_string_equal(c.target, "/a = b");
    assert_true(c.readonly);
    assert_int_equal(c.queues, 16);
    assert_int_equal(c.queue_size, 256);
    assert_string_equal(c.serial, "S.N-1");
    assert_false(c.discard);
    assert_int_equal(c.timeout, 3600);
    assert_int_equal(c.poll_us, 50);
}

static void test_mode_default(void **state)
{
    struct vr_dev_cfg c;

    (void)state;
    assert_int_equal(vr_cfg_parse(0,
                                  "id=a,type=block,size=2M,driver=/d,target=/t",
                                  &c, NULL),
                     0);
    assert_int_equal(c.mode, VR_MODE_STATIC);
}

static void test_readonly_has_no_discard(void **state)
{
    struct vr_dev_cfg c;

    (void)state;
    assert_int_equal(vr_cfg_parse(0, GOOD ",access=ro", &c, NULL), 0);
    assert_false(c.discard);
    assert_int_equal(vr_cfg_parse(0, GOOD ",access=ro,discard=0", &c, NULL), 0);
    assert_false(c.discard);
    assert_int_equal(vr_cfg_parse(0, GOOD ",access=rw,discard=1", &c, NULL), 0);
    assert_true(c.discard);
}

#define P "virtio_restricted[1]: "
#define KEYS                                                                   \
    ": use one of id, type, mode, transport, size, base, pool_in, aperture, "  \
    "map_threshold, revoke_timeout, driver, backend, queue_size, timeout, "    \
    "poll, target, access, queues, serial, discard"

/* What is wrong, its value and the remedy: the exact line. */
#define BY_ID                                                                  \
    " cannot name the disk in /dev/disk/by-id: use 1 to 20 letters, digits "   \
    "or characters of #+-.:=@_, with no dot at the beginning"

static const struct {
    const char *text;
    const char *line;
} bad[] = {
    {"", P "empty: write \"id=disk0, type=block, mode=static, size=64M, "
           "driver=FILE, target=PATH\" or take it out"},
    {" \t\n", P "empty: write \"id=disk0, type=block, mode=static, size=64M, "
                "driver=FILE, target=PATH\" or take it out"},
    {",", P "empty item: take the extra comma out"},
    {GOOD ",", P "empty item: take the extra comma out"},
    {"id=a,,type=block", P "empty item: take the extra comma out"},
    {"disk0", P "\"disk0\" has no value: write KEY=VALUE"},
    {"id=a,readonly", P "\"readonly\" has no value: write KEY=VALUE"},
    {"=a", P "\"=a\" has no key: write KEY=VALUE"},
    {"target=/a,b.img", P "\"b.img\" has no value: write KEY=VALUE; if it "
                          "belongs to target=, rename that file: a comma ends "
                          "a value"},
    {"target=\"/dev/xvdb\"", P "target=\"/dev/xvdb\": quotes are not taken "
                               "off: leave them out"},
    {"id=disk0'", P "id=disk0': quotes are not taken off: leave them out"},
    {"target=/dev/xvdb #root", P "target=/dev/xvdb #root: no comment can stand "
                                 "in a device string: put it behind the "
                                 "string"},
    {"target=/dev/xvdb;access=ro", P "target=/dev/xvdb;access=ro: there is no "
                                     "comma before access=: add it"},
    {"id=a type = block", P "id=a type = block: there is no comma before "
                            "type=: add it"},
    {"sise=64M", P "unknown key \"sise\"" KEYS},
    {"ID=a", P "unknown key \"ID\"" KEYS},
    {"id a=b", P "unknown key \"id a\"" KEYS},
    {"a\x01\xff=b", P "unknown key \"a??\"" KEYS},
    {"id=a,id=b", P "id= is given twice, the second time as \"b\": give it "
                    "once"},
    {GOOD ",size=64M", P "size= is given twice, the second time as \"64M\": "
                         "give it once"},
    {"id=", P "id= is empty: give a value or leave the key out"},
    {"size= ", P "size= is empty: give a value or leave the key out"},
    {"id=a/b", P "id=a/b is not a name: use 1 to 31 letters, digits, '-' or "
                 "'_', such as disk0"},
    {"id=a b", P "id=a b is not a name: use 1 to 31 letters, digits, '-' or "
                 "'_', such as disk0"},
    {"id=" X16 X16, P "id=" X16 X16 " is not a name: use 1 to 31 letters, "
                      "digits, '-' or '_', such as disk0"},
    {"type=nic", P "type=nic is not a device type: use block, net or rng"},
    {"type=Block", P "type=Block is not a device type: use block, net or rng"},
    {"mode=mix", P "mode=mix is not a mode: use static, dynamic or mixed"},
    {"aperture=3X", P "aperture=3X is not a size: use a number with K, M or "
                      "G, such as 32M"},
    {"aperture=2G", P "aperture=2G is too large: use at most 1G"},
    {"aperture=4095", P "aperture=4095 is not whole pages: use a multiple of "
                        "4K"},
    {DYN_NO_WINDOW, P "aperture= is missing: mode=dynamic needs it, such as "
                      "aperture=32M"},
    {DYN_NO_WINDOW ",aperture=0",
     P "aperture=0 is too small for queues=1 and queue_size=128, requests "
       "could wait for address space for ever: use at least 1028K, or smaller "
       "or fewer queues"},
    {DYN_NO_WINDOW ",aperture=32M,queues=16,queue_size=256",
     P "aperture=32M is too small for queues=16 and queue_size=256, requests "
       "could wait for address space for ever: use at least 32960K, or smaller "
       "or fewer queues"},
    {DYN ",size=64M",
     P "size=64M is for mode=static and mode=mixed; with mode=dynamic: write "
       "aperture= instead, or mode=mixed for both"},
    {DYN ",base=0x50000000",
     P "base=0x50000000 is for mode=static and mode=mixed; with mode=dynamic: "
       "it is the address of a pool: take it out"},
    {GOOD ",aperture=32M",
     P "aperture=32M is for mode=dynamic and mode=mixed; with mode=static: add "
       "mode=dynamic (it takes the place of size=) or mode=mixed (it stands "
       "beside size=), or write size= alone"},
    {GOOD ",pool_in=probe",
     P "pool_in=probe is for mode=mixed: PROBE is a request to a virtio-iommu, "
       "and a device with mode=static is behind none; take the key out, or add "
       "mode=mixed and aperture="},
    {GOOD ",pool_in=both",
     P "pool_in=both is for mode=mixed: PROBE is a request to a virtio-iommu, "
       "and a device with mode=static is behind none; take the key out, or add "
       "mode=mixed and aperture="},
    {DYN ",pool_in=firmware",
     P "pool_in=firmware is for mode=static and mode=mixed; with mode=dynamic: "
       "it says how the guest finds a pool: take it out, or write mode=mixed "
       "and size="},
    {MIX ",pool_in=acpi", P "pool_in=acpi is no place where a guest looks: use "
                            "firmware, probe or both"},
    {MIX, P "size= is missing: add it, such as size=64M"},
    {MIX ",aperture=32M", P "size= is missing: add it, such as size=64M"},
    {MIX ",size=16M", P "aperture= is missing: mode=mixed needs it, such as "
                        "aperture=32M"},
    {MIX ",size=512K,aperture=32M",
     P "size=512K is too small: a guest passes its rings and all data in "
       "flight through the window, use at least 2M"},
    {MIX ",size=16M,aperture=1M",
     P "aperture=1M is too small for queues=1 and queue_size=128, requests "
       "could wait for address space for ever: use at least 1036K, or smaller "
       "or fewer queues"},
    {GOOD ",map_threshold=64K",
     P "map_threshold=64K is for mode=dynamic and mode=mixed; with "
       "mode=static: the "
       "pool is mapped once and as a whole: take the key out"},
    {GOOD ",revoke_timeout=1000",
     P "revoke_timeout=1000 is for mode=dynamic and mode=mixed; with "
       "mode=static: the "
       "pool is mapped once and as a whole: take the key out"},
    {DYN ",map_threshold=often", P "map_threshold=often is not a size: use "
                                   "never, always or a number with K or M, "
                                   "such as 64K"},
    {DYN ",map_threshold=2G", P "map_threshold=2G is more than any request "
                                "has: use never, or at most 1G"},
    {DYN ",revoke_timeout=99", P "revoke_timeout=99 is out of range: use a "
                                 "number from 100 to 60000"},
    {DYN ",revoke_timeout=1s", P "revoke_timeout=1s is out of range: use a "
                                 "number from 100 to 60000"},
    {"size=3X", P "size=3X is not a size: use a number with K, M or G, such "
                  "as 64M"},
    {"size=-1M", P "size=-1M is not a size: use a number with K, M or G, such "
                   "as 64M"},
    {"size=64MB", P "size=64MB is not a size: use a number with K, M or G, "
                    "such as 64M"},
    {"size=1.5M", P "size=1.5M is not a size: use a number with K, M or G, "
                    "such as 64M"},
    {"size=2G", P "size=2G is too large: use at most 1G"},
    {"size=99999999999999999999",
     P "size=99999999999999999999 is too large: use at most 1G"},
    {NO_SIZE ",size=0",
     P "size=0 is too small: a guest passes its rings and all data "
       "in flight through the window, use at least 2M"},
    {NO_SIZE ",size=2044K",
     P "size=2044K is too small: a guest passes its rings and "
       "all data in flight through the window, use at least 2M"},
    {"size=2097153", P "size=2097153 is not whole pages: use a multiple of "
                       "4K"},
    {"base=top", P "base=top is not an address: use a number such as "
                   "0x7c000000"},
    {"base=2G", P "base=2G is not an address: use a number such as "
                  "0x7c000000"},
    {"base=0x7c000100", P "base=0x7c000100 is not a page address: use a "
                          "non-zero multiple of 0x1000"},
    {"base=0", P "base=0 is not a page address: use a non-zero multiple of "
                 "0x1000"},
    {"base=0x1000000000000",
     P "base=0x1000000000000 is beyond any guest's memory: use an address "
       "inside its RAM on Arm, from 0x2000000000 up on x86, or leave base= "
       "out"},
    {GOOD ",base=0xfffffffff000",
     P "base=0xfffffffff000 and size= reach beyond any guest's memory: use an "
       "address inside its RAM on Arm, from 0x2000000000 up on x86, or leave "
       "base= out"},
    {"driver=d.cfg", P "driver=d.cfg is not an absolute path: begin it with "
                       "/"},
    {"driver=/" X1024, P "driver=/" X16 X16 "xxxxxxxxxxxxxxx... is too long: "
                         "use a path of at most 1023 characters"},
    {"driver=/a\tb", P "driver=/a?b has characters that cannot be passed on: "
                       "use a path of printable ASCII characters"},
    {"target=xvdb", P "target=xvdb is not an absolute path: begin it with /"},
    {"target=/\xc3\xa4", P "target=/?? has characters that cannot be passed "
                           "on: use a path of printable ASCII characters"},
    {"backend=a/b", P "backend=a/b is not a domain name: use the name that xl "
                      "list shows, at most 127 bytes of UTF-8 without /, or "
                      "the domid"},
    {"backend=gr\xfc", P "backend=gr? is not a domain name: use the name that "
                         "xl list shows, at most 127 bytes of UTF-8 without /, "
                         "or the domid"},
    {"backend=" X128, P "backend=" X16 X16 X16 "... is not a domain name: use "
                        "the name that xl list shows, at most 127 bytes of "
                        "UTF-8 without /, or the domid"},
    {"access=x", P "access=x is neither rw nor ro: use one of them"},
    {"queues=0", P "queues=0 is out of range: use a number from 1 to 16"},
    {"queues=17", P "queues=17 is out of range: use a number from 1 to 16"},
    {"queues=two", P "queues=two is out of range: use a number from 1 to 16"},
    {"queue_size=4", P "queue_size=4 is not a power of two from 8 to 256: use "
                       "64, 128 or 256"},
    {"queue_size=512", P "queue_size=512 is not a power of two from 8 to 256: "
                         "use 64, 128 or 256"},
    {"queue_size=100", P "queue_size=100 is not a power of two from 8 to 256: "
                         "use 64, 128 or 256"},
    {"serial=012345678901234567890", P "serial=012345678901234567890" BY_ID},
    {"serial=a\nb", P "serial=a?b" BY_ID},
    {"serial=a/b", P "serial=a/b" BY_ID},
    {"serial=../x", P "serial=../x" BY_ID},
    {"serial=.x", P "serial=.x" BY_ID},
    {"serial=a b", P "serial=a b" BY_ID},
    {"serial=a%b", P "serial=a%b" BY_ID},
    {"serial=a\\b", P "serial=a\\b" BY_ID},
    {"serial=\xc3\xa4", P "serial=??" BY_ID},
    {"discard=yes", P "discard=yes is neither on nor off: use one of them, or "
                      "1 or 0"},
    {"timeout=0", P "timeout=0 is out of range: use a number from 1 to 3600"},
    {"timeout=60s", P "timeout=60s is out of range: use a number from 1 to "
                      "3600"},
    {"poll=100001", P "poll=100001 is out of range: use a number from 0 to "
                      "100000"},
    {GOOD_NO_ID, P "id= is missing: add it, such as id=disk0"},
    {"id=a,mode=static,size=2M,driver=/d,target=/t",
     P "type= is missing: add it, such as type=block"},
    {"id=a,type=block,mode=static,driver=/d,target=/t",
     P "size= is missing: add it, such as size=64M"},
    {"id=a,type=block,mode=static,size=2M,driver=/d",
     P "target= is missing: add it, such as target=/dev/xvdb"},
    {GOOD ",backend=b",
     P "driver=/etc/d.cfg and backend=b are both given: "
       "keep driver= for a domain to create, or backend= for "
       "one that runs"},
    {"id=a,type=block,mode=static,size=2M,target=/t",
     P "neither driver= nor backend= is given: add driver=FILE (a driver "
       "domain to create) or backend=NAME (one that runs)"},
    {GOOD ",access=ro,discard=on",
     P "discard=on contradicts access=ro: take one of them out"},
};

static void test_bad(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;
    size_t i;

    (void)state;
    assert_true(VR_ARRAY_SIZE(bad) >= 40);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        memset(&err, 0, sizeof(err));
        assert_int_equal(vr_cfg_parse(1, bad[i].text, &c, &err), -EINVAL);
        assert_string_equal(err.text, bad[i].line);
        /* One line, whole: nothing of it was cut. */
        assert_null(strchr(err.text, '\n'));
        assert_true(strlen(err.text) < sizeof(err.text) - 1);
    }
}

static void test_too_long(void **state)
{
    struct vr_dev_cfg c;
    struct vr_err err;
    char text[5000];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(vr_cfg_parse(0, text, &c, &err), -EINVAL);
    assert_string_equal(err.text, "virtio_restricted[0]: longer than 4096 "
                                  "characters: shorten it");
}

static void parse2(struct vr_dev_cfg c[2], const char *a, const char *b)
{
    assert_int_equal(vr_cfg_parse(0, a, &c[0], NULL), 0);
    assert_int_equal(vr_cfg_parse(1, b, &c[1], NULL), 0);
}

static void expect_pair(const char *a, const char *b, const char *line)
{
    struct vr_dev_cfg c[2];
    struct vr_err err;

    parse2(c, a, b);
    assert_int_equal(vr_cfg_check_all(c, 2, &err), line ? -EINVAL : 0);
    if (line)
        assert_string_equal(err.text, line);
}

#define DEV(id, drv, tgt)                                                      \
    "id=" id ",type=block,mode=static,size=2M," drv ",target=" tgt

static void test_check_all(void **state)
{
    (void)state;
    expect_pair(DEV("a", "driver=/d", "/t"), DEV("a", "driver=/d", "/u"),
                "virtio_restricted[1]: id=a is used by virtio_restricted[0] "
                "as well: give each device its own id");
    expect_pair(DEV("a", "driver=/d", "/t"), DEV("b", "driver=/d", "/t"),
                "virtio_restricted[1]: target=/t is used by "
                "virtio_restricted[0] as well: give each device its own, or "
                "all access=ro");
    expect_pair(DEV("a", "backend=d", "/t") ",access=ro",
                DEV("b", "backend=d", "/t"),
                "virtio_restricted[1]: target=/t is used by "
                "virtio_restricted[0] as well: give each device its own, or "
                "all access=ro");
    expect_pair(DEV("a", "driver=/d", "/t") ",base=0x50000000",
                DEV("b", "driver=/d", "/u") ",base=0x501ff000",
                "virtio_restricted[1]: base=0x501ff000 overlaps the window of "
                "virtio_restricted[0], 0x50000000-0x501fffff: move it, or "
                "leave base= out");
    /* None of these is a conflict. */
    expect_pair(DEV("a", "driver=/d", "/t") ",access=ro",
                DEV("b", "driver=/d", "/t") ",access=ro", NULL);
    expect_pair(DEV("a", "driver=/d", "/t"), DEV("b", "driver=/e", "/t"), NULL);
    expect_pair(DEV("a", "driver=/d", "/t"), DEV("b", "backend=d", "/t"), NULL);
    expect_pair(DEV("a", "driver=/d", "/t") ",base=0x50000000",
                DEV("b", "driver=/d", "/u") ",base=0x50200000", NULL);
}

static void test_names(void **state)
{
    enum vr_type t;
    enum vr_mode m;

    (void)state;
    assert_int_equal(vr_type_parse(vr_type_name(VR_TYPE_block), &t), 0);
    assert_int_equal(t, VR_TYPE_block);
    assert_int_equal(vr_mode_parse(vr_mode_name(VR_MODE_STATIC), &m), 0);
    assert_int_equal(m, VR_MODE_STATIC);
    assert_int_equal(vr_mode_parse(vr_mode_name(VR_MODE_DYNAMIC), &m), 0);
    assert_int_equal(m, VR_MODE_DYNAMIC);
    assert_null(vr_type_name((enum vr_type)99));
    assert_null(vr_mode_name((enum vr_mode)99));
    assert_int_equal(vr_type_parse("", &t), -EINVAL);
    assert_int_equal(vr_mode_parse("Static", &m), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_access_and_paths),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_pool_in),
        cmocka_unit_test(test_transport),
        cmocka_unit_test(test_smallest_aperture),
        cmocka_unit_test(test_threshold_text),
        cmocka_unit_test(test_mode_default),
        cmocka_unit_test(test_readonly_has_no_discard),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_check_all),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

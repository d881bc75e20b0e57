/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libs/proto/xsnode.h"

static void test_paths(void **state)
{
    char buf[VR_XS_PATH];

    (void)state;
    assert_string_equal(vr_xs_backend(buf, 3, 5, "disk0", "state"),
                        "/local/domain/3/backend/virtio_restricted/5/disk0/"
                        "state");
    assert_string_equal(vr_xs_backend(buf, 3, 5, NULL, NULL),
                        "/local/domain/3/backend/virtio_restricted/5");
    assert_string_equal(vr_xs_guest(buf, 5, "disk0", NULL),
                        "/local/domain/5/device/virtio_restricted/disk0");
    assert_string_equal(vr_xs_truth(buf, 5, "disk0", "window/0/gref"),
                        "/libxl/5/virtio_restricted/disk0/window/0/gref");
    assert_string_equal(vr_xs_truth(buf, 5, NULL, NULL),
                        "/libxl/5/virtio_restricted");
}

static void test_state(void **state)
{
    (void)state;
    assert_int_equal(vr_xbstate_parse("4", 1), VR_XB_CONNECTED);
    assert_int_equal(vr_xbstate_parse("6", 1), VR_XB_CLOSED);
    assert_int_equal(vr_xbstate_parse("0", 1), VR_XB_UNKNOWN);
    assert_int_equal(vr_xbstate_parse("7", 1), VR_XB_UNKNOWN);
    assert_int_equal(vr_xbstate_parse("44", 2), VR_XB_UNKNOWN);
    assert_int_equal(vr_xbstate_parse("4\0", 2), VR_XB_UNKNOWN);
    assert_int_equal(vr_xbstate_parse("", 0), VR_XB_UNKNOWN);
    assert_int_equal(vr_xbstate_parse(NULL, 0), VR_XB_UNKNOWN);
}

static void test_backend_of(void **state)
{
    static const char *const not_7[] = {
        "/local/domain/0/backend/vbd/70/51728",
        "/local/domain/0/backend/vbd/07x/51728",
        "/local/domain/0/backend/vbd/-7/51728",
        "/local/domain/0/backend/vbd/51728/7",
        "/local/domain/7/device/vbd/51728",
        "/local/domain/0/backend/vbd/7",
        "/local/domain/0/backend/vbd/",
        "/local/domain/0/backend/vbd",
        "",
    };
    unsigned int i;

    (void)state;
    assert_true(vr_xs_is_backend_of("/local/domain/0/backend/vbd/7/51728", 7));
    assert_true(vr_xs_is_backend_of("backend/vif/7/0", 7));
    assert_true(vr_xs_is_backend_of("/local/domain/3/backend/vif/7/0", 7));
    for (i = 0; i < VR_ARRAY_SIZE(not_7); i++)
        if (vr_xs_is_backend_of(not_7[i], 7))
            fail_msg("%s", not_7[i]);
}

static void test_sanitise(void **state)
{
    char buf[8];

    (void)state;
    vr_xs_sanitise(buf, sizeof(buf), "a\033[2J\n\xff z", 9);
    assert_string_equal(buf, "a?[2J??");
    vr_xs_sanitise(buf, sizeof(buf), "ab", 2);
    assert_string_equal(buf, "ab");
    vr_xs_sanitise(buf, 1, "ab", 2);
    assert_string_equal(buf, "");
}

static const struct vr_xs_dev good = {
    .cfg =
        {
            .id = "disk0",
            .type = VR_TYPE_block,
            .mode = VR_MODE_STATIC,
            .target = "/dev/xvdb",
            .readonly = true,
            .queues = 4,
            .queue_size = 256,
            .serial = "S 1",
            .discard = true,
            .poll_us = 50,
        },
    .guest = 5,
    .pool = {0x48000000, 64 << 20, 16384},
    .ctrl_domid = 0,
    .ctrl_gref = 77,
    .ctrl_port = 12,
};

static struct vr_xs_dev good_dynamic(void)
{
    struct vr_xs_dev dev = good;

    dev.cfg.mode = VR_MODE_DYNAMIC;
    dev.cfg.map_threshold = 64 << 10;
    dev.iova = dev.pool;
    dev.iova.base = UINT64_C(1) << 36;
    memset(&dev.pool, 0, sizeof(dev.pool));
    return dev;
}

/* A store of some nodes, one of which may be replaced. */
struct store {
    struct vr_xs_kv kv[VR_XS_MAX_KV];
    unsigned int n, reads;
    const char *key, *value;
    size_t len;
};

static char *get(void *ctx, const char *key, size_t *len)
{
    struct store *s = ctx;
    unsigned int i;
    char *copy;

    s->reads++;
    if (s->key && !strcmp(key, s->key)) {
        if (!s->value)
            return NULL;
        copy = malloc(s->len + 1);
        assert_non_null(copy);
        memcpy(copy, s->value, s->len + 1);
        *len = s->len;
        return copy;
    }
    for (i = 0; i < s->n; i++) {
        if (!strcmp(key, s->kv[i].key)) {
            *len = strlen(s->kv[i].value);
            return strdup(s->kv[i].value);
        }
    }
    return NULL;
}

static void test_round_trip(void **state)
{
    struct store *s = calloc(1, sizeof(*s));
    struct vr_xs_dev dev;
    struct vr_err err;

    (void)state;
    assert_non_null(s);
    s->n = vr_xs_dev_format(&good, s->kv);
    assert_true(s->n <= VR_XS_MAX_KV);
    assert_int_equal(vr_xs_dev_parse(&dev, "disk0", get, s, &err), 0);
    assert_true(s->reads <= VR_XS_MAX_KV);
    assert_string_equal(dev.cfg.id, good.cfg.id);
    assert_string_equal(dev.cfg.target, good.cfg.target);
    assert_string_equal(dev.cfg.serial, good.cfg.serial);
    assert_int_equal(dev.cfg.type, good.cfg.type);
    assert_int_equal(dev.cfg.mode, good.cfg.mode);
    assert_true(dev.cfg.readonly && dev.cfg.discard);
    assert_int_equal(dev.cfg.queues, 4);
    assert_int_equal(dev.cfg.queue_size, 256);
    assert_int_equal(dev.cfg.poll_us, 50);
    assert_true(dev.cfg.size == good.pool.size);
    assert_true(dev.pool.base == good.pool.base);
    assert_true(dev.pool.size == good.pool.size);
    assert_int_equal(dev.pool.gref_base, good.pool.gref_base);
    assert_true(!dev.iova.size && !dev.cfg.aperture);
    assert_int_equal(dev.guest, 5);
    assert_int_equal(dev.ctrl_gref, 77);
    assert_int_equal(dev.ctrl_port, 12);
    free(s);
}

/* A network device has no target; what was not given is empty. */
static void test_net(void **state)
{
    static const struct {
        const char *key, *value; /* NULL: missing */
    } bad[] = {
        {"script", NULL},
        {"script", ""},
        {"script", "vif-bridge"},
        {"mac", NULL},
        {"mac", "00:16:3e:00:00:01:02"},
        {"bridge", "a-name-that-is-too-long"},
        {"mtu", "65522"},
        {"mtu", "x"},
        {"offload", "on"},
        {"rate", NULL},
    };
    struct vr_xs_dev want = good, dev;
    struct store *s = calloc(1, sizeof(*s));
    struct vr_err err;
    size_t i;

    (void)state;
    assert_non_null(s);
    want.cfg.type = VR_TYPE_net;
    want.cfg.target[0] = '\0';
    want.cfg.queues = 2;
    strcpy(want.cfg.mac, "00:16:3e:00:00:01");
    strcpy(want.cfg.script, "/etc/xen/scripts/vif-bridge");
    strcpy(want.cfg.ip, "10.0.0.1 10.0.0.2");
    want.cfg.mtu = 9000;
    want.cfg.offload = true;
    s->n = vr_xs_dev_format(&want, s->kv);
    assert_true(s->n <= VR_XS_MAX_KV);
    assert_int_equal(vr_xs_dev_parse(&dev, "net0", get, s, &err), 0);
    assert_string_equal(dev.cfg.mac, want.cfg.mac);
    assert_string_equal(dev.cfg.script, want.cfg.script);
    assert_string_equal(dev.cfg.ip, want.cfg.ip);
    assert_string_equal(dev.cfg.bridge, "");
    assert_int_equal(dev.cfg.mtu, 9000);
    assert_int_equal(dev.cfg.queues, 2);
    assert_true(dev.cfg.offload);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        s->key = bad[i].key;
        s->value = bad[i].value;
        s->len = s->value ? strlen(s->value) : 0;
        assert_int_equal(vr_xs_dev_parse(&dev, "net0", get, s, &err), -EINVAL);
    }
    free(s);
}

static void test_dynamic(void **state)
{
    static const uint64_t thresholds[] = {0, 4096, 64 << 10, VR_NEVER_MAP};
    static const struct {
        const char *key, *value; /* NULL: missing */
    } bad[] = {
        {"map-threshold", NULL},
        {"map-threshold", ""},
        {"map-threshold", "-1"},
        {"map-threshold", "sometimes"},
        {"map-threshold", "2G"},
        {"map-threshold", "neverneverneverneverne"},
        {"mode", "static"},
        {"window/0/kind", "static"},
        {"window/0/size", "0x1000"},
        {"queues", "16"},
    };
    struct vr_xs_dev want = good_dynamic(), dev;
    struct store *s = calloc(1, sizeof(*s));
    struct vr_err err;
    size_t i;

    (void)state;
    assert_non_null(s);
    for (i = 0; i < VR_ARRAY_SIZE(thresholds); i++) {
        want.cfg.map_threshold = thresholds[i];
        s->n = vr_xs_dev_format(&want, s->kv);
        assert_true(s->n <= VR_XS_MAX_KV);
        assert_int_equal(vr_xs_dev_parse(&dev, "disk0", get, s, &err), 0);
        assert_int_equal(dev.cfg.mode, VR_MODE_DYNAMIC);
        assert_true(dev.cfg.map_threshold == thresholds[i]);
        assert_true(dev.cfg.aperture == want.iova.size);
        assert_true(dev.cfg.size == 0);
        assert_true(dev.iova.base == want.iova.base);
        assert_true(!dev.pool.size);
    }
    want.iova.size = 16 << 20; /* enough for 4 queues, not for 16 */
    s->n = vr_xs_dev_format(&want, s->kv);
    assert_int_equal(vr_xs_dev_parse(&dev, "disk0", get, s, &err), 0);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        s->key = bad[i].key;
        s->value = bad[i].value;
        s->len = s->value ? strlen(s->value) : 0;
        err.text[0] = '\0';
        if (vr_xs_dev_parse(&dev, "disk0", get, s, &err) != -EINVAL ||
            !err.text[0])
            fail_msg("%s = %s", s->key, s->value ? s->value : "(none)");
    }
    free(s);
}

static void test_mixed(void **state)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"map-threshold", NULL},           {"mode", "dynamic"},
        {"window/0/kind", "dynamic"},      {"window/1/kind", "static"},
        {"window/1/kind", "mixed"},        {"window/1/kind", NULL},
        {"window/1/base", "0x1000000001"}, {"window/1/base", "0x48000000"},
        {"window/1/base", "0x4bfff000"},   {"window/0/base", "0xfffff000"},
        {"window/1/size", "0x1000"},       {"window/1/size", "0"},
        {"window/1/gref", "4294967295"},   {"window/0/size", NULL},
    };
    struct vr_xs_dev want = good, dev;
    struct store *s = calloc(1, sizeof(*s));
    struct vr_err err;
    size_t i;

    (void)state;
    assert_non_null(s);
    want.cfg.mode = VR_MODE_MIXED;
    want.cfg.map_threshold = 64 << 10;
    want.iova = (struct vr_gwin){UINT64_C(1) << 32, 16 << 20, 1024};
    s->n = vr_xs_dev_format(&want, s->kv);
    assert_true(s->n <= VR_XS_MAX_KV);
    assert_int_equal(vr_xs_dev_parse(&dev, "disk0", get, s, &err), 0);
    assert_int_equal(dev.cfg.mode, VR_MODE_MIXED);
    assert_memory_equal(&dev.pool, &want.pool, sizeof(dev.pool));
    assert_memory_equal(&dev.iova, &want.iova, sizeof(dev.iova));
    assert_true(dev.cfg.size == 64 << 20);
    assert_true(dev.cfg.aperture == 16 << 20);
    assert_true(dev.cfg.map_threshold == 64 << 10);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        s->key = bad[i].key;
        s->value = bad[i].value;
        s->len = s->value ? strlen(s->value) : 0;
        err.text[0] = '\0';
        if (vr_xs_dev_parse(&dev, "disk0", get, s, &err) != -EINVAL ||
            !err.text[0])
            fail_msg("%s = %s", s->key, s->value ? s->value : "(none)");
    }
    free(s);
}

/* A static device neither has nor needs what dynamic ones are told. */
static void test_static_has_no_threshold(void **state)
{
    struct store *s = calloc(1, sizeof(*s));
    struct vr_xs_dev dev;
    unsigned int i;

    (void)state;
    assert_non_null(s);
    s->n = vr_xs_dev_format(&good, s->kv);
    for (i = 0; i < s->n; i++)
        assert_string_not_equal(s->kv[i].key, "map-threshold");
    assert_int_equal(vr_xs_dev_parse(&dev, "disk0", get, s, NULL), 0);
    assert_true(dev.cfg.map_threshold == VR_NEVER_MAP);
    assert_true(dev.cfg.aperture == 0);
    free(s);
}

static void test_hostile(void **state)
{
    static const struct {
        const char *key, *value; /* NULL: missing */
        size_t len;              /* 0: of the text */
    } bad[] = {
        {"frontend-id", NULL, 0},
        {"frontend-id", "", 0},
        {"frontend-id", "-1", 0},
        {"frontend-id", "32752", 0},
        {"frontend-id", "4294967301", 0},
        {"frontend-id", "5\n", 0},
        {"frontend-id", "5\0", 2},
        {"frontend-id", "000000000000000000000000000000000000000005", 0},
        {"type", "net", 0},
        {"mode", "dynamic?", 0},
        {"mode", NULL, 0},
        {"target", NULL, 0},
        {"target", "", 0},
        {"target", "dev/xvdb", 0},
        {"target", "/dev/xv\ndb", 0},
        {"target", "/dev/xv\0db", 10},
        {"access", "w", 0},
        {"access", "rwrwrwrwrwrwrw", 0},
        {"queues", "0", 0},
        {"queues", "17", 0},
        {"queue-size", "100", 0},
        {"queue-size", "512", 0},
        {"queue-size", "0", 0},
        {"serial", "123456789012345678901", 0},
        {"discard", "yes", 0},
        {"poll", "1000001", 0},
        {"window/0/kind", "iova", 0},
        {"window/0/base", "0x48000001", 0},
        {"window/0/base", "0xfffffffffff", 0},
        {"window/0/base", "0x100000000000", 0},
        {"window/0/base", "0xffffffff000", 0}, /* plus the size: beyond */
        {"window/0/size", "0", 0},
        {"window/0/size", "4095", 0},
        {"window/0/size", "0xfffffffffff", 0},
        {"window/0/gref", "7", 0},
        {"window/0/gref", "4294967295", 0},
        {"window/0/gref", "4294950913", 0}, /* one reference too many */
        {"ctrl-domid", "32752", 0},
        {"ctrl-gref", "4294967296", 0},
        {"event-channel", "0", 0},
        {"event-channel", "131072", 0},
        {"online", "0", 0},
        {"online", NULL, 0},
    };
    struct store *s = calloc(1, sizeof(*s));
    struct vr_xs_dev dev;
    size_t i;

    (void)state;
    assert_non_null(s);
    s->n = vr_xs_dev_format(&good, s->kv);
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++) {
        struct vr_err err = {""};
        int rc;

        s->key = bad[i].key;
        s->value = bad[i].value;
        s->len = bad[i].len || !s->value ? bad[i].len : strlen(s->value);
        rc = vr_xs_dev_parse(&dev, "disk0", get, s, &err);
        if (rc != -EINVAL || !err.text[0] || strchr(err.text, '\n'))
            fail_msg("%s = %s: rc %d, \"%s\"", s->key,
                     s->value ? s->value : "(none)", rc, err.text);
    }
    s->key = "window/0/gref";
    s->value = "4294950912"; /* the last that fits */
    s->len = strlen(s->value);
    assert_int_equal(vr_xs_dev_parse(&dev, "disk0", get, s, NULL), 0);
    s->key = NULL;
    assert_int_equal(vr_xs_dev_parse(&dev, "disk/0", get, s, NULL), -EINVAL);
    assert_int_equal(vr_xs_dev_parse(&dev, "", get, s, NULL), -EINVAL);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_backend_of),
        cmocka_unit_test(test_sanitise),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_net),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_static_has_no_threshold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

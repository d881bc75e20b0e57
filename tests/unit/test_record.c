/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/config/record.h"

#define UUID  "01234567-89ab-cdef-0123-456789abcdef"
#define UUID2 "11234567-89ab-cdef-0123-456789abcdef"

static void fill(struct vr_record *rec)
{
    memset(rec, 0, sizeof(*rec));
    rec->phase = VR_PHASE_RUNNING;
    strcpy(rec->name, "guest \"one\" \xc3\xa9");
    strcpy(rec->uuid, UUID);
    rec->domid = 5;
    rec->vcpus = 2;
    rec->grant_frames = 64;
    rec->creator = 1234;
    rec->creator_start = 99999999999;
    rec->broker = 1240;
    rec->broker_start = 100000000000;
    rec->ndrivers = 2;
    strcpy(rec->drivers[0].name, "disk0-driver");
    strcpy(rec->drivers[0].uuid, UUID2);
    rec->drivers[0].domid = 4;
    rec->drivers[0].owned = true;
    strcpy(rec->drivers[0].config, "/etc/xen/disk-driver.cfg");
    strcpy(rec->drivers[1].name, "storage");
    strcpy(rec->drivers[1].uuid, "21234567-89ab-cdef-0123-456789abcdef");
    rec->drivers[1].domid = 1;
    rec->ndevs = 2;
    rec->devs[0].cfg = (struct vr_dev_cfg){
        .id = "disk0",
        .type = VR_TYPE_block,
        .mode = VR_MODE_STATIC,
        .size = 64 << 20,
        .driver = "/etc/xen/disk-driver.cfg",
        .target = "/dev/xvdb",
        .queues = 2,
        .queue_size = 128,
        .serial = "S1",
        .discard = true,
        .timeout = 60,
    };
    rec->devs[0].mmio_base = 0x2000000;
    rec->devs[0].irq = 33;
    rec->devs[0].pool.base = 0x48000000;
    rec->devs[0].pool.size = 64 << 20;
    rec->devs[0].pool.gref_base = 16384;
    rec->devs[1] = rec->devs[0];
    strcpy(rec->devs[1].cfg.id, "disk1");
    rec->devs[1].cfg.driver[0] = '\0';
    strcpy(rec->devs[1].cfg.backend, "storage");
    rec->devs[1].cfg.readonly = true;
    rec->devs[1].cfg.has_base = true;
    rec->devs[1].cfg.base = 0x60000000;
    rec->devs[1].cfg.size = 4 << 20;
    rec->devs[1].driver = 1;
    rec->devs[1].pool.base = 0x60000000;
    rec->devs[1].pool.size = 4 << 20;
    rec->devs[1].pool.gref_base = 15360;
    rec->ndevs = 3;
    rec->devs[2] = rec->devs[0];
    strcpy(rec->devs[2].cfg.id, "disk2");
    rec->devs[2].cfg.mode = VR_MODE_DYNAMIC;
    rec->devs[2].cfg.size = 0;
    memset(&rec->devs[2].pool, 0, sizeof(rec->devs[2].pool));
    rec->devs[2].cfg.aperture = 8 << 20;
    rec->devs[2].cfg.map_threshold = VR_NEVER_MAP;
    rec->devs[2].cfg.revoke_ms = 750;
    rec->devs[2].mmio_base = 0x2000400;
    rec->devs[2].irq = 35;
    rec->devs[2].iova.base = UINT64_C(0x1000000000);
    rec->devs[2].iova.size = 8 << 20;
    rec->devs[2].iova.gref_base = 13312;
    rec->iommu.present = true;
    rec->iommu.mmio_base = 0x2000600;
    rec->iommu.irq = 36;
    rec->nram = 2;
    rec->ram[0].start = 0x40000;
    rec->ram[0].end = 0x100000;
    rec->ram[1].start = 0x200000;
    rec->ram[1].end = UINT64_C(0x100000000);
}

static void test_round_trip(void **state)
{
    struct vr_record a, b;
    struct vr_err err;
    char *json, *again;

    (void)state;
    fill(&a);
    assert_int_equal(vr_record_to_json(&a, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &b, &err), 0);
    assert_int_equal(vr_record_to_json(&b, &again), 0);
    assert_string_equal(json, again);
    assert_string_equal(a.name, b.name);
    assert_int_equal(a.phase, b.phase);
    assert_true(a.creator_start == b.creator_start);
    assert_int_equal(b.ndrivers, 2);
    assert_int_equal(b.ndevs, 3);
    assert_int_equal(vr_record_endpoints(&b), 1);
    assert_int_equal(b.devs[2].cfg.mode, VR_MODE_DYNAMIC);
    assert_int_equal(b.devs[2].cfg.aperture, 8 << 20);
    assert_true(b.devs[2].cfg.map_threshold == VR_NEVER_MAP);
    assert_int_equal(b.devs[2].cfg.revoke_ms, 750);
    assert_true(b.iommu.present);
    assert_int_equal(b.iommu.mmio_base, 0x2000600);
    assert_int_equal(b.iommu.irq, 36);
    assert_int_equal(b.nram, 2);
    assert_int_equal(b.ram[0].start, 0x40000);
    assert_true(b.ram[1].end == UINT64_C(0x100000000));
    assert_true(b.drivers[0].owned);
    assert_false(b.drivers[1].owned);
    assert_string_equal(b.devs[1].cfg.backend, "storage");
    assert_true(b.devs[1].cfg.has_base);
    assert_true(b.devs[0].pool.base == 0x48000000);
    free(json);
    free(again);
    /* nothing placed yet */
    fill(&a);
    a.phase = VR_PHASE_CREATING;
    a.domid = VR_DOMID_NONE;
    a.drivers[0].domid = VR_DOMID_NONE;
    memset(&a.devs[0].pool, 0, sizeof(a.devs[0].pool));
    memset(&a.iommu, 0, sizeof(a.iommu));
    a.nram = 0;
    assert_int_equal(vr_record_to_json(&a, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &b, &err), 0);
    free(json);
    /* a name that is no text */
    strcpy(a.name, "\xff\xfe");
    assert_int_equal(vr_record_to_json(&a, &json), -EINVAL);
    assert_null(json);
}

/* @from replaced by @to in a good record: must be refused. */
static void refused(const char *from, const char *to)
{
    struct vr_record rec;
    struct vr_err err = {""};
    char *json, *at, *bad;
    int rc;

    fill(&rec);
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    at = strstr(json, from);
    if (!at)
        fail_msg("no %s in %s", from, json);
    assert_true(asprintf(&bad, "%.*s%s%s", (int)(at - json), json, to,
                         at + strlen(from)) > 0);
    rc = vr_record_from_json(bad, strlen(bad), &rec, &err);
    if (rc != -EINVAL || !err.text[0])
        fail_msg("%s for %s: rc %d, \"%s\"", to, from, rc, err.text);
    free(bad);
    free(json);
}

static void test_hostile_fields(void **state)
{
    char longer[VR_PATH_LEN + 16];

    (void)state;
    refused("\"version\": 5", "\"version\": 6");
    refused("\"version\": 5", "\"version\": 4");
    refused("\"version\": 5", "\"version\": 0");
    refused("\"version\": 5", "\"version\": 1"); /* with version 3's keys */
    refused("\"version\": 5", "\"version\": 2");
    refused("\"version\": 5", "\"version\": 3");
    refused("\"version\": 5,", "");
    refused("\"version\": 5", "\"version\": 5, \"version\": 3");
    refused("\"vcpus\"", "\"vcups\"");
    refused("\"running\"", "\"walking\"");
    refused("\"running\"", "2");
    refused("\"domid\": 5", "\"domid\": -5");
    refused("\"domid\": 5", "\"domid\": 5.0");
    refused("\"domid\": 5", "\"domid\": 5e0");
    refused("\"domid\": 5", "\"domid\": 32752"); /* DOMID_SELF */
    refused("\"domid\": 5", "\"domid\": 99999999999999999999999999");
    refused("\"domid\": 5", "\"domid\": \"5\"");
    refused("\"domid\": 5", "\"domid\": null");
    refused("\"domid\": 5", "\"domid\": [5]");
    refused("\"domid\": 5", "\"domid\": {}");
    refused("\"domid\": 5", "\"domid\": true");
    refused("\"domid\": 5", "\"domid\": 32756"); /* none, but running */
    refused("\"owned\": true", "\"owned\": 1");
    refused("\"owned\": true", "\"owned\": false"); /* has a config */
    refused(UUID, "0123456789abcdef");
    refused("disk0-driver", "disk0\\ndriver");
    refused("disk0-driver", "disk0\\u0000driver");
    refused("\"name\": \"guest", "\"nam\": \"guest");
    refused("\"id\": \"disk1\"", "\"id\": \"disk0\"");
    refused("\"id\": \"disk1\"", "\"id\": \"disk/1\"");
    refused("\"id\": \"disk1\"", "\"id\": \"\"");
    refused("\"type\": \"block\"", "\"type\": \"bloc\"");
    refused("\"mode\": \"static\"", "\"mode\": \"\"");
    refused("\"queues\": 2", "\"queues\": 0");
    refused("\"queues\": 2", "\"queues\": 17");
    refused("\"queue_size\": 128", "\"queue_size\": 100");
    refused("\"driver\": 1", "\"driver\": 2");
    refused("\"driver\": 1", "\"driver\": 16");
    refused("\"backend\": \"storage\"", "\"backend\": \"\"");
    refused("\"pool_size\": 67108864", "\"pool_size\": 67108865");
    refused("\"pool_size\": 67108864", "\"pool_size\": 17592186044415");
    refused("\"pool_size\": 67108864", "\"pool_size\": 0");
    refused("\"pool_size\": 67108864", "\"pool_size\": 68157440");
    refused("\"pool_gref\": 16384", "\"pool_gref\": 4294967295");
    refused("\"pool_gref\": 15360", "\"pool_gref\": 20000");
    refused("\"pool_gref\": 15360", "\"pool_gref\": 15361");
    refused("\"irq\": 33", "\"irq\": 1020");
    refused("/dev/xvdb", "");
    /* what only dynamic devices have, and their virtio-iommu */
    refused("\"iommu\": true,", "");
    refused("\"iommu\": true", "\"iommu\": 1");
    refused("\"iommu\": true", "\"iommu\": false");
    refused("\"iommu_mmio_base\": 33555968", "\"iommu_mmio_base\": 33555456");
    refused("\"iommu_irq\": 36", "\"iommu_irq\": 35");
    refused("\"iommu_irq\": 36", "\"iommu_irq\": 1020");
    refused("\"start\": 262144", "\"start\": 1048576");
    refused("\"start\": 2097152", "\"start\": 1048575");
    refused("\"end\": 4294967296", "\"end\": 4294967297");
    refused("\"start\": 262144,", "");
    refused("\"mode\": \"dynamic\"", "\"mode\": \"static\"");
    refused("\"aperture\": 8388608", "\"aperture\": 8388609");
    refused("\"aperture\": 8388608", "\"aperture\": 4194304");
    refused("\"aperture\": 8388608", "\"aperture\": 0");
    refused("\"aperture\": 0", "\"aperture\": 8388608");
    refused("\"aperture\": 8388608,", "");
    refused("\"revoke_ms\": 750", "\"revoke_ms\": 99");
    refused("\"revoke_ms\": 750", "\"revoke_ms\": 60001");
    refused("\"map_threshold\": 18446744073709551615",
            "\"map_threshold\": 18446744073709551616");
    refused("\"map_threshold\": 18446744073709551615",
            "\"map_threshold\": \"never\"");
    refused("\"pool_base\": 1610612736", "\"pool_base\": 1207959552");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    refused("/dev/xvdb", longer);
    refused("disk0-driver", longer);
}

/* Removes every line of @json that has @key. */
static void cut_lines(char *json, const char *key)
{
    char *at, *line, *end;

    while ((at = strstr(json, key))) {
        for (line = at; line > json && line[-1] != '\n'; line--)
            ;
        end = strchr(at, '\n');
        assert_non_null(end);
        memmove(line, end + 1, strlen(end + 1) + 1);
    }
}

/* Turns the text @from into @to, as often as it is there. */
static char *replace(char *json, const char *from, const char *to)
{
    size_t from_len = strlen(from), to_len = strlen(to);
    char *out = calloc(2, strlen(json) + 1), *p = out, *at, *rest = json;

    assert_non_null(out);
    assert_true(to_len <= 2 * from_len);
    while ((at = strstr(rest, from))) {
        memcpy(p, rest, (size_t)(at - rest));
        p += at - rest;
        memcpy(p, to, to_len);
        p += to_len;
        rest = at + from_len;
    }
    strcpy(p, rest);
    free(json);
    return out;
}

/* @rec as version 4 wrote it. */
static char *version_4(const struct vr_record *rec)
{
    static const char *const since_5[] = {
        "\"transport\"", "\"mac\"",     "\"bridge\"",  "\"gatewaydev\"",
        "\"ip\"",        "\"script\"",  "\"vifname\"", "\"mtu\"",
        "\"rate\"",      "\"offload\"", "\"vhost\""};
    unsigned int i;
    char *json;

    assert_int_equal(vr_record_to_json(rec, &json), 0);
    for (i = 0; i < VR_ARRAY_SIZE(since_5); i++)
        cut_lines(json, since_5[i]);
    return replace(json, "\"version\": 5", "\"version\": 4");
}

/* @rec as version 3 wrote it. */
static char *version_3(const struct vr_record *rec)
{
    char *json;

    json = version_4(rec);
    cut_lines(json, "\"pool_in\"");
    return replace(json, "\"version\": 4", "\"version\": 3");
}

/*
 * @rec as version 2 wrote it: one window a device, whatever its mode. All but
 * device 2 are static here.
 */
static char *version_2(const struct vr_record *rec)
{
    struct vr_record copy = *rec;
    char *json;

    if (copy.ndevs > 2) {
        copy.devs[2].pool = copy.devs[2].iova;
        memset(&copy.devs[2].iova, 0, sizeof(copy.devs[2].iova));
    }
    json = version_3(&copy);
    cut_lines(json, "\"iova_base\"");
    cut_lines(json, "\"iova_size\"");
    cut_lines(json, "\"iova_gref\"");
    json = replace(json, "\"pool_base\"", "\"dma_base\"");
    json = replace(json, "\"pool_size\"", "\"dma_size\"");
    json = replace(json, "\"pool_gref\"", "\"gref_base\"");
    /* the last of them has no comma behind it */
    json = replace(json, ",\n        }", "\n        }");
    return replace(json, "\"version\": 3", "\"version\": 2");
}

/* Device 2 with a pool beside its window. */
static void fill_mixed(struct vr_record *rec)
{
    fill(rec);
    rec->devs[2].cfg.mode = VR_MODE_MIXED;
    rec->devs[2].cfg.size = 2 << 20;
    rec->devs[2].pool = (struct vr_gwin){0x70000000, 2 << 20, 12800};
}

static void refuse(const struct vr_record *rec, const char *why)
{
    struct vr_record read;
    struct vr_err err;
    char *json;

    assert_int_equal(vr_record_to_json(rec, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                     -EINVAL);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" is not \"%s\"", err.text, why);
    free(json);
}

static void test_mixed(void **state)
{
    struct vr_record rec, read;
    struct vr_err err;
    char *json;

    (void)state;
    fill_mixed(&rec);
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err), 0);
    free(json);
    assert_int_equal(read.devs[2].cfg.mode, VR_MODE_MIXED);
    assert_int_equal(read.devs[2].pool.base, 0x70000000);
    assert_int_equal(read.devs[2].pool.gref_base, 12800);
    assert_true(read.devs[2].iova.base == UINT64_C(0x1000000000));
    assert_int_equal(vr_record_endpoints(&read), 1);
    assert_true(vr_record_placed(&read.devs[2]));
    assert_ptr_equal(vr_record_window(&read.devs[2], VR_WINDOW_POOL),
                     &read.devs[2].pool);
    assert_ptr_equal(vr_record_window(&read.devs[2], VR_WINDOW_IOVA),
                     &read.devs[2].iova);
    assert_null(vr_record_window(&read.devs[0], VR_WINDOW_IOVA));
    /* half of it is not enough for a guest that runs */
    memset(&rec.devs[2].pool, 0, sizeof(rec.devs[2].pool));
    refuse(&rec, "missing window");
    fill_mixed(&rec);
    rec.devs[2].iova.gref_base = 0;
    refuse(&rec, "missing window");
    /* an address, or a reference, for two pages */
    fill_mixed(&rec);
    rec.devs[2].iova.base = 0x70000000;
    refuse(&rec, "overlaps");
    fill_mixed(&rec);
    rec.devs[2].pool.gref_base = 13312 - 511;
    refuse(&rec, "references overlap");
    rec.devs[2].pool.gref_base = 13312 - 512;
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err), 0);
    free(json);
    rec.devs[2].pool.base = 0x48000000;
    refuse(&rec, "overlaps");
    /* of two devices a pool and a dynamic window may have one address */
    fill_mixed(&rec);
    rec.devs[2].iova.base = 0x48000000;
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err), 0);
    free(json);
    /* windows that the mode does not have */
    fill_mixed(&rec);
    rec.devs[2].cfg.mode = VR_MODE_DYNAMIC;
    refuse(&rec, "pool of a dynamic device");
    rec.devs[2].cfg.size = 0;
    refuse(&rec, "window of another size");
    fill_mixed(&rec);
    rec.devs[0].iova = rec.devs[2].iova;
    refuse(&rec, "window of another size");
}

static void test_transport(void **state)
{
    struct vr_record rec, read;
    struct vr_err err;
    char *json;

    (void)state;
    fill(&rec);
    assert_int_equal(vr_record_vectors(&rec), 0);
    rec.devs[1].cfg.transport = VR_TRANSPORT_pci;
    rec.devs[1].cfg.queues = 4;
    assert_int_equal(vr_record_vectors(&rec), 5);
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err), 0);
    assert_int_equal(read.devs[1].cfg.transport, VR_TRANSPORT_pci);
    assert_int_equal(read.devs[0].cfg.transport, VR_TRANSPORT_mmio);
    free(json);
    json = version_4(&rec);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err), 0);
    assert_int_equal(read.devs[1].cfg.transport, VR_TRANSPORT_mmio);
    free(json);
    refused("\"transport\": \"mmio\"", "\"transport\": \"isa\"");
    refused("\"transport\": \"mmio\",", "");
}

/* Where a pool is told of, and that version 3 knew one place only. */
static void test_pool_in(void **state)
{
    static const enum vr_pool_in places[] = {VR_POOL_IN_FIRMWARE,
                                             VR_POOL_IN_PROBE, VR_POOL_IN_BOTH};
    struct vr_record rec, read;
    struct vr_err err;
    unsigned int i;
    char *json;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(places); i++) {
        fill_mixed(&rec);
        rec.devs[2].cfg.pool_in = places[i];
        assert_int_equal(vr_record_to_json(&rec, &json), 0);
        assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                         0);
        assert_int_equal(read.devs[2].cfg.pool_in, places[i]);
        assert_int_equal(read.devs[0].cfg.pool_in, VR_POOL_IN_FIRMWARE);
        free(json);
        json = version_3(&rec);
        assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                         0);
        assert_int_equal(read.devs[2].cfg.pool_in, VR_POOL_IN_FIRMWARE);
        /* a key that it did not have */
        json = replace(json, "\"has_base\": false,",
                       "\"pool_in\": \"both\",\"has_base\": false,");
        assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                         -EINVAL);
        free(json);
    }
    fill_mixed(&rec);
    rec.devs[0].cfg.pool_in = VR_POOL_IN_PROBE;
    refuse(&rec, "not mixed");
    fill(&rec);
    rec.devs[2].cfg.pool_in = VR_POOL_IN_BOTH;
    refuse(&rec, "not mixed");
    refused("\"pool_in\": \"firmware\"", "\"pool_in\": \"probes\"");
    refused("\"pool_in\": \"firmware\"", "\"pool_in\": 1");
    refused("\"pool_in\": \"firmware\",", "");
}

/* What an installation of before mixed devices has left. */
static void test_version_2(void **state)
{
    struct vr_record rec, read;
    struct vr_err err;
    char *json, *now, *again;

    (void)state;
    fill(&rec);
    json = version_2(&rec);
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err), 0);
    assert_true(read.devs[0].pool.base == 0x48000000);
    assert_true(read.devs[2].iova.base == UINT64_C(0x1000000000));
    assert_true(read.devs[2].iova.size == 8 << 20);
    assert_int_equal(read.devs[2].iova.gref_base, 13312);
    assert_true(read.devs[2].pool.size == 0);
    /* the same as what is written now */
    assert_int_equal(vr_record_to_json(&rec, &now), 0);
    assert_int_equal(vr_record_to_json(&read, &again), 0);
    assert_string_equal(now, again);
    free(again);
    free(now);
    /* keys of one version with the number of another */
    json = replace(json, "\"version\": 2", "\"version\": 5");
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                     -EINVAL);
    json = replace(json, "\"version\": 5", "\"version\": 1");
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                     -EINVAL);
    /* a mode that version did not know */
    json = replace(json, "\"version\": 1", "\"version\": 2");
    json = replace(json, "\"mode\": \"dynamic\"", "\"mode\": \"mixed\"");
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "mixed"));
    json = replace(json, "\"mode\": \"mixed\"", "\"mode\": \"dynamic\"");
    /* keys of two versions */
    json = replace(json, "\"dma_base\"", "\"iova_base\"");
    assert_int_equal(vr_record_from_json(json, strlen(json), &read, &err),
                     -EINVAL);
    free(json);
}

/* What an installation of before dynamic devices has left. */
static void test_version_1(void **state)
{
    static const char *const keys[] = {
        "\"aperture\"", "\"map_threshold\"",   "\"revoke_ms\"",
        "\"iommu\"",    "\"iommu_mmio_base\"", "\"iommu_irq\"",
    };
    struct vr_record rec;
    struct vr_err err;
    char *json, *again, *at;
    size_t i;

    (void)state;
    fill(&rec);
    rec.ndevs = 2;
    rec.nram = 0;
    memset(&rec.iommu, 0, sizeof(rec.iommu));
    json = version_2(&rec);
    for (i = 0; i < VR_ARRAY_SIZE(keys); i++)
        cut_lines(json, keys[i]);
    at = strstr(json, "\"ram\": [");
    assert_non_null(at);
    again = strchr(at, ']');
    memmove(at, again + 2, strlen(again + 2) + 1);
    /* the keys of version 2 are missing */
    assert_int_equal(vr_record_from_json(json, strlen(json), &rec, &err),
                     -EINVAL);
    at = strstr(json, "\"version\": 2");
    assert_non_null(at);
    at[strlen("\"version\": ")] = '1';
    assert_int_equal(vr_record_from_json(json, strlen(json), &rec, &err), 0);
    assert_int_equal(rec.ndevs, 2);
    assert_int_equal(vr_record_endpoints(&rec), 0);
    assert_true(rec.devs[1].cfg.map_threshold == VR_NEVER_MAP);
    assert_int_equal(rec.devs[1].cfg.revoke_ms, VR_REVOKE_MS_DEFAULT);
    /* and is written as what it is now */
    free(json);
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    assert_non_null(strstr(json, "\"version\": 5"));
    assert_int_equal(vr_record_from_json(json, strlen(json), &rec, &err), 0);
    free(json);
}

static void test_hostile_shape(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{}",
        "{",
        "}",
        "1",
        "\"\"",
        "true",
        "{\"version\":1}",
        "[[[[[[[[",
        "{\"drivers\":[1]}",
        "{\"drivers\":[[]]}",
        "{\"drivers\":{}}",
        "{\"drivers\":[{\"name\":{}}]}",
        "{\"devices\":[{},{}]}",
        "{\"phase\":\"running\"} {}",
    };
    size_t i, len = VR_RECORD_MAX + 1;
    struct vr_record rec;
    struct vr_err err;
    char *deep, *json;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_int_equal(
            vr_record_from_json(bad[i], strlen(bad[i]), &rec, &err), -EINVAL);
    deep = malloc(len);
    assert_non_null(deep);
    memset(deep, '[', len);
    assert_int_equal(vr_record_from_json(deep, len - 1, &rec, &err), -EINVAL);
    assert_int_equal(vr_record_from_json(deep, len, &rec, &err), -EINVAL);
    memset(deep, ' ', len);
    assert_int_equal(vr_record_from_json(deep, len - 1, &rec, &err), -EINVAL);
    free(deep);
    /* cut anywhere */
    fill(&rec);
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    len = strlen(json);
    while (len && json[len - 1] != '}')
        len--;
    for (i = 0; i < len; i++)
        assert_int_equal(vr_record_from_json(json, i, &rec, &err), -EINVAL);
    assert_int_equal(vr_record_from_json(json, len, &rec, &err), 0);
    free(json);
}

static void test_too_many(void **state)
{
    struct vr_record rec;
    struct vr_err err;
    char *json, *at, *bad;
    size_t len = 0, room = 64 * 1024;
    unsigned int i;

    (void)state;
    fill(&rec);
    rec.ndrivers = 1;
    rec.ndevs = 0;
    assert_int_equal(vr_record_to_json(&rec, &json), 0);
    at = strstr(json, "\"drivers\": [");
    assert_non_null(at);
    bad = malloc(room);
    assert_non_null(bad);
    len += snprintf(bad, room, "%.*s\"drivers\": [", (int)(at - json), json);
    for (i = 0; i <= VR_MAX_DEVICES; i++)
        len += snprintf(bad + len, room - len,
                        "%s{\"name\":\"d\",\"uuid\":\"" UUID2
                        "\",\"domid\":1,\"owned\":false,\"config\":\"\"}",
                        i ? "," : "");
    snprintf(bad + len, room - len, "], \"devices\": []}");
    assert_int_equal(vr_record_from_json(bad, strlen(bad), &rec, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "too many"));
    free(bad);
    free(json);
}

static void test_files(void **state)
{
    char tmp[] = "/tmp/vr-record-XXXXXX", name[160], path[128];
    char(*uuids)[VR_UUID_LEN + 1];
    struct vr_record rec, back;
    struct vr_err err;
    struct stat st;
    int dir, fd;

    (void)state;
    assert_non_null(mkdtemp(tmp));
    snprintf(path, sizeof(path), "%s/run", tmp);
    assert_int_equal(vr_record_dir(path, false, &err), -ENOENT);
    dir = vr_record_dir(path, true, &err);
    assert_true(dir >= 0);
    assert_int_equal(fstat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    fill(&rec);
    assert_int_equal(vr_record_load_at(dir, UUID, &back, &err), -ENOENT);
    assert_int_equal(vr_record_save_at(dir, &rec, &err), 0);
    rec.phase = VR_PHASE_CLOSING;
    assert_int_equal(vr_record_save_at(dir, &rec, &err), 0);
    assert_int_equal(vr_record_load_at(dir, UUID, &back, &err), 0);
    assert_int_equal(back.phase, VR_PHASE_CLOSING);
    snprintf(name, sizeof(name), "%s.json", UUID);
    assert_int_equal(fstatat(dir, name, &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    /* a record under another guest's name */
    snprintf(path, sizeof(path), "%s.json", UUID2);
    assert_int_equal(linkat(dir, name, dir, path, 0), 0);
    assert_int_equal(vr_record_load_at(dir, UUID2, &back, &err), -EINVAL);
    assert_int_equal(unlinkat(dir, path, 0), 0);
    /* links, fifos and folders in a record's place */
    assert_int_equal(symlinkat(name, dir, path), 0);
    assert_int_equal(vr_record_load_at(dir, UUID2, &back, &err), -ELOOP);
    assert_int_equal(unlinkat(dir, path, 0), 0);
    assert_int_equal(mkfifoat(dir, path, 0600), 0);
    assert_int_equal(vr_record_load_at(dir, UUID2, &back, &err), -EINVAL);
    assert_int_equal(unlinkat(dir, path, 0), 0);
    assert_int_equal(vr_record_load_at(dir, "../../etc/passwd", &back, &err),
                     -EINVAL);
    /* what an interrupted save leaves: of an earlier process with our number,
     * and of another one, which must not be touched while it is at work */
    snprintf(path, sizeof(path), ".%s.%d.tmp", UUID, (int)getpid());
    fd = openat(dir, path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
    snprintf(path, sizeof(path), ".%s.4194303.tmp", UUID);
    fd = openat(dir, path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(vr_record_save_at(dir, &rec, &err), 0);
    assert_int_equal(fstatat(dir, path, &st, 0), 0);

    fd = openat(dir, "README", O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(vr_record_list_at(dir, &uuids), 1);
    assert_string_equal(uuids[0], UUID);
    free(uuids);
    vr_record_remove_at(dir, UUID);
    assert_int_equal(vr_record_list_at(dir, &uuids), 0);
    free(uuids);
    assert_int_equal(fstatat(dir, path, &st, 0), -1);
    close(dir);

    /* a folder that others could write to */
    snprintf(path, sizeof(path), "%s/run", tmp);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(vr_record_dir(path, true, &err), -EPERM);
    snprintf(name, sizeof(name), "%s/README", path);
    unlink(name);
    rmdir(path);
    assert_int_equal(symlink(tmp, path), 0);
    assert_true(vr_record_dir(path, true, &err) < 0);
    unlink(path);
    rmdir(tmp);
}

static void test_proc_start(void **state)
{
    uint64_t start = vr_proc_start(getpid());
    pid_t pid;

    (void)state;
    assert_true(start != 0);
    assert_true(vr_proc_start(getpid()) == start);
    assert_true(vr_proc_start(0) == 0);
    assert_true(vr_proc_start(-1) == 0);
    pid = fork();
    if (!pid)
        _exit(0);
    assert_true(pid > 0);
    /* a zombie counts as gone, before and after it is reaped */
    while (vr_proc_start(pid))
        usleep(1000);
    waitpid(pid, NULL, 0);
    assert_true(vr_proc_start(pid) == 0);
}

static void test_phase(void **state)
{
    (void)state;
    assert_string_equal(vr_phase_name(VR_PHASE_CREATING), "creating");
    assert_string_equal(vr_phase_name(VR_PHASE_CLOSING), "closing");
    assert_null(vr_phase_name((enum vr_phase)4));
    assert_null(vr_phase_name((enum vr_phase) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile_fields),
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_pool_in),
        cmocka_unit_test(test_transport),
        cmocka_unit_test(test_version_2),
        cmocka_unit_test(test_hostile_shape),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_proc_start),
        cmocka_unit_test(test_phase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

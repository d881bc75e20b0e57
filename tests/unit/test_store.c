/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the toolstack writes into xenstore, and who may then do what with it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakestore.h"

#define UUID    "01234567-89ab-cdef-0123-456789abcdef"
#define G       5u
#define B       3u
#define BACKEND "/local/domain/3/backend/virtio_restricted/5/disk0"
#define GUEST   "/local/domain/5/device/virtio_restricted/disk0"
#define TRUTH   "/libxl/5/virtio_restricted/disk0"

/* The homes of both domains; each is its domain's own, to make it hard. */
static int setup(void **state)
{
    (void)state;
    fs_init();
    put("/local/domain/3", "", B);
    put("/local/domain/5", "", G);
    put("/libxl/5", "", 0);
    return 0;
}

/* ---- the tests ---- */

static void fill(struct vr_record *rec, enum vr_mode mode)
{
    memset(rec, 0, sizeof(*rec));
    strcpy(rec->name, "guest");
    strcpy(rec->uuid, UUID);
    rec->domid = G;
    rec->ndrivers = 1;
    strcpy(rec->drivers[0].name, "driver");
    rec->drivers[0].domid = B;
    rec->ndevs = 1;
    rec->devs[0].cfg = (struct vr_dev_cfg){
        .id = "disk0",
        .type = VR_TYPE_block,
        .mode = mode,
        .target = "/dev/xvdb",
        .queues = 1,
        .queue_size = 128,
        .map_threshold = VR_NEVER_MAP,
        .revoke_ms = 750,
    };
    rec->devs[0].mmio_base = 0x2000000;
    rec->devs[0].irq = 33;
    if (mode != VR_MODE_DYNAMIC)
        rec->devs[0].pool = (struct vr_gwin){0x48000000, 8 << 20, 24576};
    if (mode != VR_MODE_STATIC) {
        rec->devs[0].iova = (struct vr_gwin){UINT64_C(1) << 36, 8 << 20, 16384};
        rec->iommu.present = true;
        rec->iommu.mmio_base = 0x2000200;
        rec->iommu.irq = 34;
    }
}

static void expect(const char *folder, const char *leaf, const char *value)
{
    char path[VR_XS_PATH];
    struct node *node;

    snprintf(path, sizeof(path), "%s/%s", folder, leaf);
    node = find(path);
    if (!node || strcmp(node->value, value))
        fail_msg("%s is %s, not %s", path, node ? node->value : "missing",
                 value);
}

/* Every node at and below @folder: the toolstack's; @domid may read it, and
 * write those that are named. */
static void expect_perms(const char *folder, uint32_t domid, bool backend)
{
    size_t len = strlen(folder);
    unsigned int i, seen = 0;

    for (i = 0; i < store.n; i++) {
        const struct node *node = &store.nodes[i];
        const char *leaf = node->path + len;
        unsigned int perm = XS_PERM_READ;

        if (strncmp(node->path, folder, len) || (*leaf && *leaf != '/'))
            continue;
        seen++;
        if (backend &&
            (!strcmp(leaf, "/disk0/state") || !strcmp(leaf, "/disk0/error")))
            perm |= XS_PERM_WRITE;
        if (node->perms[0].id || node->perms[0].perms != XS_PERM_NONE)
            fail_msg("%s: owner", node->path);
        if (node->nperms != (domid ? 2 : 1))
            fail_msg("%s: %u permissions", node->path, node->nperms);
        if (domid &&
            (node->perms[1].id != domid || node->perms[1].perms != perm))
            fail_msg("%s: access for %u", node->path, domid);
    }
    assert_true(seen > 5);
}

static void expect_all_perms(void)
{
    expect_perms("/local/domain/3/backend/virtio_restricted/5", B, true);
    expect_perms("/local/domain/5/device/virtio_restricted", G, false);
    expect_perms("/libxl/5/virtio_restricted", 0, false);
}

static void test_static(void **state)
{
    struct vr_record rec;
    struct vr_err err;

    (void)state;
    fill(&rec, VR_MODE_STATIC);
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), 0);
    expect_all_perms();
    /* folders and what B may write; one call for each node would be 50 */
    assert_true(store.perm_calls <= 10);
    expect(BACKEND, "mode", "static");
    expect(BACKEND, "window/0/kind", "static");
    expect(BACKEND, "window/0/gref", "24576");
    expect(BACKEND, "ctrl-gref", "77");
    expect(BACKEND, "event-channel", "12");
    expect(BACKEND, "state", "2");
    expect(BACKEND, "error", "");
    expect(BACKEND, "kill", "0");
    assert_null(find(BACKEND "/map-threshold"));
    expect(GUEST, "mode", "static");
    expect(GUEST, "pool-base", "0x48000000");
    expect(GUEST, "pool-size", "0x800000");
    expect(GUEST, "pool-gref", "24576");
    expect(GUEST, "state", "4");
    assert_null(find(GUEST "/endpoint"));
    expect(TRUTH, "uuid", UUID);
    expect(TRUTH, "window/0/kind", "static");
    expect(TRUTH, "state", "starting");
    assert_null(find(TRUTH "/iommu"));
}

static void test_dynamic(void **state)
{
    struct vr_record rec;
    struct vr_err err;

    (void)state;
    fill(&rec, VR_MODE_DYNAMIC);
    rec.devs[1] = rec.devs[0];
    strcpy(rec.devs[1].cfg.id, "disk1");
    rec.devs[1].cfg.map_threshold = 64 << 10;
    rec.ndevs = 2;
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), 0);
    expect_all_perms();
    expect(BACKEND, "mode", "dynamic");
    expect(BACKEND, "window/0/kind", "dynamic");
    expect(BACKEND, "window/0/base", "0x1000000000");
    expect(BACKEND, "map-threshold", "never");
    expect(GUEST, "iova-base", "0x1000000000");
    expect(GUEST, "iova-size", "0x800000");
    expect(GUEST, "iova-gref", "16384");
    expect(GUEST, "iommu", "0x2000200");
    expect(GUEST, "endpoint", "0");
    assert_null(find(GUEST "/pool-base"));
    expect(TRUTH, "window/0/kind", "dynamic");
    expect(TRUTH, "iommu/mmio", "0x2000200");
    expect(TRUTH, "iommu/irq", "34");
    expect(TRUTH, "iommu/endpoint", "0");
    expect(TRUTH, "map-threshold", "never");
    expect(TRUTH, "revoke-timeout", "750");
    /* an endpoint's number is the device's place in the list */
    assert_int_equal(vr_store_publish(&store, &rec, 1, 78, 13, &err), 0);
    expect("/libxl/5/virtio_restricted/disk1", "iommu/endpoint", "1");
    expect("/local/domain/3/backend/virtio_restricted/5/disk1", "map-threshold",
           "64K");
    expect(BACKEND, "ctrl-gref", "77");
}

static void test_mixed(void **state)
{
    struct vr_record rec;
    struct vr_err err;

    (void)state;
    fill(&rec, VR_MODE_MIXED);
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), 0);
    expect_all_perms();
    expect(BACKEND, "mode", "mixed");
    expect(BACKEND, "window/0/kind", "static");
    expect(BACKEND, "window/0/base", "0x48000000");
    expect(BACKEND, "window/0/gref", "24576");
    expect(BACKEND, "window/1/kind", "dynamic");
    expect(BACKEND, "window/1/base", "0x1000000000");
    expect(BACKEND, "window/1/gref", "16384");
    expect(BACKEND, "map-threshold", "never");
    expect(GUEST, "pool-base", "0x48000000");
    expect(GUEST, "pool-size", "0x800000");
    expect(GUEST, "pool-gref", "24576");
    expect(GUEST, "iova-base", "0x1000000000");
    expect(GUEST, "iova-size", "0x800000");
    expect(GUEST, "iova-gref", "16384");
    expect(GUEST, "endpoint", "0");
    expect(TRUTH, "mode", "mixed");
    expect(TRUTH, "window/0/kind", "static");
    expect(TRUTH, "window/0/size", "0x800000");
    expect(TRUTH, "window/1/kind", "dynamic");
    expect(TRUTH, "window/1/base", "0x1000000000");
    expect(TRUTH, "window/1/gref", "16384");
    expect(TRUTH, "iommu/endpoint", "0");
    expect(TRUTH, "pool-in", "firmware");
    rec.devs[0].cfg.pool_in = VR_POOL_IN_PROBE;
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), 0);
    expect(TRUTH, "pool-in", "probe");
}

/* Folders that a driver domain made beforehand become the toolstack's. */
static void test_prepared_by_b(void **state)
{
    struct vr_record rec;
    struct vr_err err;

    (void)state;
    put("/local/domain/3/backend", "", B);
    put("/local/domain/3/backend/virtio_restricted", "", B);
    put("/local/domain/3/backend/virtio_restricted/5", "", B);
    put(BACKEND, "", B);
    put(BACKEND "/state", "4", B);
    put(BACKEND "/window/0/gref", "8", B);
    put(BACKEND "/mine", "", B);
    put(TRUTH "/window", "", B);
    fill(&rec, VR_MODE_DYNAMIC);
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), 0);
    expect_all_perms();
    expect(BACKEND, "state", "2");
    expect(BACKEND, "window/0/gref", "16384");
    assert_null(find(BACKEND "/mine"));
}

static void test_state_and_counters(void **state)
{
    struct vr_stats_dev s = {.kicks = 7};
    struct vr_record rec;

    (void)state;
    fill(&rec, VR_MODE_STATIC);
    /* a guest that is gone does not come back as a folder */
    vr_store_state(&store, &rec, 0, VR_STATE_FAILED, "why");
    vr_store_counters(&store, &rec, 0, &s);
    assert_null(find(TRUTH));
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, NULL), 0);
    store.perm_calls = 0;
    vr_store_state(&store, &rec, 0, VR_STATE_FAILED, "a\nb");
    vr_store_counters(&store, &rec, 0, &s);
    assert_int_equal(store.perm_calls, 0);
    expect(TRUTH, "state", "failed");
    expect(TRUTH, "error", "a?b");
    strcpy(rec.drivers[0].name, "renamed");
    vr_store_driver_name(&store, &rec, 0);
    expect(TRUTH, "driver-name", "renamed");
    expect(TRUTH, "state", "failed");
    expect(TRUTH, "counters/kicks", "7");
    assert_null(find(TRUTH "/counters/last-fault"));
    s.faults = 1;
    s.fault_addr = 0x1000;
    vr_store_counters(&store, &rec, 0, &s);
    expect(TRUTH, "counters/last-fault", "0x1000");
    s.b.faults = 1;
    s.b.fault_addr = 0x1000002abc;
    vr_store_counters(&store, &rec, 0, &s);
    expect(TRUTH, "counters/last-fault", "0x1000002abc");
    expect_all_perms();
}

/* An idle device is asked every few seconds whether its backend is there. */
static void test_same_counters(void **state)
{
    struct vr_stats_dev a = {.kicks = 7, .mmio_reads = 2}, b = a;

    (void)state;
    b.kick_events = b.intr_events = 9;
    b.silent = 1;
    assert_true(vr_store_same_counters(&a, &b));
    b.b.requests = 1;
    assert_false(vr_store_same_counters(&a, &b));
    b = a;
    b.mmio_writes = 1;
    assert_false(vr_store_same_counters(&a, &b));
}

static void test_kill(void **state)
{
    struct vr_record rec;

    (void)state;
    fill(&rec, VR_MODE_DYNAMIC);
    assert_int_equal(vr_store_kill(&store, &rec, 0), -ENOENT);
    assert_null(find(BACKEND));
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, NULL), 0);
    assert_int_equal(vr_store_kill(&store, &rec, 0), 0);
    expect(BACKEND, "kill", "1");
    store.conflicts = 3;
    assert_int_equal(vr_store_kill(&store, &rec, 0), 0);
    assert_int_equal(store.conflicts, 0);
    expect_all_perms();
    vr_store_withdraw(&store, &rec, false);
    assert_null(find(BACKEND));
    assert_null(find("/local/domain/3/backend/virtio_restricted/5"));
    assert_non_null(find(TRUTH));
    assert_int_equal(vr_store_kill(&store, &rec, 0), -ENOENT);
    assert_null(find("/local/domain/3/backend/virtio_restricted/5"));
    vr_store_withdraw(&store, &rec, true);
    assert_null(find(TRUTH));
    assert_null(find(GUEST));
}

static void test_conflicts(void **state)
{
    struct vr_record rec;
    struct vr_err err;

    (void)state;
    fill(&rec, VR_MODE_STATIC);
    store.conflicts = 5;
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), 0);
    expect_all_perms();
    store.conflicts = 1000;
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), -EAGAIN);
    assert_non_null(strstr(err.text, "disk0"));
}

static void test_domain_gone(void **state)
{
    struct vr_record rec;
    struct vr_err err;

    (void)state;
    fill(&rec, VR_MODE_STATIC);
    xs_rm(&store, 0, "/local/domain/3");
    assert_int_equal(vr_store_publish(&store, &rec, 0, 77, 12, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/local/domain/3"));
    assert_null(find(BACKEND));
}

/* A domain that is gone, and what its devices have left in our backends. */
static void test_forget(void **state)
{
    (void)state;
    put("/local/domain/0/backend/vbd/7/51728/physical-device", "fd:0", 0);
    put("/local/domain/0/backend/vif/7/0/hotplug-error", "late", 0);
    put("/libxl/7/device/vbd/51728", "", 0);
    put("/local/domain/7/device", "", 0);
    /* Others', of numbers that begin or end alike. */
    put("/local/domain/0/backend/vbd/70/51728", "", 0);
    put("/local/domain/0/backend/vbd/17/7", "", 0);
    put("/local/domain/3/backend/vbd/7/51728", "", 0);
    assert_int_equal(vr_store_forget(&store, 7), 4);
    assert_null(find("/local/domain/0/backend/vbd/7"));
    assert_null(find("/local/domain/0/backend/vif/7/0/hotplug-error"));
    assert_null(find("/libxl/7"));
    assert_null(find("/local/domain/7"));
    assert_non_null(find("/local/domain/0/backend/vbd/70/51728"));
    assert_non_null(find("/local/domain/0/backend/vbd/17/7"));
    assert_non_null(find("/local/domain/3/backend/vbd/7/51728"));
    assert_int_equal(vr_store_forget(&store, 7), 0);
    assert_int_equal(vr_store_forget(&store, 99), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_static, setup),
        cmocka_unit_test_setup(test_dynamic, setup),
        cmocka_unit_test_setup(test_mixed, setup),
        cmocka_unit_test_setup(test_prepared_by_b, setup),
        cmocka_unit_test_setup(test_state_and_counters, setup),
        cmocka_unit_test(test_same_counters),
        cmocka_unit_test_setup(test_kill, setup),
        cmocka_unit_test_setup(test_conflicts, setup),
        cmocka_unit_test_setup(test_domain_gone, setup),
        cmocka_unit_test_setup(test_forget, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/host/lost.h"

#define B     3 /* the driver domain */
#define PAGES 512u

static const struct vr_gwin pool = {.base = UINT64_C(0x48000000),
                                    .size = PAGES * VR_PAGE_SIZE,
                                    .gref_base = 4096};
static const struct vr_gwin iova = {
    .base = UINT64_C(1) << 36, .size = PAGES * VR_PAGE_SIZE, .gref_base = 3584};

static uint32_t of_pool(const struct vr_gntent *e)
{
    return vr_lost_count(e, &pool, VR_LOST_POOL, B);
}

static uint32_t of_iova(const struct vr_gntent *e)
{
    return vr_lost_count(e, &iova, VR_LOST_DYNAMIC, B);
}

/* What Linux stores, whatever was there. */
static void linux_grants(struct vr_gntent *e, uint16_t domid, uint32_t frame)
{
    e->domid = domid;
    e->frame = frame;
    e->flags = VR_GTF_PERMIT_ACCESS;
}

static void test_pool(void **state)
{
    struct vr_gntent e[PAGES] = {0};
    unsigned int i;

    (void)state;
    assert_int_equal(vr_gntent_grant_range(e, PAGES, B, 0x48000, false, NULL),
                     0);
    assert_int_equal(of_pool(e), 0);
    /* what the hypervisor writes there is no loss */
    e[7].flags |= VR_GTF_IN_USE;
    assert_int_equal(of_pool(e), 0);
    /* a disk's grants to dom0, and one to the driver domain itself */
    for (i = 0; i < 100; i++)
        linux_grants(&e[i], 0, 0x1234 + i);
    linux_grants(&e[100], B, 0x9999);
    assert_int_equal(of_pool(e), 101);
    /* given back: still lost */
    for (i = 0; i < 101; i++)
        assert_int_equal(vr_gntent_revoke(&e[i]), 0);
    assert_int_equal(of_pool(e), 101);
    /* read-only, another type, a page too far */
    e[200].flags |= VR_GTF_READONLY;
    e[201].flags = 2;
    e[202].frame++;
    assert_int_equal(of_pool(e), 104);
    memset(e, 0, sizeof(e));
    assert_int_equal(of_pool(e), PAGES);
    memset(e, 0xff, sizeof(e));
    assert_int_equal(of_pool(e), PAGES);
}

/* Nothing of it is granted: whatever stands there is the guest's. */
static void test_private(void **state)
{
    struct vr_gntent e[PAGES] = {0};

    (void)state;
    assert_int_equal(vr_lost_count(e, &pool, VR_LOST_PRIVATE, B), 0);
    e[5].frame = 0x48005; /* what is left of a grant that was taken back */
    e[5].domid = B;
    assert_int_equal(vr_lost_count(e, &pool, VR_LOST_PRIVATE, B), 0);
    linux_grants(&e[6], 0, 0x1234);
    linux_grants(&e[7], B, 0x48007);
    e[8].flags = 2;
    assert_int_equal(vr_lost_count(e, &pool, VR_LOST_PRIVATE, B), 3);
}

static void test_iova(void **state)
{
    struct vr_gntent e[PAGES] = {0};

    (void)state;
    assert_int_equal(of_iova(e), 0);
    /* whatever the guest has mapped */
    assert_int_equal(vr_gntent_grant(&e[0], B, 0x40000, false), 0);
    assert_int_equal(vr_gntent_grant(&e[9], B, 0x40000, true), 0);
    e[9].flags |= VR_GTF_READING;
    assert_int_equal(of_iova(e), 0);
    linux_grants(&e[9], 0, 0x40000);
    linux_grants(&e[10], 0, 0x40001);
    assert_int_equal(of_iova(e), 2);
    e[11].flags = 2;
    assert_int_equal(of_iova(e), 3);
    e[10].flags = 0;
    assert_int_equal(of_iova(e), 2);
}

static void test_text(void **state)
{
    struct vr_record rec = {
        .ndevs = 1,
        .devs[0] = {.cfg = {.mode = VR_MODE_MIXED}, .pool = pool, .iova = iova},
    };
    struct vr_err text;

    (void)state;
    vr_lost_text(&text, &rec, "its windows", 4137, 28672);
    assert_string_equal(
        text.text,
        "4137 of the 28672 grant entries of its windows have been overwritten "
        "by the guest, probably because its own grants (PV disks, interfaces) "
        "do not fit into the 3584 in front of the windows: raise "
        "virtio_restricted_grants= and create it again; see LIMITS in "
        "xl-virtio-restricted.cfg(5)");
    /* whole, with the longest of everything */
    rec.ndevs = 0;
    vr_lost_text(&text, &rec, "the windows", UINT32_MAX, UINT32_MAX);
    assert_non_null(strstr(text.text, "cfg(5)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_iova),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

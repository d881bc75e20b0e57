/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/window/gntent.h"

static void test_grant(void **state)
{
    struct vr_gntent e = {0}, copy;

    (void)state;
    assert_int_equal(vr_gntent_grant(&e, 3, 0x48000, false), 0);
    assert_int_equal(e.flags, VR_GTF_PERMIT_ACCESS);
    assert_int_equal(e.domid, 3);
    assert_int_equal(e.frame, 0x48000);
    copy = vr_gntent_read(&e);
    assert_memory_equal(&copy, &e, sizeof(e));
    /* a live entry is never written over */
    assert_int_equal(vr_gntent_grant(&e, 4, 1, false), -EBUSY);
    assert_int_equal(e.domid, 3);
    assert_int_equal(e.frame, 0x48000);
    assert_int_equal(vr_gntent_revoke(&e), 0);
    assert_int_equal(e.flags, 0);
    assert_int_equal(vr_gntent_revoke(&e), 0);
    assert_int_equal(vr_gntent_grant(&e, 4, 1, true), 0);
    assert_int_equal(e.flags, VR_GTF_PERMIT_ACCESS | VR_GTF_READONLY);
}

static void test_in_use(void **state)
{
    struct vr_gntent e = {
        .flags = VR_GTF_PERMIT_ACCESS | VR_GTF_READING,
        .domid = 3,
        .frame = 9,
    };

    (void)state;
    assert_int_equal(vr_gntent_revoke(&e), -EBUSY);
    assert_int_equal(e.flags, VR_GTF_PERMIT_ACCESS | VR_GTF_READING);
    e.flags = VR_GTF_PERMIT_ACCESS | VR_GTF_IN_USE;
    assert_int_equal(vr_gntent_revoke(&e), -EBUSY);
    assert_int_equal(vr_gntent_grant(&e, 3, 9, false), -EBUSY);
    assert_int_equal(e.flags, VR_GTF_PERMIT_ACCESS | VR_GTF_IN_USE);
}

static void test_range(void **state)
{
    struct vr_gntent t[16];
    uint32_t bad = 99;
    unsigned int i;

    (void)state;
    memset(t, 0, sizeof(t));
    t[9].flags = VR_GTF_PERMIT_ACCESS;
    assert_int_equal(vr_gntent_grant_range(t, 16, 2, 100, false, &bad), -EBUSY);
    assert_int_equal(bad, 9);
    for (i = 0; i < 16; i++)
        assert_int_equal(t[i].flags, i == 9 ? VR_GTF_PERMIT_ACCESS : 0);
    t[9].flags = 0;
    assert_int_equal(vr_gntent_grant_range(t, 16, 2, 100, false, NULL), 0);
    for (i = 0; i < 16; i++)
        assert_int_equal(t[i].frame, 100 + i);
    t[3].flags |= VR_GTF_READING;
    t[4].flags |= VR_GTF_WRITING;
    assert_int_equal(vr_gntent_revoke_range(t, 16), 2);
    for (i = 0; i < 16; i++)
        assert_int_equal(!!t[i].flags, i == 3 || i == 4);
    t[3].flags = VR_GTF_PERMIT_ACCESS;
    t[4].flags = VR_GTF_PERMIT_ACCESS;
    assert_int_equal(vr_gntent_revoke_range(t, 16), 0);
    /* frames that do not fit, and those that just do */
    assert_int_equal(
        vr_gntent_grant_range(t, 16, 2, UINT32_MAX - 14, false, NULL), -EINVAL);
    assert_int_equal(t[0].flags, 0);
    assert_int_equal(
        vr_gntent_grant_range(t, 16, 2, UINT32_MAX - 15, false, NULL), 0);
    assert_int_equal(t[15].frame, UINT32_MAX);
    assert_int_equal(vr_gntent_grant_range(t, 0, 2, UINT32_MAX, true, NULL), 0);
    memset(t, 0, sizeof(t));
    assert_int_equal(
        vr_gntent_grant_range(t, 1, 2, UINT64_C(5) << 32, false, NULL),
        -EINVAL);
    assert_int_equal(vr_gntent_grant(t, 2, UINT64_C(1) << 32, false), -EINVAL);
    assert_int_equal(t[0].flags, 0);
    assert_int_equal(vr_gntent_grant(t, 2, 7, false), 0);
    assert_true(vr_gntent_grants(t, 2, 7));
    assert_false(vr_gntent_grants(t, 2, (UINT64_C(1) << 32) + 7));
}

static void test_fits(void **state)
{
    (void)state;
    assert_true(vr_gntent_fits(0, UINT64_C(1) << 32));
    assert_false(vr_gntent_fits(1, UINT64_C(1) << 32));
    assert_true(vr_gntent_fits(UINT32_MAX, 1));
    assert_false(vr_gntent_fits(UINT32_MAX, 2));
    assert_false(vr_gntent_fits(UINT64_C(1) << 32, 0));
    assert_false(vr_gntent_fits(UINT64_MAX, 2));
}

/*
 * A model of the hypervisor: another thread that pins an entry by setting the
 * in-use bits in the word of flags and domid at once, as Xen does on Arm,
 * reaches the page, and lets go. After a revoke that succeeded, it must not
 * reach the page again; and what it pins must be a whole entry.
 */
#define ROUNDS 20000

typedef uint32_t __attribute__((may_alias)) word_t;

struct model {
    struct vr_gntent entry;
    uint32_t allowed; /* frame that may be reached now; 0: none */
    uint32_t stop, wrong, pins;
};

static void *hypervisor(void *arg)
{
    struct model *m = arg;
    word_t *word = (word_t *)&m->entry;

    while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED)) {
        uint32_t w = __atomic_load_n(word, __ATOMIC_ACQUIRE), frame;

        if ((w & VR_GTF_TYPE_MASK) != VR_GTF_PERMIT_ACCESS)
            continue;
        if (!__atomic_compare_exchange_n(word, &w, w | VR_GTF_IN_USE, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            continue;
        frame = __atomic_load_n(&m->entry.frame, __ATOMIC_ACQUIRE);
        if (w >> 16 != (frame & 0xfff) ||
            __atomic_load_n(&m->allowed, __ATOMIC_SEQ_CST) != frame)
            m->wrong++;
        __atomic_fetch_add(&m->pins, 1, __ATOMIC_RELAXED);
        __atomic_fetch_and(&m->entry.flags, (uint16_t)~VR_GTF_IN_USE,
                           __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void test_concurrent(void **state)
{
    struct model m = {0};
    unsigned int i, refused = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, hypervisor, &m), 0);
    for (i = 1; i <= ROUNDS; i++) {
        uint32_t pins = __atomic_load_n(&m.pins, __ATOMIC_RELAXED);
        unsigned int spin;

        __atomic_store_n(&m.allowed, i, __ATOMIC_SEQ_CST);
        assert_int_equal(vr_gntent_grant(&m.entry, i & 0xfff, i, false), 0);
        for (spin = 0; spin < 50; spin++)
            if (__atomic_load_n(&m.pins, __ATOMIC_RELAXED) != pins)
                break;
        /* On a busy machine the other thread takes its time to begin. */
        while (!__atomic_load_n(&m.pins, __ATOMIC_RELAXED))
            sched_yield();
        if (i % 256 == 0)
            sched_yield();
        while (vr_gntent_revoke(&m.entry)) {
            refused++;
            sched_yield();
        }
        __atomic_store_n(&m.allowed, 0, __ATOMIC_SEQ_CST);
        assert_int_equal(vr_gntent_read(&m.entry).flags, 0);
    }
    __atomic_store_n(&m.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(m.wrong, 0);
    assert_int_not_equal(m.pins, 0);
    print_message("%u pins, %u revokes refused\n", m.pins, refused);
}

/* A guest that changes the entry all the time must not hold us up. */
static void *vandal(void *arg)
{
    struct model *m = arg;

    while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED))
        __atomic_fetch_xor(&m->entry.flags, 0x100, __ATOMIC_RELAXED);
    return NULL;
}

static void test_vandal(void **state)
{
    struct model m = {.entry = {.flags = VR_GTF_PERMIT_ACCESS}};
    unsigned int i;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, vandal, &m), 0);
    for (i = 0; i < 10000; i++) {
        int rc = vr_gntent_revoke(&m.entry);

        assert_true(rc == 0 || rc == -EBUSY);
        vr_gntent_read(&m.entry);
        vr_gntent_grant(&m.entry, 1, 1, false);
    }
    __atomic_store_n(&m.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

/* A pool is taken back at any time, and the guest's own grants stay. */
static void test_take_back(void **state)
{
    struct vr_gntent e[16];
    unsigned int i;

    (void)state;
    memset(e, 0, sizeof(e));
    assert_int_equal(vr_gntent_take_back(e, 16, 3, 0x100), 0);
    assert_int_equal(vr_gntent_grant_range(e, 16, 3, 0x100, false, NULL), 0);
    e[1].domid = 0;
    e[2].frame = 0x99;
    e[3].flags |= VR_GTF_READONLY;
    e[4].flags = 2;
    e[5].flags = 0;
    e[6].flags |= VR_GTF_READING;
    assert_int_equal(vr_gntent_take_back(e, 16, 3, 0x100), 1);
    for (i = 0; i < 16; i++)
        assert_int_equal(!!e[i].flags, i >= 1 && i <= 6 && i != 5);
    e[6].flags &= ~VR_GTF_READING;
    assert_int_equal(vr_gntent_take_back(e, 16, 3, 0x100), 0);
    assert_int_equal(e[6].flags, 0);
    assert_int_not_equal(e[1].flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant),     cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_range),     cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_vandal),    cmocka_unit_test(test_fits),
        cmocka_unit_test(test_take_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

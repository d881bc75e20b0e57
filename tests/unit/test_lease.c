/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/worker/lease.h"

#define PATIENCE 1000

static const struct vr_ctrl_request run = {.run = 1, .nqueues = 1}, stop = {0};

static void until_granted(struct vr_lease *l)
{
    vr_lease_init(l, 512, PATIENCE);
    assert_false(vr_lease_request(l, &run, 10));
    assert_int_equal(vr_lease_due(l, 10), VR_LEASE_ASK_GRANT);
    assert_int_equal(vr_lease_answer(l, VR_LEASE_IS_GRANTED, 12),
                     VR_LEASE_PUBLISH);
}

static void test_no_pool(void **state)
{
    struct vr_lease l;

    (void)state;
    vr_lease_init(&l, 0, PATIENCE);
    assert_true(vr_lease_request(&l, &run, 1));
    assert_true(vr_lease_acked(&l, 2));
    assert_true(vr_lease_request(&l, &stop, 3));
    assert_true(vr_lease_acked(&l, 4));
    assert_int_equal(vr_lease_due(&l, INT64_MAX / 2), VR_LEASE_NOTHING);
    assert_int_equal(vr_lease_next(&l), 0);
    assert_int_equal(l.patience_ms, PATIENCE);
}

static void test_life(void **state)
{
    struct vr_ctrl_request more = run;
    struct vr_lease l;

    (void)state;
    vr_lease_init(&l, 16384, PATIENCE);
    assert_int_equal(l.patience_ms, PATIENCE + 1024);
    assert_int_equal(vr_lease_next(&l), 0);
    /* the driver starts; the last word of several counts */
    assert_false(vr_lease_request(&l, &run, 10));
    more.nqueues = 2;
    assert_false(vr_lease_request(&l, &more, 11));
    assert_int_equal(vr_lease_due(&l, 11), VR_LEASE_ASK_GRANT);
    assert_int_equal(vr_lease_due(&l, 11), VR_LEASE_NOTHING);
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_GRANTED, 12),
                     VR_LEASE_PUBLISH);
    assert_int_equal(l.req.nqueues, 2);
    assert_true(vr_lease_acked(&l, 13));
    /* while it runs nothing is in the way, and nothing is due */
    assert_true(vr_lease_request(&l, &run, 20));
    assert_true(vr_lease_acked(&l, 21));
    assert_int_equal(vr_lease_next(&l), 0);
    /* the reset: first the backend, then the grants */
    assert_true(vr_lease_request(&l, &stop, 30));
    assert_int_equal(vr_lease_due(&l, 30), VR_LEASE_NOTHING);
    assert_false(vr_lease_acked(&l, 40));
    assert_false(vr_lease_acked(&l, 41));
    assert_int_equal(vr_lease_due(&l, 41), VR_LEASE_ASK_REVOKE);
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, 42),
                     VR_LEASE_QUIET);
    assert_int_equal(vr_lease_next(&l), 0);
    /* and again */
    assert_false(vr_lease_request(&l, &run, 50));
    assert_int_equal(vr_lease_due(&l, 50), VR_LEASE_ASK_GRANT);
}

/* A reset before the answer: the backend never hears of the start. */
static void test_overtaken(void **state)
{
    struct vr_lease l;

    (void)state;
    vr_lease_init(&l, 512, PATIENCE);
    assert_false(vr_lease_request(&l, &run, 10));
    assert_int_equal(vr_lease_due(&l, 10), VR_LEASE_ASK_GRANT);
    assert_true(vr_lease_request(&l, &stop, 11));
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_GRANTED, 12),
                     VR_LEASE_NOTHING);
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_REFUSED, 12),
                     VR_LEASE_NOTHING);
    assert_false(vr_lease_acked(&l, 13));
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_GRANTED, 14),
                     VR_LEASE_NOTHING);
    assert_int_equal(vr_lease_due(&l, 14), VR_LEASE_ASK_REVOKE);
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, 15),
                     VR_LEASE_QUIET);
    /* a second answer to a question asked twice */
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, 15),
                     VR_LEASE_NOTHING);
}

/* A start while the pool is still being taken back waits for that. */
static void test_started_early(void **state)
{
    struct vr_lease l;

    (void)state;
    until_granted(&l);
    assert_true(vr_lease_request(&l, &stop, 30));
    assert_false(vr_lease_request(&l, &run, 31));
    assert_false(vr_lease_acked(&l, 32));
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, 33),
                     VR_LEASE_NOTHING);
    assert_int_equal(vr_lease_due(&l, 33), VR_LEASE_ASK_GRANT);
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_GRANTED, 34),
                     VR_LEASE_PUBLISH);
}

static void test_refused(void **state)
{
    struct vr_lease l;

    (void)state;
    vr_lease_init(&l, 512, PATIENCE);
    assert_false(vr_lease_request(&l, &run, 10));
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_REFUSED, 11),
                     VR_LEASE_FAIL);
    /* what a failed device publishes; what was granted goes as usual */
    assert_true(vr_lease_request(&l, &stop, 11));
    assert_false(vr_lease_acked(&l, 12));
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, 13),
                     VR_LEASE_QUIET);
}

/* Messages and answers may be lost: asked again, less and less often. */
static void test_again(void **state)
{
    int64_t now = 10, last = 10, pause = 0;
    unsigned int asked = 0;
    struct vr_lease l;

    (void)state;
    vr_lease_init(&l, 512, PATIENCE);
    assert_false(vr_lease_request(&l, &run, now));
    for (; now < 60010; now++) {
        enum vr_lease_act act = vr_lease_due(&l, now);

        assert_true(vr_lease_next(&l) > now);
        if (act == VR_LEASE_NOTHING)
            continue;
        assert_int_equal(act, VR_LEASE_ASK_GRANT);
        assert_true(now - last >= pause && now - last <= 100);
        pause = now - last;
        last = now;
        asked++;
    }
    assert_true(asked > 600 && asked < 700);
}

/* A backend that does not stop, or that says so and holds on. */
static void test_kill(void **state)
{
    int64_t now, first = 0, last = 0;
    unsigned int acked, kills;
    struct vr_lease l;

    (void)state;
    for (acked = 0; acked < 2; acked++) {
        until_granted(&l);
        kills = 0;
        assert_true(vr_lease_request(&l, &stop, 1000));
        if (acked)
            assert_false(vr_lease_acked(&l, 1001));
        for (now = 1001; now < 1000000; now++) {
            if (vr_lease_due(&l, now) != VR_LEASE_KILL)
                continue;
            assert_true(!kills || now - last > last - first);
            if (!kills++)
                first = now;
            last = now;
        }
        /* It may be time to ask as well. */
        assert_true(first - 1000 - l.patience_ms <= acked);
        assert_true(kills > 4 && kills < 12);
        if (!acked)
            assert_false(vr_lease_acked(&l, now));
        assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, now),
                         VR_LEASE_QUIET);
        assert_int_equal(vr_lease_next(&l), 0);
    }
}

static void test_end(void **state)
{
    struct vr_lease l;

    (void)state;
    until_granted(&l);
    assert_true(vr_lease_request(&l, &stop, 30));
    vr_lease_end(&l);
    assert_int_equal(vr_lease_next(&l), 0);
    assert_int_equal(vr_lease_due(&l, 1 << 30), VR_LEASE_NOTHING);
    assert_int_equal(vr_lease_answer(&l, VR_LEASE_IS_PRIVATE, 31),
                     VR_LEASE_NOTHING);
    assert_true(vr_lease_acked(&l, 32));
}

/*
 * A guest, a backend and a supervisor that do as they like, with messages lost
 * in between: the pool is granted whenever a request with run = 1 is out, and
 * private whenever a request with run = 0 is carried out.
 */
static void test_world(void **state)
{
    bool granted = false, out = false, unacked = false, wanted = false;
    unsigned int published = 0, quiet = 0, i;
    struct vr_lease l;
    int64_t now = 0;

    (void)state;
    srand(1);
    vr_lease_init(&l, 64, PATIENCE);
    for (i = 0; i < 1000000; i++) {
        enum vr_lease_act act = VR_LEASE_NOTHING;

        now += rand() % 4;
        switch (rand() % 8) {
        case 0:
            wanted = rand() % 2;
            if (vr_lease_request(&l, wanted ? &run : &stop, now)) {
                assert_true(!wanted || granted);
                out = wanted;
                unacked = true;
            }
            break;
        case 1:
            if (unacked && vr_lease_acked(&l, now))
                assert_true(out);
            unacked = false;
            break;
        case 2: /* an answer that comes late, or twice */
            act = vr_lease_answer(
                &l, granted ? VR_LEASE_IS_GRANTED : VR_LEASE_IS_PRIVATE, now);
            break;
        default:
            act = vr_lease_due(&l, now);
            if (rand() % 4 == 0)
                break; /* lost */
            if (act == VR_LEASE_ASK_GRANT)
                granted = true;
            if (act == VR_LEASE_ASK_REVOKE && rand() % 2)
                granted = false;
        }
        if (act == VR_LEASE_PUBLISH) {
            assert_true(granted && wanted && !out);
            out = unacked = true;
            published++;
        }
        if (act == VR_LEASE_QUIET) {
            assert_false(granted || out || unacked || wanted);
            quiet++;
        }
        assert_true(!out || granted);
    }
    assert_true(published > 1000 && quiet > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_pool),   cmocka_unit_test(test_life),
        cmocka_unit_test(test_overtaken), cmocka_unit_test(test_started_early),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_again),
        cmocka_unit_test(test_kill),      cmocka_unit_test(test_end),
        cmocka_unit_test(test_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

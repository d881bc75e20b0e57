/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/iommu/ladder.h"

#define REVOKE_MS 1000

/* Endpoints 0 and 1 are one driver domain's, 2 is another's. */
static struct vr_ladder make(bool owned)
{
    struct vr_ladder l = {0};
    unsigned int i;

    for (i = 0; i < 3; i++) {
        l.ep[i].driver = i / 2;
        l.ep[i].owned = owned;
        l.ep[i].revoke_ms = REVOKE_MS;
    }
    return l;
}

/* The time at which something is due, looking each millisecond from *now on. */
static enum vr_act next(struct vr_ladder *l, unsigned int i, int64_t *now)
{
    enum vr_act act = VR_ACT_NONE;
    int64_t end = *now + 60000;

    while (!act && *now < end) {
        (*now)++;
        act = vr_ladder_climb(l, i, *now, false);
    }
    return act;
}

static void test_steps(void **state)
{
    struct vr_ladder l = make(true);
    int64_t now = 5000;

    (void)state;
    assert_int_equal(vr_ladder_climb(&l, 0, now, false), VR_ACT_NONE);
    assert_int_equal(next(&l, 0, &now), VR_ACT_STOP);
    assert_int_equal(now, 5000 + VR_GRACE_MS);
    assert_int_equal(next(&l, 0, &now), VR_ACT_KILL);
    assert_int_equal(now, 5000 + VR_GRACE_MS + REVOKE_MS);
    assert_false(vr_ladder_destroyed(&l, 0));
    assert_int_equal(next(&l, 0, &now), VR_ACT_DESTROY);
    assert_int_equal(now, 5000 + VR_GRACE_MS + REVOKE_MS + VR_DESTROY_MS);
    assert_int_equal(l.ep[0].step, VR_STEP_DESTROY);
    assert_true(vr_ladder_destroyed(&l, 0));
    assert_int_equal(next(&l, 0, &now), VR_ACT_DESTROY);
    assert_int_equal(now, 5000 + VR_GRACE_MS + REVOKE_MS + VR_DESTROY_MS +
                              VR_AGAIN_MS);
}

static void test_at_once(void **state)
{
    struct vr_ladder l = make(true);

    (void)state;
    assert_int_equal(vr_ladder_climb(&l, 0, 7, true), VR_ACT_STOP);
    /* No further than that. */
    assert_int_equal(vr_ladder_climb(&l, 0, 8, true), VR_ACT_NONE);
    vr_ladder_down(&l, 0, 9);
    assert_int_equal(l.ep[0].step, VR_STEP_NONE);
    /* Whoever looks late blames this wait, not those before. */
    assert_int_equal(vr_ladder_climb(&l, 2, 100, false), VR_ACT_NONE);
    assert_int_equal(vr_ladder_climb(&l, 2, 100 + 2 * VR_BUDGET_MS, false),
                     VR_ACT_STOP);
}

/* Destroying concerns the domain: what its other endpoint is asked to give
 * back meanwhile is withheld as well, and it is not told a second time. */
static void test_one_domain(void **state)
{
    struct vr_ladder l = make(true);
    int64_t now = 100;

    (void)state;
    while (next(&l, 0, &now) != VR_ACT_DESTROY)
        ;
    assert_true(vr_ladder_destroyed(&l, 1));
    assert_false(vr_ladder_destroyed(&l, 2));
    assert_int_equal(vr_ladder_climb(&l, 1, now, false), VR_ACT_NONE);
    assert_int_equal(l.ep[1].step, VR_STEP_DESTROY);
    /* Nobody waits any more, as when the guest stops the queue: the domain is
     * being destroyed nevertheless. */
    vr_ladder_down(&l, 0, now);
    vr_ladder_down(&l, 1, now);
    assert_true(vr_ladder_destroyed(&l, 0));
    assert_true(vr_ladder_destroyed(&l, 1));
    assert_int_equal(vr_ladder_climb(&l, 0, now + 1, true), VR_ACT_NONE);
    /* The other domain has a ladder of its own. */
    assert_int_equal(vr_ladder_climb(&l, 2, now + 1, true), VR_ACT_STOP);
}

static void test_shared(void **state)
{
    struct vr_ladder l = make(false);
    int64_t now = 100;

    (void)state;
    while (next(&l, 0, &now) != VR_ACT_DESTROY)
        ;
    assert_int_equal(l.ep[0].step, VR_STEP_STUCK);
    assert_false(vr_ladder_destroyed(&l, 0));
    assert_false(vr_ladder_destroyed(&l, 1));
}

/* One wait of @ms, looked at each millisecond. Returns the first act. */
static enum vr_act keep(struct vr_ladder *l, unsigned int i, int64_t *now,
                        int64_t ms)
{
    int64_t end = *now + ms;
    enum vr_act act = VR_ACT_NONE;

    for (; *now < end && !act; (*now)++)
        act = vr_ladder_climb(l, i, *now, false);
    if (!act)
        vr_ladder_down(l, i, *now);
    return act;
}

/* A page is kept for just less than the time that each may take, again and
 * again. */
static void test_budget(void **state)
{
    struct vr_ladder l = make(true);
    int64_t now = 1000, stalled = 0;
    enum vr_act act;

    (void)state;
    for (;;) {
        int64_t from = now;

        act = keep(&l, 0, &now, VR_GRACE_MS - 2);
        stalled += now - from;
        if (act)
            break;
        now++;
        assert_true(now < 2000);
    }
    assert_int_equal(act, VR_ACT_STOP_SPENT);
    assert_in_range(stalled, VR_BUDGET_MS - 1, VR_BUDGET_MS + 10);
    /* The other endpoint has not spent any. */
    assert_int_equal(keep(&l, 1, &now, VR_GRACE_MS - 2), VR_ACT_NONE);
    /* It is given no new time by letting go. */
    vr_ladder_down(&l, 0, now);
    act = keep(&l, 0, &now, 2);
    assert_int_equal(act, VR_ACT_STOP_SPENT);
    /* It is in the long run, and not more than it was: after a wait that took
     * very long, too. */
    now += 100000;
    vr_ladder_down(&l, 0, now);
    now += VR_BUDGET_MS * VR_BUDGET_PART;
    assert_int_equal(keep(&l, 0, &now, VR_GRACE_MS - 2), VR_ACT_NONE);
    assert_int_equal(keep(&l, 0, &now, VR_GRACE_MS + 2), VR_ACT_STOP);
}

/* What an honest backend needs now and then is never too much. */
static void test_within(void **state)
{
    struct vr_ladder l = make(true);
    int64_t now = 1;
    int i;

    (void)state;
    for (i = 0; i < 10000; i++) {
        assert_int_equal(keep(&l, 0, &now, 10), VR_ACT_NONE);
        now += 10 * (VR_BUDGET_PART - 1);
    }
    /* A rest is not saved up for more than the budget. */
    now += 10000000;
    for (i = 0; i < VR_BUDGET_MS / 10; i++)
        assert_int_equal(keep(&l, 0, &now, 10), VR_ACT_NONE);
    assert_int_equal(keep(&l, 0, &now, 10), VR_ACT_STOP_SPENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),      cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_one_domain), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_budget),     cmocka_unit_test(test_within),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

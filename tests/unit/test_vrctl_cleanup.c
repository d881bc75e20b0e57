/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl cleanup: the order of its steps, their bounds, and that what one run
 * leaves the next one finishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vrctl_world.h"

static int setup(void **state)
{
    (void)state;
    vw_init();
    return 0;
}

/* The guest was never let run. */
static void unfinished(void)
{
    vw.rec.phase = VR_PHASE_CREATING;
    vw.broker = false;
    vw.creator = false;
}

static int clean(bool abort)
{
    return abort ? vw_run(cmd_cleanup, "cleanup", "--abort", VW_UUID, NULL)
                 : vw_run(cmd_cleanup, "cleanup", VW_UUID, NULL);
}

static void assert_all_done(bool abort)
{
    assert_false(vw.has_rec);
    assert_false(vw.broker);
    assert_null(vw_dom(VW_OWNED));
    assert_non_null(vw_dom(VW_SHARED));
    assert_int_equal(!vw_dom(VW_GUEST), abort);
    assert_int_equal(vw_granted(0), 0);
    assert_false(vw_nodes_left());
    assert_null(find("/local/domain/4"));
    assert_non_null(find("/local/domain/3/name"));
}

static void in_order(void **state)
{
    static const struct {
        enum vw_did did;
        uint32_t domid;
    } order[] = {
        {VW_PAUSED, VW_GUEST},    {VW_SAVED, 0},
        {VW_KILLED, 0},           {VW_WITHDRAWN, VW_SHARED},
        {VW_DESTROYED, VW_OWNED}, {VW_REVOKED, 0},
        {VW_REMOVED, 0},
    };
    size_t i;

    (void)state;
    assert_int_equal(clean(false), EX_OK);
    assert_all_done(false);
    for (i = 0; i < VR_ARRAY_SIZE(order); i++) {
        assert_true(vw_when(order[i].did, order[i].domid) >= 0);
        if (i)
            assert_true(vw_when(order[i - 1].did, order[i - 1].domid) <
                        vw_when(order[i].did, order[i].domid));
    }
    assert_string_equal(vw.said, "");
    /* Once more: nothing to do. */
    assert_int_equal(clean(false), EX_OK);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL), EX_OK);
}

static void aborted(void **state)
{
    (void)state;
    unfinished();
    assert_int_equal(clean(true), EX_OK);
    assert_all_done(true);
    /* Nobody can reach the guest any more when it ends. */
    assert_true(vw_when(VW_REVOKED, 0) < vw_when(VW_DESTROYED, VW_GUEST));
    assert_true(vw_when(VW_DESTROYED, VW_GUEST) < vw_when(VW_REMOVED, 0));
}

/* Each step fails once. What it leaves, the record still says, and the next
 * run brings it to its end. */
static void one_step_fails(bool abort, bool holds)
{
    unsigned int k;
    int status;

    for (k = 0;; k++) {
        vw_init();
        if (abort)
            unfinished();
        vw.holds = holds;
        vw.fail_at = k;
        status = clean(abort);
        if (!vw.failed)
            break;
        assert_true(k < 40);
        assert_true(vw.now < 100000 + 120000);
        assert_int_equal(vw.has_rec, status != EX_OK);
        vw.fail_at = VW_NO_STEP;
        vw.holds = false;
        vw_backends();
        assert_int_equal(clean(abort), EX_OK);
        assert_all_done(abort);
    }
    assert_true(k > 5);
}

static void each_step_fails(void **state)
{
    (void)state;
    one_step_fails(false, false);
    one_step_fails(false, true);
}

static void each_step_of_an_abort_fails(void **state)
{
    (void)state;
    one_step_fails(true, false);
    one_step_fails(true, true);
}

/* A shared backend keeps what it has; the guest is told to nobody else. */
static void pages_are_held(void **state)
{
    (void)state;
    vw.holds = true;
    assert_int_equal(clean(false), EX_LEFT);
    assert_true(vw.has_rec);
    assert_int_equal(vw.rec.phase, VR_PHASE_CLOSING);
    /* Its own driver domain cannot hold anything any more. */
    assert_null(vw_dom(VW_OWNED));
    assert_int_equal(vw_granted(VW_OWNED), 0);
    assert_int_equal(vw_granted(VW_SHARED), 2 * VW_PAGES);
    assert_non_null(strstr(vw.said, "still holds 32 of its pages"));
    assert_non_null(find("/libxl/3/virtio_restricted_zombies/5"));
    vw.holds = false;
    vw_let_go(VW_SHARED);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "its clean-up was interrupted"));
    assert_all_done(false);
}

/* Its grant table cannot be looked at any more. */
static void guest_is_dying(void **state)
{
    (void)state;
    vw.dom[2].flags = XEN_DOMINF_dying;
    vw.holds = true;
    assert_int_equal(clean(false), EX_OK);
    assert_false(vw.has_rec);
    assert_int_equal(vw_when(VW_PAUSED, VW_GUEST), -1);
    assert_non_null(
        strstr(vw.said, "shared (3) still holds some of its pages"));
    assert_string_equal(find("/libxl/3/virtio_restricted_zombies/5")->value,
                        VW_UUID " 0 guest");
}

static void guest_goes(void)
{
    vw.dom[2].exists = false;
}

static void guest_is_gone(void **state)
{
    (void)state;
    vw.dom[2].flags = XEN_DOMINF_dying;
    vw.passes = guest_goes;
    assert_int_equal(clean(false), EX_OK);
    assert_string_equal(vw.said, "");
    vw_init();
    vw.dom[2].exists = false;
    assert_int_equal(clean(false), EX_OK);
    assert_false(vw.has_rec);
    assert_false(vw_nodes_left());
    /* Its number is another guest's by now, whose nodes these are. */
    vw_init();
    vw.dom[2].handle = 6;
    vw.holds = true; /* what is granted, by the other guest */
    assert_int_equal(clean(false), EX_OK);
    assert_int_equal(vw_when(VW_PAUSED, VW_GUEST), -1);
    assert_true(vw_nodes_left());
    assert_int_not_equal(vw_granted(VW_SHARED), 0);
}

/* One that was asked to go down goes when nobody needs it any more. */
static void drivers_that_wait(void **state)
{
    (void)state;
    put("/libxl/3/virtio_restricted_down", "poweroff 99999", 0);
    put("/libxl/4/virtio_restricted_down", "reboot 99999", 0);
    assert_int_equal(clean(false), EX_OK);
    assert_string_equal(find("/local/domain/3/control/shutdown")->value,
                        "poweroff");
    assert_null(find("/libxl/3/virtio_restricted_down"));
    /* It was given time. */
    assert_true(vw.now >= 100000 + 15000);
    assert_null(vw_dom(VW_OWNED));
    /* A guest that reboots needs it again. */
    vw_init();
    vw.dom[2].flags = XEN_DOMINF_shutdown | SHUTDOWN_reboot
                                                << XEN_DOMINF_shutdownshift;
    put("/libxl/3/virtio_restricted_down", "poweroff 99999", 0);
    assert_int_equal(clean(false), EX_OK);
    assert_null(find("/local/domain/3/control/shutdown"));
}

/* A script of its devices that goes on makes its nodes again. */
static void hotplug_scripts(void **state)
{
    (void)state;
    unfinished();
    vw.hotplug = true;
    assert_int_equal(clean(true), EX_LEFT);
    assert_non_null(strstr(vw.said, "a hotplug script"));
    assert_true(vw.has_rec);
    vw.hotplug = false;
    assert_int_equal(clean(true), EX_OK);
    assert_all_done(true);
}

static void one_driver(void **state)
{
    (void)state;
    assert_int_equal(
        vw_run(cmd_cleanup, "cleanup", "--driver", "shared", VW_UUID, NULL),
        EX_FAILED);
    assert_non_null(strstr(vw.said, "no driver domain shared was made for"));
    vw.holds = true; /* that is why */
    assert_int_equal(
        vw_run(cmd_cleanup, "cleanup", "--driver", "own", VW_UUID, NULL),
        EX_OK);
    assert_null(vw_dom(VW_OWNED));
    assert_true(vw.has_rec && vw.broker);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--driver", "own",
                            "06060606-0505-0505-0505-050505050505", NULL),
                     EX_FAILED);
}

/* Only what is nobody's. */
static void stale(void **state)
{
    (void)state;
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL), EX_OK);
    assert_true(vw.has_rec && vw.broker);
    vw.rec.phase = VR_PHASE_READY;
    vw.creator = true;
    vw.broker = false;
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL), EX_OK);
    assert_true(vw.has_rec);
    vw.creator = false;
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "its creation was interrupted"));
    assert_all_done(true);
    vw_init();
    vw.rec_error = -EINVAL;
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL),
                     EX_FAILED);
    vw.list_error = -EACCES;
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", NULL),
                     EX_FAILED);
}

static int lock;
static bool started_anew;

static void unlock_later(void)
{
    if (lock < 0 || vw.now < 105000)
        return;
    if (started_anew)
        vw.rec.creator_start = 78;
    lock_drop(VW_UUID, lock);
    lock = -1;
}

static void another_is_at_it(void **state)
{
    (void)state;
    lock = lock_take(VW_UUID, 0);
    assert_true(lock >= 0);
    assert_true(lock_held(VW_UUID));
    assert_int_equal(clean(false), EX_FAILED);
    assert_non_null(strstr(vw.said, "another clean-up of it is at work"));
    assert_true(vw.now >= 100000 + 120000);
    lock_drop(VW_UUID, lock);
    assert_false(lock_held(VW_UUID));
    /* It waits, and finds another life of the guest: not its business. */
    vw_init();
    lock = lock_take(VW_UUID, 0);
    vw.passes = unlock_later;
    started_anew = true;
    assert_int_equal(clean(false), EX_OK);
    assert_true(vw.has_rec && vw.broker);
    /* ... or the same one. */
    vw_init();
    lock = lock_take(VW_UUID, 0);
    vw.passes = unlock_later;
    started_anew = false;
    assert_int_equal(clean(false), EX_OK);
    assert_all_done(false);
}

static void odd_words(void **state)
{
    (void)state;
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "guest", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "-x", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--stale", VW_UUID, NULL),
                     EX_USAGE);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--driver", NULL),
                     EX_USAGE);
    assert_int_equal(vw_run(cmd_cleanup, "cleanup", "--abort", "--driver",
                            "own", VW_UUID, NULL),
                     EX_USAGE);
    vw.rec_error = -EINVAL;
    assert_int_equal(clean(false), EX_FAILED);
    assert_non_null(strstr(vw.said, "beyond repair"));
    vw.no_hypervisor = true;
    assert_int_equal(clean(false), EX_FAILED);
    assert_int_equal(vw.ntrace, 0);
}

static int end(void **state)
{
    (void)state;
    vw_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_order, setup),
        cmocka_unit_test_setup(aborted, setup),
        cmocka_unit_test_setup(each_step_fails, setup),
        cmocka_unit_test_setup(each_step_of_an_abort_fails, setup),
        cmocka_unit_test_setup(pages_are_held, setup),
        cmocka_unit_test_setup(guest_is_dying, setup),
        cmocka_unit_test_setup(guest_is_gone, setup),
        cmocka_unit_test_setup(drivers_that_wait, setup),
        cmocka_unit_test_setup(hotplug_scripts, setup),
        cmocka_unit_test_setup(one_driver, setup),
        cmocka_unit_test_setup(stale, setup),
        cmocka_unit_test_setup(another_is_at_it, setup),
        cmocka_unit_test_setup(odd_words, setup),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}

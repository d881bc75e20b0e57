/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/proto/devstate.h"
#include "libs/base/text.h"

/* A device that works. */
static struct vr_devfacts works(void)
{
    return (struct vr_devfacts){
        .phase = VR_PHASE_RUNNING,
        .name = "b1",
        .domid = 3,
        .dom = VR_DOM_RUNNING,
        .backend = VR_XB_CONNECTED,
    };
}

static void is(struct vr_devfacts f, const char *state, const char *reason)
{
    struct vr_devstate s;

    vr_devstate(&f, &s);
    assert_string_equal(vr_state_name(s.state), state);
    if (!strstr(s.reason, reason))
        assert_string_equal(s.reason, reason);
}

/* vrctl(8) has the same rows. */
static void the_table(void **state)
{
    struct vr_devfacts f = works();

    (void)state;
    is(f, "connected", "");
    f.phase = VR_PHASE_READY;
    is(f, "connected", "");

    f.phase = VR_PHASE_CREATING;
    f.dom = VR_DOM_UNMADE;
    f.domid = VR_DOMID_NONE;
    is(f, "starting", "driver domain b1: not made yet");
    f.dom = VR_DOM_RUNNING;
    f.domid = 3;
    f.broker_gone = true; /* it is yet to be started */
    is(f, "starting", "driver domain b1 (3): waiting for it to connect");
    f.dom = VR_DOM_PAUSED;
    is(f, "starting", "driver domain b1 (3): paused");
    f.dom = VR_DOM_RUNNING;
    f.says = "target /dev/x: not there";
    is(f, "starting", "it says \"target /dev/x: not there\"");

    f = works();
    f.dom = VR_DOM_PAUSED;
    is(f, "waiting", "driver domain b1 (3) is paused");
    f.dom = VR_DOM_SUSPENDED; /* by `xl save -c`, or one that fails */
    is(f, "waiting", "driver domain b1 (3) is suspended");
    f = works();
    f.backend = VR_XB_INITIALISING;
    is(f, "waiting", "the backend in driver domain b1 (3) is not connected");
    f.says = "restarting";
    is(f, "waiting", "; it says \"restarting\"");
    f = works();
    f.fail = VR_FAIL_SILENT;
    is(f, "waiting", vr_fail_text(VR_FAIL_SILENT));
    f.says = "target /dev/x: not there"; /* it went, and a worker restarted */
    is(f, "waiting", "; it says \"target /dev/x: not there\"");

    f = works();
    f.fail = VR_FAIL_OUTSIDE;
    is(f, "failed", vr_fail_text(VR_FAIL_OUTSIDE));
    f.says = "pool cannot be mapped";
    is(f, "failed", vr_fail_text(VR_FAIL_OUTSIDE));
    f.fail = VR_FAIL_BACKEND;
    is(f, "failed", "; it says \"pool cannot be mapped\"");
    f = works();
    f.dom = VR_DOM_CRASHED;
    is(f, "failed", "driver domain b1 (3) is crashed");
    f.dom = VR_DOM_GONE;
    is(f, "failed", "driver domain b1 (3) is gone");
    f = works();
    f.holds = true;
    is(f, "failed", "destroy one of them");
    f.owned = true;
    is(f, "failed", "it is destroyed");
    f = works();
    f.lost = "/var/log/xen/vr-broker-g1.log";
    is(f, "failed", "see /var/log/xen/vr-broker-g1.log");
    f = works();
    f.broker_gone = true;
    is(f, "failed", "the broker is gone");

    f = works();
    f.overwritten = "3 of the 8 entries";
    is(f, "damaged", "3 of the 8 entries");
    f.fail = VR_FAIL_OUTSIDE; /* is none of it */
    is(f, "failed", vr_fail_text(VR_FAIL_OUTSIDE));
    f.fail = VR_FAIL_SILENT;
    is(f, "waiting", vr_fail_text(VR_FAIL_SILENT));
    f.fail = VR_FAIL_GRANTS;
    is(f, "failed", f.overwritten);
    f.fail = VR_FAIL_BACKEND;
    is(f, "failed", "3 of the 8 entries");
    f.backend = VR_XB_CLOSED;
    f.says = "cannot be mapped";
    is(f, "failed", "3 of the 8 entries");
    f.dom = VR_DOM_GONE;
    is(f, "failed", "driver domain b1 (3) is gone");

    f = works();
    f.phase = VR_PHASE_CLOSING;
    f.broker_gone = true;
    is(f, "closing", "taken down");
    f.stale = "its clean-up was interrupted";
    is(f, "stale", "its clean-up was interrupted: run vrctl cleanup --stale");
}

static void each_state_has_a_word(void **state)
{
    enum vr_dev_state s;

    (void)state;
    for (s = VR_STATE_STARTING; s <= VR_STATE_STALE; s++)
        assert_int_equal(vr_state_parse(vr_state_name(s)), s);
    assert_int_equal(vr_state_parse(vr_state_name(VR_STATE_NONE)),
                     VR_STATE_NONE);
    assert_int_equal(vr_state_parse(""), VR_STATE_NONE);
    assert_int_equal(vr_state_parse("connected "), VR_STATE_NONE);
    assert_string_equal(vr_state_name(VR_STATE_STALE + 1), "unknown");
}

/* Each combination of facts: one of the states, "connected" only where nothing
 * is wrong, and no reason beside it. */
static void words_and_reasons_agree(void **state)
{
    struct vr_devstate s;
    unsigned int n;

    (void)state;
    for (n = 0; n < 4u * 9 * 7 * 11 * 64; n++) {
        struct vr_devfacts f = {.name = "b1", .domid = 3};
        unsigned int x = n;
        bool good;

        f.phase = x % 4, x /= 4;
        f.dom = x % 9, x /= 9;
        f.backend = x % 7, x /= 7;
        f.fail = x % 11, x /= 11;
        f.stale = x & 1 ? "stale" : NULL;
        f.broker_gone = x & 2;
        f.lost = x & 4 ? "log" : NULL;
        f.holds = x & 8;
        f.overwritten = x & 16 ? "some" : NULL;
        f.says = x & 32 ? "words" : "";
        good = (f.phase == VR_PHASE_READY || f.phase == VR_PHASE_RUNNING) &&
               f.dom == VR_DOM_RUNNING && f.backend == VR_XB_CONNECTED &&
               f.fail == VR_FAIL_NONE && !(x & 31);
        vr_devstate(&f, &s);
        assert_in_range(s.state, VR_STATE_STARTING, VR_STATE_STALE);
        if (f.dom == VR_DOM_UNMADE && s.state == VR_STATE_CONNECTED)
            continue; /* cannot be: it serves */
        assert_int_equal(good, s.state == VR_STATE_CONNECTED);
        assert_int_equal(good, !s.reason[0]);
    }
}

/* Whatever a driver domain writes: our own words come before it, all of them
 * are there, and what follows is inside of quotes. */
static void a_driver_domain_cannot_speak_for_us(void **state)
{
    char flood[1024], name[VR_NAME_LEN + 1], missing[512];
    struct vr_devfacts f = works();
    struct vr_devstate s;
    const char *q;

    (void)state;
    memset(flood, 'x', sizeof(flood) - 1);
    flood[sizeof(flood) - 1] = '\0';
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    f.name = name;
    f.says = flood;
    f.backend = VR_XB_UNKNOWN;
    vr_devstate(&f, &s);
    assert_non_null(strstr(s.reason, "the guest's requests wait for it; it "
                                     "says \"xxx"));
    assert_int_equal(s.reason[strlen(s.reason) - 1], '"');
    f.phase = VR_PHASE_CREATING;
    vr_devstate(&f, &s);
    assert_int_equal(s.reason[strlen(s.reason) - 1], '"');
    f.says = "\" is fine. device disk9: failed: call \"01234";
    vr_devstate(&f, &s);
    q = strchr(s.reason, '"');
    assert_non_null(q);
    assert_ptr_equal(strchr(q + 1, '"'), s.reason + strlen(s.reason) - 1);
    vr_devstate_missing(&f, true, missing, sizeof(missing));
    assert_non_null(strstr(missing, " (3) says \"' is fine."));
    assert_int_equal(missing[strlen(missing) - 1], '"');
}

static void what_is_missing(void **state)
{
    struct vr_devfacts f = works();
    char text[512];

    (void)state;
    f.backend = VR_XB_INITIALISING;
    assert_string_equal(
        vr_devstate_missing(&f, false, text, sizeof(text)),
        "driver domain b1 (3): backend initialising, control page not ready "
        "(does vr-backend run there? see /var/log/xen/console/guest-b1.log)");
    f.dom = VR_DOM_PAUSED;
    assert_string_equal(vr_devstate_missing(&f, false, text, sizeof(text)),
                        "driver domain b1 (3) is paused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(words_and_reasons_agree),
        cmocka_unit_test(each_state_has_a_word),
        cmocka_unit_test(a_driver_domain_cannot_speak_for_us),
        cmocka_unit_test(what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

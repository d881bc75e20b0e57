/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's supervisor: a guest's life, and what a worker, a backend or a
 * domain that is not what it should be can make it do (super_world.h). What
 * must hold at any time is checked there.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "super_world.h"

static int setup(void **state)
{
    (void)state;
    sw_init();
    return 0;
}

/* A guest that runs. */
static int setup_running(void **state)
{
    setup(state);
    sw_start();
    assert_int_equal(sw.s.step, STEP_RUNNING);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sw_settle();
    sw_end();
    return 0;
}

static const char *node(const char *path)
{
    struct node *n = find(path);

    return n ? n->value : NULL;
}

static const char *told_state(unsigned int dev)
{
    char path[VR_XS_PATH], id[8];

    snprintf(id, sizeof(id), "disk%u", dev);
    return node(vr_xs_truth(path, SW_GUEST, id, "state"));
}

static unsigned int heard(enum vr_msg_type type, unsigned int dev)
{
    unsigned int i, n = 0;

    for (i = 0; i < sw.nheard; i++)
        n += sw.heard[i].type == type && sw.heard[i].dev == dev;
    return n;
}

/* ---- the way to a guest that runs ---- */

static void test_life(void **state)
{
    unsigned int i;

    (void)state;
    sw_plugin('P', SW_UUID);
    assert_int_equal(sw.answer, 'O');
    assert_int_equal(sw.rec.broker, getpid());
    sw_plugin('S', SW_UUID);
    assert_int_equal(sw.answers, 1);
    for (i = 0; i < SW_DEVS; i++)
        sw_worker(VR_MSG_DEVICE, i);
    sw_worker(VR_MSG_SERVING, VR_MSG_NO_DEV);
    for (i = 0; i < SW_DEVS; i++)
        assert_string_equal(told_state(i), "starting");
    for (i = 0; i < SW_DEVS; i++) {
        assert_int_equal(sw.answers, 1);
        sw_worker(VR_MSG_CONNECTED, i);
        sw_backend_writes(i, "state", "4", 1);
        sw_run(0);
    }
    assert_int_equal(sw.answers, 2);
    assert_int_equal(sw.answer, 'O');
    assert_int_equal(sw.rec.phase, VR_PHASE_READY);
    sw_plugin('C', NULL);
    assert_int_equal(sw.rec.phase, VR_PHASE_RUNNING);
    for (i = 0; i < SW_DEVS; i++)
        assert_string_equal(told_state(i), "connected");
    sw_run(60000);
    assert_false(sw.s.done);
    sw.dom[0].flags |= XEN_DOMINF_dying;
    sw_run(10000);
    assert_true(sw.s.done);
    assert_int_equal(sw.cleanups, 1);
    assert_false(sw.abort);
}

static void test_out_of_turn(void **state)
{
    (void)state;
    sw_plugin('C', NULL);
    assert_int_equal(sw.answer, 'E');
    assert_false(sw.s.done);
}

static void test_other_guest(void **state)
{
    (void)state;
    sw_plugin('P', "11111111-89ab-cdef-0123-456789abcdef");
    assert_int_equal(sw.answer, 'E');
}

static void test_xl_gives_up(void **state)
{
    (void)state;
    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    sw_plugin('A', NULL);
    assert_int_equal(sw.cleanups, 1);
    assert_true(sw.abort);
}

static void test_xl_dies(void **state)
{
    (void)state;
    sw_plugin('P', SW_UUID);
    close(sw.link);
    sw.link = -1;
    sw_turn(true, false);
    assert_int_equal(sw.cleanups, 1);
    assert_true(sw.abort);
}

/* A child of its holds the link. */
static void test_xl_dies_unnoticed(void **state)
{
    (void)state;
    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    sw.xl_gone = true;
    sw_run(10000);
    assert_int_equal(sw.cleanups, 1);
    assert_true(sw.abort);
}

/* Nothing was made yet: nothing is to be cleaned up but the record. */
static void test_xl_never_began(void **state)
{
    (void)state;
    sw.xl_gone = true;
    close(sw.link);
    sw.link = -1;
    sw_turn(true, false);
    assert_true(sw.s.done);
    assert_true(sw.no_file);
    assert_int_equal(sw.cleanups, 0);
}

static void test_silent_backend(void **state)
{
    unsigned int i;

    (void)state;
    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    for (i = 0; i < SW_DEVS; i++)
        sw_worker(VR_MSG_DEVICE, i);
    sw_worker(VR_MSG_SERVING, VR_MSG_NO_DEV);
    sw_backend_writes(0, "state", "4", 1);
    sw_worker(VR_MSG_CONNECTED, 0);
    sw_run(59000);
    assert_int_equal(sw.answers, 1);
    sw_run(2000);
    assert_int_equal(sw.answer, 'E');
    assert_null(strstr(sw.answer_text, "disk0"));
    assert_non_null(strstr(sw.answer_text, "disk1"));
    assert_non_null(strstr(sw.answer_text, "disk2"));
}

/* Its words are shown, but not as they are. */
static void test_backend_refuses(void **state)
{
    static const char words[] = "no \x1b[2J such \n file";
    unsigned int i;

    (void)state;
    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    for (i = 0; i < SW_DEVS; i++)
        sw_worker(VR_MSG_DEVICE, i);
    sw_worker(VR_MSG_SERVING, VR_MSG_NO_DEV);
    sw_backend_writes(1, "error", words, sizeof(words) - 1);
    sw_backend_writes(1, "state", "6", 1);
    sw_run(0);
    assert_int_equal(sw.answer, 'E');
    assert_non_null(strstr(sw.answer_text, "no ?[2J such ? file"));
}

/* As far as the worker's start. */
static void begin(void)
{
    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    assert_int_equal(sw.s.step, STEP_STARTING);
}

static void refused(const char *text)
{
    assert_int_equal(sw.answer, 'E');
    if (!strstr(sw.answer_text, text))
        fail_msg("%s", sw.answer_text);
    assert_int_equal(sw.s.step, STEP_FAILED);
}

static void test_worker_ends_early(void **state)
{
    (void)state;
    begin();
    sw.worker_ended = true;
    sw_run(0);
    refused("the broker's worker ended unexpectedly; see /var/log/xen/");
}

static void test_worker_forgets(void **state)
{
    (void)state;
    begin();
    sw_worker(VR_MSG_DEVICE, 0);
    sw_worker(VR_MSG_SERVING, VR_MSG_NO_DEV);
    refused("the broker's worker has forgotten a device");
}

static void test_worker_cannot(void **state)
{
    struct vr_msg msg = {.type = VR_MSG_ERROR, .dev = VR_MSG_NO_DEV};

    (void)state;
    begin();
    strcpy(msg.text, "device disk0: no event\a channel");
    sw_say(&msg);
    sw_run(0);
    refused("device disk0: no event? channel");
}

static void test_description_invalid(void **state)
{
    (void)state;
    begin();
    sw_worker(VR_MSG_INVALID, 1);
    refused("device disk1: driver domain driver1 describes a device that "
            "cannot be");
}

static void test_invalid_later(void **state)
{
    (void)state;
    sw_worker(VR_MSG_INVALID, 1);
    assert_false(sw.s.done);
    assert_non_null(strstr(sw.line, "device disk1: driver domain driver1"));
}

static void test_guest_gone_early(void **state)
{
    (void)state;
    begin();
    sw.dom[0].exists = false;
    xs_rm(&store, XBT_NULL, "/local/domain/5");
    sw_run(0);
    refused("the guest has gone while its devices were starting");
}

static void test_driver_gone_early(void **state)
{
    (void)state;
    begin();
    sw.dom[2].exists = false;
    xs_rm(&store, XBT_NULL, "/local/domain/4");
    sw_run(0);
    refused("device disk1: driver domain driver1 (4) is gone");
}

static void test_no_record(void **state)
{
    (void)state;
    sw.no_file = true;
    sw_plugin('P', SW_UUID);
    refused("no record");
}

static void test_no_domain(void **state)
{
    (void)state;
    sw.rec.domid = VR_DOMID_NONE;
    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    refused("names no domain or no device yet");
    sw.rec.domid = SW_GUEST;
}

static void test_unknown_words(void **state)
{
    (void)state;
    sw_plugin('S', SW_UUID);
    refused("said 'S' out of turn");
    sw_plugin('?', NULL);
    refused("the plug-in sent an unknown message");
}

/* ---- signals ---- */

static void test_signals(void **state)
{
    (void)state;
    sw_signal(SIGTERM, 99);
    assert_false(sw.s.done);
    sw_signal(SIGTERM, 1); /* the host goes down */
    assert_true(sw.s.done);
    assert_int_equal(sw.cleanups, 0);
}

/* ---- a worker that its guest has taken over ---- */

static void test_worker_lies(void **state)
{
    struct vr_msg msg = {.type = VR_MSG_ERROR, .dev = UINT32_MAX};
    unsigned int i;

    (void)state;
    memset(msg.text, '\x1b', sizeof(msg.text));
    for (i = 0; i < 100; i++)
        sw_say(&msg);
    sw_run(0);
    for (i = 0; i < 32; i++)
        sw_worker(i, i);
    assert_false(sw.s.done);
    assert_int_equal(sw.s.dev[0].gref, 8);
    sw_run(10000);
}

/* It can have its own guest's backends killed, so often. */
static void test_worker_kills(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        sw_worker(VR_MSG_KILL, 1);
        sw_run(1);
    }
    assert_in_range(sw.kills[1], 1, 3);
    assert_int_equal(sw.kills[0] + sw.kills[2], 0);
    assert_int_equal(sw.driver_cleanups, 0);
}

/* What is the guest's own is destroyed, after the gentler way, and once. */
static void test_worker_destroys(void **state)
{
    (void)state;
    sw_worker(VR_MSG_DESTROY, 1);
    assert_int_equal(sw.kills[1], 1);
    assert_int_equal(sw.driver_cleanups, 0);
    sw_run(1000);
    sw_worker(VR_MSG_DESTROY, 1);
    sw_worker(VR_MSG_DESTROY, 1);
    assert_int_equal(sw.driver_cleanups, 1);
    sw_run(60000);
    sw_worker(VR_MSG_DESTROY, 1);
    assert_int_equal(sw.driver_cleanups, 1);
    sw_run(31000);
    sw_worker(VR_MSG_DESTROY, 1);
    assert_int_equal(sw.driver_cleanups, 2);
}

static void test_worker_destroys_shared(void **state)
{
    (void)state;
    sw_worker(VR_MSG_DESTROY, 2);
    sw_run(1000);
    sw_worker(VR_MSG_DESTROY, 2);
    assert_int_equal(sw.driver_cleanups, 0);
    assert_int_equal(sw.kills[2], 1);
    assert_string_not_equal(told_state(2), "connected");
}

/* A pool is granted when the worker asks, to the domain that it is for. */
static void test_pool(void **state)
{
    (void)state;
    assert_int_equal(sw_pool(2), 0);
    sw_worker(VR_MSG_GRANT, 2);
    assert_int_equal(heard(VR_MSG_GRANTED, 2), 1);
    assert_int_equal(sw_pool(2), 16);
    assert_int_equal(sw_pool(0), 0);
    sw_worker(VR_MSG_GRANT, 1); /* it has none */
    assert_int_equal(heard(VR_MSG_GRANTED, 1), 0);
    sw.table[sw.rec.devs[2].pool.gref_base + 5].flags |= VR_GTF_READING;
    sw_worker(VR_MSG_REVOKE, 2);
    assert_int_equal(heard(VR_MSG_REVOKED, 2), 0);
    assert_int_equal(sw_pool(2), 1);
    sw.table[sw.rec.devs[2].pool.gref_base + 5].flags &= ~VR_GTF_READING;
    sw_worker(VR_MSG_REVOKE, 2);
    assert_int_equal(heard(VR_MSG_REVOKED, 2), 1);
    assert_int_equal(sw_pool(2), 0);
}

static void test_pool_of_dead(void **state)
{
    (void)state;
    sw_worker(VR_MSG_GRANT, 0);
    sw.dom[1].exists = false;
    sw_run(10000);
    assert_int_equal(sw_pool(0), 0);
    sw_worker(VR_MSG_GRANT, 0);
    assert_int_equal(sw_pool(0), 0);
}

static const char *told_error(unsigned int dev)
{
    char path[VR_XS_PATH], id[8];

    snprintf(id, sizeof(id), "disk%u", dev);
    return node(vr_xs_truth(path, SW_GUEST, id, "error"));
}

/* What a guest has overwritten it takes away again when its own I/O is done,
 * and a pool of which a device has failed is private: then nothing is to be
 * seen any more, but it is still why. */
static void test_cause_stays(void **state)
{
    struct vr_gntent *e = &sw.table[sw.rec.devs[2].pool.gref_base + 5];

    (void)state;
    sw_worker(VR_MSG_GRANT, 2);
    sw.meddled = true;
    *e = (struct vr_gntent){VR_GTF_PERMIT_ACCESS, 99, 1234};
    sw_run(61000);
    assert_string_equal(told_state(2), "damaged");
    sw.s.stats->dev[2].failed = VR_FAIL_BACKEND;
    sw_worker(VR_MSG_REVOKE, 2);
    memset(e, 0, sizeof(*e));
    sw_worker(VR_MSG_CHANGED, 2);
    sw_run(130000);
    assert_string_equal(told_state(2), "failed");
    assert_non_null(strstr(told_error(2), "overwritten by the guest"));
    /* Its driver has begun anew: soon all is well. */
    sw.s.stats->dev[2].failed = VR_FAIL_NONE;
    sw_worker(VR_MSG_CHANGED, 2);
    sw_run(6000);
    assert_string_equal(told_state(2), "connected");
}

static void test_worker_ends(void **state)
{
    unsigned int i;

    (void)state;
    sw.worker_ended = true;
    sw_run(0);
    assert_false(sw.s.done);
    for (i = 0; i < SW_DEVS; i++)
        assert_string_equal(told_state(i), "failed");
}

/* ---- domains ---- */

/* Requests wait until it runs again. */
static void test_driver_paused(void **state)
{
    (void)state;
    sw.dom[2].flags |= XEN_DOMINF_paused;
    sw_run(6000);
    assert_string_equal(told_state(1), "waiting");
    sw.dom[2].flags = 0;
    sw_run(6000);
    assert_string_equal(told_state(1), "connected");
}

static void test_driver_shuts_down(void **state)
{
    (void)state;
    sw.dom[2].flags |= XEN_DOMINF_shutdown;
    sw_run(10000);
    assert_int_equal(heard(VR_MSG_GONE, 1), 1);
    assert_int_equal(heard(VR_MSG_DEAD, 1), 0);
    assert_int_equal(heard(VR_MSG_GONE, 0), 0);
    assert_string_equal(told_state(1), "failed");
    sw.dom[2].exists = false;
    sw_run(10000);
    assert_int_equal(heard(VR_MSG_DEAD, 1), 1);
}

/* The worker's socket was full: it hears of it all the same. */
static void test_driver_ends_unheard(void **state)
{
    (void)state;
    sw.socket_full = true;
    sw.dom[2].exists = false;
    sw_run(10000);
    assert_int_equal(sw.nheard, 0);
    sw.socket_full = false;
    sw_run(10000);
    assert_int_equal(heard(VR_MSG_GONE, 1), 1);
    assert_int_equal(heard(VR_MSG_DEAD, 1), 1);
}

/* Another domain has its number by now. */
static void test_driver_replaced(void **state)
{
    (void)state;
    sw.dom[1].other = true;
    sw_run(10000);
    assert_int_equal(heard(VR_MSG_GONE, 0), 1);
    assert_int_equal(heard(VR_MSG_DEAD, 0), 1);
    assert_int_equal(heard(VR_MSG_DEAD, 2), 1);
    assert_int_equal(heard(VR_MSG_DEAD, 1), 0);
}

static void test_renamed(void **state)
{
    (void)state;
    fs_set(find("/local/domain/5/name"), "other", 5);
    fs_set(find("/local/domain/4/name"), "\x01\x02", 2);
    sw_run(0);
    assert_string_equal(sw.rec.name, "other");
    assert_string_equal(sw.rec.drivers[1].name, "??");
}

/* ---- backends ---- */

/* A backend that changes its nodes as fast as it can. */
static void test_backend_chatters(void **state)
{
    const unsigned int before = sw.lines;
    unsigned int i;
    char word[8];

    (void)state;
    for (i = 0; i < 1000; i++) {
        sw_backend_writes(0, "error", word, sprintf(word, "%u", i));
        sw_backend_writes(0, "state", i % 3 ? "4" : "3", 1);
        sw_run(1);
    }
    assert_in_range(sw.lines - before, 1, 40);
}

/* It may remove what it may write to, or write as much as xenstored takes. */
static void test_backend_removes(void **state)
{
    static char value[FS_VALUE];

    (void)state;
    memset(value, 'x', sizeof(value));
    sw_backend_writes(0, "error", value, sizeof(value));
    sw_backend_writes(0, "state", "6", 1);
    sw_run(1000);
    assert_string_equal(told_state(0), "waiting");
    sw_backend_removes(0, "error");
    sw_backend_removes(0, "state");
    sw_run(1000);
    assert_false(sw.s.done);
    assert_string_not_equal(told_state(0), "connected");
    assert_string_equal(told_state(1), "connected");
}

/* ---- figures ---- */

static void test_figures(void **state)
{
    const char *const kicks = "/libxl/5/virtio_restricted/disk0/counters/kicks";

    (void)state;
    sw.s.stats->dev[0].kicks = 5;
    sw_worker(VR_MSG_CHANGED, 0);
    assert_string_equal(node(kicks), "5");
    /* Not more often than twice a second, but in the end. */
    sw.s.stats->dev[0].kicks = 6;
    sw_worker(VR_MSG_CHANGED, 0);
    assert_string_equal(node(kicks), "5");
    sw_run(500);
    assert_string_equal(node(kicks), "6");
}

#define TEST(f)    cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RUNNING(f) cmocka_unit_test_setup_teardown(f, setup_running, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_out_of_turn),
        TEST(test_other_guest),
        TEST(test_xl_gives_up),
        TEST(test_xl_dies),
        TEST(test_xl_dies_unnoticed),
        TEST(test_xl_never_began),
        TEST(test_silent_backend),
        TEST(test_backend_refuses),
        TEST(test_worker_ends_early),
        TEST(test_worker_forgets),
        TEST(test_worker_cannot),
        TEST(test_description_invalid),
        RUNNING(test_invalid_later),
        TEST(test_guest_gone_early),
        TEST(test_driver_gone_early),
        TEST(test_no_record),
        TEST(test_no_domain),
        TEST(test_unknown_words),
        RUNNING(test_signals),
        RUNNING(test_worker_lies),
        RUNNING(test_worker_kills),
        RUNNING(test_worker_destroys),
        RUNNING(test_worker_destroys_shared),
        RUNNING(test_pool),
        RUNNING(test_pool_of_dead),
        RUNNING(test_cause_stays),
        RUNNING(test_worker_ends),
        RUNNING(test_driver_paused),
        RUNNING(test_driver_shuts_down),
        RUNNING(test_driver_ends_unheard),
        RUNNING(test_driver_replaced),
        RUNNING(test_renamed),
        RUNNING(test_backend_chatters),
        RUNNING(test_backend_removes),
        RUNNING(test_figures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl list and show: the state of a device in each case, as text and as
 * JSON, and what they make of nodes that a driver domain has written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vrctl_world.h"

#include "libs/types/block/request.h"

static int setup(void **state)
{
    (void)state;
    vw_init();
    return 0;
}

static void list_state(unsigned int dev, const char *word, const char *why)
{
    yajl_val tree;

    assert_int_equal(vw_run(cmd_list, "list", "--json", NULL), EX_OK);
    tree = vw_json();
    assert_string_equal(vw_text(tree, "devices", dev, "state"), word);
    if (!strstr(vw_text(tree, "devices", dev, "error"), why))
        fail_msg("\"%s\" is not in \"%s\"", why,
                 vw_text(tree, "devices", dev, "error"));
    yajl_tree_free(tree);
    /* The other ways to ask say the same. */
    assert_int_equal(vw_run(cmd_list, "list", NULL), EX_OK);
    assert_non_null(strstr(vw.out, word));
    assert_int_equal(vw_run(cmd_show, "show", "--json", "guest", NULL), EX_OK);
    tree = vw_json();
    assert_string_equal(vw_text(tree, "devices", dev, "state"), word);
    yajl_tree_free(tree);
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, word));
}

static void all_is_well(void **state)
{
    (void)state;
    list_state(0, "connected", "");
    list_state(1, "connected", "");
    list_state(2, "connected", "");
    assert_int_equal(vw_run(cmd_show, "show", "5", "disk1", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "mapped        2 of 16 pages"));
    assert_null(strstr(vw.out, "device disk0"));
    assert_int_equal(vw_run(cmd_show, "show", VW_UUID, NULL), EX_OK);
    assert_non_null(strstr(vw.out, "granted: the device runs"));
}

static void guests_phases(void **state)
{
    (void)state;
    vw.rec.phase = VR_PHASE_CREATING;
    vw.creator = true;
    vw_broker_says(0, "starting", "it waits for something");
    list_state(0, "starting", "it waits for something");
    vw.creator = vw.broker = false;
    list_state(0, "stale", "creation was interrupted");
    vw.rec.phase = VR_PHASE_RUNNING;
    list_state(0, "failed", "broker");
    vw.dom[2].exists = false;
    list_state(0, "stale", "are gone");
    vw.rec.phase = VR_PHASE_CLOSING;
    list_state(0, "stale", "clean-up was interrupted");
}

static void driver_domains(void **state)
{
    static const struct {
        uint32_t flags;
        const char *shown;
    } cases[] = {
        {XEN_DOMINF_paused, "paused"},
        {XEN_DOMINF_dying, "dying"},
        {XEN_DOMINF_shutdown | SHUTDOWN_poweroff << XEN_DOMINF_shutdownshift,
         "shut down"},
        {XEN_DOMINF_shutdown | SHUTDOWN_crash << XEN_DOMINF_shutdownshift,
         "crashed"},
        {XEN_DOMINF_shutdown | SHUTDOWN_reboot << XEN_DOMINF_shutdownshift,
         "rebooting"},
        {XEN_DOMINF_shutdown | SHUTDOWN_suspend << XEN_DOMINF_shutdownshift,
         "suspended"},
    };
    yajl_val tree;
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(cases); i++) {
        vw.dom[0].flags = cases[i].flags;
        assert_int_equal(vw_run(cmd_show, "show", "--json", "guest", NULL),
                         EX_OK);
        tree = vw_json();
        assert_string_equal(vw_text(tree, "devices", 0, "driver_state"),
                            cases[i].shown);
        /* A broken driver domain is not "connected", whatever xenstore says. */
        assert_string_not_equal(vw_text(tree, "devices", 0, "state"),
                                "connected");
        assert_string_equal(vw_text(tree, "devices", 1, "state"), "connected");
        yajl_tree_free(tree);
    }
    vw.dom[0].exists = false;
    list_state(0, "failed", "gone");
    vw.dom[1].exists = false;
    list_state(1, "failed", "");
}

/* Each of the worker's reasons is shown, in the words of stats.c. */
static void failures(void **state)
{
    unsigned int fail;
    yajl_val tree;

    (void)state;
    for (fail = VR_FAIL_FEATURES; fail <= VR_FAIL_GRANTS; fail++) {
        const char *text = vr_fail_text(fail);

        if (!text[0])
            continue;
        vw.stats.dev[2].failed = fail;
        assert_int_equal(vw_run(cmd_show, "show", "--json", "guest", NULL),
                         EX_OK);
        tree = vw_json();
        assert_string_equal(vw_text(tree, "devices", 2, "error"), text);
        assert_string_equal(vw_text(tree, "devices", 2, "failed_text"), text);
        yajl_tree_free(tree);
        assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
        assert_int_equal(vw_run(cmd_list, "list", NULL), EX_OK);
        assert_non_null(strstr(vw.out, "connected"));
    }
}

static const char *const hostile[] = {
    "",
    "4\n",
    "\033[2J\033]0;title\007",
    "\xff\xfe\xc3\x28\x80",
    ("\xc2\x9b"
     "31mred"),
    "\x01\x02\x7f\t\r\n\b",
    "\"}],\"ok\":true",
    "%s%n%x",
    "connected",
    "99999999999999999999",
    "\xed\xa0\x80 a surrogate",
};

static void looks(const char *value, unsigned int len)
{
    char path[VR_XS_PATH];
    const char *nodes[8];
    unsigned int i, n = 0;

    vw_init();
    /* What broker, driver domains and administrator write. */
    nodes[n++] = "/local/domain/3/name";
    nodes[n++] = "/libxl/3/virtio_restricted_down";
    nodes[n++] = "/libxl/3/virtio_restricted_zombies/9";
    for (i = 0; i < n; i++) {
        put(nodes[i], "", 0);
        fs_set(find(nodes[i]), value, len);
    }
    for (i = 0; i < VW_DEVS; i++) {
        vw_backend_says(i, "", "");
        vw_broker_says(i, "failed", "");
        fs_set(find(vw_node(path, i, "state")), value, len);
        fs_set(find(vw_node(path, i, "error")), value, len);
        fs_set(
            find(vr_xs_truth(path, VW_GUEST, vw.rec.devs[i].cfg.id, "error")),
            value, len);
    }
    assert_int_equal(vw_run(cmd_list, "list", NULL), EX_OK);
    assert_int_equal(vw_run(cmd_list, "list", "--json", NULL), EX_OK);
    yajl_tree_free(vw_json());
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_int_equal(vw_run(cmd_show, "show", "--json", "guest", NULL), EX_OK);
    yajl_tree_free(vw_json());
}

static void hostile_nodes(void **state)
{
    char huge[VR_PATH_LEN];
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(hostile); i++)
        looks(hostile[i], strlen(hostile[i]));
    looks("4\0005", 3);
    for (i = 0; i < 256; i += 5) {
        memset(huge, (int)i, sizeof(huge));
        looks(huge, sizeof(huge));
    }
}

static void no_nodes(void **state)
{
    (void)state;
    fs_init();
    list_state(0, "connected", "");
    store.deaf = true;
    list_state(0, "connected", "");
    vw.has_stats = vw.has_pools = vw.has_maps = false;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "figures       none yet"));
    assert_non_null(strstr(vw.out, "mapped        unknown"));
    assert_non_null(strstr(vw.out, "private: the device does not run"));
}

/* The broker's process could be taken over by its guest. */
static void hostile_figures(void **state)
{
    yajl_val tree;
    unsigned int i;

    (void)state;
    memset(&vw.stats, 0xff, sizeof(vw.stats));
    vw.stats.magic = VR_STATS_MAGIC;
    memset(&vw.pools, 0xff, sizeof(vw.pools));
    vw.pools.magic = VR_POOLS_MAGIC;
    for (i = 0; i < 3; i++) {
        vw.stats.ndevs = i * 2;
        assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
        assert_int_equal(vw_run(cmd_show, "show", "--json", "guest", NULL),
                         EX_OK);
        tree = vw_json();
        yajl_tree_free(tree);
        assert_int_equal(vw_run(cmd_list, "list", "--json", NULL), EX_OK);
        yajl_tree_free(vw_json());
    }
    vw.maps_broken = true;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "mapped        unknown"));
}

/* Capacity and target: as they should be, too large, shrunk. */
static void disks(void **state)
{
    struct vr_stats_dev *s = &vw.stats.dev[0];

    (void)state;
    s->described = 1;
    s->config[0] = 8;  /* capacity */
    s->config[21] = 2; /* blocks of 512 bytes */
    s->b.target_size = 4096;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_null(strstr(vw.out, "target size"));
    assert_non_null(strstr(vw.out, "page cache"));
    s->b.target_size = 4097;
    s->b.target_io = VR_BLK_IO_DIRECT;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "the last 1 are cut off"));
    assert_null(strstr(vw.out, "pool registered"));
    s->b.target_io = VR_BLK_IO_DIRECT | VR_BLK_IO_HELD;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "direct, pool registered"));
    s->b.target_size = 4000;
    s->b.target_io = VR_BLK_IO_OWN | VR_BLK_IO_LOST;
    s->nqueues = 2;
    s->q[0].enabled = 1;
    s->q[0].desc = vw.rec.devs[0].pool.base;
    vw.stats.dev[2].nqueues = 1;
    vw.stats.dev[2].q[0].enabled = 1;
    vw.stats.dev[2].q[0].desc = vw.rec.devs[2].pool.base;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "it has shrunk"));
    assert_non_null(strstr(vw.out, "a flush has failed"));
    assert_non_null(strstr(vw.out, "queue 1       not enabled"));
    assert_non_null(strstr(vw.out, "rings         in the static window"));
    vw.stats.dev[2].q[0].desc = vw.rec.devs[2].iova.base;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "the guest does not use it"));
}

static void bells(void **state)
{
    struct vr_stats_dev *s = &vw.stats.dev[0];

    (void)state;
    s->nqueues = 2;
    s->q[0].enabled = s->q[1].enabled = 1;
    s->q[1].port = 17;
    s->b.throttles = 3;
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "bell trapped\n"));
    assert_non_null(
        strstr(vw.out, "bell direct (event channel 17 of the guest)\n"));
    assert_non_null(strstr(vw.out, "backend_throttles      3\n"));
    assert_int_equal(vw_run(cmd_show, "show", "--json", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "\"bell\": \"trapped\""));
    assert_non_null(strstr(vw.out, "\"bell\": \"direct\""));
    assert_non_null(strstr(vw.out, "\"event_channel\": 17"));
}

static void not_placed_yet(void **state)
{
    unsigned int i;

    (void)state;
    vw.rec.phase = VR_PHASE_CREATING;
    vw.creator = true;
    vw.rec.domid = vw.rec.drivers[1].domid = VR_DOMID_NONE;
    vw.dom[1].exists = vw.dom[2].exists = false;
    vw.rec.broker = 0;
    vw.broker = false;
    for (i = 0; i < VW_DEVS; i++) {
        vw.rec.devs[i].mmio_base = 0;
        memset(&vw.rec.devs[i].pool, 0, sizeof(vw.rec.devs[i].pool));
        memset(&vw.rec.devs[i].iova, 0, sizeof(vw.rec.devs[i].iova));
    }
    list_state(1, "starting", "");
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "registers     not placed yet"));
    assert_non_null(strstr(vw.out, "window        not placed yet"));
    assert_non_null(strstr(vw.out, "broker        not started yet"));
}

/* A guest that has ended, of which a driver domain keeps pages. */
static void zombies(void **state)
{
    yajl_val tree;

    (void)state;
    vw.dom[3] = (struct vw_domain){9, true, XEN_DOMINF_dying, 9};
    put("/libxl/3/virtio_restricted_zombies/9",
        "09090909-0909-0909-0909-090909090909 7 late", 0);
    /* Nobody's. */
    put("/libxl/3/virtio_restricted_zombies/10",
        "09090909-0909-0909-0909-090909090909 7 other", 0);
    put("/libxl/x/virtio_restricted_zombies/9", "", 0);
    assert_int_equal(vw_run(cmd_list, "list", "--json", NULL), EX_OK);
    tree = vw_json();
    assert_string_equal(vw_text(tree, "zombies", 0, "guest"), "late");
    assert_string_equal(vw_text(tree, "zombies", 0, "pages"), "7");
    assert_string_equal(vw_text(tree, "zombies", 0, "driver"), "shared");
    yajl_tree_free(tree);
    assert_int_equal(vw_run(cmd_list, "list", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "keeps 7 of its pages"));
    assert_null(strstr(vw.out, "other"));
    put("/libxl/3/virtio_restricted_down", "poweroff 99999", 0);
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "keeps 1 guests that have ended"));
    assert_non_null(strstr(vw.out, "waits for its guests to poweroff"));
}

static void what_cannot_be_shown(void **state)
{
    (void)state;
    assert_int_equal(vw_run(cmd_show, "show", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_show, "show", "a", "b", "c", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_show, "show", "-x", "b", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_list, "list", "guest", NULL), EX_USAGE);
    assert_int_equal(vw_run(cmd_show, "show", "other", NULL), EX_FAILED);
    assert_non_null(strstr(vw.said, "vrctl list shows those"));
    assert_int_equal(vw_run(cmd_show, "show", "guest", "net", NULL), EX_FAILED);
    assert_non_null(strstr(vw.said, "no restricted device \"net\""));
    vw.rec_error = -EINVAL;
    assert_int_equal(vw_run(cmd_list, "list", NULL), EX_FAILED);
    vw.rec_error = 0;
    vw.no_hypervisor = true;
    assert_int_equal(vw_run(cmd_list, "list", NULL), EX_FAILED);
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_FAILED);
    /* Nothing to be asked about. */
    vw.has_rec = false;
    assert_int_equal(vw_run(cmd_list, "list", "--json", NULL), EX_OK);
    yajl_tree_free(vw_json());
    vw.list_error = -EACCES;
    assert_int_equal(vw_run(cmd_list, "list", NULL), EX_FAILED);
    assert_non_null(strstr(vw.said, "run this as root"));
    assert_int_equal(vw_run(cmd_show, "show", "guest", NULL), EX_FAILED);
}

static int end(void **state)
{
    (void)state;
    vw_end();
    return 0;
}

/* A backend that has counted, whatever it was asked. */
static struct vr_survey_figures counted;

static void backend_counts(void)
{
    unsigned int i;

    if (vw.shown->survey.until < (int64_t)vr_now_ms())
        return;
    counted.session = vw.shown->survey.session;
    for (i = 0; i < 2; i++)
        vw.shown->dev[i].survey = counted;
}

static void page_reads(uint64_t n)
{
    memset(&counted, 0, sizeof(counted));
    counted.ns = UINT64_C(10000000000);
    counted.requests = counted.looked = n;
    counted.size[0] = (struct vr_survey_size){2 * n, 17 * n, 0, 2 * n};
    counted.size[6] = (struct vr_survey_size){n, 4096 * n, 4096 * n, n};
    counted.most_requests = counted.most_pages = 1;
    counted.most_small = 3;
    vw.passes = backend_counts;
}

static void survey(void **state)
{
    yajl_val tree;

    (void)state;
    page_reads(1000);
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "recommended   mode=static, size=2M\n"));
    assert_non_null(strstr(vw.out, "times as much as copying"));
    /* The third one's backend is of another release. */
    assert_non_null(strstr(vw.out, "did not count"));
    assert_int_equal(vw.shown->survey.until, 0);
    assert_int_equal(
        vw_run(cmd_survey, "survey", "--json", "guest", "disk0", NULL), EX_OK);
    tree = vw_json();
    assert_string_equal(vw_text(tree, "devices", 0, "id"), "disk0");
    yajl_tree_free(tree);
    assert_null(strstr(vw.out, "disk1"));
    /* Of a machine that maps at hardly any cost: but what is short is copied.
     */
    assert_int_equal(vw_run(cmd_survey, "survey", "--model", "100", "1000", "0",
                            "guest", "disk1", NULL),
                     EX_OK);
    assert_non_null(strstr(vw.out, "recommended   mode=mixed"));
}

static void survey_of_nothing(void **state)
{
    (void)state;
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "did not count"));
    page_reads(0);
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "no request was seen"));
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", "disk9", NULL),
                     EX_FAILED);
    assert_int_equal(vw_run(cmd_survey, "survey", "nobody", NULL), EX_FAILED);
    vw.has_stats = false;
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", NULL), EX_FAILED);
}

static void another_survey(void)
{
    vw.shown->survey.session++;
}

static void surveys_at_a_time(void **state)
{
    (void)state;
    vw.passes = another_survey;
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", NULL), EX_FAILED);
    assert_non_null(strstr(vw.said, "another survey"));
}

/* Somebody has seen enough. */
static void backend_counts_a_while(void)
{
    backend_counts();
    raise(SIGINT);
}

static void survey_cut_short(void **state)
{
    (void)state;
    page_reads(1000);
    counted.ns = 1000000000;
    vw.passes = backend_counts_a_while;
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", "disk0", NULL),
                     EX_OK);
    assert_non_null(strstr(vw.out, "1000 in 1.0 s"));
    assert_non_null(strstr(vw.out, "recommended"));
    assert_int_equal(vw.shown->survey.until, 0);
}

static void survey_hostile(void **state)
{
    (void)state;
    page_reads(1);
    memset(&counted, 0xff, sizeof(counted));
    assert_int_equal(vw_run(cmd_survey, "survey", "guest", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "recommended"));
    assert_int_equal(vw_run(cmd_survey, "survey", "--json", "guest", NULL),
                     EX_OK);
    yajl_tree_free(vw_json());
}

static void survey_words(void **state)
{
    static const char *const bad[][3] = {
        {"x", "1", "1"},   {"1", "0", "1"},   {"1", "1", "-1"},
        {"nan", "1", "1"}, {"1", "inf", "1"}, {"1", "1e-300", "1"}};
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_int_equal(vw_run(cmd_survey, "survey", "--model", bad[i][0],
                                bad[i][1], bad[i][2], NULL),
                         EX_USAGE);
    assert_int_equal(vw_run(cmd_survey, "survey", NULL), EX_USAGE);
    assert_int_equal(
        vw_run(cmd_survey, "survey", "--seconds", "0", "guest", NULL),
        EX_USAGE);
    assert_int_equal(
        vw_run(cmd_survey, "survey", "guest", "disk0", "disk1", NULL),
        EX_USAGE);
    assert_int_equal(
        vw_run(cmd_survey, "survey", "--model", "10000", "4768", "300", NULL),
        EX_OK);
    assert_non_null(strstr(vw.out, "from 156 KiB on"));
    assert_int_equal(vw_run(cmd_survey, "survey", "--json", "--model", "10000",
                            "4768", "300", NULL),
                     EX_OK);
    yajl_tree_free(vw_json());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_is_well, setup),
        cmocka_unit_test_setup(guests_phases, setup),
        cmocka_unit_test_setup(driver_domains, setup),
        cmocka_unit_test_setup(failures, setup),
        cmocka_unit_test_setup(hostile_nodes, setup),
        cmocka_unit_test_setup(no_nodes, setup),
        cmocka_unit_test_setup(hostile_figures, setup),
        cmocka_unit_test_setup(disks, setup),
        cmocka_unit_test_setup(bells, setup),
        cmocka_unit_test_setup(not_placed_yet, setup),
        cmocka_unit_test_setup(zombies, setup),
        cmocka_unit_test_setup(what_cannot_be_shown, setup),
        cmocka_unit_test_setup(survey, setup),
        cmocka_unit_test_setup(survey_of_nothing, setup),
        cmocka_unit_test_setup(surveys_at_a_time, setup),
        cmocka_unit_test_setup(survey_hostile, setup),
        cmocka_unit_test_setup(survey_words, setup),
        cmocka_unit_test_setup(survey_cut_short, setup),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}

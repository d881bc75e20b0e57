/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The start of the broker's worker: what it says when something that it needs
 * cannot be had, and what it lets the sandbox leave it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker_rules.h"

/* Each call once, and what the operator reads. */
static const struct {
    const char *call;
    int error;
    const char *text;
} cases[] = {
    {"xendevicemodel_open", ENOENT, "load the modules xen-privcmd"},
    {"xenforeignmemory_open", ENOENT, "load the modules xen-privcmd"},
    {"xenevtchn_open", ENOENT, "load the modules xen-privcmd"},
    {"xengntshr_open", ENOENT, "load the modules xen-privcmd"},
    {"xengntshr_share_pages", ENOSPC,
     "device disk0: cannot share a control page with driver domain driver0 "
     "(3)"},
    {"xenevtchn_bind_unbound_port", ESRCH,
     "device disk0: no event channel for driver domain driver0 (3)"},
    {"vr_shfile_create", ENOSPC, ".maps: No space left on device"},
    {"xendevicemodel_create_ioreq_server", EOPNOTSUPP,
     "ioreq server: cannot create it: Operation not supported; this hypervisor "
     "was built without CONFIG_IOREQ_SERVER"},
    {"xendevicemodel_create_ioreq_server", EINVAL, "see `xl dmesg`"},
    {"xendevicemodel_map_io_range_to_ioreq_server", EEXIST,
     "cannot take a device's registers"},
    {"xendevicemodel_nr_vcpus", EPERM, "cannot count the vCPUs"},
    {"xendevicemodel_set_ioreq_server_state", EPERM, "cannot enable it"},
    {"xenevtchn_bind_interdomain", EINVAL,
     "cannot bind a vCPU's event channel"},
};

static void test_failures(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(cases); i++) {
        struct vr_err err = {.text = ""};

        fx_init();
        fx.fails = cases[i].call;
        fx.error = cases[i].error;
        assert_int_equal(ww_open(&err), -cases[i].error);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s: %s", cases[i].call, err.text);
        ww_end();
    }
}

/* The grant table is mapped first, then the page of the ioreq server. */
static void test_no_resource(void **state)
{
    struct vr_err err = {.text = ""};

    (void)state;
    fx_init();
    fx.fails = "xenforeignmemory_map_resource";
    fx.error = EPERM;
    assert_int_equal(ww_open(&err), -EPERM);
    assert_non_null(strstr(err.text, "grant"));
    ww_end();
    ww_rec.iommu.present = false;
    fx_init();
    fx.fails = "xenforeignmemory_map_resource";
    fx.error = EPERM;
    assert_int_equal(ww_open(&err), -EPERM);
    assert_non_null(strstr(err.text, "ioreq server: cannot map its page"));
    ww_end();
    ww_rec.iommu.present = true;
}

/* Without a virtio-iommu nothing of the guest's memory is mapped later. */
static void test_sandbox(void **state)
{
    struct vr_err err;

    (void)state;
    fx_init();
    assert_int_equal(ww_open(&err), 0);
    assert_true(fx.maps_guest);
    assert_int_equal(ww.w.nunits, WW_DEVS + 1);
    assert_int_equal(fx.said[fx.nsaid - 1].type, VR_MSG_SERVING);
    ww_end();
    ww_rec.iommu.present = false;
    fx_init();
    assert_int_equal(ww_open(&err), 0);
    assert_false(fx.maps_guest);
    assert_int_equal(ww.w.nunits, WW_DEVS);
    ww_end();
    ww_rec.iommu.present = true;
}

/* The longest poll= counts, up to a limit. */
static void test_poll(void **state)
{
    struct vr_err err;

    (void)state;
    fx_init();
    ww_record();
    ww_rec.devs[1].cfg.poll_us = 50;
    assert_int_equal(ww_open(&err), 0);
    assert_int_equal(ww.w.poll_ns, 50000);
    ww_end();
    ww_rec.devs[1].cfg.poll_us = 100000;
    fx_init();
    assert_int_equal(ww_open(&err), 0);
    assert_int_equal(ww.w.poll_ns, LOOK_MS * 1000000);
    ww_end();
    ww_rec.devs[1].cfg.poll_us = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_resource),
        cmocka_unit_test(test_sandbox),
        cmocka_unit_test(test_poll),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

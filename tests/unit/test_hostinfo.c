/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/host/hostparse.h"

#define XSM_ON "CONFIG_XSM=y\nCONFIG_XSM_FLASK=y\nCONFIG_XSM_SILO=y\n"

static void parse(struct vr_hostinfo *info, const char *caps,
                  const char *config, const char *cmdline)
{
    memset(info, 0, sizeof(*info));
    info->major = 4;
    info->minor = 17;
    vr_hostinfo_caps(info, caps);
    vr_hostinfo_parse(info, config, cmdline);
}

static void test_arch(void **state)
{
    struct vr_hostinfo i;
    struct vr_err err;

    (void)state;
    parse(&i, "xen-3.0-aarch64 xen-3.0-armv7l ", NULL, "");
    assert_string_equal(i.arch, "arm64");
    assert_int_equal(i.ioreq, VR_UNKNOWN);
    assert_int_equal(i.hvm, VR_UNKNOWN);
    parse(&i, "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_64 ", NULL, "");
    assert_string_equal(i.arch, "x86_64");
    assert_int_equal(i.ioreq, VR_YES);
    assert_int_equal(i.hvm, VR_YES);
    assert_int_equal(vr_hostinfo_check(&i, &err), 0);
    parse(&i, "xen-3.0-x86_64 ", NULL, "");
    assert_int_equal(i.ioreq, VR_UNKNOWN);
    assert_int_equal(i.hvm, VR_NO);
    assert_int_equal(vr_hostinfo_check(&i, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "HVM"));
    parse(&i, "", NULL, NULL);
    assert_string_equal(i.arch, "unknown");
}

static void test_ioreq(void **state)
{
    struct vr_hostinfo i;
    struct vr_err err;

    (void)state;
    parse(&i, "xen-3.0-aarch64", "CONFIG_ARM=y\nCONFIG_IOREQ_SERVER=y\n", "");
    assert_int_equal(i.ioreq, VR_YES);
    assert_int_equal(vr_hostinfo_check(&i, &err), 0);
    parse(&i, "xen-3.0-aarch64", "CONFIG_ARM=y\n", "");
    assert_int_equal(i.ioreq, VR_NO);
    assert_int_equal(vr_hostinfo_check(&i, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "CONFIG_IOREQ_SERVER"));
    parse(&i, "xen-3.0-aarch64", "# CONFIG_IOREQ_SERVER is not set\n", "");
    assert_int_equal(i.ioreq, VR_NO);
    /* not a prefix of another name, nor the end of one */
    parse(&i, "xen-3.0-aarch64",
          "CONFIG_IOREQ_SERVER_X=y\nXCONFIG_IOREQ_SERVER=y\n", "");
    assert_int_equal(i.ioreq, VR_NO);
    parse(&i, "xen-3.0-aarch64", "CONFIG_IOREQ_SERVER=yes", "");
    assert_int_equal(i.ioreq, VR_NO);
    /* no hypfs: unknown is no refusal */
    parse(&i, "xen-3.0-aarch64", NULL, "");
    assert_int_equal(vr_hostinfo_check(&i, &err), 0);
}

static void test_xsm(void **state)
{
    static const struct {
        const char *config, *cmdline, *xsm;
    } t[] = {
        {NULL, "", "unknown"},
        {NULL, NULL, "unknown"},
        {NULL, "xsm=silo", "silo"},
        {NULL, "console=dtuart xsm=silo xsm=dummy", "dummy"},
        {NULL, "xxsm=silo xsm=none noxsm=silo", "unknown"},
        {"CONFIG_XSM=y\nCONFIG_XSM_SILO=y\nCONFIG_XSM_SILO_DEFAULT=y\n", "",
         "silo"},
        {XSM_ON "CONFIG_XSM_SILO_DEFAULT=y\n", "dom0_mem=1G xsm=dummy",
         "dummy"},
        {XSM_ON "CONFIG_XSM_FLASK_DEFAULT=y\n", "", "flask"},
        {XSM_ON "CONFIG_XSM_DUMMY_DEFAULT=y\n", "", "dummy"},
        {XSM_ON "CONFIG_XSM_DUMMY_DEFAULT=y\n", "xsm=silo", "silo"},
        {XSM_ON, "xsm=silo xsm=flask", "flask"},
        /* modules that are not built in change nothing */
        {"# CONFIG_XSM is not set\n", "xsm=silo", "dummy"},
        {"CONFIG_XSM=y\nCONFIG_XSM_DUMMY_DEFAULT=y\n", "xsm=silo", "dummy"},
        {"CONFIG_XSM=y\nCONFIG_XSM_SILO=y\nCONFIG_XSM_SILO_DEFAULT=y\n",
         "xsm=flask", "silo"},
        /* the command line that is built in comes first */
        {XSM_ON "CONFIG_CMDLINE=\"xsm=silo\"\n", "", "silo"},
        {XSM_ON "CONFIG_CMDLINE=\"a xsm=silo b\"\n", "xsm=dummy", "dummy"},
        {XSM_ON "CONFIG_CMDLINE=\"xsm=silo\"\nCONFIG_CMDLINE_OVERRIDE=y\n",
         "xsm=dummy", "silo"},
        {XSM_ON "CONFIG_CMDLINE=\"\"\n", "xsm=silo", "silo"},
    };
    struct vr_hostinfo i;
    size_t k;

    (void)state;
    for (k = 0; k < VR_ARRAY_SIZE(t); k++) {
        parse(&i, "xen-3.0-aarch64", t[k].config, t[k].cmdline);
        if (strcmp(i.xsm, t[k].xsm))
            fail_msg("case %zu: %s, not %s", k, i.xsm, t[k].xsm);
    }
}

static void test_limits(void **state)
{
    struct vr_hostinfo i;
    char line[4096];

    (void)state;
    parse(&i, "", NULL, "gnttab_max_frames=64 gnttab_max_maptrack_frames=99");
    assert_int_equal(i.max_grant_frames, 64);
    assert_int_equal(i.max_maptrack_frames, 99);
    parse(&i, "", NULL, "gnttab_max_frames=64 gnttab_max_frames=0x80");
    assert_int_equal(i.max_grant_frames, 128);
    parse(&i, "", NULL,
          "gnttab_max_frames= gnttab_max_frames=-1 "
          "gnttab_max_frames=99999999999999999999");
    assert_int_equal(i.max_grant_frames, 0);
    /* longer than we keep */
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    parse(&i, "", NULL, line);
    assert_int_equal(strlen(i.cmdline), sizeof(i.cmdline) - 1);
}

static void test_check(void **state)
{
    struct vr_hostinfo i;
    struct vr_err err;

    (void)state;
    parse(&i, "xen-3.0-aarch64", NULL, "xsm=silo");
    assert_int_equal(vr_hostinfo_check(&i, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "xsm=dummy"));
    parse(&i, "xen-3.0-aarch64", NULL, "xsm=flask");
    assert_int_equal(vr_hostinfo_check(&i, &err), 0);
    i.minor = 16;
    assert_int_equal(vr_hostinfo_check(&i, &err), -ENOTSUP);
    i.major = 5;
    assert_int_equal(vr_hostinfo_check(&i, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arch),  cmocka_unit_test(test_ioreq),
        cmocka_unit_test(test_xsm),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

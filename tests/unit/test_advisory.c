/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "libs/host/advisory.h"

/* The numbers for a host, in one text. */
static const char *found(const char *arch, unsigned int minor,
                         const char *extra, const char *cmdline)
{
    static char text[128];
    const struct vr_advisory *a = NULL;
    struct vr_hostinfo i = {.major = 4, .minor = minor};
    size_t len = 0;

    snprintf(i.arch, sizeof(i.arch), "%s", arch);
    snprintf(i.extra, sizeof(i.extra), "%s", extra);
    snprintf(i.cmdline, sizeof(i.cmdline), "%s", cmdline);
    text[0] = '\0';
    while ((a = vr_advisory_next(a, &i)))
        len += snprintf(text + len, sizeof(text) - len, "%u ", a->xsa);
    return text;
}

static void test_versions(void **state)
{
    static const char all_x86[] = "486 500 501 506 ";

    (void)state;
    assert_string_equal(found("x86_64", 17, ".5", ""), all_x86);
    assert_string_equal(found("x86_64", 17, ".6-pre", ""), all_x86);
    assert_string_equal(found("x86_64", 17, ".7", ""), "");
    assert_string_equal(found("x86_64", 17, ".7-pre", ""), all_x86);
    assert_string_equal(found("x86_64", 17, ".10", ""), "");
    assert_string_equal(found("x86_64", 20, ".3", ""), all_x86);
    assert_string_equal(found("x86_64", 20, ".4", ""), "");
    assert_string_equal(found("x86_64", 21, ".1", ""), all_x86);
    assert_string_equal(found("x86_64", 22, ".0-rc3", ""), all_x86);
    assert_string_equal(found("x86_64", 22, ".0", ""), "");
    assert_string_equal(found("x86_64", 23, "-unstable", ""), "");
    assert_string_equal(found("x86_64", 16, ".0", ""), "");
    assert_string_equal(found("arm64", 17, ".5", ""), "493 500 506 ");
}

/* What version 1 of the grant table rules out. */
static void test_cmdline(void **state)
{
    (void)state;
    assert_string_equal(found("x86_64", 17, ".5", "gnttab=max-ver:1"),
                        "500 506 ");
    assert_string_equal(
        found("x86_64", 17, ".5", "dom0=pvh gnttab=transitive=0,max-ver:1 x"),
        "500 506 ");
    assert_string_equal(
        found("x86_64", 17, ".5", "gnttab=max-ver:2 x=max-ver:1"),
        "486 500 501 506 ");
    assert_string_equal(found("x86_64", 17, ".5", "nognttab=max-ver:1"),
                        "486 500 501 506 ");
}

static void test_fixed(void **state)
{
    struct vr_hostinfo i = {.major = 4, .minor = 19, .arch = "arm64"};
    const struct vr_advisory *a = vr_advisory_next(NULL, &i);
    char text[24];

    (void)state;
    assert_non_null(a);
    assert_string_equal(vr_advisory_fixed(a, &i, text, sizeof(text)), "4.19.6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_cmdline),
        cmocka_unit_test(test_fixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

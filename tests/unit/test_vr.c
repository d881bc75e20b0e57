/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/base/vr.h"

static void test_u64(void **state)
{
    uint64_t v = 7;

    (void)state;
    assert_int_equal(vr_parse_u64("0", 0, &v), 0);
    assert_true(v == 0);
    assert_int_equal(vr_parse_u64("18446744073709551615", UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(vr_parse_u64("0xFFffFFffFFffFFff", UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(vr_parse_u64("18446744073709551616", UINT64_MAX, &v),
                     -ERANGE);
    assert_int_equal(vr_parse_u64("0x10000000000000000", UINT64_MAX, &v),
                     -ERANGE);
    assert_int_equal(vr_parse_u64("11", 10, &v), -ERANGE);
    assert_true(v == UINT64_MAX); /* untouched by failures */
}

static void test_u64_malformed(void **state)
{
    static const char *const bad[] = {"",   " ",   "-1", "+1",  "1 ", " 1",
                                      "0x", "0xg", "1a", "1e3", "x1", "1\n"};
    uint64_t v = 7;
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_int_equal(vr_parse_u64(bad[i], UINT64_MAX, &v), -EINVAL);
    assert_true(v == 7);
}

static void test_size(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"1", 1},
                {"4k", 4096},
                {"64M", UINT64_C(64) << 20},
                {"2G", UINT64_C(2) << 30},
                {"0x10K", 16384},
                {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"", "K", "1T", "1MB", "1 M", "-1M"};
    static const char *const big[] = {"9223372036854775808", "8589934592G",
                                      "9007199254740992K"};
    uint64_t v;
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(good); i++) {
        assert_int_equal(vr_parse_size(good[i].text, &v), 0);
        assert_true(v == good[i].value);
    }
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_int_equal(vr_parse_size(bad[i], &v), -EINVAL);
    for (i = 0; i < VR_ARRAY_SIZE(big); i++)
        assert_int_equal(vr_parse_size(big[i], &v), -ERANGE);
}

static void test_format_size(void **state)
{
    static const uint64_t values[] = {0,
                                      1,
                                      1023,
                                      1024,
                                      4097,
                                      UINT64_C(64) << 20,
                                      UINT64_C(3) << 30,
                                      UINT64_C(1) << 50,
                                      INT64_MAX};
    char buf[24];
    uint64_t v;
    size_t i;

    (void)state;
    assert_string_equal(vr_format_size(UINT64_C(64) << 20, buf), "64M");
    assert_string_equal(vr_format_size(4097, buf), "4097");
    for (i = 0; i < VR_ARRAY_SIZE(values); i++) {
        assert_int_equal(vr_parse_size(vr_format_size(values[i], buf), &v), 0);
        assert_true(v == values[i]);
    }
}

static void test_names(void **state)
{
    char id[VR_ID_LEN + 2];

    (void)state;
    memset(id, 'a', sizeof(id));
    id[VR_ID_LEN + 1] = '\0';
    assert_false(vr_id_valid(id));
    id[VR_ID_LEN] = '\0';
    assert_true(vr_id_valid(id));
    assert_true(vr_id_valid("disk-0_A"));
    assert_false(vr_id_valid(""));
    assert_false(vr_id_valid("a/b"));
    assert_false(vr_id_valid("."));
    assert_true(vr_uuid_valid("01234567-89ab-cdef-0123-456789abcdef"));
    assert_false(vr_uuid_valid("01234567-89AB-cdef-0123-456789abcdef"));
    assert_false(vr_uuid_valid("01234567-89ab-cdef-0123-456789abcde"));
    assert_false(vr_uuid_valid("01234567-89ab-cdef-0123-456789abcdef0"));
    assert_false(vr_uuid_valid("0123456789ab-cdef-0123-456789abcdef01"));
    assert_false(vr_uuid_valid(""));
}

static void test_err(void **state)
{
    char text[1024];
    struct vr_err err;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    vr_err_set(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    vr_err_set(NULL, "nowhere to go");
}

static void test_err_front(void **state)
{
    struct vr_err err;
    char text[2048];

    (void)state;
    vr_err_set(&err, "%s", "%d bytes");
    vr_err_front(&err, "file a%sb");
    assert_string_equal(err.text, "file a%sb: %d bytes");
    /* What does not fit is cut at the end. */
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    vr_err_set(&err, "%s", text);
    vr_err_front(&err, "a");
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_memory_equal(err.text, "a: xxx", 6);
    vr_err_front(&err, text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_null(strchr(err.text, 'a'));
    vr_err_front(NULL, "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),       cmocka_unit_test(test_u64_malformed),
        cmocka_unit_test(test_size),      cmocka_unit_test(test_format_size),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_err),
        cmocka_unit_test(test_err_front),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

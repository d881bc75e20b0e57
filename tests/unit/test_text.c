/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libs/base/text.h"

#define GREEK "\xce\xb1\xce\xb2" /* two characters of two bytes */
#define EURO  "\xe2\x82\xac"     /* three */
#define ACE   "\xf0\x9f\x82\xa1" /* four */
#define LATIN                                                                  \
    "gr\xfc\xdf"                                                               \
    "e" /* ISO 8859-1 */

static void names_may_be_any_utf8(void **state)
{
    static const char *const good[] = {
        "a",  "a b", "guest-1",  "a/b",          GREEK,
        EURO, ACE,   "\xc2\xa0", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf",
    };
    static const char *const bad[] = {
        "",
        LATIN,
        "a\nb",
        "\x1b[2J",
        "\x7f",
        "\xc2\x9b"
        "2J",               /* C1: a terminal's CSI in one character */
        "\xc0\xaf",         /* '/' in two bytes */
        "\xe0\x80\xaf",     /* ... in three */
        "\xf0\x80\x80\xaf", /* ... in four */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf4\x90\x80\x80", /* beyond the last character */
        "\xf8\x88\x80\x80\x80",
        "\x80",
        "\xc3", /* cut off */
        "\xe2\x82",
        "\xe2"
        "a\xac",
    };
    char name[VR_NAME_LEN + 2];
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(good); i++)
        assert_true(vr_name_valid(good[i]));
    for (i = 0; i < VR_ARRAY_SIZE(bad); i++)
        assert_false(vr_name_valid(bad[i]));
    memset(name, 'a', sizeof(name));
    name[VR_NAME_LEN] = '\0';
    assert_true(vr_name_valid(name));
    name[VR_NAME_LEN] = 'a';
    name[VR_NAME_LEN + 1] = '\0';
    assert_false(vr_name_valid(name));
}

static void a_name_is_cleaned_and_cut_between_characters(void **state)
{
    char out[8];

    (void)state;
    vr_name_clean(out, sizeof(out), LATIN, strlen(LATIN));
    assert_string_equal(out, "gr??e");
    vr_name_clean(out, sizeof(out), "\x1b[2J", 4);
    assert_string_equal(out, "?[2J");
    vr_name_clean(out, sizeof(out), GREEK GREEK, 8);
    assert_string_equal(out, GREEK "\xce\xb1");
    vr_name_clean(out, 6, "ab" EURO, 5);
    assert_string_equal(out, "ab" EURO);
    vr_name_clean(out, 5, "ab" EURO, 5);
    assert_string_equal(out, "ab");
    vr_name_clean(out, sizeof(out), EURO, 2);
    assert_string_equal(out, "??");
    vr_name_clean(out, sizeof(out), "", 0);
    assert_string_equal(out, "");
    vr_name_clean(out, 1, "a", 1);
    assert_string_equal(out, "");
}

static void quoted_words_stay_in_their_quotes(void **state)
{
    char quote[VR_QUOTE_LEN], longer[VR_QUOTE_LEN * 2];
    size_t n;

    (void)state;
    assert_string_equal(vr_quote(quote, "no such file"), "\"no such file\"");
    assert_string_equal(vr_quote(quote, ""), "\"\"");
    assert_string_equal(vr_quote(quote, "x\"; run `rm`; \"y"),
                        "\"x'; run `rm`; 'y\"");
    assert_string_equal(vr_quote(quote, "a\n\x1b" GREEK), "\"a??????\"");
    for (n = VR_QUOTE_LEN - 10; n < sizeof(longer); n++) {
        memset(longer, 'w', n);
        longer[n] = '\0';
        vr_quote(quote, longer);
        assert_true(strlen(quote) < VR_QUOTE_LEN);
        assert_int_equal(quote[strlen(quote) - 1], '"');
        if (n <= VR_QUOTE_LEN - 3)
            assert_int_equal(strlen(quote), n + 2);
        else
            assert_string_equal(quote + strlen(quote) - 4, "...\"");
    }
}

static void a_log_is_a_file_of_its_folder(void **state)
{
    char path[VR_LOG_PATH], name[VR_NAME_LEN + 1];

    (void)state;
    assert_string_equal(vr_log_path(path, "g1"),
                        "/var/log/xen/vr-broker-g1.log");
    assert_string_equal(vr_log_path(path, "../a b"),
                        "/var/log/xen/vr-broker-.._a_b.log");
    assert_string_equal(vr_log_path(path, GREEK),
                        "/var/log/xen/vr-broker-" GREEK ".log");
    memset(name, 'n', VR_NAME_LEN);
    name[VR_NAME_LEN] = '\0';
    vr_log_path(path, name);
    assert_string_equal(path + strlen(path) - 4, ".log");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_may_be_any_utf8),
        cmocka_unit_test(a_name_is_cleaned_and_cut_between_characters),
        cmocka_unit_test(quoted_words_stay_in_their_quotes),
        cmocka_unit_test(a_log_is_a_file_of_its_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vrctl/vrctl.h"

static void numbers_keep_their_digits(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {
        {0, "\"n\": 0"},
        {UINT64_C(1) << 52, "\"n\": 4503599627370496"},
        {(UINT64_C(1) << 53) - 1, "\"n\": 9007199254740991"},
        /* A double cannot tell these from their neighbours. */
        {UINT64_C(1) << 53, "\"n\": \"0x20000000000000\""},
        {(UINT64_C(1) << 53) + 1, "\"n\": \"0x20000000000001\""},
        {UINT64_MAX, "\"n\": \"0xffffffffffffffff\""},
    };
    const unsigned char *buf;
    size_t i, len;
    yajl_gen g;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(cases); i++) {
        g = json_begin();
        assert_non_null(g);
        json_u64(g, "n", cases[i].value);
        assert_int_equal(yajl_gen_map_close(g), yajl_gen_status_ok);
        assert_int_equal(yajl_gen_get_buf(g, &buf, &len), yajl_gen_status_ok);
        assert_non_null(strstr((const char *)buf, cases[i].text));
        yajl_gen_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_their_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

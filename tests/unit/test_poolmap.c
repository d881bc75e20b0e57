/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/memory/poolmap.h"
#include "fakegnt.h"

#define PAGES 200u /* three parts and a bit */

static const struct vr_gwin pool = {
    .base = 0x48000000, .size = PAGES * VR_PAGE_SIZE, .gref_base = FAKE_GREF};

/* Why the pool cannot be mapped; "" when it can. */
static const char *why(struct fakegnt *g)
{
    static struct vr_err err;
    void *va = NULL;
    int rc;

    err.text[0] = '\0';
    rc = vr_poolmap(&fake_ops, g, &pool, 7, &va, &err);
    if (!rc) {
        assert_non_null(va);
        assert_int_equal(fake_pins(g), PAGES);
        fake_unmap(g, va, PAGES);
        fake_settle(g);
    } else {
        assert_int_equal(rc, -EIO); /* the fake one sets no errno */
        assert_null(va);
        assert_non_null(
            strstr(err.text, "pool of 200 pages at grant 5000 of domain 7 "));
    }
    /* nothing that was tried stays mapped */
    assert_int_equal(fake_pins(g), 0);
    return err.text;
}

static void test_why(void **state)
{
    struct fakegnt g;

    (void)state;
    fake_open(&g, PAGES);
    assert_string_equal(why(&g), "");
    assert_int_equal(g.table->maps, 1);
    /* an entry of the last part overwritten, then of three parts of four */
    fake_set(&g, 199 * VR_PAGE_SIZE, 1, FAKE_NONE);
    assert_non_null(strstr(why(&g), "the guest has overwritten the others'"));
    fake_set(&g, 10 * VR_PAGE_SIZE, 1, FAKE_READ);
    fake_set(&g, 70 * VR_PAGE_SIZE, 1, FAKE_NONE);
    assert_non_null(strstr(why(&g), "parts of it can"));
    /* all of them: that may be Xen's configuration as well */
    fake_set(&g, 0, pool.size, FAKE_NONE);
    assert_non_null(strstr(why(&g), "SILO"));
    /* the whole is too much */
    fake_set(&g, 0, pool.size, FAKE_WRITE);
    g.table->refuse_maps = 1;
    assert_non_null(strstr(why(&g), "gnttab_max_maptrack_frames"));
    assert_string_equal(why(&g), "");
    fake_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/proto/pools.h"
#include "libs/base/shfile.h"

static void test_file(void **state)
{
    char folder[] = "/tmp/vr-pools-XXXXXX", path[64];
    struct vr_pools *w, *r;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/pools", folder);
    assert_null(vr_pools_open_at(path, false));
    assert_int_equal(errno, ENOENT);
    /* none: nothing was granted */
    assert_int_equal(vr_pools_state(NULL, 0), VR_POOL_PRIVATE);
    w = vr_pools_open_at(path, true);
    r = vr_pools_open_at(path, false);
    assert_non_null(w);
    assert_non_null(r);
    assert_int_equal(vr_pools_state(r, 0), VR_POOL_PRIVATE);
    vr_shfile_begin(&w->generation);
    w->state[3] = VR_POOL_GRANTED;
    assert_true(vr_shfile_generation(&r->generation) & 1);
    vr_shfile_end(&w->generation);
    assert_int_equal(vr_shfile_generation(&r->generation), 2);
    assert_int_equal(vr_pools_state(r, 3), VR_POOL_GRANTED);
    vr_pools_close(r);
    /* another version's */
    w->magic++;
    assert_null(vr_pools_open_at(path, false));
    assert_int_equal(errno, EPROTO);
    vr_pools_close(w);
    /* another size */
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    close(fd);
    assert_null(vr_pools_open_at(path, false));
    assert_int_equal(errno, EPROTO);
    assert_null(vr_pools_open("no uuid", false));
    assert_int_equal(errno, EINVAL);
    unlink(path);
    rmdir(folder);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(vr_pool_state_name(VR_POOL_PRIVATE), "private");
    assert_string_equal(vr_pool_state_name(VR_POOL_GRANTED), "granted");
    assert_string_equal(vr_pool_state_name(VR_POOL_HELD), "held");
    assert_string_equal(vr_pool_state_name((enum vr_pool_state)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

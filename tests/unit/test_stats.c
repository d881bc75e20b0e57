/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/config/record.h"
#include "libs/proto/stats.h"

/* No guest has it: the variant bits are wrong. */
#define UUID "00000000-0000-0000-0000-7e577e577e57"
#define PATH VR_RUN_DIR "/" UUID ".stats"

/* VR_RUN_DIR is root's. */
static struct vr_stats *create(void)
{
    struct vr_stats *s = vr_stats_open(UUID, true);

    if (!s && (errno == EACCES || errno == EPERM || errno == EROFS)) {
        print_message("skipped: cannot write to " VR_RUN_DIR "\n");
        skip();
    }
    return s;
}

static int teardown(void **state)
{
    (void)state;
    unlink(PATH);
    return 0;
}

static void every_reason_has_a_text(void **state)
{
    unsigned int i, j;

    (void)state;
    for (i = VR_FAIL_NONE; i <= VR_FAIL_GRANTS + 1; i++) {
        const char *text = vr_fail_text(i);

        assert_non_null(text);
        assert_null(strchr(text, '\n'));
        for (j = 0; j < i; j++)
            assert_string_not_equal(text, vr_fail_text(j));
    }
}

static void a_failure_counts_more_than_silence(void **state)
{
    struct vr_stats_dev s = {.silent = 1};

    (void)state;
    assert_int_equal(vr_stats_why(&s), VR_FAIL_SILENT);
    s.failed = VR_FAIL_GONE;
    assert_int_equal(vr_stats_why(&s), VR_FAIL_GONE);
    s.failed = s.silent = 0;
    assert_int_equal(vr_stats_why(&s), VR_FAIL_NONE);
}

static void reader_sees_what_the_writer_writes(void **state)
{
    struct vr_stats *w = create(), *r;
    struct stat st;

    (void)state;
    assert_non_null(w);
    r = vr_stats_open(UUID, false);
    assert_non_null(r);
    w->ndevs = 3;
    w->dev[15].kicks = 7;
    assert_int_equal(r->ndevs, 3);
    assert_int_equal(r->dev[15].kicks, 7);
    assert_int_equal(stat(PATH, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    vr_stats_close(r);
    vr_stats_close(w);
    vr_stats_close(NULL);
}

static void vrctl_asks(void **state)
{
    struct vr_stats *w = create();

    (void)state;
    assert_non_null(w);
    assert_int_equal(vr_stats_ask(UUID, 7, 1234), 0);
    assert_int_equal(w->survey.session, 7);
    assert_int_equal(w->survey.until, 1234);
    w->magic = 0;
    assert_int_equal(vr_stats_ask(UUID, 8, 1), -EPROTO);
    assert_int_equal(w->survey.session, 7);
    vr_stats_close(w);
    assert_int_equal(vr_stats_ask("..", 8, 1), -EINVAL);
}

static void a_new_file_begins_empty(void **state)
{
    struct vr_stats *old = create(), *fresh;

    (void)state;
    assert_non_null(old);
    old->dev[0].kicks = 9;
    fresh = create();
    assert_non_null(fresh);
    assert_int_equal(fresh->dev[0].kicks, 0);
    assert_int_equal(old->dev[0].kicks, 9);
    vr_stats_close(old);
    vr_stats_close(fresh);
}

static void bad_files(void **state)
{
    struct vr_stats *s = create();
    FILE *f;

    (void)state;
    assert_non_null(s);
    s->magic = 0;
    vr_stats_close(s);
    assert_null(vr_stats_open(UUID, false));
    assert_int_equal(errno, EPROTO);
    f = fopen(PATH, "w"); /* too short */
    assert_non_null(f);
    fclose(f);
    assert_null(vr_stats_open(UUID, false));
    assert_int_equal(errno, EPROTO);
    unlink(PATH);
    assert_null(vr_stats_open(UUID, false));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(symlink("/dev/zero", PATH), 0);
    assert_null(vr_stats_open(UUID, false));
}

static void bad_uuids(void **state)
{
    (void)state;
    assert_null(vr_stats_open("../../etc/passwd", true));
    assert_int_equal(errno, EINVAL);
    assert_null(vr_stats_open("", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_text),
        cmocka_unit_test(a_failure_counts_more_than_silence),
        cmocka_unit_test_teardown(reader_sees_what_the_writer_writes, teardown),
        cmocka_unit_test_teardown(vrctl_asks, teardown),
        cmocka_unit_test_teardown(a_new_file_begins_empty, teardown),
        cmocka_unit_test_teardown(bad_files, teardown),
        cmocka_unit_test(bad_uuids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that the plug-in starts (xl-plugin/child.c): with real ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../xl-plugin/child.h"
#include "libs/proto/link.h"
#include "valgrind.h"

/* A limit for what ends by itself. */
#define LONG_MS 60000

static char out[64], say[32];
static int status;

static int run(const char *script, unsigned int timeout_ms)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    return vr_child_capture("/bin/sh", argv, timeout_ms, out, sizeof(out), say,
                            sizeof(say), &status);
}

static void test_output(void **state)
{
    (void)state;
    assert_int_equal(run("echo one; echo two >&2; exit 3", LONG_MS), 0);
    assert_string_equal(out, "one\n");
    assert_string_equal(say, "two\n");
    assert_int_equal(WEXITSTATUS(status), 3);
}

static void test_no_output(void **state)
{
    (void)state;
    assert_int_equal(run(":", LONG_MS), 0);
    assert_string_equal(out, "");
    assert_string_equal(say, "");
    assert_int_equal(status, 0);
}

/* Half of a configuration would be read as a whole one. */
static void test_too_much(void **state)
{
    (void)state;
    assert_int_equal(run("head -c 100000 /dev/zero | tr '\\0' x", LONG_MS),
                     -E2BIG);
    assert_int_equal(strlen(out), sizeof(out) - 1);
}

/* Of messages the beginning will do. */
static void test_too_many_messages(void **state)
{
    (void)state;
    assert_int_equal(
        run("echo ok; head -c 100000 /dev/zero | tr '\\0' y >&2", LONG_MS), 0);
    assert_string_equal(out, "ok\n");
    assert_int_equal(strlen(say), sizeof(say) - 1);
}

static void test_no_end(void **state)
{
    (void)state;
    assert_int_equal(run("echo begun; exec sleep 1000", 100), -ETIMEDOUT);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), 9);
    /* Its output has ended, but it has not. */
    assert_int_equal(run("exec sleep 1000 >&- 2>&-", 100), -ETIMEDOUT);
    assert_int_equal(WTERMSIG(status), 9);
}

static void test_killed(void **state)
{
    (void)state;
    assert_int_equal(run("kill -9 $$", LONG_MS), 0);
    assert_true(WIFSIGNALED(status));
}

static void test_no_program(void **state)
{
    const char *const argv[] = {"x", NULL};

    (void)state;
    if (in_valgrind()) /* its vfork() is a fork(): no error comes back */
        return;
    assert_int_equal(vr_child_capture("/no/program", argv, LONG_MS, out,
                                      sizeof(out), say, sizeof(say), &status),
                     -ENOENT);
    assert_string_equal(out, "");
}

/* Neither where they are installed nor beside this program. */
static void test_nothing_installed(void **state)
{
    char type, text[VR_LINK_MAX + 1];
    struct vr_err err;
    int fd = -1;

    (void)state;
    if (in_valgrind())
        return;
    if (!access(VR_SBINDIR "/vrctl", F_OK) ||
        !access(VR_LIBEXECDIR "/vr-broker", F_OK)) {
        print_message("skipped: virtio-restricted is installed here\n");
        return;
    }
    assert_int_equal(vr_child_cleanup("uuid", true, &err), -ENOENT);
    assert_non_null(strstr(err.text, "install virtio-restricted again"));
    /* The broker is nobody's child: it is its end of the link that tells. */
    assert_int_equal(vr_child_broker("uuid", &fd, &err), 0);
    assert_int_equal(vr_link_recv(fd, LONG_MS, &type, text), 0);
    assert_int_equal(type, 'E');
    assert_non_null(strstr(text, "install virtio-restricted again"));
    assert_int_equal(vr_link_recv(fd, LONG_MS, &type, text), -EPIPE);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_no_output),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_too_many_messages),
        cmocka_unit_test(test_no_end),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_no_program),
        cmocka_unit_test(test_nothing_installed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

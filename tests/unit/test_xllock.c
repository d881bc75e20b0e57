/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../xl-plugin/xllock.h"

static char path[] = "/tmp/vr-xllock.XXXXXX";

static int lock(int fd, int how)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, how, &fl);
}

/* As xl's acquire_lock() does it. */
static int acquire(void)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0200);

    assert_true(fd >= 0);
    assert_int_equal(lock(fd, F_SETLKW), 0);
    return fd;
}

/* Could another xl have it now? */
static int is_free(void)
{
    pid_t pid = fork();
    int status;

    if (!pid)
        _exit(lock(open(path, O_WRONLY), F_SETLK) ? 1 : 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return !status;
}

static void test_drop(void **state)
{
    int fd = acquire();

    (void)state;
    assert_false(is_free());
    assert_int_equal(vr_xllock_drop(), fd);
    assert_true(is_free());
    assert_int_equal(vr_xllock_drop(), -1);
    vr_xllock_take(fd);
    assert_false(is_free());
    /* What xl does at the end. */
    assert_int_equal(vr_xllock_drop(), fd);
    assert_int_equal(close(fd), 0);
    assert_true(is_free());
}

/* autoballoon off, and locks of another kind: nothing is touched. */
static void test_none(void **state)
{
    int fd = open(path, O_RDWR), other;

    (void)state;
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(vr_xllock_drop(), -1);
    vr_xllock_take(-1);
    assert_true(is_free());
    other = open(path, O_RDWR);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    close(other);
    close(fd);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}

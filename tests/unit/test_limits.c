/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a worker that its guest has taken over can take of the toolstack
 * domain; each attempt in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#include "broker/broker.h"

#define MIB (1u << 20)

/* As the worker does, a moment after it was limited. Tests may run as root. */
static bool drop(void)
{
    return geteuid() || !setresuid(65534, 65534, 65534);
}

/* Does @attempt succeed, for a worker? */
static bool can(bool (*attempt)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (!pid)
        _exit(limits_worker() || !drop() ? 99 : !attempt());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* A stack that cannot grow ends the process. */
    if (WIFSIGNALED(status))
        return false;
    assert_in_range(WEXITSTATUS(status), 0, 1);
    return !WEXITSTATUS(status);
}

static bool map(size_t size, int flags)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1,
                0) != MAP_FAILED;
}

static bool some_memory(void)
{
    return map(MIB, MAP_PRIVATE);
}

static bool private_memory(void)
{
    return map(16 * MIB, MAP_PRIVATE);
}

static bool shared_memory(void)
{
    return map(16 * MIB, MAP_SHARED);
}

static bool locked_memory(void)
{
    return map(MIB / 2, MAP_PRIVATE | MAP_LOCKED);
}

static bool piece_by_piece(void)
{
    unsigned int i;

    for (i = 0; i < 1024; i++)
        if (!map(64 << 10, MAP_PRIVATE))
            return false;
    return true;
}

static bool the_heap(void)
{
    return sbrk(16 * MIB) != (void *)-1;
}

static bool the_stack(void)
{
    char frame[6 * MIB];

    memset(frame, 1, sizeof(frame));
    /* Somebody may look at it. */
    __asm__ volatile("" ::"r"(frame) : "memory");
    return true;
}

static bool more_memory(void)
{
    struct rlimit rl;

    getrlimit(RLIMIT_AS, &rl);
    rl.rlim_cur = rl.rlim_max = rl.rlim_max + 16 * MIB;
    return !setrlimit(RLIMIT_AS, &rl);
}

static bool a_file(void)
{
    char path[] = "/tmp/vr-limits.XXXXXX";
    int fd = mkstemp(path);

    /* Descriptors are limited as well. */
    if (fd < 0)
        return false;
    unlink(path);
    return write(fd, path, 1) == 1;
}

static bool the_log(void)
{
    return write(STDERR_FILENO, "x", 1) == 1;
}

static bool a_process(void)
{
    return fork() >= 0;
}

static bool a_core(void)
{
    struct rlimit rl;

    return getrlimit(RLIMIT_CORE, &rl) || rl.rlim_max;
}

static bool usual_priority(void)
{
    errno = 0;
    return getpriority(PRIO_PROCESS, 0) < 5 || !nice(-1);
}

static void test_memory(void **state)
{
    (void)state;
    assert_true(can(some_memory));
    assert_false(can(private_memory));
    assert_false(can(shared_memory));
    assert_false(can(piece_by_piece));
    assert_false(can(the_heap));
    assert_false(can(the_stack));
    assert_false(can(more_memory));
    assert_false(can(locked_memory));
}

static void test_rest(void **state)
{
    char path[] = "/tmp/vr-limits.XXXXXX";
    int saved = dup(STDERR_FILENO), fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    unlink(path);
    assert_false(can(a_file));
    dup2(fd, STDERR_FILENO);
    assert_false(can(the_log));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    assert_false(can(a_core));
    assert_false(can(a_process));
}

static void test_priority(void **state)
{
    (void)state;
    assert_false(can(usual_priority));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_priority),
    };

    /* It has files and memory of its own in the process. */
    if (RUNNING_ON_VALGRIND)
        cmocka_set_skip_filter("*");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

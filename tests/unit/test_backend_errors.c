/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's device loop on a target that fails, grows or shrinks: what the
 * guest is told, in all modes, with both kinds of I/O.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "loophost.h"

#define SECTORS (FILE_SIZE / 512)
#define HALF    (FILE_SIZE / 2)

/* What fails, in the device's process; beside the control page. */
static int *fail_flush, *fail_range;

int fdatasync(int fd)
{
    if (fail_flush && *fail_flush) {
        errno = *fail_flush;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    if (fail_range && *fail_range) {
        errno = *fail_range;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, off, len);
}

static int start(void **state)
{
    static int none;

    fail_flush = fail_range = &none;
    setup(state);
    fail_flush = (int *)(void *)((uint8_t *)h.page + 4096 + 512);
    fail_range = fail_flush + 1;
    /* The process is to see these, and none has failed so far. */
    assert_int_equal(backend_stop(0), 0);
    backend_start();
    return 0;
}

static int end(void **state)
{
    *fail_flush = *fail_range = 0;
    teardown(state);
    fail_flush = fail_range = NULL;
    return 0;
}

static const struct vr_ctrl_counters *counts(void)
{
    return &h.page->counters;
}

/* From @size on every write fails: the file is full, so to speak. */
static void limit_file(rlim_t size)
{
    struct rlimit r = {size, RLIM_INFINITY};

    assert_int_equal(prlimit(h.pid, RLIMIT_FSIZE, &r, NULL), 0);
}

static uint8_t range_request(uint32_t type, uint64_t sector, uint32_t sectors)
{
    memset(data_of(0, 0), 0, 16);
    memcpy(data_of(0, 0), &sector, 8);
    memcpy(data_of(0, 0) + 8, &sectors, 4);
    return do_request(0, type, 0, 16, false);
}

static void full(void **state)
{
    uint64_t io;
    unsigned int i;

    (void)state;
    assert_int_equal(do_request(0, 1, 0, 8192, false), 0);
    assert_int_equal(do_request(0, 0, 0, 8192, true), 0);
    io = counts()->target_io;
    limit_file(HALF);
    memset(data_of(0, 0), 0x77, 8192);
    assert_int_equal(do_request(0, 1, HALF / 512, 8192, false), VR_BLK_S_IOERR);
    /* Half of it fits: as good as nothing. */
    assert_int_equal(do_request(0, 1, HALF / 512 - 8, 8192, false),
                     VR_BLK_S_IOERR);
    assert_int_equal(counts()->write_errors, 2);
    assert_int_equal(counts()->errors, 2);
    assert_int_equal(counts()->last_errno, EFBIG);
    assert_int_equal(*h.logs, 1); /* one in ten seconds */
    /* It is not in some cache either, and direct I/O goes on. */
    assert_int_equal(do_request(0, 0, HALF / 512, 8192, true), 0);
    for (i = 0; i < 8192; i++)
        assert_int_equal(data_of(0, 0)[i], 0);
    assert_int_equal(counts()->target_io, io);
    assert_int_equal(do_request(0, 1, 0, 8192, false), 0);
    limit_file(RLIM_INFINITY);
    assert_int_equal(do_request(0, 1, HALF / 512, 8192, false), 0);
    assert_int_equal(counts()->read_errors, 0);
}

/* The kernel's own error stands for the ring's, which cannot be made here. */
static bool own_flush(void)
{
    return h.v->aio == &vr_aio_threads;
}

static void flush_fails(void **state)
{
    bool cached = h.v->cache == VR_CACHE_BUFFERED;

    (void)state;
    if (!own_flush())
        skip();
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
    assert_int_equal(do_request(0, 4, 0, 0, false), 0);
    /* An answer of "not needed" would be no answer. */
    *fail_flush = EOPNOTSUPP;
    assert_int_equal(do_request(0, 4, 0, 0, false), VR_BLK_S_IOERR);
    *fail_flush = 0;
    assert_int_equal(do_request(0, 1, 0, 4096, false), 0);
    assert_int_equal(do_request(0, 4, 0, 0, false),
                     cached ? VR_BLK_S_IOERR : 0);
    assert_int_equal(counts()->flush_errors, cached ? 2 : 1);
    assert_int_equal(!!(counts()->target_io & VR_BLK_IO_LOST), cached);
}

static void ranges_fail(void **state)
{
    static const int how[] = {EIO, ENOSPC};
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(how); i++) {
        *fail_range = how[i];
        assert_int_equal(range_request(13, 0, 16), VR_BLK_S_IOERR);
        assert_int_equal(range_request(11, 0, 16), VR_BLK_S_IOERR);
        assert_int_equal(counts()->range_errors, 2 * (i + 1));
        assert_int_equal(counts()->last_errno, how[i]);
    }
    *fail_range = EOPNOTSUPP;
    assert_int_equal(range_request(11, 0, 16), VR_BLK_S_UNSUPP);
    assert_int_equal(range_request(13, 0, 16), 0); /* written */
    /* ... where they cannot be: */
    limit_file(HALF);
    assert_int_equal(range_request(13, HALF / 512, 16), VR_BLK_S_IOERR);
    assert_int_equal(counts()->range_errors, 5);
    limit_file(RLIM_INFINITY);
    *fail_range = 0;
    assert_int_equal(range_request(13, 0, 16), 0);
}

/* ---- the size ---- */

static uint64_t capacity(void)
{
    struct vr_ctrl_device dev;

    while (vr_ctrl_take_device(h.page, &dev))
        usleep(100);
    return vr_blk_capacity(dev.config);
}

/* As the broker asks a device in use. */
static void ping(void)
{
    if (vr_ctrl_post(&h.page->kick, VR_CTRL_PING))
        eventfd_write(h.wake_fd, 1);
}

static void await_size(uint64_t size)
{
    unsigned int ms;

    for (ms = 0; ms < LIMIT_MS && counts()->target_size != size; ms++) {
        ping();
        usleep(1000);
    }
    assert_int_equal(counts()->target_size, size);
}

static void resize(uint64_t size)
{
    assert_int_equal(truncate(h.path, (off_t)size), 0);
    await_size(size);
}

static void grows(void **state)
{
    uint32_t generation;

    (void)state;
    assert_int_equal(do_request(0, 1, SECTORS, 4096, false), VR_BLK_S_IOERR);
    assert_int_equal(capacity(), SECTORS);
    generation = h.page->dev.config_generation;
    resize(FILE_SIZE + 4096 + 100);
    while (h.page->dev.config_generation == generation)
        usleep(100);
    assert_int_equal(capacity(), SECTORS + 8);
    assert_int_equal(do_request(0, 1, SECTORS, 4096, false), 0);
    assert_int_equal(do_request(0, 0, SECTORS, 4096, true), 0);
    assert_int_equal(do_request(0, 0, SECTORS + 8, 512, true), VR_BLK_S_IOERR);
    assert_int_equal(*h.note, 0);
    /* Less than a block more: nothing to tell. */
    generation = h.page->dev.config_generation;
    resize(FILE_SIZE + 4096 + 511);
    assert_int_equal(h.page->dev.config_generation, generation);
}

static void await_note(const char *end)
{
    unsigned int ms;

    for (ms = 0; ms < LIMIT_MS && !strstr(h.note, end); ms++)
        usleep(1000);
    assert_non_null(strstr(h.note, end));
}

static void expect_cut(uint64_t size)
{
    await_size(size);
    assert_int_equal(capacity(), SECTORS);
    await_note("let it grow again");
    assert_int_equal(do_request(0, 0, SECTORS - 8, 4096, true), VR_BLK_S_IOERR);
    assert_int_equal(do_request(0, 1, SECTORS - 8, 4096, false),
                     VR_BLK_S_IOERR);
    assert_int_equal(do_request(0, 1, size / 512 - 8, 4096, false), 0);
}

static void shrinks(void **state)
{
    struct stat st;

    (void)state;
    resize(HALF);
    expect_cut(HALF);
    /* What cannot be had is not made by writing to it. */
    assert_int_equal(stat(h.path, &st), 0);
    assert_int_equal(st.st_size, HALF);
    /* The same to a new process. */
    memset(h.note, 0, NOTE_LEN);
    assert_int_equal(backend_stop(0), 0);
    backend_start();
    assert_int_equal(do_request(0, 0, 0, 4096, true), 0);
    expect_cut(HALF);
    resize(FILE_SIZE);
    while (*h.note)
        usleep(100);
    assert_int_equal(do_request(0, 1, SECTORS - 8, 4096, false), 0);
    assert_int_equal(capacity(), SECTORS);
}

/* Between two processes. */
static void grows_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(backend_stop(0), 0);
    assert_int_equal(truncate(h.path, FILE_SIZE * 2), 0);
    backend_start();
    assert_int_equal(do_request(0, 0, SECTORS, 4096, true), 0);
    assert_int_equal(capacity(), SECTORS * 2);
}

static const struct variant variants[] = {
    {&vr_aio_uring, VR_CACHE_AUTO, ALL | BLK, false, 0, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_BUFFERED, ALL | BLK, false, 0, 0, 0, false},
    {&vr_aio_threads, VR_CACHE_AUTO, ALL | BLK, false, 0, 0, 0, false},
    {&vr_aio_threads, VR_CACHE_BUFFERED, ALL | BLK, false, 0, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, VR_NEVER_MAP, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 0, false},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, VR_NEVER_MAP, 0, 0,
     false},
    {&vr_aio_threads, VR_CACHE_BUFFERED, DYN | BLK, true, 0, 0, 0, false},
    {&vr_aio_uring, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 16 << 20, false},
    {&vr_aio_threads, VR_CACHE_AUTO, DYN | BLK, true, 0, 0, 16 << 20, false},
};

#define T(name)                                                                \
    cmocka_unit_test_prestate_setup_teardown(name, start, end,                 \
                                             (void *)(uintptr_t)&variants[v])

int main(void)
{
    bool uring = have_uring();
    int failed = 0;
    size_t v;

    signal(SIGXFSZ, SIG_IGN);
    for (v = 0; v < VR_ARRAY_SIZE(variants); v++) {
        const struct CMUnitTest tests[] = {
            T(full),  T(flush_fails), T(ranges_fail),
            T(grows), T(shrinks),     T(grows_meanwhile),
        };

        if (variants[v].aio == &vr_aio_uring && !uring)
            continue;
        failed += cmocka_run_group_tests_name("errors", tests, NULL, NULL);
    }
    return failed;
}

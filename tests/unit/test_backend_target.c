/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The target's failures: what is tried, and what the guest is told. The system
 * calls below stand in for a target that fails by each way of transfer.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/block/aio.h"

#define WAYS 3
#define LEN  (300u << 10)

/* Errors that the medium, or what is in front of it, may have. */
static const int medium[] = {EIO,     ENOSPC, EDQUOT, EROFS,     EFBIG,
                             ENODEV,  ENXIO,  EPERM,  ETIMEDOUT, ENOMEM,
                             EBADMSG, EILSEQ, ENODATA};

static struct vr_target t;
static int fails[WAYS];            /* errno of a transfer by this way */
static unsigned int calls[WAYS];   /* transfers that were tried */
static int fail_flush, fail_range; /* errno */
static unsigned int flushes;

static enum vr_way way_of(int fd, const struct iovec *iov)
{
    if (fd == t.fd)
        return VR_WAY_CACHE;
    return iov->iov_base == t.copy ? VR_WAY_COPY : VR_WAY_DIRECT;
}

static ssize_t step(int fd, const struct iovec *iov, int niov, off_t off,
                    bool write)
{
    enum vr_way way = way_of(fd, iov);

    calls[way]++;
    if (fails[way]) {
        errno = fails[way];
        return -1;
    }
    return write ? pwritev(fd, iov, niov, off) : preadv(fd, iov, niov, off);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int niov, off_t off,
                 int flags)
{
    (void)flags;
    return step(fd, iov, niov, off, true);
}

ssize_t preadv2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
    (void)flags;
    return step(fd, iov, niov, off, false);
}

int fdatasync(int fd)
{
    assert_int_equal(fd, t.fd);
    flushes++;
    errno = fail_flush;
    return fail_flush ? -1 : 0;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    (void)fd;
    (void)mode;
    (void)off;
    (void)len;
    errno = fail_range;
    return fail_range ? -1 : 0;
}

static uint8_t *data, *back;

static int setup(void **state)
{
    char path[] = "vr-test-XXXXXX";
    size_t i;

    (void)state;
    memset(&t, 0, sizeof(t));
    memset(fails, 0, sizeof(fails));
    memset(calls, 0, sizeof(calls));
    fail_flush = fail_range = 0;
    flushes = 0;
    t.fd = mkstemp(path);
    t.direct_fd = open(path, O_RDWR);
    assert_true(t.fd >= 0 && t.direct_fd >= 0);
    unlink(path);
    t.direct = t.foreign = true;
    t.blk_size = t.mem_align = t.off_align = 512;
    assert_int_equal(posix_memalign((void **)&t.copy, 65536, 131072), 0);
    assert_int_equal(posix_memalign((void **)&data, 4096, LEN), 0);
    assert_int_equal(posix_memalign((void **)&back, 4096, LEN), 0);
    for (i = 0; i < LEN; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 9));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(data);
    free(back);
    vr_target_close(&t);
    return 0;
}

/* Carries out @op, of three buffers; returns whether something was learnt. */
static bool carry(enum vr_aio_op op, struct vr_aio_req *req)
{
    uint8_t *p = op == VR_AIO_READ ? back : data;
    static struct iovec iov[3];

    iov[0] = (struct iovec){p, 512};
    iov[1] = (struct iovec){p + 512, 200u << 10};
    iov[2] = (struct iovec){p + 512 + (200u << 10), LEN - 512 - (200u << 10)};
    *req = (struct vr_aio_req){
        .op = op,
        .foreign = true,
        .iov = iov,
        .niov = 3,
        .offset = 1024,
        .len = LEN,
    };
    req->direct = vr_target_direct_ok(&t, true, iov, 3, 1024);
    memset(calls, 0, sizeof(calls));
    vr_aio_exec(&t, req);
    return vr_aio_learn(&t, req);
}

static void all_is_well(void **state)
{
    struct vr_aio_req req;

    (void)state;
    assert_false(carry(VR_AIO_WRITE, &req));
    assert_int_equal(req.res, 0);
    assert_int_equal(req.way, VR_WAY_DIRECT);
    assert_true(t.proven && !t.cached);
    assert_false(carry(VR_AIO_READ, &req));
    assert_int_equal(req.res, 0);
    assert_memory_equal(data, back, LEN);
}

/* Never the page cache, and the next one is direct again. */
static void medium_fails(void **state)
{
    struct vr_aio_req req;
    unsigned int i;
    int op;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(medium); i++) {
        for (op = VR_AIO_READ; op <= VR_AIO_WRITE; op++) {
            fails[VR_WAY_DIRECT] = fails[VR_WAY_COPY] = medium[i];
            assert_false(carry((enum vr_aio_op)op, &req));
            assert_int_equal(req.res, -medium[i]);
            assert_int_equal(calls[VR_WAY_CACHE], 0);
            assert_true(t.direct && t.foreign && !t.cached);
        }
    }
}

/* A short transfer as io_uring reports it: the second attempt says. */
static void ended_early(void **state)
{
    struct vr_aio_req req = {.op = VR_AIO_READ,
                             .direct = true,
                             .foreign = true,
                             .first = -EAGAIN,
                             .niov = 1};
    struct iovec iov = {back, 4096};

    (void)state;
    req.iov = &iov;
    req.len = 4096;
    vr_aio_exec(&t, &req); /* nothing is in the file */
    assert_int_equal(req.res, -EIO);
    assert_int_equal(calls[VR_WAY_DIRECT] + calls[VR_WAY_CACHE], 0);
    assert_int_equal(pwrite(t.fd, data, 4096, 0), 4096);
    vr_aio_exec(&t, &req);
    assert_int_equal(req.res, 0);
    assert_memory_equal(data, back, 4096);
    assert_false(vr_aio_learn(&t, &req));
    assert_true(t.direct && t.foreign);
}

/* The guest's pages are not taken, those of this process are. */
static void copies_work(void **state)
{
    static const int how[] = {EIO, EFAULT, EOPNOTSUPP};
    struct vr_aio_req req;
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(how); i++) {
        fails[VR_WAY_DIRECT] = how[i];
        t.foreign = true;
        assert_true(carry(VR_AIO_WRITE, &req));
        assert_int_equal(req.res, 0);
        assert_int_equal(req.way, VR_WAY_COPY);
        assert_true(t.direct && !t.foreign && !t.cached);
        assert_true(vr_target_own_only(&t));
        t.foreign = true;
        memset(back, 0, LEN);
        assert_true(carry(VR_AIO_READ, &req));
        assert_memory_equal(data, back, LEN);
        /* From now on: known. */
        assert_false(vr_target_direct_ok(&t, true, req.iov, 3, 1024));
        assert_false(vr_aio_learn(&t, &req));
    }
}

/* A target that has taken them before has had a bad moment. */
static void a_bad_moment(void **state)
{
    struct vr_aio_req req;

    (void)state;
    carry(VR_AIO_WRITE, &req);
    fails[VR_WAY_DIRECT] = EIO;
    assert_false(carry(VR_AIO_WRITE, &req));
    assert_int_equal(req.res, 0);
    assert_true(t.direct && t.foreign);
    fails[VR_WAY_DIRECT] = EFAULT; /* but this is about the pages */
    assert_true(carry(VR_AIO_WRITE, &req));
}

static void no_direct_io(void **state)
{
    struct vr_aio_req req;

    (void)state;
    fails[VR_WAY_DIRECT] = fails[VR_WAY_COPY] = EOPNOTSUPP;
    assert_true(carry(VR_AIO_WRITE, &req));
    assert_int_equal(req.res, 0);
    assert_int_equal(req.way, VR_WAY_CACHE);
    assert_true(!t.direct && t.cached);
    assert_false(carry(VR_AIO_READ, &req));
    assert_int_equal(calls[VR_WAY_DIRECT] + calls[VR_WAY_COPY], 0);
    assert_memory_equal(data, back, LEN);
    fails[VR_WAY_CACHE] = ENOSPC;
    carry(VR_AIO_WRITE, &req);
    assert_int_equal(req.res, -ENOSPC);
}

/* EINVAL may be about this request alone. */
static void not_like_this(void **state)
{
    struct vr_aio_req req;

    (void)state;
    fails[VR_WAY_DIRECT] = fails[VR_WAY_COPY] = EINVAL;
    assert_false(carry(VR_AIO_WRITE, &req));
    assert_int_equal(req.res, 0);
    assert_int_equal(req.way, VR_WAY_CACHE);
    assert_true(t.direct && t.foreign);
    fails[VR_WAY_CACHE] = EIO;
    carry(VR_AIO_WRITE, &req);
    assert_int_equal(req.res, -EIO);
}

static int flush(void)
{
    struct vr_aio_req req = {.op = VR_AIO_FLUSH};

    vr_aio_exec(&t, &req);
    assert_false(vr_aio_learn(&t, &req));
    return req.res;
}

/* All data is in the target: the next flush is as good as any. */
static void flush_of_direct(void **state)
{
    struct vr_aio_req req;

    (void)state;
    carry(VR_AIO_WRITE, &req);
    fail_flush = EIO;
    assert_int_equal(flush(), -EIO);
    fail_flush = 0;
    assert_int_equal(flush(), 0);
}

/* The kernel says it once, and takes the pages for clean. */
static void flush_of_cached(void **state)
{
    struct vr_aio_req req;

    (void)state;
    t.direct = t.foreign = false;
    carry(VR_AIO_WRITE, &req);
    assert_int_equal(flush(), 0);
    fail_flush = ENOSPC;
    assert_int_equal(flush(), -ENOSPC);
    fail_flush = 0;
    assert_int_equal(flush(), -ENOSPC);
    assert_int_equal(flushes, 2);
    assert_int_equal(vr_target_lost(&t), -ENOSPC);
}

static void ranges(void **state)
{
    struct vr_aio_req req = {.offset = 4096, .len = 65536};
    int op;

    (void)state;
    for (op = VR_AIO_DISCARD; op <= VR_AIO_ZEROES; op++) {
        req.op = (enum vr_aio_op)op;
        for (fail_range = 0; fail_range <= EIO; fail_range += EIO) {
            vr_aio_exec(&t, &req);
            assert_int_equal(req.res, -fail_range);
        }
        fail_range = 0;
        req.dsync = true;
        flushes = 0;
        vr_aio_exec(&t, &req);
        assert_int_equal(flushes, 1);
        fail_flush = EIO;
        vr_aio_exec(&t, &req);
        assert_int_equal(req.res, -EIO);
        fail_flush = 0;
        req.dsync = false;
    }
    fail_range = ENOSPC;
    vr_aio_exec(&t, &req);
    assert_int_equal(req.res, -ENOSPC);
}

/* Zeroes that have to be written go the way of all writes. */
static void zeroes_written(void **state)
{
    struct vr_aio_req req = {
        .op = VR_AIO_ZEROES, .unmap = true, .offset = 1024, .len = LEN};

    (void)state;
    carry(VR_AIO_WRITE, &req);
    req = (struct vr_aio_req){
        .op = VR_AIO_ZEROES, .unmap = true, .offset = 1024, .len = LEN};
    fail_range = EOPNOTSUPP;
    fails[VR_WAY_DIRECT] = EIO;
    memset(calls, 0, sizeof(calls));
    vr_aio_exec(&t, &req);
    assert_int_equal(req.res, -EIO);
    assert_int_equal(calls[VR_WAY_CACHE], 0);
    fails[VR_WAY_DIRECT] = 0;
    vr_aio_exec(&t, &req);
    assert_int_equal(req.res, 0);
    assert_false(t.cached);
    fails[VR_WAY_DIRECT] = EINVAL;
    vr_aio_exec(&t, &req);
    assert_int_equal(req.res, 0);
    assert_true(t.cached);
    carry(VR_AIO_READ, &req);
    memset(data, 0, LEN);
    assert_memory_equal(data, back, LEN);
}

/* Of an odd size, empty, not there. */
static void sizes(void **state)
{
    char path[] = "vr-test-XXXXXX";
    struct vr_target u;
    struct vr_err err;
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(vr_target_open(&u, path, false, VR_CACHE_AUTO, &err),
                     -ENOMEDIUM);
    assert_int_equal(ftruncate(fd, 511), 0);
    assert_int_equal(vr_target_open(&u, path, false, VR_CACHE_AUTO, &err),
                     -ENOMEDIUM);
    assert_int_equal(ftruncate(fd, 1023), 0);
    assert_int_equal(vr_target_open(&u, path, false, VR_CACHE_AUTO, &err), 0);
    assert_int_equal(u.size, 1023);
    assert_int_equal(vr_target_sectors(&u), 1);
    u.blk_size = 4096;
    assert_int_equal(vr_target_sectors(&u), 0);
    assert_int_equal(ftruncate(fd, 12288 + 4095), 0);
    assert_int_equal(vr_target_look(&u), 0);
    assert_int_equal(vr_target_sectors(&u), 24);
    vr_target_close(&u);
    close(fd);
    unlink(path);
    assert_int_equal(vr_target_open(&u, path, false, VR_CACHE_AUTO, &err),
                     -ENOENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_is_well),   T(medium_fails),    T(ended_early),
        T(copies_work),   T(a_bad_moment),    T(no_direct_io),
        T(not_like_this), T(flush_of_direct), T(flush_of_cached),
        T(ranges),        T(zeroes_written),  T(sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

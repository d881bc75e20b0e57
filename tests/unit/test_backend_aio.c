/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I/O by io_uring, with a pool that the kernel holds and without: transfers in
 * it, across its end and in pieces; a pool that cannot be held, wholly or in
 * part; notifications while it is let go of.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/block/aio.h"
#include "valgrind.h"

#define PAGE  4096u
#define PAGES 64u
#define POOL  (PAGE * PAGES)
#define SPAN  (2 * POOL) /* of the file, and of memory */

static struct vr_target t;
static struct vr_aio *aio;
static uint8_t *mem; /* the pool, and as much behind it */
static int wake[VR_AIO_FDS];

static int setup(void **state)
{
    char path[] = "vr-aio-XXXXXX";
    struct vr_aio_cfg cfg = {.target = &t, .depth = 16};
    struct vr_err err;
    int fd = mkstemp(path);
    unsigned int i;

    (void)state;
    if (fd < 0 || ftruncate(fd, SPAN))
        return -1;
    close(fd);
    if (vr_target_open(&t, path, false, VR_CACHE_BUFFERED, &err))
        return -1;
    unlink(path);
    mem = mmap(NULL, SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
               -1, 0);
    for (i = 0; i < VR_AIO_FDS; i++)
        cfg.fds[i] = wake[i] = eventfd(0, EFD_NONBLOCK);
    return vr_aio_uring.open(&aio, &cfg, &err);
}

/* KiB that the kernel holds for our rings. */
static unsigned long held(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    unsigned long kib = 1;
    char line[128];

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmPin: %lu", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

/* A ring that is closed holds what it has a little longer: a device that is
 * reset must not leave it at that. */
static int teardown(void **state)
{
    unsigned int i;

    (void)state;
    vr_aio_uring.close(aio);
    for (i = 0; held() && i < 10000; i++)
        usleep(1000);
    if (held())
        return -1;
    for (i = 0; i < VR_AIO_FDS; i++)
        close(wake[i]);
    munmap(mem, SPAN);
    vr_target_close(&t);
    return 0;
}

static int hold(void)
{
    return vr_aio_uring.hold(aio, mem, POOL);
}

/* Says what became readable on the way. */
static unsigned int transfer(enum vr_aio_op op, const struct iovec *iov,
                             unsigned int niov, uint64_t offset)
{
    struct vr_aio_req *done = NULL;
    struct vr_aio_req req = {
        .op = op, .iov = iov, .niov = niov, .offset = offset};
    unsigned int i, ready = 0;

    for (i = 0; i < niov; i++)
        req.len += iov[i].iov_len;
    vr_aio_uring.queue(aio, &req);
    while (!done)
        ready |= vr_aio_uring.run(aio, -1, &done);
    assert_ptr_equal(done, &req);
    assert_null(req.next);
    assert_int_equal(req.res, 0);
    return ready;
}

/* Written from pieces of memory, and read into them. */
static void there_and_back(const struct iovec *iov, unsigned int niov)
{
    static uint8_t copy[SPAN];
    unsigned int i, j;

    for (i = 0; i < SPAN; i++)
        mem[i] = copy[i] = (uint8_t)rand();
    transfer(VR_AIO_WRITE, iov, niov, PAGE);
    for (i = 0; i < niov; i++)
        memset(iov[i].iov_base, 0, iov[i].iov_len);
    transfer(VR_AIO_READ, iov, niov, PAGE);
    assert_memory_equal(mem, copy, SPAN);
    /* The file has them in that order. */
    for (i = j = 0; i < niov; j += iov[i++].iov_len) {
        assert_int_equal(pread(t.fd, copy, iov[i].iov_len, (off_t)PAGE + j),
                         iov[i].iov_len);
        assert_memory_equal(iov[i].iov_base, copy, iov[i].iov_len);
    }
}

static void everywhere(void)
{
    const struct iovec iov[] = {
        {mem, PAGE},                   /* at the pool's start */
        {mem + POOL - PAGE, PAGE},     /* at its end */
        {mem, POOL},                   /* all of it */
        {mem + 7, 5},                  /* a little of it */
        {mem + POOL - PAGE, 2 * PAGE}, /* across its end */
        {mem + POOL, PAGE},            /* behind it */
    };
    const struct iovec pieces[] = {{mem + 3 * PAGE, PAGE}, {mem, 100}};
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(iov); i++)
        there_and_back(&iov[i], 1);
    there_and_back(pieces, 2);
}

static void with_and_without(void **state)
{
    unsigned int round;

    (void)state;
    for (round = 0; round < 5; round++) {
        everywhere();
        assert_int_equal(held(), 0);
        assert_int_equal(hold(), 0);
        assert_int_equal(held(), POOL / 1024);
        everywhere();
        vr_aio_uring.let_go(aio);
        assert_int_equal(held(), 0);
    }
    assert_int_equal(hold(), 0);
}

/* One page of it is not there: nothing of it is held. */
static void in_part(void **state)
{
    (void)state;
    assert_int_equal(mprotect(mem + POOL - PAGE, PAGE, PROT_NONE), 0);
    assert_int_equal(hold(), -EFAULT);
    assert_int_equal(held(), 0);
    assert_int_equal(mprotect(mem + POOL - PAGE, PAGE, PROT_READ | PROT_WRITE),
                     0);
    everywhere();
    assert_int_equal(hold(), 0);
    everywhere();
}

/* Whether a write from these pieces takes the pages that are held, which are no
 * longer those that the process has there. */
static bool takes_held(const struct iovec *iov, unsigned int niov)
{
    uint8_t byte;

    transfer(VR_AIO_WRITE, iov, niov, 0);
    assert_int_equal(pread(t.fd, &byte, 1, 0), 1);
    return byte == 1;
}

static void parts(void **state)
{
    struct iovec far[2], pair[2], many[PAGES / 4], near[4];
    const struct iovec out[] = {{mem, 2 * PAGE}, {mem + POOL, 2 * PAGE}};
    const struct iovec late[] = {{mem, 2 * PAGE}, {mem + POOL / 2, 2 * PAGE}};
    struct vr_aio_req *done = NULL;
    struct vr_aio_req req = {.op = VR_AIO_READ,
                             .iov = late,
                             .niov = 2,
                             .len = 4 * PAGE,
                             .offset = SPAN - PAGE};
    unsigned int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        far[i] = (struct iovec){mem + i * POOL / 2, PAGE + 2 * i * PAGE};
        pair[i] = (struct iovec){mem + i * POOL / 2, PAGE};
    }
    for (i = 0; i < VR_ARRAY_SIZE(many); i++)
        many[i] = (struct iovec){mem + i * 4 * PAGE, 2 * PAGE};
    for (i = 0; i < VR_ARRAY_SIZE(near); i++)
        near[i] = (struct iovec){mem + i * 2 * PAGE, PAGE + PAGE / 2};
    memset(mem, 1, POOL);
    assert_int_equal(hold(), 0);
    there_and_back(far, 2);
    there_and_back(many, VR_ARRAY_SIZE(many));

    memset(mem, 1, POOL);
    assert_ptr_equal(mmap(mem, SPAN, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     mem);
    assert_true(takes_held(far, 1));
    assert_true(takes_held(far, 2));
    assert_true(takes_held(many, VR_ARRAY_SIZE(many)));
    /* Too short to be worth it, and not all of it held. */
    assert_false(takes_held(pair, 2));
    assert_false(takes_held(near, VR_ARRAY_SIZE(near)));
    assert_false(takes_held(out, 2));

    /* One of its parts ends early, the other has nothing to read. */
    vr_aio_uring.queue(aio, &req);
    while (!done)
        vr_aio_uring.run(aio, -1, &done);
    assert_ptr_equal(done, &req);
    assert_int_equal(req.res, -EIO);
}

/* What becomes readable before the pool is let go of, or while it is, is not
 * lost: with a poll that is just about to tell it, and without. */
static void notified(void **state)
{
    struct vr_aio_req *done;
    unsigned int round, i;
    eventfd_t n;

    (void)state;
    for (round = 0; round < 2000; round++) {
        i = round % VR_AIO_FDS;
        assert_int_equal(hold(), 0);
        if (round % 3)
            assert_int_equal(vr_aio_uring.run(aio, 0, &done), 0);
        eventfd_write(wake[i], 1);
        vr_aio_uring.let_go(aio);
        assert_int_equal(vr_aio_uring.run(aio, -1, &done), 1u << i);
        assert_null(done);
        eventfd_read(wake[i], &n);
        assert_int_equal(vr_aio_uring.run(aio, 0, &done), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_and_without, setup, teardown),
        cmocka_unit_test_setup_teardown(in_part, setup, teardown),
        cmocka_unit_test_setup_teardown(parts, setup, teardown),
        cmocka_unit_test_setup_teardown(notified, setup, teardown),
    };

    if (in_valgrind()) {
        print_message("skipped: valgrind does not know io_uring well\n");
        return 0;
    }
    if (setup(NULL)) {
        print_message("skipped: no io_uring here\n");
        return 0;
    }
    teardown(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

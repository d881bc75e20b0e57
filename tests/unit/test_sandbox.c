/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a locked-in worker, and its granter, can still do. gntdev is a memory
 * file here, whose calls all end with ENOTTY: what counts is whether the filter
 * lets them through.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>

#include "backend/block/block.h"
#include "backend/memory/gntdev.h"

#define MIB (1u << 20)

enum outcome { DONE, REFUSED, KILLED, BROKEN };

static int gntdev, evtchn, other; /* descriptors */
static void *room;

static enum outcome call(int fd, unsigned long what)
{
    uint64_t arg[64] = {0};

    return ioctl(fd, what, arg) && errno == ENOTTY ? DONE : REFUSED;
}

static enum outcome add(void)
{
    return call(gntdev, IOCTL_GNTDEV_MAP_GRANT_REF);
}

static enum outcome drop(void)
{
    return call(gntdev, IOCTL_GNTDEV_UNMAP_GRANT_REF);
}

static enum outcome copy(void)
{
    return call(gntdev, IOCTL_GNTDEV_GRANT_COPY);
}

static enum outcome copy_elsewhere(void)
{
    return call(other, IOCTL_GNTDEV_GRANT_COPY);
}

static enum outcome offset(void)
{
    return call(gntdev, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR);
}

static enum outcome notify(void)
{
    return call(gntdev, IOCTL_GNTDEV_SET_UNMAP_NOTIFY);
}

static enum outcome dmabuf(void)
{
    return call(gntdev, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS);
}

static enum outcome bind(void)
{
    return call(evtchn, IOCTL_EVTCHN_BIND_INTERDOMAIN);
}

static enum outcome unbind(void)
{
    return call(evtchn, IOCTL_EVTCHN_UNBIND);
}

static enum outcome send_event(void)
{
    return call(evtchn, IOCTL_EVTCHN_NOTIFY);
}

static enum outcome bind_elsewhere(void)
{
    return call(other, IOCTL_EVTCHN_BIND_INTERDOMAIN);
}

static enum outcome send_elsewhere(void)
{
    return call(other, IOCTL_EVTCHN_NOTIFY);
}

static enum outcome alloc_port(void)
{
    return call(evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT);
}

static enum outcome flags(int fd, int value)
{
    return fcntl(fd, F_SETFL, value) ? REFUSED : DONE;
}

static enum outcome dont_wait(void)
{
    return flags(evtchn, O_NONBLOCK);
}

static enum outcome wait_again(void)
{
    return flags(evtchn, 0);
}

static enum outcome dont_wait_elsewhere(void)
{
    return flags(other, O_NONBLOCK);
}

static enum outcome signal_me(void)
{
    return flags(evtchn, O_ASYNC);
}

static enum outcome duplicate(void)
{
    return fcntl(evtchn, F_DUPFD, 0) < 0 ? REFUSED : DONE;
}

static enum outcome bind_virq(void)
{
    return call(evtchn, IOCTL_EVTCHN_BIND_VIRQ);
}

static enum outcome mapped(void *at, int prot, int flags, int fd)
{
    return mmap(at, MIB, prot, flags | (at ? MAP_FIXED : 0), fd, 0) ==
                   MAP_FAILED
               ? REFUSED
               : DONE;
}

static enum outcome map(void)
{
    return mapped(room, PROT_READ | PROT_WRITE, MAP_SHARED, gntdev);
}

static enum outcome unmap(void)
{
    return mapped(room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1);
}

static enum outcome map_other(void)
{
    return mapped(room, PROT_READ, MAP_SHARED, other);
}

static enum outcome map_code(void)
{
    return mapped(room, PROT_READ | PROT_EXEC, MAP_SHARED, gntdev);
}

/* Anonymous memory that names the descriptor, which Linux does not look at. */
static enum outcome map_shared(void)
{
    return mapped(room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  gntdev);
}

static enum outcome take_some(void)
{
    return mapped(NULL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1);
}

/* Its addresses are counted already. */
static enum outcome take_in_room(void)
{
    return mapped(room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1);
}

static enum outcome take_much(void)
{
    unsigned int i;

    for (i = 0; i < 16; i++)
        if (take_some() == REFUSED)
            return REFUSED;
    return DONE;
}

static enum outcome take_heap(void)
{
    uint8_t *at = (uint8_t *)syscall(SYS_brk, 0);

    return (uint8_t *)syscall(SYS_brk, at + 4 * MIB) == at ? REFUSED : DONE;
}

static enum outcome open_file(void)
{
    return open("/dev/null", O_RDONLY) < 0 ? REFUSED : DONE;
}

static enum outcome signal_parent(void)
{
    return kill(getppid(), 0) ? REFUSED : DONE;
}

/* Nothing is registered with what is no ring. */
static enum outcome uring(unsigned int what)
{
    return syscall(SYS_io_uring_register, gntdev, what, NULL, 0) ? DONE
                                                                 : BROKEN;
}

static enum outcome hold(void)
{
    return uring(IORING_REGISTER_BUFFERS);
}

static enum outcome let_go(void)
{
    return uring(IORING_UNREGISTER_BUFFERS);
}

static enum outcome add_files(void)
{
    return uring(IORING_REGISTER_FILES);
}

static enum outcome new_ring(void)
{
    struct io_uring_params p = {0};

    return syscall(SYS_io_uring_setup, 1, &p) < 0 ? REFUSED : DONE;
}

static enum outcome raise_limit(void)
{
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};

    return setrlimit(RLIMIT_AS, &most) ? REFUSED : DONE;
}

static enum outcome try(bool granter, enum outcome (*attempt)(void))
{
    int status;
    pid_t pid = fork();
    struct vr_err err;

    assert_true(pid >= 0);
    if (!pid) {
        if (granter ? vr_sandbox_granter(gntdev, &err)
                    : vr_sandbox_worker(&vr_serve_block.calls, gntdev, evtchn,
                                        0, &err))
            _exit(BROKEN);
        _exit(attempt());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : BROKEN;
    return WEXITSTATUS(status);
}

static void worker(void **state)
{
    (void)state;
    assert_int_equal(try(false, map), DONE);
    assert_int_equal(try(false, unmap), DONE);
    assert_int_equal(try(false, add), KILLED);
    assert_int_equal(try(false, drop), KILLED);
    assert_int_equal(try(false, copy), KILLED);
    assert_int_equal(try(false, offset), KILLED);
    assert_int_equal(try(false, notify), KILLED);
    assert_int_equal(try(false, dmabuf), KILLED);
    assert_int_equal(try(false, bind), DONE);
    assert_int_equal(try(false, unbind), DONE);
    assert_int_equal(try(false, send_event), DONE);
    assert_int_equal(try(false, bind_elsewhere), KILLED);
    assert_int_equal(try(false, send_elsewhere), KILLED);
    assert_int_equal(try(false, alloc_port), KILLED);
    assert_int_equal(try(false, bind_virq), KILLED);
    assert_int_equal(try(false, dont_wait), DONE);
    assert_int_equal(try(false, wait_again), DONE);
    assert_int_equal(try(false, dont_wait_elsewhere), KILLED);
    assert_int_equal(try(false, signal_me), KILLED);
    assert_int_equal(try(false, duplicate), KILLED);
    assert_int_equal(try(false, map_other), KILLED);
    assert_int_equal(try(false, map_code), KILLED);
    assert_int_equal(try(false, open_file), KILLED);
    assert_int_equal(try(false, signal_parent), KILLED);
    assert_int_equal(try(false, hold), DONE);
    assert_int_equal(try(false, let_go), DONE);
    assert_int_equal(try(false, add_files), KILLED);
    assert_int_equal(try(false, new_ring), KILLED);
}

static void granter(void **state)
{
    (void)state;
    assert_int_equal(try(true, add), DONE);
    assert_int_equal(try(true, drop), DONE);
    assert_int_equal(try(true, copy), DONE);
    assert_int_equal(try(true, copy_elsewhere), KILLED);
    assert_int_equal(try(true, offset), KILLED);
    assert_int_equal(try(true, notify), KILLED);
    assert_int_equal(try(true, dmabuf), KILLED);
    assert_int_equal(try(true, bind), KILLED);
    assert_int_equal(try(true, send_event), KILLED);
    assert_int_equal(try(true, map), KILLED);
    assert_int_equal(try(true, take_some), KILLED);
    assert_int_equal(try(true, take_heap), KILLED);
    assert_int_equal(try(true, open_file), KILLED);
    assert_int_equal(try(true, signal_parent), KILLED);
    assert_int_equal(try(true, hold), KILLED);
}

static void memory(void **state)
{
    (void)state;
    assert_int_equal(try(false, take_some), DONE);
    assert_int_equal(try(false, take_much), REFUSED);
    assert_int_equal(try(false, take_in_room), KILLED);
    assert_int_equal(try(false, take_heap), REFUSED);
    assert_int_equal(try(false, map_shared), KILLED);
    assert_int_equal(try(false, raise_limit), KILLED);
}

/* As much as is to be had: root, where it is not kept from it, has all. */
static void locked(void **state)
{
    const rlim_t want = (rlim_t)4 << 30;
    struct rlimit rl;
    rlim_t most;
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (!pid) {
        if (getrlimit(RLIMIT_MEMLOCK, &rl))
            _exit(1);
        most = rl.rlim_max;
        rl.rlim_cur = 4096;
        if (setrlimit(RLIMIT_MEMLOCK, &rl))
            _exit(2);
        vr_sandbox_locked();
        if (getrlimit(RLIMIT_MEMLOCK, &rl))
            _exit(3);
        _exit(rl.rlim_cur == want || (most < want && rl.rlim_cur == most) ? 0
                                                                          : 4);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int setup(void **state)
{
    (void)state;
    gntdev = memfd_create("gntdev", 0);
    evtchn = memfd_create("evtchn", 0);
    other = memfd_create("other", 0);
    room = mmap(NULL, 64 * MIB, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return gntdev < 0 || evtchn < 0 || other < 0 || ftruncate(gntdev, MIB) ||
           room == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker),
        cmocka_unit_test(granter),
        cmocka_unit_test(memory),
        cmocka_unit_test(locked),
    };
    const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__)
    preload = "vgpreload";
#endif
    /* The filter would also bind what these tools do beside the program. */
    if (preload && strstr(preload, "vgpreload")) {
        print_message("skipped: not with sanitizers or valgrind\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's device loop on plain Linux: a process runs it, locked in as a
 * worker is, over shared memory and a temporary file; the test plays broker
 * and guest.
 */
#ifndef TEST_LOOPHOST_H
#define TEST_LOOPHOST_H

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/worker/loop.h"
#include "backend/block/block.h"
#include "fakegnt.h"
#include "ring.h"
#include "valgrind.h"

#define MEM_SIZE  (32u << 20)
#define FILE_SIZE (8u << 20)
#define QSIZE     64u
#define QUEUES    2u
#define DATA      (RING_BASE + 0x10000)
/* Tables are only for windows that are mapped as a whole. */
#define DYN      (VR_F_VERSION_1 | VR_F_EVENT_IDX)
#define ALL      (VR_F_VERSION_1 | VR_F_EVENT_IDX | VR_F_INDIRECT_DESC)
#define BLK      (VR_BLK_F_FLUSH | VR_BLK_F_DISCARD | VR_BLK_F_WRITE_ZEROES)
#define LIMIT_MS 10000
#define NOTE_LEN 256

/* How a group of tests runs. */
struct variant {
    const struct vr_aio_ops *aio;
    enum vr_cache cache;
    uint64_t features;
    bool dynamic;
    uint64_t threshold;  /* dynamic: of mapping */
    unsigned int budget; /* 0: the usual one */
    uint64_t pool;       /* mixed: so much, from RING_BASE on, is the pool */
    bool bells;          /* the queues have bells of their own */
};

/* Event channel of queue 0; that of the next queue follows. */
#define PORT 7u
/* What a bell adds to the wake descriptor; the broker adds 1. */
#define RING (1u << 20)

/* The queues' own bells, in shared memory. */
struct bellstate {
    unsigned int bound[QUEUES]; /* now */
    unsigned int tries, binds;  /* so far */
    unsigned int busy;          /* so many fail, from now on */
    unsigned int rings;         /* of the guest */
    unsigned int masked;        /* heard, and not unmasked: a bell that rings */
    unsigned int pending;       /* ... does so then */
    unsigned int sleeps;
};

/* The pool as the test sees it, in shared memory. */
struct poolstate {
    unsigned int mapped, maps; /* now, and how often so far */
    unsigned int refuse;       /* so many maps, from now on */
};

struct host {
    const struct variant *v;
    char path[64];
    struct fakegnt gnt;   /* the guest's memory, and its grants */
    struct vr_window win; /* static: what the device sees of it */
    struct vr_ctrl_page *page;
    struct vr_block block;
    pid_t pid;
    bool poor; /* the process may lock little in memory */
    int wake_fd, intr_fd, stop[2];
    struct vr_ctrl_request req;
    struct ring ring[QUEUES];
    unsigned int *logs; /* shared, as are: */
    struct poolstate *pool;
    struct bellstate *bells;
    char *note;              /* the last one, NOTE_LEN bytes */
    struct vr_dynmem dynmem; /* the device's */
};

static struct host h;

static inline unsigned int op_hear(void *ctx)
{
    struct host *host = ctx;
    eventfd_t n = 0;

    __atomic_store_n(&host->bells->pending, 0, __ATOMIC_SEQ_CST);
    eventfd_read(host->wake_fd, &n);
    if (n >= RING)
        __atomic_store_n(&host->bells->masked, 1, __ATOMIC_SEQ_CST);
    return n >= RING ? VR_HEARD | VR_HEARD_BELLS : VR_HEARD;
}

static inline unsigned int op_sleep(void *ctx)
{
    struct host *host = ctx;
    struct pollfd fd[] = {{.fd = host->wake_fd, .events = POLLIN},
                          {.fd = host->stop[0], .events = POLLIN}};

    /* Made by hand: only the type has something to say. */
    if (!host->bells)
        return 0;
    __atomic_fetch_add(&host->bells->sleeps, 1, __ATOMIC_RELAXED);
    while (ppoll(fd, 2, NULL, NULL) < 0)
        ;
    return fd[0].revents && !fd[1].revents ? op_hear(ctx) : 0;
}

static inline void op_unmask(void *ctx, bool bells)
{
    struct host *host = ctx;

    if (!bells)
        return;
    __atomic_store_n(&host->bells->masked, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&host->bells->pending, __ATOMIC_SEQ_CST))
        eventfd_write(host->wake_fd, RING);
}

static inline void op_tell(void *ctx)
{
    struct host *host = ctx;

    eventfd_write(host->intr_fd, 1);
}

static inline void op_log(void *ctx, const char *text)
{
    struct host *host = ctx;

    (void)text;
    ++*host->logs;
}

static inline void op_note(void *ctx, const char *text)
{
    struct host *host = ctx;

    strncpy(host->note, text, NOTE_LEN - 1);
}

static inline struct vr_gwin pool_win(const struct host *host)
{
    return (struct vr_gwin){RING_BASE, host->v->pool, 0};
}

static inline void place_pool(struct host *host, void *va)
{
    const struct vr_gwin pool = pool_win(host);

    host->win.va = va;
    if (host->v->pool)
        vr_dynmem_pool(&host->dynmem, &pool, va);
}

/* Really mapped, and really gone: who uses it too late dies of it. */
static inline int op_map_pool(void *ctx, struct vr_err *err)
{
    struct host *host = ctx;
    void *va;

    if (host->v->dynamic && !host->v->pool)
        return 0;
    if (host->pool->refuse) {
        host->pool->refuse--;
        vr_err_set(err, "the pool is refused");
        return -EIO;
    }
    va = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, host->gnt.fd,
              0);
    if (va == MAP_FAILED)
        abort();
    host->pool->maps++;
    host->pool->mapped++;
    place_pool(host, va);
    return 0;
}

static inline void op_unmap_pool(void *ctx)
{
    struct host *host = ctx;

    if (!host->win.va)
        return;
    munmap(host->win.va, MEM_SIZE);
    place_pool(host, NULL);
    host->pool->mapped--;
}

static inline bool op_ring(void *ctx, struct vr_ctrl_page *page,
                           uint64_t queues)
{
    (void)ctx;
    return vr_ctrl_post(&page->intr, queues);
}

static const struct vr_dev_ops loop_ops = {
    op_log,
    op_note,
    op_map_pool,
    op_unmap_pool,
};

static const struct vr_channel_ops loop_channel = {
    .hear = op_hear,
    .sleep = op_sleep,
    .unmask = op_unmask,
    .tell = op_tell,
};

static inline int op_bind(void *ctx, unsigned int queue, uint32_t port)
{
    struct bellstate *b = ((struct host *)ctx)->bells;

    b->tries++;
    if (b->busy) {
        b->busy--;
        return -EBUSY;
    }
    if (port != PORT + queue || b->bound[queue])
        return -EBUSY;
    b->bound[queue]++;
    b->binds++;
    /* As Xen does it. */
    __atomic_store_n(&b->masked, 0, __ATOMIC_SEQ_CST);
    eventfd_write(((struct host *)ctx)->wake_fd, RING);
    return 0;
}

static inline void op_unbind(void *ctx, unsigned int queue)
{
    struct bellstate *b = ((struct host *)ctx)->bells;

    if (b->bound[queue]-- != 1)
        abort();
}

/* Broker and guest are both the test, with one descriptor. */
static inline bool op_ring_own(void *ctx, struct vr_ctrl_page *page,
                               uint64_t queues)
{
    struct host *host = ctx;
    unsigned int i;

    (void)page;
    for (i = 0; i < QUEUES; i++) {
        if (queues & UINT64_C(1) << i && host->bells->bound[i] != 1)
            abort();
    }
    host->bells->rings++;
    eventfd_write(host->intr_fd, 1);
    return false;
}

static const struct vr_bell_ops loop_trapped = {.ring = op_ring};
static const struct vr_bell_ops loop_direct = {
    .open = op_bind,
    .close = op_unbind,
    .ring = op_ring_own,
};
static const struct vr_bell_ops *const loop_bells[VR_BELLS] = {
    [VR_BELL_trapped] = &loop_trapped,
    [VR_BELL_direct] = &loop_direct,
};

/* The filter would also bind what these tools do beside the program. */
static inline bool lock_in(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#else
    return !in_valgrind();
#endif
}

/* Enough for a ring, which newer kernels count, and for no pool. */
static inline void lock_little(void)
{
    const rlim_t most = 512 << 10;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof(none));
    if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){most, most}) ||
        syscall(SYS_capset, &head, none))
        abort();
}

static inline void child(void)
{
    struct vr_dev_setup cfg = {
        .serve = &vr_serve_block,
        .source = &h.block,
        .win = &h.win,
        .page = h.page,
        .ops = &loop_ops,
        .ctx = &h,
        .bells = loop_bells,
        .channel = &loop_channel,
        .channel_state = &h,
        .wake_fd = h.wake_fd,
        .stop_fd = h.stop[0],
        .queues = QUEUES,
        .queue_size = QSIZE,
        .poll_us = 20,
        .look_ms = 1,
    };
    const struct vr_gwin gwin = {RING_BASE + h.v->pool, MEM_SIZE - h.v->pool,
                                 FAKE_GREF +
                                     (uint32_t)(h.v->pool >> VR_PAGE_SHIFT)};
    struct vr_loop *loop;
    struct vr_err err;
    int rc, ms = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(h.stop[1]);
    if (h.v->dynamic) {
        vr_dynmem_init(&h.dynmem, &gwin, &fake_ops, &h.gnt);
        if (h.v->budget)
            h.dynmem.budget = h.v->budget;
        cfg.win = &h.dynmem.window;
        cfg.mem = &h.dynmem;
        cfg.map_threshold = h.v->threshold;
    }
    place_pool(&h, NULL);
    h.block.ops = h.v->aio;
    h.block.only = h.block.discard = true;
    strcpy(h.block.dev.serial, "serial-0123456789abc");
    do {
        /* A ring that was closed holds its files for a moment. */
        rc = vr_target_open(&h.block.target, h.path, false, h.v->cache, &err);
    } while (rc == -EBUSY && ms++ < LIMIT_MS && !usleep(1000));
    if (h.poor)
        lock_little();
    if (!rc)
        rc = vr_loop_new(&loop, &cfg, &err);
    if (!rc && lock_in())
        rc = vr_sandbox_worker(&vr_serve_block.calls, h.gnt.fd, -1,
                               2 * MEM_SIZE, &err);
    if (rc) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    vr_loop_run(loop);
    _exit(0);
}

static inline void backend_start(void)
{
    assert_int_equal(pipe(h.stop), 0);
    h.pid = fork();
    assert_true(h.pid >= 0);
    if (!h.pid)
        child();
    close(h.stop[0]);
}

/* Returns the status that the process ended with. */
static inline int backend_stop(int signal)
{
    int status;

    if (signal)
        kill(h.pid, signal);
    close(h.stop[1]);
    assert_int_equal(waitpid(h.pid, &status, 0), h.pid);
    if (signal) {
        fake_reap(&h.gnt);
        h.pool->mapped = 0;
        /* Xen lets go of a dead process's end. */
        memset(h.bells->bound, 0, sizeof(h.bells->bound));
    }
    assert_int_equal(fake_pins(&h.gnt), 0);
    assert_int_equal(h.pool->mapped, 0);
    return status;
}

/* Bytes that the kernel holds for the process's io_uring. */
static inline uint64_t held(void)
{
    unsigned long kib = 1;
    char name[64], line[128];
    FILE *f;

    snprintf(name, sizeof(name), "/proc/%d/status", h.pid);
    f = fopen(name, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmPin: %lu", &kib) == 1)
            break;
    fclose(f);
    return (uint64_t)kib << 10;
}

static inline void publish(void)
{
    uint32_t gen = vr_ctrl_publish(h.page, &h.req);
    unsigned int i;
    int ms;

    eventfd_write(h.wake_fd, 1);
    for (ms = 0; ms < LIMIT_MS && !vr_ctrl_acked(h.page, gen); ms++)
        usleep(1000);
    assert_true(vr_ctrl_acked(h.page, gen));
    /* What is acknowledged is quiet: nobody has its bell. */
    for (i = 0; i < QUEUES; i++)
        assert_true((h.req.run && h.req.q[i].epoch && h.req.q[i].port) ||
                    !h.bells->bound[i]);
}

static inline void run_queues(void)
{
    unsigned int i;

    h.req.run = 1;
    h.req.nqueues = QUEUES;
    h.req.features = h.v->features;
    for (i = 0; i < QUEUES; i++) {
        uint32_t epoch = h.req.q[i].epoch + 1;

        ring_init(&h.ring[i], h.gnt.mem, i * 0x4000, QSIZE);
        h.req.q[i] = h.ring[i].cfg;
        h.req.q[i].epoch = epoch;
        h.req.q[i].port = h.v->bells ? PORT + i : 0;
    }
    publish();
}

static inline int setup(void **state)
{
    int fd;

    memset(&h, 0, sizeof(h));
    h.v = *state;
    /* Not in /tmp, which may be a tmpfs: direct I/O is to be seen, too. */
    snprintf(h.path, sizeof(h.path), "vr-test-XXXXXX");
    fd = mkstemp(h.path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
    close(fd);
    fake_open(&h.gnt, MEM_SIZE / VR_PAGE_SIZE);
    /* No grant call is to be made for what is mapped already. */
    if (h.v->pool)
        fake_set(&h.gnt, 0, h.v->pool, FAKE_NONE);
    h.win.base = RING_BASE;
    h.win.size = MEM_SIZE;
    /* The control page, and a page for the test itself. */
    h.page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    h.logs = (void *)((uint8_t *)h.page + 4096);
    h.note = (char *)h.page + 4096 + 256;
    h.pool = (void *)((uint8_t *)h.page + 4096 + 64);
    h.bells = (void *)((uint8_t *)h.page + 4096 + 128);
    vr_ctrl_init(h.page);
    h.wake_fd = eventfd(0, EFD_NONBLOCK);
    h.intr_fd = eventfd(0, EFD_NONBLOCK);
    backend_start();
    run_queues();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    assert_int_equal(backend_stop(0), 0);
    assert_int_equal(h.page->status, VR_CTRL_BACKEND_ABSENT);
    munmap(h.page, 8192);
    fake_close(&h.gnt);
    close(h.wake_fd);
    close(h.intr_fd);
    unlink(h.path);
    return 0;
}

/* ---- the guest ---- */

static inline void ring_bell(void)
{
    __atomic_store_n(&h.bells->pending, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&h.bells->masked, __ATOMIC_SEQ_CST))
        eventfd_write(h.wake_fd, RING);
}

static inline void kick(unsigned int q)
{
    if (h.v->bells)
        ring_bell();
    else if (vr_ctrl_post(&h.page->kick, UINT64_C(1) << q))
        eventfd_write(h.wake_fd, 1);
}

/* As a driver does it: a kick only if the device wants one. */
static inline void add_and_kick(unsigned int q, uint16_t head)
{
    struct ring *r = &h.ring[q];
    bool event_idx = h.v->features & VR_F_EVENT_IDX;
    uint16_t old = r->avail_idx;

    ring_add(r, head);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (event_idx ? (uint16_t)(old - *ring_avail_event(r)) == 0
                  : !(ring_used(r)[0] & 1))
        kick(q);
}

/* Chain @head of three descriptors: header, data, status, all of slot n. */
static inline void request(unsigned int q, unsigned int n, uint32_t type,
                           uint64_t sector, uint32_t len, bool in)
{
    uint64_t hdr = DATA + 0x40000 * q + 64 * n;
    uint64_t data = DATA + 0x100000 + 0x100000 * q + 8192 * n;
    uint8_t *p = ring_at(&h.ring[q], hdr);
    uint16_t head = n * 3;

    memset(p, 0, 16);
    memcpy(p, &type, 4);
    memcpy(p + 8, &sector, 8);
    p[32] = 0xff;
    ring_desc(&h.ring[q], head, hdr, 16, RING_F_NEXT, head + 1);
    ring_desc(&h.ring[q], head + 1, data, len,
              RING_F_NEXT | (in ? RING_F_WRITE : 0), head + 2);
    ring_desc(&h.ring[q], head + 2, hdr + 32, 1, RING_F_WRITE, 0);
    if (!len)
        ring_desc(&h.ring[q], head, hdr, 16, RING_F_NEXT, head + 2);
    add_and_kick(q, head);
}

static inline uint8_t *data_of(unsigned int q, unsigned int n)
{
    return ring_at(&h.ring[q], DATA + 0x100000 + 0x100000 * q + 8192 * n);
}

static inline uint8_t status_of(unsigned int q, unsigned int n)
{
    return *(uint8_t *)ring_at(&h.ring[q], DATA + 0x40000 * q + 64 * n + 32);
}

/* Sleeps for the interrupt as a guest would; a lost one is a failure. */
static inline uint32_t wait_used(unsigned int q, uint32_t *len)
{
    struct ring *r = &h.ring[q];
    struct pollfd pfd = {.fd = h.intr_fd, .events = POLLIN};
    uint32_t id;

    for (;;) {
        eventfd_t n;

        *ring_used_event(r) = r->used_seen;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ring_get(r, &id, len))
            return id;
        assert_int_equal(poll(&pfd, 1, LIMIT_MS), 1);
        eventfd_read(h.intr_fd, &n);
        if (vr_ctrl_collect(&h.page->intr))
            assert_false(h.v->bells);
    }
}

static inline uint8_t do_request(unsigned int q, uint32_t type, uint64_t sector,
                                 uint32_t len, bool in)
{
    uint32_t used;

    request(q, 0, type, sector, len, in);
    assert_int_equal(wait_used(q, &used), 0);
    return status_of(q, 0);
}

static inline void fill(uint8_t *p, uint32_t len, uint32_t seed)
{
    while (len--) {
        seed = seed * 1664525 + 1013904223;
        *p++ = seed >> 24;
    }
}
static inline bool have_uring(void)
{
    struct vr_target t = {.fd = 0, .direct_fd = -1};
    struct vr_aio_cfg cfg = {.target = &t, .depth = 1, .fds = {-1, -1}};
    struct vr_err err;
    struct vr_aio *aio;

    if (in_valgrind()) {
        print_message("io_uring: skipped: valgrind does not know it well\n");
        return false;
    }
    if (vr_aio_uring.open(&aio, &cfg, &err)) {
        print_message("io_uring: skipped: %s\n", err.text);
        return false;
    }
    vr_aio_uring.close(aio);
    return true;
}

#endif /* TEST_LOOPHOST_H */

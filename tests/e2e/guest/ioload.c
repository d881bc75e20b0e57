/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small load generator: O_DIRECT through io_uring, one thread.
 *
 * ioload -f FILE -m randread|randwrite|read|write|verify [-b BYTES]
 *        [-q DEPTH] [-t SECONDS] [-s MIB] [-p PROGRESS_FILE] [-w MILLISECONDS]
 *        [-c | -d] [-o BYTES]
 *
 * Prints one line of JSON. `verify` writes random blocks, each filled from its
 * number and a generation, never two at once for one block; at the end every
 * block written is read back and compared: a lost, torn, misplaced or repeated
 * old write shows. SIGTERM ends the writing early. With -p the number of
 * completed requests is written to a file five times a second. With -w it rests
 * for so long after each look at what has completed. With -c each buffer is one
 * piece of memory: for certain while there are reserved huge pages
 * (hugepages=), else where the kernel finds one; with -o it begins so many
 * bytes behind a page's beginning. With -d each is in single pages, which lie
 * apart: every second one of a buffer twice as long.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>
#include <sys/mman.h>

#define MAX_DEPTH 256
#define HUGE_PAGE (2u << 20)
#define PAGE      4096u

struct slot {
    char *buf;
    struct iovec *iov; /* -d: the pages of buf, else NULL */
    uint64_t block;
    double start;
};

struct load {
    int fd;
    const char *mode;
    bool writing, random, verify;
    uint32_t bs;
    unsigned int depth;
    double seconds;
    uint64_t blocks, next, rng;
    uint32_t *gen; /* verify: last generation written, by block */
    uint8_t *busy; /* verify: a write is under way */
    uint64_t done, errors, submitted, mismatches;
    int first_error;
    double lat_sum, lat_max;
    const char *progress;
    unsigned int rest;
    bool contiguous, apart;
    unsigned int offset, niov;
    struct slot slot[MAX_DEPTH];
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static uint64_t rnd(struct load *l)
{
    l->rng ^= l->rng << 13;
    l->rng ^= l->rng >> 7;
    l->rng ^= l->rng << 17;
    return l->rng;
}

static void fill(const struct load *l, char *buf, uint64_t block, uint32_t gen)
{
    uint64_t x =
        (block + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)gen << 32);
    uint64_t *p = (uint64_t *)buf;

    for (size_t i = 0; i < l->bs / 8; i++)
        p[i] = x += UINT64_C(0xd1342543de82ef95);
}

static uint64_t pick(struct load *l)
{
    uint64_t b;

    if (!l->random) {
        b = l->next++;
        if (l->next >= l->blocks)
            l->next = 0;
        return b;
    }
    do
        b = rnd(l) % l->blocks;
    while (l->verify && l->busy[b]);
    return b;
}

static void submit(struct load *l, struct io_uring *ring, unsigned int i)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct slot *s = &l->slot[i];

    s->block = pick(l);
    if (l->verify) {
        l->busy[s->block] = 1;
        fill(l, s->buf, s->block, ++l->gen[s->block]);
    }
    if (l->apart && l->writing)
        io_uring_prep_writev(sqe, l->fd, s->iov, l->niov, s->block * l->bs);
    else if (l->apart)
        io_uring_prep_readv(sqe, l->fd, s->iov, l->niov, s->block * l->bs);
    else if (l->writing)
        io_uring_prep_write(sqe, l->fd, s->buf, l->bs, s->block * l->bs);
    else
        io_uring_prep_read(sqe, l->fd, s->buf, l->bs, s->block * l->bs);
    io_uring_sqe_set_data64(sqe, i);
    s->start = now();
    l->submitted++;
}

static void complete(struct load *l, unsigned int i, int res)
{
    double lat = now() - l->slot[i].start;

    l->done++;
    l->lat_sum += lat;
    if (lat > l->lat_max)
        l->lat_max = lat;
    if (res != (int)l->bs) {
        if (!l->errors++)
            l->first_error = res < 0 ? -res : EIO;
    }
    if (l->verify)
        l->busy[l->slot[i].block] = 0;
}

static void show_progress(const struct load *l)
{
    char text[32];
    int fd, n;

    fd = open(l->progress, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return;
    n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)l->done);
    if (write(fd, text, n) != n)
        perror(l->progress);
    close(fd);
}

static int drive(struct load *l, struct io_uring *ring, double *spent)
{
    double start = now(), end = start + l->seconds, shown = 0, t;
    struct io_uring_cqe *cqe;
    uint64_t before = l->done;
    unsigned int head, n;
    int r;

    for (unsigned int i = 0; i < l->depth; i++)
        submit(l, ring, i);
    while (l->done - before < l->submitted) {
        r = io_uring_submit_and_wait(ring, 1);
        if (r < 0 && r != -EINTR) {
            fprintf(stderr, "io_uring: %s\n", strerror(-r));
            return r;
        }
        t = now();
        n = 0;
        io_uring_for_each_cqe(ring, head, cqe)
        {
            unsigned int i = io_uring_cqe_get_data64(cqe);

            complete(l, i, cqe->res);
            n++;
            if (t < end && !stop)
                submit(l, ring, i);
        }
        io_uring_cq_advance(ring, n);
        if (l->rest)
            usleep(l->rest * 1000);
        if (l->progress && t - shown > 0.2) {
            show_progress(l);
            shown = t;
        }
    }
    *spent = now() - start;
    return 0;
}

static int alloc_buffer(const struct load *l, char **buf)
{
    size_t align = l->contiguous ? HUGE_PAGE : PAGE;
    size_t len = ((size_t)l->offset + l->bs + align - 1) / align * align;

    *buf = l->contiguous
               ? mmap(NULL, len, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)
               : MAP_FAILED;
    if (*buf == MAP_FAILED) {
        if (posix_memalign((void **)buf, align, len))
            return -1;
        if (l->contiguous)
            madvise(*buf, len, MADV_HUGEPAGE);
    }
    *buf += l->offset;
    memset(*buf, 0x5a, l->bs);
    return 0;
}

/* Pages that do not adjoin. */
static int alloc_apart(const struct load *l, struct slot *s)
{
    size_t len = 2 * (size_t)l->niov * PAGE;

    s->iov = calloc(l->niov, sizeof(*s->iov));
    if (!s->iov || posix_memalign((void **)&s->buf, PAGE, len))
        return -1;
    memset(s->buf, 0x5a, len);
    for (unsigned int i = 0; i < l->niov; i++) {
        uint32_t left = l->bs - i * PAGE;

        s->iov[i].iov_base = s->buf + 2 * (size_t)i * PAGE;
        s->iov[i].iov_len = left < PAGE ? left : PAGE;
    }
    return 0;
}

static void read_back(struct load *l)
{
    char *want = l->slot[0].buf, *have;

    if (posix_memalign((void **)&have, 4096, l->bs))
        exit(1);
    for (uint64_t b = 0; b < l->blocks; b++) {
        if (!l->gen[b])
            continue;
        fill(l, want, b, l->gen[b]);
        if (pread(l->fd, have, l->bs, b * l->bs) != (ssize_t)l->bs ||
            memcmp(want, have, l->bs)) {
            if (!l->mismatches++)
                fprintf(stderr, "block %llu is wrong\n", (unsigned long long)b);
        }
    }
    free(have);
}

int main(int argc, char **argv)
{
    static struct load l = {.bs = 4096,
                            .depth = 1,
                            .seconds = 2,
                            .rng = UINT64_C(88172645463325252)};
    const char *file = NULL;
    struct io_uring ring;
    uint64_t size = 64;
    double spent = 0;
    int opt, r;

    while ((opt = getopt(argc, argv, "f:m:b:q:t:s:p:w:cdo:")) != -1) {
        switch (opt) {
        case 'f':
            file = optarg;
            break;
        case 'm':
            l.mode = optarg;
            break;
        case 'b':
            l.bs = atoi(optarg);
            break;
        case 'q':
            l.depth = atoi(optarg);
            break;
        case 't':
            l.seconds = atof(optarg);
            break;
        case 's':
            size = atoi(optarg);
            break;
        case 'p':
            l.progress = optarg;
            break;
        case 'w':
            l.rest = atoi(optarg);
            break;
        case 'c':
            l.contiguous = true;
            break;
        case 'd':
            l.apart = true;
            break;
        case 'o':
            l.offset = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (!file || !l.mode || l.bs % 512 || !l.bs || !l.depth ||
        l.depth > MAX_DEPTH)
        return 2;
    l.verify = !strcmp(l.mode, "verify");
    l.random = l.verify || !strncmp(l.mode, "rand", 4);
    l.writing = l.verify || strstr(l.mode, "write");
    l.niov = (l.bs + PAGE - 1) / PAGE;
    if (l.apart && (l.verify || l.contiguous || l.offset || l.niov > 1024))
        return 2;
    l.blocks = size * 1024 * 1024 / l.bs;
    l.fd = open(file, (l.verify    ? O_RDWR
                       : l.writing ? O_WRONLY
                                   : O_RDONLY) |
                          O_DIRECT);
    if (l.fd < 0) {
        perror(file);
        return 1;
    }
    if (l.verify) {
        l.gen = calloc(l.blocks, sizeof(*l.gen));
        l.busy = calloc(l.blocks, 1);
        if (!l.gen || !l.busy)
            return 1;
    }
    for (unsigned int i = 0; i < l.depth; i++) {
        struct slot *s = &l.slot[i];

        if (l.apart ? alloc_apart(&l, s) : alloc_buffer(&l, &s->buf))
            return 1;
    }
    r = io_uring_queue_init(l.depth, &ring, 0);
    if (r) {
        fprintf(stderr, "io_uring_queue_init: %s\n", strerror(-r));
        return 1;
    }
    signal(SIGTERM, on_term);
    r = drive(&l, &ring, &spent);
    if (!r && l.verify)
        read_back(&l);
    if (l.progress)
        show_progress(&l);
    printf("{\"mode\":\"%s\",\"bs\":%u,\"qd\":%u,\"secs\":%.3f,\"ios\":%llu,"
           "\"iops\":%.1f,\"mibps\":%.2f,\"lat_us\":%.0f,\"lat_max_us\":%.0f,"
           "\"errors\":%llu,\"errno\":%d,\"mismatches\":%llu}\n",
           l.mode, l.bs, l.depth, spent, (unsigned long long)l.done,
           l.done / spent, l.done / spent * l.bs / 1048576,
           l.done ? l.lat_sum / l.done * 1e6 : 0, l.lat_max * 1e6,
           (unsigned long long)l.errors, l.first_error,
           (unsigned long long)l.mismatches);
    return r || l.errors || l.mismatches ? 1 : 0;
}

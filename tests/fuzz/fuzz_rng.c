/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of an entropy device, from the ring to a source and back
 * (backend/rng/serve.c and the loop, as they are). Guest, broker, source and
 * clock do what the bytes say. What must hold:
 *
 *   - a request gets one byte at the least, 512 at the most, and no more than
 *     it has room for; one without room gets none;
 *   - of what the source gives every byte goes to one request, in its order;
 *   - nothing else in the guest's memory changes: not what is behind these
 *     bytes, not readable buffers, not those of requests that were given up;
 *   - the source is asked only for somebody, for one read at a time, and not
 *     more often than its rate allows;
 *   - while a request waits the loop never sleeps without an end, unless the
 *     source is being read;
 *   - nor does it turn round and round with nothing to do;
 *   - once the source gives again, all requests are answered.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/worker/loop.h"
#include "../unit/ring.h"
#include "input.h"

/* What the device waits by. */
#define ppoll played_ppoll
static int played_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts,
                        const void *mask);
#include "../../tools/backend/rng/serve.c"

#define QSIZE     32u
#define DATA      0x4000u
#define MEM       (256u << 10)
#define REQUESTS  256u
#define BUFS      4u
#define UNTOUCHED 0xee
#define REQUIRE(x, what)                                                       \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #x); \
            abort();                                                           \
        }                                                                      \
    } while (0)

struct request {
    uint16_t head;
    unsigned int nbufs;
    uint32_t at[BUFS], len[BUFS]; /* offsets in the memory */
    bool write[BUFS];
    bool used, lost; /* its ring is gone */
};

static struct {
    uint8_t *mem;
    struct vr_window win;
    struct vr_ctrl_page page;
    struct vr_ctrl_request req;
    uint32_t generation;
    struct ring ring;
    bool taken[QSIZE]; /* descriptors */
    struct request request[REQUESTS];
    unsigned int nrequests;
    uint32_t data; /* the next free place for buffers */
    bool bad;      /* a chain that makes no sense is in the ring */
    struct vr_rng rng;
    int64_t now, began;
    unsigned int reads; /* that were asked for */
    bool answered;      /* and the device may take the result */
    uint64_t given;     /* bytes of the source, so far ... */
    uint64_t expected;  /* ... and those that requests got */
    bool skipped;       /* some went to requests that were lost */
    bool ending, restart;
    unsigned int rounds; /* of the end */
    unsigned int idle;   /* waits of no length, one after the other */
} w;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- clock and source ---- */

uint64_t vr_now_ns(void)
{
    return (uint64_t)w.now;
}

uint64_t vr_now_ms(void)
{
    return vr_now_ns() / 1000000;
}

static uint8_t source_byte(uint64_t n)
{
    return (uint8_t)(n % 211); /* never UNTOUCHED */
}

int vr_rng_reader_start(struct vr_rng *rng)
{
    rng->ask = rng->done = -1;
    return 0;
}

void vr_rng_reader_ask(struct vr_rng *rng, uint32_t want)
{
    REQUIRE(!rng->asked, "a second read beside the first");
    REQUIRE(rng->first, "read for nobody");
    REQUIRE(rng->at == rng->end, "read over what is left");
    REQUIRE(want >= 1 && want <= VR_RNG_MAX, "more than there is room for");
    w.reads++;
    REQUIRE(w.reads <= BURST + 1 + (w.now - w.began) / PERIOD_NS,
            "above the rate");
    rng->want = want;
    rng->asked = true;
}

int vr_rng_reader_take(struct vr_rng *rng)
{
    REQUIRE(rng->asked && w.answered, "taken before it has ended");
    rng->asked = w.answered = false;
    return rng->result;
}

void vr_rng_reader_stop(struct vr_rng *rng)
{
    rng->asked = w.answered = false;
}

/* @n: bytes, or -errno. */
static void answer(int n)
{
    int i;

    if (!w.rng.asked || w.answered)
        return;
    if (n > (int)w.rng.want)
        n = (int)w.rng.want;
    for (i = 0; i < n; i++)
        w.rng.bytes[i] = source_byte(w.given++);
    w.rng.result = n;
    w.answered = true;
}

/* ---- the guest ---- */

static unsigned int free_descs(unsigned int n, uint16_t *descs)
{
    unsigned int i, got = 0;

    for (i = 0; i < QSIZE && got < n; i++)
        if (!w.taken[i])
            descs[got++] = (uint16_t)i;
    return got;
}

static void add_request(void)
{
    static const uint16_t lens[] = {1, 2, 63, 64, 65, 511, 512, 513};
    struct request *r = &w.request[w.nrequests];
    unsigned int how = eat(1), n = 1 + how % BUFS, i;
    uint16_t descs[BUFS];

    if (w.nrequests == REQUESTS || !w.req.run || free_descs(n, descs) < n)
        return;
    memset(r, 0, sizeof(*r));
    /* Readable ones come first, in a chain that makes sense. */
    for (i = 0; i < n; i++) {
        unsigned int kind = eat(1);
        bool write = kind & 0x70 || (i && r->write[i - 1]);
        uint32_t len = lens[kind % VR_ARRAY_SIZE(lens)];
        uint64_t addr = RING_BASE + w.data;

        if (w.data + len > MEM)
            return;
        if (kind & 0x80 && how & 0x80) {
            w.bad = true;
            addr = eat(8);
            len = (uint32_t)eat(2);
        } else {
            r->at[i] = w.data;
            r->len[i] = len;
            r->write[i] = write;
            w.data += len;
        }
        ring_desc(&w.ring, descs[i], addr, len,
                  (write ? RING_F_WRITE : 0) | (i + 1 < n ? RING_F_NEXT : 0),
                  descs[(i + 1) % n]);
        w.taken[descs[i]] = true;
    }
    r->head = descs[0];
    r->nbufs = n;
    w.nrequests++;
    ring_add(&w.ring, r->head);
}

/* The first @len writable bytes came from the source; the rest is as it was. */
static void check_memory(const struct request *r, uint32_t len)
{
    unsigned int i, k;

    for (i = 0; i < r->nbufs; i++)
        for (k = 0; k < r->len[i]; k++) {
            uint8_t byte = w.mem[r->at[i] + k];

            if (r->write[i] && len) {
                while (w.skipped && w.expected < w.given &&
                       byte != source_byte(w.expected))
                    w.expected++;
                w.skipped = false;
                REQUIRE(byte == source_byte(w.expected), "not the next byte");
                w.expected++;
                len--;
            } else {
                REQUIRE(byte == UNTOUCHED, "more than it was told");
            }
        }
}

static uint32_t room(const struct request *r)
{
    uint32_t len = 0;
    unsigned int i;

    for (i = 0; i < r->nbufs; i++)
        len += r->write[i] ? r->len[i] : 0;
    return len;
}

static void free_request(const struct request *r)
{
    uint16_t i = r->head;
    const struct vr_vring_desc *d = ring_at(&w.ring, w.ring.cfg.desc);

    for (; w.taken[i]; i = d[i].next) {
        w.taken[i] = false;
        if (!(d[i].flags & RING_F_NEXT))
            break;
    }
}

static void take_used(void)
{
    uint32_t id, len;
    unsigned int i;

    while (w.ring.mem && ring_get(&w.ring, &id, &len)) {
        struct request *r = NULL;

        for (i = 0; i < w.nrequests; i++)
            if (w.request[i].head == id && !w.request[i].used &&
                !w.request[i].lost)
                r = &w.request[i];
        REQUIRE(r, "used what was not there");
        REQUIRE(len <= room(r) && len <= VR_RNG_MAX, "more than there is room");
        REQUIRE(len || !room(r), "answered with nothing");
        check_memory(r, len);
        r->used = true;
        free_request(r);
    }
}

/* ---- the broker ---- */

/* What was under way may have got its bytes, without being told. From now on it
 * gets none. */
static void lose_ring(void)
{
    unsigned int i, k;

    for (i = 0; i < w.nrequests; i++) {
        struct request *r = &w.request[i];

        if (r->used || r->lost)
            continue;
        r->lost = w.skipped = true;
        for (k = 0; k < r->nbufs; k++)
            if (r->write[k])
                memset(w.mem + r->at[k], UNTOUCHED, r->len[k]);
    }
    w.bad = false;
    memset(w.taken, 0, sizeof(w.taken));
}

static void start_or_stop(void)
{
    uint32_t epoch = w.req.q[0].epoch;

    if (!vr_ctrl_acked(&w.page, w.generation))
        return;
    take_used();
    w.req.run = !w.req.run;
    if (w.req.run) {
        lose_ring();
        ring_init(&w.ring, w.mem, 0, QSIZE);
        w.req.q[0] = w.ring.cfg;
        w.req.q[0].epoch = epoch + 1;
    }
    w.generation = vr_ctrl_publish(&w.page, &w.req);
}

/* ---- a step ---- */

static void nothing(void *state)
{
    (void)state;
}

static unsigned int hear(void *state)
{
    (void)state;
    return 0;
}

static void unmask(void *state, bool bells)
{
    (void)state;
    (void)bells;
}

static bool ring_guest(void *state, struct vr_ctrl_page *page, uint64_t queues)
{
    (void)state;
    return vr_ctrl_post(&page->intr, queues);
}

static void no_text(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static int map_pool(void *ctx, struct vr_err *err)
{
    (void)ctx;
    (void)err;
    w.win.va = w.mem;
    return 0;
}

static void unmap_pool(void *ctx)
{
    (void)ctx;
    w.win.va = NULL;
}

static bool all_answered(void)
{
    unsigned int i;

    for (i = 0; i < w.nrequests; i++)
        if (!w.request[i].used && !w.request[i].lost)
            return false;
    return true;
}

/* Everybody behaves. Returns whether that was enough. */
static bool settle(void)
{
    answer(VR_RNG_MAX);
    w.now += FAILED_NS;
    return w.bad || !w.req.run || all_answered();
}

/* Returns events: POLLIN for wake_fd (1) and stop_fd (2). */
static unsigned int step(void)
{
    unsigned int op = eat(1), wake = op >> 7;

    switch (op % 8) {
    case 0:
    case 1:
        add_request();
        wake = 1;
        break;
    case 2:
    case 3:
        answer((int)eat(2) % (VR_RNG_MAX + 1));
        break;
    case 4:
        answer(op & 0x40 ? 0 : -(int)(1 + eat(1) % 100));
        break;
    case 5:
        w.now += (int64_t)eat(2) << (op >> 4 & 7) * 2;
        break;
    case 6:
        start_or_stop();
        wake = 1;
        break;
    case 7:
        w.restart = op & 0x40;
        return w.restart ? 2 : wake;
    }
    return wake;
}

static int played_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts,
                        const void *mask)
{
    unsigned int events;

    (void)mask;
    REQUIRE(n == 3, "not what it waits for");
    take_used();
    REQUIRE(ts || !w.rng.first || w.rng.asked, "sleeps, and nothing will come");
    if (!left && !w.ending) {
        w.ending = true;
        vr_ctrl_post(&w.page.kick, 1);
        events = 1;
    } else if (w.ending) {
        events = settle() ? 2 : 0;
        REQUIRE(++w.rounds < 10 * REQUESTS, "a request is never answered");
    } else {
        events = step();
    }
    w.idle = !events && !w.answered && ts && !ts->tv_sec && !ts->tv_nsec
                 ? w.idle + 1
                 : 0;
    REQUIRE(w.idle < 8, "does not wait");
    if (!events && !w.answered && ts)
        w.now += ts->tv_sec * 1000 * NS_PER_MS + ts->tv_nsec;
    fds[0].revents = events & 1 ? POLLIN : 0;
    fds[1].revents = events & 2 ? POLLIN : 0;
    fds[2].revents = w.answered ? POLLIN : 0;
    return (events != 0) + w.answered;
}

/* ---- the whole ---- */

static const struct vr_dev_ops dev_ops = {no_text, no_text, map_pool,
                                          unmap_pool};
static const struct vr_channel_ops channel = {hear, hear, unmask, nothing};
static const struct vr_bell_ops bell = {.ring = ring_guest};
static const struct vr_bell_ops *const bells[VR_BELLS] = {
    [VR_BELL_trapped] = &bell,
    [VR_BELL_direct] = &bell,
};

/* A worker, from its start to its end. */
static void work(void)
{
    const struct vr_dev_setup setup = {
        .serve = &vr_serve_rng,
        .source = &w.rng,
        .win = &w.win,
        .page = &w.page,
        .ops = &dev_ops,
        .bells = bells,
        .channel = &channel,
        .wake_fd = -1,
        .stop_fd = -1,
        .queues = 1,
        .queue_size = QSIZE,
    };
    struct vr_loop *loop;
    struct vr_err err;

    w.rng = (struct vr_rng){.fd = -1, .name = "fuzz"};
    /* What the last one had read and not given to anybody is lost with it. */
    w.expected = w.given;
    w.began = w.now;
    w.reads = 0;
    if (vr_loop_new(&loop, &setup, &err))
        abort();
    vr_loop_run(loop);
    REQUIRE(!w.rng.first, "a request stays behind");
    vr_loop_free(loop);
    take_used();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *mem = w.mem ? w.mem : malloc(MEM);
    unsigned int i;

    memset(&w, 0, sizeof(w));
    in = data;
    left = size;
    w.mem = mem;
    w.win.base = RING_BASE;
    w.win.size = MEM;
    w.data = DATA;
    w.now = 1000 * NS_PER_MS;
    memset(w.mem, UNTOUCHED, MEM);
    vr_ctrl_init(&w.page);
    w.req.features = UINT64_C(1) << 32;
    w.req.nqueues = 1;
    start_or_stop();
    do {
        w.restart = false;
        work();
    } while (w.restart);
    lose_ring();
    for (i = 0; i < w.nrequests; i++)
        if (!w.request[i].used)
            check_memory(&w.request[i], 0);
    return 0;
}

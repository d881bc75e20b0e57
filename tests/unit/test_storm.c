/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backend that raises interrupts and tells of changes as fast as it can, or
 * one that does its work, and how often guest and toolstack domain hear of it.
 * The worker is the real one. Clock, Xen and a guest that acknowledges at once
 * are simulated; each look at the clock takes a moment.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/worker/device.h"
#include "libs/transport/mmio/regs.h"
#include "libs/types/block/request.h"

#define MS        INT64_C(1000000)
#define LOOK_NS   20
#define ACCESS_NS 300 /* of the guest, beside what the worker looks at */
#define SLEEP_NS  500 /* so exactly does a timer end */
#define DEV_PORT  7
#define VCPU_PORT 9

/* What the guest is doing. */
enum step { RUNS, READS, ACKS, KICKS };

static struct {
    int64_t now;
    struct worker w;
    struct device dev;
    struct vr_record rec;
    struct vr_stats stats;
    struct vr_ctrl_page page;
    shared_iopage_t ioreqs;
    int host; /* the other end of the event channels' descriptor */
    bool pending[16], masked[16];
    bool line; /* an edge that the guest has not seen */
    enum step step;
    bool asked;    /* its access is in the slot */
    bool wants;    /* to kick */
    bool deep;     /* ... after each interrupt */
    int64_t busy;  /* when it took the interrupt */
    int64_t spent; /* on interrupts, in all */
    int64_t wakes; /* of the worker */
    int64_t invalid;
    int64_t longest; /* from a request's end to its interrupt */
    int64_t ended;   /* when the backend was done with it; 0: none */
    unsigned int kicks;
    void (*backend)(void);
} sim;

/* ---- what the worker calls ---- */

static void guest(void);

uint64_t vr_now_ns(void)
{
    sim.now += LOOK_NS;
    if (sim.backend)
        sim.backend();
    guest();
    return sim.now;
}

uint64_t vr_now_ms(void)
{
    return vr_now_ns() / MS;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    if (port == VCPU_PORT) {
        sim.asked = false;
        sim.now += ACCESS_NS;
    } else {
        sim.kicks++;
    }
    return 0;
}

static int irq(xendevicemodel_handle *dm, domid_t domid, uint32_t line,
               bool raise)
{
    (void)dm;
    (void)domid;
    (void)line;
    sim.line |= raise;
    if (raise && sim.ended && sim.now - sim.ended > sim.longest)
        sim.longest = sim.now - sim.ended;
    if (raise)
        sim.ended = 0;
    return 0;
}

static int always(uint32_t domid, struct vr_err *err)
{
    (void)domid;
    (void)err;
    return 0;
}

const struct vr_arch vr_arch = {"simulated", true, NULL, always, irq};

int broker_msg_send(int sock, const struct vr_msg *msg)
{
    (void)sock;
    sim.invalid += msg->type == VR_MSG_INVALID;
    return 0;
}

int broker_msg_recv(int sock, struct vr_msg *msg)
{
    (void)sock;
    (void)msg;
    return -EAGAIN;
}

int worker_start(struct worker *w, struct vr_err *err)
{
    (void)w;
    (void)err;
    return 0;
}

void broker_log(const char *fmt, ...)
{
    (void)fmt;
}

void broker_title(const char *fmt, ...)
{
    (void)fmt;
}

/* ---- guest and backend ---- */

static void ask(enum step step, bool write, unsigned int reg, uint32_t value)
{
    ioreq_t *slot = &sim.ioreqs.vcpu_ioreq[0];

    memset(slot, 0, sizeof(*slot));
    slot->addr = sim.w.place[0].base + reg;
    slot->size = 4;
    slot->count = 1;
    slot->data = value;
    slot->dir = write ? IOREQ_WRITE : IOREQ_READ;
    slot->type = IOREQ_TYPE_COPY;
    slot->state = STATE_IOREQ_READY;
    sim.step = step;
    sim.asked = true;
    sim.pending[VCPU_PORT] = true;
}

/* An interrupt comes first. */
static void guest(void)
{
    if (sim.asked)
        return;
    if (sim.step == READS) {
        ask(ACKS, true, VR_MMIO_INTERRUPT_ACK, sim.ioreqs.vcpu_ioreq[0].data);
        return;
    }
    if (sim.step == ACKS) {
        sim.spent += sim.now - sim.busy;
        sim.wants |= sim.deep;
    }
    sim.step = RUNS;
    if (sim.line) {
        sim.line = false;
        sim.busy = sim.now;
        ask(READS, false, VR_MMIO_INTERRUPT_STATUS, 0);
    } else if (sim.wants) {
        sim.wants = false;
        ask(KICKS, true, VR_MMIO_QUEUE_NOTIFY, 0);
    }
}

static void notify_worker(void)
{
    sim.pending[DEV_PORT] = true;
}

static void interrupts(void)
{
    vr_ctrl_post(&sim.page.intr, 1);
    notify_worker();
}

/* The disk grows without end, and comes and goes. */
static void changes(void)
{
    static const uint32_t status[] = {
        VR_CTRL_BACKEND_READY, VR_CTRL_BACKEND_ABSENT, VR_CTRL_BACKEND_READY};
    static unsigned int n;
    uint8_t config[60] = {0};
    uint64_t sectors = 4096 + n;

    memcpy(config, &sectors, sizeof(sectors));
    vr_ctrl_set_device(&sim.page, 0, config, sizeof(config));
    sim.page.status = status[n++ % 3];
    notify_worker();
}

/* Now a device that can be, now one that cannot. */
static void rubbish(void)
{
    static unsigned int n;
    const uint8_t config[60] = {0, 16};

    vr_ctrl_set_device(&sim.page, n++ % 2 ? UINT64_MAX : 0, config,
                       sizeof(config));
    sim.page.status = VR_CTRL_BACKEND_READY;
    notify_worker();
}

static void nothing(void)
{
    notify_worker();
}

/* Requests one after the other, each @gap after its predecessor's interrupt was
 * served; with kicks, or polled for without any. */
static int64_t gap, due;
static bool polled;

static void honest(void)
{
    if (sim.step != RUNS || sim.line || sim.ended || sim.wants)
        return;
    if (!due) {
        due = sim.now + gap;
        sim.wants = !polled;
        return;
    }
    if (sim.now < due || (!polled && !sim.page.kick))
        return;
    due = 0;
    sim.page.kick = 0;
    sim.ended = sim.now;
    interrupts();
}

/* Many requests at a time: one ends every @gap. The guest asks for more each
 * time that it has taken an interrupt. */
static void stream(void)
{
    if (sim.now < due)
        return;
    due = sim.now + gap;
    if (!sim.ended)
        sim.ended = sim.now;
    if (vr_ctrl_post(&sim.page.intr, 1))
        notify_worker();
}

/* ---- the world ---- */

static void set(unsigned int reg, uint32_t value)
{
    assert_int_equal(vr_mmio_write(&sim.dev.unit.vdev, reg, 4, value),
                     VR_VDEV_DONE);
}

static void look(struct device *d)
{
    d->seek = true;
    device_unit.due(&d->unit, false);
}

static int begin(void **state)
{
    struct vr_vdev_desc desc = {
        .device_id = VR_TYPE_block,
        .nqueues = 1,
        .queue_size_max = 128,
        .transport = VR_F_TRANSPORT,
        .mandatory = VR_F_MANDATORY,
        .nranges = 1,
        .range[0] = {0x80000000, 1 << 20},
    };
    const uint8_t config[60] = {0, 8};
    struct device *d = &sim.dev;
    int pair[2];

    (void)state;
    memset(&sim, 0, sizeof(sim));
    due = 0;
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    sim.host = pair[1];
    sim.now = 1000 * MS;
    sim.rec.ndevs = 1;
    sim.w.rec = &sim.rec;
    sim.w.stats = &sim.stats;
    sim.w.arch = &vr_arch;
    sim.w.evtchn_fd = pair[0];
    sim.w.ioreqs = &sim.ioreqs;
    sim.w.nvcpus = 1;
    sim.w.vcpu[0].port = VCPU_PORT;
    sim.w.now = vr_now_ms();
    *d = (struct device){.unit.ops = &device_unit,
                         .unit.name = "disk",
                         .unit.port = DEV_PORT,
                         .page = &sim.page};
    assert_int_equal(
        unit_add(&sim.w, &d->unit, VR_TRANSPORT_mmio, 0x2000000, NULL), 0);
    d->stats = &sim.stats.dev[0];
    vr_ctrl_init(&sim.page);
    vr_vdev_init(&d->unit.vdev, &desc, &device_regs, d, d->stats);
    vr_ctrl_set_device(&sim.page, 0, config, sizeof(config));
    sim.page.status = VR_CTRL_BACKEND_READY;
    look(d);
    set(VR_MMIO_STATUS, VR_STATUS_ACKNOWLEDGE | VR_STATUS_DRIVER);
    set(VR_MMIO_DRIVER_FEATURES_SEL, 1);
    set(VR_MMIO_DRIVER_FEATURES, VR_F_MANDATORY >> 32);
    set(VR_MMIO_STATUS, VR_STATUS_FEATURES_OK);
    set(VR_MMIO_QUEUE_SIZE, 128);
    set(VR_MMIO_QUEUE_DESC_LOW, 0x80000000);
    set(VR_MMIO_QUEUE_DRIVER_LOW, 0x80001000);
    set(VR_MMIO_QUEUE_DEVICE_LOW, 0x80002000);
    set(VR_MMIO_QUEUE_READY, 1);
    set(VR_MMIO_STATUS, VR_STATUS_DRIVER_OK);
    assert_int_equal(vr_vdev_queues(&d->unit.vdev), 1);
    sim.page.ack = d->generation;
    look(d);
    sim.kicks = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(sim.host);
    close(sim.w.evtchn_fd);
    return 0;
}

/* What would wake the worker; it is read by it. */
static bool events(void)
{
    evtchn_port_t ports[2];
    unsigned int n = 0, port;

    for (port = 0; port < VR_ARRAY_SIZE(sim.pending); port++) {
        if (!sim.pending[port] || sim.masked[port])
            continue;
        sim.pending[port] = false;
        sim.masked[port] = true;
        ports[n++] = port;
    }
    if (n)
        assert_true(write(sim.host, ports, n * sizeof(ports[0])) > 0);
    return n != 0;
}

static void unmask(void)
{
    evtchn_port_t ports[BATCH];
    ssize_t i, n;

    while ((n = read(sim.host, ports, sizeof(ports))) > 0)
        for (i = 0; i < n / (ssize_t)sizeof(ports[0]); i++)
            sim.masked[ports[i]] = false;
}

static void run(void (*backend)(void), int64_t ms)
{
    const int64_t stop = sim.now + ms * MS;
    int64_t until;
    bool woken;

    sim.backend = backend;
    while (sim.now < stop) {
        worker_settle(&sim.w);
        unmask();
        until = sim.w.sleep_ns < 0 ? stop : sim.now + sim.w.sleep_ns;
        if (until > stop)
            until = stop;
        while (!(woken = events()) && sim.now < until) {
            sim.now += SLEEP_NS;
            vr_now_ns();
        }
        sim.wakes++;
        worker_serve(&sim.w, woken, false);
    }
    sim.backend = NULL;
}

/* ---- tests ---- */

/* In 100 ms it was 100,000 and more, which left the guest's processor nothing
 * else to do. */
static void test_interrupts(void **state)
{
    const struct vr_stats_dev *s = &sim.stats.dev[0];

    (void)state;
    run(interrupts, 100);
    print_message("%ld interrupts, %ld wake-ups, %ld us spent\n",
                  (long)s->interrupts, (long)sim.wakes, (long)sim.spent / 1000);
    assert_in_range(s->interrupts, 1000, 2000);
    assert_true(sim.spent < 100 * MS / (VR_PACE_REST + 1));
    assert_true(sim.wakes < 3 * 2000);
}

/* A guest that does its work as well has no more to bear than twice as many. */
static void test_interrupts_and_kicks(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        sim.wants = true;
        run(interrupts, 1);
    }
    assert_in_range(sim.stats.dev[0].interrupts, 1000, 2300);
}

static void test_changes(void **state)
{
    const struct vr_stats_dev *s = &sim.stats.dev[0];
    uint64_t sectors;

    (void)state;
    run(changes, 100);
    print_message("%ld changes, %ld wake-ups\n", (long)s->config_changes,
                  (long)sim.wakes);
    assert_in_range(s->config_changes, 1, 2);
    assert_in_range(sim.wakes, 64, 500);
    run(changes, 5000);
    assert_in_range(s->config_changes, 5, 7);
    /* the last state is told in the end */
    sectors = vr_blk_capacity(sim.page.dev.config);
    sim.page.status = VR_CTRL_BACKEND_READY;
    run(guest, 1500);
    assert_int_equal(vr_blk_capacity(s->config), sectors);
}

static void test_rubbish(void **state)
{
    (void)state;
    run(rubbish, 5000);
    print_message("%ld complaints, %ld wake-ups\n", (long)sim.invalid,
                  (long)sim.wakes);
    assert_in_range(sim.invalid, 1, 6);
    assert_in_range(sim.stats.dev[0].interrupts, 0, 2);
}

/* Events about nothing: 64, and then one each millisecond. */
static void test_nothing(void **state)
{
    (void)state;
    run(nothing, 1000);
    print_message("%ld wake-ups\n", (long)sim.wakes);
    assert_in_range(sim.wakes, 1000, 1300);
}

/* A wake-up of its own for each, and none that is delayed. */
static void run_honest(int64_t ns, bool poll, int64_t ms)
{
    const struct vr_stats_dev *s = &sim.stats.dev[0];

    gap = ns;
    polled = poll;
    run(honest, ms);
    print_message("%ld interrupts, %ld held, at most %ld ns late\n",
                  (long)s->interrupts, (long)s->interrupts_held,
                  (long)sim.longest);
    assert_int_equal(s->interrupts_held, 0);
    assert_true(s->interrupts > (uint64_t)(ms * MS / (ns + 8000)));
    assert_true(sim.longest < 2000);
}

/* 100,000 requests a second, one after the other. */
static void test_honest(void **state)
{
    (void)state;
    run_honest(10000, false, 100);
}

/* The guest gives no notification at all. */
static void test_honest_polled(void **state)
{
    (void)state;
    run_honest(VR_PACE_MIN_NS + 5000, true, 100);
}

/* Some of what ends is told by an interrupt before its own event comes, which
 * then is about nothing. That is no reason to listen no more. */
static void run_stream(void **state, uint16_t unwatched)
{
    const struct vr_stats_dev *s = &sim.stats.dev[0];
    unsigned int i;

    for (gap = 300; gap < 20000; gap += 300) {
        end(state);
        begin(state);
        sim.deep = true;
        for (i = 0; i < VR_LOOK_KINDS; i++)
            sim.w.look.kind[i].skip = unwatched;
        run(stream, 30);
        if (s->interrupts_held || sim.longest > 100000)
            print_message("every %ld ns: %ld interrupts, %ld held, at most "
                          "%ld ns late\n",
                          (long)gap, (long)s->interrupts,
                          (long)s->interrupts_held, (long)sim.longest);
        assert_true(sim.longest < 100000);
    }
}

static void test_honest_stream(void **state)
{
    run_stream(state, 0);
}

/* As it is where looking on does not pay. */
static void test_honest_stream_slept(void **state)
{
    run_stream(state, UINT16_MAX);
}

/* What was held is told, also when the backend says nothing more. */
static void test_none_lost(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        const uint64_t before = sim.stats.dev[0].interrupts;

        interrupts();
        run(guest, 1);
        interrupts();
        run(guest, 20);
        assert_int_equal(sim.stats.dev[0].interrupts, before + 2);
        assert_int_equal(sim.step, RUNS);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_interrupts),
        TEST(test_interrupts_and_kicks),
        TEST(test_changes),
        TEST(test_rubbish),
        TEST(test_nothing),
        TEST(test_honest),
        TEST(test_honest_polled),
        TEST(test_honest_stream),
        TEST(test_honest_stream_slept),
        TEST(test_none_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

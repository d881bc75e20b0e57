/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's supervisor, and around it a plug-in, a worker, backends and
 * domains that do what a test or a fuzzer's input says. What must hold after
 * each turn stands in sw_turn() and where the supervisor reaches out
 * (super_fakes.h); sw_settle() looks whether nothing is left undone.
 */
#ifndef TEST_SUPER_WORLD_H
#define TEST_SUPER_WORLD_H

#include "super_fakes.h"

/* ---- the world ---- */

static void sw_record(struct vr_record *r)
{
    uint8_t uuid[16];
    unsigned int i;

    memset(r, 0, sizeof(*r));
    strcpy(r->name, "guest");
    strcpy(r->uuid, SW_UUID);
    r->domid = SW_GUEST;
    r->grant_frames = 4;
    r->creator = SW_XL;
    r->creator_start = 77;
    r->ndrivers = SW_DRIVERS;
    for (i = 0; i < SW_DRIVERS; i++) {
        snprintf(r->drivers[i].name, sizeof(r->drivers[i].name), "driver%u", i);
        sw_handle(sw_domid[i], false, uuid);
        vr_uuid_format(uuid, r->drivers[i].uuid);
        r->drivers[i].domid = sw_domid[i];
        r->drivers[i].owned = i == 1;
    }
    r->ndevs = SW_DEVS;
    for (i = 0; i < SW_DEVS; i++) {
        struct vr_record_dev *d = &r->devs[i];

        d->cfg = (struct vr_dev_cfg){.type = VR_TYPE_block,
                                     .mode = i == 0   ? VR_MODE_STATIC
                                             : i == 1 ? VR_MODE_DYNAMIC
                                                      : VR_MODE_MIXED,
                                     .queues = 1,
                                     .queue_size = 16,
                                     .timeout = 60,
                                     .revoke_ms = 1000};
        snprintf(d->cfg.id, sizeof(d->cfg.id), "disk%u", i);
        strcpy(d->cfg.target, "/dev/xvdb");
        d->driver = sw_driver[i];
        if (vr_cfg_has_pool(&d->cfg))
            d->pool = (struct vr_gwin){0x48000000 + i * 0x10000, 0x10000,
                                       1024 + i * 16};
        if (vr_cfg_has_iova(&d->cfg))
            d->iova = (struct vr_gwin){(UINT64_C(1) << 36) + i * 0x10000,
                                       0x10000, 1536 + i * 16};
    }
    r->iommu.present = true;
}

static void sw_init(void)
{
    static int sig[2] = {-1, -1};
    int link[2];
    unsigned int i;
    char rest[256];

    if (sig[0] < 0)
        SW_REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sig), "socketpair");
    while (recv(sig[0], rest, sizeof(rest), MSG_DONTWAIT) > 0)
        ;
    SW_REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, link), "socketpair");
    memset(&sw, 0, sizeof(sw));
    sw.now = 100000;
    sw.link = link[0];
    sw.sig = sig[1];
    sw_record(&sw.rec);
    for (i = 0; i <= SW_DRIVERS; i++)
        sw.dom[i] = (struct sw_domain){.domid = i ? sw_domid[i - 1] : SW_GUEST,
                                       .exists = true};
    fs_init();
    put("/local/domain/3", "", 3);
    put("/local/domain/4", "", 4);
    put("/local/domain/5", "", 5);
    put("/local/domain/3/name", "driver0", 0);
    put("/local/domain/4/name", "driver1", 0);
    put("/local/domain/5/name", "guest", 0);
    store.written = sw_written;
    super_init(&sw.s, SW_UUID);
    sw.s.link = link[1];
    sw.s.sig = sig[0];
}

static void sw_end(void)
{
    if (sw.link >= 0)
        close(sw.link);
    if (sw.s.link >= 0)
        close(sw.s.link);
    vr_stats_close(sw.s.stats);
}

/* ---- turns ---- */

static void sw_answers(void)
{
    char text[VR_LINK_MAX + 1], type;

    while (sw.link >= 0 && !vr_link_recv(sw.link, 0, &type, text)) {
        SW_REQUIRE(type == 'O' || type == 'E', "an odd answer");
        SW_REQUIRE(sw_printable(text, strlen(text)), "an odd reason");
        sw.answers++;
        sw.answer = type;
        strcpy(sw.answer_text, text);
    }
}

/* One turn, upon whatever there is. */
static void sw_turn(bool link, bool signal)
{
    const bool ready[READY] = {
        [READY_LINK] = link && sw.s.link >= 0,
        [READY_SIGNAL] = signal,
        [READY_WORKER] = sw.s.sock >= 0 && (sw.nsays || sw.worker_ended),
        [READY_XENSTORE] = sw.s.xs && store.nevents,
    };

    store.calls = 0;
    sw.logged = 0;
    super_serve(&sw.s, ready);
    SW_REQUIRE(store.calls <= SW_CALLS, "much work for one turn");
    SW_REQUIRE(sw.logged <= SW_LOG, "much to say for one turn");
    SW_REQUIRE(!store.open, "a transaction is left open");
    SW_REQUIRE(sw.cleanups <= 1, "cleaned up twice");
    sw_answers();
}

/* As long as there is something to do, and until @ms have passed. */
static void sw_run(int64_t ms)
{
    const int64_t end = sw.now + ms;
    unsigned int n = 0;

    while (!sw.s.done) {
        const int left = super_time_left(&sw.s);

        if (!(sw.s.sock >= 0 && (sw.nsays || sw.worker_ended)) &&
            !(sw.s.xs && store.nevents)) {
            if (left < 0 || left > end - sw.now)
                break;
            sw.now += left;
            n = left ? 0 : n + 1;
        }
        SW_REQUIRE(n < 100, "the supervisor does not come to rest");
        sw_turn(false, false);
    }
    if (!sw.s.done && sw.now < end)
        sw.now = end;
}

static void sw_plugin(char type, const char *text)
{
    if (sw.link < 0 || sw.s.done || sw.s.link < 0)
        return;
    if (vr_link_send(sw.link, type, text))
        return;
    sw.questions++;
    sw_turn(true, false);
    sw_run(0);
}

static void sw_say(const struct vr_msg *msg)
{
    if (sw.nsays < SW_MESSAGES)
        sw.says[sw.nsays++] = *msg;
}

static void sw_worker(enum vr_msg_type type, uint32_t dev)
{
    const struct vr_msg msg = {.type = type, .dev = dev, .gref = 8, .port = 9};

    sw_say(&msg);
    sw_run(0);
}

/* A backend writes to a node that it may write to. */
static void sw_backend_writes(unsigned int dev, const char *leaf,
                              const void *value, unsigned int len)
{
    char path[VR_XS_PATH];
    struct node *node = find(sw_backend(path, dev, leaf));

    if (node && !sw_gone(sw_driver[dev]))
        fs_set(node, value, len);
}

/* ... or removes one, which it may as well: xenstored asks for no more. */
static void sw_backend_removes(unsigned int dev, const char *leaf)
{
    char path[VR_XS_PATH];

    if (find(sw_backend(path, dev, leaf)) && !sw_gone(sw_driver[dev]))
        xs_rm(&store, XBT_NULL, path);
}

static void sw_signal(uint32_t number, uint32_t sender)
{
    struct signalfd_siginfo info = {.ssi_signo = number, .ssi_pid = sender};

    SW_REQUIRE(send(sw.sig, &info, sizeof(info), 0) == sizeof(info), "send");
    if (!sw.s.done)
        sw_turn(false, true);
}

/* The whole way to a guest that runs. */
static void sw_start(void)
{
    unsigned int i;

    sw_plugin('P', SW_UUID);
    sw_plugin('S', SW_UUID);
    for (i = 0; i < SW_DEVS; i++)
        sw_worker(VR_MSG_DEVICE, i);
    sw_worker(VR_MSG_SERVING, VR_MSG_NO_DEV);
    for (i = 0; i < SW_DEVS; i++) {
        sw_worker(VR_MSG_CONNECTED, i);
        sw_backend_writes(i, "state", "4", 1);
    }
    sw_run(0);
    sw_plugin('C', NULL);
}

/* Whatever came before: what ends is cleaned up, and the worker knows what has
 * become of the driver domains. */
static void sw_settle(void)
{
    unsigned int i;

    sw.socket_full = false;
    store.deaf = false;
    store.conflicts = 0;
    for (i = 0; i < SW_TABLE; i++)
        sw.table[i].flags &= ~VR_GTF_IN_USE;
    sw_run(20000);
    for (i = 0; i < SW_DEVS; i++)
        SW_REQUIRE(!sw_pool(i) || sw.wants_pool[i] || sw.meddled,
                   "a pool that nobody asked for");
    if (sw.s.done || sw.s.step != STEP_RUNNING)
        return;
    SW_REQUIRE(sw.dom[0].exists && !sw.dom[0].other &&
                   !(sw.dom[0].flags & XEN_DOMINF_dying),
               "the guest is gone, and nobody cleans up");
    for (i = 0; i < SW_DEVS && sw.s.sock >= 0; i++)
        SW_REQUIRE(sw.nheard == SW_MESSAGES || !sw_gone(sw_driver[i]) ||
                       (sw.told_gone[i] && sw.told_dead[i]),
                   "a driver domain's end that the worker does not know of");
    for (i = 0; i < SW_DEVS; i++)
        SW_REQUIRE(!sw_gone(sw_driver[i]) || sw.meddled || !sw_pool(i),
                   "a pool of a driver domain that is dead");
}

#endif /* TEST_SUPER_WORLD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's supervisor, under a plug-in, a worker that its guest has taken
 * over, backends and domains that do what the bytes say. What must hold stands
 * in super_world.h and super_fakes.h.
 */
#include <signal.h>

#include "../unit/super_world.h"
#include "input.h"

static unsigned int below(unsigned int n)
{
    return eat(1) % n;
}

static unsigned int text(char *buf, unsigned int max)
{
    unsigned int n = below(max), i;

    for (i = 0; i < n; i++)
        buf[i] = eat(1);
    buf[n] = '\0';
    return n;
}

/* Those that it has, mostly; and what none of them is. */
static void worker_says(void)
{
    struct vr_msg msg = {.type = below(24), .dev = below(SW_DEVS + 1)};
    unsigned int n;

    if (msg.type == 23)
        msg.type = UINT32_MAX;
    if (msg.dev == SW_DEVS)
        msg.dev = eat(4);
    msg.gref = eat(1);
    msg.port = eat(1);
    if (msg.type == VR_MSG_ERROR)
        text(msg.text, 64);
    for (n = 1 + below(8) / 6 * 40; n; n--)
        sw_say(&msg);
}

/* As long as a value may be, the same byte nearly everywhere. */
static void long_value(unsigned int dev, const char *leaf)
{
    static char value[FS_VALUE];
    unsigned int n = below(4);

    memset(value, eat(1), sizeof(value));
    for (; n; n--)
        value[eat(2) % sizeof(value)] = eat(1);
    sw_backend_writes(dev, leaf, value, sizeof(value) - below(2));
}

/* It may write to its two nodes, and with that remove them, or make nodes below
 * them: none of which anybody told it to. */
static void backend_writes(unsigned int op)
{
    static const char *const states[] = {"1", "2", "3", "4",
                                         "5", "6", "",  "44"};
    unsigned int dev = below(SW_DEVS), n;
    const char *leaf = op & 2 ? "error" : "state";
    char buf[260], path[VR_XS_PATH];

    if (op & 1) {
        const char *state = states[below(VR_ARRAY_SIZE(states))];

        sw_backend_writes(dev, "state", state, strlen(state));
        return;
    }
    switch (op / 4 % 4) {
    case 0:
        n = text(buf, 250);
        sw_backend_writes(dev, leaf, buf, n);
        break;
    case 1:
        long_value(dev, leaf);
        break;
    case 2:
        sw_backend_removes(dev, leaf);
        break;
    case 3:
        sw_backend(path, dev, leaf);
        snprintf(buf, sizeof(buf), "%s/%u", leaf, below(4));
        if (find(path) && store.n < FS_NODES / 2 && !sw_gone(sw_driver[dev]))
            fs_set(make(sw_backend(path, dev, buf)), "x", below(2));
        break;
    }
}

/* What becomes of a domain; never that it comes back. */
static void domain_changes(void)
{
    struct sw_domain *d = &sw.dom[below(VR_ARRAY_SIZE(sw.dom))];
    unsigned int how = eat(1);
    char path[VR_XS_PATH];

    switch (how % 8) {
    case 0:
        d->flags ^= XEN_DOMINF_paused;
        break;
    case 1:
        d->flags |= XEN_DOMINF_shutdown | (uint32_t)(how / 8 % 8)
                                              << XEN_DOMINF_shutdownshift;
        break;
    case 2:
        d->flags |= XEN_DOMINF_dying;
        break;
    case 3:
        d->exists = false;
        break;
    case 4:
        d->other = true;
        break;
    case 5: /* libxl removes its nodes first */
        snprintf(path, sizeof(path), "/local/domain/%u", d->domid);
        xs_rm(&store, XBT_NULL, path);
        break;
    }
}

static void renamed(void)
{
    char path[VR_XS_PATH], name[40];
    unsigned int n;

    snprintf(path, sizeof(path), "/local/domain/%u/name",
             sw.dom[below(VR_ARRAY_SIZE(sw.dom))].domid);
    n = text(name, sizeof(name) - 1);
    if (find(path))
        fs_set(find(path), name, n);
}

static void plugin(unsigned int op)
{
    static const char types[] = "PSCA?";
    char type = types[op % 5], buf[64];

    if (op & 8) {
        text(buf, 60);
        sw_plugin(type, buf);
    } else if (op % 5 == 4 && sw.link >= 0) {
        close(sw.link);
        sw.link = -1;
        if (!sw.s.done && sw.s.link >= 0)
            sw_turn(true, false);
    } else {
        sw_plugin(type, type == 'C' || type == 'A' ? NULL : SW_UUID);
    }
}

static void scribble_stats(void)
{
    unsigned int n = 1 + below(32);
    uint8_t *p = (uint8_t *)sw.s.stats;

    if (!p)
        return;
    p += offsetof(struct vr_stats, dev) +
         eat(2) % (sizeof(struct vr_stats_dev) * SW_DEVS);
    while (n--)
        *p++ = eat(1);
}

static void trouble(unsigned int op)
{
    sw.socket_full = op & 1;
    store.deaf = (op & 6) == 6;
    store.conflicts = op & 8 ? below(200) : 0;
    sw.no_file = (op & 6) == 2 && eat(1) & 1;
}

static void act(unsigned int op)
{
    static const int64_t times[] = {1, 50, 200, 600, 2000, 10000, 61000, 95000};
    unsigned int i;

    switch (op % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
        worker_says();
        break;
    case 4:
    case 5:
        backend_writes(op / 16);
        break;
    case 6:
        domain_changes();
        break;
    case 7:
        renamed();
        break;
    case 8:
    case 9:
        plugin(op / 16);
        break;
    case 10:
        scribble_stats();
        break;
    case 11: /* the guest writes to its table, or the hypervisor */
        i = 1024 + below(64);
        if (op & 0x10 && sw.table[i].flags & VR_GTF_TYPE_MASK) {
            sw.table[i].flags ^= VR_GTF_READING;
            break;
        }
        sw.meddled = true;
        sw.table[i] = (struct vr_gntent){eat(1), below(8), eat(1)};
        break;
    case 12:
        sw_signal(op & 0x10 ? SIGTERM : SIGCHLD, op & 0x40 ? 1 : 99);
        break;
    case 13:
        trouble(op / 16);
        break;
    case 14:
        if (op / 16 == 1)
            sw.worker_ended = true;
        else if (op / 16 == 2)
            sw.xl_gone = true;
        break;
    case 15:
        sw_run(times[op / 16 % 8]);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int op;

    in = data;
    left = size;
    sw_init();
    /* From the start that most guests have, or from nothing. */
    if (eat(1) & 1)
        sw_start();
    while (left && !sw.s.done) {
        op = eat(1);
        act(op);
        if (op & 0x80 || op % 16 > 5)
            sw_run(0);
    }
    sw_settle();
    sw_end();
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor. What happens, in this order:
 *
 *   'P'  the record is ours; from here on a plug-in that vanishes means abort
 *   'S'  worker started -> it reports its control pages (VR_MSG_DEVICE) and
 *        that it serves (VR_MSG_SERVING) -> backend nodes are published ->
 *        each backend says Connected in xenstore and the worker has found a
 *        valid description in its control page (VR_MSG_CONNECTED) -> 'O'
 *   'C'  the guest runs; the link is closed
 *   ...  until the guest is gone: then `vrctl cleanup` takes our place
 *
 * From 'P' on only SIGKILL ends us before that: without its broker a guest
 * hangs, so who wants the broker gone has to end the guest.
 *
 * One loop, which sleeps in poll(): a table says which descriptor and which
 * time is whose. The worker is forked before any Xen handle is opened here, so
 * that it inherits none.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "libs/proto/link.h"
#include "supervisor.h"

#define TICK_MS 5000
/* A backend may change its nodes as fast as it likes: the time between two
 * looks at them. */
#define LOOK_MS 100
/* Somebody may repeat a signal for as long as the guest lives: the time between
 * two lines about that. */
#define DECLINED_MS 60000

/* ---- time ---- */

static uint64_t rss_kib(pid_t pid)
{
    unsigned long size, pages = 0;
    char path[32];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &pages) != 2)
        pages = 0;
    fclose(f);
    return (uint64_t)pages * sysconf(_SC_PAGESIZE) / 1024;
}

/*
 * The link's end tells at once when xl dies, but a child of xl's may hold a
 * copy of it: libxl forks some that run no other program.
 */
static void check_creator(struct super *s)
{
    if (s->step < STEP_PREPARED || s->step >= STEP_RUNNING ||
        vr_proc_start(s->rec.creator) == s->rec.creator_start)
        return;
    broker_log("xl (process %d) is gone before the guest was complete: "
               "undoing everything",
               (int)s->rec.creator);
    super_cleanup(s, true);
}

static void look_stats(struct super *s)
{
    unsigned int i;

    s->stats_at = 0;
    for (i = 0; i < s->rec.ndevs; i++)
        backends_stats(s, i);
}

static void tick(struct super *s)
{
    uint64_t no_space;

    s->tick = vr_now_ms() + TICK_MS;
    check_creator(s);
    /* An answer that could not be read when its event came. */
    if (!s->done && s->step == STEP_STARTING)
        backends_check(s);
    if (s->done || (s->step != STEP_READY && s->step != STEP_RUNNING))
        return;
    if (s->stats && s->worker)
        s->stats->worker_rss_kib = rss_kib(s->worker);
    look_stats(s);
    /* What the virtio-iommu could not map tells of a guest that is in its
     * window. */
    no_space = s->stats ? s->stats->iommu.no_space : 0;
    grants_check(s, no_space != s->no_space);
    s->no_space = no_space;
    domains_check(s);
}

/* ---- signals, xenstore ---- */

static void on_signal(struct super *s)
{
    struct signalfd_siginfo info;
    int64_t now = vr_now_ms();

    if (read(s->sig, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD) {
        spawn_reap(s, WNOHANG); /* the socket's end says the rest */
        return;
    }
    if (s->step == STEP_IDLE || scope_host_ends(info.ssi_pid)) {
        broker_log("stopped by signal %u of process %u", info.ssi_signo,
                   info.ssi_pid);
        spawn_stop(s);
        s->done = true;
        return;
    }
    if (s->declined_at && now - s->declined_at < DECLINED_MS)
        return;
    s->declined_at = now;
    broker_log("signal %u of process %u is ignored, since the guest would "
               "hang: end the guest by xl shutdown or xl destroy; this "
               "process ends with it",
               info.ssi_signo, info.ssi_pid);
}

static void look(struct super *s)
{
    s->look = false;
    s->look_at = vr_now_ms() + LOOK_MS;
    backends_check(s);
}

static void on_xenstore(struct super *s)
{
    bool names = false;
    unsigned int n;
    char **w;

    /* Bounded: see reports_read(). */
    for (n = 0; n < 256 && s->xs && (w = xs_check_watch(s->xs)); n++) {
        if (w[XS_WATCH_TOKEN][0] == 'n')
            names = true;
        else
            s->look = true;
        free(w);
    }
    if (names)
        names_check(s);
    /* While xl waits, each answer counts at once. */
    if (s->look && s->step == STEP_STARTING)
        look(s);
}

/* Everything that can be blocked is, here and in the worker. */
static int open_signals(struct super *s)
{
    sigset_t set;

    sigfillset(&set);
    sigdelset(&set, SIGPIPE);
    if (sigprocmask(SIG_SETMASK, &set, NULL))
        return -errno;
    signal(SIGPIPE, SIG_IGN);
    s->sig = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->sig < 0 ? -errno : 0;
}

/* ---- what may be ready, and what may be due ---- */

static int signal_fd(const struct super *s)
{
    return s->sig;
}

static int link_fd(const struct super *s)
{
    return s->link;
}

static int worker_fd(const struct super *s)
{
    return s->sock;
}

static int xenstore_fd(const struct super *s)
{
    return s->xs ? xs_fileno(s->xs) : -1;
}

/* In the order in which they have their turn. */
static const struct {
    int (*fd)(const struct super *s); /* -1: not there */
    void (*act)(struct super *s);
} sources[READY] = {
    [READY_SIGNAL] = {signal_fd, on_signal},
    [READY_LINK] = {link_fd, plugin_message},
    [READY_WORKER] = {worker_fd, reports_read},
    [READY_XENSTORE] = {xenstore_fd, on_xenstore},
};

static int64_t look_at(const struct super *s)
{
    return s->look ? s->look_at : INT64_MAX;
}

static int64_t ending_at(const struct super *s)
{
    return s->ending_at ? s->ending_at : INT64_MAX;
}

static int64_t stats_at(const struct super *s)
{
    return s->stats_at ? s->stats_at : INT64_MAX;
}

static int64_t tick_at(const struct super *s)
{
    return s->tick;
}

static const struct {
    int64_t (*at)(const struct super *s); /* INT64_MAX: never */
    void (*act)(struct super *s);
} timers[] = {
    {backends_deadline, backends_timeout},
    {look_at, look},
    {ending_at, domains_check},
    {stats_at, look_stats},
    {tick_at, tick},
};

int super_time_left(const struct super *s)
{
    int64_t next = INT64_MAX, now = vr_now_ms();
    unsigned int i;

    if (s->step == STEP_IDLE)
        return -1;
    for (i = 0; i < VR_ARRAY_SIZE(timers); i++)
        if (timers[i].at(s) < next)
            next = timers[i].at(s);
    return next > now ? (int)(next - now) : 0;
}

void super_serve(struct super *s, const bool ready[READY])
{
    unsigned int i;
    int64_t now;

    for (i = 0; i < READY && !s->done; i++)
        if (ready[i])
            sources[i].act(s);
    now = vr_now_ms();
    for (i = 0; i < VR_ARRAY_SIZE(timers) && !s->done; i++)
        if (timers[i].at(s) <= now)
            timers[i].act(s);
}

static void turn(struct super *s)
{
    struct pollfd p[READY];
    bool ready[READY];
    unsigned int i;

    for (i = 0; i < READY; i++)
        p[i] = (struct pollfd){.fd = sources[i].fd(s), .events = POLLIN};
    if (poll(p, READY, super_time_left(s)) < 0 && errno != EINTR) {
        broker_log("poll: %s", strerror(errno));
        s->done = true;
        s->status = 1;
        return;
    }
    for (i = 0; i < READY; i++)
        ready[i] = p[i].revents != 0;
    super_serve(s, ready);
}

/* ---- the loop ---- */

void super_init(struct super *s, const char *uuid)
{
    s->uuid = uuid;
    s->link = VR_LINK_FD;
    s->sig = s->sock = -1;
    s->tick = vr_now_ms() + TICK_MS;
}

int supervisor_run(const char *uuid)
{
    static struct super super; /* the record is too large for the stack */
    struct super *s = &super;

    super_init(s, uuid);
    if (open_signals(s)) {
        broker_log("signals: %s", strerror(errno));
        return 1;
    }
    while (!s->done)
        turn(s);
    return s->status;
}

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
 * One loop, which sleeps in poll(); each kind of event has one function. The
 * worker is forked before any Xen handle is opened here, so that it inherits
 * none.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "libs/proto/link.h"
#include "supervisor.h"

#define TICK_MS 5000
/* A backend may change its nodes as fast as it likes: so often do we look. */
#define LOOK_MS 100
/* Somebody may repeat a signal for as long as the guest lives. */
#define DECLINED_MS 60000

void super_refuse(struct super *s, const char *text)
{
    broker_log("cannot start: %s", text);
    if (s->step == STEP_STARTING || s->step == STEP_PREPARED ||
        s->step == STEP_IDLE)
        s->step = STEP_FAILED;
    vr_link_send(s->link, 'E', text);
}

/*
 * vrctl takes our place, process number included: whoever waits for the
 * broker's end waits for the end of the clean-up. In an abort the link stays
 * open for as long.
 */
void super_cleanup(struct super *s, bool abort)
{
    spawn_stop(s);
    if (s->xs)
        xs_close(s->xs);
    if (s->xch)
        xc_interface_close(s->xch);
    pools_stop(s);
    vr_stats_close(s->stats);
    s->xs = NULL;
    s->xch = NULL;
    s->stats = NULL;
    spawn_cleanup(s, abort);
    s->done = true;
    s->status = 1;
}

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

/* ---- messages of the plug-in ---- */

/* The old one stays when the new one cannot be had. */
static int load_record(struct super *s, struct vr_err *err)
{
    static struct vr_record fresh;
    int rc = vr_record_load(s->uuid, &fresh, err);

    if (rc)
        return rc;
    if (strcmp(fresh.uuid, s->uuid)) {
        vr_err_set(err, "broker: the record of %s is about another guest",
                   s->uuid);
        return -EINVAL;
    }
    s->rec = fresh;
    return 0;
}

static void on_prepare(struct super *s)
{
    struct vr_err err;

    /* Whatever happens now, a plug-in that vanishes leaves us to clean up. */
    s->step = STEP_PREPARED;
    if (load_record(s, &err)) {
        super_refuse(s, err.text);
        return;
    }
    s->rec.broker = getpid();
    s->rec.broker_start = vr_proc_start(getpid());
    if (vr_record_save(&s->rec, &err)) {
        super_refuse(s, err.text);
        return;
    }
    broker_log("prepared for guest %s", s->rec.name);
    vr_link_send(s->link, 'O', NULL);
}

static int open_xen(struct super *s, struct vr_err *err)
{
    s->xch = xc_interface_open(NULL, NULL, 0);
    s->xs = xs_open(0);
    if (!s->xch || !s->xs) {
        vr_err_set(err,
                   "broker: cannot reach %s: %s; is this the toolstack's "
                   "domain, with xenstored running?",
                   s->xch ? "xenstore" : "the hypervisor", strerror(errno));
        return -EIO;
    }
    return 0;
}

/*
 * xenstored looks at each of its sockets for every request of anybody's: that
 * is what a guest that merely runs would cost the others. So its broker goes on
 * by way of the kernel, whose one connection all programs share. While xl
 * waits, the socket is faster.
 */
static void share_connection(struct super *s)
{
    static const char name[] = "XENSTORED_PATH"; /* libxenstore's */
    struct xs_handle *old = s->xs, *xs;
    struct vr_err err;

    if (getenv(name) || setenv(name, "/dev/xen/xenbus", 0))
        return;
    xs = xs_open(0);
    unsetenv(name);
    if (!xs)
        return;
    s->xs = xs;
    if (!backends_watch(s, &err)) {
        names_watch(s);
        xs_close(old);
        return;
    }
    broker_log("%s", err.text);
    xs_close(xs);
    s->xs = old;
}

static int start(struct super *s, struct vr_err *err)
{
    int rc;

    rc = load_record(s, err);
    if (rc)
        return rc;
    if (s->rec.domid == VR_DOMID_NONE || !s->rec.ndevs) {
        vr_err_set(err,
                   "broker: the record of %s names no domain or no "
                   "device yet",
                   s->rec.name);
        return -EINVAL;
    }
    s->stats = vr_stats_open(s->uuid, true);
    if (!s->stats) {
        vr_err_set(err, "broker: cannot make %s/%s.stats: %s", VR_RUN_DIR,
                   s->uuid, strerror(errno));
        return -errno;
    }
    s->stats->ndevs = s->rec.ndevs;
    rc = spawn_worker(s, err);
    if (rc)
        return rc;
    rc = open_xen(s, err);
    if (!rc)
        rc = pools_start(s, err);
    if (rc)
        return rc;
    s->started = vr_now_ms();
    names_watch(s);
    return 0;
}

static void on_start(struct super *s)
{
    struct vr_err err;

    if (s->step != STEP_PREPARED) {
        super_refuse(
            s, "broker: the plug-in said 'S' out of turn; install matching "
               "versions of both");
        return;
    }
    s->step = STEP_STARTING;
    if (start(s, &err))
        super_refuse(s, err.text);
    else
        domains_check(s);
}

static void on_commit(struct super *s)
{
    struct vr_err err;

    if (s->step != STEP_READY) {
        super_refuse(
            s, "broker: the plug-in said 'C' out of turn; install matching "
               "versions of both");
        return;
    }
    /* The plug-in had its turn: what it wrote since is not to be lost. */
    if (load_record(s, &err))
        broker_log("%s", err.text);
    s->rec.phase = VR_PHASE_RUNNING;
    if (vr_record_save(&s->rec, &err))
        broker_log("%s", err.text);
    s->step = STEP_RUNNING;
    broker_log("the guest may run");
    vr_link_send(s->link, 'O', NULL);
    close(s->link);
    s->link = -1;
    share_connection(s);
    names_check(s);
    scope_leave(s);
    domains_check(s);
}

/*
 * xl ended before it said 'P': no domain was made, the record is all there is.
 * An xl that lives has removed it, or will.
 */
static void never_begun(struct super *s)
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    unsigned int i;

    s->done = true;
    /* A process closes its files some time before it is gone. */
    for (i = 0; i < 20; i++) {
        if (load_record(s, NULL) || s->rec.broker ||
            s->rec.phase != VR_PHASE_CREATING)
            return;
        if (vr_proc_start(s->rec.creator) != s->rec.creator_start) {
            vr_record_remove(s->uuid);
            return;
        }
        nanosleep(&step, NULL);
    }
}

static void on_link(struct super *s)
{
    char type, text[VR_LINK_MAX + 1];
    int rc = vr_link_recv(s->link, 0, &type, text);

    if (rc == -ETIMEDOUT)
        return;
    if (rc) {
        if (s->step == STEP_IDLE) {
            never_begun(s);
            return;
        }
        broker_log("the plug-in is gone before the guest was complete: "
                   "undoing everything");
        super_cleanup(s, true);
        return;
    }
    if ((type == 'P' || type == 'S') && strcmp(text, s->uuid)) {
        super_refuse(s,
                     "broker: asked to serve another guest than the one it was "
                     "started for");
        return;
    }
    switch (type) {
    case 'P':
        on_prepare(s);
        break;
    case 'S':
        on_start(s);
        break;
    case 'C':
        on_commit(s);
        break;
    case 'A':
        broker_log("xl gives up: undoing everything");
        super_cleanup(s, true);
        break;
    default:
        super_refuse(s, "broker: the plug-in sent an unknown message; install "
                        "matching versions of both");
    }
}

/* ---- signals, xenstore, the loop ---- */

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

    /* Bounded: see process_messages(). */
    for (n = 0; n < 256 && (w = xs_check_watch(s->xs)); n++) {
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

int super_time_left(const struct super *s)
{
    int64_t next = s->tick, now = vr_now_ms();

    if (backends_deadline(s) < next)
        next = backends_deadline(s);
    if (s->look && s->look_at < next)
        next = s->look_at;
    if (s->ending_at && s->ending_at < next)
        next = s->ending_at;
    if (s->stats_at && s->stats_at < next)
        next = s->stats_at;
    if (s->step == STEP_IDLE)
        return -1;
    return next > now ? (int)(next - now) : 0;
}

void super_serve(struct super *s, const bool ready[READY])
{
    const int sock = s->sock;
    int64_t now;

    if (ready[READY_SIGNAL])
        on_signal(s);
    if (!s->done && ready[READY_LINK])
        on_link(s);
    if (!s->done && ready[READY_WORKER] && s->sock == sock)
        process_messages(s);
    if (!s->done && ready[READY_XENSTORE] && s->xs)
        on_xenstore(s);
    now = vr_now_ms();
    if (!s->done && backends_deadline(s) <= now)
        backends_timeout(s);
    if (!s->done && s->look && s->look_at <= now)
        look(s);
    if (!s->done && s->ending_at && s->ending_at <= now)
        domains_check(s);
    if (!s->done && s->stats_at && s->stats_at <= now)
        look_stats(s);
    if (!s->done && s->tick <= now)
        tick(s);
}

static void turn(struct super *s)
{
    struct pollfd p[READY] = {
        [READY_LINK] = {.fd = s->link, .events = POLLIN},
        [READY_SIGNAL] = {.fd = s->sig, .events = POLLIN},
        [READY_WORKER] = {.fd = s->sock, .events = POLLIN},
        [READY_XENSTORE] = {.fd = s->xs ? xs_fileno(s->xs) : -1,
                            .events = POLLIN},
    };
    bool ready[READY];
    unsigned int i;

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

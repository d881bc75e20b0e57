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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "link.h"
#include "xen/compat.h"
#include "xen/store.h"

#define TICK_MS 5000
/* A backend may change its nodes, and a worker that its guest has taken over
 * may send messages, as fast as they like: so often do we look. */
#define LOOK_MS    100
#define CHANGED_MS 500

enum step {
    STEP_IDLE,     /* nothing is known yet */
    STEP_PREPARED, /* after 'P' */
    STEP_STARTING, /* after 'S': the plug-in waits for an answer */
    STEP_FAILED,   /* 'E' was said: the plug-in decides */
    STEP_READY,    /* 'O' was said: waiting for 'C' */
    STEP_RUNNING,  /* after 'C' */
};

struct sdev {
    bool has_page; /* gref and port are known */
    uint32_t gref, port;
    bool connected; /* the worker has found a valid description */
    bool gone;      /* the driver domain is */
    enum vr_xbstate backend;
    enum vr_fail shown;
    struct vr_stats_dev last; /* as published */
    int64_t changed_at;       /* when the worker was last listened to */
};

struct super {
    const char *uuid;
    enum step step;
    int link, sig, sock;
    pid_t worker; /* 0: none */
    struct vr_record rec;
    struct vr_stats *stats;
    struct xs_handle *xs;
    xc_interface *xch;
    bool published;
    int64_t deadline; /* STEP_STARTING */
    int64_t tick;
    bool look; /* at the backends' nodes, not before look_at */
    int64_t look_at;
    struct sdev dev[VR_MAX_DEVICES];
    /* Set when the program is to end. */
    bool done;
    int status;
};

static const char *dev_id(const struct super *s, unsigned int i)
{
    return s->rec.devs[i].cfg.id;
}

static const struct vr_record_driver *dev_driver(const struct super *s,
                                                 unsigned int i)
{
    return &s->rec.drivers[s->rec.devs[i].driver];
}

/* ---- answers to the plug-in ---- */

static void refuse(struct super *s, const char *text)
{
    broker_log("cannot start: %s", text);
    if (s->step == STEP_STARTING || s->step == STEP_PREPARED ||
        s->step == STEP_IDLE)
        s->step = STEP_FAILED;
    vr_link_send(s->link, 'E', text);
}

static void refuse_err(struct super *s, const struct vr_err *err)
{
    refuse(s, err->text);
}

/* ---- the worker ---- */

static void reap(struct super *s, int options)
{
    int status;
    pid_t pid;

    if (!s->worker)
        return;
    do {
        pid = waitpid(s->worker, &status, options);
    } while (pid < 0 && errno == EINTR);
    if (pid != s->worker)
        return;
    if (WIFSIGNALED(status))
        broker_log("worker %d killed by signal %d", (int)pid, WTERMSIG(status));
    else
        broker_log("worker %d ended with status %d", (int)pid,
                   WEXITSTATUS(status));
    s->worker = 0;
}

static void stop_worker(struct super *s)
{
    if (s->worker)
        kill(s->worker, SIGKILL);
    reap(s, 0);
    if (s->sock >= 0)
        close(s->sock);
    s->sock = -1;
}

static int start_worker(struct super *s, struct vr_err *err)
{
    int pair[2];
    pid_t pid;

    if (mkdir(VR_EMPTY_DIR, 0755) && errno != EEXIST) {
        vr_err_set(err, "broker: cannot make %s: %s", VR_EMPTY_DIR,
                   strerror(errno));
        return -errno;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        vr_err_set(err, "broker: socketpair: %s", strerror(errno));
        return -errno;
    }
    pid = fork();
    if (pid < 0) {
        vr_err_set(err, "broker: fork: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return -errno;
    }
    if (!pid) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        close(s->sig);
        close(s->link);
        close(pair[0]);
        worker_run(&s->rec, s->stats, pair[1]);
    }
    close(pair[1]);
    s->sock = pair[0];
    s->worker = pid;
    return 0;
}

/* Without its worker the guest hangs at its next access to a device. */
static void worker_lost(struct super *s)
{
    unsigned int i;

    reap(s, WNOHANG);
    close(s->sock);
    s->sock = -1;
    if (s->step == STEP_STARTING) {
        refuse(s, "the broker's worker ended unexpectedly; see its log in "
                  "/var/log/xen");
        return;
    }
    if (!s->published) /* nor is xenstore open, perhaps */
        return;
    broker_log("the worker is gone: the guest's devices are dead, destroy it");
    for (i = 0; i < s->rec.ndevs; i++)
        vr_store_state(s->xs, &s->rec, i, "failed",
                       "the broker's worker died: destroy the guest and "
                       "create it again; see /var/log/xen/vr-broker-*.log");
}

/* ---- the end ---- */

/*
 * vrctl takes our place, process number included: whoever waits for the
 * broker's end waits for the end of the clean-up. In an abort the link stays
 * open for as long.
 */
static void cleanup(struct super *s, bool abort)
{
    sigset_t none;

    stop_worker(s);
    if (s->xs)
        xs_close(s->xs);
    if (s->xch)
        xc_interface_close(s->xch);
    vr_stats_close(s->stats);
    s->xs = NULL;
    s->xch = NULL;
    s->stats = NULL;
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (abort)
        execl(VR_SBINDIR "/vrctl", "vrctl", "cleanup", "--abort", s->uuid,
              (char *)NULL);
    else
        execl(VR_SBINDIR "/vrctl", "vrctl", "cleanup", s->uuid, (char *)NULL);
    broker_log("cannot run %s: %s; run `vrctl cleanup %s`", VR_SBINDIR "/vrctl",
               strerror(errno), s->uuid);
    s->done = true;
    s->status = 1;
}

static void guest_gone(struct super *s, const char *how)
{
    broker_log("guest %s (%" PRIu32 ") is %s", s->rec.name, s->rec.domid, how);
    if (s->step == STEP_RUNNING)
        cleanup(s, false);
    else if (s->step == STEP_STARTING)
        refuse(s, "the guest has gone while its devices were starting");
    /* Else the plug-in is there and says what is to be done. */
}

/* ---- domains ---- */

static bool same_uuid(const char *text, const xen_domain_handle_t handle)
{
    char buf[VR_UUID_LEN + 1];
    const uint8_t *u = handle;

    snprintf(buf, sizeof(buf),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
             "%02x%02x%02x%02x%02x%02x",
             u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
             u[11], u[12], u[13], u[14], u[15]);
    return !strcmp(text, buf);
}

/*
 * NULL when domain @domid exists, is @uuid and lives. @shutdown: false when a
 * domain that has shut down, but was not destroyed, counts as alive.
 */
static const char *domain_lost(struct super *s, uint32_t domid,
                               const char *uuid, bool shutdown)
{
    xc_domaininfo_t info;
    int rc = vr_domain_info(s->xch, domid, &info);

    if (rc == -ESRCH)
        return "gone";
    if (rc) {
        broker_log("domain %" PRIu32 ": %s", domid, strerror(-rc));
        return NULL;
    }
    if (!same_uuid(uuid, info.handle))
        return "gone";
    if (info.flags & XEN_DOMINF_dying)
        return "dying";
    if (shutdown && info.flags & XEN_DOMINF_shutdown) {
        unsigned int why =
            (info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;

        return why == SHUTDOWN_crash ? "crashed" : "shut down";
    }
    return NULL;
}

static void driver_gone(struct super *s, unsigned int j, const char *how)
{
    struct vr_msg msg = {.type = VR_MSG_GONE};
    struct vr_err err;
    unsigned int i;

    vr_err_set(&err,
               "driver domain %s (%" PRIu32 ") is %s: the guest's requests "
               "wait; see its console's log, destroy the guest and create it "
               "again",
               s->rec.drivers[j].name, s->rec.drivers[j].domid, how);
    for (i = 0; i < s->rec.ndevs; i++) {
        if (s->rec.devs[i].driver != j || s->dev[i].gone)
            continue;
        s->dev[i].gone = true;
        broker_log("device %s: %s", dev_id(s, i), err.text);
        if (s->step == STEP_STARTING) {
            struct vr_err why;

            vr_err_set(&why,
                       "device %s: driver domain %s (%" PRIu32 ") is %s; see "
                       "its console's log in /var/log/xen/console",
                       dev_id(s, i), s->rec.drivers[j].name,
                       s->rec.drivers[j].domid, how);
            refuse_err(s, &why);
            return;
        }
        msg.dev = i;
        if (s->sock >= 0)
            broker_msg_send(s->sock, &msg);
        if (s->published)
            vr_store_state(s->xs, &s->rec, i, "failed", err.text);
    }
}

static void check_domains(struct super *s)
{
    const char *how;
    unsigned int j;

    if (!s->xch)
        return;
    /* xl decides what becomes of a guest that has shut down. */
    how = domain_lost(s, s->rec.domid, s->rec.uuid, false);
    if (how) {
        guest_gone(s, how);
        return;
    }
    for (j = 0; j < s->rec.ndrivers; j++) {
        const struct vr_record_driver *d = &s->rec.drivers[j];

        how = domain_lost(s, d->domid, d->uuid, true);
        if (how)
            driver_gone(s, j, how);
    }
}

/* ---- backends ---- */

static bool backend_refused(struct super *s, unsigned int i, const char *why)
{
    struct vr_err err;

    if (s->dev[i].backend != VR_XB_CLOSING && s->dev[i].backend != VR_XB_CLOSED)
        return false;
    vr_err_set(&err, "device %s: driver domain %s: %s", dev_id(s, i),
               dev_driver(s, i)->name,
               why[0] ? why
                      : "the backend closed without giving a reason; "
                        "see the domain's console");
    refuse_err(s, &err);
    return true;
}

static void all_connected(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++)
        if (s->dev[i].backend != VR_XB_CONNECTED || !s->dev[i].connected)
            return;
    s->rec.phase = VR_PHASE_READY;
    s->rec.broker = getpid();
    s->rec.broker_start = vr_proc_start(getpid());
    if (vr_record_save(&s->rec, &err)) {
        refuse_err(s, &err);
        return;
    }
    for (i = 0; i < s->rec.ndevs; i++)
        vr_store_state(s->xs, &s->rec, i, "connected", "");
    s->step = STEP_READY;
    broker_log("all %u devices are connected", s->rec.ndevs);
    vr_link_send(s->link, 'O', NULL);
}

/* A backend's state node has changed, perhaps. */
static void check_backend(struct super *s, unsigned int i)
{
    struct sdev *d = &s->dev[i];
    enum vr_xbstate last = d->backend;
    char why[256];

    if (!s->published || d->gone)
        return;
    d->backend = vr_store_backend_state(s->xs, &s->rec, i, why, sizeof(why));
    if (d->backend == last)
        return;
    broker_log("device %s: backend's state %d -> %d%s%s", dev_id(s, i), last,
               d->backend, why[0] ? ": " : "", why);
    if (s->step == STEP_STARTING) {
        if (!backend_refused(s, i, why))
            all_connected(s);
        return;
    }
    if (s->step != STEP_READY && s->step != STEP_RUNNING)
        return;
    if (d->backend == VR_XB_CONNECTED && d->shown == VR_FAIL_NONE)
        vr_store_state(s->xs, &s->rec, i, "connected", "");
    else if (d->backend != VR_XB_CONNECTED)
        vr_store_state(s->xs, &s->rec, i, "waiting",
                       why[0] ? why
                              : "the backend is not connected: the guest's "
                                "requests wait for it");
}

static int publish(struct super *s, struct vr_err *err)
{
    unsigned int i;
    int rc;

    for (i = 0; i < s->rec.ndevs; i++) {
        const struct vr_record_driver *drv = dev_driver(s, i);
        char path[VR_XS_PATH], token[16];

        rc = vr_store_publish(s->xs, &s->rec, i, s->dev[i].gref, s->dev[i].port,
                              err);
        if (rc)
            return rc;
        snprintf(token, sizeof(token), "b%u", i);
        vr_xs_backend(path, drv->domid, s->rec.domid, dev_id(s, i), "state");
        if (!xs_watch(s->xs, path, token)) {
            vr_err_set(err, "device %s: xenstore: cannot watch %s: %s",
                       dev_id(s, i), path, strerror(errno));
            return -EIO;
        }
    }
    s->published = true;
    return 0;
}

/* Whose answer is still missing, for the person who waits for it. */
static void start_timeout(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    for (i = 0; i < s->rec.ndevs; i++) {
        const struct sdev *d = &s->dev[i];
        const struct vr_record_driver *drv = dev_driver(s, i);

        if (d->backend == VR_XB_CONNECTED && d->connected)
            continue;
        vr_err_set(&err,
                   "device %s: driver domain %s (%" PRIu32 ") did not connect "
                   "within %u s (backend state %d, control page %s): see "
                   "whether vr-backend runs there "
                   "(/var/log/xen/console/guest-%s.log), or raise timeout=",
                   dev_id(s, i), drv->name, drv->domid,
                   s->rec.devs[i].cfg.timeout, d->backend,
                   d->connected ? "ready" : "not ready", drv->name);
        refuse_err(s, &err);
        return;
    }
}

/* ---- statistics ---- */

static void show_failure(struct super *s, unsigned int i, enum vr_fail fail)
{
    struct sdev *d = &s->dev[i];

    if (fail == d->shown)
        return;
    d->shown = fail;
    broker_log("device %s: %s", dev_id(s, i), vr_fail_text(fail));
    if (d->gone) /* said already, and better */
        return;
    vr_store_state(s->xs, &s->rec, i,
                   fail == VR_FAIL_NONE     ? "connected"
                   : fail == VR_FAIL_SILENT ? "waiting"
                                            : "failed",
                   fail == VR_FAIL_NONE ? "" : vr_fail_text(fail));
}

static void publish_stats(struct super *s, unsigned int i)
{
    struct vr_stats_dev now;

    if (!s->stats || !s->published)
        return;
    /* One copy: the worker may be writing, or lying. */
    memcpy(&now, &s->stats->dev[i], sizeof(now));
    show_failure(s, i, vr_stats_why(&now));
    if (!memcmp(&now, &s->dev[i].last, sizeof(now)))
        return;
    s->dev[i].last = now;
    vr_store_counters(s->xs, &s->rec, i, &now);
}

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
    cleanup(s, true);
}

static void tick(struct super *s)
{
    unsigned int i;

    s->tick = broker_now_ms() + TICK_MS;
    check_creator(s);
    if (s->done || (s->step != STEP_READY && s->step != STEP_RUNNING))
        return;
    if (s->stats && s->worker)
        s->stats->worker_rss_kib = rss_kib(s->worker);
    for (i = 0; i < s->rec.ndevs; i++)
        publish_stats(s, i);
    check_domains(s);
}

/* ---- messages of the worker ---- */

static void worker_serving(struct super *s)
{
    struct vr_err err;
    unsigned int i;

    if (s->step != STEP_STARTING || s->published)
        return;
    for (i = 0; i < s->rec.ndevs; i++) {
        if (!s->dev[i].has_page) {
            refuse(s, "the broker's worker has forgotten a device");
            return;
        }
    }
    if (publish(s, &err)) {
        refuse_err(s, &err);
        return;
    }
    for (i = 0; i < s->rec.ndevs && s->step == STEP_STARTING; i++)
        check_backend(s, i);
}

static void worker_message(struct super *s, const struct vr_msg *msg)
{
    char text[sizeof(msg->text)];
    struct vr_err err;
    struct sdev *d;
    int64_t now;

    switch (msg->type) {
    case VR_MSG_SERVING:
        worker_serving(s);
        return;
    case VR_MSG_ERROR:
        vr_xs_sanitise(text, sizeof(text), msg->text, strlen(msg->text));
        if (s->step == STEP_STARTING)
            refuse(s, text);
        else
            broker_log("worker: %s", text);
        return;
    }
    if (msg->dev >= s->rec.ndevs)
        return;
    d = &s->dev[msg->dev];
    switch (msg->type) {
    case VR_MSG_DEVICE:
        /* From the time before it dropped its privileges, and only then. */
        if (s->step != STEP_STARTING || s->published)
            return;
        d->has_page = true;
        d->gref = msg->gref;
        d->port = msg->port;
        return;
    case VR_MSG_CONNECTED:
        if (d->connected)
            return;
        d->connected = true;
        if (s->step == STEP_STARTING)
            all_connected(s);
        return;
    case VR_MSG_INVALID:
        vr_err_set(&err,
                   "device %s: driver domain %s describes a device that "
                   "cannot be: use a vr-backend of this version in it",
                   dev_id(s, msg->dev), dev_driver(s, msg->dev)->name);
        if (s->step == STEP_STARTING)
            refuse_err(s, &err);
        else
            broker_log("%s", err.text);
        return;
    case VR_MSG_CHANGED:
        now = broker_now_ms();
        if (now - d->changed_at < CHANGED_MS) /* the next tick's */
            return;
        d->changed_at = now;
        publish_stats(s, msg->dev);
        return;
    }
}

static void on_worker(struct super *s)
{
    struct vr_msg msg;
    unsigned int n;
    int rc;

    /* Bounded: a worker that chatters must not keep us from the rest. */
    for (n = 0; n < 64 && s->sock >= 0 && !s->done; n++) {
        rc = broker_msg_recv(s->sock, &msg);
        if (rc == -EAGAIN)
            return;
        if (rc == -EPROTO)
            continue;
        if (rc) {
            worker_lost(s);
            return;
        }
        worker_message(s, &msg);
    }
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
        refuse_err(s, &err);
        return;
    }
    s->rec.broker = getpid();
    s->rec.broker_start = vr_proc_start(getpid());
    if (vr_record_save(&s->rec, &err)) {
        refuse_err(s, &err);
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
    if (!xs_watch(s->xs, "@releaseDomain", "domains")) {
        vr_err_set(err, "broker: xenstore: cannot watch @releaseDomain: %s",
                   strerror(errno));
        return -EIO;
    }
    return 0;
}

static int start(struct super *s, struct vr_err *err)
{
    unsigned int i, timeout = 0;
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
    rc = start_worker(s, err);
    if (rc)
        return rc;
    rc = open_xen(s, err);
    if (rc)
        return rc;
    for (i = 0; i < s->rec.ndevs; i++)
        if (s->rec.devs[i].cfg.timeout > timeout)
            timeout = s->rec.devs[i].cfg.timeout;
    s->deadline = broker_now_ms() + (int64_t)timeout * 1000;
    return 0;
}

static void on_start(struct super *s)
{
    struct vr_err err;

    if (s->step != STEP_PREPARED) {
        refuse(s, "broker: the plug-in said 'S' out of turn; install matching "
                  "versions of both");
        return;
    }
    s->step = STEP_STARTING;
    if (start(s, &err))
        refuse_err(s, &err);
    else
        check_domains(s);
}

static void on_commit(struct super *s)
{
    struct vr_err err;

    if (s->step != STEP_READY) {
        refuse(s, "broker: the plug-in said 'C' out of turn; install matching "
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
    check_domains(s);
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
        cleanup(s, true);
        return;
    }
    if ((type == 'P' || type == 'S') && strcmp(text, s->uuid)) {
        refuse(s, "broker: asked to serve another guest than the one it was "
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
        cleanup(s, true);
        break;
    default:
        refuse(s, "broker: the plug-in sent an unknown message; install "
                  "matching versions of both");
    }
}

/* ---- signals, xenstore, the loop ---- */

static void on_signal(struct super *s)
{
    struct signalfd_siginfo info;

    if (read(s->sig, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD) {
        reap(s, WNOHANG); /* the socket's end says the rest */
        return;
    }
    broker_log("stopped by signal %u of process %u", info.ssi_signo,
               info.ssi_pid);
    stop_worker(s);
    s->done = true;
}

static void look(struct super *s)
{
    unsigned int i;

    s->look = false;
    s->look_at = broker_now_ms() + LOOK_MS;
    /* There are few backends; which one's watch it was does not matter. */
    for (i = 0; i < s->rec.ndevs; i++)
        check_backend(s, i);
}

static void on_xenstore(struct super *s)
{
    bool domains = false;
    unsigned int n;
    char **w;

    /* Bounded: see on_worker(). */
    for (n = 0; n < 256 && (w = xs_check_watch(s->xs)); n++) {
        if (w[XS_WATCH_TOKEN][0] == 'd')
            domains = true;
        else
            s->look = true;
        free(w);
    }
    /* While xl waits, each answer counts at once. */
    if (s->look && s->step == STEP_STARTING)
        look(s);
    if (domains)
        check_domains(s);
}

static int open_signals(struct super *s)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return -errno;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    s->sig = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->sig < 0 ? -errno : 0;
}

static int time_left(const struct super *s)
{
    int64_t next = s->tick, now = broker_now_ms();

    if (s->step == STEP_STARTING && s->deadline && s->deadline < next)
        next = s->deadline;
    if (s->look && s->look_at < next)
        next = s->look_at;
    if (s->step == STEP_IDLE)
        return -1;
    return next > now ? (int)(next - now) : 0;
}

static void serve(struct super *s)
{
    enum { LINK, SIGNAL, WORKER, XENSTORE, NFDS };
    struct pollfd p[NFDS] = {
        [LINK] = {.fd = s->link, .events = POLLIN},
        [SIGNAL] = {.fd = s->sig, .events = POLLIN},
        [WORKER] = {.fd = s->sock, .events = POLLIN},
        [XENSTORE] = {.fd = s->xs ? xs_fileno(s->xs) : -1, .events = POLLIN},
    };
    int64_t now;

    if (poll(p, NFDS, time_left(s)) < 0 && errno != EINTR) {
        broker_log("poll: %s", strerror(errno));
        s->done = true;
        s->status = 1;
        return;
    }
    if (p[SIGNAL].revents)
        on_signal(s);
    if (!s->done && p[LINK].revents)
        on_link(s);
    if (!s->done && p[WORKER].revents && s->sock == p[WORKER].fd)
        on_worker(s);
    if (!s->done && p[XENSTORE].revents && s->xs)
        on_xenstore(s);
    now = broker_now_ms();
    if (!s->done && s->step == STEP_STARTING && s->deadline &&
        s->deadline <= now)
        start_timeout(s);
    if (!s->done && s->look && s->look_at <= now)
        look(s);
    if (!s->done && s->tick <= now)
        tick(s);
}

int supervisor_run(const char *uuid)
{
    static struct super super; /* the record is too large for the stack */
    struct super *s = &super;

    s->uuid = uuid;
    s->link = VR_LINK_FD;
    s->sock = -1;
    s->tick = broker_now_ms() + TICK_MS;
    if (open_signals(s)) {
        broker_log("signals: %s", strerror(errno));
        return 1;
    }
    while (!s->done)
        serve(s);
    return s->status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a worker: its process, what it opens, what the loop asks of the
 * parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xengnttab.h>

#include "backend/memory/granter.h"
#include "bell.h"
#include "channel.h"
#include "loop.h"
#include "backend/memory/poolmap.h"
#include "backend/sandbox.h"
#include "backend/say.h"
#include "worker.h"

#define LOCK_STEP_US 5000
#define LOCK_TRIES   100
/* Below the broker's PING_MS, so that each ping brings a look. */
#define LOOK_MS 4000
#define NICE    5

struct worker {
    const struct vr_xs_dev *dev;
    int sock;
    struct vr_grants grants; /* of both kinds of window */
    struct vr_window win;    /* the pool: mapped here */
    struct vr_dynmem mem;    /* the dynamic window */
    struct vr_ctrl_page *page;
    const struct vr_serve *serve;
    void *source; /* of the type: what the device is about */
    struct vr_channel channel;
    int wake_fd;
};

static void tell(struct worker *w, char what, const char *text)
{
    char msg[VR_WORKER_MSG_MAX];
    int n = snprintf(msg, sizeof(msg), "%c%s", what, text);

    if (n >= (int)sizeof(msg))
        n = sizeof(msg) - 1;
    /* A parent that is gone is noticed by the loop; SIGPIPE is ignored.
     * write(): the system call filter has no send(). */
    if (write(w->sock, msg, n) < 0)
        return;
}

/* ---- Xen ---- */

static void place_pool(struct worker *w, void *va)
{
    w->win.va = va;
    if (vr_cfg_has_iova(&w->dev->cfg))
        vr_dynmem_pool(&w->mem, &w->dev->pool, va);
}

/* Nothing of the guest is mapped before it has started the device, and of the
 * dynamic window nothing before it has set up a queue. */
static void open_windows(struct worker *w)
{
    const struct vr_xs_dev *dev = w->dev;

    if (vr_cfg_has_iova(&dev->cfg))
        vr_dynmem_init(&w->mem, &dev->iova, &vr_grants_ops, &w->grants);
    if (vr_cfg_has_pool(&dev->cfg)) {
        w->win.base = dev->pool.base;
        w->win.size = dev->pool.size;
        place_pool(w, NULL);
    }
}

/* Before anything of the guest's or the broker's is mapped, which the granter
 * would have as well. */
static int open_grants(struct worker *w, bool sandbox, struct vr_err *err)
{
    const struct vr_xs_dev *dev = w->dev;
    size_t local =
        vr_cfg_has_iova(&dev->cfg)
            ? vr_loop_local(w->serve, dev->cfg.queues, dev->cfg.queue_size)
            : 0;
    int fd, rc;

    fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        rc = -errno;
        vr_err_set(err,
                   "/dev/xen/gntdev cannot be opened: %s (module "
                   "xen-gntdev? owner?)",
                   strerror(errno));
        return rc;
    }
    rc = vr_grants_open(&w->grants, &dev->pool, &dev->iova, fd, local);
    if (rc) {
        vr_err_set(err, "no memory to share with the granter: %s",
                   strerror(-rc));
        return rc;
    }
    return vr_granter_start(&w->grants, dev, w->sock, sandbox, err);
}

static int map_control_page(struct worker *w, struct vr_err *err)
{
    const struct vr_xs_dev *dev = w->dev;
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    int rc;

    if (gt)
        w->page = xengnttab_map_grant_ref(gt, dev->ctrl_domid, dev->ctrl_gref,
                                          PROT_READ | PROT_WRITE);
    if (!w->page) {
        rc = -errno;
        vr_err_set(err,
                   "control page, grant %u of domain %u, cannot be "
                   "mapped: %s",
                   dev->ctrl_gref, dev->ctrl_domid, strerror(errno));
        return rc;
    }
    /* It stays mapped. */
    xengnttab_close(gt);
    rc = vr_ctrl_check(w->page);
    if (rc)
        vr_err_set(err,
                   "control page is not version %u: broker and backend "
                   "have to be of one release",
                   VR_CTRL_VERSION);
    return rc;
}

static int open_xen(struct worker *w, bool sandbox, struct vr_err *err)
{
    const struct vr_xs_dev *dev = w->dev;
    int rc;

    rc = open_grants(w, sandbox, err);
    if (rc)
        return rc;
    rc = map_control_page(w, err);
    if (rc)
        return rc;
    rc = vr_channel_open(&w->channel, dev, &w->wake_fd, err);
    if (!rc)
        rc = vr_channel_wake_for(&w->channel, w->sock, err);
    if (rc)
        return rc;
    open_windows(w);
    return 0;
}

static void loop_log(void *ctx, const char *text)
{
    struct worker *w = ctx;

    vr_log(w->dev->guest, w->dev->cfg.id, "%s", text);
}

static void loop_note(void *ctx, const char *text)
{
    tell(ctx, VR_WORKER_NOTE, text);
}

static int loop_map_pool(void *ctx, struct vr_err *err)
{
    struct worker *w = ctx;
    const struct vr_gwin *pool = &w->dev->pool;
    void *va;
    int rc;

    if (!pool->size)
        return 0;
    rc = vr_poolmap(&vr_grants_ops, &w->grants, pool, w->dev->guest, &va, err);
    if (rc)
        return rc;
    /* The guest's data is not ours to dump. */
    madvise(va, pool->size, MADV_DONTDUMP);
    place_pool(w, va);
    return 0;
}

static void loop_unmap_pool(void *ctx)
{
    struct worker *w = ctx;

    if (!w->win.va)
        return;
    vr_grants_ops.unmap(&w->grants, w->win.va, vr_gwin_pages(&w->dev->pool));
    vr_grants_ops.settle(&w->grants);
    place_pool(w, NULL);
}

static const struct vr_dev_ops loop_ops = {
    .log = loop_log,
    .note = loop_note,
    .map_pool = loop_map_pool,
    .unmap_pool = loop_unmap_pool,
};

/* ---- the process ---- */

/* Should memory run out, this goes before anything else of the domain; and what
 * restarts it, or kills it when the toolstack asks, has the processor first. */
static void step_back(void)
{
    int fd;

    /* Who became another user does not own these files, until it says so. */
    prctl(PR_SET_DUMPABLE, 1);
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "1000", 4) < 0)
            vr_log(0, NULL, "oom_score_adj: %s", strerror(errno));
        close(fd);
    }
    setpriority(PRIO_PROCESS, 0, NICE);
}

static void prepare_process(void)
{
    static const int quiet[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
    struct sigaction sa = {.sa_handler = SIG_IGN};
    sigset_t none;
    unsigned int i;

    /* The parent ends us by closing the socket; should it be killed, nobody
     * would watch us any more. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "vr-worker");
    for (i = 0; i < VR_ARRAY_SIZE(quiet); i++)
        sigaction(quiet[i], &sa, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    step_back();
}

static bool worth_waiting(int rc)
{
    /* A disk that is still to appear, to be filled, or to be given to our
     * user; a former worker still to go. */
    return rc == -ENOENT || rc == -ENXIO || rc == -ENODEV || rc == -EBUSY ||
           rc == -ENOMEDIUM || rc == -EACCES;
}

static const char *windows_text(const struct vr_xs_dev *dev, char *buf,
                                size_t size)
{
    const struct vr_gwin *win[] = {&dev->pool, &dev->iova};
    size_t used = 0;
    unsigned int i;

    buf[0] = '\0';
    for (i = 0; i < VR_ARRAY_SIZE(win); i++) {
        if (!win[i]->size || used >= size)
            continue;
        used += (size_t)snprintf(buf + used, size - used,
                                 "%s%s window of %llu KiB at 0x%llx",
                                 used ? ", " : "", vr_window_name(i),
                                 (unsigned long long)(win[i]->size >> 10),
                                 (unsigned long long)win[i]->base);
    }
    return buf;
}

/* By the words of the nodes. Ends the process if that cannot be. */
static void open_source(struct worker *w, const struct vr_worker_opts *opts)
{
    const struct vr_dev_cfg *c = &w->dev->cfg;
    unsigned int tries = LOCK_TRIES;
    struct vr_io_opts io = opts->io;
    struct vr_err err;
    int rc;

    io.guest = w->dev->guest;
    w->serve = vr_serve_find(c->type);
    if (!w->serve) {
        tell(w, VR_WORKER_FAILED, "the backend has no such type of device");
        _exit(1);
    }
    do {
        /* The kernel lets go of a former worker's ring, and with it of the
         * lock, a moment after the process is gone. */
        rc = w->serve->open(&w->source, c, &io, &err);
    } while (rc == -EBUSY && tries-- && !usleep(LOCK_STEP_US));
    if (rc) {
        tell(w, worth_waiting(rc) ? VR_WORKER_WAIT : VR_WORKER_FAILED,
             err.text);
        _exit(1);
    }
    /* Whom this process serves has no business with that one. */
    if (io.keeper >= 0)
        close(io.keeper);
}

static int make_loop(struct worker *w, struct vr_loop **loop,
                     struct vr_err *err)
{
    const struct vr_dev_cfg *c = &w->dev->cfg;
    bool dynamic = vr_cfg_has_iova(c);
    const struct vr_dev_setup setup = {
        .serve = w->serve,
        .source = w->source,
        .win = dynamic ? &w->mem.window : &w->win,
        .mem = dynamic ? &w->mem : NULL,
        .map_threshold = c->map_threshold,
        .page = w->page,
        .ops = &loop_ops,
        .ctx = w,
        .bells = vr_bells,
        .channel = &vr_channel_ops,
        .channel_state = &w->channel,
        .wake_fd = w->wake_fd,
        .stop_fd = w->sock,
        .queues = c->queues,
        .queue_size = c->queue_size,
        .poll_us = c->poll_us,
        .look_ms = LOOK_MS,
    };

    if (w->page->req.run || w->page->counters.requests)
        w->page->counters.restarts++;
    return vr_loop_new(loop, &setup, err);
}

static int lock_in(const struct worker *w, struct vr_err *err)
{
    return vr_sandbox_worker(&w->serve->calls, w->grants.fd, w->wake_fd, 0,
                             err);
}

static void say_connected(struct worker *w, struct vr_loop *loop)
{
    char what[128], windows[128], text[VR_WORKER_MSG_MAX];
    const char *target = w->dev->cfg.target;

    w->serve->show(vr_loop_dev(loop), what, sizeof(what));
    snprintf(text, sizeof(text), "serves %.110s%s%s, %s", target,
             target[0] ? ", " : "", what,
             windows_text(w->dev, windows, sizeof(windows)));
    tell(w, VR_WORKER_CONNECTED, text);
    vr_channel_ops.tell(&w->channel);
}

void vr_worker_main(const struct vr_xs_dev *dev, int sock,
                    const struct vr_worker_opts *opts)
{
    static struct worker w; /* too large for a stack */
    struct vr_err err = {"out of memory"};
    struct vr_loop *loop;
    int rc;

    w.dev = dev;
    w.sock = sock;
    prepare_process();
    open_source(&w, opts);
    rc = open_xen(&w, !opts->no_sandbox, &err);
    if (rc == -EBUSY) {
        tell(&w, VR_WORKER_WAIT, err.text);
        _exit(1);
    }
    if (!rc)
        rc = make_loop(&w, &loop, &err);
    if (!rc && !opts->no_sandbox)
        rc = lock_in(&w, &err);
    if (rc) {
        tell(&w, VR_WORKER_FAILED, err.text);
        _exit(1);
    }
    say_connected(&w, loop);
    vr_loop_run(loop);
    /* The kernel unmaps and unbinds; what is under way has ended. */
    _exit(0);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The granter: its start, by the worker, and its life. It may use gntdev, and
 * memory that the worker reads and writes. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "futex.h"
#include "gntdev.h"
#include "granter.h"
#include "backend/sandbox.h"
#include "backend/say.h"

void vr_granter_run(struct vr_grantserver *s, struct vr_grantreq *req)
{
    uint32_t turn = 0;

    for (;;) {
        uint32_t asked = __atomic_load_n(&req->asked, __ATOMIC_ACQUIRE);

        if (asked == turn) {
            vr_futex_wait(&req->asked, turn);
            continue;
        }
        vr_grantreq_serve(s, req);
        turn = asked;
        __atomic_store_n(&req->done, turn, __ATOMIC_RELEASE);
        vr_futex_wake(&req->done);
    }
}

/* The worker's other descriptors are not ours. */
static int close_others(int a, int b)
{
    int keep[] = {STDERR_FILENO, a < b ? a : b, a < b ? b : a};
    unsigned int i, from = 0;

    for (i = 0; i < VR_ARRAY_SIZE(keep); i++) {
        if (keep[i] > (int)from && close_range(from, keep[i] - 1, 0))
            return -errno;
        from = keep[i] + 1;
    }
    return close_range(from, ~0u, 0) ? -errno : 0;
}

static void child(struct vr_grants *g, const struct vr_xs_dev *dev, int keep,
                  bool sandbox, pid_t worker)
{
    static struct vr_grantserver s; /* too large for a stack */
    static struct vr_gntdev gntdev;
    struct vr_err err = {"out of memory"};
    int rc;

    prctl(PR_SET_NAME, "vr-granter");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != worker)
        _exit(1);
    signal(SIGCHLD, SIG_DFL);
    s.pool = dev->pool;
    s.iova = dev->iova;
    s.arena = g->arena;
    s.arena_size = g->arena_size;
    s.max_refs = g->max_refs;
    s.max_pages = g->max_pages;
    s.ops = &vr_gntdev_ops;
    s.ctx = &gntdev;
    s.refs = calloc(g->max_refs, sizeof(*s.refs));
    rc = s.refs ? 0 : -ENOMEM;
    if (!rc)
        rc = vr_gntdev_init(&gntdev, g->fd, dev->guest, g->max_refs);
    if (!rc) {
        rc = close_others(g->fd, keep);
        if (rc)
            vr_err_set(&err, "close_range (Linux 5.9): %s", strerror(-rc));
    }
    if (!rc && sandbox)
        rc = vr_sandbox_granter(g->fd, &err);
    if (rc) {
        vr_log(dev->guest, dev->cfg.id, "granter: %s", err.text);
        _exit(1);
    }
    vr_granter_run(&s, g->req);
}

/* Without it nothing can be done, and what it had registered is gone. */
static void died(int sig)
{
    static const char text[] = "vr-backend: a worker's granter died\n";

    (void)sig;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(2);
    _exit(1);
}

int vr_granter_start(struct vr_grants *g, const struct vr_xs_dev *dev, int keep,
                     bool sandbox, struct vr_err *err)
{
    struct sigaction sa = {.sa_handler = died, .sa_flags = SA_NOCLDSTOP};
    pid_t self = getpid(), pid;
    int rc = 0;

    sigaction(SIGCHLD, &sa, NULL);
    pid = fork();
    if (pid < 0) {
        rc = -errno;
        vr_err_set(err, "no process for the device's grants: %s",
                   strerror(errno));
        return rc;
    }
    if (!pid)
        child(g, dev, keep, sandbox, self);
    /* A request for nothing: answered once it is locked in. */
    return vr_grants_ask(g);
}

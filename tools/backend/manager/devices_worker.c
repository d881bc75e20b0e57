/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of each device's worker: its start, what it says, its end, and when
 * there is to be another one. For devices.c and devices_store.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices_int.h"

/* In milliseconds. */
#define BACKOFF_MIN 100
#define BACKOFF_MAX 10000
#define STABLE      60000 /* a worker that lived so long starts afresh */
#define MAX_STARTS  5     /* deaths before it ever connected */
#define WAIT_STEP   250   /* a target that is not there: look again */
#define LEAVE_LIMIT 2000  /* I/O of a dead worker: longer is worth a line */
#define HELLO_LIMIT 10000 /* a start that takes longer is, too */

void devices_worker_start(struct devices *ds, struct device *d)
{
    struct device *o;
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        devices_fail(ds, d, "cannot make a socket pair");
        return;
    }
    pid = fork();
    if (pid < 0) {
        close(pair[0]);
        close(pair[1]);
        devices_fail(ds, d, "cannot start a process for the device");
        return;
    }
    if (!pid) {
        /* Another worker must see its socket close when the parent's end
         * does: no copy of it may live here. */
        for (o = ds->list; o; o = o->next) {
            if (o->sock >= 0)
                close(o->sock);
        }
        close(pair[0]);
        close(ds->sigfd);
        xs_daemon_destroy_postfork(ds->xs);
        vr_worker_main(&d->dev, pair[1], ds->opts);
    }
    close(pair[1]);
    d->sock = pair[0];
    d->pid = pid;
    d->state = DEV_RUNNING;
    d->stable = d->killed = d->late = false;
    d->report = 0;
    d->started = ds->now;
    d->when = in(ds, HELLO_LIMIT);
    d->starts++;
}

void devices_worker_stop(struct devices *ds, struct device *d)
{
    if (d->state != DEV_RUNNING)
        return;
    /* That is the order to end. */
    close(d->sock);
    d->sock = -1;
    d->state = DEV_STOPPING;
    d->when = ds->now + STOP_LIMIT;
}

void devices_worker_kill(struct devices *ds, struct device *d)
{
    if (d->state != DEV_RUNNING && d->state != DEV_STOPPING)
        return;
    kill(d->pid, SIGKILL);
    vr_log(d->guest, d->id, "worker %d killed: the toolstack asks for it",
           d->pid);
    d->killed = true;
    /* Should it not die (the kernel hangs), that is said again. */
    if (d->state == DEV_STOPPING)
        d->when = ds->now + STOP_LIMIT;
}

static void died(struct devices *ds, struct device *d);

bool devices_worker_message(struct devices *ds, struct device *d)
{
    char msg[VR_WORKER_MSG_MAX + 1];
    ssize_t n = recv(d->sock, msg, sizeof(msg) - 1, MSG_DONTWAIT);

    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        /* It is about to die; the signal says how. Or it died long ago. */
        close(d->sock);
        d->sock = -1;
        if (d->state == DEV_LEAVING)
            died(ds, d);
        return false;
    }
    msg[n] = '\0';
    if (msg[0] == VR_WORKER_CONNECTED) {
        d->connected = d->stable = true;
        d->starts = 0;
        vr_log(d->guest, d->id, "%s", msg + 1);
        devices_say(ds, d, VR_XB_CONNECTED, "");
        return true;
    }
    if (msg[0] == VR_WORKER_NOTE) {
        if (msg[1])
            vr_log(d->guest, d->id, "%s", msg + 1);
        devices_say_why(ds, d, msg + 1);
        return true;
    }
    d->report = msg[0];
    snprintf(d->why, sizeof(d->why), "%s", msg + 1);
    return true;
}

/* The worker ended by itself, and all that it had under way as well. */
static void died(struct devices *ds, struct device *d)
{
    char why[VR_WORKER_MSG_MAX];
    int status = d->last_status;

    if (d->report == VR_WORKER_FAILED && !d->killed) {
        devices_fail(ds, d, d->why);
        return;
    }
    d->state = DEV_IDLE;
    if (d->killed) {
        d->starts = 0;
        d->when = ds->now;
        if (d->connected)
            devices_say(ds, d, VR_XB_CONNECTED,
                        "worker killed by the toolstack");
        return;
    }
    /* For as long as the nodes are there: the toolstack knows when it has
     * waited enough, and a guest that runs has nothing else to hope for. */
    if (d->report == VR_WORKER_WAIT) {
        if (strcmp(d->error, d->why)) {
            vr_log(d->guest, d->id, "%s; waiting for it", d->why);
            devices_say_why(ds, d, d->why);
        }
        d->starts = 0;
        d->when = ds->now + WAIT_STEP;
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "worker %d was killed by signal %d%s",
                 d->last_pid, WTERMSIG(status),
                 WTERMSIG(status) == SIGSYS
                     ? " (a system call that its filter forbids)"
                     : "");
    else
        snprintf(why, sizeof(why), "worker %d ended with code %d", d->last_pid,
                 WEXITSTATUS(status));
    if (!d->connected && d->starts >= MAX_STARTS) {
        devices_fail(ds, d, why);
        return;
    }
    if (d->stable && ds->now - d->started > STABLE)
        d->backoff = 0;
    d->backoff = d->backoff ? d->backoff * 2 : BACKOFF_MIN;
    if (d->backoff > BACKOFF_MAX)
        d->backoff = BACKOFF_MAX;
    d->when = ds->now + d->backoff;
    vr_log(d->guest, d->id, "%s; a new one starts in %u ms", why, d->backoff);
    if (d->connected)
        devices_say(ds, d, VR_XB_CONNECTED, why);
}

void devices_worker_reap(struct devices *ds)
{
    struct signalfd_siginfo si;
    struct device *d;
    int status;
    pid_t pid;

    while (read(ds->sigfd, &si, sizeof(si)) == sizeof(si)) {
        if (si.ssi_signo != SIGCHLD)
            devices_leave(ds, si.ssi_signo == SIGINT);
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (d = ds->list; d && d->pid != pid; d = d->next)
            ;
        if (!d)
            continue;
        /* Its last words may still be in the socket. */
        while (d->sock >= 0 && devices_worker_message(ds, d))
            ;
        d->pid = 0;
        if (d->state == DEV_STOPPING) {
            d->state = DEV_IDLE;
            d->when = ds->now;
            d->backoff = d->starts = 0;
            vr_log(d->guest, d->id, "closed");
            continue;
        }
        d->last_pid = pid;
        d->last_status = status;
        if (d->sock < 0) {
            died(ds, d);
            continue;
        }
        /* The kernel may still be at work on the dead worker's requests. Until
         * the last one is done, its io_uring keeps the worker's end of the
         * socket open, and a new worker must neither execute them again nor
         * declare the queues quiet. So wait for the socket to end. */
        d->state = DEV_LEAVING;
        d->when = ds->now + LEAVE_LIMIT;
    }
}

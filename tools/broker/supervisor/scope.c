/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * systemd ends all processes of a session when its user logs out (with
 * KillUserProcesses=yes) and when the host shuts down, and those of a service
 * such as xendomains.service when that is stopped: by SIGTERM, which the broker
 * ignores, but then by SIGKILL. xl and what it starts belong to one of these.
 *
 * So when the guest runs, its broker is put into a scope of its own, by the
 * call that systemd has for that. It is stopped with no other unit: without
 * default dependencies not even at shutdown, until systemd-shutdown ends all
 * that is left, after everything that may shut guests down. Then it obeys:
 * nobody is left whom the guest could wait for, but systemd would wait for us,
 * 90 s as a rule.
 *
 * Where there is no systemd, setsid() has done what there is to do.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

/* How sd_booted(3) knows. */
#define SYSTEMD "/run/systemd/system"
#define BUSCTL  "/usr/bin/busctl"
#define SECONDS 20

/* Does not return. The alarm outlives exec: systemd has so long to answer. */
static void call_systemd(pid_t supervisor, pid_t worker, const char *name)
{
    char unit[48], pid1[16], pid2[16], text[VR_NAME_LEN + 16];
    const char *const argv[] = {
        "busctl", "--quiet", "call", "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
        "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail",
        /* Four properties, each with its type, and no further unit. */
        "4", "PIDs", "au", "2", pid1, pid2, "DefaultDependencies", "b", "false",
        "CollectMode", "s", "inactive-or-failed", "Description", "s", text, "0",
        NULL};
    sigset_t none;

    snprintf(unit, sizeof(unit), "vr-broker-%d.scope", (int)supervisor);
    snprintf(pid1, sizeof(pid1), "%d", (int)supervisor);
    snprintf(pid2, sizeof(pid2), "%d", (int)worker);
    snprintf(text, sizeof(text), "vr-broker %s", name);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    alarm(SECONDS);
    execv(BUSCTL, (char *const *)argv);
    broker_log("cannot run " BUSCTL ": %s", strerror(errno));
    _exit(1);
}

bool scope_host_ends(pid_t sender)
{
    char exe[64];
    ssize_t n;

    if (sender != 1)
        return false;
    n = readlink("/proc/1/exe", exe, sizeof(exe) - 1);
    exe[n < 0 ? 0 : n] = '\0';
    return strstr(exe, "/systemd-shutdown") != NULL;
}

void scope_leave(struct super *s)
{
    pid_t self = getpid(), pid, call;
    int status = 1;

    if (access(SYSTEMD, F_OK))
        return;
    /* In a process of its own, which is nobody's child: we do not wait. */
    pid = fork();
    if (pid) {
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return;
    }
    if (fork())
        _exit(0);
    close(s->sig);
    close(s->sock);
    call = fork();
    if (!call)
        call_systemd(self, s->worker, s->rec.name);
    while (call > 0 && waitpid(call, &status, 0) < 0 && errno == EINTR)
        ;
    if (status)
        broker_log("systemd gives this broker no scope of its own: the guest "
                   "hangs when systemd ends the session or service that xl "
                   "was called in, see vr-broker(8)");
    _exit(0);
}

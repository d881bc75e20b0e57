/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processes and programs that the supervisor starts, but for scope.c. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

void spawn_reap(struct super *s, int options)
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

void spawn_stop(struct super *s)
{
    if (s->worker)
        kill(s->worker, SIGKILL);
    spawn_reap(s, 0);
    if (s->sock >= 0)
        close(s->sock);
    s->sock = -1;
}

int spawn_worker(struct super *s, struct vr_err *err)
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
        /* Signals stay blocked. That sandbox_enter() asks for this again
         * leaves no time in which a supervisor's end goes unnoticed. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(s->sig);
        close(s->link);
        close(pair[0]);
        broker_log_to(pair[1]);
        worker_run(&s->rec, s->stats, pair[1]);
    }
    close(pair[1]);
    s->sock = pair[0];
    s->worker = pid;
    return 0;
}

/* Signals stay blocked: what could not end the broker is not to end its
 * clean-up either. */
void spawn_cleanup(const struct super *s, bool abort)
{
    signal(SIGPIPE, SIG_DFL);
    if (abort)
        execl(VR_SBINDIR "/vrctl", "vrctl", "cleanup", "--abort", s->uuid,
              (char *)NULL);
    else
        execl(VR_SBINDIR "/vrctl", "vrctl", "cleanup", s->uuid, (char *)NULL);
    broker_log("cannot run %s: %s; run `vrctl cleanup %s`", VR_SBINDIR "/vrctl",
               strerror(errno), s->uuid);
}

/* libxl may take seconds: in a process of its own, which is nobody's child. */
void spawn_driver_cleanup(struct super *s, const char *driver)
{
    pid_t pid = fork();

    if (!pid) {
        if (fork())
            _exit(0);
        close(s->link);
        close(s->sig);
        close(s->sock);
        signal(SIGPIPE, SIG_DFL);
        execl(VR_SBINDIR "/vrctl", "vrctl", "cleanup", "--driver", driver,
              s->uuid, (char *)NULL);
        broker_log("cannot run %s: %s", VR_SBINDIR "/vrctl", strerror(errno));
        _exit(1);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

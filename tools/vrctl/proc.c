/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes: is one alive, kill it, run a function in a child for a bounded
 * time. Nothing of Xen.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vrctl.h"
#include "libs/proto/xsnode.h"

void proc_polite(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGTERM);
}

bool proc_alive(pid_t pid, uint64_t start)
{
    return pid > 0 && start && vr_proc_start(pid) == start;
}

/* Until the process behind @fd is gone, or @ms are over. */
static bool gone_within(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int r;

    do
        r = poll(&p, 1, ms);
    while (r < 0 && errno == EINTR);
    return r == 1;
}

int proc_kill(pid_t pid, uint64_t start, int wait_ms)
{
    int fd, rc = 0;

    if (!proc_alive(pid, start))
        return 0;
    /* The descriptor names this process for good; when it still is the one
     * that we mean now, no later process can get the signal. */
    fd = syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno == ESRCH ? 0 : -errno;
    if (!proc_alive(pid, start))
        goto out;
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    if (!gone_within(fd, wait_ms))
        rc = -ETIMEDOUT;
out:
    close(fd);
    return rc;
}

static pid_t parent_of(pid_t pid)
{
    char buf[512], *s = vr_proc_stat(pid, buf, sizeof(buf));
    int parent;

    if (!s || sscanf(s, "%*c %d", &parent) != 1)
        return 0;
    return parent;
}

unsigned int proc_children(pid_t pid, pid_t *out, unsigned int max)
{
    unsigned int n = 0;
    struct dirent *de;
    DIR *d = opendir("/proc");

    if (!d)
        return 0;
    while (n < max && (de = readdir(d))) {
        pid_t p;

        if (!isdigit((unsigned char)de->d_name[0]))
            continue;
        p = atoi(de->d_name);
        if (parent_of(p) == pid)
            out[n++] = p;
    }
    closedir(d);
    return n;
}

/* libxl tells a script by its environment which node its device has. */
bool proc_hotplug(uint32_t domid)
{
    static const char name[] = "XENBUS_PATH=";
    const size_t len = sizeof(name) - 1;
    bool found = false;
    struct dirent *de;
    char path[300], *var = NULL;
    DIR *d = opendir("/proc");
    size_t size = 0;
    FILE *f;

    while (d && !found && (de = readdir(d))) {
        if (!isdigit((unsigned char)de->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%s/environ", de->d_name);
        f = fopen(path, "re");
        if (!f)
            continue;
        while (!found && getdelim(&var, &size, '\0', f) > 0)
            found = !strncmp(var, name, len) &&
                    vr_xs_is_backend_of(var + len, domid);
        fclose(f);
    }
    free(var);
    if (d)
        closedir(d);
    return found;
}

uint64_t proc_rss_kib(pid_t pid)
{
    unsigned long long kib = 0;
    char path[40], line[256];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %llu kB", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

int proc_bounded(int (*fn)(void *ctx), void *ctx, unsigned int seconds)
{
    uint64_t end = vr_now_ms() + seconds * UINT64_C(1000);
    const struct timespec step = {.tv_nsec = 5 * 1000 * 1000};
    int status;
    pid_t pid, r;

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        return -errno;
    if (!pid) {
        int rc = fn(ctx);

        fflush(NULL);
        _exit(rc < 0 || rc > 125 ? 125 : rc);
    }
    for (;;) {
        r = waitpid(pid, &status, WNOHANG);
        if (r == pid)
            break;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (vr_now_ms() > end) {
            kill(pid, SIGKILL);
            /* A child inside an uninterruptible call is left to init. */
            nanosleep(&step, NULL);
            waitpid(pid, &status, WNOHANG);
            return -ETIMEDOUT;
        }
        nanosleep(&step, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

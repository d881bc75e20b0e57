/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that are started from inside xl: another xl, vrctl, the broker.
 * Touches no state of the plug-in.
 *
 * xl lets libxl reap children, but only inside libxl calls: each child here is
 * waited for by its own pid before libxl gets control again.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "libs/proto/link.h"

#define POLL_MS    10
#define CLEANUP_MS 120000 /* vrctl's own limits add up to about 105 s */

/* Its address tells dladdr() where this library is. */
static const char own_address;

/* @name in @folder (where it is installed), or beside vr-plugin.so. */
static void program(char *buf, size_t size, const char *folder,
                    const char *name)
{
    const char *slash;
    Dl_info info;

    snprintf(buf, size, "%s/%s", folder, name);
    if (!access(buf, X_OK) || !dladdr(&own_address, &info))
        return;
    slash = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
    if (slash)
        snprintf(buf, size, "%.*s/%s", (int)(slash - info.dli_fname),
                 info.dli_fname, name);
}

/* Waits for @pid until @deadline. Returns 0, -ETIMEDOUT or -errno. */
static int wait_until(pid_t pid, uint64_t deadline, int *status)
{
    const struct timespec nap = {.tv_nsec = POLL_MS * 1000000};

    for (;;) {
        pid_t r = waitpid(pid, status, WNOHANG);

        if (r == pid)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (vr_now_ms() >= deadline)
            return -ETIMEDOUT;
        nanosleep(&nap, NULL);
    }
}

static int wait_for(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

struct sink {
    int fd; /* -1: at its end */
    char *buf;
    size_t size, len;
    bool full; /* there was more than fits */
};

static void drain(struct sink *s)
{
    char spill[256];
    size_t room = s->size - 1 - s->len;
    ssize_t n = read(s->fd, room ? s->buf + s->len : spill,
                     room ? room : sizeof(spill));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(s->fd);
        s->fd = -1;
    } else if (room) {
        s->len += n;
    } else {
        s->full = true;
    }
}

/* Reads both until they end. Returns 0 or -ETIMEDOUT. */
static int drain_both(struct sink s[2], uint64_t deadline)
{
    while (s[0].fd >= 0 || s[1].fd >= 0) {
        struct pollfd p[2] = {{.fd = s[0].fd, .events = POLLIN},
                              {.fd = s[1].fd, .events = POLLIN}};
        uint64_t now = vr_now_ms();
        unsigned int i;

        if (now >= deadline)
            return -ETIMEDOUT;
        if (poll(p, 2, deadline - now) < 0)
            continue;
        for (i = 0; i < 2; i++) {
            if (s[i].fd >= 0 && p[i].revents)
                drain(&s[i]);
        }
    }
    return 0;
}

static int spawn(const char *path, const char *const *argv, int out, int err,
                 pid_t *pid)
{
    posix_spawn_file_actions_t fa;
    int r = posix_spawn_file_actions_init(&fa);

    if (r)
        return -r;
    r = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    if (!r && out >= 0)
        r = posix_spawn_file_actions_adddup2(&fa, out, 1);
    if (!r && err >= 0)
        r = posix_spawn_file_actions_adddup2(&fa, err, 2);
    if (!r)
        r = posix_spawn(pid, path, &fa, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    return -r;
}

int vr_child_capture(const char *path, const char *const *argv,
                     unsigned int timeout_ms, char *out, size_t out_size,
                     char *say, size_t say_size, int *status)
{
    struct sink s[2] = {{.fd = -1, .buf = out, .size = out_size},
                        {.fd = -1, .buf = say, .size = say_size}};
    uint64_t deadline = vr_now_ms() + timeout_ms;
    int w[2] = {-1, -1}, p[2], rc = 0;
    unsigned int i;
    pid_t pid = -1;

    for (i = 0; i < 2; i++) {
        if (pipe2(p, O_CLOEXEC)) {
            rc = -errno;
            goto out;
        }
        s[i].fd = p[0];
        w[i] = p[1];
    }
    rc = spawn(path, argv, w[0], w[1], &pid);
    if (rc)
        goto out;
    close(w[0]);
    close(w[1]);
    w[0] = w[1] = -1;
    rc = drain_both(s, deadline);
    if (!rc)
        rc = wait_until(pid, deadline, status);
    if (rc == -ETIMEDOUT) {
        kill(pid, SIGKILL);
        wait_for(pid, status);
    }
    if (!rc && s[0].full)
        rc = -E2BIG;
out:
    out[s[0].len] = '\0';
    say[s[1].len] = '\0';
    for (i = 0; i < 2; i++) {
        if (s[i].fd >= 0)
            close(s[i].fd);
        if (w[i] >= 0)
            close(w[i]);
    }
    return rc;
}

int vr_child_cleanup(const char *uuid, bool abort_it, struct vr_err *err)
{
    char path[PATH_MAX];
    const char *argv[] = {"vrctl", "cleanup", uuid, NULL, NULL};
    int status = 0, rc;
    pid_t pid;

    if (abort_it) {
        argv[2] = "--abort";
        argv[3] = uuid;
    }
    program(path, sizeof(path), VR_SBINDIR, "vrctl");
    /* Its standard output is no part of xl's: both go to stderr. */
    rc = spawn(path, argv, 2, -1, &pid);
    if (rc) {
        vr_err_set(err, "cannot run %s: %s: install virtio-restricted again",
                   path, strerror(-rc));
        return rc;
    }
    rc = wait_until(pid, vr_now_ms() + CLEANUP_MS, &status);
    if (rc == -ETIMEDOUT) {
        vr_err_set(err,
                   "`vrctl cleanup %s` has not ended after %u s: look at "
                   "`vrctl list` before the guest is started again",
                   uuid, CLEANUP_MS / 1000);
    } else if (rc || status) {
        vr_err_set(err,
                   "`vrctl cleanup %s` failed: run it again, what is left "
                   "shows in `vrctl list`",
                   uuid);
        rc = rc ? rc : -EIO;
    }
    return rc;
}

/* In the broker-to-be: only the link stays open. Does not return. */
static void become_broker(const char *path, const char *uuid, int link)
{
    const char *const argv[] = {"vr-broker", uuid, NULL};
    char text[VR_LINK_MAX];
    sigset_t none;
    int null, fd;

    /* Above what is closed or replaced below, whatever its number was. */
    fd = fcntl(link, F_DUPFD, VR_LINK_FD + 1);
    null = open("/dev/null", O_RDWR);
    if (fd < 0 || null < 0)
        _exit(127);
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
        dup2(fd, VR_LINK_FD) < 0)
        _exit(127);
    close_range(VR_LINK_FD + 1, ~0U, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    if (chdir("/"))
        _exit(127);
    execv(path, (char *const *)argv);
    snprintf(text, sizeof(text),
             "cannot run %.512s: %s: install virtio-restricted again", path,
             strerror(errno));
    vr_link_send(VR_LINK_FD, 'E', text);
    _exit(127);
}

int vr_child_broker(const char *uuid, int *fd, struct vr_err *err)
{
    char path[PATH_MAX];
    int sv[2], status = 0, rc;
    pid_t pid;

    program(path, sizeof(path), VR_LIBEXECDIR, "vr-broker");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) {
        rc = -errno;
        vr_err_set(err, "cannot make a socket pair: %s", strerror(-rc));
        return rc;
    }
    /* Twice, so that the broker is nobody's child: libxl would report the
     * death of a child it does not know. */
    pid = fork();
    if (!pid) {
        setsid();
        pid = fork();
        if (!pid)
            become_broker(path, uuid, sv[1]);
        _exit(pid < 0);
    }
    rc = pid < 0 ? -errno : wait_for(pid, &status);
    close(sv[1]);
    if (!rc && status)
        rc = -EAGAIN;
    if (rc) {
        close(sv[0]);
        vr_err_set(err, "cannot start the broker: %s", strerror(-rc));
        return rc;
    }
    *fd = sv[0];
    return 0;
}

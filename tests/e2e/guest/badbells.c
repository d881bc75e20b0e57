/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badbells hold DOMID
 *   In any domain: makes two event channels for DOMID, prints their numbers and
 *   keeps them until it is killed.
 *
 * badbells ring GUEST PORT SECONDS
 *   In a driver domain, as its root: the backend of a device of GUEST, that
 *   nobody serves now, rings the queue's bell as fast as it can. Prints how
 *   often.
 *
 * badbells worker GUEST PORT CTRL OTHER
 *   In a driver domain, as its root: a device's worker that somebody has taken
 *   over, made by the backend's own code; the broker's channel is CTRL of
 *   domain 0. PORT is GUEST's and meant for this domain; OTHER is domain 0's
 *   and meant for this domain as well. It tries what it should not be able to
 *   do. Each attempt is made by a new worker: first without the lock, which
 *   shows whether it could work at all; then with the restricted handle alone;
 *   then with the system call filter, too. One line each, "ATTEMPT: without
 *   WORD, restricted WORD, locked WORD". The words: done, refused (by whoever
 *   was asked), killed (by the filter).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xenevtchn.h>

#include "backend/device.h"
#include "backend/sandbox.h"
#include "backend/worker/channel.h"

#define DEVICE "/dev/xen/evtchn"

enum lock { WITHOUT, RESTRICTED, LOCKED };

static struct vr_xs_dev dev;
static uint32_t port, other;
static int fd, second, foreign;

static int bind_to(int handle, uint32_t domid, uint32_t remote)
{
    struct ioctl_evtchn_bind_interdomain b = {domid, remote};

    return ioctl(handle, IOCTL_EVTCHN_BIND_INTERDOMAIN, &b);
}

/* A worker before us may not have come to its end yet. */
static int bind_own(uint32_t guest, uint32_t remote)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    unsigned int tries = 1000;
    int r;

    do {
        r = bind_to(fd, guest, remote);
    } while (r < 0 && errno == EINVAL && tries-- && !nanosleep(&nap, NULL));
    return r;
}

/* ---- attempts: -1 when refused ---- */

static int own_port(void)
{
    return bind_own(dev.guest, port);
}

static int others_port(void)
{
    return bind_to(fd, 0, other);
}

/* Numbers are domains': with each of the first ones. */
static int any_port(void)
{
    uint32_t domid, n;

    for (domid = 0; domid < 64; domid++)
        for (n = 1; domid != dev.guest && n < 512; n++)
            if (bind_to(fd, domid, n) >= 0)
                return 0;
    return -1;
}

static int port_for_other(void)
{
    struct ioctl_evtchn_bind_unbound_port b = {0};

    return ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &b);
}

static int other_descriptor(void)
{
    return bind_to(second, 0, other);
}

/* An end that this domain has, but not by this descriptor. */
static int others_end(void)
{
    struct ioctl_evtchn_notify n = {foreign};

    return ioctl(fd, IOCTL_EVTCHN_NOTIFY, &n);
}

static int other_domain(void)
{
    struct ioctl_evtchn_restrict_domid r = {dev.guest + 1};

    return ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, &r);
}

static int begins_anew(void)
{
    return ioctl(fd, IOCTL_EVTCHN_RESET, 0);
}

static int opens(void)
{
    return open(DEVICE, O_RDWR);
}

static const struct {
    const char *name;
    int (*attempt)(void);
} attempts[] = {
    {"own port", own_port},
    {"port of another domain", others_port},
    {"any port of any other domain", any_port},
    {"port for another domain", port_for_other},
    {"by another descriptor", other_descriptor},
    {"end that is another process's", others_end},
    {"restricted to another domain", other_domain},
    {"reset", begins_anew},
    {"open", opens},
};

/* ---- who makes them ---- */

static int become_worker(enum lock lock, bool bound)
{
    static struct vr_channel c;
    struct vr_err err = {""};

    second = open(DEVICE, O_RDWR);
    if (second < 0)
        return -1;
    if (bound && (foreign = bind_to(second, 0, other)) < 0)
        return -1;
    if (lock == WITHOUT) {
        fd = open(DEVICE, O_RDWR);
        return fd < 0 ? -1 : bind_to(fd, dev.ctrl_domid, dev.ctrl_port) < 0;
    }
    if (vr_channel_open(&c, &dev, &fd, &err) ||
        (lock == LOCKED && vr_sandbox_worker(NULL, -1, fd, 0, &err))) {
        fprintf(stderr, "badbells: %s\n", err.text);
        return -1;
    }
    return 0;
}

static const char *outcome(enum lock lock, int (*attempt)(void))
{
    int status;
    pid_t pid = fork();

    if (!pid)
        _exit(become_worker(lock, attempt == others_end) ? 2
              : attempt() < 0                            ? 1
                                                         : 0);
    if (waitpid(pid, &status, 0) != pid)
        return "lost";
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? "killed" : "crashed";
    return WEXITSTATUS(status) == 0   ? "done"
           : WEXITSTATUS(status) == 1 ? "refused"
                                      : "broken";
}

static int worker(char **args)
{
    unsigned int i;

    dev.guest = strtoul(args[0], NULL, 0);
    port = strtoul(args[1], NULL, 0);
    dev.ctrl_port = strtoul(args[2], NULL, 0);
    other = strtoul(args[3], NULL, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 0; i < VR_ARRAY_SIZE(attempts); i++) {
        printf("%s: without %s, ", attempts[i].name,
               outcome(WITHOUT, attempts[i].attempt));
        printf("restricted %s, ", outcome(RESTRICTED, attempts[i].attempt));
        printf("locked %s\n", outcome(LOCKED, attempts[i].attempt));
    }
    return 0;
}

static int ring(uint32_t guest, uint32_t remote, int seconds)
{
    struct ioctl_evtchn_notify n;
    unsigned long count = 0;
    time_t end;
    int local;

    fd = open(DEVICE, O_RDWR);
    local = fd < 0 ? -1 : bind_own(guest, remote);
    if (local < 0) {
        perror("badbells");
        return 1;
    }
    n.port = local;
    for (end = time(NULL) + seconds; time(NULL) < end; count++)
        ioctl(fd, IOCTL_EVTCHN_NOTIFY, &n);
    printf("%lu\n", count);
    return 0;
}

static int hold(uint32_t domid)
{
    struct ioctl_evtchn_bind_unbound_port b = {domid};
    int a, c;

    fd = open(DEVICE, O_RDWR);
    a = fd < 0 ? -1 : ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &b);
    c = fd < 0 ? -1 : ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &b);
    if (a < 0 || c < 0) {
        perror("badbells");
        return 1;
    }
    printf("%d %d\n", a, c);
    fflush(stdout);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "hold"))
        return hold(strtoul(argv[2], NULL, 0));
    if (argc == 5 && !strcmp(argv[1], "ring"))
        return ring(strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0),
                    atoi(argv[4]));
    if (argc == 6 && !strcmp(argv[1], "worker"))
        return worker(argv + 2);
    return 2;
}

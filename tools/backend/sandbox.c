/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user that vr-backend becomes, and the filter and limits of its workers
 * and granters. What a part of a worker takes stands beside its code.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

#include "libs/base/limit.h"
#include "sandbox.h"

/* Descriptors that are open stay so, and no number below this limit is free for
 * another one. It is not 0: ppoll() takes no more descriptors than that. */
#define MAX_FILES 3

/* Bytes, for stacks and libc. */
#define SPARE (1u << 20)

/* Bytes that all workers together may have locked: more than Xen lets a domain
 * map, by default (1 GiB). A worker that was taken over could register what it
 * has again and again, at 16 bytes of the kernel's own memory a page: so it is
 * 16 MiB at most. */
#define LOCKED_MAX ((rlim_t)4 << 30)

void vr_sandbox_locked(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_MEMLOCK, &rl) || rl.rlim_cur >= LOCKED_MAX)
        return;
    if (rl.rlim_max >= LOCKED_MAX) {
        rl.rlim_cur = LOCKED_MAX;
    } else {
        if (!vr_limit(RLIMIT_MEMLOCK, LOCKED_MAX))
            return;
        rl.rlim_cur = rl.rlim_max;
    }
    setrlimit(RLIMIT_MEMLOCK, &rl);
}

int vr_sandbox_user(const char *user, struct vr_err *err)
{
    const struct passwd *pw = getpwnam(user);
    int rc;

    if (!pw || !pw->pw_uid) {
        vr_err_set(err, "user %s: %s", user,
                   pw ? "is root; name another one"
                      : "there is none; add it or omit -u");
        return pw ? -EINVAL : -ENOENT;
    }
    if (setgroups(1, &pw->pw_gid) ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid)) {
        rc = -errno;
        vr_err_set(err, "user %s: cannot become it: %s", user, strerror(errno));
        return rc;
    }
    return 0;
}

static const int worker_call[] = {
    /* the loop: notifications, the log, the parent; the time */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(clock_gettime),
    /* the granter's answers; threads */
    SCMP_SYS(futex),
    /* the end, by whatever way */
    SCMP_SYS(close),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
};

static const int granter_call[] = {
    SCMP_SYS(futex),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit_group),
    /* abort() */
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
};

static const unsigned long granter_ioctl[] = {
    IOCTL_GNTDEV_GRANT_COPY,
    IOCTL_GNTDEV_MAP_GRANT_REF,
    IOCTL_GNTDEV_UNMAP_GRANT_REF,
};

/* The descriptor is restricted to the guest: other domains' ports stay out of
 * reach (channel.c). */
static const unsigned long worker_evtchn_ioctl[] = {
    IOCTL_EVTCHN_NOTIFY,
    IOCTL_EVTCHN_BIND_INTERDOMAIN,
    IOCTL_EVTCHN_UNBIND,
};

/* What a process may do, beside its own rules for gntdev. */
struct process {
    int gntdev;
    int evtchn;
    const struct vr_calls *type;
};

#define ALLOW(ctx, ...) seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __VA_ARGS__)

/* abort(). The other processes here are of the same user: no signals to them.
 */
static int allow_abort(scmp_filter_ctx ctx)
{
    return ALLOW(ctx, SCMP_SYS(tgkill), 1,
                 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

static int allow_calls(scmp_filter_ctx ctx, const int *call, unsigned int n)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; !rc && i < n; i++)
        rc = ALLOW(ctx, call[i], 0);
    return rc;
}

static int allow_ioctls(scmp_filter_ctx ctx, const unsigned long *request,
                        unsigned int n)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; !rc && i < n; i++)
        rc = ALLOW(ctx, SCMP_SYS(ioctl), 1,
                   SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)request[i], 0));
    return rc;
}

static int allow_ioctls_of(scmp_filter_ctx ctx, int fd,
                           const unsigned long *request, unsigned int n)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; !rc && i < n; i++)
        rc = ALLOW(ctx, SCMP_SYS(ioctl), 2,
                   SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)fd, 0),
                   SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)request[i], 0));
    return rc;
}

/* To wait at the event channels, or not (channel.c). */
static int allow_sleep(scmp_filter_ctx ctx, int evtchn)
{
    static const int flags[] = {0, O_NONBLOCK};
    unsigned int i;
    int rc = 0;

    for (i = 0; !rc && i < VR_ARRAY_SIZE(flags); i++)
        rc = ALLOW(ctx, SCMP_SYS(fcntl), 3,
                   SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)evtchn, 0),
                   SCMP_A1_32(SCMP_CMP_EQ, F_SETFL, 0),
                   SCMP_A2_32(SCMP_CMP_EQ, (uint32_t)flags[i], 0));
    return rc;
}

static int allow_urings(scmp_filter_ctx ctx, const unsigned int *op,
                        unsigned int n)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; !rc && i < n; i++)
        rc = ALLOW(ctx, SCMP_SYS(io_uring_register), 1,
                   SCMP_A1_32(SCMP_CMP_EQ, op[i], 0));
    return rc;
}

/* Nothing that is mapped is ever executable. */
static int allow_mmap(scmp_filter_ctx ctx, int gntdev)
{
    /* addresses kept free */
    int rc = ALLOW(ctx, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_EQ, PROT_NONE, 0));

    /* what the granter has registered */
    if (!rc)
        rc = ALLOW(ctx, SCMP_SYS(mmap), 3,
                   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                   SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0),
                   SCMP_A4_32(SCMP_CMP_EQ, (uint32_t)gntdev, 0));
    /* memory for libc, if it wants some, within the limits */
    if (!rc)
        rc = ALLOW(ctx, SCMP_SYS(mmap), 2,
                   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                   SCMP_A3(SCMP_CMP_EQ, MAP_PRIVATE | MAP_ANONYMOUS, 0));
    return rc;
}

static int worker_rules(scmp_filter_ctx ctx, const struct process *p)
{
    int rc = allow_abort(ctx);

    if (!rc)
        rc = allow_calls(ctx, worker_call, VR_ARRAY_SIZE(worker_call));
    if (!rc && p->type)
        rc = allow_calls(ctx, p->type->call, p->type->calls);
    if (!rc && p->type)
        rc = allow_ioctls(ctx, p->type->ioctl, p->type->ioctls);
    if (!rc && p->type)
        rc = allow_urings(ctx, p->type->uring, p->type->urings);
    if (!rc)
        rc = allow_ioctls_of(ctx, p->evtchn, worker_evtchn_ioctl,
                             VR_ARRAY_SIZE(worker_evtchn_ioctl));
    if (!rc)
        rc = allow_sleep(ctx, p->evtchn);
    return rc ? rc : allow_mmap(ctx, p->gntdev);
}

static int granter_rules(scmp_filter_ctx ctx, const struct process *p)
{
    int rc = allow_abort(ctx);

    if (!rc)
        rc = allow_calls(ctx, granter_call, VR_ARRAY_SIZE(granter_call));
    return rc ? rc
              : allow_ioctls_of(ctx, p->gntdev, granter_ioctl,
                                VR_ARRAY_SIZE(granter_ioctl));
}

typedef int rules_fn(scmp_filter_ctx ctx, const struct process *p);

static int filter(rules_fn *rules, const struct process *p)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc;

    if (!ctx)
        return -ENOMEM;
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!rc)
        rc = rules(ctx, p);
    /* Made for each batch, and the only one of those that Linux does not let
     * pass by its number alone: its rules are looked at first. */
    if (!rc)
        rc = seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), UINT8_MAX);
    if (!rc)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}

/* All that is needed is there, so there may be only little more. */
static int limit_memory(size_t spare)
{
    rlim_t space, data;
    int rc;

    rc = vr_memory_in_use(&space, &data);
    if (!rc)
        rc = vr_limit(RLIMIT_AS, space + spare);
    return rc ? rc : vr_limit(RLIMIT_DATA, data + spare);
}

static int lock_in(rules_fn *rules, const struct process *p, size_t spare,
                   struct vr_err *err)
{
    const char *what = "no_new_privs";
    int rc = 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0))
        rc = -errno;
    if (!rc) {
        what = "resource limits (is /proc mounted?)";
        rc = limit_memory(spare);
    }
    if (!rc)
        rc = vr_limit(RLIMIT_CORE, 0);
    if (!rc)
        rc = vr_limit(RLIMIT_NOFILE, MAX_FILES);
    if (!rc) {
        what = "system call filter (CONFIG_SECCOMP_FILTER)";
        rc = filter(rules, p);
    }
    if (rc)
        vr_err_set(err, "%s: %s", what, strerror(-rc));
    return rc;
}

int vr_sandbox_worker(const struct vr_calls *type, int gntdev, int evtchn,
                      size_t more, struct vr_err *err)
{
    const struct process p = {gntdev, evtchn, type};

    return lock_in(worker_rules, &p, SPARE + more, err);
}

int vr_sandbox_granter(int gntdev, struct vr_err *err)
{
    const struct process p = {.gntdev = gntdev};

    return lock_in(granter_rules, &p, SPARE, err);
}

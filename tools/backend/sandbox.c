/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <grp.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/grant_table.h>
#include <xen/sys/gntdev.h>

#include "sandbox.h"

/* Open ones stay; no number below is free for another. ppoll() counts too. */
#define MAX_FILES 3

/* Bytes, for stacks and libc. */
#define SPARE (1u << 20)

/*
 * /etc/passwd read by hand: getpwnam() would load name service modules, which
 * a driver domain's small image has no use for otherwise.
 */
static int find_user(const char *user, uid_t *uid, gid_t *gid)
{
    size_t len = strlen(user);
    char line[512];
    int rc = -ENOENT;
    FILE *f;

    f = fopen("/etc/passwd", "re");
    if (!f)
        return -errno;
    while (fgets(line, sizeof(line), f)) {
        unsigned int u, g;

        if (strncmp(line, user, len) || line[len] != ':')
            continue;
        if (sscanf(line + len, ":%*[^:]:%u:%u:", &u, &g) == 2) {
            *uid = u;
            *gid = g;
            rc = 0;
        }
        break;
    }
    fclose(f);
    return rc;
}

int vr_sandbox_user(const char *user, struct vr_err *err)
{
    uid_t uid;
    gid_t gid;
    int rc;

    rc = find_user(user, &uid, &gid);
    if (rc || !uid) {
        rc = rc ? rc : -EINVAL;
        vr_err_set(err, "user %s: %s", user,
                   rc == -EINVAL ? "is root; name another one"
                                 : "not in /etc/passwd; add it or omit -u");
        return rc;
    }
    if (setgroups(1, &gid) || setresgid(gid, gid, gid) ||
        setresuid(uid, uid, uid)) {
        rc = -errno;
        vr_err_set(err, "user %s: cannot become it: %s", user, strerror(errno));
        return rc;
    }
    return 0;
}

static const int allowed[] = {
    /* the loop */
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(clock_gettime),
    /* requests that a thread carries out */
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fallocate),
    SCMP_SYS(lseek), /* the target's size */
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

static const unsigned long ioctls[] = {
    IOCTL_EVTCHN_NOTIFY,
    BLKDISCARD,
};

static const int granter_allowed[] = {
    SCMP_SYS(futex),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit_group),
    /* abort() */
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
};

static const unsigned long granter_ioctls[] = {
    IOCTL_GNTDEV_GRANT_COPY,
    IOCTL_GNTDEV_MAP_GRANT_REF,
    IOCTL_GNTDEV_UNMAP_GRANT_REF,
};

#define ALLOW(ctx, ...) seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __VA_ARGS__)

static int allow_calls(scmp_filter_ctx ctx, const int *calls, unsigned int n)
{
    unsigned int i;
    /* abort(). The other processes here are of the same user: no signals to
     * them. */
    int rc = ALLOW(ctx, SCMP_SYS(tgkill), 1,
                   SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));

    for (i = 0; !rc && i < n; i++)
        rc = ALLOW(ctx, calls[i], 0);
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

static int worker_rules(scmp_filter_ctx ctx, int gntdev)
{
    unsigned int i;
    int rc = allow_calls(ctx, allowed, VR_ARRAY_SIZE(allowed));

    for (i = 0; !rc && i < VR_ARRAY_SIZE(ioctls); i++)
        rc = ALLOW(ctx, SCMP_SYS(ioctl), 1,
                   SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)ioctls[i], 0));
    return rc ? rc : allow_mmap(ctx, gntdev);
}

static int granter_rules(scmp_filter_ctx ctx, int gntdev)
{
    unsigned int i;
    int rc = allow_calls(ctx, granter_allowed, VR_ARRAY_SIZE(granter_allowed));

    for (i = 0; !rc && i < VR_ARRAY_SIZE(granter_ioctls); i++)
        rc = ALLOW(ctx, SCMP_SYS(ioctl), 2,
                   SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)gntdev, 0),
                   SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)granter_ioctls[i], 0));
    return rc;
}

static int filter(int (*rules)(scmp_filter_ctx, int), int gntdev)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc;

    if (!ctx)
        return -ENOMEM;
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!rc)
        rc = rules(ctx, gntdev);
    if (!rc)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}

static int limit(int what, rlim_t to)
{
    struct rlimit r = {to, to};

    return setrlimit(what, &r) ? -errno : 0;
}

/* All that is needed is there, so there may be only little more. */
static int limit_memory(size_t spare)
{
    unsigned long size, data, page = (unsigned long)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    int n, rc;

    if (!f)
        return -errno;
    n = fscanf(f, "%lu %*u %*u %*u %*u %lu", &size, &data);
    fclose(f);
    if (n != 2)
        return -EPROTO;
    rc = limit(RLIMIT_AS, size * page + spare);
    return rc ? rc : limit(RLIMIT_DATA, data * page + spare);
}

static int lock_in(int (*rules)(scmp_filter_ctx, int), int gntdev, size_t spare,
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
        rc = limit(RLIMIT_CORE, 0);
    if (!rc)
        rc = limit(RLIMIT_NOFILE, MAX_FILES);
    if (!rc) {
        what = "system call filter (CONFIG_SECCOMP_FILTER)";
        rc = filter(rules, gntdev);
    }
    if (rc)
        vr_err_set(err, "%s: %s", what, strerror(-rc));
    return rc;
}

int vr_sandbox_worker(int gntdev, size_t more, struct vr_err *err)
{
    return lock_in(worker_rules, gntdev, SPARE + more, err);
}

int vr_sandbox_granter(int gntdev, struct vr_err *err)
{
    return lock_in(granter_rules, gntdev, SPARE, err);
}

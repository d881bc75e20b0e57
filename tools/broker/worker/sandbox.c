/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's last privileged act.
 *
 * What the Xen handles can still do after xentoolcore_restrict_all(G), seen in
 * the sources of the libraries (4.17, 4.20) and of Linux 6.12:
 *
 *   evtchn   IOCTL_EVTCHN_RESTRICT_DOMID: no new port but interdomain ones to
 *            G. Ports bound before, to whatever domain, go on to work: read,
 *            unmask (write) and IOCTL_EVTCHN_NOTIFY look only at whether the
 *            port is this file's.
 *   privcmd  IOCTL_PRIVCMD_RESTRICT: no plain hypercalls; DM_OP and mapping
 *            for G only. Mapping G's memory would thus still be possible: the
 *            filter below is what takes it away, unless the guest has dynamic
 *            devices: the virtio-iommu's queues lie in G's memory.
 *   xencall  replaced by /dev/null.
 *   gntshr   knows no restriction: the worker closes it; the control pages
 *            live on by their mappings, and their grants end with these.
 *
 * So of all ioctls three remain: DM_OP (interrupts, and where the BARs of an
 * x86 guest are), NOTIFY and UNBIND (of the file's own ports, when a driver
 * domain is gone); and with dynamic devices a fourth, which maps memory of G.
 * DM_OP on G still includes the whole range of operations of a device model,
 * since a filter cannot look behind a pointer.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <xentoolcore.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>

#include "broker/broker.h"

static const int allowed[] = {
    SCMP_SYS(read),          SCMP_SYS(write),
    SCMP_SYS(poll),          SCMP_SYS(ppoll),
    SCMP_SYS(sendto),        SCMP_SYS(recvfrom),
    SCMP_SYS(clock_gettime), SCMP_SYS(futex),
    SCMP_SYS(brk),           SCMP_SYS(munmap),
    SCMP_SYS(madvise),       SCMP_SYS(getpid),
    SCMP_SYS(exit),          SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(restart_syscall),
};

static int filter_rules(scmp_filter_ctx ctx, bool maps_guest)
{
    size_t i;
    int r;

    for (i = 0; i < VR_ARRAY_SIZE(allowed); i++) {
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
        /* A call that this architecture does not have. */
        if (r && r != -EDOM)
            return r;
    }
    r = seccomp_rule_add(
        ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, IOCTL_EVTCHN_NOTIFY));
    if (r)
        return r;
    r = seccomp_rule_add(
        ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, IOCTL_EVTCHN_UNBIND));
    if (r)
        return r;
    r = seccomp_rule_add(
        ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, IOCTL_PRIVCMD_DM_OP));
    if (r)
        return r;
    if (maps_guest) {
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX,
                                     IOCTL_PRIVCMD_MMAPBATCH_V2));
        if (r)
            return r;
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    /* malloc() may ask for memory; nothing else is to be mapped. */
    return seccomp_rule_add(
        ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
        SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
}

static int filter_load(bool maps_guest)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int r;

    if (!ctx)
        return -ENOMEM;
    r = filter_rules(ctx, maps_guest);
    if (!r)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r;
}

/* The numbers are to be known before the files that hold them are gone. */
static int find_user(uid_t *uid, gid_t *gid)
{
    const struct passwd *pw = getpwnam(VR_USER);

    if (!pw || !pw->pw_uid)
        return -ENOENT;
    *uid = pw->pw_uid;
    *gid = pw->pw_gid;
    return 0;
}

static int become(uid_t uid, gid_t gid)
{
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
        setresuid(uid, uid, uid))
        return -errno;
    return 0;
}

static int step_failed(struct vr_err *err, int rc, const char *what,
                       const char *remedy)
{
    vr_err_set(err, "broker's sandbox: %s: %s; %s", what, strerror(-rc),
               remedy);
    return rc;
}

int sandbox_enter(uint32_t domid, bool maps_guest, struct vr_err *err)
{
    pid_t parent = getppid();
    uid_t uid;
    gid_t gid;
    int rc;

    if (xentoolcore_restrict_all(domid))
        return step_failed(err, -errno, "xentoolcore_restrict_all",
                           "this domain's Linux must be 4.14 or later");
    rc = find_user(&uid, &gid);
    if (rc)
        return step_failed(err, rc, "there is no user " VR_USER,
                           VR_USER_REMEDY);
    rc = limits_worker();
    if (rc)
        return step_failed(err, rc, "limits", "see the kernel's log");
    if (chroot(VR_EMPTY_DIR) || chdir("/"))
        return step_failed(err, -errno, "chroot " VR_EMPTY_DIR,
                           "remove what is in its place");
    rc = become(uid, gid);
    if (rc)
        return step_failed(err, rc, "changing the user",
                           "vr-broker has to be started as root");
    /* A change of user takes the parent's-death signal away: only now. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return step_failed(err, -errno, "prctl", "see the kernel's log");
    if (getppid() != parent)
        return step_failed(err, -ESRCH, "the supervisor is gone",
                           "see the lines above");
    rc = filter_load(maps_guest);
    if (rc)
        return step_failed(err, rc, "seccomp",
                           "the kernel needs CONFIG_SECCOMP_FILTER");
    return 0;
}

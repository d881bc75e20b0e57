/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child of the keeper: one interface (tap) and its hotplug script, one of
 * Xen's or the administrator's own. Scripts are called as libxl calls them for
 * an emulated device's tap: "SCRIPT add type_if=tap", and "remove". What they
 * need they find in the environment, so they need not read xenstore.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/say.h"
#include "keeper.h"

#define STEP_MS 10

struct iface {
    const struct vr_xs_dev *dev;
    unsigned int ntaps;
    int tap[VR_NET_PAIRS_MAX]; /* a queue each */
    int no_guard;              /* the error; 0: it is there */
    char name[VR_IFNAME_LEN + 1];
    uint32_t mtu;
};

/* ---- the script ---- */

static void __attribute__((format(printf, 2, 3)))
put_env(const char *name, const char *fmt, ...)
{
    char value[VR_PATH_LEN + 1];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if (value[0])
        setenv(name, value, 1);
}

static void set_environment(const struct iface *f)
{
    const struct vr_dev_cfg *c = &f->dev->cfg;

    clearenv();
    put_env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    put_env("script", "%s", c->script);
    put_env("XENBUS_TYPE", "vif");
    put_env("XENBUS_BASE_PATH", "backend");
    put_env("XENBUS_PATH", "backend/" VR_NAME "/%u/%s", f->dev->guest, c->id);
    put_env("INTERFACE", "%s", f->name);
    put_env("vif", "%s", f->name);
    put_env("mac", "%s", c->mac);
    put_env("bridge", "%s", c->bridge);
    put_env("ip", "%s", c->ip);
    put_env("netdev", "%s", c->gatewaydev);
    if (c->mtu)
        put_env("mtu", "%u", c->mtu);
}

static void exec_script(const struct iface *f, const char *action)
{
    int fd = open("/dev/null", O_RDONLY);

    /* A group of its own: whatever it starts can be ended with it. */
    setpgid(0, 0);
    if (fd >= 0)
        dup2(fd, 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    set_environment(f);
    execl(f->dev->cfg.script, f->dev->cfg.script, action, "type_if=tap", NULL);
    _exit(126);
}

/* Its exit status as waitpid() has it; -1: it took too long. */
static int wait_for_script(pid_t pid)
{
    int64_t end = (int64_t)vr_now_ms() + VR_SCRIPT_MS;
    int status;

    for (;;) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        if ((int64_t)vr_now_ms() >= end)
            break;
        poll(NULL, 0, STEP_MS);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    /* One that hangs in the kernel is left to it. */
    poll(NULL, 0, STEP_MS);
    waitpid(pid, &status, WNOHANG);
    return -1;
}

static int run_script(const struct iface *f, const char *action,
                      struct vr_err *err)
{
    const char *script = f->dev->cfg.script;
    int status;
    pid_t pid;

    if (access(script, X_OK)) {
        int rc = -errno;

        vr_err_set(err,
                   "script %s: %s: correct script=, or install it in the "
                   "driver domain",
                   script, strerror(errno));
        return rc == -ENOMEM ? rc : -EINVAL;
    }
    pid = fork();
    if (pid < 0)
        return -errno;
    if (!pid)
        exec_script(f, action);
    status = wait_for_script(pid);
    if (!status)
        return 0;
    if (status < 0)
        vr_err_set(err, "script %s %s has not ended after %u s and was killed",
                   script, action, VR_SCRIPT_MS / 1000);
    else if (WIFSIGNALED(status))
        vr_err_set(err, "script %s %s was ended by signal %d", script, action,
                   WTERMSIG(status));
    else
        vr_err_set(err,
                   "script %s %s ended with code %d: see its messages in the "
                   "driver domain, in /var/log/xen/xen-hotplug.log if it is "
                   "one of Xen's",
                   script, action, WEXITSTATUS(status));
    return -EIO;
}

/* ---- the interface ---- */

static int with_name(const struct iface *f, unsigned long request,
                     struct ifreq *ifr)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

    if (s < 0)
        return -errno;
    strcpy(ifr->ifr_name, f->name);
    if (ioctl(s, request, ifr))
        rc = -errno;
    close(s);
    return rc;
}

static int set_mtu(struct iface *f, struct vr_err *err)
{
    struct ifreq ifr = {.ifr_mtu = (int)f->dev->cfg.mtu};
    int rc;

    if (f->dev->cfg.mtu) {
        rc = with_name(f, SIOCSIFMTU, &ifr);
        if (rc) {
            vr_err_set(err, "interface %s cannot have mtu=%u: %s", f->name,
                       f->dev->cfg.mtu, strerror(-rc));
            return rc;
        }
    }
    rc = with_name(f, SIOCGIFMTU, &ifr);
    if (rc) {
        vr_err_set(err, "interface %s is gone: did its script rename it?",
                   f->name);
        return rc;
    }
    f->mtu = (uint32_t)ifr.ifr_mtu;
    return 0;
}

static void choose_name(struct iface *f)
{
    const struct vr_dev_cfg *c = &f->dev->cfg;
    char name[16 + VR_ID_LEN];

    /* Xen's own have a dot there. A long id is cut. */
    snprintf(name, sizeof(name), "vif%u-%s", f->dev->guest, c->id);
    snprintf(f->name, sizeof(f->name), "%.*s", VR_IFNAME_LEN,
             c->vifname[0] ? c->vifname : name);
}

/* One queue of it; the first makes it. */
static int open_tap(struct iface *f, short flags)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int hdr = VR_NET_HDR_LEN, rc;

    if (fd < 0)
        return -errno;
    ifr.ifr_flags |= flags;
    strcpy(ifr.ifr_name, f->name);
    if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &hdr)) {
        rc = -errno;
        close(fd);
        return rc;
    }
    f->tap[f->ntaps++] = fd;
    return 0;
}

static int make_taps(struct iface *f, struct vr_err *err)
{
    unsigned int pairs = vr_net_pairs(&f->dev->cfg);
    short several = pairs > 1 ? IFF_MULTI_QUEUE : 0;
    int rc;

    choose_name(f);
    rc = open_tap(f, several | IFF_TUN_EXCL);
    while (!rc && f->ntaps < pairs)
        rc = open_tap(f, several);
    if (rc)
        vr_err_set(err, "interface %s cannot be made: %s%s", f->name,
                   strerror(-rc),
                   rc == -EBUSY    ? ": there is one; choose another vifname="
                   : rc == -ENOENT ? " (/dev/net/tun; module tun?)"
                                   : "");
    return rc;
}

/* Frames that the kernel takes from the guest nobody else looks at: it is told
 * whose they may be. */
static void put_guard(struct iface *f)
{
    uint8_t mac[6];

    f->no_guard = vr_net_mac_parse(f->dev->cfg.mac, mac);
    if (!f->no_guard)
        f->no_guard = vr_guard_put(f->name, mac);
}

static int make(struct iface *f, struct vr_err *err)
{
    int rc = make_taps(f, err);

    if (!rc && vr_net_may_vhost(&f->dev->cfg))
        put_guard(f);
    if (!rc)
        rc = run_script(f, "add", err);
    if (!rc)
        rc = set_mtu(f, err);
    return rc;
}

static void close_all(const int *fd, unsigned int n)
{
    while (n)
        close(fd[--n]);
}

/* /dev/vhost-net, opened for each pair of queues: what is opened once has one
 * owner, so each worker gets its own. Returns how many there are: all or none.
 */
static unsigned int open_vhost(const struct iface *f, int *fd,
                               struct vr_err *err)
{
    unsigned int n = 0;

    if (f->no_guard) {
        vr_err_set(err,
                   "no filter for addresses (sch_ingress, cls_u32, "
                   "act_gact?): %s",
                   strerror(-f->no_guard));
        return 0;
    }
    while (n < f->ntaps) {
        fd[n] = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
        if (fd[n] < 0) {
            vr_err_set(err, "/dev/vhost-net (module vhost_net?): %s",
                       strerror(errno));
            close_all(fd, n);
            return 0;
        }
        n++;
    }
    return n;
}

static void unmake(const struct iface *f)
{
    struct vr_err err;

    if (f->ntaps && run_script(f, "remove", &err))
        vr_log(f->dev->guest, f->dev->cfg.id, "%s", err.text);
    /* The interface goes with the last who has it. */
}

static void answer(const struct iface *f, int to, int rc,
                   const struct vr_err *err)
{
    const struct vr_dev_cfg *cfg = &f->dev->cfg;
    struct vr_keeper_answer a = {.rc = rc, .mtu = f->mtu};
    int fd[VR_KEEPER_FDS];
    unsigned int n = 0;
    struct vr_err why = {""};

    memcpy(fd, f->tap, sizeof(f->tap));

    if (!rc && vr_net_may_vhost(cfg)) {
        n = open_vhost(f, fd + f->ntaps, &why);
        if (!n && !strcmp(cfg->vhost, VR_NET_VHOST_ON))
            a.rc = -EOPNOTSUPP;
    }
    memcpy(a.name, f->name, sizeof(a.name));
    snprintf(a.why, sizeof(a.why), "%s%.*s", a.rc && !rc ? "vhost=on: " : "",
             (int)sizeof(a.why) - 16, rc ? err->text : why.text);
    vr_keeper_send(to, &a, sizeof(a), fd, a.rc ? 0 : f->ntaps + n);
    close_all(fd + f->ntaps, n);
    close(to);
}

void vr_iface_run(const struct vr_xs_dev *dev, int sock)
{
    struct iface f = {.dev = dev};
    struct vr_err err = {"out of memory"};
    int rc, to[VR_KEEPER_FDS];
    unsigned int n;
    char c;

    prctl(PR_SET_NAME, "vr-interface");
    rc = make(&f, &err);
    while (!vr_keeper_recv(sock, &c, sizeof(c), to, &n)) {
        if (n != 1)
            continue;
        answer(&f, to[0], rc, &err);
        if (rc)
            break;
    }
    unmake(&f);
    _exit(0);
}

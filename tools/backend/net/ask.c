/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a worker comes by its interface: it asks the keeper, before it locks
 * itself in. And the messages between the two. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper.h"

union control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(VR_KEEPER_FDS * sizeof(int))];
};

int vr_keeper_send(int sock, const void *msg, size_t len, const int *fd,
                   unsigned int n)
{
    struct iovec iov = {(void *)(uintptr_t)msg, len};
    union control control;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (n) {
        memset(&control, 0, sizeof(control));
        m.msg_control = control.buf;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fd, n * sizeof(int));
    }
    /* A process that does not read may not hold up the keeper, and with it all
     * other interfaces. */
    return sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int vr_keeper_recv(int sock, void *msg, size_t len, int *fd, unsigned int *n)
{
    struct iovec iov = {msg, len};
    union control control;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.buf,
                       .msg_controllen = sizeof(control.buf)};
    const struct cmsghdr *c;
    ssize_t got;

    *n = 0;
    got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        *n = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fd, CMSG_DATA(c), *n * sizeof(int));
    }
    if (got == (ssize_t)len)
        return 0;
    while (*n)
        close(fd[--*n]);
    return got ? -EPROTO : -EPIPE;
}

static int wait_for_answer(int sock, struct vr_keeper_answer *answer, int *fd,
                           unsigned int *n)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};
    int r = poll(&p, 1, VR_ASK_MS);

    if (r <= 0)
        return r ? -errno : -ETIMEDOUT;
    return vr_keeper_recv(sock, answer, sizeof(*answer), fd, n);
}

/* What came with the answer: the interface, and nothing else or all of vhost's.
 * Returns false if there is no sense in it. */
static bool take(struct vr_net_iface *out, unsigned int pairs,
                 const struct vr_keeper_answer *answer, const int *fd,
                 unsigned int n)
{
    if (n != pairs && n != 2 * pairs)
        return false;
    out->has_vhost = n > pairs;
    memcpy(out->tap, fd, pairs * sizeof(*fd));
    memcpy(out->vhost, fd + pairs, (n - pairs) * sizeof(*fd));
    out->mtu = answer->mtu;
    memcpy(out->name, answer->name, sizeof(out->name));
    out->name[VR_IFNAME_LEN] = '\0';
    snprintf(out->no_vhost, sizeof(out->no_vhost), "%.*s",
             (int)sizeof(out->no_vhost) - 1, answer->why);
    return true;
}

int vr_net_ask(int keeper, uint32_t guest, const char *id, unsigned int pairs,
               struct vr_net_iface *out, struct vr_err *err)
{
    struct vr_keeper_ask ask = {.guest = guest};
    struct vr_keeper_answer answer;
    int pair[2], rc, fd[VR_KEEPER_FDS];
    unsigned int n = 0;

    if (keeper < 0) {
        vr_err_set(err, "vr-backend was started without -n: it serves no "
                        "network devices");
        return -EOPNOTSUPP;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        rc = -errno;
        goto out;
    }
    snprintf(ask.id, sizeof(ask.id), "%s", id);
    rc = vr_keeper_send(keeper, &ask, sizeof(ask), &pair[1], 1);
    close(pair[1]);
    if (!rc)
        rc = wait_for_answer(pair[0], &answer, fd, &n);
    close(pair[0]);
    if (rc)
        goto out;
    answer.why[sizeof(answer.why) - 1] = '\0';
    if (answer.rc) {
        vr_err_set(err, "%s", answer.why);
        rc = answer.rc;
        goto out_fds;
    }
    if (take(out, pairs, &answer, fd, n))
        return 0;
    rc = -EPROTO;
out:
    vr_err_set(err, "no interface from vr-backend's keeper: %s", strerror(-rc));
out_fds:
    while (n)
        close(fd[--n]);
    return rc;
}

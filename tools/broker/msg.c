/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What supervisor and worker say to each other, one message a packet. A process
 * that is not to be trusted may be at the other end: whoever reads weighs it.
 */
#include <errno.h>
#include <sys/socket.h>

#include "broker.h"

int broker_msg_send(int sock, const struct vr_msg *msg)
{
    ssize_t r;

    do {
        r = send(sock, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int broker_msg_recv(int sock, struct vr_msg *msg)
{
    ssize_t r;

    do {
        r = recv(sock, msg, sizeof(*msg), MSG_DONTWAIT);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (r == 0)
        return -EPIPE;
    if (r != sizeof(*msg))
        return -EPROTO;
    msg->text[sizeof(msg->text) - 1] = '\0';
    return 0;
}

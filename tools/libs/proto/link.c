/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages between the plug-in and the broker, as link.h has it. Used on both
 * ends; works on a socket that it is given. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

int vr_link_send(int fd, char type, const char *text)
{
    char buf[1 + VR_LINK_MAX];
    size_t len = text ? strlen(text) : 0;
    ssize_t r;

    if (len > VR_LINK_MAX)
        len = VR_LINK_MAX;
    buf[0] = type;
    if (len)
        memcpy(buf + 1, text, len);
    do {
        /* A reader that is gone is an answer, not a signal. */
        r = send(fd, buf, 1 + len, MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int wait_readable(int fd, int timeout_ms)
{
    uint64_t end = vr_now_ms() + timeout_ms;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        int64_t left = end - vr_now_ms();
        int r = poll(&p, 1, timeout_ms < 0 ? -1 : left < 0 ? 0 : (int)left);

        if (r > 0)
            return 0;
        if (r == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int vr_link_recv(int fd, int timeout_ms, char *type, char *text)
{
    char buf[1 + VR_LINK_MAX];
    ssize_t r;
    int rc;

    rc = wait_readable(fd, timeout_ms);
    if (rc)
        return rc;
    do {
        r = recv(fd, buf, sizeof(buf), 0);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (r == 0)
        return -EPIPE;
    *type = buf[0];
    memcpy(text, buf + 1, r - 1);
    text[r - 1] = '\0';
    return 0;
}

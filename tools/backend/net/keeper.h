/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making an interface, and running a script as root, takes privileges that
 * vr-backend gives up when it becomes another user. One process keeps them, the
 * keeper. A worker asks it for the interface of a device by the device's name;
 * what is to be done it reads from xenstore itself, where the toolstack wrote
 * it, so nobody in this domain can have it do anything else.
 *
 * For each interface it has a child (iface.c), which makes the interface and
 * has it until the device's nodes vanish, or vr-backend ends: the interface
 * stays as it is while workers come and go.
 */
#ifndef VR_KEEPER_H
#define VR_KEEPER_H

#include "libs/proto/xsnode.h"
#include "net.h"

/** vr_keeper_start() - the keeper runs. @fd: what to ask it by, for workers;
 * it ends when nobody has that any more. Returns 0 or -errno with @err. */
int vr_keeper_start(int *fd, struct vr_err *err);

/* ---- between worker, keeper and child ---- */

/* How long a script may take: as long as libxl gives it. And all the rest. */
#define VR_SCRIPT_MS 40000
#define VR_ASK_MS    (VR_SCRIPT_MS + 20000)

/* From a worker; with it comes a socket for the answer. */
struct vr_keeper_ask {
    uint32_t guest;
    char id[VR_ID_LEN + 1];
};

/* The answer; with it come the interface's queues, and /dev/vhost-net as often
 * if that may be used, unless @rc is an error. */
struct vr_keeper_answer {
    int32_t rc; /* 0 or -errno */
    uint32_t mtu;
    char name[VR_IFNAME_LEN + 1];
    char why[400]; /* the error; or why there is no vhost-net: "": not asked */
};

/* The most descriptors that come with a message. */
#define VR_KEEPER_FDS (2 * VR_NET_PAIRS_MAX)

/** vr_keeper_send(), vr_keeper_recv() - one message of @len bytes, and with it
 * @n descriptors, VR_KEEPER_FDS at the most. Return 0, or -errno: -EPIPE at the
 * end. */
int vr_keeper_send(int sock, const void *msg, size_t len, const int *fd,
                   unsigned int n);
int vr_keeper_recv(int sock, void *msg, size_t len, int *fd, unsigned int *n);

/** vr_guard_put() - from now on interface @name passes on no frame that comes
 * from another address than @mac. Returns 0 or -errno. */
int vr_guard_put(const char *name, const uint8_t *mac);

/** vr_iface_run() - the whole life of a child.
 * @sock: the keeper; sockets for answers come from there. At its end the
 * interface goes. */
void vr_iface_run(const struct vr_xs_dev *dev, int sock)
    __attribute__((noreturn));

#endif /* VR_KEEPER_H */

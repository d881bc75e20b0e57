/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that serves one device: opens the device's source and
 * what it needs of Xen, locks itself in, runs the loop.
 */
#ifndef VR_WORKER_H
#define VR_WORKER_H

#include "libs/proto/xsnode.h"
#include "backend/serve.h"

/* What a worker tells its parent, one message each over the socket:
 * the letter, then text. */
#define VR_WORKER_CONNECTED 'C' /* text: what it does, for the log */
#define VR_WORKER_WAIT      'W' /* failed; worth another try: why */
#define VR_WORKER_FAILED    'E' /* failed for good: why */
#define VR_WORKER_NOTE                                                         \
    'N' /* connected, but the operator is to know this;                        \
         * empty: not any more */
#define VR_WORKER_MSG_MAX 400

struct vr_worker_opts {
    struct vr_io_opts io;
    bool no_sandbox;    /* for debuggers */
    unsigned int wait;  /* for guests' ends after SIGTERM, in milliseconds */
    unsigned int haste; /* 1; in tests, by which vr_devices_serve() looks
                         * sooner for what no event tells of */
};

/** vr_serve_find() - what serves devices of @type; NULL: nothing does. */
const struct vr_serve *vr_serve_find(enum vr_type type);

/**
 * vr_worker_main() - the whole life of a worker. Never returns.
 * @sock: to the parent; ends when the parent closes it.
 */
void vr_worker_main(const struct vr_xs_dev *dev, int sock,
                    const struct vr_worker_opts *opts)
    __attribute__((noreturn));

#endif /* VR_WORKER_H */

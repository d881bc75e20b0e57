/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vr-broker: one per guest, in the toolstack domain. Two processes:
 *
 *   supervisor  root. Talks to the plug-in and to xenstore, watches the
 *               domains, starts the clean-up, grants pools and takes them
 *               back. Sees nothing that the guest writes, but whether it has
 *               overwritten the windows' grants.
 *   worker      an unprivileged user in a sandbox. Is the guest's ioreq
 *               server: device registers, interrupts, control pages. Its
 *               privileges end before the guest runs (sandbox.c). With dynamic
 *               windows it also has their part of the guest's grant table.
 *
 * Between them a SOCK_SEQPACKET pair with the messages below, and the stats
 * page. The supervisor takes what the worker says as hostile: the worst that
 * a worker taken over by its guest can do is to lie about that guest. Which
 * pages a pool has, and to whom it is granted, is the record's word, not the
 * worker's.
 */
#ifndef VR_BROKER_H
#define VR_BROKER_H

#include <sys/types.h>

#include "libs/base/rate.h"
#include "libs/config/record.h"
#include "libs/proto/stats.h"

#define VR_EMPTY_DIR VR_RUN_DIR "/empty"

/* How long a guest's reset may wait for the backend, apart from what a pool's
 * unmapping takes (lease.h). */
#define VR_QUIESCE_MS 1000
/* How long the reset of a device behind the IOMMU waits at least, see
 * release() in worker/device.c. Linux flushes after 10 ms, rounded up to its
 * clock's ticks. */
#define VR_FLUSH_MS 50

enum vr_msg_type {
    /* worker to supervisor */
    VR_MSG_DEVICE = 1, /* dev, gref, port: its control page is there */
    VR_MSG_SERVING,    /* every device is trapped, privileges are dropped */
    VR_MSG_ERROR,      /* text: why it cannot serve (dev: VR_MSG_NO_DEV) */
    VR_MSG_LOG,        /* text: for the log */
    VR_MSG_CONNECTED,  /* dev: the control page has a valid description */
    VR_MSG_INVALID,    /* dev: ... or an invalid one */
    VR_MSG_CHANGED,    /* dev: look at its statistics */
    VR_MSG_KILL,       /* dev: its backend's process is to be killed */
    VR_MSG_DESTROY,    /* dev: ... did not help: its domain is to go */
    VR_MSG_GRANT,      /* dev: its pool is to be granted; asked again ... */
    VR_MSG_REVOKE,     /* dev: ... or taken back; ... until it is answered */
    /* supervisor to worker */
    VR_MSG_GONE,    /* dev: its driver domain has ended, or is about to */
    VR_MSG_DEAD,    /* dev: ... and reaches nothing any more */
    VR_MSG_GRANTED, /* dev: its pool is granted */
    VR_MSG_REFUSED, /* dev: it cannot be: the guest uses the entries */
    VR_MSG_REVOKED, /* dev: nobody can reach its pool */
};

#define VR_MSG_NO_DEV UINT32_MAX
#define VR_MSG_TEXT   384

struct vr_msg {
    uint32_t type; /* enum vr_msg_type */
    uint32_t dev;
    uint32_t gref;
    uint32_t port;
    char text[VR_MSG_TEXT];
};

/* ---- log.c, sources.c ---- */

/* Somebody who can bring about as many lines as he likes. All zero to begin. */
struct log_source {
    struct vr_rate rate;
    unsigned int left_out;
};

/** broker_log() - one line with the time. For what the toolstack does itself,
 * and for what happens so often and no more. */
void broker_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** broker_log_of() - about what somebody else decides how often it happens:
 * some at once, then one in a minute, which says how many were left out. */
void broker_log_of(struct log_source *source, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** broker_log_open() - the log of guest @name becomes standard output and
 * error. */
void broker_log_open(const char *name);

/** broker_log_path() - where it is. */
const char *broker_log_path(void);

/** broker_log_move() - the guest has a new name, and so has its log. */
void broker_log_move(const char *name);

/** broker_log_to() - from now on lines go to the supervisor. */
void broker_log_to(int sock);

/* ---- title.c ---- */

/** broker_title_init() - the arguments of main(), whose memory is kept. */
void broker_title_init(int argc, char **argv);

/** broker_title() - what ps shows of this process. */
void broker_title(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- msg.c ---- */

/** broker_msg_send() - returns 0 or -errno; never blocks. */
int broker_msg_send(int sock, const struct vr_msg *msg);

/** broker_msg_recv() - returns 0, -EAGAIN (none there), -EPIPE or -errno. */
int broker_msg_recv(int sock, struct vr_msg *msg);

/* ---- supervisor.c, worker.c ---- */

/**
 * supervisor_run() - serve the guest @uuid until it is gone.
 * Returns the exit status of the program.
 */
int supervisor_run(const char *uuid);

/**
 * worker_run() - the worker, in a process of its own.
 * @rec, @stats: the supervisor's, inherited. @sock: to the supervisor.
 */
void worker_run(const struct vr_record *rec, struct vr_stats *stats, int sock)
    __attribute__((noreturn));

/* ---- limits.c, worker/sandbox.c ---- */

/** limits_supervisor() - what it may take of the toolstack domain. */
void limits_supervisor(void);

/** limits_worker() - ... and the worker, when it has all it needs. Returns 0 or
 * -errno. */
int limits_worker(void);

/**
 * sandbox_enter() - give up all that the worker does not need any more.
 * @domid: the guest, the only domain that the open handles may act on.
 * @maps_guest: it goes on mapping that guest's memory (virtio-iommu).
 *
 * The caller has opened and bound everything. Returns 0 or -errno with @err.
 */
int sandbox_enter(uint32_t domid, bool maps_guest, struct vr_err *err);

#endif /* VR_BROKER_H */

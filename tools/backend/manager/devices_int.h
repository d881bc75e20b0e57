/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files that look after the devices share:
 *
 *   devices.c         what is due for each device, and when; the loop
 *   devices_store.c   what xenstore says: which devices there are, `kill`
 *   devices_worker.c  the workers' life: start, last words, end, and what then
 *   devices_say.c     what xenstore is told of a device: `state` and `error`
 *
 * Each uses those below it only.
 */
#ifndef VR_DEVICES_INT_H
#define VR_DEVICES_INT_H

#include <errno.h>
#include <stdio.h>
#include <xenstore.h>

#include "backend/say.h"
#include "devices.h"

#define ROOT "backend/" VR_NAME /* relative: of the domain we run in */

#define MAX_DEVICES 256

/* All times in milliseconds. */
#define STOP_LIMIT 10000 /* to finish what is under way */
#define LOOK_STEP  5000  /* between two looks for what no event told of */
#define AGAIN_STEP 1000  /* after one that failed */

/* How many guests a look by the clock reads that no event told of. */
#define LOOK_GUESTS 8

enum dev_state {
    DEV_IDLE, /* to be started at @when */
    DEV_RUNNING,
    DEV_STOPPING, /* told to end; killed at @when */
    DEV_LEAVING,  /* the process is gone, the kernel still does its I/O;
                   * said aloud at @when */
    DEV_FAILED,   /* until its nodes change */
};

struct device {
    struct device *next;
    struct vr_xs_dev dev;
    uint32_t guest; /* and id: as in the path */
    char id[VR_ID_LEN + 1];
    enum dev_state state;
    bool present;   /* its nodes exist */
    bool listed;    /* for looks: it was found this time */
    bool connected; /* once, at least */
    bool stable;    /* this worker connected */
    bool killed;    /* this worker was, because the toolstack wants it gone */
    bool late;      /* that this worker does not come up was said */
    bool unsaid;    /* @said and @error are still to be written */
    bool kills_known;
    uint64_t kills; /* the node `kill`, as last seen */
    pid_t pid;
    int sock;
    pid_t last_pid; /* of DEV_LEAVING, and how it ended */
    int last_status;
    char report; /* VR_WORKER_WAIT, VR_WORKER_FAILED: the worker's last word */
    char why[VR_WORKER_MSG_MAX];
    enum vr_xbstate said; /* VR_XB_UNKNOWN: nothing yet */
    char error[VR_WORKER_MSG_MAX];
    int64_t when, started;
    unsigned int backoff, starts;
};

struct devices {
    const struct vr_worker_opts *opts;
    struct xs_handle *xs;
    int sigfd;
    struct device *list;
    unsigned int count;
    bool quit;
    /* What is to be looked at, because an event told of it, or because it could
     * not be read the last time: the list of guests, the devices of some. */
    bool root;
    uint32_t told[MAX_DEVICES];
    unsigned int ntold;
    uint32_t turn; /* the guest last looked at without that */
    bool leaving;  /* to quit when no guest is left, or at @leave_at */
    int64_t leave_at;
    bool unread;        /* a node could not be read this time */
    int64_t look_at;    /* when to look without an event */
    unsigned int fails; /* looks in a row that failed */
    int64_t now;
};

/* The time in @ms milliseconds, or sooner for those in haste. */
static inline int64_t in(const struct devices *ds, int ms)
{
    return ds->now + ms / ds->opts->haste;
}

static inline void node_path(const struct device *d, const char *leaf,
                             char *buf)
{
    snprintf(buf, VR_XS_PATH, ROOT "/%u/%s/%s", d->guest, d->id, leaf);
}

/* Is it that there is no such node, or none for us? Anything else says nothing
 * about the node, and may be over at the next try. */
static inline bool store_refused(int error)
{
    return error == ENOENT || error == EACCES;
}

/** devices_write_said() - what was said last goes into the nodes; it stays
 * @unsaid if that fails for now. */
void devices_write_said(struct devices *ds, struct device *d);

/** devices_say() - what the toolstack sees of us. */
void devices_say(struct devices *ds, struct device *d, enum vr_xbstate state,
                 const char *error);

/** devices_say_why() - why it takes so long: for the toolstack's message,
 * should it give up. */
void devices_say_why(struct devices *ds, struct device *d, const char *error);

/** devices_fail() - the device is given up until its nodes change. */
void devices_fail(struct devices *ds, struct device *d, const char *why);

/** devices_worker_start() - a process for the device; it fails if there can be
 * none. */
void devices_worker_start(struct devices *ds, struct device *d);

/** devices_worker_stop() - tells the worker to end, if one runs. */
void devices_worker_stop(struct devices *ds, struct device *d);

/** devices_worker_kill() - the toolstack wants this worker dead, for what it
 * holds; the device is to go on. */
void devices_worker_kill(struct devices *ds, struct device *d);

/** devices_worker_message() - takes one message. Returns false when there is
 * none, for now or for good. */
bool devices_worker_message(struct devices *ds, struct device *d);

/** devices_worker_reap() - takes the signals that came, and the processes that
 * ended. */
void devices_worker_reap(struct devices *ds);

/** devices_leave() - we are to end: @now, or after the guests. */
void devices_leave(struct devices *ds, bool now);

/**
 * devices_store_events() - takes the watch events that there are. A device's
 * folder comes and goes in one transaction, whole; what changes in it later is
 * our own answer, or `kill`, which is obeyed at once. So only what happens to a
 * folder calls for a look at its guest, by devices_store_look().
 */
void devices_store_events(struct devices *ds);

/**
 * devices_store_look() - looks at what events told of: as many requests as the
 * guests concerned have devices, however many others there are.
 * @clock: no event is the reason. They would do if none were ever lost, but
 * xenstored drops those that a domain has not taken for 20 s, and what could
 * not be read, or written, when an event came has to be tried again. So this
 * reads which guests there are, and looks at LOOK_GUESTS of them.
 */
void devices_store_look(struct devices *ds, bool clock);

#endif /* VR_DEVICES_INT_H */

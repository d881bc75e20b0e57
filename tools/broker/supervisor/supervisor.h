/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's parts, and who calls whom:
 *
 *   supervisor.c  the loop: what is ready, what is due; calls the others
 *   plugin.c      what the plug-in says: the steps to a guest that runs
 *   reports.c     what the worker says
 *   life.c        devices that cannot start, and the end of it all
 *   spawn.c       starts and ends processes: the worker, `vrctl cleanup`
 *   domains.c     do the guest and its driver domains still live?
 *   backends.c    what backends say in xenstore; what operators see there
 *   names.c       what the domains are called
 *   pools.c       grants the pools, and takes them back
 *   grants.c      are the windows' grants still there?
 *   scope.c       out of the session that xl was called in
 */
#ifndef VR_BROKER_SUPERVISOR_H
#define VR_BROKER_SUPERVISOR_H

#include "broker/broker.h"
#include "libs/proto/devstate.h"
#include "libs/proto/pools.h"
#include "libs/xen/compat.h"
#include "libs/xen/gtable.h"
#include "libs/xen/store.h"

enum step {
    STEP_IDLE,     /* nothing is known yet */
    STEP_PREPARED, /* after 'P' */
    STEP_STARTING, /* after 'S': the plug-in waits for an answer */
    STEP_FAILED,   /* 'E' was said: the plug-in decides */
    STEP_READY,    /* 'O' was said: waiting for 'C' */
    STEP_RUNNING,  /* after 'C' */
};

struct sdev {
    bool has_page; /* gref and port are known */
    uint32_t gref, port;
    bool connected; /* the worker has found a valid description */
    bool gone;      /* the driver domain is, or about to be */
    bool gone_sent; /* ... and the worker was told */
    bool dead;      /* ... and the worker knows that it reaches nothing */
    bool holds;     /* ... keeps memory that the guest has taken back */
    enum vr_xbstate backend;
    char says[256]; /* the backend's words, sanitised */
    enum vr_fail fail;
    bool counted;         /* the counters were published, as of @last */
    uint32_t overwritten; /* grants of its windows, at the last look */
    struct vr_err why;    /* ... in words */
    struct vr_stats_dev last;
    struct vr_devstate told; /* as published; VR_STATE_NONE: not yet */
    struct log_source log;   /* what it, or the guest, makes us say */
    int64_t told_at;
    int64_t changed_at; /* when the worker was last listened to */
    int64_t killed_at;  /* when its backend was to be killed; 0: never */
    enum vr_pool_state pool_told; /* as published */
};

struct super {
    const char *uuid;
    enum step step;
    int link, sig, sock;
    pid_t worker; /* 0: none */
    struct log_source says;
    struct vr_record rec;
    struct vr_stats *stats;
    struct vr_pools *pools; /* ours alone */
    struct xs_handle *xs;
    xc_interface *xch;
    xenforeignmemory_handle *fm;
    bool published;
    bool lost; /* the worker, while the guest needs it */
    enum vr_domstate driver[VR_MAX_DEVICES];
    /* when a driver domain was to be destroyed; 0: never */
    int64_t destroyed_at[VR_MAX_DEVICES];
    int64_t started; /* STEP_STARTING: since when; 0: not yet */
    int64_t tick;
    int64_t declined_at; /* when a signal was last said to be; 0: never */
    /* A domain may be about to end, and a guest's UNMAP may wait for that. */
    int64_t ending_at; /* when to look again; 0: at the next tick */
    int64_t ending_until;
    bool look; /* at the backends' nodes, not before look_at */
    int64_t look_at;
    int64_t stats_at;  /* when to look at the statistics, before the next tick;
                        * 0: no need */
    int64_t grants_at; /* when the windows' grants were looked at */
    bool suspect;      /* ... and are to be, before long */
    uint64_t no_space; /* the virtio-iommu's count, as last seen */
    int64_t pools_at, pools_debt; /* see may_work() */
    struct sdev dev[VR_MAX_DEVICES];
    /* Set when the program is to end. */
    bool done;
    int status;
};

static inline const char *dev_id(const struct super *s, unsigned int i)
{
    return s->rec.devs[i].cfg.id;
}

static inline const struct vr_record_driver *dev_driver(const struct super *s,
                                                        unsigned int i)
{
    return &s->rec.drivers[s->rec.devs[i].driver];
}

/* ---- supervisor.c ---- */

/* What a turn of the loop has found ready to be read. */
enum { READY_SIGNAL, READY_LINK, READY_WORKER, READY_XENSTORE, READY };

/** super_init() - @s: all zero. @uuid: kept. */
void super_init(struct super *s, const char *uuid);

/** super_time_left() - how long may a turn wait? In ms; -1: for ever. */
int super_time_left(const struct super *s);

/** super_serve() - the turn after that; does what is due, too. */
void super_serve(struct super *s, const bool ready[READY]);

/* ---- life.c ---- */

/** super_refuse() - tell the plug-in why the guest cannot start. */
void super_refuse(struct super *s, const char *text);

/** super_cleanup() - become `vrctl cleanup`. @abort: xl was not done yet. */
void super_cleanup(struct super *s, bool abort);

/* ---- plugin.c ---- */

/** plugin_message() - the plug-in says something, or is gone. */
void plugin_message(struct super *s);

/* ---- reports.c ---- */

/** reports_read() - what the worker says, or that it is gone. */
void reports_read(struct super *s);

/* ---- spawn.c ---- */

/** spawn_worker() - fork the worker. Returns 0 or -errno with @err. */
int spawn_worker(struct super *s, struct vr_err *err);

/** spawn_stop() - kill it, if it is there, and wait for its end. */
void spawn_stop(struct super *s);

/** spawn_reap() - it may have ended. @options: of waitpid(). */
void spawn_reap(struct super *s, int options);

/** spawn_cleanup() - become `vrctl cleanup`. @abort: xl was not done yet.
 * Returns, with a line in the log, when that cannot be. */
void spawn_cleanup(const struct super *s, bool abort);

/** spawn_driver_cleanup() - have `vrctl cleanup` destroy the driver domain of
 * uuid @driver; its name may be another one by now. */
void spawn_driver_cleanup(struct super *s, const char *driver);

/* ---- domains.c ---- */

/** domains_soon() - look often for a while: one of them may be ending. */
void domains_soon(struct super *s);

/** domains_check() - act upon the end of the guest or of a driver domain. */
void domains_check(struct super *s);

/* ---- backends.c ---- */

/** backends_publish() - write the nodes of all devices and watch them. */
int backends_publish(struct super *s, struct vr_err *err);

/** backends_watch() - watch the nodes. Returns 0 or -errno with @err. */
int backends_watch(struct super *s, struct vr_err *err);

/** backends_check() - have their states changed? */
void backends_check(struct super *s);

/** backends_complete() - once all are connected, tell the plug-in. */
void backends_complete(struct super *s);

/** backends_deadline() - when the patience with a backend ends (timeout=);
 * INT64_MAX: never. */
int64_t backends_deadline(const struct super *s);

/** backends_timeout() - say whose answers are missing. */
void backends_timeout(struct super *s);

/** backends_facts() - what is known of device @i. */
struct vr_devfacts backends_facts(const struct super *s, unsigned int i);

/** backends_show() - publish and log device @i's state, if it has changed. */
void backends_show(struct super *s, unsigned int i);

/** backends_stats() - publish device @i's counters and failures. */
void backends_stats(struct super *s, unsigned int i);

/* ---- names.c ---- */

/** names_watch() - notice when the guest or a driver domain is renamed. */
void names_watch(struct super *s);

/** names_check() - take over their names of now. */
void names_check(struct super *s);

/* ---- pools.c ---- */

/** pools_start() - once the worker is there, which is to have nothing of it.
 * Returns 0 or -errno with @err. */
int pools_start(struct super *s, struct vr_err *err);

/** pools_stop() - let go of all handles. */
void pools_stop(struct super *s);

/** pools_order() - the worker asks for device @i's pool to be granted (@grant)
 * or taken back. Answers it, unless it is to ask again. */
void pools_order(struct super *s, unsigned int i, bool grant);

/** pools_dead() - nothing is left of device @i's driver domain: nor is to be
 * left of its grants, since another domain may come to have its number. */
void pools_dead(struct super *s, unsigned int i);

/* ---- grants.c ---- */

/**
 * grants_check() - look at the windows' grants, if it is time to, and say which
 * device has lost some. @suspect: a backend cannot use them, perhaps.
 */
void grants_check(struct super *s, bool suspect);

/* ---- scope.c ---- */

/** scope_leave() - have systemd, if it runs here, put both processes into a
 * unit of their own. Does not wait for it. */
void scope_leave(struct super *s);

/** scope_host_ends() - is a signal of process @sender systemd's last word? */
bool scope_host_ends(pid_t sender);

#endif /* VR_BROKER_SUPERVISOR_H */

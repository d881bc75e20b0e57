/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl, the operator's tool. One file per sub-command; what they share is
 * here. Each sub-command gets argc and argv from its own name on and returns
 * the exit status: 0 fine, 1 failed or something found, 2 something is left
 * that only the operator can put right, 64 wrong usage.
 */
#ifndef VRCTL_H
#define VRCTL_H

#include <signal.h>
#include <sys/types.h>

#include <xenctrl.h>
#include <xenstore.h>
#include <yajl/yajl_gen.h>

#include "libs/proto/devstate.h"
#include "libs/config/record.h"
#include "libs/proto/stats.h"

#define EX_OK     0
#define EX_FAILED 1
#define EX_LEFT   2
#define EX_USAGE  64

int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_survey(int argc, char **argv);
int cmd_cleanup(int argc, char **argv);

/** say() - "vrctl: ..." on stderr, one line. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- json.c: the members of an object, one call each ---- */

/** json_begin() - a generator with an object open; NULL without memory. */
yajl_gen json_begin(void);
/** json_end() - close the object and print it. Frees @g; NULL is allowed. */
void json_end(yajl_gen g);
void json_key(yajl_gen g, const char *key);
void json_str(yajl_gen g, const char *key, const char *value);
/** json_u64() - a number; above 2^53 - 1, where most readers would lose its
 * last digits, a string in hexadecimal. */
void json_u64(yajl_gen g, const char *key, uint64_t value);
/** json_count() - json_u64()'s number, of an array. */
void json_count(yajl_gen g, uint64_t value);
void json_double(yajl_gen g, const char *key, double value);
void json_bool(yajl_gen g, const char *key, bool value);

/* ---- domain.c ---- */

/** dom_find() - the domain with @uuid. Returns 0, -ESRCH or -errno. */
int dom_find(xc_interface *xch, const char *uuid, xc_domaininfo_t *info);
/**
 * dom_identify() - the very domain that a record means.
 * @domid: as recorded. A uuid alone is not enough: nothing keeps two domains
 * from having one, and a guest that was started anew keeps its last life's.
 * VR_DOMID_NONE: not known yet, then the uuid has to do.
 * Returns 0, -ESRCH or -errno.
 */
int dom_identify(xc_interface *xch, const char *uuid, uint32_t domid,
                 xc_domaininfo_t *info);
/** dom_uuid() - text of a domain's handle; @buf of VR_UUID_LEN + 1. */
char *dom_uuid(const xc_domaininfo_t *info, char *buf);
/** dom_name() - name of a domain by xenstore, fit to be shown; "?" if unknown.
 */
void dom_name(struct xs_handle *xs, uint32_t domid, char *buf, size_t size);
/** dom_state() - "running", "paused", "shut down", "dying", ... */
const char *dom_state(const xc_domaininfo_t *info);
/** dom_number() - "-" for one that does not exist yet, or no more. */
const char *dom_number(uint32_t domid, char *buf, size_t size);
/**
 * dom_lookup() - domid, name or uuid as the user typed it, to a domid.
 * Returns 0 or -ESRCH.
 */
int dom_lookup(xc_interface *xch, struct xs_handle *xs, const char *what,
               uint32_t *domid);

/* ---- guest.c: a record with what surrounds it ---- */

struct guest {
    struct vr_record rec;
    bool exists; /* a domain with the record's uuid */
    xc_domaininfo_t info;
    bool broker; /* its process lives */
    bool creator;
};

/** guest_load() - record @uuid and the present facts. 0 or -errno, @err. */
int guest_load(xc_interface *xch, const char *uuid, struct guest *g,
               struct vr_err *err);
/**
 * guest_lookup() - the guest with a record that @what names.
 * Returns 0, -ESRCH, or -errno with @err.
 */
int guest_lookup(xc_interface *xch, const char *what, struct guest *g,
                 struct vr_err *err);
/** guest_stale() - why this record is nobody's any more; NULL if it is not. */
const char *guest_stale(const struct guest *g);
/** guest_driver_state() - how driver domain @j is. */
enum vr_domstate guest_driver_state(xc_interface *xch, const struct guest *g,
                                    unsigned int j);
/** guest_dev_state() - state of device @i, and why it does not work. */
void guest_dev_state(xc_interface *xch, struct xs_handle *xs,
                     const struct guest *g, unsigned int i,
                     const struct vr_stats *stats, struct vr_devstate *out);

/* ---- proc.c ---- */

/** proc_polite() - the signals by which people and programs ask a process to
 * end. */
void proc_polite(sigset_t *set);
/** proc_alive() - does @pid still run, being the process that began at
 * @start? */
bool proc_alive(pid_t pid, uint64_t start);
/** proc_kill() - SIGKILL, and wait for its end. 0, -ETIMEDOUT or -errno. */
int proc_kill(pid_t pid, uint64_t start, int wait_ms);
/** proc_children() - up to @max children of @pid; returns how many. */
unsigned int proc_children(pid_t pid, pid_t *out, unsigned int max);
/** proc_hotplug() - does a hotplug script of a device of domain @domid run? */
bool proc_hotplug(uint32_t domid);
/** proc_rss_kib() - resident memory; 0 when unknown. */
uint64_t proc_rss_kib(pid_t pid);
/**
 * proc_bounded() - run @fn in a child of its own, for at most @seconds.
 *
 * For calls into xenstored and libxl, which have no time limits: a child can
 * be killed, a call cannot. Returns what @fn returned (0 .. 125 as is),
 * -ETIMEDOUT, or -ECHILD when it crashed.
 */
int proc_bounded(int (*fn)(void *ctx), void *ctx, unsigned int seconds);

/* ---- lock.c: one clean-up of a guest at a time ---- */

/**
 * lock_take() - lock guest @uuid, wait at most @wait_ms.
 * Returns a descriptor for lock_drop(), -ETIMEDOUT or -errno.
 */
int lock_take(const char *uuid, int wait_ms);
/** lock_drop() - unlock guest @uuid and remove the file. Closes @fd. */
void lock_drop(const char *uuid, int fd);
/** lock_held() - is somebody cleaning this guest up right now? */
bool lock_held(const char *uuid);

/* ---- destroy.c ---- */

/**
 * destroy_domain() - end the domain with @uuid and @domid (may be
 * VR_DOMID_NONE, see dom_identify()), and remove what is left of it.
 * @unfinished: whoever created it did not get to the end.
 * Returns 0 (also when there is none), or -errno: something may be left, and
 * another call finds what it was, the domain itself included.
 */
int destroy_domain(xc_interface *xch, const char *uuid, uint32_t domid,
                   bool unfinished);

/* ---- window.c: a guest's windows while it is taken down ---- */

/**
 * windows_busy() - entries of @g's windows that are in use, after waiting
 * up to @wait_ms for them to come free; in @held by driver domain.
 * Returns the number; 0 also when the guest is gone, or dying: then its table
 * cannot be looked at any more.
 */
uint32_t windows_busy(const struct guest *g, int wait_ms,
                      uint32_t held[VR_MAX_DEVICES]);
/** windows_revoke() - revoke them all. Returns how many are still in use. */
uint32_t windows_revoke(const struct guest *g);

/* counters.c: the live figures. @s NULL: there are none. */
void stats_print(const struct vr_stats_dev *s);
void stats_json(yajl_gen j, const struct vr_stats_dev *s);
void iommu_print(const struct vr_record *rec, const struct vr_stats_iommu *s);
void iommu_json(yajl_gen j, const struct vr_record *rec,
                const struct vr_stats_iommu *s);

#endif /* VRCTL_H */

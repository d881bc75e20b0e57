/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The toolstack's side of our xenstore nodes: written by the broker's
 * supervisor, removed by it and by vrctl's clean-up.
 */
#ifndef VR_STORE_H
#define VR_STORE_H

#include <xenstore.h>

#include "libs/proto/devstate.h"
#include "libs/proto/stats.h"
#include "libs/proto/xsnode.h"

/**
 * vr_store_publish() - write all nodes of device @i in one transaction, with
 * their permissions (B: read all, write state and error; G: read its own).
 * Returns 0 or -errno with @err.
 */
int vr_store_publish(struct xs_handle *xs, const struct vr_record *rec,
                     unsigned int i, uint32_t ctrl_gref, uint32_t ctrl_port,
                     struct vr_err *err);

/** vr_store_state() - set the toolstack's view: state text and last error. */
void vr_store_state(struct xs_handle *xs, const struct vr_record *rec,
                    unsigned int i, enum vr_dev_state state, const char *error);

/** vr_store_pool() - say whether device @i's pool is granted (pools.h). */
void vr_store_pool(struct xs_handle *xs, const struct vr_record *rec,
                   unsigned int i, const char *pool);

/** vr_store_driver_name() - driver domain @j has another name now. */
void vr_store_driver_name(struct xs_handle *xs, const struct vr_record *rec,
                          unsigned int j);

/**
 * vr_store_kill() - ask the backend's main process to kill the worker of
 * device @i and start another: raises the counter in its node `kill`. It does
 * nothing for a device that has been withdrawn.
 * Returns 0, -ENOENT (withdrawn) or -errno.
 */
int vr_store_kill(struct xs_handle *xs, const struct vr_record *rec,
                  unsigned int i);

/** vr_store_same_counters() - would vr_store_counters() write the same? */
bool vr_store_same_counters(const struct vr_stats_dev *s,
                            const struct vr_stats_dev *t);

/** vr_store_counters() - publish counters worth a look. */
void vr_store_counters(struct xs_handle *xs, const struct vr_record *rec,
                       unsigned int i, const struct vr_stats_dev *s);

/**
 * vr_store_backend_state() - what the backend says of device @i.
 * @why: its error text, sanitised ("" when there is none).
 */
enum vr_xbstate vr_store_backend_state(struct xs_handle *xs,
                                       const struct vr_record *rec,
                                       unsigned int i, char *why, size_t size);

/**
 * vr_store_withdraw() - remove every backend node of the guest (the backend
 * then lets go of the windows), or with @all everything of it.
 */
void vr_store_withdraw(struct xs_handle *xs, const struct vr_record *rec,
                       bool all);

/**
 * vr_store_forget() - remove what is left of domain @domid, which is gone: its
 * own folders, and those of its devices in this domain's backends.
 *
 * libxl has removed them, but a hotplug script that is late writes to its
 * device all the same, which makes the node again: for good, since nobody
 * comes back for it. Returns the number of nodes that there were.
 */
unsigned int vr_store_forget(struct xs_handle *xs, uint32_t domid);

#endif /* VR_STORE_H */

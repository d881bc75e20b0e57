/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where things stand in xenstore, and checked readers of what stands there.
 * Pure: builds paths and parses values; tools/libs/xen/store.h does the I/O.
 *
 * backend: /local/domain/<B>/backend/virtio_restricted/<G>/<id>/...
 *     what the backend needs; B may read all of it, write `state` and `error`
 * guest:   /local/domain/<G>/device/virtio_restricted/<id>/...
 * truth:   /libxl/<G>/virtio_restricted/<id>/...  for the toolstack alone
 *
 * docs/xenstore.md lists every node.
 */
#ifndef VR_XSNODE_H
#define VR_XSNODE_H

#include "libs/config/record.h"

#define VR_XS_PATH 256 /* room for any of our paths */

/* XenbusState (Xen public/io/xenbus.h) */
enum vr_xbstate {
    VR_XB_UNKNOWN = 0,
    VR_XB_INITIALISING = 1,
    VR_XB_INITWAIT = 2,
    VR_XB_INITIALISED = 3,
    VR_XB_CONNECTED = 4,
    VR_XB_CLOSING = 5,
    VR_XB_CLOSED = 6,
};

/* Each returns @buf (VR_XS_PATH bytes). @id or @leaf NULL: the folder. */
char *vr_xs_backend(char *buf, uint32_t b, uint32_t g, const char *id,
                    const char *leaf);
char *vr_xs_guest(char *buf, uint32_t g, const char *id, const char *leaf);
char *vr_xs_truth(char *buf, uint32_t g, const char *id, const char *leaf);

/*
 * In a device's backend folder, beside what describes the device: a counter.
 * When the toolstack raises it, the backend's main process kills the worker of
 * the device and starts another one. The worker itself need not look.
 */
#define VR_XS_KILL "kill"

/** vr_xbstate_parse() - VR_XB_UNKNOWN for anything that is no state. */
enum vr_xbstate vr_xbstate_parse(const char *value, size_t len);

/** vr_xs_is_backend_of() - does @path lead to a device of domain @domid, in
 * whatever domain's backend folder? */
bool vr_xs_is_backend_of(const char *path, uint32_t domid);

/**
 * vr_xs_sanitise() - text from another domain, fit for a log or a terminal:
 * printable ASCII, cut to @size - 1, always terminated.
 */
void vr_xs_sanitise(char *dst, size_t size, const char *src, size_t len);

/* What a backend reads about one device. */
struct vr_xs_dev {
    /* id, type, mode, target, readonly, queues, ...; size and aperture are
     * those of the windows, map_threshold is VR_NEVER_MAP in static mode */
    struct vr_dev_cfg cfg;
    uint32_t guest;            /* domid that the grants belong to */
    struct vr_gwin pool, iova; /* size 0: none of the kind */
    uint32_t ctrl_domid;       /* the broker's domain */
    uint32_t ctrl_gref;
    uint32_t ctrl_port;
};

/** One node below a device's backend folder. */
struct vr_xs_kv {
    const char *key; /* relative: "window/0/base" */
    char value[VR_PATH_LEN + 1];
};
#define VR_XS_MAX_KV 32

/**
 * vr_xs_dev_format() - the nodes that describe @dev to its backend.
 * Returns how many of @kv (VR_XS_MAX_KV) were filled.
 */
unsigned int vr_xs_dev_format(const struct vr_xs_dev *dev, struct vr_xs_kv *kv);

/**
 * vr_xs_dev_parse() - the reverse, with every value checked.
 * @get: returns a malloc'ed value of @key or NULL; called a bounded number of
 * times; the parser frees what it returns.
 * Returns 0 or -EINVAL with @err naming node and value; a dynamic window that
 * is too small for its queues (bounds.h) is refused, too.
 */
int vr_xs_dev_parse(struct vr_xs_dev *dev, const char *id,
                    char *(*get)(void *ctx, const char *key, size_t *len),
                    void *ctx, struct vr_err *err);

#endif /* VR_XSNODE_H */

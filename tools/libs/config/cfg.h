/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One string of `virtio_restricted = [ ... ]`: the description of a device in
 * the style of xl's own device strings ("key=value,key=value"). Pure parser of
 * untrusted text; what can only be judged with the guest's config, the host or
 * the other devices at hand is checked by vr_cfg_check_all() and its callers.
 */
#ifndef VR_CFG_H
#define VR_CFG_H

#include "libs/base/vr.h"

enum vr_type {
    VR_TYPE_BLOCK = 2, /* values: virtio device ids (virtio 1.2, 5) */
};

enum vr_mode {
    VR_MODE_STATIC,  /* a pool, granted once, before the guest runs */
    VR_MODE_DYNAMIC, /* granted page by page, as virtio-iommu maps */
    VR_MODE_MIXED,   /* a pool and, beside it, a dynamic window */
};

/* Where the guest is told that a pool belongs to a device. */
enum vr_pool_in {
    VR_POOL_IN_FIRMWARE, /* device tree or ACPI: the device names its pool */
    VR_POOL_IN_PROBE,    /* mixed: the virtio-iommu's PROBE answer alone */
    VR_POOL_IN_BOTH,
};

enum vr_window_kind {
    VR_WINDOW_POOL, /* granted as a whole, before the guest runs */
    VR_WINDOW_IOVA, /* granted page by page, as virtio-iommu maps */
    VR_WINDOWS
};

#define VR_NEVER_MAP UINT64_MAX

/* Milliseconds that a backend may keep a page which the guest has unmapped. */
#define VR_REVOKE_MS_MIN     100u
#define VR_REVOKE_MS_MAX     60000u
#define VR_REVOKE_MS_DEFAULT 1000u

struct vr_dev_cfg {
    char id[VR_ID_LEN + 1];
    enum vr_type type;
    enum vr_mode mode;
    uint64_t size;           /* static, mixed: bytes of the pool, whole pages */
    bool has_base;           /* base= was given */
    uint64_t base;           /* guest physical address of the pool */
    enum vr_pool_in pool_in; /* static, dynamic: always firmware */
    uint64_t aperture; /* dynamic, mixed: bytes of IOVA space, whole pages */
    /* dynamic, mixed: payloads of at least so many bytes are mapped by the
     * backend, smaller ones copied; VR_NEVER_MAP: all are copied. */
    uint64_t map_threshold;
    unsigned int revoke_ms; /* dynamic, mixed: how long the backend may keep a
                             * page that the guest has unmapped */
    /* Exactly one of the two is set: */
    char driver[VR_PATH_LEN + 1];  /* xl.cfg of a driver domain to create */
    char backend[VR_NAME_LEN + 1]; /* name of a driver domain that runs */
    char target[VR_PATH_LEN + 1];  /* a file or block device in that domain */
    bool readonly;                 /* access=ro */
    unsigned int queues;           /* 1 .. VR_MAX_QUEUES, default 1 */
    unsigned int queue_size;       /* power of two, default 128 */
    char serial[VR_SERIAL_LEN + 1];
    bool discard;         /* offer DISCARD and WRITE_ZEROES, default on */
    unsigned int timeout; /* seconds to wait for the backend, default 60 */
    unsigned int poll_us; /* how long the backend polls before it sleeps */
};

/** vr_cfg_has_pool() - does it have a window in the guest's memory (@size)? */
static inline bool vr_cfg_has_pool(const struct vr_dev_cfg *cfg)
{
    return cfg->mode != VR_MODE_DYNAMIC;
}

/** vr_cfg_has_iova() - does it have one behind the virtio-iommu (@aperture)? */
static inline bool vr_cfg_has_iova(const struct vr_dev_cfg *cfg)
{
    return cfg->mode != VR_MODE_STATIC;
}

/** vr_cfg_pool_in_firmware(), vr_cfg_pool_in_probe() - does it have a pool that
 * its node names? One that the PROBE answer names? */
static inline bool vr_cfg_pool_in_firmware(const struct vr_dev_cfg *cfg)
{
    return vr_cfg_has_pool(cfg) && cfg->pool_in != VR_POOL_IN_PROBE;
}

static inline bool vr_cfg_pool_in_probe(const struct vr_dev_cfg *cfg)
{
    return cfg->mode == VR_MODE_MIXED && cfg->pool_in != VR_POOL_IN_FIRMWARE;
}

/** vr_cfg_window() - bytes of the device's windows, whatever its mode. */
static inline uint64_t vr_cfg_window(const struct vr_dev_cfg *cfg)
{
    return (vr_cfg_has_pool(cfg) ? cfg->size : 0) +
           (vr_cfg_has_iova(cfg) ? cfg->aperture : 0);
}

/** vr_type_name() - "block"; NULL for a value that is none. */
const char *vr_type_name(enum vr_type type);
/** vr_mode_name() - "static", "dynamic", "mixed"; NULL for a value that is
 * none. */
const char *vr_mode_name(enum vr_mode mode);
/** vr_pool_in_name() - "firmware", "probe", "both"; NULL for a value that is
 * none. */
const char *vr_pool_in_name(enum vr_pool_in where);
/** vr_window_name() - "static" for a pool, "dynamic" for the other. */
const char *vr_window_name(enum vr_window_kind kind);
/** vr_type_parse(), vr_mode_parse(), vr_pool_in_parse() - the reverse. Return 0
 * or -EINVAL. */
int vr_type_parse(const char *s, enum vr_type *out);
int vr_mode_parse(const char *s, enum vr_mode *out);
int vr_pool_in_parse(const char *s, enum vr_pool_in *out);

/**
 * vr_threshold_text() - map_threshold as people write it: "never", "always",
 * "64K". @buf: at least 24 bytes. Returns @buf.
 */
char *vr_threshold_text(uint64_t threshold, char *buf);
/**
 * vr_threshold_parse() - the reverse.
 * Returns 0, -EINVAL (none of these) or -ERANGE (more than any window holds).
 */
int vr_threshold_parse(const char *s, uint64_t *out);

/**
 * vr_cfg_parse() - parse one device string.
 * @index: position in the list, for the error text "virtio_restricted[1]: ...".
 * @text: as the user wrote it.
 * @cfg: filled on success, every default set.
 *
 * Unknown, repeated, empty, missing and contradictory keys are errors, and so
 * is an aperture that is too small for the device's queues (bounds.h).
 * Returns 0 or -EINVAL with @err set.
 */
int vr_cfg_parse(unsigned int index, const char *text, struct vr_dev_cfg *cfg,
                 struct vr_err *err);

/**
 * vr_cfg_check_all() - what the devices of one guest must not do together.
 *
 * Same id twice, same target of one driver domain twice (unless all are
 * read-only), explicit pools that overlap.
 * Returns 0 or -EINVAL with @err set.
 */
int vr_cfg_check_all(const struct vr_dev_cfg *cfg, unsigned int n,
                     struct vr_err *err);

#endif /* VR_CFG_H */

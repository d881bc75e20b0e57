/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the user says of a device, once it is read. */
#ifndef VR_TYPES_DEV_H
#define VR_TYPES_DEV_H

#include "libs/base/vr.h"

/* The values are virtio device ids. */
enum vr_type {
#define TYPE(name, id) VR_TYPE_##name = (id),
#include "types.def"
#undef TYPE
};

enum vr_mode {
    VR_MODE_STATIC,  /* a pool, granted while the device runs */
    VR_MODE_DYNAMIC, /* granted page by page, as virtio-iommu maps */
    VR_MODE_MIXED,   /* a pool and, beside it, a dynamic window */
};

/* Where the guest is told that a pool belongs to a device. */
enum vr_pool_in {
    VR_POOL_IN_FIRMWARE, /* device tree or ACPI: the device names its pool */
    VR_POOL_IN_PROBE,    /* mixed: the virtio-iommu's PROBE answer alone */
    VR_POOL_IN_BOTH,
};

/* How the guest's driver reaches the device. */
enum vr_transport {
#define TRANSPORT(name) VR_TRANSPORT_##name,
#include "transport.def"
#undef TRANSPORT
};

enum vr_window_kind {
    VR_WINDOW_POOL, /* granted as a whole, while the device runs */
    VR_WINDOW_IOVA, /* granted page by page, as virtio-iommu maps */
    VR_WINDOWS
};

#define VR_NEVER_MAP UINT64_MAX

/* Of network devices: texts. The names of Linux' interfaces have 15
 * characters; an address 17. */
#define VR_IFNAME_LEN 15
#define VR_MAC_LEN    17
#define VR_IP_LEN     255
#define VR_RATE_LEN   31
#define VR_VHOST_LEN  4

/* Milliseconds that a backend may keep a page which the guest has unmapped. */
#define VR_REVOKE_MS_MIN     100u
#define VR_REVOKE_MS_MAX     60000u
#define VR_REVOKE_MS_DEFAULT 1000u

struct vr_dev_cfg {
    char id[VR_ID_LEN + 1];
    enum vr_type type;
    enum vr_mode mode;
    enum vr_transport transport;
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
    /* What the keys of its type say (types.h): */
    char target[VR_PATH_LEN + 1]; /* in that domain: what is behind it */
    bool readonly;                /* access=ro */
    unsigned int queues;          /* 1 .. VR_MAX_QUEUES, default 1 */
    unsigned int queue_size;      /* power of two, default 128 */
    char serial[VR_SERIAL_LEN + 1];
    bool discard;             /* offer DISCARD and WRITE_ZEROES, default on */
    char mac[VR_MAC_LEN + 1]; /* "": still to be made */
    char bridge[VR_IFNAME_LEN + 1], gatewaydev[VR_IFNAME_LEN + 1];
    char vifname[VR_IFNAME_LEN + 1];
    char ip[VR_IP_LEN + 1];
    char script[VR_PATH_LEN + 1];
    char rate[VR_RATE_LEN + 1];
    unsigned int mtu; /* 0: what the script gives the interface */
    bool offload;
    char vhost[VR_VHOST_LEN + 1]; /* auto, on or off */
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

#endif /* VR_TYPES_DEV_H */

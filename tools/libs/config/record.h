/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record: everything that the plug-in decided for one guest, as JSON. The
 * plug-in makes it, the broker works from it, vrctl shows it and cleans up by
 * it. It is kept in two places: VR_RUN_DIR/<guest uuid>.json from before the
 * first domain exists until everything is gone (so that an interrupted
 * `xl create` can be undone), and as libxl userdata of the guest.
 *
 * Pure but for yajl; the JSON is trusted as little as any other file.
 */
#ifndef VR_RECORD_H
#define VR_RECORD_H

#include <sys/types.h>

#include "cfg.h"

/* 1: static devices alone. 2: one window per device. 3: no pool_in. 4: no
 * transport. All are still read: what they do not say has only one possible
 * value. */
#define VR_RECORD_VERSION 5
#define VR_RUN_DIR        "/run/virtio-restricted"
#define VR_RECORD_MAX     (256 * 1024)     /* bytes of JSON */
#define VR_DOMID_MAX      UINT32_C(0x7fef) /* DOMID_FIRST_RESERVED - 1 */
#define VR_DOMID_NONE     UINT32_C(0x7ff4) /* DOMID_INVALID */

enum vr_phase {
    VR_PHASE_CREATING, /* domains may exist, nothing is promised yet */
    VR_PHASE_READY,    /* broker and backend serve; guest not yet unpaused */
    VR_PHASE_RUNNING,  /* xl has let the guest run (or left it paused: -p) */
    VR_PHASE_CLOSING,  /* being torn down */
};

struct vr_record_driver {
    char name[VR_NAME_LEN + 1];
    char uuid[VR_UUID_LEN + 1];
    uint32_t domid;
    bool owned;                   /* created for this guest: ends with it */
    char config[VR_PATH_LEN + 1]; /* xl.cfg it was made from, when owned */
};

struct vr_record_dev {
    struct vr_dev_cfg cfg;
    unsigned int driver; /* index into drivers[] */
    uint64_t mmio_base;  /* guest physical address of its registers; of a PCI
                          * function: of its configuration space */
    uint32_t irq;        /* Arm: SPI as INTID (33..43; PCI's INTA: 64..95),
                          * x86: GSI (32..47) */
    struct vr_gwin pool; /* its windows: in the guest's memory ... */
    struct vr_gwin iova; /* ... and behind the virtio-iommu */
};

/* Guest frames [start, end). */
struct vr_record_ram {
    uint64_t start;
    uint64_t end;
};
#define VR_MAX_BANKS 4

/* The guest's virtio-iommu; it exists when a device needs it. A device's
 * endpoint number is its index in devs[]. */
struct vr_record_iommu {
    bool present;
    uint64_t mmio_base;
    uint32_t irq;
};

struct vr_record {
    enum vr_phase phase;
    char name[VR_NAME_LEN + 1]; /* the guest */
    char uuid[VR_UUID_LEN + 1];
    uint32_t domid;
    uint32_t vcpus;
    uint32_t grant_frames; /* the guest's max_grant_frames */
    /* Who is at work; start times (field 22 of /proc/PID/stat) tell a process
     * from a later one with the same number. 0: none. */
    pid_t creator;
    uint64_t creator_start;
    pid_t broker;
    uint64_t broker_start;
    unsigned int nram; /* banks of the guest's RAM, lowest first */
    struct vr_record_ram ram[VR_MAX_BANKS];
    struct vr_record_iommu iommu;
    unsigned int ndrivers;
    struct vr_record_driver drivers[VR_MAX_DEVICES];
    unsigned int ndevs;
    struct vr_record_dev devs[VR_MAX_DEVICES];
};

/** vr_record_endpoints() - how many of the guest's devices are behind its
 * virtio-iommu. */
unsigned int vr_record_endpoints(const struct vr_record *rec);

/** vr_record_vectors() - the messages that its PCI functions may send: one for
 * each queue, and one for each device. 0: there is no such function. */
unsigned int vr_record_vectors(const struct vr_record *rec);

/**
 * vr_record_window() - a window of the device, for loops over all of them.
 * Returns NULL where its mode has none, or it has no place yet.
 */
static inline const struct vr_gwin *vr_record_window(
    const struct vr_record_dev *dev, unsigned int kind)
{
    const struct vr_gwin *win = NULL;

    if (kind == VR_WINDOW_POOL && vr_cfg_has_pool(&dev->cfg))
        win = &dev->pool;
    else if (kind == VR_WINDOW_IOVA && vr_cfg_has_iova(&dev->cfg))
        win = &dev->iova;
    return win && win->size ? win : NULL;
}

/** vr_record_placed() - do all windows of its mode have their addresses and
 * references? */
bool vr_record_placed(const struct vr_record_dev *dev);

/** vr_record_lowest_gref() - the first reference of all windows: what is in
 * front of it is the guest's. UINT32_MAX: no window has its place yet. */
uint32_t vr_record_lowest_gref(const struct vr_record *rec);

/** vr_phase_name() - "creating" ...; NULL for a value that is none. */
const char *vr_phase_name(enum vr_phase phase);

/**
 * vr_record_to_json() - serialise.
 * @out: malloc'ed, NUL-terminated text; the caller frees it.
 * Returns 0, -EINVAL (a text that is not UTF-8) or -ENOMEM.
 */
int vr_record_to_json(const struct vr_record *rec, char **out);

/**
 * vr_record_from_json() - parse and check every field.
 * @len: at most VR_RECORD_MAX. Returns 0, -EINVAL with @err, or -ENOMEM.
 */
int vr_record_from_json(const char *json, size_t len, struct vr_record *rec,
                        struct vr_err *err);

/** vr_record_path() - VR_RUN_DIR/<uuid>.json; @buf of VR_PATH_LEN + 1. */
char *vr_record_path(const char *uuid, char *buf);

/**
 * vr_record_save() - write VR_RUN_DIR/<uuid>.json atomically, mode 0600.
 * Makes the folder when it is missing. Returns 0 or -errno with @err.
 */
int vr_record_save(const struct vr_record *rec, struct vr_err *err);

/** vr_record_load() - read it back. Returns 0 or -errno with @err. */
int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err);

/** vr_record_remove() - remove record, lock, stats and maps file of @uuid. */
void vr_record_remove(const char *uuid);

/**
 * vr_record_list() - the uuids of all records.
 * @uuids: malloc'ed array, the caller frees it. Returns the number or -errno.
 */
int vr_record_list(char (**uuids)[VR_UUID_LEN + 1]);

/*
 * The same, in any folder: for vr_record_*(), which use VR_RUN_DIR, and for
 * tests. vr_record_dir() opens (@create: makes) the folder and refuses one
 * that somebody else could write to; returns a descriptor or -errno.
 */
int vr_record_dir(const char *path, bool create, struct vr_err *err);
int vr_record_save_at(int dir, const struct vr_record *rec, struct vr_err *err);
int vr_record_load_at(int dir, const char *uuid, struct vr_record *rec,
                      struct vr_err *err);
void vr_record_remove_at(int dir, const char *uuid);
int vr_record_list_at(int dir, char (**uuids)[VR_UUID_LEN + 1]);

/**
 * vr_proc_stat() - /proc/@pid/stat from field 3 (the state) on.
 * @buf: of @size bytes, holds the text. Returns NULL when there is none.
 */
char *vr_proc_stat(pid_t pid, char *buf, size_t size);

/** vr_proc_start() - start time of process @pid; 0 when there is none. */
uint64_t vr_proc_start(pid_t pid);

#endif /* VR_RECORD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Live figures of a guest's devices: VR_RUN_DIR/<guest uuid>.stats, a small
 * file in shared memory that the broker's worker writes and vrctl reads. No
 * system call, no lock; a reader may see figures of slightly different ages.
 * One word goes the other way: that vrctl would like a survey.
 */
#ifndef VR_STATS_H
#define VR_STATS_H

#include "libs/types/types.h"
#include "ctrl.h"

#define VR_STATS_MAGIC UINT64_C(0x3754415453525600) /* 7: layout */

struct vr_stats_queue {
    uint64_t desc, driver, device; /* as the guest set them up */
    uint32_t size;
    uint32_t port; /* its own bell, see bell.def; 0: none */
    uint32_t enabled;
    uint32_t pad;
};

struct vr_stats_dev {
    uint64_t mmio_reads;  /* exits of the guest */
    uint64_t mmio_writes; /* of which QueueNotify: kicks */
    uint64_t kicks;
    uint64_t kick_events;     /* notifications sent to the backend */
    uint64_t interrupts;      /* raised in the guest */
    uint64_t interrupts_held; /* ... and delayed before, see rate.h */
    uint64_t intr_events;     /* notifications received from the backend */
    uint64_t resets;
    uint64_t config_changes;
    uint64_t bad_accesses; /* of a size, offset or state that is not allowed */
    uint64_t faults;       /* ring addresses outside the window and such */
    uint64_t fault_addr;   /* the last one */
    uint32_t status;       /* the virtio status register */
    uint32_t failed;       /* enum vr_fail */
    uint64_t features;     /* negotiated */
    uint32_t backend;      /* enum vr_ctrl_status, as last seen */
    uint32_t silent;       /* 1: the backend has not answered for a while */
    uint32_t nqueues;
    uint32_t described;             /* 1: @config is what the guest sees */
    uint8_t config[VR_SEEN_CONFIG]; /* the beginning of its config space */
    struct vr_stats_queue q[VR_MAX_QUEUES];
    struct vr_ctrl_counters b; /* the backend's own counters, unverified */
    struct vr_survey_figures survey; /* and these */
};

/* Why a device does not work, for the operator. */
enum vr_fail {
    VR_FAIL_NONE = 0,
    VR_FAIL_FEATURES,   /* driver did not accept ACCESS_PLATFORM, VERSION_1 */
    VR_FAIL_OUTSIDE,    /* rings outside the window: guest without the pool */
    VR_FAIL_QUEUE,      /* bad queue size or alignment */
    VR_FAIL_BACKEND,    /* backend reported a failure */
    VR_FAIL_TIMEOUT,    /* backend did not answer in time */
    VR_FAIL_GONE,       /* driver domain or backend process is gone */
    VR_FAIL_SILENT,     /* no failure yet: the backend does not answer */
    VR_FAIL_UNATTACHED, /* the guest does not use its virtio-iommu for it */
    VR_FAIL_REVOKED,    /* stopped: memory was taken away while in use */
    VR_FAIL_SPENT,      /* ... and was kept for a while too often */
    VR_FAIL_GRANTS,     /* the pool's grant entries are not free */
};

/* The guest's virtio-iommu. */
struct vr_stats_iommu {
    struct vr_stats_dev vdev; /* registers and queues, as for any device */
    uint64_t batches;         /* kicks that brought requests */
    uint64_t requests;
    uint64_t maps, unmaps; /* that succeeded */
    uint64_t refused;      /* answered with an error */
    uint64_t no_space;     /* MAP: nothing free (or still in use) */
    uint64_t malformed;    /* not to be understood, used length 0 */
    uint64_t waits;        /* pages were in use: the answer was withheld */
    uint64_t waited_ms;    /* ... for so long, all in all */
    uint64_t longest_wait_ms;
    uint64_t stops;          /* backends told to stop, because of that */
    uint64_t spent;          /* ... since all waits together took too long */
    uint64_t kills;          /* ... processes killed */
    uint64_t destroys;       /* ... driver domains destroyed */
    uint64_t faults_sent;    /* fault events to the guest */
    uint64_t faults_dropped; /* no buffer for them, or too many */
    struct {
        uint64_t pages; /* mapped at present */
        uint64_t pages_max;
        uint32_t attached;
        uint32_t pad;
    } ep[VR_MAX_DEVICES];
};

struct vr_stats {
    uint64_t magic;
    uint32_t ndevs;
    uint32_t pad;
    uint64_t worker_rss_kib;
    /* Written by vrctl: backends are to count for survey @session, which is not
     * 0, until @until (vr_now_ms()). */
    struct {
        uint32_t session;
        uint32_t pad;
        int64_t until;
    } survey;
    struct vr_stats_iommu iommu;
    struct vr_stats_dev dev[VR_MAX_DEVICES];
};

/** vr_stats_why() - why device @s does not work at present. */
enum vr_fail vr_stats_why(const struct vr_stats_dev *s);

/** vr_fail_text() - one line: why, and what to do. Never NULL; "" when nothing
 * failed. */
const char *vr_fail_text(enum vr_fail fail);

/**
 * vr_stats_open() - map the stats file of guest @uuid.
 * @create: make it (the broker), else map it read-only (vrctl).
 * Returns NULL with errno set on failure. Unmap with vr_stats_close().
 */
struct vr_stats *vr_stats_open(const char *uuid, bool create);
/** vr_stats_ask() - have the devices of guest @uuid surveyed until then; see
 * struct vr_stats. Returns 0 or -errno. */
int vr_stats_ask(const char *uuid, uint32_t session, int64_t until);
void vr_stats_close(struct vr_stats *stats);

#endif /* VR_STATS_H */

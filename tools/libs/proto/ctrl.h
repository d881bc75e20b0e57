/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control page: one page per device, allocated by the broker in the
 * toolstack domain and granted to the backend in the driver domain. It carries
 * what the guest's driver has set up (queues, features) one way, and what the
 * device is (features, config space) the other way. Beside it one event
 * channel. It never carries guest data, and no guest address is followed by
 * the broker. Queues with a bell of their own (bell.def) have no use for kick
 * and intr; the rest of the page is for them as well.
 *
 * Each side owns whole cache lines, takes one private copy of what the other
 * wrote and checks the copy. Whatever the other side does, the worst result is
 * a device that does not work.
 *
 * Broker to backend ("request"): the broker changes the request only by
 * vr_ctrl_publish(): generation becomes odd, the fields change, generation
 * becomes even; then it notifies. The backend takes a copy with
 * vr_ctrl_take(), acts on it and stores the generation in ack. When
 * ack == generation, the queues not enabled in the request are quiet: no
 * access of theirs is under way and none will start.
 *
 * kick and intr are bitmaps by queue: set by one side with an atomic OR, taken
 * by the other with an atomic exchange. A bit that was still set needs no new
 * notification.
 */
#ifndef VR_CTRL_H
#define VR_CTRL_H

#include "libs/base/vr.h"
#include "libs/survey/figures.h"

#define VR_CTRL_MAGIC   0x43525256u /* "VRRC" in memory */
#define VR_CTRL_VERSION 3u

/* In the kick word, beside the queues' bits: "are you there?". The backend
 * answers just by taking the word. */
#define VR_CTRL_PING (UINT64_C(1) << 63)

struct vr_ctrl_queue {
    uint64_t desc;   /* DMA addresses of the three areas (virtio 1.2, 2.7) */
    uint64_t driver; /* available ring */
    uint64_t device; /* used ring */
    uint32_t size;
    /* 0: not in use. Else changes whenever the guest enables the queue anew,
     * so that a backend knows fresh rings from rings to go on with. */
    uint32_t epoch;
    /* The queue's own bell: an event channel of the guest's, unbound and meant
     * for the backend's domain, as far as the guest can be believed. 0: none,
     * it is kick and intr. */
    uint32_t port;
    uint32_t pad;
};

struct vr_ctrl_request {
    uint32_t run; /* 1: DRIVER_OK is set; 0: every queue is to be quiet */
    uint32_t nqueues;
    uint64_t features; /* as negotiated */
    struct vr_ctrl_queue q[VR_MAX_QUEUES];
};

/* What the device is; written by the backend before it connects, and again
 * (config_generation odd while it changes) when it has grown. */
struct vr_ctrl_device {
    uint32_t config_generation;
    uint32_t config_len;
    uint64_t features; /* device-type bits only */
    uint8_t config[VR_CONFIG_LEN];
};

/* The backend's own memory of a queue, so that a restarted backend process
 * goes on where the last one stopped. The broker never looks at it. */
struct vr_ctrl_resume {
    uint32_t epoch; /* the rest counts only when this equals q[].epoch */
    uint16_t last_avail;
    uint16_t used_idx; /* heads up to here are gone from inflight */
    uint64_t inflight[VR_MAX_QUEUE_SIZE / 64]; /* by head descriptor */
};

#define VR_CTRL_OWN 8u

/* The backend's counters; the operator sees them, nothing depends on them. */
struct vr_ctrl_counters {
    uint64_t requests;
    uint64_t errors; /* requests answered with an error */
    uint64_t faults; /* accesses refused: outside of the windows, bad chain */
    uint64_t fault_addr;
    uint64_t read_bytes;
    uint64_t write_bytes;
    uint64_t copied_bytes; /* moved by the backend's CPU, not by the kernel */
    uint64_t grant_ops;    /* grant hypercalls after the window was mapped */
    uint64_t kicks;        /* notifications received */
    uint64_t interrupts;   /* notifications sent */
    uint64_t payload_low;  /* lowest and highest payload address seen */
    uint64_t payload_high;
    uint64_t batches; /* submissions to the kernel */
    uint64_t resumed; /* requests executed again after a restart */
    uint64_t restarts;
    uint64_t fault_access; /* of fault_addr: VR_CTRL_FAULT_* */
    /* Requests that the target failed, by kind, and the last one's error. */
    uint64_t read_errors;
    uint64_t write_errors;
    uint64_t flush_errors;
    uint64_t range_errors; /* DISCARD, WRITE_ZEROES */
    uint64_t last_errno;
    uint64_t retries;     /* transfers that another attempt was made for */
    uint64_t target_size; /* bytes */
    uint64_t target_io;   /* bits that are the type's, such as VR_BLK_IO_* */
    uint64_t throttles;   /* times that the guest's own bells were not heard for
                           * a while, having rung for nothing too often */
    uint64_t own[VR_CTRL_OWN]; /* the type's, such as enum vr_net_counter */
};

#define VR_CTRL_FAULT_READ  1u
#define VR_CTRL_FAULT_WRITE 2u

enum vr_ctrl_status {
    VR_CTRL_BACKEND_ABSENT = 0, /* not there yet, or gone */
    VR_CTRL_BACKEND_READY = 1,
    VR_CTRL_BACKEND_FAILED = 2, /* the device needs a reset */
};

struct vr_ctrl_page {
    /* written by the broker */
    uint32_t magic;
    uint32_t version;
    uint32_t generation;
    uint32_t survey; /* the survey that is wanted; 0: none */
    struct vr_ctrl_request req;
    uint8_t pad1[1024 - 16 - sizeof(struct vr_ctrl_request)];
    /* written by both, atomically, each in its own cache line */
    uint64_t kick; /* 1024 */
    uint8_t pad2[56];
    uint64_t intr; /* 1088 */
    uint8_t pad3[56];
    /* written by the backend */
    uint32_t ack; /* 1152 */
    uint32_t status;
    uint8_t pad4[56];
    struct vr_ctrl_counters counters; /* 1216 */
    struct vr_ctrl_device dev;
    uint8_t pad5[2048 - 1216 - sizeof(struct vr_ctrl_counters) -
                 sizeof(struct vr_ctrl_device)];
    struct vr_ctrl_resume resume[VR_MAX_QUEUES]; /* 2048 */
    /* written by the backend: of the survey that was wanted last */
    struct vr_survey_figures figures;
    uint8_t pad6[2048 - VR_MAX_QUEUES * sizeof(struct vr_ctrl_resume) -
                 sizeof(struct vr_survey_figures)];
};

_Static_assert(sizeof(struct vr_ctrl_page) == VR_PAGE_SIZE, "one page");
_Static_assert(offsetof(struct vr_ctrl_page, kick) == 1024, "layout");
_Static_assert(offsetof(struct vr_ctrl_page, ack) == 1152, "layout");
_Static_assert(offsetof(struct vr_ctrl_page, resume) == 2048, "layout");

/** vr_ctrl_init() - broker: fill a fresh page. */
void vr_ctrl_init(struct vr_ctrl_page *page);

/** vr_ctrl_check() - backend: -EPROTO when magic or version are not ours. */
int vr_ctrl_check(const struct vr_ctrl_page *page);

/**
 * vr_ctrl_publish() - broker: make @req the current request.
 * Returns the (even, non-zero) generation that the backend has to ack.
 */
uint32_t vr_ctrl_publish(struct vr_ctrl_page *page,
                         const struct vr_ctrl_request *req);

/**
 * vr_ctrl_take() - backend: a private, consistent copy of the request.
 *
 * Before the first vr_ctrl_publish() that is an empty one, @generation 0.
 * Bounded: gives up with -EAGAIN after a few tries (the broker is writing;
 * its notification follows). -EPROTO when the copy makes no sense: queue
 * sizes that are no power of two, areas that wrap around, too many queues.
 */
int vr_ctrl_take(const struct vr_ctrl_page *page, struct vr_ctrl_request *req,
                 uint32_t *generation);

/** vr_ctrl_ack(), vr_ctrl_acked() - store and read the acknowledgement. */
void vr_ctrl_ack(struct vr_ctrl_page *page, uint32_t generation);
bool vr_ctrl_acked(const struct vr_ctrl_page *page, uint32_t generation);

/**
 * vr_ctrl_set_device() - backend: publish features and config space.
 * @len: at most VR_CONFIG_LEN; more is cut.
 */
void vr_ctrl_set_device(struct vr_ctrl_page *page, uint64_t features,
                        const void *config, uint32_t len);

/**
 * vr_ctrl_take_device() - broker: a private copy, checked.
 * Returns 0, -EAGAIN (being written, or not written yet) or -EPROTO (hostile
 * or broken: too long, or feature bits that are the transport's).
 */
int vr_ctrl_take_device(const struct vr_ctrl_page *page,
                        struct vr_ctrl_device *dev);

/** vr_ctrl_take_counters() - a private copy; any values are possible. */
void vr_ctrl_take_counters(const struct vr_ctrl_page *page,
                           struct vr_ctrl_counters *out);

/** vr_ctrl_take_figures() - the same, of the survey. */
void vr_ctrl_take_figures(const struct vr_ctrl_page *page,
                          struct vr_survey_figures *out);

/**
 * vr_ctrl_post() - set @bits in a kick or intr word.
 * Returns true when the other side has to be notified.
 */
bool vr_ctrl_post(uint64_t *word, uint64_t bits);

/** vr_ctrl_collect() - take all bits of a kick or intr word. */
uint64_t vr_ctrl_collect(uint64_t *word);

#endif /* VR_CTRL_H */

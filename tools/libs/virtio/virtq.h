/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7) whose rings,
 * tables and buffers lie in a window (docs/data-path.md).
 *
 * The guest owns that memory and changes it whenever it likes. So: each
 * descriptor is copied once and only the copy is looked at; every address is
 * translated by the window, which refuses what is not wholly inside; every
 * walk is bounded. What breaks a rule stops the queue for good (until it is
 * started anew), with a reason and the address that was at fault.
 *
 * Pure: plain memory, no Xen calls, no allocation. One thread per queue.
 */
#ifndef VR_VIRTQ_H
#define VR_VIRTQ_H

#include "libs/proto/ctrl.h"
#include "libs/window/window.h"
#include "spec.h"

/* Why a queue was stopped. */
enum vr_vq_fault {
    VR_VQ_OK = 0,
    VR_VQ_SIZE,            /* queue size no power of two, or too large */
    VR_VQ_ALIGN,           /* a ring area is not aligned */
    VR_VQ_RING_OUTSIDE,    /* a ring area is not inside the window */
    VR_VQ_RING_REFUSED,    /* a ring area cannot be mapped (remote) */
    VR_VQ_BELL,            /* its event channel cannot be bound */
    VR_VQ_AVAIL_JUMP,      /* more new entries than the queue has */
    VR_VQ_HEAD_RANGE,      /* available entry names no descriptor */
    VR_VQ_HEAD_BUSY,       /* available entry names a chain still in flight */
    VR_VQ_NEXT_RANGE,      /* next names no descriptor */
    VR_VQ_TOO_LONG,        /* loop, or longer than the queue, or VR_CHAIN_MAX */
    VR_VQ_TOO_BIG,         /* more than 4 GiB - 1 in one chain */
    VR_VQ_ORDER,           /* a readable buffer behind a writable one */
    VR_VQ_ZERO,            /* a buffer without bytes */
    VR_VQ_OUTSIDE,         /* a buffer is not inside the window */
    VR_VQ_INDIRECT_OFF,    /* indirect table, but not negotiated */
    VR_VQ_INDIRECT_LEN,    /* table length no multiple of 16, or too long */
    VR_VQ_INDIRECT_NEXT,   /* indirect and next in one descriptor */
    VR_VQ_INDIRECT_NESTED, /* indirect inside a table */
    VR_VQ_INDIRECT_REMOTE, /* negotiated, but the window is remote */
    VR_VQ_INDIRECT_REFUSED, /* the table cannot be read (remote) */
    VR_VQ_REQUEST, /* the chain makes no request of the device's type */
    VR_VQ_MUTE,    /* no memory to write the answer to (remote) */
    VR_VQ_RESUME,  /* the state to go on from makes no sense */
    VR_VQ_LENT,    /* who serves the queue for us does not do so (any more) */
};

/** vr_vq_fault_text() - a few words; never NULL. */
const char *vr_vq_fault_text(enum vr_vq_fault fault);

struct vr_vring_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

struct vr_vring_used_elem {
    uint32_t id;
    uint32_t len;
};

struct vr_vq {
    const struct vr_window *win;
    const struct vr_vring_desc *desc;
    uint16_t *avail; /* flags, idx, ring[size], used_event */
    uint16_t *used;  /* flags, idx, elements, avail_event */
    uint64_t shift;  /* from device addresses to pointers; remote: none */
    uint16_t size;
    bool event_idx, indirect;
    uint16_t last_avail; /* next entry to take */
    uint16_t avail_idx;  /* last index read from the guest */
    uint16_t used_idx;   /* published */
    uint16_t used_new;   /* next entry to fill */
    uint16_t signalled;  /* used index when the guest was last told */
    bool signalled_valid;
    uint64_t busy[VR_MAX_QUEUE_SIZE / 64];
    uint64_t resume[VR_MAX_QUEUE_SIZE / 64]; /* to be executed again */
    uint16_t pushed[VR_MAX_QUEUE_SIZE];      /* heads not yet published */
    struct vr_ctrl_resume *log;
    enum vr_vq_fault fault;
    uint64_t fault_addr; /* device address or index, as @fault says */
};

/** vr_vq_init() - a stopped queue. */
void vr_vq_init(struct vr_vq *vq);

/**
 * vr_vq_start() - set the queue up over the rings that @cfg describes.
 * @vq: stopped. @win: must outlive the queue; a remote one is asked to map
 * the three areas, the used ring writable. @features: as negotiated.
 * @log: may be NULL. Kept up to date, so that a later process can go on. When
 * its epoch equals @cfg's the queue goes on from it: chains in flight then
 * come from vr_vq_pop_resumed(), new ones behind the last one taken. Else it
 * starts at index 0 and @log is reset.
 *
 * Driver notifications are off at first; poll, then vr_vq_enable_kicks().
 * Returns 0, or -EPROTO with vq->fault set and nothing mapped.
 */
int vr_vq_start(struct vr_vq *vq, const struct vr_window *win,
                const struct vr_ctrl_queue *cfg, uint64_t features,
                struct vr_ctrl_resume *log);

/**
 * vr_vq_stop() - forget the rings (a remote window unmaps them); nothing is
 * written to them any more. A queue that is stopped already stays so.
 */
void vr_vq_stop(struct vr_vq *vq);

/**
 * vr_vq_go_on() - the queue was started without a log, but not anew: who served
 * it until now has answered in order, so all that is known stands in the ring.
 */
void vr_vq_go_on(struct vr_vq *vq);

/** vr_vq_running() - started, and not broken by the guest. */
static inline bool vr_vq_running(const struct vr_vq *vq)
{
    return vq->desc && !vq->fault;
}

/**
 * vr_vq_pop() - take the next available chain.
 * Returns 1 with @chain filled, 0 when there is none, -EPROTO when the queue
 * is (now) broken: vq->fault, vq->fault_addr.
 */
int vr_vq_pop(struct vr_vq *vq, struct vr_chain *chain);

/** vr_vq_pop_resumed() - the same for chains a former process had taken. */
int vr_vq_pop_resumed(struct vr_vq *vq, struct vr_chain *chain);

/** vr_vq_pending() - could vr_vq_pop() have something? Cheap, no barrier. */
static inline bool vr_vq_pending(const struct vr_vq *vq)
{
    return vr_vq_running(vq) &&
           __atomic_load_n(&vq->avail[1], __ATOMIC_RELAXED) != vq->last_avail;
}

/** vr_vq_break() - the chain makes no sense to the device: stop the queue. */
void vr_vq_break(struct vr_vq *vq, enum vr_vq_fault fault, uint64_t addr);

/**
 * vr_vq_push() - put chain @head into the used ring, not yet visible.
 * @len: bytes written, from the first writable buffer on.
 */
void vr_vq_push(struct vr_vq *vq, uint16_t head, uint32_t len);

/** vr_vq_publish() - make all pushed chains visible to the guest at once. */
void vr_vq_publish(struct vr_vq *vq);

/**
 * vr_vq_should_notify() - does the guest want an interrupt for what was
 * published since this was last asked? Full memory barrier.
 */
bool vr_vq_should_notify(struct vr_vq *vq);

/**
 * vr_vq_enable_kicks() - ask for a notification for the next chain.
 * Returns true when one became available meanwhile: there may be no
 * notification for it, so go on popping. Full memory barrier.
 */
bool vr_vq_enable_kicks(struct vr_vq *vq);

/** vr_vq_disable_kicks() - no notifications wanted; some may still come. */
void vr_vq_disable_kicks(struct vr_vq *vq);

/**
 * vr_vq_addr() - device address of memory @p of a local window, or of a remote
 * one's pool, for reports.
 */
static inline uint64_t vr_vq_addr(const struct vr_window *w, const void *p)
{
    if (vr_window_remote(w))
        return w->pool.base + (uint64_t)((const uint8_t *)p - w->pool.va);
    return w->base + (uint64_t)((const uint8_t *)p - w->va);
}

#endif /* VR_VIRTQ_H */

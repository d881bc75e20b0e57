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

#include <sys/uio.h>

#include "ctrl.h"

/* Transport features that change what a queue does (virtio 1.2, 6). */
#define VR_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VR_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VR_F_VERSION_1     (UINT64_C(1) << 32)

/* The most buffers of one chain: 126 segments, header and status, and two to
 * spare for drivers that cut a header in pieces. */
#define VR_CHAIN_MAX 130
/* The most entries of an indirect table; spec: not above the queue size. */
#define VR_INDIRECT_MAX VR_MAX_QUEUE_SIZE

/*
 * A range of device addresses.
 *
 * A *local* window is mapped as a whole: memory is one comparison and one
 * addition away (static mode).
 *
 * A *remote* window is not: what stands behind an address comes and goes as
 * the guest maps and unmaps (dynamic mode). A queue's rings are mapped when it
 * starts and let go of when it stops; buffers stay addresses, checked against
 * the range, for whoever executes the request to copy or to map.
 * Beside it there may be a pool, a second range that is mapped as a whole
 * (mixed mode): every area and every buffer lies in one of the two.
 */
struct vr_window {
    uint64_t base; /* device address of the first byte */
    uint64_t size; /* bytes */
    uint8_t *va;   /* local: where it is mapped */
    /*
     * Remote, else NULL. Maps @len bytes at device address @addr, both inside
     * the window; read-only unless @write. Returns NULL when that cannot be.
     */
    void *(*map)(void *ctx, uint64_t addr, uint64_t len, bool write);
    /* Remote: undoes it. @p, @len: what map() returned, and for how many. */
    void (*unmap)(void *ctx, void *p, uint64_t len);
    /*
     * Remote, optional: the @len bytes (at most 16 * VR_INDIRECT_MAX) at
     * @addr, wholly in window or pool, valid until the next call; NULL when the
     * guest does not grant them. Each is read once, so it need not be a copy.
     * Without it there are no indirect tables.
     */
    const void *(*fetch)(void *ctx, uint64_t addr, uint64_t len);
    void *ctx;
    /* Remote, optional: the pool; map() and unmap() know of it, too. */
    struct {
        uint64_t base, size;
        uint8_t *va;
    } pool;
};

/** vr_window_remote() - is it not mapped as a whole? */
static inline bool vr_window_remote(const struct vr_window *w)
{
    return w->map != NULL;
}

/**
 * vr_window_has() - does [@addr, @addr + @len) lie inside, the pool aside? No
 * value of @addr or @len overflows.
 */
static inline bool vr_window_has(const struct vr_window *w, uint64_t addr,
                                 uint64_t len)
{
    uint64_t off = addr - w->base;

    return off < w->size && len <= w->size - off;
}

/**
 * vr_window_ptr() - local window: memory of [@addr, @addr + @len), NULL when
 * any byte of it is outside.
 */
static inline void *vr_window_ptr(const struct vr_window *w, uint64_t addr,
                                  uint64_t len)
{
    if (__builtin_expect(!vr_window_has(w, addr, len), 0))
        return NULL;
    return w->va + (addr - w->base);
}

/**
 * vr_window_pool_ptr() - memory of [@addr, @addr + @len), NULL when any byte of
 * it is outside of the pool, or there is none.
 */
static inline void *vr_window_pool_ptr(const struct vr_window *w, uint64_t addr,
                                       uint64_t len)
{
    uint64_t off = addr - w->pool.base;

    if (off >= w->pool.size || len > w->pool.size - off)
        return NULL;
    return w->pool.va + off;
}

/** vr_window_covers() - does it lie wholly in window or pool? */
static inline bool vr_window_covers(const struct vr_window *w, uint64_t addr,
                                    uint64_t len)
{
    return __builtin_expect(vr_window_has(w, addr, len), 1) ||
           vr_window_pool_ptr(w, addr, len);
}

/* Why a queue was stopped. */
enum vr_vq_fault {
    VR_VQ_OK = 0,
    VR_VQ_SIZE,            /* queue size no power of two, or too large */
    VR_VQ_ALIGN,           /* a ring area is not aligned */
    VR_VQ_RING_OUTSIDE,    /* a ring area is not inside the window */
    VR_VQ_RING_REFUSED,    /* a ring area cannot be mapped (remote) */
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
};

/** vr_vq_fault_text() - a few words; never NULL. */
const char *vr_vq_fault_text(enum vr_vq_fault fault);

/* A buffer of a remote window: inside of it, or of its pool; never empty. */
struct vr_buf {
    uint64_t addr; /* device address */
    uint64_t len;  /* bytes, below 4 GiB */
};

/* A chain of buffers: @nread readable ones first, then @nwrite writable. */
struct vr_chain {
    uint16_t head;
    uint16_t nread;
    uint16_t nwrite;
    uint32_t read_len; /* bytes */
    uint32_t write_len;
    union {
        struct iovec iov[VR_CHAIN_MAX];  /* local window */
        struct vr_buf buf[VR_CHAIN_MAX]; /* remote window */
    };
};

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

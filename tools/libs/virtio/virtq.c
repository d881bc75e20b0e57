/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A virtqueue as the device sees it, as virtq.h has it: nothing that the guest
 * wrote is believed before it is checked, or read twice. Called by the backend
 * and by the broker for the virtio-iommu. Pure. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "virtq.h"

/* VERSION_1 rings are little endian. */
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "little-endian hosts only");
_Static_assert(sizeof(struct vr_vring_desc) == 16, "virtio 1.2, 2.7.5");
/* An iovec is a struct vr_buf whose address was shifted into our memory. */
_Static_assert(sizeof(struct iovec) == sizeof(struct vr_buf) &&
                   offsetof(struct iovec, iov_base) ==
                       offsetof(struct vr_buf, addr) &&
                   offsetof(struct iovec, iov_len) ==
                       offsetof(struct vr_buf, len),
               "64-bit hosts only");

#define DESC_F_NEXT     1
#define DESC_F_WRITE    2
#define DESC_F_INDIRECT 4

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

/* Indices in units of 16 bits: flags, idx, then the ring. */
#define RING_FLAGS 0
#define RING_IDX   1
#define RING_FIRST 2

#define LOAD(p)     __atomic_load_n(p, __ATOMIC_RELAXED)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

const char *vr_vq_fault_text(enum vr_vq_fault fault)
{
    static const char *const text[] = {
        [VR_VQ_OK] = "no fault",
        [VR_VQ_SIZE] = "queue size is no power of two up to the maximum",
        [VR_VQ_ALIGN] = "ring area is not aligned",
        [VR_VQ_RING_OUTSIDE] = "ring area lies outside the window",
        [VR_VQ_RING_REFUSED] = "ring area cannot be mapped",
        [VR_VQ_BELL] = "event channel cannot be bound",
        [VR_VQ_AVAIL_JUMP] = "available index jumped by more than the size",
        [VR_VQ_HEAD_RANGE] = "available entry names no descriptor",
        [VR_VQ_HEAD_BUSY] = "available entry names a chain still in flight",
        [VR_VQ_NEXT_RANGE] = "next names no descriptor",
        [VR_VQ_TOO_LONG] = "chain is a loop or too long",
        [VR_VQ_TOO_BIG] = "chain holds 4 GiB or more",
        [VR_VQ_ORDER] = "readable buffer behind a writable one",
        [VR_VQ_ZERO] = "buffer of length 0",
        [VR_VQ_OUTSIDE] = "buffer lies outside the window",
        [VR_VQ_INDIRECT_OFF] = "indirect table was not negotiated",
        [VR_VQ_INDIRECT_LEN] = "bad length of an indirect table",
        [VR_VQ_INDIRECT_NEXT] = "indirect and next in one descriptor",
        [VR_VQ_INDIRECT_NESTED] = "indirect table inside of one",
        [VR_VQ_INDIRECT_REMOTE] = "indirect tables behind an IOMMU",
        [VR_VQ_INDIRECT_REFUSED] = "indirect table is not to be had",
        [VR_VQ_REQUEST] = "chain is no request of this device",
        [VR_VQ_MUTE] = "a request's answer cannot be written",
        [VR_VQ_RESUME] = "state to resume from makes no sense",
        [VR_VQ_LENT] = "the kernel (vhost) cannot serve it",
    };

    if ((unsigned int)fault >= VR_ARRAY_SIZE(text) || !text[fault])
        return "unknown fault";
    return text[fault];
}

static bool bit_test(const uint64_t *map, unsigned int n)
{
    return map[n / 64] >> (n % 64) & 1;
}

static void bit_set(uint64_t *map, unsigned int n)
{
    map[n / 64] |= UINT64_C(1) << (n % 64);
}

static void bit_clear(uint64_t *map, unsigned int n)
{
    map[n / 64] &= ~(UINT64_C(1) << (n % 64));
}

void vr_vq_init(struct vr_vq *vq)
{
    memset(vq, 0, sizeof(*vq));
}

/* Bytes of the areas, with the event fields, negotiated or not: the same for
 * everybody. */
static uint32_t desc_len(uint32_t size)
{
    return 16 * size;
}

static uint32_t avail_len(uint32_t size)
{
    return 6 + 2 * size;
}

static uint32_t used_len(uint32_t size)
{
    return 6 + 8 * size;
}

/* Lets go of the areas; what the queue knows besides stays. */
static void drop_areas(struct vr_vq *vq)
{
    const struct vr_window *w = vq->win;

    if (w && vr_window_remote(w)) {
        if (vq->desc)
            w->unmap(w->ctx, (void *)vq->desc, desc_len(vq->size));
        if (vq->avail)
            w->unmap(w->ctx, vq->avail, avail_len(vq->size));
        if (vq->used)
            w->unmap(w->ctx, vq->used, used_len(vq->size));
    }
    vq->desc = NULL;
    vq->avail = NULL;
    vq->used = NULL;
}

void vr_vq_stop(struct vr_vq *vq)
{
    drop_areas(vq);
    vr_vq_init(vq);
}

void vr_vq_break(struct vr_vq *vq, enum vr_vq_fault fault, uint64_t addr)
{
    if (vq->fault)
        return;
    vq->fault = fault;
    vq->fault_addr = addr;
}

static int broken(struct vr_vq *vq, enum vr_vq_fault fault, uint64_t addr)
{
    vr_vq_break(vq, fault, addr);
    return -EPROTO;
}

/*
 * The log is written in this order, so that whatever instant the process dies
 * at, its successor loses no chain and completes none twice:
 *
 *   pop:     set the head's bit; advance last_avail
 *   publish: store the ring's used index; clear the bits; store used_idx
 *
 * Both processes run on the same memory, one after the other: only the
 * compiler has to be kept from reordering.
 */
static void log_pop(struct vr_vq *vq, uint16_t head)
{
    struct vr_ctrl_resume *log = vq->log;

    if (!log)
        return;
    STORE(&log->inflight[head / 64], vq->busy[head / 64]);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    STORE(&log->last_avail, vq->last_avail);
}

static void log_publish(struct vr_vq *vq)
{
    struct vr_ctrl_resume *log = vq->log;
    unsigned int i;

    if (!log)
        return;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    for (i = 0; i < (vq->size + 63u) / 64; i++)
        STORE(&log->inflight[i], vq->busy[i]);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    STORE(&log->used_idx, vq->used_idx);
}

static void log_reset(struct vr_ctrl_resume *log, uint32_t epoch)
{
    unsigned int i;

    STORE(&log->epoch, 0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    STORE(&log->last_avail, 0);
    STORE(&log->used_idx, 0);
    for (i = 0; i < VR_ARRAY_SIZE(log->inflight); i++)
        STORE(&log->inflight[i], 0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    STORE(&log->epoch, epoch);
}

static struct vr_vring_used_elem *used_elem(struct vr_vq *vq, uint16_t idx)
{
    struct vr_vring_used_elem *ring;

    ring = (struct vr_vring_used_elem *)(void *)&vq->used[RING_FIRST];
    return &ring[idx & (vq->size - 1)];
}

/* Takes over from the process that kept @log. */
static int resume_from(struct vr_vq *vq, const struct vr_ctrl_resume *log)
{
    uint16_t n, head;
    unsigned int i;

    vq->last_avail = LOAD(&log->last_avail);
    vq->used_new = LOAD(&log->used_idx);
    vq->used_idx = LOAD(&vq->used[RING_IDX]);
    for (i = 0; i < VR_ARRAY_SIZE(log->inflight); i++)
        vq->resume[i] = LOAD(&log->inflight[i]);
    for (i = vq->size; i < VR_MAX_QUEUE_SIZE; i++) {
        if (bit_test(vq->resume, i))
            return broken(vq, VR_VQ_RESUME, i);
    }

    /* Published, but perhaps not yet taken out of the log. */
    n = vq->used_idx - vq->used_new;
    if (n > vq->size)
        return broken(vq, VR_VQ_RESUME, vq->used_idx);
    for (; n; n--, vq->used_new++) {
        uint32_t id = LOAD(&used_elem(vq, vq->used_new)->id);

        if (id < vq->size)
            bit_clear(vq->resume, id);
    }

    /* In the log, but last_avail not yet advanced over it: pops again. */
    head = LOAD(&vq->avail[RING_FIRST + (vq->last_avail & (vq->size - 1))]);
    if (LOAD(&vq->avail[RING_IDX]) != vq->last_avail && head < vq->size)
        bit_clear(vq->resume, head);
    return 0;
}

/* Memory of one ring area; NULL and the queue's fault when there is none. */
static void *get_area(struct vr_vq *vq, uint64_t addr, uint32_t align,
                      uint32_t len, bool write)
{
    const struct vr_window *w = vq->win;
    void *p;

    if (addr & (align - 1)) {
        vr_vq_break(vq, VR_VQ_ALIGN, addr);
        return NULL;
    }
    if (!vr_window_covers(w, addr, len)) {
        vr_vq_break(vq, VR_VQ_RING_OUTSIDE, addr);
        return NULL;
    }
    if (!vr_window_remote(w))
        return vr_window_ptr(w, addr, len);
    p = w->map(w->ctx, addr, len, write);
    if (!p)
        vr_vq_break(vq, VR_VQ_RING_REFUSED, addr);
    return p;
}

static int get_areas(struct vr_vq *vq, const struct vr_ctrl_queue *cfg)
{
    uint32_t size = vq->size;

    vq->desc = get_area(vq, cfg->desc, 16, desc_len(size), false);
    if (!vq->desc)
        return -EPROTO;
    /* Written by nobody on this side; a mapping can say so. */
    vq->avail = get_area(vq, cfg->driver, 2, avail_len(size), false);
    if (!vq->avail)
        return -EPROTO;
    vq->used = get_area(vq, cfg->device, 4, used_len(size), true);
    return vq->used ? 0 : -EPROTO;
}

int vr_vq_start(struct vr_vq *vq, const struct vr_window *win,
                const struct vr_ctrl_queue *cfg, uint64_t features,
                struct vr_ctrl_resume *log)
{
    uint32_t size = cfg->size;
    int rc;

    vr_vq_init(vq);
    if (!size || size > VR_MAX_QUEUE_SIZE || (size & (size - 1)))
        return broken(vq, VR_VQ_SIZE, size);
    if ((features & VR_F_INDIRECT_DESC) && vr_window_remote(win) && !win->fetch)
        return broken(vq, VR_VQ_INDIRECT_REMOTE, 0);
    vq->win = win;
    vq->size = size;
    vq->event_idx = features & VR_F_EVENT_IDX;
    vq->indirect = features & VR_F_INDIRECT_DESC;
    if (!vr_window_remote(win))
        vq->shift = (uintptr_t)win->va - win->base;
    rc = get_areas(vq, cfg);
    if (!rc && log && cfg->epoch && LOAD(&log->epoch) == cfg->epoch)
        rc = resume_from(vq, log);
    else if (!rc && log)
        log_reset(log, cfg->epoch);
    if (rc) {
        drop_areas(vq);
        return rc;
    }
    vq->avail_idx = vq->last_avail;
    vq->used_new = vq->used_idx;
    vq->log = log;
    if (log) {
        /* busy bits are set again as the chains are popped. */
        unsigned int i;

        for (i = 0; i < VR_ARRAY_SIZE(log->inflight); i++)
            STORE(&log->inflight[i], vq->resume[i]);
        memcpy(vq->busy, vq->resume, sizeof(vq->busy));
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        STORE(&log->used_idx, vq->used_idx);
    }
    vr_vq_disable_kicks(vq);
    return 0;
}

void vr_vq_go_on(struct vr_vq *vq)
{
    vq->used_idx = LOAD(&vq->used[RING_IDX]);
    vq->used_new = vq->used_idx;
    vq->last_avail = vq->used_idx;
    vq->avail_idx = vq->used_idx;
}

/* One copy of a descriptor that the guest may be changing. */
static struct vr_vring_desc read_desc(const struct vr_vring_desc *table,
                                      unsigned int i)
{
    struct vr_vring_desc d;

    /* An indirect table need not be aligned: no 8-byte loads. */
    memcpy(&d, (const uint8_t *)table + 16 * (size_t)i, sizeof(d));
    /* The compiler cannot know what is in the copy now: it must not look
     * there again instead. */
    __asm__ volatile("" : "+m"(d));
    return d;
}

/* What a chain holds so far; beside the chain, to stay in registers. */
struct tally {
    unsigned int n, nwrite;
    uint64_t read_len, write_len;
};

/* Appends the buffer of @d to @chain. */
static inline int add_buffer(struct vr_vq *vq, struct vr_chain *chain,
                             struct tally *t, const struct vr_vring_desc *d)
{
    uint64_t total = t->read_len + t->write_len + d->len;

    if (t->n >= VR_CHAIN_MAX)
        return broken(vq, VR_VQ_TOO_LONG, chain->head);
    if (!d->len)
        return broken(vq, VR_VQ_ZERO, d->addr);
    if (total > UINT32_MAX)
        return broken(vq, VR_VQ_TOO_BIG, d->addr);
    if (!vr_window_covers(vq->win, d->addr, d->len))
        return broken(vq, VR_VQ_OUTSIDE, d->addr);
    if (d->flags & DESC_F_WRITE) {
        t->nwrite++;
        t->write_len += d->len;
    } else if (t->nwrite) {
        return broken(vq, VR_VQ_ORDER, d->addr);
    } else {
        t->read_len += d->len;
    }
    chain->buf[t->n].addr = d->addr + vq->shift;
    chain->buf[t->n].len = d->len;
    t->n++;
    return 0;
}

/* NULL and the queue's fault when it cannot be had. */
static const struct vr_vring_desc *indirect_table(struct vr_vq *vq,
                                                  uint64_t addr, uint32_t len)
{
    const struct vr_window *w = vq->win;
    const void *table;

    if (!vr_window_covers(w, addr, len)) {
        vr_vq_break(vq, VR_VQ_OUTSIDE, addr);
        return NULL;
    }
    if (!vr_window_remote(w))
        return vr_window_ptr(w, addr, len);
    table = w->fetch(w->ctx, addr, len);
    if (!table)
        vr_vq_break(vq, VR_VQ_INDIRECT_REFUSED, addr);
    return table;
}

static int read_chain(struct vr_vq *vq, uint16_t head, struct vr_chain *chain)
{
    const struct vr_vring_desc *table = vq->desc;
    unsigned int entries = vq->size, i = head, steps = 0;
    struct tally t = {0, 0, 0, 0};
    bool nested = false;
    int rc;

    chain->head = head;
    for (;;) {
        struct vr_vring_desc d = read_desc(table, i);

        if (d.flags & DESC_F_INDIRECT) {
            if (!vq->indirect)
                return broken(vq, VR_VQ_INDIRECT_OFF, d.addr);
            if (nested)
                return broken(vq, VR_VQ_INDIRECT_NESTED, d.addr);
            if (d.flags & DESC_F_NEXT)
                return broken(vq, VR_VQ_INDIRECT_NEXT, d.addr);
            if (!d.len || d.len % 16 || d.len / 16 > VR_INDIRECT_MAX)
                return broken(vq, VR_VQ_INDIRECT_LEN, d.addr);
            table = indirect_table(vq, d.addr, d.len);
            if (!table)
                return -EPROTO;
            entries = d.len / 16;
            i = 0;
            nested = true;
            continue;
        }
        /* A chain longer than the queue is a loop, or as good as one. */
        if (++steps > vq->size)
            return broken(vq, VR_VQ_TOO_LONG, head);
        rc = add_buffer(vq, chain, &t, &d);
        if (rc)
            return rc;
        if (!(d.flags & DESC_F_NEXT))
            break;
        i = d.next;
        if (i >= entries)
            return broken(vq, VR_VQ_NEXT_RANGE, i);
    }
    chain->nread = t.n - t.nwrite;
    chain->nwrite = t.nwrite;
    chain->read_len = t.read_len;
    chain->write_len = t.write_len;
    return 0;
}

int vr_vq_pop(struct vr_vq *vq, struct vr_chain *chain)
{
    uint16_t head, n;
    int rc;

    if (!vr_vq_running(vq))
        return vq->fault ? -EPROTO : 0;
    if (vq->avail_idx == vq->last_avail) {
        /* Acquire: entries and descriptors are read after the index. */
        vq->avail_idx = __atomic_load_n(&vq->avail[RING_IDX], __ATOMIC_ACQUIRE);
        n = vq->avail_idx - vq->last_avail;
        if (!n)
            return 0;
        if (n > vq->size)
            return broken(vq, VR_VQ_AVAIL_JUMP, vq->avail_idx);
    }
    head = LOAD(&vq->avail[RING_FIRST + (vq->last_avail & (vq->size - 1))]);
    if (head >= vq->size)
        return broken(vq, VR_VQ_HEAD_RANGE, head);
    if (bit_test(vq->busy, head))
        return broken(vq, VR_VQ_HEAD_BUSY, head);
    rc = read_chain(vq, head, chain);
    if (rc)
        return rc;
    bit_set(vq->busy, head);
    vq->last_avail++;
    log_pop(vq, head);
    return 1;
}

int vr_vq_pop_resumed(struct vr_vq *vq, struct vr_chain *chain)
{
    unsigned int i;
    uint16_t head;
    int rc;

    if (!vr_vq_running(vq))
        return vq->fault ? -EPROTO : 0;
    for (i = 0; i < VR_ARRAY_SIZE(vq->resume) && !vq->resume[i]; i++)
        ;
    if (i == VR_ARRAY_SIZE(vq->resume))
        return 0;
    head = i * 64 + (unsigned int)__builtin_ctzll(vq->resume[i]);
    rc = read_chain(vq, head, chain);
    if (rc)
        return rc;
    bit_clear(vq->resume, head);
    return 1;
}

void vr_vq_push(struct vr_vq *vq, uint16_t head, uint32_t len)
{
    struct vr_vring_used_elem *e = used_elem(vq, vq->used_new);

    STORE(&e->id, head);
    STORE(&e->len, len);
    vq->pushed[vq->used_new & (vq->size - 1)] = head;
    vq->used_new++;
}

void vr_vq_publish(struct vr_vq *vq)
{
    uint16_t i;

    if (vq->used_new == vq->used_idx)
        return;
    for (i = vq->used_idx; i != vq->used_new; i++)
        bit_clear(vq->busy, vq->pushed[i & (vq->size - 1)]);
    vq->used_idx = vq->used_new;
    /* Release: data and elements are visible before the index. */
    __atomic_store_n(&vq->used[RING_IDX], vq->used_idx, __ATOMIC_RELEASE);
    log_publish(vq);
}

/* virtio 1.2, 2.7.7: was @event passed on the way from @old to @now? */
static bool need_event(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool vr_vq_should_notify(struct vr_vq *vq)
{
    uint16_t old = vq->signalled;
    bool valid = vq->signalled_valid;

    /* The used index must be visible before the guest's wish is read. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    vq->signalled = vq->used_idx;
    vq->signalled_valid = true;
    if (!vq->event_idx)
        return !(LOAD(&vq->avail[RING_FLAGS]) & AVAIL_F_NO_INTERRUPT);
    return !valid || need_event(LOAD(&vq->avail[RING_FIRST + vq->size]),
                                vq->used_idx, old);
}

bool vr_vq_enable_kicks(struct vr_vq *vq)
{
    if (vq->event_idx)
        STORE(&vq->used[RING_FIRST + 4 * vq->size], vq->last_avail);
    else
        STORE(&vq->used[RING_FLAGS], 0);
    /* The wish must be visible before the index is read again. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return LOAD(&vq->avail[RING_IDX]) != vq->last_avail;
}

void vr_vq_disable_kicks(struct vr_vq *vq)
{
    /* With EVENT_IDX a stale avail_event does it: it was passed. */
    if (!vq->event_idx)
        STORE(&vq->used[RING_FLAGS], USED_F_NO_NOTIFY);
}

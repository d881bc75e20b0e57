/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of a remote window (docs/data-path.md). The way of one:
 *
 *   start   room for the payload is found: a piece of the bounce memory, or
 *           the payload's own pages are mapped. The copy of the head, and of
 *           the payload of a write, is gathered.
 *   settle  the copies of all requests are carried out, in one call. What a
 *           request asks for is known now; its I/O starts.
 *   done    its pages are unmapped, or the copy of the payload of a read is
 *           gathered; so is that of the status.
 *   settle  they are carried out, together with what other requests have in
 *           the first step; the request is put into the used ring.
 *
 * Payload that is larger than VR_DYNMEM_CHUNK takes the steps from the second
 * on several times over. A request that waits for room holds nothing, and the
 * requests that have what it waits for need nothing more to come to an end.
 *
 * Memory that the guest does not give ends the request with VR_BLK_S_IOERR.
 * When not even that can be written, it is used with length 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../libs/bounce.h"
#include "../libs/bounds.h"
#include "dynmem.h"
#include "loop_int.h"

enum dir { DIR_NONE, DIR_READ, DIR_WRITE };

struct rslot {
    struct slot s; /* first */
    struct rslot *next;
    struct vr_blk_req req;
    enum dir dir; /* which way payload would go, from the lengths */
    bool decoded;
    bool answered; /* the copy of the status is gathered */
    bool amended;  /* ... once more, as the payload was refused */
    bool refused;  /* a copy was */
    bool mute;     /* that of the status was */
    uint8_t status;
    uint8_t head[VR_BLK_HEAD_MAX];
    uint32_t head_len;
    uint32_t out_len, in_len; /* readable, and writable but for the status */
    uint32_t payload, moved, chunk;
    uint8_t *bounce;
    void *map;
    unsigned int pages; /* of bounce or map */
    unsigned int niov;
    struct iovec iov[VR_CHAIN_MAX];
};

/* Requests in the order in which they came. */
struct list {
    struct rslot *first, **last;
};

struct remote {
    struct vr_dynmem *mem;
    struct vr_bounce bounce;
    void *bounce_mem;
    struct list fetching, storing; /* their copies are gathered */
    bool ended;
};

static void list_init(struct list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct list *list, struct rslot *r)
{
    r->next = NULL;
    *list->last = r;
    list->last = &r->next;
}

static struct rslot *list_take(struct list *list)
{
    struct rslot *r = list->first;

    list_init(list);
    return r;
}

/* ---- payload ---- */

struct run {
    const struct vr_buf *buf;
    unsigned int n;
    uint32_t skip;
};

/* The buffers of the payload. */
static struct run payload_run(const struct rslot *r)
{
    const struct vr_chain *c = &r->s.chain;

    if (r->dir == DIR_WRITE)
        return (struct run){c->buf, c->nread, r->head_len};
    return (struct run){c->buf + c->nread, c->nwrite, 0};
}

static void set_chunk(struct rslot *r)
{
    r->chunk = r->payload - r->moved;
    if (r->chunk > VR_DYNMEM_CHUNK)
        r->chunk = VR_DYNMEM_CHUNK;
}

static bool map_chunk(struct vr_loop *l, struct rslot *r)
{
    struct run p = payload_run(r);

    r->map =
        vr_dynmem_map(l->remote->mem, p.buf, p.n, p.skip + r->moved, r->chunk,
                      r->dir == DIR_READ, r->iov, &r->niov, &r->pages);
    return r->map != NULL;
}

static void unmap_chunk(struct vr_loop *l, struct rslot *r)
{
    vr_dynmem_unmap(l->remote->mem, r->map, r->pages);
    r->map = NULL;
}

static bool take_bounce(struct vr_loop *l, struct rslot *r)
{
    r->pages = (r->chunk + (unsigned int)VR_PAGE_SIZE - 1) >> VR_PAGE_SHIFT;
    r->bounce = vr_bounce_get(&l->remote->bounce, r->pages);
    return r->bounce != NULL;
}

static bool make_room(struct vr_loop *l, struct rslot *r)
{
    const struct vr_dynmem *mem = l->remote->mem;

    if (r->payload >= l->cfg.map_threshold) {
        if (mem->mapped >= mem->budget)
            return false;
        if (map_chunk(l, r))
            return true;
        /* A copy may do, or will tell which page it is. */
    }
    return take_bounce(l, r);
}

static void release(struct vr_loop *l, struct rslot *r)
{
    unmap_chunk(l, r);
    if (r->bounce)
        vr_bounce_put(&l->remote->bounce, r->bounce, r->pages);
    r->bounce = NULL;
}

static void fetch_chunk(struct vr_loop *l, struct rslot *r)
{
    struct run p = payload_run(r);

    if (vr_dynmem_fetch(l->remote->mem, p.buf, p.n, p.skip + r->moved, r->chunk,
                        r->bounce, r))
        r->refused = true;
}

static void store_chunk(struct vr_loop *l, struct rslot *r)
{
    struct run p = payload_run(r);

    if (vr_dynmem_store(l->remote->mem, p.buf, p.n, p.skip + r->moved, r->chunk,
                        r->bounce, r))
        r->refused = true;
}

/* Device address of the first byte that was not moved yet. */
static uint64_t moved_addr(const struct rslot *r)
{
    struct run p = payload_run(r);
    uint64_t skip = (uint64_t)p.skip + r->moved;

    for (; skip >= p.buf->len; p.buf++)
        skip -= p.buf->len;
    return p.buf->addr + skip;
}

static void note_run(struct vr_loop *l, const struct rslot *r)
{
    struct run p = payload_run(r);

    for (; p.n; p.buf++, p.n--) {
        if (p.skip >= p.buf->len) {
            p.skip -= p.buf->len;
            continue;
        }
        note_payload(l, p.buf->addr + p.skip, p.buf->len - p.skip);
        p.skip = 0;
    }
}

/* ---- the way of a request ---- */

static void end(struct vr_loop *l, struct rslot *r)
{
    release(l, r);
    request_end(l, &r->s);
    l->remote->ended = true;
}

/* Gathers the copy of the status; the request ends once it was made. */
static void answer(struct vr_loop *l, struct rslot *r, uint8_t status,
                   uint32_t used_len)
{
    const struct vr_chain *c = &r->s.chain;

    r->status = status;
    r->s.used_len = used_len;
    r->answered = true;
    /* Rings that were broken meanwhile belong to nobody. */
    if (vr_vq_running(&r->s.q->vq) &&
        vr_dynmem_store(l->remote->mem, c->buf + c->nread, c->nwrite, r->in_len,
                        1, &r->status, r))
        r->refused = r->mute = true;
    list_add(&l->remote->storing, r);
}

/* Of a failed read nothing is promised, from its first byte on. */
static void answer_error(struct vr_loop *l, struct rslot *r, uint8_t status)
{
    answer(l, r, status, r->in_len ? 0 : 1);
}

static void submit(struct vr_loop *l, struct rslot *r)
{
    struct vr_aio_req *aio = &r->s.aio;

    if (r->bounce) {
        r->iov[0].iov_base = r->bounce;
        r->iov[0].iov_len = r->chunk;
        r->niov = 1;
    }
    aio->iov = r->iov;
    aio->niov = r->niov;
    aio->offset = r->req.offset + r->moved;
    aio->len = r->chunk;
    aio->direct =
        vr_target_direct_ok(l->cfg.target, r->iov, r->niov, aio->offset);
    l->ops->queue(l->aio, aio);
}

/* A chunk is through: another one, or the end. */
static void go_on(struct vr_loop *l, struct rslot *r)
{
    r->moved += r->chunk;
    if (r->moved == r->payload) {
        answer(l, r, VR_BLK_S_OK, r->req.used_len);
        return;
    }
    if (l->stopping || !queue_wanted(l, (unsigned int)(r->s.q - l->q))) {
        /* The log still has it: whoever goes on with the queue begins it
         * anew. */
        end(l, r);
        return;
    }
    set_chunk(r);
    if (!r->bounce && !map_chunk(l, r) && !take_bounce(l, r)) {
        /* It cannot wait here: those that do want its room. */
        access_fault(l, r->s.q, moved_addr(r));
        answer_error(l, r, VR_BLK_S_IOERR);
    } else if (r->bounce && r->dir == DIR_WRITE) {
        fetch_chunk(l, r);
        list_add(&l->remote->fetching, r);
    } else {
        submit(l, r);
    }
}

/* What the request asks for is known. */
static void carry_out(struct vr_loop *l, struct rslot *r)
{
    const struct vr_chain *c = &r->s.chain;
    struct vr_blk_req *req = &r->req;
    enum dir dir = DIR_NONE;

    r->decoded = true;
    vr_blk_decode(&l->dev, l->req.features, r->head, r->out_len, r->in_len,
                  req);
    if (req->op == VR_BLK_READ)
        dir = DIR_READ;
    else if (req->op == VR_BLK_WRITE)
        dir = DIR_WRITE;
    if (dir != DIR_NONE) {
        /* Data both ways make no request. */
        if (dir != r->dir) {
            answer_error(l, r, VR_BLK_S_IOERR);
            return;
        }
        io_prepare(l, &r->s, req);
        note_run(l, r);
        submit(l, r);
        return;
    }
    release(l, r);
    r->payload = r->chunk = 0;
    if (req->op == VR_BLK_DONE) {
        if (vr_dynmem_store(l->remote->mem, c->buf + c->nread, c->nwrite, 0,
                            req->reply_len, req->reply, r))
            r->refused = true;
        answer(l, r, req->status_value, req->used_len);
        return;
    }
    io_prepare(l, &r->s, req);
    r->s.aio.iov = NULL;
    r->s.aio.niov = 0;
    l->ops->queue(l->aio, &r->s.aio);
}

static void fetched(struct vr_loop *l, struct rslot *r)
{
    if (r->refused) {
        r->refused = false;
        answer_error(l, r, VR_BLK_S_IOERR);
    } else if (!r->decoded) {
        carry_out(l, r);
    } else {
        submit(l, r);
    }
}

static void stored(struct vr_loop *l, struct rslot *r)
{
    if (r->refused && !r->mute && !r->amended) {
        /* The payload was; what was said of it is not visible yet. */
        r->refused = false;
        r->amended = true;
        answer_error(l, r, VR_BLK_S_IOERR);
    } else if (!r->answered) {
        go_on(l, r);
    } else {
        end(l, r);
        request_push(l, &r->s, r->mute ? VR_BLK_S_IOERR : r->status,
                     r->mute ? 0 : r->s.used_len);
    }
}

/* ---- the loop's calls ---- */

static bool within_offer(const struct vr_loop *l, struct run p, uint32_t left)
{
    uint32_t segs = 0, seg_max = vr_blk_seg_max(l->dev.queue_size);

    for (; left; p.buf++) {
        uint64_t len = p.buf->len;

        if (p.skip >= len) {
            p.skip -= len;
            continue;
        }
        len -= p.skip;
        p.skip = 0;
        if (len > left)
            len = left; /* the status is in it, too */
        if (len > l->dev.size_max || ++segs > seg_max)
            return false;
        left -= len;
    }
    return true;
}

/* What the lengths say; nothing of the request was read. False: it is more
 * than the device offers. */
static bool measure(const struct vr_loop *l, struct rslot *r)
{
    const struct vr_chain *c = &r->s.chain;
    uint32_t out;

    r->out_len = c->read_len;
    r->in_len = c->write_len - 1;
    r->head_len = vr_blk_head_len(r->out_len);
    r->decoded = r->answered = r->amended = r->refused = r->mute = false;
    r->dir = DIR_NONE;
    r->payload = r->moved = 0;
    out = r->out_len - r->head_len;
    if (!within_offer(l, (struct run){c->buf, c->nread, r->head_len}, out) ||
        !within_offer(l, (struct run){c->buf + c->nread, c->nwrite, 0},
                      r->in_len))
        return false;
    if (out && out % VR_BLK_SECTOR == 0 && !l->dev.readonly) {
        r->dir = DIR_WRITE;
        r->payload = out;
    } else if (r->in_len && r->in_len % VR_BLK_SECTOR == 0) {
        r->dir = DIR_READ;
        r->payload = r->in_len;
    }
    set_chunk(r);
    return true;
}

static bool remote_start(struct vr_loop *l, struct slot *s)
{
    struct rslot *r = (struct rslot *)(void *)s;
    const struct vr_chain *c = &s->chain;
    bool fits;

    if (!c->nwrite) {
        counters(l)->requests++;
        vr_vq_break(&s->q->vq, VR_VQ_REQUEST, s->head);
        put_slot(s->q, s);
        return true;
    }
    fits = measure(l, r);
    if (r->payload && !make_room(l, r))
        return false;
    counters(l)->requests++;
    request_begin(l, s);
    if (!fits) {
        answer_error(l, r, VR_BLK_S_IOERR);
        return true;
    }
    if (vr_dynmem_fetch(l->remote->mem, c->buf, c->nread, 0, r->head_len,
                        r->head, r))
        r->refused = true;
    if (r->dir == DIR_WRITE && r->bounce)
        fetch_chunk(l, r);
    list_add(&l->remote->fetching, r);
    return true;
}

static void remote_done(struct vr_loop *l, struct slot *s)
{
    struct rslot *r = (struct rslot *)(void *)s;
    uint8_t status = io_status(l, s);

    /* Before anybody is told that the request is done. */
    unmap_chunk(l, r);
    if (status != VR_BLK_S_OK) {
        answer_error(l, r, status);
    } else if (r->dir == DIR_READ && r->bounce) {
        store_chunk(l, r);
        if (r->moved + r->chunk == r->payload)
            go_on(l, r);
        else
            list_add(&l->remote->storing, r);
    } else {
        go_on(l, r);
    }
}

static bool remote_settle(struct vr_loop *l)
{
    struct remote *x = l->remote;
    struct rslot *store, *fetch, *next;
    bool ended;

    /* More than one turn only for errors and small talk (GET_ID). */
    while (x->storing.first || x->fetching.first) {
        store = list_take(&x->storing);
        fetch = list_take(&x->fetching);
        vr_dynmem_run(x->mem);
        for (; store; store = next) {
            next = store->next;
            stored(l, store);
        }
        for (; fetch; fetch = next) {
            next = fetch->next;
            fetched(l, fetch);
        }
    }
    ended = x->ended;
    x->ended = false;
    return ended;
}

static void remote_refused(void *ctx, const struct vr_gseg *seg, uint64_t addr)
{
    struct vr_loop *l = ctx;
    struct rslot *r = seg->owner;

    if (!r->refused)
        access_fault(l, r->s.q, addr);
    r->refused = true;
    if (seg->local == &r->status)
        r->mute = true;
}

/* ---- set-up ---- */

static int check_aperture(const struct vr_loop_cfg *cfg, struct vr_err *err)
{
    char have[24], want[24];

    if (cfg->queue_size < 4) {
        vr_err_set(err,
                   "queue size %u: a request in dynamic mode takes three "
                   "descriptors; 4 is the least",
                   cfg->queue_size);
        return -EINVAL;
    }
    if (vr_size_max(cfg->win->size, cfg->queues, cfg->queue_size))
        return 0;
    vr_err_set(
        err,
        "aperture of %s is too small for %u queues of %u: %s is the "
        "least",
        vr_format_size(cfg->win->size, have), cfg->queues, cfg->queue_size,
        vr_format_size(vr_aperture_min(cfg->queues, cfg->queue_size), want));
    return -EINVAL;
}

static int remote_open(struct vr_loop *l, struct vr_err *err)
{
    const struct vr_loop_cfg *cfg = &l->cfg;
    const size_t len = VR_BOUNCE_MAX * VR_PAGE_SIZE;
    struct remote *x;
    int rc;

    rc = check_aperture(cfg, err);
    if (rc)
        return rc;
    x = calloc(1, sizeof(*x));
    if (!x) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    x->bounce_mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (x->bounce_mem == MAP_FAILED) {
        vr_err_set(err, "out of memory");
        free(x);
        return -ENOMEM;
    }
    /* The guest's data is not ours to dump or to swap out, if we may say
     * so. Untouched pages cost nothing. */
    madvise(x->bounce_mem, len, MADV_DONTDUMP);
    mlock2(x->bounce_mem, len, MLOCK_ONFAULT);
    mlock2(l->slots, l->slots_len, MLOCK_ONFAULT);
    vr_bounce_init(&x->bounce, x->bounce_mem, VR_BOUNCE_MAX);
    list_init(&x->fetching);
    list_init(&x->storing);
    x->mem = cfg->mem;
    x->mem->counters = &cfg->page->counters;
    x->mem->refused = remote_refused;
    x->mem->refused_ctx = l;
    l->remote = x;
    l->dev.size_max = vr_size_max(cfg->win->size, cfg->queues, cfg->queue_size);
    return 0;
}

static void remote_close(struct vr_loop *l)
{
    munmap(l->remote->bounce_mem, VR_BOUNCE_MAX * VR_PAGE_SIZE);
    free(l->remote);
}

const struct exec_ops exec_remote = {
    .slot_size = sizeof(struct rslot),
    .open = remote_open,
    .close = remote_close,
    .start = remote_start,
    .done = remote_done,
    .settle = remote_settle,
};

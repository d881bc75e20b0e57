/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of a remote window (docs/data-path.md). The way of one:
 *
 *   start   room for the payload is found: a piece of the bounce memory, or
 *           its own pages are mapped. The copy of the head, and of the payload
 *           of a write, is gathered.
 *   settle  the copies of all requests are carried out, in one call. What a
 *           request asks for is known now; its I/O starts.
 *   done    its pages are unmapped, or the copy of the payload of a read is
 *           gathered; so is that of the status.
 *   settle  they are carried out, together with what other requests have in
 *           the first step; the request is put into the used ring.
 *
 * A request that lies in the pool altogether (mixed mode) goes the way of those
 * of a local window.
 *
 * Payload that is larger than VR_DYNMEM_CHUNK takes the steps from the second
 * on several times over. A request that waits for room holds nothing, and the
 * requests that have what it waits for need nothing more to come to an end.
 *
 * Memory that the guest does not give ends the request with VR_BLK_S_IOERR.
 * When not even that can be written, the queue stops: a request that is used
 * without an answer would look done to drivers that do not mind the length,
 * which leave the status byte as the last request had it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libs/window/bounds.h"
#include "remote.h"

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

/* ---- the way of a request ---- */

static void end(struct vr_loop *l, struct rslot *r)
{
    payload_release(l, r);
    vr_dynmem_settle(l->remote->mem);
    request_end(l, &r->s);
    l->remote->ended = true;
}

/* Its last byte is the status. */
static const struct vr_buf *last_buf(const struct vr_chain *c)
{
    return &c->buf[c->nread + c->nwrite - 1];
}

/* Gathers the copy of the status; the request ends once it was made. */
static void answer(struct vr_loop *l, struct rslot *r, uint8_t status,
                   uint32_t used_len)
{
    const struct vr_buf *last = last_buf(&r->s.chain);

    r->status = status;
    r->s.used_len = used_len;
    r->answered = true;
    /* Rings that were broken meanwhile belong to nobody. */
    if (vr_vq_running(&r->s.q->vq) &&
        vr_dynmem_store(l->remote->mem, last, 1, last->len - 1, 1, &r->status,
                        r))
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
    aio->foreign = r->map;
    aio->direct = vr_target_direct_ok(l->cfg.target, aio->foreign, r->iov,
                                      r->niov, aio->offset);
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
    if (!payload_advance(l, r)) {
        access_fault(l, r->s.q, payload_addr(r), r->dir == DIR_READ);
        answer_error(l, r, VR_BLK_S_IOERR);
    } else if (r->bounce && r->dir == DIR_WRITE) {
        payload_fetch(l, r);
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
        payload_note(l, r);
        submit(l, r);
        return;
    }
    payload_release(l, r);
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
    } else if (r->mute) {
        const struct vr_buf *last = last_buf(&r->s.chain);
        struct queue *q = r->s.q;

        counters(l)->errors++;
        end(l, r);
        vr_vq_break(&q->vq, VR_VQ_MUTE, last->addr + last->len - 1);
        queue_fault(l, q);
    } else {
        end(l, r);
        request_push(l, &r->s, r->status, r->s.used_len);
    }
}

/* ---- the loop's calls ---- */

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
    r->pooled = !vr_target_own_only(l->cfg.target) &&
                vr_dynmem_in_pool(l->remote->mem, &s->chain);
    if (r->pooled)
        return exec_local.start(l, s);
    fits = payload_measure(l, r);
    if (r->payload && !payload_room(l, r))
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
        payload_fetch(l, r);
    list_add(&l->remote->fetching, r);
    return true;
}

static void remote_done(struct vr_loop *l, struct slot *s)
{
    struct rslot *r = (struct rslot *)(void *)s;
    uint8_t status;

    if (r->pooled) {
        exec_local.done(l, s);
        return;
    }
    status = io_status(l, s);
    /* Before anybody is told that the request is done. */
    payload_unmap(l, r);
    if (status != VR_BLK_S_OK) {
        answer_error(l, r, status);
    } else if (r->dir == DIR_READ && r->bounce) {
        payload_store(l, r);
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
        access_fault(l, r->s.q, addr, seg->to_guest);
    r->refused = true;
    if (seg->local == &r->status)
        r->mute = true;
}

/* ---- set-up ---- */

static int check_aperture(const struct vr_loop_cfg *cfg, struct vr_err *err)
{
    bool mixed = cfg->win->pool.size;
    char have[24], want[24];

    if (cfg->queue_size < 4) {
        vr_err_set(err,
                   "queue size %u: a request in this mode takes three "
                   "descriptors; 4 is the least",
                   cfg->queue_size);
        return -EINVAL;
    }
    if (vr_size_max(cfg->win->size, cfg->queues, cfg->queue_size, mixed))
        return 0;
    vr_err_set(err,
               "aperture of %s is too small for %u queues of %u: %s is the "
               "least",
               vr_format_size(cfg->win->size, have), cfg->queues,
               cfg->queue_size,
               vr_format_size(
                   vr_aperture_min(cfg->queues, cfg->queue_size, mixed), want));
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
    x->bounce_mem = cfg->mem->ops->alloc(cfg->mem->ctx, len);
    if (!x->bounce_mem) {
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
    l->dev.size_max = vr_size_max(cfg->win->size, cfg->queues, cfg->queue_size,
                                  cfg->win->pool.size);
    return 0;
}

static void remote_close(struct vr_loop *l)
{
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of a remote window (docs/data-path.md). The way of one:
 *
 *   start   room for the payload is found: a piece of the bounce memory, or
 *           its own pages are mapped. The copy of the head, and of the payload
 *           of a write, is gathered.
 *   settle  the copies of all requests are carried out, in one call. The type
 *           can say now what a request asks for, and begins.
 *   done    its pages are unmapped, or the copy of the payload of a read is
 *           gathered; so is that of the status.
 *   settle  they are carried out, together with what other requests have in
 *           the first step; the request is put into the used ring.
 *
 * A request that lies in the pool altogether (mixed mode) goes the way of those
 * of a local window (local.c).
 *
 * Payload that is larger than VR_DYNMEM_CHUNK takes the steps from the second
 * on several times over. A request that waits for room holds nothing, and the
 * requests that have what it waits for need nothing more to come to an end.
 *
 * Memory that the guest does not give ends the request with an error.
 * When not even that can be written, the queue stops: a request that is used
 * without an answer would look done to drivers that do not mind the length,
 * which leave the status byte as the last request had it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libs/window/bounds.h"
#include "remote.h"

static void list_init(struct remote_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct remote_list *list, struct remote_request *r)
{
    r->next = NULL;
    *list->last = r;
    list->last = &r->next;
}

static struct remote_request *list_take(struct remote_list *list)
{
    struct remote_request *r = list->first;

    list_init(list);
    return r;
}

/* ---- the way of a request ---- */

static void end(struct vr_dev *d, struct remote_request *r)
{
    vr_payload_release(d, r);
    vr_dynmem_settle(d->remote->mem);
    vr_request_end(d, &r->r);
    d->remote->ended = true;
}

/* Its last byte is the status. */
static const struct vr_buf *last_buf(const struct vr_chain *c)
{
    return &c->buf[c->nread + c->nwrite - 1];
}

/* Gathers the copy of the status; the request ends once it was made. */
static void answer(struct vr_dev *d, struct remote_request *r, uint8_t status,
                   uint32_t used_len)
{
    const struct vr_buf *last = last_buf(&r->r.chain);

    r->status = status;
    r->r.used_len = used_len;
    r->answered = true;
    /* Rings that were broken meanwhile belong to nobody. */
    if (d->serve->status && vr_vq_running(&r->r.q->vq) &&
        vr_dynmem_store(d->remote->mem, last, 1, last->len - 1, 1, &r->status,
                        r))
        r->refused = r->mute = true;
    list_add(&d->remote->storing, r);
}

/* Of a failed read nothing is promised, from its first byte on. */
static void answer_error(struct vr_dev *d, struct remote_request *r,
                         uint8_t status)
{
    answer(d, r, status, r->r.in_len ? 0 : d->serve->status);
}

/* A chunk is through: another one, or the end. */
static void go_on(struct vr_dev *d, struct remote_request *r)
{
    r->r.moved += r->chunk;
    if (r->r.moved == r->payload) {
        answer(d, r, 0, r->r.used_len);
        return;
    }
    if (!vr_request_wanted(d, &r->r)) {
        end(d, r);
        return;
    }
    if (!vr_payload_advance(d, r)) {
        vr_access_fault(d, r->r.q, vr_payload_addr(r), r->dir == VR_DIR_READ);
        answer_error(d, r, d->serve->error);
    } else if (r->bounce && r->dir == VR_DIR_WRITE) {
        vr_payload_fetch(d, r);
        list_add(&d->remote->fetching, r);
    } else {
        vr_payload_show(r);
        d->serve->more(d, &r->r);
    }
}

static void fetched(struct vr_dev *d, struct remote_request *r)
{
    if (r->refused) {
        r->refused = false;
        answer_error(d, r, d->serve->error);
    } else if (!r->started) {
        r->started = true;
        d->serve->start(d, &r->r);
    } else {
        vr_payload_show(r);
        d->serve->more(d, &r->r);
    }
}

static void stored(struct vr_dev *d, struct remote_request *r)
{
    if (r->refused && !r->mute && !r->amended) {
        /* It was a copy of the payload. The status, which says that all went
         * well, is not in the used ring yet: it becomes an error. */
        r->refused = false;
        r->amended = true;
        answer_error(d, r, d->serve->error);
    } else if (!r->answered) {
        go_on(d, r);
    } else if (r->mute) {
        const struct vr_buf *last = last_buf(&r->r.chain);
        struct vr_queue *q = r->r.q;

        vr_counters(d)->errors++;
        end(d, r);
        vr_vq_break(&q->vq, VR_VQ_MUTE, last->addr + last->len - 1);
        vr_queue_fault(d, q);
    } else {
        end(d, r);
        vr_request_push(d, &r->r, r->status, r->r.used_len);
    }
}

/* ---- the type's calls ---- */

static bool remote_data(struct vr_dev *d, struct vr_request *q, enum vr_dir dir)
{
    struct remote_request *r = (struct remote_request *)(void *)q;

    if (dir == VR_DIR_NONE) {
        vr_payload_release(d, r);
        r->payload = r->chunk = 0;
        q->iov = NULL;
        q->niov = 0;
        q->foreign = false;
        return true;
    }
    if (dir != r->dir)
        return false;
    vr_payload_note(d, r);
    vr_payload_show(r);
    return true;
}

static void remote_answer(struct vr_dev *d, struct vr_request *q,
                          uint8_t status, uint32_t used_len, void *reply,
                          uint32_t len)
{
    struct remote_request *r = (struct remote_request *)(void *)q;
    const struct vr_chain *c = &q->chain;

    vr_payload_release(d, r);
    if (len && vr_dynmem_store(d->remote->mem, c->buf + c->nread, c->nwrite, 0,
                               len, reply, r))
        r->refused = true;
    answer(d, r, status, used_len);
}

static void remote_done(struct vr_dev *d, struct vr_request *q, uint8_t status)
{
    struct remote_request *r = (struct remote_request *)(void *)q;

    if (q->local) {
        vr_memory_local.done(d, q, status);
        return;
    }
    /* Before anybody is told that the request is done. */
    vr_payload_unmap(d, r);
    if (status) {
        answer_error(d, r, status);
        return;
    }
    if (q->len < r->chunk) {
        r->chunk = q->len;
        r->payload = q->moved + q->len;
    }
    if (r->dir == VR_DIR_READ && r->bounce && r->chunk) {
        vr_payload_store(d, r);
        if (q->moved + r->chunk < r->payload) {
            list_add(&d->remote->storing, r);
            return;
        }
    }
    go_on(d, r);
}

static void remote_drop(struct vr_dev *d, struct vr_request *q)
{
    end(d, (struct remote_request *)(void *)q);
}

/* ---- the loop's calls ---- */

static bool remote_start(struct vr_dev *d, struct vr_request *q)
{
    struct remote_request *r = (struct remote_request *)(void *)q;
    const struct vr_chain *c = &q->chain;
    bool fits;

    if (d->serve->status && !c->nwrite) {
        vr_counters(d)->requests++;
        vr_vq_break(&q->q->vq, VR_VQ_REQUEST, q->head);
        vr_request_free(q);
        return true;
    }
    if (!d->own_only && vr_dynmem_in_pool(d->remote->mem, &q->chain))
        return vr_memory_local.start(d, q);
    fits = vr_payload_measure(d, r);
    if (r->payload && !vr_payload_room(d, r))
        return false;
    vr_counters(d)->requests++;
    vr_request_begin(d, q);
    if (!fits) {
        answer_error(d, r, d->serve->error);
        return true;
    }
    if (vr_dynmem_fetch(d->remote->mem, c->buf, c->nread, 0, r->front_len,
                        q->front, r))
        r->refused = true;
    if (r->dir == VR_DIR_WRITE && r->bounce)
        vr_payload_fetch(d, r);
    list_add(&d->remote->fetching, r);
    return true;
}

static bool remote_settle(struct vr_dev *d)
{
    struct vr_remote *x = d->remote;
    struct remote_request *store, *fetch, *next;
    bool ended;

    /* More than one turn only for errors and small talk (GET_ID). */
    while (x->storing.first || x->fetching.first) {
        store = list_take(&x->storing);
        fetch = list_take(&x->fetching);
        vr_dynmem_run(x->mem);
        for (; store; store = next) {
            next = store->next;
            stored(d, store);
        }
        for (; fetch; fetch = next) {
            next = fetch->next;
            fetched(d, fetch);
        }
    }
    ended = x->ended;
    x->ended = false;
    return ended;
}

static void remote_refused(void *ctx, const struct vr_gseg *seg, uint64_t addr)
{
    struct vr_dev *d = ctx;
    struct remote_request *r = seg->owner;

    if (!r->refused)
        vr_access_fault(d, r->r.q, addr, seg->to_guest);
    r->refused = true;
    if (seg->local == &r->status)
        r->mute = true;
}

/* ---- set-up ---- */

static int check_aperture(const struct vr_dev_setup *cfg, struct vr_err *err)
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

static int remote_open(struct vr_dev *d, struct vr_err *err)
{
    const struct vr_dev_setup *cfg = &d->cfg;
    const size_t len = VR_BOUNCE_MAX * VR_PAGE_SIZE;
    struct vr_remote *x;
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
    vr_bounce_init(&x->bounce, x->bounce_mem, VR_BOUNCE_MAX);
    list_init(&x->fetching);
    list_init(&x->storing);
    x->mem = cfg->mem;
    x->mem->counters = &cfg->page->counters;
    x->mem->refused = remote_refused;
    x->mem->refused_ctx = d;
    d->remote = x;
    d->size_max = vr_size_max(cfg->win->size, cfg->queues, cfg->queue_size,
                              cfg->win->pool.size);
    return 0;
}

static void remote_close(struct vr_dev *d)
{
    free(d->remote);
}

const struct vr_memory vr_memory_remote = {
    .request_size = sizeof(struct remote_request),
    .open = remote_open,
    .close = remote_close,
    .start = remote_start,
    .data = remote_data,
    .answer = remote_answer,
    .done = remote_done,
    .drop = remote_drop,
    .settle = remote_settle,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests whose buffers are memory of this process already: those of a local
 * window, and those of a remote one that lie in its pool. The type is handed
 * the guest's own buffers. Called by the loop and by remote.c.
 */
#include "libs/window/bounds.h"
#include "backend/serve.h"

static int local_open(struct vr_dev *d, struct vr_err *err)
{
    (void)err;
    d->size_max = VR_POOL_SIZE_MAX;
    return 0;
}

static void local_close(struct vr_dev *d)
{
    (void)d;
}

static bool local_start(struct vr_dev *d, struct vr_request *r)
{
    const struct vr_serve *serve = d->serve;
    const struct vr_chain *c = &r->chain;

    vr_counters(d)->requests++;
    if (serve->status && !c->nwrite) {
        vr_vq_break(&r->q->vq, VR_VQ_REQUEST, r->head);
        vr_request_free(r);
        return true;
    }
    r->local = true;
    r->out_len = c->read_len;
    r->in_len = c->write_len - serve->status;
    r->moved = 0;
    vr_chain_split(&r->chain, r->front,
                   vr_front_len(serve->front, serve->front_only, r->out_len),
                   serve->status, &r->split);
    vr_request_begin(d, r);
    serve->start(d, r);
    return true;
}

static void local_end(struct vr_dev *d, struct vr_request *r, uint8_t status,
                      uint32_t used_len)
{
    vr_request_end(d, r);
    /* Rings that were broken meanwhile belong to nobody. */
    if (d->serve->status && vr_vq_running(&r->q->vq))
        *(volatile uint8_t *)r->split.status = status;
    vr_request_push(d, r, status, used_len);
}

static void local_answer(struct vr_dev *d, struct vr_request *r, uint8_t status,
                         uint32_t used_len, void *reply, uint32_t len)
{
    if (len)
        vr_chain_put(r->split.in, reply, len);
    local_end(d, r, status, used_len);
}

static void local_done(struct vr_dev *d, struct vr_request *r, uint8_t status)
{
    uint32_t used_len = r->used_len;

    /* Of a failed read nothing is promised, from its first byte on. */
    if (status && r->in_len)
        used_len = 0;
    local_end(d, r, status, used_len);
}

static void local_drop(struct vr_dev *d, struct vr_request *r)
{
    vr_request_end(d, r);
}

const struct vr_memory vr_memory_local = {
    .request_size = sizeof(struct vr_request),
    .open = local_open,
    .close = local_close,
    .start = local_start,
    .answer = local_answer,
    .done = local_done,
    .drop = local_drop,
};

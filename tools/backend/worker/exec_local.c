/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of a local window: header, payload and status are memory of this
 * process already. The kernel is handed the guest's own buffers.
 */
#include "loop_int.h"

static int local_open(struct vr_loop *l, struct vr_err *err)
{
    (void)err;
    l->dev.size_max = VR_BLK_SIZE_MAX;
    return 0;
}

static void local_close(struct vr_loop *l)
{
    (void)l;
}

static void answer(struct vr_loop *l, struct slot *s, uint8_t status,
                   uint32_t used_len)
{
    /* Rings that were broken meanwhile belong to nobody. */
    if (vr_vq_running(&s->q->vq))
        *(volatile uint8_t *)s->status = status;
    request_push(l, s, status, used_len);
}

static void note_buffers(struct vr_loop *l, const struct vr_blk_req *req)
{
    unsigned int i;

    for (i = 0; i < req->niov; i++)
        note_payload(l, vr_vq_addr(l->cfg.win, req->iov[i].iov_base),
                     req->iov[i].iov_len);
}

static bool local_start(struct vr_loop *l, struct slot *s)
{
    struct vr_blk_req req;

    counters(l)->requests++;
    if (vr_blk_parse(&l->dev, l->req.features, &s->chain, &req)) {
        vr_vq_break(&s->q->vq, VR_VQ_REQUEST, s->head);
        put_slot(s->q, s);
        return true;
    }
    s->status = req.status;
    if (req.op == VR_BLK_DONE) {
        answer(l, s, req.status_value, req.used_len);
        put_slot(s->q, s);
        return true;
    }
    io_prepare(l, s, &req);
    s->aio.iov = req.iov;
    s->aio.niov = req.niov;
    if (req.niov) {
        s->aio.foreign = true;
        s->aio.direct = vr_target_direct_ok(l->cfg.target, true, req.iov,
                                            req.niov, req.offset);
        note_buffers(l, &req);
    }
    request_begin(l, s);
    l->ops->queue(l->aio, &s->aio);
    return true;
}

static void local_done(struct vr_loop *l, struct slot *s)
{
    uint8_t status = io_status(l, s);
    uint32_t used_len = s->used_len;

    /* Of a failed read nothing is promised, from its first byte on. */
    if (status != VR_BLK_S_OK && s->read)
        used_len = 0;
    request_end(l, s);
    answer(l, s, status, used_len);
}

const struct exec_ops exec_local = {
    .slot_size = sizeof(struct slot),
    .open = local_open,
    .close = local_close,
    .start = local_start,
    .done = local_done,
};

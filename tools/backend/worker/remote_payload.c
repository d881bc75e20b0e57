/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Payload of a request in a remote window: where it is, and the room that it
 * takes here. Up to VR_DYNMEM_CHUNK of it are worked on at a time.
 */
#include "remote.h"

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

/* Can each chunk be mapped? One that lies in the pool, in part, cannot, and
 * gets bounce memory at the start, or it might have none when it comes to it.
 * What is one chunk finds out by the map. */
static bool mappable(const struct vr_loop *l, const struct rslot *r)
{
    struct run p = payload_run(r);
    struct vr_walk walk = {p.buf, p.n, p.skip, r->payload};
    struct vr_buf part;

    if (r->payload == r->chunk)
        return true;
    while (vr_walk_next(&walk, &part)) {
        if (!vr_window_has(&l->remote->mem->window, part.addr, part.len))
            return false;
    }
    return true;
}

void payload_unmap(struct vr_loop *l, struct rslot *r)
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

bool payload_room(struct vr_loop *l, struct rslot *r)
{
    const struct vr_dynmem *mem = l->remote->mem;

    if (r->payload >= l->cfg.map_threshold &&
        !vr_target_own_only(l->cfg.target) && mappable(l, r)) {
        if (mem->mapped >= mem->budget)
            return false;
        if (map_chunk(l, r))
            return true;
        /* A copy may do, or will tell which page it is. */
    }
    return take_bounce(l, r);
}

bool payload_advance(struct vr_loop *l, struct rslot *r)
{
    set_chunk(r);
    /* When the map is refused, a copy tells which page it was. If there is no
     * bounce memory for that, the request fails at once: it must not overtake
     * those that already wait for room. */
    return r->bounce || map_chunk(l, r) || take_bounce(l, r);
}

void payload_release(struct vr_loop *l, struct rslot *r)
{
    payload_unmap(l, r);
    if (r->bounce)
        vr_bounce_put(&l->remote->bounce, r->bounce, r->pages);
    r->bounce = NULL;
}

void payload_fetch(struct vr_loop *l, struct rslot *r)
{
    struct run p = payload_run(r);

    if (vr_dynmem_fetch(l->remote->mem, p.buf, p.n, p.skip + r->moved, r->chunk,
                        r->bounce, r))
        r->refused = true;
}

void payload_store(struct vr_loop *l, struct rslot *r)
{
    struct run p = payload_run(r);

    if (vr_dynmem_store(l->remote->mem, p.buf, p.n, p.skip + r->moved, r->chunk,
                        r->bounce, r))
        r->refused = true;
}

uint64_t payload_addr(const struct rslot *r)
{
    struct run p = payload_run(r);
    uint64_t skip = (uint64_t)p.skip + r->moved;

    for (; skip >= p.buf->len; p.buf++)
        skip -= p.buf->len;
    return p.buf->addr + skip;
}

void payload_note(struct vr_loop *l, const struct rslot *r)
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

bool payload_measure(const struct vr_loop *l, struct rslot *r)
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

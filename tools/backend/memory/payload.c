/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data of a request in a remote window: where they are, and the room that they
 * take here. Up to VR_DYNMEM_CHUNK of them are worked on at a time. For
 * remote.c.
 */
#include "remote.h"

struct run {
    const struct vr_buf *buf;
    unsigned int n;
    uint32_t skip;
};

/* The buffers of the payload. */
static struct run payload_run(const struct remote_request *r)
{
    const struct vr_chain *c = &r->r.chain;

    if (r->dir == VR_DIR_WRITE)
        return (struct run){c->buf, c->nread, r->front_len};
    return (struct run){c->buf + c->nread, c->nwrite, 0};
}

static void set_chunk(struct remote_request *r)
{
    r->chunk = r->payload - r->r.moved;
    if (r->chunk > VR_DYNMEM_CHUNK)
        r->chunk = VR_DYNMEM_CHUNK;
}

static bool map_chunk(struct vr_dev *d, struct remote_request *r)
{
    struct run p = payload_run(r);

    r->map =
        vr_dynmem_map(d->remote->mem, p.buf, p.n, p.skip + r->r.moved, r->chunk,
                      r->dir == VR_DIR_READ, r->iov, &r->r.niov, &r->pages);
    return r->map != NULL;
}

/* Can each chunk be mapped? One that lies in the pool, in part, cannot, and
 * gets bounce memory at the start, or it might have none when it comes to it.
 * What is one chunk finds out by the map. */
static bool mappable(const struct vr_dev *d, const struct remote_request *r)
{
    struct run p = payload_run(r);
    struct vr_walk walk = {p.buf, p.n, p.skip, r->payload};
    struct vr_buf part;

    if (r->payload == r->chunk)
        return true;
    while (vr_walk_next(&walk, &part)) {
        if (!vr_window_has(&d->remote->mem->window, part.addr, part.len))
            return false;
    }
    return true;
}

void vr_payload_unmap(struct vr_dev *d, struct remote_request *r)
{
    vr_dynmem_unmap(d->remote->mem, r->map, r->pages);
    r->map = NULL;
}

static bool take_bounce(struct vr_dev *d, struct remote_request *r)
{
    r->pages = (r->chunk + (unsigned int)VR_PAGE_SIZE - 1) >> VR_PAGE_SHIFT;
    r->bounce = vr_bounce_get(&d->remote->bounce, r->pages);
    return r->bounce != NULL;
}

bool vr_payload_room(struct vr_dev *d, struct remote_request *r)
{
    const struct vr_dynmem *mem = d->remote->mem;

    if (r->payload >= d->cfg.map_threshold && !d->own_only && mappable(d, r)) {
        if (mem->mapped >= mem->budget)
            return false;
        if (map_chunk(d, r))
            return true;
        /* A copy may do, or will tell which page it is. */
    }
    return take_bounce(d, r);
}

bool vr_payload_advance(struct vr_dev *d, struct remote_request *r)
{
    set_chunk(r);
    /* When the map is refused, a copy tells which page it was. If there is no
     * bounce memory for that, the request fails at once: it must not overtake
     * those that already wait for room. */
    return r->bounce || map_chunk(d, r) || take_bounce(d, r);
}

void vr_payload_show(struct remote_request *r)
{
    if (r->bounce) {
        r->iov[0].iov_base = r->bounce;
        r->iov[0].iov_len = r->chunk;
        r->r.niov = 1;
    }
    r->r.iov = r->iov;
    r->r.foreign = r->map;
    r->r.len = r->chunk;
}

void vr_payload_release(struct vr_dev *d, struct remote_request *r)
{
    vr_payload_unmap(d, r);
    if (r->bounce)
        vr_bounce_put(&d->remote->bounce, r->bounce, r->pages);
    r->bounce = NULL;
}

void vr_payload_fetch(struct vr_dev *d, struct remote_request *r)
{
    struct run p = payload_run(r);

    if (vr_dynmem_fetch(d->remote->mem, p.buf, p.n, p.skip + r->r.moved,
                        r->chunk, r->bounce, r))
        r->refused = true;
}

void vr_payload_store(struct vr_dev *d, struct remote_request *r)
{
    struct run p = payload_run(r);

    if (vr_dynmem_store(d->remote->mem, p.buf, p.n, p.skip + r->r.moved,
                        r->chunk, r->bounce, r))
        r->refused = true;
}

uint64_t vr_payload_addr(const struct remote_request *r)
{
    struct run p = payload_run(r);
    uint64_t skip = (uint64_t)p.skip + r->r.moved;

    for (; skip >= p.buf->len; p.buf++)
        skip -= p.buf->len;
    return p.buf->addr + skip;
}

void vr_payload_note(struct vr_dev *d, const struct remote_request *r)
{
    struct run p = payload_run(r);

    for (; p.n; p.buf++, p.n--) {
        if (p.skip >= p.buf->len) {
            p.skip -= p.buf->len;
            continue;
        }
        vr_note_payload(d, p.buf->addr + p.skip, p.buf->len - p.skip);
        p.skip = 0;
    }
}

static bool within_offer(const struct vr_dev *d, struct run p, uint32_t left)
{
    uint32_t bufs = 0;

    for (; left; p.buf++) {
        uint64_t len = p.buf->len;

        if (p.skip >= len) {
            p.skip -= (uint32_t)len;
            continue;
        }
        len -= p.skip;
        p.skip = 0;
        if (len > left)
            len = left; /* the status is in it, too */
        if (len > d->size_max || ++bufs > d->seg_max)
            return false;
        left -= (uint32_t)len;
    }
    return true;
}

bool vr_payload_measure(const struct vr_dev *d, struct remote_request *r)
{
    const struct vr_serve *serve = d->serve;
    const struct vr_chain *c = &r->r.chain;
    uint32_t out;

    r->r.local = false;
    r->r.out_len = c->read_len;
    r->r.in_len = c->write_len - serve->status;
    r->r.moved = 0;
    r->front_len = vr_front_len(serve->front, serve->front_only, r->r.out_len);
    r->started = r->answered = r->amended = r->refused = r->mute = false;
    r->dir = VR_DIR_NONE;
    r->payload = r->chunk = 0;
    out = r->r.out_len - r->front_len;
    if (d->seg_max &&
        (!within_offer(d, (struct run){c->buf, c->nread, r->front_len}, out) ||
         !within_offer(d, (struct run){c->buf + c->nread, c->nwrite, 0},
                       r->r.in_len)))
        return false;
    r->payload = serve->guess(d, &r->r, &r->dir);
    set_chunk(r);
    return true;
}

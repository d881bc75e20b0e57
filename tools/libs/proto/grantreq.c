/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a worker may ask its granter for, as grantreq.h has it. Used on both
 * ends; the granter takes each request as hostile. Pure. */
#include <errno.h>
#include <string.h>

#include "grantreq.h"

_Static_assert(offsetof(struct vr_grantreq, done) % 64 == 0, "cache lines");
_Static_assert(offsetof(struct vr_grantreq, seg) % 64 == 0, "cache lines");

#define LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)

static bool in_window(const struct vr_gwin *win, uint32_t ref)
{
    return ref - win->gref_base < vr_gwin_pages(win);
}

/* The worker may change what it has written; from here on the copy counts. */
static void take(void *to, const void *from, size_t len)
{
    memcpy(to, from, len);
    __asm__ volatile("" : : "r"(to) : "memory");
}

static int drop(struct vr_grantserver *s, struct vr_grantreq *req)
{
    uint32_t i, n = LOAD(&req->ndrops);
    struct vr_grantreq_run run;
    int rc;

    req->dropped = 0;
    if (n > VR_GRANTREQ_DROPS)
        return -EINVAL;
    for (i = 0; i < n; i++) {
        take(&run, &req->drop[i], sizeof(run));
        if (!run.count)
            return -EINVAL; /* gntdev would take it for any number */
        rc = s->ops->drop(s->ctx, run.first, run.count);
        if (rc)
            return rc;
        s->pages -= run.count;
        req->dropped = i + 1;
    }
    return 0;
}

static int take_seg(const struct vr_grantserver *s,
                    const struct vr_grantreq_seg *shared, struct vr_gseg *out)
{
    struct vr_grantreq_seg seg;

    take(&seg, shared, sizeof(seg));
    if (!seg.len || seg.offset >= VR_PAGE_SIZE ||
        seg.len > VR_PAGE_SIZE - seg.offset)
        return -EINVAL;
    if (!in_window(&s->iova, seg.ref) || seg.local >= s->arena_size ||
        seg.len > s->arena_size - seg.local)
        return -EACCES;
    out->local = s->arena + seg.local;
    out->ref = seg.ref;
    out->offset = seg.offset;
    out->len = seg.len;
    out->to_guest = seg.to_guest;
    return 0;
}

static int copy(struct vr_grantserver *s, struct vr_grantreq *req)
{
    uint32_t i, n = LOAD(&req->nsegs);
    int rc = 0;

    if (n > VR_GRANTREQ_SEGS)
        return -EINVAL;
    for (i = 0; !rc && i < n; i++)
        rc = take_seg(s, &req->seg[i], &s->seg[i]);
    if (rc || !n)
        return rc;
    rc = s->ops->copy(s->ctx, s->seg, n);
    for (i = 0; !rc && i < n; i++)
        req->seg[i].status = s->seg[i].status;
    return rc;
}

static int add(struct vr_grantserver *s, struct vr_grantreq *req)
{
    uint32_t i, first, n = LOAD(&req->nrefs);
    int rc;

    if (!n)
        return 0;
    if (n > s->max_refs)
        return -EINVAL;
    if (n > s->max_pages - s->pages)
        return -ENOSPC;
    take(s->refs, req->refs, n * sizeof(*s->refs));
    for (i = 0; i < n; i++) {
        if (!in_window(&s->pool, s->refs[i]) &&
            !in_window(&s->iova, s->refs[i]))
            return -EACCES;
    }
    rc = s->ops->add(s->ctx, s->refs, n, &first);
    if (rc)
        return rc;
    s->pages += n;
    req->first = first;
    return 0;
}

int vr_grantreq_serve(struct vr_grantserver *s, struct vr_grantreq *req)
{
    int rc = drop(s, req);

    if (!rc)
        rc = copy(s, req);
    if (!rc)
        rc = add(s, req);
    req->rc = rc;
    return rc;
}

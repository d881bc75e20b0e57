/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request, carried out synchronously, and what that tells of the target.
 *
 * A transfer that ended early or failed is carried out once more, as a whole:
 * requests are idempotent. When it was direct I/O it is direct again, but from
 * or to memory of this process. There are block drivers that cannot pass on
 * the guest's pages, and they do not say so: blkfront's backend answers EIO.
 * What fails with our own memory as well is the target's failure, and the
 * guest is told of it. The page cache, which takes every write and fails much
 * later or never, has to do only where the kernel says that direct I/O is not
 * possible at all.
 */
#include <errno.h>

#include "aio.h"

static int attempt(struct vr_target *t, struct vr_aio_req *req, enum vr_way way)
{
    req->way = way;
    if (req->op == VR_AIO_READ)
        return vr_target_read(t, way, req->iov, req->niov, req->offset);
    return vr_target_write(t, way, req->iov, req->niov, req->offset,
                           req->dsync);
}

static int transfer(struct vr_target *t, struct vr_aio_req *req)
{
    int rc = req->first;

    if (!req->direct)
        return attempt(t, req, VR_WAY_CACHE);
    if (!rc)
        rc = req->first = attempt(t, req, VR_WAY_DIRECT);
    if (rc)
        rc = attempt(t, req, VR_WAY_COPY);
    if (vr_target_no_direct(rc))
        rc = attempt(t, req, VR_WAY_CACHE);
    return rc;
}

/* Without FLUSH the driver takes these, too, for final. */
static int settled(struct vr_target *t, const struct vr_aio_req *req, int rc)
{
    return rc || !req->dsync ? rc : vr_target_flush(t);
}

void vr_aio_exec(struct vr_target *t, struct vr_aio_req *req)
{
    switch (req->op) {
    case VR_AIO_READ:
    case VR_AIO_WRITE:
        req->res = transfer(t, req);
        return;
    case VR_AIO_FLUSH:
        req->res = vr_target_flush(t);
        return;
    case VR_AIO_DISCARD:
        req->res = settled(t, req, vr_target_discard(t, req->offset, req->len));
        return;
    case VR_AIO_ZEROES:
        req->res = settled(
            t, req, vr_target_zero(t, req->offset, req->len, req->unmap));
        return;
    }
    req->res = -EINVAL;
}

bool vr_aio_learn(struct vr_target *t, const struct vr_aio_req *req)
{
    if (!req->direct || req->res)
        return false;
    if (req->way == VR_WAY_DIRECT) {
        if (req->foreign)
            t->proven = true;
        return false;
    }
    /* The first attempt may have failed for what was wrong with this request
     * alone: its alignment, or that the kernel was interrupted. */
    if (req->first == -EINVAL || req->first == -EAGAIN || req->first == -EINTR)
        return false;
    if (req->way == VR_WAY_CACHE) {
        bool news = t->direct;

        t->direct = t->foreign = false;
        return news;
    }
    /* Once it has taken pages of the guest's, any other error was a passing
     * one of the target's. */
    if (!req->foreign || !t->foreign ||
        (t->proven && !vr_target_no_direct(req->first)))
        return false;
    t->foreign = false;
    return true;
}

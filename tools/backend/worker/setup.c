/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making and freeing a loop. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libs/window/bounce.h"
#include "backend/memory/dynmem.h"
#include "loop_int.h"

#define ALIGN 16u

/* The memory's part of a request, and the type's behind it. */
static size_t io_offset(const struct vr_memory *memory)
{
    return (memory->request_size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static size_t stride(const struct vr_memory *memory,
                     const struct vr_serve *serve)
{
    return io_offset(memory) +
           ((serve->io_size + ALIGN - 1) & ~(size_t)(ALIGN - 1));
}

size_t vr_loop_local(const struct vr_serve *serve, unsigned int queues,
                     unsigned int queue_size)
{
    size_t pages = (stride(&vr_memory_remote, serve) * queue_size * queues +
                    VR_DYNMEM_LOCAL) /
                   VR_PAGE_SIZE;

    return (pages + 2 + VR_BOUNCE_MAX) * VR_PAGE_SIZE;
}

static int make_requests(struct vr_loop *l)
{
    const struct vr_dev_setup *cfg = &l->dev.cfg;
    const struct vr_dynmem *mem = cfg->mem;
    size_t bytes;
    unsigned int i;
    uint8_t *p;

    l->stride = stride(l->dev.memory, l->dev.serve);
    l->io_offset = io_offset(l->dev.memory);
    bytes = l->stride * cfg->queue_size;
    l->requests_len = bytes * cfg->queues;
    /* Untouched pages cost nothing: most requests are never used. */
    if (mem) {
        p = mem->ops->alloc(mem->ctx, l->requests_len);
        if (!p)
            return -ENOMEM;
        /* The guest's data is not ours to swap out, if we may say so. */
        mlock2(p, l->requests_len, MLOCK_ONFAULT);
    } else {
        p = mmap(NULL, l->requests_len, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return -errno;
    }
    l->requests = p;
    for (i = 0; i < cfg->queues; i++) {
        l->dev.q[i].fresh = p;
        p += bytes;
        l->dev.q[i].end = p;
    }
    return 0;
}

int vr_loop_new(struct vr_loop **out, const struct vr_dev_setup *cfg,
                struct vr_err *err)
{
    struct vr_loop *l;
    struct vr_dev *d;
    int rc;

    vr_err_set(err, "out of memory");
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    d = &l->dev;
    d->cfg = *cfg;
    d->serve = cfg->serve;
    d->source = cfg->source;
    d->memory = cfg->mem ? &vr_memory_remote : &vr_memory_local;
    l->poll_ns = cfg->poll_us * NS_PER_US;
    rc = make_requests(l);
    if (!rc) {
        /* Untouched until somebody wants a survey. */
        l->count = calloc(1, sizeof(*l->count));
        rc = l->count ? 0 : -ENOMEM;
    }
    if (rc)
        goto out;
    rc = d->memory->open(d, err);
    if (rc)
        goto out;
    l->opened = true;
    rc = d->serve->begin(d, err);
    if (rc)
        goto out;
    l->begun = true;
    /* Even without a first request there is something to acknowledge. */
    vr_set_status(d, VR_CTRL_BACKEND_READY);
    l->acked = true;
    *out = l;
    return 0;
out:
    vr_loop_free(l);
    return rc;
}

struct vr_dev *vr_loop_dev(struct vr_loop *loop)
{
    return &loop->dev;
}

void vr_loop_free(struct vr_loop *loop)
{
    struct vr_dev *d = &loop->dev;

    if (loop->begun)
        d->serve->close(d);
    if (loop->opened)
        d->memory->close(d);
    if (loop->requests && !d->cfg.mem)
        munmap(loop->requests, loop->requests_len);
    free(loop->count);
    free(loop);
}

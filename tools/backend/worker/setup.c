/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libs/window/bounce.h"
#include "backend/memory/dynmem.h"
#include "loop_int.h"

#define IO_THREADS 8

static int open_aio(struct vr_loop *l, struct vr_err *err)
{
    struct vr_aio_cfg cfg = {
        .target = l->cfg.target,
        .depth = l->cfg.queues * l->cfg.queue_size,
        .fds = {l->cfg.wake_fd, l->cfg.stop_fd},
        .threads = IO_THREADS,
    };
    struct vr_err why;
    int rc;

    l->ops = l->cfg.aio ? l->cfg.aio : &vr_aio_uring;
    rc = l->ops->open(&l->aio, &cfg, &why);
    if (rc && !l->cfg.aio) {
        char text[sizeof(why.text) + 64];

        snprintf(text, sizeof(text), "no io_uring here (%s), using threads",
                 why.text);
        l->cfg.ops->log(l->cfg.ctx, text);
        l->ops = &vr_aio_threads;
        rc = l->ops->open(&l->aio, &cfg, &why);
    }
    if (rc)
        vr_err_set(err, "%s", why.text);
    return rc;
}

static void describe(struct vr_loop *l)
{
    struct vr_blk_dev d = l->dev;
    uint8_t config[VR_CONFIG_LEN];
    uint32_t len;

    d.capacity = l->offered;
    len = vr_blk_config(&d, config);
    vr_ctrl_set_device(l->cfg.page, vr_blk_features(&d), config, len);
}

/* A former process may have told the guest of more than there is now. */
static uint64_t offered_before(const struct vr_loop *l)
{
    struct vr_ctrl_device dev;

    if (vr_ctrl_take_device(l->cfg.page, &dev))
        return 0;
    return vr_blk_capacity(dev.config);
}

/* A disk grows with its target but does not shrink: the guest would be cut off
 * from what it has there, without a word from whoever did it. */
void follow_size(struct vr_loop *l)
{
    uint64_t before = l->dev.capacity;
    char text[120];

    l->looked = l->now;
    if (vr_target_look(l->cfg.target))
        return;
    l->dev.capacity = vr_target_sectors(l->cfg.target);
    show_target(l);
    if (l->dev.capacity < l->offered) {
        if (!l->cut || l->dev.capacity != before) {
            l->cut = true;
            note(l);
            notify_broker(l);
        }
        return;
    }
    if (l->cut) {
        l->cut = false;
        note(l);
        notify_broker(l);
    }
    if (l->dev.capacity == l->offered)
        return;
    l->offered = l->dev.capacity;
    snprintf(text, sizeof(text),
             "the target has grown to %" PRIu64 " sectors of 512 bytes; the "
             "guest is told",
             l->offered);
    l->cfg.ops->log(l->cfg.ctx, text);
    describe(l);
    notify_broker(l);
}

static void first_description(struct vr_loop *l)
{
    const struct vr_target *t = l->cfg.target;
    struct vr_blk_dev *d = &l->dev;

    d->capacity = l->offered = vr_target_sectors(t);
    d->blk_size = t->blk_size;
    d->queues = l->cfg.queues;
    d->queue_size = l->cfg.queue_size;
    d->readonly = t->readonly;
    d->discard = l->cfg.discard && t->can_discard;
    d->zeroes = l->cfg.discard;
    memcpy(d->serial, l->cfg.serial, sizeof(d->serial));
    if (offered_before(l) > l->offered)
        l->offered = offered_before(l);
    show_target(l);
    describe(l);
}

size_t vr_loop_local(unsigned int queues, unsigned int queue_size)
{
    size_t pages =
        (exec_remote.slot_size * queue_size * queues + VR_DYNMEM_LOCAL) /
        VR_PAGE_SIZE;

    return (pages + 2 + VR_BOUNCE_MAX) * VR_PAGE_SIZE;
}

static int make_slots(struct vr_loop *l)
{
    const struct vr_dynmem *mem = l->cfg.mem;
    size_t bytes = l->exec->slot_size * l->cfg.queue_size;
    unsigned int i;
    uint8_t *p;

    l->slots_len = bytes * l->cfg.queues;
    /* Untouched pages cost nothing: most slots are never used. */
    if (mem) {
        p = mem->ops->alloc(mem->ctx, l->slots_len);
        if (!p)
            return -ENOMEM;
    } else {
        p = mmap(NULL, l->slots_len, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return -errno;
    }
    l->slots = p;
    for (i = 0; i < l->cfg.queues; i++) {
        l->q[i].fresh = p;
        p += bytes;
        l->q[i].end = p;
    }
    return 0;
}

int vr_loop_new(struct vr_loop **out, const struct vr_loop_cfg *cfg,
                struct vr_err *err)
{
    struct vr_loop *l;
    int rc;

    vr_err_set(err, "out of memory");
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->cfg = *cfg;
    l->exec = cfg->mem ? &exec_remote : &exec_local;
    l->poll_ns = cfg->poll_us * NS_PER_US;
    rc = make_slots(l);
    if (rc)
        goto out;
    rc = l->exec->open(l, err);
    if (rc)
        goto out;
    l->opened = true;
    rc = open_aio(l, err);
    if (rc)
        goto out;
    first_description(l);
    /* Even without a first request there is something to acknowledge. */
    set_status(l, VR_CTRL_BACKEND_READY);
    l->acked = true;
    *out = l;
    return 0;
out:
    vr_loop_free(l);
    return rc;
}

const char *vr_loop_aio_name(const struct vr_loop *loop)
{
    return loop->ops->name;
}

void vr_loop_free(struct vr_loop *loop)
{
    if (loop->aio)
        loop->ops->close(loop->aio);
    if (loop->opened)
        loop->exec->close(loop);
    if (loop->slots && !loop->cfg.mem)
        munmap(loop->slots, loop->slots_len);
    free(loop);
}

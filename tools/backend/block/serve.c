/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block devices, as backend/serve.h has it: from a request to I/O on the
 * target, and what the guest and the operator are told of the target.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"

#define IO_THREADS 8

_Static_assert(VR_WAKE_EVENT == 1 && VR_WAKE_STOP == 2, "fds of vr_aio_cfg");

struct block_io {
    struct vr_aio_req aio; /* first: completions are cast back */
    struct vr_request *r;
    struct vr_blk_req req;
};

/* ---- the target ---- */

static int block_open(void **source, const struct vr_dev_cfg *cfg,
                      const struct vr_io_opts *opts, struct vr_err *err)
{
    struct vr_block *b = calloc(1, sizeof(*b));
    int rc;

    if (!b) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    rc = vr_target_open(&b->target, cfg->target, cfg->readonly, opts->cache,
                        err);
    if (rc) {
        free(b);
        return rc;
    }
    b->ops = opts->threads ? &vr_aio_threads : &vr_aio_uring;
    b->only = opts->threads;
    b->discard = cfg->discard;
    memcpy(b->dev.serial, cfg->serial, sizeof(b->dev.serial));
    *source = b;
    return 0;
}

static int open_aio(struct vr_dev *d, struct vr_err *err)
{
    struct vr_block *b = d->source;
    struct vr_aio_cfg cfg = {
        .target = &b->target,
        .depth = d->cfg.queues * d->cfg.queue_size,
        .fds = {d->cfg.wake_fd, d->cfg.stop_fd},
        .threads = IO_THREADS,
    };
    struct vr_err why;
    int rc;

    rc = b->ops->open(&b->aio, &cfg, &why);
    if (rc && !b->only) {
        char text[sizeof(why.text) + 64];

        snprintf(text, sizeof(text), "no io_uring here (%s), using threads",
                 why.text);
        vr_dev_log(d, text);
        b->ops = &vr_aio_threads;
        rc = b->ops->open(&b->aio, &cfg, &why);
    }
    if (rc)
        vr_err_set(err, "%s", why.text);
    return rc;
}

static void show_target(struct vr_dev *d)
{
    const struct vr_block *b = d->source;
    const struct vr_target *t = &b->target;
    struct vr_ctrl_counters *c = vr_counters(d);

    c->target_size = t->size;
    c->target_io = (t->direct ? VR_BLK_IO_DIRECT : 0) |
                   (vr_target_own_only(t) ? VR_BLK_IO_OWN : 0) |
                   (vr_target_lost(t) ? VR_BLK_IO_LOST : 0) |
                   (b->held ? VR_BLK_IO_HELD : 0);
}

static void describe(struct vr_dev *d)
{
    const struct vr_block *b = d->source;
    struct vr_blk_dev dev = b->dev;
    uint8_t config[VR_CONFIG_LEN];
    uint32_t len;

    dev.capacity = b->offered;
    len = vr_blk_config(&dev, config);
    vr_ctrl_set_device(d->cfg.page, vr_blk_features(&dev), config, len);
}

/* A former process may have told the guest of more than there is now. */
static uint64_t offered_before(const struct vr_dev *d)
{
    struct vr_ctrl_device dev;

    if (vr_ctrl_take_device(d->cfg.page, &dev))
        return 0;
    return vr_blk_capacity(dev.config);
}

static int block_begin(struct vr_dev *d, struct vr_err *err)
{
    struct vr_block *b = d->source;
    const struct vr_target *t = &b->target;
    struct vr_blk_dev *dev = &b->dev;
    int rc;

    rc = open_aio(d, err);
    if (rc)
        return rc;
    dev->capacity = b->offered = vr_target_sectors(t);
    dev->blk_size = t->blk_size;
    dev->queues = d->cfg.queues;
    dev->queue_size = d->cfg.queue_size;
    dev->size_max = d->size_max;
    dev->readonly = t->readonly;
    dev->discard = b->discard && t->can_discard;
    dev->zeroes = b->discard;
    d->seg_max = vr_blk_seg_max(dev->queue_size);
    d->own_only = vr_target_own_only(t);
    if (offered_before(d) > b->offered)
        b->offered = offered_before(d);
    show_target(d);
    describe(d);
    return 0;
}

static void block_show(struct vr_dev *d, char *buf, size_t size)
{
    const struct vr_block *b = d->source;
    const struct vr_target *t = &b->target;
    uint64_t sectors = vr_target_sectors(t);
    unsigned int rest = (unsigned int)(t->size - sectors * VR_BLK_SECTOR);
    char cut[48] = "";

    if (rest)
        snprintf(cut, sizeof(cut), " (the last %u bytes are cut off)", rest);
    snprintf(buf, size,
             "%" PRIu64 " sectors in blocks of %" PRIu32 " bytes%s%s, %s%s",
             sectors, t->blk_size, cut, t->readonly ? ", read-only" : "",
             b->ops->name, t->direct ? ", direct" : ", buffered");
}

static void note_cut(struct vr_dev *d)
{
    const struct vr_block *b = d->source;
    char text[sizeof(d->noted)] = "";

    if (b->cut)
        snprintf(text, sizeof(text),
                 "target has %" PRIu64 " sectors, the guest was told of "
                 "%" PRIu64 ": its I/O beyond the end fails; let it grow again",
                 b->dev.capacity, b->offered);
    vr_dev_note(d, text);
    vr_tell_broker(d);
}

/* A disk grows with its target but does not shrink: the guest would be cut off
 * from what it has there, without a word from whoever did it. */
static void block_look(struct vr_dev *d)
{
    struct vr_block *b = d->source;
    uint64_t before = b->dev.capacity;
    char text[120];

    if (vr_target_look(&b->target))
        return;
    b->dev.capacity = vr_target_sectors(&b->target);
    show_target(d);
    if (b->dev.capacity < b->offered) {
        if (!b->cut || b->dev.capacity != before) {
            b->cut = true;
            note_cut(d);
        }
        return;
    }
    if (b->cut) {
        b->cut = false;
        note_cut(d);
    }
    if (b->dev.capacity == b->offered)
        return;
    b->offered = b->dev.capacity;
    snprintf(text, sizeof(text),
             "the target has grown to %" PRIu64 " sectors of 512 bytes; the "
             "guest is told",
             b->offered);
    vr_dev_log(d, text);
    describe(d);
    vr_tell_broker(d);
}

static void hold(struct vr_dev *d, void *va, size_t len)
{
    struct vr_block *b = d->source;
    char text[160];
    int rc;

    if (!b->ops->hold)
        return;
    rc = b->ops->hold(b->aio, va, len);
    b->held = !rc;
    if (b->held || b->not_held)
        return;
    b->not_held = true;
    snprintf(text, sizeof(text),
             "the pool cannot be registered with io_uring (%s): its pages are "
             "looked up for each request",
             strerror(-rc));
    vr_dev_log(d, text);
}

static void block_pool(struct vr_dev *d, void *va, size_t len)
{
    struct vr_block *b = d->source;

    if (va) {
        hold(d, va, len);
    } else if (b->held) {
        b->ops->let_go(b->aio);
        b->held = false;
    }
    show_target(d);
}

/* ---- requests ---- */

static uint32_t block_guess(const struct vr_dev *d, const struct vr_request *r,
                            enum vr_dir *dir)
{
    const struct vr_block *b = d->source;
    uint32_t out =
        r->out_len - vr_front_len(VR_BLK_HEADER, VR_BLK_HEAD_MAX, r->out_len);

    if (out && out % VR_BLK_SECTOR == 0 && !b->dev.readonly) {
        *dir = VR_DIR_WRITE;
        return out;
    }
    if (r->in_len && r->in_len % VR_BLK_SECTOR == 0) {
        *dir = VR_DIR_READ;
        return r->in_len;
    }
    return 0;
}

/* The piece of its data that is next, or all that there is. */
static void submit(struct vr_dev *d, struct vr_request *r)
{
    struct vr_block *b = d->source;
    struct block_io *io = r->io;
    struct vr_aio_req *aio = &io->aio;

    aio->iov = r->iov;
    aio->niov = r->niov;
    aio->foreign = r->foreign;
    aio->offset = io->req.offset + r->moved;
    aio->len = r->len;
    aio->direct = vr_target_direct_ok(&b->target, aio->foreign, aio->iov,
                                      aio->niov, aio->offset);
    b->ops->queue(b->aio, aio);
}

static void submit_range(struct vr_dev *d, struct vr_request *r)
{
    struct vr_block *b = d->source;
    struct block_io *io = r->io;
    struct vr_aio_req *aio = &io->aio;

    aio->iov = NULL;
    aio->niov = 0;
    aio->foreign = aio->direct = false;
    aio->offset = io->req.offset;
    aio->len = io->req.len;
    b->ops->queue(b->aio, aio);
}

static void block_start(struct vr_dev *d, struct vr_request *r)
{
    static const struct {
        enum vr_aio_op op;
        enum vr_dir dir;
    } of[] = {
        [VR_BLK_READ] = {VR_AIO_READ, VR_DIR_READ},
        [VR_BLK_WRITE] = {VR_AIO_WRITE, VR_DIR_WRITE},
        [VR_BLK_FLUSH] = {VR_AIO_FLUSH, VR_DIR_NONE},
        [VR_BLK_DISCARD] = {VR_AIO_DISCARD, VR_DIR_NONE},
        [VR_BLK_WRITE_ZEROES] = {VR_AIO_ZEROES, VR_DIR_NONE},
    };
    struct vr_block *b = d->source;
    struct block_io *io = r->io;
    struct vr_blk_req *req = &io->req;

    vr_blk_decode(&b->dev, d->req.features, r->front, r->out_len, r->in_len,
                  req);
    if (req->op == VR_BLK_DONE) {
        vr_request_answer(d, r, req->status_value, req->used_len, req->reply,
                          req->reply_len);
        return;
    }
    /* Data both ways make no request. */
    if (!vr_request_data(d, r, of[req->op].dir)) {
        vr_request_answer(d, r, VR_BLK_S_IOERR, !r->in_len, NULL, 0);
        return;
    }
    r->used_len = req->used_len;
    io->r = r;
    io->aio.op = of[req->op].op;
    /* Without FLUSH the driver takes every write for final (5.2.6.2). */
    io->aio.dsync = !(d->req.features & VR_BLK_F_FLUSH);
    io->aio.unmap = req->unmap;
    if (of[req->op].dir == VR_DIR_NONE)
        submit_range(d, r);
    else
        submit(d, r);
}

/* Takes in what the transfer @req tells of the target. */
static void learn(struct vr_dev *d, const struct vr_aio_req *req)
{
    struct vr_block *b = d->source;
    const struct vr_target *t = &b->target;
    char text[200];

    vr_counters(d)->retries += req->first != 0;
    if (!vr_aio_learn(&b->target, req))
        return;
    d->own_only = vr_target_own_only(t);
    show_target(d);
    snprintf(text, sizeof(text), "target: direct I/O does not work%s (%s); %s",
             t->direct ? " on the guest's pages" : "", strerror(-req->first),
             t->direct && d->remote
                 ? "they are copied from now on"
                 : "the page cache is used from now on, and what the guest "
                   "writes is safe when it has flushed it");
    vr_dev_log(d, text);
}

/* The target failed the request: counted, logged, and what the guest is told
 * of it. */
static uint8_t failed(struct vr_dev *d, const struct vr_aio_req *req)
{
    static const char *const name[] = {
        [VR_AIO_READ] = "read",      [VR_AIO_WRITE] = "write",
        [VR_AIO_FLUSH] = "flush",    [VR_AIO_DISCARD] = "discard",
        [VR_AIO_ZEROES] = "zeroing",
    };
    struct vr_block *b = d->source;
    struct vr_ctrl_counters *c = vr_counters(d);
    uint64_t *const count[] = {
        [VR_AIO_READ] = &c->read_errors,    [VR_AIO_WRITE] = &c->write_errors,
        [VR_AIO_FLUSH] = &c->flush_errors,  [VR_AIO_DISCARD] = &c->range_errors,
        [VR_AIO_ZEROES] = &c->range_errors,
    };
    char text[200];

    /* These alone may be missing from a target. A flush that was answered so
     * would pass for one that is not needed. */
    if (req->res == -EOPNOTSUPP &&
        (req->op == VR_AIO_DISCARD || req->op == VR_AIO_ZEROES))
        return VR_BLK_S_UNSUPP;
    ++*count[req->op];
    c->last_errno = -req->res;
    show_target(d);
    if (vr_log_due(d, &b->last_log)) {
        snprintf(text, sizeof(text),
                 "target: %s of %" PRIu64 " bytes at %" PRIu64
                 " failed: %s; the guest is told",
                 name[req->op], req->len, req->offset, strerror(-req->res));
        vr_dev_log(d, text);
    }
    return VR_BLK_S_IOERR;
}

/* The answer to what has ended; counts its bytes. */
static uint8_t status_of(struct vr_dev *d, const struct vr_aio_req *req)
{
    if (req->res)
        return failed(d, req);
    if (req->op == VR_AIO_READ)
        vr_counters(d)->read_bytes += req->len;
    else if (req->op == VR_AIO_WRITE)
        vr_counters(d)->write_bytes += req->len;
    return VR_BLK_S_OK;
}

static unsigned int block_wait(struct vr_dev *d, int64_t timeout_ns)
{
    struct vr_block *b = d->source;

    return b->ops->run(b->aio, timeout_ns, &b->done);
}

static bool block_reap(struct vr_dev *d)
{
    struct vr_block *b = d->source;
    struct vr_aio_req *done = b->done, *next;
    bool any = done;

    for (; done; done = next) {
        next = done->next;
        learn(d, done);
        vr_request_done(d, ((struct block_io *)(void *)done)->r,
                        status_of(d, done));
    }
    return any;
}

/* ---- the end ---- */

static void block_finish(struct vr_dev *d)
{
    struct vr_block *b = d->source;

    if (!b->target.readonly && vr_target_flush(&b->target))
        vr_dev_log(d, "target: the last flush failed: what the guest wrote "
                      "since its own last one may be lost");
}

static void block_close(struct vr_dev *d)
{
    struct vr_block *b = d->source;

    b->ops->close(b->aio);
}

static const int calls[] = {
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(lseek), /* the target's size */
    /* what a thread carries out; what waits for threads */
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fallocate),
    SCMP_SYS(ppoll),
};

static const unsigned long ioctls[] = {BLKDISCARD};

static const unsigned int urings[] = {IORING_REGISTER_BUFFERS,
                                      IORING_UNREGISTER_BUFFERS};

const struct vr_serve vr_serve_block = {
    .type = VR_TYPE_block,
    .calls = {.call = calls,
              .calls = VR_ARRAY_SIZE(calls),
              .ioctl = ioctls,
              .ioctls = VR_ARRAY_SIZE(ioctls),
              .uring = urings,
              .urings = VR_ARRAY_SIZE(urings)},
    .front = VR_BLK_HEADER,
    .front_only = VR_BLK_HEAD_MAX,
    .status = true,
    .error = VR_BLK_S_IOERR,
    .io_size = sizeof(struct block_io),
    .open = block_open,
    .begin = block_begin,
    .show = block_show,
    .look = block_look,
    .pool = block_pool,
    .guess = block_guess,
    .start = block_start,
    .more = submit,
    .wait = block_wait,
    .reap = block_reap,
    .finish = block_finish,
    .close = block_close,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block requests in arbitrary buffers: the input says how they are cut, and
 * is their content. What comes out has to lie in the capacity and in the
 * chain's own writable or readable memory, and be the same when only the head
 * of the request is at hand.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/blkchain.h"

#define CAPACITY 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first bytes of the readable buffers, in memory of exactly that size. */
static uint8_t *gather_head(const struct vr_chain *c)
{
    uint32_t len = vr_front_len(VR_BLK_HEADER, VR_BLK_HEAD_MAX, c->read_len),
             at = 0, i, k;
    uint8_t *head = malloc(len ? len : 1);

    for (i = 0; at < len; i++) {
        for (k = 0; k < c->iov[i].iov_len && at < len; k++)
            head[at++] = ((uint8_t *)c->iov[i].iov_base)[k];
    }
    return head;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_blk_dev dev = {.capacity = CAPACITY,
                             .blk_size = 512,
                             .queues = 1,
                             .queue_size = 128,
                             .serial = "01234567890123456789"};
    static struct vr_chain chain;
    struct vr_blk_req req, far;
    struct blk_data io;
    uint8_t *bufs[16], *head;
    uint32_t out_len, in_len;
    uint64_t features;
    unsigned int i, n;
    uint64_t total = 0;

    if (size < 3 + 32)
        return 0;
    dev.readonly = data[0] & 1;
    dev.discard = data[0] & 2;
    dev.zeroes = data[0] & 4;
    chain.nread = data[1] % 8;
    chain.nwrite = data[2] % 8;
    chain.read_len = chain.write_len = 0;
    n = chain.nread + chain.nwrite;
    data += 3;
    size -= 3;
    for (i = 0; i < n; i++) {
        size_t len = 1 + data[2 * i] + ((data[2 * i + 1] & 7u) << 8);

        bufs[i] = calloc(1, len);
        if (size > 32) {
            size_t have = size - 32 < len ? size - 32 : len;

            memcpy(bufs[i], data + 32, have);
            data += have;
            size -= have;
        }
        chain.iov[i].iov_base = bufs[i];
        chain.iov[i].iov_len = len;
        if (i < chain.nread)
            chain.read_len += len;
        else
            chain.write_len += len;
    }
    features = dev.readonly ? 0 : ~UINT64_C(0);
    out_len = chain.read_len;
    in_len = chain.write_len;
    head = gather_head(&chain);
    if (!blk_parse(&dev, features, &chain, &req, &io)) {
        vr_blk_decode(&dev, features, head, out_len, in_len - 1, &far);
        if (far.op != req.op || far.status_value != req.status_value ||
            far.offset != req.offset || far.len != req.len ||
            far.used_len != req.used_len || far.reply_len != req.reply_len ||
            far.reply_len > in_len - 1)
            abort();
        *io.status = req.status_value;
        if (req.op != VR_BLK_DONE && req.op != VR_BLK_FLUSH &&
            (req.offset > CAPACITY * 512 ||
             req.len > CAPACITY * 512 - req.offset || !req.len))
            abort();
        if (req.op == VR_BLK_READ || req.op == VR_BLK_WRITE) {
            for (i = 0; i < io.niov; i++) {
                total += io.iov[i].iov_len;
                if (req.op == VR_BLK_READ)
                    memset(io.iov[i].iov_base, 1, io.iov[i].iov_len);
            }
            if (total != req.len || (dev.readonly && req.op == VR_BLK_WRITE))
                abort();
        }
    }
    free(head);
    for (i = 0; i < n; i++)
        free(bufs[i]);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A block request in a local chain, as the backend's memory/local.c cuts it and
 * its block/serve.c takes it. */
#ifndef TEST_BLKCHAIN_H
#define TEST_BLKCHAIN_H

#include <errno.h>

#include "libs/types/block/request.h"
#include "libs/window/chain.h"

struct blk_data {
    struct iovec *iov; /* READ, WRITE */
    unsigned int niov;
    uint8_t *status;
};

static inline int blk_parse(const struct vr_blk_dev *dev, uint64_t features,
                            struct vr_chain *chain, struct vr_blk_req *req,
                            struct blk_data *data)
{
    uint32_t len =
        vr_front_len(VR_BLK_HEADER, VR_BLK_HEAD_MAX, chain->read_len);
    uint8_t head[VR_BLK_HEAD_MAX];
    struct vr_split s;

    if (!chain->nwrite)
        return -EPROTO;
    vr_chain_split(chain, head, len, true, &s);
    vr_blk_decode(dev, features, head, chain->read_len, chain->write_len - 1,
                  req);
    data->iov = req->op == VR_BLK_WRITE ? s.out : s.in;
    data->niov = req->op == VR_BLK_WRITE  ? s.nout
                 : req->op == VR_BLK_READ ? s.nin
                                          : 0;
    data->status = s.status;
    if (req->reply_len)
        vr_chain_put(s.in, req->reply, req->reply_len);
    return 0;
}

#endif /* TEST_BLKCHAIN_H */

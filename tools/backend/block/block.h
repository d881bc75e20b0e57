/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A block device, and the backend's table for the type (backend/serve.h). */
#ifndef VR_BACKEND_BLOCK_H
#define VR_BACKEND_BLOCK_H

#include "libs/types/block/request.h"
#include "backend/serve.h"
#include "aio.h"

struct vr_block {
    struct vr_target target;
    const struct vr_aio_ops *ops;
    bool only; /* @ops are wished for: no others will do */
    struct vr_aio *aio;
    struct vr_aio_req *done; /* not reaped yet */
    struct vr_blk_dev dev;   /* capacity: what there is to be had */
    uint64_t offered;        /* ... and what the guest was told: never less */
    bool discard;            /* offer DISCARD and WRITE_ZEROES */
    bool cut;                /* it was said that there is less */
    bool held;               /* the pool's pages are, by the kernel */
    bool not_held;           /* ... are not, and that was said */
    int64_t last_log;
};

extern const struct vr_serve vr_serve_block;

#endif /* VR_BACKEND_BLOCK_H */

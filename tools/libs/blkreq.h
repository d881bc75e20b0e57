/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio-block requests (virtio 1.2, 5.2.6): from a chain of buffers to an
 * operation on the target. Pure. The header and the segments of DISCARD and
 * WRITE_ZEROES are copied once; nothing is assumed about how the driver cuts
 * a request into buffers (2.7.4.1).
 */
#ifndef VR_BLKREQ_H
#define VR_BLKREQ_H

#include "virtq.h"

#define VR_BLK_F_SIZE_MAX     (UINT64_C(1) << 1)
#define VR_BLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define VR_BLK_F_RO           (UINT64_C(1) << 5)
#define VR_BLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define VR_BLK_F_FLUSH        (UINT64_C(1) << 9)
#define VR_BLK_F_MQ           (UINT64_C(1) << 12)
#define VR_BLK_F_DISCARD      (UINT64_C(1) << 13)
#define VR_BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

#define VR_BLK_S_OK     0
#define VR_BLK_S_IOERR  1
#define VR_BLK_S_UNSUPP 2

#define VR_BLK_SECTOR 512u
/* Linux's restricted pool maps at most 256 KiB at once. */
#define VR_BLK_SIZE_MAX (256u << 10)
#define VR_BLK_SEG_MAX  126u
/* What one DISCARD or WRITE_ZEROES may cover. One range a request: Linux then
 * sends one request each, and each stays one operation on the target. A range
 * of zeroes may have to be written out, so it is kept short: a queue that has
 * to become quiet waits for it. */
#define VR_BLK_MAX_RANGES      1u
#define VR_BLK_DISCARD_SECTORS (1u << 21) /* 1 GiB */
#define VR_BLK_ZEROES_SECTORS  (1u << 15) /* 16 MiB */

/* What the device is. */
struct vr_blk_dev {
    uint64_t capacity; /* sectors of 512 bytes */
    uint32_t blk_size; /* logical block size, bytes */
    uint32_t queues;
    uint32_t queue_size;
    bool readonly;
    bool discard; /* the target can forget ranges */
    bool zeroes;  /* WRITE_ZEROES is offered */
    char serial[VR_SERIAL_LEN + 1];
};

enum vr_blk_op {
    VR_BLK_DONE, /* nothing is left to do: answer @status_value */
    VR_BLK_READ,
    VR_BLK_WRITE,
    VR_BLK_FLUSH,
    VR_BLK_DISCARD,
    VR_BLK_WRITE_ZEROES,
};

struct vr_blk_req {
    enum vr_blk_op op;
    bool unmap;           /* WRITE_ZEROES: may give up the storage */
    uint8_t status_value; /* VR_BLK_DONE: VR_BLK_S_* */
    uint64_t offset;      /* bytes */
    uint64_t len;         /* bytes; within the capacity together with offset */
    struct iovec *iov;    /* READ, WRITE: the data, in the chain's own array */
    unsigned int niov;
    uint8_t *status;   /* in guest memory: write, never read */
    uint32_t used_len; /* for the used ring once status is OK */
};

/** vr_blk_features() - device-type feature bits of @dev. */
uint64_t vr_blk_features(const struct vr_blk_dev *dev);

/**
 * vr_blk_config() - struct virtio_blk_config, as bytes (5.2.4).
 * @buf: VR_CONFIG_LEN bytes. Returns the length.
 */
uint32_t vr_blk_config(const struct vr_blk_dev *dev, uint8_t *buf);

/**
 * vr_blk_parse() - what does @chain ask for?
 * @chain: its iov array is cut to the data in place and must live as long as
 * @req.
 * @features: as negotiated; what was not is answered UNSUPP.
 *
 * Requests that are wrong but can be answered give VR_BLK_DONE with an error
 * status. GET_ID is answered here: the serial is written into the chain.
 * Returns 0, or -EPROTO when there is not even a byte for the status.
 */
int vr_blk_parse(const struct vr_blk_dev *dev, uint64_t features,
                 struct vr_chain *chain, struct vr_blk_req *req);

#endif /* VR_BLKREQ_H */

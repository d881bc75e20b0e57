/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio-block requests (virtio 1.2, 5.2.6): from a chain of buffers to an
 * operation on the target. Pure.
 *
 * What a request asks for follows from its first bytes, the *head*, of which
 * the caller has a copy, and from how many readable and writable bytes it has.
 */
#ifndef VR_BLOCK_REQUEST_H
#define VR_BLOCK_REQUEST_H

#include "libs/base/vr.h"

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
/* Beyond that Linux cannot count a disk's bytes. */
#define VR_BLK_CAPACITY_MAX ((uint64_t)INT64_MAX / VR_BLK_SECTOR)
/* Header, and the one range of DISCARD or WRITE_ZEROES behind it. */
#define VR_BLK_HEADER   16u
#define VR_BLK_HEAD_MAX 32u
#define VR_BLK_SEG_MAX  126u
/* What one DISCARD or WRITE_ZEROES may cover. One range a request: Linux then
 * sends one request each, and each stays one operation on the target. A range
 * of zeroes may have to be written out, so it is kept short: a queue that has
 * to become quiet waits for it. */
#define VR_BLK_MAX_RANGES      1u
#define VR_BLK_DISCARD_SECTORS (1u << 21) /* 1 GiB */
#define VR_BLK_ZEROES_SECTORS  (1u << 15) /* 16 MiB */

/* How the backend does its I/O, for the operator. */
#define VR_BLK_IO_DIRECT 1u /* direct I/O ... */
#define VR_BLK_IO_OWN    2u /* ... on memory of the backend alone */
#define VR_BLK_IO_LOST   4u /* a flush failed: no later one can succeed */
#define VR_BLK_IO_HELD   8u /* the kernel holds the pool's pages meanwhile */

/* What the device is. */
struct vr_blk_dev {
    uint64_t capacity; /* sectors of 512 bytes */
    uint32_t blk_size; /* logical block size, bytes */
    uint32_t queues;
    uint32_t queue_size;
    uint32_t size_max; /* of one segment, bytes */
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
    uint32_t used_len;    /* for the used ring once status is OK */
    uint8_t reply[VR_SERIAL_LEN]; /* VR_BLK_DONE: what goes to the front of */
    uint32_t reply_len;           /* the writable bytes (GET_ID) */
};

/** vr_blk_seg_max() - the most data segments of one request. */
uint32_t vr_blk_seg_max(unsigned int queue_size);

/** vr_blk_features() - device-type feature bits of @dev. */
uint64_t vr_blk_features(const struct vr_blk_dev *dev);

/**
 * vr_blk_config() - struct virtio_blk_config, as bytes (5.2.4).
 * @buf: VR_CONFIG_LEN bytes. Returns the length.
 */
uint32_t vr_blk_config(const struct vr_blk_dev *dev, uint8_t *buf);

/**
 * vr_blk_decode() - what does a request ask for?
 * @features: as negotiated; what was not is answered UNSUPP.
 * @head: a private copy of the first bytes: VR_BLK_HEADER of them, or as many
 * as there are; all when there are VR_BLK_HEAD_MAX.
 * @out_len: readable bytes. @in_len: writable ones, without the status.
 *
 * Requests that are wrong give VR_BLK_DONE with an error status. The data of
 * a WRITE are the bytes behind the head, those of a READ all writable ones.
 */
void vr_blk_decode(const struct vr_blk_dev *dev, uint64_t features,
                   const uint8_t *head, uint64_t out_len, uint64_t in_len,
                   struct vr_blk_req *req);

/* ---- what others want to know of a config space ---- */

/** vr_blk_capacity() - sectors of 512 bytes. @config: VR_CONFIG_LEN bytes. */
uint64_t vr_blk_capacity(const uint8_t *config);

/** vr_blk_block_size() - the logical block size that it names. */
uint32_t vr_blk_block_size(const uint8_t *config);

#endif /* VR_BLOCK_REQUEST_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests of a disk and its config space, as request.h has it. Called by the
 * backend with copies of what the guest wrote. Pure. */
#include <string.h>

#include "request.h"

/* Request types (virtio 1.2, 5.2.6) */
#define T_IN           0
#define T_OUT          1
#define T_FLUSH        4
#define T_GET_ID       8
#define T_DISCARD      11
#define T_WRITE_ZEROES 13

#define RANGE_F_UNMAP 1u

/* Offsets in the config space (5.2.4) that are read, too. */
#define CONFIG_CAPACITY 0
#define CONFIG_BLK_SIZE 20

struct blk_header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

struct blk_range {
    uint64_t sector;
    uint32_t sectors;
    uint32_t flags;
};

_Static_assert(sizeof(struct blk_header) == 16, "virtio 1.2, 5.2.6");
_Static_assert(sizeof(struct blk_range) == 16, "virtio 1.2, 5.2.6");

uint32_t vr_blk_seg_max(unsigned int queue_size)
{
    /* Header and status take a descriptor each, and a chain must not be
     * longer than the queue, in an indirect table or not. */
    if (queue_size >= VR_BLK_SEG_MAX + 2)
        return VR_BLK_SEG_MAX;
    return queue_size > 3 ? queue_size - 2 : 1;
}

uint64_t vr_blk_features(const struct vr_blk_dev *dev)
{
    uint64_t f = VR_BLK_F_SIZE_MAX | VR_BLK_F_SEG_MAX | VR_BLK_F_BLK_SIZE |
                 VR_BLK_F_FLUSH;

    if (dev->readonly)
        f |= VR_BLK_F_RO;
    if (dev->queues > 1)
        f |= VR_BLK_F_MQ;
    if (dev->discard && !dev->readonly)
        f |= VR_BLK_F_DISCARD;
    if (dev->zeroes && !dev->readonly)
        f |= VR_BLK_F_WRITE_ZEROES;
    return f;
}

static void put(uint8_t *buf, unsigned int off, unsigned int bytes, uint64_t v)
{
    while (bytes--) {
        buf[off++] = v;
        v >>= 8;
    }
}

static uint64_t get(const uint8_t *buf, unsigned int off, unsigned int bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | buf[off + bytes];
    return v;
}

uint64_t vr_blk_capacity(const uint8_t *config)
{
    return get(config, CONFIG_CAPACITY, 8);
}

uint32_t vr_blk_block_size(const uint8_t *config)
{
    return get(config, CONFIG_BLK_SIZE, 4);
}

uint32_t vr_blk_config(const struct vr_blk_dev *dev, uint8_t *buf)
{
    memset(buf, 0, VR_CONFIG_LEN);
    put(buf, CONFIG_CAPACITY, 8, dev->capacity);
    put(buf, 8, 4, dev->size_max);
    put(buf, 12, 4, vr_blk_seg_max(dev->queue_size));
    put(buf, CONFIG_BLK_SIZE, 4, dev->blk_size);
    put(buf, 34, 2, dev->queues);
    if (dev->discard && !dev->readonly) {
        put(buf, 36, 4, VR_BLK_DISCARD_SECTORS);
        put(buf, 40, 4, VR_BLK_MAX_RANGES);
        put(buf, 44, 4, dev->blk_size / VR_BLK_SECTOR);
    }
    if (dev->zeroes && !dev->readonly) {
        put(buf, 48, 4, VR_BLK_ZEROES_SECTORS);
        put(buf, 52, 4, VR_BLK_MAX_RANGES);
        put(buf, 56, 1, dev->discard); /* unmap is possible, not promised */
    }
    return 60;
}

/* req->used_len stays: that of a request that writes nothing but its status. */
static void done(struct vr_blk_req *req, uint8_t status)
{
    req->op = VR_BLK_DONE;
    req->status_value = status;
}

static bool in_capacity(const struct vr_blk_dev *dev, uint64_t sector,
                        uint64_t sectors)
{
    return sector <= dev->capacity && sectors <= dev->capacity - sector;
}

static void decode_transfer(const struct vr_blk_dev *dev,
                            struct vr_blk_req *req, enum vr_blk_op op,
                            uint64_t sector, uint64_t len)
{
    if (!len || len % VR_BLK_SECTOR ||
        !in_capacity(dev, sector, len / VR_BLK_SECTOR)) {
        done(req, VR_BLK_S_IOERR);
        return;
    }
    req->op = op;
    req->offset = sector * VR_BLK_SECTOR;
    req->len = len;
}

/* DISCARD and WRITE_ZEROES. */
static void decode_range(const struct vr_blk_dev *dev, struct vr_blk_req *req,
                         enum vr_blk_op op, const uint8_t *head,
                         uint64_t out_len)
{
    uint32_t most =
        op == VR_BLK_DISCARD ? VR_BLK_DISCARD_SECTORS : VR_BLK_ZEROES_SECTORS;
    uint32_t known = op == VR_BLK_DISCARD ? 0 : RANGE_F_UNMAP;
    struct blk_range range;

    if (out_len != VR_BLK_HEADER + sizeof(range) * VR_BLK_MAX_RANGES) {
        done(req, VR_BLK_S_IOERR);
        return;
    }
    memcpy(&range, head + VR_BLK_HEADER, sizeof(range));
    /* 5.2.6.2: unknown flags, or unmap for DISCARD, are answered UNSUPP. */
    if (range.flags & ~known) {
        done(req, VR_BLK_S_UNSUPP);
    } else if (range.sectors > most ||
               !in_capacity(dev, range.sector, range.sectors)) {
        done(req, VR_BLK_S_IOERR);
    } else if (!range.sectors) {
        done(req, VR_BLK_S_OK);
    } else {
        req->op = op;
        req->unmap = range.flags & RANGE_F_UNMAP;
        req->offset = range.sector * VR_BLK_SECTOR;
        req->len = (uint64_t)range.sectors * VR_BLK_SECTOR;
    }
}

void vr_blk_decode(const struct vr_blk_dev *dev, uint64_t features,
                   const uint8_t *head, uint64_t out_len, uint64_t in_len,
                   struct vr_blk_req *req)
{
    struct blk_header h;

    memset(req, 0, sizeof(*req));
    /* 2.7.8.2: what is written without a gap from the first writable byte on,
     * and the status is the last one. */
    req->used_len = !in_len;
    if (out_len < sizeof(h)) {
        done(req, VR_BLK_S_IOERR);
        return;
    }
    memcpy(&h, head, sizeof(h));
    switch (h.type) {
    case T_IN:
        decode_transfer(dev, req, VR_BLK_READ, h.sector, in_len);
        if (req->op == VR_BLK_READ)
            req->used_len = in_len + 1;
        return;
    case T_OUT:
        if (dev->readonly)
            done(req, VR_BLK_S_IOERR);
        else
            decode_transfer(dev, req, VR_BLK_WRITE, h.sector,
                            out_len - sizeof(h));
        return;
    case T_FLUSH:
        if (features & VR_BLK_F_FLUSH)
            req->op = VR_BLK_FLUSH;
        else
            done(req, VR_BLK_S_UNSUPP);
        return;
    case T_GET_ID:
        req->reply_len = in_len < VR_SERIAL_LEN ? in_len : VR_SERIAL_LEN;
        memcpy(req->reply, dev->serial, strnlen(dev->serial, VR_SERIAL_LEN));
        done(req, VR_BLK_S_OK);
        req->used_len = req->reply_len + (req->reply_len == in_len);
        return;
    case T_DISCARD:
    case T_WRITE_ZEROES: {
        bool discard = h.type == T_DISCARD;

        if (!(features & (discard ? VR_BLK_F_DISCARD : VR_BLK_F_WRITE_ZEROES)))
            done(req, VR_BLK_S_UNSUPP);
        else if (dev->readonly)
            done(req, VR_BLK_S_IOERR);
        else
            decode_range(dev, req,
                         discard ? VR_BLK_DISCARD : VR_BLK_WRITE_ZEROES, head,
                         out_len);
        return;
    }
    default:
        done(req, VR_BLK_S_UNSUPP);
    }
}

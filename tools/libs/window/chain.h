/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A local chain, cut into what a device looks at: the first readable bytes, its
 * *front*; the readable and the writable data; and its last byte, the status,
 * where the type of device has one. Nothing is assumed about how the driver
 * cuts a request into buffers (virtio 1.2, 2.7.4.1). Pure.
 */
#ifndef VR_CHAIN_H
#define VR_CHAIN_H

#include "window.h"

struct vr_split {
    struct iovec *out, *in; /* in the chain's own array */
    unsigned int nout, nin;
    uint32_t out_len; /* bytes */
    uint8_t *status;  /* in guest memory: write, never read */
};

/**
 * vr_front_len() - how many of @out_len readable bytes are the front: @front or
 * fewer, or just @only.
 */
static inline uint32_t vr_front_len(uint32_t front, uint32_t only,
                                    uint64_t out_len)
{
    if (out_len == only)
        return only;
    return out_len < front ? (uint32_t)out_len : front;
}

/**
 * vr_chain_split() - cuts @chain, whose array changes.
 * @front: gets the first @len readable bytes, each read once; @len: at most as
 * many as there are.
 * @status: the last writable byte is not data; there is one.
 */
void vr_chain_split(struct vr_chain *chain, uint8_t *front, uint32_t len,
                    bool status, struct vr_split *split);

/**
 * vr_chain_join() - buffers that adjoin, one behind the other, become one.
 * Returns how many of the @n are left in @iov.
 */
unsigned int vr_chain_join(struct iovec *iov, unsigned int n);

/** vr_chain_put() - writes @len bytes to the front of @iov, which has as many.
 */
void vr_chain_put(const struct iovec *iov, const void *src, uint32_t len);

#endif /* VR_CHAIN_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is behind a block device: a regular file or a block device of the
 * driver domain.
 *
 * Direct I/O is used wherever target and request allow it: no second cache in
 * a small domain, no copy by its CPU, and a write that is reported done is in
 * the device's hands. Requests that are not aligned for it go through the
 * page cache, which Linux keeps coherent with direct I/O.
 */
#ifndef VR_TARGET_H
#define VR_TARGET_H

#include <sys/uio.h>

#include "vr.h"

enum vr_cache {
    VR_CACHE_AUTO,     /* direct where it works */
    VR_CACHE_DIRECT,   /* an error where it does not */
    VR_CACHE_BUFFERED, /* always through the page cache */
};

struct vr_target {
    int fd;        /* through the page cache */
    int direct_fd; /* O_DIRECT, or -1 */
    bool direct;   /* false once direct I/O turned out not to work */
    bool block;    /* a block device, else a regular file */
    bool readonly;
    bool can_discard;
    uint64_t size;      /* bytes, whole sectors */
    uint32_t blk_size;  /* logical block size for the guest */
    uint32_t mem_align; /* what direct I/O wants of buffers ... */
    uint32_t off_align; /* ... and of offsets and lengths */
};

/**
 * vr_target_open() - open @path and find out what it can do.
 *
 * Takes a lock (flock) that keeps another device, or the former process of
 * this one, off it: exclusive, or shared when @readonly.
 * Returns 0, or -errno with @err: -ENOENT (not there, yet), -EBUSY (locked),
 * -EINVAL (not a file or block device, too small).
 */
int vr_target_open(struct vr_target *t, const char *path, bool readonly,
                   enum vr_cache cache, struct vr_err *err);
void vr_target_close(struct vr_target *t);

/** vr_target_direct_ok() - may this transfer use direct_fd? */
bool vr_target_direct_ok(const struct vr_target *t, const struct iovec *iov,
                         unsigned int niov, uint64_t offset);

/*
 * The operations, synchronously. Each returns 0 or -errno. A transfer that
 * ends early is an error. @direct: try direct I/O first; when that fails, the
 * page cache. @dsync: on stable storage before it returns.
 */
int vr_target_read(struct vr_target *t, bool direct, const struct iovec *iov,
                   unsigned int niov, uint64_t offset);
int vr_target_write(struct vr_target *t, bool direct, const struct iovec *iov,
                    unsigned int niov, uint64_t offset, bool dsync);
int vr_target_flush(struct vr_target *t);
int vr_target_discard(struct vr_target *t, uint64_t offset, uint64_t len);
int vr_target_zero(struct vr_target *t, uint64_t offset, uint64_t len,
                   bool unmap);

#endif /* VR_TARGET_H */

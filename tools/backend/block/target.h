/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is behind a block device: a regular file or a block device of the
 * driver domain.
 *
 * Direct I/O is used wherever target and request allow it: no second cache in
 * a small domain, no copy by its CPU, and a write that is reported done is in
 * the device's hands. Requests that are not aligned for it go through the
 * page cache, which Linux keeps coherent with direct I/O.
 *
 * What was written to the page cache is as safe as in a disk's volatile cache:
 * a flush brings it to the target, or fails. After one that failed nobody knows
 * what the target has: Linux takes the pages for clean and does not write them
 * again, and the next flush would find nothing wrong. So every later one fails,
 * too, if the page cache was ever written to.
 */
#ifndef VR_TARGET_H
#define VR_TARGET_H

#include <sys/uio.h>

#include "backend/serve.h"

/* How the bytes of a transfer go. */
enum vr_way {
    VR_WAY_CACHE,  /* through the page cache */
    VR_WAY_DIRECT, /* direct I/O on the buffers themselves */
    VR_WAY_COPY,   /* direct I/O on memory of this process, and a copy */
};

struct vr_target {
    int fd;        /* through the page cache */
    int direct_fd; /* O_DIRECT, or -1 */
    bool direct;   /* false once direct I/O turned out not to work ... */
    bool foreign;  /* ... or not to work on the guest's pages */
    bool proven;   /* it has worked on them */
    bool cached;   /* the page cache was written to */
    int lost;      /* -errno of a flush after that; no later one can succeed */
    uint8_t *copy; /* memory for VR_WAY_COPY */
    bool block;    /* a block device, else a regular file */
    bool readonly;
    bool can_discard;
    uint64_t size;      /* bytes; there may be more than whole blocks */
    uint32_t blk_size;  /* logical block size for the guest */
    uint32_t mem_align; /* what direct I/O wants of buffers ... */
    uint32_t off_align; /* ... and of offsets and lengths */
};

/**
 * vr_target_open() - open @path and find out what it can do.
 *
 * Takes a lock (flock) that keeps another device, or the former process of
 * this one, off it: exclusive, or shared when @readonly.
 * Returns 0, or -errno with @err: -ENOENT (not there, yet), -ENOMEDIUM (empty,
 * yet), -EBUSY (locked), -EINVAL (not a file or block device).
 */
int vr_target_open(struct vr_target *t, const char *path, bool readonly,
                   enum vr_cache cache, struct vr_err *err);
void vr_target_close(struct vr_target *t);

/** vr_target_sectors() - how many there are in whole blocks of it. */
uint64_t vr_target_sectors(const struct vr_target *t);

/** vr_target_look() - finds out its size again. Returns 0 or -errno. */
int vr_target_look(struct vr_target *t);

/** vr_target_direct_ok() - may this transfer be direct I/O? @foreign: its
 * buffers are the guest's pages. */
bool vr_target_direct_ok(const struct vr_target *t, bool foreign,
                         const struct iovec *iov, unsigned int niov,
                         uint64_t offset);

/** vr_target_own_only() - does direct I/O need memory of this process? */
static inline bool vr_target_own_only(const struct vr_target *t)
{
    return t->direct && !t->foreign;
}

/** vr_target_no_direct() - does error @rc say that direct I/O cannot be done
 * like this, rather than that it was done in vain? */
bool vr_target_no_direct(int rc);

/*
 * The operations, synchronously. Each returns 0 or -errno. A transfer that
 * ends early is an error. @dsync: on stable storage before it returns.
 */
int vr_target_read(struct vr_target *t, enum vr_way way,
                   const struct iovec *iov, unsigned int niov, uint64_t offset);
int vr_target_write(struct vr_target *t, enum vr_way way,
                    const struct iovec *iov, unsigned int niov, uint64_t offset,
                    bool dsync);
int vr_target_flush(struct vr_target *t);
int vr_target_discard(struct vr_target *t, uint64_t offset, uint64_t len);
int vr_target_zero(struct vr_target *t, uint64_t offset, uint64_t len,
                   bool unmap);

/*
 * For who does without vr_target_write() and vr_target_flush(): the page cache
 * is about to be written to; a flush ended with @rc, the result is what to
 * make of that; the error that every flush has to end with, or 0.
 */
void vr_target_cached(struct vr_target *t);
int vr_target_flushed(struct vr_target *t, int rc);
int vr_target_lost(const struct vr_target *t);

#endif /* VR_TARGET_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A block device's file or disk: opened by serve.c, used by aio_*.c, in several
 * threads. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "target.h"

#define SECTOR 512u
/* Vectors handed to the kernel at once; far below IOV_MAX. */
#define IOV_BATCH 32
/* VR_WAY_COPY: so much at a time, and aligned for any target. */
#define COPY_SIZE  131072u
#define COPY_ALIGN 65536u

void vr_target_close(struct vr_target *t)
{
    if (t->direct_fd >= 0)
        close(t->direct_fd);
    if (t->fd >= 0)
        close(t->fd);
    free(t->copy);
    t->copy = NULL;
    t->fd = t->direct_fd = -1;
}

/* Without sysfs nobody can tell: offer it, the kernel answers for itself. */
static bool block_can_discard(dev_t rdev)
{
    unsigned long long max = 1;
    char path[96];
    FILE *f;

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/discard_max_bytes",
             major(rdev), minor(rdev));
    f = fopen(path, "re");
    if (!f) { /* a partition has its queue one level up */
        snprintf(path, sizeof(path),
                 "/sys/dev/block/%u:%u/../queue/discard_max_bytes", major(rdev),
                 minor(rdev));
        f = fopen(path, "re");
    }
    if (!f)
        return true;
    if (fscanf(f, "%llu", &max) != 1)
        max = 1;
    fclose(f);
    return max != 0;
}

/* A hole punched behind the end changes nothing and tells. */
static bool file_can_punch(const struct vr_target *t, uint64_t end)
{
    if (t->readonly)
        return false;
    return !fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      (end + 0xfffff) & ~UINT64_C(0xfff), 4096);
}

uint64_t vr_target_sectors(const struct vr_target *t)
{
    return (t->size & ~(uint64_t)(t->blk_size - 1)) / SECTOR;
}

/* lseek() knows both files and block devices, and the position is of no
 * use to any of our calls. */
int vr_target_look(struct vr_target *t)
{
    off_t end = lseek(t->fd, 0, SEEK_END);

    if (end < 0)
        return -errno;
    t->size = end;
    return 0;
}

static void file_dio_align(struct vr_target *t)
{
    t->mem_align = t->off_align = SECTOR;
#ifdef STATX_DIOALIGN
    struct statx stx;

    if (!statx(t->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
        (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align &&
        stx.stx_dio_offset_align) {
        t->mem_align = stx.stx_dio_mem_align;
        t->off_align = stx.stx_dio_offset_align;
    }
#endif
}

static int block_learn(struct vr_target *t, dev_t rdev)
{
    int lbs;

    t->block = true;
    if (ioctl(t->fd, BLKGETSIZE64, &t->size) || ioctl(t->fd, BLKSSZGET, &lbs))
        return -errno;
    if (lbs < (int)SECTOR || lbs > 65536 || (lbs & (lbs - 1)))
        lbs = SECTOR;
    t->blk_size = t->mem_align = t->off_align = lbs;
    t->can_discard = block_can_discard(rdev);
    return 0;
}

/* What it is, how large, and what it can do. */
static int learn(struct vr_target *t, const char *path, struct vr_err *err)
{
    struct stat st;
    int rc = 0;

    if (fstat(t->fd, &st) || fcntl(t->fd, F_SETFL, 0)) {
        rc = -errno;
        vr_err_set(err, "target %s: %s", path, strerror(errno));
    } else if (S_ISBLK(st.st_mode)) {
        rc = block_learn(t, st.st_rdev);
        if (rc)
            vr_err_set(err, "target %s: cannot find its size: %s", path,
                       strerror(-rc));
    } else if (S_ISREG(st.st_mode)) {
        t->size = st.st_size;
        t->blk_size = SECTOR;
        t->can_discard = file_can_punch(t, t->size);
        file_dio_align(t);
    } else {
        rc = -EINVAL;
        vr_err_set(err, "target %s: is neither a file nor a block device",
                   path);
    }
    if (!rc && !vr_target_sectors(t)) {
        rc = -ENOMEDIUM;
        vr_err_set(err, "target %s: is empty; it needs at least %u bytes", path,
                   t->blk_size);
    }
    return rc;
}

static int open_direct(struct vr_target *t, const char *path, int flags,
                       enum vr_cache cache, struct vr_err *err)
{
    if (cache != VR_CACHE_BUFFERED) {
        t->direct_fd = open(path, flags | O_DIRECT);
        t->direct = t->foreign = t->direct_fd >= 0;
    }
    if (cache == VR_CACHE_DIRECT && !t->direct) {
        vr_err_set(err, "target %s: no direct I/O there; use -c auto", path);
        return -ENOTSUP;
    }
    if (t->direct && posix_memalign((void **)&t->copy, COPY_ALIGN, COPY_SIZE)) {
        vr_err_set(err, "target %s: out of memory", path);
        return -ENOMEM;
    }
    return 0;
}

int vr_target_open(struct vr_target *t, const char *path, bool readonly,
                   enum vr_cache cache, struct vr_err *err)
{
    int flags = (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC, rc;

    memset(t, 0, sizeof(*t));
    t->direct_fd = -1;
    t->readonly = readonly;
    /* A FIFO must not hang us; the flag itself would spoil the I/O. */
    t->fd = open(path, flags | O_NONBLOCK);
    if (t->fd < 0) {
        rc = -errno;
        vr_err_set(err, "target %s: cannot open it%s: %s", path,
                   readonly ? "" : " for writing", strerror(errno));
        goto out;
    }
    rc = learn(t, path, err);
    if (rc)
        goto out;
    if (flock(t->fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) &&
        errno == EWOULDBLOCK) {
        rc = -EBUSY;
        vr_err_set(err, "target %s: is in use by another device or process",
                   path);
        goto out;
    }
    rc = open_direct(t, path, flags, cache, err);
out:
    if (rc)
        vr_target_close(t);
    return rc;
}

bool vr_target_no_direct(int rc)
{
    return rc == -EINVAL || rc == -EFAULT || rc == -EOPNOTSUPP;
}

bool vr_target_direct_ok(const struct vr_target *t, bool foreign,
                         const struct iovec *iov, unsigned int niov,
                         uint64_t offset)
{
    uint64_t mem = 0, off = offset;
    unsigned int i;

    if (!t->direct || (foreign && !t->foreign))
        return false;
    for (i = 0; i < niov; i++) {
        mem |= (uintptr_t)iov[i].iov_base;
        off |= iov[i].iov_len;
    }
    return !(mem & (t->mem_align - 1)) && !(off & (t->off_align - 1));
}

/* Whole transfers, in as many calls as the kernel wants. */
static int transfer(int fd, const struct iovec *iov, unsigned int niov,
                    uint64_t offset, bool write, int flags)
{
    size_t skip = 0; /* bytes of iov[0] that are done */

    while (niov) {
        struct iovec v[IOV_BATCH];
        unsigned int n = niov < IOV_BATCH ? niov : IOV_BATCH;
        ssize_t r;

        memcpy(v, iov, n * sizeof(*v));
        v[0].iov_base = (char *)v[0].iov_base + skip;
        v[0].iov_len -= skip;
        r = write ? pwritev2(fd, v, n, offset, flags)
                  : preadv2(fd, v, n, offset, flags);
        if (r < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (r < 0)
            return -errno;
        if (!r)
            return -EIO;
        offset += r;
        r += skip;
        while (niov && (size_t)r >= iov->iov_len) {
            r -= iov->iov_len;
            iov++;
            niov--;
        }
        skip = r;
    }
    return 0;
}

/* Up to COPY_SIZE bytes of @iov, from byte @skip of it on, to or from the
 * memory for copies. */
static void copy(const struct vr_target *t, const struct iovec *iov,
                 unsigned int niov, uint64_t skip, bool write)
{
    size_t done = 0;

    for (; niov && done < COPY_SIZE; iov++, niov--) {
        uint8_t *p = iov->iov_base;
        size_t n = iov->iov_len;

        if (skip >= n) {
            skip -= n;
            continue;
        }
        p += skip;
        n -= skip;
        skip = 0;
        if (n > COPY_SIZE - done)
            n = COPY_SIZE - done;
        if (write)
            memcpy(t->copy + done, p, n);
        else
            memcpy(p, t->copy + done, n);
        done += n;
    }
}

static int transfer_copied(const struct vr_target *t, const struct iovec *iov,
                           unsigned int niov, uint64_t offset, bool write,
                           int flags)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct iovec v = {.iov_base = t->copy};
    uint64_t len = 0, moved;
    unsigned int i;
    int rc = 0;

    for (i = 0; i < niov; i++)
        len += iov[i].iov_len;
    pthread_mutex_lock(&lock);
    for (moved = 0; moved < len && !rc; moved += v.iov_len) {
        v.iov_len = len - moved < COPY_SIZE ? len - moved : COPY_SIZE;
        if (write)
            copy(t, iov, niov, moved, true);
        rc = transfer(t->direct_fd, &v, 1, offset + moved, write, flags);
        if (!write && !rc)
            copy(t, iov, niov, moved, false);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int by_way(const struct vr_target *t, enum vr_way way,
                  const struct iovec *iov, unsigned int niov, uint64_t offset,
                  bool write, int flags)
{
    if (way == VR_WAY_COPY)
        return transfer_copied(t, iov, niov, offset, write, flags);
    return transfer(way == VR_WAY_DIRECT ? t->direct_fd : t->fd, iov, niov,
                    offset, write, flags);
}

int vr_target_read(struct vr_target *t, enum vr_way way,
                   const struct iovec *iov, unsigned int niov, uint64_t offset)
{
    return by_way(t, way, iov, niov, offset, false, 0);
}

int vr_target_write(struct vr_target *t, enum vr_way way,
                    const struct iovec *iov, unsigned int niov, uint64_t offset,
                    bool dsync)
{
    if (way == VR_WAY_CACHE)
        vr_target_cached(t);
    return by_way(t, way, iov, niov, offset, true, dsync ? RWF_DSYNC : 0);
}

/* Several threads do this. */
void vr_target_cached(struct vr_target *t)
{
    __atomic_store_n(&t->cached, true, __ATOMIC_RELAXED);
}

int vr_target_lost(const struct vr_target *t)
{
    return __atomic_load_n(&t->lost, __ATOMIC_RELAXED);
}

int vr_target_flushed(struct vr_target *t, int rc)
{
    if (rc && __atomic_load_n(&t->cached, __ATOMIC_RELAXED))
        __atomic_store_n(&t->lost, rc, __ATOMIC_RELAXED);
    return rc;
}

int vr_target_flush(struct vr_target *t)
{
    int rc = vr_target_lost(t);

    return rc ? rc : vr_target_flushed(t, fdatasync(t->fd) ? -errno : 0);
}

int vr_target_discard(struct vr_target *t, uint64_t offset, uint64_t len)
{
    uint64_t range[2] = {offset, len};
    int r;

    if (t->block)
        r = ioctl(t->fd, BLKDISCARD, range);
    else
        r = fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                      len);
    return r ? -errno : 0;
}

static int write_zeroes(struct vr_target *t, uint64_t offset, uint64_t len)
{
    static uint8_t zero[COPY_ALIGN] __attribute__((aligned(4096)));
    enum vr_way way = VR_WAY_CACHE;
    int rc = 0;

    if (t->direct_fd >= 0 && !((offset | len) & (t->off_align - 1)) &&
        t->mem_align <= 4096)
        way = VR_WAY_DIRECT;
    while (len && !rc) {
        struct iovec v = {zero, len < sizeof(zero) ? len : sizeof(zero)};

        rc = vr_target_write(t, way, &v, 1, offset, false);
        if (way == VR_WAY_DIRECT && vr_target_no_direct(rc)) {
            way = VR_WAY_CACHE;
            rc = 0;
            continue;
        }
        offset += v.iov_len;
        len -= v.iov_len;
    }
    return rc;
}

int vr_target_zero(struct vr_target *t, uint64_t offset, uint64_t len,
                   bool unmap)
{
    /* A hole reads as zeroes in a file; what a discarded block of a device
     * reads as, nobody promises: there the kernel is to choose. */
    if (unmap && !fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            offset, len))
        return 0;
    if (!fallocate(t->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset,
                   len))
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != ENODEV)
        return -errno;
    return write_zeroes(t, offset, len);
}

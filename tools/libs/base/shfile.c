/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in shared memory by which the broker publishes and vrctl reads. For
 * proto/'s stats, pools and maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shfile.h"

static void *map(int fd, size_t size, int prot)
{
    void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

void *vr_shfile_create(const char *path, size_t size)
{
    void *p = NULL;
    int fd, saved;

    if (unlink(path) && errno != ENOENT)
        return NULL;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    if (!ftruncate(fd, size))
        p = map(fd, size, PROT_READ | PROT_WRITE);
    saved = errno;
    close(fd);
    if (!p)
        unlink(path);
    errno = saved;
    return p;
}

static void *open_file(const char *path, size_t size, int flags, int prot)
{
    struct stat st;
    void *p = NULL;
    int fd, saved;

    /* O_NONBLOCK: a fifo in the file's place must not hold us. */
    fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &st)) {
        if (!S_ISREG(st.st_mode) || st.st_size != (off_t)size)
            errno = EPROTO;
        else
            p = map(fd, size, prot);
    }
    saved = errno;
    close(fd);
    errno = saved;
    return p;
}

void *vr_shfile_open(const char *path, size_t size)
{
    return open_file(path, size, O_RDONLY, PROT_READ);
}

void *vr_shfile_join(const char *path, size_t size)
{
    return open_file(path, size, O_RDWR, PROT_READ | PROT_WRITE);
}

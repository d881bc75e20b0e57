/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock of a guest, beside its record, that cleanup.c holds while it works.
 * A file lock: it ends with its holder, however that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vrctl.h"

static char *lock_name(const char *uuid, char *buf, size_t size)
{
    snprintf(buf, size, "%.36s.lock", uuid);
    return buf;
}

/* A lock on a file that its last holder has removed meanwhile is worth
 * nothing: the next one makes, and locks, a new file of the name. */
static bool still_there(int dir, const char *name, int fd)
{
    struct stat a, b;

    return !fstat(fd, &a) && !fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int lock_take(const char *uuid, int wait_ms)
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    char name[VR_UUID_LEN + 8];
    int dir, fd, rc, waited = 0;

    dir = vr_record_dir(VR_RUN_DIR, false, NULL);
    if (dir < 0)
        return dir;
    lock_name(uuid, name, sizeof(name));
    for (;;) {
        fd = openat(dir, name,
                    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                    0600);
        if (fd < 0) {
            rc = -errno;
            break;
        }
        if (!flock(fd, LOCK_EX | LOCK_NB)) {
            if (still_there(dir, name, fd)) {
                rc = fd;
                break;
            }
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = -errno;
            close(fd);
            break;
        }
        close(fd);
        if (waited >= wait_ms) {
            rc = -ETIMEDOUT;
            break;
        }
        nanosleep(&step, NULL);
        waited += 20;
    }
    close(dir);
    return rc;
}

void lock_drop(const char *uuid, int fd)
{
    char name[VR_UUID_LEN + 8];
    int dir = vr_record_dir(VR_RUN_DIR, false, NULL);

    if (dir >= 0) {
        lock_name(uuid, name, sizeof(name));
        /* As a rule it went with the record; a new file of that name stays. */
        if (still_there(dir, name, fd))
            unlinkat(dir, name, 0);
        close(dir);
    }
    /* A child that could not be killed in time may hold a copy of the
     * descriptor: closing ours would not unlock. */
    flock(fd, LOCK_UN);
    close(fd);
}

bool lock_held(const char *uuid)
{
    char name[VR_UUID_LEN + 8];
    bool held = false;
    int dir, fd;

    dir = vr_record_dir(VR_RUN_DIR, false, NULL);
    if (dir < 0)
        return false;
    fd = openat(dir, lock_name(uuid, name, sizeof(name)),
                O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
        close(fd);
    }
    close(dir);
    return held;
}

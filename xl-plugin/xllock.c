/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xl's lock, found again and let go of (xllock.h says why). Called wherever the
 * plug-in waits for a domain; touches that lock alone.
 *
 * The lock is a POSIX record lock on a file whose name is in xl.conf
 * (lockfile=), and xl tells nobody its descriptor. The kernel tells which
 * descriptor such a lock was taken with (/proc/PID/fdinfo). It is the only one
 * of this kind in the process: libxl uses flock(), which is another.
 */
#include "xllock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDINFO "/proc/self/fdinfo"

static int whole_file(int fd, short type)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET};
    int r;

    do
        r = fcntl(fd, F_SETLKW, &fl);
    while (r && errno == EINTR);
    return r;
}

/* A line such as "lock:  1: POSIX  ADVISORY  WRITE 812 00:16:31 0 EOF". */
static bool has_lock(const char *fd)
{
    char path[sizeof(FDINFO) + 16], line[128];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), FDINFO "/%.12s", fd);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f))
        found = !strncmp(line, "lock:", 5) && strstr(line, " POSIX ") &&
                strstr(line, " WRITE ");
    if (f)
        fclose(f);
    return found;
}

int vr_xllock_drop(void)
{
    DIR *d = opendir(FDINFO);
    struct dirent *e;
    int fd = -1;

    while (d && fd < 0 && (e = readdir(d))) {
        if (isdigit((unsigned char)e->d_name[0]) && has_lock(e->d_name))
            fd = atoi(e->d_name);
    }
    if (d)
        closedir(d);
    if (fd >= 0 && whole_file(fd, F_UNLCK))
        fd = -1;
    return fd;
}

void vr_xllock_take(int fd)
{
    if (fd >= 0)
        whole_file(fd, F_WRLCK);
}

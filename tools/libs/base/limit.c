/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of a process, for the sandboxes of broker and backend. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "limit.h"

int vr_limit(int resource, rlim_t value)
{
    struct rlimit rl = {.rlim_cur = value, .rlim_max = value};

    return setrlimit(resource, &rl) ? -errno : 0;
}

int vr_memory_in_use(rlim_t *space, rlim_t *data)
{
    rlim_t page = (rlim_t)sysconf(_SC_PAGESIZE);
    unsigned long all, ours;
    FILE *f = fopen("/proc/self/statm", "re");
    int n;

    if (!f)
        return -errno;
    n = fscanf(f, "%lu %*u %*u %*u %*u %lu", &all, &ours);
    fclose(f);
    if (n != 2)
        return -EPROTO;
    *space = all * page;
    if (data)
        *data = ours * page;
    return 0;
}

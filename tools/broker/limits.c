/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the broker may take of the toolstack domain: of its processor, its
 * memory and its disk. The worker is the one to be limited: what it does is up
 * to the guest and the driver domains.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libs/base/limit.h"
#include "broker.h"

/* Less than others get when the processors do not suffice for all. Linux goes
 * by the first among the processes of one session, and by the second between
 * sessions (sched(7), autogroup), unless control groups decide. */
#define NICE      5
#define AUTOGROUP "5"

/* Memory that the worker may take later, beside what it has when it is ready:
 * the virtio-iommu's queues and the guest's pages that it looks at, which are
 * 0.3 MiB at the most, the C library's heap, and the stack. */
#define MEMORY_RESERVE (2u << 20)

/* Where Linux lacks memory, it kills what has most of it. Neither process has
 * much, so that it would gain nothing, and without them the guest hangs. What
 * the session of xl had set for its own is of no concern here. */
#define OOM_SUPERVISOR "-500"
#define OOM_WORKER     "0"

static int write_proc(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static void set_oom(const char *text)
{
    int rc = write_proc("/proc/self/oom_score_adj", text);

    if (rc)
        broker_log("/proc/self/oom_score_adj: %s", strerror(-rc));
}

void limits_supervisor(void)
{
    /* Not every kernel has autogroups. */
    write_proc("/proc/self/autogroup", AUTOGROUP);
    set_oom(OOM_SUPERVISOR);
}

int limits_worker(void)
{
    rlim_t memory = 0;
    int rc;

    set_oom(OOM_WORKER);
    if (setpriority(PRIO_PROCESS, 0, NICE))
        return -errno;
    rc = vr_memory_in_use(&memory, NULL);
    /* Everything counts: heap, stack, and whatever is mapped. */
    if (!rc)
        rc = vr_limit(RLIMIT_AS, memory + MEMORY_RESERVE);
    if (!rc)
        rc = vr_limit(RLIMIT_MEMLOCK, 0);
    /* Its lines go through the supervisor (log.c). */
    signal(SIGXFSZ, SIG_IGN);
    if (!rc)
        rc = vr_limit(RLIMIT_FSIZE, 0);
    if (!rc)
        rc = vr_limit(RLIMIT_CORE, 0);
    if (!rc)
        rc = vr_limit(RLIMIT_NPROC, 0);
    /* No new descriptor; poll() compares its array's length with this. */
    if (!rc)
        rc = vr_limit(RLIMIT_NOFILE, 2);
    return rc;
}

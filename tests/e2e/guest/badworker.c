/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badworker GUEST POOL PAGES WINDOW PAGES DOMID REF [GUEST2 REF2]...
 *
 * In a driver domain, as its root: a device's worker that somebody has taken
 * over. It is locked in by the backend's own code, with a granter, for a device
 * of GUEST with a pool of PAGES references from POOL on and a dynamic window
 * from WINDOW on (0 0: none), and then tries what it should not be able to do:
 * with the grants REF that other domains, or other devices of GUEST, have made
 * to this one. What a type of device adds to the lock is of no use for that.
 * Each attempt is made by a new worker, first without the lock,
 * which shows whether it could work at all.
 *
 * One line each, "ATTEMPT: without WORD, locked WORD". The words: done, refused
 * (by whoever was asked), killed (by the system call filter).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/memory/gntdev.h"
#include "backend/memory/granter.h"
#include "backend/sandbox.h"
#include "backend/say.h"

static struct vr_grants g;
static struct vr_xs_dev dev = {.cfg = {.id = "bad"}};
static uint32_t other_domid, other_ref;
static int socks[2];
static uint8_t *local;

void vr_log(uint32_t guest, const char *id, const char *fmt, ...)
{
    va_list ap;

    (void)guest;
    (void)id;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* ---- what it asks the granter for: 0 when it got it ---- */

static int ask_copy(uint32_t ref, uint8_t *to)
{
    struct vr_gseg seg = {.local = to, .ref = ref, .len = 16, .status = 1};
    int rc = vr_grants_ops.copy(&g, &seg, 1);

    return rc ? rc : seg.status;
}

static int own_pool(void)
{
    return vr_grants_ops.map(&g, &dev.pool.gref_base, 1, true) ? 0 : -1;
}

static int granter_maps(void)
{
    return vr_grants_ops.map(&g, &other_ref, 1, false) ? 0 : -1;
}

static int granter_copies(void)
{
    return ask_copy(other_ref, local);
}

static int granter_copies_pool(void)
{
    return ask_copy(dev.pool.gref_base, local);
}

static int granter_beyond_arena(void)
{
    return ask_copy(dev.iova.gref_base, g.arena + g.arena_size);
}

/* ---- what it does itself ---- */

static int map_at(uint64_t index)
{
    return mmap(NULL, VR_PAGE_SIZE, PROT_READ, MAP_SHARED, g.fd,
                (off_t)index) == MAP_FAILED;
}

static int maps(void)
{
    struct ioctl_gntdev_map_grant_ref m = {.count = 1,
                                           .refs = {{other_domid, other_ref}}};

    if (ioctl(g.fd, IOCTL_GNTDEV_MAP_GRANT_REF, &m))
        return -1;
    return map_at(m.index);
}

static int copies(void)
{
    struct ioctl_gntdev_grant_copy_segment seg = {
        .source.foreign = {.ref = other_ref, .domid = other_domid},
        .dest.virt = local,
        .len = 16,
        .flags = GNTCOPY_source_gref,
    };
    struct ioctl_gntdev_grant_copy all = {1, &seg};

    return ioctl(g.fd, IOCTL_GNTDEV_GRANT_COPY, &all) || seg.status;
}

static int notifies(void)
{
    struct ioctl_gntdev_unmap_notify n = {.action = UNMAP_NOTIFY_CLEAR_BYTE};

    if (own_pool())
        return -1;
    return ioctl(g.fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &n);
}

static int opens(void)
{
    return open("/dev/xen/gntdev", O_RDWR) < 0;
}

/* Whose parent we are. */
static pid_t child(void)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;

    while (d && !found && (e = readdir(d))) {
        char path[300];
        int pid, ppid;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        f = fopen(path, "re");
        if (f && fscanf(f, "%d (vr-granter) %*c %d", &pid, &ppid) == 2 &&
            ppid == getpid())
            found = pid;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return found;
}

static pid_t granter_pid;

static int signals(void)
{
    return kill(granter_pid, 0);
}

static int traces(void)
{
    return ptrace(PTRACE_SEIZE, granter_pid, 0, 0) != 0;
}

static int reads_memory(void)
{
    char buf[8];
    struct iovec to = {buf, 8}, from = {g.req, 8};

    return process_vm_readv(granter_pid, &to, 1, &from, 1, 0) != 8;
}

static int beyond_registered(void)
{
    return map_at(1 << 20);
}

/* Memory, as much as a small driver domain has, page by page. */
static int takes_memory(void)
{
    unsigned int i;

    for (i = 0; i < 32; i++) {
        uint8_t *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            return -1;
        memset(p, 1, 1 << 20);
    }
    return 0;
}

static int takes_shared(void)
{
    return mmap(g.room, 1 << 20, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED;
}

/* 0: done; 1: refused; 2: could not begin. */
static void worker(bool locked, int (*attempt)(void))
{
    struct vr_err err = {"memory"};
    int fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);

    if (fd < 0 || vr_grants_open(&g, &dev.pool, &dev.iova, fd, 4096) ||
        !(local = vr_grants_ops.alloc(&g, 4096)) ||
        vr_granter_start(&g, &dev, socks[1], true, &err)) {
        fprintf(stderr, "badworker: %s: %s\n", err.text, strerror(errno));
        _exit(2);
    }
    granter_pid = child();
    if (locked && vr_sandbox_worker(NULL, fd, -1, 0, &err)) {
        fprintf(stderr, "badworker: %s\n", err.text);
        _exit(2);
    }
    _exit(attempt() ? 1 : 0);
}

static const char *outcome(bool locked, int (*attempt)(void))
{
    int status;
    pid_t pid = fork();

    if (!pid)
        worker(locked, attempt);
    if (waitpid(pid, &status, 0) != pid)
        return "lost";
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? "killed" : "crashed";
    return WEXITSTATUS(status) == 0   ? "done"
           : WEXITSTATUS(status) == 1 ? "refused"
                                      : "broken";
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*attempt)(void);
        bool other; /* with each of the others' grants */
    } attempts[] = {
        {"own pool", own_pool, false},
        {"map", maps, true},
        {"copy", copies, true},
        {"granter maps", granter_maps, true},
        {"granter copies", granter_copies, true},
        {"granter copies from the pool", granter_copies_pool, false},
        {"granter copies beyond the arena", granter_beyond_arena, false},
        {"unmap notification", notifies, false},
        {"not registered", beyond_registered, false},
        {"open", opens, false},
        {"signal to the granter", signals, false},
        {"trace the granter", traces, false},
        {"read the granter", reads_memory, false},
        {"memory", takes_memory, false},
        {"shared memory", takes_shared, false},
    };
    unsigned int i;
    int a;

    if (argc < 8 || argc % 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    dev.guest = strtoul(argv[1], NULL, 0);
    dev.pool.gref_base = strtoul(argv[2], NULL, 0);
    dev.pool.size = strtoull(argv[3], NULL, 0) * VR_PAGE_SIZE;
    dev.iova.gref_base = strtoul(argv[4], NULL, 0);
    dev.iova.size = strtoull(argv[5], NULL, 0) * VR_PAGE_SIZE;
    for (i = 0; i < VR_ARRAY_SIZE(attempts); i++) {
        for (a = 6; a < (attempts[i].other ? argc : 8); a += 2) {
            char whose[64] = "";

            other_domid = strtoul(argv[a], NULL, 0);
            other_ref = strtoul(argv[a + 1], NULL, 0);
            if (attempts[i].other)
                snprintf(whose, sizeof(whose), " %u:%u", other_domid,
                         other_ref);
            printf("%s%s: without %s, ", attempts[i].name, whose,
                   outcome(false, attempts[i].attempt));
            printf("locked %s\n", outcome(true, attempts[i].attempt));
        }
    }
    return 0;
}

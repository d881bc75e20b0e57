/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host for vrctl, in plain memory: domains, grant table, xenstore, records,
 * files of the broker, processes. A test that includes this file has these in
 * place of Xen's libraries, and calls vrctl's commands as main() does.
 *
 *   guest 5   running; disk0 static, disk1 dynamic, disk2 mixed
 *   domain 3  driver domain of disk0 and disk2, shared with other guests
 *   domain 4  driver domain of disk1, made for guest 5
 */
#ifndef TEST_VRCTL_WORLD_H
#define TEST_VRCTL_WORLD_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vrctl/vrctl.h"

#include <libxl.h>
#include <xenforeignmemory.h>
#include <yajl/yajl_tree.h>

#include "fakestore.h"
#include "libs/base/shfile.h"
#include "libs/base/text.h"
#include "libs/proto/maps.h"
#include "libs/proto/pools.h"
#include "libs/window/gntent.h"

#define VW_GUEST   5u
#define VW_SHARED  3u
#define VW_OWNED   4u
#define VW_UUID    "05050505-0505-0505-0505-050505050505"
#define VW_DEVS    3u
#define VW_DOMAINS 8u
#define VW_FRAMES  4u
#define VW_TABLE   (VW_FRAMES * VR_GNTENT_PER_FRAME)
#define VW_PAGES   16u /* of each window */
#define VW_BROKER  4242
#define VW_CREATOR 4243
#define VW_NO_STEP UINT_MAX

struct vw_domain {
    uint32_t domid;
    bool exists;
    uint32_t flags;
    uint8_t handle; /* each byte of it */
};

/* What a clean-up has done, in its order. */
enum vw_did {
    VW_PAUSED,
    VW_SAVED,
    VW_KILLED,
    VW_WITHDRAWN, /* .domid: the nodes of that driver domain's backends */
    VW_DESTROYED, /* .domid */
    VW_REVOKED,   /* all of the guest's entries are free */
    VW_REMOVED,   /* the record */
};

struct vw {
    int64_t now;
    void (*passes)(void); /* called when time has passed */
    struct vw_domain dom[VW_DOMAINS];
    struct vr_gntent table[VW_TABLE];
    int table_version, table_errno;
    uint32_t table_frames;
    bool holds;       /* backends do not let go when they are told to */
    bool live;        /* the broker changes its files all the time */
    bool maps_broken; /* its file of what is mapped is another version's */

    struct vr_record rec;
    bool has_rec;
    int rec_error, list_error; /* -errno; 0: none */
    bool broker, creator;      /* processes that live */
    bool hotplug;              /* a script that runs */
    bool forks;                /* proc_bounded() does */
    bool has_stats, has_pools, has_maps;
    struct vr_stats stats;
    int stats_fd;           /* of the file made of it, 0: none yet */
    struct vr_stats *shown; /* ... which all share */
    struct vr_pools pools;

    /* Steps of a clean-up that can fail; which one is to. */
    unsigned int steps, fail_at;
    bool failed;
    struct {
        enum vw_did did;
        uint32_t domid;
    } trace[64];
    unsigned int ntrace;
    bool no_hypervisor;

    char out[256 * 1024]; /* of the last command */
    char said[8192];      /* on stderr, all lines */
};

static struct vw vw;

#define VW_REQUIRE(x, what)                                                    \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #x); \
            abort();                                                           \
        }                                                                      \
    } while (0)

static struct vw_domain *vw_dom(uint32_t domid)
{
    unsigned int i;

    for (i = 0; i < VW_DOMAINS; i++)
        if (vw.dom[i].exists && vw.dom[i].domid == domid)
            return &vw.dom[i];
    return NULL;
}

static void vw_did(enum vw_did did, uint32_t domid)
{
    VW_REQUIRE(vw.ntrace < VR_ARRAY_SIZE(vw.trace), "it never ends");
    vw.trace[vw.ntrace].did = did;
    vw.trace[vw.ntrace++].domid = domid;
}

/* The place of a deed in the trace; -1: not done. */
static inline int vw_when(enum vw_did did, uint32_t domid)
{
    unsigned int i;

    for (i = 0; i < vw.ntrace; i++)
        if (vw.trace[i].did == did && vw.trace[i].domid == domid)
            return i;
    return -1;
}

/* Is this the step that is to fail? */
static bool vw_fails(void)
{
    bool fails = vw.steps++ == vw.fail_at;

    vw.failed |= fails;
    return fails;
}

static inline unsigned int vw_in_use(void)
{
    unsigned int i, n = 0;

    for (i = 0; i < VW_TABLE; i++)
        n += !!(vw.table[i].flags & VR_GTF_IN_USE);
    return n;
}

/* What is granted to @domid; all of the windows' entries if it is 0. */
static inline unsigned int vw_granted(uint32_t domid)
{
    unsigned int i, n = 0;

    for (i = 8; i < VW_TABLE; i++)
        n += vw.table[i].flags && (!domid || vw.table[i].domid == domid);
    return n;
}

/* Nothing maps the grants of @domid any more. */
static void vw_let_go(uint32_t domid)
{
    unsigned int i;

    for (i = 0; i < VW_TABLE; i++)
        if (vw.table[i].domid == domid)
            vw.table[i].flags &= ~VR_GTF_IN_USE;
}

static char *vw_node(char *path, unsigned int dev, const char *leaf)
{
    const struct vr_record_dev *d = &vw.rec.devs[dev];

    return vr_xs_backend(path, vw.rec.drivers[d->driver].domid, VW_GUEST,
                         d->cfg.id, leaf);
}

/* ---- clock, messages ---- */

uint64_t vr_now_ms(void)
{
    return vw.now;
}

uint64_t vr_now_ns(void)
{
    return vw.now * UINT64_C(1000000);
}

void say(const char *fmt, ...)
{
    size_t len = strlen(vw.said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(vw.said + len, sizeof(vw.said) - len - 1, fmt, ap);
    va_end(ap);
    strcat(vw.said, "\n");
}

/* A sound backend lets go of its windows when its nodes are gone. */
static void vw_backends(void)
{
    char path[VR_XS_PATH];
    unsigned int i;

    for (i = 0; i < VW_DEVS; i++) {
        const uint32_t domid = vw.rec.drivers[vw.rec.devs[i].driver].domid;

        if (find(vw_node(path, i, "state")))
            continue;
        if (vw_when(VW_WITHDRAWN, domid) < 0)
            vw_did(VW_WITHDRAWN, domid);
        if (!vw.holds)
            vw_let_go(domid);
    }
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    vw.now += time->tv_sec * 1000 + time->tv_nsec / 1000000;
    VW_REQUIRE(vw.now < 1000000, "it waits for ever");
    vw_backends();
    if (vw.passes)
        vw.passes();
    return 0;
}

/* ---- processes ---- */

void proc_polite(sigset_t *set)
{
    sigemptyset(set);
}

bool proc_alive(pid_t pid, uint64_t start)
{
    (void)start;
    return (pid == VW_BROKER && vw.broker) || (pid == VW_CREATOR && vw.creator);
}

int proc_kill(pid_t pid, uint64_t start, int wait_ms)
{
    (void)start;
    VW_REQUIRE(wait_ms > 0, "no limit");
    VW_REQUIRE(!pid || pid == VW_BROKER, "kills a stranger");
    vw.broker = false;
    vw_did(VW_KILLED, 0);
    if (!vw_fails())
        return 0;
    /* It has the signal, and ends when it can. */
    vw.now += wait_ms;
    return -ETIMEDOUT;
}

unsigned int proc_children(pid_t pid, pid_t *out, unsigned int max)
{
    VW_REQUIRE(pid == VW_BROKER && max, "children of a stranger");
    out[0] = VW_BROKER + 100;
    return 1;
}

bool proc_hotplug(uint32_t domid)
{
    (void)domid;
    return vw.hotplug;
}

uint64_t proc_rss_kib(pid_t pid)
{
    (void)pid;
    return 1000;
}

/* In this process, unless it is to become another program. What takes too long
 * has not been done. */
int proc_bounded(int (*fn)(void *ctx), void *ctx, unsigned int seconds)
{
    int status;
    pid_t pid;

    VW_REQUIRE(seconds && seconds <= 60, "no limit");
    if (vw_fails()) {
        vw.now += seconds * 1000;
        return -ETIMEDOUT;
    }
    if (!vw.forks)
        return fn(ctx);
    pid = fork();
    VW_REQUIRE(pid >= 0, "fork");
    if (!pid)
        _exit(fn(ctx));
    VW_REQUIRE(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

uint64_t vr_proc_start(pid_t pid)
{
    return proc_alive(pid, 77) ? 77 : 0;
}

char *vr_proc_stat(pid_t pid, char *buf, size_t size)
{
    (void)pid;
    (void)buf;
    (void)size;
    return NULL;
}

/* ---- files ---- */

int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err)
{
    int rc = vw.rec_error ? vw.rec_error : -ENOENT;

    memset(rec, 0, sizeof(*rec));
    if (vw.has_rec && !vw.rec_error && !strcmp(uuid, VW_UUID)) {
        *rec = vw.rec;
        return 0;
    }
    vr_err_set(err, "%s: it cannot be read", uuid);
    return rc;
}

int vr_record_save(const struct vr_record *rec, struct vr_err *err)
{
    if (vw_fails()) {
        vr_err_set(err, "cannot be written");
        return -ENOSPC;
    }
    vw.rec = *rec;
    vw_did(VW_SAVED, 0);
    return 0;
}

void vr_record_remove(const char *uuid)
{
    VW_REQUIRE(!strcmp(uuid, VW_UUID), "another guest's record");
    VW_REQUIRE(vw.has_rec, "removed twice");
    vw.has_rec = false;
    vw_did(VW_REMOVED, 0);
}

int vr_record_list(char (**uuids)[VR_UUID_LEN + 1])
{
    *uuids = NULL;
    if (vw.list_error)
        return vw.list_error;
    if (!vw.has_rec)
        return 0;
    *uuids = calloc(1, sizeof(**uuids));
    VW_REQUIRE(*uuids, "calloc");
    strcpy((*uuids)[0], VW_UUID);
    return 1;
}

/* For the lock: a folder of this process's own. */
static char vw_folder[] = "/tmp/vrctl-test-XXXXXX";

int vr_record_dir(const char *path, bool create, struct vr_err *err)
{
    static bool made;
    int fd;

    (void)path;
    (void)create;
    (void)err;
    if (!made)
        VW_REQUIRE(mkdtemp(vw_folder), "mkdtemp");
    made = true;
    fd = open(vw_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    VW_REQUIRE(fd >= 0, "open");
    return fd;
}

static inline void vw_end(void)
{
    close(vr_record_dir(NULL, false, NULL));
    VW_REQUIRE(!rmdir(vw_folder), "a lock that was left");
}

void *vr_shfile_create(const char *path, size_t size)
{
    (void)path;
    (void)size;
    VW_REQUIRE(false, "vrctl makes no such file");
    return NULL;
}

/* What is written there can be read there. */
static void *vw_stats_file(size_t size)
{
    void *p;

    if (!vw.stats_fd) {
        vw.stats_fd = memfd_create("stats", MFD_CLOEXEC);
        VW_REQUIRE(vw.stats_fd > 0 && !ftruncate(vw.stats_fd, (off_t)size),
                   "memfd");
        vw.shown = vw_stats_file(size); /* for the test */
    }
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vw.stats_fd, 0);
    VW_REQUIRE(p != MAP_FAILED, "mmap");
    return p;
}

void *vr_shfile_join(const char *path, size_t size)
{
    VW_REQUIRE(strstr(path, VW_UUID ".stats"), "another file");
    return vw_stats_file(size);
}

void *vr_shfile_open(const char *path, size_t size)
{
    const char *kind = strrchr(path, '.');
    const void *from = NULL;
    void *p;

    VW_REQUIRE(kind && strstr(path, VW_UUID), "another guest's file");
    if (!strcmp(kind, ".stats") && vw.has_stats)
        return memcpy(vw_stats_file(size), &vw.stats, size);
    if (!strcmp(kind, ".pools") && vw.has_pools)
        from = &vw.pools;
    else if (strcmp(kind, ".maps") || !vw.has_maps) {
        errno = ENOENT;
        return NULL;
    }
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    VW_REQUIRE(p != MAP_FAILED, "mmap");
    if (from) {
        memcpy(p, from, size);
    } else if (!vw.maps_broken) {
        struct vr_maps *maps = p;

        vr_maps_init(maps, &vw.rec);
        /* The first two pages of disk1. */
        maps->bits[vr_maps_offset(&vw.rec, 1)] = 3;
        maps->generation = vw.live;
    }
    return p;
}

/* ---- the hypervisor ---- */

xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *dombuild, unsigned int flags)
{
    (void)logger;
    (void)dombuild;
    (void)flags;
    errno = EACCES;
    return vw.no_hypervisor ? NULL : (xc_interface *)&vw;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

/* As Xen: those there are, from @first on, by their numbers. */
int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    unsigned int i, n = 0;

    (void)xch;
    for (i = 0; i < VW_DOMAINS && n < max; i++) {
        const struct vw_domain *d = &vw.dom[i];

        if (!d->exists || d->domid < first)
            continue;
        memset(&info[n], 0, sizeof(info[n]));
        info[n].domain = d->domid;
        info[n].flags = d->flags;
        memset(info[n].handle, d->handle, sizeof(info[n].handle));
        n++;
    }
    return n;
}

int xc_domain_pause(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    VW_REQUIRE(domid == VW_GUEST, "pauses a stranger");
    if (vw_fails()) {
        errno = EBUSY;
        return -1;
    }
    vw_dom(domid)->flags |= XEN_DOMINF_paused;
    vw_did(VW_PAUSED, domid);
    return 0;
}

int xc_domain_unpause(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    vw_dom(domid)->flags &= ~XEN_DOMINF_paused;
    return 0;
}

/* Xen shows nobody the grant table of a guest that is dying. */
static bool vw_has_table(void)
{
    const struct vw_domain *d = vw_dom(VW_GUEST);

    return d && !(d->flags & XEN_DOMINF_dying);
}

static int vw_destroy(uint32_t domid)
{
    struct vw_domain *d = vw_dom(domid);

    VW_REQUIRE(domid == VW_OWNED || domid == VW_GUEST, "destroys a stranger");
    if (!d)
        return -1;
    VW_REQUIRE(vw.holds || vw.failed || !vw_in_use() || !vw_has_table(),
               "destroyed while pages are in use that nobody will keep");
    d->exists = false;
    vw_let_go(domid);
    if (domid == VW_GUEST)
        memset(vw.table, 0, sizeof(vw.table));
    vw_did(VW_DESTROYED, domid);
    return 0;
}

int xc_domain_destroy(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    return vw_destroy(domid);
}

int xc_gnttab_get_version(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    (void)domid;
    return vw.table_version;
}

int xc_gnttab_query_size(xc_interface *xch, struct gnttab_query_size *q)
{
    (void)xch;
    VW_REQUIRE(q->dom == VW_GUEST, "another guest's table");
    q->nr_frames = vw.table_frames;
    q->status = vw.table_errno ? GNTST_general_error : GNTST_okay;
    return 0;
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger,
                                               unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xenforeignmemory_handle *)&vw;
}

int xenforeignmemory_close(xenforeignmemory_handle *fm)
{
    (void)fm;
    return 0;
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(
    xenforeignmemory_handle *fm, domid_t domid, unsigned int type,
    unsigned int id, unsigned long frame, unsigned long n, void **addr,
    int prot, int flags)
{
    (void)fm;
    (void)type;
    (void)id;
    (void)prot;
    (void)flags;
    VW_REQUIRE(domid == VW_GUEST, "another guest's grants");
    if (!vw_has_table() || frame + n > VW_FRAMES) {
        errno = EINVAL;
        return NULL;
    }
    *addr = &vw.table[frame * VR_GNTENT_PER_FRAME];
    return (xenforeignmemory_resource_handle *)&vw;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fm,
                                    xenforeignmemory_resource_handle *res)
{
    (void)fm;
    (void)res;
    if (vw_when(VW_REVOKED, 0) < 0 && !vw_granted(0))
        vw_did(VW_REVOKED, 0);
    return 0;
}

/* ---- libxl ---- */

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags,
                    xentoollog_logger *lg)
{
    (void)version;
    (void)flags;
    (void)lg;
    *ctx = (libxl_ctx *)&vw;
    return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    (void)ctx;
    return 0;
}

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid,
                         const libxl_asyncop_how *how)
{
    char path[VR_XS_PATH];

    (void)ctx;
    (void)how;
    if (vw_destroy(domid))
        return -1;
    snprintf(path, sizeof(path), "/local/domain/%" PRIu32, domid);
    xs_rm(&store, 0, path);
    return 0;
}

xentoollog_logger_stdiostream *xtl_createlogger_stdiostream(
    FILE *f, xentoollog_level level, unsigned flags)
{
    (void)f;
    (void)level;
    (void)flags;
    return (xentoollog_logger_stdiostream *)&vw;
}

void xtl_logger_destroy(struct xentoollog_logger *logger)
{
    (void)logger;
}

/* ---- xenstore ---- */

static inline void vw_backend_says(unsigned int dev, const char *state,
                                   const char *error)
{
    char path[VR_XS_PATH];

    put(vw_node(path, dev, "state"), state, VW_SHARED);
    put(vw_node(path, dev, "error"), error, VW_SHARED);
}

static inline void vw_broker_says(unsigned int dev, const char *state,
                                  const char *error)
{
    const char *id = vw.rec.devs[dev].cfg.id;
    char path[VR_XS_PATH];

    put(vr_xs_truth(path, VW_GUEST, id, "state"), state, 0);
    put(vr_xs_truth(path, VW_GUEST, id, "error"), error, 0);
}

/* Does xenstore have anything of the guest's devices? */
static inline bool vw_nodes_left(void)
{
    unsigned int i;

    for (i = 0; i < store.n; i++)
        if (strstr(store.nodes[i].path, VR_NAME "/5") ||
            strstr(store.nodes[i].path, "/5/" VR_NAME))
            return true;
    return false;
}

/* ---- the world ---- */

static void vw_init(void)
{
    struct vr_record *r = &vw.rec;
    char path[VR_XS_PATH];
    unsigned int i, k;

    if (vw.stats_fd)
        close(vw.stats_fd);
    memset(&vw, 0, sizeof(vw));
    vw.now = 100000;
    vw.fail_at = VW_NO_STEP;
    vw.table_version = 1;
    vw.table_frames = VW_FRAMES;
    vw.dom[0] = (struct vw_domain){.domid = VW_SHARED, true, 0, 3};
    vw.dom[1] = (struct vw_domain){.domid = VW_OWNED, true, 0, 4};
    vw.dom[2] = (struct vw_domain){.domid = VW_GUEST, true, 0, 5};
    vw.has_rec = vw.broker = vw.has_stats = vw.has_pools = vw.has_maps = true;

    r->phase = VR_PHASE_RUNNING;
    strcpy(r->name, "guest");
    strcpy(r->uuid, VW_UUID);
    r->domid = VW_GUEST;
    r->vcpus = 2;
    r->grant_frames = VW_FRAMES;
    r->broker = VW_BROKER;
    r->creator = VW_CREATOR;
    r->broker_start = r->creator_start = 77;
    r->nram = 1;
    r->ram[0] = (struct vr_record_ram){0x40000, 0x50000};
    r->iommu.present = true;
    r->iommu.mmio_base = 0x2000000;
    r->iommu.irq = 40;
    r->ndrivers = 2;
    for (i = 0; i < 2; i++) {
        struct vr_record_driver *d = &r->drivers[i];
        uint8_t handle[16];

        d->domid = i ? VW_OWNED : VW_SHARED;
        d->owned = i == 1;
        strcpy(d->name, i ? "own" : "shared");
        memset(handle, d->domid, sizeof(handle));
        vr_uuid_format(handle, d->uuid);
    }
    r->ndevs = VW_DEVS;
    for (i = 0; i < VW_DEVS; i++) {
        struct vr_record_dev *d = &r->devs[i];

        d->cfg = (struct vr_dev_cfg){.type = VR_TYPE_block,
                                     .mode = i == 0   ? VR_MODE_STATIC
                                             : i == 1 ? VR_MODE_DYNAMIC
                                                      : VR_MODE_MIXED,
                                     .queues = 1,
                                     .queue_size = 16,
                                     .timeout = 60,
                                     .revoke_ms = 1000};
        snprintf(d->cfg.id, sizeof(d->cfg.id), "disk%u", i);
        strcpy(d->cfg.target, "/dev/xvdb");
        d->driver = i == 1;
        d->mmio_base = 0x2000200 + i * 0x200;
        d->irq = 33 + i;
        if (vr_cfg_has_pool(&d->cfg)) {
            d->cfg.size = VW_PAGES * VR_PAGE_SIZE;
            d->pool = (struct vr_gwin){UINT64_C(0x48000000) + i * 0x10000,
                                       d->cfg.size, 1024 + i * VW_PAGES};
        }
        if (vr_cfg_has_iova(&d->cfg)) {
            d->cfg.aperture = VW_PAGES * VR_PAGE_SIZE;
            d->iova = (struct vr_gwin){(UINT64_C(1) << 36) + i * 0x10000,
                                       d->cfg.aperture, 1536 + i * VW_PAGES};
        }
    }
    vw.stats.magic = VR_STATS_MAGIC;
    vw.stats.ndevs = VW_DEVS;
    vw.pools.magic = VR_POOLS_MAGIC;
    vw.pools.state[0] = vw.pools.state[2] = VR_POOL_GRANTED;

    fs_init();
    for (i = 0; i < 3; i++) {
        static const char *const names[] = {"shared", "own", "guest"};

        snprintf(path, sizeof(path), "/local/domain/%u/name", 3 + i);
        put(path, names[i], 0);
    }
    for (i = 0; i < VW_DEVS; i++) {
        const struct vr_record_dev *d = &r->devs[i];
        const uint32_t domid = r->drivers[d->driver].domid;

        vw_backend_says(i, "4", "");
        vw_broker_says(i, "connected", "");
        for (k = 0; k < VW_PAGES && d->pool.size; k++)
            vw.table[d->pool.gref_base + k] = (struct vr_gntent){
                VR_GTF_PERMIT_ACCESS | VR_GTF_READING | VR_GTF_WRITING, domid,
                (uint32_t)(d->pool.base >> VR_PAGE_SHIFT) + k};
    }
    for (k = 0; k < 2; k++)
        vw.table[r->devs[1].iova.gref_base + k] = (struct vr_gntent){
            VR_GTF_PERMIT_ACCESS | VR_GTF_READING, VW_OWNED, 0x40100 + k};
}

/* ---- running a command ---- */

/* A terminal or a log is not told to do anything: text, and ends of lines. */
static void vw_check_text(const char *text)
{
    const char *line = text;

    while (*line) {
        size_t len = strcspn(line, "\n");
        size_t i;

        for (i = 0; i < len; i++)
            VW_REQUIRE((uint8_t)line[i] >= ' ' && line[i] != 127,
                       "a control character");
        line += len + (line[len] == '\n');
    }
    VW_REQUIRE(!strstr(text, "\xc2\x9b"), "a control sequence");
}

/* A command as from a shell; its words end with NULL. Returns its status. */
static int vw_run(int (*cmd)(int argc, char **argv), ...)
{
    char words[8][64], *argv[9];
    const char *word;
    int argc = 0, status, fd, old;
    va_list ap;
    ssize_t len;

    va_start(ap, cmd);
    while ((word = va_arg(ap, const char *))) {
        argv[argc] = strcpy(words[argc], word);
        argc++;
    }
    va_end(ap);
    argv[argc] = NULL;
    vw.said[0] = '\0';
    fflush(stdout);
    old = dup(1);
    fd = memfd_create("out", MFD_CLOEXEC);
    VW_REQUIRE(old >= 0 && fd >= 0 && dup2(fd, 1) == 1, "stdout");
    status = cmd(argc, argv);
    fflush(stdout);
    dup2(old, 1);
    close(old);
    len = pread(fd, vw.out, sizeof(vw.out) - 1, 0);
    VW_REQUIRE(len >= 0 && (size_t)len < sizeof(vw.out) - 1, "pread");
    vw.out[len] = '\0';
    close(fd);
    vw_check_text(vw.out);
    vw_check_text(vw.said);
    return status;
}

/* What the last command has written, as JSON: it is. Free with
 * yajl_tree_free(). */
static inline yajl_val vw_json(void)
{
    char error[256];
    yajl_val tree = yajl_tree_parse(vw.out, error, sizeof(error));

    if (!tree)
        fprintf(stderr, "%s\n%s\n", error, vw.out);
    VW_REQUIRE(tree && YAJL_IS_OBJECT(tree), "no JSON");
    return tree;
}

/* The text at @array[@i].@key, or at @key if @array is NULL. */
static inline const char *vw_text(yajl_val tree, const char *array,
                                  unsigned int i, const char *key)
{
    const char *list[] = {array, NULL}, *leaf[] = {key, NULL};
    yajl_val v = tree;

    if (array) {
        v = yajl_tree_get(tree, list, yajl_t_array);
        VW_REQUIRE(v && i < YAJL_GET_ARRAY(v)->len, "no such element");
        v = YAJL_GET_ARRAY(v)->values[i];
    }
    v = yajl_tree_get(v, leaf, yajl_t_any);
    VW_REQUIRE(v && (YAJL_IS_STRING(v) || YAJL_IS_NUMBER(v)), "no such key");
    return YAJL_IS_STRING(v) ? YAJL_GET_STRING(v) : YAJL_GET_NUMBER(v);
}

#endif /* TEST_VRCTL_WORLD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the broker's supervisor stands on, in plain memory: hypervisor,
 * xenstore, clock, files, processes, the worker's socket. Each of them looks
 * whether it may be asked for what it is asked for.
 *
 *   device 0  static, of driver domain 3, which others share
 *   device 1  dynamic, of driver domain 4, which is the guest's own
 *   device 2  mixed, of driver domain 3
 */
#ifndef TEST_SUPER_FAKES_H
#define TEST_SUPER_FAKES_H

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/supervisor/supervisor.h"
#include "fakestore.h"
#include "libs/proto/link.h"
#include "libs/base/shfile.h"
#include "libs/xen/gtable.h"

#define SW_GUEST    5u
#define SW_DEVS     3u
#define SW_DRIVERS  2u
#define SW_UUID     "01234567-89ab-cdef-0123-456789abcdef"
#define SW_XL       4242 /* the plug-in's process */
#define SW_MESSAGES 256u
#define SW_TABLE    (4 * VR_GNTENT_PER_FRAME)
/* In one turn, whatever has happened: calls of xenstore, bytes of log. */
#define SW_CALLS 4000u
#define SW_LOG   (1u << 18)

#define SW_REQUIRE(x, what)                                                    \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #x); \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* A domain, as the hypervisor has it. */
struct sw_domain {
    uint32_t domid;
    bool exists;
    bool other; /* it is another one that got the number */
    uint32_t flags;
};

struct sw {
    struct super s;
    int64_t now;
    int link;             /* the plug-in's end; -1: closed */
    int sig;              /* where signals come from */
    struct vr_record rec; /* the file */
    bool no_file;
    struct vr_gntent table[SW_TABLE];
    bool meddled; /* the guest has written to it */
    struct sw_domain dom[1 + SW_DRIVERS];
    bool xl_gone;

    /* the worker */
    bool worker_ended;
    struct vr_msg says[SW_MESSAGES];
    unsigned int nsays;
    struct vr_msg heard[SW_MESSAGES]; /* by it */
    unsigned int nheard;
    bool socket_full;

    /* what the supervisor has done */
    unsigned int cleanups, driver_cleanups, kills[SW_DEVS];
    bool abort;
    int64_t killed_at[SW_DEVS], destroyed_at;
    bool wants_kill[SW_DEVS]; /* the worker has asked for it */
    bool wants_destroy[SW_DEVS];
    bool wants_pool[SW_DEVS];
    bool told_gone[SW_DEVS], told_dead[SW_DEVS];
    unsigned int answers, questions; /* on the link */
    unsigned int lines;              /* of log */
    size_t logged;                   /* in this turn, bytes */
    char line[1024];                 /* the last one */
    char answer;
    char answer_text[VR_LINK_MAX + 1];
};

static struct sw sw;

static const uint32_t sw_domid[SW_DRIVERS] = {3, 4};
static const unsigned int sw_driver[SW_DEVS] = {0, 1, 0};

/* ---- the clock, the log, the files ---- */

uint64_t vr_now_ms(void)
{
    return sw.now;
}

uint64_t vr_now_ns(void)
{
    return sw.now * UINT64_C(1000000);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    sw.now += time->tv_sec * 1000 + time->tv_nsec / 1000000;
    return 0;
}

/* Somebody reads it at a terminal. */
static bool sw_printable(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if ((uint8_t)text[i] < ' ' || text[i] == 127)
            return false;
    return true;
}

void broker_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sw.line, sizeof(sw.line), fmt, ap);
    va_end(ap);
    SW_REQUIRE(sw_printable(sw.line, strlen(sw.line)), "an odd line of log");
    sw.logged += strlen(sw.line) + 26;
    sw.lines++;
}

const char *broker_log_path(void)
{
    return "/var/log/xen/vr-broker-guest.log";
}

void broker_log_move(const char *name)
{
    SW_REQUIRE(name[0], "a log without a name");
}

void broker_title(const char *fmt, ...)
{
    (void)fmt;
}

/* Nothing is left in this machine's folders. */
int mkdir(const char *path, mode_t mode)
{
    return strcmp(path, VR_RUN_DIR) ? mkdirat(AT_FDCWD, path, mode) : 0;
}

int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err)
{
    SW_REQUIRE(!strcmp(uuid, SW_UUID), "another guest's record");
    if (sw.no_file) {
        vr_err_set(err, "no record");
        return -ENOENT;
    }
    *rec = sw.rec;
    return 0;
}

int vr_record_save(const struct vr_record *rec, struct vr_err *err)
{
    (void)err;
    SW_REQUIRE(!strcmp(rec->uuid, SW_UUID), "another guest's record");
    SW_REQUIRE(rec->phase >= sw.rec.phase, "a life that goes backwards");
    sw.rec = *rec;
    return 0;
}

void vr_record_remove(const char *uuid)
{
    SW_REQUIRE(!strcmp(uuid, SW_UUID) && sw.xl_gone, "a record that is needed");
    sw.no_file = true;
}

uint64_t vr_proc_start(pid_t pid)
{
    return pid == SW_XL && sw.xl_gone ? 0 : 77;
}

void *vr_shfile_create(const char *path, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)path;
    SW_REQUIRE(p != MAP_FAILED, "mmap");
    return p;
}

void *vr_shfile_open(const char *path, size_t size)
{
    (void)path;
    (void)size;
    errno = ENOENT;
    return NULL;
}

void *vr_shfile_join(const char *path, size_t size)
{
    (void)path;
    (void)size;
    errno = ENOENT;
    return NULL;
}

/* ---- processes ---- */

int spawn_worker(struct super *s, struct vr_err *err)
{
    (void)err;
    s->sock = 1000;
    s->worker = 1; /* whose figures can be read */
    return 0;
}

void spawn_stop(struct super *s)
{
    s->sock = -1;
    s->worker = 0;
}

void spawn_reap(struct super *s, int options)
{
    (void)options;
    if (sw.worker_ended)
        s->worker = 0;
}

/* The guest's end is the only reason, or that xl gave up before it began. */
void spawn_cleanup(const struct super *s, bool abort_it)
{
    const struct sw_domain *g = &sw.dom[0];
    const bool dead = !g->exists || g->other || g->flags & XEN_DOMINF_dying;

    SW_REQUIRE(!strcmp(s->uuid, SW_UUID), "another guest's clean-up");
    SW_REQUIRE(!s->xs && !s->xch && !s->worker, "a clean-up beside others");
    if (abort_it)
        SW_REQUIRE(s->step < STEP_RUNNING, "an abort of a running guest");
    else
        SW_REQUIRE(dead, "a clean-up of a guest that lives");
    sw.cleanups++;
    sw.abort = abort_it;
}

void spawn_driver_cleanup(struct super *s, const char *driver)
{
    unsigned int i;

    for (i = 0; i < SW_DEVS; i++)
        if (sw.wants_destroy[i] && s->rec.drivers[sw_driver[i]].owned &&
            !strcmp(driver, s->rec.drivers[sw_driver[i]].uuid))
            break;
    SW_REQUIRE(i < SW_DEVS, "the end of a driver domain that nobody asked for");
    SW_REQUIRE(!sw.destroyed_at || sw.now - sw.destroyed_at >= 90000,
               "again and again");
    sw.destroyed_at = sw.now;
    sw.driver_cleanups++;
}

void scope_leave(struct super *s)
{
    (void)s;
}

bool scope_host_ends(pid_t sender)
{
    return sender == 1;
}

/* ---- the worker's socket ---- */

static struct sw_domain *sw_dom(uint32_t domid)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(sw.dom); i++)
        if (sw.dom[i].domid == domid)
            return &sw.dom[i];
    return NULL;
}

static bool sw_gone(unsigned int driver)
{
    return !sw.dom[1 + driver].exists || sw.dom[1 + driver].other;
}

/* Entries of device @dev's pool that grant something; no other domain's. */
static unsigned int sw_pool(unsigned int dev)
{
    const struct vr_gwin *win = &sw.rec.devs[dev].pool;
    unsigned int i, n = 0;

    for (i = 0; i < vr_gwin_pages(win); i++) {
        const struct vr_gntent *e = &sw.table[win->gref_base + i];

        if (!e->flags)
            continue;
        n++;
        SW_REQUIRE(sw.meddled ||
                       vr_gntent_grants(e, sw_domid[sw_driver[dev]],
                                        (win->base >> VR_PAGE_SHIFT) + i),
                   "granted to another domain, or another page");
    }
    return n;
}

int broker_msg_send(int sock, const struct vr_msg *msg)
{
    const struct sw_domain *b;

    SW_REQUIRE(sock == 1000 && msg->dev < SW_DEVS, "a message to nobody");
    b = &sw.dom[1 + sw_driver[msg->dev]];
    if (sw.socket_full || sw.nheard == SW_MESSAGES)
        return -EAGAIN;
    if (msg->type == VR_MSG_GONE) {
        SW_REQUIRE(sw_gone(sw_driver[msg->dev]) ||
                       b->flags & (XEN_DOMINF_dying | XEN_DOMINF_shutdown),
                   "gone, but it is not");
        sw.told_gone[msg->dev] = true;
    } else if (msg->type == VR_MSG_DEAD) {
        SW_REQUIRE(sw_gone(sw_driver[msg->dev]) || b->flags & XEN_DOMINF_dying,
                   "dead, but it is not");
        sw.told_dead[msg->dev] = true;
    } else if (msg->type == VR_MSG_GRANTED) {
        SW_REQUIRE(sw.wants_pool[msg->dev], "granted, but nobody asked");
        SW_REQUIRE(sw.meddled || sw_pool(msg->dev) == 16, "it is not granted");
    } else if (msg->type == VR_MSG_REVOKED) {
        SW_REQUIRE(sw.meddled || sw_pool(msg->dev) == 0, "it is still granted");
    }
    sw.heard[sw.nheard++] = *msg;
    return 0;
}

int broker_msg_recv(int sock, struct vr_msg *msg)
{
    SW_REQUIRE(sock == 1000, "nobody's socket");
    if (!sw.nsays)
        return sw.worker_ended ? -EPIPE : -EAGAIN;
    *msg = sw.says[0];
    memmove(sw.says, sw.says + 1, --sw.nsays * sizeof(sw.says[0]));
    if (msg->type == UINT32_MAX)
        return -EPROTO;
    msg->text[sizeof(msg->text) - 1] = '\0';
    if (msg->dev < SW_DEVS && msg->type == VR_MSG_KILL)
        sw.wants_kill[msg->dev] = true;
    if (msg->dev < SW_DEVS && msg->type == VR_MSG_DESTROY)
        sw.wants_destroy[msg->dev] = true;
    if (msg->dev < SW_DEVS && msg->type == VR_MSG_GRANT)
        sw.wants_pool[msg->dev] = true;
    return 0;
}

/* ---- the hypervisor ---- */

xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *dombuild, unsigned int flags)
{
    (void)logger;
    (void)dombuild;
    (void)flags;
    return (xc_interface *)&sw;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

static void sw_handle(uint32_t domid, bool other, uint8_t uuid[16])
{
    static const uint8_t guest[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
                                      0xcd, 0xef, 0x01, 0x23, 0x45, 0x67,
                                      0x89, 0xab, 0xcd, 0xef};

    memcpy(uuid, guest, 16);
    if (domid != SW_GUEST)
        uuid[0] = domid;
    if (other)
        uuid[15]++;
}

/* As Xen: the next domain there is, from @first on. */
int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    const struct sw_domain *d = sw_dom(first);

    (void)xch;
    SW_REQUIRE(d && max == 1, "asks for a domain of somebody else's");
    memset(info, 0, sizeof(*info));
    info->domain = d->exists ? first : first + 1;
    info->flags = d->flags;
    sw_handle(first, d->other, info->handle);
    return 1;
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger,
                                               unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xenforeignmemory_handle *)&sw;
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
    SW_REQUIRE(domid == SW_GUEST, "another guest's grants");
    SW_REQUIRE((frame + n) * VR_GNTENT_PER_FRAME <= SW_TABLE,
               "outside of the grant table");
    *addr = &sw.table[frame * VR_GNTENT_PER_FRAME];
    return (xenforeignmemory_resource_handle *)&sw;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fm,
                                    xenforeignmemory_resource_handle *res)
{
    (void)fm;
    (void)res;
    return 0;
}

/* ---- what is written to xenstore ---- */

static char *sw_backend(char *path, unsigned int dev, const char *leaf)
{
    char id[8];

    snprintf(id, sizeof(id), "disk%u", dev);
    return vr_xs_backend(path, sw_domid[sw_driver[dev]], SW_GUEST, id, leaf);
}

static void sw_written(const char *path, const char *value, unsigned int len)
{
    char kill[VR_XS_PATH], folder[VR_XS_PATH];
    bool ours = fs_below(path, "/local/domain/5/device/virtio_restricted") ||
                fs_below(path, "/libxl/5/virtio_restricted");
    unsigned int i;

    for (i = 0; i < SW_DEVS; i++) {
        ours |= fs_below(path, sw_backend(folder, i, NULL));
        /* Once more when the transaction has failed. */
        if (strcmp(path, sw_backend(kill, i, VR_XS_KILL)) ||
            !strcmp(value, "0") || sw.killed_at[i] == sw.now)
            continue;
        SW_REQUIRE(sw.wants_kill[i] || sw.wants_destroy[i],
                   "the end of a backend that nobody asked for");
        SW_REQUIRE(!sw.killed_at[i] || sw.now - sw.killed_at[i] >= 500,
                   "again and again");
        sw.kills[i]++;
        sw.killed_at[i] = sw.now;
        sw.wants_kill[i] = false;
    }
    SW_REQUIRE(ours, "a node that is not ours");
    SW_REQUIRE(len <= VR_PATH_LEN && sw_printable(value, len),
               "a value that nobody should read");
}

#endif /* TEST_SUPER_FAKES_H */

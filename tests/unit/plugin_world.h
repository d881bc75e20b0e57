/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host for the plug-in, in plain memory: domains, records, the broker, vrctl,
 * xl and libxl. A test that includes this file has these in place of Xen's
 * libraries and of child.c, and calls the plug-in's functions as its hooks do.
 *
 *   domain 3  driver domain "dd", which guests share
 *   domain 7  and from there on: what the plug-in has libxl make
 *
 * What can fail is a step, and a test says which of them is to.
 */
#ifndef TEST_PLUGIN_WORLD_H
#define TEST_PLUGIN_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xenstore.h>

#include "../../xl-plugin/child.h"
#include "../../xl-plugin/state.h"
#include "../../xl-plugin/xllock.h"
#include "libs/proto/link.h"
#include "libs/xen/down.h"
#include "libs/xen/gtable.h"
#include "libs/xen/zombies.h"

#define PW_UUID    "01234567-89ab-cdef-0123-456789abcdef"
#define PW_OTHER   "11111111-89ab-cdef-0123-456789abcdef"
#define PW_DD      3u
#define PW_DD_UUID "03030303-0303-0303-0303-030303030303"
#define PW_FIRST   7u
#define PW_DOMAINS 16u
#define PW_RECORDS 4u
#define PW_BROKER  4242
#define PW_NEVER   UINT_MAX
#define PW_FRAMES  64u

#define PW_REQUIRE(x, what)                                                    \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #x); \
            abort();                                                           \
        }                                                                      \
    } while (0)

struct pw_domain {
    uint32_t domid;
    char name[2 * VR_NAME_LEN];
    char uuid[VR_UUID_LEN + 1];
    bool dying, shutdown, paused;
};

/* How a broker that is asked fails. */
enum pw_answer { PW_SAYS_NO, PW_SILENT, PW_DIES, PW_BABBLES, PW_BROKEN };

struct pw {
    struct vr_plugin p;
    struct vr_calls real;
    uint64_t now; /* ms */
    struct pw_domain dom[PW_DOMAINS];
    unsigned int ndoms;
    uint32_t next; /* number of the next domain */
    struct vr_record rec[PW_RECORDS];
    unsigned int nrecs;
    char said[8192]; /* all lines */

    /* Steps that can fail; which one is to. */
    unsigned int steps, fail_at;
    bool failed;

    /* the broker */
    bool broker;           /* it lives */
    bool stuck;            /* it does not undo what it is told to */
    enum pw_answer answer; /* when this step fails */
    int link;
    char sent[32]; /* types of messages */

    /* vrctl, and what was destroyed, in this order */
    unsigned int cleanups, aborts;
    bool cleanup_fails;
    uint32_t destroyed[PW_DOMAINS];
    unsigned int ndestroyed;

    /* xl, libxl and the host */
    const char *json, *driver_name, *driver_kernel, *xl_says;
    int xl_status, xl_rc;
    bool leaves; /* libxl does not destroy what it could not build */
    bool past;   /* ... and does not call what it should on the way */
    uint64_t free_kb;
    bool user;
    struct vr_hostinfo host;
    struct vr_gntent table[PW_FRAMES * VR_GNTENT_PER_FRAME];
    unsigned int locks; /* of xl's that were dropped */
    int nics;           /* of a guest that runs; -1: libxl does not know */

    /* notes in xenstore */
    enum vr_down down;
    int down_guests; /* how many use a driver domain */
    int down_rc;
    bool serves;
    struct vr_zombie zombie[VR_ZOMBIES_MAX];
    unsigned int nzombies;
};

static struct pw pw;

static inline bool pw_fails(void)
{
    if (pw.steps++ != pw.fail_at)
        return false;
    pw.failed = true;
    return true;
}

/* ---- words, clock, files ---- */

void vr_say(const char *fmt, ...)
{
    size_t len = strlen(pw.said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(pw.said + len, sizeof(pw.said) - len, fmt, ap);
    va_end(ap);
    PW_REQUIRE(!strpbrk(pw.said + len, "\n\r\033"), "an odd line");
    PW_REQUIRE(!strncmp(pw.said + len, "virtio_restricted", 17),
               "a line that does not name the key");
    PW_REQUIRE(!strstr(pw.said + len, "virtio_restricted: virtio_restricted"),
               "a line that names the key twice");
    strncat(pw.said, "\n", sizeof(pw.said) - strlen(pw.said) - 1);
}

char *vr_uuid_text(const libxl_uuid *uuid, char *buf)
{
    return vr_uuid_format(uuid->uuid, buf);
}

uint64_t vr_now_ms(void)
{
    return pw.now;
}

uint64_t vr_now_ns(void)
{
    return pw.now * 1000000;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    pw.now += time->tv_sec * 1000 + time->tv_nsec / 1000000;
    return 0;
}

struct passwd *getpwnam(const char *name)
{
    static struct passwd user;

    PW_REQUIRE(!strcmp(name, VR_USER), "another user");
    return pw.user ? &user : NULL;
}

int vr_xllock_drop(void)
{
    pw.locks++;
    return 5;
}

void vr_xllock_take(int fd)
{
    PW_REQUIRE(fd == 5 && pw.locks, "a lock that was not dropped");
    pw.locks--;
}

/* ---- domains ---- */

static inline struct pw_domain *pw_dom(uint32_t domid)
{
    unsigned int i;

    for (i = 0; i < pw.ndoms; i++)
        if (pw.dom[i].domid == domid)
            return &pw.dom[i];
    return NULL;
}

static inline struct pw_domain *pw_named(const char *name)
{
    unsigned int i;

    for (i = 0; i < pw.ndoms; i++)
        if (!strcmp(pw.dom[i].name, name))
            return &pw.dom[i];
    return NULL;
}

static inline struct pw_domain *pw_add(uint32_t domid, const char *name,
                                       const char *uuid)
{
    struct pw_domain *d = &pw.dom[pw.ndoms++];

    PW_REQUIRE(pw.ndoms <= PW_DOMAINS, "domains without end");
    memset(d, 0, sizeof(*d));
    d->domid = domid;
    snprintf(d->name, sizeof(d->name), "%s", name);
    snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
    return d;
}

static inline void pw_end(uint32_t domid)
{
    struct pw_domain *d = pw_dom(domid);

    if (!d)
        return;
    *d = pw.dom[--pw.ndoms];
    pw.destroyed[pw.ndestroyed++] = domid;
}

static inline void pw_end_uuid(const char *uuid)
{
    unsigned int i;

    for (i = 0; i < pw.ndoms; i++) {
        if (!strcmp(pw.dom[i].uuid, uuid)) {
            pw_end(pw.dom[i].domid);
            return;
        }
    }
}

static inline void pw_fill(libxl_dominfo *info, const struct pw_domain *d)
{
    info->domid = d->domid;
    info->dying = d->dying;
    info->shutdown = d->shutdown;
    info->paused = d->paused;
    libxl_uuid_from_string(&info->uuid, d->uuid);
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    struct pw_domain *d = pw_dom(domid);

    (void)ctx;
    if (!d)
        return ERROR_DOMAIN_NOTFOUND;
    pw_fill(info, d);
    return 0;
}

libxl_dominfo *libxl_list_domain(libxl_ctx *ctx, int *n)
{
    libxl_dominfo *list;
    unsigned int i;

    (void)ctx;
    if (pw_fails())
        return NULL;
    list = calloc(PW_DOMAINS, sizeof(*list));
    for (i = 0; i < pw.ndoms; i++)
        pw_fill(&list[i], &pw.dom[i]);
    *n = pw.ndoms;
    return list;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    struct pw_domain *d = pw_named(name);

    (void)ctx;
    if (d)
        *domid = d->domid;
    return d ? 0 : ERROR_INVAL;
}

int libxl_domain_qualifier_to_domid(libxl_ctx *ctx, const char *name,
                                    uint32_t *domid)
{
    uint64_t n;

    if (vr_parse_u64(name, VR_DOMID_MAX, &n))
        return libxl_name_to_domid(ctx, name, domid);
    *domid = n;
    return 0;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    struct pw_domain *d = pw_dom(domid);

    (void)ctx;
    return d && d->name[0] ? strdup(d->name) : NULL;
}

int libxl_get_free_memory(libxl_ctx *ctx, uint64_t *kb)
{
    (void)ctx;
    *kb = pw.free_kb;
    return pw.free_kb ? 0 : ERROR_FAIL;
}

int libxl_userdata_store(libxl_ctx *ctx, uint32_t domid, const char *id,
                         const uint8_t *data, int len)
{
    (void)ctx;
    PW_REQUIRE(pw_dom(domid) && data[0] == '{' && len > 2 &&
                   !strcmp(id, "virtio-restricted"),
               "odd userdata");
    return pw_fails() ? ERROR_FAIL : 0;
}

int libxl_domain_config_from_json(libxl_ctx *ctx, libxl_domain_config *config,
                                  const char *json)
{
    (void)ctx;
    PW_REQUIRE(json[0] == '{', "not JSON");
    if (pw_fails())
        return ERROR_FAIL;
    config->c_info.name = strdup(pw.driver_name);
    if (pw.driver_kernel)
        config->b_info.kernel = strdup(pw.driver_kernel);
    return 0;
}

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid,
                                        libxl_domain_config *config,
                                        const libxl_asyncop_how *how)
{
    int i;

    (void)ctx;
    (void)how;
    PW_REQUIRE(pw_dom(domid), "which guest?");
    if (pw.nics < 0)
        return ERROR_FAIL;
    config->b_info.max_vcpus = 1;
    config->nics = calloc(pw.nics + 1, sizeof(*config->nics));
    for (i = 0; i < pw.nics; i++)
        libxl_device_nic_init(&config->nics[i]);
    config->num_nics = pw.nics;
    return 0;
}

/* ---- records ---- */

static inline struct vr_record *pw_rec(const char *uuid)
{
    unsigned int i;

    for (i = 0; i < pw.nrecs; i++)
        if (!strcmp(pw.rec[i].uuid, uuid))
            return &pw.rec[i];
    return NULL;
}

char *vr_record_path(const char *uuid, char *buf)
{
    snprintf(buf, VR_PATH_LEN + 1, VR_RUN_DIR "/%s.json", uuid);
    return buf;
}

int access(const char *path, int mode)
{
    char uuid[VR_UUID_LEN + 1];

    if (sscanf(path, VR_RUN_DIR "/%36s.json", uuid) == 1) {
        if (pw_rec(uuid))
            return 0;
        errno = ENOENT;
        return -1;
    }
    return faccessat(AT_FDCWD, path, mode, 0);
}

int vr_record_save(const struct vr_record *rec, struct vr_err *err)
{
    struct vr_record *r = pw_rec(rec->uuid);

    if (pw_fails()) {
        vr_err_set(err, "record of guest %s: cannot save it: full", rec->name);
        return -ENOSPC;
    }
    PW_REQUIRE(r || pw.nrecs < PW_RECORDS, "records without end");
    *(r ? r : &pw.rec[pw.nrecs++]) = *rec;
    return 0;
}

int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err)
{
    struct vr_record *r = pw_rec(uuid);

    if (!r) {
        vr_err_set(err, "no record of a guest with uuid %s: gone", uuid);
        return -ENOENT;
    }
    if (r->vcpus == UINT32_MAX) {
        vr_err_set(err, "record: not well-formed JSON");
        return -EINVAL;
    }
    *rec = *r;
    return 0;
}

void vr_record_remove(const char *uuid)
{
    struct vr_record *r = pw_rec(uuid);

    if (r)
        *r = pw.rec[--pw.nrecs];
}

int vr_record_list(char (**uuids)[VR_UUID_LEN + 1])
{
    unsigned int i;

    if (pw_fails())
        return -EIO;
    *uuids = calloc(PW_RECORDS, sizeof(**uuids));
    for (i = 0; i < pw.nrecs; i++)
        strcpy((*uuids)[i], pw.rec[i].uuid);
    return pw.nrecs;
}

uint64_t vr_proc_start(pid_t pid)
{
    if (pid == PW_BROKER)
        return pw.broker ? 77 : 0;
    return pid == getpid() ? 78 : 0;
}

/* ---- children: the broker, vrctl, another xl ---- */

/* What broker and vrctl do to undo a creation, or to end a guest. */
static inline void pw_undo(const char *uuid)
{
    struct vr_record *r = pw_rec(uuid);
    unsigned int i;

    if (!r)
        return;
    for (i = 0; i < r->ndrivers; i++)
        if (r->drivers[i].owned)
            pw_end_uuid(r->drivers[i].uuid);
    if (r->phase != VR_PHASE_RUNNING)
        pw_end_uuid(uuid);
    vr_record_remove(uuid);
}

int vr_child_broker(const char *uuid, int *fd, struct vr_err *err)
{
    PW_REQUIRE(pw_rec(uuid), "a broker without a record");
    if (pw_fails()) {
        vr_err_set(err, "cannot start the broker: no");
        return -EAGAIN;
    }
    pw.broker = true;
    pw.link = *fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return 0;
}

int vr_child_cleanup(const char *uuid, bool abort_it, struct vr_err *err)
{
    pw.cleanups++;
    pw.aborts += abort_it;
    if (pw.cleanup_fails) {
        vr_err_set(err, "`vrctl cleanup %s` failed", uuid);
        return -EIO;
    }
    pw.broker = false;
    pw_undo(uuid);
    return 0;
}

int vr_child_capture(const char *path, const char *const *argv,
                     unsigned int timeout_ms, char *out, size_t out_size,
                     char *say, size_t say_size, int *status)
{
    (void)path;
    PW_REQUIRE(timeout_ms && !strcmp(argv[1], "create") &&
                   !strcmp(argv[2], "-n"),
               "another xl");
    snprintf(out, out_size, "%s", pw.json);
    snprintf(say, say_size, "%s", pw.xl_says);
    *status = pw.xl_status;
    return pw.xl_rc;
}

int vr_link_send(int fd, char type, const char *text)
{
    size_t len = strlen(pw.sent);

    PW_REQUIRE(fd == pw.link && fcntl(fd, F_GETFD) >= 0, "a closed link");
    PW_REQUIRE(len < sizeof(pw.sent) - 1, "messages without end");
    pw.sent[len] = type;
    if (!pw.broker)
        return -EPIPE;
    if (type == 'P' || type == 'S')
        PW_REQUIRE(!strcmp(text, PW_UUID), "another guest");
    if (type == 'A' && !pw.stuck) {
        pw_undo(PW_UUID);
        pw.broker = false;
    }
    return 0;
}

int vr_link_recv(int fd, int timeout_ms, char *type, char *text)
{
    struct vr_record *r = pw_rec(PW_UUID);
    char last = pw.sent[strlen(pw.sent) - 1];

    PW_REQUIRE(fd == pw.link && timeout_ms > 0, "no such link");
    text[0] = '\0';
    if (!pw.broker)
        return -EPIPE;
    if (pw_fails()) {
        *type = pw.answer == PW_SAYS_NO ? 'E' : 'X';
        switch (pw.answer) {
        case PW_SAYS_NO:
            strcpy(text, "device disk0: its backend does not answer");
            return 0;
        case PW_BABBLES:
            return 0;
        case PW_SILENT:
            pw.now += timeout_ms;
            return -ETIMEDOUT;
        case PW_DIES:
            pw.broker = false;
            return -EPIPE;
        default:
            return -EMSGSIZE;
        }
    }
    *type = 'O';
    PW_REQUIRE(r, "a broker without a record");
    r->broker = PW_BROKER;
    r->broker_start = 77;
    if (last == 'S')
        r->phase = VR_PHASE_READY;
    if (last == 'C')
        r->phase = VR_PHASE_RUNNING;
    return 0;
}

/* ---- the hypervisor ---- */

int vr_hostinfo_read(struct vr_hostinfo *info, struct vr_err *err)
{
    *info = pw.host;
    if (!pw_fails())
        return 0;
    vr_err_set(err, "hypervisor: cannot reach it");
    return -EPERM;
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *log,
                                               unsigned int flags)
{
    (void)log;
    (void)flags;
    errno = ENODEV;
    return pw_fails() ? NULL : (void *)&pw;
}

int xenforeignmemory_close(xenforeignmemory_handle *fm)
{
    PW_REQUIRE((void *)fm == &pw, "another handle");
    return 0;
}

int vr_gtable_map(struct vr_gtable *gt, xenforeignmemory_handle *fm,
                  uint32_t domid, uint32_t first, uint32_t nframes,
                  bool writable, struct vr_err *err)
{
    (void)fm;
    PW_REQUIRE(pw_dom(domid) && first + nframes <= PW_FRAMES && !writable,
               "the guest's table");
    if (pw_fails()) {
        vr_err_set(err, "domain %u: cannot map grant table frames", domid);
        return -EINVAL;
    }
    *gt = (struct vr_gtable){.entries = pw.table, .nframes = nframes};
    gt->first = first;
    return 0;
}

void vr_gtable_unmap(struct vr_gtable *gt)
{
    gt->entries = NULL;
}

struct vr_gntent *vr_gtable_entry(const struct vr_gtable *gt, uint32_t gref)
{
    PW_REQUIRE(gref >= gt->first * VR_GNTENT_PER_FRAME &&
                   gref < (gt->first + gt->nframes) * VR_GNTENT_PER_FRAME,
               "an entry that is not mapped");
    return &gt->entries[gref];
}

xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b,
                                unsigned int flags)
{
    (void)a;
    (void)b;
    (void)flags;
    return (void *)&pw;
}

int xc_interface_close(xc_interface *xch)
{
    PW_REQUIRE((void *)xch == &pw, "another handle");
    return 0;
}

/* ---- xenstore ---- */

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (void *)&pw;
}

void xs_close(struct xs_handle *xs)
{
    PW_REQUIRE((void *)xs == &pw, "another handle");
}

char **xs_directory(struct xs_handle *xs, xs_transaction_t t, const char *path,
                    unsigned int *n)
{
    (void)xs;
    (void)t;
    PW_REQUIRE(strstr(path, "/backend/" VR_NAME), "another folder");
    *n = pw.serves;
    return pw.serves ? calloc(1, sizeof(char *)) : NULL;
}

const char *vr_down_name(enum vr_down how)
{
    return how == VR_DOWN_NO         ? NULL
           : how == VR_DOWN_POWEROFF ? "poweroff"
                                     : "reboot";
}

int vr_down_note(struct xs_handle *xs, uint32_t b, enum vr_down how)
{
    (void)xs;
    (void)b;
    if (!pw.down_rc)
        pw.down = how;
    return pw.down_rc;
}

enum vr_down vr_down_noted(struct xs_handle *xs, uint32_t b)
{
    (void)xs;
    return b == PW_DD ? pw.down : VR_DOWN_NO;
}

void vr_down_forget(struct xs_handle *xs, uint32_t b)
{
    (void)xs;
    (void)b;
    pw.down = VR_DOWN_NO;
}

int vr_down_guests(xc_interface *xch, uint32_t b, const char *but, char *names,
                   size_t size)
{
    int n = pw.down_guests;

    (void)xch;
    (void)but;
    if (names)
        snprintf(names, size, "web");
    /* The last one ends after it was counted once. */
    if (pw.down_guests == 1 && !names)
        pw.down_guests = 0;
    return b == PW_DD ? n : 0;
}

unsigned int vr_zombie_list(xc_interface *xch, struct xs_handle *xs, uint32_t b,
                            struct vr_zombie *out, unsigned int max)
{
    (void)xch;
    (void)xs;
    if (b != PW_DD)
        return 0;
    memcpy(out, pw.zombie,
           (pw.nzombies < max ? pw.nzombies : max) * sizeof(*out));
    return pw.nzombies;
}

/* ---- the beginning ---- */

static inline void pw_device(const char *text)
{
    struct vr_err err;

    if (vr_cfg_parse(pw.p.ndevs, text, &pw.p.devs[pw.p.ndevs], &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    pw.p.ndevs++;
}

/* The line that was said last has this. */
static inline void pw_said(const char *text)
{
    if (!strstr(pw.said, text))
        fail_msg("not said: \"%s\", but: \"%s\"", text, pw.said);
}

static inline void pw_init(void)
{
    memset(&pw, 0, sizeof(pw));
    pw.p.pending.fd = -1;
    pw.p.real = &pw.real;
    pw.link = -1;
    pw.next = PW_FIRST;
    pw.fail_at = PW_NEVER;
    pw.user = true;
    pw.json = "{}";
    pw.driver_name = "driver";
    pw.xl_says = "";
    pw.host.major = 4;
    pw.host.minor = 18;
    pw.host.hvm = pw.host.ioreq = VR_YES;
    pw_add(0, "Domain-0", "00000000-0000-0000-0000-000000000000");
    pw_add(PW_DD, "dd", PW_DD_UUID);
}

#endif

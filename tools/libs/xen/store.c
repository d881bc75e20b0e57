/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All nodes of a guest's devices in xenstore: publishes, reads and removes
 * them. For broker, plug-in and clean-up; proto/xsnode.c has their names.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/base/text.h"
#include "libs/proto/pools.h"
#include "store.h"

/* Another domain can make a transaction fail by writing to what it touches;
 * so many times we take it again. */
#define TRIES 32

/* The domain we run in, which owns what we write. */
static uint32_t own_domid(struct xs_handle *xs)
{
    unsigned int len;
    char *s = xs_read(xs, XBT_NULL, "domid", &len);
    uint64_t v = 0;

    if (!s || vr_parse_u64(s, VR_DOMID_MAX, &v))
        v = 0;
    free(s);
    return v;
}

/*
 * One batch of writes; the first failure sticks.
 *
 * A node that is made gets its parent's permissions (xenstored's rule, in both
 * implementations), and one that is written again keeps its own: only folders
 * and what differs from its folder need a call of their own. Folders get one
 * always, since they may be there already, made by somebody else.
 */
struct batch {
    struct xs_handle *xs;
    xs_transaction_t t;
    uint32_t owner;
    int rc;
    char path[VR_XS_PATH]; /* that failed */
};

static void batch_fail(struct batch *b, const char *path)
{
    if (b->rc)
        return;
    b->rc = errno ? -errno : -EIO;
    snprintf(b->path, sizeof(b->path), "%s", path);
}

/* No access for others than the owner (who always has it) and @domid. */
static void batch_perms(struct batch *b, const char *path, uint32_t domid,
                        unsigned int perm)
{
    struct xs_permissions p[2] = {
        {.id = b->owner, .perms = XS_PERM_NONE},
        {.id = domid, .perms = perm},
    };

    errno = 0;
    if (!b->rc && !xs_set_permissions(b->xs, b->t, path, p, perm ? 2 : 1))
        batch_fail(b, path);
}

static void batch_dir(struct batch *b, const char *path, uint32_t domid,
                      unsigned int perm)
{
    errno = 0;
    if (!b->rc && !xs_mkdir(b->xs, b->t, path))
        batch_fail(b, path);
    batch_perms(b, path, domid, perm);
}

/* Folders between @path and one that exists are made along with it. */
static void batch_write(struct batch *b, const char *path, const char *value)
{
    errno = 0;
    if (!b->rc && !xs_write(b->xs, b->t, path, value, strlen(value)))
        batch_fail(b, path);
}

static void batch_printf(struct batch *b, const char *path, const char *fmt,
                         ...) __attribute__((format(printf, 3, 4)));

static void batch_printf(struct batch *b, const char *path, const char *fmt,
                         ...)
{
    char value[VR_PATH_LEN + 1];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    batch_write(b, path, value);
}

static bool node_exists(struct xs_handle *xs, xs_transaction_t t,
                        const char *path)
{
    unsigned int len;
    void *v = xs_read(xs, t, path, &len);

    free(v);
    return v != NULL;
}

/*
 * Runs @fill inside one transaction until it commits.
 * Returns 0 or -errno; batch->path then names the node.
 */
static int run_batch(struct batch *b,
                     void (*fill)(struct batch *b, const void *ctx),
                     const void *ctx)
{
    unsigned int i;

    for (i = 0; i < TRIES; i++) {
        b->rc = 0;
        b->path[0] = '\0';
        errno = 0;
        b->t = xs_transaction_start(b->xs);
        if (!b->t) {
            batch_fail(b, "transaction");
            return b->rc;
        }
        fill(b, ctx);
        if (b->rc) {
            xs_transaction_end(b->xs, b->t, true);
            return b->rc;
        }
        if (xs_transaction_end(b->xs, b->t, false))
            return 0;
        batch_fail(b, "transaction");
        if (b->rc != -EAGAIN)
            return b->rc;
    }
    return b->rc;
}

/* ---- publishing a device ---- */

struct publish {
    const struct vr_record *rec;
    unsigned int index; /* of the device; its endpoint at the virtio-iommu */
    const struct vr_record_dev *dev;
    const struct vr_record_driver *drv;
    const struct vr_xs_kv *kv;
    unsigned int nkv;
};

/* Nodes below the home of a domain that is gone would stay for ever. */
static void require_home(struct batch *b, uint32_t domid)
{
    char path[VR_XS_PATH];

    snprintf(path, sizeof(path), "/local/domain/%" PRIu32, domid);
    if (node_exists(b->xs, b->t, path))
        return;
    errno = ENOENT;
    batch_fail(b, path);
}

static void fill_backend(struct batch *b, const struct publish *p)
{
    uint32_t be = p->drv->domid, g = p->rec->domid;
    const char *id = p->dev->cfg.id;
    char path[VR_XS_PATH];
    unsigned int i;

    require_home(b, be);
    /* "backend" belongs to whoever made it; the others are ours. */
    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/backend", be);
    if (!node_exists(b->xs, b->t, path))
        batch_dir(b, path, be, XS_PERM_READ);
    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/backend/%s", be,
             VR_NAME);
    batch_dir(b, path, be, XS_PERM_READ);
    batch_dir(b, vr_xs_backend(path, be, g, NULL, NULL), be, XS_PERM_READ);
    /* What an earlier guest of the same number may have left. */
    xs_rm(b->xs, b->t, vr_xs_backend(path, be, g, id, NULL));
    batch_dir(b, path, be, XS_PERM_READ);
    for (i = 0; i < p->nkv; i++)
        batch_write(b, vr_xs_backend(path, be, g, id, p->kv[i].key),
                    p->kv[i].value);
    batch_write(b, vr_xs_backend(path, be, g, id, VR_XS_KILL), "0");
    batch_write(b, vr_xs_backend(path, be, g, id, "error"), "");
    batch_perms(b, path, be, XS_PERM_READ | XS_PERM_WRITE);
    /* Linux's xenbus takes the folder for one of its devices, and with 1 it
     * would try to probe it at each node. */
    batch_write(b, vr_xs_backend(path, be, g, id, "state"), "2");
    batch_perms(b, path, be, XS_PERM_READ | XS_PERM_WRITE);
}

static void fill_guest(struct batch *b, const struct publish *p)
{
    const struct vr_record_dev *d = p->dev;
    const char *id = d->cfg.id;
    uint32_t g = p->rec->domid;
    char path[VR_XS_PATH];

    require_home(b, g);
    batch_dir(b, vr_xs_guest(path, g, NULL, NULL), g, XS_PERM_READ);
    xs_rm(b->xs, b->t, vr_xs_guest(path, g, id, NULL));
    batch_dir(b, path, g, XS_PERM_READ);
    batch_write(b, vr_xs_guest(path, g, id, "type"), vr_type_name(d->cfg.type));
    batch_write(b, vr_xs_guest(path, g, id, "mode"), vr_mode_name(d->cfg.mode));
    batch_printf(b, vr_xs_guest(path, g, id, "mmio"), "0x%" PRIx64,
                 d->mmio_base);
    batch_printf(b, vr_xs_guest(path, g, id, "irq"), "%" PRIu32, d->irq);
    if (vr_cfg_has_pool(&d->cfg)) {
        batch_printf(b, vr_xs_guest(path, g, id, "pool-base"), "0x%" PRIx64,
                     d->pool.base);
        batch_printf(b, vr_xs_guest(path, g, id, "pool-size"), "0x%" PRIx64,
                     d->pool.size);
        batch_printf(b, vr_xs_guest(path, g, id, "pool-gref"), "%" PRIu32,
                     d->pool.gref_base);
    }
    if (vr_cfg_has_iova(&d->cfg)) {
        batch_printf(b, vr_xs_guest(path, g, id, "iova-base"), "0x%" PRIx64,
                     d->iova.base);
        batch_printf(b, vr_xs_guest(path, g, id, "iova-size"), "0x%" PRIx64,
                     d->iova.size);
        batch_printf(b, vr_xs_guest(path, g, id, "iova-gref"), "%" PRIu32,
                     d->iova.gref_base);
        batch_printf(b, vr_xs_guest(path, g, id, "iommu"), "0x%" PRIx64,
                     p->rec->iommu.mmio_base);
        batch_printf(b, vr_xs_guest(path, g, id, "endpoint"), "%u", p->index);
    }
    /* Linux's xenbus takes any folder below device/ for one of its devices
     * and probes it when the state is 1; with 4, and without a node called
     * "backend", it leaves the folder alone. */
    batch_write(b, vr_xs_guest(path, g, id, "state"), "4");
}

/* What devices behind the virtio-iommu have beside the others. */
static void fill_truth_dynamic(struct batch *b, const struct publish *p)
{
    const struct vr_record_iommu *m = &p->rec->iommu;
    const struct vr_record_dev *d = p->dev;
    const char *id = d->cfg.id;
    uint32_t g = p->rec->domid;
    char path[VR_XS_PATH], text[24];

    batch_printf(b, vr_xs_truth(path, g, id, "iommu/mmio"), "0x%" PRIx64,
                 m->mmio_base);
    batch_printf(b, vr_xs_truth(path, g, id, "iommu/irq"), "%" PRIu32, m->irq);
    batch_printf(b, vr_xs_truth(path, g, id, "iommu/endpoint"), "%u", p->index);
    batch_write(b, vr_xs_truth(path, g, id, "map-threshold"),
                vr_threshold_text(d->cfg.map_threshold, text));
    batch_printf(b, vr_xs_truth(path, g, id, "revoke-timeout"), "%u",
                 d->cfg.revoke_ms);
}

/* Numbered as in the backend's folder: the pool first. */
static void fill_truth_windows(struct batch *b, const struct publish *p)
{
    const char *id = p->dev->cfg.id;
    uint32_t g = p->rec->domid;
    char path[VR_XS_PATH], leaf[24];
    unsigned int kind, n = 0;

    if (vr_cfg_has_pool(&p->dev->cfg)) {
        batch_write(b, vr_xs_truth(path, g, id, "pool-in"),
                    vr_pool_in_name(p->dev->cfg.pool_in));
        batch_write(b, vr_xs_truth(path, g, id, "pool"),
                    vr_pool_state_name(VR_POOL_PRIVATE));
    }
    for (kind = 0; kind < VR_WINDOWS; kind++) {
        const struct vr_gwin *w = vr_record_window(p->dev, kind);

        if (!w)
            continue;
        snprintf(leaf, sizeof(leaf), "window/%u/kind", n);
        batch_write(b, vr_xs_truth(path, g, id, leaf), vr_window_name(kind));
        snprintf(leaf, sizeof(leaf), "window/%u/base", n);
        batch_printf(b, vr_xs_truth(path, g, id, leaf), "0x%" PRIx64, w->base);
        snprintf(leaf, sizeof(leaf), "window/%u/size", n);
        batch_printf(b, vr_xs_truth(path, g, id, leaf), "0x%" PRIx64, w->size);
        snprintf(leaf, sizeof(leaf), "window/%u/gref", n++);
        batch_printf(b, vr_xs_truth(path, g, id, leaf), "%" PRIu32,
                     w->gref_base);
    }
}

static void fill_truth(struct batch *b, const struct publish *p)
{
    const struct vr_record_dev *d = p->dev;
    const char *id = d->cfg.id;
    uint32_t g = p->rec->domid;
    char path[VR_XS_PATH];

    batch_dir(b, vr_xs_truth(path, g, NULL, NULL), 0, 0);
    xs_rm(b->xs, b->t, vr_xs_truth(path, g, id, NULL));
    batch_dir(b, path, 0, 0);
    batch_write(b, vr_xs_truth(path, g, id, "type"), vr_type_name(d->cfg.type));
    batch_write(b, vr_xs_truth(path, g, id, "mode"), vr_mode_name(d->cfg.mode));
    batch_write(b, vr_xs_truth(path, g, id, "uuid"), p->rec->uuid);
    batch_printf(b, vr_xs_truth(path, g, id, "driver-domid"), "%" PRIu32,
                 p->drv->domid);
    batch_write(b, vr_xs_truth(path, g, id, "driver-name"), p->drv->name);
    batch_write(b, vr_xs_truth(path, g, id, "target"), d->cfg.target);
    batch_printf(b, vr_xs_truth(path, g, id, "mmio"), "0x%" PRIx64,
                 d->mmio_base);
    batch_printf(b, vr_xs_truth(path, g, id, "irq"), "%" PRIu32, d->irq);
    fill_truth_windows(b, p);
    if (vr_cfg_has_iova(&d->cfg))
        fill_truth_dynamic(b, p);
    batch_write(b, vr_xs_truth(path, g, id, "error"), "");
    batch_write(b, vr_xs_truth(path, g, id, "state"),
                vr_state_name(VR_STATE_STARTING));
}

static void fill_device(struct batch *b, const void *ctx)
{
    fill_guest(b, ctx);
    fill_truth(b, ctx);
    fill_backend(b, ctx);
}

int vr_store_publish(struct xs_handle *xs, const struct vr_record *rec,
                     unsigned int i, uint32_t ctrl_gref, uint32_t ctrl_port,
                     struct vr_err *err)
{
    const struct vr_record_dev *d = &rec->devs[i];
    struct batch b = {.xs = xs, .owner = own_domid(xs)};
    struct vr_xs_dev dev = {
        .cfg = d->cfg,
        .guest = rec->domid,
        .pool = d->pool,
        .iova = d->iova,
        .ctrl_domid = b.owner,
        .ctrl_gref = ctrl_gref,
        .ctrl_port = ctrl_port,
    };
    struct publish p = {
        .rec = rec,
        .index = i,
        .dev = d,
        .drv = &rec->drivers[d->driver],
    };
    struct vr_xs_kv *kv = calloc(VR_XS_MAX_KV, sizeof(*kv));
    int rc;

    if (!kv) {
        vr_err_set(err, "device %s: out of memory", d->cfg.id);
        return -ENOMEM;
    }
    p.kv = kv;
    p.nkv = vr_xs_dev_format(&dev, kv);
    rc = run_batch(&b, fill_device, &p);
    free(kv);
    if (rc == -ENOENT)
        vr_err_set(err,
                   "device %s: %s is missing from xenstore: guest %s or driver "
                   "domain %s is gone",
                   d->cfg.id, b.path, rec->name, p.drv->name);
    else if (rc)
        vr_err_set(err, "device %s: xenstore: cannot write %s: %s", d->cfg.id,
                   b.path, strerror(-rc));
    return rc;
}

/* ---- the toolstack's view ---- */

struct truth {
    const struct vr_record *rec;
    const char *id, *driver;
    const char *state, *error, *pool;
    const struct vr_stats_dev *stats;
};

/* A guest that was taken away meanwhile must not come back as a folder. */
static bool truth_exists(struct batch *b, const struct truth *t)
{
    char path[VR_XS_PATH];

    return node_exists(b->xs, b->t,
                       vr_xs_truth(path, t->rec->domid, t->id, NULL));
}

static void fill_state(struct batch *b, const void *ctx)
{
    const struct truth *t = ctx;
    char path[VR_XS_PATH], text[VR_REASON_LEN];

    if (!truth_exists(b, t))
        return;
    if (t->error) {
        vr_name_clean(text, sizeof(text), t->error, strlen(t->error));
        batch_write(b, vr_xs_truth(path, t->rec->domid, t->id, "error"), text);
    }
    if (t->state)
        batch_write(b, vr_xs_truth(path, t->rec->domid, t->id, "state"),
                    t->state);
    if (t->pool)
        batch_write(b, vr_xs_truth(path, t->rec->domid, t->id, "pool"),
                    t->pool);
    if (t->driver)
        batch_write(b, vr_xs_truth(path, t->rec->domid, t->id, "driver-name"),
                    t->driver);
}

void vr_store_state(struct xs_handle *xs, const struct vr_record *rec,
                    unsigned int i, enum vr_dev_state state, const char *error)
{
    struct batch b = {.xs = xs};
    struct truth t = {
        .rec = rec,
        .id = rec->devs[i].cfg.id,
        .state = vr_state_name(state),
        .error = error,
    };

    run_batch(&b, fill_state, &t);
}

void vr_store_pool(struct xs_handle *xs, const struct vr_record *rec,
                   unsigned int i, const char *pool)
{
    struct batch b = {.xs = xs};
    struct truth t = {
        .rec = rec,
        .id = rec->devs[i].cfg.id,
        .pool = pool,
    };

    run_batch(&b, fill_state, &t);
}

void vr_store_driver_name(struct xs_handle *xs, const struct vr_record *rec,
                          unsigned int j)
{
    struct truth t = {.rec = rec, .driver = rec->drivers[j].name};
    struct batch b = {.xs = xs};
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        t.id = rec->devs[i].cfg.id;
        if (rec->devs[i].driver == j)
            run_batch(&b, fill_state, &t);
    }
}

/* Some of the figures. Most of the others change whenever the backend is asked
 * whether it is there, and are not worth a transaction. */
struct counter {
    const char *leaf;
    uint64_t value;
};
#define COUNTERS 11

static void counters_of(const struct vr_stats_dev *s, struct counter *c)
{
    const struct counter all[COUNTERS] = {
        {"counters/kicks", s->kicks},
        {"counters/interrupts", s->interrupts},
        {"counters/exits", s->mmio_reads + s->mmio_writes},
        {"counters/resets", s->resets},
        {"counters/faults", s->faults},
        {"counters/requests", s->b.requests},
        {"counters/errors", s->b.errors},
        {"counters/read-bytes", s->b.read_bytes},
        {"counters/write-bytes", s->b.write_bytes},
        {"counters/backend-faults", s->b.faults},
        {"counters/restarts", s->b.restarts},
    };

    memcpy(c, all, sizeof(all));
}

static void fill_counters(struct batch *b, const void *ctx)
{
    const struct truth *t = ctx;
    const struct vr_stats_dev *s = t->stats;
    struct counter c[COUNTERS];
    char path[VR_XS_PATH];
    unsigned int i;

    if (!truth_exists(b, t))
        return;
    counters_of(s, c);
    for (i = 0; i < COUNTERS; i++)
        batch_printf(b, vr_xs_truth(path, t->rec->domid, t->id, c[i].leaf),
                     "%" PRIu64, c[i].value);
    if (s->b.faults || s->faults)
        batch_printf(
            b, vr_xs_truth(path, t->rec->domid, t->id, "counters/last-fault"),
            "0x%" PRIx64, s->b.faults ? s->b.fault_addr : s->fault_addr);
}

bool vr_store_same_counters(const struct vr_stats_dev *s,
                            const struct vr_stats_dev *t)
{
    struct counter c[COUNTERS], d[COUNTERS];

    counters_of(s, c);
    counters_of(t, d);
    return !memcmp(c, d, sizeof(c));
}

void vr_store_counters(struct xs_handle *xs, const struct vr_record *rec,
                       unsigned int i, const struct vr_stats_dev *s)
{
    struct batch b = {.xs = xs};
    struct truth t = {.rec = rec, .id = rec->devs[i].cfg.id, .stats = s};

    run_batch(&b, fill_counters, &t);
}

enum vr_xbstate vr_store_backend_state(struct xs_handle *xs,
                                       const struct vr_record *rec,
                                       unsigned int i, char *why, size_t size)
{
    const struct vr_record_dev *d = &rec->devs[i];
    uint32_t be = rec->drivers[d->driver].domid;
    enum vr_xbstate state;
    char path[VR_XS_PATH];
    unsigned int len = 0;
    char *v;

    v = xs_read(xs, XBT_NULL,
                vr_xs_backend(path, be, rec->domid, d->cfg.id, "state"), &len);
    state = vr_xbstate_parse(v, len);
    free(v);
    if (!why || !size)
        return state;
    why[0] = '\0';
    v = xs_read(xs, XBT_NULL,
                vr_xs_backend(path, be, rec->domid, d->cfg.id, "error"), &len);
    if (v)
        vr_xs_sanitise(why, size, v, len);
    free(v);
    return state;
}

/* ---- asking for another worker ---- */

static void fill_kill(struct batch *b, const void *ctx)
{
    const char *path = ctx;
    unsigned int len = 0;
    char *v = xs_read(b->xs, b->t, path, &len);
    uint64_t n = 0;

    if (!v) {
        if (!errno)
            errno = ENOENT;
        batch_fail(b, path);
        return;
    }
    /* Ours alone to write: another value than a number cannot be. */
    if (vr_parse_u64(v, UINT32_MAX, &n))
        n = 0;
    free(v);
    batch_printf(b, path, "%" PRIu64, n + 1);
}

int vr_store_kill(struct xs_handle *xs, const struct vr_record *rec,
                  unsigned int i)
{
    const struct vr_record_dev *d = &rec->devs[i];
    struct batch b = {.xs = xs};
    char path[VR_XS_PATH];

    return run_batch(&b, fill_kill,
                     vr_xs_backend(path, rec->drivers[d->driver].domid,
                                   rec->domid, d->cfg.id, VR_XS_KILL));
}

/* ---- withdrawing ---- */

static void fill_withdraw(struct batch *b, const void *ctx)
{
    const char *path = ctx;
    char folder[VR_XS_PATH], **names;
    unsigned int num = 0;
    bool empty;
    char *slash;

    /* Nothing there, or nobody there any more: as it should be. */
    if (!xs_rm(b->xs, b->t, path))
        return;
    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    *slash = '\0';
    names = xs_directory(b->xs, b->t, folder, &num);
    empty = names && !num;
    free(names);
    if (empty)
        xs_rm(b->xs, b->t, folder);
}

void vr_store_withdraw(struct xs_handle *xs, const struct vr_record *rec,
                       bool all)
{
    struct batch b = {.xs = xs};
    char path[VR_XS_PATH];
    unsigned int i;

    if (rec->domid == VR_DOMID_NONE)
        return;
    for (i = 0; i < rec->ndrivers; i++) {
        if (rec->drivers[i].domid == VR_DOMID_NONE)
            continue;
        vr_xs_backend(path, rec->drivers[i].domid, rec->domid, NULL, NULL);
        run_batch(&b, fill_withdraw, path);
    }
    if (!all)
        return;
    xs_rm(xs, XBT_NULL, vr_xs_guest(path, rec->domid, NULL, NULL));
    xs_rm(xs, XBT_NULL, vr_xs_truth(path, rec->domid, NULL, NULL));
}

/* ---- what libxl has left ---- */

static unsigned int remove_node(struct xs_handle *xs, const char *path)
{
    return node_exists(xs, XBT_NULL, path) && xs_rm(xs, XBT_NULL, path);
}

unsigned int vr_store_forget(struct xs_handle *xs, uint32_t domid)
{
    const uint32_t own = own_domid(xs);
    unsigned int i, num = 0, n = 0;
    char path[VR_XS_PATH], **kinds;

    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/backend", own);
    kinds = xs_directory(xs, XBT_NULL, path, &num);
    for (i = 0; kinds && i < num; i++) {
        snprintf(path, sizeof(path),
                 "/local/domain/%" PRIu32 "/backend/%.64s/%" PRIu32, own,
                 kinds[i], domid);
        n += remove_node(xs, path);
    }
    free(kinds);
    snprintf(path, sizeof(path), "/local/domain/%" PRIu32, domid);
    n += remove_node(xs, path);
    snprintf(path, sizeof(path), "/libxl/%" PRIu32, domid);
    n += remove_node(xs, path);
    return n;
}

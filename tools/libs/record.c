/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record as JSON. One table per object says which keys it has, where they
 * go and what they may be; writer and parser both walk the tables, so neither
 * can know a key that the other does not. The parser is event driven and has
 * a place for three levels only: deeper nesting is refused as it appears.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#include "bounds.h"
#include "gntent.h"
#include "record.h"

enum kind {
    K_STRING, /* size: of the array, with its terminator */
    K_NUMBER, /* size 4 or 8; unsigned; at most max */
    K_BOOL,
    K_PHASE,
    K_TYPE,
    K_MODE,
    K_POOL_IN,
    K_ARRAY, /* of objects: max entries, elem describes one */
    K_VERSION,
};

struct object;

struct field {
    const char *key;
    enum kind kind;
    size_t offset, size;
    uint64_t max;
    const struct object *elem;
    size_t count_offset; /* K_ARRAY: of an unsigned int */
    /* The versions that have it: 0: from the first, to the newest. */
    uint64_t since, until;
};

struct object {
    const char *name;
    size_t size;
    const struct field *fields;
    unsigned int nfields;
};

#define AT(type, m) offsetof(struct type, m), sizeof(((struct type *)0)->m)
#define STRING(type, m, k)                                                     \
    {                                                                          \
        k, K_STRING, AT(type, m), 0, NULL, 0, 0, 0                             \
    }
#define NUMBERS(type, m, k, max, since, until)                                 \
    {                                                                          \
        k, K_NUMBER, AT(type, m), max, NULL, 0, since, until                   \
    }
#define NUMBER(type, m, k, max)  NUMBERS(type, m, k, max, 0, 0)
#define NUMBER2(type, m, k, max) NUMBERS(type, m, k, max, 2, 0)
#define NUMBER3(type, m, k, max) NUMBERS(type, m, k, max, 3, 0)
#define OTHER(type, m, k, kind)                                                \
    {                                                                          \
        k, kind, AT(type, m), 0, NULL, 0, 0, 0                                 \
    }
#define OTHER2(type, m, k, kind)                                               \
    {                                                                          \
        k, kind, AT(type, m), 0, NULL, 0, 2, 0                                 \
    }
#define OTHER4(type, m, k, kind)                                               \
    {                                                                          \
        k, kind, AT(type, m), 0, NULL, 0, 4, 0                                 \
    }
#define OBJECT(type, n, f)                                                     \
    {                                                                          \
        n, sizeof(struct type), f, VR_ARRAY_SIZE(f)                            \
    }

/* Addresses: what a 32-bit frame number of a version 1 grant can name. */
#define ADDR_MAX ((UINT64_C(1) << (32 + VR_PAGE_SHIFT)) - 1)
#define PID_MAX  UINT64_C(0x7fffffff)

/* Frames [start, end): end is one more than a 32-bit number can be. */
#define GFN_END (UINT64_C(1) << 32)

static const struct field ram_fields[] = {
    NUMBER(vr_record_ram, start, "start", GFN_END),
    NUMBER(vr_record_ram, end, "end", GFN_END),
};
static const struct object ram_object =
    OBJECT(vr_record_ram, "RAM bank", ram_fields);

static const struct field driver_fields[] = {
    STRING(vr_record_driver, name, "name"),
    STRING(vr_record_driver, uuid, "uuid"),
    NUMBER(vr_record_driver, domid, "domid", VR_DOMID_NONE),
    OTHER(vr_record_driver, owned, "owned", K_BOOL),
    STRING(vr_record_driver, config, "config"),
};
static const struct object driver_object =
    OBJECT(vr_record_driver, "driver domain", driver_fields);

static const struct field dev_fields[] = {
    STRING(vr_record_dev, cfg.id, "id"),
    OTHER(vr_record_dev, cfg.type, "type", K_TYPE),
    OTHER(vr_record_dev, cfg.mode, "mode", K_MODE),
    NUMBER(vr_record_dev, cfg.size, "size", ADDR_MAX),
    OTHER(vr_record_dev, cfg.has_base, "has_base", K_BOOL),
    NUMBER(vr_record_dev, cfg.base, "base", ADDR_MAX),
    OTHER4(vr_record_dev, cfg.pool_in, "pool_in", K_POOL_IN),
    NUMBER2(vr_record_dev, cfg.aperture, "aperture", ADDR_MAX),
    NUMBER2(vr_record_dev, cfg.map_threshold, "map_threshold", VR_NEVER_MAP),
    NUMBER2(vr_record_dev, cfg.revoke_ms, "revoke_ms", VR_REVOKE_MS_MAX),
    STRING(vr_record_dev, cfg.driver, "driver_config"),
    STRING(vr_record_dev, cfg.backend, "backend"),
    STRING(vr_record_dev, cfg.target, "target"),
    OTHER(vr_record_dev, cfg.readonly, "readonly", K_BOOL),
    NUMBER(vr_record_dev, cfg.queues, "queues", VR_MAX_QUEUES),
    NUMBER(vr_record_dev, cfg.queue_size, "queue_size", VR_MAX_QUEUE_SIZE),
    STRING(vr_record_dev, cfg.serial, "serial"),
    OTHER(vr_record_dev, cfg.discard, "discard", K_BOOL),
    NUMBER(vr_record_dev, cfg.timeout, "timeout", UINT32_MAX),
    NUMBER(vr_record_dev, cfg.poll_us, "poll_us", UINT32_MAX),
    NUMBER(vr_record_dev, driver, "driver", VR_MAX_DEVICES - 1),
    NUMBER(vr_record_dev, mmio_base, "mmio_base", ADDR_MAX),
    NUMBER(vr_record_dev, irq, "irq", 1019),
    /* The one window of older versions: complete() finds its place. */
    NUMBERS(vr_record_dev, pool.base, "dma_base", ADDR_MAX, 0, 2),
    NUMBERS(vr_record_dev, pool.size, "dma_size", ADDR_MAX, 0, 2),
    NUMBERS(vr_record_dev, pool.gref_base, "gref_base", UINT32_MAX, 0, 2),
    NUMBER3(vr_record_dev, pool.base, "pool_base", ADDR_MAX),
    NUMBER3(vr_record_dev, pool.size, "pool_size", ADDR_MAX),
    NUMBER3(vr_record_dev, pool.gref_base, "pool_gref", UINT32_MAX),
    NUMBER3(vr_record_dev, iova.base, "iova_base", ADDR_MAX),
    NUMBER3(vr_record_dev, iova.size, "iova_size", ADDR_MAX),
    NUMBER3(vr_record_dev, iova.gref_base, "iova_gref", UINT32_MAX),
};
static const struct object dev_object =
    OBJECT(vr_record_dev, "device", dev_fields);

static const struct field root_fields[] = {
    {"version", K_VERSION, 0, 0, VR_RECORD_VERSION, NULL, 0, 0, 0},
    OTHER(vr_record, phase, "phase", K_PHASE),
    STRING(vr_record, name, "name"),
    STRING(vr_record, uuid, "uuid"),
    NUMBER(vr_record, domid, "domid", VR_DOMID_NONE),
    NUMBER(vr_record, vcpus, "vcpus", 8192),
    NUMBER(vr_record, grant_frames, "grant_frames", 1 << 20),
    NUMBER(vr_record, creator, "creator", PID_MAX),
    NUMBER(vr_record, creator_start, "creator_start", INT64_MAX),
    NUMBER(vr_record, broker, "broker", PID_MAX),
    NUMBER(vr_record, broker_start, "broker_start", INT64_MAX),
    {"ram", K_ARRAY, AT(vr_record, ram), VR_MAX_BANKS, &ram_object,
     offsetof(struct vr_record, nram), 2, 0},
    OTHER2(vr_record, iommu.present, "iommu", K_BOOL),
    NUMBER2(vr_record, iommu.mmio_base, "iommu_mmio_base", ADDR_MAX),
    NUMBER2(vr_record, iommu.irq, "iommu_irq", 1019),
    {"drivers", K_ARRAY, AT(vr_record, drivers), VR_MAX_DEVICES, &driver_object,
     offsetof(struct vr_record, ndrivers), 0, 0},
    {"devices", K_ARRAY, AT(vr_record, devs), VR_MAX_DEVICES, &dev_object,
     offsetof(struct vr_record, ndevs), 0, 0},
};
static const struct object root_object =
    OBJECT(vr_record, "record", root_fields);

_Static_assert(sizeof(pid_t) == 4 && sizeof(enum vr_phase) == 4 &&
                   sizeof(enum vr_type) == 4 && sizeof(enum vr_mode) == 4 &&
                   sizeof(enum vr_pool_in) == 4,
               "fields are read and written as 4 bytes");

static const char *const phase_names[] = {
    [VR_PHASE_CREATING] = "creating",
    [VR_PHASE_READY] = "ready",
    [VR_PHASE_RUNNING] = "running",
    [VR_PHASE_CLOSING] = "closing",
};

const char *vr_phase_name(enum vr_phase phase)
{
    if ((unsigned int)phase >= VR_ARRAY_SIZE(phase_names))
        return NULL;
    return phase_names[phase];
}

unsigned int vr_record_endpoints(const struct vr_record *rec)
{
    unsigned int i, n = 0;

    for (i = 0; i < rec->ndevs; i++)
        n += vr_cfg_has_iova(&rec->devs[i].cfg);
    return n;
}

bool vr_record_placed(const struct vr_record_dev *dev)
{
    return (!vr_cfg_has_pool(&dev->cfg) ||
            (dev->pool.size && dev->pool.gref_base)) &&
           (!vr_cfg_has_iova(&dev->cfg) ||
            (dev->iova.size && dev->iova.gref_base));
}

static int phase_parse(const char *s, uint32_t *out)
{
    uint32_t i;

    for (i = 0; i < VR_ARRAY_SIZE(phase_names); i++) {
        if (!strcmp(s, phase_names[i])) {
            *out = i;
            return 0;
        }
    }
    return -EINVAL;
}

/* ---- writing ---- */

static uint64_t get_number(const void *p, size_t size)
{
    uint32_t v32;
    uint64_t v64;

    if (size == sizeof(v32)) {
        memcpy(&v32, p, sizeof(v32));
        return v32;
    }
    memcpy(&v64, p, sizeof(v64));
    return v64;
}

static yajl_gen_status gen_text(yajl_gen g, const char *s)
{
    if (!s)
        return yajl_gen_invalid_string;
    return yajl_gen_string(g, (const unsigned char *)s, strlen(s));
}

static yajl_gen_status gen_number(yajl_gen g, uint64_t v)
{
    char buf[24];
    int len = snprintf(buf, sizeof(buf), "%" PRIu64, v);

    return yajl_gen_number(g, buf, len);
}

static yajl_gen_status gen_object(yajl_gen g, const struct object *o,
                                  const char *base);

static yajl_gen_status gen_array(yajl_gen g, const struct field *f,
                                 const char *base)
{
    unsigned int i, n = get_number(base + f->count_offset, sizeof(n));
    yajl_gen_status r = yajl_gen_array_open(g);

    for (i = 0; !r && i < n && i < f->max; i++)
        r = gen_object(g, f->elem, base + f->offset + i * f->elem->size);
    return r ? r : yajl_gen_array_close(g);
}

static yajl_gen_status gen_value(yajl_gen g, const struct field *f,
                                 const char *base)
{
    const char *p = base + f->offset;

    switch (f->kind) {
    case K_STRING:
        return gen_text(g, p);
    case K_NUMBER:
        return gen_number(g, get_number(p, f->size));
    case K_BOOL:
        return yajl_gen_bool(g, *(const bool *)p);
    case K_PHASE:
        return gen_text(g, vr_phase_name(get_number(p, 4)));
    case K_TYPE:
        return gen_text(g, vr_type_name(get_number(p, 4)));
    case K_MODE:
        return gen_text(g, vr_mode_name(get_number(p, 4)));
    case K_POOL_IN:
        return gen_text(g, vr_pool_in_name(get_number(p, 4)));
    case K_VERSION:
        return gen_number(g, VR_RECORD_VERSION);
    case K_ARRAY:
        return gen_array(g, f, base);
    }
    return yajl_gen_in_error_state;
}

static yajl_gen_status gen_object(yajl_gen g, const struct object *o,
                                  const char *base)
{
    yajl_gen_status r = yajl_gen_map_open(g);
    unsigned int i;

    for (i = 0; !r && i < o->nfields; i++) {
        if (o->fields[i].until)
            continue; /* no longer written */
        r = gen_text(g, o->fields[i].key);
        if (!r)
            r = gen_value(g, &o->fields[i], base);
    }
    return r ? r : yajl_gen_map_close(g);
}

int vr_record_to_json(const struct vr_record *rec, char **out)
{
    yajl_gen g = yajl_gen_alloc(NULL);
    const unsigned char *buf;
    size_t len;
    int rc;

    *out = NULL;
    if (!g)
        return -ENOMEM;
    yajl_gen_config(g, yajl_gen_beautify, 1);
    yajl_gen_config(g, yajl_gen_validate_utf8, 1);
    rc = -EINVAL;
    if (gen_object(g, &root_object, (const char *)rec) ||
        yajl_gen_get_buf(g, &buf, &len))
        goto out;
    rc = -ENOMEM;
    *out = strndup((const char *)buf, len);
    if (!*out)
        goto out;
    rc = 0;
out:
    yajl_gen_free(g);
    return rc;
}

/* ---- parsing ---- */

/* Bits 1 to VR_RECORD_VERSION. */
#define ALL_VERSIONS ((2u << VR_RECORD_VERSION) - 2u)

#define LEVELS 2 /* the record, and an element of one of its arrays */

struct level {
    const struct object *object;
    char *base;                /* the structure that is being filled */
    const struct field *field; /* key seen, value to come */
    uint64_t seen;             /* bit per field of object */
    bool in_array;             /* between '[' and ']' of field */
};

struct parser {
    struct vr_record *rec;
    struct vr_err *err;
    struct level level[LEVELS];
    unsigned int depth; /* levels in use */
    uint64_t version;   /* 0: not seen yet; it may come last */
    unsigned int fits;  /* bit per version that has just the keys seen */
    bool done;
};

_Static_assert(VR_ARRAY_SIZE(dev_fields) <= 64, "struct level, seen");

static int refuse(struct parser *p, const char *what)
{
    const struct level *l = p->depth ? &p->level[p->depth - 1] : NULL;

    vr_err_set(p->err, "record: %s%s%s: %s", l ? l->object->name : "top level",
               l && l->field ? ", " : "", l && l->field ? l->field->key : "",
               what);
    return 0; /* yajl: stop */
}

/* The field that the next scalar belongs to, if it is one of @kind. */
static struct level *expect(struct parser *p, enum kind kind)
{
    struct level *l = p->depth ? &p->level[p->depth - 1] : NULL;

    if (!l || !l->field || l->in_array || l->field->kind != kind) {
        refuse(p, "value of the wrong type");
        return NULL;
    }
    return l;
}

static int on_null(void *ctx)
{
    return refuse(ctx, "null is no value");
}

static int on_bool(void *ctx, int v)
{
    struct level *l = expect(ctx, K_BOOL);

    if (!l)
        return 0;
    *(bool *)(l->base + l->field->offset) = v;
    l->field = NULL;
    return 1;
}

static int on_number(void *ctx, const char *s, size_t len)
{
    struct parser *p = ctx;
    struct level *l = p->depth ? &p->level[p->depth - 1] : NULL;
    char text[24];
    uint64_t v;
    uint32_t v32;

    if (!l || !l->field || l->field->kind != K_VERSION)
        l = expect(p, K_NUMBER);
    if (!l)
        return 0;
    if (len >= sizeof(text))
        return refuse(p, "number out of range");
    memcpy(text, s, len);
    text[len] = '\0';
    /* Also turns away a sign, a fraction and an exponent. */
    if (vr_parse_u64(text, l->field->max, &v))
        return refuse(p, "number out of range");
    if (l->field->kind == K_VERSION) {
        if (!v)
            return refuse(p, "unknown version of the record's layout");
        p->version = v;
    } else if (l->field->size == sizeof(v32)) {
        v32 = v;
        memcpy(l->base + l->field->offset, &v32, sizeof(v32));
    } else {
        memcpy(l->base + l->field->offset, &v, sizeof(v));
    }
    l->field = NULL;
    return 1;
}

static int set_enum(const struct field *f, const char *text, char *dst)
{
    enum vr_type type;
    enum vr_mode mode;
    enum vr_pool_in where;
    uint32_t phase;
    int rc;

    switch (f->kind) {
    case K_PHASE:
        rc = phase_parse(text, &phase);
        if (!rc)
            memcpy(dst, &phase, sizeof(phase));
        return rc;
    case K_TYPE:
        rc = vr_type_parse(text, &type);
        if (!rc)
            memcpy(dst, &type, sizeof(type));
        return rc;
    case K_MODE:
        rc = vr_mode_parse(text, &mode);
        if (!rc)
            memcpy(dst, &mode, sizeof(mode));
        return rc;
    case K_POOL_IN:
        rc = vr_pool_in_parse(text, &where);
        if (!rc)
            memcpy(dst, &where, sizeof(where));
        return rc;
    default:
        return -EINVAL;
    }
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
    struct parser *p = ctx;
    struct level *l = p->depth ? &p->level[p->depth - 1] : NULL;
    char text[32];
    size_t i;

    if (!l || !l->field || l->in_array)
        return refuse(p, "value of the wrong type");
    for (i = 0; i < len; i++)
        if (s[i] < 0x20 || s[i] == 0x7f)
            return refuse(p, "control character in a text");
    if (l->field->kind == K_STRING) {
        if (len >= l->field->size)
            return refuse(p, "text too long");
        memcpy(l->base + l->field->offset, s, len);
        l->base[l->field->offset + len] = '\0';
    } else {
        if (len >= sizeof(text))
            return refuse(p, "unknown name");
        memcpy(text, s, len);
        text[len] = '\0';
        if (set_enum(l->field, text, l->base + l->field->offset))
            return refuse(p, "unknown name");
    }
    l->field = NULL;
    return 1;
}

static int on_map(void *ctx)
{
    struct parser *p = ctx;
    struct level *l = p->depth ? &p->level[p->depth - 1] : NULL;
    struct level *next;
    unsigned int n;

    if (p->done || p->depth == LEVELS)
        return refuse(p, "object where none belongs");
    next = &p->level[p->depth];
    memset(next, 0, sizeof(*next));
    if (!l) {
        next->object = &root_object;
        next->base = (char *)p->rec;
    } else {
        if (!l->in_array)
            return refuse(p, "object where none belongs");
        memcpy(&n, l->base + l->field->count_offset, sizeof(n));
        if (n >= l->field->max)
            return refuse(p, "too many entries");
        next->object = l->field->elem;
        next->base = l->base + l->field->offset + n * next->object->size;
        n++;
        memcpy(l->base + l->field->count_offset, &n, sizeof(n));
    }
    p->depth++;
    return 1;
}

/* Bit per version that has field @f. */
static unsigned int versions(const struct field *f)
{
    unsigned int first = f->since ? (unsigned int)f->since : 1;
    unsigned int last = f->until ? (unsigned int)f->until : VR_RECORD_VERSION;

    return (2u << last) - (1u << first);
}

static int on_key(void *ctx, const unsigned char *s, size_t len)
{
    struct parser *p = ctx;
    struct level *l = &p->level[p->depth - 1];
    unsigned int i;

    for (i = 0; i < l->object->nfields; i++) {
        const struct field *f = &l->object->fields[i];

        if (strlen(f->key) != len || memcmp(f->key, s, len))
            continue;
        l->field = f;
        if (l->seen & (UINT64_C(1) << i))
            return refuse(p, "given twice");
        l->seen |= UINT64_C(1) << i;
        p->fits &= versions(f);
        return 1;
    }
    return refuse(p, "unknown key");
}

static int on_map_end(void *ctx)
{
    struct parser *p = ctx;
    struct level *l = &p->level[p->depth - 1];
    unsigned int i;

    for (i = 0; i < l->object->nfields; i++) {
        if (l->seen & (UINT64_C(1) << i))
            continue;
        l->field = &l->object->fields[i];
        if (versions(l->field) == ALL_VERSIONS)
            return refuse(p, "missing");
        p->fits &= ~versions(l->field);
    }
    l->field = NULL;
    p->depth--;
    if (p->depth)
        return 1;
    p->done = true;
    if (!(p->fits >> p->version & 1))
        return refuse(p, "keys do not fit the version");
    return 1;
}

static int on_array(void *ctx)
{
    struct level *l = expect(ctx, K_ARRAY);

    if (!l)
        return 0;
    l->in_array = true;
    return 1;
}

static int on_array_end(void *ctx)
{
    struct parser *p = ctx;
    struct level *l = &p->level[p->depth - 1];

    l->in_array = false;
    l->field = NULL;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_map_end,
    .yajl_start_array = on_array,
    .yajl_end_array = on_array_end,
};

/* ---- what the table cannot say ---- */

static bool domid_ok(uint32_t domid)
{
    return domid <= VR_DOMID_MAX || domid == VR_DOMID_NONE;
}

static const char *check_driver(const struct vr_record_driver *d)
{
    if (!d->name[0])
        return "no name";
    /* A driver domain that was found, not made, may be known by domid. */
    if (!vr_uuid_valid(d->uuid))
        return "malformed uuid";
    if (!domid_ok(d->domid))
        return "domid out of range";
    if (d->owned != (d->config[0] != '\0'))
        return "a config belongs to an owned driver domain, and to no other";
    return NULL;
}

/* A window of @cfg_size bytes by the config, or none (0). */
static const char *check_window(const struct vr_gwin *w, uint64_t cfg_size,
                                uint64_t limit)
{
    uint64_t last = w->gref_base + (w->size >> VR_PAGE_SHIFT);

    if ((w->base | w->size | cfg_size) & (VR_PAGE_SIZE - 1))
        return "pool or window not in whole pages";
    if (w->base + w->size > ADDR_MAX + 1)
        return "window beyond the address limit";
    if (w->size ? w->size != cfg_size : !cfg_size && (w->base || w->gref_base))
        return "window of another size than the config's";
    /* gref_base 0: window not placed yet. */
    if (w->gref_base && (last > UINT32_MAX || (limit && last > limit)))
        return "grant references beyond the guest's grant table";
    return NULL;
}

/* What a device has by its mode, and no other. */
static const char *check_mode(const struct vr_record_dev *d)
{
    const struct vr_dev_cfg *c = &d->cfg;

    if (!vr_cfg_has_iova(c) && c->aperture)
        return "aperture of a static device";
    if (!vr_cfg_has_pool(c) && (c->size || c->has_base || c->base))
        return "pool of a dynamic device";
    if (c->mode != VR_MODE_MIXED && c->pool_in != VR_POOL_IN_FIRMWARE)
        return "pool_in of a device that is not mixed";
    if (!vr_cfg_has_iova(c))
        return NULL;
    if (c->revoke_ms < VR_REVOKE_MS_MIN)
        return "revoke_ms out of range";
    if (!vr_size_max(c->aperture, c->queues, c->queue_size,
                     c->mode == VR_MODE_MIXED))
        return "aperture too small for the queues";
    return NULL;
}

static const char *check_dev(const struct vr_record *rec,
                             const struct vr_record_dev *d)
{
    const struct vr_dev_cfg *c = &d->cfg;
    uint64_t limit = rec->grant_frames * (uint64_t)VR_GNTENT_PER_FRAME;
    const char *what;

    if (!vr_id_valid(c->id))
        return "malformed id";
    if (d->driver >= rec->ndrivers)
        return "driver names no driver domain";
    if (!c->driver[0] == !c->backend[0])
        return "not exactly one of driver_config and backend";
    if (!c->target[0])
        return "no target";
    if (!c->queues)
        return "no queue";
    if (!c->queue_size || (c->queue_size & (c->queue_size - 1)))
        return "queue_size is no power of two";
    if (c->base & (VR_PAGE_SIZE - 1))
        return "pool or window not in whole pages";
    what = check_mode(d);
    if (!what)
        what = check_window(&d->pool, c->size, limit);
    if (!what)
        what = check_window(&d->iova, c->aperture, limit);
    return what;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a_len && b_len && a < b + b_len && b < a + a_len;
}

static bool grefs_overlap(const struct vr_gwin *a, const struct vr_gwin *b)
{
    return a->gref_base && b->gref_base &&
           overlap(a->gref_base, vr_gwin_pages(a), b->gref_base,
                   vr_gwin_pages(b));
}

/* Pools lie in the guest's memory, the others in the virtio-iommu's space: an
 * address may be in one of each, unless both are one device's. */
static const char *check_pair(const struct vr_record_dev *a,
                              const struct vr_record_dev *b)
{
    const struct vr_gwin *v, *w;
    unsigned int i, j;

    for (i = 0; i < VR_WINDOWS; i++) {
        for (j = 0; j < VR_WINDOWS; j++) {
            v = vr_record_window(a, i);
            w = vr_record_window(b, j);
            if (!v || !w || v == w)
                continue;
            if (grefs_overlap(v, w))
                return "grant references overlap another window's";
            if ((i == j || a == b) &&
                overlap(v->base, v->size, w->base, w->size))
                return "window overlaps another one";
        }
    }
    return NULL;
}

static const char *check_ram(const struct vr_record *rec)
{
    unsigned int i;

    for (i = 0; i < rec->nram; i++)
        if (rec->ram[i].start >= rec->ram[i].end ||
            (i && rec->ram[i].start < rec->ram[i - 1].end))
            return "RAM banks are empty, or not in order";
    return NULL;
}

static const char *check_iommu(const struct vr_record *rec)
{
    const struct vr_record_iommu *m = &rec->iommu;
    unsigned int i;

    if (!m->present)
        return m->mmio_base || m->irq ? "a virtio-iommu that is not present"
                                      : NULL;
    if (!vr_record_endpoints(rec))
        return "a virtio-iommu, but no device behind it";
    for (i = 0; i < rec->ndevs; i++)
        if (rec->devs[i].mmio_base == m->mmio_base ||
            rec->devs[i].irq == m->irq)
            return "the virtio-iommu has a device's registers or interrupt";
    return NULL;
}

/* A guest that is said to run must have everything that running takes. */
static const char *check_placed(const struct vr_record *rec)
{
    unsigned int i;

    if (rec->phase != VR_PHASE_READY && rec->phase != VR_PHASE_RUNNING)
        return NULL;
    if (rec->domid == VR_DOMID_NONE)
        return "phase and missing domid contradict each other";
    for (i = 0; i < rec->ndrivers; i++)
        if (rec->drivers[i].domid == VR_DOMID_NONE)
            return "phase and a driver's missing domid contradict each other";
    for (i = 0; i < rec->ndevs; i++)
        if (!vr_record_placed(&rec->devs[i]))
            return "phase and a missing window contradict each other";
    if (vr_record_endpoints(rec) && (!rec->iommu.present || !rec->nram))
        return "phase and a missing virtio-iommu or RAM contradict each other";
    return NULL;
}

static int check_record(const struct vr_record *rec, struct vr_err *err)
{
    const char *what = NULL;
    unsigned int i, j;

    if (!rec->name[0])
        what = "no name";
    else if (!vr_uuid_valid(rec->uuid))
        what = "malformed uuid";
    else if (!domid_ok(rec->domid))
        what = "domid out of range";
    else
        what = check_placed(rec);
    if (!what)
        what = check_ram(rec);
    if (!what)
        what = check_iommu(rec);
    if (what) {
        vr_err_set(err, "record: %s", what);
        return -EINVAL;
    }
    for (i = 0; i < rec->ndrivers; i++) {
        what = check_driver(&rec->drivers[i]);
        if (what) {
            vr_err_set(err, "record: driver domain %u: %s", i, what);
            return -EINVAL;
        }
    }
    for (i = 0; i < rec->ndevs; i++) {
        what = check_dev(rec, &rec->devs[i]);
        for (j = 0; !what && j <= i; j++) {
            if (j < i && !strcmp(rec->devs[i].cfg.id, rec->devs[j].cfg.id))
                what = "same id as an earlier device";
            else
                what = check_pair(&rec->devs[i], &rec->devs[j]);
        }
        if (what) {
            vr_err_set(err, "record: device %u: %s", i, what);
            return -EINVAL;
        }
    }
    return 0;
}

/* What a record of version 1 or 2 leaves open. (Without pool_in, as in version
 * 3, it is firmware: 0.) */
static int complete(struct vr_record *rec, uint64_t version, struct vr_err *err)
{
    const struct vr_gwin none = {0, 0, 0};
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        struct vr_record_dev *d = &rec->devs[i];

        if (d->cfg.mode == VR_MODE_MIXED) {
            vr_err_set(err, "record: device %u: mixed, in a version without",
                       i);
            return -EINVAL;
        }
        if (version == 1) {
            d->cfg.map_threshold = VR_NEVER_MAP;
            d->cfg.revoke_ms = VR_REVOKE_MS_DEFAULT;
        }
        if (!vr_cfg_has_pool(&d->cfg)) {
            d->iova = d->pool;
            d->pool = none;
        }
    }
    return 0;
}

int vr_record_from_json(const char *json, size_t len, struct vr_record *rec,
                        struct vr_err *err)
{
    struct parser p = {.rec = rec, .err = err, .fits = ALL_VERSIONS};
    yajl_status r;
    yajl_handle h;

    memset(rec, 0, sizeof(*rec));
    if (len > VR_RECORD_MAX) {
        vr_err_set(err, "record: %zu bytes, more than %d", len, VR_RECORD_MAX);
        return -EINVAL;
    }
    h = yajl_alloc(&callbacks, NULL, &p);
    if (!h)
        return -ENOMEM;
    r = yajl_parse(h, (const unsigned char *)json, len);
    if (r == yajl_status_ok)
        r = yajl_complete_parse(h);
    yajl_free(h);
    if (r == yajl_status_error || (r == yajl_status_ok && !p.done)) {
        vr_err_set(err, "record: not well-formed JSON");
        return -EINVAL;
    }
    if (r != yajl_status_ok)
        return -EINVAL; /* refuse() said why */
    if (p.version < 3 && complete(rec, p.version, err))
        return -EINVAL;
    return check_record(rec, err);
}

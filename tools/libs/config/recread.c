/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From JSON to the record, by its tables. The parser is event driven and has a
 * place for three levels only: deeper nesting is refused as it appears.
 */
#include <errno.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "record_int.h"

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
    enum vr_transport transport;
    uint32_t phase;
    int rc;

    switch (f->kind) {
    case K_PHASE:
        rc = vr_phase_parse(text, &phase);
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
    case K_TRANSPORT:
        rc = vr_transport_parse(text, &transport);
        if (!rc)
            memcpy(dst, &transport, sizeof(transport));
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
        next->object = &vr_record_layout;
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

/* What a record of version 1 or 2 leaves open. (Without pool_in and transport,
 * as in versions 3 and 4, they are firmware and mmio: 0.) */
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
    return vr_record_check(rec, err);
}

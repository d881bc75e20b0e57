/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the record to JSON, by its tables. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <yajl/yajl_gen.h>

#include "record_int.h"

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
    case K_TRANSPORT:
        return gen_text(g, vr_transport_name(get_number(p, 4)));
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
    if (gen_object(g, &vr_record_layout, (const char *)rec) ||
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

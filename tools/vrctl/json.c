/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The members of a JSON object, one call each, on yajl. For all commands that
 * have --json.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vrctl.h"

/* The last of the whole numbers that a double can tell from its neighbours. */
#define EXACT_MAX ((UINT64_C(1) << 53) - 1)

yajl_gen json_begin(void)
{
    yajl_gen g = yajl_gen_alloc(NULL);

    if (!g)
        return NULL;
    yajl_gen_config(g, yajl_gen_beautify, 1);
    yajl_gen_map_open(g);
    return g;
}

void json_end(yajl_gen g)
{
    const unsigned char *buf;
    size_t len;

    if (!g)
        return;
    yajl_gen_map_close(g);
    if (!yajl_gen_get_buf(g, &buf, &len))
        fwrite(buf, 1, len, stdout);
    yajl_gen_free(g);
}

void json_key(yajl_gen g, const char *key)
{
    yajl_gen_string(g, (const unsigned char *)key, strlen(key));
}

void json_str(yajl_gen g, const char *key, const char *value)
{
    json_key(g, key);
    yajl_gen_string(g, (const unsigned char *)value, strlen(value));
}

void json_count(yajl_gen g, uint64_t value)
{
    char buf[24];
    int len;

    if (value > EXACT_MAX) {
        len = snprintf(buf, sizeof(buf), "0x%" PRIx64, value);
        yajl_gen_string(g, (const unsigned char *)buf, len);
        return;
    }
    len = snprintf(buf, sizeof(buf), "%" PRIu64, value);
    yajl_gen_number(g, buf, len);
}

void json_u64(yajl_gen g, const char *key, uint64_t value)
{
    json_key(g, key);
    json_count(g, value);
}

void json_double(yajl_gen g, const char *key, double value)
{
    char buf[40];
    int len = snprintf(buf, sizeof(buf), "%.6g", value);

    json_key(g, key);
    yajl_gen_number(g, buf, len);
}

void json_bool(yajl_gen g, const char *key, bool value)
{
    json_key(g, key);
    yajl_gen_bool(g, value);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every program needs: errors, sizes, numbers, uuids. Pure.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vr.h"

void vr_err_set(struct vr_err *err, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
}

void vr_err_front(struct vr_err *err, const char *what)
{
    struct vr_err whole;

    if (!err)
        return;
    vr_err_set(&whole, "%s: %s", what, err->text);
    *err = whole;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* Reads digits up to the first other character; @end says where it is. */
static int parse_digits(const char *s, const char **end, uint64_t *out)
{
    unsigned int base = 10;
    uint64_t v = 0;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (digit(*s) >= (int)base)
        return -EINVAL;
    for (; digit(*s) < (int)base; s++) {
        unsigned int d = digit(*s);

        if (v > (UINT64_MAX - d) / base)
            return -ERANGE;
        v = v * base + d;
    }
    *end = s;
    *out = v;
    return 0;
}

int vr_parse_u64(const char *s, uint64_t max, uint64_t *out)
{
    uint64_t v;
    int rc = parse_digits(s, &s, &v);

    if (rc)
        return rc;
    if (*s)
        return -EINVAL;
    if (v > max)
        return -ERANGE;
    *out = v;
    return 0;
}

int vr_parse_size(const char *s, uint64_t *out)
{
    unsigned int shift = 0;
    uint64_t v;
    int rc = parse_digits(s, &s, &v);

    if (rc)
        return rc;
    switch (*s) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    }
    if (shift)
        s++;
    if (*s)
        return -EINVAL;
    if (v > (uint64_t)INT64_MAX >> shift)
        return -ERANGE;
    *out = v << shift;
    return 0;
}

char *vr_format_size(uint64_t size, char *buf)
{
    static const char suffix[] = {'\0', 'K', 'M', 'G'};
    unsigned int i = 0;

    while (size && !(size & 1023) && i < sizeof(suffix) - 1) {
        size >>= 10;
        i++;
    }
    snprintf(buf, 24, "%" PRIu64 "%.1s", size, &suffix[i]);
    return buf;
}

bool vr_id_valid(const char *id)
{
    size_t i;

    for (i = 0; id[i]; i++) {
        char c = id[i];

        if (i >= VR_ID_LEN)
            return false;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return i > 0;
}

bool vr_uuid_valid(const char *uuid)
{
    size_t i;

    for (i = 0; uuid[i]; i++) {
        char c = uuid[i];

        if (i >= VR_UUID_LEN)
            return false;
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-')
                return false;
        } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return i == VR_UUID_LEN;
}

char *vr_uuid_format(const uint8_t *uuid, char *buf)
{
    unsigned int i, len = 0;

    for (i = 0; i < 16; i++)
        len +=
            sprintf(buf + len, "%s%02x",
                    i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    return buf;
}

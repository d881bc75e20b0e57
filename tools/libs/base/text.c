/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and other domains' words made fit for a terminal, a log and JSON. Pure.
 */
#include <stdio.h>
#include <string.h>

#include "text.h"

/* The least value of a character of so many bytes: shorter forms exist for
 * what is below, and longer ones are not well-formed. */
static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

/* Length of the printable character that @s begins with; 0: there is none, but
 * a control character or what is not well-formed UTF-8. */
static size_t utf8_char(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t i, n;
    uint32_t c;

    if (!len)
        return 0;
    if (u[0] < 0x80)
        return u[0] >= 0x20 && u[0] != 0x7f;
    n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc0 || u[0] >= 0xf8 || n > len)
        return 0;
    c = u[0] & (0x7f >> n);
    for (i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0)
        return 0;
    return n;
}

bool vr_name_valid(const char *name)
{
    size_t len = strlen(name), n;

    if (!len || len > VR_NAME_LEN)
        return false;
    for (; len; name += n, len -= n) {
        n = utf8_char(name, len);
        if (!n)
            return false;
    }
    return true;
}

void vr_name_clean(char *dst, size_t size, const char *src, size_t len)
{
    size_t n, used = 0;

    if (!size)
        return;
    while (len) {
        n = utf8_char(src, len);
        if (used + (n ? n : 1) >= size)
            break;
        if (n)
            memcpy(dst + used, src, n);
        else
            dst[used] = '?';
        n = n ? n : 1;
        used += n;
        src += n;
        len -= n;
    }
    dst[used] = '\0';
}

char *vr_quote(char *dst, const char *src)
{
    static const char more[] = "...";
    const size_t room = VR_QUOTE_LEN - 3; /* two quotes, and the end */
    size_t i, len = strlen(src), keep = len;

    if (len > room)
        keep = room - (sizeof(more) - 1);
    dst[0] = '"';
    for (i = 0; i < keep; i++) {
        char c = src[i];

        dst[i + 1] = c == '"' ? '\'' : c >= 0x20 && c < 0x7f ? c : '?';
    }
    snprintf(dst + 1 + keep, VR_QUOTE_LEN - 1 - keep, "%s\"",
             keep < len ? more : "");
    return dst;
}

char *vr_log_path(char *buf, const char *name)
{
    char *p;

    snprintf(buf, VR_LOG_PATH, VR_LOG_DIR "/vr-broker-%s.log", name);
    for (p = buf + sizeof(VR_LOG_DIR); *p; p++)
        if (!(*p & 0x80) &&
            !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789._-",
                    *p))
            *p = '_';
    return buf;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keys of the same kind have in common: their values as the user writes
 * them, and as nodes of xenstore have them. Called by the parser of device
 * strings, by types of devices, and by who reads and writes the nodes. Pure.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "key.h"

const char *vr_given(const struct vr_parser *p, const char *name)
{
    unsigned int i;

    for (i = 0; i < p->ngiven; i++)
        if (!strcmp(p->given[i].key->name, name))
            return p->given[i].value;
    return NULL;
}

int vr_parse_fail(struct vr_parser *p, const char *fmt, ...)
{
    char text[sizeof(p->err->text)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    vr_err_set(p->err, "virtio_restricted[%u]: %s", p->index, text);
    return -EINVAL;
}

struct vr_shown vr_shown(const char *s)
{
    struct vr_shown out;
    size_t i;

    for (i = 0; s[i] && i < sizeof(out.text) - 4; i++)
        out.text[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
    strcpy(out.text + i, s[i] ? "..." : "");
    return out;
}

static bool printable(const char *s)
{
    for (; *s; s++) {
        if (*s < 0x20 || *s > 0x7e)
            return false;
    }
    return true;
}

static void *field(const struct vr_key *key, struct vr_dev_cfg *cfg)
{
    return (char *)cfg + key->offset;
}

int vr_key_count(struct vr_parser *p, const struct vr_key *key,
                 const char *value)
{
    uint64_t v;

    if (vr_parse_u64(value, key->max, &v) || v < key->min)
        return vr_parse_fail(
            p, "%s=%s is out of range: use a number from %u to %u", key->name,
            vr_shown(value).text, key->min, key->max);
    *(unsigned int *)field(key, p->cfg) = v;
    return 0;
}

int vr_key_path(struct vr_parser *p, const struct vr_key *key,
                const char *value)
{
    if (value[0] != '/')
        return vr_parse_fail(p,
                             "%s=%s is not an absolute path: begin it with /",
                             key->name, vr_shown(value).text);
    if (strlen(value) >= key->size)
        return vr_parse_fail(p,
                             "%s=%s is too long: use a path of at most %zu "
                             "characters",
                             key->name, vr_shown(value).text, key->size - 1);
    if (!printable(value))
        return vr_parse_fail(
            p,
            "%s=%s has characters that cannot be passed on: use a "
            "path of printable ASCII characters",
            key->name, vr_shown(value).text);
    strcpy(field(key, p->cfg), value);
    return 0;
}

int vr_key_choice(struct vr_parser *p, const struct vr_key *key,
                  const char *value)
{
    bool yes = !strcmp(value, key->words[1]);

    if (!yes && strcmp(value, key->words[0]))
        return vr_parse_fail(p, "%s=%s is neither %s nor %s: use one of them",
                             key->name, vr_shown(value).text, key->words[0],
                             key->words[1]);
    *(bool *)field(key, p->cfg) = yes;
    return 0;
}

const struct vr_key *vr_key_find(const struct vr_key *keys, unsigned int n,
                                 const char *name)
{
    unsigned int i;

    for (i = 0; i < n; i++)
        if (!strcmp(keys[i].name, name))
            return &keys[i];
    return NULL;
}

static const char *node_word(const struct vr_key *key, bool yes)
{
    return key->bits ? yes ? "1" : "0" : key->words[yes];
}

char *vr_key_text(const struct vr_key *key, const struct vr_dev_cfg *cfg,
                  char *buf)
{
    const void *from = (const char *)cfg + key->offset;

    buf[0] = '\0';
    switch (key->kind) {
    case VR_KEY_TEXT:
    case VR_KEY_PATH:
        strcpy(buf, from);
        break;
    case VR_KEY_COUNT:
        sprintf(buf, "%u", *(const unsigned int *)from);
        break;
    case VR_KEY_CHOICE:
        strcpy(buf, node_word(key, *(const bool *)from));
        break;
    case VR_KEY_OTHER:
        break;
    }
    return buf;
}

int vr_key_read(const struct vr_key *key, const char *text,
                struct vr_dev_cfg *cfg, const char **why)
{
    void *to = field(key, cfg);
    uint64_t v;

    switch (key->kind) {
    case VR_KEY_PATH:
        if (text[0] != '/') {
            *why = "not an absolute path";
            return -EINVAL;
        }
        /* fallthrough */
    case VR_KEY_TEXT:
        if (strlen(text) >= key->size) {
            *why = "too long";
            return -EINVAL;
        }
        strcpy(to, text);
        return 0;
    case VR_KEY_COUNT:
        if (vr_parse_u64(text, key->max, &v) || v < key->min) {
            *why = "out of range";
            return -EINVAL;
        }
        *(unsigned int *)to = v;
        return 0;
    case VR_KEY_CHOICE:
        if (strcmp(text, node_word(key, false)) &&
            strcmp(text, node_word(key, true))) {
            *why = "unknown value";
            return -EINVAL;
        }
        *(bool *)to = !strcmp(text, node_word(key, true));
        return 0;
    case VR_KEY_OTHER:
        break;
    }
    *why = "not to be read";
    return -EINVAL;
}

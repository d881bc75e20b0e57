/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes a device string apart, and reads the keys that every device has; those
 * of a type are read by its own table (types.h). Called by the plug-in. Pure.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cfg_int.h"
#include "libs/base/text.h"

/* A person's config line is far shorter; bounds the copy below. */
#define TEXT_MAX 4096

#define fail vr_parse_fail
#define show vr_shown

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Trims in place: the end is cut, the start returned. */
static char *trim(char *s)
{
    size_t len;

    while (is_blank(*s))
        s++;
    len = strlen(s);
    while (len && is_blank(s[len - 1]))
        s[--len] = '\0';
    return s;
}

static int parse_id(struct vr_parser *p, const struct vr_key *key,
                    const char *value)
{
    (void)key;
    if (!vr_id_valid(value))
        return fail(p,
                    "id=%s is not a name: use 1 to %d letters, digits, '-' "
                    "or '_', such as disk0",
                    show(value).text, VR_ID_LEN);
    strcpy(p->cfg->id, value);
    return 0;
}

static int parse_type(struct vr_parser *p, const struct vr_key *key,
                      const char *value)
{
    const struct vr_type_spec *spec;
    char all[64] = "";
    unsigned int i;

    (void)key;
    if (!vr_type_parse(value, &p->cfg->type))
        return 0;
    for (i = 0; (spec = vr_type_at(i)); i++) {
        strcat(all, !i ? "" : vr_type_at(i + 1) ? ", " : " or ");
        strcat(all, spec->name);
    }
    return fail(p, "type=%s is not a device type: use %s", show(value).text,
                all);
}

static int parse_mode(struct vr_parser *p, const struct vr_key *key,
                      const char *value)
{
    (void)key;
    if (vr_mode_parse(value, &p->cfg->mode))
        return fail(p, "mode=%s is not a mode: use static, dynamic or mixed",
                    show(value).text);
    return 0;
}

static int parse_transport(struct vr_parser *p, const struct vr_key *key,
                           const char *value)
{
    (void)key;
    if (vr_transport_parse(value, &p->cfg->transport))
        return fail(p, "transport=%s is not a transport: use mmio or pci",
                    show(value).text);
    return 0;
}

static int parse_pool_in(struct vr_parser *p, const struct vr_key *key,
                         const char *value)
{
    (void)key;
    if (vr_pool_in_parse(value, &p->cfg->pool_in))
        return fail(p,
                    "pool_in=%s is no place where a guest looks: use "
                    "firmware, probe or both",
                    show(value).text);
    return 0;
}

/* How small is too small depends on the type: cfgcheck.c. */
static int parse_bytes(struct vr_parser *p, const struct vr_key *key,
                       const char *value)
{
    int rc = vr_parse_size(value, &p->cfg->size);

    (void)key;
    if (rc == -EINVAL)
        return fail(p,
                    "size=%s is not a size: use a number with K, M or G, "
                    "such as 64M",
                    show(value).text);
    if (rc || p->cfg->size > SIZE_LIMIT)
        return fail(p, "size=%s is too large: use at most 1G",
                    show(value).text);
    if (p->cfg->size % VR_PAGE_SIZE)
        return fail(p, "size=%s is not whole pages: use a multiple of 4K",
                    show(value).text);
    return 0;
}

/* ... and on the queues. */
static int parse_aperture(struct vr_parser *p, const struct vr_key *key,
                          const char *value)
{
    int rc = vr_parse_size(value, &p->cfg->aperture);

    (void)key;
    if (rc == -EINVAL)
        return fail(p,
                    "aperture=%s is not a size: use a number with K, M or G, "
                    "such as 32M",
                    show(value).text);
    if (rc || p->cfg->aperture > SIZE_LIMIT)
        return fail(p, "aperture=%s is too large: use at most 1G",
                    show(value).text);
    if (p->cfg->aperture % VR_PAGE_SIZE)
        return fail(p, "aperture=%s is not whole pages: use a multiple of 4K",
                    show(value).text);
    return 0;
}

static int parse_threshold(struct vr_parser *p, const struct vr_key *key,
                           const char *value)
{
    int rc = vr_threshold_parse(value, &p->cfg->map_threshold);

    (void)key;
    if (rc == -EINVAL)
        return fail(p,
                    "map_threshold=%s is not a size: use never, always or a "
                    "number with K or M, such as 64K",
                    show(value).text);
    if (rc)
        return fail(p,
                    "map_threshold=%s is more than any request has: use "
                    "never, or at most 1G",
                    show(value).text);
    return 0;
}

static int parse_base(struct vr_parser *p, const struct vr_key *key,
                      const char *value)
{
    int rc = vr_parse_u64(value, ADDR_LIMIT - 1, &p->cfg->base);

    (void)key;
    if (rc == -EINVAL)
        return fail(p,
                    "base=%s is not an address: use a number such as "
                    "0x7c000000",
                    show(value).text);
    if (rc)
        return fail(p, "base=%s is beyond any guest's memory: " BASE_REMEDY,
                    show(value).text);
    if (!p->cfg->base || p->cfg->base % VR_PAGE_SIZE)
        return fail(p,
                    "base=%s is not a page address: use a non-zero "
                    "multiple of 0x1000",
                    show(value).text);
    p->cfg->has_base = true;
    return 0;
}

static int parse_backend(struct vr_parser *p, const struct vr_key *key,
                         const char *value)
{
    (void)key;
    if (!vr_name_valid(value) || strchr(value, '/'))
        return fail(p,
                    "backend=%s is not a domain name: use the name that "
                    "xl list shows, at most %d bytes of UTF-8 without /, or "
                    "the domid",
                    show(value).text, VR_NAME_LEN);
    strcpy(p->cfg->backend, value);
    return 0;
}

static int parse_queue_size(struct vr_parser *p, const struct vr_key *key,
                            const char *value)
{
    uint64_t v;

    (void)key;
    if (vr_parse_u64(value, key->max, &v) || v < key->min || v & (v - 1))
        return fail(p,
                    "queue_size=%s is not a power of two from %u to %u: use "
                    "64, 128 or 256",
                    show(value).text, key->min, key->max);
    p->cfg->queue_size = v;
    return 0;
}

/* In the order in which messages name them. */
static const struct vr_key keys[] = {
    {.name = "id", .parse = parse_id, .example = "disk0", .required = true},
    {.name = "type", .parse = parse_type, .example = "block", .required = true},
    {.name = "mode",
     .parse = parse_mode,
     .example = "dynamic",
     .fallback = "static"},
    {.name = "transport",
     .parse = parse_transport,
     .example = "pci",
     .fallback = "mmio"},
    {.name = "size",
     .parse = parse_bytes,
     .example = "64M",
     .modes = VR_IN_POOL,
     .foreign = "write aperture= instead, or mode=mixed for both"},
    {.name = "base",
     .parse = parse_base,
     .example = "0x7c000000",
     .modes = VR_IN_POOL,
     .foreign = "it is the address of a pool: take it out"},
    {.name = "pool_in",
     .parse = parse_pool_in,
     .example = "probe",
     .modes = VR_IN_POOL,
     .fallback = "firmware",
     .foreign = "it says how the guest finds a pool: take it out, or write "
                "mode=mixed and size="},
    {.name = "aperture",
     .parse = parse_aperture,
     .example = "32M",
     .modes = VR_IN_IOVA,
     .foreign = "add mode=dynamic (it takes the place of size=) or mode=mixed "
                "(it stands beside size=), or write size= alone"},
    {.name = "map_threshold",
     .parse = parse_threshold,
     .example = "64K",
     .modes = VR_IN_IOVA,
     .fallback = "never",
     .foreign = "the pool is mapped once and as a whole: take the key out"},
    {.name = "revoke_timeout",
     .parse = vr_key_count,
     .example = "500",
     .modes = VR_IN_IOVA,
     .fallback = "1000",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(revoke_ms),
     .min = VR_REVOKE_MS_MIN,
     .max = VR_REVOKE_MS_MAX,
     .foreign = "the pool is mapped once and as a whole: take the key out"},
    {.name = "driver",
     .parse = vr_key_path,
     .example = "/etc/xen/driver.cfg",
     .kind = VR_KEY_PATH,
     VR_KEY_FIELD(driver)},
    {.name = "backend", .parse = parse_backend, .example = "storage"},
    {.name = "queue_size",
     .parse = parse_queue_size,
     .example = "64",
     .fallback = "128",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(queue_size),
     .min = 8,
     .max = VR_MAX_QUEUE_SIZE},
    {.name = "timeout",
     .parse = vr_key_count,
     .example = "120",
     .fallback = "60",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(timeout),
     .min = 1,
     .max = 3600},
    {.name = "poll",
     .parse = vr_key_count,
     .example = "50",
     .fallback = "0",
     .kind = VR_KEY_COUNT,
     VR_KEY_FIELD(poll_us),
     .max = 100000},
};

unsigned int vr_cfg_keys(const struct vr_key **out)
{
    *out = keys;
    return VR_ARRAY_SIZE(keys);
}

/* A key of every device, or of @spec's. */
static const struct vr_key *find_key(const struct vr_type_spec *spec,
                                     const char *name)
{
    const struct vr_key *key = vr_key_find(keys, VR_ARRAY_SIZE(keys), name);

    return key || !spec ? key : vr_key_find(spec->keys, spec->nkeys, name);
}

/* The same, but of any type's when the device's is not known. */
static const struct vr_key *find_known(const struct vr_parser *p,
                                       const char *name)
{
    const struct vr_key *key = find_key(p->spec, name);
    const struct vr_type_spec *spec;
    unsigned int i;

    for (i = 0; !key && !p->spec && (spec = vr_type_at(i)); i++)
        key = find_key(spec, name);
    return key;
}

/* The key that @s begins with, as "key="; NULL: none. */
static const struct vr_key *starts_key(const struct vr_parser *p, const char *s)
{
    char name[24];
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz_");

    if (!len || len >= sizeof(name) || s[len + strspn(s + len, " \t")] != '=')
        return NULL;
    memcpy(name, s, len);
    name[len] = '\0';
    return find_known(p, name);
}

/* What is no part of any value, but easily written into one. */
static int check_slips(struct vr_parser *p, const struct vr_key *key,
                       const char *value)
{
    const struct vr_key *next;
    size_t len = strlen(value);
    const char *s;

    if (strchr("'\"", value[0]) || strchr("'\"", value[len - 1]))
        return fail(p, "%s=%s: quotes are not taken off: leave them out",
                    key->name, show(value).text);
    for (s = value; (s = strpbrk(s, " \t;#")); s++) {
        if (*s == '#' && (s == value || is_blank(s[-1])))
            return fail(p,
                        "%s=%s: no comment can stand in a device string: put "
                        "it behind the string",
                        key->name, show(value).text);
        next = *s == '#' ? NULL : starts_key(p, s + 1);
        if (next)
            return fail(p, "%s=%s: there is no comma before %s=: add it",
                        key->name, show(value).text, next->name);
    }
    return 0;
}

static int no_value(struct vr_parser *p, const char *item)
{
    const struct vr_key *last = p->ngiven ? p->given[p->ngiven - 1].key : NULL;

    if (last && last->kind == VR_KEY_PATH)
        return fail(p,
                    "\"%s\" has no value: write KEY=VALUE; if it belongs to "
                    "%s=, rename that file: a comma ends a value",
                    show(item).text, last->name);
    return fail(p, "\"%s\" has no value: write KEY=VALUE", show(item).text);
}

static void list_keys(const struct vr_key *list, unsigned int n, char *out,
                      size_t size)
{
    unsigned int i;

    for (i = 0; i < n; i++) {
        size_t len = strlen(out);

        snprintf(out + len, size - len, "%s%s", len ? ", " : "", list[i].name);
    }
}

static int unknown_key(struct vr_parser *p, const char *name)
{
    const struct vr_type_spec *other;
    char all[512] = "";
    unsigned int i;

    for (i = 0; p->spec && (other = vr_type_at(i)); i++) {
        if (find_key(other, name))
            return fail(p,
                        "%s= is for type=%s: take it out of a device with "
                        "type=%s",
                        name, other->name, p->spec->name);
    }
    list_keys(keys, VR_ARRAY_SIZE(keys), all, sizeof(all));
    for (i = 0; (other = vr_type_at(i)); i++) {
        if (other == p->spec || (!p->spec && !i))
            list_keys(other->keys, other->nkeys, all, sizeof(all));
    }
    return fail(p, "unknown key \"%s\": use one of %s", show(name).text, all);
}

static int parse_item(struct vr_parser *p, char *item)
{
    const struct vr_key *key;
    char *eq, *name, *value;
    int rc;

    item = trim(item);
    if (!*item)
        return fail(p, "empty item: take the extra comma out");
    eq = strchr(item, '=');
    if (!eq)
        return no_value(p, item);
    *eq = '\0';
    name = trim(item);
    value = trim(eq + 1);
    if (!*name)
        return fail(p, "\"=%s\" has no key: write KEY=VALUE", show(value).text);
    key = find_known(p, name);
    if (!key)
        return unknown_key(p, name);
    if (vr_given(p, name))
        return fail(p,
                    "%s= is given twice, the second time as \"%s\": give "
                    "it once",
                    name, show(value).text);
    p->given[p->ngiven].key = key;
    p->given[p->ngiven++].value = value;
    if (!*value)
        return fail(p, "%s= is empty: give a value or leave the key out", name);
    rc = check_slips(p, key, value);
    return rc ? rc : key->parse(p, key, value);
}

static const char *next_item(const char *item)
{
    const char *comma = strchr(item, ',');

    return comma ? comma + 1 : NULL;
}

/* The device's type, by which its keys are known, wherever it stands. */
static const struct vr_type_spec *find_type(const char *text)
{
    const char *item, *value;
    enum vr_type type;
    char word[16];
    size_t len;

    for (item = text; item; item = next_item(item)) {
        item += strspn(item, " \t\n\r");
        if (strncmp(item, "type", 4))
            continue;
        value = item + 4 + strspn(item + 4, " \t");
        if (*value != '=')
            continue;
        value += 1 + strspn(value + 1, " \t");
        len = strcspn(value, ", \t\n\r");
        if (len >= sizeof(word))
            return NULL;
        memcpy(word, value, len);
        word[len] = '\0';
        return vr_type_parse(word, &type) ? NULL : vr_type_spec(type);
    }
    return NULL;
}

static void set_fallbacks(struct vr_parser *p, const struct vr_key *list,
                          unsigned int n)
{
    unsigned int i;

    /* They are right: a unit test reads them all. */
    for (i = 0; i < n; i++)
        if (list[i].fallback)
            (void)list[i].parse(p, &list[i], list[i].fallback);
}

int vr_cfg_parse(unsigned int index, const char *text, struct vr_dev_cfg *cfg,
                 struct vr_err *err)
{
    struct vr_parser p = {.cfg = cfg, .err = err, .index = index};
    char buf[TEXT_MAX + 1];
    char *item = buf, *comma;
    size_t len = strnlen(text, TEXT_MAX + 1);
    int rc;

    memset(cfg, 0, sizeof(*cfg));
    cfg->queues = 1;
    if (len > TEXT_MAX)
        return fail(&p, "longer than %d characters: shorten it", TEXT_MAX);
    memcpy(buf, text, len);
    buf[len] = '\0';
    if (!*trim(buf))
        return fail(&p, "empty: write \"id=disk0, type=block, mode=static, "
                        "size=64M, driver=FILE, target=PATH\" or take it out");
    p.spec = find_type(buf);
    if (p.spec && p.spec->begin)
        p.spec->begin(cfg);
    set_fallbacks(&p, keys, VR_ARRAY_SIZE(keys));
    if (p.spec)
        set_fallbacks(&p, p.spec->keys, p.spec->nkeys);
    for (;;) {
        comma = strchr(item, ',');
        if (comma)
            *comma = '\0';
        rc = parse_item(&p, item);
        if (rc)
            return rc;
        if (!comma)
            return cfg_check_device(&p);
        item = comma + 1;
    }
}

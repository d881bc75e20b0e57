/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cfg_int.h"
#include "libs/base/text.h"

/* A person's config line is far shorter; bounds the copy below. */
#define TEXT_MAX 4096

/*
 * Linux bounces every buffer of a request through the pool, beside the rings
 * themselves, and tries again for ever where there is no room: with nothing
 * else under way its longest request, 1280 KiB, has to fit.
 */
#define SIZE_MIN (UINT64_C(2) << 20)

#define QUEUE_SIZE_MIN     8
#define QUEUE_SIZE_DEFAULT 128
#define TIMEOUT_DEFAULT    60
#define TIMEOUT_MAX        3600
#define POLL_MAX           100000

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool printable(const char *s)
{
    for (; *s; s++) {
        if (*s < 0x20 || *s > 0x7e)
            return false;
    }
    return true;
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

static int parse_id(struct parser *p, const char *value)
{
    if (!vr_id_valid(value))
        return fail(p,
                    "id=%s is not a name: use 1 to %d letters, digits, '-' "
                    "or '_', such as disk0",
                    show(value).text, VR_ID_LEN);
    strcpy(p->cfg->id, value);
    return 0;
}

static int parse_bytes(struct parser *p, const char *value)
{
    int rc = vr_parse_size(value, &p->cfg->size);

    if (rc == -EINVAL)
        return fail(p,
                    "size=%s is not a size: use a number with K, M or G, "
                    "such as 64M",
                    show(value).text);
    if (rc || p->cfg->size > SIZE_LIMIT)
        return fail(p, "size=%s is too large: use at most 1G",
                    show(value).text);
    if (p->cfg->size < SIZE_MIN)
        return fail(p,
                    "size=%s is too small: a guest passes its rings and "
                    "all data in flight through the window, use at least 2M",
                    show(value).text);
    if (p->cfg->size % VR_PAGE_SIZE)
        return fail(p, "size=%s is not whole pages: use a multiple of 4K",
                    show(value).text);
    return 0;
}

/* How small is too small depends on the queues: cfgcheck.c. */
static int parse_aperture(struct parser *p, const char *value)
{
    int rc = vr_parse_size(value, &p->cfg->aperture);

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

static int parse_threshold(struct parser *p, const char *value)
{
    int rc = vr_threshold_parse(value, &p->cfg->map_threshold);

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

static int parse_base(struct parser *p, const char *value)
{
    int rc = vr_parse_u64(value, ADDR_LIMIT - 1, &p->cfg->base);

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

static int parse_path(struct parser *p, enum key key, const char *value,
                      char *out)
{
    if (value[0] != '/')
        return fail(p, "%s=%s is not an absolute path: begin it with /",
                    cfg_key_name[key], show(value).text);
    if (strlen(value) > VR_PATH_LEN)
        return fail(p,
                    "%s=%s is too long: use a path of at most %d "
                    "characters",
                    cfg_key_name[key], show(value).text, VR_PATH_LEN);
    if (!printable(value))
        return fail(p,
                    "%s=%s has characters that cannot be passed on: use a "
                    "path of printable ASCII characters",
                    cfg_key_name[key], show(value).text);
    strcpy(out, value);
    return 0;
}

static int parse_backend(struct parser *p, const char *value)
{
    if (!vr_name_valid(value) || strchr(value, '/'))
        return fail(p,
                    "backend=%s is not a domain name: use the name that "
                    "xl list shows, at most %d bytes of UTF-8 without /, or "
                    "the domid",
                    show(value).text, VR_NAME_LEN);
    strcpy(p->cfg->backend, value);
    return 0;
}

static int parse_serial(struct parser *p, const char *value)
{
    /* What udev keeps as it is in the name of a link; a slash would make a
     * folder, a blank a second link, and it replaces others. */
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "0123456789#+-.:=@_";

    if (strlen(value) > VR_SERIAL_LEN || value[0] == '.' ||
        value[strspn(value, allowed)])
        return fail(p,
                    "serial=%s cannot name the disk in /dev/disk/by-id: use 1 "
                    "to %d letters, digits or characters of #+-.:=@_, with no "
                    "dot at the beginning",
                    show(value).text, VR_SERIAL_LEN);
    strcpy(p->cfg->serial, value);
    return 0;
}

static int parse_count(struct parser *p, enum key key, const char *value,
                       unsigned int min, unsigned int max, unsigned int *out)
{
    uint64_t v;

    if (vr_parse_u64(value, max, &v) || v < min)
        return fail(p, "%s=%s is out of range: use a number from %u to %u",
                    cfg_key_name[key], show(value).text, min, max);
    *out = v;
    return 0;
}

static int parse_queue_size(struct parser *p, const char *value)
{
    uint64_t v;

    if (vr_parse_u64(value, VR_MAX_QUEUE_SIZE, &v) || v < QUEUE_SIZE_MIN ||
        v & (v - 1))
        return fail(p,
                    "queue_size=%s is not a power of two from %u to %u: use "
                    "64, 128 or 256",
                    show(value).text, QUEUE_SIZE_MIN, VR_MAX_QUEUE_SIZE);
    p->cfg->queue_size = v;
    return 0;
}

/* Both our words and those of xl's disk=. */
static int parse_access(struct parser *p, const char *value)
{
    p->cfg->readonly = !strcmp(value, "ro") || !strcmp(value, "r");
    if (!p->cfg->readonly && strcmp(value, "rw") && strcmp(value, "w"))
        return fail(p, "access=%s is neither rw nor ro: use one of them",
                    show(value).text);
    return 0;
}

static int parse_value(struct parser *p, enum key key, const char *value)
{
    struct vr_dev_cfg *cfg = p->cfg;

    switch (key) {
    case KEY_ID:
        return parse_id(p, value);
    case KEY_TYPE:
        if (vr_type_parse(value, &cfg->type))
            return fail(p, "type=%s is not a device type: use block",
                        show(value).text);
        return 0;
    case KEY_MODE:
        if (vr_mode_parse(value, &cfg->mode))
            return fail(p,
                        "mode=%s is not a mode: use static, dynamic or mixed",
                        show(value).text);
        return 0;
    case KEY_SIZE:
        return parse_bytes(p, value);
    case KEY_BASE:
        return parse_base(p, value);
    case KEY_POOL_IN:
        if (vr_pool_in_parse(value, &cfg->pool_in))
            return fail(p,
                        "pool_in=%s is no place where a guest looks: use "
                        "firmware, probe or both",
                        show(value).text);
        return 0;
    case KEY_APERTURE:
        return parse_aperture(p, value);
    case KEY_MAP_THRESHOLD:
        return parse_threshold(p, value);
    case KEY_REVOKE_TIMEOUT:
        return parse_count(p, key, value, VR_REVOKE_MS_MIN, VR_REVOKE_MS_MAX,
                           &cfg->revoke_ms);
    case KEY_DRIVER:
        return parse_path(p, key, value, cfg->driver);
    case KEY_BACKEND:
        return parse_backend(p, value);
    case KEY_TARGET:
        return parse_path(p, key, value, cfg->target);
    case KEY_ACCESS:
        return parse_access(p, value);
    case KEY_QUEUES:
        return parse_count(p, key, value, 1, VR_MAX_QUEUES, &cfg->queues);
    case KEY_QUEUE_SIZE:
        return parse_queue_size(p, value);
    case KEY_SERIAL:
        return parse_serial(p, value);
    case KEY_DISCARD:
        cfg->discard = !strcmp(value, "1") || !strcmp(value, "on");
        if (!cfg->discard && strcmp(value, "0") && strcmp(value, "off"))
            return fail(p,
                        "discard=%s is neither on nor off: use one of "
                        "them, or 1 or 0",
                        show(value).text);
        return 0;
    case KEY_TIMEOUT:
        return parse_count(p, key, value, 1, TIMEOUT_MAX, &cfg->timeout);
    case KEY_POLL:
        return parse_count(p, key, value, 0, POLL_MAX, &cfg->poll_us);
    case KEY_COUNT:
        break;
    }
    return fail(p, "unknown key");
}

/* The key that @s begins with, as "key="; KEY_COUNT: none. */
static unsigned int starts_key(const char *s)
{
    unsigned int key;
    size_t len;

    for (key = 0; key < KEY_COUNT; key++) {
        len = strlen(cfg_key_name[key]);
        if (!strncmp(s, cfg_key_name[key], len) &&
            s[len + strspn(s + len, " \t")] == '=')
            break;
    }
    return key;
}

/* What is no part of any value, but easily written into one. */
static int check_slips(struct parser *p, enum key key, const char *value)
{
    const char *name = cfg_key_name[key], *s;
    size_t len = strlen(value);
    unsigned int next;

    if (strchr("'\"", value[0]) || strchr("'\"", value[len - 1]))
        return fail(p, "%s=%s: quotes are not taken off: leave them out", name,
                    show(value).text);
    for (s = value; (s = strpbrk(s, " \t;#")); s++) {
        if (*s == '#' && (s == value || is_blank(s[-1])))
            return fail(p,
                        "%s=%s: no comment can stand in a device string: put "
                        "it behind the string",
                        name, show(value).text);
        next = *s == '#' ? KEY_COUNT : starts_key(s + 1);
        if (next != KEY_COUNT)
            return fail(p, "%s=%s: there is no comma before %s=: add it", name,
                        show(value).text, cfg_key_name[next]);
    }
    return 0;
}

static int no_value(struct parser *p, const char *item)
{
    if (p->last == KEY_DRIVER || p->last == KEY_TARGET)
        return fail(p,
                    "\"%s\" has no value: write KEY=VALUE; if it belongs to "
                    "%s=, rename that file: a comma ends a value",
                    show(item).text, cfg_key_name[p->last]);
    return fail(p, "\"%s\" has no value: write KEY=VALUE", show(item).text);
}

static int parse_item(struct parser *p, char *item)
{
    char *eq, *name, *value;
    unsigned int key;
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
    for (key = 0; key < KEY_COUNT && strcmp(name, cfg_key_name[key]); key++)
        ;
    if (key == KEY_COUNT)
        return fail(p,
                    "unknown key \"%s\": use id, type, mode, size, base, "
                    "pool_in, aperture, map_threshold, revoke_timeout, "
                    "driver, backend, target, access, queues, queue_size, "
                    "serial, discard, timeout or poll",
                    show(name).text);
    if (p->seen & (1u << key))
        return fail(p,
                    "%s= is given twice, the second time as \"%s\": give "
                    "it once",
                    name, show(value).text);
    p->seen |= 1u << key;
    p->last = key;
    if (!*value)
        return fail(p, "%s= is empty: give a value or leave the key out", name);
    rc = check_slips(p, key, value);
    return rc ? rc : parse_value(p, key, value);
}

int vr_cfg_parse(unsigned int index, const char *text, struct vr_dev_cfg *cfg,
                 struct vr_err *err)
{
    struct parser p = {
        .cfg = cfg, .last = KEY_COUNT, .err = err, .index = index};
    char buf[TEXT_MAX + 1];
    char *item = buf, *comma;
    size_t len = strnlen(text, TEXT_MAX + 1);
    int rc;

    memset(cfg, 0, sizeof(*cfg));
    cfg->mode = VR_MODE_STATIC;
    cfg->queues = 1;
    cfg->queue_size = QUEUE_SIZE_DEFAULT;
    cfg->discard = true;
    cfg->map_threshold = VR_NEVER_MAP;
    cfg->revoke_ms = VR_REVOKE_MS_DEFAULT;
    cfg->timeout = TIMEOUT_DEFAULT;

    if (len > TEXT_MAX)
        return fail(&p, "longer than %d characters: shorten it", TEXT_MAX);
    memcpy(buf, text, len);
    buf[len] = '\0';
    if (!*trim(buf))
        return fail(&p, "empty: write \"id=disk0, type=block, mode=static, "
                        "size=64M, driver=FILE, target=PATH\" or take it out");
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "cfg.h"

/* A person's config line is far shorter; bounds the copy below. */
#define TEXT_MAX 4096

/*
 * Linux bounces every buffer of a request through the pool, beside the rings
 * themselves, and tries again for ever where there is no room: with nothing
 * else under way its longest request, 1280 KiB, has to fit.
 */
#define SIZE_MIN (UINT64_C(2) << 20)
/* More than any grant table covers; also keeps sums far from overflow. */
#define SIZE_LIMIT (UINT64_C(1) << 30)
/* Arm guests' RAM ends below 2^40 (Xen's GUEST_RAM1), x86's below 2^48. */
#define ADDR_LIMIT (UINT64_C(1) << 48)

#define QUEUE_SIZE_MIN     8
#define QUEUE_SIZE_DEFAULT 128
#define TIMEOUT_DEFAULT    60
#define TIMEOUT_MAX        3600
#define POLL_MAX           100000

enum key {
    KEY_ID,
    KEY_TYPE,
    KEY_MODE,
    KEY_SIZE,
    KEY_BASE,
    KEY_POOL_IN,
    KEY_APERTURE,
    KEY_MAP_THRESHOLD,
    KEY_REVOKE_TIMEOUT,
    KEY_DRIVER,
    KEY_BACKEND,
    KEY_TARGET,
    KEY_ACCESS,
    KEY_QUEUES,
    KEY_QUEUE_SIZE,
    KEY_SERIAL,
    KEY_DISCARD,
    KEY_TIMEOUT,
    KEY_POLL,
    KEY_COUNT
};

static const char *const key_name[KEY_COUNT] = {
    [KEY_ID] = "id",
    [KEY_TYPE] = "type",
    [KEY_MODE] = "mode",
    [KEY_SIZE] = "size",
    [KEY_BASE] = "base",
    [KEY_POOL_IN] = "pool_in",
    [KEY_APERTURE] = "aperture",
    [KEY_MAP_THRESHOLD] = "map_threshold",
    [KEY_REVOKE_TIMEOUT] = "revoke_timeout",
    [KEY_DRIVER] = "driver",
    [KEY_BACKEND] = "backend",
    [KEY_TARGET] = "target",
    [KEY_ACCESS] = "access",
    [KEY_QUEUES] = "queues",
    [KEY_QUEUE_SIZE] = "queue_size",
    [KEY_SERIAL] = "serial",
    [KEY_DISCARD] = "discard",
    [KEY_TIMEOUT] = "timeout",
    [KEY_POLL] = "poll",
};

struct parser {
    struct vr_dev_cfg *cfg;
    unsigned int seen; /* bit per key */
    struct vr_err *err;
    unsigned int index;
};

const char *vr_type_name(enum vr_type type)
{
    return type == VR_TYPE_BLOCK ? "block" : NULL;
}

static const char *const mode_name[] = {
    [VR_MODE_STATIC] = "static",
    [VR_MODE_DYNAMIC] = "dynamic",
    [VR_MODE_MIXED] = "mixed",
};

const char *vr_mode_name(enum vr_mode mode)
{
    return (unsigned int)mode < VR_ARRAY_SIZE(mode_name) ? mode_name[mode]
                                                         : NULL;
}

static const char *const pool_in_name[] = {
    [VR_POOL_IN_FIRMWARE] = "firmware",
    [VR_POOL_IN_PROBE] = "probe",
    [VR_POOL_IN_BOTH] = "both",
};

const char *vr_pool_in_name(enum vr_pool_in where)
{
    return (unsigned int)where < VR_ARRAY_SIZE(pool_in_name)
               ? pool_in_name[where]
               : NULL;
}

const char *vr_window_name(enum vr_window_kind kind)
{
    return mode_name[kind == VR_WINDOW_POOL ? VR_MODE_STATIC : VR_MODE_DYNAMIC];
}

int vr_type_parse(const char *s, enum vr_type *out)
{
    if (strcmp(s, "block"))
        return -EINVAL;
    *out = VR_TYPE_BLOCK;
    return 0;
}

int vr_mode_parse(const char *s, enum vr_mode *out)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(mode_name); i++) {
        if (!strcmp(s, mode_name[i])) {
            *out = (enum vr_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

int vr_pool_in_parse(const char *s, enum vr_pool_in *out)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(pool_in_name); i++) {
        if (!strcmp(s, pool_in_name[i])) {
            *out = (enum vr_pool_in)i;
            return 0;
        }
    }
    return -EINVAL;
}

char *vr_threshold_text(uint64_t threshold, char *buf)
{
    if (threshold == VR_NEVER_MAP)
        strcpy(buf, "never");
    else if (!threshold)
        strcpy(buf, "always");
    else
        vr_format_size(threshold, buf);
    return buf;
}

int vr_threshold_parse(const char *s, uint64_t *out)
{
    uint64_t v = VR_NEVER_MAP;
    int rc;

    if (!strcmp(s, "always")) {
        v = 0;
    } else if (strcmp(s, "never")) {
        rc = vr_parse_size(s, &v);
        if (rc)
            return rc;
        if (v > SIZE_LIMIT)
            return -ERANGE;
    }
    *out = v;
    return 0;
}

static int fail(struct parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct parser *p, const char *fmt, ...)
{
    char text[sizeof(p->err->text)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    vr_err_set(p->err, "virtio_restricted[%u]: %s", p->index, text);
    return -EINVAL;
}

/* What the user wrote, fit for one line: printable and not too long. */
struct shown {
    char text[52];
};

static struct shown show(const char *s)
{
    struct shown out;
    size_t i;

    for (i = 0; s[i] && i < sizeof(out.text) - 4; i++)
        out.text[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
    strcpy(out.text + i, s[i] ? "..." : "");
    return out;
}

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

/* How small is too small depends on the queues: check_aperture(). */
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
        return fail(p,
                    "base=%s is beyond any guest's memory: use an address "
                    "inside its RAM, or leave base= out",
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
                    key_name[key], show(value).text);
    if (strlen(value) > VR_PATH_LEN)
        return fail(p,
                    "%s=%s is too long: use a path of at most %d "
                    "characters",
                    key_name[key], show(value).text, VR_PATH_LEN);
    if (!printable(value))
        return fail(p,
                    "%s=%s has characters that cannot be passed on: use a "
                    "path of printable ASCII characters",
                    key_name[key], show(value).text);
    strcpy(out, value);
    return 0;
}

static int parse_backend(struct parser *p, const char *value)
{
    if (strlen(value) > VR_NAME_LEN || !printable(value) || strchr(value, '/'))
        return fail(p,
                    "backend=%s is not a domain name: use the name that "
                    "xl list shows, at most %d characters without /",
                    show(value).text, VR_NAME_LEN);
    strcpy(p->cfg->backend, value);
    return 0;
}

static int parse_serial(struct parser *p, const char *value)
{
    if (strlen(value) > VR_SERIAL_LEN || !printable(value))
        return fail(p,
                    "serial=%s is not a serial number: use 1 to %d "
                    "printable ASCII characters",
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
                    key_name[key], show(value).text, min, max);
    *out = v;
    return 0;
}

static int parse_queue_size(struct parser *p, const char *value)
{
    unsigned int v;
    int rc = parse_count(p, KEY_QUEUE_SIZE, value, QUEUE_SIZE_MIN,
                         VR_MAX_QUEUE_SIZE, &v);

    if (rc)
        return rc;
    if (v & (v - 1))
        return fail(p,
                    "queue_size=%s is not a power of two: use 64, 128 or "
                    "256",
                    show(value).text);
    p->cfg->queue_size = v;
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
        if (strcmp(value, "rw") && strcmp(value, "ro"))
            return fail(p, "access=%s is neither rw nor ro: use one of them",
                        show(value).text);
        cfg->readonly = !strcmp(value, "ro");
        return 0;
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

static int parse_item(struct parser *p, char *item)
{
    char *eq, *name, *value;
    unsigned int key;

    item = trim(item);
    if (!*item)
        return fail(p, "empty item: take the extra comma out");
    eq = strchr(item, '=');
    if (!eq)
        return fail(p, "\"%s\" has no value: write KEY=VALUE", show(item).text);
    *eq = '\0';
    name = trim(item);
    value = trim(eq + 1);
    for (key = 0; key < KEY_COUNT && strcmp(name, key_name[key]); key++)
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
    if (!*value)
        return fail(p, "%s= is empty: give a value or leave the key out", name);
    return parse_value(p, key, value);
}

static bool seen(const struct parser *p, enum key key)
{
    return p->seen & (1u << key);
}

static int check_pool(struct parser *p)
{
    if (!seen(p, KEY_SIZE))
        return fail(p, "size= is missing: add it, such as size=64M");
    if (p->cfg->has_base && p->cfg->base > ADDR_LIMIT - p->cfg->size)
        return fail(p,
                    "base=0x%" PRIx64 " and size= reach beyond any guest's "
                    "memory: use an address inside its RAM, or leave base= "
                    "out",
                    p->cfg->base);
    return 0;
}

static int check_aperture(struct parser *p)
{
    const struct vr_dev_cfg *c = p->cfg;
    bool mixed = c->mode == VR_MODE_MIXED;
    char size[24], min[24];

    if (!seen(p, KEY_APERTURE))
        return fail(p,
                    "aperture= is missing: mode=%s needs it, such as "
                    "aperture=32M",
                    vr_mode_name(c->mode));
    if (!vr_size_max(c->aperture, c->queues, c->queue_size, mixed))
        return fail(p,
                    "aperture=%s is too small for queues=%u and "
                    "queue_size=%u, requests could wait for address space for "
                    "ever: use at least %s, or smaller or fewer queues",
                    vr_format_size(c->aperture, size), c->queues, c->queue_size,
                    vr_format_size(
                        vr_aperture_min(c->queues, c->queue_size, mixed), min));
    return 0;
}

static int check_static(struct parser *p)
{
    static const enum key foreign[] = {KEY_MAP_THRESHOLD, KEY_REVOKE_TIMEOUT};
    char size[24];
    unsigned int i;

    if (seen(p, KEY_APERTURE))
        return fail(p,
                    "aperture=%s is for mode=dynamic (instead of size=) and "
                    "mode=mixed (beside it): add one of them, or write size= "
                    "alone for the pool of mode=static",
                    vr_format_size(p->cfg->aperture, size));
    for (i = 0; i < VR_ARRAY_SIZE(foreign); i++) {
        if (seen(p, foreign[i]))
            return fail(p,
                        "%s= is for mode=dynamic and mode=mixed: in "
                        "mode=static the pool is mapped once and as a whole; "
                        "take the key out, or add one of them",
                        key_name[foreign[i]]);
    }
    if (p->cfg->pool_in != VR_POOL_IN_FIRMWARE)
        return fail(p,
                    "pool_in=%s is for mode=mixed: PROBE is a request to a "
                    "virtio-iommu, and a device with mode=static is behind "
                    "none; take the key out, or add mode=mixed and aperture=",
                    vr_pool_in_name(p->cfg->pool_in));
    return check_pool(p);
}

static int check_dynamic(struct parser *p)
{
    char size[24];

    if (seen(p, KEY_SIZE))
        return fail(p,
                    "size=%s is the pool of mode=static or mode=mixed: with "
                    "mode=dynamic write aperture= instead, or mode=mixed for "
                    "both",
                    vr_format_size(p->cfg->size, size));
    if (seen(p, KEY_BASE))
        return fail(p,
                    "base=0x%" PRIx64 " is the address of a pool, and "
                    "mode=dynamic has none: take it out",
                    p->cfg->base);
    if (seen(p, KEY_POOL_IN))
        return fail(p,
                    "pool_in=%s says how the guest finds a pool, and "
                    "mode=dynamic has none: take it out, or write mode=mixed "
                    "and size=",
                    vr_pool_in_name(p->cfg->pool_in));
    return check_aperture(p);
}

static int check_mode(struct parser *p)
{
    int rc;

    switch (p->cfg->mode) {
    case VR_MODE_STATIC:
        return check_static(p);
    case VR_MODE_DYNAMIC:
        return check_dynamic(p);
    case VR_MODE_MIXED:
        rc = check_pool(p);
        return rc ? rc : check_aperture(p);
    }
    return fail(p, "unknown mode");
}

static int check_required(struct parser *p)
{
    static const struct {
        enum key key;
        const char *example;
    } required[] = {
        {KEY_ID, "id=disk0"},
        {KEY_TYPE, "type=block"},
        {KEY_TARGET, "target=/dev/xvdb"},
    };
    unsigned int i;
    int rc;

    for (i = 0; i < VR_ARRAY_SIZE(required); i++) {
        if (!seen(p, required[i].key))
            return fail(p, "%s= is missing: add it, such as %s",
                        key_name[required[i].key], required[i].example);
    }
    rc = check_mode(p);
    if (rc)
        return rc;
    if (seen(p, KEY_DRIVER) && seen(p, KEY_BACKEND))
        return fail(p,
                    "driver=%s and backend=%s are both given: keep driver= "
                    "for a domain to create, or backend= for one that runs",
                    show(p->cfg->driver).text, show(p->cfg->backend).text);
    if (!seen(p, KEY_DRIVER) && !seen(p, KEY_BACKEND))
        return fail(p,
                    "neither driver= nor backend= is given: add "
                    "driver=FILE (a driver domain to create) or backend=NAME "
                    "(one that runs)");
    if (p->cfg->readonly && seen(p, KEY_DISCARD) && p->cfg->discard)
        return fail(p, "discard=on contradicts access=ro: take one of them "
                       "out");
    if (p->cfg->readonly)
        p->cfg->discard = false;
    return 0;
}

int vr_cfg_parse(unsigned int index, const char *text, struct vr_dev_cfg *cfg,
                 struct vr_err *err)
{
    struct parser p = {.cfg = cfg, .err = err, .index = index};
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
            return check_required(&p);
        item = comma + 1;
    }
}

static bool same_driver(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b)
{
    return !strcmp(a->driver, b->driver) && !strcmp(a->backend, b->backend);
}

static int check_pair(const struct vr_dev_cfg *cfg, unsigned int i,
                      unsigned int j, struct vr_err *err)
{
    const struct vr_dev_cfg *a = &cfg[i], *b = &cfg[j];
    struct parser p = {.err = err, .index = j};

    if (!strcmp(a->id, b->id))
        return fail(&p,
                    "id=%s is used by virtio_restricted[%u] as well: give "
                    "each device its own id",
                    b->id, i);
    if (same_driver(a, b) && !strcmp(a->target, b->target) &&
        !(a->readonly && b->readonly))
        return fail(&p,
                    "target=%s is used by virtio_restricted[%u] as well: "
                    "give each device its own, or all access=ro",
                    show(b->target).text, i);
    if (a->has_base && b->has_base && a->base < b->base + b->size &&
        b->base < a->base + a->size)
        return fail(&p,
                    "base=0x%" PRIx64 " overlaps the window of "
                    "virtio_restricted[%u], 0x%" PRIx64 "-0x%" PRIx64 ": move "
                    "it, or leave base= out",
                    b->base, i, a->base, a->base + a->size - 1);
    return 0;
}

int vr_cfg_check_all(const struct vr_dev_cfg *cfg, unsigned int n,
                     struct vr_err *err)
{
    unsigned int i, j;
    int rc;

    for (j = 1; j < n; j++) {
        for (i = 0; i < j; i++) {
            rc = check_pair(cfg, i, j, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

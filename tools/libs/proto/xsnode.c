/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's nodes in xenstore as text, and back, as xsnode.h has it. Used by
 * the broker, which writes them, and the backend, which does not trust them.
 * Pure. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/window/bounds.h"
#include "xsnode.h"

static char *append(char *buf, size_t len, const char *id, const char *leaf)
{
    if (id)
        len += snprintf(buf + len, VR_XS_PATH - len, "/%s", id);
    if (id && leaf && len < VR_XS_PATH)
        snprintf(buf + len, VR_XS_PATH - len, "/%s", leaf);
    return buf;
}

char *vr_xs_backend(char *buf, uint32_t b, uint32_t g, const char *id,
                    const char *leaf)
{
    int len = snprintf(buf, VR_XS_PATH,
                       "/local/domain/%" PRIu32 "/backend/%s/%" PRIu32, b,
                       VR_NAME, g);

    return append(buf, len, id, leaf);
}

char *vr_xs_guest(char *buf, uint32_t g, const char *id, const char *leaf)
{
    int len = snprintf(buf, VR_XS_PATH, "/local/domain/%" PRIu32 "/device/%s",
                       g, VR_NAME);

    return append(buf, len, id, leaf);
}

char *vr_xs_truth(char *buf, uint32_t g, const char *id, const char *leaf)
{
    int len = snprintf(buf, VR_XS_PATH, "/libxl/%" PRIu32 "/%s", g, VR_NAME);

    return append(buf, len, id, leaf);
}

bool vr_xs_is_backend_of(const char *path, uint32_t domid)
{
    static const char folder[] = "backend/";
    const char *p = strstr(path, folder);
    unsigned long n;
    char *end;

    p = p ? strchr(p + sizeof(folder) - 1, '/') : NULL;
    if (!p || p[1] < '0' || p[1] > '9')
        return false;
    n = strtoul(p + 1, &end, 10);
    return n == domid && *end == '/';
}

enum vr_xbstate vr_xbstate_parse(const char *value, size_t len)
{
    if (!value || len != 1 || value[0] < '1' || value[0] > '6')
        return VR_XB_UNKNOWN;
    return (enum vr_xbstate)(value[0] - '0');
}

void vr_xs_sanitise(char *dst, size_t size, const char *src, size_t len)
{
    size_t i;

    if (!size)
        return;
    for (i = 0; i < len && i < size - 1; i++)
        dst[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
    dst[i] = '\0';
}

/* ---- writing ---- */

static void put(struct vr_xs_kv *kv, unsigned int *n, const char *key,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void put(struct vr_xs_kv *kv, unsigned int *n, const char *key,
                const char *fmt, ...)
{
    va_list ap;

    kv[*n].key = key;
    va_start(ap, fmt);
    vsnprintf(kv[*n].value, sizeof(kv[*n].value), fmt, ap);
    va_end(ap);
    (*n)++;
}

/* The nodes of a window. A device's windows are numbered, the pool first. */
struct window_keys {
    const char *kind, *base, *size, *gref;
};

static const struct window_keys window_keys[VR_WINDOWS] = {
    {"window/0/kind", "window/0/base", "window/0/size", "window/0/gref"},
    {"window/1/kind", "window/1/base", "window/1/size", "window/1/gref"},
};

static void put_window(struct vr_xs_kv *kv, unsigned int *n,
                       const struct window_keys *keys, unsigned int kind,
                       const struct vr_gwin *win)
{
    put(kv, n, keys->kind, "%s", vr_window_name(kind));
    put(kv, n, keys->base, "0x%" PRIx64, win->base);
    put(kv, n, keys->size, "0x%" PRIx64, win->size);
    put(kv, n, keys->gref, "%" PRIu32, win->gref_base);
}

unsigned int vr_xs_dev_format(const struct vr_xs_dev *dev, struct vr_xs_kv *kv)
{
    const struct vr_dev_cfg *c = &dev->cfg;
    const struct vr_type_spec *spec = vr_type_spec(c->type);
    const char *mode = vr_mode_name(c->mode);
    char threshold[24], value[VR_PATH_LEN + 1];
    unsigned int n = 0, w = 0, i;

    put(kv, &n, "frontend-id", "%" PRIu32, dev->guest);
    put(kv, &n, "type", "%s", spec ? spec->name : "?");
    put(kv, &n, "mode", "%s", mode ? mode : "?");
    for (i = 0; spec && i < spec->nkeys; i++)
        if (spec->keys[i].node)
            put(kv, &n, spec->keys[i].node, "%s",
                vr_key_text(&spec->keys[i], c, value));
    put(kv, &n, "queues", "%u", c->queues);
    put(kv, &n, "queue-size", "%u", c->queue_size);
    put(kv, &n, "poll", "%u", c->poll_us);
    if (vr_cfg_has_iova(c))
        put(kv, &n, "map-threshold", "%s",
            vr_threshold_text(c->map_threshold, threshold));
    if (vr_cfg_has_pool(c))
        put_window(kv, &n, &window_keys[w++], VR_WINDOW_POOL, &dev->pool);
    if (vr_cfg_has_iova(c))
        put_window(kv, &n, &window_keys[w], VR_WINDOW_IOVA, &dev->iova);
    put(kv, &n, "ctrl-domid", "%" PRIu32, dev->ctrl_domid);
    put(kv, &n, "ctrl-gref", "%" PRIu32, dev->ctrl_gref);
    put(kv, &n, "event-channel", "%" PRIu32, dev->ctrl_port);
    put(kv, &n, "online", "1");
    return n;
}

/* ---- reading ---- */

/* The highest event channel (FIFO ABI) and the longest poll that make sense. */
#define PORT_MAX 131071u
#define POLL_MAX 1000000u
#define ADDR_MAX ((UINT64_C(1) << (32 + VR_PAGE_SHIFT)) - 1)

struct reader {
    char *(*get)(void *ctx, const char *key, size_t *len);
    void *ctx;
    struct vr_err *err;
};

/* Why a value is refused; the value itself made fit to be printed. */
static int refuse(struct reader *r, const char *key, const char *value,
                  const char *why)
{
    char shown[64];

    if (!value) {
        vr_err_set(r->err, "xenstore: %s: missing", key);
        return -EINVAL;
    }
    vr_xs_sanitise(shown, sizeof(shown), value, strlen(value));
    vr_err_set(r->err, "xenstore: %s: \"%s\": %s", key, shown, why);
    return -EINVAL;
}

/*
 * A node's text in @buf: printable ASCII or UTF-8 bytes, no control
 * characters, at most @size - 1.
 */
static int get_text(struct reader *r, const char *key, char *buf, size_t size)
{
    size_t len = 0, i;
    char *value = r->get(r->ctx, key, &len);
    int rc = 0;

    buf[0] = '\0';
    if (!value)
        return refuse(r, key, NULL, NULL);
    if (len >= size) {
        rc = refuse(r, key, "...", "too long");
        goto out;
    }
    for (i = 0; i < len; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f) {
            rc = refuse(r, key, "...", "control character");
            goto out;
        }
    }
    memcpy(buf, value, len);
    buf[len] = '\0';
out:
    free(value);
    return rc;
}

static int get_number(struct reader *r, const char *key, uint64_t min,
                      uint64_t max, uint64_t *out)
{
    char text[24];
    int rc = get_text(r, key, text, sizeof(text));

    if (rc)
        return rc;
    if (vr_parse_u64(text, max, out) || *out < min)
        return refuse(r, key, text, "not a number, or out of range");
    return 0;
}

static int get_u32(struct reader *r, const char *key, uint32_t min,
                   uint32_t max, uint32_t *out)
{
    uint64_t v;
    int rc = get_number(r, key, min, max, &v);

    if (!rc)
        *out = v;
    return rc;
}

static int get_bool(struct reader *r, const char *key, bool *out)
{
    char text[8];
    int rc = get_text(r, key, text, sizeof(text));

    if (rc)
        return rc;
    if (strcmp(text, "0") && strcmp(text, "1"))
        return refuse(r, key, text, "unknown value");
    *out = text[0] == '1';
    return 0;
}

/* The nodes of its type's keys. */
static int get_own(struct reader *r, struct vr_dev_cfg *c)
{
    const struct vr_type_spec *spec = vr_type_spec(c->type);
    char text[VR_PATH_LEN + 1];
    const char *why;
    unsigned int i;
    int rc;

    for (i = 0; i < spec->nkeys; i++) {
        const struct vr_key *key = &spec->keys[i];

        if (!key->node)
            continue;
        rc = get_text(r, key->node, text, sizeof(text));
        if (rc)
            return rc;
        if (vr_key_read(key, text, c, &why))
            return refuse(r, key->node, text, why);
    }
    return 0;
}

static int get_kind(struct reader *r, struct vr_dev_cfg *c)
{
    char text[16];
    int rc;

    rc = get_text(r, "type", text, sizeof(text));
    if (rc)
        return rc;
    if (vr_type_parse(text, &c->type))
        return refuse(r, "type", text, "unknown device type");
    rc = get_text(r, "mode", text, sizeof(text));
    if (rc)
        return rc;
    if (vr_mode_parse(text, &c->mode))
        return refuse(r, "mode", text, "unknown mode");
    return 0;
}

static int get_cfg(struct reader *r, struct vr_dev_cfg *c)
{
    uint32_t v;
    int rc;

    rc = get_kind(r, c);
    if (rc)
        return rc;
    rc = get_own(r, c);
    if (rc)
        return rc;
    rc = get_u32(r, "queues", 1, VR_MAX_QUEUES, &v);
    if (rc)
        return rc;
    c->queues = v;
    rc = get_u32(r, "queue-size", 1, VR_MAX_QUEUE_SIZE, &v);
    if (rc)
        return rc;
    if (v & (v - 1)) {
        vr_err_set(r->err,
                   "xenstore: queue-size: %" PRIu32 ": not a power of two", v);
        return -EINVAL;
    }
    c->queue_size = v;
    rc = get_u32(r, "poll", 0, POLL_MAX, &v);
    if (rc)
        return rc;
    c->poll_us = v;
    return 0;
}

static int get_threshold(struct reader *r, struct vr_dev_cfg *c)
{
    char text[24];
    int rc;

    c->map_threshold = VR_NEVER_MAP;
    if (!vr_cfg_has_iova(c))
        return 0;
    rc = get_text(r, "map-threshold", text, sizeof(text));
    if (rc)
        return rc;
    if (vr_threshold_parse(text, &c->map_threshold))
        return refuse(r, "map-threshold", text,
                      "not never, always or a size of at most 1G");
    return 0;
}

static int get_window(struct reader *r, const struct window_keys *keys,
                      enum vr_window_kind want, struct vr_gwin *win)
{
    char kind[16];
    uint64_t pages;
    int rc;

    rc = get_text(r, keys->kind, kind, sizeof(kind));
    if (rc)
        return rc;
    if (strcmp(kind, vr_window_name(want)))
        return refuse(r, keys->kind, kind, "does not fit the mode");
    rc = get_number(r, keys->base, 0, ADDR_MAX, &win->base);
    if (rc)
        return rc;
    rc = get_number(r, keys->size, VR_PAGE_SIZE, ADDR_MAX, &win->size);
    if (rc)
        return rc;
    if ((win->base | win->size) & (VR_PAGE_SIZE - 1) ||
        win->size > ADDR_MAX + 1 - win->base) {
        vr_err_set(r->err,
                   "xenstore: %s: 0x%" PRIx64 " with 0x%" PRIx64
                   " bytes: not in whole pages, or too large",
                   keys->base, win->base, win->size);
        return -EINVAL;
    }
    rc = get_u32(r, keys->gref, 8, UINT32_MAX, &win->gref_base);
    if (rc)
        return rc;
    pages = win->size >> VR_PAGE_SHIFT;
    if (pages - 1 > UINT32_MAX - win->gref_base) {
        vr_err_set(r->err,
                   "xenstore: %s: %" PRIu32 ": %" PRIu64
                   " references do not fit behind it",
                   keys->gref, win->gref_base, pages);
        return -EINVAL;
    }
    return 0;
}

static int get_windows(struct reader *r, struct vr_xs_dev *dev)
{
    struct vr_dev_cfg *c = &dev->cfg;
    unsigned int w = 0;
    int rc;

    if (vr_cfg_has_pool(c)) {
        rc = get_window(r, &window_keys[w++], VR_WINDOW_POOL, &dev->pool);
        if (rc)
            return rc;
        c->size = dev->pool.size;
    }
    if (!vr_cfg_has_iova(c))
        return 0;
    rc = get_window(r, &window_keys[w], VR_WINDOW_IOVA, &dev->iova);
    if (rc)
        return rc;
    if (dev->pool.base < dev->iova.base + dev->iova.size &&
        dev->iova.base < dev->pool.base + dev->pool.size) {
        vr_err_set(r->err,
                   "xenstore: window/1/base: 0x%" PRIx64
                   ": overlaps the other window",
                   dev->iova.base);
        return -EINVAL;
    }
    c->aperture = dev->iova.size;
    if (!vr_size_max(c->aperture, c->queues, c->queue_size,
                     c->mode == VR_MODE_MIXED)) {
        vr_err_set(r->err,
                   "xenstore: %s: 0x%" PRIx64 ": too small for %u "
                   "queues of %u",
                   window_keys[w].size, c->aperture, c->queues, c->queue_size);
        return -EINVAL;
    }
    return 0;
}

int vr_xs_dev_parse(struct vr_xs_dev *dev, const char *id,
                    char *(*get)(void *ctx, const char *key, size_t *len),
                    void *ctx, struct vr_err *err)
{
    struct reader r = {.get = get, .ctx = ctx, .err = err};
    bool online = false;
    int rc;

    memset(dev, 0, sizeof(*dev));
    if (!vr_id_valid(id)) {
        vr_err_set(err, "xenstore: malformed device id");
        return -EINVAL;
    }
    memcpy(dev->cfg.id, id, strlen(id) + 1);
    rc = get_u32(&r, "frontend-id", 0, VR_DOMID_MAX, &dev->guest);
    if (rc)
        return rc;
    rc = get_cfg(&r, &dev->cfg);
    if (rc)
        return rc;
    rc = get_threshold(&r, &dev->cfg);
    if (rc)
        return rc;
    rc = get_windows(&r, dev);
    if (rc)
        return rc;
    rc = get_u32(&r, "ctrl-domid", 0, VR_DOMID_MAX, &dev->ctrl_domid);
    if (rc)
        return rc;
    rc = get_u32(&r, "ctrl-gref", 0, UINT32_MAX, &dev->ctrl_gref);
    if (rc)
        return rc;
    rc = get_u32(&r, "event-channel", 1, PORT_MAX, &dev->ctrl_port);
    if (rc)
        return rc;
    rc = get_bool(&r, "online", &online);
    if (rc)
        return rc;
    if (!online)
        return refuse(&r, "online", "0", "the device is being withdrawn");
    return 0;
}

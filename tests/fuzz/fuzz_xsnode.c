/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a backend finds in xenstore. The input is a good description of a
 * device with some of its nodes replaced: one byte says which, one how long
 * the new value is, then the value. The first byte says whether the device is
 * a dynamic one.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libs/window/bounds.h"
#include "libs/base/text.h"
#include "libs/proto/xsnode.h"

static bool bad_window(const struct vr_gwin *w, bool wanted)
{
    if (!wanted)
        return w->size != 0;
    return !w->size || ((w->base | w->size) & 4095) ||
           w->base + w->size < w->base ||
           w->gref_base + (w->size >> 12) - 1 > UINT32_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct value {
    const uint8_t *data; /* NULL: as formatted */
    size_t len;
};

struct store {
    struct vr_xs_kv kv[VR_XS_MAX_KV];
    struct value value[VR_XS_MAX_KV];
    unsigned int n;
};

/* Text that is anything, in what is shown. */
static void show(const char *data, size_t size)
{
    char name[VR_NAME_LEN + 1], quote[VR_QUOTE_LEN], text[256];
    size_t i, len;

    vr_xs_sanitise(text, sizeof(text), data, size);
    len = strlen(vr_quote(quote, text));
    if (len < 2 || strchr(quote + 1, '"') != quote + len - 1)
        abort();
    for (i = 0; i < len; i++)
        if (quote[i] < 0x20 || quote[i] > 0x7e)
            abort();
    vr_name_clean(name, sizeof(name), data, size);
    if (name[0] && !vr_name_valid(name))
        abort();
}

static char *get(void *ctx, const char *key, size_t *len)
{
    const struct store *s = ctx;
    unsigned int i;
    char *copy;

    for (i = 0; i < s->n; i++) {
        if (strcmp(key, s->kv[i].key))
            continue;
        if (!s->value[i].data) {
            *len = strlen(s->kv[i].value);
            return strdup(s->kv[i].value);
        }
        /* xs_read() terminates what it returns. */
        copy = malloc(s->value[i].len + 1);
        if (!copy)
            abort();
        memcpy(copy, s->value[i].data, s->value[i].len);
        copy[s->value[i].len] = '\0';
        *len = s->value[i].len;
        return copy;
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vr_xs_dev good = {
        .cfg = {.id = "disk0",
                .type = VR_TYPE_block,
                .mode = VR_MODE_STATIC,
                .target = "/dev/xvdb",
                .queues = 1,
                .queue_size = 128},
        .guest = 5,
        .pool = {0x48000000, 64 << 20, 16384},
        .ctrl_gref = 8,
        .ctrl_port = 3,
    };
    static struct store s;
    struct vr_xs_dev base = good, dev;
    struct vr_err err = {""};

    if (size && (data[0] & 1)) {
        base.cfg.mode = VR_MODE_DYNAMIC;
        base.cfg.map_threshold = data[0] & 2 ? VR_NEVER_MAP : 65536;
        base.iova = base.pool;
        base.iova.base = UINT64_C(1) << 36;
        if (data[0] & 4)
            base.cfg.mode = VR_MODE_MIXED;
        else
            memset(&base.pool, 0, sizeof(base.pool));
    }
    if (size) {
        data++;
        size--;
    }
    memset(&s.value, 0, sizeof(s.value));
    s.n = vr_xs_dev_format(&base, s.kv);
    show((const char *)data, size);
    vr_xbstate_parse((const char *)data, size);
    while (size >= 2) {
        struct value *v = &s.value[data[0] % s.n];
        size_t len = data[1];

        data += 2;
        size -= 2;
        if (len > size)
            len = size;
        v->data = data;
        v->len = len;
        data += len;
        size -= len;
    }
    if (vr_xs_dev_parse(&dev, "disk0", get, &s, &err)) {
        if (!err.text[0])
            abort();
        return 0;
    }
    /* What was accepted is within bounds. */
    if (bad_window(&dev.pool, vr_cfg_has_pool(&dev.cfg)) ||
        bad_window(&dev.iova, vr_cfg_has_iova(&dev.cfg)) ||
        dev.cfg.queues < 1 || dev.cfg.queues > VR_MAX_QUEUES ||
        dev.cfg.queue_size > VR_MAX_QUEUE_SIZE || dev.guest > VR_DOMID_MAX ||
        vr_cfg_window(&dev.cfg) != dev.pool.size + dev.iova.size)
        abort();
    if (dev.pool.size && dev.iova.size &&
        dev.pool.base < dev.iova.base + dev.iova.size &&
        dev.iova.base < dev.pool.base + dev.pool.size)
        abort();
    if (vr_cfg_has_iova(&dev.cfg)
            ? !vr_size_max(dev.iova.size, dev.cfg.queues, dev.cfg.queue_size,
                           dev.cfg.mode == VR_MODE_MIXED)
            : dev.cfg.map_threshold != VR_NEVER_MAP)
        abort();
    return 0;
}

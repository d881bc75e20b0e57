/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a device's keys must not say together, and what the devices of a guest
 * must not. Called by the plug-in and by cfg.c. Pure. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libs/window/bounds.h"
#include "cfg_int.h"

static int check_pool(struct vr_parser *p)
{
    uint64_t least = vr_type_pool_min(p->cfg);
    char min[24];

    if (!vr_given(p, "size"))
        return vr_parse_fail(p, "size= is missing: add it, such as size=64M");
    if (p->cfg->size < least)
        return vr_parse_fail(
            p,
            "size=%s is too small: a guest passes its rings and "
            "all data in flight through the window, use at least %s",
            vr_shown(vr_given(p, "size")).text, vr_format_size(least, min));
    if (p->cfg->has_base && p->cfg->base > ADDR_LIMIT - p->cfg->size)
        return vr_parse_fail(p,
                             "base=0x%" PRIx64
                             " and size= reach beyond any guest's "
                             "memory: " BASE_REMEDY,
                             p->cfg->base);
    return 0;
}

static int check_aperture(struct vr_parser *p)
{
    const struct vr_dev_cfg *c = p->cfg;
    bool mixed = c->mode == VR_MODE_MIXED;
    char size[24], min[24];

    if (!vr_given(p, "aperture"))
        return vr_parse_fail(p,
                             "aperture= is missing: mode=%s needs it, such as "
                             "aperture=32M",
                             vr_mode_name(c->mode));
    if (!vr_size_max(c->aperture, c->queues, c->queue_size, mixed))
        return vr_parse_fail(
            p,
            "aperture=%s is too small for queues=%u and "
            "queue_size=%u, requests could wait for address space for "
            "ever: use at least %s, or smaller or fewer queues",
            vr_format_size(c->aperture, size), c->queues, c->queue_size,
            vr_format_size(vr_aperture_min(c->queues, c->queue_size, mixed),
                           min));
    return 0;
}

/* Such as "mode=static and mode=mixed". */
static void name_modes(unsigned int modes, char *buf, size_t size)
{
    enum vr_mode mode;

    buf[0] = '\0';
    for (mode = VR_MODE_STATIC; mode <= VR_MODE_MIXED; mode++) {
        size_t len = strlen(buf);

        if (modes & VR_IN(mode))
            snprintf(buf + len, size - len, "%smode=%s", len ? " and " : "",
                     vr_mode_name(mode));
    }
}

/* Keys that the device's mode does not know. */
static int check_foreign(struct vr_parser *p)
{
    char modes[64];
    unsigned int i;

    for (i = 0; i < p->ngiven; i++) {
        const struct vr_key *key = p->given[i].key;

        if (!key->modes || key->modes & VR_IN(p->cfg->mode))
            continue;
        name_modes(key->modes, modes, sizeof(modes));
        return vr_parse_fail(p, "%s=%s is for %s; with mode=%s: %s", key->name,
                             vr_shown(p->given[i].value).text, modes,
                             vr_mode_name(p->cfg->mode), key->foreign);
    }
    return 0;
}

static int check_mode(struct vr_parser *p)
{
    const struct vr_dev_cfg *c = p->cfg;
    int rc = check_foreign(p);

    if (!rc && c->mode == VR_MODE_STATIC && c->pool_in != VR_POOL_IN_FIRMWARE)
        return vr_parse_fail(
            p,
            "pool_in=%s is for mode=mixed: PROBE is a request to a "
            "virtio-iommu, and a device with mode=static is behind "
            "none; take the key out, or add mode=mixed and aperture=",
            vr_pool_in_name(c->pool_in));
    if (!rc && vr_cfg_has_pool(c))
        rc = check_pool(p);
    if (!rc && vr_cfg_has_iova(c))
        rc = check_aperture(p);
    return rc;
}

static int check_required(struct vr_parser *p, const struct vr_key *keys,
                          unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n; i++) {
        if (keys[i].required && !vr_given(p, keys[i].name))
            return vr_parse_fail(p, "%s= is missing: add it, such as %s=%s",
                                 keys[i].name, keys[i].name, keys[i].example);
    }
    return 0;
}

int cfg_check_device(struct vr_parser *p)
{
    const struct vr_key *keys;
    unsigned int n = vr_cfg_keys(&keys);
    int rc = check_required(p, keys, n);

    if (!rc)
        rc = check_required(p, p->spec->keys, p->spec->nkeys);
    if (!rc)
        rc = check_mode(p);
    if (rc)
        return rc;
    if (vr_given(p, "driver") && vr_given(p, "backend"))
        return vr_parse_fail(
            p,
            "driver=%s and backend=%s are both given: keep driver= "
            "for a domain to create, or backend= for one that runs",
            vr_shown(p->cfg->driver).text, vr_shown(p->cfg->backend).text);
    if (!vr_given(p, "driver") && !vr_given(p, "backend"))
        return vr_parse_fail(p, "neither driver= nor backend= is given: add "
                                "driver=FILE (a driver domain to create) or "
                                "backend=NAME (one that runs)");
    return p->spec->check ? p->spec->check(p) : 0;
}

static bool same_driver(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b)
{
    return !strcmp(a->driver, b->driver) && !strcmp(a->backend, b->backend);
}

static int check_pair(const struct vr_dev_cfg *cfg, unsigned int i,
                      unsigned int j, struct vr_err *err)
{
    const struct vr_dev_cfg *a = &cfg[i], *b = &cfg[j];
    const struct vr_type_spec *spec = vr_type_spec(b->type);
    struct vr_parser p = {.err = err, .index = j};
    char about[VR_ABOUT_LEN];

    if (!strcmp(a->id, b->id))
        return vr_parse_fail(
            &p,
            "id=%s is used by virtio_restricted[%u] as well: give "
            "each device its own id",
            b->id, i);
    if (same_driver(a, b) && vr_type_clash(a, b))
        return vr_parse_fail(&p,
                             "%s is used by virtio_restricted[%u] as well: "
                             "give each device its own%s%s",
                             vr_type_about(b, about), i,
                             spec->remedy ? ", or " : "",
                             spec->remedy ? spec->remedy : "");
    if (a->has_base && b->has_base && a->base < b->base + b->size &&
        b->base < a->base + a->size)
        return vr_parse_fail(&p,
                             "base=0x%" PRIx64 " overlaps the window of "
                             "virtio_restricted[%u], 0x%" PRIx64 "-0x%" PRIx64
                             ": move "
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

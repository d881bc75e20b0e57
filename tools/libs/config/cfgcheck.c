/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "libs/window/bounds.h"
#include "cfg_int.h"

static int check_pool(struct parser *p)
{
    if (!seen(p, KEY_SIZE))
        return fail(p, "size= is missing: add it, such as size=64M");
    if (p->cfg->has_base && p->cfg->base > ADDR_LIMIT - p->cfg->size)
        return fail(p,
                    "base=0x%" PRIx64 " and size= reach beyond any guest's "
                    "memory: " BASE_REMEDY,
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
                        cfg_key_name[foreign[i]]);
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

int cfg_check_device(struct parser *p)
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
                        cfg_key_name[required[i].key], required[i].example);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of all types of devices. Pure; for whoever has to do with more than
 * one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "types.h"

static const struct vr_type_spec *const specs[] = {
#define TYPE(name, id) &vr_spec_##name,
#include "types.def"
#undef TYPE
};

const struct vr_type_spec *vr_type_spec(uint32_t type)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(specs); i++)
        if (specs[i]->type == type)
            return specs[i];
    return NULL;
}

const struct vr_type_spec *vr_type_at(unsigned int i)
{
    return i < VR_ARRAY_SIZE(specs) ? specs[i] : NULL;
}

uint64_t vr_type_pool_min(const struct vr_dev_cfg *cfg)
{
    const struct vr_type_spec *spec = vr_type_spec(cfg->type);

    if (!spec)
        return 0;
    return spec->pool_min ? spec->pool_min(cfg) : spec->size_min;
}

char *vr_type_about(const struct vr_dev_cfg *cfg, char *buf)
{
    const struct vr_type_spec *spec = vr_type_spec(cfg->type);

    if (spec && spec->about)
        spec->about(cfg, buf, VR_ABOUT_LEN);
    else
        snprintf(buf, VR_ABOUT_LEN, "target=%s", vr_shown(cfg->target).text);
    return buf;
}

bool vr_type_clash(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b)
{
    const struct vr_type_spec *spec = vr_type_spec(a->type);

    return a->type == b->type && !strcmp(a->target, b->target) &&
           !(spec && spec->shares && spec->shares(a, b));
}

const char *vr_type_name(enum vr_type type)
{
    const struct vr_type_spec *spec = vr_type_spec(type);

    return spec ? spec->name : NULL;
}

int vr_type_parse(const char *s, enum vr_type *out)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(specs); i++) {
        if (!strcmp(s, specs[i]->name)) {
            *out = specs[i]->type;
            return 0;
        }
    }
    return -EINVAL;
}

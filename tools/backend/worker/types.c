/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of device types, made at build time. Asked once, by the worker. */
#include "worker.h"

#define TYPE(name, id) extern const struct vr_serve vr_serve_##name;
#include "libs/types/types.def"
#undef TYPE

static const struct vr_serve *const types[] = {
#define TYPE(name, id) &vr_serve_##name,
#include "libs/types/types.def"
#undef TYPE
};

const struct vr_serve *vr_serve_find(enum vr_type type)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(types); i++) {
        if (types[i]->type == type)
            return types[i];
    }
    return NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * type=rng, the entropy device (virtio 1.2, 5.4): its one key, and how it is
 * shown. It has no features and no config space. Reached by the table of types
 * alone. Pure.
 */
#include "libs/types/types.h"

static const struct vr_key keys[] = {
    {.name = "target",
     .parse = vr_key_path,
     .example = "/dev/urandom",
     .required = true,
     .kind = VR_KEY_PATH,
     VR_KEY_FIELD(target),
     .node = "target"},
};

/* Nobody takes away from another what he reads. */
static bool shares(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b)
{
    (void)a;
    (void)b;
    return true;
}

static void show(const struct vr_seen *seen, const struct vr_show *to)
{
    to->line(to->ctx, "target", "%s", seen->cfg->target);
}

static void json(const struct vr_seen *seen, const struct vr_show *to)
{
    to->text(to->ctx, "target", seen->cfg->target);
}

const struct vr_type_spec vr_spec_rng = {
    .name = "rng",
    .type = VR_TYPE_rng,
    .keys = keys,
    .nkeys = VR_ARRAY_SIZE(keys),
    /* The rings, and a short buffer for each of their entries. */
    .size_min = UINT64_C(256) << 10,
    .shares = shares,
    .show = show,
    .json = json,
};

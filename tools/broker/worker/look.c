/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See look.h. watch.c asks. */
#include "look.h"

bool vr_look_begin(struct vr_look *look, enum vr_look_kind kind)
{
    if (!look->kind[kind].skip)
        return true;
    look->kind[kind].skip--;
    return false;
}

void vr_look_end(struct vr_look *look, enum vr_look_kind kind, bool found)
{
    unsigned int penalty = look->kind[kind].penalty;

    if (found) {
        look->kind[kind].penalty = penalty / 2;
        return;
    }
    penalty = penalty * 2 + 1;
    if (penalty > VR_LOOK_SKIP_MAX)
        penalty = VR_LOOK_SKIP_MAX;
    look->kind[kind].penalty = penalty;
    look->kind[kind].skip = penalty;
}

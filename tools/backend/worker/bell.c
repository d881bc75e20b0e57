/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of bells: vr_bell_NAME for each line of bell.def. For worker.c. */
#include "bell.h"

#define BELL(name) extern const struct vr_bell_ops vr_bell_##name;
#include "libs/proto/bell.def"
#undef BELL

const struct vr_bell_ops *const vr_bells[VR_BELLS] = {
#define BELL(name) [VR_BELL_##name] = &vr_bell_##name,
#include "libs/proto/bell.def"
#undef BELL
};

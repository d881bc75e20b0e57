/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bells that there are, by number: VR_BELL_trapped, VR_BELL_direct. See
 * bell.def. */
#ifndef VR_BELL_H
#define VR_BELL_H

enum vr_bell {
#define BELL(name) VR_BELL_##name,
#include "bell.def"
#undef BELL
    VR_BELLS
};

#endif /* VR_BELL_H */

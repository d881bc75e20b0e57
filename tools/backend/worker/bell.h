/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bells that the backend knows (struct vr_bell_ops): a file bell_NAME.c for
 * each line of bell.def. */
#ifndef VR_BACKEND_BELL_H
#define VR_BACKEND_BELL_H

#include "libs/proto/bell.h"
#include "backend/device.h"

/** vr_bells - by enum vr_bell. */
extern const struct vr_bell_ops *const vr_bells[VR_BELLS];

#endif /* VR_BACKEND_BELL_H */

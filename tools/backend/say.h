/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backend's log: what all of its processes write to. */
#ifndef VR_BACKEND_SAY_H
#define VR_BACKEND_SAY_H

#include <stdint.h>

/** vr_log() - one line for device @g/@id, or in general when @id is NULL. */
void vr_log(uint32_t g, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* VR_BACKEND_SAY_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An entropy device, and the backend's table for the type (backend/serve.h). */
#ifndef VR_BACKEND_RNG_H
#define VR_BACKEND_RNG_H

#include "libs/base/rate.h"
#include "backend/serve.h"

struct rng_io;

struct vr_rng {
    int fd; /* of the source; does not block */
    const char *name;
    struct rng_io *first, **last; /* requests that wait for bytes */
    struct vr_rate rate;
    int64_t retry; /* the source is not asked before */
    int64_t last_log;
    bool noted; /* that it fails */
};

extern const struct vr_serve vr_serve_rng;

#endif /* VR_BACKEND_RNG_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An entropy device, and the backend's table for the type (backend/serve.h). */
#ifndef VR_BACKEND_RNG_H
#define VR_BACKEND_RNG_H

#include <pthread.h>

#include "libs/base/rate.h"
#include "backend/serve.h"

/* At the most for one request, and read at once, bytes: Linux asks for 64. */
#define VR_RNG_MAX 512u

struct rng_io;

struct vr_rng {
    int fd; /* of the source */
    const char *name;
    struct rng_io *first, **last; /* requests that wait for bytes */
    struct vr_rate rate;
    int64_t retry; /* the source is not asked before */
    int64_t last_log;
    bool noted; /* the operator was told that it fails */
    bool ended; /* a read has ended, and its result was not taken */
    bool asked; /* the reader has the fields below, until it was */
    pthread_t reader;
    int ask, done; /* eventfds: to the reader, from it */
    uint32_t want;
    int result; /* bytes read, or -errno */
    /* What was read and not given to the guest yet. */
    uint32_t at, end;
    uint8_t bytes[VR_RNG_MAX];
};

extern const struct vr_serve vr_serve_rng;

/** vr_rng_reader_start() - the reader runs. Returns 0 or -errno. */
int vr_rng_reader_start(struct vr_rng *rng);

/** vr_rng_reader_ask() - have it read so many bytes, at most VR_RNG_MAX. When
 * that has ended, @done is readable. */
void vr_rng_reader_ask(struct vr_rng *rng, uint32_t want);

/** vr_rng_reader_take() - and then: how many are there? -errno: none. */
int vr_rng_reader_take(struct vr_rng *rng);

/** vr_rng_reader_stop() - the end of it, even while it reads. */
void vr_rng_reader_stop(struct vr_rng *rng);

#endif /* VR_BACKEND_RNG_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fixed set of threads that carry requests out one by one. Completions are
 * announced on an eventfd.
 */
#ifndef VR_BLOCK_THREADS_H
#define VR_BLOCK_THREADS_H

#include "aio.h"

struct vr_threads;

/** vr_threads_new() - start @threads. Returns 0 or -errno. */
int vr_threads_new(struct vr_threads **out, struct vr_target *target,
                   unsigned int threads);

/** vr_threads_free() - end the threads; no request may be under way. */
void vr_threads_free(struct vr_threads *t);

/** vr_threads_fd() - readable when something is done. */
int vr_threads_fd(const struct vr_threads *t);

/** vr_threads_add() - hand over a list of requests, linked by next. */
void vr_threads_add(struct vr_threads *t, struct vr_aio_req *list);

/** vr_threads_done() - take the list of those that are done. Resets the fd. */
struct vr_aio_req *vr_threads_done(struct vr_threads *t);

#endif /* VR_BLOCK_THREADS_H */

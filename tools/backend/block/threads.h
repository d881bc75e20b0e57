/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fixed set of threads that carry requests out one by one. Completions are
 * announced on an eventfd.
 */
#ifndef VR_BLOCK_THREADS_H
#define VR_BLOCK_THREADS_H

#include "aio.h"

struct vr_pool;

/** vr_pool_new() - start @threads. Returns 0 or -errno. */
int vr_pool_new(struct vr_pool **out, struct vr_target *target,
                unsigned int threads);

/** vr_pool_free() - end the threads; no request may be under way. */
void vr_pool_free(struct vr_pool *pool);

/** vr_pool_fd() - readable when something is done. */
int vr_pool_fd(const struct vr_pool *pool);

/** vr_pool_add() - hand over a list of requests, linked by next. */
void vr_pool_add(struct vr_pool *pool, struct vr_aio_req *list);

/** vr_pool_done() - take the list of those that are done. Resets the fd. */
struct vr_aio_req *vr_pool_done(struct vr_pool *pool);

#endif /* VR_BLOCK_THREADS_H */

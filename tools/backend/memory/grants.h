/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a worker reaches the guest's grants: it asks its granter (granter.h), in
 * memory that the two share, and sleeps until that has answered. It has no call
 * of its own by which grants are mapped or copied.
 *
 * Copies go between the guest and the *arena*, memory shared with the granter
 * at the same address. For a map, the granter registers the references in the
 * descriptor of gntdev that both have open, and the worker maps what is
 * registered there. Page n of the descriptor always goes to page n of the
 * *room*, addresses kept free for that, so that nothing has to be remembered.
 */
#ifndef VR_GRANTS_H
#define VR_GRANTS_H

#include "dynmem.h"
#include "libs/proto/grantreq.h"

struct vr_grants {
    int fd; /* of gntdev */
    struct vr_grantreq *req;
    uint32_t max_refs, max_pages;
    uint32_t turn; /* the last request */
    uint8_t *arena;
    size_t arena_size, used;
    uint8_t *room;
    uint32_t room_pages;
};

/**
 * vr_grants_open() - the shared memory, and the room.
 * @pool, @iova: the device's windows (size 0: none). @fd: stays the caller's.
 * @local: bytes that will be asked of vr_grants_ops.alloc().
 * Returns 0 or -errno.
 */
int vr_grants_open(struct vr_grants *g, const struct vr_gwin *pool,
                   const struct vr_gwin *iova, int fd, size_t local);

/** vr_grants_ask() - have the request carried out; returns its rc. What is to
 * be dropped is, or the process ends. */
int vr_grants_ask(struct vr_grants *g);

/** vr_grants_ops - with a struct vr_grants as their ctx. */
extern const struct vr_dynmem_ops vr_grants_ops;

#endif /* VR_GRANTS_H */

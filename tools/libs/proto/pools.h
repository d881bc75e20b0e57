/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pools are granted at present: VR_RUN_DIR/<guest uuid>.pools, a file in
 * shared memory that the broker's supervisor writes and `vrctl` reads. The
 * worker cannot reach it: what the audit expects in the grant table does not
 * depend on a process that the guest may have taken over.
 *
 * Entries and state change only between vr_shfile_begin() and vr_shfile_end()
 * of the generation, see shfile.h.
 */
#ifndef VR_POOLS_H
#define VR_POOLS_H

#include "libs/base/vr.h"

#define VR_POOLS_MAGIC UINT64_C(0x314c4f4f50525600)

enum vr_pool_state {
    VR_POOL_PRIVATE = 0, /* no entry grants anything */
    VR_POOL_GRANTED,     /* each entry grants its page */
    VR_POOL_HELD,        /* taken back, but for what is still in use */
};

struct vr_pools {
    uint64_t magic;
    uint32_t generation;
    uint32_t pad;
    uint32_t state[VR_MAX_DEVICES]; /* enum vr_pool_state, as in the record */
};

/** vr_pool_state_name() - "private", "granted", "held". Never NULL. */
const char *vr_pool_state_name(enum vr_pool_state state);

/**
 * vr_pools_open() - map the file of guest @uuid.
 * @create: make it (the broker), else map it read-only (vrctl).
 * Returns NULL with errno set on failure; ENOENT when there is none: nothing
 * was ever granted. Unmap with vr_pools_close().
 */
struct vr_pools *vr_pools_open(const char *uuid, bool create);
void vr_pools_close(struct vr_pools *pools);

/** vr_pools_state() - of device @i; @pools may be NULL: all are private. */
enum vr_pool_state vr_pools_state(const struct vr_pools *pools, unsigned int i);

/* The same as vr_pools_open() with a path, for tests. */
struct vr_pools *vr_pools_open_at(const char *path, bool create);

#endif /* VR_POOLS_H */

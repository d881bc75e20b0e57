/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of pools, in a file that the broker shares with vrctl. Used by
 * both; the reader checks all of it. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "pools.h"
#include "libs/config/record.h"
#include "libs/base/shfile.h"

const char *vr_pool_state_name(enum vr_pool_state state)
{
    static const char *const names[] = {"private", "granted", "held"};

    return (unsigned int)state < VR_ARRAY_SIZE(names) ? names[state] : "?";
}

struct vr_pools *vr_pools_open_at(const char *path, bool create)
{
    struct vr_pools *pools = create ? vr_shfile_create(path, sizeof(*pools))
                                    : vr_shfile_open(path, sizeof(*pools));

    if (create && pools)
        pools->magic = VR_POOLS_MAGIC;
    if (!pools || pools->magic == VR_POOLS_MAGIC)
        return pools;
    vr_pools_close(pools);
    errno = EPROTO;
    return NULL;
}

struct vr_pools *vr_pools_open(const char *uuid, bool create)
{
    char path[sizeof(VR_RUN_DIR) + VR_UUID_LEN + sizeof("/.pools")];

    if (!vr_uuid_valid(uuid)) {
        errno = EINVAL;
        return NULL;
    }
    snprintf(path, sizeof(path), VR_RUN_DIR "/%s.pools", uuid);
    if (create && mkdir(VR_RUN_DIR, 0700) && errno != EEXIST)
        return NULL;
    return vr_pools_open_at(path, create);
}

void vr_pools_close(struct vr_pools *pools)
{
    if (pools)
        munmap(pools, sizeof(*pools));
}

enum vr_pool_state vr_pools_state(const struct vr_pools *pools, unsigned int i)
{
    if (!pools)
        return VR_POOL_PRIVATE;
    return (enum vr_pool_state)__atomic_load_n(&pools->state[i],
                                               __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures, in a file that the broker shares with vrctl. Used by both; the
 * reader checks all of it. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libs/config/record.h"
#include "libs/base/shfile.h"
#include "stats.h"

const char *vr_fail_text(enum vr_fail fail)
{
    switch (fail) {
    case VR_FAIL_NONE:
        return "";
    case VR_FAIL_FEATURES:
        return "the guest's driver did not accept VIRTIO_F_VERSION_1 and "
               "VIRTIO_F_ACCESS_PLATFORM (PCI: and VIRTIO_F_EVENT_IDX, which "
               "firmware's do not), or asked for features that were not "
               "offered: use a kernel with a virtio 1 driver";
    case VR_FAIL_OUTSIDE:
        return "the guest put its rings outside of the device's window: boot "
               "a kernel with CONFIG_DMA_RESTRICTED_POOL (for Linux, its log "
               "says \"assigned reserved memory node\"), or load the module "
               "virtio_restricted in the guest before virtio_mmio";
    case VR_FAIL_QUEUE:
        return "the guest set up a queue with a bad size, alignment or "
               "overlap: its driver is broken or hostile";
    case VR_FAIL_BACKEND:
        return "the backend reported a failure: see the driver domain's "
               "console; unbind and bind the guest's driver to go on";
    case VR_FAIL_TIMEOUT:
        return "the backend did not answer in time: see whether its driver "
               "domain is paused, overloaded or hung; the device goes on "
               "when it answers and the guest has reset the device";
    case VR_FAIL_GONE:
        return "the driver domain is gone: the guest's requests wait; destroy "
               "the guest and create it again";
    case VR_FAIL_SILENT:
        return "the backend does not answer: see whether its driver domain is "
               "paused, panicked or overloaded; the guest's requests wait and "
               "go on when it answers";
    case VR_FAIL_UNATTACHED:
        return "the guest does not use its virtio-iommu for the device: its "
               "kernel needs CONFIG_VIRTIO_IOMMU (a module has to be loaded "
               "from the initramfs) and no iommu.passthrough=1";
    case VR_FAIL_REVOKED:
        return "stopped, because the guest took memory away that the backend "
               "had in use: unbind and bind the guest's driver to go on";
    case VR_FAIL_SPENT:
        return "stopped, because the backend kept memory that the guest had "
               "taken away, for a moment but too often: see whether its "
               "driver domain is overloaded; unbind and bind the guest's "
               "driver to go on";
    case VR_FAIL_GRANTS:
        return "the pool could not be granted when the guest's driver started "
               "the device, because the guest has written to the pool's grant "
               "entries: raise virtio_restricted_grants= and create it again; "
               "see LIMITS in xl-virtio-restricted.cfg(5)";
    }
    return "failed for an unknown reason: broker and vrctl are of different "
           "versions; install matching ones";
}

enum vr_fail vr_stats_why(const struct vr_stats_dev *s)
{
    if (s->failed)
        return (enum vr_fail)s->failed;
    return s->silent ? VR_FAIL_SILENT : VR_FAIL_NONE;
}

static struct vr_stats *create_file(const char *path)
{
    struct vr_stats *stats = NULL;

    if (!mkdir(VR_RUN_DIR, 0700) || errno == EEXIST)
        stats = vr_shfile_create(path, sizeof(*stats));
    if (stats)
        stats->magic = VR_STATS_MAGIC;
    return stats;
}

static struct vr_stats *open_file(const char *path, bool write)
{
    struct vr_stats *stats = write ? vr_shfile_join(path, sizeof(*stats))
                                   : vr_shfile_open(path, sizeof(*stats));

    if (!stats || stats->magic == VR_STATS_MAGIC)
        return stats;
    vr_stats_close(stats);
    errno = EPROTO;
    return NULL;
}

#define PATH_LEN (sizeof(VR_RUN_DIR) + VR_UUID_LEN + sizeof("/.stats"))

static int make_path(char path[PATH_LEN], const char *uuid)
{
    if (!vr_uuid_valid(uuid))
        return -EINVAL;
    snprintf(path, PATH_LEN, VR_RUN_DIR "/%s.stats", uuid);
    return 0;
}

struct vr_stats *vr_stats_open(const char *uuid, bool create)
{
    char path[PATH_LEN];

    if (make_path(path, uuid)) {
        errno = EINVAL;
        return NULL;
    }
    return create ? create_file(path) : open_file(path, false);
}

int vr_stats_ask(const char *uuid, uint32_t session, int64_t until)
{
    struct vr_stats *stats;
    char path[PATH_LEN];

    if (make_path(path, uuid))
        return -EINVAL;
    stats = open_file(path, true);
    if (!stats)
        return -errno;
    /* Of one that goes on already nothing is left. */
    __atomic_store_n(&stats->survey.session, session, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->survey.until, until, __ATOMIC_RELEASE);
    vr_stats_close(stats);
    return 0;
}

void vr_stats_close(struct vr_stats *stats)
{
    if (stats)
        munmap(stats, sizeof(*stats));
}

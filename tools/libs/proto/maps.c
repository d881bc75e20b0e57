/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages of dynamic windows are mapped, in a file that the broker shares
 * with vrctl. Used by both; the reader checks all of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "maps.h"

static uint32_t pages_of(const struct vr_record_dev *dev)
{
    const struct vr_gwin *win = vr_record_window(dev, VR_WINDOW_IOVA);

    return win ? vr_gwin_pages(win) : 0;
}

size_t vr_maps_words(const struct vr_record *rec, unsigned int i)
{
    return (pages_of(&rec->devs[i]) + (size_t)63) / 64;
}

size_t vr_maps_offset(const struct vr_record *rec, unsigned int i)
{
    size_t words = 0;

    while (i-- > 0)
        words += vr_maps_words(rec, i);
    return words;
}

size_t vr_maps_size(const struct vr_record *rec)
{
    return sizeof(struct vr_maps) +
           vr_maps_offset(rec, rec->ndevs) * sizeof(uint64_t);
}

void vr_maps_init(struct vr_maps *maps, const struct vr_record *rec)
{
    unsigned int i;

    maps->ndevs = rec->ndevs;
    for (i = 0; i < rec->ndevs; i++)
        maps->pages[i] = pages_of(&rec->devs[i]);
    maps->magic = VR_MAPS_MAGIC;
}

int vr_maps_check(const struct vr_maps *maps, size_t size,
                  const struct vr_record *rec)
{
    unsigned int i;

    if (size != vr_maps_size(rec) || maps->magic != VR_MAPS_MAGIC ||
        maps->ndevs != rec->ndevs)
        return -EPROTO;
    for (i = 0; i < rec->ndevs; i++)
        if (maps->pages[i] != pages_of(&rec->devs[i]))
            return -EPROTO;
    return 0;
}

uint32_t vr_maps_count(const struct vr_maps *maps, const struct vr_record *rec,
                       unsigned int i)
{
    const uint64_t *bits = maps->bits + vr_maps_offset(rec, i);
    size_t k, words = vr_maps_words(rec, i);
    uint32_t count = 0;

    for (k = 0; k < words; k++)
        count +=
            __builtin_popcountll(__atomic_load_n(&bits[k], __ATOMIC_RELAXED));
    return count;
}

struct vr_maps *vr_maps_create_at(const char *path, const struct vr_record *rec)
{
    struct vr_maps *maps = vr_shfile_create(path, vr_maps_size(rec));

    if (maps)
        vr_maps_init(maps, rec);
    return maps;
}

struct vr_maps *vr_maps_open_at(const char *path, const struct vr_record *rec)
{
    size_t size = vr_maps_size(rec);
    struct vr_maps *maps = vr_shfile_open(path, size);

    if (!maps || !vr_maps_check(maps, size, rec))
        return maps;
    vr_maps_close(maps, rec);
    errno = EPROTO;
    return NULL;
}

struct vr_maps *vr_maps_open(const struct vr_record *rec, bool create)
{
    char path[sizeof(VR_RUN_DIR) + VR_UUID_LEN + sizeof("/.maps")];

    if (!vr_uuid_valid(rec->uuid)) {
        errno = EINVAL;
        return NULL;
    }
    snprintf(path, sizeof(path), VR_RUN_DIR "/%s.maps", rec->uuid);
    if (create && mkdir(VR_RUN_DIR, 0700) && errno != EEXIST)
        return NULL;
    return create ? vr_maps_create_at(path, rec) : vr_maps_open_at(path, rec);
}

void vr_maps_close(struct vr_maps *maps, const struct vr_record *rec)
{
    if (maps)
        munmap(maps, vr_maps_size(rec));
}

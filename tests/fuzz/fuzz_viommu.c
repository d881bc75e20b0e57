/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of any bytes, in any order, with pages that other domains hold on
 * to and resets at any time: the virtio-iommu has to answer as its model does
 * and to leave the page table as the model says.
 */
#include "../unit/viommu_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(const struct world *w, bool ok)
{
    if (!ok) {
        fprintf(stderr, "%s\n", w->wrong);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;

    world_init(&w);
    w.s.data = data;
    w.s.size = size;
    while (w.s.size)
        require(&w, world_step(&w));
    require(&w, world_reset(&w));
    return 0;
}

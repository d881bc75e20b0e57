/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a guest's device tree, taken through all that the plug-in does
 * with one. */
#include <assert.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "libs/guest/dt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vr_slots slots = {
    .base = 0x02000000, .irq = 33, .count = 11};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_desc_dev devs[4] = {
        {.mmio_base = 0x02000000, .irq = 33, .pool_size = 1 << 20},
        {.mmio_base = 0x02000200,
         .irq = 34,
         .pool_base = 4096,
         .pool_size = 1 << 20},
        {.mmio_base = 0x02000400,
         .irq = 35,
         .behind_iommu = true,
         .endpoint = 2},
        {.mmio_base = 0x02000800,
         .irq = 37,
         .behind_iommu = true,
         .endpoint = 3,
         .pool_base = 8192,
         .pool_size = 1 << 20,
         .pool_unnamed = true},
    };
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000600, .irq = 36};
    size_t cap = vr_dt_room(size, 4);
    void *fdt = malloc(size ? size : 1), *out = malloc(cap);
    struct vr_err err;
    uint32_t taken;

    if (!fdt || !out)
        goto out;
    /* Aligned and exactly as long as it says. */
    memcpy(fdt, data, size);
    if (!vr_dt_taken(fdt, size, &slots, &taken, &err))
        assert(!(taken & ~0x7ffu));
    if (!vr_dt_extend(fdt, size, out, cap, devs, 4, &iommu, &err)) {
        /* Odd trees may hide a node again, say by a second name for its
         * phandle: an error then, but never another size or a broken tree. */
        if (vr_dt_set_pool(out, &devs[0], 0x7c000000, &err) ||
            vr_dt_set_pool(out, &devs[1], 0x7b000000, &err) ||
            vr_dt_set_pool(out, &devs[3], 0x7a000000, &err))
            assert(err.text[0]);
        assert(fdt_totalsize(out) == cap);
        assert(!fdt_check_full(out, cap));
    }
out:
    free(fdt);
    free(out);
    return 0;
}

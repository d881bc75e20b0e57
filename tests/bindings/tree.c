/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree static|dynamic|mixed: the device tree of a guest with such a device, to
 * standard output. The rest of it is the least that a guest's tree can be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include "libs/guest/dt.h"

#define SIZE 4096
#define GIC  65000

static int make(void *fdt)
{
    fdt32_t reg[4] = {0, cpu_to_fdt32(0x03001000), 0, cpu_to_fdt32(0x1000)};

    fdt_create(fdt, SIZE);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    fdt_property_string(fdt, "model", "XENVM");
    fdt_property_string(fdt, "compatible", "xen,xenvm");
    fdt_property_u32(fdt, "interrupt-parent", GIC);
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_begin_node(fdt, "interrupt-controller@3001000");
    fdt_property_string(fdt, "compatible", "arm,gic-v3");
    fdt_property_u32(fdt, "#address-cells", 0);
    fdt_property_u32(fdt, "#interrupt-cells", 3);
    fdt_property(fdt, "interrupt-controller", NULL, 0);
    fdt_property(fdt, "reg", reg, sizeof(reg));
    fdt_property_u32(fdt, "phandle", GIC);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    return fdt_finish(fdt);
}

int main(int argc, char **argv)
{
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000200, .irq = 34};
    struct vr_desc_dev dev = {.mmio_base = 0x02000000, .irq = 33};
    static char fdt[SIZE], out[4 * SIZE];
    struct vr_err err;

    if (argc != 2)
        return 2;
    dev.behind_iommu = strcmp(argv[1], "static");
    if (strcmp(argv[1], "dynamic")) {
        dev.pool_base = 0x47c00000;
        dev.pool_size = 0x4000000;
    }
    if (make(fdt) || vr_dt_extend(fdt, sizeof(fdt), out, sizeof(out), &dev, 1,
                                  dev.behind_iommu ? &iommu : NULL, &err))
        return 1;
    fdt_pack(out);
    return fwrite(out, fdt_totalsize(out), 1, stdout) != 1;
}

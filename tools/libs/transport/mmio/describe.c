/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A virtio-mmio device in a guest's device tree, as Linux has it in
 * Documentation/devicetree/bindings/virtio/mmio.yaml. Called by guest/dt.c, for
 * devices and the virtio-iommu alike. Pure, by libfdt. */
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>

#include "libs/transport/transport.h"
#include "regs.h"

#define FIRST_SPI   32
#define GIC_SPI     0
#define EDGE_RISING 1

static int describe(void *fdt, const struct vr_told *dev, int *node)
{
    fdt32_t irq[3] = {cpu_to_fdt32(GIC_SPI), cpu_to_fdt32(dev->irq - FIRST_SPI),
                      cpu_to_fdt32(EDGE_RISING)};
    fdt64_t reg[2] = {cpu_to_fdt64(dev->registers), cpu_to_fdt64(VR_MMIO_SIZE)};
    char name[32];
    int r;

    snprintf(name, sizeof(name), "%s@%" PRIx64, dev->kind, dev->registers);
    r = fdt_add_subnode(fdt, 0, name);
    if (r < 0)
        return r;
    *node = r;
    r = fdt_setprop_string(fdt, *node, "compatible", "virtio,mmio");
    if (!r)
        r = fdt_setprop(fdt, *node, "reg", reg, sizeof(reg));
    if (!r)
        r = fdt_setprop(fdt, *node, "interrupts", irq, sizeof(irq));
    if (!r)
        r = fdt_setprop_empty(fdt, *node, "dma-coherent");
    return r;
}

static int behind(void *fdt, int node, const struct vr_told *dev,
                  uint32_t iommu, uint32_t endpoint)
{
    fdt32_t iommus[2] = {cpu_to_fdt32(iommu), cpu_to_fdt32(endpoint)};

    (void)dev;
    return fdt_setprop(fdt, node, "iommus", iommus, sizeof(iommus));
}

const struct vr_transport_told vr_transport_told_mmio = {
    .dt = describe,
    .behind = behind,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI functions in a guest's device tree: a host bridge as Linux has it in
 * Documentation/devicetree/bindings/pci/host-generic-pci.yaml, and below it a
 * node for each function, so that each has properties of its own. A GICv2m
 * frame below the interrupt controller is where messages go to. Bridge and
 * frame are made with the first function. Called by guest/dt.c. Pure, by
 * libfdt.
 */
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>

#include "bus.h"

#define FIRST_SPI   32u
#define GIC_SPI     0
#define EDGE_RISING 1
#define PIN_A       1
/* What a function's address is in a tree, and to an IOMMU or MSI controller. */
#define UNIT(slot) ((slot) << 11)
#define RID(slot)  ((slot) << 3)
/* A range of 32-bit addresses that are not prefetchable. */
#define RANGE_MEM UINT32_C(0x02000000)

/* Of the first error, nothing more is done: a chain of these reads as a list.
 */
#define ALSO(r, call)                                                          \
    do {                                                                       \
        if (!(r))                                                              \
            (r) = (call);                                                      \
    } while (0)

static int set_cells(void *fdt, int node, const char *name,
                     const uint32_t *cells, unsigned int n)
{
    unsigned int i;
    int r = fdt_setprop(fdt, node, name, NULL, 0);

    for (i = 0; !r && i < n; i++)
        r = fdt_appendprop_u32(fdt, node, name, cells[i]);
    return r;
}

static int append_cells(void *fdt, int node, const char *name,
                        const uint32_t *cells, unsigned int n)
{
    unsigned int i;
    int r = 0;

    for (i = 0; !r && i < n; i++)
        r = fdt_appendprop_u32(fdt, node, name, cells[i]);
    return r;
}

static int cells_of(const void *fdt, int node, const char *name)
{
    int len;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    return p && len == sizeof(*p) ? (int)fdt32_to_cpu(*p) : 0;
}

/* The interrupt controller that the whole tree uses. */
static int controller(const void *fdt, uint32_t *phandle)
{
    int len;
    const fdt32_t *p = fdt_getprop(fdt, 0, "interrupt-parent", &len);

    if (!p || len != sizeof(*p))
        return -FDT_ERR_NOTFOUND;
    *phandle = fdt32_to_cpu(*p);
    return fdt_node_offset_by_phandle(fdt, *phandle);
}

/* libxl's controller has no children. That one has changes what a reference to
 * an interrupt of it looks like in an interrupt-map, of which libxl's tree has
 * none. */
static int open_controller(void *fdt, int node)
{
    int r = 0;

    switch (cells_of(fdt, node, "#address-cells")) {
    case 2:
        return cells_of(fdt, node, "#size-cells") == 2 ? 0 : -FDT_ERR_BADNCELLS;
    case 0:
        ALSO(r, fdt_setprop_u32(fdt, node, "#address-cells", 2));
        ALSO(r, fdt_setprop_u32(fdt, node, "#size-cells", 2));
        ALSO(r, fdt_setprop_empty(fdt, node, "ranges"));
        return r;
    default:
        return -FDT_ERR_BADNCELLS;
    }
}

static int add_frame(void *fdt, uint32_t phandle)
{
    const uint32_t reg[] = {0, VR_PCI_FRAME, 0, VR_PCI_FRAME_SIZE};
    uint32_t gic;
    int node = controller(fdt, &gic), r;
    char name[32];

    if (node < 0)
        return node;
    r = open_controller(fdt, node);
    if (r)
        return r;
    snprintf(name, sizeof(name), "v2m@%" PRIx64, VR_PCI_FRAME);
    node = fdt_add_subnode(fdt, node, name);
    if (node < 0)
        return node;
    ALSO(r, fdt_setprop_string(fdt, node, "compatible", "arm,gic-v2m-frame"));
    ALSO(r, fdt_setprop_empty(fdt, node, "msi-controller"));
    ALSO(r, set_cells(fdt, node, "reg", reg, VR_ARRAY_SIZE(reg)));
    ALSO(r, fdt_setprop_u32(fdt, node, "arm,msi-base-spi", VR_PCI_MESSAGES));
    ALSO(r, fdt_setprop_u32(fdt, node, "arm,msi-num-spis", 0));
    ALSO(r, fdt_setprop_u32(fdt, node, "phandle", phandle));
    return r;
}

static int add_bridge(void *fdt, const char *name, uint32_t frame, int *bridge)
{
    const uint32_t reg[] = {0, VR_PCI_ECAM, 0, VR_PCI_ECAM_SIZE};
    const uint32_t ranges[] = {RANGE_MEM,   0, VR_PCI_BARS,     0,
                               VR_PCI_BARS, 0, VR_PCI_BARS_SIZE};
    const uint32_t buses[] = {0, 0};
    const uint32_t mask[] = {UNIT(VR_PCI_SLOTS - 1), 0, 0, 7};
    int node = fdt_add_subnode(fdt, 0, name), r = 0;

    if (node < 0)
        return node;
    *bridge = node;
    ALSO(r,
         fdt_setprop_string(fdt, node, "compatible", "pci-host-ecam-generic"));
    ALSO(r, fdt_setprop_string(fdt, node, "device_type", "pci"));
    ALSO(r, set_cells(fdt, node, "reg", reg, VR_ARRAY_SIZE(reg)));
    ALSO(r, set_cells(fdt, node, "bus-range", buses, VR_ARRAY_SIZE(buses)));
    ALSO(r, fdt_setprop_u32(fdt, node, "#address-cells", 3));
    ALSO(r, fdt_setprop_u32(fdt, node, "#size-cells", 2));
    ALSO(r, set_cells(fdt, node, "ranges", ranges, VR_ARRAY_SIZE(ranges)));
    ALSO(r, fdt_setprop_u32(fdt, node, "#interrupt-cells", 1));
    ALSO(r,
         set_cells(fdt, node, "interrupt-map-mask", mask, VR_ARRAY_SIZE(mask)));
    ALSO(r, fdt_setprop_u32(fdt, node, "msi-parent", frame));
    /* A function's node has no say in this. */
    ALSO(r, fdt_setprop_empty(fdt, node, "dma-coherent"));
    return r;
}

static int find_bridge(const void *fdt)
{
    char path[32];

    snprintf(path, sizeof(path), "/pcie@%" PRIx64, VR_PCI_ECAM);
    return fdt_path_offset(fdt, path);
}

/* @frame: a phandle that nothing has. */
static int need_bridge(void *fdt, uint32_t frame, int *bridge)
{
    char name[32];
    int r;

    *bridge = find_bridge(fdt);
    if (*bridge >= 0)
        return 0;
    r = add_frame(fdt, frame);
    if (r)
        return r;
    snprintf(name, sizeof(name), "pcie@%" PRIx64, VR_PCI_ECAM);
    return add_bridge(fdt, name, frame, bridge);
}

static int add_messages(void *fdt, uint32_t frame, unsigned int vectors)
{
    int node = fdt_node_offset_by_phandle(fdt, frame);

    if (node < 0)
        return node;
    vectors += cells_of(fdt, node, "arm,msi-num-spis");
    return fdt_setprop_inplace_u32(fdt, node, "arm,msi-num-spis", vectors);
}

static int add_line(void *fdt, int bridge, unsigned int slot, uint32_t irq)
{
    uint32_t map[] = {UNIT(slot), 0, 0,       PIN_A,           0,
                      0,          0, GIC_SPI, irq - FIRST_SPI, EDGE_RISING};
    int r = controller(fdt, &map[4]);

    return r < 0 ? r
                 : append_cells(fdt, bridge, "interrupt-map", map,
                                VR_ARRAY_SIZE(map));
}

static int describe(void *fdt, const struct vr_told *dev, int *node)
{
    const unsigned int slot = vr_pci_slot(dev->registers);
    const uint32_t reg[] = {UNIT(slot), 0, 0, 0, 0};
    char name[32];
    int bridge, r = need_bridge(fdt, dev->phandle, &bridge);

    ALSO(r, add_line(fdt, bridge, slot, dev->irq));
    ALSO(r, add_messages(fdt, dev->phandle, dev->vectors));
    if (r)
        return r;
    snprintf(name, sizeof(name), "%s@%x,0", dev->kind, slot);
    *node = fdt_add_subnode(fdt, bridge, name);
    if (*node < 0)
        return *node;
    return set_cells(fdt, *node, "reg", reg, VR_ARRAY_SIZE(reg));
}

/* The properties of functions that the bridge has for them. */
static int behind(void *fdt, int node, const struct vr_told *dev,
                  uint32_t iommu, uint32_t endpoint)
{
    const uint32_t map[] = {RID(vr_pci_slot(dev->registers)), iommu, endpoint,
                            1};
    int bridge = find_bridge(fdt);

    (void)node;
    return bridge < 0 ? bridge
                      : append_cells(fdt, bridge, "iommu-map", map,
                                     VR_ARRAY_SIZE(map));
}

const struct vr_transport_told vr_transport_told_pci = {
    .dt = describe,
    .behind = behind,
};

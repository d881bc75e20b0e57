/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads and extends a guest's device tree, as dt.h has it. Called by the
 * plug-in, with trees of libxl and of the user. Pure, by libfdt. */
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "libs/transport/transport.h"
#include "dt.h"
#include "place.h"

#define RESERVED    "reserved-memory"
#define CELLS       2 /* #address-cells and #size-cells, root and reserved */
#define FIRST_SPI   32
#define GIC_SPI     0
#define MAX_PHANDLE UINT32_C(0xfffffffe)
/* A node of each kind with names, properties and strings, generously; once:
 * /reserved-memory, the virtio-iommu, a PCI host bridge. */
#define ROOM_PER_DEV 640
#define ROOM_ONCE    2048

static const struct vr_transport_told *const transports[] = {
#define TRANSPORT(name) [VR_TRANSPORT_##name] = &vr_transport_told_##name,
#include "libs/types/transport.def"
#undef TRANSPORT
};

static int fail(struct vr_err *err, const char *what, int r)
{
    vr_err_set(err,
               "virtio_restricted: guest device tree: %s: %s: check the file "
               "of device_tree=",
               what, fdt_strerror(r));
    return r == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL;
}

/* libfdt trusts offsets inside a tree; only fdt_check_full() looks at all of
 * it, and even that (1.6) stumbles over the names in trees of old versions.
 * libxl's are of version 17. */
static int check_tree(const void *fdt, size_t size, struct vr_err *err)
{
    int r = size < FDT_V1_SIZE ? -FDT_ERR_TRUNCATED : 0;

    if (!r && fdt_magic(fdt) != FDT_MAGIC)
        r = -FDT_ERR_BADMAGIC;
    if (!r && fdt_version(fdt) < 17)
        r = -FDT_ERR_BADVERSION;
    if (!r)
        r = fdt_check_full(fdt, size);
    return r ? fail(err, "not readable", r) : 0;
}

static bool cells_are(const void *fdt, int node, const char *name,
                      uint32_t value)
{
    int len;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    return p && len == sizeof(*p) && fdt32_to_cpu(*p) == value;
}

static uint64_t read_u64(const fdt32_t *cells)
{
    return (uint64_t)fdt32_to_cpu(cells[0]) << 32 | fdt32_to_cpu(cells[1]);
}

static uint32_t slots_of_reg(const void *fdt, int node,
                             const struct vr_slots *slots)
{
    const uint64_t first = slots->base;
    const uint64_t end = first + slots->count * VR_SLOT_SIZE;
    uint32_t taken = 0;
    int len, i;
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &len);

    if (!reg)
        return 0;
    for (i = 0; i + 2 * CELLS <= len / (int)sizeof(*reg); i += 2 * CELLS) {
        uint64_t base = read_u64(reg + i), size = read_u64(reg + i + CELLS);
        uint64_t a;

        if (base >= end || (base < first && size <= first - base))
            continue;
        a = base < first ? first : base;
        size -= a - base;
        for (; size && a < end; a += VR_SLOT_SIZE) {
            taken |= 1u << ((a - first) / VR_SLOT_SIZE);
            if (size <= VR_SLOT_SIZE - a % VR_SLOT_SIZE)
                break;
            size -= VR_SLOT_SIZE - a % VR_SLOT_SIZE;
            a -= a % VR_SLOT_SIZE;
        }
    }
    return taken;
}

static uint32_t slots_of_irq(const void *fdt, int node,
                             const struct vr_slots *slots)
{
    const uint32_t first = slots->irq - FIRST_SPI;
    uint32_t taken = 0;
    int len, i;
    const fdt32_t *irq = fdt_getprop(fdt, node, "interrupts", &len);

    if (!irq)
        return 0;
    for (i = 0; i + 3 <= len / (int)sizeof(*irq); i += 3) {
        uint32_t spi = fdt32_to_cpu(irq[i + 1]);

        if (fdt32_to_cpu(irq[i]) == GIC_SPI && spi >= first &&
            spi - first < slots->count)
            taken |= 1u << (spi - first);
    }
    return taken;
}

int vr_dt_taken(const void *fdt, size_t size, const struct vr_slots *slots,
                uint32_t *taken, struct vr_err *err)
{
    int node, rc = check_tree(fdt, size, err);

    if (rc)
        return rc;
    *taken = 0;
    fdt_for_each_subnode(node, fdt, 0) *taken |=
        slots_of_reg(fdt, node, slots) | slots_of_irq(fdt, node, slots);
    return 0;
}

size_t vr_dt_room(size_t size, unsigned int n)
{
    return size + ROOM_ONCE + (size_t)n * ROOM_PER_DEV;
}

static int set_reg(void *fdt, int node, uint64_t base, uint64_t size)
{
    fdt64_t reg[2] = {cpu_to_fdt64(base), cpu_to_fdt64(size)};

    return fdt_setprop(fdt, node, "reg", reg, sizeof(reg));
}

/* The reserved-memory node, made when it is missing. @r: its offset. */
static int reserved_node(void *fdt, int *node, struct vr_err *err)
{
    int r = fdt_subnode_offset(fdt, 0, RESERVED);

    if (r >= 0) {
        if (!cells_are(fdt, r, "#address-cells", CELLS) ||
            !cells_are(fdt, r, "#size-cells", CELLS))
            return fail(err,
                        "/" RESERVED " without 2 address and 2 size "
                        "cells",
                        -FDT_ERR_BADNCELLS);
        *node = r;
        if (!fdt_getprop(fdt, r, "ranges", NULL))
            r = fdt_setprop_empty(fdt, r, "ranges");
        return r < 0 ? fail(err, "/" RESERVED, r) : 0;
    }
    if (r != -FDT_ERR_NOTFOUND)
        return fail(err, "/" RESERVED, r);
    r = fdt_add_subnode(fdt, 0, RESERVED);
    if (r < 0)
        return fail(err, "/" RESERVED, r);
    *node = r;
    r = fdt_setprop_u32(fdt, *node, "#address-cells", CELLS);
    if (!r)
        r = fdt_setprop_u32(fdt, *node, "#size-cells", CELLS);
    if (!r)
        r = fdt_setprop_empty(fdt, *node, "ranges");
    return r ? fail(err, "/" RESERVED, r) : 0;
}

static int add_pool(void *fdt, int parent, const struct vr_desc_dev *dev)
{
    char name[32];
    int node, r;

    snprintf(name, sizeof(name), "pool@%" PRIx64, dev->pool_base);
    node = fdt_add_subnode(fdt, parent, name);
    if (node < 0)
        return node;
    r = fdt_setprop_string(fdt, node, "compatible", "restricted-dma-pool");
    if (!r)
        r = set_reg(fdt, node, dev->pool_base, dev->pool_size);
    if (!r)
        r = fdt_setprop_u32(fdt, node, "phandle", dev->phandle);
    return r;
}

static int add_virtio(void *fdt, const struct vr_desc_dev *dev,
                      const struct vr_desc_iommu *iommu, uint32_t phandle)
{
    const struct vr_transport_told *by = transports[dev->transport];
    const struct vr_told told = {
        .kind = "virtio",
        .registers = dev->mmio_base,
        .irq = dev->irq,
        .vectors = dev->vectors,
        .phandle = phandle,
    };
    int node, r = by->dt(fdt, &told, &node);

    if (r)
        return r;
    if (dev->pool_size && !dev->pool_unnamed)
        r = fdt_setprop_u32(fdt, node, "memory-region", dev->phandle);
    if (!r && dev->behind_iommu)
        r = by->behind(fdt, node, &told, iommu->phandle, dev->endpoint);
    return r;
}

static int add_iommu(void *fdt, const struct vr_desc_iommu *iommu)
{
    const struct vr_told told = {
        .kind = "iommu",
        .registers = iommu->mmio_base,
        .irq = iommu->irq,
    };
    int node, r = transports[VR_TRANSPORT_mmio]->dt(fdt, &told, &node);

    if (!r)
        r = fdt_setprop_u32(fdt, node, "#iommu-cells", 1);
    if (!r)
        r = fdt_setprop_u32(fdt, node, "phandle", iommu->phandle);
    return r;
}

/* The pools of all devices that have one; nothing when there is none. */
static int add_pools(void *fdt, struct vr_desc_dev *devs, unsigned int n,
                     struct vr_err *err)
{
    int node = -1, r, rc;
    unsigned int i;

    for (i = n; i-- > 0;) {
        if (!devs[i].pool_size)
            continue;
        if (node < 0) {
            rc = reserved_node(fdt, &node, err);
            if (rc)
                return rc;
        }
        r = add_pool(fdt, node, &devs[i]);
        if (r)
            return fail(err, "pool node", r);
    }
    return 0;
}

/* Interrupts without a parent of their own, registers of 2 + 2 cells: what
 * libxl's own virtio nodes rely on, too. */
static int check_root(const void *fdt, struct vr_err *err)
{
    if (cells_are(fdt, 0, "#address-cells", CELLS) &&
        cells_are(fdt, 0, "#size-cells", CELLS) &&
        fdt_getprop(fdt, 0, "interrupt-parent", NULL))
        return 0;
    return fail(err,
                "root without interrupt-parent, 2 address and 2 size cells",
                -FDT_ERR_BADNCELLS);
}

int vr_dt_extend(const void *fdt, size_t size, void *out, size_t cap,
                 struct vr_desc_dev *devs, unsigned int n,
                 struct vr_desc_iommu *iommu, struct vr_err *err)
{
    uint32_t phandle;
    unsigned int i;
    int r, rc;

    for (i = 0; i < n; i++)
        if (devs[i].behind_iommu && !iommu)
            return fail(err, "dynamic device without iommu", -FDT_ERR_BADVALUE);
    rc = check_tree(fdt, size, err);
    if (!rc)
        rc = check_root(fdt, err);
    if (rc)
        return rc;
    r = fdt_find_max_phandle(fdt, &phandle);
    if (r < 0)
        return fail(err, "phandles", r);
    /* The pools', the virtio-iommu's, and one for the transports. */
    if (phandle > MAX_PHANDLE - n - 2)
        return fail(err, "phandles", -FDT_ERR_NOPHANDLES);
    if (cap > INT32_MAX)
        return fail(err, "size", -FDT_ERR_NOSPACE);
    r = fdt_open_into(fdt, out, cap);
    if (r)
        return fail(err, "copy", r);
    for (i = 0; i < n; i++)
        devs[i].phandle = devs[i].pool_size ? phandle + 1 + i : 0;
    if (iommu)
        iommu->phandle = phandle + 1 + n;
    /* libfdt puts a new node before its siblings: what is added last comes
     * first. So the guest finds (and names) the devices in the user's order,
     * behind the virtio-iommu. */
    rc = add_pools(out, devs, n, err);
    if (rc)
        return rc;
    for (i = n; i-- > 0;) {
        r = add_virtio(out, &devs[i], iommu, phandle + 2 + n);
        if (r)
            return fail(err, "virtio node", r);
    }
    r = iommu ? add_iommu(out, iommu) : 0;
    return r ? fail(err, "iommu node", r) : 0;
}

int vr_dt_set_pool(void *fdt, struct vr_desc_dev *dev, uint64_t base,
                   struct vr_err *err)
{
    char name[32];
    int node, r;

    node = fdt_node_offset_by_phandle(fdt, dev->phandle);
    if (node < 0)
        return fail(err, "pool node", node);
    snprintf(name, sizeof(name), "pool@%" PRIx64, base);
    r = set_reg(fdt, node, base, dev->pool_size);
    if (!r)
        r = fdt_set_name(fdt, node, name);
    if (r)
        return fail(err, "pool node", r);
    dev->pool_base = base;
    return 0;
}

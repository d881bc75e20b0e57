/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>
#include <libfdt.h>

#include "libs/guest/dt.h"

#define SIZE 4096
#define GIC  65000

static const struct vr_slots slots = {
    .base = 0x02000000, .irq = 33, .count = 11};

/* A tree like libxl's; @extra: nodes to add to the root. */
static void make_tree(void *fdt, void (*extra)(void *fdt))
{
    fdt32_t reg[4] = {0, cpu_to_fdt32(0x03001000), 0, cpu_to_fdt32(0x1000)};

    memset(fdt, 0, SIZE);
    assert_int_equal(fdt_create(fdt, SIZE), 0);
    assert_int_equal(fdt_finish_reservemap(fdt), 0);
    fdt_begin_node(fdt, "");
    fdt_property_string(fdt, "compatible", "xen,xenvm");
    fdt_property_u32(fdt, "interrupt-parent", GIC);
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_begin_node(fdt, "interrupt-controller@3001000");
    fdt_property(fdt, "reg", reg, sizeof(reg));
    fdt_property_u32(fdt, "phandle", GIC);
    fdt_end_node(fdt);
    if (extra)
        extra(fdt);
    fdt_end_node(fdt);
    assert_int_equal(fdt_finish(fdt), 0);
    assert_int_equal(fdt_check_full(fdt, SIZE), 0);
}

/* libxl's second virtio disk, and something else at interrupt 35. */
static void add_virtio(void *fdt)
{
    fdt32_t reg[4] = {0, cpu_to_fdt32(0x02000200), 0, cpu_to_fdt32(0x200)};
    fdt32_t irq[3] = {0, cpu_to_fdt32(2), cpu_to_fdt32(0xf01)};
    fdt32_t other[3] = {0, cpu_to_fdt32(3), cpu_to_fdt32(4)};
    fdt32_t ppi[3] = {cpu_to_fdt32(1), cpu_to_fdt32(5), cpu_to_fdt32(8)};

    fdt_begin_node(fdt, "virtio@2000200");
    fdt_property_string(fdt, "compatible", "virtio,mmio");
    fdt_property(fdt, "reg", reg, sizeof(reg));
    fdt_property(fdt, "interrupts", irq, sizeof(irq));
    fdt_end_node(fdt);
    fdt_begin_node(fdt, "other");
    fdt_property(fdt, "interrupts", other, sizeof(other));
    fdt_end_node(fdt);
    fdt_begin_node(fdt, "timer");
    fdt_property(fdt, "interrupts", ppi, sizeof(ppi));
    fdt_end_node(fdt);
}

static void add_reserved(void *fdt)
{
    fdt_begin_node(fdt, "reserved-memory");
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_begin_node(fdt, "framebuffer@50000000");
    fdt_property_u32(fdt, "phandle", 70000);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
}

static void add_reserved_1cell(void *fdt)
{
    fdt_begin_node(fdt, "reserved-memory");
    fdt_property_u32(fdt, "#address-cells", 1);
    fdt_property_u32(fdt, "#size-cells", 1);
    fdt_end_node(fdt);
}

static void add_last_phandle(void *fdt)
{
    fdt_begin_node(fdt, "last");
    fdt_property_u32(fdt, "phandle", 0xfffffffb);
    fdt_end_node(fdt);
}

static void get_devs(struct vr_desc_dev devs[2])
{
    memset(devs, 0, 2 * sizeof(*devs));
    devs[0].mmio_base = 0x02000000;
    devs[0].irq = 33;
    devs[0].pool_base = 0;
    devs[0].pool_size = 64 << 20;
    devs[1].mmio_base = 0x02000400;
    devs[1].irq = 35;
    devs[1].pool_base = 0x1000;
    devs[1].pool_size = 2 << 20;
}

static uint64_t u64_at(const fdt32_t *p)
{
    return (uint64_t)fdt32_to_cpu(p[0]) << 32 | fdt32_to_cpu(p[1]);
}

static void expect_reg(const void *fdt, int node, uint64_t base, uint64_t size)
{
    int len;
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &len);

    assert_non_null(reg);
    assert_int_equal(len, 16);
    assert_int_equal(u64_at(reg), base);
    assert_int_equal(u64_at(reg + 2), size);
}

static uint32_t u32_prop(const void *fdt, int node, const char *name)
{
    int len;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    assert_non_null(p);
    assert_int_equal(len, 4);
    return fdt32_to_cpu(*p);
}

/* Everything that a guest reads of one device. */
static void expect_dev(const void *fdt, const struct vr_desc_dev *d,
                       const char *virtio, const char *pool)
{
    int node = fdt_path_offset(fdt, virtio), len;
    const fdt32_t *irq;

    assert_true(node > 0);
    assert_string_equal(fdt_getprop(fdt, node, "compatible", NULL),
                        "virtio,mmio");
    expect_reg(fdt, node, d->mmio_base, 0x200);
    irq = fdt_getprop(fdt, node, "interrupts", &len);
    assert_int_equal(len, 12);
    assert_int_equal(fdt32_to_cpu(irq[0]), 0);
    assert_int_equal(fdt32_to_cpu(irq[1]), d->irq - 32);
    assert_int_equal(fdt32_to_cpu(irq[2]), 1);
    assert_non_null(fdt_getprop(fdt, node, "dma-coherent", &len));
    assert_int_equal(u32_prop(fdt, node, "memory-region"), d->phandle);

    node = fdt_path_offset(fdt, pool);
    assert_true(node > 0);
    assert_string_equal(fdt_getprop(fdt, node, "compatible", NULL),
                        "restricted-dma-pool");
    expect_reg(fdt, node, d->pool_base, d->pool_size);
    assert_int_equal(u32_prop(fdt, node, "phandle"), d->phandle);
    assert_int_equal(fdt_node_offset_by_phandle(fdt, d->phandle), node);
}

static void test_extend(void **state)
{
    char fdt[SIZE], *out;
    struct vr_desc_dev devs[2];
    size_t cap = vr_dt_room(SIZE, 2);
    int node, a, b;

    (void)state;
    get_devs(devs);
    make_tree(fdt, NULL);
    out = calloc(1, cap);
    assert_int_equal(vr_dt_extend(fdt, SIZE, out, cap, devs, 2, NULL, NULL), 0);
    assert_int_equal(fdt_totalsize(out), cap);
    assert_int_equal(fdt_check_full(out, cap), 0);
    assert_int_equal(devs[0].phandle, GIC + 1);
    assert_int_equal(devs[1].phandle, GIC + 2);
    node = fdt_path_offset(out, "/reserved-memory");
    assert_true(node > 0);
    assert_int_equal(u32_prop(out, node, "#address-cells"), 2);
    assert_int_equal(u32_prop(out, node, "#size-cells"), 2);
    assert_non_null(fdt_getprop(out, node, "ranges", NULL));

    /* Names grow and shrink, the blob does not. */
    assert_int_equal(vr_dt_set_pool(out, &devs[0], 0x7c000000, NULL), 0);
    assert_int_equal(vr_dt_set_pool(out, &devs[1], 0x2fffe00000, NULL), 0);
    assert_int_equal(fdt_totalsize(out), cap);
    assert_int_equal(fdt_check_full(out, cap), 0);
    expect_dev(out, &devs[0], "/virtio@2000000",
               "/reserved-memory/pool@7c000000");
    expect_dev(out, &devs[1], "/virtio@2000400",
               "/reserved-memory/pool@2fffe00000");
    /* In the user's order. */
    a = fdt_path_offset(out, "/virtio@2000000");
    b = fdt_path_offset(out, "/virtio@2000400");
    assert_true(a < b);
    /* The rest is as it was. */
    assert_true(fdt_path_offset(out, "/interrupt-controller@3001000") > 0);
    free(out);
}

static void expect_cells(const void *fdt, int node, const char *name,
                         const uint32_t *cells, unsigned int n)
{
    unsigned int i;
    int len;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    assert_non_null(p);
    assert_int_equal(len, 4 * n);
    for (i = 0; i < n; i++)
        assert_int_equal(fdt32_to_cpu(p[i]), cells[i]);
}

/* The founding document's example: two functions with a pool each below a host
 * bridge; a third behind the virtio-iommu, and a disk by virtio-mmio. */
static void test_pci(void **state)
{
    char fdt[SIZE], *out;
    struct vr_desc_dev devs[4];
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000800, .irq = 37};
    size_t cap = vr_dt_room(SIZE, 4);
    int bridge, node, i;
    char path[64];

    (void)state;
    get_devs(devs);
    devs[2] = devs[3] = devs[1];
    devs[3].mmio_base = 0x02000200;
    devs[3].pool_size = 0;
    devs[3].behind_iommu = true;
    devs[3].endpoint = 3;
    devs[2].pool_size = 0;
    devs[2].behind_iommu = true;
    devs[2].endpoint = 2;
    for (i = 0; i < 3; i++) {
        devs[i].transport = VR_TRANSPORT_pci;
        devs[i].mmio_base = 0x10008000 + i * 0x8000;
        devs[i].irq = 65 + i;
        devs[i].vectors = 2 + i;
    }
    make_tree(fdt, NULL);
    out = calloc(1, cap);
    assert_int_equal(vr_dt_extend(fdt, SIZE, out, cap, devs, 4, &iommu, NULL),
                     0);
    assert_int_equal(fdt_check_full(out, cap), 0);
    bridge = fdt_path_offset(out, "/pcie@10000000");
    assert_true(bridge > 0);
    assert_string_equal(fdt_getprop(out, bridge, "compatible", NULL),
                        "pci-host-ecam-generic");
    assert_non_null(fdt_getprop(out, bridge, "dma-coherent", NULL));
    expect_reg(out, bridge, 0x10000000, 0x100000);
    expect_cells(
        out, bridge, "ranges",
        (uint32_t[]){0x02000000, 0, 0x23000000, 0, 0x23000000, 0, 0x100000}, 7);
    /* The last one is added first. */
    expect_cells(out, bridge, "interrupt-map",
                 (uint32_t[]){0x1800, 0, 0, 1, GIC, 0, 0, 0, 67 - 32, 1,
                              0x1000, 0, 0, 1, GIC, 0, 0, 0, 66 - 32, 1,
                              0x0800, 0, 0, 1, GIC, 0, 0, 0, 65 - 32, 1},
                 30);
    expect_cells(out, bridge, "iommu-map",
                 (uint32_t[]){0x18, iommu.phandle, 2, 1}, 4);
    for (i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "/pcie@10000000/virtio@%d,0", i + 1);
        node = fdt_path_offset(out, path);
        assert_true(node > 0);
        expect_cells(out, node, "reg",
                     (uint32_t[]){0x800 * (i + 1), 0, 0, 0, 0}, 5);
        assert_null(fdt_getprop(out, node, "iommus", NULL));
        if (i < 2)
            assert_int_equal(u32_prop(out, node, "memory-region"),
                             devs[i].phandle);
        else
            assert_null(fdt_getprop(out, node, "memory-region", NULL));
    }
    node = fdt_path_offset(out, "/interrupt-controller@3001000/v2m@20ff000");
    assert_true(node > 0);
    assert_string_equal(fdt_getprop(out, node, "compatible", NULL),
                        "arm,gic-v2m-frame");
    expect_reg(out, node, 0x020ff000, 0x1000);
    assert_int_equal(u32_prop(out, node, "arm,msi-base-spi"), 96);
    assert_int_equal(u32_prop(out, node, "arm,msi-num-spis"), 2 + 3 + 4);
    assert_int_equal(u32_prop(out, bridge, "msi-parent"),
                     u32_prop(out, node, "phandle"));
    node = fdt_path_offset(out, "/interrupt-controller@3001000");
    assert_int_equal(u32_prop(out, node, "#address-cells"), 2);
    assert_non_null(fdt_getprop(out, node, "ranges", NULL));
    node = fdt_path_offset(out, "/virtio@2000200");
    assert_true(node > 0);
    assert_non_null(fdt_getprop(out, node, "iommus", NULL));
    assert_int_equal(vr_dt_set_pool(out, &devs[0], 0x7c000000, NULL), 0);
    assert_int_equal(fdt_check_full(out, cap), 0);
    free(out);
}

/* A static device between two dynamic ones, and their virtio-iommu. */
static void test_dynamic(void **state)
{
    char fdt[SIZE], *out;
    struct vr_desc_dev devs[3];
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000800, .irq = 37};
    size_t cap = vr_dt_room(SIZE, 3);
    int node, len, i, at, before = 0;
    const fdt32_t *p;
    char name[32];

    (void)state;
    get_devs(devs);
    devs[2] = devs[0];
    devs[2].mmio_base = 0x02000600;
    devs[2].irq = 36;
    devs[0].behind_iommu = devs[2].behind_iommu = true;
    devs[0].pool_size = devs[2].pool_size = 0;
    devs[0].endpoint = 0;
    devs[2].endpoint = 2;
    make_tree(fdt, add_virtio);
    out = calloc(1, cap);
    assert_int_equal(vr_dt_extend(fdt, SIZE, out, cap, devs, 3, &iommu, NULL),
                     0);
    assert_int_equal(fdt_totalsize(out), cap);
    assert_int_equal(fdt_check_full(out, cap), 0);
    assert_int_equal(vr_dt_set_pool(out, &devs[1], 0x7c000000, NULL), 0);
    expect_dev(out, &devs[1], "/virtio@2000400",
               "/reserved-memory/pool@7c000000");
    node = fdt_path_offset(out, "/iommu@2000800");
    assert_true(node > 0);
    assert_string_equal(fdt_getprop(out, node, "compatible", NULL),
                        "virtio,mmio");
    expect_reg(out, node, 0x02000800, 0x200);
    p = fdt_getprop(out, node, "interrupts", &len);
    assert_int_equal(len, 12);
    assert_int_equal(fdt32_to_cpu(p[1]), 5);
    assert_non_null(fdt_getprop(out, node, "dma-coherent", NULL));
    assert_int_equal(u32_prop(out, node, "#iommu-cells"), 1);
    assert_int_equal(u32_prop(out, node, "phandle"), iommu.phandle);
    assert_int_equal(fdt_node_offset_by_phandle(out, iommu.phandle), node);
    assert_null(fdt_getprop(out, node, "iommus", NULL));
    assert_null(fdt_getprop(out, node, "memory-region", NULL));
    for (i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "/virtio@%x",
                 (unsigned int)devs[i].mmio_base);
        at = fdt_path_offset(out, name);
        assert_true(at > before && at > node);
        before = at;
        if (!devs[i].behind_iommu)
            continue;
        assert_null(fdt_getprop(out, at, "memory-region", NULL));
        p = fdt_getprop(out, at, "iommus", &len);
        assert_non_null(p);
        assert_int_equal(len, 8);
        assert_int_equal(fdt32_to_cpu(p[0]), iommu.phandle);
        assert_int_equal(fdt32_to_cpu(p[1]), devs[i].endpoint);
        assert_non_null(fdt_getprop(out, at, "dma-coherent", NULL));
    }
    free(out);
}

/* A mixed device beside one of each other kind: both properties, a pool of its
 * own. */
static void test_mixed(void **state)
{
    char fdt[SIZE], *out;
    struct vr_desc_dev devs[3];
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000800, .irq = 37};
    size_t cap = vr_dt_room(SIZE, 3);
    const fdt32_t *p;
    int at, len;

    (void)state;
    get_devs(devs);
    devs[2] = devs[0];
    devs[2].mmio_base = 0x02000600;
    devs[2].irq = 36;
    devs[2].pool_base = 0x2000;
    devs[1].behind_iommu = devs[2].behind_iommu = true;
    devs[1].pool_size = 0;
    devs[1].endpoint = 1;
    devs[2].endpoint = 2;
    make_tree(fdt, NULL);
    out = calloc(1, cap);
    assert_int_equal(vr_dt_extend(fdt, SIZE, out, cap, devs, 3, &iommu, NULL),
                     0);
    assert_int_equal(vr_dt_set_pool(out, &devs[0], 0x7c000000, NULL), 0);
    assert_int_equal(vr_dt_set_pool(out, &devs[2], 0x78000000, NULL), 0);
    assert_int_equal(fdt_check_full(out, cap), 0);
    expect_dev(out, &devs[0], "/virtio@2000000",
               "/reserved-memory/pool@7c000000");
    expect_dev(out, &devs[2], "/virtio@2000600",
               "/reserved-memory/pool@78000000");
    at = fdt_path_offset(out, "/virtio@2000000");
    assert_null(fdt_getprop(out, at, "iommus", NULL));
    at = fdt_path_offset(out, "/virtio@2000400");
    assert_null(fdt_getprop(out, at, "memory-region", NULL));
    at = fdt_path_offset(out, "/virtio@2000600");
    p = fdt_getprop(out, at, "iommus", &len);
    assert_non_null(p);
    assert_int_equal(len, 8);
    assert_int_equal(fdt32_to_cpu(p[0]), iommu.phandle);
    assert_int_equal(fdt32_to_cpu(p[1]), 2);
    free(out);
}

/* A pool that the device does not name stands there all the same, and moves. */
static void test_unnamed_pool(void **state)
{
    char fdt[SIZE], *out;
    struct vr_desc_dev devs[2];
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000800, .irq = 37};
    size_t cap = vr_dt_room(SIZE, 2);
    int at;

    (void)state;
    get_devs(devs);
    devs[1].behind_iommu = true;
    devs[1].endpoint = 1;
    devs[1].pool_unnamed = true;
    make_tree(fdt, NULL);
    out = calloc(1, cap);
    assert_int_equal(vr_dt_extend(fdt, SIZE, out, cap, devs, 2, &iommu, NULL),
                     0);
    assert_int_equal(vr_dt_set_pool(out, &devs[0], 0x7c000000, NULL), 0);
    assert_int_equal(vr_dt_set_pool(out, &devs[1], 0x78000000, NULL), 0);
    assert_int_equal(fdt_check_full(out, cap), 0);
    expect_dev(out, &devs[0], "/virtio@2000000",
               "/reserved-memory/pool@7c000000");
    at = fdt_path_offset(out, "/virtio@2000400");
    assert_true(at > 0);
    assert_null(fdt_getprop(out, at, "memory-region", NULL));
    assert_non_null(fdt_getprop(out, at, "iommus", NULL));
    at = fdt_path_offset(out, "/reserved-memory/pool@78000000");
    assert_true(at > 0);
    assert_string_equal(fdt_getprop(out, at, "compatible", NULL),
                        "restricted-dma-pool");
    expect_reg(out, at, 0x78000000, devs[1].pool_size);
    free(out);
}

/* No pool, no reserved memory; and no dynamic device without an IOMMU. */
static void test_all_dynamic(void **state)
{
    char fdt[SIZE], out[2 * SIZE];
    struct vr_desc_dev devs[2];
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000800, .irq = 37};
    struct vr_err err;

    (void)state;
    get_devs(devs);
    devs[0].behind_iommu = devs[1].behind_iommu = true;
    devs[0].pool_size = devs[1].pool_size = 0;
    make_tree(fdt, NULL);
    assert_int_equal(
        vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 2, &iommu, NULL), 0);
    assert_int_equal(fdt_path_offset(out, "/reserved-memory"),
                     -FDT_ERR_NOTFOUND);
    assert_int_equal(
        vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 2, NULL, &err),
        -EINVAL);
}

static void test_existing_reserved(void **state)
{
    char fdt[SIZE], out[2 * SIZE];
    struct vr_desc_dev devs[2];
    struct vr_err err;
    int node;

    (void)state;
    get_devs(devs);
    make_tree(fdt, add_reserved);
    assert_int_equal(
        vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 2, NULL, NULL), 0);
    assert_int_equal(devs[0].phandle, 70001);
    node = fdt_path_offset(out, "/reserved-memory");
    assert_non_null(fdt_getprop(out, node, "ranges", NULL));
    assert_true(fdt_path_offset(out, "/reserved-memory/framebuffer@50000000") >
                0);
    assert_int_equal(vr_dt_set_pool(out, &devs[1], 0x48000000, NULL), 0);
    expect_dev(out, &devs[1], "/virtio@2000400",
               "/reserved-memory/pool@48000000");

    make_tree(fdt, add_reserved_1cell);
    assert_int_equal(
        vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 2, NULL, &err),
        -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted: guest device tree: "
                        "/reserved-memory without 2 address and 2 size cells: "
                        "FDT_ERR_BADNCELLS: check the file of device_tree=");
}

static void test_no_phandle_left(void **state)
{
    char fdt[SIZE], out[2 * SIZE];
    struct vr_desc_dev devs[2];

    (void)state;
    get_devs(devs);
    make_tree(fdt, add_last_phandle);
    assert_int_equal(
        vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 2, NULL, NULL),
        -EINVAL);
    assert_int_equal(
        vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 1, NULL, NULL), 0);
    assert_int_equal(devs[0].phandle, 0xfffffffc);
}

static void test_taken(void **state)
{
    char fdt[SIZE];
    uint32_t taken;

    (void)state;
    make_tree(fdt, NULL);
    assert_int_equal(vr_dt_taken(fdt, SIZE, &slots, &taken, NULL), 0);
    assert_int_equal(taken, 0);
    make_tree(fdt, add_virtio);
    assert_int_equal(vr_dt_taken(fdt, SIZE, &slots, &taken, NULL), 0);
    assert_int_equal(taken, 1u << 1 | 1u << 2);
}

/* A register block across several slots, and one that begins before them. */
static void test_taken_wide(void **state)
{
    static const struct {
        uint64_t base, size;
        uint32_t taken;
    } cases[] = {
        {0x02000000, 0x200, 1},
        {0x02000100, 0x200, 3},
        {0x02000400, 0x600, 0x1c},
        {0x01fff000, 0x1000, 0},
        {0x01fff000, 0x1001, 1},
        {0x02001400, 0x100000, 0x400},
        {0x02001600, 0x200, 0},
        {0, UINT64_MAX, 0x7ff},
        {0x02000000, UINT64_MAX, 0x7ff},
        {UINT64_MAX, UINT64_MAX, 0},
        {0x02000200, 0, 0},
    };
    char fdt[SIZE], out[2 * SIZE];
    uint32_t taken;
    size_t i;
    int node;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(cases); i++) {
        fdt64_t reg[2] = {cpu_to_fdt64(cases[i].base),
                          cpu_to_fdt64(cases[i].size)};

        make_tree(fdt, NULL);
        assert_int_equal(fdt_open_into(fdt, out, sizeof(out)), 0);
        node = fdt_add_subnode(out, 0, "x");
        fdt_setprop(out, node, "reg", reg, sizeof(reg));
        assert_int_equal(vr_dt_taken(out, sizeof(out), &slots, &taken, NULL),
                         0);
        assert_int_equal(taken, cases[i].taken);
    }
}

static void test_no_space(void **state)
{
    char fdt[SIZE], out[2 * SIZE];
    struct vr_desc_dev devs[2];
    size_t cap, ok = 0;

    (void)state;
    get_devs(devs);
    make_tree(fdt, NULL);
    /* Room for less than everything: refused, whatever was still to come. */
    for (cap = 0; cap < fdt_totalsize(fdt) + 1200; cap += 4) {
        int rc = vr_dt_extend(fdt, SIZE, out, cap, devs, 2, NULL, NULL);

        assert_true(rc == 0 || rc == -ENOSPC);
        ok += rc == 0;
        if (ok)
            assert_int_equal(rc, 0);
    }
    assert_true(ok > 0);
    assert_true(vr_dt_room(fdt_totalsize(fdt), 2) >= fdt_totalsize(fdt) + 1200);
}

/* What vr_dt_room() says is enough for any mixture, with names at their
 * longest once the pools are placed. */
static void test_room(void **state)
{
    struct vr_desc_dev devs[16];
    struct vr_desc_iommu iommu = {.mmio_base = UINT64_MAX - 0x1ff, .irq = 1019};
    unsigned int n, i, mix;
    char fdt[SIZE], *out;
    size_t size, cap;

    (void)state;
    make_tree(fdt, NULL);
    size = fdt_totalsize(fdt);
    for (n = 0; n <= 16; n++) {
        for (mix = 0; mix < 4; mix++) {
            memset(devs, 0, sizeof(devs));
            for (i = 0; i < n; i++) {
                devs[i].mmio_base = (UINT64_MAX - 0x3ff) - 0x200 * i;
                devs[i].irq = 33 + i;
                devs[i].behind_iommu = mix & 1 || (mix == 2 && i % 2);
                devs[i].pool_base = i * 4096;
                devs[i].pool_size =
                    mix == 3 || !devs[i].behind_iommu ? 4096 : 0;
            }
            cap = vr_dt_room(size, n);
            out = malloc(cap);
            assert_int_equal(
                vr_dt_extend(fdt, size, out, cap, devs, n, &iommu, NULL), 0);
            for (i = 0; i < n; i++)
                if (devs[i].pool_size)
                    assert_int_equal(
                        vr_dt_set_pool(out, &devs[i],
                                       UINT64_C(0x7fffffff00000000) - 4096 * i,
                                       NULL),
                        0);
            free(out);
        }
    }
}

/* Truncated at each length and with each byte turned: an error or a tree, and
 * nothing outside the buffers (the sanitizers watch). */
static void test_corrupt(void **state)
{
    struct vr_desc_dev devs[2];
    char fdt[SIZE], out[3 * SIZE];
    struct vr_desc_iommu iommu = {.mmio_base = 0x02000800, .irq = 37};
    uint32_t taken;
    size_t len, i;

    (void)state;
    make_tree(fdt, add_virtio);
    len = fdt_totalsize(fdt);
    for (i = 0; i < len; i++) {
        char *copy = malloc(i ? i : 1);

        memcpy(copy, fdt, i);
        assert_int_equal(vr_dt_taken(copy, i, &slots, &taken, NULL), -EINVAL);
        get_devs(devs);
        assert_int_equal(
            vr_dt_extend(copy, i, out, sizeof(out), devs, 2, NULL, NULL),
            -EINVAL);
        free(copy);
    }
    for (i = 0; i < len * 8; i++) {
        char *copy = malloc(len);

        memcpy(copy, fdt, len);
        copy[i / 8] ^= 1 << i % 8;
        vr_dt_taken(copy, len, &slots, &taken, NULL);
        get_devs(devs);
        devs[1].behind_iommu = true;
        vr_dt_extend(copy, len, out, sizeof(out), devs, 2, &iommu, NULL);
        free(copy);
    }
    memset(fdt, 0, sizeof(fdt));
    assert_int_equal(vr_dt_taken(fdt, SIZE, &slots, &taken, NULL), -EINVAL);
}

static void test_foreign_root(void **state)
{
    char fdt[SIZE], out[2 * SIZE];
    struct vr_desc_dev devs[2];
    static const char *const props[] = {"interrupt-parent", "#address-cells",
                                        "#size-cells"};
    size_t i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(props); i++) {
        get_devs(devs);
        make_tree(fdt, NULL);
        assert_int_equal(fdt_delprop(fdt, 0, props[i]), 0);
        assert_int_equal(
            vr_dt_extend(fdt, SIZE, out, sizeof(out), devs, 2, NULL, NULL),
            -EINVAL);
    }
}

static void test_set_pool_unknown(void **state)
{
    char fdt[SIZE];
    struct vr_desc_dev dev = {.phandle = 4711, .pool_size = 1 << 20};

    (void)state;
    make_tree(fdt, NULL);
    assert_int_equal(vr_dt_set_pool(fdt, &dev, 0x48000000, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_pci),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_unnamed_pool),
        cmocka_unit_test(test_all_dynamic),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_existing_reserved),
        cmocka_unit_test(test_no_phandle_left),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_taken_wide),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_corrupt),
        cmocka_unit_test(test_foreign_root),
        cmocka_unit_test(test_set_pool_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plug-in does for Arm guests (arch_arm.c): checks of the config, the
 * device tree that libxl is given, and where pools go. The file is a part of
 * this one, with Xen's headers as they are on Arm: it is tested on any machine.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <libfdt.h>

#include "libs/base/vr.h"

/* From here on this is another machine; its own headers were included. */
#undef __x86_64__
#undef __aarch64__
#define __aarch64__ 1

#include "xl-plugin/arch_arm.c"

#define TREE   4096
#define KERNEL 4096
#define MIB    (UINT64_C(1) << 20)

static libxl_domain_config guest;
static struct vr_dev_cfg devs[VR_MAX_DEVICES];
static unsigned int ndevs;
static struct vr_err err;
static char file[] = "/tmp/vr-kernel.XXXXXX";

static void device(const char *text)
{
    if (vr_cfg_parse(ndevs, text, &devs[ndevs], &err))
        fail_msg("%s", err.text);
    ndevs++;
}

static int setup(void **state)
{
    (void)state;
    memset(&err, 0, sizeof(err));
    ndevs = 0;
    libxl_domain_config_init(&guest);
    guest.b_info.kernel = strdup(file);
    guest.b_info.target_memkb = guest.b_info.max_memkb = 256 << 10;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest.b_info.num_irqs = 0;
    guest.b_info.irqs = NULL;
    libxl_domain_config_dispose(&guest);
    return 0;
}

static void check(int rc, const char *text)
{
    int is = vr_arch_check(&guest, devs, ndevs, &err);

    if (is != rc || strcmp(err.text, text) != 0)
        fail_msg("%d, not %d: %s", is, rc, err.text);
    err.text[0] = '\0';
}

/* ---- the config ---- */

static void test_boot(void **state)
{
    (void)state;
    device("id=a,type=block,target=/a,backend=dd,size=2M");
    check(0, "");
    free(guest.b_info.kernel);
    guest.b_info.kernel = NULL;
    check(-EINVAL, "virtio_restricted: neither kernel= nor bootloader= is "
                   "given: add one");
    guest.b_info.bootloader = strdup("pygrub");
    check(0, "");
}

static void test_memory(void **state)
{
    (void)state;
    device("id=a,type=block,target=/a,backend=dd,size=128M");
    device("id=d,type=block,mode=dynamic,target=/d,backend=dd,"
           "aperture=16M");
    device("id=b,type=block,target=/b,backend=dd,size=96M");
    check(0, "");
    guest.b_info.target_memkb--;
    check(-ENOSPC, "virtio_restricted[2]: size=96M: windows of 224 MiB and 32 "
                   "MiB for the guest itself do not fit into memory=255: raise "
                   "memory= or lower size=");
    /* Neither memory= nor maxmem=: what libxl takes. */
    guest.b_info.target_memkb = guest.b_info.max_memkb = LIBXL_MEMKB_DEFAULT;
    check(-ENOSPC, "virtio_restricted[0]: size=128M: windows of 128 MiB and 32 "
                   "MiB for the guest itself do not fit into memory=32: raise "
                   "memory= or lower size=");
    /* More than there can be is libxl's to refuse. */
    guest.b_info.target_memkb = guest.b_info.max_memkb = UINT64_C(1) << 40;
    check(0, "");
}

static void test_slots(void **state)
{
    static libxl_device_disk disk[9];
    unsigned int i;

    (void)state;
    device("id=a,type=block,target=/a,backend=dd,size=2M");
    device("id=d,type=block,mode=dynamic,target=/d,backend=dd,"
           "aperture=16M");
    for (i = 0; i < 9; i++) {
        libxl_device_disk_init(&disk[i]);
        disk[i].specification = LIBXL_DISK_SPECIFICATION_VIRTIO;
    }
    guest.disks = disk;
    guest.num_disks = 8;
    check(0, "");
    guest.num_disks = 9;
    assert_int_equal(vr_arch_check(&guest, devs, ndevs, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "2 of the 11 virtio-mmio slots"));
    disk[0].specification = LIBXL_DISK_SPECIFICATION_XEN;
    err.text[0] = '\0';
    check(0, "");
    guest.disks = NULL;
    guest.num_disks = 0;
}

static void test_irqs(void **state)
{
    uint32_t irqs[] = {32, 44, 43};

    (void)state;
    device("id=a,type=block,target=/a,backend=dd,size=2M");
    guest.b_info.irqs = irqs;
    guest.b_info.num_irqs = 2;
    check(0, "");
    guest.b_info.num_irqs = 3;
    check(-EINVAL, "virtio_restricted: irqs= has 43, but 33 to 43 are virtio "
                   "devices' interrupts: take one of the two out");
}

/* A function's host bridge and interrupts, beside what the user has. */
static void test_bus(void **state)
{
    uint32_t irqs[] = {63, VR_PCI_LINES};

    (void)state;
    device("id=a,type=block,target=/a,backend=dd,size=2M");
    guest.num_pcidevs = 1;
    check(0, "");
    devs[0].transport = VR_TRANSPORT_pci;
    check(-EINVAL,
          "virtio_restricted: transport=pci and pci= each bring a host bridge, "
          "at the same address: take pci= out, or write transport=mmio");
    guest.num_pcidevs = 0;
    guest.b_info.irqs = irqs;
    guest.b_info.num_irqs = 1;
    check(0, "");
    guest.b_info.num_irqs = 2;
    check(-EINVAL, "virtio_restricted: irqs= has 64, but 64 to 367 are virtio "
                   "devices' interrupts: take one of the two out");
}

/* An arm64 Image that says how far it reaches; 0: another kind of kernel. */
static void write_kernel(uint64_t size)
{
    uint8_t head[IMAGE_HEADER] = {0};
    FILE *f = fopen(file, "w");
    unsigned int i;

    for (i = 0; i < 8; i++)
        head[16 + i] = size >> (8 * i);
    if (size)
        memcpy(head + 56, "ARM\x64", 4);
    assert_non_null(f);
    assert_int_equal(fwrite(head, sizeof(head), 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static void test_places(void **state)
{
    (void)state;
    device("id=a,type=block,target=/a,backend=dd,size=2M,base=0x42000000");
    write_kernel(0);
    check(0, "");
    write_kernel(32 * MIB);
    check(0, "");
    write_kernel(33 * MIB);
    check(-EINVAL, "virtio_restricted[0]: base=0x42000000 overlaps the kernel "
                   "at 0x40000000-0x420fffff: move it, or leave base= out");
    write_kernel(IMAGE_MAX + 1); /* nonsense */
    check(0, "");
    devs[0].base = 0x40000000 + 255 * MIB;
    assert_int_equal(vr_arch_check(&guest, devs, ndevs, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is not inside the guest's RAM"));
    write_kernel(0);
}

static void test_nothing_to_say(void **state)
{
    libxl_device_pci pci = {.dev = 31};

    (void)state;
    assert_int_equal(vr_arch_pci(&pci, &err), 0);
    assert_int_equal(vr_arch_memory(NULL, NULL, &guest, &err), 0);
    assert_int_equal(vr_arch_image(NULL, NULL, &err), 0);
}

static void test_interrupts(void **state)
{
    struct xen_domctl_createdomain config = {.arch.nr_spis = 0};
    static struct vr_record rec;

    (void)state;
    rec.ndevs = 1;
    rec.devs[0].cfg.queues = 4;
    vr_arch_domain(&rec, &config);
    assert_int_equal(config.arch.nr_spis, 12); /* up to INTID 43 */
    rec.devs[0].cfg.transport = VR_TRANSPORT_pci;
    vr_arch_domain(&rec, &config);
    assert_int_equal(config.arch.nr_spis, 96 + 5 - 32);
    config.arch.nr_spis = 100;
    vr_arch_domain(&rec, &config);
    assert_int_equal(config.arch.nr_spis, 100);
}

/* ---- while libxl builds it ---- */

struct rig {
    struct vr_record rec;
    struct vr_build b;
    struct xc_dom_image dom;
    char tree[TREE];
    size_t size;
    uint8_t kernel[KERNEL];
};

/* A tree like libxl's, in which the first slot is taken. */
static void make_tree(void *fdt)
{
    fdt32_t reg[4] = {0, cpu_to_fdt32(0x02000000), 0, cpu_to_fdt32(0x200)};
    fdt32_t irq[3] = {0, cpu_to_fdt32(1), cpu_to_fdt32(0xf01)};

    fdt_create(fdt, TREE);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    fdt_property_u32(fdt, "interrupt-parent", 65000);
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_begin_node(fdt, "virtio@2000000");
    fdt_property_string(fdt, "compatible", "virtio,mmio");
    fdt_property(fdt, "reg", reg, sizeof(reg));
    fdt_property(fdt, "interrupts", irq, sizeof(irq));
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    assert_int_equal(fdt_finish(fdt), 0);
}

/* A static, a dynamic and a mixed device; 256 MiB of RAM, 16 of it above 8 GiB.
 */
static struct rig *begin(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    unsigned int i;

    device("id=a,type=block,target=/a,backend=dd,size=2M");
    device("id=d,type=block,mode=dynamic,target=/d,backend=dd,"
           "aperture=16M");
    device("id=m,type=block,mode=mixed,target=/m,backend=dd,size=4M,"
           "base=0x44000000,pool_in=probe,aperture=16M");
    r->rec.ndevs = ndevs;
    for (i = 0; i < ndevs; i++)
        r->rec.devs[i].cfg = devs[i];
    r->b.rec = &r->rec;
    make_tree(r->tree);
    r->dom.rambank_size[0] = 240 * MIB >> 12;
    r->dom.rambank_size[1] = 16 * MIB >> 12;
    r->dom.kernel_blob = r->kernel;
    r->dom.kernel_size = sizeof(r->kernel);
    r->dom.kernel_seg.vstart = 0x40080000;
    r->dom.kernel_seg.vend = 0x40100000;
    assert_int_equal(vr_arch_devicetree(&r->b, r->tree, fdt_totalsize(r->tree),
                                        &r->size, &err),
                     0);
    r->dom.devicetree_blob = r->b.description;
    r->dom.devicetree_seg.vstart = 0x40000000 + 238 * MIB;
    r->dom.devicetree_seg.vend = r->dom.devicetree_seg.vstart + r->size;
    return r;
}

static void end(struct rig *r)
{
    free(r->b.description);
    free(r);
}

static uint32_t cell(const void *fdt, const char *path, const char *name,
                     unsigned int i)
{
    int node = fdt_path_offset(fdt, path), len;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    if (!p || len <= (int)i * 4)
        fail_msg("no %s[%u] in %s", name, i, path);
    return fdt32_to_cpu(p[i]);
}

static void test_tree(void **state)
{
    struct rig *r = begin();
    const void *fdt = r->b.description;

    (void)state;
    assert_int_equal(fdt_check_full(fdt, r->size), 0);
    /* The slots behind the one that is taken. */
    assert_true(r->rec.devs[0].mmio_base == 0x02000200);
    assert_int_equal(r->rec.devs[0].irq, 34);
    assert_true(r->rec.devs[2].mmio_base == 0x02000600);
    assert_true(r->rec.iommu.present);
    assert_true(r->rec.iommu.mmio_base == 0x02000800);
    assert_int_equal(r->rec.iommu.irq, 37);
    assert_int_equal(cell(fdt, "/virtio@2000200", "interrupts", 1), 34 - 32);
    assert_int_equal(cell(fdt, "/virtio@2000400", "iommus", 1), 1);
    assert_int_equal(cell(fdt, "/virtio@2000600", "iommus", 1), 2);
    /* libxl asks again when it has to. */
    assert_int_equal(vr_arch_devicetree(&r->b, r->tree, fdt_totalsize(r->tree),
                                        &r->size, &err),
                     0);
    end(r);
}

static void test_no_tree(void **state)
{
    struct rig *r = begin();

    (void)state;
    memset(r->tree, 0, sizeof(r->tree));
    assert_int_equal(
        vr_arch_devicetree(&r->b, r->tree, sizeof(r->tree), &r->size, &err),
        -EINVAL);
    r->dom.devicetree_blob = r->tree;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted: libxl made no device tree for this "
                        "guest: use a guest type that has one");
    assert_false(r->b.described);
    end(r);
}

static void test_place(void **state)
{
    struct rig *r = begin();
    const void *fdt = r->b.description;
    const struct vr_record *rec = &r->rec;
    const uint64_t top = 0x40000000 + 236 * MIB; /* below the tree */

    (void)state;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    assert_true(r->b.described);
    assert_int_equal(rec->nram, 2);
    assert_true(rec->ram[0].start == 0x40000);
    assert_true(rec->ram[0].end == 0x40000 + (240 * MIB >> 12));
    assert_true(rec->ram[1].start == 0x200000);
    assert_true(rec->ram[1].end == 0x200000 + (16 * MIB >> 12));
    assert_true(rec->devs[0].pool.base == top);
    assert_true(rec->devs[0].pool.size == 2 * MIB);
    assert_int_equal(rec->devs[1].pool.size, 0);
    assert_true(rec->devs[2].pool.base == 0x44000000);
    assert_int_equal(cell(fdt, "/reserved-memory/pool@4ec00000", "reg", 1),
                     top);
    assert_int_equal(cell(fdt, "/reserved-memory/pool@44000000", "reg", 3),
                     4 * MIB);
    end(r);
}

/* What stands in RAM: nothing of it may be a pool. */
static void test_place_used(void **state)
{
    struct rig *r = begin();
    unsigned int i;

    (void)state;
    r->dom.modules[0].seg.vstart = 0x44000000 - 4096;
    r->dom.modules[0].seg.vend = 0x44000000 + 4096;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -EINVAL);
    assert_non_null(
        strstr(err.text, "base=0x44000000 overlaps the ramdisk at"));
    r->dom.modules[0].seg.vend = r->dom.modules[0].seg.vstart;
    r->dom.modules[1].seg.vstart = 0x44100000;
    r->dom.modules[1].seg.vend = 0x44200000;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -EINVAL);
    assert_non_null(strstr(err.text, "overlaps a boot module at"));
    r->dom.modules[1].seg.vend = r->dom.modules[1].seg.vstart;
    /* The kernel reaches further than its file, with its BSS. */
    memcpy(r->kernel + 56, "ARM\x64", 4);
    for (i = 0; i < 8; i++)
        r->kernel[16 + i] = (64 * MIB) >> (8 * i);
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -EINVAL);
    assert_non_null(strstr(err.text, "overlaps the kernel at 0x40000000-"
                                     "0x4407ffff"));
    r->dom.kernel_size = IMAGE_HEADER - 1; /* no Image */
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    end(r);
}

static int make_file(void **state)
{
    (void)state;
    return close(mkstemp(file));
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_boot),       TEST(test_memory),     TEST(test_slots),
        TEST(test_irqs),       TEST(test_places),     TEST(test_nothing_to_say),
        TEST(test_interrupts), TEST(test_tree),       TEST(test_no_tree),
        TEST(test_place),      TEST(test_place_used), TEST(test_bus),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}

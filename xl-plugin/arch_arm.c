/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arm guests: a register block in Xen's virtio-mmio area, an SPI, and a pool
 * in RAM or a virtio-iommu, all told to the guest by the device tree. Called
 * by check.c, create.c and build.c (state.h has the hooks in their order);
 * reads the kernel's head, and changes what libxl is about to build.
 */
#if defined(__aarch64__) || defined(__arm__)
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>

#include "libs/guest/dt.h"
#include "state.h"
#include "libs/xen/compat.h"

#define SLOTS (GUEST_VIRTIO_MMIO_SPI_LAST - GUEST_VIRTIO_MMIO_SPI_FIRST + 1)

_Static_assert(GUEST_RAM_BANKS <= VR_MAX_BANKS, "banks in the record");
_Static_assert(SLOTS <= VR_SLOTS_MAX &&
                   SLOTS * VR_SLOT_SIZE <= GUEST_VIRTIO_MMIO_SIZE,
               "number of slots");

_Static_assert(VR_PCI_ECAM == GUEST_VPCI_ECAM_BASE &&
                   VR_PCI_BARS == GUEST_VPCI_MEM_ADDR &&
                   VR_PCI_FRAME + VR_PCI_FRAME_SIZE ==
                       GUEST_VIRTIO_MMIO_BASE + GUEST_VIRTIO_MMIO_SIZE,
               "places of the PCI bus");

static const struct vr_slots slots = {
    .base = GUEST_VIRTIO_MMIO_BASE,
    .irq = GUEST_VIRTIO_MMIO_SPI_FIRST,
    .count = SLOTS,
};

static const struct vr_pci_slots functions = {
    .registers = VR_PCI_ECAM,
    .first = 1,
    .irq = VR_PCI_LINES + 1,
    .step = 1,
};

_Static_assert(1 + VR_MAX_DEVICES <= VR_PCI_SLOTS, "slots of the PCI bus");

#define FIRST_SPI    32
#define IMAGE_HEADER 64
#define IMAGE_MAX    (UINT64_C(1) << 40) /* no kernel is larger */
/* Guest memory that no pool may take: kernel, ramdisk, page tables, init. */
#define ROOM_MIB 32
/* What libxl takes for a guest without memory=. */
#define LIBXL_KB_DEFAULT (32 * 1024)

/* libxl's own virtio devices, which take slots from the lowest up. */
static unsigned int libxl_slots(const libxl_domain_config *d_config)
{
    unsigned int n = 0;
    int i;

    for (i = 0; i < d_config->num_disks; i++)
        n +=
            d_config->disks[i].specification == LIBXL_DISK_SPECIFICATION_VIRTIO;
    return n + vr_num_virtios(d_config);
}

/* Pools are parts of the guest's memory. */
static int check_memory(const libxl_domain_build_info *b_info,
                        const struct vr_dev_cfg *devs, unsigned int n,
                        struct vr_err *err)
{
    uint64_t kb = b_info->target_memkb, mib, sum = 0;
    char text[24];
    unsigned int i;

    if (kb == LIBXL_MEMKB_DEFAULT)
        kb = b_info->max_memkb;
    if (kb == LIBXL_MEMKB_DEFAULT)
        kb = LIBXL_KB_DEFAULT;
    mib = kb >> 10;
    for (i = 0; i < n; i++) {
        if (!vr_cfg_has_pool(&devs[i]))
            continue;
        sum += devs[i].size;
        if (sum + ((uint64_t)ROOM_MIB << 20) <= mib << 20)
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: size=%s: windows of %" PRIu64
                   " MiB and %u MiB for the guest itself do not fit into "
                   "memory=%" PRIu64 ": raise memory= or lower size=",
                   i, vr_format_size(devs[i].size, text), (sum + 0xfffff) >> 20,
                   ROOM_MIB, mib);
        return -ENOSPC;
    }
    return 0;
}

static int check_irqs(const libxl_domain_build_info *b_info, uint32_t first,
                      uint32_t count, struct vr_err *err)
{
    int i;

    for (i = 0; i < b_info->num_irqs; i++) {
        if (b_info->irqs[i] >= first && b_info->irqs[i] < first + count) {
            vr_err_set(err,
                       "virtio_restricted: irqs= has %" PRIu32 ", but %" PRIu32
                       " to %" PRIu32 " are virtio devices' interrupts: take "
                       "one of the two out",
                       b_info->irqs[i], first, first + count - 1);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_slots(const libxl_domain_config *d_config,
                       const struct vr_dev_cfg *devs, unsigned int n,
                       struct vr_err *err)
{
    unsigned int slot[SLOTS], used = libxl_slots(d_config);
    int rc = check_irqs(&d_config->b_info, slots.irq, slots.count, err);

    if (rc)
        return rc;
    return vr_place_slots(&slots, used < SLOTS ? (1u << used) - 1 : ~0u,
                          vr_count_by(devs, n, VR_TRANSPORT_mmio),
                          vr_any_iova(devs, n), slot, err);
}

/* The bus stands where libxl's own host bridge would. */
static int check_bus(const libxl_domain_config *d_config,
                     const struct vr_dev_cfg *devs, unsigned int n,
                     struct vr_err *err)
{
    if (!vr_count_by(devs, n, VR_TRANSPORT_pci))
        return 0;
    if (d_config->num_pcidevs) {
        vr_err_set(err, "virtio_restricted: transport=pci and pci= each bring "
                        "a host bridge, at the same address: take pci= out, "
                        "or write transport=mmio");
        return -EINVAL;
    }
    return check_irqs(&d_config->b_info, VR_PCI_LINES,
                      VR_PCI_MESSAGES + VR_PCI_MESSAGES_MAX - VR_PCI_LINES,
                      err);
}

/* How far an arm64 Image reaches from its start once it runs: its BSS follows
 * the file's bytes (Documentation/arch/arm64/booting.rst in Linux). 0: this
 * is none. */
static uint64_t image_size(const uint8_t *k, size_t size)
{
    uint64_t v = 0;
    unsigned int i;

    if (size < IMAGE_HEADER || memcmp(k + 56, "ARM\x64", 4))
        return 0;
    for (i = 8; i-- > 0;)
        v = v << 8 | k[16 + i];
    return v > IMAGE_MAX ? 0 : v;
}

static void ram_banks(struct vr_span ram[GUEST_RAM_BANKS], uint64_t bytes)
{
    static const uint64_t base[] = GUEST_RAM_BANK_BASES;
    static const uint64_t max[] = GUEST_RAM_BANK_SIZES;
    unsigned int i;

    for (i = 0; i < GUEST_RAM_BANKS; i++) {
        uint64_t size = bytes < max[i] ? bytes : max[i];

        ram[i] = (struct vr_span){base[i], base[i] + size, NULL};
        bytes -= size;
    }
}

/* Pools against what is known before libxl has built anything: RAM and, when
 * it is not packed, the kernel. */
static int check_places(const libxl_domain_build_info *b_info,
                        const struct vr_dev_cfg *devs, unsigned int n,
                        struct vr_err *err)
{
    struct vr_span ram[GUEST_RAM_BANKS], kernel = {0, 0, "the kernel"};
    uint64_t base[VR_MAX_DEVICES], kb = b_info->max_memkb;
    uint8_t head[IMAGE_HEADER];
    FILE *f = NULL;

    if (kb == LIBXL_MEMKB_DEFAULT)
        kb = b_info->target_memkb;
    if (kb > GUEST_RAM_MAX >> 10)
        return 0; /* libxl's to refuse */
    /* libxl gives out whole MiB. */
    ram_banks(ram, (kb >> 10) << 20);
    if (b_info->kernel && !b_info->bootloader)
        f = fopen(b_info->kernel, "re");
    if (f && fread(head, sizeof(head), 1, f) == 1)
        kernel = (struct vr_span){ram[0].start,
                                  ram[0].start + image_size(head, sizeof(head)),
                                  "the kernel"};
    if (f)
        fclose(f);
    return vr_place_pools(devs, n, ram, GUEST_RAM_BANKS, &kernel, 1, base, err);
}

int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *err)
{
    const libxl_domain_build_info *b_info = &d_config->b_info;
    int rc;

    /* A guest without any way to boot would fail only after its driver
     * domain was made. */
    if (!b_info->kernel && !b_info->bootloader) {
        vr_err_set(err, "virtio_restricted: neither kernel= nor bootloader= "
                        "is given: add one");
        return -EINVAL;
    }
    rc = check_memory(b_info, devs, n, err);
    if (!rc)
        rc = check_slots(d_config, devs, n, err);
    if (!rc)
        rc = check_bus(d_config, devs, n, err);
    return rc ? rc : check_places(b_info, devs, n, err);
}

/* xl passes none through on Arm. */
int vr_arch_pci(const libxl_device_pci *pci, struct vr_err *err)
{
    (void)pci;
    (void)err;
    return 0;
}

/* The pools are part of the guest's memory, which libxl looks after. */
int vr_arch_memory(const struct vr_plan *plan, libxl_ctx *ctx,
                   const libxl_domain_config *d_config, struct vr_err *err)
{
    (void)plan;
    (void)ctx;
    (void)d_config;
    (void)err;
    return 0;
}

void vr_arch_domain(const struct vr_record *rec,
                    struct xen_domctl_createdomain *config)
{
    const unsigned int vectors = vr_record_vectors(rec);
    uint32_t need = slots.irq + slots.count - FIRST_SPI;

    if (vectors)
        need = VR_PCI_MESSAGES + vectors - FIRST_SPI;
    /* libxl counts its own devices' interrupts only (and has a key for the
     * rest from 4.19 on): without this the broker's would be refused. */
    if (config->arch.nr_spis < need)
        config->arch.nr_spis = need;
}

int vr_arch_devicetree(struct vr_build *b, const void *mem, size_t size,
                       size_t *new_size, struct vr_err *err)
{
    struct vr_record *rec = b->rec;
    uint32_t taken;
    size_t cap;
    int rc;

    rc = vr_dt_taken(mem, size, &slots, &taken, err);
    if (!rc)
        rc = vr_build_slots(b, &slots, taken, &functions, err);
    if (rc)
        return rc;
    cap = vr_dt_room(size, rec->ndevs);
    free(b->description);
    b->description = calloc(1, cap);
    if (!b->description) {
        vr_err_set(err, "virtio_restricted: out of memory");
        return -ENOMEM;
    }
    *new_size = cap;
    return vr_dt_extend(mem, size, b->description, cap, b->desc, rec->ndevs,
                        rec->iommu.present ? &b->desc_iommu : NULL, err);
}

static uint64_t kernel_end(const struct xc_dom_image *dom)
{
    uint64_t end =
        dom->kernel_seg.vstart + image_size(dom->kernel_blob, dom->kernel_size);

    return end > dom->kernel_seg.vend ? end : dom->kernel_seg.vend;
}

int vr_arch_place(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    struct vr_dev_cfg cfg[VR_MAX_DEVICES];
    uint64_t base[VR_MAX_DEVICES];
    struct vr_span ram[GUEST_RAM_BANKS], used[XG_MAX_MODULES + 2];
    struct vr_record *rec = b->rec;
    unsigned int nused = 0, i;
    int rc;

    if (!b->description || dom->devicetree_blob != b->description) {
        vr_err_set(err, "virtio_restricted: libxl made no device tree for "
                        "this guest: use a guest type that has one");
        return -EINVAL;
    }
    b->described = true;
    ram_banks(ram, 0);
    for (i = 0; i < GUEST_RAM_BANKS; i++)
        ram[i].end += (uint64_t)dom->rambank_size[i] << VR_PAGE_SHIFT;
    /* For the broker: it grants no other frames. */
    vr_build_ram(rec, ram, GUEST_RAM_BANKS);
    /* From the start of RAM: whatever lies below it is the kernel's, too. */
    used[nused++] =
        (struct vr_span){ram[0].start, kernel_end(dom), "the kernel"};
    for (i = 0; i < XG_MAX_MODULES; i++)
        used[nused++] = (struct vr_span){dom->modules[i].seg.vstart,
                                         dom->modules[i].seg.vend,
                                         i ? "a boot module" : "the ramdisk"};
    used[nused++] =
        (struct vr_span){dom->devicetree_seg.vstart, dom->devicetree_seg.vend,
                         "the device tree"};

    for (i = 0; i < rec->ndevs; i++)
        cfg[i] = rec->devs[i].cfg;
    rc = vr_place_pools(cfg, rec->ndevs, ram, GUEST_RAM_BANKS, used, nused,
                        base, err);
    for (i = 0; !rc && i < rec->ndevs; i++) {
        if (!vr_cfg_has_pool(&cfg[i]))
            continue;
        rec->devs[i].pool.base = base[i];
        rec->devs[i].pool.size = cfg[i].size;
        rc = vr_dt_set_pool(b->description, &b->desc[i], base[i], err);
    }
    return rc;
}

/* The device tree is where it belongs already. */
int vr_arch_image(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    (void)b;
    (void)dom;
    (void)err;
    return 0;
}

#endif

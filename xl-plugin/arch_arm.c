/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arm guests: a register block in Xen's virtio-mmio area, an SPI, and a pool
 * in RAM, all told to the guest by the device tree. */
#if defined(__aarch64__) || defined(__arm__)
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>

#include "place.h"
#include "state.h"
#include "xen/compat.h"

_Static_assert(VR_SLOT_BASE == GUEST_VIRTIO_MMIO_BASE, "virtio-mmio area");
_Static_assert(VR_SLOT_IRQ == GUEST_VIRTIO_MMIO_SPI_FIRST, "first SPI");
_Static_assert(VR_SLOTS ==
                   GUEST_VIRTIO_MMIO_SPI_LAST - GUEST_VIRTIO_MMIO_SPI_FIRST + 1,
               "number of slots");

#define FIRST_SPI 32

/* libxl's own virtio devices, which take slots from the lowest up. */
static unsigned int libxl_slots(const libxl_domain_config *d_config)
{
    unsigned int n = 0;
    int i;

    for (i = 0; i < d_config->num_disks; i++)
        n += d_config->disks[i].specification ==
             LIBXL_DISK_SPECIFICATION_VIRTIO;
    return n + vr_num_virtios(d_config);
}

int vr_arch_check(const libxl_domain_config *d_config, unsigned int n,
                  struct vr_err *err)
{
    const libxl_domain_build_info *b_info = &d_config->b_info;
    unsigned int slots[VR_SLOTS], used = libxl_slots(d_config);
    int i;

    for (i = 0; i < b_info->num_irqs; i++) {
        if (b_info->irqs[i] >= VR_SLOT_IRQ &&
            b_info->irqs[i] < VR_SLOT_IRQ + VR_SLOTS) {
            vr_err_set(err,
                       "virtio_restricted: irqs= has %" PRIu32 ", but %u to "
                       "%u are virtio devices' interrupts: take one of the "
                       "two out",
                       b_info->irqs[i], VR_SLOT_IRQ,
                       VR_SLOT_IRQ + VR_SLOTS - 1);
            return -EINVAL;
        }
    }
    return vr_place_slots(used < VR_SLOTS ? (1u << used) - 1 : ~0u, n, slots,
                          err);
}

void vr_arch_domain(struct xen_domctl_createdomain *config)
{
    const uint32_t need = VR_SLOT_IRQ + VR_SLOTS - FIRST_SPI;

    /* libxl counts its own devices' interrupts only (and has a key for the
     * rest from 4.19 on): without this the broker's would be refused. */
    if (config->arch.nr_spis < need)
        config->arch.nr_spis = need;
}

int vr_arch_devicetree(struct vr_build *b, const void *mem, size_t size,
                       size_t *new_size, struct vr_err *err)
{
    struct vr_record *rec = b->rec;
    unsigned int slots[VR_SLOTS], i;
    uint32_t taken;
    size_t cap;
    int rc;

    rc = vr_dt_taken(mem, size, &taken, err);
    if (!rc)
        rc = vr_place_slots(taken, rec->ndevs, slots, err);
    if (rc)
        return rc;
    for (i = 0; i < rec->ndevs; i++) {
        struct vr_record_dev *dev = &rec->devs[i];

        dev->mmio_base = VR_SLOT_BASE + slots[i] * VR_SLOT_SIZE;
        dev->irq = VR_SLOT_IRQ + slots[i];
        b->dt[i].mmio_base = dev->mmio_base;
        b->dt[i].irq = dev->irq;
        b->dt[i].pool_size = dev->cfg.size;
        /* Where RAM is free is known later: something unique until then. */
        b->dt[i].pool_base = i * VR_PAGE_SIZE;
    }
    cap = vr_dt_room(size, rec->ndevs);
    free(b->fdt);
    b->fdt = calloc(1, cap);
    if (!b->fdt) {
        vr_err_set(err, "virtio_restricted: out of memory");
        return -ENOMEM;
    }
    *new_size = cap;
    return vr_dt_extend(mem, size, b->fdt, cap, b->dt, rec->ndevs, err);
}

/* How far a kernel reaches once it runs: an arm64 Image says it (its BSS
 * follows the file's bytes), Documentation/arch/arm64/booting.rst in Linux. */
static uint64_t kernel_end(const struct xc_dom_image *dom)
{
    uint64_t end = dom->kernel_seg.vend, image_size;
    const uint8_t *k = dom->kernel_blob;
    unsigned int i;

    if (dom->kernel_size < 64 || memcmp(k + 56, "ARM\x64", 4))
        return end;
    for (image_size = 0, i = 8; i-- > 0;)
        image_size = image_size << 8 | k[16 + i];
    if (image_size > UINT64_MAX - dom->kernel_seg.vstart)
        return end;
    image_size += dom->kernel_seg.vstart;
    return image_size > end ? image_size : end;
}

int vr_arch_place(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    static const uint64_t bank_base[] = GUEST_RAM_BANK_BASES;
    struct vr_dev_cfg cfg[VR_MAX_DEVICES];
    uint64_t base[VR_MAX_DEVICES];
    struct vr_span ram[GUEST_RAM_BANKS], used[XG_MAX_MODULES + 2];
    struct vr_record *rec = b->rec;
    unsigned int nused = 0, i;
    int rc;

    if (!b->fdt || dom->devicetree_blob != b->fdt) {
        vr_err_set(err, "virtio_restricted: libxl made no device tree for "
                        "this guest: use a guest type that has one");
        return -EINVAL;
    }
    for (i = 0; i < GUEST_RAM_BANKS; i++) {
        ram[i].start = bank_base[i];
        ram[i].end = bank_base[i] +
                     ((uint64_t)dom->rambank_size[i] << VR_PAGE_SHIFT);
        ram[i].what = NULL;
    }
    /* From the start of RAM: whatever lies below it is the kernel's, too. */
    used[nused++] =
        (struct vr_span){bank_base[0], kernel_end(dom), "the kernel"};
    for (i = 0; i < XG_MAX_MODULES; i++)
        used[nused++] = (struct vr_span){
            dom->modules[i].seg.vstart, dom->modules[i].seg.vend,
            i ? "a boot module" : "the ramdisk"};
    used[nused++] =
        (struct vr_span){dom->devicetree_seg.vstart,
                         dom->devicetree_seg.vend, "the device tree"};

    for (i = 0; i < rec->ndevs; i++)
        cfg[i] = rec->devs[i].cfg;
    rc = vr_place_pools(cfg, rec->ndevs, ram, GUEST_RAM_BANKS, used, nused,
                        base, err);
    for (i = 0; !rc && i < rec->ndevs; i++) {
        rec->devs[i].dma_base = base[i];
        rec->devs[i].dma_size = rec->devs[i].cfg.size;
        rc = vr_dt_set_pool(b->fdt, &b->dt[i], base[i], err);
    }
    return rc;
}

#endif

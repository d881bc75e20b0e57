/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x86 HVM guests: a register block and a GSI that nobody else has, or a slot of
 * the PCI bus that QEMU leaves free, a pool beside the guest's RAM or a
 * virtio-iommu, all told to the guest by ACPI tables that hvmloader adds to its
 * own (hvm.h, acpi.h). Called by check.c, create.c, hotplug.c and build.c
 * (state.h has the hooks in their order); populates the pools and changes what
 * libxl is about to build.
 *
 * Other types of guests are refused: virtio-mmio needs a trapped register
 * block and a wired interrupt, and set_pci_intx_level, by which that is
 * driven, brings the hypervisor down when the guest has no I/O APIC.
 */
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>

#include "libs/guest/acpi.h"
#include "libs/guest/hvm.h"
#include "state.h"
#include "libs/xen/compat.h"

#define CPUID_ADDRESS_SIZES 0x80000008u
#define LEAST_ADDRESS_BITS  36 /* of any 64-bit processor */

#define MIB(kb) (((kb) + 1023) >> 10)

/* Pages that Xen maps by one entry on the processors' second level. */
#define SUPERPAGE_ORDER 9
#define SUPERPAGE       (1ul << SUPERPAGE_ORDER)
#define SUPERPAGES      64u /* asked for at once */

/* What libxl takes for a guest without memory=. */
#define LIBXL_KB_DEFAULT (32 * 1024)
/* The hypervisor's own of a domain, beside its memory. */
#define OVERHEAD_KB (8 * 1024)

/* More is no ACPI table, but a mistake. */
#define ACPI_FILE_MAX (1u << 20)

_Static_assert(VR_HVM_BANKS <= VR_MAX_BANKS, "banks in the record");
_Static_assert(VR_HVM_SLOTS <= VR_SLOTS_MAX, "number of slots");

static const struct vr_slots slots = {
    .base = VR_HVM_SLOT_BASE,
    .irq = VR_HVM_GSI_FIRST,
    .count = VR_HVM_SLOTS,
};

/* On the bus that QEMU emulates, where QEMU has nothing. */
static const struct vr_pci_slots functions = {
    .first = VR_HVM_PCI_FIRST,
    .irq = VR_HVM_INTA_FIRST,
    .step = VR_HVM_INTA_STEP,
};

/* The virtio-mmio slots whose lines @n functions take. */
static uint32_t lines_of(unsigned int n)
{
    uint32_t taken = 0, gsi = functions.irq;

    for (; n; n--, gsi += functions.step)
        if (gsi >= slots.irq)
            taken |= UINT32_C(1) << (gsi - slots.irq);
    return taken;
}

static int refuse(struct vr_err *err, const char *why)
{
    vr_err_set(err, "virtio_restricted: %s", why);
    return -ENOTSUP;
}

static int check_type(const libxl_domain_config *d_config, struct vr_err *err)
{
    switch (d_config->c_info.type) {
    case LIBXL_DOMAIN_TYPE_HVM:
        return 0;
    case LIBXL_DOMAIN_TYPE_PVH:
        return refuse(err, "type=\"pvh\": such a guest has no wired "
                           "interrupts, which virtio-mmio needs: use "
                           "type=\"hvm\"");
    default:
        return refuse(err, "type=\"pv\": such a guest has no registers that "
                           "Xen could trap: use type=\"hvm\"");
    }
}

static bool is_no(libxl_defbool b)
{
    return !libxl_defbool_is_default(b) && !libxl_defbool_val(b);
}

static uint64_t max_kb(const libxl_domain_build_info *b_info)
{
    uint64_t kb = b_info->max_memkb;

    if (kb == LIBXL_MEMKB_DEFAULT)
        kb = b_info->target_memkb;
    return kb == LIBXL_MEMKB_DEFAULT ? LIBXL_KB_DEFAULT : kb;
}

static uint64_t pool_bytes(const struct vr_dev_cfg *devs, unsigned int n)
{
    uint64_t sum = 0;
    unsigned int i;

    for (i = 0; i < n; i++)
        if (vr_cfg_has_pool(&devs[i]))
            sum += devs[i].size;
    return sum;
}

static int check_options(const libxl_domain_build_info *b_info, bool pools,
                         struct vr_err *err)
{
    const uint64_t target = b_info->target_memkb;

    if (is_no(b_info->acpi) || is_no(b_info->u.hvm.acpi))
        return refuse(err, "acpi=0: the guest learns of its devices by ACPI "
                           "tables: take it out");
    if (is_no(b_info->apic) || is_no(b_info->u.hvm.apic))
        return refuse(err, "apic=0: the devices' interrupts arrive at the "
                           "I/O APIC alone: take it out");
    if (b_info->device_tree)
        return refuse(err, "device_tree= is for Arm guests: take it out (an "
                           "x86 guest's own tables go by acpi_firmware=)");
    if (b_info->arch_arm.gic_version != LIBXL_GIC_VERSION_DEFAULT)
        return refuse(err, "gic_version= is for Arm guests: take it out");
    if (b_info->arch_arm.vuart != LIBXL_VUART_TYPE_UNKNOWN)
        return refuse(err, "vuart= is for Arm guests: take it out");
    /* What is populated on demand is counted against all the memory that the
     * guest has: a pool would be missing in the end, and the guest crash. */
    if (pools && target != LIBXL_MEMKB_DEFAULT && target < max_kb(b_info))
        return refuse(err, "memory= is less than maxmem=: memory that is "
                           "populated on demand does not go together with "
                           "a pool: use memory= alone, or mode=dynamic");
    return 0;
}

/* A device that is passed through asserts its line itself: where it is one of
 * those that ours have, the two would take each other's interrupts away. */
int vr_arch_pci(const libxl_device_pci *pci, struct vr_err *err)
{
    unsigned int slot = pci->vdevfn >> 3 & 0x1f;

    if (slot < VR_HVM_PCI_FIRST)
        return 0;
    vr_err_set(err,
               "virtio_restricted: PCI device %04x:%02x:%02x.%x at the guest's "
               "slot 0x%02x, but restricted devices take the interrupts of "
               "slots 0x%02x to 0x1f: use a lower one, or leave it out",
               pci->domain, pci->bus, pci->dev, pci->func, slot,
               VR_HVM_PCI_FIRST);
    return -EINVAL;
}

/* Bits of a physical address; a guest has no more than its host. */
static unsigned int address_bits(void)
{
    unsigned int eax, ebx, ecx, edx;

    if (!__get_cpuid(CPUID_ADDRESS_SIZES, &eax, &ebx, &ecx, &edx))
        return LEAST_ADDRESS_BITS;
    return eax & 0xff;
}

static int place_pools(const struct vr_dev_cfg *devs, unsigned int n,
                       const struct vr_span *ram, unsigned int nram,
                       uint64_t *base, struct vr_err *err)
{
    struct vr_span used[VR_HVM_BANKS + 1], room;
    uint64_t iova[VR_MAX_DEVICES] = {0}, lowest;
    unsigned int i, nused;

    for (nused = 0; nused < nram; nused++) {
        used[nused] = ram[nused];
        used[nused].what = "the guest's RAM";
    }
    used[nused] = (struct vr_span){VR_IOVA_BASE, VR_IOVA_BASE,
                                   "the windows of dynamic devices"};
    vr_place_iova(devs, n, iova);
    for (i = 0; i < n; i++)
        if (vr_cfg_has_iova(&devs[i]))
            used[nused].end = iova[i] + devs[i].aperture;
    nused++;
    vr_hvm_pool_room(ram[nram - 1].end, address_bits(), &lowest, &room);
    return vr_place_pools_beside(devs, n, lowest, &room, used, nused, base,
                                 err);
}

static int check_places(const libxl_domain_build_info *b_info,
                        const struct vr_dev_cfg *devs, unsigned int n,
                        struct vr_err *err)
{
    uint64_t base[VR_MAX_DEVICES], low_end, high_end, hole = 0;
    struct vr_span ram[VR_HVM_BANKS];
    unsigned int nram;

    if (b_info->u.hvm.mmio_hole_memkb != LIBXL_MEMKB_DEFAULT)
        hole = b_info->u.hvm.mmio_hole_memkb << 10;
    vr_hvm_split(max_kb(b_info) << 10, hole, &low_end, &high_end);
    nram = vr_hvm_ram(low_end, high_end, ram);
    return place_pools(devs, n, ram, nram, base, err);
}

/* A user's own tables, which ours are added to. */
static int check_tables(const char *path, bool iommu, struct vr_err *err)
{
    char *buf = malloc(ACPI_FILE_MAX + 1);
    char key[256];
    FILE *f = NULL;
    size_t size;
    int rc = -ENOMEM;

    if (!buf) {
        vr_err_set(err, "virtio_restricted: out of memory");
        goto out;
    }
    f = fopen(path, "re");
    size = f ? fread(buf, 1, ACPI_FILE_MAX + 1, f) : 0;
    if (!f || ferror(f)) {
        rc = -errno;
        vr_err_set(err,
                   "virtio_restricted: acpi_firmware=%.200s: %s: correct the "
                   "path",
                   path, strerror(-rc));
        goto out;
    }
    rc = vr_acpi_check(buf, size, iommu, err);
    if (rc) {
        snprintf(key, sizeof(key), "virtio_restricted: acpi_firmware=%.200s",
                 path);
        vr_err_front(err, key);
    }
out:
    if (f)
        fclose(f);
    free(buf);
    return rc;
}

/* Does an argument for QEMU put a device into one of our slots? */
static bool takes_slot(libxl_string_list args)
{
    unsigned int i;

    for (i = 0; args && args[i]; i++) {
        const char *at = strstr(args[i], ",addr=");

        if (at && strtoul(at + strlen(",addr="), NULL, 16) >= VR_HVM_PCI_FIRST)
            return true;
    }
    return false;
}

static int check_functions(const libxl_domain_build_info *b_info,
                           unsigned int n, struct vr_err *err)
{
    if (!n)
        return 0;
    if (n > VR_HVM_PCI_SLOTS) {
        vr_err_set(err,
                   "virtio_restricted: %u devices with transport=pci, but an "
                   "x86 guest has %u slots for them: write transport=mmio for "
                   "the others",
                   n, VR_HVM_PCI_SLOTS);
        return -ENOSPC;
    }
    if (b_info->device_model_version ==
        LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN_TRADITIONAL)
        return refuse(err, "device_model_version=\"qemu-xen-traditional\": its "
                           "ACPI tables lack what transport=pci needs: take it "
                           "out, or write transport=mmio");
    if (takes_slot(b_info->extra) || takes_slot(b_info->extra_hvm))
        return refuse(err, "device_model_args: an emulated device at PCI slot "
                           "0x1b or above, where devices with transport=pci "
                           "are: use a lower addr=");
    return 0;
}

int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *err)
{
    const libxl_domain_build_info *b_info = &d_config->b_info;
    bool iommu = vr_any_iova(devs, n);
    unsigned int slot[VR_HVM_SLOTS];
    unsigned int on_bus = vr_count_by(devs, n, VR_TRANSPORT_pci);
    int rc;

    rc = check_type(d_config, err);
    if (!rc)
        rc = check_functions(b_info, on_bus, err);
    if (!rc)
        rc = check_options(b_info, vr_any_pool(devs, n), err);
    if (!rc)
        rc = vr_place_slots(&slots, lines_of(on_bus), n - on_bus, iommu, slot,
                            err);
    if (!rc)
        rc = check_places(b_info, devs, n, err);
    if (!rc && b_info->u.hvm.acpi_firmware)
        rc = check_tables(b_info->u.hvm.acpi_firmware, iommu, err);
    return rc;
}

int vr_arch_memory(const struct vr_plan *plan, libxl_ctx *ctx,
                   const libxl_domain_config *d_config, struct vr_err *err)
{
    const struct vr_record *rec = &plan->rec;
    uint64_t guest = max_kb(&d_config->b_info) + OVERHEAD_KB, pools = 0;
    uint64_t drivers = 0, free_kb;
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++)
        pools += pool_bytes(&rec->devs[i].cfg, 1) >> 10;
    for (i = 0; i < rec->ndrivers; i++)
        if (rec->drivers[i].owned)
            drivers += max_kb(&plan->driver_config[i].b_info) + OVERHEAD_KB;
    /* Left to libxl: hosts that do not say what is free, and guests without
     * pools, which may start with less than their maximum. */
    if (!pools || libxl_get_free_memory(ctx, &free_kb) ||
        guest + pools + drivers <= free_kb)
        return 0;
    vr_err_set(err,
               "virtio_restricted: the guest takes %" PRIu64 " MiB, its pools "
               "%" PRIu64 " MiB beside that, its driver domains %" PRIu64
               " MiB, but the host has %" PRIu64 " MiB free: lower size= or "
               "memory=, or give memory back with `xl mem-set Domain-0`",
               MIB(guest), MIB(pools), MIB(drivers), free_kb >> 10);
    return -ENOMEM;
}

/* A guest that changed to version 2 would wipe the entries of its windows. */
void vr_arch_domain(const struct vr_record *rec,
                    struct xen_domctl_createdomain *config)
{
    (void)rec;
    config->grant_opts = (config->grant_opts & ~XEN_DOMCTL_GRANT_version_mask) |
                         XEN_DOMCTL_GRANT_version(1);
}

int vr_arch_devicetree(struct vr_build *b, const void *mem, size_t size,
                       size_t *new_size, struct vr_err *err)
{
    (void)b;
    (void)mem;
    (void)size;
    (void)new_size;
    return refuse(err, "libxl made a device tree for an x86 guest: build "
                       "virtio-restricted for this version of Xen");
}

/* As many superpages as there are; returns how many pages are populated. */
static unsigned long populate_super(xc_interface *xch, uint32_t domid,
                                    uint64_t gfn, uint64_t n)
{
    xen_pfn_t extent[SUPERPAGES];
    unsigned long i, want = n >> SUPERPAGE_ORDER;
    int done;

    if (gfn & (SUPERPAGE - 1))
        return 0;
    if (want > SUPERPAGES)
        want = SUPERPAGES;
    for (i = 0; i < want; i++)
        extent[i] = gfn + (i << SUPERPAGE_ORDER);
    done = want ? xc_domain_populate_physmap(xch, domid, want, SUPERPAGE_ORDER,
                                             0, extent)
                : 0;
    return done > 0 ? (unsigned long)done << SUPERPAGE_ORDER : 0;
}

/* The next pages one by one, up to where a superpage may begin. */
static long populate_single(xc_interface *xch, uint32_t domid, uint64_t gfn,
                            uint64_t n)
{
    xen_pfn_t extent[SUPERPAGE];
    unsigned long i, want = SUPERPAGE - (gfn & (SUPERPAGE - 1));

    if (want > n)
        want = n;
    for (i = 0; i < want; i++)
        extent[i] = gfn + i;
    if (xc_domain_populate_physmap_exact(xch, domid, want, 0, 0, extent))
        return errno ? -errno : -ENOMEM;
    return want;
}

static int populate(xc_interface *xch, uint32_t domid, uint64_t base,
                    uint64_t size)
{
    uint64_t gfn = base >> VR_PAGE_SHIFT, n = size >> VR_PAGE_SHIFT;

    while (n) {
        long done = populate_super(xch, domid, gfn, n);

        if (!done)
            done = populate_single(xch, domid, gfn, n);
        if (done < 0)
            return done;
        gfn += done;
        n -= done;
    }
    return 0;
}

/* libxl lets the domain have no more than its config says. */
static int raise_limit(xc_interface *xch, uint32_t domid, uint64_t bytes)
{
    xc_domaininfo_t info;
    int rc = vr_domain_info(xch, domid, &info);

    if (rc)
        return rc;
    return xc_domain_setmaxmem(xch, domid,
                               (info.max_pages << (VR_PAGE_SHIFT - 10)) +
                                   (bytes >> 10))
               ? -errno
               : 0;
}

static int make_pools(struct vr_build *b, xc_interface *xch,
                      const struct vr_dev_cfg *cfg, const uint64_t *base,
                      struct vr_err *err)
{
    struct vr_record *rec = b->rec;
    uint64_t sum = pool_bytes(cfg, rec->ndevs);
    unsigned int i;
    char size[24];
    int rc = sum ? raise_limit(xch, b->domid, sum) : 0;

    if (rc) {
        vr_err_set(err,
                   "virtio_restricted: the guest's memory limit cannot be "
                   "raised by its pools' %" PRIu64 " MiB: %s: see `xl dmesg`",
                   sum >> 20, strerror(-rc));
        return rc;
    }
    for (i = 0; i < rec->ndevs; i++) {
        if (!vr_cfg_has_pool(&cfg[i]))
            continue;
        rc = populate(xch, b->domid, base[i], cfg[i].size);
        if (rc) {
            vr_err_set(err,
                       "virtio_restricted[%u]: no memory for size=%s: %s: "
                       "lower size=, or give memory back with `xl mem-set "
                       "Domain-0`",
                       i, vr_format_size(cfg[i].size, size), strerror(-rc));
            return rc;
        }
        rec->devs[i].pool.base = base[i];
        rec->devs[i].pool.size = cfg[i].size;
        b->desc[i].pool_base = base[i];
    }
    return 0;
}

int vr_arch_place(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    struct vr_dev_cfg cfg[VR_MAX_DEVICES];
    uint64_t base[VR_MAX_DEVICES];
    struct vr_record *rec = b->rec;
    struct vr_span ram[VR_HVM_BANKS];
    unsigned int nram, i;
    int rc;

    if (dom->container_type != XC_DOM_HVM_CONTAINER || !dom->device_model)
        return refuse(err, "libxl builds no HVM guest: use type=\"hvm\"");
    for (i = 0; i < rec->ndevs; i++)
        cfg[i] = rec->devs[i].cfg;
    rc = vr_build_slots(
        b, &slots, lines_of(vr_count_by(cfg, rec->ndevs, VR_TRANSPORT_pci)),
        &functions, err);
    if (rc)
        return rc;
    nram = vr_hvm_ram(dom->lowmem_end, dom->highmem_end, ram);
    vr_build_ram(rec, ram, nram);
    rc = place_pools(cfg, rec->ndevs, ram, nram, base, err);
    return rc ? rc : make_pools(b, dom->xch, cfg, base, err);
}

/* hvmloader is given one piece of memory with tables: those of the user, which
 * libxl has read already, and ours behind them. */
int vr_arch_image(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    struct xc_hvm_firmware_module *m = &dom->acpi_modules[0];
    const struct vr_record *rec = b->rec;
    size_t size;
    int rc;

    free(b->description);
    b->description = NULL;
    rc = vr_acpi_build(
        b->desc, rec->ndevs, rec->iommu.present ? &b->desc_iommu : NULL,
        m->length ? m->data : NULL, m->length, &b->description, &size, err);
    if (rc)
        return rc;
    m->data = b->description;
    m->length = size;
    b->described = true;
    return 0;
}

#endif

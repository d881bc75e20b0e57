/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plug-in does for x86 guests (arch_x86.c): checks of the config, the
 * host's memory, pools beside the guest's RAM, and ACPI tables.
 */
#if defined(__x86_64__)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libs/guest/acpi.h"
#include "libs/guest/hvm.h"
#include "plugin_world.h"

#define MIB       (UINT64_C(1) << 20)
#define GIB       (UINT64_C(1) << 30)
#define SUPERPAGE 512u

static libxl_domain_config guest;
static struct vr_err err;
static char tables[] = "/tmp/vr-tables.XXXXXX";

/* ---- the guest's memory ---- */

static uint64_t populated; /* pages */
static uint64_t lowest, supers, max_kb, most_supers;
static int populate_errno, setmax_errno, info_errno;

/* One more extent, behind what there is. */
static void extents(const xen_pfn_t *gfn, unsigned long n, unsigned int pages)
{
    unsigned long i;

    for (i = 0; i < n; i++) {
        assert_int_equal(gfn[i] % pages, 0);
        if (!populated)
            lowest = gfn[i];
        assert_true(gfn[i] == lowest + populated);
        populated += pages;
    }
}

int xc_domain_populate_physmap(xc_interface *xch, uint32_t domid,
                               unsigned long n, unsigned int order,
                               unsigned int flags, xen_pfn_t *gfn)
{
    (void)xch;
    (void)flags;
    assert_int_equal(domid, 7);
    assert_int_equal(order, 9);
    if (n > most_supers - supers)
        n = most_supers - supers; /* there are no more */
    extents(gfn, n, SUPERPAGE);
    supers += n;
    return n ? (int)n : -1;
}

int xc_domain_populate_physmap_exact(xc_interface *xch, uint32_t domid,
                                     unsigned long n, unsigned int order,
                                     unsigned int flags, xen_pfn_t *gfn)
{
    (void)xch;
    (void)flags;
    (void)domid;
    assert_int_equal(order, 0);
    if (populate_errno) {
        errno = populate_errno;
        return -1;
    }
    extents(gfn, n, 1);
    return 0;
}

int xc_domain_setmaxmem(xc_interface *xch, uint32_t domid, uint64_t kb)
{
    (void)xch;
    (void)domid;
    max_kb = kb;
    errno = setmax_errno;
    return setmax_errno ? -1 : 0;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    if (info_errno) {
        errno = info_errno;
        return -1;
    }
    memset(info, 0, sizeof(*info));
    info->domain = first;
    info->max_pages = 1000;
    return 1;
}

/* ---- the guest ---- */

static int setup(void **state)
{
    (void)state;
    pw_init();
    memset(&err, 0, sizeof(err));
    populated = lowest = supers = max_kb = 0;
    most_supers = UINT64_MAX;
    populate_errno = setmax_errno = info_errno = 0;
    libxl_domain_config_init(&guest);
    guest.c_info.type = LIBXL_DOMAIN_TYPE_HVM;
    libxl_domain_build_info_init_type(&guest.b_info, LIBXL_DOMAIN_TYPE_HVM);
    guest.b_info.target_memkb = guest.b_info.max_memkb = 256 << 10;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    libxl_domain_config_dispose(&guest);
    return 0;
}

static void check(int rc, const char *text)
{
    int is = vr_arch_check(&guest, pw.p.devs, pw.p.ndevs, &err);

    if (is != rc || strcmp(err.text, text) != 0)
        fail_msg("%d, not %d: %s", is, rc, err.text);
    err.text[0] = '\0';
}

#define STATIC  "id=s,type=block,target=/s,backend=dd,size=2M"
#define DYNAMIC "id=d,type=block,mode=dynamic,target=/d,backend=dd,aperture=16M"

static void test_type(void **state)
{
    (void)state;
    pw_device(STATIC);
    check(0, "");
    guest.c_info.type = LIBXL_DOMAIN_TYPE_PVH;
    check(-ENOTSUP,
          "virtio_restricted: type=\"pvh\": such a guest has no wired "
          "interrupts, which virtio-mmio needs: use type=\"hvm\"");
    guest.c_info.type = LIBXL_DOMAIN_TYPE_PV;
    check(-ENOTSUP, "virtio_restricted: type=\"pv\": such a guest has no "
                    "registers that Xen could trap: use type=\"hvm\"");
}

static void test_transport(void **state)
{
    char *args[] = {"-device", "e1000,mac=00:16:3e:0:0:1b,addr=1a", NULL};
    char text[128];
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_HVM_PCI_SLOTS; i++) {
        snprintf(text, sizeof(text),
                 "id=d%u,type=block,target=/%u,backend=dd,transport=pci,%s", i,
                 i, i ? "size=2M" : "mode=dynamic,aperture=16M");
        pw_device(text);
    }
    check(0, "");
    guest.b_info.device_model_version =
        LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN_TRADITIONAL;
    check(-ENOTSUP,
          "virtio_restricted: device_model_version=\"qemu-xen-traditional\": "
          "its ACPI tables lack what transport=pci needs: take it out, or "
          "write transport=mmio");
    guest.b_info.device_model_version = LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN;
    guest.b_info.extra_hvm = args;
    check(0, "");
    args[1] = "e1000,addr=0x1b.0";
    check(-ENOTSUP, "virtio_restricted: device_model_args: an emulated device "
                    "at PCI slot 0x1b or above, where devices with "
                    "transport=pci are: use a lower addr=");
    guest.b_info.extra_hvm = NULL;
    pw_device(STATIC ",transport=pci");
    check(-ENOSPC, "virtio_restricted: 6 devices with transport=pci, but an "
                   "x86 guest has 5 slots for them: write transport=mmio for "
                   "the others");
}

static void test_options(void **state)
{
    libxl_domain_build_info *b = &guest.b_info;
    libxl_defbool *no_acpi[] = {&b->acpi, &b->u.hvm.acpi};
    libxl_defbool *no_apic[] = {&b->apic, &b->u.hvm.apic};
    unsigned int i;

    (void)state;
    pw_device(STATIC);
    for (i = 0; i < 2; i++) {
        libxl_defbool_set(no_acpi[i], false);
        check(-ENOTSUP, "virtio_restricted: acpi=0: the guest learns of its "
                        "devices by ACPI tables: take it out");
        libxl_defbool_set(no_acpi[i], true);
        libxl_defbool_set(no_apic[i], false);
        check(-ENOTSUP, "virtio_restricted: apic=0: the devices' interrupts "
                        "arrive at the I/O APIC alone: take it out");
        libxl_defbool_set(no_apic[i], true);
        check(0, "");
    }
    b->device_tree = strdup("/dt");
    check(-ENOTSUP, "virtio_restricted: device_tree= is for Arm guests: take "
                    "it out (an x86 guest's own tables go by acpi_firmware=)");
    free(b->device_tree);
    b->device_tree = NULL;
    b->arch_arm.gic_version = LIBXL_GIC_VERSION_V3;
    check(-ENOTSUP,
          "virtio_restricted: gic_version= is for Arm guests: take it out");
    b->arch_arm.gic_version = LIBXL_GIC_VERSION_DEFAULT;
    b->arch_arm.vuart = LIBXL_VUART_TYPE_SBSA_UART;
    check(-ENOTSUP, "virtio_restricted: vuart= is for Arm guests: take it out");
    b->arch_arm.vuart = LIBXL_VUART_TYPE_UNKNOWN;
    b->target_memkb--;
    check(-ENOTSUP, "virtio_restricted: memory= is less than maxmem=: memory "
                    "that is populated on demand does not go together with a "
                    "pool: use memory= alone, or mode=dynamic");
    pw.p.ndevs = 0;
    pw_device(DYNAMIC);
    check(0, "");
}

static void test_slots(void **state)
{
    char text[128];
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_MAX_DEVICES; i++) {
        snprintf(text, sizeof(text),
                 "id=d%u,type=block,target=/%u,backend=dd,%s", i, i,
                 i ? "size=2M" : "mode=dynamic,aperture=16M");
        pw_device(text);
    }
    assert_int_equal(vr_arch_check(&guest, pw.p.devs, 16, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "16 devices"));
    assert_int_equal(vr_arch_check(&guest, pw.p.devs, 15, &err), 0);
}

static void test_places(void **state)
{
    (void)state;
    pw_device("id=s,type=block,target=/s,backend=dd,size=2M,base=0x1000000000");
    check(0, "");
    pw_device(DYNAMIC);
    check(-EINVAL, "virtio_restricted[0]: base=0x1000000000 overlaps the "
                   "windows of dynamic devices at 0x1000000000-0x1000ffffff: "
                   "move it, or leave base= out");
    pw.p.devs[0].base = 16 << 20;
    assert_int_equal(vr_arch_check(&guest, pw.p.devs, 2, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is not between 0x100000000 and"));
    /* With a larger hole the guest's RAM reaches further. */
    pw.p.devs[0].base = 5 * GIB;
    guest.b_info.target_memkb = guest.b_info.max_memkb = 3 << 20;
    guest.b_info.u.hvm.mmio_hole_memkb = 3 << 20;
    assert_int_equal(vr_arch_check(&guest, pw.p.devs, 2, &err), -EINVAL);
    /* Neither memory= nor maxmem=. */
    guest.b_info.target_memkb = guest.b_info.max_memkb = LIBXL_MEMKB_DEFAULT;
    guest.b_info.u.hvm.mmio_hole_memkb = LIBXL_MEMKB_DEFAULT;
    err.text[0] = '\0';
    check(0, "");
}

static void write_tables(const void *data, size_t size)
{
    FILE *f = fopen(tables, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void test_tables(void **state)
{
    static char large[2 << 20];
    char want[256];

    (void)state;
    pw_device(STATIC);
    guest.b_info.u.hvm.acpi_firmware = strdup("/none/aml");
    check(-ENOENT, "virtio_restricted: acpi_firmware=/none/aml: No such file "
                   "or directory: correct the path");
    free(guest.b_info.u.hvm.acpi_firmware);
    guest.b_info.u.hvm.acpi_firmware = strdup("/tmp");
    check(-EISDIR, "virtio_restricted: acpi_firmware=/tmp: Is a directory: "
                   "correct the path");
    free(guest.b_info.u.hvm.acpi_firmware);
    guest.b_info.u.hvm.acpi_firmware = strdup(tables);
    write_tables("", 0);
    check(0, "");
    write_tables("DSDT", 4);
    assert_int_equal(vr_arch_check(&guest, pw.p.devs, 1, &err), -EINVAL);
    snprintf(want, sizeof(want),
             "virtio_restricted: acpi_firmware=%s: table 1 (", tables);
    assert_memory_equal(err.text, want, strlen(want));
    assert_null(strstr(err.text, "firmware: "));
    write_tables(large, sizeof(large));
    assert_int_equal(vr_arch_check(&guest, pw.p.devs, 1, &err), -E2BIG);
    assert_non_null(strstr(err.text, "bytes: hvmloader has room for"));
}

static void test_pci(void **state)
{
    libxl_device_pci pci = {
        .domain = 0, .bus = 3, .dev = 4, .func = 1, .vdevfn = 26 << 3};

    (void)state;
    assert_int_equal(vr_arch_pci(&pci, &err), 0);
    pci.vdevfn = 27 << 3 | 1;
    assert_int_equal(vr_arch_pci(&pci, &err), -EINVAL);
    assert_string_equal(err.text,
                        "virtio_restricted: PCI device 0000:03:04.1 at the "
                        "guest's slot 0x1b, but restricted devices take the "
                        "interrupts of slots 0x1b to 0x1f: use a lower one, or "
                        "leave it out");
}

static void test_memory(void **state)
{
    struct vr_plan *plan = calloc(1, sizeof(*plan));
    struct vr_record *rec = &plan->rec;

    (void)state;
    pw_device(STATIC);
    pw_device(DYNAMIC);
    rec->ndevs = 2;
    rec->devs[0].cfg = pw.p.devs[0];
    rec->devs[1].cfg = pw.p.devs[1];
    rec->ndrivers = 2;
    rec->drivers[1].owned = true;
    plan->driver_config[0].b_info.max_memkb = 1 << 30;
    plan->driver_config[1].b_info.max_memkb = 128 << 10;
    /* 8 MiB of Xen's own for each domain. */
    pw.free_kb = (256 + 8 + 2 + 128 + 8) << 10;
    assert_int_equal(vr_arch_memory(plan, NULL, &guest, &err), 0);
    pw.free_kb--;
    assert_int_equal(vr_arch_memory(plan, NULL, &guest, &err), -ENOMEM);
    assert_string_equal(err.text,
                        "virtio_restricted: the guest takes 264 MiB, its pools "
                        "2 MiB beside that, its driver domains 136 MiB, but "
                        "the host has 401 MiB free: lower size= or memory=, or "
                        "give memory back with `xl mem-set Domain-0`");
    pw.free_kb = 0; /* the host does not say */
    assert_int_equal(vr_arch_memory(plan, NULL, &guest, &err), 0);
    pw.free_kb = 1;
    rec->devs[0] = rec->devs[1]; /* no pool: libxl's to judge */
    assert_int_equal(vr_arch_memory(plan, NULL, &guest, &err), 0);
    free(plan);
}

static void test_domain(void **state)
{
    struct xen_domctl_createdomain config = {.grant_opts = ~0u};

    (void)state;
    vr_arch_domain(NULL, &config);
    assert_int_equal(config.grant_opts & XEN_DOMCTL_GRANT_version_mask, 1);
    assert_int_equal(config.grant_opts | XEN_DOMCTL_GRANT_version_mask, ~0u);
}

/* ---- while libxl builds it ---- */

struct rig {
    struct vr_record rec;
    struct vr_build b;
    struct xc_dom_image dom;
};

static struct rig *begin(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    unsigned int i;

    r->rec.ndevs = pw.p.ndevs;
    for (i = 0; i < pw.p.ndevs; i++)
        r->rec.devs[i].cfg = pw.p.devs[i];
    r->b.rec = &r->rec;
    r->b.domid = 7;
    r->dom.container_type = XC_DOM_HVM_CONTAINER;
    r->dom.device_model = 1;
    r->dom.lowmem_end = 256 * MIB;
    return r;
}

static void end(struct rig *r)
{
    free(r->b.description);
    free(r);
}

static void test_place(void **state)
{
    const struct vr_record *rec;
    struct rig *r;

    (void)state;
    pw_device(STATIC ",base=0x200000000");
    pw_device(DYNAMIC);
    r = begin();
    rec = &r->rec;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    assert_int_equal(rec->nram, 2);
    assert_true(rec->ram[0].end == 0xa0);
    assert_true(rec->ram[1].start == 0x100);
    assert_true(rec->ram[1].end == 256 * MIB >> 12);
    assert_true(rec->devs[0].mmio_base == VR_HVM_SLOT_BASE);
    assert_int_equal(rec->devs[1].irq, VR_HVM_GSI_FIRST + 1);
    assert_true(rec->iommu.present);
    assert_true(rec->devs[0].pool.base == 8 * GIB);
    assert_true(rec->devs[0].pool.size == 2 * MIB);
    assert_true(r->b.desc[0].pool_base == 8 * GIB);
    assert_int_equal(rec->devs[1].pool.size, 0);
    assert_int_equal(populated, SUPERPAGE);
    assert_int_equal(supers, 1);
    assert_true(lowest == 8 * GIB >> 12);
    assert_true(max_kb == 4000 + 2048);
    end(r);
}

/* The virtio-mmio slots whose lines are functions' INTA stay empty. */
static void test_functions(void **state)
{
    const struct vr_record *rec;
    char text[128];
    unsigned int i;
    struct rig *r;

    (void)state;
    for (i = 0; i < VR_MAX_DEVICES; i++) {
        snprintf(text, sizeof(text),
                 "id=d%u,type=block,target=/%u,backend=dd,transport=%s,"
                 "mode=dynamic,aperture=4M",
                 i, i, i % 3 == 1 ? "pci" : "mmio");
        pw_device(text);
    }
    check(0, "");
    r = begin();
    rec = &r->rec;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    assert_int_equal(rec->devs[1].irq, 31);
    assert_int_equal(vr_pci_slot(rec->devs[1].mmio_base), 27);
    assert_int_equal(rec->devs[13].irq, 47);
    assert_int_equal(vr_pci_slot(rec->devs[13].mmio_base), 31);
    assert_int_equal(r->b.desc[13].transport, VR_TRANSPORT_pci);
    assert_true(rec->devs[0].mmio_base == VR_HVM_SLOT_BASE);
    for (i = 0; i < VR_MAX_DEVICES; i++)
        if (rec->devs[i].cfg.transport == VR_TRANSPORT_mmio)
            assert_true(rec->devs[i].irq % 4 != 3);
    assert_int_equal(rec->iommu.irq, 46);
    end(r);
}

/* Where superpages are out, and where a pool does not begin at one. */
static void test_small_pages(void **state)
{
    struct rig *r;

    (void)state;
    pw_device("id=s,type=block,target=/s,backend=dd,size=7M,base=0x200100000");
    r = begin();
    most_supers = 2;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    assert_int_equal(populated, 7 * 256);
    assert_int_equal(supers, 2);
    end(r);
}

static void test_dynamic_alone(void **state)
{
    struct rig *r;

    (void)state;
    pw_device(DYNAMIC);
    r = begin();
    setmax_errno = populate_errno = EPERM;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    assert_int_equal(max_kb, 0);
    end(r);
}

static void test_place_fails(void **state)
{
    struct rig *r;

    (void)state;
    pw_device(STATIC ",base=0x200000000");
    r = begin();
    most_supers = 0;
    populate_errno = ENOMEM;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -ENOMEM);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: no memory for size=2M: Cannot "
                        "allocate memory: lower size=, or give memory back "
                        "with `xl mem-set Domain-0`");
    assert_int_equal(r->rec.devs[0].pool.size, 0);
    setmax_errno = EPERM;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -EPERM);
    assert_string_equal(err.text,
                        "virtio_restricted: the guest's memory limit cannot be "
                        "raised by its pools' 2 MiB: Operation not permitted: "
                        "see `xl dmesg`");
    info_errno = ESRCH;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -ESRCH);
    r->dom.device_model = 0;
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), -ENOTSUP);
    assert_string_equal(err.text, "virtio_restricted: libxl builds no HVM "
                                  "guest: use type=\"hvm\"");
    end(r);
}

static void test_image(void **state)
{
    struct rig *r;
    size_t own;

    (void)state;
    pw_device(STATIC ",base=0x200000000");
    pw_device(DYNAMIC);
    r = begin();
    assert_int_equal(vr_arch_place(&r->b, &r->dom, &err), 0);
    assert_int_equal(vr_arch_image(&r->b, &r->dom, &err), 0);
    assert_true(r->b.described);
    assert_ptr_equal(r->dom.acpi_modules[0].data, r->b.description);
    own = r->dom.acpi_modules[0].length;
    assert_memory_equal(r->b.description, "SSDT", 4);
    assert_true(own > 100);
    /* A user's tables come first; one that breaks later is not lost on him. */
    r->dom.acpi_modules[0].data = (void *)"junk";
    r->dom.acpi_modules[0].length = 4;
    r->b.described = false;
    assert_int_equal(vr_arch_image(&r->b, &r->dom, &err), -EINVAL);
    assert_false(r->b.described);
    assert_memory_equal(err.text, "virtio_restricted: acpi_firmware: ", 34);
    end(r);
}

static void test_no_tree(void **state)
{
    size_t size;

    (void)state;
    assert_int_equal(vr_arch_devicetree(NULL, NULL, 0, &size, &err), -ENOTSUP);
    assert_string_equal(err.text,
                        "virtio_restricted: libxl made a device tree for an "
                        "x86 guest: build virtio-restricted for this version "
                        "of Xen");
}

static int make_file(void **state)
{
    (void)state;
    return close(mkstemp(tables));
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(tables);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_type),          TEST(test_transport),
        TEST(test_options),       TEST(test_slots),
        TEST(test_places),        TEST(test_tables),
        TEST(test_pci),           TEST(test_memory),
        TEST(test_domain),        TEST(test_place),
        TEST(test_functions),     TEST(test_small_pages),
        TEST(test_dynamic_alone), TEST(test_place_fails),
        TEST(test_image),         TEST(test_no_tree),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
#else
int main(void)
{
    return 77; /* skipped: this file is compiled for x86 alone */
}
#endif

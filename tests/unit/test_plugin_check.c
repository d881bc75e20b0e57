/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plug-in refuses to a guest, and with which words (check.c), and how
 * it sizes the grant table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin_world.h"

static libxl_domain_config guest;
static struct vr_plan *plan;
static struct vr_err err;
static const char *arch_says, *pci_says;

int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *why)
{
    (void)d_config;
    (void)devs;
    (void)n;
    if (arch_says)
        vr_err_set(why, "%s", arch_says);
    return arch_says ? -EINVAL : 0;
}

int vr_arch_pci(const libxl_device_pci *pci, struct vr_err *why)
{
    if (!pci_says || pci->dev != 5)
        return 0;
    vr_err_set(why, "%s", pci_says);
    return -EINVAL;
}

static int setup(void **state)
{
    unsigned int i;

    (void)state;
    pw_init();
    arch_says = pci_says = NULL;
    memset(&err, 0, sizeof(err));
    libxl_domain_config_init(&guest);
    guest.c_info.name = strdup("g");
    guest.b_info.max_vcpus = 1;
    plan = calloc(1, sizeof(*plan));
    plan->host = pw.host;
    for (i = 0; i < VR_MAX_DEVICES; i++)
        libxl_domain_config_init(&plan->driver_config[i]);
    return 0;
}

static int teardown(void **state)
{
    unsigned int i;

    (void)state;
    libxl_domain_config_dispose(&guest);
    for (i = 0; i < VR_MAX_DEVICES; i++)
        libxl_domain_config_dispose(&plan->driver_config[i]);
    free(plan);
    return 0;
}

static void check(int rc, const char *text)
{
    assert_int_equal(vr_check_guest(&pw.p, &guest, &err), rc);
    assert_string_equal(err.text, text);
    err.text[0] = '\0';
}

static void name(const char *text)
{
    free(guest.c_info.name);
    guest.c_info.name = text ? strdup(text) : NULL;
}

static void test_name(void **state)
{
    char text[VR_NAME_LEN + 2], want[256];

    (void)state;
    check(0, "");
    name("\xc3\xa4");
    check(0, "");
    name("");
    check(-EINVAL, "virtio_restricted: name= is empty: give a name");
    name(NULL);
    check(-EINVAL, "virtio_restricted: name= is empty: give a name");
    name("a\xff");
    check(-EINVAL, "virtio_restricted: name=a? has bytes that are not UTF-8 "
                   "text, which libxl could not read back: save the file as "
                   "UTF-8, or use ASCII characters");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    name(text);
    snprintf(want, sizeof(want),
             "virtio_restricted: name=%.127s is longer than 127 bytes: shorten "
             "it",
             text);
    check(-EINVAL, want);
    text[sizeof(text) - 2] = '\0';
    name(text);
    check(0, "");
}

static void test_files(void **state)
{
    (void)state;
    guest.b_info.kernel = strdup("/none/kernel");
    check(-ENOENT, "virtio_restricted: kernel=/none/kernel: No such file or "
                   "directory: correct the path");
    /* One that a bootloader finds in the guest's disk. */
    guest.b_info.bootloader = strdup("pygrub");
    check(0, "");
    guest.b_info.device_tree = strdup("/none/dt");
    check(-ENOENT, "virtio_restricted: device_tree=/none/dt: No such file or "
                   "directory: correct the path");
    free(guest.b_info.device_tree);
    free(guest.b_info.bootloader);
    free(guest.b_info.kernel);
    guest.b_info.device_tree = guest.b_info.bootloader = NULL;
    guest.b_info.kernel = strdup("/dev/null");
    guest.b_info.ramdisk = strdup("/none/ramdisk");
    check(-ENOENT, "virtio_restricted: ramdisk=/none/ramdisk: No such file or "
                   "directory: correct the path");
}

static void test_pool_for_gntdev(void **state)
{
    (void)state;
    pw_device("id=a,type=block,target=/a,backend=dd,size=255M");
    check(0, "");
    pw_device("id=b,type=block,target=/b,backend=dd,size=256M");
    check(-EINVAL, "virtio_restricted[1]: size=256M needs more than the 65535 "
                   "pages that a driver domain's gntdev maps at once: use at "
                   "most 255M, or several devices");
}

static void test_arch(void **state)
{
    static libxl_device_pci pci[2];

    (void)state;
    arch_says = "virtio_restricted: not so";
    check(-EINVAL, "virtio_restricted: not so");
    arch_says = NULL;
    pci_says = "virtio_restricted: not there";
    pci[1].dev = 5;
    guest.pcidevs = pci;
    guest.num_pcidevs = 2;
    check(-EINVAL, "virtio_restricted: not there");
    guest.num_pcidevs = 1;
    check(0, "");
    guest.pcidevs = NULL;
    guest.num_pcidevs = 0;
}

static void test_pv(void **state)
{
    libxl_device_disk disk[3];
    struct vr_reserve r;
    unsigned int i;

    (void)state;
    for (i = 0; i < 3; i++)
        libxl_device_disk_init(&disk[i]);
    disk[1].is_cdrom = 1;
    guest.disks = disk;
    guest.num_disks = 3;
    guest.num_nics = 2;
    guest.num_p9s = 1;
    guest.b_info.max_vcpus = 4;
    guest.c_info.type = LIBXL_DOMAIN_TYPE_HVM;
    vr_check_pv(&guest, &r);
    assert_int_equal(r.disks, 2); /* a CD-ROM is emulated */
    assert_int_equal(r.nics, 2);
    assert_int_equal(r.p9s, 1);
    assert_int_equal(r.vcpus, 4);
    guest.c_info.type = LIBXL_DOMAIN_TYPE_PVH;
    vr_check_pv(&guest, &r);
    assert_int_equal(r.disks, 3);
    guest.disks = NULL;
    guest.num_disks = guest.num_nics = guest.num_p9s = 0;
}

/* ---- the grant table ---- */

/* The devices so far, in driver domain 0, which the guest owns. */
static void planned(void)
{
    unsigned int i;

    plan->rec.ndevs = pw.p.ndevs;
    for (i = 0; i < pw.p.ndevs; i++)
        plan->rec.devs[i].cfg = pw.p.devs[i];
    plan->rec.ndrivers = 1;
    plan->rec.drivers[0].owned = true;
    strcpy(plan->rec.drivers[0].name, "g-driver");
}

static void grants(int rc, const char *text)
{
    assert_int_equal(vr_check_grants(&pw.p, plan, &guest, &err), rc);
    assert_string_equal(err.text, text);
    err.text[0] = '\0';
}

static void test_frames(void **state)
{
    const struct vr_record *rec = &plan->rec;

    (void)state;
    pw_device("id=a,type=block,target=/a,backend=dd,size=2M");
    pw_device("id=b,type=block,mode=dynamic,target=/b,backend=dd,aperture=16M");
    pw_device("id=c,type=block,mode=mixed,target=/c,backend=dd,size=2M,"
              "aperture=16M");
    planned();
    grants(0, "");
    /* What the hypervisor gives anyway, now for certain, and of version 1. */
    assert_int_equal(guest.b_info.max_grant_frames, 64);
    assert_int_equal(guest.b_info.max_grant_version, 1);
    assert_int_equal(rec->grant_frames, 64);
    assert_int_equal(rec->devs[0].pool.gref_base, 64 * 512 - 512);
    assert_int_equal(rec->devs[2].pool.gref_base, 64 * 512 - 1024);
    assert_int_equal(rec->devs[1].iova.gref_base, 64 * 512 - 1024 - 4096);
    assert_int_equal(rec->devs[2].iova.gref_base, 64 * 512 - 1024 - 8192);
    assert_true(rec->devs[1].iova.base == VR_IOVA_BASE);
    assert_true(rec->devs[1].iova.size == 16 << 20);
    assert_int_equal(rec->devs[0].iova.size, 0);
    /* Who asks for more has more. */
    guest.b_info.max_grant_frames = 100;
    grants(0, "");
    assert_int_equal(rec->grant_frames, 100);
    /* Too few are raised to what is needed. */
    guest.b_info.max_grant_frames = 4;
    grants(0, "");
    assert_int_equal(rec->grant_frames, 2 + 16 + 8);
    /* What the administrator leaves to the guest. */
    pw.p.grants = 1;
    guest.b_info.max_grant_frames = 4;
    grants(0, "");
    assert_int_equal(rec->grant_frames, 2 + 16 + 1);
    pw.p.grants = 513;
    grants(0, "");
    assert_int_equal(rec->grant_frames, 2 + 16 + 2);
}

static void test_frames_bound(void **state)
{
    (void)state;
    pw_device("id=a,type=block,target=/a,backend=dd,size=250M");
    planned();
    /* A default from 4.18 on ... */
    grants(0, "");
    assert_int_equal(plan->rec.grant_frames, 125 + 8);
    /* ... a limit before. */
    plan->host.minor = 17;
    guest.b_info.max_grant_frames = LIBXL_MAX_GRANT_DEFAULT;
    grants(-ENOSPC,
           "virtio_restricted: pools of 250 MiB, apertures of 0 MiB and 4096 "
           "grants for the guest's own disks and interfaces need 133 grant "
           "table frames, this hypervisor allows 64: boot Xen with "
           "gnttab_max_frames=133, run `xenhypfs write "
           "/params/gnttab_max_frames 133`, or lower size=, aperture= or "
           "virtio_restricted_grants=");
    plan->host.max_grant_frames = 133;
    grants(0, "");
    guest.b_info.max_grant_frames = UINT32_MAX / 2;
    plan->host.minor = 18;
    grants(-ENOSPC, "virtio_restricted: max_grant_frames=2147483647 is more "
                    "than grant references can number: lower it");
}

static void test_maptrack(void **state)
{
    libxl_domain_build_info *driver = &plan->driver_config[0].b_info;

    (void)state;
    pw_device("id=a,type=block,target=/a,backend=dd,size=250M");
    planned();
    plan->host.minor = 17;
    plan->host.max_grant_frames = 1000;
    plan->host.max_maptrack_frames = 200;
    grants(-ENOSPC,
           "virtio_restricted: driver domain g-driver has to map 64000 pages, "
           "which takes 255 maptrack frames of 200: boot Xen with "
           "gnttab_max_maptrack_frames=255, or lower size= or aperture=");
    /* Later hypervisors let the guest's own driver domain have more. */
    plan->host.minor = 18;
    grants(0, "");
    assert_int_equal(driver->max_maptrack_frames, 255);
    /* What its file has is raised, not lowered. */
    driver->max_maptrack_frames = 2;
    grants(0, "");
    assert_int_equal(driver->max_maptrack_frames, 255);
    driver->max_maptrack_frames = 1000;
    grants(0, "");
    assert_int_equal(driver->max_maptrack_frames, 1000);
    /* One that is shared has what it has. */
    plan->rec.drivers[0].owned = false;
    grants(-ENOSPC,
           "virtio_restricted: driver domain g-driver has to map 64000 pages, "
           "which takes 255 maptrack frames of 200: boot Xen with "
           "gnttab_max_maptrack_frames=255, or lower size= or aperture=");
    plan->host.max_maptrack_frames = 0; /* not known: as Xen begins */
    grants(0, "");
}

/* Copies take no mappings but for the rings. */
static void test_maptrack_dynamic(void **state)
{
    (void)state;
    pw_device("id=a,type=block,mode=dynamic,target=/a,backend=dd,"
              "aperture=256M,map_threshold=never");
    planned();
    plan->host.max_maptrack_frames = 5;
    plan->rec.drivers[0].owned = false;
    grants(0, "");
    plan->rec.devs[0].cfg.map_threshold = 0;
    assert_int_equal(vr_check_grants(&pw.p, plan, &guest, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "has to map 65536 pages"));
}

static void test_user(void **state)
{
    (void)state;
    assert_int_equal(vr_check_user(&err), 0);
    pw.user = false;
    assert_int_equal(vr_check_user(&err), -ENOENT);
    assert_string_equal(err.text, "virtio_restricted: there is no user " VR_USER
                                  ", which brokers run as: " VR_USER_REMEDY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_name),
        TEST(test_files),
        TEST(test_pool_for_gntdev),
        TEST(test_arch),
        TEST(test_pv),
        TEST(test_frames),
        TEST(test_frames_bound),
        TEST(test_maptrack),
        TEST(test_maptrack_dynamic),
        TEST(test_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

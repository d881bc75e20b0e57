/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plug-in refuses before a domain exists, and what it chooses for one
 * that it accepts (xl-plugin/check.c); and what it lets be plugged into one
 * that runs (hotplug.c).
 */
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../xl-plugin/state.h"

#define MIB UINT64_C(0x100000)

static struct vr_plugin p;
static struct vr_plan *plan;
static libxl_domain_config d_config;
static struct vr_err err;

/* ---- the host ---- */

static bool has_user, has_record, retrieves;
static struct vr_record record;
static char said[1024];

struct passwd *getpwnam(const char *name)
{
    static struct passwd pw;

    assert_string_equal(name, VR_USER);
    return has_user ? &pw : NULL;
}

int vr_find_record(libxl_ctx *ctx, uint32_t domid, struct vr_record *rec)
{
    (void)ctx;
    assert_int_equal(domid, 5);
    if (!has_record)
        return -ENOENT;
    *rec = record;
    return 0;
}

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid,
                                        libxl_domain_config *out,
                                        const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)domid;
    (void)how;
    if (!retrieves)
        return ERROR_FAIL;
    out->b_info.max_vcpus = 1;
    return 0;
}

void vr_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
}

char *vr_uuid_text(const libxl_uuid *uuid, char *buf)
{
    (void)uuid;
    return strcpy(buf, "");
}

/* ---- the guest ---- */

static int set_up(void **state)
{
    (void)state;
    memset(&p, 0, sizeof(p));
    memset(&record, 0, sizeof(record));
    memset(&err, 0, sizeof(err));
    said[0] = '\0';
    plan = calloc(1, sizeof(*plan));
    libxl_domain_config_init(&d_config);
    d_config.c_info.name = strdup("guest");
    d_config.b_info.max_vcpus = 1;
    d_config.b_info.max_grant_frames = LIBXL_MAX_GRANT_DEFAULT;
    libxl_domain_build_info_init(&plan->driver_config[0].b_info);
    plan->driver_config[0].b_info.max_maptrack_frames = LIBXL_MAX_GRANT_DEFAULT;
    plan->host.major = 4;
    plan->host.minor = 17;
    plan->rec.ndrivers = 1;
    plan->rec.drivers[0].owned = true;
    strcpy(plan->rec.drivers[0].name, "guest-driver");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    libxl_domain_config_dispose(&d_config);
    free(plan);
    return 0;
}

/* One more device. */
static struct vr_dev_cfg *add(const char *text)
{
    struct vr_dev_cfg *cfg = &p.devs[p.ndevs];

    assert_int_equal(vr_cfg_parse(p.ndevs, text, cfg, &err), 0);
    plan->rec.devs[plan->rec.ndevs++].cfg = *cfg;
    p.ndevs++;
    return cfg;
}

#define DEV(id) "id=" id ",type=block,target=/t,driver=/d,"

static void expect(int rc, const char *text)
{
    assert_int_not_equal(rc, 0);
    if (!strstr(err.text, text))
        fail_msg("not \"%s\": %s", text, err.text);
    assert_memory_equal(err.text, VR_NAME, strlen(VR_NAME));
}

/* ---- names, files, the user ---- */

static void test_names(void **state)
{
    char longest[VR_NAME_LEN + 2];

    (void)state;
    assert_int_equal(vr_check_name("name", "a-guest", &err), 0);
    expect(vr_check_name("name", NULL, &err), "name= is empty: give a name");
    expect(vr_check_name("name", "", &err), "name= is empty");
    expect(vr_check_name("name", "gu\xff", &err), "not UTF-8 text");
    memset(longest, 'x', VR_NAME_LEN + 1);
    longest[VR_NAME_LEN + 1] = '\0';
    expect(vr_check_name("name", longest, &err), "is longer than");
    longest[VR_NAME_LEN] = '\0';
    assert_int_equal(vr_check_name("name", longest, &err), 0);
}

static void test_user(void **state)
{
    (void)state;
    has_user = true;
    assert_int_equal(vr_check_user(&err), 0);
    has_user = false;
    expect(vr_check_user(&err), "there is no user " VR_USER);
}

static void test_files(void **state)
{
    (void)state;
    d_config.b_info.kernel = strdup("/no/kernel");
    expect(vr_check_guest(&p, &d_config, &err),
           "kernel=/no/kernel: No such file or directory: correct the path");
    d_config.b_info.kernel[0] = '\0';
    free(d_config.b_info.kernel);
    d_config.b_info.kernel = NULL;
    d_config.b_info.ramdisk = strdup("/no/ramdisk");
    expect(vr_check_guest(&p, &d_config, &err), "ramdisk=/no/ramdisk");
    /* pygrub makes them. */
    d_config.b_info.bootloader = strdup("pygrub");
    d_config.b_info.device_tree = strdup("/no/tree");
    expect(vr_check_guest(&p, &d_config, &err), "device_tree=/no/tree");
}

static void test_pool_that_no_gntdev_maps(void **state)
{
    (void)state;
    add(DEV("a") "size=255M");
    add(DEV("b") "size=256M");
    expect(vr_check_guest(&p, &d_config, &err),
           "virtio_restricted[1]: size=256M needs more than the 65535 pages");
}

/* ---- grants ---- */

static void test_frames(void **state)
{
    (void)state;
    add(DEV("a") "size=64M");
    /* 16384 pages, and what is left to the guest: 4096 at the least. */
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(plan->rec.grant_frames, 64);
    assert_int_equal(d_config.b_info.max_grant_frames, 64);
    assert_int_equal(d_config.b_info.max_grant_version, 1);
    assert_int_equal(plan->rec.devs[0].pool.gref_base, 64 * 512 - 16384);
    assert_int_equal(plan->rec.devs[0].iova.size, 0);
}

static void test_limits_of_old_hypervisors(void **state)
{
    (void)state;
    add(DEV("a") "size=128M");
    expect(vr_check_grants(&p, plan, &d_config, &err),
           "pools of 128 MiB, apertures of 0 MiB and 4096 grants for the "
           "guest's own disks and interfaces need 72 grant table frames, this "
           "hypervisor allows 64");
    plan->host.max_grant_frames = 72;
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(plan->rec.grant_frames, 72);
    /* From 4.18 on they are defaults. */
    plan->host.max_grant_frames = 0;
    plan->host.minor = 18;
    d_config.b_info.max_grant_frames = LIBXL_MAX_GRANT_DEFAULT;
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(plan->rec.grant_frames, 72);
}

static void test_what_is_left_to_the_guest(void **state)
{
    (void)state;
    add(DEV("a") "size=2M");
    p.grants = 8192;
    d_config.b_info.max_grant_frames = 4; /* too few: raised */
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(plan->rec.grant_frames, (8192 + 512) / 512);
    assert_true(plan->rec.devs[0].pool.gref_base >= 8192);
}

static void test_pv_devices(void **state)
{
    libxl_device_disk disks[3] = {{.is_cdrom = 0}, {.is_cdrom = 1}};
    struct vr_reserve r;

    (void)state;
    d_config.disks = disks;
    d_config.num_disks = 3;
    d_config.num_nics = 2;
    d_config.c_info.type = LIBXL_DOMAIN_TYPE_HVM;
    vr_check_pv(&d_config, &r);
    assert_int_equal(r.disks, 2); /* the CD-ROM is emulated */
    assert_int_equal(r.nics, 2);
    d_config.c_info.type = LIBXL_DOMAIN_TYPE_PV;
    vr_check_pv(&d_config, &r);
    assert_int_equal(r.disks, 3);
    d_config.disks = NULL;
    d_config.num_disks = d_config.num_nics = 0;
}

static void test_maptrack(void **state)
{
    libxl_domain_build_info *b = &plan->driver_config[0].b_info;

    (void)state;
    plan->host.max_maptrack_frames = 64;
    plan->host.max_grant_frames = 256;
    add(DEV("a") "size=128M"); /* 32768 pages: 133 frames of 256 */
    expect(vr_check_grants(&p, plan, &d_config, &err),
           "driver domain guest-driver has to map 32768 pages, which takes 133 "
           "maptrack frames of 64");
    plan->host.minor = 18;
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(b->max_maptrack_frames, 133);
    b->max_maptrack_frames = 200; /* the user's, large enough: stays */
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(b->max_maptrack_frames, 200);
    /* One that runs has what it was created with. */
    plan->rec.drivers[0].owned = false;
    expect(vr_check_grants(&p, plan, &d_config, &err), "maptrack frames of 64");
}

/* Copies take none: of a dynamic window only the rings are mapped. */
static void test_maptrack_of_dynamic_devices(void **state)
{
    (void)state;
    plan->host.max_maptrack_frames = 6;
    plan->host.max_grant_frames = 256;
    add(DEV("a") "mode=dynamic,aperture=64M");
    assert_int_equal(vr_check_grants(&p, plan, &d_config, &err), 0);
    assert_int_equal(plan->rec.devs[0].iova.base, VR_IOVA_BASE);
    assert_int_equal(plan->rec.devs[0].iova.size, 64 * MIB);
    plan->rec.devs[0].cfg.map_threshold = 0;
    expect(vr_check_grants(&p, plan, &d_config, &err), "16384 pages");
}

/* ---- hotplug ---- */

static void test_hotplug(void **state)
{
    const libxl_device_disk disk = {.is_cdrom = 0}, cd = {.is_cdrom = 1};

    (void)state;
    has_record = false;
    assert_true(vr_hotplug_disk(NULL, 5, &disk)); /* none of our guests */
    has_record = retrieves = true;
    strcpy(record.name, "guest");
    record.ndevs = 1;
    record.devs[0].cfg.size = 2 * MIB;
    record.devs[0].pool.gref_base = 4096;
    assert_true(vr_hotplug_nic(NULL, 5));
    record.devs[0].pool.gref_base = 600;
    assert_true(vr_hotplug_disk(NULL, 5, &cd));
    /* There was too little from the start: the administrator knows. */
    assert_true(vr_hotplug_disk(NULL, 5, &disk));
    retrieves = false;
    assert_false(vr_hotplug_nic(NULL, 5));
    assert_non_null(strstr(said, "libxl cannot tell which devices it has"));
}

#define CHECK(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK(test_names),
        CHECK(test_user),
        CHECK(test_files),
        CHECK(test_pool_that_no_gntdev_maps),
        CHECK(test_frames),
        CHECK(test_limits_of_old_hypervisors),
        CHECK(test_what_is_left_to_the_guest),
        CHECK(test_pv_devices),
        CHECK(test_maptrack),
        CHECK(test_maptrack_of_dynamic_devices),
        CHECK(test_hotplug),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

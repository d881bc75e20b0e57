/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which driver domain serves which device (driver.c): what a file of driver=
 * may say, which names its domain may have, and which running domains
 * backend= can name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin_world.h"

static char file_a[] = "/tmp/vr-driver-a.XXXXXX";
static char file_b[] = "/tmp/vr-driver-b.XXXXXX";
static struct vr_plan *plan;
static struct vr_err err;

static int setup(void **state)
{
    unsigned int i;

    (void)state;
    pw_init();
    memset(&err, 0, sizeof(err));
    plan = calloc(1, sizeof(*plan));
    strcpy(plan->rec.name, "g");
    strcpy(plan->rec.uuid, PW_UUID);
    for (i = 0; i < VR_MAX_DEVICES; i++)
        libxl_domain_config_init(&plan->driver_config[i]);
    return 0;
}

static int teardown(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_MAX_DEVICES; i++) {
        libxl_domain_config_dispose(&plan->driver_config[i]);
        free(pw.p.driver_json[i]);
    }
    free(plan);
    return 0;
}

/* One more device, with this in its string. */
static void device(const char *format, const char *value)
{
    char text[1400], rest[1200];
    struct vr_record_dev *d = &plan->rec.devs[plan->rec.ndevs];

    snprintf(rest, sizeof(rest), format, value);
    snprintf(text, sizeof(text), "id=disk%u,type=block,size=2M,%s",
             plan->rec.ndevs, rest);
    pw_device(text);
    d->cfg = pw.p.devs[plan->rec.ndevs++];
}

static void found(int rc, const char *text)
{
    assert_int_equal(vr_find_drivers(&pw.p, plan, NULL, &err), rc);
    if (rc)
        assert_string_equal(err.text, text);
}

/* What is said of the one device that there is; "%s": its file. */
static void refused(int rc, const char *format)
{
    char text[1024];

    snprintf(text, sizeof(text), format, file_a, file_a);
    found(rc, text);
    assert_int_equal(plan->rec.ndrivers, 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* ---- driver= ---- */

static void test_owned(void **state)
{
    const struct vr_record_driver *d = plan->rec.drivers;

    (void)state;
    device("target=/a,driver=%s", file_a);
    device("target=/b,driver=%s", file_a); /* the same domain */
    found(0, "");
    assert_int_equal(plan->rec.ndrivers, 1);
    assert_int_equal(plan->rec.devs[1].driver, 0);
    assert_string_equal(d->name, "g-driver");
    assert_string_equal(d->config, file_a);
    assert_true(vr_uuid_valid(d->uuid));
    assert_int_equal(d->domid, VR_DOMID_NONE);
    assert_true(d->owned);
    assert_string_equal(plan->driver_config[0].c_info.name, "g-driver");
    /* Nobody's grants but those of version 1. */
    assert_int_equal(plan->driver_config[0].b_info.max_grant_version, 1);
    assert_string_equal(pw.p.driver_json[0], "{}");
}

/* A reboot has the driver domain that was checked when the guest was made. */
static void test_reboot(void **state)
{
    (void)state;
    device("target=/a,driver=%s", file_a);
    found(0, "");
    plan->rec.ndrivers = 0;
    libxl_domain_config_dispose(&plan->driver_config[0]);
    libxl_domain_config_init(&plan->driver_config[0]);
    pw.json = "nonsense";
    pw.xl_status = 1;
    pw.p.created = true;
    found(0, "");
    assert_string_equal(plan->rec.drivers[0].name, "g-driver");
}

static void test_no_file(void **state)
{
    (void)state;
    device("target=/a,driver=%s", "/none/d.cfg");
    found(-ENOENT, "virtio_restricted[0]: driver=/none/d.cfg: No such file or "
                   "directory: name the xl.cfg of the driver domain");
}

static void test_has_devices_itself(void **state)
{
    (void)state;
    write_file(file_a, "virtio_restricted = [ \"id=x\" ]\n");
    device("target=/a,driver=%s", file_a);
    refused(-EINVAL, "virtio_restricted[0]: driver=%s has virtio_restricted "
                     "itself: a driver domain owns real devices, take the key "
                     "out");
    /* Even if it is not a list. */
    write_file(file_a, "virtio_restricted = 1\n");
    refused(-EINVAL, "virtio_restricted[0]: driver=%s has virtio_restricted "
                     "itself: a driver domain owns real devices, take the key "
                     "out");
    /* What is no config at all is xl's to explain. */
    write_file(file_a, "virtio_restricted = [\n");
    pw.xl_status = 256;
    pw.xl_says = "1\nd.cfg:1: config parsing error\n \n";
    refused(-EINVAL, "virtio_restricted[0]: driver=%s: `xl create -n` refuses "
                     "it: d.cfg:1: config parsing error: correct the file");
    write_file(file_a, "");
}

static void test_xl_fails(void **state)
{
    (void)state;
    device("target=/a,driver=%s", file_a);
    pw.xl_rc = -ETIMEDOUT;
    refused(-ETIMEDOUT, "virtio_restricted[0]: driver=%s: `xl create -n` "
                        "refuses it: Connection timed out: correct the file");
    pw.xl_rc = 0;
    pw.xl_status = 1;
    refused(-EINVAL, "virtio_restricted[0]: driver=%s: `xl create -n` refuses "
                     "it: Invalid argument: correct the file");
}

static void test_no_json(void **state)
{
    (void)state;
    pw.json = "(domain)";
    device("target=/a,driver=%s", file_a);
    refused(-EINVAL, "virtio_restricted[0]: driver=%s: xl prints no JSON for "
                     "it: take output_format= out of xl.conf");
    pw.json = "";
    refused(-EINVAL, "virtio_restricted[0]: driver=%s: xl prints no JSON for "
                     "it: take output_format= out of xl.conf");
}

static void test_bad_json(void **state)
{
    (void)state;
    device("target=/a,driver=%s", file_a);
    pw.fail_at = pw.steps;
    refused(-EINVAL, "virtio_restricted[0]: driver=%s: libxl cannot read its "
                     "own JSON of it (see the lines above): if the file has "
                     "text that is not ASCII, save it as UTF-8");
}

static void test_kernel(void **state)
{
    (void)state;
    pw.driver_kernel = "/none/kernel";
    device("target=/a,driver=%s", file_a);
    refused(-ENOENT, "virtio_restricted[0]: driver=%s has kernel=/none/kernel: "
                     "No such file or directory: correct the path");
}

static void test_own_name(void **state)
{
    (void)state;
    pw.driver_name = "g";
    device("target=/a,driver=%s", file_a);
    refused(-EEXIST, "virtio_restricted[0]: driver=%s has the guest's own "
                     "name=g: change one of them");
}

static void test_guest_there(void **state)
{
    (void)state;
    pw_add(9, "g", PW_OTHER);
    device("target=/a,driver=%s", file_a);
    refused(-EEXIST, "virtio_restricted: a domain named g exists already "
                     "(domid 9): destroy it, or change name=");
}

static void test_name_taken(void **state)
{
    (void)state;
    pw_add(9, "g-driver", PW_OTHER);
    device("target=/a,driver=%s", file_a);
    refused(-EEXIST, "virtio_restricted[0]: a domain named g-driver exists "
                     "already (domid 9): destroy it, or change name= in %s");
}

static void test_long_name(void **state)
{
    char name[VR_NAME_LEN + 1], want[512];

    (void)state;
    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 2] = '\0'; /* "g-" and this: one too many */
    pw.driver_name = name;
    device("target=/a,driver=%s", file_a);
    snprintf(want, sizeof(want),
             "virtio_restricted[0]: driver domain's name g-%.58s... is longer "
             "than 127 characters: shorten name= of one of the two",
             name);
    found(-EINVAL, want);
    libxl_domain_config_dispose(&plan->driver_config[0]);
    libxl_domain_config_init(&plan->driver_config[0]);
    plan->rec.ndrivers = 0;
    name[sizeof(name) - 3] = '\0';
    found(0, "");
    assert_int_equal(strlen(plan->rec.drivers[0].name), VR_NAME_LEN);
}

/* Two files for one name. */
static void test_name_twice(void **state)
{
    char want[512];

    (void)state;
    device("target=/a,driver=%s", file_a);
    device("target=/b,driver=%s", file_b);
    snprintf(want, sizeof(want),
             "virtio_restricted[1]: driver=%s makes a domain g-driver as %s "
             "does: change name= in one of them",
             file_b, file_a);
    found(-EEXIST, want);
}

/* ---- backend= ---- */

static void test_running(void **state)
{
    (void)state;
    device("target=/a,backend=%s", "dd");
    device("target=/b,backend=%s", "3"); /* the same one */
    device("target=/c,backend=%s", "dd");
    found(0, "");
    assert_int_equal(plan->rec.ndrivers, 1);
    assert_int_equal(plan->rec.devs[1].driver, 0);
    assert_int_equal(plan->rec.devs[2].driver, 0);
    assert_string_equal(plan->rec.drivers[0].name, "dd");
    assert_string_equal(plan->rec.drivers[0].uuid, PW_DD_UUID);
    assert_int_equal(plan->rec.drivers[0].domid, PW_DD);
    assert_false(plan->rec.drivers[0].owned);
}

static void test_running_two(void **state)
{
    (void)state;
    pw_add(4, "ee", PW_OTHER);
    device("target=/a,backend=%s", "dd");
    device("target=/a,backend=%s", "ee");
    device("target=/b,driver=%s", file_a);
    found(0, "");
    assert_int_equal(plan->rec.ndrivers, 3);
    assert_int_equal(plan->rec.devs[1].driver, 1);
    assert_int_equal(plan->rec.devs[2].driver, 2);
}

/* Named in two ways, so that the texts do not tell. */
static void test_target_twice(void **state)
{
    (void)state;
    device("target=/a,backend=%s", "dd");
    device("target=/a,backend=%s", "3");
    found(-EBUSY, "virtio_restricted[1]: target=/a is used by "
                  "virtio_restricted[0] as well, backend=dd being 3: give each "
                  "device its own, or all access=ro");
    plan->rec.devs[0].cfg.readonly = plan->rec.devs[1].cfg.readonly = true;
    plan->rec.ndrivers = 0;
    found(0, "");
}

static void test_no_domain(void **state)
{
    (void)state;
    device("target=/a,backend=%s", "none");
    found(-ENOENT, "virtio_restricted[0]: backend=none: no such domain: start "
                   "it, or use driver= to have one created");
    strcpy(plan->rec.devs[0].cfg.backend, "9");
    found(-ENOENT, "virtio_restricted[0]: backend=9: no such domain: start "
                   "it, or use driver= to have one created");
}

static void test_toolstack(void **state)
{
    (void)state;
    device("target=/a,backend=%s", "Domain-0");
    found(-EINVAL, "virtio_restricted[0]: backend=Domain-0 is the toolstack "
                   "domain, which reaches all memory anyway: name a driver "
                   "domain");
}

static void test_not_running(void **state)
{
    struct pw_domain *d = pw_dom(PW_DD);

    (void)state;
    device("target=/a,backend=%s", "dd");
    d->paused = true;
    found(-EINVAL, "virtio_restricted[0]: backend=dd is paused: let it run "
                   "before its guest starts");
    d->dying = true;
    found(-EINVAL, "virtio_restricted[0]: backend=dd is dying: let it run "
                   "before its guest starts");
    d->dying = d->paused = false;
    d->shutdown = true;
    found(-EINVAL, "virtio_restricted[0]: backend=dd is shut down: let it run "
                   "before its guest starts");
}

/* Stock xl lets a domain have any name, or none. */
static void test_odd_name(void **state)
{
    (void)state;
    strcpy(pw_dom(PW_DD)->name, "d\xff\nd");
    device("target=/a,backend=%s", "3");
    found(0, "");
    assert_string_equal(plan->rec.drivers[0].name, "d??d");
    plan->rec.ndrivers = 0;
    pw_dom(PW_DD)->name[0] = '\0';
    found(0, "");
    assert_string_equal(plan->rec.drivers[0].name, "3");
}

/* ---- making them ---- */

/* A stub domain that comes with it has another number. */
static void test_made(void **state)
{
    (void)state;
    device("target=/a,driver=%s", file_a);
    found(0, "");
    pw.fail_at = pw.steps;
    assert_int_equal(vr_driver_made(plan, 0, 7, &err), -ENOSPC);
    assert_int_equal(plan->rec.drivers[0].domid, VR_DOMID_NONE);
    assert_string_equal(err.text, "virtio_restricted: record of guest g: "
                                  "cannot save it: full");
    assert_int_equal(vr_driver_made(plan, 0, 7, &err), 0);
    assert_int_equal(pw_rec(PW_UUID)->drivers[0].domid, 7);
    assert_int_equal(vr_driver_made(plan, 0, 8, &err), 0);
    assert_int_equal(pw_rec(PW_UUID)->drivers[0].domid, 7);
}

static int make_files(void **state)
{
    (void)state;
    return close(mkstemp(file_a)) || close(mkstemp(file_b));
}

static int remove_files(void **state)
{
    (void)state;
    return unlink(file_a) || unlink(file_b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_owned),       TEST(test_reboot),
        TEST(test_no_file),     TEST(test_has_devices_itself),
        TEST(test_xl_fails),    TEST(test_no_json),
        TEST(test_bad_json),    TEST(test_kernel),
        TEST(test_own_name),    TEST(test_guest_there),
        TEST(test_name_taken),  TEST(test_long_name),
        TEST(test_name_twice),  TEST(test_running),
        TEST(test_running_two), TEST(test_target_twice),
        TEST(test_no_domain),   TEST(test_toolstack),
        TEST(test_not_running), TEST(test_odd_name),
        TEST(test_made),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}

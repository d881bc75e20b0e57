/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What other guests, and what hangs on a domain, forbid: others.c, order.c,
 * refuse.c, hotplug.c, and find.c, by which they tell one domain from another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin_world.h"

static struct vr_plan *plan;
static struct vr_err err;

int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *why)
{
    (void)d_config;
    (void)devs;
    (void)n;
    (void)why;
    return 0;
}

int vr_arch_pci(const libxl_device_pci *pci, struct vr_err *why)
{
    if (pci->dev != 5)
        return 0;
    vr_err_set(why, "virtio_restricted: not at this slot");
    return -EINVAL;
}

/* The guest that is to be made: "g", with target /a in dd. */
static int setup(void **state)
{
    struct vr_record *rec;

    (void)state;
    pw_init();
    memset(&err, 0, sizeof(err));
    plan = calloc(1, sizeof(*plan));
    rec = &plan->rec;
    strcpy(rec->name, "g");
    strcpy(rec->uuid, PW_UUID);
    pw_device("id=a,type=block,target=/a,backend=dd,size=2M");
    rec->ndevs = rec->ndrivers = 1;
    rec->devs[0].cfg = pw.p.devs[0];
    rec->drivers[0] = (struct vr_record_driver){
        .name = "dd", .uuid = PW_DD_UUID, .domid = PW_DD};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(plan->others.dev);
    free(plan);
    return 0;
}

/* Another guest that runs, with the same device. */
static struct vr_record *another(void)
{
    struct vr_record *rec = &pw.rec[pw.nrecs++];

    *rec = plan->rec;
    strcpy(rec->name, "web");
    strcpy(rec->uuid, PW_OTHER);
    rec->phase = VR_PHASE_RUNNING;
    rec->domid = 5;
    rec->devs[0].pool = (struct vr_gwin){0x40000000, 2 << 20, 8192};
    if (!pw_dom(5))
        pw_add(5, "web", PW_OTHER);
    return rec;
}

static void checked(int rc, const char *text)
{
    free(plan->others.dev);
    memset(&plan->others, 0, sizeof(plan->others));
    assert_int_equal(vr_others_read(plan, NULL, &err), 0);
    assert_int_equal(vr_others_check(plan, &err), rc);
    if (rc)
        assert_string_equal(err.text, text);
}

/* ---- others.c ---- */

static void test_target(void **state)
{
    struct vr_record *other = another();

    (void)state;
    checked(-EBUSY, "virtio_restricted[0]: target=/a of dd is in use by guest "
                    "web: choose another, or all access=ro");
    other->devs[0].cfg.readonly = true;
    checked(-EBUSY, "virtio_restricted[0]: target=/a of dd is in use by guest "
                    "web: choose another, or all access=ro");
    plan->rec.devs[0].cfg.readonly = true;
    checked(0, "");
    plan->rec.devs[0].cfg.readonly = false;
    strcpy(other->devs[0].cfg.target, "/b");
    checked(0, "");
    /* The same path in another domain, or in a later one of its number. */
    strcpy(other->devs[0].cfg.target, "/a");
    other->drivers[0].domid = 4;
    checked(0, "");
    other->drivers[0].domid = PW_DD;
    strcpy(other->drivers[0].uuid, PW_UUID);
    checked(0, "");
}

static void test_owned_by_other(void **state)
{
    struct vr_record *other = another();

    (void)state;
    other->drivers[0].owned = true;
    strcpy(other->devs[0].cfg.target, "/b");
    checked(-EBUSY, "virtio_restricted[0]: backend=dd belongs to guest web and "
                    "ends with it: create a driver domain by itself and name "
                    "that");
    plan->rec.drivers[0].owned = true; /* a new one: another domain */
    checked(0, "");
}

static void test_same_uuid(void **state)
{
    struct vr_record *other = another();

    (void)state;
    strcpy(other->uuid, PW_UUID);
    strcpy(pw_dom(5)->uuid, PW_UUID);
    checked(-EEXIST, "virtio_restricted: uuid " PW_UUID " belongs to guest "
                     "web, which has not ended: run `vrctl cleanup " PW_UUID
                     "` if it has, or change uuid=");
}

/* Which records are left over: nobody works on them, or their guest is gone. */
static void test_stale(void **state)
{
    struct vr_record *other = another();

    (void)state;
    other->broker = PW_BROKER;
    other->broker_start = 77;
    pw_end(5);
    pw.broker = true; /* it takes the guest down itself */
    checked(-EBUSY, "virtio_restricted[0]: target=/a of dd is in use by guest "
                    "web: choose another, or all access=ro");
    assert_int_equal(pw.cleanups, 0);
    pw.broker = false;
    checked(0, "");
    assert_int_equal(pw.cleanups, 1);
    assert_int_equal(pw.aborts, 0);
    assert_int_equal(pw.nrecs, 0);
    assert_int_equal(pw.locks, 0); /* xl's is taken again */
    pw_said("virtio_restricted: cleaning up after guest web\n");
    /* A later process with the broker's number. */
    other = another();
    other->broker = PW_BROKER;
    other->broker_start = 76;
    pw.broker = true;
    pw_end(5);
    checked(0, "");
    assert_int_equal(pw.cleanups, 2);
}

static void test_stale_creation(void **state)
{
    struct vr_record *other = another();

    (void)state;
    other->phase = VR_PHASE_CREATING;
    other->creator = getpid();
    other->creator_start = 78;
    checked(-EBUSY, "virtio_restricted[0]: target=/a of dd is in use by guest "
                    "web: choose another, or all access=ro");
    other->creator_start = 1; /* that xl was killed */
    checked(0, "");
    assert_int_equal(pw.aborts, 1);
    assert_null(pw_dom(5));
    other = another();
    other->phase = VR_PHASE_READY;
    pw.cleanup_fails = true;
    checked(0, "");
    pw_said("virtio_restricted: `vrctl cleanup " PW_OTHER "` failed\n");
}

static void test_records(void **state)
{
    struct vr_record *other = another();

    (void)state;
    other->vcpus = UINT32_MAX; /* cannot be read: vrctl's to judge */
    checked(0, "");
    assert_int_equal(pw.nrecs, 1);
    pw.fail_at = pw.steps;
    assert_int_equal(vr_others_read(plan, NULL, &err), -EIO);
    assert_string_equal(err.text, "virtio_restricted: cannot read " VR_RUN_DIR
                                  ": Input/output error");
}

static void test_dead(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ZOMBIES_MAX; i++)
        strcpy(pw.zombie[i].uuid, i < 4 ? PW_UUID : PW_OTHER);
    pw.nzombies = 3;
    assert_int_equal(vr_others_dead(&plan->rec, &err), 0);
    pw.nzombies = 4;
    assert_int_equal(vr_others_dead(&plan->rec, &err), -EBUSY);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: backend=dd keeps memory of 4 "
                        "guests that have ended, 4 of them this one: restart "
                        "vr-backend there, or `xl destroy dd` and create it "
                        "again; vrctl list shows them");
    strcpy(pw.zombie[0].uuid, PW_OTHER);
    assert_int_equal(vr_others_dead(&plan->rec, &err), 0);
    pw.nzombies = VR_ZOMBIES_MAX - 1;
    assert_int_equal(vr_others_dead(&plan->rec, &err), 0);
    pw.nzombies = VR_ZOMBIES_MAX + 5;
    assert_int_equal(vr_others_dead(&plan->rec, &err), -EBUSY);
    assert_non_null(strstr(err.text, "memory of 21 guests"));
    plan->rec.drivers[0].owned = true;
    assert_int_equal(vr_others_dead(&plan->rec, &err), 0);
}

/* ---- find.c ---- */

static void test_record(void **state)
{
    struct vr_record *other = another(), rec;

    (void)state;
    assert_int_equal(vr_find_record(NULL, 5, &rec), 0);
    assert_string_equal(rec.name, "web");
    assert_int_equal(vr_find_record(NULL, PW_DD, &rec), -ENOENT);
    assert_int_equal(vr_find_record(NULL, 99, &rec), -ENOENT);
    other->domid = 4; /* another domain has this uuid, too */
    assert_int_equal(vr_find_record(NULL, 5, &rec), -ENOENT);
    other->domid = VR_DOMID_NONE; /* not known yet */
    assert_int_equal(vr_find_record(NULL, 5, &rec), 0);
}

static void test_exists(void **state)
{
    (void)state;
    assert_true(vr_domain_exists(NULL, PW_DD, PW_DD_UUID));
    assert_false(vr_domain_exists(NULL, PW_DD, PW_UUID));
    assert_false(vr_domain_exists(NULL, 9, PW_DD_UUID));
    assert_false(vr_domain_exists(NULL, VR_DOMID_NONE, PW_DD_UUID));
    pw_dom(PW_DD)->dying = true;
    assert_false(vr_domain_exists(NULL, PW_DD, PW_DD_UUID));
    assert_false(vr_alive(0, 77));
    assert_false(vr_alive(getpid(), 0));
    assert_true(vr_alive(getpid(), 78));
}

/* ---- order.c ---- */

static void test_order_guests(void **state)
{
    char names[VR_ORDER_NAMES] = "";

    (void)state;
    pw.down_guests = 2;
    /* It has no folder of ours: records are not read. */
    assert_int_equal(vr_order_guests(PW_DD, names, sizeof(names)), 0);
    pw.serves = true;
    assert_int_equal(vr_order_guests(PW_DD, names, sizeof(names)), 2);
    assert_string_equal(names, "web");
}

static void test_order_down(void **state)
{
    (void)state;
    pw.serves = true;
    assert_false(vr_order_down(NULL, PW_DD, false)); /* no guests */
    pw.down_guests = 2;
    assert_true(vr_order_down(NULL, PW_DD, true));
    assert_int_equal(pw.down, VR_DOWN_REBOOT);
    pw_said("virtio_restricted: driver domain dd waits with its reboot, up to "
            "60 min, for the guests that use it: web; shut them down (`xl "
            "destroy` of the driver domain would lose their data)");
    /* The last guest ends between two looks: nobody is left to remember. */
    pw.down_guests = 1;
    assert_false(vr_order_down(NULL, PW_DD, false));
    assert_int_equal(pw.down, VR_DOWN_NO);
    /* What cannot be noted is not waited for. */
    pw.down_guests = 2;
    pw.down_rc = -EIO;
    assert_false(vr_order_down(NULL, PW_DD, false));
}

static void test_order_check(void **state)
{
    (void)state;
    assert_int_equal(vr_order_check(&plan->rec, &err), 0);
    pw.down = VR_DOWN_REBOOT;
    assert_int_equal(vr_order_check(&plan->rec, &err), -EBUSY);
    assert_string_equal(err.text,
                        "virtio_restricted[0]: backend=dd is to reboot when "
                        "its guests have ended: let it, or take that back by "
                        "`xenstore-rm /libxl/3/virtio_restricted_down`");
    plan->rec.drivers[0].owned = true;
    assert_int_equal(vr_order_check(&plan->rec, &err), 0);
}

/* ---- refuse.c ---- */

static void test_refuse_driver(void **state)
{
    (void)state;
    assert_false(vr_refuse_driver(NULL, PW_DD, "lose a disk", ""));
    pw.serves = true;
    pw.down_guests = 2;
    assert_true(
        vr_refuse_driver(NULL, PW_DD, "lose a disk", ", or insist (--force)"));
    assert_string_equal(pw.said,
                        "virtio_restricted: driver domain dd cannot lose a "
                        "disk: guests use it: web; shut them down first, or "
                        "insist (--force)\n");
}

static void test_refuse_move(void **state)
{
    struct vr_record *other = another();

    (void)state;
    assert_true(vr_refuse_move(NULL, 5, "be saved"));
    assert_string_equal(pw.said,
                        "virtio_restricted: guest web cannot be saved: its "
                        "driver domains hold its windows; use xl shutdown and "
                        "xl create\n");
    pw.said[0] = '\0';
    other->vcpus = UINT32_MAX;
    assert_true(vr_refuse_move(NULL, 5, "be saved"));
    assert_string_equal(pw.said,
                        "virtio_restricted: cannot read the record of domain 5 "
                        "(Invalid argument): look at `vrctl list`\n");
    pw.said[0] = '\0';
    assert_false(vr_refuse_move(NULL, PW_DD, "be saved"));
    pw.serves = true;
    pw.down_guests = 2;
    assert_true(vr_refuse_move(NULL, PW_DD, "be saved"));
    pw_said("driver domain dd cannot be saved: guests use it: web");
}

/* The file that xl has begun goes; nothing else that has its name does, such as
 * one that is called what the kernel calls a file without a name. */
static void test_refuse_file(void **state)
{
    char path[] = "/tmp/vr-save.XXXXXX", deleted[64];
    int fd = mkstemp(path), other, p[2];

    (void)state;
    vr_refuse_file(fd);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(deleted, sizeof(deleted), "%s (deleted)", path);
    other = open(deleted, O_CREAT | O_RDWR, 0600);
    assert_true(other >= 0);
    vr_refuse_file(fd);
    assert_int_equal(unlink(deleted), 0);
    assert_int_equal(symlink("/dev/null", deleted), 0);
    vr_refuse_file(fd);
    assert_int_equal(unlink(deleted), 0);
    assert_int_equal(pipe(p), 0);
    vr_refuse_file(p[1]); /* a migration */
    vr_refuse_file(-1);
    close(p[0]);
    close(p[1]);
    close(other);
    close(fd);
}

/* ---- hotplug.c ---- */

static void test_hotplug(void **state)
{
    struct vr_record *other = another();
    libxl_device_disk disk = {.is_cdrom = 0}, cd = {.is_cdrom = 1};
    char want[256];
    uint32_t need;

    (void)state;
    assert_true(vr_hotplug_disk(NULL, PW_DD, &disk)); /* none of ours */
    pw.nics = -1;
    /* What libxl does not tell cannot be counted. */
    assert_false(vr_hotplug_disk(NULL, 5, &disk));
    pw_said("guest web: libxl cannot tell which devices it has: see the lines "
            "above");
    pw.nics = 0;
    pw.said[0] = '\0';
    assert_true(vr_hotplug_disk(NULL, 5, &disk));
    assert_true(vr_hotplug_nic(NULL, 5));
    assert_string_equal(pw.said, "");
    /* As many as there is room for. */
    need = vr_reserve_grants(&(struct vr_reserve){.vcpus = 1, .nics = 40});
    other->devs[0].pool.gref_base = need - 1;
    pw.nics = 39;
    assert_false(vr_hotplug_nic(NULL, 5));
    snprintf(want, sizeof(want),
             "virtio_restricted: guest web: another interface would make its "
             "own grants up to %u, but its windows begin at %u: detach others "
             "first, or create it with virtio_restricted_grants=%u\n",
             need, need - 1, need);
    assert_string_equal(pw.said, want);
    pw.said[0] = '\0';
    other->devs[0].pool.gref_base = need;
    assert_true(vr_hotplug_nic(NULL, 5));
    /* A CD-ROM takes none; who has decided otherwise knows better. */
    other->devs[0].pool.gref_base = 1;
    assert_true(vr_hotplug_disk(NULL, 5, &cd));
    assert_true(vr_hotplug_disk(NULL, 5, &disk));
    assert_string_equal(pw.said, "");
}

static void test_hotplug_pci(void **state)
{
    libxl_device_pci pci = {.dev = 4};

    (void)state;
    another();
    assert_true(vr_hotplug_pci(NULL, 5, &pci));
    pci.dev = 5;
    assert_true(vr_hotplug_pci(NULL, PW_DD, &pci));
    assert_false(vr_hotplug_pci(NULL, 5, &pci));
    assert_string_equal(pw.said, "virtio_restricted: not at this slot\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_target),         TEST(test_owned_by_other),
        TEST(test_same_uuid),      TEST(test_stale),
        TEST(test_stale_creation), TEST(test_records),
        TEST(test_dead),           TEST(test_record),
        TEST(test_exists),         TEST(test_order_guests),
        TEST(test_order_down),     TEST(test_order_check),
        TEST(test_refuse_driver),  TEST(test_refuse_move),
        TEST(test_refuse_file),    TEST(test_hotplug),
        TEST(test_hotplug_pci),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

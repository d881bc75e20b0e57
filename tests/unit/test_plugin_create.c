/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A creation as a whole (create.c, build.c, finish.c, driver.c), with libxl,
 * the broker and vrctl of plugin_world.h: what is there afterwards, which step
 * of it ever fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin_world.h"

static char driver_cfg[] = "/tmp/vr-driver.XXXXXX";
static libxl_domain_config guest;
static uint32_t domid;

/* ---- an architecture that finds a place for everything ---- */

static int arch(struct vr_err *err)
{
    if (!pw_fails())
        return 0;
    vr_err_set(err, "virtio_restricted: no place");
    return -ENOSPC;
}

int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *err)
{
    (void)d_config;
    (void)devs;
    assert_int_equal(n, pw.p.ndevs);
    return arch(err);
}

int vr_arch_pci(const libxl_device_pci *pci, struct vr_err *err)
{
    (void)pci;
    return arch(err);
}

int vr_arch_memory(const struct vr_plan *plan, libxl_ctx *ctx,
                   const libxl_domain_config *d_config, struct vr_err *err)
{
    (void)plan;
    (void)ctx;
    (void)d_config;
    return arch(err);
}

void vr_arch_domain(const struct vr_record *rec,
                    struct xen_domctl_createdomain *config)
{
    (void)rec;
    config->flags = 1;
}

int vr_arch_devicetree(struct vr_build *b, const void *mem, size_t size,
                       size_t *new_size, struct vr_err *err)
{
    (void)mem;
    *new_size = size + 1;
    free(b->description);
    b->description = malloc(size + 1);
    return arch(err);
}

int vr_arch_place(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    unsigned int i;

    (void)dom;
    for (i = 0; i < b->rec->ndevs; i++) {
        struct vr_record_dev *d = &b->rec->devs[i];

        d->mmio_base = 0x1000 * (i + 1);
        d->pool.base = d->cfg.size ? 0x40000000 + i * 0x1000000 : 0;
        d->pool.size = d->cfg.size;
    }
    b->rec->nram = 1;
    return arch(err);
}

int vr_arch_image(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    (void)dom;
    b->described = true;
    return arch(err);
}

/* ---- libxl, which calls its own functions through the hooks ---- */

static int xc_create(struct xc_interface_core *xch, uint32_t *id,
                     struct xen_domctl_createdomain *config)
{
    (void)xch;
    (void)config;
    if (pw_fails())
        return -1;
    *id = pw.next++;
    return 0;
}

static int dom_devicetree(struct xc_dom_image *dom, const void *mem,
                          size_t size)
{
    (void)dom;
    (void)mem;
    assert_int_equal(size, pw.p.build ? 9 : 8);
    return pw_fails() ? -1 : 0;
}

static int dom_image(struct xc_dom_image *dom)
{
    (void)dom;
    return pw_fails() ? -1 : 0;
}

static int build(uint32_t id)
{
    struct xc_dom_image dom = {.guest_domid = id};

    if (pw.past)
        return 0;
    return vr_build_devicetree(&pw.p, &dom, "12345678", 8) ||
                   vr_build_memory(&pw.p, &dom) || vr_build_image(&pw.p, &dom)
               ? ERROR_FAIL
               : 0;
}

static int create_new(struct libxl__ctx *ctx, struct libxl_domain_config *cfg,
                      uint32_t *id, const void *ao_how, const void *console_how)
{
    struct xen_domctl_createdomain config = {.flags = 0};
    char uuid[VR_UUID_LEN + 1];
    int rc;

    (void)ctx;
    (void)console_how;
    assert_null(ao_how);
    if (pw_named(cfg->c_info.name)) /* as libxl looks itself */
        return ERROR_INVAL;
    if (vr_build_domain(&pw.p, NULL, id, &config))
        return ERROR_FAIL;
    /* The domain's parameters are changed for the guest alone. */
    assert_int_equal(config.flags, pw.p.build != NULL);
    pw_add(*id, cfg->c_info.name, vr_uuid_text(&cfg->c_info.uuid, uuid))
        ->paused = true;
    /* An xl that is killed now leaves a record that names it. */
    if (pw.p.plan && !pw.failed)
        assert_int_equal(pw_rec(PW_UUID)->drivers[pw.p.driver].domid, *id);
    rc = build(*id);
    if (!rc && pw_fails())
        rc = ERROR_FAIL;
    if (rc && !pw.leaves)
        pw_end(*id);
    return rc;
}

static int unpause(struct libxl__ctx *ctx, uint32_t id, const void *ao_how)
{
    (void)ctx;
    assert_null(ao_how);
    if (pw_fails())
        return ERROR_FAIL;
    pw_dom(id)->paused = false;
    return 0;
}

static int destroy(struct libxl__ctx *ctx, uint32_t id, const void *ao_how)
{
    (void)ctx;
    assert_null(ao_how);
    assert_non_null(pw_dom(id));
    pw_end(id);
    return 0;
}

/* ---- the guest "g": a driver domain of its own, and one that is shared ----
 */

static int setup(void **state)
{
    char text[128];

    (void)state;
    pw_init();
    pw.real = (struct vr_calls){
        .create_new = create_new,
        .unpause = unpause,
        .destroy = destroy,
        .xc_create = xc_create,
        .dom_devicetree = dom_devicetree,
        .dom_mem_init = dom_image,
        .dom_build = dom_image,
    };
    snprintf(text, sizeof(text),
             "id=disk0,type=block,target=/a,driver=%s,size=2M", driver_cfg);
    pw_device(text);
    pw_device("id=disk1,type=block,mode=dynamic,target=/b,backend=dd,"
              "aperture=16M,timeout=80");
    libxl_domain_config_init(&guest);
    guest.c_info.name = strdup("g");
    libxl_uuid_from_string(&guest.c_info.uuid, PW_UUID);
    guest.b_info.max_vcpus = 2;
    domid = 99;
    return 0;
}

static int teardown(void **state)
{
    unsigned int i;

    (void)state;
    libxl_domain_config_dispose(&guest);
    for (i = 0; i < VR_MAX_DEVICES; i++)
        free(pw.p.driver_json[i]);
    if (pw.p.pending.fd >= 0)
        close(pw.p.pending.fd);
    return 0;
}

static int create(void)
{
    return vr_create(&pw.p, NULL, &guest, &domid, NULL);
}

/* Nothing that was not there before; the plug-in is ready for another. */
static void nothing_left(void)
{
    assert_true(domid == (uint32_t)INVALID_DOMID);
    assert_int_equal(pw.ndoms, 2);
    assert_int_equal(pw.nrecs, 0);
    if (pw.link >= 0) /* it ends by itself when this is closed */
        assert_int_equal(fcntl(pw.link, F_GETFD), -1);
    assert_int_equal(pw.p.pending.fd, -1);
    assert_null(pw.p.build);
    assert_null(pw.p.plan);
    assert_false(pw.p.created);
}

static void is_there(void)
{
    const struct pw_domain *d = pw_dom(domid);
    const struct vr_record *rec = pw_rec(PW_UUID);
    unsigned int i;

    assert_int_equal(domid, PW_FIRST + 1);
    assert_string_equal(d->name, "g");
    assert_true(d->paused);
    assert_false(pw_named("g-driver")->paused);
    assert_int_equal(rec->phase, VR_PHASE_READY);
    assert_int_equal(rec->domid, domid);
    assert_int_equal(rec->ndrivers, 2);
    assert_true(rec->drivers[0].owned);
    assert_string_equal(rec->drivers[0].config, driver_cfg);
    assert_false(rec->drivers[1].owned);
    assert_int_equal(rec->drivers[1].domid, PW_DD);
    for (i = 0; i < rec->ndevs; i++)
        assert_true(vr_record_placed(&rec->devs[i]));
    assert_string_equal(pw.sent, "PS");
    assert_int_equal(pw.cleanups, 0);
    assert_int_equal(pw.locks, 1);
    assert_int_equal(pw.p.pending.domid, domid);
    assert_true(fcntl(pw.p.pending.fd, F_GETFD) >= 0);
    assert_string_equal(pw.said, "");
}

static void test_created(void **state)
{
    (void)state;
    assert_int_equal(create(), 0);
    is_there();
    vr_commit(&pw.p);
    assert_int_equal(pw_rec(PW_UUID)->phase, VR_PHASE_RUNNING);
    assert_int_equal(pw.p.pending.fd, -1);
    assert_string_equal(pw.said, "");
    vr_commit(&pw.p); /* once is enough */
    assert_string_equal(pw.sent, "PSC");
}

/*
 * Each step fails in its turn, until there is none left. What is left of the
 * guest does not depend on whether libxl destroys what it could not build, and
 * on how the broker takes it. One failure is survived: that a driver domain's
 * number cannot be noted at once.
 */
static void each_step_fails(enum pw_answer answer, bool leaves, bool stuck)
{
    unsigned int n, survived = 0;

    for (n = 0;; n++) {
        void *no_state = NULL;
        bool done;

        setup(&no_state);
        pw.answer = answer;
        pw.leaves = leaves;
        pw.stuck = stuck;
        pw.fail_at = n;
        done = !create();
        if (done) {
            is_there();
            teardown(&no_state);
            if (!pw.failed)
                break;
            survived++;
            continue;
        }
        assert_true(pw.failed);
        assert_true(pw.said[0] && pw.said[strlen(pw.said) - 1] == '\n');
        nothing_left();
        /* The guest's pages may be mapped by its driver domain. */
        if (pw.ndestroyed == 2 && leaves)
            assert_true(pw.destroyed[0] < pw.destroyed[1]);
        teardown(&no_state);
    }
    assert_true(n > 25);
    assert_int_equal(survived, 1);
}

static void test_each_step(void **state)
{
    (void)state;
    each_step_fails(PW_SAYS_NO, false, false);
}

static void test_each_step_left(void **state)
{
    (void)state;
    each_step_fails(PW_SAYS_NO, true, false);
}

static void test_each_step_dies(void **state)
{
    (void)state;
    each_step_fails(PW_DIES, true, false);
}

static void test_each_step_stuck(void **state)
{
    (void)state;
    each_step_fails(PW_SILENT, true, true);
}

/* ---- what is said ---- */

/* The broker's @nth answer fails so. */
static void broker_fails(unsigned int nth, enum pw_answer answer)
{
    const char *want = nth ? "PS" : "P";
    unsigned int n;

    /* Which step is it? The one after which the link was asked that often. */
    for (n = 0;; n++) {
        void *no_state = NULL;

        setup(&no_state);
        pw.answer = answer;
        pw.fail_at = n;
        if (create() && strstr(pw.said, "broker") &&
            !strncmp(pw.sent, want, strlen(want)) &&
            pw.sent[strlen(want)] == (nth ? 'A' : '\0'))
            return;
        assert_true(n < 100);
        teardown(&no_state);
    }
}

static void test_broker(void **state)
{
    (void)state;
    broker_fails(0, PW_SILENT);
    pw_said("no answer from the broker within 10 s: look at "
            "/var/log/xen/vr-broker-g.log");
    teardown(state);
    broker_fails(1, PW_SILENT);
    pw_said("no answer from the broker within 95 s: look at");
    teardown(state);
    broker_fails(0, PW_DIES);
    pw_said("the broker ended: look at /var/log/xen/vr-broker-g.log");
    teardown(state);
    broker_fails(1, PW_BABBLES);
    pw_said("the broker cannot be understood (unknown message): install");
    teardown(state);
    broker_fails(1, PW_BROKEN);
    pw_said("the broker cannot be understood (Message too long)");
}

/* A guest that has the key's name: that in a path or a name is no prefix. */
static void test_key_in_name(void **state)
{
    unsigned int n;

    (void)state;
    for (n = 0;; n++) {
        setup(state);
        free(guest.c_info.name);
        guest.c_info.name = strdup("virtio_restricted");
        pw.fail_at = n;
        if (create() && strstr(pw.said, "cannot save it"))
            break;
        assert_true(n < 100);
        teardown(state);
    }
    assert_string_equal(pw.said, "virtio_restricted: record of guest "
                                 "virtio_restricted: cannot save it: full\n");
}

static void test_uuid_taken(void **state)
{
    (void)state;
    pw_add(5, "old", PW_UUID)->dying = true;
    assert_int_equal(create(), 0); /* its last life */
    teardown(state);
    setup(state);
    pw_add(5, "old", PW_UUID);
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("uuid " PW_UUID " is that of domain 5 already: destroy it, or "
            "change uuid=");
    assert_string_equal(pw.sent, "");
}

static void test_name_taken(void **state)
{
    (void)state;
    pw.p.ndevs = 0;
    pw_device("id=disk0,type=block,target=/a,backend=dd,size=2M");
    pw_add(5, "g", PW_OTHER);
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("a domain named g exists already (domid 5): destroy it, or change "
            "name=");
    assert_non_null(pw_dom(5));
}

static void test_host(void **state)
{
    (void)state;
    pw.host.minor = 16;
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("virtio_restricted: this hypervisor is Xen 4.16: restricted");
    nothing_left();
}

static void test_no_user(void **state)
{
    (void)state;
    pw.user = false;
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("there is no user " VR_USER
            ", which brokers run as: " VR_USER_REMEDY);
    nothing_left();
}

/* A libxl that does something else than the one that this was built for. */
static void test_past_the_hooks(void **state)
{
    (void)state;
    pw.past = true;
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("virtio_restricted[0]: libxl built guest g past the plug-in: build "
            "virtio-restricted for this version of Xen");
    nothing_left();
}

/* What the guest may not have: entries of its windows that are in use. */
static void test_window_in_use(void **state)
{
    const uint32_t gref[] = {PW_FRAMES * 512 - 1, PW_FRAMES * 512 - 513};
    char want[128];
    unsigned int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        setup(state);
        pw.table[gref[i]].flags = 1;
        assert_int_equal(create(), ERROR_FAIL);
        snprintf(want, sizeof(want),
                 "virtio_restricted[%u]: grant %u of a guest that has not run "
                 "yet is not free",
                 i, gref[i]);
        pw_said(want);
        nothing_left();
        teardown(state);
    }
    setup(state);
    pw.table[0].flags = 1; /* the guest's own */
    assert_int_equal(create(), 0);
}

/* ---- how it ends ---- */

static void test_clean_up_fails(void **state)
{
    (void)state;
    pw.past = pw.stuck = pw.cleanup_fails = true;
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("virtio_restricted: `vrctl cleanup " PW_UUID "` failed");
    assert_int_equal(pw.aborts, 1);
    /* Domains go in any case, and their order is kept. */
    assert_int_equal(pw.ndoms, 2);
    assert_int_equal(pw.destroyed[0], PW_FIRST);
    assert_int_equal(pw.destroyed[1], PW_FIRST + 1);
}

/* A domain that got the number of one of ours is none of ours. */
static void test_number_again(void **state)
{
    struct vr_plan *plan = calloc(1, sizeof(*plan));
    int fd = open("/dev/null", O_RDWR);

    (void)state;
    strcpy(plan->rec.uuid, PW_UUID);
    plan->rec.domid = 5;
    plan->rec.ndrivers = 1;
    plan->rec.drivers[0] = (struct vr_record_driver){
        .domid = 6, .owned = true, .uuid = PW_DD_UUID};
    pw_add(5, "another", PW_OTHER);
    pw_add(6, "dying", PW_DD_UUID)->dying = true;
    pw.link = fd;
    vr_undo(&pw.p, plan, NULL, fd);
    assert_int_equal(pw.ndestroyed, 0);
    free(plan);
}

static void test_commit_late(void **state)
{
    (void)state;
    assert_int_equal(create(), 0);
    /* The other xl of `xl create -p` was first, and has closed the link. */
    pw_rec(PW_UUID)->phase = VR_PHASE_RUNNING;
    pw.fail_at = pw.steps;
    vr_commit(&pw.p);
    assert_string_equal(pw.said, "");
    teardown(state);

    setup(state);
    assert_int_equal(create(), 0);
    pw.broker = false;
    vr_commit(&pw.p);
    pw_said("the broker has ended: the guest's devices do not work, see "
            "`vrctl list`");
    assert_int_equal(pw.p.pending.fd, -1);
}

static void test_commit_refused(void **state)
{
    (void)state;
    assert_int_equal(create(), 0);
    pw.fail_at = pw.steps;
    pw.answer = PW_SAYS_NO;
    vr_commit(&pw.p);
    pw_said("the broker has ended");
    assert_int_equal(pw.p.pending.fd, -1);
}

static void test_release(void **state)
{
    char left[VR_UUID_LEN + 1];

    (void)state;
    assert_int_equal(create(), 0);
    vr_release(&pw.p, NULL, PW_DD, left); /* none of ours */
    assert_string_equal(left, "");
    assert_int_equal(pw.cleanups, 0);
    assert_int_not_equal(pw.p.pending.fd, -1);
    pw.cleanup_fails = true;
    vr_release(&pw.p, NULL, domid, left);
    assert_string_equal(left, PW_UUID);
    assert_int_equal(pw.cleanups, 1);
    assert_int_equal(pw.aborts, 0);
    assert_int_equal(pw.p.pending.fd, -1);
    pw.cleanup_fails = false;
    vr_release(&pw.p, NULL, domid, left);
    assert_string_equal(left, "");
    assert_int_equal(pw.nrecs, 0);
}

/* ---- a reboot ---- */

static void test_reboot(void **state)
{
    (void)state;
    assert_int_equal(create(), 0);
    vr_commit(&pw.p);
    pw_end(domid);
    vr_child_cleanup(PW_UUID, false, NULL);
    pw_end(PW_FIRST);
    /* The file may be gone; the driver domain is to go down after the guest. */
    pw.json = "broken";
    pw.down = VR_DOWN_POWEROFF;
    guest.b_info.max_memkb = 256 << 10;
    guest.b_info.target_memkb = 128 << 10;
    strcpy(pw.sent, "");
    assert_int_equal(create(), 0);
    pw_said("guest g reboots with the 128 MiB that `xl mem-set` has left it; "
            "for more, create it again");
    assert_int_equal(guest.b_info.max_memkb, 128 << 10);
    assert_int_equal(domid, PW_FIRST + 3);
}

static void test_down(void **state)
{
    (void)state;
    pw.down = VR_DOWN_POWEROFF;
    assert_int_equal(create(), ERROR_FAIL);
    pw_said("virtio_restricted[1]: backend=dd is to poweroff when its guests "
            "have ended: let it, or take that back by `xenstore-rm "
            "/libxl/3/virtio_restricted_down`");
    nothing_left();
}

static int make_cfg(void **state)
{
    int fd = mkstemp(driver_cfg);

    (void)state;
    return fd < 0 || write(fd, "name=\"driver\"\n", 14) != 14 || close(fd);
}

static int remove_cfg(void **state)
{
    (void)state;
    return unlink(driver_cfg);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_created),
        cmocka_unit_test(test_each_step),
        cmocka_unit_test(test_each_step_left),
        cmocka_unit_test(test_each_step_dies),
        cmocka_unit_test(test_each_step_stuck),
        cmocka_unit_test_teardown(test_broker, teardown),
        cmocka_unit_test_teardown(test_key_in_name, teardown),
        TEST(test_uuid_taken),
        TEST(test_name_taken),
        TEST(test_host),
        TEST(test_no_user),
        TEST(test_past_the_hooks),
        cmocka_unit_test_teardown(test_window_in_use, teardown),
        TEST(test_clean_up_fails),
        TEST(test_number_again),
        TEST(test_commit_late),
        TEST(test_commit_refused),
        TEST(test_release),
        TEST(test_reboot),
        TEST(test_down),
    };

    return cmocka_run_group_tests(tests, make_cfg, remove_cfg);
}

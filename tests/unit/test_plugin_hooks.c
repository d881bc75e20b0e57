/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hooks (plugin.c): which call of xl's goes on to libxl, which one is
 * refused, and what else is done about it; and the keys of an xl.cfg (keys.c),
 * which xl has parsed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libxlutil.h>

#include "plugin_world.h"

#define G 5u /* a guest with devices */
#define P 6u /* a guest without */

vr_plugin_init_fn vr_plugin_init;

static const struct vr_calls *hooks;
static char called[256]; /* libxl's functions, in their order */
static int create_rc;
static libxl_domain_config guest;

/* ---- what is behind the hooks ---- */

static int call(const char *name)
{
    assert_true(strlen(called) + strlen(name) < sizeof(called) - 1);
    strcat(called, name);
    strcat(called, " ");
    return 0;
}

int vr_create(struct vr_plugin *p, libxl_ctx *ctx,
              libxl_domain_config *d_config, uint32_t *domid,
              const void *console_how)
{
    (void)ctx;
    (void)console_how;
    assert_ptr_equal(d_config, &guest);
    call("vr_create");
    if (create_rc)
        return create_rc;
    *domid = G;
    p->pending.fd = pw.link = open("/dev/null", O_RDWR);
    p->pending.domid = G;
    p->pending.owner = getpid();
    strcpy(p->pending.uuid, PW_UUID);
    p->created = true;
    pw.broker = true;
    strcpy(pw.sent, "PS");
    return 0;
}

static int create_new(struct libxl__ctx *ctx, struct libxl_domain_config *cfg,
                      uint32_t *domid, const void *ao_how,
                      const void *console_how)
{
    (void)ctx, (void)cfg, (void)domid, (void)ao_how, (void)console_how;
    return call("create_new");
}

static int create_restore(struct libxl__ctx *ctx,
                          struct libxl_domain_config *cfg, uint32_t *domid,
                          int restore_fd, int send_back_fd, const void *params,
                          const void *ao_how, const void *console_how)
{
    (void)ctx, (void)cfg, (void)domid, (void)restore_fd, (void)send_back_fd;
    (void)params, (void)ao_how, (void)console_how;
    return call("create_restore");
}

static int soft_reset(struct libxl__ctx *ctx, struct libxl_domain_config *cfg,
                      uint32_t domid, const void *ao_how,
                      const void *console_how)
{
    (void)ctx, (void)cfg, (void)domid, (void)ao_how, (void)console_how;
    return call("soft_reset");
}

static int suspend(struct libxl__ctx *ctx, uint32_t domid, int fd, int flags,
                   const void *ao_how)
{
    (void)ctx, (void)domid, (void)fd, (void)flags, (void)ao_how;
    return call("suspend");
}

static int remus(struct libxl__ctx *ctx, struct libxl_domain_remus_info *info,
                 uint32_t domid, int send_fd, int recv_fd, const void *ao_how)
{
    (void)ctx, (void)info, (void)domid, (void)send_fd, (void)recv_fd;
    (void)ao_how;
    return call("remus_start");
}

/* Those that are given a domain and nothing else. */
#define ONE(name)                                                              \
    static int name(struct libxl__ctx *ctx, uint32_t domid,                    \
                    const void *ao_how)                                        \
    {                                                                          \
        (void)ctx, (void)domid, (void)ao_how;                                  \
        return call(#name);                                                    \
    }

ONE(suspend_only)
ONE(shut_down)
ONE(re_boot)
ONE(unpause)
ONE(destroy)

static int trigger(struct libxl__ctx *ctx, uint32_t domid, int which,
                   uint32_t vcpuid, const void *ao_how)
{
    (void)ctx, (void)domid, (void)which, (void)vcpuid, (void)ao_how;
    return call("trigger");
}

static int sysrq(struct libxl__ctx *ctx, uint32_t domid, char key)
{
    (void)ctx, (void)domid, (void)key;
    return call("sysrq");
}

static int preserve(struct libxl__ctx *ctx, uint32_t domid,
                    struct libxl_domain_create_info *info, const char *suffix,
                    struct vr_libxl_uuid uuid)
{
    (void)ctx, (void)domid, (void)info, (void)suffix, (void)uuid;
    return call("preserve");
}

static int disk_add(struct libxl__ctx *ctx, uint32_t domid,
                    struct libxl_device_disk *disk, const void *ao_how)
{
    (void)ctx, (void)domid, (void)disk, (void)ao_how;
    return call("disk_add");
}

static int disk_remove(struct libxl__ctx *ctx, uint32_t domid,
                       struct libxl_device_disk *disk, const void *ao_how)
{
    (void)ctx, (void)domid, (void)disk, (void)ao_how;
    return call("disk_remove");
}

static int nic_add(struct libxl__ctx *ctx, uint32_t domid,
                   struct libxl_device_nic *nic, const void *ao_how)
{
    (void)ctx, (void)domid, (void)nic, (void)ao_how;
    return call("nic_add");
}

static int pci_add(struct libxl__ctx *ctx, uint32_t domid,
                   struct libxl_device_pci *pci, const void *ao_how)
{
    (void)ctx, (void)domid, (void)pci, (void)ao_how;
    return call("pci_add");
}

static int pci_remove(struct libxl__ctx *ctx, uint32_t domid,
                      struct libxl_device_pci *pci, const void *ao_how)
{
    (void)ctx, (void)domid, (void)pci, (void)ao_how;
    return call("pci_remove");
}

static int await_death(struct libxl__ctx *ctx, uint32_t domid, uint64_t user,
                       struct libxl__evgen_domain_death **evgen)
{
    (void)ctx, (void)domid, (void)user, (void)evgen;
    return call("await_death");
}

static int xc_create(struct xc_interface_core *xch, uint32_t *domid,
                     struct xen_domctl_createdomain *config)
{
    (void)xch, (void)domid, (void)config;
    return call("xc_create");
}

static int devicetree(struct xc_dom_image *dom, const void *mem, size_t size)
{
    (void)dom, (void)mem, (void)size;
    return call("devicetree");
}

static int mem_init(struct xc_dom_image *dom)
{
    (void)dom;
    return call("mem_init");
}

static int dom_build(struct xc_dom_image *dom)
{
    (void)dom;
    return call("build");
}

static int readdata(struct XLU_Config *cfg, const char *data, int length)
{
    (void)cfg, (void)data, (void)length;
    return 0;
}

static const struct vr_calls libxl = {
    .cfg_readdata = readdata,
    .create_new = create_new,
    .create_restore = create_restore,
    .soft_reset = soft_reset,
    .suspend = suspend,
    .suspend_only = suspend_only,
    .remus_start = remus,
    .shutdown = shut_down,
    .reboot = re_boot,
    .trigger = trigger,
    .sysrq = sysrq,
    .unpause = unpause,
    .destroy = destroy,
    .preserve = preserve,
    .disk_add = disk_add,
    .disk_remove = disk_remove,
    .nic_add = nic_add,
    .pci_add = pci_add,
    .pci_remove = pci_remove,
    .await_death = await_death,
    .xc_create = xc_create,
    .dom_devicetree = devicetree,
    .dom_mem_init = mem_init,
    .dom_build = dom_build,
};

/* ---- a config ---- */

/* What the hook says of a config with these lines. */
static int config(const char *text)
{
    XLU_Config *cfg = xlu_cfg_init(stderr, "test");
    int r;

    pw.said[0] = '\0';
    assert_int_equal(xlu_cfg_readdata(cfg, text, strlen(text)), 0);
    r = hooks->cfg_readdata(cfg, NULL, 0);
    xlu_cfg_destroy(cfg);
    return r;
}

#define DEVICE                                                                 \
    "virtio_restricted = [ \"id=a,type=block,target=/a,backend=dd,"            \
    "size=2M\" ]\n"

static void accepted(const char *text)
{
    assert_int_equal(config(text), 0);
    assert_string_equal(pw.said, "");
}

static void bad(const char *text, const char *why)
{
    assert_int_equal(config(text), EINVAL);
    assert_string_equal(pw.said, why);
}

/* ---- guests ---- */

static int setup(void **state)
{
    struct vr_record *rec;

    (void)state;
    pw_init();
    called[0] = '\0';
    create_rc = 0;
    pw_add(G, "g", PW_UUID);
    pw_add(P, "plain", PW_OTHER);
    rec = &pw.rec[pw.nrecs++];
    memset(rec, 0, sizeof(*rec));
    strcpy(rec->name, "g");
    strcpy(rec->uuid, PW_UUID);
    rec->domid = G;
    libxl_domain_config_init(&guest);
    guest.c_info.name = strdup("g");
    if (!hooks)
        hooks = vr_plugin_init(&libxl, VR_VERSION);
    assert_non_null(hooks);
    assert_int_equal(config(""), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    /* A creation that is not committed would be when this process exits. */
    if (pw.link >= 0 && fcntl(pw.link, F_GETFD) >= 0)
        hooks->destroy(NULL, G, NULL);
    libxl_domain_config_dispose(&guest);
    return 0;
}

static void did(int rc, int want, const char *calls)
{
    assert_int_equal(rc, want);
    assert_string_equal(called, calls);
    called[0] = '\0';
}

/* Domain 3 serves guests from now on. */
static void in_use(void)
{
    pw.serves = true;
    pw.down_guests = 2;
}

/* ---- keys ---- */

static void test_keys(void **state)
{
    (void)state;
    accepted("name = \"g\"\n");
    accepted(DEVICE);
    accepted("virtio_restricted = [ ]\n");
    bad("virtio_restricted = \"id=a\"\n",
        "virtio_restricted: not a list: write virtio_restricted = [ "
        "\"id=disk0, "
        "type=block, ...\" ]\n");
    bad("virtio_restricted = [ [ \"id=a\" ] ]\n",
        "virtio_restricted[0]: not a string: write the device as \"id=disk0, "
        "type=block, ...\"\n");
    bad("virtio_restricted = [ \"id=a,type=block,target=/a,size=2M,"
        "driver=/none/d.cfg\" ]\n",
        "virtio_restricted[0]: driver=/none/d.cfg: No such file or directory: "
        "name the xl.cfg of the driver domain\n");
    assert_int_equal(config("virtio_restricted = [ \"id=a\" ]\n"), EINVAL);
    assert_int_equal(config("virtio_restricted = [\"id=a,type=block,target=/a,"
                            "backend=dd,size=2M\", \"id=a,type=block,"
                            "target=/b,backend=dd,size=2M\" ]\n"),
                     EINVAL);
}

static void test_many(void **state)
{
    char text[4096] = "virtio_restricted = [ ";
    unsigned int i;

    (void)state;
    for (i = 0; i < 17; i++)
        sprintf(text + strlen(text),
                "\"id=a%u,type=block,target=/%u,backend=dd,size=2M\",", i, i);
    strcat(text, " ]\n");
    bad(text, "virtio_restricted: 17 devices: a guest can have 16 at most, "
              "take some out\n");
}

static void test_grants(void **state)
{
    static const char why[] =
        "virtio_restricted_grants: not a number from 1 to 16777216: give the "
        "grants that the guest's own devices need, such as 8192, or leave the "
        "key out\n";

    (void)state;
    accepted(DEVICE "virtio_restricted_grants = 1\n");
    accepted(DEVICE "virtio_restricted_grants = 16777216\n");
    bad(DEVICE "virtio_restricted_grants = 0\n", why);
    bad(DEVICE "virtio_restricted_grants = 16777217\n", why);
    bad(DEVICE "virtio_restricted_grants = \"many\"\n", why);
}

static void test_grant_version(void **state)
{
    (void)state;
    accepted(DEVICE "max_grant_version = 1\n");
    bad(DEVICE "max_grant_version = 2\n",
        "virtio_restricted: max_grant_version=2: windows are entries of "
        "version 1, which a guest that changes to another would wipe: set it "
        "to 1, or leave it out\n");
    accepted(DEVICE "max_grant_version = \"x\"\n"); /* xl says so itself */
}

/* A config that is refused leaves no devices, and neither does the next. */
static void test_config_again(void **state)
{
    uint32_t domid = 0;

    (void)state;
    accepted(DEVICE);
    assert_int_equal(config("virtio_restricted = 1\n"), EINVAL);
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), 0, "create_new ");
    accepted(DEVICE);
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), 0, "vr_create ");
    accepted("");
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), 0, "create_new ");
}

/* ---- creation ---- */

static void test_create(void **state)
{
    uint32_t domid = 0;

    (void)state;
    accepted(DEVICE);
    guest.on_reboot = LIBXL_ACTION_ON_SHUTDOWN_RESTART;
    guest.on_soft_reset = LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET;
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), 0, "vr_create ");
    assert_int_equal(guest.on_soft_reset, LIBXL_ACTION_ON_SHUTDOWN_RESTART);
    did(hooks->unpause(NULL, P, NULL), 0, "unpause ");
    assert_string_equal(pw.sent, "PS");
    did(hooks->unpause(NULL, G, NULL), 0, "unpause ");
    assert_string_equal(pw.sent, "PSC");
    assert_int_equal(fcntl(pw.link, F_GETFD), -1);
    did(hooks->await_death(NULL, G, 0, NULL), 0, "await_death ");
    assert_string_equal(pw.sent, "PSC");
}

/* xl create -p: watched, but not unpaused. */
static void test_create_paused(void **state)
{
    uint32_t domid = 0;

    (void)state;
    accepted(DEVICE);
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), 0, "vr_create ");
    did(hooks->await_death(NULL, P, 0, NULL), 0, "await_death ");
    assert_string_equal(pw.sent, "PS");
    did(hooks->await_death(NULL, G, 0, NULL), 0, "await_death ");
    assert_string_equal(pw.sent, "PSC");
}

static void test_create_fails(void **state)
{
    uint32_t domid = 0;

    (void)state;
    accepted(DEVICE);
    did(hooks->create_new(NULL, &guest, &domid, "how", NULL), ERROR_INVAL, "");
    assert_string_equal(pw.said, "virtio_restricted: asynchronous creation is "
                                 "not supported: use xl\n");
    create_rc = ERROR_FAIL;
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), ERROR_FAIL,
        "vr_create ");
}

static void test_restore(void **state)
{
    uint32_t domid = 0;

    (void)state;
    did(hooks->create_restore(NULL, &guest, &domid, 0, 0, NULL, NULL, NULL), 0,
        "create_restore ");
    accepted(DEVICE);
    did(hooks->create_restore(NULL, &guest, &domid, 0, 0, NULL, NULL, NULL),
        ERROR_FAIL, "");
    assert_string_equal(pw.said,
                        "virtio_restricted: guest g cannot be restored with "
                        "restricted devices: take the key out, or use xl "
                        "create\n");
}

/* Domains that are none of ours are built as ever. */
static void test_build_others(void **state)
{
    struct xc_dom_image dom = {.guest_domid = P};
    uint32_t domid = 0;

    (void)state;
    did(hooks->xc_create(NULL, &domid, NULL), 0, "xc_create ");
    did(hooks->dom_devicetree(&dom, "x", 1), 0, "devicetree ");
    did(hooks->dom_mem_init(&dom), 0, "mem_init ");
    did(hooks->dom_build(&dom), 0, "build ");
}

/* ---- what would leave a guest and its driver domain at odds ---- */

static void test_moved(void **state)
{
    char path[] = "/tmp/vr-save.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    did(hooks->suspend(NULL, P, fd, 0, NULL), 0, "suspend ");
    did(hooks->suspend_only(NULL, P, NULL), 0, "suspend_only ");
    did(hooks->soft_reset(NULL, NULL, P, NULL, NULL), 0, "soft_reset ");
    did(hooks->remus_start(NULL, NULL, P, 0, 0, NULL), 0, "remus_start ");
    did(hooks->trigger(NULL, P, LIBXL_TRIGGER_SLEEP, 0, NULL), 0, "trigger ");
    assert_string_equal(pw.said, "");
    assert_int_equal(access(path, F_OK), 0);

    did(hooks->suspend(NULL, G, fd, 0, NULL), ERROR_FAIL, "");
    pw_said("guest g cannot be saved or migrated: its driver domains hold");
    assert_int_equal(access(path, F_OK), -1); /* xendomains would find it */
    did(hooks->suspend_only(NULL, G, NULL), ERROR_FAIL, "");
    did(hooks->soft_reset(NULL, NULL, G, NULL, NULL), ERROR_FAIL, "");
    pw_said("guest g cannot be reset in place");
    did(hooks->remus_start(NULL, NULL, G, 0, 0, NULL), ERROR_FAIL, "");
    pw_said("guest g cannot be replicated");
    did(hooks->trigger(NULL, G, LIBXL_TRIGGER_SLEEP, 0, NULL), ERROR_FAIL, "");
    pw_said("guest g cannot be suspended");

    in_use();
    did(hooks->suspend_only(NULL, PW_DD, NULL), ERROR_FAIL, "");
    pw_said("driver domain dd cannot be suspended: guests use it: web");
    close(fd);
}

static void test_down(void **state)
{
    (void)state;
    did(hooks->shutdown(NULL, PW_DD, NULL), 0, "shut_down ");
    did(hooks->reboot(NULL, PW_DD, NULL), 0, "re_boot ");
    in_use();
    did(hooks->shutdown(NULL, PW_DD, NULL), 0, "");
    assert_int_equal(pw.down, VR_DOWN_POWEROFF);
    did(hooks->reboot(NULL, PW_DD, NULL), 0, "");
    assert_int_equal(pw.down, VR_DOWN_REBOOT);
    did(hooks->trigger(NULL, PW_DD, LIBXL_TRIGGER_POWER, 0, NULL), 0, "");
    assert_int_equal(pw.down, VR_DOWN_POWEROFF);
    did(hooks->trigger(NULL, PW_DD, LIBXL_TRIGGER_RESET, 0, NULL), 0, "");
    assert_int_equal(pw.down, VR_DOWN_REBOOT);
    did(hooks->trigger(NULL, PW_DD, LIBXL_TRIGGER_NMI, 0, NULL), 0, "trigger ");
    /* Somebody who waits for an event would wait for ever. */
    did(hooks->shutdown(NULL, PW_DD, "how"), 0, "shut_down ");
    did(hooks->reboot(NULL, PW_DD, "how"), 0, "re_boot ");
    did(hooks->shutdown(NULL, G, NULL), 0, "shut_down "); /* a guest */
}

static void test_keys_of_linux(void **state)
{
    (void)state;
    in_use();
    did(hooks->sysrq(NULL, PW_DD, 's'), 0, "sysrq ");
    did(hooks->sysrq(NULL, PW_DD, 'b'), ERROR_FAIL, "");
    did(hooks->sysrq(NULL, PW_DD, 'c'), ERROR_FAIL, "");
    did(hooks->sysrq(NULL, PW_DD, 'o'), ERROR_FAIL, "");
    did(hooks->sysrq(NULL, G, 'b'), 0, "sysrq ");
}

static void test_plugged(void **state)
{
    libxl_device_disk disk = {.is_cdrom = 0};
    libxl_device_pci pci = {.dev = 1};
    libxl_device_nic nic;

    (void)state;
    libxl_device_nic_init(&nic);
    pw.nics = -1; /* libxl does not tell: nothing can be counted */
    did(hooks->disk_add(NULL, P, &disk, NULL), 0, "disk_add ");
    did(hooks->nic_add(NULL, P, &nic, NULL), 0, "nic_add ");
    did(hooks->pci_add(NULL, P, &pci, NULL), 0, "pci_add ");
    did(hooks->disk_add(NULL, G, &disk, NULL), ERROR_FAIL, "");
    did(hooks->nic_add(NULL, G, &nic, NULL), ERROR_FAIL, "");
    did(hooks->pci_add(NULL, G, &pci, NULL), 0, "pci_add ");
    did(hooks->disk_remove(NULL, PW_DD, &disk, NULL), 0, "disk_remove ");
    did(hooks->pci_remove(NULL, PW_DD, &pci, NULL), 0, "pci_remove ");
    in_use();
    did(hooks->disk_remove(NULL, PW_DD, &disk, NULL), ERROR_FAIL, "");
    pw_said("cannot lose a disk: guests use it: web; shut them down first, or "
            "insist (--force)");
    did(hooks->pci_remove(NULL, PW_DD, &pci, NULL), ERROR_FAIL, "");
    pw_said("cannot lose a PCI device");
}

/* ---- the end ---- */

static void test_destroy(void **state)
{
    (void)state;
    did(hooks->destroy(NULL, P, NULL), 0, "destroy ");
    assert_int_equal(pw.cleanups, 0);
    did(hooks->destroy(NULL, G, NULL), 0, "destroy ");
    assert_int_equal(pw.cleanups, 1);
    assert_int_equal(pw.nrecs, 0);
}

/* What could not be let go of before is tried again when the guest is gone, if
 * that is known by then. */
static void test_destroy_again(void **state)
{
    (void)state;
    pw.cleanup_fails = true;
    did(hooks->destroy(NULL, G, NULL), 0, "destroy ");
    assert_int_equal(pw.cleanups, 2);
    did(hooks->destroy(NULL, G, "how"), 0, "destroy ");
    assert_int_equal(pw.cleanups, 3);
}

static void test_destroy_uncommitted(void **state)
{
    uint32_t domid = 0;

    (void)state;
    accepted(DEVICE);
    did(hooks->create_new(NULL, &guest, &domid, NULL, NULL), 0, "vr_create ");
    did(hooks->destroy(NULL, G, NULL), 0, "destroy ");
    assert_int_equal(fcntl(pw.link, F_GETFD), -1);
    assert_string_equal(pw.sent, "PS");
}

static void test_preserve(void **state)
{
    struct vr_libxl_uuid uuid = {{0}};

    (void)state;
    did(hooks->preserve(NULL, G, NULL, "-x", uuid), 0, "preserve ");
    assert_int_equal(pw.cleanups, 1);
}

/* ---- the beginning ---- */

/* Which function is missing from libxl? */
static void test_init(void **state)
{
    struct vr_calls some;
    void *none = NULL;
    size_t at;

    (void)state;
    assert_null(vr_plugin_init(&libxl, "0.1"));
    for (at = 0; at < sizeof(some); at += sizeof(none)) {
        some = libxl;
        memcpy((char *)&some + at, &none, sizeof(none));
        assert_null(vr_plugin_init(&some, VR_VERSION));
        /* Each of ours is there. */
        assert_memory_not_equal((const char *)hooks + at, &none, sizeof(none));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keys),
        TEST(test_many),
        TEST(test_grants),
        TEST(test_grant_version),
        TEST(test_config_again),
        TEST(test_create),
        TEST(test_create_paused),
        TEST(test_create_fails),
        TEST(test_restore),
        TEST(test_build_others),
        TEST(test_moved),
        TEST(test_down),
        TEST(test_keys_of_linux),
        TEST(test_plugged),
        TEST(test_destroy),
        TEST(test_destroy_again),
        TEST(test_destroy_uncommitted),
        TEST(test_preserve),
        TEST(test_init),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

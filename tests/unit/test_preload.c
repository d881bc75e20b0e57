/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The half of the plug-in that is loaded into xl (preload.c), which is a part
 * of this file: to whom each of libxl's functions goes, on a host with and
 * without guests of ours, and when vr-plugin.so cannot be loaded. How it gets
 * into xl is tested by launcher.sh.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void *fake_sym(void *handle, const char *name);
static void *fake_open(const char *path, int flags);
static int fake_access(const char *path, int mode);
static DIR *fake_opendir(const char *path);

#define dlsym   fake_sym
#define dlopen  fake_open
#define access  fake_access
#define opendir fake_opendir
#include "xl-plugin/preload.c"
#undef dlsym
#undef dlopen
#undef access
#undef opendir

/* ---- the two that a call can go to ---- */

static char told[64]; /* "libxl create_new", "plugin create_new" */
static int answer;

/* Every function of the table at once: each has more arguments than it looks
 * at, which is all that is done with them here. */
#define BOTH(member, symbol)                                                   \
    static int libxl_##member(void)                                            \
    {                                                                          \
        snprintf(told, sizeof(told), "libxl " #member);                        \
        return answer;                                                         \
    }                                                                          \
    static int plugin_##member(void)                                           \
    {                                                                          \
        snprintf(told, sizeof(told), "plugin " #member);                       \
        return answer;                                                         \
    }

VR_HOOKS(BOTH)

static const struct {
    const char *symbol;
    int (*libxl)(void);
    int (*plugin)(void);
    size_t at;
} hook[] = {
#define ROW(member, symbol)                                                    \
    {symbol, libxl_##member, plugin_##member,                                  \
     offsetof(struct vr_calls, member)},
    VR_HOOKS(ROW)};

static struct vr_calls of_plugin;
static const struct vr_calls *init_real;
static bool not_xl, no_key, no_file, no_symbol, other_version, no_get_list;
static char opened[PATH_MAX], records[64];

static const struct vr_calls *init(const struct vr_calls *calls,
                                   const char *version)
{
    assert_string_equal(version, VR_VERSION);
    init_real = calls;
    return other_version ? NULL : &of_plugin;
}

static int get_list(const struct XLU_Config *cfg, const char *key, void **list,
                    int *n, int quiet)
{
    (void)cfg;
    assert_string_equal(key, "virtio_restricted");
    assert_null(list);
    assert_null(n);
    assert_int_equal(quiet, 1);
    return no_key ? ESRCH : 0;
}

static void *fake_sym(void *handle, const char *name)
{
    int (*get)(const struct XLU_Config *, const char *, void **, int *, int) =
        get_list;
    vr_plugin_init_fn *first = init;
    void *p = NULL;
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(hook); i++)
        if (handle == RTLD_NEXT && !strcmp(name, hook[i].symbol) && !not_xl)
            memcpy(&p, &hook[i].libxl, sizeof(p));
    if (!strcmp(name, "xlu_cfg_get_list") && !no_get_list)
        memcpy(&p, &get, sizeof(p));
    if (!strcmp(name, VR_PLUGIN_INIT) && !no_symbol)
        memcpy(&p, &first, sizeof(p));
    return p;
}

static void *fake_open(const char *path, int flags)
{
    (void)flags;
    snprintf(opened, sizeof(opened), "%s", path);
    /* So that dlerror() has something to say. */
    return no_file ? dlopen("/none/vr-plugin.so", RTLD_NOW) : &opened;
}

static int fake_access(const char *path, int mode)
{
    (void)mode;
    assert_string_equal(path, VR_RUN_DIR);
    return records[0] ? 0 : -1;
}

static DIR *fake_opendir(const char *path)
{
    assert_string_equal(path, VR_RUN_DIR);
    return opendir(records);
}

/* ---- each call ---- */

static int config(void)
{
    return xlu_cfg_readdata(NULL, "", 0);
}

#define NO_CTX NULL
static const struct vr_libxl_uuid uuid;

static int create_new(void)
{
    return libxl_domain_create_new(NO_CTX, NULL, NULL, NULL, NULL);
}
static int create_restore(void)
{
    return libxl_domain_create_restore(NO_CTX, NULL, NULL, 0, 0, NULL, NULL,
                                       NULL);
}
static int soft_reset(void)
{
    return libxl_domain_soft_reset(NO_CTX, NULL, 1, NULL, NULL);
}
static int suspend(void)
{
    return libxl_domain_suspend(NO_CTX, 1, 0, 0, NULL);
}
static int suspend_only(void)
{
    return libxl_domain_suspend_only(NO_CTX, 1, NULL);
}
static int remus_start(void)
{
    return libxl_domain_remus_start(NO_CTX, NULL, 1, 0, 0, NULL);
}
static int shut_down(void)
{
    return libxl_domain_shutdown(NO_CTX, 1, NULL);
}
static int re_boot(void)
{
    return libxl_domain_reboot(NO_CTX, 1, NULL);
}
static int trigger(void)
{
    return libxl_send_trigger(NO_CTX, 1, 0, 0, NULL);
}
static int sysrq(void)
{
    return libxl_send_sysrq(NO_CTX, 1, 's');
}
static int unpause(void)
{
    return libxl_domain_unpause(NO_CTX, 1, NULL);
}
static int destroy(void)
{
    return libxl_domain_destroy(NO_CTX, 1, NULL);
}
static int preserve(void)
{
    return libxl_domain_preserve(NO_CTX, 1, NULL, "", uuid);
}
static int disk_add(void)
{
    return libxl_device_disk_add(NO_CTX, 1, NULL, NULL);
}
static int disk_remove(void)
{
    return libxl_device_disk_safe_remove(NO_CTX, 1, NULL, NULL);
}
static int nic_add(void)
{
    return libxl_device_nic_add(NO_CTX, 1, NULL, NULL);
}
static int pci_add(void)
{
    return libxl_device_pci_add(NO_CTX, 1, NULL, NULL);
}
static int pci_remove(void)
{
    return libxl_device_pci_remove(NO_CTX, 1, NULL, NULL);
}
static int await_death(void)
{
    return libxl_evenable_domain_death(NO_CTX, 1, 0, NULL);
}
static int xc_create(void)
{
    return xc_domain_create(NULL, NULL, NULL);
}
static int devicetree(void)
{
    return xc_dom_devicetree_mem(NULL, NULL, 0);
}
static int mem_init(void)
{
    return xc_dom_boot_mem_init(NULL);
}
static int build(void)
{
    return xc_dom_build_image(NULL);
}

/* Where a call goes while there are guests of ours, and vr-plugin.so ... */
enum manner {
    AFTER, /* ... is asked once it is loaded, and not loaded for this */
    MUST,  /* ... is loaded; when it cannot be, xl fails */
    MAY,   /* ... is loaded; when it cannot be, libxl is asked */
};

static const struct {
    const char *name;
    int (*call)(void);
    enum manner manner;
} calls[] = {
    {"create_new", create_new, AFTER},
    {"create_restore", create_restore, AFTER},
    {"soft_reset", soft_reset, MUST},
    {"suspend", suspend, MUST},
    {"suspend_only", suspend_only, MUST},
    {"remus_start", remus_start, MUST},
    {"shutdown", shut_down, MAY},
    {"reboot", re_boot, MAY},
    {"trigger", trigger, MAY},
    {"sysrq", sysrq, MAY},
    {"unpause", unpause, AFTER},
    {"destroy", destroy, MAY},
    {"preserve", preserve, MAY},
    {"disk_add", disk_add, MUST},
    {"disk_remove", disk_remove, MUST},
    {"nic_add", nic_add, MUST},
    {"pci_add", pci_add, MUST},
    {"pci_remove", pci_remove, MUST},
    {"await_death", await_death, AFTER},
    {"xc_create", xc_create, AFTER},
    {"dom_devicetree", devicetree, AFTER},
    {"dom_mem_init", mem_init, AFTER},
    {"dom_build", build, AFTER},
};

/* ---- xl begins ---- */

static int setup(void **state)
{
    char *argv[] = {"xl", "list", NULL};
    unsigned int i;

    (void)state;
    memset(&real, 0, sizeof(real));
    plugin = NULL;
    in_xl = not_xl = no_key = no_file = no_symbol = other_version = false;
    no_get_list = false;
    opened[0] = records[0] = told[0] = folder[0] = '\0';
    init_real = NULL;
    answer = 0;
    for (i = 0; i < VR_ARRAY_SIZE(hook); i++)
        memcpy((char *)&of_plugin + hook[i].at, &hook[i].plugin,
               sizeof(hook[i].plugin));
    start(2, argv);
    return 0;
}

static void goes(unsigned int i, const char *whom)
{
    char want[64];

    told[0] = '\0';
    snprintf(want, sizeof(want), "%s %s", whom, calls[i].name);
    assert_int_equal(calls[i].call(), answer);
    assert_string_equal(told, want);
}

/* A folder like VR_RUN_DIR, with this file in it. */
static void folder_with(const char *name)
{
    char path[128];
    FILE *f;

    strcpy(records, "/tmp/vr-records.XXXXXX");
    assert_non_null(mkdtemp(records));
    snprintf(path, sizeof(path), "%s/%s", records, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", records);
    return records[0] ? system(command) : 0;
}

/* A host that has no guest of ours: not a thing changes. */
static void test_no_guests(void **state)
{
    unsigned int i;

    (void)state;
    assert_true(in_xl);
    for (i = 0; i < VR_ARRAY_SIZE(calls); i++) {
        answer = i;
        goes(i, "libxl");
    }
    answer = 0;
    no_key = true;
    assert_int_equal(config(), 0);
    assert_string_equal(told, "libxl cfg_readdata");
    assert_string_equal(opened, "");
    folder_with("none.lock"); /* no record */
    for (i = 0; i < VR_ARRAY_SIZE(calls); i++)
        goes(i, "libxl");
    assert_string_equal(opened, "");
}

static void test_guests(void **state)
{
    unsigned int i;

    (void)state;
    folder_with("a.json");
    for (i = 0; i < VR_ARRAY_SIZE(calls); i++) {
        plugin = NULL;
        answer = i;
        goes(i, calls[i].manner == AFTER ? "libxl" : "plugin");
        plugin = &of_plugin;
        goes(i, "plugin");
    }
    assert_ptr_equal(init_real, &real);
    assert_non_null(strstr(opened, "/vr-plugin.so"));
}

/* A record is none of the business of a shell on the way to xl. */
static void test_not_xl(void **state)
{
    char *argv[] = {"sh", NULL};

    (void)state;
    memset(&real, 0, sizeof(real));
    in_xl = false;
    not_xl = true;
    start(1, argv);
    assert_false(in_xl);
    assert_false(concerned());
}

static void cannot_load(void)
{
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(calls); i++) {
        if (calls[i].manner != MUST) {
            goes(i, "libxl");
            continue;
        }
        told[0] = '\0';
        assert_int_equal(calls[i].call(), XL_ERROR_FAIL);
        assert_string_equal(told, "");
    }
    assert_null(plugin);
}

static void test_cannot_load(void **state)
{
    int saved = dup(2), null = open("/dev/null", O_WRONLY);

    (void)state;
    folder_with("a.json");
    dup2(null, 2); /* the reason, again and again */
    no_file = true;
    cannot_load();
    no_file = false;
    no_symbol = true;
    cannot_load();
    no_symbol = false;
    other_version = true;
    cannot_load();
    assert_int_equal(config(), ENOEXEC); /* a config with the key */
    dup2(saved, 2);
    close(saved);
    close(null);
}

static void test_config(void **state)
{
    (void)state;
    answer = EINVAL; /* xl's own parser refuses it */
    assert_int_equal(config(), EINVAL);
    assert_null(plugin);
    answer = 0;
    no_get_list = true; /* a libxlutil without: better asked than dropped */
    assert_int_equal(config(), 0);
    assert_null(plugin);
    no_get_list = false;
    assert_int_equal(config(), 0);
    assert_string_equal(told, "plugin cfg_readdata");
    no_key = true; /* a second config: the first one's devices are gone */
    assert_int_equal(config(), 0);
    assert_string_equal(told, "plugin cfg_readdata");
}

/* What xl starts does not load it. */
static void test_environment(void **state)
{
    static const char *const lists[][2] = {
        {"/x.so", NULL},
        {"/x.so:/y.so", "/y.so"},
        {"/a.so /x.so:/y.so", "/a.so:/y.so"},
        {":/a.so:: ", "/a.so"},
        {"/x.so.1", "/x.so.1"},
    };
    unsigned int i;

    (void)state;
    unsetenv("LD_PRELOAD");
    leave_environment("/x.so");
    assert_null(getenv("LD_PRELOAD"));
    for (i = 0; i < VR_ARRAY_SIZE(lists); i++) {
        setenv("LD_PRELOAD", lists[i][0], 1);
        leave_environment("/x.so");
        if (lists[i][1])
            assert_string_equal(getenv("LD_PRELOAD"), lists[i][1]);
        else
            assert_null(getenv("LD_PRELOAD"));
    }
    unsetenv("LD_PRELOAD");
}

/* The launcher's first argument is not xl's. */
static void test_argument(void **state)
{
    char *argv[] = {"xl", VR_XL_LOADED, "list", NULL};
    int old = optind;

    (void)state;
    start(3, argv);
    assert_int_equal(optind, 2);
    optind = old;
    argv[1] = "list";
    start(2, argv);
    assert_int_equal(optind, old);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_guests),   TEST(test_guests), TEST(test_not_xl),
        TEST(test_cannot_load), TEST(test_config), TEST(test_environment),
        TEST(test_argument),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

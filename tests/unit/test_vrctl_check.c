/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl check: its verdict for each thing that a host can lack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "valgrind.h"
#include "vrctl_world.h"

#include <pwd.h>
#include <sys/stat.h>

#include "libs/host/advisory.h"
#include "libs/xen/hostinfo.h"

/* ---- the machine ---- */

static struct {
    struct vr_hostinfo info;
    bool no_info;
    uid_t uid;
    bool no_user;
    const char *lacks; /* a file */
    char folder[32];   /* in PATH, with an xl */
    const char *other; /* a second xl, of the name /usr/sbin/xl */
} host;

int vr_hostinfo_read(struct vr_hostinfo *info, struct vr_err *err)
{
    *info = host.info;
    if (!host.no_info)
        return 0;
    vr_err_set(err, "no answer");
    return -EACCES;
}

uid_t geteuid(void)
{
    return host.uid;
}

struct passwd *getpwnam(const char *name)
{
    static struct passwd user;

    assert_string_equal(name, VR_USER);
    return host.no_user ? NULL : &user;
}

int access(const char *path, int mode)
{
    if (!strncmp(path, host.folder, strlen(host.folder)))
        return faccessat(AT_FDCWD, path, mode, 0);
    errno = ENOENT;
    if (!strcmp(path, "/usr/sbin/xl"))
        return host.other ? 0 : -1;
    if (!strncmp(path, "/none", 5))
        return -1;
    return host.lacks && strstr(path, host.lacks) ? -1 : 0;
}

int stat(const char *restrict path, struct stat *restrict st)
{
    if (!strcmp(path, "/usr/sbin/xl"))
        path = host.other ? host.other : "/nowhere";
    else if (!strcmp(path, "/usr/bin/xl"))
        return fstatat(open(host.folder, O_PATH | O_CLOEXEC), "xl", st, 0);
    else if (!strcmp(path, "/sbin/xl"))
        path = "/nowhere";
    return fstatat(AT_FDCWD, path, st, 0);
}

/* The xl in PATH, a shell script. */
static void have_xl(const char *text)
{
    char path[64];
    FILE *f;

    snprintf(path, sizeof(path), "%s/xl", host.folder);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
}

#define LAUNCHER "#!/bin/sh\n# virtio-restricted\n"

static int setup(void **state)
{
    char path[64];

    (void)state;
    vw_init();
    vw.forks = true;
    memset(&host, 0, sizeof(host));
    strcpy(host.info.arch, "x86_64");
    strcpy(host.info.xsm, "dummy");
    strcpy(host.info.extra, ".99");
    host.info.major = 4;
    host.info.minor = 20;
    host.info.ioreq = host.info.hvm = VR_YES;
    host.info.max_grant_frames = 64;
    host.info.max_maptrack_frames = 1024;
    strcpy(host.folder, "/tmp/vrctl-check-XXXXXX");
    assert_non_null(mkdtemp(host.folder));
    have_xl(LAUNCHER "echo virtio-restricted 1.0\n");
    snprintf(path, sizeof(path), "/none::%s", host.folder);
    setenv("PATH", path, 1);
    return 0;
}

static int teardown(void **state)
{
    char path[64];

    (void)state;
    snprintf(path, sizeof(path), "%s/xl", host.folder);
    unlink(path);
    return rmdir(host.folder);
}

/* ---- verdicts ---- */

/* One finding has @level, @what and @value; the others do not matter. */
static void expect(const char *level, const char *what, const char *value)
{
    const int status = strcmp(level, "FAIL") ? EX_OK : EX_FAILED;
    const char *const list[] = {"findings", NULL};
    const char *text;
    unsigned int i, n;
    yajl_val tree;

    if (vw_run(cmd_check, "check", "--json", NULL) != status)
        fail_msg("not %d: %s", status, strstr(vw.out, "FAIL"));
    tree = vw_json();
    n = YAJL_GET_ARRAY(yajl_tree_get(tree, (const char **)list, yajl_t_array))
            ->len;
    for (i = 0; i < n; i++)
        if (!strcmp(vw_text(tree, "findings", i, "what"), what) &&
            strstr(vw_text(tree, "findings", i, "value"), value))
            break;
    if (i == n)
        fail_msg("no finding %s: %s in %s", what, value, vw.out);
    assert_string_equal(vw_text(tree, "findings", i, "level"), level);
    text = strcmp(level, "ok") ? vw_text(tree, "findings", i, "remedy") : "-";
    assert_true(text[0]);
    /* People read the same. */
    assert_int_equal(vw_run(cmd_check, "check", NULL), status);
    assert_non_null(strstr(vw.out, value));
    assert_non_null(strstr(vw.out, text));
    yajl_tree_free(tree);
}

static void fine(void **state)
{
    (void)state;
    expect("ok", "hypervisor", "Xen 4.20.99");
    assert_non_null(strstr(vw.out, "check: 0 failures, 0 warnings"));
    expect("ok", "xl", "xl has the plug-in of virtio-restricted 1.0");
    expect("ok", "HVM guests", "can be run");
    expect("ok", VR_RUN_DIR, "1 guests, 0 stale, 0 unreadable");
    strcpy(host.info.arch, "arm64");
    expect("ok", "ioreq servers", "built in");
}

static void versions(void **state)
{
    (void)state;
    host.info.minor = 16;
    expect("FAIL", "hypervisor", "Xen 4.16");
    host.info.major = 3;
    host.info.minor = 20;
    expect("FAIL", "hypervisor", "Xen 3.20");
    host.no_info = true;
    expect("FAIL", "hypervisor", "does not answer");
}

static void abilities(void **state)
{
    (void)state;
    host.info.hvm = VR_NO;
    expect("FAIL", "HVM guests", "cannot be run");
    strcpy(host.info.arch, "arm64");
    host.info.ioreq = VR_UNKNOWN;
    expect("warn", "ioreq servers", "unknown");
    host.info.ioreq = VR_NO;
    expect("FAIL", "ioreq servers", "not built in");
    strcpy(host.info.arch, "riscv64");
    expect("FAIL", "architecture", "riscv64");
}

static void security_modules(void **state)
{
    (void)state;
    strcpy(host.info.xsm, "unknown");
    expect("warn", "XSM module", "unknown");
    strcpy(host.info.xsm, "flask");
    expect("warn", "XSM module", "flask");
    strcpy(host.info.xsm, "silo");
    expect("FAIL", "XSM module", "silo");
}

static void limits(void **state)
{
    (void)state;
    host.info.max_maptrack_frames = 16;
    expect("warn", "gnttab_max_maptrack_frames", "16");
    host.info.max_grant_frames = host.info.max_maptrack_frames = 0;
    expect("warn", "gnttab_max_frames", "unknown");
    expect("warn", "gnttab_max_maptrack_frames", "unknown");
    host.info.max_grant_frames = 1;
    expect("FAIL", "gnttab_max_frames", "too few for any window");
}

/* Each advisory is told of the hosts that it concerns, and of no others. */
static void advisories(void **state)
{
    static const char *const archs[] = {"x86_64", "arm64"};
    const struct vr_advisory *a;
    char what[16];
    unsigned int k;

    (void)state;
    strcpy(host.info.extra, ".0");
    host.info.minor = VR_ADVISORY_FIRST_MINOR;
    for (k = 0; k < 2; k++) {
        strcpy(host.info.arch, archs[k]);
        a = NULL;
        while ((a = vr_advisory_next(a, &host.info))) {
            snprintf(what, sizeof(what), "XSA-%u", a->xsa);
            expect("warn", what, a->means);
        }
    }
    strcpy(host.info.arch, "x86_64");
    assert_int_equal(vw_run(cmd_check, "check", NULL), EX_OK);
    assert_non_null(strstr(vw.out, "or boot Xen with gnttab=max-ver:1"));
    strcpy(host.info.cmdline, "gnttab=max-ver:1");
    assert_int_equal(vw_run(cmd_check, "check", NULL), EX_OK);
    assert_null(strstr(vw.out, "or boot Xen with gnttab=max-ver:1"));
    strcpy(host.info.extra, ".99");
    expect("ok", "Xen's security advisories", "none known");
}

static void files_and_users(void **state)
{
    static const char *const files[] = {
        "/dev/xen/privcmd",
        "/dev/xen/gntalloc",
        "/dev/xen/gntdev",
        "/dev/xen/evtchn",
        VR_LIBEXECDIR "/xl-virtio-restricted.so",
        VR_LIBEXECDIR "/vr-plugin.so",
        VR_LIBEXECDIR "/vr-broker",
    };
    unsigned int i;

    (void)state;
    for (i = 0; i < VR_ARRAY_SIZE(files); i++) {
        host.lacks = files[i];
        expect("FAIL", files[i], "No such file");
    }
    host.lacks = "privcmd";
    expect("FAIL", "hypervisor", "cannot be asked");
    host.lacks = NULL;
    host.no_user = true;
    expect("FAIL", "user " VR_USER, "missing");
    host.no_user = false;
    host.uid = 1000;
    expect("FAIL", "user", "uid 1000");
    host.uid = 0;
    store.absent = true;
    expect("FAIL", "xenstore", "cannot be reached");
}

static void launchers(void **state)
{
    (void)state;
    have_xl("#!/bin/sh\n");
    expect("FAIL", "xl", "which is not the launcher");
    have_xl(LAUNCHER "printf '\\033[31mno such library\\n'; exit 1\n");
    expect("FAIL", "xl", "no such library");
    have_xl(LAUNCHER "exit 1\n");
    expect("FAIL", "xl", "it ends without a word");
    /* valgrind ends there: it gives up the old program before it asks. */
    if (!in_valgrind()) {
        have_xl("#!/no/such/interpreter virtio-restricted\n");
        expect("FAIL", "xl", "No such file");
    }
    vw.fail_at = vw.steps;
    assert_int_equal(vw_run(cmd_check, "check", NULL), EX_FAILED);
    assert_non_null(strstr(vw.out, "no answer within 20 s"));
    have_xl(LAUNCHER "echo virtio-restricted 1.0\n");
    host.other = "/bin/sh";
    expect("warn", "/usr/sbin/xl", "bypasses the launcher");
    host.other = NULL;
    setenv("PATH", "", 1);
    expect("FAIL", "xl", "none in PATH");
}

static void records(void **state)
{
    (void)state;
    vw.broker = vw.dom[2].exists = false;
    expect("warn", VR_RUN_DIR, "1 guests, 1 stale, 0 unreadable");
    vw.rec_error = -EINVAL;
    expect("warn", VR_RUN_DIR, "1 guests, 0 stale, 1 unreadable");
    vw.has_rec = false;
    expect("ok", VR_RUN_DIR, "0 guests");
    assert_int_equal(vw_run(cmd_check, "check", "now", NULL), EX_USAGE);
}

static int end(void **state)
{
    (void)state;
    vw_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fine, setup, teardown),
        cmocka_unit_test_setup_teardown(versions, setup, teardown),
        cmocka_unit_test_setup_teardown(abilities, setup, teardown),
        cmocka_unit_test_setup_teardown(security_modules, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(advisories, setup, teardown),
        cmocka_unit_test_setup_teardown(files_and_users, setup, teardown),
        cmocka_unit_test_setup_teardown(launchers, setup, teardown),
        cmocka_unit_test_setup_teardown(records, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}

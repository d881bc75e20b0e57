/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl check: can this host serve restricted devices? One line per finding,
 * each with what to do about it. Changes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libs/host/advisory.h"
#include "libs/window/gntent.h"
#include "libs/guest/reserve.h"
#include "vrctl.h"
#include "libs/xen/hostinfo.h"
#include "libs/proto/xsnode.h"

#define XL_SECONDS 20

enum level { OK, WARN, FAIL };

static const char *const level_names[] = {"ok", "warn", "FAIL"};

struct report {
    yajl_gen j; /* NULL: for people */
    unsigned int warnings, failures;
};

static void finding(struct report *r, enum level level, const char *what,
                    const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

static void finding(struct report *r, enum level level, const char *what,
                    const char *remedy, const char *fmt, ...)
{
    char value[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    r->warnings += level == WARN;
    r->failures += level == FAIL;
    if (r->j) {
        yajl_gen_map_open(r->j);
        json_str(r->j, "level", level_names[level]);
        json_str(r->j, "what", what);
        json_str(r->j, "value", value);
        if (level != OK)
            json_str(r->j, "remedy", remedy);
        yajl_gen_map_close(r->j);
        return;
    }
    printf("%-4s  %s: %s", level_names[level], what, value);
    if (level != OK)
        printf("  -- %s", remedy);
    printf("\n");
}

/* ---- the hypervisor ---- */

static void check_limits(struct report *r, const struct vr_hostinfo *info)
{
    static const char *const unknown =
        "the hypervisor has no hypfs to ask; see its boot line";
    const uint32_t reserve = VR_RESERVE_LEAST / VR_GNTENT_PER_FRAME;
    char size[24];

    if (!info->max_grant_frames)
        finding(r, WARN, "gnttab_max_frames", unknown, "unknown");
    else if (info->max_grant_frames <= reserve)
        finding(r, FAIL, "gnttab_max_frames",
                "boot Xen with gnttab_max_frames=64 or more, or xenhypfs "
                "write /params/gnttab_max_frames 64",
                "%" PRIu32 ": too few for any window", info->max_grant_frames);
    else
        finding(r, OK, "gnttab_max_frames", "",
                "%" PRIu32 ": windows of up to %s per guest, less with PV "
                "disks or interfaces",
                info->max_grant_frames,
                vr_format_size((info->max_grant_frames - reserve) *
                                   VR_GNTENT_PER_FRAME * VR_PAGE_SIZE,
                               size));
    /* 256 mappings a frame. */
    if (!info->max_maptrack_frames)
        finding(r, WARN, "gnttab_max_maptrack_frames", unknown, "unknown");
    else
        finding(r,
                info->max_maptrack_frames * UINT64_C(256) < 65536 ? WARN : OK,
                "gnttab_max_maptrack_frames",
                "boot Xen with gnttab_max_maptrack_frames=1024",
                "%" PRIu32 ": windows of up to %s per driver domain",
                info->max_maptrack_frames,
                vr_format_size(info->max_maptrack_frames * UINT64_C(256) *
                                   VR_PAGE_SIZE,
                               size));
}

static void check_xsm(struct report *r, const char *xsm)
{
    if (!strcmp(xsm, "silo"))
        finding(r, FAIL, "XSM module",
                "it forbids grants between two domUs: boot Xen with xsm=dummy "
                "(or xsm=flask with a policy)",
                "silo");
    else if (!strcmp(xsm, "unknown"))
        finding(r, WARN, "XSM module",
                "grants between domUs must be allowed: boot Xen with "
                "xsm=dummy; see xl dmesg for \"SILO\"",
                "unknown");
    else if (!strcmp(xsm, "flask"))
        finding(r, WARN, "XSM module",
                "the policy must allow grants and event channels between "
                "guest, driver domain and dom0",
                "flask");
    else
        finding(r, OK, "XSM module", "", "%s", xsm);
}

static void check_ioreq(struct report *r, enum vr_tri ioreq)
{
    if (ioreq == VR_NO)
        finding(r, FAIL, "ioreq servers",
                "rebuild the hypervisor with CONFIG_EXPERT=y and "
                "CONFIG_IOREQ_SERVER=y (README.md, Install)",
                "not built in");
    else if (ioreq == VR_UNKNOWN)
        finding(r, WARN, "ioreq servers",
                "on Arm the hypervisor must be built with "
                "CONFIG_IOREQ_SERVER=y; without hypfs this cannot be seen",
                "unknown");
    else
        finding(r, OK, "ioreq servers", "", "built in");
}

static void check_arch(struct report *r, const struct vr_hostinfo *info)
{
    bool x86 = !strcmp(info->arch, "x86_64");

    finding(r, x86 || !strcmp(info->arch, "arm64") ? OK : FAIL, "architecture",
            "restricted devices are served on arm64 and x86_64 hosts only",
            "%s", info->arch);
    /* Whoever runs HVM guests has ioreq servers, for QEMU. */
    if (x86)
        finding(r, info->hvm == VR_YES ? OK : FAIL, "HVM guests",
                "switch VT-x or AMD-V on in the firmware, and use a "
                "hypervisor with CONFIG_HVM=y",
                info->hvm == VR_YES ? "can be run" : "cannot be run");
    else
        check_ioreq(r, info->ioreq);
}

static void check_advisories(struct report *r, const struct vr_hostinfo *info)
{
    const struct vr_advisory *a = NULL;
    unsigned int n = 0;
    char what[16], fixed[24], remedy[256];

    while ((a = vr_advisory_next(a, info))) {
        snprintf(what, sizeof(what), "XSA-%u", a->xsa);
        snprintf(remedy, sizeof(remedy),
                 "update the hypervisor; whether a distribution's package has "
                 "the mend its changelog tells%s",
                 a->version2 ? ", or boot Xen with gnttab=max-ver:1" : "");
        finding(r, WARN, what, remedy, "mended in Xen %s: %s",
                vr_advisory_fixed(a, info, fixed, sizeof(fixed)), a->means);
        n++;
    }
    if (!n)
        finding(r, OK, "Xen's security advisories", "",
                "none known for this version and what restricted devices use");
}

static void check_hypervisor(struct report *r)
{
    struct vr_hostinfo info;
    struct vr_err err;

    if (vr_hostinfo_read(&info, &err)) {
        finding(r, FAIL, "hypervisor",
                "run this as root in the toolstack domain of a Xen host",
                "does not answer");
        return;
    }
    if (info.major < 4 || (info.major == 4 && info.minor < 17))
        finding(r, FAIL, "hypervisor", "install Xen 4.17 or later",
                "Xen %u.%u%s", info.major, info.minor, info.extra);
    else
        finding(r, OK, "hypervisor", "", "Xen %u.%u%s", info.major, info.minor,
                info.extra);
    check_arch(r, &info);
    check_xsm(r, info.xsm);
    check_limits(r, &info);
    check_advisories(r, &info);
}

static void check_control(struct report *r)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    xc_domaininfo_t info;

    if (!xch)
        return; /* check_hypervisor() said so */
    if (xc_domain_getinfolist(xch, 0, 1, &info) < 0)
        finding(r, FAIL, "toolstack domain", "run this in dom0",
                "this domain controls no others: %s", strerror(errno));
    else
        finding(r, OK, "toolstack domain", "", "yes");
    xc_interface_close(xch);
}

static void check_xenstore(struct report *r)
{
    struct xs_handle *xs = xs_open(0);

    if (xs)
        finding(r, OK, "xenstore", "", "answers");
    else
        finding(r, FAIL, "xenstore",
                "start xenstored: systemctl start xenstored (or "
                "/etc/init.d/xencommons start)",
                "cannot be reached: %s", strerror(errno));
    if (xs)
        xs_close(xs);
}

/* ---- dom0 ---- */

static void check_nodes(struct report *r)
{
    static const struct {
        const char *path, *remedy;
    } nodes[] = {
        {"/dev/xen/privcmd", "modprobe xen-privcmd"},
        {"/dev/xen/gntalloc", "modprobe xen-gntalloc"},
        {"/dev/xen/gntdev", "modprobe xen-gntdev"},
        {"/dev/xen/evtchn", "modprobe xen-evtchn"},
    };
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(nodes); i++) {
        if (access(nodes[i].path, R_OK | W_OK))
            finding(r, FAIL, nodes[i].path,
                    errno == EACCES ? "run this as root" : nodes[i].remedy,
                    "%s", strerror(errno));
        else
            finding(r, OK, nodes[i].path, "", "usable");
    }
}

/* Is @path our launcher, and not the distribution's xl? */
static bool is_launcher(const char *path)
{
    char buf[4096];
    bool found;
    size_t len;
    FILE *f;

    f = fopen(path, "re");
    if (!f)
        return false;
    len = fread(buf, 1, sizeof(buf), f);
    fclose(f);
    found = len > 2 && !memcmp(buf, "#!", 2) &&
            memmem(buf, len, "virtio-restricted", strlen("virtio-restricted"));
    return found;
}

/* The first xl in PATH; false when there is none. */
static bool find_xl(char *buf, size_t size)
{
    const char *p = getenv("PATH");

    while (p && *p) {
        size_t len = strcspn(p, ":");

        snprintf(buf, size, "%.*s/xl", (int)len, p);
        if (len && !access(buf, X_OK))
            return true;
        p += len;
        if (*p)
            p++;
    }
    return false;
}

/* A guest that is not made: xl reads it and says what it has understood. */
static const char dry_run[] = "name = \"vrctl-check\"\n"
                              "type = \"pvh\"\n"
                              "kernel = \"/dev/null\"\n"
                              "virtio_restricted = [ ]\n";

struct trial {
    const char *xl;
    bool version; /* ask for that alone */
    int cfg, out;
};

static int run_xl(void *ctx)
{
    const struct trial *t = ctx;
    char cfg[32];

    snprintf(cfg, sizeof(cfg), "/proc/self/fd/%d", t->cfg);
    if (dup2(t->out, 1) < 0 || dup2(t->out, 2) < 0)
        return 1;
    if (t->version)
        execl(t->xl, "xl", "--version", (char *)NULL);
    else
        execl(t->xl, "xl", "create", "-n", "-q", cfg, (char *)NULL);
    fprintf(stderr, "%s: %s\n", t->xl, strerror(errno));
    return 1;
}

/*
 * Launcher @xl starts an xl that has the plug-in, or none. That it starts one
 * is seen by trying; @text: what was said, or why nothing was.
 */
static bool plugin_answers(const char *xl, bool version, char *text,
                           size_t size)
{
    struct trial t = {.xl = xl, .version = version, .cfg = -1, .out = -1};
    char said[256];
    ssize_t len = 0;
    int rc = -1;

    snprintf(text, size, "no memory to try it");
    t.cfg = memfd_create("cfg", 0);
    t.out = memfd_create("said", MFD_CLOEXEC);
    if (t.cfg < 0 || t.out < 0 ||
        write(t.cfg, dry_run, sizeof(dry_run) - 1) != sizeof(dry_run) - 1)
        goto out;
    rc = proc_bounded(run_xl, &t, XL_SECONDS);
    len = pread(t.out, said, sizeof(said) - 1, 0);
    said[len < 0 ? 0 : len] = '\0';
    if (rc == -ETIMEDOUT)
        snprintf(text, size, "no answer within %d s", XL_SECONDS);
    else if (rc && !said[0])
        snprintf(text, size, "it ends without a word");
    else
        vr_xs_sanitise(text, size, said, strcspn(said, "\n"));
out:
    if (t.cfg >= 0)
        close(t.cfg);
    if (t.out >= 0)
        close(t.out);
    return !rc;
}

static void check_plugin(struct report *r, const char *subject, const char *xl)
{
    char text[256];

    if (plugin_answers(xl, false, text, sizeof(text)) &&
        plugin_answers(xl, true, text, sizeof(text)))
        finding(r, OK, subject, "",
                "%s, the launcher: xl has the plug-in of %s", xl, text);
    else
        finding(r, FAIL, subject,
                "install virtio-restricted again, built for this Xen and for "
                "this xl's architecture",
                "%s, the launcher: xl does not start with the plug-in: %s", xl,
                text);
}

static void check_launcher(struct report *r)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin"};
    char path[VR_PATH_LEN + 1] = "", other[32];
    struct stat st, seen[VR_ARRAY_SIZE(folders) + 1] = {0};
    unsigned int i, k;

    if (!find_xl(path, sizeof(path)))
        finding(r, FAIL, "xl",
                "install xen-utils, and put " VR_SBINDIR " into PATH",
                "none in PATH");
    else if (!is_launcher(path))
        finding(r, FAIL, "xl",
                "this xl ignores virtio_restricted silently: run make install "
                "and put " VR_SBINDIR " before it in PATH",
                "%s, which is not the launcher", path);
    else
        check_plugin(r, "xl", path);
    /* One file often goes by several of these names. */
    if (!stat(path, &st))
        seen[0] = st;
    for (i = 0; i < VR_ARRAY_SIZE(folders); i++) {
        snprintf(other, sizeof(other), "%s/xl", folders[i]);
        if (stat(other, &st) || access(other, X_OK))
            continue;
        seen[i + 1] = st;
        for (k = 0; k <= i; k++)
            if (seen[k].st_ino == st.st_ino && seen[k].st_dev == st.st_dev)
                break;
        if (k <= i)
            continue;
        if (is_launcher(other))
            check_plugin(r, other, other);
        else
            finding(r, WARN, other,
                    "whoever calls this path gets guests without their "
                    "restricted devices: make install-divert",
                    "bypasses the launcher");
    }
}

static void check_files(struct report *r)
{
    static const char *const files[] = {
        VR_LIBEXECDIR "/xl-virtio-restricted.so",
        VR_LIBEXECDIR "/vr-plugin.so",
        VR_LIBEXECDIR "/vr-broker",
    };
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(files); i++) {
        if (access(files[i], R_OK))
            finding(r, FAIL, files[i], "run make install", "%s",
                    strerror(errno));
        else
            finding(r, OK, files[i], "", "there");
    }
}

static void check_user(struct report *r)
{
    if (getpwnam(VR_USER))
        finding(r, OK, "user " VR_USER, "", "exists");
    else
        finding(r, FAIL, "user " VR_USER, VR_USER_REMEDY,
                "missing: brokers cannot run");
}

static void check_records(struct report *r)
{
    char(*uuids)[VR_UUID_LEN + 1] = NULL;
    unsigned int stale = 0, broken = 0;
    xc_interface *xch = NULL;
    struct vr_err err;
    struct guest g;
    int dir, i, n;

    dir = vr_record_dir(VR_RUN_DIR, false, &err);
    if (dir == -ENOENT) {
        finding(r, OK, VR_RUN_DIR, "", "made by the first guest");
        return;
    }
    if (dir < 0) {
        finding(r, FAIL, VR_RUN_DIR,
                "chown root:root and chmod 0700 " VR_RUN_DIR, "%s", err.text);
        return;
    }
    close(dir);
    n = vr_record_list(&uuids);
    if (n > 0)
        xch = xc_interface_open(NULL, NULL, 0);
    for (i = 0; xch && i < n; i++) {
        if (guest_load(xch, uuids[i], &g, &err))
            broken++;
        else if (guest_stale(&g))
            stale++;
    }
    free(uuids);
    if (xch)
        xc_interface_close(xch);
    finding(r, stale || broken ? WARN : OK, VR_RUN_DIR,
            broken ? "vrctl list names the unreadable ones"
                   : "vrctl cleanup --stale",
            "%d guests, %u stale, %u unreadable", n < 0 ? 0 : n, stale, broken);
}

int cmd_check(int argc, char **argv)
{
    bool json = argc == 2 && !strcmp(argv[1], "--json");
    struct report r = {0};

    if (argc > 1 && !json) {
        fprintf(stderr, "usage: vrctl check [--json]\n");
        return EX_USAGE;
    }
    if (json) {
        r.j = json_begin();
        if (!r.j)
            return EX_FAILED;
        json_key(r.j, "findings");
        yajl_gen_array_open(r.j);
    }
    finding(&r, geteuid() ? FAIL : OK, "user", "run this as root", "uid %u",
            geteuid());
    check_nodes(&r);
    /* Without it every call would only fail, and say so at length. */
    if (!access("/dev/xen/privcmd", R_OK | W_OK)) {
        check_hypervisor(&r);
        check_control(&r);
    } else {
        finding(&r, FAIL, "hypervisor",
                "run this as root in the toolstack domain of a Xen host",
                "cannot be asked without /dev/xen/privcmd");
    }
    check_xenstore(&r);
    check_launcher(&r);
    check_files(&r);
    check_user(&r);
    check_records(&r);
    if (r.j) {
        yajl_gen_array_close(r.j);
        json_u64(r.j, "warnings", r.warnings);
        json_u64(r.j, "failures", r.failures);
        json_end(r.j);
    } else {
        printf("check: %u failures, %u warnings\n", r.failures, r.warnings);
    }
    return r.failures ? EX_FAILED : EX_OK;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the hypervisor's texts: capabilities, build options, command line.
 * Pure; libs/xen/hostinfo.c fetches them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hostparse.h"

void vr_hostinfo_caps(struct vr_hostinfo *info, const char *caps)
{
    info->ioreq = VR_UNKNOWN;
    info->hvm = VR_UNKNOWN;
    if (strstr(caps, "aarch64")) {
        snprintf(info->arch, sizeof(info->arch), "arm64");
    } else if (strstr(caps, "x86_64")) {
        snprintf(info->arch, sizeof(info->arch), "x86_64");
        /* Xen names what it can run here and now: built in, and the
         * processor's help switched on. HVM support selects IOREQ_SERVER. */
        info->hvm = strstr(caps, "hvm-3.0-") ? VR_YES : VR_NO;
        if (info->hvm == VR_YES)
            info->ioreq = VR_YES;
    } else {
        snprintf(info->arch, sizeof(info->arch), "unknown");
    }
}

/* The text behind "NAME=" in a .config, or NULL. */
static const char *config_value(const char *config, const char *name)
{
    size_t len = strlen(name);
    const char *line = config;

    while (line && *line) {
        if (!strncmp(line, name, len) && line[len] == '=')
            return line + len + 1;
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return NULL;
}

static bool config_yes(const char *config, const char *name)
{
    const char *v = config_value(config, name);

    return v && v[0] == 'y' && (!v[1] || v[1] == '\n' || v[1] == '\r');
}

/* Is @s, @len bytes long, the word @word? */
static bool is_word(const char *s, size_t len, const char *word)
{
    return strlen(word) == len && !memcmp(s, word, len);
}

static void set_xsm(struct vr_hostinfo *info, const char *name)
{
    snprintf(info->xsm, sizeof(info->xsm), "%s", name);
}

/* xsm= names a module only where it is built in; Xen ignores it otherwise. */
static void parse_xsm(struct vr_hostinfo *info, const char *config,
                      const char *v, size_t len)
{
    if (config && !config_yes(config, "CONFIG_XSM"))
        return;
    if (is_word(v, len, "dummy"))
        set_xsm(info, "dummy");
    else if (is_word(v, len, "silo") &&
             (!config || config_yes(config, "CONFIG_XSM_SILO")))
        set_xsm(info, "silo");
    else if (is_word(v, len, "flask") &&
             (!config || config_yes(config, "CONFIG_XSM_FLASK")))
        set_xsm(info, "flask");
}

static void parse_limit(const char *v, size_t len, uint32_t *out)
{
    char text[16];
    uint64_t n;

    if (len >= sizeof(text))
        return;
    memcpy(text, v, len);
    text[len] = '\0';
    if (!vr_parse_u64(text, UINT32_MAX, &n) && n)
        *out = n;
}

/* Options up to NUL, end of line or a quote; the last of a kind counts. */
static void parse_cmdline(struct vr_hostinfo *info, const char *config,
                          const char *s)
{
    static const char stop[] = " \t\n\"";

    while (*s && *s != '\n' && *s != '"') {
        size_t len = strcspn(s, stop);

        if (!strncmp(s, "xsm=", 4))
            parse_xsm(info, config, s + 4, len - 4);
        else if (!strncmp(s, "gnttab_max_frames=", 18))
            parse_limit(s + 18, len - 18, &info->max_grant_frames);
        else if (!strncmp(s, "gnttab_max_maptrack_frames=", 27))
            parse_limit(s + 27, len - 27, &info->max_maptrack_frames);
        s += len;
        s += strspn(s, " \t");
    }
}

void vr_hostinfo_parse(struct vr_hostinfo *info, const char *config,
                       const char *cmdline)
{
    const char *built_in;

    snprintf(info->cmdline, sizeof(info->cmdline), "%s",
             cmdline ? cmdline : "");
    set_xsm(info, "unknown");
    if (config) {
        info->ioreq =
            config_yes(config, "CONFIG_IOREQ_SERVER") ? VR_YES : VR_NO;
        if (!config_yes(config, "CONFIG_XSM"))
            set_xsm(info, "dummy");
        else if (config_yes(config, "CONFIG_XSM_SILO_DEFAULT"))
            set_xsm(info, "silo");
        else if (config_yes(config, "CONFIG_XSM_FLASK_DEFAULT"))
            set_xsm(info, "flask");
        else
            set_xsm(info, "dummy");
        built_in = config_value(config, "CONFIG_CMDLINE");
        if (built_in && built_in[0] == '"')
            parse_cmdline(info, config, built_in + 1);
        if (config_yes(config, "CONFIG_CMDLINE_OVERRIDE"))
            return;
    }
    parse_cmdline(info, config, info->cmdline);
}

int vr_hostinfo_check(const struct vr_hostinfo *info, struct vr_err *err)
{
    if (info->major < 4 || (info->major == 4 && info->minor < 17)) {
        vr_err_set(err,
                   "this hypervisor is Xen %u.%u: restricted devices need "
                   "Xen 4.17 or later",
                   info->major, info->minor);
        return -ENOTSUP;
    }
    if (info->hvm == VR_NO) {
        vr_err_set(err, "this host runs no HVM guests, which x86 needs for "
                        "restricted devices: switch VT-x or AMD-V on in the "
                        "firmware, and use a hypervisor with CONFIG_HVM=y");
        return -ENOTSUP;
    }
    if (info->ioreq == VR_NO) {
        vr_err_set(err,
                   "this hypervisor was built without ioreq servers "
                   "(CONFIG_IOREQ_SERVER): rebuild it with CONFIG_EXPERT=y and "
                   "CONFIG_IOREQ_SERVER=y (README.md, Install)");
        return -ENOTSUP;
    }
    if (!strcmp(info->xsm, "silo")) {
        vr_err_set(err,
                   "the hypervisor runs XSM SILO, which forbids grants between "
                   "two domUs: boot Xen with xsm=dummy (or xsm=flask with a "
                   "policy)");
        return -ENOTSUP;
    }
    return 0;
}

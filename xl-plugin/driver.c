/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Driver domains: found by name (backend=), or made from an xl.cfg of their
 * own (driver=). Such a file is for xl to parse: the xl we are in prints the
 * config as libxl's JSON, from which libxl makes it again.
 *
 * Called by create.c, first to find them all, then to create those that are
 * made for the guest; build.c notes what becomes of them in the record.
 *
 * The file is read once, at `xl create`. The xl that watches the guest keeps
 * the JSON, and a reboot has the driver domain that was checked then, whatever
 * has become of the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <libxlutil.h>

#include "child.h"
#include "state.h"
#include "libs/base/text.h"

#define JSON_MAX   (1 << 20)
#define SAY_MAX    4096
#define TIMEOUT_MS 20000

/* The last line that says something, as the reason of a failure. */
static const char *last_line(char *text)
{
    size_t len = strlen(text);
    char *nl;

    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        text[--len] = '\0';
    nl = strrchr(text, '\n');
    return nl ? nl + 1 : text;
}

/* xl without the plug-in would drop the key without a word. */
static int check_key(const char *path, unsigned int index, struct vr_err *err)
{
    XLU_Config *cfg;
    FILE *null;
    int r, rc = 0;

    if (access(path, R_OK)) {
        rc = -errno;
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s: %s: name the xl.cfg of "
                   "the driver domain",
                   index, path, strerror(-rc));
        return rc;
    }
    null = fopen("/dev/null", "we");
    cfg = null ? xlu_cfg_init(null, path) : NULL;
    if (!cfg) {
        rc = -ENOMEM;
        vr_err_set(err, "virtio_restricted[%u]: out of memory", index);
        goto out;
    }
    /* A file that cannot be parsed is explained better by xl itself. */
    r = xlu_cfg_readfile(cfg, path);
    if (!r && xlu_cfg_get_list(cfg, VR_NAME, NULL, NULL, 1) != ESRCH) {
        rc = -EINVAL;
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s has virtio_restricted "
                   "itself: a driver domain owns real devices, take the key "
                   "out",
                   index, path);
    }
out:
    if (cfg)
        xlu_cfg_destroy(cfg);
    if (null)
        fclose(null);
    return rc;
}

static int read_json(const char *path, unsigned int index, char *json,
                     struct vr_err *err)
{
    const char *const argv[] = {"xl", "create", "-n", "-q", path, NULL};
    char say[SAY_MAX], xl[PATH_MAX];
    int status = 0, rc;
    ssize_t n = readlink("/proc/self/exe", xl, sizeof(xl) - 1);

    if (n < 0) {
        rc = -errno;
        vr_err_set(err, "virtio_restricted[%u]: /proc/self/exe: %s", index,
                   strerror(-rc));
        return rc;
    }
    xl[n] = '\0';
    rc = vr_child_capture(xl, argv, TIMEOUT_MS, json, JSON_MAX, say,
                          sizeof(say), &status);
    if (!rc && status)
        rc = -EINVAL;
    if (rc)
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s: `xl create -n` refuses "
                   "it: %s: correct the file",
                   index, path, say[0] ? last_line(say) : strerror(-rc));
    return rc;
}

/* The config of device @index's driver domain as JSON, kept in @p. */
static int read_config(struct vr_plugin *p, unsigned int index,
                       struct vr_err *err)
{
    const char *path = p->devs[index].driver;
    char *json = malloc(JSON_MAX), *kept;
    int rc = -ENOMEM;

    vr_err_set(err, "virtio_restricted[%u]: out of memory", index);
    if (!json)
        return rc;
    rc = check_key(path, index, err);
    if (!rc)
        rc = read_json(path, index, json, err);
    if (rc)
        goto out;
    kept = strdup(json);
    if (!kept) {
        rc = -ENOMEM;
        goto out;
    }
    free(p->driver_json[index]);
    p->driver_json[index] = kept;
out:
    free(json);
    return rc;
}

static int parse_config(const struct vr_plugin *p, libxl_ctx *ctx,
                        unsigned int index, libxl_domain_config *config,
                        struct vr_err *err)
{
    const char *path = p->devs[index].driver, *json = p->driver_json[index];
    int rc;

    if (json[0] != '{') {
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s: xl prints no JSON for "
                   "it: take output_format= out of xl.conf",
                   index, path);
        return -EINVAL;
    }
    if (libxl_domain_config_from_json(ctx, config, json)) {
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s: libxl cannot read its "
                   "own JSON of it (see the lines above): if the file has "
                   "text that is not ASCII, save it as UTF-8",
                   index, path);
        return -EINVAL;
    }
    /* By transitive grants, which version 2 has, other domains could go on
     * using the guest's pages in its name, even when it is dead. */
    config->b_info.max_grant_version = 1;
    /* libxl would say so too, but only after xenstore and the broker know. */
    if (config->b_info.kernel && !config->b_info.bootloader &&
        access(config->b_info.kernel, R_OK)) {
        rc = -errno;
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s has kernel=%s: %s: "
                   "correct the path",
                   index, path, config->b_info.kernel, strerror(-rc));
        return rc;
    }
    return 0;
}

/* No domain has a driver domain's name, and none that will be made either. */
static int check_name_free(const struct vr_plan *plan, libxl_ctx *ctx,
                           unsigned int index, const char *name,
                           struct vr_err *err)
{
    uint32_t other;
    unsigned int i;

    if (!libxl_name_to_domid(ctx, name, &other)) {
        vr_err_set(err,
                   "virtio_restricted[%u]: a domain named %s exists already "
                   "(domid %" PRIu32 "): destroy it, or change name= in %s",
                   index, name, other, plan->rec.devs[index].cfg.driver);
        return -EEXIST;
    }
    for (i = 0; i < plan->rec.ndrivers; i++) {
        if (strcmp(plan->rec.drivers[i].name, name))
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s makes a domain %s as %s "
                   "does: change name= in one of them",
                   index, plan->rec.devs[index].cfg.driver, name,
                   plan->rec.drivers[i].config);
        return -EEXIST;
    }
    return 0;
}

static int name_owned(struct vr_plan *plan, libxl_ctx *ctx, unsigned int index,
                      libxl_domain_config *config, struct vr_record_driver *d,
                      struct vr_err *err)
{
    char *name;
    int r;

    /* Now: a driver domain takes long, and would be made in vain. */
    r = vr_check_unused(ctx, plan->rec.name, err);
    if (r)
        return r;
    if (!strcmp(config->c_info.name, plan->rec.name)) {
        vr_err_set(err,
                   "virtio_restricted[%u]: driver=%s has the guest's own "
                   "name=%s: change one of them",
                   index, plan->rec.devs[index].cfg.driver, plan->rec.name);
        return -EEXIST;
    }

    r = asprintf(&name, "%s-%s", plan->rec.name, config->c_info.name);
    if (r < 0) {
        vr_err_set(err, "virtio_restricted[%u]: out of memory", index);
        return -ENOMEM;
    }
    /* libxl frees it with the config. */
    free(config->c_info.name);
    config->c_info.name = name;
    if (r > VR_NAME_LEN) {
        vr_err_set(err,
                   "virtio_restricted[%u]: driver domain's name %.60s... is "
                   "longer than %d characters: shorten name= of one of the "
                   "two",
                   index, name, VR_NAME_LEN);
        return -EINVAL;
    }
    r = check_name_free(plan, ctx, index, name, err);
    if (r)
        return r;
    libxl_uuid_generate(&config->c_info.uuid);
    strcpy(d->name, name);
    vr_uuid_text(&config->c_info.uuid, d->uuid);
    strcpy(d->config, plan->rec.devs[index].cfg.driver);
    d->domid = VR_DOMID_NONE;
    d->owned = true;
    return 0;
}

static int find_running(struct vr_plan *plan, libxl_ctx *ctx,
                        unsigned int index, struct vr_record_driver *d,
                        struct vr_err *err)
{
    const char *wanted = plan->rec.devs[index].cfg.backend, *shown;
    libxl_dominfo info;
    char *name = NULL;
    int rc = 0;

    libxl_dominfo_init(&info);
    if (libxl_domain_qualifier_to_domid(ctx, wanted, &d->domid) ||
        libxl_domain_info(ctx, &info, d->domid)) {
        vr_err_set(err,
                   "virtio_restricted[%u]: backend=%s: no such domain: start "
                   "it, or use driver= to have one created",
                   index, wanted);
        rc = -ENOENT;
        goto out;
    }
    if (!d->domid) {
        vr_err_set(err,
                   "virtio_restricted[%u]: backend=%s is the toolstack domain, "
                   "which reaches all memory anyway: name a driver domain",
                   index, wanted);
        rc = -EINVAL;
        goto out;
    }
    if (info.shutdown || info.dying || info.paused) {
        vr_err_set(err,
                   "virtio_restricted[%u]: backend=%s is %s: let it run "
                   "before its guest starts",
                   index, wanted,
                   info.dying    ? "dying"
                   : info.paused ? "paused"
                                 : "shut down");
        rc = -EINVAL;
        goto out;
    }
    name = libxl_domid_to_name(ctx, d->domid);
    /* The stock xl takes any bytes for a name. */
    shown = name ? name : wanted;
    vr_name_clean(d->name, sizeof(d->name), shown, strlen(shown));
    vr_uuid_text(&info.uuid, d->uuid);
out:
    free(name);
    libxl_dominfo_dispose(&info);
    return rc;
}

/* A driver that an earlier device of this guest has, too. */
static bool find_known(const struct vr_record *rec, unsigned int index,
                       unsigned int *driver)
{
    const struct vr_dev_cfg *c = &rec->devs[index].cfg;
    unsigned int i;

    for (i = 0; i < index; i++) {
        const struct vr_dev_cfg *e = &rec->devs[i].cfg;

        if (!strcmp(c->driver, e->driver) && !strcmp(c->backend, e->backend)) {
            *driver = rec->devs[i].driver;
            return true;
        }
    }
    return false;
}

/*
 * backend= names a running domain by name or by domid, so an earlier device may
 * have named the same domain in the other way. Then its entry is used, and the
 * one that find_running() has just filled, drivers[ndrivers], is dropped. That
 * both devices may have the same target could not be seen by comparing the
 * texts (vr_cfg_check_all()), so it is checked here.
 */
static int find_running_again(struct vr_record *rec, unsigned int index,
                              unsigned int *driver, struct vr_err *err)
{
    const struct vr_dev_cfg *c = &rec->devs[index].cfg;
    const struct vr_type_spec *spec = vr_type_spec(c->type);
    char about[VR_ABOUT_LEN];
    unsigned int i;

    for (*driver = 0; *driver < rec->ndrivers; (*driver)++) {
        if (rec->drivers[*driver].domid == rec->drivers[rec->ndrivers].domid)
            break;
    }
    for (i = 0; *driver < rec->ndrivers && i < index; i++) {
        const struct vr_dev_cfg *e = &rec->devs[i].cfg;

        if (rec->devs[i].driver != *driver || !vr_type_clash(c, e))
            continue;
        vr_err_set(err,
                   "virtio_restricted[%u]: %s is used by "
                   "virtio_restricted[%u] as well, backend=%s being %s: give "
                   "each device its own%s%s",
                   index, vr_type_about(c, about), i, e->backend, c->backend,
                   spec->remedy ? ", or " : "",
                   spec->remedy ? spec->remedy : "");
        return -EBUSY;
    }
    return 0;
}

int vr_find_drivers(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                    struct vr_err *err)
{
    struct vr_record *rec = &plan->rec;
    unsigned int i;
    int rc = 0;

    for (i = 0; i < rec->ndevs; i++) {
        struct vr_record_driver *d = &rec->drivers[rec->ndrivers];
        libxl_domain_config *config = &plan->driver_config[rec->ndrivers];

        if (find_known(rec, i, &rec->devs[i].driver))
            continue;
        rec->devs[i].driver = rec->ndrivers;
        if (rec->devs[i].cfg.driver[0]) {
            if (!p->created)
                rc = read_config(p, i, err);
            if (!rc)
                rc = parse_config(p, ctx, i, config, err);
            if (!rc)
                rc = name_owned(plan, ctx, i, config, d, err);
        } else {
            rc = find_running(plan, ctx, i, d, err);
            if (!rc)
                rc = find_running_again(rec, i, &rec->devs[i].driver, err);
        }
        if (rc)
            return rc;
        if (rec->devs[i].driver == rec->ndrivers)
            rec->ndrivers++;
    }
    return 0;
}

int vr_driver_made(struct vr_plan *plan, unsigned int driver, uint32_t domid,
                   struct vr_err *err)
{
    struct vr_record_driver *d = &plan->rec.drivers[driver];
    int rc;

    /* Another domain that comes with it would be its stub domain. */
    if (d->domid != VR_DOMID_NONE)
        return 0;
    d->domid = domid;
    rc = vr_ours(vr_record_save(&plan->rec, err), err);
    if (rc)
        d->domid = VR_DOMID_NONE;
    return rc;
}

static int create_one(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                      unsigned int i, struct vr_err *err)
{
    struct vr_record_driver *d = &plan->rec.drivers[i];
    uint32_t domid = INVALID_DOMID;
    int r, rc;

    p->plan = plan;
    p->driver = i;
    r = p->real->create_new(ctx, &plan->driver_config[i], &domid, NULL, NULL);
    p->plan = NULL;
    if (r) {
        vr_err_set(err,
                   "virtio_restricted: driver domain %s (%s) cannot be "
                   "created: see the lines above",
                   d->name, d->config);
        return -EIO;
    }
    rc = vr_driver_made(plan, i, domid, err);
    if (rc)
        return rc;
    if (p->real->unpause(ctx, domid, NULL)) {
        vr_err_set(err,
                   "virtio_restricted: driver domain %s cannot be unpaused: "
                   "see the lines above",
                   d->name);
        return -EIO;
    }
    return 0;
}

int vr_create_drivers(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                      struct vr_err *err)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; !rc && i < plan->rec.ndrivers; i++) {
        if (plan->rec.drivers[i].owned)
            rc = create_one(p, plan, ctx, i, err);
    }
    return rc;
}

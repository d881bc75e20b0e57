/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl create` of a guest with restricted devices:
 *
 *   1. everything is checked; nothing exists yet
 *   2. the record is written, the broker started: from here on, when xl dies,
 *      the broker undoes what the record names
 *   3. driver domains are created and started; they boot while
 *   4. libxl builds the guest, with our hooks inside; as soon as its memory
 *      is there the broker begins to serve, so that the backends connect while
 *      libxl goes on. Nothing is granted before the guest's driver starts a
 *      device: the broker does it then
 *   5. the broker answers when every backend is connected; xl's lock is free
 *      meanwhile (xllock.h), so that others can be created
 *
 * xl then unpauses the guest, which commits; what fails is undone (finish.c).
 * Called by the hook alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "child.h"
#include "libs/proto/link.h"
#include "state.h"
#include "libs/base/text.h"
#include "xllock.h"

#define PREPARE_MS 10000 /* the broker opens its handles */
#define MARGIN_MS  15000 /* beyond the backend's own timeout= */

static void init_record(const struct vr_plugin *p, struct vr_record *rec,
                        const libxl_domain_config *d_config)
{
    unsigned int i;

    rec->phase = VR_PHASE_CREATING;
    snprintf(rec->name, sizeof(rec->name), "%s", d_config->c_info.name);
    vr_uuid_text(&d_config->c_info.uuid, rec->uuid);
    rec->domid = VR_DOMID_NONE;
    rec->vcpus = d_config->b_info.max_vcpus;
    rec->creator = getpid();
    rec->creator_start = vr_proc_start(rec->creator);
    rec->ndevs = p->ndevs;
    for (i = 0; i < p->ndevs; i++) {
        const struct vr_type_spec *spec = vr_type_spec(p->devs[i].type);

        rec->devs[i].cfg = p->devs[i];
        if (spec && spec->complete)
            spec->complete(&rec->devs[i].cfg, rec->uuid);
    }
}

/*
 * Xen lets two domains have one uuid, but records, and what is destroyed by
 * them, go by it. One that is dying already is this guest's last life.
 */
static int check_uuid(libxl_ctx *ctx, const char *uuid, struct vr_err *err)
{
    char text[VR_UUID_LEN + 1];
    libxl_dominfo *list;
    int i, n = 0, rc = 0;

    list = libxl_list_domain(ctx, &n);
    if (!list) {
        vr_err_set(err, "virtio_restricted: libxl cannot list the domains: "
                        "see the lines above");
        return -EIO;
    }
    for (i = 0; !rc && i < n; i++) {
        if (list[i].dying || strcmp(vr_uuid_text(&list[i].uuid, text), uuid))
            continue;
        vr_err_set(err,
                   "virtio_restricted: uuid %s is that of domain %" PRIu32
                   " already: destroy it, or change uuid=",
                   uuid, list[i].domid);
        rc = -EEXIST;
    }
    libxl_dominfo_list_free(list, n);
    return rc;
}

/*
 * Step 1. Whether the guest's name is taken is not looked up, which
 * would take a question to xenstore for each domain there is. libxl looks
 * before it makes the domain; only a broker has been started in vain then.
 */
static int check_all(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                     libxl_domain_config *d_config, struct vr_err *err)
{
    struct vr_record *rec = &plan->rec;
    int rc;

    rc = vr_check_guest(p, d_config, err);
    if (!rc)
        rc = vr_check_user(err);
    if (rc)
        return rc;
    rc = vr_ours(vr_hostinfo_read(&plan->host, err), err);
    if (!rc)
        rc = vr_ours(vr_hostinfo_check(&plan->host, err), err);
    if (rc)
        return rc;
    init_record(p, rec, d_config);
    /* First: what is left of an earlier attempt has this name and uuid. */
    rc = vr_others_read(plan, ctx, err);
    if (rc)
        return rc;
    rc = check_uuid(ctx, rec->uuid, err);
    if (rc)
        return rc;
    rc = vr_find_drivers(p, plan, ctx, err);
    /* A guest that reboots is one of those that are waited for. */
    if (!rc && !p->created)
        rc = vr_order_check(rec, err);
    if (!rc)
        rc = vr_others_dead(rec, err);
    if (!rc)
        rc = vr_check_grants(p, plan, d_config, err);
    if (!rc)
        rc = vr_arch_memory(plan, ctx, d_config, err);
    if (!rc)
        rc = vr_others_check(plan, err);
    return rc;
}

/*
 * The broker's verdict on the message that vr_link_send() sent with result
 * @rc: one that could not start says why before it closes the link.
 */
static int verdict(const struct vr_record *rec, int fd, int rc,
                   unsigned int timeout_ms, struct vr_err *err)
{
    char text[VR_LINK_MAX + 1], log[VR_LOG_PATH], answer = 0;

    if (!rc || rc == -EPIPE)
        rc = vr_link_recv(fd, timeout_ms, &answer, text);
    if (!rc && answer == 'O')
        return 0;
    if (!rc && answer == 'E') {
        vr_err_set(err, "virtio_restricted: %s", text);
        return -EIO;
    }
    if (rc == -ETIMEDOUT)
        vr_err_set(err,
                   "virtio_restricted: no answer from the broker within %u s: "
                   "look at %s",
                   timeout_ms / 1000, vr_log_path(log, rec->name));
    else if (rc == -EPIPE)
        vr_err_set(err, "virtio_restricted: the broker ended: look at %s",
                   vr_log_path(log, rec->name));
    else
        vr_err_set(err,
                   "virtio_restricted: the broker cannot be understood (%s): "
                   "install virtio-restricted again",
                   rc ? strerror(-rc) : "unknown message");
    return rc ? rc : -EPROTO;
}

/* Step 2. @fd: -1 on failure; then nothing is left either. */
static int start_broker(struct vr_record *rec, int *fd, struct vr_err *err)
{
    char uuid[VR_UUID_LEN + 1];
    int rc = vr_ours(vr_record_save(rec, err), err);

    if (rc)
        return rc;
    strcpy(uuid, rec->uuid);
    rc = vr_ours(vr_child_broker(uuid, fd, err), err);
    if (!rc)
        rc = verdict(rec, *fd, vr_link_send(*fd, 'P', uuid), PREPARE_MS, err);
    /* It has written its own pid. */
    if (!rc)
        rc = vr_ours(vr_record_load(uuid, rec, err), err);
    if (!rc)
        return 0;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    vr_record_remove(uuid);
    return rc;
}

static int store_record(const struct vr_record *rec, libxl_ctx *ctx,
                        struct vr_err *err)
{
    char *json = NULL;
    int r, rc;

    rc = vr_record_to_json(rec, &json);
    if (rc) {
        vr_err_set(err, "virtio_restricted: cannot write the record: %s",
                   strerror(-rc));
        return rc;
    }
    r = libxl_userdata_store(ctx, rec->domid, "virtio-restricted",
                             (const uint8_t *)json, strlen(json));
    free(json);
    if (r) {
        vr_err_set(err, "virtio_restricted: libxl cannot store the record: "
                        "see the lines above");
        return -EIO;
    }
    return 0;
}

static unsigned int longest_wait(const struct vr_record *rec)
{
    unsigned int i, s = 0;

    for (i = 0; i < rec->ndevs; i++)
        s = rec->devs[i].cfg.timeout > s ? rec->devs[i].cfg.timeout : s;
    return s * 1000 + MARGIN_MS;
}

static struct vr_plan *new_plan(void)
{
    struct vr_plan *plan = calloc(1, sizeof(*plan));
    unsigned int i;

    for (i = 0; plan && i < VR_MAX_DEVICES; i++)
        libxl_domain_config_init(&plan->driver_config[i]);
    return plan;
}

static void free_plan(struct vr_plan *plan)
{
    unsigned int i;

    for (i = 0; plan && i < VR_MAX_DEVICES; i++)
        libxl_domain_config_dispose(&plan->driver_config[i]);
    if (plan)
        free(plan->others.dev);
    free(plan);
}

/*
 * A guest whose memory was changed (`xl mem-set`, `xl mem-max`) reboots with
 * memory= below maxmem=. With a pool there is no populating on demand, and a
 * guest that is refused now is gone: it begins with what it had, and no more.
 */
static void settle_memory(const struct vr_plugin *p,
                          libxl_domain_config *d_config)
{
    libxl_domain_build_info *b_info = &d_config->b_info;

    if (!p->created || !vr_any_pool(p->devs, p->ndevs) ||
        b_info->target_memkb >= b_info->max_memkb)
        return;
    vr_say("virtio_restricted: guest %s reboots with the %" PRIu64 " MiB that "
           "`xl mem-set` has left it; for more, create it again",
           d_config->c_info.name, b_info->target_memkb >> 10);
    b_info->max_memkb = b_info->target_memkb;
}

int vr_create(struct vr_plugin *p, libxl_ctx *ctx,
              libxl_domain_config *d_config, uint32_t *domid,
              const void *console_how)
{
    struct vr_plan *plan = new_plan();
    struct vr_err err = {"virtio_restricted: out of memory"};
    int fd = -1, rc = -ENOMEM;

    settle_memory(p, d_config);
    if (plan)
        rc = check_all(p, plan, ctx, d_config, &err);
    if (!rc)
        rc = start_broker(&plan->rec, &fd, &err);
    if (!rc)
        rc = vr_create_drivers(p, plan, ctx, &err);
    if (!rc)
        rc = vr_build_guest(p, &plan->rec, ctx, d_config, domid, console_how,
                            fd, &err);
    if (!rc)
        rc = store_record(&plan->rec, ctx, &err);
    /* The guest has its memory, or does not need it any more. */
    vr_xllock_drop();
    if (!rc)
        rc = verdict(&plan->rec, fd, 0, longest_wait(&plan->rec), &err);
    if (rc) {
        vr_say("%s", err.text);
        if (fd >= 0)
            vr_undo(p, plan, ctx, fd);
        *domid = INVALID_DOMID;
        rc = ERROR_FAIL;
    } else {
        p->pending.fd = fd;
        p->pending.owner = getpid();
        p->pending.domid = *domid;
        strcpy(p->pending.uuid, plan->rec.uuid);
        p->created = true;
    }
    free_plan(plan);
    return rc;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a creation ends, and a guest: the broker is told that the guest is
 * accepted, or everything is undone, or the driver domains are brought to let
 * go of a guest that goes. Called by create.c and by the hooks (plugin.c);
 * talks to the broker, runs vrctl, destroys what the creation has made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "libs/proto/link.h"
#include "state.h"

#define COMMIT_MS 5000
#define UNDO_MS   120000

/* xl create -p: the xl that was started and the one that stays to watch the
 * guest both have the link, and either may be the first to commit. */
static bool committed(const char *uuid)
{
    struct vr_record *rec = malloc(sizeof(*rec));
    bool yes = rec && !vr_record_load(uuid, rec, NULL) &&
               rec->phase == VR_PHASE_RUNNING && rec->broker_start &&
               vr_proc_start(rec->broker) == rec->broker_start;

    free(rec);
    return yes;
}

void vr_commit(struct vr_plugin *p)
{
    char text[VR_LINK_MAX + 1], answer = 0;
    int rc;

    if (p->pending.fd < 0)
        return;
    rc = vr_link_send(p->pending.fd, 'C', "");
    if (!rc)
        rc = vr_link_recv(p->pending.fd, COMMIT_MS, &answer, text);
    if ((rc || answer != 'O') && !committed(p->pending.uuid))
        vr_say("virtio_restricted: the broker has ended: the guest's devices "
               "do not work, see `vrctl list`");
    close(p->pending.fd);
    p->pending.fd = -1;
}

/* Waits until the record is gone, or nobody works on it any more. */
static bool undone_by_broker(const char *uuid, struct vr_record *rec)
{
    const struct timespec nap = {.tv_nsec = 50 * 1000000};
    uint64_t deadline = vr_now_ms() + UNDO_MS;
    char path[VR_PATH_LEN + 1];

    vr_record_path(uuid, path);
    while (vr_now_ms() < deadline) {
        if (access(path, F_OK) && errno == ENOENT)
            return true;
        if (!vr_record_load(uuid, rec, NULL) &&
            !vr_alive(rec->broker, rec->broker_start))
            return access(path, F_OK) && errno == ENOENT;
        nanosleep(&nap, NULL);
    }
    return false;
}

void vr_undo(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx, int fd)
{
    struct vr_record *rec = &plan->rec, *now = malloc(sizeof(*now));
    struct vr_err err;
    unsigned int i;

    vr_link_send(fd, 'A', "");
    if (!now || !undone_by_broker(rec->uuid, now)) {
        if (vr_child_cleanup(rec->uuid, true, &err))
            vr_say("virtio_restricted: %s", err.text);
    }
    close(fd);
    free(now);
    for (i = 0; i < rec->ndrivers; i++) {
        const struct vr_record_driver *d = &rec->drivers[i];

        if (d->owned && vr_domain_exists(ctx, d->domid, d->uuid))
            p->real->destroy(ctx, d->domid, NULL);
    }
    if (vr_domain_exists(ctx, rec->domid, rec->uuid))
        p->real->destroy(ctx, rec->domid, NULL);
}

int vr_clean_up(const char *uuid)
{
    struct vr_err err;
    int rc = vr_child_cleanup(uuid, false, &err);

    if (rc)
        vr_say("virtio_restricted: %s", err.text);
    return rc;
}

void vr_release(struct vr_plugin *p, libxl_ctx *ctx, uint32_t domid,
                char left[VR_UUID_LEN + 1])
{
    struct vr_record *rec = malloc(sizeof(*rec));

    left[0] = '\0';
    if (rec && !vr_find_record(ctx, domid, rec) && vr_clean_up(rec->uuid))
        memcpy(left, rec->uuid, VR_UUID_LEN + 1);
    free(rec);
    if (p->pending.fd >= 0 && domid == p->pending.domid) {
        close(p->pending.fd);
        p->pending.fd = -1;
    }
}

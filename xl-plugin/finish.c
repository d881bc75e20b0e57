/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a creation ends, and a guest: the broker is told that the guest is
 * accepted, or the driver domains are brought to let go of it. Called by the
 * hooks (plugin.c); talks to the broker and runs vrctl.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "libs/proto/link.h"
#include "state.h"

#define COMMIT_MS 5000

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

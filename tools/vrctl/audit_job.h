/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl audit: what audit.c has found out, for audit_print.c to tell. */
#ifndef VRCTL_AUDIT_JOB_H
#define VRCTL_AUDIT_JOB_H

#include "libs/host/audit.h"
#include "vrctl.h"

struct job {
    xc_interface *xch;
    struct xs_handle *xs;
    uint32_t domid;
    char name[VR_NAME_LEN + 1];
    bool has_rec;
    struct guest g;
    struct vr_audit_window win[VR_AUDIT_WINDOWS];
    unsigned int dev[VR_AUDIT_WINDOWS]; /* the device that has it */
    unsigned int nwin;
    struct vr_gntent *copy;
    uint32_t n;
    struct vr_pools *pools;                  /* NULL: none was granted */
    enum vr_pool_state pool[VR_MAX_DEVICES]; /* of the table's instant */
    struct vr_maps *maps; /* NULL: no dynamic device, or see why_not */
    uint64_t *bits;       /* a copy of its bits, of the table's instant */
    const char *why_not;  /* why dynamic windows are not compared with it */
    struct vr_audit result;
};

/* audit_print.c */
void audit_print(const struct job *job); /* for people */
void audit_json(const struct job *job);

#endif /* VRCTL_AUDIT_JOB_H */

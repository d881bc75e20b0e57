/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be told about a hypervisor from the texts that describe it. Pure;
 * tools/libs/xen/hostinfo.c fetches the texts.
 */
#ifndef VR_HOSTPARSE_H
#define VR_HOSTPARSE_H

#include "libs/base/vr.h"

enum vr_tri { VR_NO = 0, VR_YES = 1, VR_UNKNOWN = 2 };

struct vr_hostinfo {
    char arch[16]; /* "arm64", "x86_64" */
    unsigned int major, minor;
    char extra[64];
    char cmdline[1024];
    enum vr_tri ioreq;            /* CONFIG_IOREQ_SERVER */
    enum vr_tri hvm;              /* x86: HVM guests; Arm: VR_UNKNOWN */
    char xsm[16];                 /* "dummy", "silo", "flask", "unknown" */
    uint32_t max_grant_frames;    /* gnttab_max_frames; 0: unknown */
    uint32_t max_maptrack_frames; /* 0: unknown */
};

/** vr_hostinfo_caps() - arch, and what follows from it, from Xen's
 * capabilities ("xen-3.0-aarch64 ..."). Call before vr_hostinfo_parse(). */
void vr_hostinfo_caps(struct vr_hostinfo *info, const char *caps);

/**
 * vr_hostinfo_check() - can this host serve restricted devices at all?
 * Returns 0, or -ENOTSUP with @err: what is missing and the remedy.
 */
int vr_hostinfo_check(const struct vr_hostinfo *info, struct vr_err *err);

/** vr_hostinfo_parse() - what a .config text and a command line say. */
void vr_hostinfo_parse(struct vr_hostinfo *info, const char *config,
                       const char *cmdline);

#endif /* VR_HOSTPARSE_H */

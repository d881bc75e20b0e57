/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be told about a hypervisor from the texts that describe it. Pure;
 * tools/libs/xen/hostinfo.c fetches the texts.
 */
#ifndef VR_HOSTPARSE_H
#define VR_HOSTPARSE_H

#include "xen/hostinfo.h"

/** vr_hostinfo_caps() - arch, and what follows from it, from Xen's
 * capabilities ("xen-3.0-aarch64 ..."). Call before vr_hostinfo_parse(). */
void vr_hostinfo_caps(struct vr_hostinfo *info, const char *caps);

#endif /* VR_HOSTPARSE_H */

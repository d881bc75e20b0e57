/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host's hypervisor can do, found without creating a domain: from
 * its version, its command line and hypfs (buildinfo/config, params/).
 */
#ifndef VR_HOSTINFO_H
#define VR_HOSTINFO_H

#include "libs/host/hostparse.h"

/** vr_hostinfo_read() - 0, or -errno with @err (not on Xen, not root). */
int vr_hostinfo_read(struct vr_hostinfo *info, struct vr_err *err);

#endif /* VR_HOSTINFO_H */

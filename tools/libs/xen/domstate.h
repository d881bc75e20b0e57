/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a domain is, from what the hypervisor answers. */
#ifndef VR_XEN_DOMSTATE_H
#define VR_XEN_DOMSTATE_H

#include <xenctrl.h>

#include "libs/proto/devstate.h"

static inline enum vr_domstate vr_domain_state(const xc_domaininfo_t *info)
{
    unsigned int why =
        (info->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;

    if (info->flags & XEN_DOMINF_dying)
        return VR_DOM_DYING;
    if (!(info->flags & XEN_DOMINF_shutdown))
        return info->flags & XEN_DOMINF_paused ? VR_DOM_PAUSED : VR_DOM_RUNNING;
    switch (why) {
    case SHUTDOWN_reboot:
        return VR_DOM_REBOOTING;
    case SHUTDOWN_suspend:
        return VR_DOM_SUSPENDED;
    case SHUTDOWN_crash:
        return VR_DOM_CRASHED;
    default:
        return VR_DOM_SHUTDOWN;
    }
}

#endif /* VR_XEN_DOMSTATE_H */

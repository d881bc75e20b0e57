/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What differs between the Xen versions we build against (4.17 to 4.20), and
 * nothing else. The version is the headers' one, as in Xen's own code.
 */
#ifndef VR_COMPAT_H
#define VR_COMPAT_H

#include <errno.h>
#include <stdint.h>

#include <xenctrl.h>

/**
 * vr_domain_info() - state of exactly the domain @domid.
 *
 * Xen's getinfolist answers with the next domain when @domid does not exist;
 * xc_domain_getinfo_single(), which checks that, came with 4.18.
 * Returns 0, -ESRCH (no such domain) or -errno.
 */
static inline int vr_domain_info(xc_interface *xch, uint32_t domid,
                                 xc_domaininfo_t *info)
{
    int r = xc_domain_getinfolist(xch, domid, 1, info);

    if (r < 0)
        return -errno;
    if (r != 1 || info->domain != domid)
        return -ESRCH;
    return 0;
}

/*
 * vr_num_virtios() - the guest's generic virtio devices (`virtio=` in xl.cfg).
 * They came with 4.18 and no macro of their own; this one came along. Include
 * <libxl.h> before this file to use it.
 */
#ifdef LIBXL_HAVE_DT_OVERLAY
#define vr_num_virtios(d_config) ((unsigned int)(d_config)->num_virtios)
#else
#define vr_num_virtios(d_config) 0u
#endif

#endif /* VR_COMPAT_H */

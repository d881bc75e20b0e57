/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* x86 guests are refused before anything is made, so that the other hooks
 * have nothing to do. */
#if defined(__x86_64__) || defined(__i386__)
#include <errno.h>

#include "state.h"

int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *err)
{
    (void)d_config;
    (void)devs;
    vr_err_set(err,
               "virtio_restricted: %u devices for an x86 guest, which has no "
               "device tree to announce them: use an Arm host, or take the "
               "key out",
               n);
    return -ENOTSUP;
}

int vr_arch_memory(const struct vr_plan *plan, libxl_ctx *ctx,
                   const libxl_domain_config *d_config, struct vr_err *err)
{
    (void)plan;
    (void)ctx;
    (void)d_config;
    (void)err;
    return -ENOTSUP;
}

void vr_arch_domain(struct xen_domctl_createdomain *config)
{
    (void)config;
}

int vr_arch_devicetree(struct vr_build *b, const void *mem, size_t size,
                       size_t *new_size, struct vr_err *err)
{
    (void)b;
    (void)mem;
    (void)size;
    (void)new_size;
    (void)err;
    return -ENOTSUP;
}

int vr_arch_place(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    (void)b;
    (void)dom;
    (void)err;
    return -ENOTSUP;
}

int vr_arch_image(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err)
{
    (void)b;
    (void)dom;
    (void)err;
    return -ENOTSUP;
}

#endif

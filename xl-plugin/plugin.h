/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the two halves of the plug-in. preload.c is loaded into every
 * process below `xl`, links libc alone and only forwards; vr-plugin.so does
 * the work and is opened when a config has the key `virtio_restricted` or a
 * guest that has such devices is touched.
 *
 * The prototypes are those of Xen 4.17 to 4.20 with tags instead of typedefs,
 * so that preload.c needs none of Xen's headers. void stands for structures
 * that have no tag.
 */
#ifndef VR_PLUGIN_H
#define VR_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

struct XLU_Config;
struct libxl__ctx;
struct libxl_domain_config;
struct libxl_domain_create_info;
struct libxl_domain_remus_info;
struct libxl_device_disk;
struct libxl_device_nic;
struct libxl_device_pci;
struct libxl__evgen_domain_death;
struct xc_interface_core;
struct xc_dom_image;
struct xen_domctl_createdomain;

/* libxl_uuid, which is passed by value. */
struct vr_libxl_uuid {
    uint8_t uuid[16];
};

/* The functions that xl calls and we replace; from xc_create on, libxl is their
 * caller. */
struct vr_calls {
    int (*cfg_readdata)(struct XLU_Config *cfg, const char *data, int length);
    int (*create_new)(struct libxl__ctx *ctx, struct libxl_domain_config *cfg,
                      uint32_t *domid, const void *ao_how,
                      const void *console_how);
    int (*create_restore)(struct libxl__ctx *ctx,
                          struct libxl_domain_config *cfg, uint32_t *domid,
                          int restore_fd, int send_back_fd, const void *params,
                          const void *ao_how, const void *console_how);
    int (*soft_reset)(struct libxl__ctx *ctx, struct libxl_domain_config *cfg,
                      uint32_t domid, const void *ao_how,
                      const void *console_how);
    int (*suspend)(struct libxl__ctx *ctx, uint32_t domid, int fd, int flags,
                   const void *ao_how);
    int (*suspend_only)(struct libxl__ctx *ctx, uint32_t domid,
                        const void *ao_how);
    int (*remus_start)(struct libxl__ctx *ctx,
                       struct libxl_domain_remus_info *info, uint32_t domid,
                       int send_fd, int recv_fd, const void *ao_how);
    int (*shutdown)(struct libxl__ctx *ctx, uint32_t domid, const void *ao_how);
    int (*reboot)(struct libxl__ctx *ctx, uint32_t domid, const void *ao_how);
    int (*trigger)(struct libxl__ctx *ctx, uint32_t domid, int trigger,
                   uint32_t vcpuid, const void *ao_how);
    int (*sysrq)(struct libxl__ctx *ctx, uint32_t domid, char sysrq);
    int (*unpause)(struct libxl__ctx *ctx, uint32_t domid, const void *ao_how);
    int (*destroy)(struct libxl__ctx *ctx, uint32_t domid, const void *ao_how);
    int (*preserve)(struct libxl__ctx *ctx, uint32_t domid,
                    struct libxl_domain_create_info *info, const char *suffix,
                    struct vr_libxl_uuid uuid);
    int (*disk_add)(struct libxl__ctx *ctx, uint32_t domid,
                    struct libxl_device_disk *disk, const void *ao_how);
    int (*disk_remove)(struct libxl__ctx *ctx, uint32_t domid,
                       struct libxl_device_disk *disk, const void *ao_how);
    int (*nic_add)(struct libxl__ctx *ctx, uint32_t domid,
                   struct libxl_device_nic *nic, const void *ao_how);
    int (*pci_add)(struct libxl__ctx *ctx, uint32_t domid,
                   struct libxl_device_pci *pci, const void *ao_how);
    int (*pci_remove)(struct libxl__ctx *ctx, uint32_t domid,
                      struct libxl_device_pci *pci, const void *ao_how);
    int (*await_death)(struct libxl__ctx *ctx, uint32_t domid, uint64_t user,
                       struct libxl__evgen_domain_death **evgen);
    int (*xc_create)(struct xc_interface_core *xch, uint32_t *domid,
                     struct xen_domctl_createdomain *config);
    int (*dom_devicetree)(struct xc_dom_image *dom, const void *mem,
                          size_t size);
    int (*dom_mem_init)(struct xc_dom_image *dom);
    int (*dom_build)(struct xc_dom_image *dom);
};

/* Which function each of them stands for: HOOK(member, symbol). */
#define VR_HOOKS(HOOK)                                                         \
    HOOK(cfg_readdata, "xlu_cfg_readdata")                                     \
    HOOK(create_new, "libxl_domain_create_new")                                \
    HOOK(create_restore, "libxl_domain_create_restore")                        \
    HOOK(soft_reset, "libxl_domain_soft_reset")                                \
    HOOK(suspend, "libxl_domain_suspend")                                      \
    HOOK(suspend_only, "libxl_domain_suspend_only")                            \
    HOOK(remus_start, "libxl_domain_remus_start")                              \
    HOOK(shutdown, "libxl_domain_shutdown")                                    \
    HOOK(reboot, "libxl_domain_reboot")                                        \
    HOOK(trigger, "libxl_send_trigger")                                        \
    HOOK(sysrq, "libxl_send_sysrq")                                            \
    HOOK(unpause, "libxl_domain_unpause")                                      \
    HOOK(destroy, "libxl_domain_destroy")                                      \
    HOOK(preserve, "libxl_domain_preserve")                                    \
    HOOK(disk_add, "libxl_device_disk_add")                                    \
    HOOK(disk_remove, "libxl_device_disk_safe_remove")                         \
    HOOK(nic_add, "libxl_device_nic_add")                                      \
    HOOK(pci_add, "libxl_device_pci_add")                                      \
    HOOK(pci_remove, "libxl_device_pci_remove")                                \
    HOOK(await_death, "libxl_evenable_domain_death")                           \
    HOOK(xc_create, "xc_domain_create")                                        \
    HOOK(dom_devicetree, "xc_dom_devicetree_mem")                              \
    HOOK(dom_mem_init, "xc_dom_boot_mem_init")                                 \
    HOOK(dom_build, "xc_dom_build_image")

/* What the launcher (xl.in) puts before xl's own arguments, see preload.c. */
#define VR_XL_LOADED "--virtio-restricted"

/*
 * vr-plugin.so's one symbol. @real: the functions behind preload.c's, valid
 * for the life of the process; @version: VR_VERSION of preload.c. Returns NULL
 * for another version than its own, else what preload.c calls from then on;
 * cfg_readdata there gets the data already parsed (data NULL) and returns an
 * errno value, the others replace the real calls altogether.
 */
#define VR_PLUGIN_INIT "vr_plugin_init"
typedef const struct vr_calls *vr_plugin_init_fn(const struct vr_calls *real,
                                                 const char *version);

#endif /* VR_PLUGIN_H */

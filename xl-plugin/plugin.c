/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vr-plugin.so: what stands behind each function that preload.c intercepts, as
 * a table. A hook decides whether it is concerned, has another file do what
 * there is to do, and calls the function that it stands before.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenctrl.h>

#include "state.h"

static struct vr_plugin self = {.pending.fd = -1};

/* The data is parsed already. */
static int on_cfg_readdata(struct XLU_Config *cfg, const char *data, int length)
{
    (void)data;
    (void)length;
    return vr_keys_read(&self, cfg);
}

static int on_create_new(libxl_ctx *ctx, libxl_domain_config *d_config,
                         uint32_t *domid, const void *ao_how,
                         const void *console_how)
{
    if (!self.ndevs)
        return self.real->create_new(ctx, d_config, domid, ao_how, console_how);
    if (ao_how) {
        vr_say("virtio_restricted: asynchronous creation is not supported: "
               "use xl");
        return ERROR_INVAL;
    }
    /* kexec: a guest cannot be reset in place (on_soft_reset()), and xl
     * destroys one for which that fails. It wants to be started anew. */
    if (d_config->on_soft_reset == LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET)
        d_config->on_soft_reset = d_config->on_reboot;
    return vr_create(&self, ctx, d_config, domid, console_how);
}

static int on_create_restore(libxl_ctx *ctx, libxl_domain_config *d_config,
                             uint32_t *domid, int restore_fd, int send_back_fd,
                             const void *params, const void *ao_how,
                             const void *console_how)
{
    if (!self.ndevs)
        return self.real->create_restore(ctx, d_config, domid, restore_fd,
                                         send_back_fd, params, ao_how,
                                         console_how);
    vr_say("virtio_restricted: guest %s cannot be restored with restricted "
           "devices: take the key out, or use xl create",
           d_config->c_info.name);
    return ERROR_FAIL;
}

static int on_soft_reset(libxl_ctx *ctx, libxl_domain_config *d_config,
                         uint32_t domid, const void *ao_how,
                         const void *console_how)
{
    if (vr_refuse_move(ctx, domid, "be reset in place"))
        return ERROR_FAIL;
    return self.real->soft_reset(ctx, d_config, domid, ao_how, console_how);
}

static int on_suspend(libxl_ctx *ctx, uint32_t domid, int fd, int flags,
                      const void *ao_how)
{
    if (vr_refuse_move(ctx, domid, "be saved or migrated")) {
        vr_refuse_file(fd);
        return ERROR_FAIL;
    }
    return self.real->suspend(ctx, domid, fd, flags, ao_how);
}

static int on_suspend_only(libxl_ctx *ctx, uint32_t domid, const void *ao_how)
{
    if (vr_refuse_move(ctx, domid, "be suspended"))
        return ERROR_FAIL;
    return self.real->suspend_only(ctx, domid, ao_how);
}

static int on_remus_start(libxl_ctx *ctx, libxl_domain_remus_info *info,
                          uint32_t domid, int send_fd, int recv_fd,
                          const void *ao_how)
{
    if (vr_refuse_move(ctx, domid, "be replicated"))
        return ERROR_FAIL;
    return self.real->remus_start(ctx, info, domid, send_fd, recv_fd, ao_how);
}

/* An error would end `xl shutdown -a` before it has come to the guests, and so
 * would waiting for them: the caller is told that all is well. */
static int on_shutdown(libxl_ctx *ctx, uint32_t domid, const void *ao_how)
{
    if (!ao_how && vr_order_down(ctx, domid, false))
        return 0;
    return self.real->shutdown(ctx, domid, ao_how);
}

static int on_reboot(libxl_ctx *ctx, uint32_t domid, const void *ao_how)
{
    if (!ao_how && vr_order_down(ctx, domid, true))
        return 0;
    return self.real->reboot(ctx, domid, ao_how);
}

/* Buttons of a machine: `xl trigger`, `xl button-press`. */
static int on_trigger(libxl_ctx *ctx, uint32_t domid, int trigger,
                      uint32_t vcpuid, const void *ao_how)
{
    bool done = false;

    if (trigger == LIBXL_TRIGGER_POWER)
        done = vr_order_down(ctx, domid, false);
    else if (trigger == LIBXL_TRIGGER_RESET)
        done = vr_order_down(ctx, domid, true);
    else if (trigger == LIBXL_TRIGGER_SLEEP &&
             vr_refuse_move(ctx, domid, "be suspended"))
        return ERROR_FAIL;
    return done ? 0 : self.real->trigger(ctx, domid, trigger, vcpuid, ao_how);
}

/* Letters that end a Linux at once: reboot, crash, off. */
static int on_sysrq(libxl_ctx *ctx, uint32_t domid, char sysrq)
{
    if (strchr("bco", sysrq) &&
        vr_refuse_driver(ctx, domid, "be ended by a key", ""))
        return ERROR_FAIL;
    return self.real->sysrq(ctx, domid, sysrq);
}

static int on_unpause(libxl_ctx *ctx, uint32_t domid, const void *ao_how)
{
    if (domid == self.pending.domid)
        vr_commit(&self);
    return self.real->unpause(ctx, domid, ao_how);
}

/* xl begins to watch over the guest: it was created, whether it is to run at
 * once or stays paused (-p). */
static int on_await_death(libxl_ctx *ctx, uint32_t domid, uint64_t user,
                          struct libxl__evgen_domain_death **evgen)
{
    if (domid == self.pending.domid)
        vr_commit(&self);
    return self.real->await_death(ctx, domid, user, evgen);
}

static int on_destroy(libxl_ctx *ctx, uint32_t domid, const void *ao_how)
{
    char left[VR_UUID_LEN + 1];
    int rc;

    vr_release(&self, ctx, domid, left);
    rc = self.real->destroy(ctx, domid, ao_how);
    /* What is in use shows in the guest's own memory, which it can forge. Once
     * it is gone there is nothing to be let go of. */
    if (!rc && !ao_how && left[0])
        vr_clean_up(left);
    return rc;
}

/* The domain gets another uuid and its successor this one. */
static int on_preserve(libxl_ctx *ctx, uint32_t domid,
                       struct libxl_domain_create_info *info,
                       const char *suffix, struct vr_libxl_uuid uuid)
{
    char left[VR_UUID_LEN + 1];

    vr_release(&self, ctx, domid, left);
    return self.real->preserve(ctx, domid, info, suffix, uuid);
}

static int on_disk_add(libxl_ctx *ctx, uint32_t domid, libxl_device_disk *disk,
                       const void *ao_how)
{
    if (!vr_hotplug_disk(ctx, domid, disk))
        return ERROR_FAIL;
    return self.real->disk_add(ctx, domid, disk, ao_how);
}

/* Linux drops a disk that is taken away, whether it is open or not; what a
 * target lies on is known to the driver domain alone. */
static int on_disk_remove(libxl_ctx *ctx, uint32_t domid,
                          libxl_device_disk *disk, const void *ao_how)
{
    if (vr_refuse_driver(ctx, domid, "lose a disk", ", or insist (--force)"))
        return ERROR_FAIL;
    return self.real->disk_remove(ctx, domid, disk, ao_how);
}

static int on_nic_add(libxl_ctx *ctx, uint32_t domid, libxl_device_nic *nic,
                      const void *ao_how)
{
    if (!vr_hotplug_nic(ctx, domid))
        return ERROR_FAIL;
    return self.real->nic_add(ctx, domid, nic, ao_how);
}

static int on_pci_add(libxl_ctx *ctx, uint32_t domid, libxl_device_pci *pci,
                      const void *ao_how)
{
    if (!vr_hotplug_pci(ctx, domid, pci))
        return ERROR_FAIL;
    return self.real->pci_add(ctx, domid, pci, ao_how);
}

static int on_pci_remove(libxl_ctx *ctx, uint32_t domid, libxl_device_pci *pci,
                         const void *ao_how)
{
    if (vr_refuse_driver(ctx, domid, "lose a PCI device", ", or insist (-f)"))
        return ERROR_FAIL;
    return self.real->pci_remove(ctx, domid, pci, ao_how);
}

static int on_xc_create(xc_interface *xch, uint32_t *domid,
                        struct xen_domctl_createdomain *config)
{
    return vr_build_domain(&self, xch, domid, config);
}

static int on_dom_devicetree(struct xc_dom_image *dom, const void *mem,
                             size_t size)
{
    return vr_build_devicetree(&self, dom, mem, size);
}

static int on_dom_mem_init(struct xc_dom_image *dom)
{
    return vr_build_memory(&self, dom);
}

static int on_dom_build(struct xc_dom_image *dom)
{
    return vr_build_image(&self, dom);
}

/* xl create -p -e: neither unpaused nor watched, but a success. A failure
 * closes the link without a commit, and the broker undoes the creation. */
static void on_process_exit(int status, void *arg)
{
    (void)arg;
    if (!status && self.pending.owner == getpid())
        vr_commit(&self);
}

#define HOOKED(member, symbol) .member = on_##member,

static const struct vr_calls calls = {VR_HOOKS(HOOKED)};

/* Does this libxl have all that is to be replaced? */
static bool all_there(const struct vr_calls *real)
{
#define THERE(member, symbol) real->member &&
    return VR_HOOKS(THERE) true;
}

vr_plugin_init_fn vr_plugin_init __attribute__((visibility("default")));

const struct vr_calls *vr_plugin_init(const struct vr_calls *real,
                                      const char *version)
{
    if (strcmp(version, VR_VERSION) || !all_there(real) ||
        on_exit(on_process_exit, NULL))
        return NULL;
    self.real = real;
    return &calls;
}

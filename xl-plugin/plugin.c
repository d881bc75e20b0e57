/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vr-plugin.so: what stands behind each function that preload.c intercepts. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <libxlutil.h>
#include <xenctrl.h>
#include <xenguest.h>

#include "child.h"
#include "libs/proto/link.h"
#include "libs/guest/reserve.h"
#include "state.h"

static struct vr_plugin self = {.pending.fd = -1};

static int parse_devices(XLU_Config *cfg, XLU_ConfigList *list, int count,
                         struct vr_err *err)
{
    int i, rc;

    (void)cfg;
    if (count > VR_MAX_DEVICES) {
        vr_err_set(err,
                   "virtio_restricted: %d devices: a guest can have %d at "
                   "most, take some out",
                   count, VR_MAX_DEVICES);
        return -EINVAL;
    }
    for (i = 0; i < count; i++) {
        const char *text = xlu_cfg_get_listitem(list, i);

        if (!text) {
            vr_err_set(err,
                       "virtio_restricted[%d]: not a string: write the device "
                       "as \"id=disk0, type=block, ...\"",
                       i);
            return -EINVAL;
        }
        rc = vr_cfg_parse(i, text, &self.devs[i], err);
        if (rc)
            return rc;
        /* Looked at again when the domain is made; here for `xl create -n`. */
        if (self.devs[i].driver[0] && access(self.devs[i].driver, R_OK)) {
            rc = -errno;
            vr_err_set(err,
                       "virtio_restricted[%d]: driver=%.200s: %s: name the "
                       "xl.cfg of the driver domain",
                       i, self.devs[i].driver, strerror(-rc));
            return rc;
        }
    }
    return vr_cfg_check_all(self.devs, count, err);
}

/* What the administrator leaves to the guest's own grants. */
static int parse_grants(XLU_Config *cfg, struct vr_err *err)
{
    long n;
    int r = xlu_cfg_get_long(cfg, VR_NAME "_grants", &n, 1);

    self.grants = 0;
    if (r == ESRCH)
        return 0;
    if (r || n < 1 || n > VR_RESERVE_MOST) {
        vr_err_set(err,
                   "virtio_restricted_grants: not a number from 1 to %u: give "
                   "the grants that the guest's own devices need, such as "
                   "8192, or leave the key out",
                   VR_RESERVE_MOST);
        return -EINVAL;
    }
    self.grants = n;
    return 0;
}

/*
 * Looked at here: what libxl_domain_create_new() is given may be a default.
 * With autoballoon on, xl has libxl fill in the host's before it makes room for
 * the guest.
 */
static int check_version(XLU_Config *cfg, struct vr_err *err)
{
    long n;
    int r = xlu_cfg_get_long(cfg, "max_grant_version", &n, 1);

    if (r || n == 1)
        return 0; /* if it is no number xl says so */
    vr_err_set(err,
               "virtio_restricted: max_grant_version=%ld: windows are entries "
               "of version 1, which a guest that changes to another would "
               "wipe: set it to 1, or leave it out",
               n);
    return -EINVAL;
}

/* Each config that xl reads replaces what an earlier one said. */
static int on_config(struct XLU_Config *cfg, const char *data, int length)
{
    XLU_ConfigList *list;
    struct vr_err err;
    int count, r, rc;

    (void)data;
    (void)length;
    self.ndevs = 0;
    self.created = false;
    r = xlu_cfg_get_list(cfg, VR_NAME, &list, &count, 1);
    if (r == ESRCH)
        return 0;
    if (r) {
        vr_say("virtio_restricted: not a list: write virtio_restricted = "
               "[ \"id=disk0, type=block, ...\" ]");
        return EINVAL;
    }
    rc = parse_devices(cfg, list, count, &err);
    if (!rc)
        rc = parse_grants(cfg, &err);
    if (!rc)
        rc = check_version(cfg, &err);
    if (rc) {
        vr_say("%s", err.text);
        return EINVAL;
    }
    self.ndevs = count;
    return 0;
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

/* Says why @domid cannot be treated so, when guests use it. */
static bool in_use(libxl_ctx *ctx, uint32_t domid, const char *what,
                   const char *remedy)
{
    char guests[VR_ORDER_NAMES], *name;

    if (vr_order_guests(domid, guests, sizeof(guests)) <= 0)
        return false;
    name = libxl_domid_to_name(ctx, domid);
    vr_say("virtio_restricted: driver domain %s cannot %s: guests use it: %s; "
           "shut them down first%s",
           name ? name : "?", what, guests, remedy);
    free(name);
    return true;
}

/* Says why @domid cannot be moved, when it has restricted devices or serves
 * those of others. */
static bool refused(libxl_ctx *ctx, uint32_t domid, const char *what)
{
    struct vr_record *rec = malloc(sizeof(*rec));
    int rc = rec ? vr_find_record(ctx, domid, rec) : -ENOMEM;
    bool yes = true;

    if (!rc) {
        vr_say("virtio_restricted: guest %s cannot %s: its driver domains "
               "hold its windows; use xl shutdown and xl create",
               rec->name, what);
    } else if (rc != -ENOENT) {
        vr_say("virtio_restricted: cannot read the record of domain %" PRIu32
               " (%s): look at `vrctl list`",
               domid, strerror(-rc));
    } else {
        yes = in_use(ctx, domid, what, "");
    }
    free(rec);
    return yes;
}

/*
 * xl has opened the file and written its header before it asks us. Left there,
 * it would pass for a saved domain: xendomains tries to restore it at the next
 * boot and, when that fails, does not start the domain either.
 */
static void remove_file(int fd)
{
    char link[32], path[PATH_MAX];
    struct stat a, b;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return;
    path[n] = '\0';
    if (!fstat(fd, &a) && S_ISREG(a.st_mode) && !lstat(path, &b) &&
        a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        unlink(path);
}

static int on_soft_reset(libxl_ctx *ctx, libxl_domain_config *d_config,
                         uint32_t domid, const void *ao_how,
                         const void *console_how)
{
    if (refused(ctx, domid, "be reset in place"))
        return ERROR_FAIL;
    return self.real->soft_reset(ctx, d_config, domid, ao_how, console_how);
}

static int on_suspend(libxl_ctx *ctx, uint32_t domid, int fd, int flags,
                      const void *ao_how)
{
    if (refused(ctx, domid, "be saved or migrated")) {
        remove_file(fd);
        return ERROR_FAIL;
    }
    return self.real->suspend(ctx, domid, fd, flags, ao_how);
}

static int on_suspend_only(libxl_ctx *ctx, uint32_t domid, const void *ao_how)
{
    if (refused(ctx, domid, "be suspended"))
        return ERROR_FAIL;
    return self.real->suspend_only(ctx, domid, ao_how);
}

static int on_remus_start(libxl_ctx *ctx, libxl_domain_remus_info *info,
                          uint32_t domid, int send_fd, int recv_fd,
                          const void *ao_how)
{
    if (refused(ctx, domid, "be replicated"))
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
             refused(ctx, domid, "be suspended"))
        return ERROR_FAIL;
    return done ? 0 : self.real->trigger(ctx, domid, trigger, vcpuid, ao_how);
}

/* Letters that end a Linux at once: reboot, crash, off. */
static int on_sysrq(libxl_ctx *ctx, uint32_t domid, char sysrq)
{
    if (strchr("bco", sysrq) && in_use(ctx, domid, "be ended by a key", ""))
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
    if (in_use(ctx, domid, "lose a disk", ", or insist (--force)"))
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
    if (in_use(ctx, domid, "lose a PCI device", ", or insist (-f)"))
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

static const struct vr_calls calls = {
    .cfg_readdata = on_config,
    .create_new = on_create_new,
    .create_restore = on_create_restore,
    .soft_reset = on_soft_reset,
    .suspend = on_suspend,
    .suspend_only = on_suspend_only,
    .remus_start = on_remus_start,
    .shutdown = on_shutdown,
    .reboot = on_reboot,
    .trigger = on_trigger,
    .sysrq = on_sysrq,
    .unpause = on_unpause,
    .destroy = on_destroy,
    .preserve = on_preserve,
    .disk_add = on_disk_add,
    .disk_remove = on_disk_remove,
    .nic_add = on_nic_add,
    .pci_add = on_pci_add,
    .pci_remove = on_pci_remove,
    .await_death = on_await_death,
    .xc_create = on_xc_create,
    .dom_devicetree = on_dom_devicetree,
    .dom_mem_init = on_dom_mem_init,
    .dom_build = on_dom_build,
};

/* Is there a function of libxl's behind each of ours? All of them are pointers;
 * cfg_readdata, the first, is called by preload.c alone. */
static bool complete(const struct vr_calls *real)
{
    void (*const *ours)(void) = (void *)&calls;
    void (*const *theirs)(void) = (void *)real;
    size_t i, n = sizeof(calls) / sizeof(*ours);

    for (i = 1; i < n; i++)
        if (ours[i] && !theirs[i])
            return false;
    return true;
}

vr_plugin_init_fn vr_plugin_init __attribute__((visibility("default")));

const struct vr_calls *vr_plugin_init(const struct vr_calls *real,
                                      const char *version)
{
    self.real = real;
    if (strcmp(version, VR_VERSION) || !complete(real) ||
        on_exit(on_process_exit, NULL))
        return NULL;
    return &calls;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xl-virtio-restricted.so: the launcher has this preloaded into xl. It stands
 * before libxl's and libxenguest's functions of the same names and forwards,
 * until a config has the key `virtio_restricted` or a guest with a record is
 * touched: then vr-plugin.so, beside this file, takes over.
 *
 * An unversioned definition in a preloaded object satisfies the versioned
 * references of xl and of the Xen libraries.
 *
 * The dynamic linker goes on without an object that it cannot or must not
 * preload, and xl would then drop the key without a word. Therefore the
 * launcher gives xl a first argument that xl refuses as an unknown option,
 * VR_XL_LOADED, and start() has xl's getopt() begin behind it: an xl without
 * this object, for whatever reason, does nothing at all.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"
#include "libs/config/record.h"

#define EXPORT __attribute__((visibility("default")))

#define XL_ERROR_FAIL (-3) /* libxl's ERROR_FAIL */

static struct vr_calls real;
static const struct vr_calls *plugin;
static char folder[PATH_MAX - 32];
static bool in_xl;

/* Takes this object out of LD_PRELOAD, so that what xl starts (hotplug
 * scripts, device models, consoles) does not load it. */
static void leave_environment(const char *self)
{
    const char *list = getenv("LD_PRELOAD");
    char *rest, *word, *next;
    size_t len = 0;

    if (!list || !(rest = malloc(strlen(list) + 1)))
        return;
    next = strdup(list);
    word = next;
    while (word && *word) {
        size_t n = strcspn(word, ": ");
        bool last = !word[n];

        word[n] = '\0';
        if (n && strcmp(word, self))
            len += sprintf(rest + len, "%s%s", len ? ":" : "", word);
        word = last ? NULL : word + n + 1;
    }
    if (len)
        setenv("LD_PRELOAD", rest, 1);
    else if (next)
        unsetenv("LD_PRELOAD");
    free(next);
    free(rest);
}

static void find(void *slot, const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    /* ISO C has no cast from object to function pointers; POSIX has both of
     * one size. */
    memcpy(slot, &f, sizeof(f));
}

#define FIND(member, symbol) find(&real.member, symbol);

/* Opens vr-plugin.so once. False (and a line on stderr): it cannot be. */
static bool load(void)
{
    char path[PATH_MAX];
    vr_plugin_init_fn *init = NULL;
    void *so, *f;

    if (plugin)
        return true;
    snprintf(path, sizeof(path), "%s/vr-plugin.so",
             folder[0] ? folder : VR_LIBEXECDIR);
    so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    f = so ? dlsym(so, VR_PLUGIN_INIT) : NULL;
    memcpy(&init, &f, sizeof(f));
    if (init)
        plugin = init(&real, VR_VERSION);
    if (plugin)
        return true;
    fprintf(stderr,
            "xl: virtio_restricted: cannot load %s (%s): build and install "
            "virtio-restricted for this version of Xen\n",
            path, so ? "wrong file" : dlerror());
    return false;
}

/* `xl --version`, an option that xl itself does not have. Both halves of the
 * plug-in are of this version, or nothing is told but that. */
static void show_version(void)
{
    if (!load())
        _exit(1);
    puts("virtio-restricted " VR_VERSION);
    _exit(fflush(stdout) ? 1 : 0);
}

/* glibc calls constructors with main()'s arguments. */
__attribute__((constructor)) static void start(int argc, char **argv)
{
    const char *slash;
    Dl_info info;

    VR_HOOKS(FIND)
    if (!real.cfg_readdata)
        return; /* not xl: some shell or tool on the way to it */
    in_xl = true;
    if (!dladdr(folder, &info) || !info.dli_fname)
        return;
    slash = strrchr(info.dli_fname, '/');
    if (slash && slash - info.dli_fname < (ptrdiff_t)sizeof(folder))
        memcpy(folder, info.dli_fname, slash - info.dli_fname);
    leave_environment(info.dli_fname);
    if (argc > 1 && !strcmp(argv[1], VR_XL_LOADED)) {
        optind = 2;
        if (argc == 3 && !strcmp(argv[2], "--version"))
            show_version();
    }
}

/* Is there any guest with restricted devices? One open() that fails, on a
 * host that never had one. */
static bool any_record(void)
{
    struct dirent *e;
    bool found = false;
    DIR *d;

    if (access(VR_RUN_DIR, F_OK))
        return false;
    d = opendir(VR_RUN_DIR);
    if (!d)
        return errno != ENOENT;
    while (!found && (e = readdir(d)))
        found = strstr(e->d_name, ".json") != NULL;
    closedir(d);
    return found;
}

static bool concerned(void)
{
    return in_xl && (plugin || any_record());
}

EXPORT int xlu_cfg_readdata(struct XLU_Config *cfg, const char *data,
                            int length);
EXPORT int libxl_domain_create_new(struct libxl__ctx *ctx,
                                   struct libxl_domain_config *cfg,
                                   uint32_t *domid, const void *ao_how,
                                   const void *console_how);
EXPORT int libxl_domain_create_restore(struct libxl__ctx *ctx,
                                       struct libxl_domain_config *cfg,
                                       uint32_t *domid, int restore_fd,
                                       int send_back_fd, const void *params,
                                       const void *ao_how,
                                       const void *console_how);
EXPORT int libxl_domain_soft_reset(struct libxl__ctx *ctx,
                                   struct libxl_domain_config *cfg,
                                   uint32_t domid, const void *ao_how,
                                   const void *console_how);
EXPORT int libxl_domain_suspend(struct libxl__ctx *ctx, uint32_t domid, int fd,
                                int flags, const void *ao_how);
EXPORT int libxl_domain_suspend_only(struct libxl__ctx *ctx, uint32_t domid,
                                     const void *ao_how);
EXPORT int libxl_domain_remus_start(struct libxl__ctx *ctx,
                                    struct libxl_domain_remus_info *info,
                                    uint32_t domid, int send_fd, int recv_fd,
                                    const void *ao_how);
EXPORT int libxl_domain_shutdown(struct libxl__ctx *ctx, uint32_t domid,
                                 const void *ao_how);
EXPORT int libxl_domain_reboot(struct libxl__ctx *ctx, uint32_t domid,
                               const void *ao_how);
EXPORT int libxl_send_trigger(struct libxl__ctx *ctx, uint32_t domid,
                              int trigger, uint32_t vcpuid, const void *ao_how);
EXPORT int libxl_send_sysrq(struct libxl__ctx *ctx, uint32_t domid, char sysrq);
EXPORT int libxl_domain_unpause(struct libxl__ctx *ctx, uint32_t domid,
                                const void *ao_how);
EXPORT int libxl_domain_destroy(struct libxl__ctx *ctx, uint32_t domid,
                                const void *ao_how);
EXPORT int libxl_domain_preserve(struct libxl__ctx *ctx, uint32_t domid,
                                 struct libxl_domain_create_info *info,
                                 const char *suffix, struct vr_libxl_uuid uuid);
EXPORT int libxl_device_disk_add(struct libxl__ctx *ctx, uint32_t domid,
                                 struct libxl_device_disk *disk,
                                 const void *ao_how);
EXPORT int libxl_device_disk_safe_remove(struct libxl__ctx *ctx, uint32_t domid,
                                         struct libxl_device_disk *disk,
                                         const void *ao_how);
EXPORT int libxl_device_nic_add(struct libxl__ctx *ctx, uint32_t domid,
                                struct libxl_device_nic *nic,
                                const void *ao_how);
EXPORT int libxl_device_pci_add(struct libxl__ctx *ctx, uint32_t domid,
                                struct libxl_device_pci *pci,
                                const void *ao_how);
EXPORT int libxl_device_pci_remove(struct libxl__ctx *ctx, uint32_t domid,
                                   struct libxl_device_pci *pci,
                                   const void *ao_how);
EXPORT int libxl_evenable_domain_death(
    struct libxl__ctx *ctx, uint32_t domid, uint64_t user,
    struct libxl__evgen_domain_death **evgen);
EXPORT int xc_domain_create(struct xc_interface_core *xch, uint32_t *domid,
                            struct xen_domctl_createdomain *config);
EXPORT int xc_dom_devicetree_mem(struct xc_dom_image *dom, const void *mem,
                                 size_t size);
EXPORT int xc_dom_boot_mem_init(struct xc_dom_image *dom);
EXPORT int xc_dom_build_image(struct xc_dom_image *dom);

int xlu_cfg_readdata(struct XLU_Config *cfg, const char *data, int length)
{
    int (*get_list)(const struct XLU_Config *, const char *, void **, int *,
                    int) = NULL;
    int r = real.cfg_readdata(cfg, data, length);

    if (r || !in_xl)
        return r;
    if (!plugin) {
        find(&get_list, "xlu_cfg_get_list");
        /* ESRCH is "no such key"; anything else is for the plug-in. */
        if (!get_list ||
            get_list(cfg, "virtio_restricted", NULL, NULL, 1) == ESRCH)
            return 0;
        if (!load())
            return ENOEXEC;
    }
    return plugin->cfg_readdata(cfg, NULL, 0);
}

int libxl_domain_create_new(struct libxl__ctx *ctx,
                            struct libxl_domain_config *cfg, uint32_t *domid,
                            const void *ao_how, const void *console_how)
{
    return (plugin ? plugin : &real)
        ->create_new(ctx, cfg, domid, ao_how, console_how);
}

int libxl_domain_create_restore(struct libxl__ctx *ctx,
                                struct libxl_domain_config *cfg,
                                uint32_t *domid, int restore_fd,
                                int send_back_fd, const void *params,
                                const void *ao_how, const void *console_how)
{
    return (plugin ? plugin : &real)
        ->create_restore(ctx, cfg, domid, restore_fd, send_back_fd, params,
                         ao_how, console_how);
}

/* These four would leave a guest and its driver domain at odds: without the
 * plug-in they are refused. */
int libxl_domain_soft_reset(struct libxl__ctx *ctx,
                            struct libxl_domain_config *cfg, uint32_t domid,
                            const void *ao_how, const void *console_how)
{
    if (!concerned())
        return real.soft_reset(ctx, cfg, domid, ao_how, console_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->soft_reset(ctx, cfg, domid, ao_how, console_how);
}

int libxl_domain_suspend(struct libxl__ctx *ctx, uint32_t domid, int fd,
                         int flags, const void *ao_how)
{
    if (!concerned())
        return real.suspend(ctx, domid, fd, flags, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->suspend(ctx, domid, fd, flags, ao_how);
}

int libxl_domain_suspend_only(struct libxl__ctx *ctx, uint32_t domid,
                              const void *ao_how)
{
    if (!concerned())
        return real.suspend_only(ctx, domid, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->suspend_only(ctx, domid, ao_how);
}

/* `xl remus` suspends the guest again and again, inside libxl. */
int libxl_domain_remus_start(struct libxl__ctx *ctx,
                             struct libxl_domain_remus_info *info,
                             uint32_t domid, int send_fd, int recv_fd,
                             const void *ao_how)
{
    if (!concerned())
        return real.remus_start(ctx, info, domid, send_fd, recv_fd, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->remus_start(ctx, info, domid, send_fd, recv_fd, ao_how);
}

/* Asked too early, a driver domain still waits by itself, if it can. */
int libxl_domain_shutdown(struct libxl__ctx *ctx, uint32_t domid,
                          const void *ao_how)
{
    if (!concerned() || !load())
        return real.shutdown(ctx, domid, ao_how);
    return plugin->shutdown(ctx, domid, ao_how);
}

int libxl_domain_reboot(struct libxl__ctx *ctx, uint32_t domid,
                        const void *ao_how)
{
    if (!concerned() || !load())
        return real.reboot(ctx, domid, ao_how);
    return plugin->reboot(ctx, domid, ao_how);
}

int libxl_send_trigger(struct libxl__ctx *ctx, uint32_t domid, int trigger,
                       uint32_t vcpuid, const void *ao_how)
{
    if (!concerned() || !load())
        return real.trigger(ctx, domid, trigger, vcpuid, ao_how);
    return plugin->trigger(ctx, domid, trigger, vcpuid, ao_how);
}

int libxl_send_sysrq(struct libxl__ctx *ctx, uint32_t domid, char sysrq)
{
    if (!concerned() || !load())
        return real.sysrq(ctx, domid, sysrq);
    return plugin->sysrq(ctx, domid, sysrq);
}

int libxl_domain_unpause(struct libxl__ctx *ctx, uint32_t domid,
                         const void *ao_how)
{
    return (plugin ? plugin : &real)->unpause(ctx, domid, ao_how);
}

/* A domain must be destroyable in any case; the broker notices and cleans up
 * when the plug-in cannot. */
int libxl_domain_destroy(struct libxl__ctx *ctx, uint32_t domid,
                         const void *ao_how)
{
    if (!concerned() || !load())
        return real.destroy(ctx, domid, ao_how);
    return plugin->destroy(ctx, domid, ao_how);
}

int libxl_domain_preserve(struct libxl__ctx *ctx, uint32_t domid,
                          struct libxl_domain_create_info *info,
                          const char *suffix, struct vr_libxl_uuid uuid)
{
    if (!concerned() || !load())
        return real.preserve(ctx, domid, info, suffix, uuid);
    return plugin->preserve(ctx, domid, info, suffix, uuid);
}

/* What is plugged into a guest may take what its windows have, and what is
 * taken out of a driver domain may be what it serves. */
int libxl_device_disk_add(struct libxl__ctx *ctx, uint32_t domid,
                          struct libxl_device_disk *disk, const void *ao_how)
{
    if (!concerned())
        return real.disk_add(ctx, domid, disk, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->disk_add(ctx, domid, disk, ao_how);
}

int libxl_device_disk_safe_remove(struct libxl__ctx *ctx, uint32_t domid,
                                  struct libxl_device_disk *disk,
                                  const void *ao_how)
{
    if (!concerned())
        return real.disk_remove(ctx, domid, disk, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->disk_remove(ctx, domid, disk, ao_how);
}

int libxl_device_nic_add(struct libxl__ctx *ctx, uint32_t domid,
                         struct libxl_device_nic *nic, const void *ao_how)
{
    if (!concerned())
        return real.nic_add(ctx, domid, nic, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->nic_add(ctx, domid, nic, ao_how);
}

int libxl_device_pci_add(struct libxl__ctx *ctx, uint32_t domid,
                         struct libxl_device_pci *pci, const void *ao_how)
{
    if (!concerned())
        return real.pci_add(ctx, domid, pci, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->pci_add(ctx, domid, pci, ao_how);
}

int libxl_device_pci_remove(struct libxl__ctx *ctx, uint32_t domid,
                            struct libxl_device_pci *pci, const void *ao_how)
{
    if (!concerned())
        return real.pci_remove(ctx, domid, pci, ao_how);
    if (!load())
        return XL_ERROR_FAIL;
    return plugin->pci_remove(ctx, domid, pci, ao_how);
}

int libxl_evenable_domain_death(struct libxl__ctx *ctx, uint32_t domid,
                                uint64_t user,
                                struct libxl__evgen_domain_death **evgen)
{
    return (plugin ? plugin : &real)->await_death(ctx, domid, user, evgen);
}

int xc_domain_create(struct xc_interface_core *xch, uint32_t *domid,
                     struct xen_domctl_createdomain *config)
{
    return (plugin ? plugin : &real)->xc_create(xch, domid, config);
}

int xc_dom_devicetree_mem(struct xc_dom_image *dom, const void *mem,
                          size_t size)
{
    return (plugin ? plugin : &real)->dom_devicetree(dom, mem, size);
}

int xc_dom_boot_mem_init(struct xc_dom_image *dom)
{
    return (plugin ? plugin : &real)->dom_mem_init(dom);
}

int xc_dom_build_image(struct xc_dom_image *dom)
{
    return (plugin ? plugin : &real)->dom_build(dom);
}

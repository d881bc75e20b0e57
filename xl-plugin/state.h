/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of vr-plugin.so share. Each uses those before it:
 *
 *   say, find, xllock   words; what there is; xl's lock
 *   child, layout       other programs; what all architectures write down
 *   arch_*              a guest of this architecture
 *   order, refuse       may this be done to a domain that runs?
 *   check, others       may this guest be created, beside those there are?
 *   hotplug             may this be plugged in, as if the guest had it before?
 *   driver              its driver domains
 *   build               the guest while libxl builds it
 *   finish              a creation's end, and a guest's
 *   keys, create        an xl.cfg's keys; a creation, from its beginning
 *   plugin              libxl's functions, as xl calls them
 */
#ifndef VR_STATE_H
#define VR_STATE_H

#include <libxl.h>

#include "libs/guest/desc.h"
#include "libs/xen/hostinfo.h"
#include "libs/guest/place.h"
#include "libs/transport/mmio/slots.h"
#include "libs/transport/pci/bus.h"
#include "plugin.h"
#include "libs/config/record.h"
#include "libs/guest/reserve.h"

/* A guest while libxl builds it: what the inner hooks work on. */
struct vr_build {
    struct vr_record *rec;
    uint32_t domid; /* VR_DOMID_NONE until the hypervisor has made it */
    /* What tells the guest of its devices: a device tree, or ACPI tables.
     * libxl keeps a pointer to it: freed after the create. */
    void *description;
    bool described; /* libxl has it */
    int link;       /* to the broker */
    struct vr_desc_dev desc[VR_MAX_DEVICES];
    struct vr_desc_iommu desc_iommu; /* only with dynamic devices */
    struct vr_err why; /* what an inner hook found: said after libxl's lines */
};

/* The broker of a guest that is created but not yet committed. */
struct vr_pending {
    int fd; /* -1: none */
    pid_t owner;
    uint32_t domid;
    char uuid[VR_UUID_LEN + 1];
};

/* One per process: libxl's calls carry no context of ours. */
struct vr_plugin {
    const struct vr_calls *real;
    /* Devices of the config that was parsed last; they stay for reboots. */
    unsigned int ndevs;
    struct vr_dev_cfg devs[VR_MAX_DEVICES];
    uint32_t grants; /* virtio_restricted_grants=; 0: not given */
    char *driver_json[VR_MAX_DEVICES]; /* what driver= said, by device */
    bool created; /* one guest with them was made: another is a reboot */
    struct vr_build *build; /* only during the guest's own creation */
    struct vr_plan *plan;   /* only during that of a driver domain ... */
    unsigned int driver;    /* ... with this number there */
    struct vr_pending pending;
};

/* A device that another guest has. */
struct vr_other_dev {
    char guest[VR_NAME_LEN + 1];
    struct vr_dev_cfg cfg;
    char driver[VR_UUID_LEN + 1]; /* the domain that serves it */
    uint32_t domid;
    bool owned;
};

struct vr_others {
    struct vr_other_dev *dev;
    unsigned int ndevs;
    char same_uuid[VR_NAME_LEN + 1]; /* the guest that has ours; or "" */
};

/* Everything about one creation; far too big for the stack. */
struct vr_plan {
    struct vr_record rec;
    struct vr_others others;
    struct vr_hostinfo host;
    libxl_domain_config driver_config[VR_MAX_DEVICES]; /* of owned drivers */
};

/** vr_say() - one line "xl: ..." on stderr, where xl's own messages go. */
void vr_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** vr_uuid_text() - @buf: VR_UUID_LEN + 1 bytes. Returns @buf. */
char *vr_uuid_text(const libxl_uuid *uuid, char *buf);

/* Shared code does not know which key it works for: puts it in front of @err
 * when @rc is an error. Returns @rc. */
static inline int vr_ours(int rc, struct vr_err *err)
{
    if (rc)
        vr_err_front(err, VR_NAME);
    return rc;
}

/* ---- find.c ---- */

/**
 * vr_find_record() - the record of guest @domid, and of no earlier domain of
 * the same number. Returns 0, -ENOENT or -errno.
 */
int vr_find_record(libxl_ctx *ctx, uint32_t domid, struct vr_record *rec);

bool vr_alive(pid_t pid, uint64_t start);
/* Is there no domain of this name? */
int vr_check_unused(libxl_ctx *ctx, const char *name, struct vr_err *err);
/* One that is dying does not count: it has come to its end. */
bool vr_domain_exists(libxl_ctx *ctx, uint32_t domid, const char *uuid);

/* layout.c: what the arch hooks have in common. */
unsigned int vr_count_by(const struct vr_dev_cfg *devs, unsigned int n,
                         enum vr_transport transport);
bool vr_any_iova(const struct vr_dev_cfg *devs, unsigned int n);
bool vr_any_pool(const struct vr_dev_cfg *devs, unsigned int n);
/* Fills registers and interrupts of the record and of @b's descriptions.
 * @taken: slots that others have. Returns 0 or -ENOSPC. */
int vr_build_slots(struct vr_build *b, const struct vr_slots *slots,
                   uint32_t taken, const struct vr_pci_slots *functions,
                   struct vr_err *err);
/* Writes the RAM banks (ascending, empty ones are left out) to the record. */
void vr_build_ram(struct vr_record *rec, const struct vr_span *ram,
                  unsigned int n);

/*
 * Arch hooks; arch_arm.c or arch_x86.c, in the order in which they are called.
 *
 * vr_arch_check() judges the config alone; it knows less of the guest's memory
 * than vr_arch_place(), but comes earlier. vr_arch_memory(): has the host
 * enough for what the plug-in adds to the guest? Nothing exists until then.
 * vr_arch_pci(): may a PCI device be passed through, at its slot? Asked when it
 * is plugged in, too.
 *
 * The others work while libxl builds the guest. Between them, however they
 * divide that up, they fill the record's registers, interrupts, RAM banks and
 * pools' addresses (all before vr_arch_place() returns), and hand libxl the
 * description:
 *   vr_arch_domain()      the parameters of the domain to be created
 *   vr_arch_devicetree()  libxl has made a device tree; @new_size: of the one
 *                         in @b to be used instead
 *   vr_arch_place()       the guest has its memory
 *   vr_arch_image()       it is about to be filled
 */
int vr_arch_check(const libxl_domain_config *d_config,
                  const struct vr_dev_cfg *devs, unsigned int n,
                  struct vr_err *err);
int vr_arch_pci(const libxl_device_pci *pci, struct vr_err *err);
int vr_arch_memory(const struct vr_plan *plan, libxl_ctx *ctx,
                   const libxl_domain_config *d_config, struct vr_err *err);
void vr_arch_domain(const struct vr_record *rec,
                    struct xen_domctl_createdomain *config);
int vr_arch_devicetree(struct vr_build *b, const void *mem, size_t size,
                       size_t *new_size, struct vr_err *err);
int vr_arch_place(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err);
int vr_arch_image(struct vr_build *b, struct xc_dom_image *dom,
                  struct vr_err *err);

/* order.c */
#define VR_ORDER_NAMES 200
/* The guests that use driver domain @domid: see vr_down_guests(). */
int vr_order_guests(uint32_t domid, char *names, size_t size);
/* Domain @domid is asked to go down, or to reboot. True: guests use it, so that
 * it has to wait for them, which has been noted and said. */
bool vr_order_down(libxl_ctx *ctx, uint32_t domid, bool reboot);
/* Is none of the shared driver domains about to go down? */
int vr_order_check(const struct vr_record *rec, struct vr_err *err);

/* refuse.c: true: it has been said why not. */
/* Is driver domain @domid in use, so that it cannot @what? */
bool vr_refuse_driver(libxl_ctx *ctx, uint32_t domid, const char *what,
                      const char *remedy);
/* Can @domid not be moved, as it has restricted devices, or serves some? */
bool vr_refuse_move(libxl_ctx *ctx, uint32_t domid, const char *what);
/* xl has begun to save a domain, which was refused, to @fd. */
void vr_refuse_file(int fd);

/* driver.c: fills plan->rec.drivers and driver_config, creates nothing. */
int vr_find_drivers(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                    struct vr_err *err);
/* Creates and starts the owned ones. vr_driver_made() notes in the record that
 * the hypervisor has made one: when libxl takes it back, or xl is killed, the
 * clean-up has to know its number. */
int vr_create_drivers(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                      struct vr_err *err);
int vr_driver_made(struct vr_plan *plan, unsigned int driver, uint32_t domid,
                   struct vr_err *err);

/* check.c */
int vr_check_name(const char *key, const char *name, struct vr_err *err);
int vr_check_user(struct vr_err *err);
int vr_check_guest(const struct vr_plugin *p,
                   const libxl_domain_config *d_config, struct vr_err *err);
/* The PV devices of a guest, whose grants go in front of the windows. */
void vr_check_pv(const libxl_domain_config *d_config, struct vr_reserve *r);
/* Chooses max_grant_frames, the windows' references, and the addresses of
 * dynamic windows; @d_config's limits are raised when they are too low. */
int vr_check_grants(const struct vr_plugin *p, struct vr_plan *plan,
                    libxl_domain_config *d_config, struct vr_err *err);

/* hotplug.c: may this be plugged into domain @domid while it runs? False: it
 * has been said why not. */
bool vr_hotplug_disk(libxl_ctx *ctx, uint32_t domid,
                     const libxl_device_disk *disk);
bool vr_hotplug_nic(libxl_ctx *ctx, uint32_t domid);
bool vr_hotplug_pci(libxl_ctx *ctx, uint32_t domid,
                    const libxl_device_pci *pci);

/* others.c: takes down what is stale, fills plan->others with the rest. */
int vr_others_read(struct vr_plan *plan, libxl_ctx *ctx, struct vr_err *err);
/* No other guest with this uuid, no target served twice. */
int vr_others_check(const struct vr_plan *plan, struct vr_err *err);
/* Does none of the shared driver domains keep too many that have ended? */
int vr_others_dead(const struct vr_record *rec, struct vr_err *err);

/* driver.c: fills plan->rec.drivers and driver_config, creates nothing. */
int vr_find_drivers(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                    struct vr_err *err);
/* Creates and starts the owned ones. vr_driver_made() notes in the record that
 * the hypervisor has made one: when libxl takes it back, or xl is killed, the
 * clean-up has to know its number. */
int vr_create_drivers(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx,
                      struct vr_err *err);
int vr_driver_made(struct vr_plan *plan, unsigned int driver, uint32_t domid,
                   struct vr_err *err);

/*
 * build.c
 *
 * vr_build_guest() has libxl create the guest of @rec, whose broker is at
 * @link. Returns 0 or -errno with @err. On its way libxl calls the other four,
 * each in the place of one of its own functions, for whatever domain it makes.
 */
int vr_build_guest(struct vr_plugin *p, struct vr_record *rec, libxl_ctx *ctx,
                   libxl_domain_config *d_config, uint32_t *domid,
                   const void *console_how, int link, struct vr_err *err);
int vr_build_domain(struct vr_plugin *p, struct xc_interface_core *xch,
                    uint32_t *domid, struct xen_domctl_createdomain *config);
int vr_build_devicetree(struct vr_plugin *p, struct xc_dom_image *dom,
                        const void *mem, size_t size);
int vr_build_memory(struct vr_plugin *p, struct xc_dom_image *dom);
int vr_build_image(struct vr_plugin *p, struct xc_dom_image *dom);

/* finish.c */
/* Tells the broker that the guest is accepted. */
void vr_commit(struct vr_plugin *p);
/* Takes everything down again, driver domains before the guest whose pages
 * they may map. @fd: the link to the broker; it is closed. */
void vr_undo(struct vr_plugin *p, struct vr_plan *plan, libxl_ctx *ctx, int fd);
/* Runs `vrctl cleanup`; says what went wrong. Returns 0 or -errno. */
int vr_clean_up(const char *uuid);
/* Brings the driver domains to let go of @domid's pages: while they are
 * mapped, it would stay a zombie. When that fails, @left is the uuid of what
 * is left, else "". */
void vr_release(struct vr_plugin *p, libxl_ctx *ctx, uint32_t domid,
                char left[VR_UUID_LEN + 1]);

/* keys.c: our keys of the config that xl has just read; 0 or an errno value,
 * which has been explained. */
int vr_keys_read(struct vr_plugin *p, struct XLU_Config *cfg);

/* create.c: libxl_domain_create_new() for a guest with devices; 0 or a libxl
 * error. */
int vr_create(struct vr_plugin *p, libxl_ctx *ctx,
              libxl_domain_config *d_config, uint32_t *domid,
              const void *console_how);

#endif /* VR_STATE_H */

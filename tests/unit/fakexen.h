/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the broker's worker stands on, in plain memory: the calls of Xen's
 * libraries that it makes, the socket to its supervisor, the clock. A test that
 * includes this file and links the worker has these instead of the real ones.
 *
 * The event channel device is a socket pair: Linux masks a port when it hands
 * its event out, and delivers what came meanwhile when it is unmasked.
 */
#ifndef TEST_FAKEXEN_H
#define TEST_FAKEXEN_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/iommu/iommu.h"
#include "libs/guest/hvm.h"
#include "libs/base/shfile.h"

#include <xengnttab.h>
#include <xen/memory.h>

#define FX_GUEST    7u
#define FX_VCPUS    3u
#define FX_PORTS    32u
#define FX_DEVPORT  16u /* the first device's */
#define FX_BANK     16u /* frames of each of the two banks */
#define FX_RAM0     UINT64_C(0x40000)
#define FX_RAM1     UINT64_C(0x48000)
#define FX_FRAMES   (2 * FX_BANK)
#define FX_GTFRAMES 8u
#define FX_MESSAGES 64u
#define FX_START    (1000 * INT64_C(1000000000)) /* the time, ns */

/* Aborts, with a word for who looks at a fuzzer's find. */
#define FX_REQUIRE(x, what)                                                    \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #x); \
            abort();                                                           \
        }                                                                      \
    } while (0)

struct fakexen {
    int64_t ns;            /* the time */
    void (*looking)(void); /* called whenever the worker asks for it */
    int fd[2];             /* the worker's end, the kernel's */
    struct {
        bool masked, pending;
        unsigned int notified; /* the worker has, so often */
    } port[FX_PORTS];

    uint8_t ram[FX_FRAMES * VR_PAGE_SIZE] __attribute__((aligned(4096)));
    bool missing[FX_FRAMES]; /* given back by the guest */
    unsigned int mapped;     /* pages, all together */
    ioreq_t ioreqs[MAX_VCPUS] __attribute__((aligned(4096)));
    struct vr_ctrl_page *ctrl[VR_MAX_DEVICES]; /* NULL: it has let go of it */
    unsigned int nctrl;
    struct vr_gntent table[FX_GTFRAMES * VR_GNTENT_PER_FRAME];
    void *maps; /* the file */

    const char *fails; /* this call; NULL: none */
    int error;         /* ... with this errno */
    bool irq_fails, socket_full;
    struct {
        uint64_t start, end;
    } range[32]; /* that Xen passes on */
    unsigned int nranges;
    uint32_t functions; /* bit per slot */
    unsigned int messages;
    uint64_t message_addr;
    uint32_t message_data;
    bool irq_failed;                 /* ... at some time */
    bool level[64];                  /* of each interrupt line */
    unsigned int edges[64];          /* ... how often it was raised */
    struct vr_msg said[FX_MESSAGES]; /* by the worker */
    unsigned int nsaid;
    struct vr_msg told[FX_MESSAGES]; /* to the worker */
    unsigned int ntold;
    bool maps_guest;    /* the sandbox lets the worker do that */
    unsigned int lines; /* in the log */
    char line[512];     /* the last one */
};

static struct fakexen fx;

static void fx_init(void)
{
    int fd[2] = {fx.fd[0], fx.fd[1]};
    unsigned int i;
    char rest[256];

    for (i = 0; i < fx.nctrl; i++)
        if (fx.ctrl[i])
            munmap(fx.ctrl[i], VR_PAGE_SIZE);
    if (!fd[1]) {
        FX_REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), "socketpair");
        FX_REQUIRE(!fcntl(fd[1], F_SETFL, O_NONBLOCK), "fcntl");
    }
    while (recv(fd[0], rest, sizeof(rest), MSG_DONTWAIT) > 0 ||
           recv(fd[1], rest, sizeof(rest), MSG_DONTWAIT) > 0)
        ;
    memset(&fx, 0, sizeof(fx));
    fx.fd[0] = fd[0];
    fx.fd[1] = fd[1];
    fx.ns = FX_START;
}

static bool fx_fails(const char *call)
{
    if (!fx.fails || strcmp(fx.fails, call))
        return false;
    errno = fx.error;
    return true;
}

static int64_t fx_ms(void)
{
    return fx.ns / 1000000;
}

/* ---- the clock, the log, the socket ---- */

uint64_t vr_now_ms(void)
{
    return fx_ms();
}

/* Time passes while one looks at it, or nobody would ever stop looking. */
uint64_t vr_now_ns(void)
{
    fx.ns += 100000;
    if (fx.looking)
        fx.looking();
    return fx.ns;
}

void broker_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fx.line, sizeof(fx.line), fmt, ap);
    va_end(ap);
    fx.lines++;
}

void broker_title(const char *fmt, ...)
{
    (void)fmt;
}

int sandbox_enter(uint32_t domid, bool maps_guest, struct vr_err *err)
{
    (void)err;
    fx.maps_guest = maps_guest;
    FX_REQUIRE(domid == FX_GUEST, "another guest's sandbox");
    return 0;
}

int broker_msg_send(int sock, const struct vr_msg *msg)
{
    (void)sock;
    if (fx.socket_full || fx.nsaid == FX_MESSAGES)
        return -EAGAIN;
    fx.said[fx.nsaid++] = *msg;
    return 0;
}

int broker_msg_recv(int sock, struct vr_msg *msg)
{
    (void)sock;
    if (!fx.ntold)
        return -EAGAIN;
    *msg = fx.told[0];
    memmove(fx.told, fx.told + 1, --fx.ntold * sizeof(fx.told[0]));
    return 0;
}

static void fx_tell(enum vr_msg_type type, unsigned int dev)
{
    if (fx.ntold < FX_MESSAGES)
        fx.told[fx.ntold++] = (struct vr_msg){.type = type, .dev = dev};
}

/* Nothing is left in this machine's folders. */
int mkdir(const char *path, mode_t mode)
{
    return strcmp(path, VR_RUN_DIR) ? mkdirat(AT_FDCWD, path, mode) : 0;
}

void *vr_shfile_create(const char *path, size_t size)
{
    if (fx_fails(__func__))
        return NULL;
    (void)path;
    fx.maps = calloc(1, size);
    return fx.maps;
}

void *vr_shfile_open(const char *path, size_t size)
{
    (void)path;
    (void)size;
    errno = ENOENT;
    return NULL;
}

void *vr_shfile_join(const char *path, size_t size)
{
    (void)path;
    (void)size;
    errno = ENOENT;
    return NULL;
}

/* ---- event channels ---- */

static inline void fx_event(evtchn_port_t port)
{
    FX_REQUIRE(port < FX_PORTS, "no such port");
    fx.port[port].pending = true;
}

/* What the worker has unmasked since. */
static void fx_unmasked(void)
{
    evtchn_port_t port[64];
    ssize_t r;

    while ((r = recv(fx.fd[1], port, sizeof(port), 0)) > 0) {
        size_t i, n = r / sizeof(port[0]);

        for (i = 0; i < n; i++) {
            FX_REQUIRE(port[i] < FX_PORTS, "unmasks a port of nobody's");
            FX_REQUIRE(fx.port[port[i]].masked, "unmasks what is not masked");
            fx.port[port[i]].masked = false;
        }
    }
}

/* Hands all events out that there are. Returns how many. */
static unsigned int fx_deliver(void)
{
    evtchn_port_t port[BATCH];
    unsigned int i, n = 0;

    fx_unmasked();
    for (i = 0; i < FX_PORTS && n < BATCH; i++) {
        if (!fx.port[i].pending || fx.port[i].masked)
            continue;
        fx.port[i].pending = false;
        fx.port[i].masked = true;
        port[n++] = i;
    }
    if (n)
        FX_REQUIRE(send(fx.fd[1], port, n * sizeof(port[0]), 0) > 0, "send");
    return n;
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
    if (fx_fails(__func__))
        return NULL;
    (void)logger;
    (void)flags;
    return (xenevtchn_handle *)&fx;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return fx.fd[0];
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    FX_REQUIRE(port < FX_PORTS, "notifies a port of nobody's");
    fx.port[port].notified++;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce,
                                                      uint32_t domid)
{
    if (fx_fails(__func__))
        return -1;
    (void)xce;
    (void)domid;
    return FX_DEVPORT + fx.nctrl - 1;
}

/* It lets go of the page as well. */
int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    FX_REQUIRE(port >= FX_DEVPORT && fx.ctrl[port - FX_DEVPORT],
               "closes a port of nobody's");
    fx.ctrl[port - FX_DEVPORT] = NULL;
    fx.port[port].pending = false;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
                                                     uint32_t domid,
                                                     evtchn_port_t remote)
{
    if (fx_fails(__func__))
        return -1;
    (void)xce;
    FX_REQUIRE(domid == FX_GUEST, "another guest's port");
    return remote;
}

/* ---- the device model's operations ---- */

xendevicemodel_handle *xendevicemodel_open(xentoollog_logger *logger,
                                           unsigned int flags)
{
    if (fx_fails(__func__))
        return NULL;
    (void)logger;
    (void)flags;
    return (xendevicemodel_handle *)&fx;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dm, domid_t domid,
                                       int buffered, ioservid_t *id)
{
    if (fx_fails(__func__))
        return -1;
    (void)dm;
    (void)buffered;
    FX_REQUIRE(domid == FX_GUEST, "another guest's ioreq server");
    *id = 1;
    return 0;
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *dm,
                                                domid_t domid, ioservid_t id,
                                                int mmio, uint64_t start,
                                                uint64_t end)
{
    if (fx_fails(__func__))
        return -1;
    unsigned int i;

    (void)dm;
    (void)domid;
    (void)id;
    FX_REQUIRE(mmio && end > start, "a range of nothing");
    FX_REQUIRE(fx.nranges < VR_ARRAY_SIZE(fx.range), "too many ranges");
    for (i = 0; i < fx.nranges; i++)
        FX_REQUIRE(start > fx.range[i].end || end < fx.range[i].start,
                   "ranges that overlap, which Xen refuses");
    fx.range[fx.nranges].start = start;
    fx.range[fx.nranges++].end = end;
    return 0;
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dm,
                                                    domid_t domid,
                                                    ioservid_t id, int mmio,
                                                    uint64_t start,
                                                    uint64_t end)
{
    unsigned int i;

    (void)dm;
    FX_REQUIRE(domid == FX_GUEST && id == 1 && mmio,
               "another guest's ioreq server");
    for (i = 0; i < fx.nranges; i++) {
        if (fx.range[i].start == start && fx.range[i].end == end) {
            fx.range[i] = fx.range[--fx.nranges];
            return 0;
        }
    }
    FX_REQUIRE(false, "a range that is not there");
    return -1;
}

int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *dm,
                                              domid_t domid, ioservid_t id,
                                              uint16_t segment, uint8_t bus,
                                              uint8_t device, uint8_t function)
{
    if (fx_fails(__func__))
        return -1;
    (void)dm;
    FX_REQUIRE(domid == FX_GUEST && id == 1, "another guest's ioreq server");
    FX_REQUIRE(!segment && !bus && !function && device >= VR_HVM_PCI_FIRST &&
                   device < VR_HVM_PCI_FIRST + VR_HVM_PCI_SLOTS,
               "a function that may be QEMU's");
    fx.functions |= 1u << device;
    return 0;
}

/* As Xen has it: a pirq or a vector, or it is refused. */
int xendevicemodel_inject_msi(xendevicemodel_handle *dm, domid_t domid,
                              uint64_t addr, uint32_t data)
{
    (void)dm;
    FX_REQUIRE(domid == FX_GUEST, "another guest's interrupt");
    FX_REQUIRE((addr & 0xfff00000) == 0xfee00000, "no message");
    if (!(data & 0xff) && !(addr >> 12 & 0xff)) {
        errno = ERANGE;
        return -1;
    }
    fx.messages++;
    fx.message_addr = addr;
    fx.message_data = data;
    return 0;
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *dm, domid_t domid,
                            unsigned int *vcpus)
{
    if (fx_fails(__func__))
        return -1;
    (void)dm;
    (void)domid;
    *vcpus = FX_VCPUS;
    return 0;
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dm,
                                          domid_t domid, ioservid_t id,
                                          int enabled)
{
    unsigned int v;

    if (fx_fails(__func__))
        return -1;
    (void)dm;
    (void)domid;
    (void)id;
    (void)enabled;
    for (v = 0; v < FX_VCPUS; v++)
        fx.ioreqs[v].vp_eport = v + 1;
    return 0;
}

static int fx_irq(unsigned int line, unsigned int level)
{
    FX_REQUIRE(line < VR_ARRAY_SIZE(fx.level), "no such interrupt");
    if (fx.irq_fails) {
        fx.irq_failed = true;
        errno = EIO;
        return -1;
    }
    fx.level[line] = level;
    fx.edges[line] += level;
    return 0;
}

int xendevicemodel_set_irq_level(xendevicemodel_handle *dm, domid_t domid,
                                 unsigned int irq, unsigned int level)
{
    (void)dm;
    FX_REQUIRE(domid == FX_GUEST, "another guest's interrupt");
    return fx_irq(irq, level);
}

/* See vr_hvm_intx(): lines from 32 on, four devices' each. */
int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *dm, domid_t domid,
                                      uint16_t segment, uint8_t bus,
                                      uint8_t device, uint8_t intx,
                                      unsigned int level)
{
    unsigned int line, dev, pin;

    (void)dm;
    (void)segment;
    (void)bus;
    FX_REQUIRE(domid == FX_GUEST, "another guest's interrupt");
    for (line = 32; line < 48; line++)
        if (!vr_hvm_intx(line, &dev, &pin) && dev == device && pin == intx)
            break;
    return fx_irq(line, level);
}

xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *dombuild, unsigned int flags)
{
    (void)logger;
    (void)dombuild;
    (void)flags;
    return (xc_interface *)&fx;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = first;
    info->flags = XEN_DOMINF_hvm_guest;
#if defined(__x86_64__) || defined(__i386__)
    info->arch_config.emulation_flags = XEN_X86_EMU_ALL;
#endif
    return 1;
}

/* ---- memory ---- */

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger,
                                               unsigned int flags)
{
    if (fx_fails(__func__))
        return NULL;
    (void)logger;
    (void)flags;
    return (xenforeignmemory_handle *)&fx;
}

int xenforeignmemory_close(xenforeignmemory_handle *fm)
{
    (void)fm;
    return 0;
}

/* The guest's frame @gfn by its index in fx.ram; -1: none of its RAM. */
static int fx_frame(uint64_t gfn)
{
    if (gfn >= FX_RAM0 && gfn < FX_RAM0 + FX_BANK)
        return gfn - FX_RAM0;
    if (gfn >= FX_RAM1 && gfn < FX_RAM1 + FX_BANK)
        return FX_BANK + (gfn - FX_RAM1);
    return -1;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fm, uint32_t domid,
                           int prot, size_t pages, const xen_pfn_t *frames,
                           int *err)
{
    size_t i;

    (void)fm;
    (void)prot;
    FX_REQUIRE(domid == FX_GUEST && pages && !err, "maps another guest");
    for (i = 0; i < pages; i++) {
        FX_REQUIRE(fx_frame(frames[i]) >= 0, "maps what is no RAM");
        FX_REQUIRE(frames[i] == frames[0] + i, "maps frames out of order");
        if (!fx.missing[fx_frame(frames[i])])
            continue;
        errno = ENOENT;
        return NULL;
    }
    fx.mapped += pages;
    return fx.ram + fx_frame(frames[0]) * VR_PAGE_SIZE;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fm, void *addr,
                           size_t pages)
{
    (void)fm;
    FX_REQUIRE(!((uintptr_t)addr % VR_PAGE_SIZE) && pages <= fx.mapped,
               "unmaps what is not mapped");
    fx.mapped -= pages;
    return 0;
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(
    xenforeignmemory_handle *fm, domid_t domid, unsigned int type,
    unsigned int id, unsigned long frame, unsigned long n, void **addr,
    int prot, int flags)
{
    if (fx_fails(__func__))
        return NULL;
    (void)fm;
    (void)id;
    (void)prot;
    (void)flags;
    FX_REQUIRE(domid == FX_GUEST, "another guest's resource");
    if (type == XENMEM_resource_ioreq_server) {
        *addr = fx.ioreqs;
    } else {
        FX_REQUIRE(frame + n <= FX_GTFRAMES, "outside of the grant table");
        *addr = &fx.table[frame * VR_GNTENT_PER_FRAME];
    }
    return (xenforeignmemory_resource_handle *)&fx;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fm,
                                    xenforeignmemory_resource_handle *res)
{
    (void)fm;
    (void)res;
    return 0;
}

xengntshr_handle *xengntshr_open(xentoollog_logger *logger, unsigned int flags)
{
    if (fx_fails(__func__))
        return NULL;
    (void)logger;
    (void)flags;
    return (xengntshr_handle *)&fx;
}

int xengntshr_close(xengntshr_handle *gs)
{
    (void)gs;
    return 0;
}

void *xengntshr_share_pages(xengntshr_handle *gs, uint32_t domid, int count,
                            uint32_t *refs, int writable)
{
    void *page;

    if (fx_fails(__func__))
        return NULL;
    (void)gs;
    (void)domid;
    FX_REQUIRE(count == 1 && writable && fx.nctrl < VR_MAX_DEVICES,
               "an odd page");
    *refs = 8 + fx.nctrl;
    page = mmap(NULL, VR_PAGE_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FX_REQUIRE(page != MAP_FAILED, "mmap");
    return fx.ctrl[fx.nctrl++] = page;
}

#endif /* TEST_FAKEXEN_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badpci SLOT space N      any bytes to configuration space, of any size
 * badpci SLOT bars         the BAR laid over everything else, and asked there
 * badpci SLOT window       the capability for access to the BAR, misused
 * badpci SLOT masks N      vectors masked, given other addresses, restored
 * badpci SLOT vectors N    messages sent to anywhere
 * badpci SLOT resets N     the function reset, again and again
 *
 * In a guest whose kernel lets root have /dev/mem (Debian's with
 * iomem=relaxed): abuses the PCI function of SLOT behind the back of its
 * driver, which may be in use. On x86, configuration space is reached through
 * the kernel's own file. In the end BAR, command register and vectors are as
 * they were, but after "resets". With "masks" no message is lost; one that
 * "vectors" has sent elsewhere is, and a driver that waits for it waits for
 * ever.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libs/transport/pci/bus.h"
#include "libs/transport/pci/function.h"

#define PAGE   4096u
#define WINDOW (VR_PCI_CAP_ACCESS + 4) /* BAR, then offset, length, data */
#define ENTRY  16u

struct message {
    uint32_t low, high, data;
};

#if defined(__x86_64__)
#define SPACE      VR_PCI_CONFIG_USED
#define OTHER_BARS 2 /* each access takes long */
#define PIRQS      1 /* vectors may stand for them, and have no mask then */

/* Itself and another function, RAM, the devices that QEMU emulates, our
 * virtio-mmio slots, Xen's own, the end. */
#define BARS UINT32_C(0xf0800000)
static const uint32_t places[] = {
    BARS,       BARS + 0x8000, 0x80000000, 0xc0000000, 0xf0000000,
    0xfbff8000, 0xfc000000,    0xfeb00000, 0xfec00000, 0xfed00000,
    0xfee00000, 0x00100000,    0x01000000, 0xffff8000, 0};

/* Vectors of others, other processors, other ways of delivery, no message. */
static const struct message to[] = {{0xfee00000, 0, 0x05},
                                    {0xfee00000, 0, 0x4033},
                                    {0xfeeff000, 0, 0x35},
                                    {0xfee00008, 0, 0x233},
                                    {0xfee00000, 0, 0xffffff35},
                                    {0xfee00000, 1, 0x35},
                                    {0xfee00000, 0, 0x335},
                                    {0x01000000, 0, 0x41414141},
                                    {0xfec00000, 0, 0x35},
                                    {0xfffffffc, 0xffffffff, 0xffffffff},
                                    /* Pirqs */
                                    {0xfee00000, 0, 0x700},
                                    {0xfee03000, 0, 0x700},
                                    {0xfeeff000, 0, 0x700},
                                    {0xfee00000, 0xffffff00, 0x700}};
#else
#define SPACE      PAGE
#define OTHER_BARS 8
#define PIRQS      0

/* Itself and another function, configuration space, frame, the interrupt
 * controller, RAM, the end. */
#define BARS       VR_PCI_BARS
static const uint32_t places[] = {
    BARS,       BARS + 0x8000, BARS + 0x100000, VR_PCI_ECAM, VR_PCI_FRAME,
    0x02000000, 0x03000000,    0x40000000,      0xffff8000,  0};

#define SETSPI (VR_PCI_FRAME + VR_V2M_SETSPI)
static const struct message to[] = {{SETSPI, 0, 0},
                                    {SETSPI, 0, 33},
                                    {SETSPI, 0, VR_PCI_LINES + 1},
                                    {SETSPI, 0, VR_PCI_MESSAGES},
                                    {SETSPI, 0, VR_PCI_MESSAGES + 1000},
                                    {SETSPI, 0, 0xffffffff},
                                    {SETSPI, 1, VR_PCI_MESSAGES},
                                    {VR_PCI_FRAME, 0, VR_PCI_MESSAGES},
                                    {0x40000000, 0, 0x41414141},
                                    {0x03000f00, 0, VR_PCI_MESSAGES},
                                    {0xfee00000, 0, 0x4041},
                                    {0xfffffffc, 0xffffffff, 0xffffffff}};
#endif

static void nap(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};

    nanosleep(&ms, NULL);
}

static uint32_t get(volatile uint8_t *at, unsigned int size)
{
    switch (size) {
    case 1:
        return *at;
    case 2:
        return *(volatile uint16_t *)at;
    default:
        return *(volatile uint32_t *)at;
    }
}

static void put(volatile uint8_t *at, unsigned int size, uint32_t value)
{
    switch (size) {
    case 1:
        *at = value;
        break;
    case 2:
        *(volatile uint16_t *)at = value;
        break;
    default:
        *(volatile uint32_t *)at = value;
    }
}

static volatile uint8_t *map(uint64_t at, size_t len)
{
    int fd = open("/dev/mem", O_RDWR | O_SYNC);
    void *p = fd < 0 ? MAP_FAILED
                     : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                            (off_t)at);

    if (fd >= 0)
        close(fd);
    return p == MAP_FAILED ? NULL : p;
}

#if defined(__x86_64__)
static int config = -1;

static int open_config(unsigned int slot)
{
    char path[64];

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0/config",
             slot);
    config = open(path, O_RDWR);
    return config < 0;
}

static uint32_t cfg_get(unsigned int off, unsigned int size)
{
    uint32_t value = 0;

    return pread(config, &value, size, off) == (ssize_t)size ? value : ~0u;
}

static void cfg_put(unsigned int off, unsigned int size, uint32_t value)
{
    if (pwrite(config, &value, size, off) < 0)
        perror("badpci: configuration space");
}
#else
static volatile uint8_t *config;

static int open_config(unsigned int slot)
{
    config = map(vr_pci_registers(slot), PAGE);
    return !config;
}

static uint32_t cfg_get(unsigned int off, unsigned int size)
{
    return get(config + off, size);
}

static void cfg_put(unsigned int off, unsigned int size, uint32_t value)
{
    put(config + off, size, value);
}
#endif

/* What a driver of the function needs: BAR, command register, MSI-X control. */
struct kept {
    uint32_t bar, command, msix;
};

static struct kept keep(void)
{
    return (struct kept){cfg_get(VR_PCI_BAR0, 4), cfg_get(VR_PCI_COMMAND, 2),
                         cfg_get(VR_PCI_MSIX_CONTROL, 2)};
}

static void restore(const struct kept *k)
{
    cfg_put(VR_PCI_COMMAND, 2, 0);
    cfg_put(VR_PCI_BAR0, 4, k->bar);
    cfg_put(VR_PCI_MSIX_CONTROL, 2, k->msix);
    cfg_put(VR_PCI_COMMAND, 2, k->command);
}

static int space(unsigned int n)
{
    static const unsigned int sizes[] = {1, 2, 4};
    const struct kept k = keep();

    srand(1);
    while (n--) {
        unsigned int size = sizes[rand() % 3];
        unsigned int off = rand() % (SPACE / size) * size;

        cfg_get(off, size);
        /* A reset is for "resets". */
        if (off / 4 != VR_PCI_AF_CONTROL / 4)
            cfg_put(off, size, (uint32_t)rand() * 2654435761u);
    }
    restore(&k);
    return 0;
}

static int bars(void)
{
    const struct kept k = keep();
    unsigned int i, off;

    for (i = 0; i < VR_ARRAY_SIZE(places); i++) {
        volatile uint8_t *p;

        cfg_put(VR_PCI_BAR0, 4, places[i]);
        cfg_put(VR_PCI_COMMAND, 2, k.command | VR_PCI_COMMAND_MEMORY);
        /* What is touched there is the bus's, and nobody else's. */
        p = places[i] >= BARS && places[i] < BARS + VR_PCI_BARS_SIZE
                ? map(places[i], VR_PCI_BAR_SIZE)
                : NULL;
        for (off = 0; p && off < VR_PCI_BAR_SIZE; off += 256)
            get(p + off, 4);
    }
    restore(&k);
    return 0;
}

static int window(void)
{
    static const uint32_t lengths[] = {0, 1, 2, 3, 4, 8, 0xffffffff};
    static const uint32_t offsets[] = {0,
                                       1,
                                       VR_PCI_AT_TABLE + 2,
                                       VR_PCI_BAR_SIZE - 1,
                                       VR_PCI_BAR_SIZE,
                                       0x7fffffff,
                                       0xffffffff};
    unsigned int bar, l, o;

    for (bar = 0; bar < OTHER_BARS; bar++) {
        for (l = 0; l < VR_ARRAY_SIZE(lengths); l++) {
            for (o = 0; o < VR_ARRAY_SIZE(offsets); o++) {
                cfg_put(WINDOW, 1, bar);
                cfg_put(WINDOW + 4, 4, offsets[o]);
                cfg_put(WINDOW + 8, 4, lengths[l]);
                cfg_get(WINDOW + 12, 4);
            }
        }
    }
    return 0;
}

/* Messages to anywhere; @masked: not before the vector is as it was. */
static int vectors(unsigned int n, int masked)
{
    volatile uint8_t *bar =
        map(cfg_get(VR_PCI_BAR0, 4) & ~0xfu, VR_PCI_BAR_SIZE);
    unsigned int count = (cfg_get(VR_PCI_MSIX_CONTROL, 2) & 0x7ff) + 1;
    unsigned int i, v;

    if (!bar)
        return 1;
    for (i = 0; i < n * VR_ARRAY_SIZE(to); i++) {
        const struct message *m = &to[i % VR_ARRAY_SIZE(to)];

        if (masked && PIRQS)
            cfg_put(VR_PCI_MSIX_CONTROL, 2,
                    VR_PCI_MSIX_ENABLE | VR_PCI_MSIX_MASKALL);
        for (v = 0; v < count; v++) {
            volatile uint8_t *e = bar + VR_PCI_AT_TABLE + v * ENTRY;
            const uint32_t was[] = {get(e, 4), get(e + 4, 4), get(e + 8, 4)};

            put(e + 12, 4, masked);
            put(e, 4, m->low);
            put(e + 4, 4, m->high);
            put(e + 8, 4, m->data);
            if (i % 3)
                nap();
            put(e + 12, 4, 1);
            put(e, 4, was[0]);
            put(e + 4, 4, was[1]);
            put(e + 8, 4, was[2]);
            put(e + 12, 4, 0);
        }
        cfg_put(VR_PCI_MSIX_CONTROL, 2,
                VR_PCI_MSIX_ENABLE | VR_PCI_MSIX_MASKALL);
        cfg_put(VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
    }
    return 0;
}

static int resets(unsigned int n)
{
    while (n--) {
        cfg_put(VR_PCI_AF_CONTROL, 1, 1);
        if (n % 2)
            cfg_put(VR_PCI_COMMAND, 2,
                    VR_PCI_COMMAND_MEMORY | VR_PCI_COMMAND_MASTER);
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned int slot, n;

    if (argc < 3)
        return 2;
    slot = strtoul(argv[1], NULL, 0);
    n = argc > 3 ? strtoul(argv[3], NULL, 0) : 1;
    if (open_config(slot)) {
        perror("badpci: configuration space");
        return 1;
    }
    if (!strcmp(argv[2], "space"))
        return space(n);
    if (!strcmp(argv[2], "bars"))
        return bars();
    if (!strcmp(argv[2], "window"))
        return window();
    if (!strcmp(argv[2], "masks") || !strcmp(argv[2], "vectors"))
        return vectors(n, argv[2][0] == 'm');
    return strcmp(argv[2], "resets") ? 2 : resets(n);
}

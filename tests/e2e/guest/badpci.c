/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badpci SLOT space N      any bytes to configuration space, of any size
 * badpci SLOT bars         the BAR laid over everything else, and asked there
 * badpci SLOT window       the capability for access to the BAR, misused
 * badpci SLOT masks N      vectors masked, given other addresses, restored
 * badpci SLOT vectors N    messages sent to anywhere
 * badpci SLOT resets N     the function reset, again and again
 *
 * In an Arm guest whose kernel lets root have /dev/mem: abuses the PCI function
 * of SLOT behind the back of its driver, which may be in use. In the end BAR,
 * command register and vectors are as they were, but after "resets". With
 * "masks" no message is lost; one that "vectors" has sent elsewhere is, and a
 * driver that waits for it waits for ever.
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

static volatile uint8_t *config;

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

/* What a driver of the function needs: BAR, command register, MSI-X control. */
struct kept {
    uint32_t bar, command, msix;
};

static struct kept keep(void)
{
    return (struct kept){get(config + VR_PCI_BAR0, 4),
                         get(config + VR_PCI_COMMAND, 2),
                         get(config + VR_PCI_MSIX_CONTROL, 2)};
}

static void restore(const struct kept *k)
{
    put(config + VR_PCI_COMMAND, 2, 0);
    put(config + VR_PCI_BAR0, 4, k->bar);
    put(config + VR_PCI_MSIX_CONTROL, 2, k->msix);
    put(config + VR_PCI_COMMAND, 2, k->command);
}

static int space(unsigned int n)
{
    static const unsigned int sizes[] = {1, 2, 4};
    const struct kept k = keep();

    srand(1);
    while (n--) {
        unsigned int size = sizes[rand() % 3];
        unsigned int off = rand() % (PAGE / size) * size;

        get(config + off, size);
        /* A reset is for "resets". */
        if (off / 4 != VR_PCI_AF_CONTROL / 4)
            put(config + off, size, (uint32_t)rand() * 2654435761u);
    }
    restore(&k);
    return 0;
}

static int bars(void)
{
    /* Itself and another function, configuration space, frame, the interrupt
     * controller, RAM, the end. */
    static const uint32_t at[] = {VR_PCI_BARS,
                                  VR_PCI_BARS + 0x8000,
                                  VR_PCI_BARS + VR_PCI_BARS_SIZE,
                                  VR_PCI_ECAM,
                                  VR_PCI_FRAME,
                                  0x02000000,
                                  0x03000000,
                                  0x40000000,
                                  0xffff8000,
                                  0};
    const struct kept k = keep();
    unsigned int i, off;

    for (i = 0; i < VR_ARRAY_SIZE(at); i++) {
        volatile uint8_t *p;

        put(config + VR_PCI_BAR0, 4, at[i]);
        put(config + VR_PCI_COMMAND, 2, k.command | VR_PCI_COMMAND_MEMORY);
        /* What is touched there is the bus's, and nobody else's. */
        p = at[i] >= VR_PCI_BARS && at[i] < VR_PCI_BARS + VR_PCI_BARS_SIZE
                ? map(at[i], VR_PCI_BAR_SIZE)
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

    for (bar = 0; bar < 8; bar++) {
        for (l = 0; l < VR_ARRAY_SIZE(lengths); l++) {
            for (o = 0; o < VR_ARRAY_SIZE(offsets); o++) {
                put(config + WINDOW, 1, bar);
                put(config + WINDOW + 4, 4, offsets[o]);
                put(config + WINDOW + 8, 4, lengths[l]);
                get(config + WINDOW + 12, 4);
            }
        }
    }
    return 0;
}

/* Messages to anywhere; @masked: not before the vector is as it was. */
static int vectors(unsigned int n, int masked)
{
    static const struct {
        uint32_t low, high, data;
    } to[] = {
        {VR_PCI_FRAME + VR_V2M_SETSPI, 0, 0},
        {VR_PCI_FRAME + VR_V2M_SETSPI, 0, 33},
        {VR_PCI_FRAME + VR_V2M_SETSPI, 0, VR_PCI_LINES + 1},
        {VR_PCI_FRAME + VR_V2M_SETSPI, 0, VR_PCI_MESSAGES},
        {VR_PCI_FRAME + VR_V2M_SETSPI, 0, VR_PCI_MESSAGES + 1000},
        {VR_PCI_FRAME + VR_V2M_SETSPI, 0, 0xffffffff},
        {VR_PCI_FRAME + VR_V2M_SETSPI, 1, VR_PCI_MESSAGES},
        {VR_PCI_FRAME, 0, VR_PCI_MESSAGES},
        {0x40000000, 0, 0x41414141},
        {0x03000f00, 0, VR_PCI_MESSAGES},
        {0xfee00000, 0, 0x4041},
        {0xfffffffc, 0xffffffff, 0xffffffff},
    };
    volatile uint8_t *bar =
        map(get(config + VR_PCI_BAR0, 4) & ~0xfu, VR_PCI_BAR_SIZE);
    unsigned int count = (get(config + VR_PCI_MSIX_CONTROL, 2) & 0x7ff) + 1;
    unsigned int i, v;

    if (!bar)
        return 1;
    for (i = 0; i < n * VR_ARRAY_SIZE(to); i++) {
        for (v = 0; v < count; v++) {
            volatile uint8_t *e = bar + VR_PCI_AT_TABLE + v * ENTRY;
            const uint32_t was[] = {get(e, 4), get(e + 4, 4), get(e + 8, 4)};

            put(e + 12, 4, masked);
            put(e, 4, to[i % VR_ARRAY_SIZE(to)].low);
            put(e + 4, 4, to[i % VR_ARRAY_SIZE(to)].high);
            put(e + 8, 4, to[i % VR_ARRAY_SIZE(to)].data);
            if (i % 3)
                nap();
            put(e + 12, 4, 1);
            put(e, 4, was[0]);
            put(e + 4, 4, was[1]);
            put(e + 8, 4, was[2]);
            put(e + 12, 4, 0);
        }
        put(config + VR_PCI_MSIX_CONTROL, 2,
            VR_PCI_MSIX_ENABLE | VR_PCI_MSIX_MASKALL);
        put(config + VR_PCI_MSIX_CONTROL, 2, VR_PCI_MSIX_ENABLE);
    }
    return 0;
}

static int resets(unsigned int n)
{
    while (n--) {
        put(config + VR_PCI_AF_CONTROL, 1, 1);
        if (n % 2)
            put(config + VR_PCI_COMMAND, 2,
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
    config = map(vr_pci_registers(slot), PAGE);
    if (!config) {
        perror("badpci: /dev/mem");
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

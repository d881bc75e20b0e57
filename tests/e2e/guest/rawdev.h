/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A virtio-mmio device by hand, through /dev/mem: for drivers that are programs
 * and know no manners. */
#ifndef RAWDEV_H
#define RAWDEV_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#include "libs/transport/mmio/regs.h"

#define PAGE 4096

/* virtio 1.2, 2.1 and 6 */
#define ACKNOWLEDGE 1u
#define DRIVER      2u
#define DRIVER_OK   4u
#define FEATURES_OK 8u
#define NEEDS_RESET 64u
#define F_HIGH      3u /* bits 32 and 33: VERSION_1, ACCESS_PLATFORM */

static volatile uint8_t *regs;

static uint32_t get(unsigned int reg)
{
    return *(volatile uint32_t *)(regs + reg);
}

static void put(unsigned int reg, uint32_t value)
{
    *(volatile uint32_t *)(regs + reg) = value;
}

static void put_addr(unsigned int low, uint64_t addr)
{
    put(low, (uint32_t)addr);
    put(low + 4, (uint32_t)(addr >> 32));
}

/* Reset, and as far as features, of which the low ones are @low. */
static void negotiate(uint32_t low)
{
    put(VR_MMIO_STATUS, 0);
    put(VR_MMIO_STATUS, ACKNOWLEDGE | DRIVER);
    put(VR_MMIO_DRIVER_FEATURES_SEL, 0);
    put(VR_MMIO_DRIVER_FEATURES, low);
    put(VR_MMIO_DRIVER_FEATURES_SEL, 1);
    put(VR_MMIO_DRIVER_FEATURES, F_HIGH);
    put(VR_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

/* @len bytes of physical memory at @at; NULL: it cannot be had. */
static void *map(uint64_t at, size_t len)
{
    int fd = open("/dev/mem", O_RDWR);
    uint64_t in = at & (PAGE - 1);
    uint8_t *p = fd < 0 ? MAP_FAILED
                        : mmap(NULL, len + in, PROT_READ | PROT_WRITE,
                               MAP_SHARED, fd, (off_t)(at - in));

    return p == MAP_FAILED ? NULL : p + in;
}

#endif /* RAWDEV_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badguest BASE POOL names PORT...
 * badguest BASE POOL flood SECONDS
 * badguest BASE POOL loop N
 *
 * In a guest whose kernel lets root have /dev/mem and event channels: a driver
 * of the device with registers at BASE and a pool at POOL, of which no other
 * driver is left, that abuses the doorbell of queue 0.
 *   names  each PORT, and then one that is as it should be; a line for each:
 *          "PORT refused" when the device asks for a reset, else "PORT taken"
 *   flood  an honest channel, rung as fast as it can for nothing; how often
 *   loop   so often: queue and device started, the channel closed while it is
 * in use (each other time), the device reset; prints how often the device asked
 * for a reset
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>

#include "rawdev.h"

#define QUEUE 4 /* entries */

static uint8_t *ring;
static uint64_t pool;

static void start(uint32_t port)
{
    negotiate(0);
    memset(ring, 0, PAGE);
    put(VR_MMIO_QUEUE_SEL, 0);
    put(VR_MMIO_QUEUE_SIZE, QUEUE);
    put_addr(VR_MMIO_QUEUE_DESC_LOW, pool);
    put_addr(VR_MMIO_QUEUE_DRIVER_LOW, pool + 1024);
    put_addr(VR_MMIO_QUEUE_DEVICE_LOW, pool + 2048);
    put(VR_MMIO_QUEUE_DOORBELL, port);
    put(VR_MMIO_QUEUE_READY, 1);
    put(VR_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* Does the device ask for a reset, within a second? */
static int failed(void)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    unsigned int i;

    for (i = 0; i < 100 && !(get(VR_MMIO_STATUS) & NEEDS_RESET); i++)
        nanosleep(&nap, NULL);
    return (get(VR_MMIO_STATUS) & NEEDS_RESET) != 0;
}

/* A channel as it should be, for who serves the device; of descriptor @fd. */
static int channel(int *fd)
{
    struct ioctl_evtchn_bind_unbound_port b = {get(VR_MMIO_QUEUE_DOORBELL) &
                                               ~VR_DOORBELL_OK};

    *fd = open("/dev/xen/evtchn", O_RDWR);
    return *fd < 0 ? -1 : ioctl(*fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &b);
}

static int names(int n, char **ports)
{
    int i, fd, port;

    for (i = 0; i < n; i++) {
        start(strtoul(ports[i], NULL, 0));
        printf("%s %s\n", ports[i], failed() ? "refused" : "taken");
    }
    port = channel(&fd);
    if (port < 0)
        return 1;
    start(port);
    printf("own %s\n", failed() ? "refused" : "taken");
    put(VR_MMIO_STATUS, 0);
    return 0;
}

static int flood(int seconds)
{
    struct ioctl_evtchn_notify n;
    unsigned long count = 0;
    int fd, port = channel(&fd);
    time_t end;

    if (port < 0)
        return 1;
    n.port = port;
    start(port);
    for (end = time(NULL) + seconds; time(NULL) < end; count++)
        ioctl(fd, IOCTL_EVTCHN_NOTIFY, &n);
    printf("%lu %s\n", count,
           get(VR_MMIO_STATUS) & NEEDS_RESET ? "failed" : "works");
    put(VR_MMIO_STATUS, 0);
    return 0;
}

static int loop(int n)
{
    int i, fd, port, bad = 0;

    for (i = 0; i < n; i++) {
        port = channel(&fd);
        if (port < 0)
            return 1;
        start(port);
        if (i % 2)
            close(fd);
        bad += (get(VR_MMIO_STATUS) & NEEDS_RESET) != 0;
        put(VR_MMIO_STATUS, 0);
        if (!(i % 2))
            close(fd);
    }
    printf("%d\n", bad);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    pool = strtoull(argv[2], NULL, 0);
    regs = map(strtoull(argv[1], NULL, 0), VR_MMIO_SIZE);
    ring = map(pool, PAGE);
    if (!regs || !ring) {
        perror("badguest: /dev/mem");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(argv[3], "names"))
        return names(argc - 4, argv + 4);
    if (!strcmp(argv[3], "flood"))
        return flood(atoi(argv[4]));
    return strcmp(argv[3], "loop") ? 2 : loop(atoi(argv[4]));
}

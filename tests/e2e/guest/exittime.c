/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exittime [N [DEVICE]]
 *
 * In a guest with a virtio device (virtio0 unless named): what a register's
 * access costs. Linux reads the device's Status register for each read of this
 * file, a trapped access that Xen has the broker answer, or QEMU when it is a
 * device of QEMU's. Prints microseconds per access: mean of N (default 200),
 * and the fastest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STATUS "/sys/bus/virtio/devices/%s/status"

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 200, fd;
    double least = 1e12, sum = 0;
    char path[128], text[32];

    snprintf(path, sizeof(path), STATUS, argc > 2 ? argv[2] : "virtio0");
    fd = open(path, O_RDONLY);
    for (int i = 0; i < n; i++) {
        double begin = now_us(), took;

        if (pread(fd, text, sizeof(text), 0) <= 0) {
            perror(path);
            return 1;
        }
        took = now_us() - begin;
        sum += took;
        least = took < least ? took : least;
    }
    printf("%.1f %.1f\n", sum / n, least);
    return 0;
}

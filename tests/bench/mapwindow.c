/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapwindow GUEST FIRST COUNT
 *
 * In the driver domain: maps a window's grants as vr-backend does, once more,
 * and prints how many milliseconds that took.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <xengnttab.h>

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    uint32_t i, count, *refs;
    double start;
    void *p;

    if (argc != 4 || !gt)
        return 2;
    count = atoi(argv[3]);
    refs = malloc(count * sizeof(*refs));
    if (!refs)
        return 1;
    for (i = 0; i < count; i++)
        refs[i] = atoi(argv[2]) + i;
    start = now_ms();
    p = xengnttab_map_domain_grant_refs(gt, count, atoi(argv[1]), refs,
                                        PROT_READ | PROT_WRITE);
    if (!p) {
        perror("map");
        return 1;
    }
    printf("%.3f\n", now_ms() - start);
    return 0;
}

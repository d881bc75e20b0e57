/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seedtime GUEST RUNS
 *
 * In dom0: how long it takes to write the grants of a 64 MiB window into the
 * table of a guest that does not run. Prints milliseconds for each run: to map
 * the frames of the table, to write the entries. They are taken away again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libs/xen/gtable.h"

#define TABLE_FRAMES 64u
#define COUNT        (64u << 20 >> VR_PAGE_SHIFT)
#define FRAMES       (COUNT / VR_GNTENT_PER_FRAME)
#define FIRST_GFN    0x40000u

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    xenforeignmemory_handle *fm = xenforeignmemory_open(NULL, 0);
    struct vr_err err = {""};
    struct vr_gtable gt;
    int i, rc = 0;

    if (argc != 3 || !fm)
        return 2;
    for (i = 0; i < atoi(argv[2]) && !rc; i++) {
        double start = now_ms(), mapped;

        rc = vr_gtable_map(&gt, fm, atoi(argv[1]), TABLE_FRAMES - FRAMES,
                           FRAMES, true, &err);
        if (rc)
            break;
        mapped = now_ms();
        rc =
            vr_gntent_grant_range(gt.entries, COUNT, 0, FIRST_GFN, false, NULL);
        printf("%.3f %.3f\n", mapped - start, now_ms() - mapped);
        vr_gntent_revoke_range(gt.entries, COUNT);
        vr_gtable_unmap(&gt);
    }
    if (rc)
        fprintf(stderr, "%d %s\n", rc, err.text);
    return rc ? 1 : 0;
}

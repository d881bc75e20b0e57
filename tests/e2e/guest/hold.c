/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold count GUEST FIRST COUNT
 * hold keep  GUEST FIRST COUNT SKIP
 *
 * In a driver domain, as its root: what a backend that does not play by the
 * rules can do with a dynamic window of references FIRST .. FIRST + COUNT - 1.
 *
 * count: tries to copy from every reference once and prints how many it could.
 * keep:  looks for a reference that can be mapped, leaving out the SKIP
 *        highest (the rings'), maps it and never lets go; prints the reference
 *        and then scribbles over the page, without end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xengnttab.h>

static void count(xengnttab_handle *gt, uint32_t domid, uint32_t first,
                  uint32_t n)
{
    static char buf[4096] __attribute__((aligned(4096)));
    unsigned int allowed = 0;

    for (uint32_t i = 0; i < n; i++) {
        xengnttab_grant_copy_segment_t s = {
            .source.foreign = {.ref = first + i, .domid = domid},
            .dest.virt = buf,
            .len = 16,
            .flags = GNTCOPY_source_gref,
        };

        if (!xengnttab_grant_copy(gt, 1, &s) && s.status == GNTST_okay)
            allowed++;
    }
    printf("%u of %u\n", allowed, n);
}

static void keep(xengnttab_handle *gt, uint32_t domid, uint32_t first,
                 uint32_t n)
{
    uint32_t i = 0;
    volatile uint64_t *p = NULL;

    while (!p) {
        p = xengnttab_map_grant_ref(gt, domid, first + i,
                                    PROT_READ | PROT_WRITE);
        if (!p)
            i = i + 1 < n ? i + 1 : 0;
    }
    printf("holding %u\n", first + i);
    fflush(stdout);
    for (;;) {
        for (i = 0; i < 512; i++)
            p[i] = UINT64_C(0xbadbadbadbadbad0) + i;
    }
}

int main(int argc, char **argv)
{
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    uint32_t v[4] = {0};

    for (int i = 2; i < argc && i < 6; i++)
        v[i - 2] = strtoul(argv[i], NULL, 0);
    if (!gt || argc < 5)
        return 1;
    if (!strcmp(argv[1], "count"))
        count(gt, v[0], v[1], v[2]);
    else if (!strcmp(argv[1], "keep"))
        keep(gt, v[0], v[1], v[2] - v[3]);
    return 0;
}

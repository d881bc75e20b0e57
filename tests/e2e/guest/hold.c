/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold count GUEST FIRST COUNT
 * hold keep  GUEST FIRST COUNT
 * hold tease GUEST FIRST COUNT MILLISECONDS
 * hold scrawl DOMID GREF SECONDS
 * hold pin   GUEST GREF
 * hold share DOMID
 * hold ends  DOMID GREF PORT
 *
 * In a driver domain, as its root: what a backend that does not play by the
 * rules can do with a window of references FIRST .. FIRST + COUNT - 1.
 *
 * count: tries to copy from every reference once and prints how many it could.
 * keep:  maps a page of payload that the guest wants read, and never lets go;
 *        prints its reference and then scribbles over the page, without end.
 *        It leaves pages alone that hold what looks like kernel addresses: a
 *        request's status stands among the driver's own data, and what the
 *        guest has mapped it has given away (docs/threat-model.md).
 * tease: the same, but lets go after so many milliseconds and takes the next
 *        one, without end.
 * scrawl: fills a device's control page, GREF of DOMID, with rubbish again and
 *        again while its backend works.
 * pin:   maps page GREF of GUEST, prints "pinned" and keeps it.
 * share: grants DOMID a page of this domain, prints its reference and waits.
 * ends:  tries to map a control page, and to bind an event channel of DOMID's;
 *        prints what could be had.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenevtchn.h>
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

static bool payload(const uint64_t *p)
{
    for (unsigned int i = 0; i < 512; i++)
        if (p[i] >> 48 == 0xffff)
            return false;
    return true;
}

static void keep(xengnttab_handle *gt, uint32_t domid, uint32_t first,
                 uint32_t n)
{
    uint64_t *p = NULL;
    uint32_t i = 0;

    while (!p) {
        i = i ? i - 1 : n - 1;
        p = xengnttab_map_grant_ref(gt, domid, first + i,
                                    PROT_READ | PROT_WRITE);
        if (p && !payload(p)) {
            xengnttab_unmap(gt, p, 1);
            p = NULL;
        }
    }
    printf("holding %u\n", first + i);
    fflush(stdout);
    for (;;) {
        for (i = 0; i < 512; i++)
            ((volatile uint64_t *)p)[i] = UINT64_C(0xbadbadbadbadbad0) + i;
        usleep(1000);
    }
}

static void tease(xengnttab_handle *gt, uint32_t domid, uint32_t first,
                  uint32_t n, uint32_t ms)
{
    for (uint32_t i = 0;; i = (i + 1) % n) {
        void *p = xengnttab_map_grant_ref(gt, domid, first + i, PROT_READ);

        if (!p)
            continue;
        usleep(ms * 1000);
        xengnttab_unmap(gt, p, 1);
    }
}

static int pin(xengnttab_handle *gt, uint32_t domid, uint32_t gref)
{
    if (!xengnttab_map_grant_ref(gt, domid, gref, PROT_READ))
        return 1;
    printf("pinned\n");
    fflush(stdout);
    for (;;)
        pause();
}

static int share(uint32_t domid)
{
    xengntshr_handle *gs = xengntshr_open(NULL, 0);
    uint32_t gref;

    if (!gs || !xengntshr_share_pages(gs, domid, 1, &gref, 1))
        return 1;
    printf("%u\n", gref);
    fflush(stdout);
    for (;;)
        pause();
}

static int scrawl(xengnttab_handle *gt, uint32_t domid, uint32_t gref,
                  uint32_t seconds)
{
    volatile uint32_t *page =
        xengnttab_map_grant_ref(gt, domid, gref, PROT_READ | PROT_WRITE);
    uint32_t x = 0x12345678;

    if (!page)
        return 1;
    for (uint32_t n = 0; n < seconds * 200; n++) {
        for (unsigned int i = 0; i < 4096 / sizeof(x); i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            page[i] = x;
        }
        usleep(5000);
    }
    return 0;
}

static int ends(xengnttab_handle *gt, uint32_t domid, uint32_t gref,
                uint32_t port)
{
    xenevtchn_handle *ec = xenevtchn_open(NULL, 0);
    void *page = xengnttab_map_grant_ref(gt, domid, gref, PROT_READ);

    if (!ec)
        return 1;
    printf("page %s, port %s\n", page ? "mapped" : "refused",
           xenevtchn_bind_interdomain(ec, domid, port) < 0 ? "refused"
                                                           : "bound");
    return 0;
}

int main(int argc, char **argv)
{
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    uint32_t v[4] = {0};

    for (int i = 2; i < argc && i < 6; i++)
        v[i - 2] = strtoul(argv[i], NULL, 0);
    if (!gt || argc < 3)
        return 1;
    if (!strcmp(argv[1], "count"))
        count(gt, v[0], v[1], v[2]);
    else if (!strcmp(argv[1], "keep"))
        keep(gt, v[0], v[1], v[2]);
    else if (!strcmp(argv[1], "tease"))
        tease(gt, v[0], v[1], v[2], v[3]);
    else if (!strcmp(argv[1], "scrawl"))
        return scrawl(gt, v[0], v[1], v[2]);
    else if (!strcmp(argv[1], "pin"))
        return pin(gt, v[0], v[1]);
    else if (!strcmp(argv[1], "share"))
        return share(v[0]);
    else if (!strcmp(argv[1], "ends"))
        return ends(gt, v[0], v[1], v[2]);
    return 0;
}

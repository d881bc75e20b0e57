/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seek -g GUEST -s SECRET -p PAYLOAD -r REFS -m FIRST_PAGE:PAGES
 *      [-t SECONDS -w REF:COUNT [-w REF:COUNT]]
 *
 * As root of a driver domain: looks for bytes in all that can be had of the
 * guest at this moment. That is a copy of each grant reference below REFS, and
 * a mapping of each of the guest's pages, which Xen has to refuse; in dom0, as
 * a control, it does not. SECRET and PAYLOAD: 32 bytes each, in hexadecimal.
 *
 * With -w it first looks at these references again and again until the payload
 * is among them, for SECONDS at the most: then the request that carries it is
 * there. Prints what was tried, what could be read, and on how many of these
 * pages there was what, as JSON.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "secret.h"

#define PAGE   4096
#define BATCH  256
#define RANGES 4

struct range {
    uint64_t first, count;
};

struct found {
    unsigned long tried, read; /* pages */
    unsigned long secret, payload, both;
};

struct seek {
    uint32_t guest;
    uint8_t secret[PATTERN], payload[PATTERN];
    xengnttab_handle *gt;
    xenforeignmemory_handle *fm;
};

static struct range parse_range(const char *s)
{
    struct range r = {0};
    char *end;

    r.first = strtoull(s, &end, 0);
    if (*end == ':')
        r.count = strtoull(end + 1, NULL, 0);
    return r;
}

static void look(const struct seek *s, const uint8_t *page, struct found *f)
{
    bool secret = memmem(page, PAGE, s->secret, PATTERN);
    bool payload = memmem(page, PAGE, s->payload, PATTERN);

    f->read++;
    f->secret += secret;
    f->payload += payload;
    f->both += secret && payload;
}

/* Copies @len bytes of each of @n references; the statuses stay in @seg. */
static void copy(const struct seek *s, const uint32_t *ref, unsigned int n,
                 uint8_t *to, unsigned int len,
                 xengnttab_grant_copy_segment_t *seg)
{
    for (unsigned int i = 0; i < n; i++) {
        memset(&seg[i], 0, sizeof(seg[i]));
        seg[i].source.foreign.ref = ref[i];
        seg[i].source.foreign.domid = s->guest;
        seg[i].dest.virt = to + (size_t)i * PAGE;
        seg[i].len = len;
        seg[i].flags = GNTCOPY_source_gref;
        seg[i].status = GNTST_general_error;
    }
    if (xengnttab_grant_copy(s->gt, n, seg))
        for (unsigned int i = 0; i < n; i++)
            seg[i].status = GNTST_general_error;
}

/* A word of each reference tells which can be read: few can, and to copy all
 * of nothing takes its time, too. */
static void refs(const struct seek *s, struct range r, struct found *f)
{
    static uint8_t page[BATCH][PAGE] __attribute__((aligned(PAGE)));
    static xengnttab_grant_copy_segment_t seg[BATCH];
    uint32_t ref[BATCH], n, open;

    f->tried += r.count;
    for (; r.count; r.first += n, r.count -= n) {
        n = r.count < BATCH ? r.count : BATCH;
        for (uint32_t i = 0; i < n; i++)
            ref[i] = r.first + i;
        copy(s, ref, n, page[0], 8, seg);
        open = 0;
        for (uint32_t i = 0; i < n; i++)
            if (seg[i].status == GNTST_okay)
                ref[open++] = r.first + i;
        if (!open)
            continue;
        copy(s, ref, open, page[0], PAGE, seg);
        for (uint32_t i = 0; i < open; i++)
            if (seg[i].status == GNTST_okay)
                look(s, page[i], f);
    }
}

static void frames(const struct seek *s, struct range r, struct found *f)
{
    xen_pfn_t pfn[BATCH];
    int err[BATCH];
    uint32_t n;

    f->tried += r.count;
    for (; r.count; r.first += n, r.count -= n) {
        uint8_t *map;

        n = r.count < BATCH ? r.count : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            pfn[i] = r.first + i;
            err[i] = -1;
        }
        map = xenforeignmemory_map(s->fm, s->guest, PROT_READ, n, pfn, err);
        if (!map)
            continue;
        for (uint32_t i = 0; i < n; i++)
            if (!err[i])
                look(s, map + (size_t)i * PAGE, f);
        xenforeignmemory_unmap(s->fm, map, n);
    }
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void print(const char *name, const struct found *f, const char *end)
{
    printf("\"%s\":{\"tried\":%lu,\"read\":%lu,\"secret\":%lu,\"payload\":%lu,"
           "\"both\":%lu}%s",
           name, f->tried, f->read, f->secret, f->payload, f->both, end);
}

int main(int argc, char **argv)
{
    struct range all = {0}, ram = {0}, window[RANGES];
    struct found by_ref = {0}, by_frame = {0};
    unsigned int nwindows = 0, passes = 0;
    struct seek s = {0};
    double end = now();
    int opt, have = 0;

    while ((opt = getopt(argc, argv, "g:s:p:r:m:t:w:")) != -1) {
        switch (opt) {
        case 'g':
            s.guest = strtoul(optarg, NULL, 0);
            break;
        case 's':
            have += !parse(optarg, s.secret);
            break;
        case 'p':
            have += !parse(optarg, s.payload);
            break;
        case 'r':
            all.count = strtoul(optarg, NULL, 0);
            break;
        case 'm':
            ram = parse_range(optarg);
            break;
        case 't':
            end += atof(optarg);
            break;
        case 'w':
            if (nwindows == RANGES)
                return 2;
            window[nwindows++] = parse_range(optarg);
            break;
        default:
            return 2;
        }
    }
    if (!s.guest || have != 2 || !all.count || !ram.count)
        return 2;
    s.gt = xengnttab_open(NULL, 0);
    s.fm = xenforeignmemory_open(NULL, 0);
    if (!s.gt || !s.fm) {
        fprintf(stderr, "a handle cannot be opened: nothing would be proved\n");
        return 1;
    }
    for (struct found f = {0}; nwindows && !f.payload && now() < end;
         passes++) {
        memset(&f, 0, sizeof(f));
        for (unsigned int i = 0; i < nwindows; i++)
            refs(&s, window[i], &f);
    }
    refs(&s, all, &by_ref);
    frames(&s, ram, &by_frame);
    printf("{\"passes\":%u,", passes);
    print("refs", &by_ref, ",");
    print("frames", &by_frame, "}\n");
    return 0;
}

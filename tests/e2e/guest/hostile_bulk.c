/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every page and every grant reference of the victim, one by one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#include "hostile.h"

#define BATCH 256
/* A guest physical address without RAM, where a mapping would go. */
#define SCRATCH UINT64_C(0x180000000)

/* Through Linux: IOCTL_PRIVCMD_MMAPBATCH_V2. */
static void foreign_map(struct hostile *h)
{
    struct tally t = {.name = "foreign_map",
                      .expect = h->control ? "allowed" : "refused"};
    xenforeignmemory_handle *fm = xenforeignmemory_open(NULL, 0);
    xen_pfn_t pfn[BATCH];
    int err[BATCH];

    for (uint64_t at = 0; fm && at < h->ram.count; at += BATCH) {
        size_t n = h->ram.count - at < BATCH ? h->ram.count - at : BATCH;
        void *map;

        for (size_t i = 0; i < n; i++)
            pfn[i] = h->ram.base + at + i;
        memset(err, 0, sizeof(err));
        map = xenforeignmemory_map(fm, h->victim, PROT_READ, n, pfn, err);
        for (size_t i = 0; i < n; i++)
            tally_add(&t, map && !err[i], err[i] ? -err[i] : errno);
        if (map)
            xenforeignmemory_unmap(fm, map, n);
    }
    tally_print(h, &t);
    if (fm)
        xenforeignmemory_close(fm);
}

/* The hypercall itself: XENMEM_add_to_physmap_range, gmfn_foreign. */
static void foreign_physmap(struct hostile *h)
{
    struct tally t = {.name = "add_to_physmap_foreign", .expect = "refused"};
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    xen_ulong_t idx[BATCH];
    xen_pfn_t gfn[BATCH];
    int err[BATCH];

    for (uint64_t at = 0; xch && at < h->ram.count; at += BATCH) {
        size_t n = h->ram.count - at < BATCH ? h->ram.count - at : BATCH;
        int r;

        for (size_t i = 0; i < n; i++) {
            idx[i] = h->ram.base + at + i;
            gfn[i] = (SCRATCH >> 12) + i;
            err[i] = -ENODATA;
        }
        r = xc_domain_add_to_physmap_batch(xch, DOMID_SELF, h->victim,
                                           XENMAPSPACE_gmfn_foreign, n, idx,
                                           gfn, err);
        for (size_t i = 0; i < n; i++)
            tally_add(&t, !r && !err[i], r ? errno : -err[i]);
    }
    tally_print(h, &t);
    if (xch)
        xc_interface_close(xch);
}

static int gnttab_op(xencall_handle *call, int op, void *arg, unsigned int n)
{
    return xencall3(call, __HYPERVISOR_grant_table_op, op, (uintptr_t)arg, n);
}

/* The hypercall itself: GNTTABOP_map_grant_ref of each reference. */
static void map_refs(struct hostile *h, bool inside, bool readonly)
{
    struct tally t = {
        .name = inside
                    ? (readonly ? "grant_map_ro_inside" : "grant_map_inside")
                    : (readonly ? "grant_map_ro_outside" : "grant_map_outside"),
        .expect = inside ? "allowed" : "refused",
        .grant = true,
    };
    xencall_handle *call = xencall_open(NULL, 0);
    struct gnttab_map_grant_ref *map;
    struct gnttab_unmap_grant_ref *unmap;
    uint32_t ref = 0;

    map = xencall_alloc_buffer(call, BATCH * sizeof(*map));
    unmap = xencall_alloc_buffer(call, BATCH * sizeof(*unmap));
    while (map && unmap && ref < h->refs) {
        unsigned int n = 0, back = 0;
        int r;

        for (; n < BATCH && ref < h->refs; ref++) {
            if (in_window(h, ref) != inside)
                continue;
            memset(&map[n], 0, sizeof(map[n]));
            map[n].host_addr = SCRATCH + ((uint64_t)n << 12);
            map[n].flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
            map[n].ref = ref;
            map[n].dom = h->victim;
            map[n].status = 1; /* not written by Xen */
            n++;
        }
        if (!n)
            break;
        r = gnttab_op(call, GNTTABOP_map_grant_ref, map, n);
        for (unsigned int i = 0; i < n; i++) {
            bool ok = !r && map[i].status == GNTST_okay;

            tally_add(&t, ok, r ? 255 : -map[i].status);
            if (!ok)
                continue;
            memset(&unmap[back], 0, sizeof(unmap[back]));
            unmap[back].host_addr = map[i].host_addr;
            unmap[back].handle = map[i].handle;
            back++;
        }
        if (back)
            gnttab_op(call, GNTTABOP_unmap_grant_ref, unmap, back);
    }
    tally_print(h, &t);
    xencall_free_buffer(call, map);
    xencall_free_buffer(call, unmap);
    xencall_close(call);
}

/* Through /dev/xen/gntdev: one mapping per reference. */
static void gntdev_refs(struct hostile *h)
{
    struct tally t = {.name = "gntdev_map_outside", .expect = "refused"};
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    void *p;

    /* a sample: the raw scan above tries all of them */
    for (uint32_t ref = 0; gt && ref < h->refs; ref += ref < 64 ? 1 : 257) {
        if (in_window(h, ref))
            continue;
        p = xengnttab_map_grant_ref(gt, h->victim, ref, PROT_READ);
        tally_add(&t, p, errno);
        if (p)
            xengnttab_unmap(gt, p, 1);
    }
    tally_print(h, &t);
    if (gt)
        xengnttab_close(gt);
}

/* Grant copies; writes only to where they must be refused. */
static void copy_refs(struct hostile *h, bool inside, bool writing)
{
    struct tally t = {
        .name = inside    ? "grant_copy_inside"
                : writing ? "grant_copy_write_outside"
                          : "grant_copy_read_outside",
        .expect = inside ? "allowed" : "refused",
        .grant = true,
    };
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    static xengnttab_grant_copy_segment_t seg[BATCH];
    static char byte[4096] __attribute__((aligned(4096)));
    uint32_t ref = 0;

    byte[0] = 1;
    while (gt && ref < h->refs) {
        unsigned int n = 0;
        int r;

        for (; n < BATCH && ref < h->refs; ref++) {
            if (in_window(h, ref) != inside)
                continue;
            memset(&seg[n], 0, sizeof(seg[n]));
            if (writing) {
                seg[n].source.virt = byte;
                seg[n].dest.foreign.ref = ref;
                seg[n].dest.foreign.domid = h->victim;
                seg[n].flags = GNTCOPY_dest_gref;
            } else {
                seg[n].dest.virt = byte;
                seg[n].source.foreign.ref = ref;
                seg[n].source.foreign.domid = h->victim;
                seg[n].flags = GNTCOPY_source_gref;
            }
            seg[n].len = 1;
            seg[n].status = 1;
            n++;
        }
        if (!n)
            break;
        r = xengnttab_grant_copy(gt, n, seg);
        for (unsigned int i = 0; i < n; i++)
            tally_add(&t, !r && seg[i].status == GNTST_okay,
                      r ? 255 : -seg[i].status);
    }
    tally_print(h, &t);
    if (gt)
        xengnttab_close(gt);
}

void hostile_bulk(struct hostile *h)
{
    foreign_map(h);
    if (h->control)
        return;
    foreign_physmap(h);
    for (int readonly = 0; readonly < 2; readonly++)
        map_refs(h, false, readonly);
    map_refs(h, true, false);
    gntdev_refs(h);
    copy_refs(h, false, false);
    copy_refs(h, false, true);
    copy_refs(h, true, false);
}

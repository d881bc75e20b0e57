/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plant add|del|move GUEST DOMID REF GFN
 * plant fill GUEST DOMID REF GFN COUNT
 * plant flip GUEST REF COUNT MS
 * plant crash GUEST
 * plant suspend|resume DOMAIN
 *
 * In dom0: writes a grant entry for DOMID into GUEST's table behind everybody's
 * back (takes it away, or lets it name another frame), so that an audit has
 * something to find; or writes all from REF on that are not in use, so that
 * the guest cannot have them; or changes those that are in use all the time,
 * in every respect, for MS milliseconds, as a guest could that wants to take
 * Xen by surprise; or makes the guest end as one that crashed (Xen
 * on Arm hears nothing of a Linux panic); or stops a domain as one that is
 * being saved, and lets it go on, both without its help.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <xenctrl.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>

#define PER_FRAME 512u /* entries in a frame of the table */

static bool add(grant_entry_v1_t *e, domid_t domid, uint32_t gfn)
{
    if (e->flags)
        return false;
    e->domid = domid;
    e->frame = gfn;
    __sync_synchronize();
    e->flags = GTF_permit_access;
    return true;
}

/* Any of these may be read by Xen between two looks at the entry, while a copy
 * has it pinned: other domains, frames that are none or somewhere else, other
 * types (of version 2, too), read-only, in use. */
static void flip_one(volatile grant_entry_v1_t *e)
{
    static const uint16_t flags[] = {0, 1, 2, 3, 5, 0x19, 0x101, 0x103, 0xffe7};
    static const domid_t domids[] = {0, 1, 2, 3, 4, 5, DOMID_SELF, DOMID_IO};
    const uint16_t was = e->flags & ~(GTF_reading | GTF_writing);
    const domid_t domid = e->domid;
    const uint32_t frame = e->frame;
    unsigned int i;

    for (i = 0; i < 8; i++) {
        e->frame = i % 4 ? frame ^ (1u << rand() % 32) : (uint32_t)rand();
        e->domid = domids[rand() % 8];
        e->flags = flags[rand() % 9];
        __sync_synchronize();
        e->domid = domid;
        e->frame = frame;
        e->flags = was;
        __sync_synchronize();
    }
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000) + t.tv_nsec / 1000000;
}

/* Says how often. */
static void flip(volatile grant_entry_v1_t *e, uint32_t count, unsigned int ms)
{
    const uint64_t end = now_ms() + ms;
    unsigned long n = 0;
    uint32_t i;

    while (now_ms() < end) {
        for (i = 0; i < count; i++) {
            if (!e[i].flags)
                continue;
            flip_one(e + i);
            n++;
        }
    }
    printf("%lu\n", n);
}

static int resume(domid_t domid)
{
    xencall_handle *call = xencall_open(NULL, 0);
    struct xen_domctl *op;

    op = call ? xencall_alloc_buffer(call, sizeof(*op)) : NULL;
    if (!op)
        return 1;
    memset(op, 0, sizeof(*op));
    op->cmd = XEN_DOMCTL_resumedomain;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    return xencall1(call, __HYPERVISOR_domctl, (uintptr_t)op) != 0;
}

static int stop(domid_t domid, int reason)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);

    return !xch || xc_domain_shutdown(xch, domid, reason);
}

int main(int argc, char **argv)
{
    xenforeignmemory_resource_handle *res;
    uint32_t ref, gfn = 0, frames, count = 1;
    const char *first;
    xenforeignmemory_handle *fm;
    grant_entry_v1_t *e;
    void *addr = NULL;

    if (argc == 3 && !strcmp(argv[1], "crash"))
        return stop(atoi(argv[2]), SHUTDOWN_crash);
    if (argc == 3 && !strcmp(argv[1], "suspend"))
        return stop(atoi(argv[2]), SHUTDOWN_suspend);
    if (argc == 3 && !strcmp(argv[1], "resume"))
        return resume(atoi(argv[2]));
    if (argc == 7 && !strcmp(argv[1], "fill"))
        count = strtoul(argv[6], NULL, 0);
    else if (argc != 6)
        return 2;
    first = argv[4];
    if (!strcmp(argv[1], "flip")) {
        first = argv[3];
        count = strtoul(argv[4], NULL, 0);
    } else {
        gfn = strtoul(argv[5], NULL, 0);
    }
    ref = strtoul(first, NULL, 0);
    frames = (ref % PER_FRAME + count + PER_FRAME - 1) / PER_FRAME;
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return 1;
    res = xenforeignmemory_map_resource(
        fm, atoi(argv[2]), XENMEM_resource_grant_table,
        XENMEM_resource_grant_table_id_shared, ref / PER_FRAME, frames, &addr,
        PROT_READ | PROT_WRITE, 0);
    if (!res) {
        perror("map_resource");
        return 1;
    }
    e = (grant_entry_v1_t *)addr + ref % PER_FRAME;
    if (!strcmp(argv[1], "flip")) {
        flip(e, count, atoi(argv[5]));
    } else if (!strcmp(argv[1], "fill")) {
        for (uint32_t i = 0; i < count; i++)
            add(e + i, atoi(argv[3]), gfn);
    } else if (!strcmp(argv[1], "add")) {
        if (!add(e, atoi(argv[3]), gfn)) {
            fprintf(stderr, "entry %u is in use: flags %x\n", ref, e->flags);
            return 1;
        }
    } else if (!strcmp(argv[1], "move")) {
        e->frame = gfn;
    } else {
        e->flags = 0;
    }
    xenforeignmemory_unmap_resource(fm, res);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plant add|del|move GUEST DOMID REF GFN
 * plant crash GUEST
 *
 * In dom0: writes a grant entry for DOMID into GUEST's table behind everybody's
 * back (takes it away, or lets it name another frame), so that an audit has
 * something to find; or makes the guest end as one that crashed (Xen on Arm
 * hears nothing of a Linux panic).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>

int main(int argc, char **argv)
{
    xenforeignmemory_resource_handle *res;
    xenforeignmemory_handle *fm;
    grant_entry_v1_t *e;
    void *addr = NULL;
    uint32_t ref;

    if (argc == 3 && !strcmp(argv[1], "crash")) {
        xc_interface *xch = xc_interface_open(NULL, NULL, 0);

        return !xch || xc_domain_shutdown(xch, atoi(argv[2]), SHUTDOWN_crash);
    }
    if (argc != 6)
        return 2;
    ref = strtoul(argv[4], NULL, 0);
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return 1;
    res = xenforeignmemory_map_resource(
        fm, atoi(argv[2]), XENMEM_resource_grant_table,
        XENMEM_resource_grant_table_id_shared, ref / 512, 1, &addr,
        PROT_READ | PROT_WRITE, 0);
    if (!res) {
        perror("map_resource");
        return 1;
    }
    e = (grant_entry_v1_t *)addr + ref % 512;
    if (!strcmp(argv[1], "add")) {
        if (e->flags) {
            fprintf(stderr, "entry %u is in use: flags %x\n", ref, e->flags);
            return 1;
        }
        e->domid = atoi(argv[3]);
        e->frame = strtoul(argv[5], NULL, 0);
        __sync_synchronize();
        e->flags = GTF_permit_access;
    } else if (!strcmp(argv[1], "move")) {
        e->frame = strtoul(argv[5], NULL, 0);
    } else {
        e->flags = 0;
    }
    xenforeignmemory_unmap_resource(fm, res);
    return 0;
}

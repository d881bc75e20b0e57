/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resources, management operations, event channels and device-model operations
 * on the victim, one function each.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>

#include "hostile.h"

struct handles {
    xc_interface *xc;
    xenforeignmemory_handle *fm;
    xendevicemodel_handle *dm;
    xenevtchn_handle *ev;
    xencall_handle *call;
    const struct hostile *h;
};

#define OP(name) static int name(struct handles *x, uint32_t g)

/* -- memory -- */

static int resource(struct handles *x, uint32_t g, unsigned int type,
                    unsigned int id, unsigned int frame)
{
    xenforeignmemory_resource_handle *res;
    void *addr = NULL;

    res = xenforeignmemory_map_resource(x->fm, g, type, id, frame, 1, &addr,
                                        PROT_READ | PROT_WRITE, 0);
    if (!res)
        return -1;
    xenforeignmemory_unmap_resource(x->fm, res);
    return 0;
}

OP(grant_table)
{
    return resource(x, g, XENMEM_resource_grant_table,
                    XENMEM_resource_grant_table_id_shared, 0);
}
OP(grant_table_top)
{
    return resource(x, g, XENMEM_resource_grant_table,
                    XENMEM_resource_grant_table_id_shared,
                    x->h->refs / 512 - 1);
}
OP(grant_status)
{
    return resource(x, g, XENMEM_resource_grant_table,
                    XENMEM_resource_grant_table_id_status, 0);
}
OP(ioreq_page)
{
    return resource(x, g, XENMEM_resource_ioreq_server, 0, 0);
}
OP(bufioreq_page)
{
    return resource(x, g, XENMEM_resource_ioreq_server, 0, 1);
}
OP(vmtrace)
{
    return resource(x, g, XENMEM_resource_vmtrace_buf, 0, 0);
}
OP(physmap_grant)
{
    return xc_domain_add_to_physmap(x->xc, g, XENMAPSPACE_grant_table, 0,
                                    0x180100);
}
OP(physmap_shared_info)
{
    return xc_domain_add_to_physmap(x->xc, g, XENMAPSPACE_shared_info, 0,
                                    0x180101);
}
OP(physmap_into_victim)
{
    xen_ulong_t idx = 0x40000;
    xen_pfn_t gfn = 0x180102;
    int err = 0, r;

    r = xc_domain_add_to_physmap_batch(
        x->xc, g, x->h->self, XENMAPSPACE_gmfn_foreign, 1, &idx, &gfn, &err);
    if (!r && err)
        errno = -err;
    return r || err ? -1 : 0;
}
OP(physmap_remove)
{
    return xc_domain_remove_from_physmap(x->xc, g, x->h->ram.base + 300);
}
OP(decrease_reservation)
{
    xen_pfn_t pfn = x->h->ram.base + 300;

    return xc_domain_decrease_reservation_exact(x->xc, g, 1, 0, &pfn);
}
OP(populate)
{
    xen_pfn_t pfn = 0x180103;

    return xc_domain_populate_physmap_exact(x->xc, g, 1, 0, 0, &pfn);
}
OP(maximum_gpfn)
{
    xen_pfn_t pfn;

    return xc_domain_maximum_gpfn(x->xc, g, &pfn) < 0 ? -1 : 0;
}
OP(claim_pages)
{
    return xc_domain_claim_pages(x->xc, g, 1);
}

/* -- grants -- */

static int grant_op(struct handles *x, int op, void *data, size_t size,
                    int16_t *status)
{
    void *arg = xencall_alloc_buffer(x->call, size);
    int r;

    memcpy(arg, data, size);
    r = xencall3(x->call, __HYPERVISOR_grant_table_op, op, (uintptr_t)arg, 1);
    memcpy(data, arg, size);
    xencall_free_buffer(x->call, arg);
    if (r < 0)
        return -1;
    if (*status != GNTST_okay) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

OP(gnttab_query_size)
{
    struct gnttab_query_size q = {.dom = g};

    return grant_op(x, GNTTABOP_query_size, &q, sizeof(q), &q.status);
}
OP(gnttab_setup_table)
{
    struct gnttab_setup_table s = {.dom = g, .nr_frames = 0};

    return grant_op(x, GNTTABOP_setup_table, &s, sizeof(s), &s.status);
}
OP(gnttab_get_version)
{
    return xc_gnttab_get_version(x->xc, g) < 0 ? -1 : 0;
}
/* A mapping's target page replaced by another grant's, or a dead handle. */
OP(gnttab_unmap_guess)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = 0, .handle = 0xfffff};

    (void)g;
    return grant_op(x, GNTTABOP_unmap_grant_ref, &u, sizeof(u), &u.status);
}

/* -- event channels -- */

OP(evtchn_for_victim)
{
    return xc_evtchn_alloc_unbound(x->xc, g, x->h->self) < 0 ? -1 : 0;
}
OP(evtchn_status)
{
    xc_evtchn_status_t s = {.dom = g, .port = 1};

    return xc_evtchn_status(x->xc, &s);
}
OP(evtchn_reset)
{
    return xc_evtchn_reset(x->xc, g);
}

/* -- domctl, sysctl and friends -- */

OP(pause_)
{
    return xc_domain_pause(x->xc, g);
}
OP(unpause)
{
    return xc_domain_unpause(x->xc, g);
}
OP(destroy)
{
    return xc_domain_destroy(x->xc, g);
}
OP(shutdown_)
{
    return xc_domain_shutdown(x->xc, g, 3);
}
OP(getinfo)
{
    xc_dominfo_t info;
    int r;

    errno = 0;
    r = xc_domain_getinfo(x->xc, g, 1, &info);
    if (r == 1 && info.domid == g)
        return 0;
    if (!errno)
        errno = EPERM;
    return -1;
}
OP(getinfolist)
{
    xc_domaininfo_t info;

    return xc_domain_getinfolist(x->xc, g, 1, &info) < 0 ? -1 : 0;
}
OP(set_target_self)
{
    return xc_domain_set_target(x->xc, x->h->self, g);
}
OP(set_target_victim)
{
    return xc_domain_set_target(x->xc, g, x->h->self);
}
OP(setmaxmem)
{
    return xc_domain_setmaxmem(x->xc, g, 65536);
}
OP(max_vcpus)
{
    return xc_domain_max_vcpus(x->xc, g, 1);
}
OP(vcpu_context)
{
    vcpu_guest_context_any_t c;

    return xc_vcpu_getcontext(x->xc, g, 0, &c);
}
OP(vcpu_info)
{
    xc_vcpuinfo_t i;

    return xc_vcpu_getinfo(x->xc, g, 0, &i);
}
OP(memory_mapping)
{
    (void)g;
    return xc_domain_memory_mapping(x->xc, x->h->self, 0x180104, 0x40000, 1, 1);
}
OP(memory_mapping_victim)
{
    return xc_domain_memory_mapping(x->xc, g, 0x180104, 0x40000, 1, 1);
}
OP(iomem_permission)
{
    (void)g;
    return xc_domain_iomem_permission(x->xc, x->h->self, 0x40000, 1, 1);
}
OP(irq_permission)
{
    (void)g;
    return xc_domain_irq_permission(x->xc, x->h->self, 33, 1);
}
OP(debug_control)
{
    return xc_domain_debug_control(x->xc, g, 1, 0);
}
OP(physinfo)
{
    xc_physinfo_t p = {0};

    (void)g;
    return xc_physinfo(x->xc, &p);
}
OP(console_ring)
{
    static char buf[4096];
    unsigned int n = sizeof(buf);

    (void)g;
    return xc_readconsolering(x->xc, buf, &n, 0, 0, NULL);
}
OP(debug_keys)
{
    static char keys[] = "h";

    (void)g;
    return xc_send_debug_keys(x->xc, keys);
}
OP(hvm_get)
{
    uint64_t v;

    return xc_hvm_param_get(x->xc, g, HVM_PARAM_STORE_PFN, &v);
}
OP(hvm_set)
{
    return xc_hvm_param_set(x->xc, g, HVM_PARAM_STORE_PFN, 0);
}
OP(monitor)
{
    uint32_t caps;

    return xc_monitor_get_capabilities(x->xc, g, &caps);
}

/* -- device model -- */

OP(ioreq_create)
{
    ioservid_t id;
    int r = xendevicemodel_create_ioreq_server(x->dm, g, 0, &id);

    if (!r)
        xendevicemodel_destroy_ioreq_server(x->dm, g, id);
    return r;
}
OP(ioreq_info)
{
    xen_pfn_t a, b;
    evtchn_port_t p;

    return xendevicemodel_get_ioreq_server_info(x->dm, g, 0, &a, &b, &p);
}
OP(ioreq_destroy)
{
    return xendevicemodel_destroy_ioreq_server(x->dm, g, 0);
}
OP(ioreq_state)
{
    return xendevicemodel_set_ioreq_server_state(x->dm, g, 0, 0);
}
OP(ioreq_map_range)
{
    return xendevicemodel_map_io_range_to_ioreq_server(x->dm, g, 0, 1,
                                                       0x02000000, 0x020001ff);
}
OP(ioreq_unmap_range)
{
    return xendevicemodel_unmap_io_range_from_ioreq_server(
        x->dm, g, 0, 1, 0x02000000, 0x020001ff);
}
OP(irq_level)
{
    return xendevicemodel_set_irq_level(x->dm, g, 33, 1);
}
OP(msi)
{
    return xendevicemodel_inject_msi(x->dm, g, 0xfee00000, 0);
}
OP(dm_shutdown)
{
    return xendevicemodel_shutdown(x->dm, g, 3);
}
OP(modified_memory)
{
    return xendevicemodel_modified_memory(x->dm, g, x->h->ram.base, 1);
}
OP(relocate_memory)
{
    return xendevicemodel_relocate_memory(x->dm, g, 1, x->h->ram.base,
                                          0x180105);
}
OP(set_mem_type)
{
    return xendevicemodel_set_mem_type(x->dm, g, 0, x->h->ram.base, 1);
}
OP(nr_vcpus)
{
    unsigned int n;

    return xendevicemodel_nr_vcpus(x->dm, g, &n);
}

static const struct {
    const char *name;
    int (*fn)(struct handles *x, uint32_t g);
    bool control; /* harmless and possible for dom0 */
} ops[] = {
    {"acquire_grant_table", grant_table, true},
    {"acquire_grant_table_top", grant_table_top, true},
    {"acquire_grant_status", grant_status, false},
    {"acquire_ioreq_page", ioreq_page, false},
    {"acquire_bufioreq_page", bufioreq_page, false},
    {"acquire_vmtrace", vmtrace, false},
    {"add_to_physmap_grant_table", physmap_grant, false},
    {"add_to_physmap_shared_info", physmap_shared_info, false},
    {"add_to_physmap_into_victim", physmap_into_victim, false},
    {"remove_from_physmap", physmap_remove, false},
    {"decrease_reservation", decrease_reservation, false},
    {"populate_physmap", populate, false},
    {"maximum_gpfn", maximum_gpfn, true},
    {"claim_pages", claim_pages, false},
    {"gnttab_query_size", gnttab_query_size, true},
    {"gnttab_setup_table", gnttab_setup_table, false},
    {"gnttab_get_version", gnttab_get_version, true},
    {"gnttab_unmap_guess", gnttab_unmap_guess, false},
    {"evtchn_alloc_for_victim", evtchn_for_victim, true},
    {"evtchn_status", evtchn_status, true},
    {"evtchn_reset", evtchn_reset, false},
    {"domctl_pause", pause_, true},
    {"domctl_unpause", unpause, true},
    {"domctl_destroy", destroy, false},
    {"sched_remote_shutdown", shutdown_, false},
    {"domctl_getinfo", getinfo, true},
    {"sysctl_getinfolist", getinfolist, true},
    {"domctl_set_target_self", set_target_self, false},
    {"domctl_set_target_victim", set_target_victim, false},
    {"domctl_max_mem", setmaxmem, false},
    {"domctl_max_vcpus", max_vcpus, false},
    {"domctl_vcpu_context", vcpu_context, true},
    {"domctl_vcpu_info", vcpu_info, true},
    {"domctl_memory_mapping", memory_mapping, false},
    {"domctl_memory_mapping_victim", memory_mapping_victim, false},
    {"domctl_iomem_permission", iomem_permission, false},
    {"domctl_irq_permission", irq_permission, false},
    {"domctl_debug_control", debug_control, false},
    {"sysctl_physinfo", physinfo, true},
    {"sysctl_console_ring", console_ring, true},
    {"sysctl_debug_keys", debug_keys, false},
    {"hvm_get_param", hvm_get, true},
    {"hvm_set_param", hvm_set, false},
    {"monitor_capabilities", monitor, false},
    {"dm_create_ioreq_server", ioreq_create, true},
    {"dm_get_ioreq_server_info", ioreq_info, false},
    {"dm_destroy_ioreq_server", ioreq_destroy, false},
    {"dm_set_ioreq_server_state", ioreq_state, false},
    {"dm_map_io_range", ioreq_map_range, false},
    {"dm_unmap_io_range", ioreq_unmap_range, false},
    {"dm_set_irq_level", irq_level, false},
    {"dm_inject_msi", msi, false},
    {"dm_remote_shutdown", dm_shutdown, false},
    {"dm_modified_memory", modified_memory, false},
    {"dm_relocate_memory", relocate_memory, false},
    {"dm_set_mem_type", set_mem_type, false},
    {"dm_nr_vcpus", nr_vcpus, true},
};

/* Join any event channel of the victim that is open for somebody. */
static void ports(struct hostile *h, struct handles *x)
{
    struct tally t = {.name = "evtchn_bind_interdomain", .expect = "refused"};
    int r;

    for (unsigned int port = 0; port < 1024; port++) {
        r = xenevtchn_bind_interdomain(x->ev, h->victim, port);
        tally_add(&t, r >= 0, errno);
    }
    tally_print(h, &t);
}

/*
 * The calls do reach the hypervisor: what is everybody's right works through
 * the same handles, and Xen (not Linux) says that an unknown domain is unknown.
 */
static void reach(struct hostile *h, struct handles *x)
{
    struct tally version = {.name = "reach_xen_version", .expect = "allowed"};
    struct tally own = {.name = "own_evtchn_for_victim", .expect = "any"};
    struct tally self = {.name = "reach_own_grant_table_size",
                         .expect = "allowed"};
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    struct tally esrch = {.name = "reach_unknown_domain", .expect = "refused"};
    xen_pfn_t pfn;
    int r;

    r = xc_version(x->xc, XENVER_version, NULL);
    tally_add(&version, r > 0, errno);
    tally_print(h, &version);
    r = grant_op(x, GNTTABOP_query_size, &q, sizeof(q), &q.status);
    tally_add(&self, !r, errno);
    tally_print(h, &self);
    r = xc_domain_maximum_gpfn(x->xc, 0x7fe0, &pfn);
    tally_add(&esrch, r >= 0, errno);
    tally_print(h, &esrch);
    /* An unbound channel on its own side: its own resource, harmless. */
    r = xenevtchn_bind_unbound_port(x->ev, h->victim);
    tally_add(&own, r >= 0, errno);
    tally_print(h, &own);
}

void hostile_ops(struct hostile *h)
{
    struct handles x = {.h = h};

    x.xc = xc_interface_open(NULL, NULL, 0);
    x.fm = xenforeignmemory_open(NULL, 0);
    x.dm = xendevicemodel_open(NULL, 0);
    x.ev = xenevtchn_open(NULL, 0);
    x.call = xencall_open(NULL, 0);
    if (!x.xc || !x.fm || !x.dm || !x.ev || !x.call) {
        fprintf(stderr, "a handle cannot be opened: nothing would be proved\n");
        return;
    }
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct tally t = {.name = ops[i].name,
                          .expect = h->control ? "allowed" : "refused"};
        int r;

        if (h->control && !ops[i].control)
            continue;
        errno = 0;
        r = ops[i].fn(&x, h->victim);
        tally_add(&t, !r, errno);
        tally_print(h, &t);
    }
    if (!h->control) {
        ports(h, &x);
        reach(h, &x);
    }
}

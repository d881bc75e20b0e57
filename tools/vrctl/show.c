/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl show: the record, the live figures and xenstore's states of a guest.
 * Collected once; printed for people or as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "vrctl.h"
#include "xen/compat.h"
#include "xen/store.h"

#define MAX_PROCS 8

struct dev_view {
    char state[32], why[384];
    enum vr_xbstate backend;
    char backend_error[256];
    const struct vr_stats_dev *s; /* NULL: no figures */
};

struct view {
    struct guest g;
    struct vr_stats *stats;
    struct vr_maps *maps; /* NULL: no dynamic device, or not published */
    uint64_t rss_kib;     /* of the broker's processes */
    unsigned int procs;   /* how many those are */
    struct dev_view dev[VR_MAX_DEVICES];
    char driver_state[VR_MAX_DEVICES][16];
};

static const char *xb_name(enum vr_xbstate state)
{
    static const char *const names[] = {
        "unknown",   "initialising", "init-wait", "initialised",
        "connected", "closing",      "closed"};

    return (unsigned int)state < VR_ARRAY_SIZE(names) ? names[state]
                                                      : "unknown";
}

/* Every counter once, for both ways of printing. */
struct counter {
    const char *name;
    size_t offset;
};
#define C(name, member)                                                        \
    {                                                                          \
        name, offsetof(struct vr_stats_dev, member)                            \
    }
static const struct counter counters[] = {
    C("mmio_reads", mmio_reads),
    C("mmio_writes", mmio_writes),
    C("kicks", kicks),
    C("kick_events", kick_events),
    C("interrupts", interrupts),
    C("interrupt_events", intr_events),
    C("resets", resets),
    C("config_changes", config_changes),
    C("faults", faults),
    C("fault_address", fault_addr),
    C("requests", b.requests),
    C("request_errors", b.errors),
    C("read_bytes", b.read_bytes),
    C("write_bytes", b.write_bytes),
    C("copied_bytes", b.copied_bytes),
    C("backend_faults", b.faults),
    C("backend_fault_address", b.fault_addr),
    C("backend_grant_ops", b.grant_ops),
    C("backend_kicks", b.kicks),
    C("backend_interrupts", b.interrupts),
    C("backend_batches", b.batches),
    C("payload_low", b.payload_low),
    C("payload_high", b.payload_high),
    C("resumed", b.resumed),
    C("restarts", b.restarts),
};

static bool is_address(const char *name)
{
    return strstr(name, "address") || !strncmp(name, "payload", 7);
}

static uint64_t counter_value(const struct vr_stats_dev *s, size_t i)
{
    return *(const uint64_t *)((const char *)s + counters[i].offset);
}

static void collect(struct view *v, xc_interface *xch, struct xs_handle *xs)
{
    const struct vr_record *rec = &v->g.rec;
    pid_t procs[MAX_PROCS];
    xc_domaininfo_t info;
    unsigned int i, n;

    v->stats = vr_stats_open(rec->uuid, false);
    if (vr_record_dynamic(rec))
        v->maps = vr_maps_open(rec, false);
    if (v->g.broker) {
        v->rss_kib = proc_rss_kib(rec->broker);
        n = proc_children(rec->broker, procs, MAX_PROCS);
        for (i = 0; i < n; i++)
            v->rss_kib += proc_rss_kib(procs[i]);
        v->procs = n + 1;
    }
    for (i = 0; i < rec->ndrivers; i++)
        snprintf(v->driver_state[i], sizeof(v->driver_state[i]), "%s",
                 dom_find(xch, rec->drivers[i].uuid, &info) ? "gone"
                                                            : dom_state(&info));
    for (i = 0; i < rec->ndevs; i++) {
        struct dev_view *d = &v->dev[i];

        guest_dev_state(xs, &v->g, i, v->stats, d->state, sizeof(d->state),
                        d->why, sizeof(d->why));
        if (xs && rec->domid != VR_DOMID_NONE)
            d->backend = vr_store_backend_state(xs, rec, i, d->backend_error,
                                                sizeof(d->backend_error));
        if (v->stats && i < v->stats->ndevs)
            d->s = &v->stats->dev[i];
    }
}

/* ---- for people ---- */

static void print_stats(const struct vr_stats_dev *s)
{
    unsigned int q, nq = s->nqueues;
    size_t i;

    printf("  status        0x%02" PRIx32 ", features 0x%" PRIx64 ", %s\n",
           s->status, s->features, vr_fail_text(vr_stats_why(s)));
    if (nq > VR_MAX_QUEUES)
        nq = VR_MAX_QUEUES;
    for (q = 0; q < nq; q++) {
        const struct vr_stats_queue *vq = &s->q[q];

        if (vq->enabled)
            printf("  queue %-2u      size %" PRIu32 ", descriptors 0x%" PRIx64
                   ", available 0x%" PRIx64 ", used 0x%" PRIx64 "\n",
                   q, vq->size, vq->desc, vq->driver, vq->device);
        else
            printf("  queue %-2u      not enabled\n", q);
    }
    for (i = 0; i < VR_ARRAY_SIZE(counters); i++)
        printf(is_address(counters[i].name) ? "  %-22s 0x%" PRIx64 "\n"
                                            : "  %-22s %" PRIu64 "\n",
               counters[i].name, counter_value(s, i));
}

static void print_dynamic(const struct view *v, unsigned int i)
{
    const struct vr_record *rec = &v->g.rec;
    const struct vr_dev_cfg *c = &rec->devs[i].cfg;
    char text[24];

    if (rec->iommu.present)
        printf("  virtio-iommu  0x%" PRIx64 ", interrupt %" PRIu32
               ", endpoint %u\n",
               rec->iommu.mmio_base, rec->iommu.irq, i);
    if (v->maps)
        printf("  mapped        %" PRIu32 " of %" PRIu64 " pages\n",
               vr_maps_count(v->maps, rec, i), c->aperture >> VR_PAGE_SHIFT);
    else
        printf("  mapped        unknown\n");
    printf("  policy        payload mapped: %s%s; revocation within %u ms\n",
           c->map_threshold && c->map_threshold != VR_NEVER_MAP ? "from " : "",
           vr_threshold_text(c->map_threshold, text), c->revoke_ms);
}

static void print_dev(const struct view *v, unsigned int i)
{
    const struct vr_record *rec = &v->g.rec;
    const struct vr_record_dev *d = &rec->devs[i];
    const struct vr_record_driver *drv = &rec->drivers[d->driver];
    uint64_t pages = d->dma_size >> VR_PAGE_SHIFT;
    const struct dev_view *dv = &v->dev[i];
    char size[24];

    printf("\ndevice %s: %s, %s\n", d->cfg.id, vr_type_name(d->cfg.type),
           dv->state);
    if (dv->why[0])
        printf("  reason        %s\n", dv->why);
    printf("  driver domain %s, domid %" PRIu32 ", %s, %s\n", drv->name,
           drv->domid, drv->owned ? "ends with the guest" : "shared",
           v->driver_state[d->driver]);
    printf("  backend       %s%s%s\n", xb_name(dv->backend),
           dv->backend_error[0] ? ": " : "", dv->backend_error);
    printf("  target        %s, %s%s\n", d->cfg.target,
           d->cfg.readonly ? "read-only" : "read-write",
           d->cfg.discard ? ", discard" : "");
    printf("  registers     0x%" PRIx64 ", interrupt %" PRIu32 "\n",
           d->mmio_base, d->irq);
    if (pages)
        printf("  window        %s, 0x%" PRIx64 "-0x%" PRIx64
               ", %s, grant references %" PRIu32 "-%" PRIu64 "\n",
               vr_mode_name(d->cfg.mode), d->dma_base,
               d->dma_base + d->dma_size - 1, vr_format_size(d->dma_size, size),
               d->gref_base, d->gref_base + pages - 1);
    else
        printf("  window        not placed yet\n");
    if (d->cfg.mode == VR_MODE_DYNAMIC)
        print_dynamic(v, i);
    printf("  queues        %u, of %u\n", d->cfg.queues, d->cfg.queue_size);
    if (dv->s)
        print_stats(dv->s);
    else
        printf("  figures       none yet\n");
}

static void print_view(const struct view *v, const char *only)
{
    const struct vr_record *rec = &v->g.rec;
    unsigned int i;

    printf("guest %s\n", rec->name);
    printf("  uuid          %s\n", rec->uuid);
    if (rec->domid != VR_DOMID_NONE)
        printf("  domain        %" PRIu32 ", %s\n", rec->domid,
               v->g.exists ? dom_state(&v->g.info) : "gone");
    else
        printf("  domain        not made yet\n");
    printf("  phase         %s\n", vr_phase_name(rec->phase));
    printf("  grant frames  %" PRIu32 " at the most\n", rec->grant_frames);
    if (v->g.broker)
        printf("  broker        process %d, %u processes with %" PRIu64
               " KiB resident\n",
               (int)rec->broker, v->procs, v->rss_kib);
    else
        printf("  broker        %s\n",
               rec->broker ? "gone" : "not started yet");
    for (i = 0; i < rec->ndevs; i++)
        if (!only || !strcmp(only, rec->devs[i].cfg.id))
            print_dev(v, i);
}

/* ---- as JSON ---- */

static void json_stats(yajl_gen j, const struct vr_stats_dev *s)
{
    unsigned int q, nq = s->nqueues;
    size_t i;

    json_u64(j, "status", s->status);
    json_u64(j, "features", s->features);
    json_u64(j, "failed", vr_stats_why(s));
    json_str(j, "failed_text", vr_fail_text(vr_stats_why(s)));
    if (nq > VR_MAX_QUEUES)
        nq = VR_MAX_QUEUES;
    json_key(j, "rings");
    yajl_gen_array_open(j);
    for (q = 0; q < nq; q++) {
        yajl_gen_map_open(j);
        json_bool(j, "enabled", s->q[q].enabled);
        json_u64(j, "size", s->q[q].size);
        json_u64(j, "descriptors", s->q[q].desc);
        json_u64(j, "available", s->q[q].driver);
        json_u64(j, "used", s->q[q].device);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
    json_key(j, "counters");
    yajl_gen_map_open(j);
    for (i = 0; i < VR_ARRAY_SIZE(counters); i++)
        json_u64(j, counters[i].name, counter_value(s, i));
    yajl_gen_map_close(j);
}

static void json_dynamic(yajl_gen j, const struct view *v, unsigned int i)
{
    const struct vr_record *rec = &v->g.rec;
    const struct vr_dev_cfg *c = &rec->devs[i].cfg;
    char text[24];

    json_u64(j, "aperture", c->aperture);
    json_str(j, "map_threshold", vr_threshold_text(c->map_threshold, text));
    json_u64(j, "revoke_timeout", c->revoke_ms);
    json_u64(j, "iommu_base", rec->iommu.mmio_base);
    json_u64(j, "iommu_irq", rec->iommu.irq);
    json_u64(j, "endpoint", i);
    if (v->maps)
        json_u64(j, "mapped_pages", vr_maps_count(v->maps, rec, i));
}

static void json_dev(yajl_gen j, const struct view *v, unsigned int i)
{
    const struct vr_record_dev *d = &v->g.rec.devs[i];
    const struct vr_record_driver *drv = &v->g.rec.drivers[d->driver];
    const struct dev_view *dv = &v->dev[i];

    yajl_gen_map_open(j);
    json_str(j, "id", d->cfg.id);
    json_str(j, "type", vr_type_name(d->cfg.type));
    json_str(j, "mode", vr_mode_name(d->cfg.mode));
    json_str(j, "state", dv->state);
    json_str(j, "error", dv->why);
    json_str(j, "driver", drv->name);
    json_str(j, "driver_uuid", drv->uuid);
    if (drv->domid != VR_DOMID_NONE)
        json_u64(j, "driver_domid", drv->domid);
    json_bool(j, "driver_owned", drv->owned);
    json_str(j, "driver_state", v->driver_state[d->driver]);
    json_str(j, "backend", xb_name(dv->backend));
    json_str(j, "backend_error", dv->backend_error);
    json_str(j, "target", d->cfg.target);
    json_bool(j, "readonly", d->cfg.readonly);
    json_bool(j, "discard", d->cfg.discard);
    json_str(j, "serial", d->cfg.serial);
    json_u64(j, "queues", d->cfg.queues);
    json_u64(j, "queue_size", d->cfg.queue_size);
    json_u64(j, "mmio_base", d->mmio_base);
    json_u64(j, "irq", d->irq);
    json_u64(j, "window_base", d->dma_base);
    json_u64(j, "window_size", d->dma_size);
    json_u64(j, "gref_base", d->gref_base);
    json_u64(j, "gref_count", d->dma_size >> VR_PAGE_SHIFT);
    if (d->cfg.mode == VR_MODE_DYNAMIC)
        json_dynamic(j, v, i);
    if (dv->s)
        json_stats(j, dv->s);
    yajl_gen_map_close(j);
}

static void json_view(const struct view *v, const char *only)
{
    const struct vr_record *rec = &v->g.rec;
    yajl_gen j = json_begin();
    unsigned int i;

    if (!j)
        return;
    json_str(j, "guest", rec->name);
    json_str(j, "uuid", rec->uuid);
    if (rec->domid != VR_DOMID_NONE)
        json_u64(j, "domid", rec->domid);
    json_str(j, "domain_state", v->g.exists ? dom_state(&v->g.info) : "gone");
    json_str(j, "phase", vr_phase_name(rec->phase));
    json_u64(j, "vcpus", rec->vcpus);
    json_u64(j, "grant_frames", rec->grant_frames);
    json_u64(j, "broker", v->g.broker ? rec->broker : 0);
    json_u64(j, "broker_processes", v->procs);
    json_u64(j, "broker_rss_kib", v->rss_kib);
    json_key(j, "devices");
    yajl_gen_array_open(j);
    for (i = 0; i < rec->ndevs; i++)
        if (!only || !strcmp(only, rec->devs[i].cfg.id))
            json_dev(j, v, i);
    yajl_gen_array_close(j);
    json_end(j);
}

static bool has_dev(const struct vr_record *rec, const char *id)
{
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++)
        if (!strcmp(rec->devs[i].cfg.id, id))
            return true;
    return false;
}

int cmd_show(int argc, char **argv)
{
    const char *what = NULL, *id = NULL;
    struct xs_handle *xs = NULL;
    struct view *v = NULL;
    int i, status = EX_FAILED;
    struct vr_err err;
    xc_interface *xch;
    bool json = false;

    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!what && argv[i][0] != '-')
            what = argv[i];
        else if (!id && argv[i][0] != '-')
            id = argv[i];
        else
            what = NULL, i = argc;
    }
    if (!what) {
        fprintf(stderr, "usage: vrctl show [--json] GUEST [ID]\n");
        return EX_USAGE;
    }
    xch = xc_interface_open(NULL, NULL, 0);
    v = calloc(1, sizeof(*v));
    if (!xch || !v) {
        say("cannot reach the hypervisor: %s; run this as root in the "
            "toolstack domain",
            strerror(errno));
        goto out;
    }
    if (guest_lookup(xch, what, &v->g, &err)) {
        say("%s", err.text);
        goto out;
    }
    if (id && !has_dev(&v->g.rec, id)) {
        say("guest %s has no restricted device \"%s\"", v->g.rec.name, id);
        goto out;
    }
    xs = xs_open(0);
    collect(v, xch, xs);
    if (json)
        json_view(v, id);
    else
        print_view(v, id);
    status = EX_OK;
out:
    if (v && v->stats)
        vr_stats_close(v->stats);
    if (v)
        vr_maps_close(v->maps, &v->g.rec);
    free(v);
    if (xs)
        xs_close(xs);
    if (xch)
        xc_interface_close(xch);
    return status;
}

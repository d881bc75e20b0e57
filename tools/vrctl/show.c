/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl show: the record, the live figures and xenstore's states of a guest.
 * Collected once; printed for people or as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/proto/maps.h"
#include "libs/proto/pools.h"
#include "libs/base/text.h"
#include "libs/transport/pci/bus.h"
#include "vrctl.h"
#include "libs/xen/compat.h"
#include "libs/xen/down.h"
#include "libs/xen/store.h"
#include "libs/xen/zombies.h"

#define MAX_PROCS 8

struct dev_view {
    struct vr_devstate is;
    enum vr_xbstate backend;
    char backend_error[256];
    const struct vr_stats_dev *s; /* NULL: no figures */
};

struct view {
    struct guest g;
    struct vr_stats *stats;
    struct vr_pools *pools; /* NULL: none was granted yet */
    struct vr_maps *maps;   /* NULL: no dynamic device, or not published */
    uint64_t rss_kib;       /* of the broker's processes */
    unsigned int procs;     /* how many those are */
    char log[VR_LOG_PATH];  /* the broker's */
    struct dev_view dev[VR_MAX_DEVICES];
    enum vr_domstate driver[VR_MAX_DEVICES];
    enum vr_down down[VR_MAX_DEVICES];    /* a driver domain that waits */
    unsigned int zombies[VR_MAX_DEVICES]; /* ... that keeps dead guests */
};

static void collect(struct view *v, xc_interface *xch, struct xs_handle *xs)
{
    const struct vr_record *rec = &v->g.rec;
    pid_t procs[MAX_PROCS];
    unsigned int i, n;

    v->stats = vr_stats_open(rec->uuid, false);
    v->pools = vr_pools_open(rec->uuid, false);
    if (vr_record_endpoints(rec))
        v->maps = vr_maps_open(rec, false);
    if (v->g.broker) {
        v->rss_kib = proc_rss_kib(rec->broker);
        n = proc_children(rec->broker, procs, MAX_PROCS);
        for (i = 0; i < n; i++)
            v->rss_kib += proc_rss_kib(procs[i]);
        v->procs = n + 1;
    }
    vr_log_path(v->log, rec->name);
    for (i = 0; i < rec->ndrivers; i++) {
        v->driver[i] = guest_driver_state(xch, &v->g, i);
        if (!xs || rec->drivers[i].domid == VR_DOMID_NONE)
            continue;
        v->down[i] = vr_down_noted(xs, rec->drivers[i].domid);
        v->zombies[i] = vr_zombie_list(xch, xs, rec->drivers[i].domid, NULL, 0);
    }
    for (i = 0; i < rec->ndevs; i++) {
        struct dev_view *d = &v->dev[i];

        guest_dev_state(xch, xs, &v->g, i, v->stats, &d->is);
        if (xs && rec->domid != VR_DOMID_NONE)
            d->backend = vr_store_backend_state(xs, rec, i, d->backend_error,
                                                sizeof(d->backend_error));
        if (v->stats && i < v->stats->ndevs)
            d->s = &v->stats->dev[i];
    }
}

static const char *guest_state(const struct guest *g)
{
    if (g->exists)
        return dom_state(&g->info);
    return vr_domstate_name(g->rec.domid == VR_DOMID_NONE ? VR_DOM_UNMADE
                                                          : VR_DOM_GONE);
}

/* Does the guest make use of a mixed device's pool? Its rings tell. */
static bool rings_pooled(const struct vr_record_dev *d,
                         const struct vr_stats_dev *s)
{
    unsigned int q, n = 0;

    for (q = 0; q < s->nqueues && q < VR_MAX_QUEUES; q++) {
        if (!s->q[q].enabled)
            continue;
        if (s->q[q].desc - d->pool.base >= d->pool.size)
            return false;
        n++;
    }
    return n;
}

/* ---- for people ---- */

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

static const char *pool_text(const struct view *v, unsigned int i)
{
    switch (vr_pools_state(v->pools, i)) {
    case VR_POOL_GRANTED:
        return "granted: the device runs";
    case VR_POOL_HELD:
        return "held: taken back, but for what the backend keeps";
    case VR_POOL_PRIVATE:
        break;
    }
    return "private: the device does not run";
}

static void print_window(const struct vr_gwin *w, unsigned int kind)
{
    char size[24];

    if (!w)
        return;
    printf("  window        %s, 0x%" PRIx64 "-0x%" PRIx64
           ", %s, grant references %" PRIu32 "-%" PRIu32 "\n",
           vr_window_name(kind), w->base, w->base + w->size - 1,
           vr_format_size(w->size, size), w->gref_base,
           w->gref_base + vr_gwin_pages(w) - 1);
}

static void type_line(void *ctx, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void type_line(void *ctx, const char *name, const char *fmt, ...)
{
    va_list ap;

    (void)ctx;
    printf("  %-13s ", name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void type_text(void *ctx, const char *name, const char *value)
{
    json_str(ctx, name, value);
}

static void type_number(void *ctx, const char *name, uint64_t value)
{
    json_u64(ctx, name, value);
}

static void type_flag(void *ctx, const char *name, bool value)
{
    json_bool(ctx, name, value);
}

/* What only its type knows of a device. @j NULL: for a person. */
static void show_type(const struct vr_record_dev *d,
                      const struct vr_stats_dev *s, yajl_gen j)
{
    const struct vr_type_spec *spec = vr_type_spec(d->cfg.type);
    const struct vr_show to = {.line = type_line,
                               .text = type_text,
                               .number = type_number,
                               .flag = type_flag,
                               .ctx = j};
    const struct vr_seen seen = {
        .cfg = &d->cfg,
        .config = s && s->described ? s->config : NULL,
        .target_size = s ? s->b.target_size : 0,
        .target_io = s ? s->b.target_io : 0,
        .own = s ? s->b.own : NULL,
    };

    if (!j && spec && spec->show)
        spec->show(&seen, &to);
    else if (j && spec && spec->json)
        spec->json(&seen, &to);
}

/* The driver domain of device @i, and what the backend there says. */
static void print_driver(const struct view *v, unsigned int i)
{
    const unsigned int j = v->g.rec.devs[i].driver;
    const struct vr_record_driver *drv = &v->g.rec.drivers[j];
    const char *down = vr_down_name(v->down[j]);
    const struct dev_view *dv = &v->dev[i];
    char domid[12], quote[VR_QUOTE_LEN];

    printf("  driver domain %s, domid %s, %s, %s%s%s\n", drv->name,
           dom_number(drv->domid, domid, sizeof(domid)),
           drv->owned ? "ends with the guest" : "shared",
           vr_domstate_name(v->driver[j]),
           down ? ", waits for its guests to " : "", down ? down : "");
    if (v->zombies[j])
        printf("                keeps %u guests that have ended, see vrctl "
               "list\n",
               v->zombies[j]);
    printf("  backend       %s%s%s\n", vr_xbstate_name(dv->backend),
           dv->backend_error[0] ? ", says " : "",
           dv->backend_error[0] ? vr_quote(quote, dv->backend_error) : "");
}

static void print_dev(const struct view *v, unsigned int i)
{
    const struct vr_record_dev *d = &v->g.rec.devs[i];
    const struct dev_view *dv = &v->dev[i];
    unsigned int kind;

    printf("\ndevice %s: %s, %s\n", d->cfg.id, vr_type_name(d->cfg.type),
           vr_state_name(dv->is.state));
    if (dv->is.reason[0])
        printf("  reason        %s\n", dv->is.reason);
    print_driver(v, i);
    show_type(d, dv->s, NULL);
    if (d->mmio_base && d->cfg.transport == VR_TRANSPORT_pci)
        printf("  PCI function  0000:00:%02x.0, %u vectors\n",
               vr_pci_slot(d->mmio_base), 1 + d->cfg.queues);
    else if (d->mmio_base)
        printf("  registers     0x%" PRIx64 ", interrupt %" PRIu32 "\n",
               d->mmio_base, d->irq);
    else
        printf("  registers     not placed yet\n");
    for (kind = 0; kind < VR_WINDOWS; kind++)
        print_window(vr_record_window(d, kind), kind);
    if (!vr_record_placed(d))
        printf("  window        not placed yet\n");
    if (vr_cfg_has_pool(&d->cfg))
        printf("  pool          %s\n", pool_text(v, i));
    if (vr_cfg_pool_in_probe(&d->cfg))
        printf("  pool told by  %s\n",
               vr_cfg_pool_in_firmware(&d->cfg)
                   ? "firmware, and the virtio-iommu's PROBE answer"
                   : "the virtio-iommu's PROBE answer alone");
    if (vr_cfg_has_iova(&d->cfg))
        print_dynamic(v, i);
    if (d->cfg.mode == VR_MODE_MIXED && dv->s)
        printf("  rings         %s\n",
               rings_pooled(d, dv->s)
                   ? "in the static window"
                   : "not in the static window: the guest does not use it");
    printf("  queues        %u, of %u\n", d->cfg.queues, d->cfg.queue_size);
    if (dv->s)
        stats_print(dv->s);
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
               guest_state(&v->g));
    else
        printf("  domain        %s\n", guest_state(&v->g));
    printf("  phase         %s\n", vr_phase_name(rec->phase));
    printf("  grant frames  %" PRIu32 " at the most\n", rec->grant_frames);
    if (v->g.broker)
        printf("  broker        process %d, %u processes with %" PRIu64
               " KiB resident\n",
               (int)rec->broker, v->procs, v->rss_kib);
    else
        printf("  broker        %s\n",
               rec->broker ? "gone" : "not started yet");
    if (rec->broker)
        printf("  log           %s\n", v->log);
    for (i = 0; i < rec->ndevs; i++)
        if (!only || !strcmp(only, rec->devs[i].cfg.id))
            print_dev(v, i);
    if (rec->iommu.present && !only)
        iommu_print(rec, v->stats ? &v->stats->iommu : NULL);
}

/* ---- as JSON ---- */

static void json_dynamic(yajl_gen j, const struct view *v, unsigned int i)
{
    const struct vr_record *rec = &v->g.rec;
    const struct vr_dev_cfg *c = &rec->devs[i].cfg;
    char text[24];

    json_u64(j, "aperture", c->aperture);
    json_str(j, "map_threshold", vr_threshold_text(c->map_threshold, text));
    json_u64(j, "revoke_timeout", c->revoke_ms);
    if (rec->iommu.present) {
        json_u64(j, "iommu_base", rec->iommu.mmio_base);
        json_u64(j, "iommu_irq", rec->iommu.irq);
    }
    json_u64(j, "endpoint", i);
    if (v->maps)
        json_u64(j, "mapped_pages", vr_maps_count(v->maps, rec, i));
}

static void json_windows(yajl_gen j, const struct vr_record_dev *d)
{
    const struct vr_gwin *first =
        vr_cfg_has_pool(&d->cfg) ? &d->pool : &d->iova;
    unsigned int kind;

    /* For programs that know of one window for each device only. */
    if (first->size) {
        json_u64(j, "window_base", first->base);
        json_u64(j, "window_size", first->size);
        json_u64(j, "gref_base", first->gref_base);
        json_u64(j, "gref_count", vr_gwin_pages(first));
    }
    json_key(j, "windows");
    yajl_gen_array_open(j);
    for (kind = 0; kind < VR_WINDOWS; kind++) {
        const struct vr_gwin *w = vr_record_window(d, kind);

        if (!w)
            continue;
        yajl_gen_map_open(j);
        json_str(j, "kind", vr_window_name(kind));
        json_u64(j, "base", w->base);
        json_u64(j, "size", w->size);
        json_u64(j, "gref_base", w->gref_base);
        json_u64(j, "gref_count", vr_gwin_pages(w));
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
}

static void json_dev(yajl_gen j, const struct view *v, unsigned int i)
{
    const struct vr_record_dev *d = &v->g.rec.devs[i];
    const struct vr_record_driver *drv = &v->g.rec.drivers[d->driver];
    const char *down = vr_down_name(v->down[d->driver]);
    const struct dev_view *dv = &v->dev[i];

    yajl_gen_map_open(j);
    json_str(j, "id", d->cfg.id);
    json_str(j, "type", vr_type_name(d->cfg.type));
    json_str(j, "mode", vr_mode_name(d->cfg.mode));
    json_str(j, "state", vr_state_name(dv->is.state));
    json_str(j, "error", dv->is.reason);
    json_str(j, "driver", drv->name);
    json_str(j, "driver_uuid", drv->uuid);
    if (drv->domid != VR_DOMID_NONE)
        json_u64(j, "driver_domid", drv->domid);
    json_bool(j, "driver_owned", drv->owned);
    json_str(j, "driver_state", vr_domstate_name(v->driver[d->driver]));
    json_str(j, "driver_down", down ? down : "");
    json_u64(j, "driver_zombies", v->zombies[d->driver]);
    json_str(j, "backend", vr_xbstate_name(dv->backend));
    json_str(j, "backend_error", dv->backend_error);
    show_type(d, dv->s, j);
    json_u64(j, "queues", d->cfg.queues);
    json_u64(j, "queue_size", d->cfg.queue_size);
    json_str(j, "transport", vr_transport_name(d->cfg.transport));
    if (d->mmio_base) { /* else it is not placed yet */
        json_u64(j, "mmio_base", d->mmio_base);
        json_u64(j, "irq", d->irq);
    }
    json_windows(j, d);
    if (vr_cfg_has_pool(&d->cfg)) {
        json_str(j, "pool_in", vr_pool_in_name(d->cfg.pool_in));
        json_str(j, "pool", vr_pool_state_name(vr_pools_state(v->pools, i)));
    }
    if (vr_cfg_has_iova(&d->cfg))
        json_dynamic(j, v, i);
    if (d->cfg.mode == VR_MODE_MIXED && dv->s)
        json_bool(j, "rings_in_pool", rings_pooled(d, dv->s));
    if (dv->s)
        stats_json(j, dv->s);
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
    json_str(j, "domain_state", guest_state(&v->g));
    json_str(j, "phase", vr_phase_name(rec->phase));
    json_u64(j, "vcpus", rec->vcpus);
    json_u64(j, "grant_frames", rec->grant_frames);
    json_u64(j, "broker", v->g.broker ? rec->broker : 0);
    json_u64(j, "broker_processes", v->procs);
    json_u64(j, "broker_rss_kib", v->rss_kib);
    json_str(j, "log", v->log);
    json_key(j, "devices");
    yajl_gen_array_open(j);
    for (i = 0; i < rec->ndevs; i++)
        if (!only || !strcmp(only, rec->devs[i].cfg.id))
            json_dev(j, v, i);
    yajl_gen_array_close(j);
    if (rec->iommu.present)
        iommu_json(j, rec, v->stats ? &v->stats->iommu : NULL);
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

static bool parse_words(int argc, char **argv, bool *json, const char **what,
                        const char **id)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            *json = true;
        else if (argv[i][0] == '-')
            return false;
        else if (!*what)
            *what = argv[i];
        else if (!*id)
            *id = argv[i];
        else
            return false;
    }
    return *what;
}

int cmd_show(int argc, char **argv)
{
    const char *what = NULL, *id = NULL;
    struct xs_handle *xs = NULL;
    struct view *v = NULL;
    int status = EX_FAILED;
    struct vr_err err;
    xc_interface *xch;
    bool json = false;

    if (!parse_words(argc, argv, &json, &what, &id)) {
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
        vr_pools_close(v->pools);
    if (v)
        vr_maps_close(v->maps, &v->g.rec);
    free(v);
    if (xs)
        xs_close(xs);
    if (xch)
        xc_interface_close(xch);
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The live figures of a device and of a virtio-iommu, each named once, for
 * people and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vrctl.h"

struct counter {
    const char *name;
    size_t offset;
};
#define C(name, member)                                                        \
    {                                                                          \
        name, offsetof(struct vr_stats_dev, member)                            \
    }
static const struct counter dev_counters[] = {
    C("mmio_reads", mmio_reads),
    C("mmio_writes", mmio_writes),
    C("kicks", kicks),
    C("kick_events", kick_events),
    C("interrupts", interrupts),
    C("interrupts_held", interrupts_held),
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
    C("backend_throttles", b.throttles),
    C("payload_low", b.payload_low),
    C("payload_high", b.payload_high),
    C("resumed", b.resumed),
    C("restarts", b.restarts),
    C("target_read_errors", b.read_errors),
    C("target_write_errors", b.write_errors),
    C("target_flush_errors", b.flush_errors),
    C("target_range_errors", b.range_errors),
    C("target_last_errno", b.last_errno),
    C("target_retries", b.retries),
};

#define I(member)                                                              \
    {                                                                          \
#member, offsetof(struct vr_stats_iommu, member)                       \
    }
static const struct counter iommu_counters[] = {
    I(batches),
    I(requests),
    I(maps),
    I(unmaps),
    I(refused),
    I(no_space),
    I(malformed),
    I(waits),
    I(waited_ms),
    I(longest_wait_ms),
    I(stops),
    I(spent),
    I(kills),
    I(destroys),
    I(faults_sent),
    I(faults_dropped),
    {"mmio_reads", offsetof(struct vr_stats_iommu, vdev.mmio_reads)},
    {"mmio_writes", offsetof(struct vr_stats_iommu, vdev.mmio_writes)},
    {"kicks", offsetof(struct vr_stats_iommu, vdev.kicks)},
};

/* How the guest and the backend wake each other, see bell.def. */
static const char *bell_name(const struct vr_stats_queue *q)
{
    return q->port ? "direct" : "trapped";
}

static bool is_address(const char *name)
{
    return strstr(name, "address") || !strncmp(name, "payload", 7);
}

static uint64_t value(const void *base, const struct counter *c)
{
    return *(const uint64_t *)((const char *)base + c->offset);
}

static void print_counters(const void *base, const struct counter *c, size_t n)
{
    for (; n--; c++)
        printf(is_address(c->name) ? "  %-22s 0x%" PRIx64 "\n"
                                   : "  %-22s %" PRIu64 "\n",
               c->name, value(base, c));
}

static void json_counters(yajl_gen j, const void *base, const struct counter *c,
                          size_t n)
{
    json_key(j, "counters");
    yajl_gen_map_open(j);
    for (; n--; c++)
        json_u64(j, c->name, value(base, c));
    yajl_gen_map_close(j);
}

void stats_print(const struct vr_stats_dev *s)
{
    unsigned int q, nq = s->nqueues;

    printf("  status        0x%02" PRIx32 ", features 0x%" PRIx64 "\n",
           s->status, s->features);
    if (nq > VR_MAX_QUEUES)
        nq = VR_MAX_QUEUES;
    for (q = 0; q < nq; q++) {
        const struct vr_stats_queue *vq = &s->q[q];

        if (!vq->enabled) {
            printf("  queue %-2u      not enabled\n", q);
            continue;
        }
        printf("  queue %-2u      size %" PRIu32 ", descriptors 0x%" PRIx64
               ", available 0x%" PRIx64 ", used 0x%" PRIx64 ", bell %s",
               q, vq->size, vq->desc, vq->driver, vq->device, bell_name(vq));
        if (vq->port)
            printf(" (event channel %" PRIu32 " of the guest)", vq->port);
        putchar('\n');
    }
    print_counters(s, dev_counters, VR_ARRAY_SIZE(dev_counters));
}

void stats_json(yajl_gen j, const struct vr_stats_dev *s)
{
    unsigned int q, nq = s->nqueues;

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
        json_str(j, "bell", bell_name(&s->q[q]));
        json_u64(j, "event_channel", s->q[q].port);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
    json_counters(j, s, dev_counters, VR_ARRAY_SIZE(dev_counters));
}

void iommu_print(const struct vr_record *rec, const struct vr_stats_iommu *s)
{
    unsigned int i;

    printf("\nvirtio-iommu at 0x%" PRIx64 ", interrupt %" PRIu32 "\n",
           rec->iommu.mmio_base, rec->iommu.irq);
    if (!s)
        return;
    for (i = 0; i < rec->ndevs; i++)
        if (vr_cfg_has_iova(&rec->devs[i].cfg))
            printf("  endpoint %-4u %s: %s, %" PRIu64 " pages mapped, %" PRIu64
                   " at the most\n",
                   i, rec->devs[i].cfg.id,
                   s->ep[i].attached ? "attached" : "not attached",
                   s->ep[i].pages, s->ep[i].pages_max);
    print_counters(s, iommu_counters, VR_ARRAY_SIZE(iommu_counters));
}

void iommu_json(yajl_gen j, const struct vr_record *rec,
                const struct vr_stats_iommu *s)
{
    unsigned int i;

    json_key(j, "iommu");
    yajl_gen_map_open(j);
    json_u64(j, "mmio_base", rec->iommu.mmio_base);
    json_u64(j, "irq", rec->iommu.irq);
    if (s) {
        json_u64(j, "status", s->vdev.status);
        json_key(j, "endpoints");
        yajl_gen_array_open(j);
        for (i = 0; i < rec->ndevs; i++) {
            if (!vr_cfg_has_iova(&rec->devs[i].cfg))
                continue;
            yajl_gen_map_open(j);
            json_u64(j, "endpoint", i);
            json_str(j, "device", rec->devs[i].cfg.id);
            json_bool(j, "attached", s->ep[i].attached);
            json_u64(j, "pages", s->ep[i].pages);
            json_u64(j, "pages_max", s->ep[i].pages_max);
            yajl_gen_map_close(j);
        }
        yajl_gen_array_close(j);
        json_counters(j, s, iommu_counters, VR_ARRAY_SIZE(iommu_counters));
    }
    yajl_gen_map_close(j);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record's layout, as tables, and what can be told of one at a glance. */
#include <errno.h>
#include <string.h>

#include "record_int.h"

/* A field of a structure; what more there is to say of it comes behind. */
#define FIELD(type, m, name, what, ...)                                        \
    {                                                                          \
        .key = (name), .kind = (what), .offset = offsetof(struct type, m),     \
        .size = sizeof(((struct type *)0)->m), __VA_ARGS__                     \
    }
#define STRING(type, m, name, ...) FIELD(type, m, name, K_STRING, __VA_ARGS__)
#define OTHER(type, m, name, what) FIELD(type, m, name, what)
#define NUMBER(type, m, name, most, ...)                                       \
    FIELD(type, m, name, K_NUMBER, .max = (most), __VA_ARGS__)
#define ARRAY(type, m, n, name, of, most, ...)                                 \
    FIELD(type, m, name, K_ARRAY, .max = (most), .elem = &(of),                \
          .count_offset = offsetof(struct type, n), __VA_ARGS__)
#define OBJECT(type, text, f)                                                  \
    {                                                                          \
        .name = (text), .size = sizeof(struct type), .fields = (f),            \
        .nfields = VR_ARRAY_SIZE(f)                                            \
    }

#define PID_MAX UINT64_C(0x7fffffff)

/* Frames [start, end): end is one more than a 32-bit number can be. */
#define GFN_END (UINT64_C(1) << 32)

static const struct field ram_fields[] = {
    NUMBER(vr_record_ram, start, "start", GFN_END),
    NUMBER(vr_record_ram, end, "end", GFN_END),
};
static const struct object ram_object =
    OBJECT(vr_record_ram, "RAM bank", ram_fields);

static const struct field driver_fields[] = {
    STRING(vr_record_driver, name, "name"),
    STRING(vr_record_driver, uuid, "uuid"),
    NUMBER(vr_record_driver, domid, "domid", VR_DOMID_NONE),
    OTHER(vr_record_driver, owned, "owned", K_BOOL),
    STRING(vr_record_driver, config, "config"),
};
static const struct object driver_object =
    OBJECT(vr_record_driver, "driver domain", driver_fields);

static const struct field dev_fields[] = {
    STRING(vr_record_dev, cfg.id, "id"),
    OTHER(vr_record_dev, cfg.type, "type", K_TYPE),
    OTHER(vr_record_dev, cfg.mode, "mode", K_MODE),
    FIELD(vr_record_dev, cfg.transport, "transport", K_TRANSPORT, .since = 5),
    NUMBER(vr_record_dev, cfg.size, "size", ADDR_MAX),
    OTHER(vr_record_dev, cfg.has_base, "has_base", K_BOOL),
    NUMBER(vr_record_dev, cfg.base, "base", ADDR_MAX),
    FIELD(vr_record_dev, cfg.pool_in, "pool_in", K_POOL_IN, .since = 4),
    NUMBER(vr_record_dev, cfg.aperture, "aperture", ADDR_MAX, .since = 2),
    NUMBER(vr_record_dev, cfg.map_threshold, "map_threshold", VR_NEVER_MAP,
           .since = 2),
    NUMBER(vr_record_dev, cfg.revoke_ms, "revoke_ms", VR_REVOKE_MS_MAX,
           .since = 2),
    STRING(vr_record_dev, cfg.driver, "driver_config"),
    STRING(vr_record_dev, cfg.backend, "backend"),
    STRING(vr_record_dev, cfg.target, "target"),
    OTHER(vr_record_dev, cfg.readonly, "readonly", K_BOOL),
    NUMBER(vr_record_dev, cfg.queues, "queues", VR_MAX_QUEUES),
    NUMBER(vr_record_dev, cfg.queue_size, "queue_size", VR_MAX_QUEUE_SIZE),
    STRING(vr_record_dev, cfg.serial, "serial"),
    OTHER(vr_record_dev, cfg.discard, "discard", K_BOOL),
    STRING(vr_record_dev, cfg.mac, "mac", .since = 5),
    STRING(vr_record_dev, cfg.bridge, "bridge", .since = 5),
    STRING(vr_record_dev, cfg.gatewaydev, "gatewaydev", .since = 5),
    STRING(vr_record_dev, cfg.ip, "ip", .since = 5),
    STRING(vr_record_dev, cfg.script, "script", .since = 5),
    STRING(vr_record_dev, cfg.vifname, "vifname", .since = 5),
    NUMBER(vr_record_dev, cfg.mtu, "mtu", 65521, .since = 5),
    STRING(vr_record_dev, cfg.rate, "rate", .since = 5),
    FIELD(vr_record_dev, cfg.offload, "offload", K_BOOL, .since = 5),
    STRING(vr_record_dev, cfg.vhost, "vhost", .since = 5),
    NUMBER(vr_record_dev, cfg.timeout, "timeout", UINT32_MAX),
    NUMBER(vr_record_dev, cfg.poll_us, "poll_us", UINT32_MAX),
    NUMBER(vr_record_dev, driver, "driver", VR_MAX_DEVICES - 1),
    NUMBER(vr_record_dev, mmio_base, "mmio_base", ADDR_MAX),
    NUMBER(vr_record_dev, irq, "irq", 1019),
    /* The one window of older versions: recread.c finds its place. */
    NUMBER(vr_record_dev, pool.base, "dma_base", ADDR_MAX, .until = 2),
    NUMBER(vr_record_dev, pool.size, "dma_size", ADDR_MAX, .until = 2),
    NUMBER(vr_record_dev, pool.gref_base, "gref_base", UINT32_MAX, .until = 2),
    NUMBER(vr_record_dev, pool.base, "pool_base", ADDR_MAX, .since = 3),
    NUMBER(vr_record_dev, pool.size, "pool_size", ADDR_MAX, .since = 3),
    NUMBER(vr_record_dev, pool.gref_base, "pool_gref", UINT32_MAX, .since = 3),
    NUMBER(vr_record_dev, iova.base, "iova_base", ADDR_MAX, .since = 3),
    NUMBER(vr_record_dev, iova.size, "iova_size", ADDR_MAX, .since = 3),
    NUMBER(vr_record_dev, iova.gref_base, "iova_gref", UINT32_MAX, .since = 3),
};
static const struct object dev_object =
    OBJECT(vr_record_dev, "device", dev_fields);

_Static_assert(VR_ARRAY_SIZE(dev_fields) <= MAX_FIELDS, "a bit for each");

static const struct field root_fields[] = {
    {.key = "version", .kind = K_VERSION, .max = VR_RECORD_VERSION},
    OTHER(vr_record, phase, "phase", K_PHASE),
    STRING(vr_record, name, "name"),
    STRING(vr_record, uuid, "uuid"),
    NUMBER(vr_record, domid, "domid", VR_DOMID_NONE),
    NUMBER(vr_record, vcpus, "vcpus", 8192),
    NUMBER(vr_record, grant_frames, "grant_frames", 1 << 20),
    NUMBER(vr_record, creator, "creator", PID_MAX),
    NUMBER(vr_record, creator_start, "creator_start", INT64_MAX),
    NUMBER(vr_record, broker, "broker", PID_MAX),
    NUMBER(vr_record, broker_start, "broker_start", INT64_MAX),
    ARRAY(vr_record, ram, nram, "ram", ram_object, VR_MAX_BANKS, .since = 2),
    FIELD(vr_record, iommu.present, "iommu", K_BOOL, .since = 2),
    NUMBER(vr_record, iommu.mmio_base, "iommu_mmio_base", ADDR_MAX, .since = 2),
    NUMBER(vr_record, iommu.irq, "iommu_irq", 1019, .since = 2),
    ARRAY(vr_record, drivers, ndrivers, "drivers", driver_object,
          VR_MAX_DEVICES),
    ARRAY(vr_record, devs, ndevs, "devices", dev_object, VR_MAX_DEVICES),
};
const struct object vr_record_layout = OBJECT(vr_record, "record", root_fields);

_Static_assert(sizeof(pid_t) == 4 && sizeof(enum vr_phase) == 4 &&
                   sizeof(enum vr_type) == 4 && sizeof(enum vr_mode) == 4 &&
                   sizeof(enum vr_pool_in) == 4 &&
                   sizeof(enum vr_transport) == 4,
               "fields are read and written as 4 bytes");

static const char *const phase_names[] = {
    [VR_PHASE_CREATING] = "creating",
    [VR_PHASE_READY] = "ready",
    [VR_PHASE_RUNNING] = "running",
    [VR_PHASE_CLOSING] = "closing",
};

const char *vr_phase_name(enum vr_phase phase)
{
    if ((unsigned int)phase >= VR_ARRAY_SIZE(phase_names))
        return NULL;
    return phase_names[phase];
}

unsigned int vr_record_endpoints(const struct vr_record *rec)
{
    unsigned int i, n = 0;

    for (i = 0; i < rec->ndevs; i++)
        n += vr_cfg_has_iova(&rec->devs[i].cfg);
    return n;
}

unsigned int vr_record_vectors(const struct vr_record *rec)
{
    unsigned int i, n = 0;

    for (i = 0; i < rec->ndevs; i++)
        if (rec->devs[i].cfg.transport == VR_TRANSPORT_pci)
            n += 1 + rec->devs[i].cfg.queues;
    return n;
}

bool vr_record_placed(const struct vr_record_dev *dev)
{
    return (!vr_cfg_has_pool(&dev->cfg) ||
            (dev->pool.size && dev->pool.gref_base)) &&
           (!vr_cfg_has_iova(&dev->cfg) ||
            (dev->iova.size && dev->iova.gref_base));
}

uint32_t vr_record_lowest_gref(const struct vr_record *rec)
{
    uint32_t lowest = UINT32_MAX;
    unsigned int i, kind;

    for (i = 0; i < rec->ndevs; i++) {
        for (kind = 0; kind < VR_WINDOWS; kind++) {
            const struct vr_gwin *w = vr_record_window(&rec->devs[i], kind);

            if (w && w->gref_base < lowest)
                lowest = w->gref_base;
        }
    }
    return lowest;
}

int vr_phase_parse(const char *s, uint32_t *out)
{
    uint32_t i;

    for (i = 0; i < VR_ARRAY_SIZE(phase_names); i++) {
        if (!strcmp(s, phase_names[i])) {
            *out = i;
            return 0;
        }
    }
    return -EINVAL;
}

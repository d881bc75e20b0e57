/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest module takes from a virtio-iommu's answers to PROBE
 * (tools/guest-linux/probe.c), and what it makes of that (firmware.c): the
 * device answers what the bytes say, when it likes. A second reader of the same
 * answers has to come to the same pools.
 */
#include "guest/kernel.h"
#include "input.h"

/* ---- virtio, as probe.c uses it ---- */

#define HZ                          100
#define VIRTIO_CONFIG_S_ACKNOWLEDGE 1
#define VIRTIO_CONFIG_S_DRIVER      2
#define VIRTIO_CONFIG_S_FEATURES_OK 8
#define VIRTIO_F_VERSION_1          32
#define VIRTIO_F_ACCESS_PLATFORM    33
#define VIRTIO_ID_IOMMU             23
#define VIRTIO_IOMMU_F_PROBE        4
#define VIRTIO_IOMMU_T_PROBE        5
#define VIRTIO_IOMMU_S_OK           0
#define VIRTIO_IOMMU_PROBE_T_NONE   0
#define VIRTIO_IOMMU_PROBE_T_MASK   0xfff
#define BUS_NOTIFY_BIND_DRIVER      4
#define NOTIFY_DONE                 0

struct virtio_iommu_probe_property {
    __le16 type, length;
};

struct virtio_iommu_req_tail {
    u8 status, reserved[3];
};

struct virtio_iommu_req_probe {
    struct {
        u8 type, reserved[3];
    } head;
    __le32 endpoint;
    u8 reserved[64];
};

struct virtio_iommu_config {
    __le64 page_size_mask;
    __le64 input[2];
    __le32 domain[2];
    __le32 probe_size;
};

struct virtio_device;

struct virtqueue {
    u8 *answer;
    size_t size;
    bool kicked;
    unsigned int wait; /* looks until it answers */
};

struct virtio_config_ops {
    u64 (*get_features)(struct virtio_device *);
    int (*finalize_features)(struct virtio_device *);
    u8 (*get_status)(struct virtio_device *);
    void (*get)(struct virtio_device *, unsigned int, void *, unsigned int);
    void (*del_vqs)(struct virtio_device *);
};

struct virtio_device {
    struct device dev;
    u64 features;
    const struct virtio_config_ops *config;
    struct {
        u32 device;
    } id;
    u8 status;
    bool ready;
    struct virtqueue *vq;
};

struct bus_type;
struct virtio_device_id {
    u32 device;
};

struct virtio_driver {
    struct {
        const char *name;
        struct bus_type *bus;
    } driver;
    const struct virtio_device_id *id_table;
};

struct notifier_block {
    int (*notifier_call)(struct notifier_block *, unsigned long, void *);
};

struct fwnode_handle {
    int refs;
};

struct iommu_fwspec {
    struct fwnode_handle *iommu_fwnode;
    unsigned int num_ids;
    u32 ids[1];
};

struct resource {
    u64 start, end;
    unsigned long flags;
};

static unsigned long jiffies;

#define time_after(a, b)              ((long)((b) - (a)) < 0)
#define usleep_range(a, b)            ((void)jiffies++)
#define dev_to_virtio(d)              container_of(d, struct virtio_device, dev)
#define dev_fwnode(d)                 ((d)->fwnode)
#define dev_iommu_fwspec_get(d)       ((d)->fwspec)
#define device_lock(d)                ((void)(d))
#define device_unlock(d)              ((void)(d))
#define register_virtio_driver(d)     ((void)(d), 0)
#define unregister_virtio_driver(d)   ((void)(d))
#define bus_register_notifier(b, n)   ((void)(b), (void)(n), 0)
#define bus_unregister_notifier(b, n) ((void)(b), (void)(n))
#define bus_for_each_dev(b, s, d, f)  ((void)(f))
#define resource_size(r)              ((r)->end - (r)->start + 1)
#define IORESOURCE_MEM                0x200
#define DEFINE_RES_MEM(from, size)                                             \
    (struct resource)                                                          \
    {                                                                          \
        (from), (from) + (size)-1, IORESOURCE_MEM                              \
    }

static struct fwnode_handle *fwnode_handle_get(struct fwnode_handle *f)
{
    f->refs++;
    return f;
}

static void fwnode_handle_put(struct fwnode_handle *f)
{
    REQUIRE(f->refs-- > 0, "lets go of a node too often");
}

/* ---- the device ---- */

static void virtio_add_status(struct virtio_device *v, u8 bit)
{
    v->status |= bit;
}

static void virtio_reset_device(struct virtio_device *v)
{
    v->status = 0;
    v->ready = false;
    if (v->vq)
        v->vq->kicked = false;
}

static void virtio_device_ready(struct virtio_device *v)
{
    v->ready = true;
}

static u64 get_features(struct virtio_device *v)
{
    u64 all = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |
              BIT_ULL(VIRTIO_IOMMU_F_PROBE) | 1;

    (void)v;
    return eat(1) == 0xff ? eat(8) : all;
}

static int finalize_features(struct virtio_device *v)
{
    (void)v;
    return 0;
}

static u8 get_status(struct virtio_device *v)
{
    return eat(1) == 0xff ? 0 : v->status;
}

static void get_config(struct virtio_device *v, unsigned int off, void *to,
                       unsigned int n)
{
    (void)v;
    REQUIRE(off == offsetof(struct virtio_iommu_config, probe_size) && n == 4,
            "an odd field");
    *(u32 *)to = eat(1) == 0xff ? eat(4) : 24 + eat(1);
}

static void del_vqs(struct virtio_device *v)
{
    REQUIRE(v->vq, "no queue");
    free(v->vq);
    v->vq = NULL;
}

static struct virtqueue *virtio_find_single_vq(struct virtio_device *v,
                                               void *callback, const char *name)
{
    (void)callback;
    (void)name;
    if (eat(1) == 0xff)
        return ERR_PTR(-ENOENT);
    v->vq = calloc(1, sizeof(*v->vq));
    REQUIRE(v->vq, "memory");
    return v->vq;
}

static struct {
    void *p;
    size_t n;
} buffer[2]; /* of the last request: what the device reads, what it writes */

static void sg_init_one(struct scatterlist *sg, void *p, size_t n)
{
    static unsigned int next;

    buffer[next].p = p;
    buffer[next].n = n;
    sg->length = next;
    next ^= 1;
}

static int virtqueue_add_sgs(struct virtqueue *vq, struct scatterlist **sgs,
                             unsigned int out, unsigned int ins, void *data,
                             gfp_t gfp)
{
    const struct virtio_iommu_req_probe *head = buffer[sgs[0]->length].p;

    (void)data;
    (void)gfp;
    REQUIRE(out == 1 && ins == 1 && buffer[sgs[0]->length].n == sizeof(*head),
            "an odd request");
    REQUIRE(head->head.type == VIRTIO_IOMMU_T_PROBE, "another request");
    vq->answer = buffer[sgs[1]->length].p;
    vq->size = buffer[sgs[1]->length].n;
    return 0;
}

static bool virtqueue_kick(struct virtqueue *vq)
{
    vq->kicked = true;
    vq->wait = eat(1) % 4;
    if (vq->wait == 3)
        vq->wait = eat(1) == 0xff ? 1000 : 1;
    return true;
}

static bool virtqueue_is_broken(struct virtqueue *vq)
{
    return vq->wait && left && in[0] == 0xfe;
}

static void virtqueue_detach_unused_buf(struct virtqueue *vq)
{
    (void)vq;
}

/* Any bytes, and now and then what they should be. */
static void *virtqueue_get_buf(struct virtqueue *vq, unsigned int *len)
{
    static const u8 good[8] = {0xff, 0x0f, 20, 0, 'V', 'R', 'D', 'P'};
    const u64 base = 0x48000000, pool = SZ_1M;
    size_t props = vq->size - 4, n, i;

    if (!vq->kicked || vq->wait) {
        vq->wait -= vq->wait != 0;
        return NULL;
    }
    vq->kicked = false;
    n = eat(1) % (props + 1);
    for (i = 0; i < n; i++)
        vq->answer[i] = eat(1);
    if (eat(1) % 2) {
        i = eat(1) % (props - 23);
        memcpy(vq->answer + i, good, 8);
        memcpy(vq->answer + i + 8, &base, 8);
        memcpy(vq->answer + i + 16, &pool, 8);
    }
    vq->answer[props] = eat(1) % 4 ? 0 : eat(1);
    *len = eat(1);
    return vq;
}

#include "../../tools/guest-linux/probe.c"

/* ---- the kernel's memory, and firmware's nodes ---- */

struct device_node {
    int unused;
};

struct reserved_mem {
    u64 base, size;
};

#define IORESOURCE_SYSTEM_RAM 1
#define IORES_DESC_NONE       0
#define REGION_DISJOINT       1

static bool kernels_ram, set_aside;
static struct reserved_mem reserved;

#define region_intersects(start, size, flags, desc)                            \
    ((void)(start), (void)(size), kernels_ram ? 0 : REGION_DISJOINT)
#define of_reserved_mem_lookup(node)        ((void)(node), &reserved)
#define to_of_node(f)                       ((struct device_node *)(f))
#define is_of_node(f)                       ((f) != NULL)
#define of_find_node_by_path(path)          ((struct device_node *)&reserved)
#define of_node_put(n)                      ((void)(n))
#define of_device_is_compatible(node, name) set_aside
#define for_each_available_child_of_node(parent, node)                         \
    for ((node) = (parent); (node); (node) = NULL)
/* Firmware says nothing of pools. */
#define fwnode_find_reference(f, name, i)                                      \
    ((void)(f), (void)(i), (struct fwnode_handle *)ERR_PTR(-ENOENT))
#define fwnode_property_match_string(f, name, s) 0
#define fwnode_device_is_available(f)            true

#include "../../tools/guest-linux/firmware.c"

/* ---- the same, read once more ---- */

static unsigned int le(const u8 *p)
{
    return p[0] | p[1] << 8;
}

/* -1: it makes no sense. 0: there is none. 1: there is. */
static int second_reader(const u8 *p, size_t n, u64 *base, u64 *size)
{
    size_t i, length;
    int found = 0;

    for (i = 0; i + 4 <= n; i += 4 + length) {
        unsigned int type = le(p + i) & 0xfff;

        length = le(p + i + 2);
        if (!type)
            return found;
        if (i + 4 + length > n)
            return -1;
        if (type != 0xfff || length != 20 || memcmp(p + i + 4, "VRDP", 4))
            continue;
        if (found)
            return -1;
        found = 1;
        memcpy(base, p + i + 8, 8);
        memcpy(size, p + i + 16, 8);
    }
    return found;
}

/* One answer, without a device. */
static void one_answer(void)
{
    size_t n = eat(1), i;
    u8 *props = malloc(n ? n : 1);
    struct vr_prop prop;
    u64 base, size;
    int ret, found;

    for (i = 0; i < n; i++)
        props[i] = eat(1);
    ret = vr_find_prop(props, n, &prop);
    found = second_reader(props, n, &base, &size);
    REQUIRE(ret == (found < 0 ? -EINVAL : found ? 0 : -ENOENT), "read wrongly");
    REQUIRE(ret || (prop.base == base && prop.size == size), "read wrongly");
    free(props);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_config_ops ops = {
        get_features, finalize_features, get_status, get_config, del_vqs};
    struct fwnode_handle fwnode = {0};
    struct device parent = {.fwnode = &fwnode}, dev = {0};
    struct virtio_device vdev = {
        .dev = {.parent = &parent}, .config = &ops, .id = {VIRTIO_ID_IOMMU}};
    struct iommu_fwspec spec = {&fwnode, 1, {0}};
    unsigned int how;

    in = data;
    left = size;
    how = eat(1);
    if (how & 1) {
        one_answer();
        return 0;
    }
    vr_probe_pools = true;
    kernels_ram = how & 2;
    set_aside = how & 4;
    reserved = (struct reserved_mem){0x48000000, SZ_1M};
    vr_probe_init();
    vr_probe_notify(NULL, BUS_NOTIFY_BIND_DRIVER, &vdev.dev);
    REQUIRE(!vdev.vq && !vdev.ready && !vdev.features &&
                vdev.status == VIRTIO_CONFIG_S_ACKNOWLEDGE,
            "the driver does not find the device untouched");
    if (how & 8) /* it is bound once more */
        vr_probe_notify(NULL, BUS_NOTIFY_BIND_DRIVER, &vdev.dev);
    dev.fwspec = &spec;
    for (spec.ids[0] = 0; spec.ids[0] <= VR_ENDPOINTS; spec.ids[0]++) {
        struct vr_range range;

        if (vr_firmware_pool(&dev, &range))
            continue;
        REQUIRE(spec.ids[0] < VR_ENDPOINTS, "a pool of no endpoint");
        REQUIRE(PAGE_ALIGNED(range.base) && PAGE_ALIGNED(range.size) &&
                    range.size >= VR_POOL_MIN && range.size <= VR_POOL_MAX &&
                    range.base + range.size - 1 >= range.base,
                "a pool that cannot be");
        REQUIRE(!kernels_ram || (set_aside && range.base == reserved.base &&
                                 range.size == reserved.size),
                "the kernel's own memory");
    }
    vr_probe_exit();
    REQUIRE(!fwnode.refs && vr_told_list.next == &vr_told_list,
            "something is kept");
    return 0;
}

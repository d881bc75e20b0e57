/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI function under a guest and a backend that do what the bytes say, by
 * configuration space and BAR. An account of what the guest has written stands
 * beside it: which messages may be sent, and where the BAR is. What must hold
 * after each step stands in check() and in the operations. The model's own
 * rules are those of fuzz_mmio.c.
 */
#include <stdlib.h>
#include <string.h>

#include "libs/transport/pci/bus.h"
#include "libs/transport/pci/function.h"
#include "input.h"

#define WIN     UINT64_C(0x48000000)
#define SIZE    UINT64_C(0x8000)
#define QUEUES  3u
#define VECTORS (QUEUES + 1)

#define REQUIRE(x)                                                             \
    do {                                                                       \
        if (!(x))                                                              \
            abort();                                                           \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world {
    struct vr_pci p;
    struct vr_vdev m;
    struct vr_stats_dev stats;
    struct vr_ctrl_request req;
    bool quiet;
    uint32_t busy;
    bool line;
    uint64_t placed;
    uint32_t told; /* vectors that were sent since the last step */
} w;

static const struct vr_vdev_desc desc = {
    .device_id = 2,
    .nqueues = QUEUES,
    .queue_size_max = 64,
    .transport = VR_F_TRANSPORT,
    .mandatory = VR_F_MANDATORY,
    .nranges = 1,
    .range = {{.base = WIN, .size = SIZE}},
    .bells = true,
    .backend_domid = 5,
};

static uint64_t cfg(unsigned int off, unsigned int size)
{
    return vr_pci_config_face.read(&w.p, off, size);
}

static uint64_t bar(unsigned int off, unsigned int size)
{
    return vr_pci_bar_face.read(&w.p, off, size);
}

static enum vr_vdev_result set_bar(unsigned int off, unsigned int size,
                                   uint64_t value)
{
    return vr_pci_bar_face.write(&w.p, off, size, value);
}

static void inside(uint64_t addr, uint64_t len)
{
    REQUIRE(addr >= WIN && len <= SIZE && addr - WIN <= SIZE - len);
}

static void on_notify(void *ctx, unsigned int queue)
{
    (void)ctx;
    REQUIRE(queue < QUEUES && w.req.run && w.req.q[queue].epoch);
}

static void on_publish(void *ctx, const struct vr_ctrl_request *req)
{
    unsigned int i;

    (void)ctx;
    w.req = *req;
    w.quiet = false;
    for (i = 0; i < VR_MAX_QUEUES; i++) {
        const struct vr_ctrl_queue *q = &req->q[i];

        if (!q->epoch)
            continue;
        REQUIRE(req->run && i < QUEUES);
        REQUIRE((req->features & VR_F_MANDATORY) == VR_F_MANDATORY);
        inside(q->desc, 16 * q->size);
        inside(q->driver, 6 + 2 * q->size);
        inside(q->device, 6 + 8 * q->size);
        w.busy |= 1u << i;
    }
}

static void on_irq(void *ctx, bool raise)
{
    (void)ctx;
    vr_pci_irq(&w.p, raise);
}

static bool on_message(void *ctx, uint32_t cause, uint32_t queues)
{
    (void)ctx;
    return vr_pci_message(&w.p, cause, queues);
}

static const struct vr_vdev_ops model = {
    .notify = on_notify,
    .publish = on_publish,
    .irq = on_irq,
    .message = on_message,
};

/* Enabled, by a master, not masked, and with what the table says. */
static void on_sent(void *ctx, uint64_t addr, uint32_t data)
{
    struct vr_v2m frame = {.count = VECTORS};
    uint32_t intid = vr_v2m_intid(&frame, addr, data);
    const bool is_pirq =
        w.p.ops->pirqs && !(data & 0xff) && (addr & 0xfff00000) == 0xfee00000;
    unsigned int v, found = 0;

    (void)ctx;
    REQUIRE(!intid ||
            (intid >= VR_PCI_MESSAGES && intid < VR_PCI_MESSAGES + VECTORS));
    REQUIRE((w.p.config[VR_PCI_MSIX_CONTROL + 1] & 0xc0) == 0x80);
    REQUIRE(w.p.config[VR_PCI_COMMAND] & VR_PCI_COMMAND_MASTER);
    for (v = 0; v < VECTORS; v++)
        found += w.p.vector[v].addr_low == (uint32_t)addr &&
                 w.p.vector[v].addr_high == addr >> 32 &&
                 w.p.vector[v].data == data &&
                 (!w.p.vector[v].control || is_pirq);
    REQUIRE(found);
    w.told++;
}

static void on_intx(void *ctx, bool raise)
{
    (void)ctx;
    REQUIRE(raise || w.line);
    w.line = raise;
}

static void on_place(void *ctx, uint64_t base)
{
    (void)ctx;
    REQUIRE(base != w.placed && !(base % VR_PCI_BAR_SIZE));
    w.placed = base;
}

static const struct vr_pci_ops ops = {on_place, on_sent, on_intx, false};
static const struct vr_pci_ops ops_pirqs = {on_place, on_sent, on_intx, true};

static void acknowledge(void)
{
    unsigned int i;

    for (i = 0; i < QUEUES; i++)
        if (!w.req.q[i].epoch)
            w.busy &= ~(1u << i);
    w.quiet = true;
    vr_vdev_quiesced(&w.m);
    REQUIRE(!vr_vdev_waiting(&w.m));
}

static void check(void)
{
    const uint32_t status = bar(VR_PCI_DEVICE_STATUS, 1);
    const uint32_t command = cfg(VR_PCI_COMMAND, 2);
    const uint32_t control = cfg(VR_PCI_MSIX_CONTROL, 2);
    const uint64_t pending = bar(VR_PCI_AT_PENDING, 8);
    unsigned int v;

    /* The BAR is where the guest has put it, while it is decoded. */
    REQUIRE(w.placed ==
            (command & VR_PCI_COMMAND_MEMORY ? cfg(VR_PCI_BAR0, 4) : 0));
    /* INTA, when that is wanted, is what is pending. */
    REQUIRE(w.line == (vr_vdev_isr(&w.m) && !(control & VR_PCI_MSIX_ENABLE) &&
                       !(command & VR_PCI_COMMAND_NO_INTX)));
    REQUIRE(!!(cfg(VR_PCI_STATUS, 2) & VR_PCI_STATUS_INTX) ==
            !!vr_vdev_isr(&w.m));
    /* Nothing is kept back that may be sent. */
    REQUIRE(pending < 1u << VECTORS);
    REQUIRE(!pending || control & VR_PCI_MSIX_ENABLE);
    for (v = 0; v < VECTORS; v++)
        REQUIRE(!(pending & 1u << v) || control & VR_PCI_MSIX_MASKALL ||
                !(command & VR_PCI_COMMAND_MASTER) ||
                bar(VR_PCI_AT_TABLE + 16 * v + 12, 4) & 1);
    /* What says who we are stays as it is. */
    REQUIRE(cfg(VR_PCI_VENDOR_ID, 4) == 0x10421af4);
    REQUIRE((control & 0x7ff) == VECTORS - 1);
    REQUIRE(cfg(VR_PCI_CAPABILITIES, 1) == VR_PCI_CAP_MSIX);
    REQUIRE(bar(VR_PCI_AT_BELLS, 4) == (VR_DOORBELL_OK | 5));
    /* The promise: reset without a complaint means that nobody is at it. */
    if (!status && !vr_vdev_waiting(&w.m))
        REQUIRE(!w.busy || w.quiet);
}

/* Queue 0 to 2 as a well-behaved driver would set it up. */
static void good_queue(unsigned int q, bool vector)
{
    set_bar(VR_PCI_QUEUE_SELECT, 2, q);
    set_bar(VR_PCI_QUEUE_DESC, 8, WIN + q * 0x2000);
    set_bar(VR_PCI_QUEUE_DRIVER, 8, WIN + q * 0x2000 + 0x800);
    set_bar(VR_PCI_QUEUE_DEVICE, 8, WIN + q * 0x2000 + 0x1000);
    set_bar(VR_PCI_QUEUE_SIZE, 2, 64);
    if (vector)
        set_bar(VR_PCI_QUEUE_VECTOR, 2, 1 + q);
    set_bar(VR_PCI_QUEUE_ENABLE, 2, 1);
}

static void good_start(void)
{
    set_bar(VR_PCI_DEVICE_STATUS, 1, 3);
    set_bar(VR_PCI_DRIVER_FEATURE_SELECT, 4, 1);
    set_bar(VR_PCI_DRIVER_FEATURE, 4, VR_F_TRANSPORT >> 32);
    set_bar(VR_PCI_DEVICE_STATUS, 1, 11);
}

static void good_messages(void)
{
    unsigned int v;

    vr_pci_config_face.write(&w.p, VR_PCI_COMMAND, 2, 6);
    for (v = 0; v < VECTORS; v++) {
        set_bar(VR_PCI_AT_TABLE + 16 * v, 8, VR_PCI_FRAME + VR_V2M_SETSPI);
        set_bar(VR_PCI_AT_TABLE + 16 * v + 8, 8, VR_PCI_MESSAGES + v);
    }
    vr_pci_config_face.write(&w.p, VR_PCI_MSIX_CONTROL, 2, 0x8000);
}

static void config_write(uint64_t off, unsigned int width, uint64_t value)
{
    if (vr_pci_config_face.write(&w.p, off, width, value) == VR_VDEV_PENDING)
        REQUIRE(vr_vdev_waiting(&w.m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned int offs[] = {
        VR_PCI_AT_COMMON, VR_PCI_AT_ISR,     VR_PCI_AT_DEVICE, VR_PCI_AT_NOTIFY,
        VR_PCI_AT_TABLE,  VR_PCI_AT_PENDING, VR_PCI_BAR_SIZE,  VR_PCI_AT_BELLS};
    uint8_t config[VR_CONFIG_LEN];

    memset(&w, 0, sizeof(w));
    vr_vdev_init(&w.m, &desc, &model, NULL, &w.stats);
    vr_pci_init(&w.p, &w.m, size % 2 ? &ops_pirqs : &ops, NULL);
    memset(config, 1, sizeof(config));
    vr_vdev_set_device(&w.m, 0x40, config, sizeof(config));
    in = data;
    left = size;
    while (left) {
        uint8_t op = eat(1);
        uint64_t off = eat(1);
        const unsigned int width = 1u << (op >> 4 & 3);
        bool waited = vr_vdev_waiting(&w.m);
        uint64_t value;

        w.told = 0;
        switch (op & 15) {
        case 0:
        case 1:
            off += offs[op >> 6] & ~0xffu;
            value = eat(width);
            if (set_bar(off, width, value) == VR_VDEV_PENDING)
                REQUIRE(vr_vdev_waiting(&w.m));
            else if (off == VR_PCI_DEVICE_STATUS && width == 1 && !value)
                REQUIRE(!vr_vdev_waiting(&w.m));
            break;
        case 2: /* the pages behind */
            off += offs[off & 7];
            set_bar(off, width, eat(width));
            break;
        case 3:
            bar(off + offs[op >> 5], width);
            break;
        case 4:
        case 5:
            config_write(off, width, eat(width));
            break;
        case 6:
            cfg(off, width);
            break;
        case 7: /* any offset, size and direction */
            value = eat(8);
            vr_pci_bar_face.read(&w.p, value, off);
            vr_pci_bar_face.write(&w.p, value, off, ~value);
            vr_pci_config_face.read(&w.p, value, off);
            config_write(value, off, ~value);
            break;
        case 8:
            good_start();
            break;
        case 9:
            good_queue(off % 4, op & 0x40);
            break;
        case 10:
            set_bar(VR_PCI_DEVICE_STATUS, 1, 15);
            break;
        case 11:
            acknowledge();
            break;
        case 12:
            vr_vdev_timeout(&w.m);
            REQUIRE(!vr_vdev_waiting(&w.m));
            REQUIRE(!waited ||
                    bar(VR_PCI_DEVICE_STATUS, 1) & VR_STATUS_NEEDS_RESET);
            break;
        case 13:
            vr_vdev_fail(&w.m, off & 4 ? VR_FAIL_GONE : VR_FAIL_BACKEND);
            if (off & 4) {
                w.busy = 0;
                REQUIRE(!vr_vdev_waiting(&w.m));
            }
            break;
        case 14:
            vr_vdev_interrupt(&w.m, off);
            REQUIRE(w.told <= VECTORS);
            break;
        case 15:
            good_messages();
            break;
        }
        check();
    }
    return 0;
}

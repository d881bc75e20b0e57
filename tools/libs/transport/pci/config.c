/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A function's configuration space (PCI 3.0, 6): identity, BAR, capabilities,
 * and what the guest's writes to them do. Called by the broker's worker, for
 * each access that Xen passes on. Pure.
 */
#include <string.h>

#include "pci_int.h"

/* 4.1.2 */
#define VENDOR        0x1af4u /* "Red Hat" */
#define DEVICE_BASE   0x1040u /* ... and the virtio device id */
#define SUB_VENDOR    0x5853u /* "XenSource" */
#define SUB_DEVICE    0x0040u /* or higher: not transitional */
#define CLASS_STORAGE 0x018000u
#define CLASS_NETWORK 0x020000u
#define CLASS_OTHER   0xff0000u

/* Capabilities (PCI 3.0, appendix H; Advanced Features is an ECN of its own) */
#define CAP_VENDOR 0x09
#define CAP_MSIX   0x11
#define CAP_AF     0x13
#define AF_LENGTH  6
#define AF_RESET   0x01u /* written to its control register */
#define AF_CAN     0x03u /* tells of pending transactions, and can reset */

/* Kinds of structures (4.1.4) */
#define CFG_COMMON 1
#define CFG_NOTIFY 2
#define CFG_ISR    3
#define CFG_DEVICE 4
#define CFG_ACCESS 5
#define CFG_VENDOR 9 /* a format of the vendor's, by an id of its own */

/* In the capability for access to the BAR */
#define ACCESS_BAR    (VR_PCI_CAP_ACCESS + 4)
#define ACCESS_OFFSET (VR_PCI_CAP_ACCESS + 8)
#define ACCESS_LENGTH (VR_PCI_CAP_ACCESS + 12)
#define ACCESS_DATA   (VR_PCI_CAP_ACCESS + 16)

/* Bits that the guest may write. */
static const uint8_t writable[VR_PCI_CONFIG_USED] = {
    [VR_PCI_COMMAND] = VR_PCI_COMMAND_MEMORY | VR_PCI_COMMAND_MASTER,
    [VR_PCI_COMMAND + 1] = VR_PCI_COMMAND_NO_INTX >> 8,
    [VR_PCI_BAR0 + 1] = 0xff & ~((VR_PCI_BAR_SIZE - 1) >> 8),
    [VR_PCI_BAR0 + 2] = 0xff,
    [VR_PCI_BAR0 + 3] = 0xff,
    [VR_PCI_INT_LINE] = 0xff,
    [VR_PCI_MSIX_CONTROL + 1] = (VR_PCI_MSIX_ENABLE | VR_PCI_MSIX_MASKALL) >> 8,
    [ACCESS_BAR] = 0xff,
    [ACCESS_OFFSET] = 0xff,
    [ACCESS_OFFSET + 1] = 0xff,
    [ACCESS_OFFSET + 2] = 0xff,
    [ACCESS_OFFSET + 3] = 0xff,
    [ACCESS_LENGTH] = 0xff,
    [ACCESS_LENGTH + 1] = 0xff,
    [ACCESS_LENGTH + 2] = 0xff,
    [ACCESS_LENGTH + 3] = 0xff,
    [ACCESS_DATA] = 0xff,
    [ACCESS_DATA + 1] = 0xff,
    [ACCESS_DATA + 2] = 0xff,
    [ACCESS_DATA + 3] = 0xff,
};

/* Does [off, off + size) touch [at, at + len)? */
static bool touches(unsigned int off, unsigned int size, unsigned int at,
                    unsigned int len)
{
    return off < at + len && at < off + size;
}

/* ---- the access capability (4.1.4.9) ---- */

/* Returns its length, 0 when the driver has asked for what there is not. */
static unsigned int access_window(const struct vr_pci *p, uint32_t *off)
{
    uint32_t length = pci_get(p, ACCESS_LENGTH, 4);

    *off = pci_get(p, ACCESS_OFFSET, 4);
    if (pci_get(p, ACCESS_BAR, 1) || *off >= VR_PCI_BAR_SIZE ||
        (length != 1 && length != 2 && length != 4) || *off % length)
        return 0;
    return length;
}

static void access_read(struct vr_pci *p)
{
    uint32_t off;
    unsigned int length = access_window(p, &off);

    if (length)
        pci_set(p, ACCESS_DATA, length, bar_read(p, off, length));
    else
        p->m->stats->bad_accesses++;
}

static enum vr_vdev_result access_write(struct vr_pci *p)
{
    uint32_t off;
    unsigned int length = access_window(p, &off);

    if (length)
        return bar_write(p, off, length, pci_get(p, ACCESS_DATA, length));
    p->m->stats->bad_accesses++;
    return VR_VDEV_DONE;
}

/* ---- the whole space ---- */

static void place(struct vr_pci *p)
{
    uint64_t base = 0;

    if (pci_get(p, VR_PCI_COMMAND, 2) & VR_PCI_COMMAND_MEMORY)
        base = pci_get(p, VR_PCI_BAR0, 4);
    if (base == p->placed)
        return;
    p->placed = base;
    p->ops->place(p->ctx, base);
}

static void add_structure(struct vr_pci *p, unsigned int at, unsigned int len,
                          unsigned int kind, uint32_t off, uint32_t size)
{
    pci_set(p, at, 1, CAP_VENDOR);
    pci_set(p, at + 1, 1, at + len); /* the next one stands behind it */
    pci_set(p, at + 2, 1, len);
    pci_set(p, at + 3, 1, kind);
    pci_set(p, at + 8, 4, off);
    pci_set(p, at + 12, 4, size);
}

/* 4.1.4.8: behind the id the format is ours, as is the register. */
static void add_bells(struct vr_pci *p)
{
    pci_set(p, VR_PCI_CAP_AF + 1, 1, VR_PCI_CAP_BELLS);
    add_structure(p, VR_PCI_CAP_BELLS, 16, CFG_VENDOR, VR_PCI_AT_BELLS,
                  VR_PCI_BELLS_SIZE);
    pci_set(p, VR_PCI_CAP_BELLS + 1, 1, 0); /* the last one */
    pci_set(p, VR_PCI_CAP_BELLS + 4, 2, SUB_VENDOR);
}

static void add_capabilities(struct vr_pci *p)
{
    pci_set(p, VR_PCI_CAP_MSIX, 1, CAP_MSIX);
    pci_set(p, VR_PCI_CAP_MSIX + 1, 1, VR_PCI_CAP_COMMON);
    pci_set(p, VR_PCI_MSIX_CONTROL, 2, msix_vectors(p) - 1);
    pci_set(p, VR_PCI_CAP_MSIX + 4, 4, VR_PCI_AT_TABLE);
    pci_set(p, VR_PCI_CAP_MSIX + 8, 4, VR_PCI_AT_PENDING);
    add_structure(p, VR_PCI_CAP_COMMON, 16, CFG_COMMON, VR_PCI_AT_COMMON,
                  VR_PCI_COMMON_SIZE);
    add_structure(p, VR_PCI_CAP_NOTIFY, 20, CFG_NOTIFY, VR_PCI_AT_NOTIFY,
                  p->m->desc.nqueues * VR_PCI_NOTIFY_STEP);
    pci_set(p, VR_PCI_CAP_NOTIFY + 16, 4, VR_PCI_NOTIFY_STEP);
    add_structure(p, VR_PCI_CAP_ISR, 16, CFG_ISR, VR_PCI_AT_ISR, 1);
    add_structure(p, VR_PCI_CAP_DEVICE, 16, CFG_DEVICE, VR_PCI_AT_DEVICE,
                  VR_CONFIG_LEN);
    add_structure(p, VR_PCI_CAP_ACCESS, 20, CFG_ACCESS, 0, 0);
    pci_set(p, VR_PCI_CAP_AF, 1, CAP_AF);
    pci_set(p, VR_PCI_CAP_AF + 2, 1, AF_LENGTH);
    pci_set(p, VR_PCI_CAP_AF + 3, 1, AF_CAN);
    if (p->m->desc.bells)
        add_bells(p);
}

static uint32_t class_of(uint32_t device_id)
{
    switch (device_id) {
    case VR_TYPE_block:
        return CLASS_STORAGE;
    case VR_TYPE_net:
        return CLASS_NETWORK;
    default:
        return CLASS_OTHER;
    }
}

static void power_on(struct vr_pci *p)
{
    const uint32_t id = p->m->desc.device_id;

    memset(p->config, 0, sizeof(p->config));
    pci_set(p, VR_PCI_VENDOR_ID, 2, VENDOR);
    pci_set(p, VR_PCI_DEVICE_ID, 2, DEVICE_BASE + id);
    pci_set(p, VR_PCI_STATUS, 2, VR_PCI_STATUS_CAPS);
    pci_set(p, VR_PCI_REVISION, 1, 1);
    pci_set(p, VR_PCI_CLASS, 3, class_of(id));
    pci_set(p, VR_PCI_SUB_VENDOR, 2, SUB_VENDOR);
    pci_set(p, VR_PCI_SUB_DEVICE, 2, SUB_DEVICE + id);
    pci_set(p, VR_PCI_CAPABILITIES, 1, VR_PCI_CAP_MSIX);
    pci_set(p, VR_PCI_INT_PIN, 1, 1); /* INTA */
    add_capabilities(p);
    msix_reset(p);
}

/* A reset of the function: the device's, and the configuration's. The guest
 * waits for the backend as it does when its driver resets the device; but INTA,
 * which is enabled from here on, is not to tell of what was before. */
static enum vr_vdev_result reset(struct vr_pci *p)
{
    enum vr_vdev_result result;

    vdev_irq_lower(p->m, UINT32_MAX);
    power_on(p);
    place(p);
    result = vdev_status_write(p->m, 0);
    vdev_show(p->m);
    return result;
}

static enum vr_vdev_result written(struct vr_pci *p, unsigned int off,
                                   unsigned int size, bool resets)
{
    if (resets)
        return reset(p);
    if (touches(off, size, ACCESS_DATA, 4))
        return access_write(p);
    if (touches(off, size, VR_PCI_COMMAND, 2) ||
        touches(off, size, VR_PCI_BAR0, 4)) {
        place(p);
        msix_update(p);
    } else if (touches(off, size, VR_PCI_MSIX_CONTROL, 2)) {
        msix_update(p);
    }
    return VR_VDEV_DONE;
}

/* Behind the 256 bytes of conventional PCI there is nothing. */
static bool is_there(uint64_t off, unsigned int size)
{
    return size <= sizeof(uint64_t) && off < VR_PCI_CONFIG_USED &&
           size <= VR_PCI_CONFIG_USED - off;
}

static uint64_t config_read(void *of, uint64_t off, unsigned int size)
{
    struct vr_pci *p = of;
    uint64_t value = 0;
    unsigned int i;

    p->m->stats->mmio_reads++;
    if (!is_there(off, size))
        return 0;
    if (touches(off, size, ACCESS_DATA, 4))
        access_read(p);
    for (i = 0; i < size; i++)
        value |= (uint64_t)p->config[off + i] << (8 * i);
    if (p->m->isr && touches(off, size, VR_PCI_STATUS, 1))
        value |= (uint64_t)VR_PCI_STATUS_INTX << (8 * (VR_PCI_STATUS - off));
    return value;
}

static enum vr_vdev_result config_write(void *of, uint64_t off,
                                        unsigned int size, uint64_t value)
{
    struct vr_pci *p = of;
    bool resets = false;
    unsigned int i;

    p->m->stats->mmio_writes++;
    if (!is_there(off, size))
        return VR_VDEV_DONE;
    for (i = 0; i < size; i++, value >>= 8) {
        const uint8_t bits = writable[off + i];

        p->config[off + i] = (p->config[off + i] & ~bits) | (value & bits);
        resets |= off + i == VR_PCI_AF_CONTROL && value & AF_RESET;
    }
    return written(p, off, size, resets);
}

const struct vr_face vr_pci_config_face = {
    .read = config_read,
    .write = config_write,
};

void vr_pci_init(struct vr_pci *p, struct vr_vdev *m,
                 const struct vr_pci_ops *ops, void *ctx)
{
    memset(p, 0, sizeof(*p));
    p->m = m;
    p->ops = ops;
    p->ctx = ctx;
    power_on(p);
}

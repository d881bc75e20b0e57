// SPDX-License-Identifier: GPL-2.0
/* Registers and the request queue. */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_iommu.h>

#include "abuse.h"

#define SLOTS_ORDER get_order(NSLOTS *SLOT_SIZE)

struct dev dev;

u32 dev_status(void)
{
    return reg_read(VIRTIO_MMIO_STATUS);
}

static void set_addr(u32 low, u64 addr)
{
    reg_write(low, lower_32_bits(addr));
    reg_write(low + 4, upper_32_bits(addr));
}

void dev_queue(u64 desc, u64 avail, u64 used, u32 size)
{
    reg_write(VIRTIO_MMIO_QUEUE_SEL, 0);
    reg_write(VIRTIO_MMIO_QUEUE_NUM, size);
    set_addr(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
    set_addr(VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
    set_addr(VIRTIO_MMIO_QUEUE_USED_LOW, used);
    reg_write(VIRTIO_MMIO_QUEUE_READY, 1);
}

void dev_reset(void)
{
    unsigned int i;

    reg_write(VIRTIO_MMIO_STATUS, 0);
    for (i = 0; i < 2000 && dev_status(); i++)
        usleep_range(1000, 1100);
    if (dev_status())
        wrong("status is 0x%x after a reset", dev_status());
}

static u64 offered(void)
{
    u64 low;

    reg_write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    low = reg_read(VIRTIO_MMIO_DEVICE_FEATURES);
    reg_write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    return low | (u64)reg_read(VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

static void accept(u64 features)
{
    dev.features = features & offered();
    reg_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    reg_write(VIRTIO_MMIO_DRIVER_FEATURES, lower_32_bits(dev.features));
    reg_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    reg_write(VIRTIO_MMIO_DRIVER_FEATURES, upper_32_bits(dev.features));
}

int dev_setup(u64 features)
{
    u32 status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    dev_reset();
    reg_write(VIRTIO_MMIO_STATUS, status);
    accept(features | BIT_ULL(VIRTIO_F_VERSION_1));
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    reg_write(VIRTIO_MMIO_STATUS, status);
    if (!(dev_status() & VIRTIO_CONFIG_S_FEATURES_OK))
        return -EOPNOTSUPP;
    memset(dev.desc, 0, PAGE_SIZE);
    memset(dev.ring, 0, PAGE_SIZE);
    memset(dev.used, 0, PAGE_SIZE);
    /* The stock driver is not to hear of our used buffers. */
    dev.ring->flags = cpu_to_le16(VRING_AVAIL_F_NO_INTERRUPT);
    dev.avail = dev.seen = 0;
    dev_queue(virt_to_phys(dev.desc), virt_to_phys(dev.ring),
              virt_to_phys(dev.used), RING_SIZE);
    status |= VIRTIO_CONFIG_S_DRIVER_OK;
    reg_write(VIRTIO_MMIO_STATUS, status);
    return dev_status() == status ? 0 : -EIO;
}

void desc_set(struct vring_desc *d, u64 addr, u32 len, u16 flags, u16 next)
{
    d->addr = cpu_to_le64(addr);
    d->len = cpu_to_le32(len);
    d->flags = cpu_to_le16(flags);
    d->next = cpu_to_le16(next);
}

void slot_desc(unsigned int slot, u32 in_len, u32 out_len)
{
    struct vring_desc *d = dev.desc + 2 * slot;
    u64 in = virt_to_phys(slot_in(slot)), out = virt_to_phys(slot_out(slot));

    if (!in_len) {
        desc_set(d, out, out_len, VRING_DESC_F_WRITE, 0);
        return;
    }
    desc_set(d, in, in_len, out_len ? VRING_DESC_F_NEXT : 0, 2 * slot + 1);
    desc_set(d + 1, out, out_len, VRING_DESC_F_WRITE, 0);
}

void ring_post(u16 head)
{
    dev.ring->ring[dev.avail % RING_SIZE] = cpu_to_le16(head);
    smp_wmb();
    WRITE_ONCE(dev.ring->idx, cpu_to_le16(++dev.avail));
}

void ring_kick(void)
{
    mb();
    reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    cond_resched();
}

enum answer ring_wait(unsigned int ms)
{
    ktime_t end = ktime_add_ms(ktime_get(), ms);

    for (;;) {
        if (le16_to_cpu(READ_ONCE(dev.used->idx)) == dev.avail) {
            smp_rmb();
            return ANSWERED;
        }
        if (dev_status() & VIRTIO_CONFIG_S_NEEDS_RESET)
            return BROKEN;
        if (ktime_after(ktime_get(), end))
            return SILENT;
        usleep_range(200, 300);
    }
}

u32 ring_used_len(unsigned int n)
{
    return le32_to_cpu(dev.used->ring[(dev.seen + n) % RING_SIZE].len);
}

void ring_forget(void)
{
    dev.seen = dev.avail;
}

static int get_memory(void)
{
    dev.desc = (void *)__get_free_page(GFP_KERNEL);
    dev.ring = (void *)__get_free_page(GFP_KERNEL);
    dev.used = (void *)__get_free_page(GFP_KERNEL);
    dev.table = (void *)__get_free_page(GFP_KERNEL);
    dev.spare = (void *)__get_free_page(GFP_KERNEL);
    dev.slots = (void *)__get_free_pages(GFP_KERNEL, SLOTS_ORDER);
    return dev.desc && dev.ring && dev.used && dev.table && dev.spare &&
                   dev.slots
               ? 0
               : -ENOMEM;
}

/* An endpoint's window is what PROBE does not call reserved. */
static int find_window(u32 endpoint)
{
    const struct virtio_iommu_probe_resv_mem *p = (void *)slot_out(0);
    u64 *w = dev.window[endpoint];
    unsigned int i;

    slot_desc(0, put_probe(slot_in(0), endpoint), 512 + TAIL);
    ring_post(0);
    ring_kick();
    if (ring_wait(2000) != ANSWERED || ring_used_len(0) != 512 + TAIL ||
        slot_out(0)[512] != VIRTIO_IOMMU_S_OK)
        return -EIO;
    ring_forget();
    w[0] = dev.lo;
    w[1] = dev.hi;
    for (i = 0; i < 2 && le16_to_cpu(p[i].head.type); i++) {
        if (le64_to_cpu(p[i].start) == dev.lo)
            w[0] = le64_to_cpu(p[i].end) + 1;
        else
            w[1] = le64_to_cpu(p[i].start) - 1;
    }
    return 0;
}

/* Maps the registers when these are a virtio-iommu's. */
static int is_iommu(struct device *d, const void *unused)
{
    struct resource *r;

    if (!d->driver || strcmp(d->driver->name, "virtio-mmio"))
        return 0;
    r = platform_get_resource(to_platform_device(d), IORESOURCE_MEM, 0);
    dev.regs = r ? ioremap(r->start, resource_size(r)) : NULL;
    if (!dev.regs)
        return 0;
    if (reg_read(VIRTIO_MMIO_DEVICE_ID) == VIRTIO_ID_IOMMU)
        return 1;
    iounmap(dev.regs);
    return 0;
}

int dev_open(void)
{
    struct device *d =
        bus_find_device(&platform_bus_type, NULL, NULL, is_iommu);
    int rc;

    if (!d)
        return -ENODEV;
    put_device(d);
    rc = get_memory();
    dev.lo = readq(dev.regs + VIRTIO_MMIO_CONFIG + 8);
    dev.hi = readq(dev.regs + VIRTIO_MMIO_CONFIG + 16);
    if (!rc)
        rc = dev_setup(~0ULL & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
    if (!rc)
        rc = find_window(0) ?: find_window(1);
    if (rc)
        dev_close();
    return rc;
}

void dev_close(void)
{
    /* The memory is not given back: the device may know it. */
    dev_reset();
    iounmap(dev.regs);
}

// SPDX-License-Identifier: GPL-2.0
/* Descriptors and rings that are laid out oddly, or impossible. */
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/virtio_config.h>
#include <linux/virtio_iommu.h>

#include "abuse.h"

#define NEXT     VRING_DESC_F_NEXT
#define WRITABLE VRING_DESC_F_WRITE
#define INDIR    VRING_DESC_F_INDIRECT

enum want {
    FINE, /* answered with OK */
    VOID, /* given back, with nothing written */
    DEAD, /* the device asks to be reset */
    ANY,  /* one of these, or an error: it goes on */
};

static u64 in, out, table;
static u32 in_len;

/* A chain in @d that is one request in pieces of one byte. */
static unsigned int bytewise(struct vring_desc *d)
{
    unsigned int i, n = 0;

    for (i = 0; i < in_len; i++, n++)
        desc_set(d + n, in + i, 1, NEXT, n + 1);
    for (i = 0; i < TAIL; i++, n++)
        desc_set(d + n, out + i, 1, WRITABLE | (i < TAIL - 1 ? NEXT : 0),
                 n + 1);
    return n;
}

static void plain(struct vring_desc *d, u16 first)
{
    desc_set(d, in, in_len, NEXT, first + 1);
    desc_set(d + 1, out, TAIL, WRITABLE, 0);
}

static enum want put_layout(unsigned int i)
{
    struct vring_desc *d = dev.desc, *t = dev.table;
    unsigned int n;

    switch (i) {
    case 0: /* ordinary */
        plain(d, 0);
        break;
    case 1: /* single bytes */
        bytewise(d);
        break;
    case 2: /* the same, the wrong way round in the table */
        for (n = 0; n < in_len; n++)
            desc_set(d + 255 - n, in + n, 1, NEXT, 254 - n);
        desc_set(d + 255 - n, out, TAIL, WRITABLE, 0);
        ring_post(255);
        return FINE;
    case 3: /* indirect, in single bytes, table at an odd address */
        t = (void *)((u8 *)t + 1);
        n = bytewise(t);
        desc_set(d, table + 1, n * 16, INDIR, 0);
        break;
    case 4: /* indirect and writable: that bit says nothing here */
        plain(t, 0);
        desc_set(d, table, 32, INDIR | WRITABLE, 0);
        break;
    case 5: /* no tail */
        desc_set(d, in, in_len, 0, 0);
        ring_post(0);
        return VOID;
    case 6: /* a tail of three bytes */
        desc_set(d, in, in_len, NEXT, 1);
        desc_set(d + 1, out, 3, WRITABLE, 0);
        ring_post(0);
        return VOID;
    case 7: /* nothing but a tail */
        desc_set(d, out, TAIL, WRITABLE, 0);
        ring_post(0);
        return VOID;
    case 8: /* tail first */
        desc_set(d, out, TAIL, WRITABLE | NEXT, 1);
        desc_set(d + 1, in, in_len, 0, 0);
        goto dead;
    case 9: /* itself */
        desc_set(d, in, in_len, NEXT, 0);
        goto dead;
    case 10: /* a loop of two, writable */
        desc_set(d, out, TAIL, WRITABLE | NEXT, 1);
        desc_set(d + 1, out, TAIL, WRITABLE | NEXT, 0);
        goto dead;
    case 11: /* a loop of all */
        for (n = 0; n < RING_SIZE; n++)
            desc_set(d + n, in, 1, NEXT, (n + 1) % RING_SIZE);
        goto dead;
    case 12: /* all of the table: as long as a chain may be, or longer */
        for (n = 0; n < RING_SIZE; n++)
            desc_set(d + n, n < 20 ? in + n : out, 1,
                     (n < 20 ? 0 : WRITABLE) | (n < RING_SIZE - 1 ? NEXT : 0),
                     n + 1);
        ring_post(0);
        return ANY;
    case 13: /* next is no descriptor */
        desc_set(d, in, in_len, NEXT, RING_SIZE);
        goto dead;
    case 14:
        desc_set(d, in, in_len, NEXT, 65535);
        goto dead;
    case 15: /* nor is the head */
        plain(d, 0);
        ring_post(65535);
        return DEAD;
    case 16: /* empty buffers */
        desc_set(d, in, 0, NEXT, 1);
        desc_set(d + 1, out, TAIL, WRITABLE, 0);
        goto dead;
    case 17: /* a large one: 4 GiB - 1 from RAM on */
        desc_set(d, in, ~0u, NEXT, 1);
        desc_set(d + 1, out, TAIL, WRITABLE, 0);
        goto dead;
    case 18: /* larger than any length counts */
        desc_set(d, in, in_len, NEXT, 1);
        desc_set(d + 1, out, ~0u, WRITABLE, 0);
        goto dead;
    case 19: /* indirect in indirect */
        desc_set(t, table, 32, INDIR, 0);
        desc_set(d, table, 32, INDIR, 0);
        goto dead;
    case 20: /* a loop in an indirect table */
        desc_set(t, in, 1, NEXT, 1);
        desc_set(t + 1, in, 1, NEXT, 0);
        desc_set(d, table, 32, INDIR, 0);
        goto dead;
    case 21: /* its next lies outside */
        desc_set(t, in, 1, NEXT, 2);
        desc_set(d, table, 32, INDIR, 0);
        goto dead;
    case 22: /* of no entry, of half an entry, of too many */
    case 23:
    case 24:
    case 25:
        plain(t, 0);
        desc_set(d, table, (const u32[]){0, 24, ~0u, 0xfffffff0}[i - 22], INDIR,
                 0);
        goto dead;
    case 26: /* indirect and next */
        plain(t, 0);
        desc_set(d, table, 32, INDIR | NEXT, 1);
        desc_set(d + 1, out, TAIL, WRITABLE, 0);
        goto dead;
    case 27: /* more available than there can be */
        plain(d, 0);
        dev.avail += RING_SIZE;
        goto dead;
    case 28: /* available going back */
        plain(d, 0);
        dev.avail -= 2;
        goto dead;
    case 29: /* one chain twice */
        plain(d, 0);
        ring_post(0);
        goto dead;
    case 30: /* unknown flags */
        desc_set(d, in, in_len, NEXT | 0xfff8, 1);
        desc_set(d + 1, out, TAIL, WRITABLE | 0xfff8, 0);
        ring_post(0);
        return ANY;
    case 31: /* the answer into the request */
        desc_set(d, in, in_len, NEXT, 1);
        desc_set(d + 1, in, TAIL, WRITABLE, 0);
        ring_post(0);
        return ANY;
    case 32: /* the answer into the rings */
        desc_set(d, in, in_len, NEXT, 1);
        desc_set(d + 1, virt_to_phys(dev.used), TAIL, WRITABLE, 0);
        ring_post(0);
        return ANY;
    case 33: /* ... and into the descriptors */
        desc_set(d, in, in_len, NEXT, 1);
        desc_set(d + 1, virt_to_phys(dev.desc), 640, WRITABLE, 0);
        ring_post(0);
        return ANY;
    case 34: /* across pages that need not be neighbours */
        memmove(dev.slots + PAGE_SIZE - 10, slot_in(0), in_len);
        desc_set(d, virt_to_phys(dev.slots) + PAGE_SIZE - 10, in_len, NEXT, 1);
        desc_set(d + 1, virt_to_phys(dev.slots) + 2 * PAGE_SIZE - 2, TAIL,
                 WRITABLE, 0);
        out += 2 * PAGE_SIZE - 2 - SLOT_OUT;
        break;
    }
    ring_post(0);
    return FINE;
dead:
    ring_post(0);
    return DEAD;
}

#define NLAYOUTS 35

/* What came of what was posted; kept to the promise? */
static void judge(const char *what, unsigned int i, enum want want)
{
    enum answer a;
    u32 len;

    ring_kick();
    a = ring_wait(1500);
    len = a == ANSWERED ? ring_used_len(0) : 0;
    ring_forget();
    if (a == SILENT)
        wrong("%s %u: no answer", what, i);
    else if (want == DEAD && a != BROKEN)
        wrong("%s %u: taken, used length %u", what, i, len);
    else if ((want == FINE || want == VOID) && a != ANSWERED)
        wrong("%s %u: the device is broken", what, i);
    else if (want == VOID && len)
        wrong("%s %u: used length %u", what, i, len);
    else if (want == FINE && *(u8 *)phys_to_virt(out))
        wrong("%s %u: status %u", what, i, *(u8 *)phys_to_virt(out));
}

/* An ATTACH in slot 0, to be brought to a device that works. */
static void prepare(void)
{
    in = virt_to_phys(slot_in(0));
    out = virt_to_phys(slot_out(0));
    table = virt_to_phys(dev.table);
    in_len = put_attach(slot_in(0), 7, 0);
    memset(slot_out(0), 0xff, TAIL);
}

/* Each part of a request where there is no RAM. */
static enum want put_nowhere(unsigned int i)
{
    u64 addr = nowhere[i / 3];

    switch (i % 3) {
    case 0:
        desc_set(dev.desc, addr, in_len, NEXT, 1);
        desc_set(dev.desc + 1, out, TAIL, WRITABLE, 0);
        break;
    case 1:
        desc_set(dev.desc, in, in_len, NEXT, 1);
        desc_set(dev.desc + 1, addr, TAIL, WRITABLE, 0);
        ring_post(0);
        return ANY;
    case 2:
        desc_set(dev.desc, addr & ~15ULL, 32, INDIR, 0);
        break;
    }
    ring_post(0);
    return DEAD;
}

void do_layouts(unsigned long a, unsigned long b)
{
    char name[24];
    unsigned int i;

    if (!works("before"))
        return;
    for (i = 0; i < NLAYOUTS; i++) {
        prepare();
        judge("layout", i, put_layout(i));
        snprintf(name, sizeof(name), "layout %u", i);
        if (!works(name))
            return;
    }
    for (i = 0; i < 3 * nnowhere; i++) {
        prepare();
        judge("nowhere", i, put_nowhere(i));
        snprintf(name, sizeof(name), "nowhere %u", i);
        if (!works(name))
            return;
    }
    tell("%u layouts, %u addresses", NLAYOUTS, 3 * nnowhere);
}

/* ---- rings ---- */

/* Negotiates, but leaves the queue to the caller. */
static void begin(void)
{
    dev_reset();
    reg_write(VIRTIO_MMIO_STATUS, 3);
    reg_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    reg_write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
    reg_write(VIRTIO_MMIO_STATUS, 11);
}

static bool refused_ring(const char *what, unsigned int i, u64 desc, u64 avail,
                         u64 used, u32 size)
{
    u32 status;

    begin();
    dev_queue(desc, avail, used, size);
    reg_write(VIRTIO_MMIO_STATUS, 15);
    ring_kick();
    status = dev_status();
    if (!(status & VIRTIO_CONFIG_S_NEEDS_RESET))
        wrong("%s %u: taken, status 0x%x", what, i, status);
    return works(what);
}

void do_rings(unsigned long a, unsigned long b)
{
    static const u32 sizes[] = {0, 3, 255, 512, 768, 65535, 0x80000000, ~0u};
    u64 d = virt_to_phys(dev.desc), r = virt_to_phys(dev.ring),
        u = virt_to_phys(dev.used), s = virt_to_phys(dev.slots), x;
    const u32 n = RING_SIZE;
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(sizes); i++)
        if (!refused_ring("size", i, d, r, u, sizes[i]))
            return;
    for (i = 0; i < nnowhere; i++) {
        x = nowhere[i] & ~63ULL;
        if (!refused_ring("nowhere", i, i % 3 == 0 ? x : d, i % 3 == 1 ? x : r,
                          i % 3 == 2 ? x : u, n))
            return;
    }
    if (!refused_ring("unaligned", 0, s + 8, r, u, n) ||
        !refused_ring("unaligned", 1, d, s + 1, u, n) ||
        !refused_ring("unaligned", 2, d, r, s + 2, n) ||
        !refused_ring("overlap", 0, s, s, u, n) ||
        !refused_ring("overlap", 1, s, r, s + 16, n) ||
        !refused_ring("overlap", 2, d, s, s + 64, n) ||
        !refused_ring("overlap", 3, s, s, s, n))
        return;
    tell("%u rings", (unsigned int)ARRAY_SIZE(sizes) + nnowhere + 7);
}

/* ---- registers ---- */

/* Any access of any width. Addresses are never RAM: the device would write
 * where it was told to. */
void do_registers(unsigned long count, unsigned long b)
{
    unsigned long i;

    for (i = 0; i < count; i++) {
        u32 off = get_random_u32() % 0x200, value = get_random_u32();
        void __iomem *at = dev.regs + off;
        unsigned int width = get_random_u32() % 4;
        bool write = get_random_u32() & 1;

        cond_resched();
        if (get_random_u32() & 1) {
            off &= ~3u;
            width = 2;
            value &= 0xff;
            at = dev.regs + off;
        }
        /* Naturally aligned: others fault in the guest already. */
        at = (void __iomem *)((unsigned long)at & ~((1UL << width) - 1));
        if ((off & ~7u) >= VIRTIO_MMIO_QUEUE_DESC_LOW &&
            off < VIRTIO_MMIO_SHM_SEL) {
            at = dev.regs + (off & ~7u) + 4;
            value |= 0x100;
            width = 2;
            write = true;
        }
        switch (width + 4 * write) {
        case 0:
            readb(at);
            break;
        case 1:
            readw(at);
            break;
        case 2:
            readl(at);
            break;
        case 3:
            readq(at);
            break;
        case 4:
            writeb(value, at);
            break;
        case 5:
            writew(value, at);
            break;
        case 6:
            writel(value, at);
            break;
        case 7:
            writeq(value, at);
            break;
        }
    }
    tell("%lu accesses", count);
    works("registers");
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * viommu-abuse: drives the guest's virtio-iommu as no driver should.
 *
 * It takes the register block from under the stock driver, whose devices are
 * lost by that. A command is written to /proc/viommu-abuse, which returns when
 * it is done; what was seen is then read from there.
 */
#ifndef VIOMMU_ABUSE_H
#define VIOMMU_ABUSE_H

#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_mmio.h>

#define RING_SIZE 256
#define NSLOTS    128 /* two descriptors each */
#define SLOT_SIZE 1024
#define SLOT_OUT  128 /* the writable part, up to the slot's end */
#define TAIL      4
#define CANARY    0xa5

/* What waiting for an answer came to. */
enum answer { ANSWERED, BROKEN, SILENT };

struct dev {
    void __iomem *regs;
    u64 lo, hi;       /* input range, inclusive */
    u64 window[2][2]; /* of endpoints 0 and 1, inclusive */
    u64 features;
    u16 avail, seen; /* indices: given, and taken back */

    /* One page each, and memory for the requests. */
    struct vring_desc *desc;
    struct vring_avail *ring;
    struct vring_used *used;
    struct vring_desc *table;
    u8 *slots;
    u64 *spare; /* a page to be mapped */
};

extern struct dev dev;

/* ---- main.c ---- */

/* A line of the report. */
__printf(1, 2) void tell(const char *fmt, ...);

/* Something was not as it has to be; the first few are reported. */
__printf(1, 2) void wrong(const char *fmt, ...);

/* ---- device.c ---- */

int dev_open(void);
void dev_close(void);
void dev_reset(void);
/* Reset, negotiation (what is offered of @features), a queue. 0: it runs. */
int dev_setup(u64 features);
u32 dev_status(void);
static inline void reg_write(u32 off, u32 value)
{
    writel(value, dev.regs + off);
}
static inline u32 reg_read(u32 off)
{
    return readl(dev.regs + off);
}
void dev_queue(u64 desc, u64 avail, u64 used, u32 size);

static inline u8 *slot_in(unsigned int slot)
{
    return dev.slots + slot * SLOT_SIZE;
}
static inline u8 *slot_out(unsigned int slot)
{
    return slot_in(slot) + SLOT_OUT;
}
void desc_set(struct vring_desc *d, u64 addr, u32 len, u16 flags, u16 next);
/* Two descriptors, 2 * slot and the next, for a slot; a length may be 0. */
void slot_desc(unsigned int slot, u32 in_len, u32 out_len);
void ring_post(u16 head);
void ring_kick(void);
/* Until all that was posted has come back. */
enum answer ring_wait(unsigned int ms);
/* A used element, counted from the last ring_forget(). */
u32 ring_used_len(unsigned int n);
void ring_forget(void);

/* ---- requests.c ---- */

int put_attach(u8 *p, u32 domain, u32 endpoint);
int put_detach(u8 *p, u32 domain, u32 endpoint);
int put_map(u8 *p, u32 domain, u64 start, u64 end, u64 phys, u32 flags);
int put_unmap(u8 *p, u32 domain, u64 start, u64 end);
int put_probe(u8 *p, u32 endpoint);
/* Sends what stands in slot 0. The status, or -1: none came. */
int ask(int in_len);
int attach(u32 domain, u32 endpoint);
int map(u32 domain, u64 start, u64 end, u64 phys, u32 flags);
int unmap(u32 domain, u64 start, u64 end);
/* From scratch: does all work as it should? Says wrong() if not. */
bool works(const char *after);

/* ---- commands ---- */

void do_requests(unsigned long a, unsigned long b);
void do_every_page(unsigned long a, unsigned long b);
void do_layouts(unsigned long a, unsigned long b);
void do_rings(unsigned long a, unsigned long b);
void do_registers(unsigned long ms, unsigned long b);
void do_storm(unsigned long ms, unsigned long pages);
void do_races(unsigned long ms, unsigned long b);
void do_kicks(unsigned long ms, unsigned long b);
void do_overwrite(unsigned long gref, unsigned long b);
void do_flip(unsigned long gref, unsigned long ms);
void do_forge(unsigned long gref, unsigned long ms);
void do_forge_reset(unsigned long gref, unsigned long ms);

/* Addresses at which there is no RAM. */
extern const u64 nowhere[];
extern const unsigned int nnowhere;

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's own grant table, behind the back of the virtio-iommu that uses
 * it as its page table.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/random.h>
#include <xen/interface/xen.h>
#include <xen/interface/grant_table.h>
#include <xen/interface/memory.h>
#include <asm/xen/hypercall.h>

#include "abuse.h"

#define FEATURES  (~BIT_ULL(VIRTIO_RING_F_EVENT_IDX))
#define PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))
/* Where Xen leaves room for it. Linux puts its own part there. */
#define TABLE_GFN 0x38000

/* All of the window's entries that are of use here lie in one frame, which
 * stays where it was put. */
static struct grant_entry_v1 *entry_of(unsigned long gref)
{
    static struct grant_entry_v1 *page;
    static unsigned long known;
    unsigned long frame = gref / PER_FRAME;
    struct xen_add_to_physmap xatp = {
        .domid = DOMID_SELF,
        .space = XENMAPSPACE_grant_table,
        .idx = frame,
        .gpfn = TABLE_GFN + frame,
    };
    int rc;

    if (page && frame == known)
        return page + gref % PER_FRAME;
    rc = HYPERVISOR_memory_op(XENMEM_add_to_physmap, &xatp);
    if (rc) {
        wrong("grant table frame %lu: %d", frame, rc);
        return NULL;
    }
    page = memremap((u64)xatp.gpfn << PAGE_SHIFT, PAGE_SIZE, MEMREMAP_WB);
    if (!page) {
        wrong("cannot map the grant table");
        return NULL;
    }
    known = frame;
    return page + gref % PER_FRAME;
}

static u64 at(void)
{
    return dev.window[0][0];
}

static int map_one(void)
{
    return map(1, at(), at() + PAGE_SIZE - 1, virt_to_phys(dev.spare), 3);
}

static int unmap_one(void)
{
    return unmap(1, at(), at() + PAGE_SIZE - 1);
}

/* Entries that the device did not write; @gref: of the window's first page. */
void do_overwrite(unsigned long gref, unsigned long b)
{
    static const u16 flags[] = {1, 2, 3, 5, 0x101, 0x201, 0xffe7, 4, 0};
    static const u16 domids[] = {0, 1, 2, 3, DOMID_SELF, 0xffff};
    struct grant_entry_v1 *e = entry_of(gref), before;
    unsigned int i;
    int r;

    if (!e)
        return;
    if (!works("before") || attach(1, 0))
        return;
    for (i = 0; i < ARRAY_SIZE(flags) * ARRAY_SIZE(domids); i++) {
        /* In the place of a mapping */
        r = map_one();
        if (r) {
            wrong("MAP %u: status %d", i, r);
            break;
        }
        e->domid = domids[i % ARRAY_SIZE(domids)];
        e->frame = get_random_u32();
        WRITE_ONCE(e->flags, flags[i / ARRAY_SIZE(domids)]);
        r = unmap_one();
        if (r || READ_ONCE(e->flags)) {
            wrong("UNMAP over flags 0x%x: status %d, left 0x%x",
                  flags[i / ARRAY_SIZE(domids)], r, e->flags);
            break;
        }
        /* Before one */
        WRITE_ONCE(e->flags, flags[i / ARRAY_SIZE(domids)]);
        before = *e;
        r = map_one();
        if (before.flags && !r) {
            wrong("MAP over flags 0x%x was taken", before.flags);
            break;
        }
        if (before.flags && memcmp(&before, e, sizeof(before))) {
            wrong("MAP that was refused changed an entry");
            break;
        }
        WRITE_ONCE(e->flags, 0);
        if (!before.flags)
            unmap_one();
    }
    tell("%u entries", i);
    works("after");
}

/* ---- an entry that is never what it was ---- */

static bool flipping;

static int flipper(void *arg)
{
    static const u16 flags[] = {0, 1, 9, 0xffff, 2, 0x19, 0};
    struct grant_entry_v1 *e = arg;
    unsigned int i = 0;

    while (READ_ONCE(flipping)) {
        WRITE_ONCE(e->flags, flags[i++ % ARRAY_SIZE(flags)]);
        if (!(i % 64))
            usleep_range(10, 20);
    }
    WRITE_ONCE(e->flags, 0);
    while (!kthread_should_stop())
        usleep_range(1000, 2000);
    return 0;
}

void do_flip(unsigned long gref, unsigned long ms)
{
    struct grant_entry_v1 *e = entry_of(gref);
    struct task_struct *t;
    ktime_t end;
    u64 maps = 0, refused = 0;
    int r;

    if (!e)
        return;
    if (!works("before") || attach(1, 0))
        return;
    end = ktime_add_ms(ktime_get(), ms);
    flipping = true;
    t = kthread_run(flipper, e, "flipper");
    if (IS_ERR(t))
        return;
    while (ktime_before(ktime_get(), end)) {
        r = map_one();
        if (r < 0 || unmap_one()) {
            wrong("no answer, or UNMAP was refused");
            break;
        }
        if (r)
            refused++;
        else
            maps++;
    }
    flipping = false;
    kthread_stop(t);
    tell("%llu mapped, %llu refused", maps, refused);
    works("after");
}

/* ---- in use, as it seems ---- */

/* The processor that does this waits for the answer. */
static int kicker(void *arg)
{
    ring_kick();
    while (!kthread_should_stop())
        usleep_range(1000, 2000);
    return 0;
}

static int resetter(void *arg)
{
    reg_write(VIRTIO_MMIO_STATUS, 0);
    while (!kthread_should_stop())
        usleep_range(1000, 2000);
    return 0;
}

/* Runs @fn on the other processor than this. NULL: it cannot. */
static struct task_struct *beside(int (*fn)(void *))
{
    struct task_struct *t = kthread_create(fn, NULL, "beside");

    if (IS_ERR(t)) {
        wrong("no thread");
        return NULL;
    }
    set_cpus_allowed_ptr(current, cpumask_of(0));
    kthread_bind(t, 1);
    wake_up_process(t);
    return t;
}

/* An UNMAP whose entry says that somebody uses it; freed after @ms, or never
 * when that is 0. */
void do_forge(unsigned long gref, unsigned long ms)
{
    struct grant_entry_v1 *e = entry_of(gref);
    struct task_struct *t;

    if (!e)
        return;
    if (!works("before") || attach(1, 0) || map_one())
        return;
    WRITE_ONCE(e->flags, e->flags | GTF_reading | GTF_writing);
    slot_out(0)[0] = 0xff;
    slot_desc(0, put_unmap(slot_in(0), 1, at(), at() + PAGE_SIZE - 1), TAIL);
    ring_post(0);
    t = beside(kicker);
    if (!t)
        return;
    if (ring_wait(ms ?: 200) != SILENT)
        wrong("answered while in use");
    if (!ms) {
        tell("an UNMAP waits");
        return;
    }
    WRITE_ONCE(e->flags, e->flags & ~(GTF_reading | GTF_writing));
    if (ring_wait(3000) != ANSWERED || slot_out(0)[0])
        wrong("not answered when free again, status %u", slot_out(0)[0]);
    else if (READ_ONCE(e->flags))
        wrong("answered, and the entry says 0x%x", e->flags);
    ring_forget();
    kthread_stop(t);
    works("after");
}

/* A reset after the queue was reset: no request is left, but a mapping is. */
void do_forge_reset(unsigned long gref, unsigned long ms)
{
    struct grant_entry_v1 *e = entry_of(gref);
    struct task_struct *t;
    unsigned int i;

    if (!e)
        return;
    if (!works("before") || attach(1, 0) || map_one())
        return;
    WRITE_ONCE(e->flags, e->flags | GTF_reading);
    reg_write(VIRTIO_MMIO_QUEUE_SEL, 0);
    reg_write(0x0c0 /* QueueReset */, 1);
    if (reg_read(0x0c0) || reg_read(VIRTIO_MMIO_QUEUE_READY))
        wrong("the queue was not reset");
    t = beside(resetter);
    if (!t)
        return;
    msleep(ms);
    if (!dev_status())
        wrong("the reset is complete while memory is in use");
    WRITE_ONCE(e->flags, e->flags & ~GTF_reading);
    for (i = 0; i < 3000 && dev_status(); i++)
        usleep_range(1000, 1100);
    if (dev_status() || READ_ONCE(e->flags))
        wrong("after the reset: status 0x%x, flags 0x%x", dev_status(),
              e->flags);
    kthread_stop(t);
    works("after");
}

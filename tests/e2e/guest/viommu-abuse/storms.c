// SPDX-License-Identifier: GPL-2.0
/* As much as possible, and from two processors at once. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/virtio_config.h>
#include <linux/virtio_iommu.h>

#include "abuse.h"

#define FEATURES (~BIT_ULL(VIRTIO_RING_F_EVENT_IDX))
#define ENOUGH   3000 /* requests of a race */

/* MAP of @pages at a time and UNMAP, as fast as they are answered. */
void do_storm(unsigned long ms, unsigned long pages)
{
    u64 at = dev.window[0][0], last, count = 0;
    unsigned int i;
    ktime_t end;

    if (!works("before") || attach(1, 0))
        return;
    end = ktime_add_ms(ktime_get(), ms);
    last = at + pages * PAGE_SIZE - 1;
    while (ktime_before(ktime_get(), end)) {
        for (i = 0; i < NSLOTS; i++) {
            u8 *p = slot_in(i);

            slot_out(i)[0] = 0xff;
            slot_desc(i,
                      i & 1
                          ? put_unmap(p, 1, at, last)
                          : put_map(p, 1, at, last, virt_to_phys(dev.slots), 3),
                      TAIL);
            ring_post(2 * i);
        }
        ring_kick();
        if (ring_wait(5000) != ANSWERED) {
            wrong("no answer");
            return;
        }
        ring_forget();
        for (i = 0; i < NSLOTS; i++)
            if (slot_out(i)[0])
                wrong("status %u", slot_out(i)[0]);
        count += NSLOTS;
    }
    tell("%llu requests of %lu pages", count, pages);
    works("after");
}

/* ---- kicks ---- */

void do_kicks(unsigned long ms, unsigned long b)
{
    u64 count = 0;
    ktime_t end;

    if (!works("before"))
        return;
    end = ktime_add_ms(ktime_get(), ms);
    while (ktime_before(ktime_get(), end)) {
        unsigned int i;

        for (i = 0; i < 64; i++)
            reg_write(VIRTIO_MMIO_QUEUE_NOTIFY,
                      i % 4 == 3 ? get_random_u32() : i & 1);
        count += 64;
        cond_resched();
    }
    tell("%llu kicks", count);
    works("after");
}

/* ---- two processors ---- */

static DEFINE_MUTEX(ring_lock);
static ktime_t until, at_last;
static atomic_t requests, resets, wild;

/* The two fill slots, ring and device at the same time: only what would make
 * every attempt fail is done one after the other. */
static void some_requests(unsigned int cpu)
{
    unsigned int i, n = 1 + get_random_u32() % 16;
    u64 at = dev.window[cpu][0], end;
    u8 *p;

    for (i = 0; i < n; i++) {
        unsigned int slot = (cpu * NSLOTS / 2 + i) % NSLOTS;
        u32 domain = get_random_u32() % 3;
        int len;

        p = slot_in(slot);
        end = at + (get_random_u32() % 64 + 1) * PAGE_SIZE - 1;
        switch (get_random_u32() % 8) {
        case 0:
        case 1:
            len = put_attach(p, domain, get_random_u32() % 3);
            break;
        case 2:
            len = put_detach(p, domain, get_random_u32() % 3);
            break;
        case 3:
        case 4:
        case 5:
            len = put_map(p, domain, at, end, virt_to_phys(dev.slots), 3);
            break;
        case 6:
            len = put_unmap(p, domain, 0, ~0ULL);
            break;
        default:
            len = put_probe(p, get_random_u32() % 3);
        }
        slot_desc(slot, len, TAIL);
        mutex_lock(&ring_lock);
        ring_post(2 * slot);
        mutex_unlock(&ring_lock);
    }
    atomic_add(n, &requests);
}

static void wild_write(void)
{
    atomic_inc(&wild);
    switch (get_random_u32() % 6) {
    case 0:
        reg_write(VIRTIO_MMIO_QUEUE_SEL, 0);
        reg_write(VIRTIO_MMIO_QUEUE_READY, 0);
        break;
    case 1:
        reg_write(VIRTIO_MMIO_QUEUE_SEL, 0);
        reg_write(0x0c0 /* QueueReset */, 1);
        break;
    case 2:
        reg_write(VIRTIO_MMIO_STATUS, 0);
        break;
    case 3:
        reg_write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FAILED);
        break;
    case 4:
        reg_write(VIRTIO_MMIO_INTERRUPT_ACK, 3);
        break;
    case 5:
        reg_write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
        break;
    }
}

static bool running(void)
{
    reg_write(VIRTIO_MMIO_QUEUE_SEL, 0);
    return dev_status() == 15 && reg_read(VIRTIO_MMIO_QUEUE_READY);
}

/* On a slow machine longer than asked for, but not for ever. */
static bool go_on(void)
{
    ktime_t now = ktime_get();

    return ktime_before(now, until) ||
           (atomic_read(&requests) < ENOUGH && ktime_before(now, at_last));
}

static int racer(void *arg)
{
    unsigned long cpu = (unsigned long)arg;

    while (go_on()) {
        some_requests(cpu);
        if (!(get_random_u32() % 32))
            wild_write();
        ring_kick();
        if (running())
            continue;
        mutex_lock(&ring_lock);
        if (!running()) {
            dev_setup(FEATURES);
            atomic_inc(&resets);
        }
        mutex_unlock(&ring_lock);
    }
    while (!kthread_should_stop())
        usleep_range(1000, 2000);
    return 0;
}

void do_races(unsigned long ms, unsigned long b)
{
    struct task_struct *t[2];
    unsigned long cpu;

    if (!works("before"))
        return;
    atomic_set(&requests, 0);
    atomic_set(&resets, 0);
    atomic_set(&wild, 0);
    until = ktime_add_ms(ktime_get(), ms);
    at_last = ktime_add_ms(until, 5 * ms);
    for (cpu = 0; cpu < 2; cpu++) {
        t[cpu] = kthread_create(racer, (void *)cpu, "racer%lu", cpu);
        if (IS_ERR(t[cpu])) {
            wrong("no thread");
            return;
        }
        if (cpu_online(cpu))
            kthread_bind(t[cpu], cpu);
        wake_up_process(t[cpu]);
    }
    while (go_on())
        msleep(100);
    for (cpu = 0; cpu < 2; cpu++)
        kthread_stop(t[cpu]);
    tell("%d requests, %d wild writes, set up %d times", atomic_read(&requests),
         atomic_read(&wild), atomic_read(&resets));
    works("after");
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badnet BASE POOL rubble N SEED
 * badnet BASE POOL flood SECONDS
 *
 * In a guest whose kernel lets root have /dev/mem: a driver of the network
 * device with registers at BASE and a pool at POOL, of which no other driver is
 * left.
 *   rubble  N rounds, each with a chain or a few in each queue: headers, frames
 *           and descriptors that are right now and then. Prints how many
 *           came back, and how often the device asked for a reset.
 *   flood   frames as fast as it can, with no buffer to receive in; how many
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libs/types/net/net.h"
#include "rawdev.h"

#define ENTRIES 64u
#define QUEUES  2u
#define SENDING 1u
#define SPACE   (80u << 10) /* for frames, behind the rings */
#define LEN     (QUEUES * PAGE + SPACE)
#define NAPS    20 /* of a millisecond or more, until nothing comes any more */

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
#define NEXT     1u
#define WRITABLE 2u

static uint8_t *mem;
static uint64_t pool;
static uint32_t seed;
static uint16_t sent[QUEUES]; /* avail index */

static uint32_t chance(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static struct desc *descs(unsigned int q)
{
    return (struct desc *)(void *)(mem + q * PAGE);
}

static volatile uint16_t *avail(unsigned int q)
{
    return (volatile uint16_t *)(void *)(mem + q * PAGE + 1024);
}

static volatile uint16_t *used(unsigned int q)
{
    return (volatile uint16_t *)(void *)(mem + q * PAGE + 2048);
}

static void start(uint32_t features)
{
    unsigned int q;

    negotiate(features);
    memset(mem, 0, QUEUES * PAGE);
    for (q = 0; q < QUEUES; q++) {
        uint64_t at = pool + q * PAGE;

        sent[q] = 0;
        put(VR_MMIO_QUEUE_SEL, q);
        put(VR_MMIO_QUEUE_SIZE, ENTRIES);
        put_addr(VR_MMIO_QUEUE_DESC_LOW, at);
        put_addr(VR_MMIO_QUEUE_DRIVER_LOW, at + 1024);
        put_addr(VR_MMIO_QUEUE_DEVICE_LOW, at + 2048);
        put(VR_MMIO_QUEUE_READY, 1);
    }
    put(VR_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* Some of those that are offered. */
static uint32_t some_features(void)
{
    put(VR_MMIO_DEVICE_FEATURES_SEL, 0);
    return get(VR_MMIO_DEVICE_FEATURES) & chance(1u << 24) & chance(1u << 24);
}

/* Frames of ours are from our address, more often than not. */
static void make_frame(uint8_t *p)
{
    struct vr_net_hdr h = {.flags = (uint8_t)chance(4),
                           .gso_type = (uint8_t)chance(6),
                           .hdr_len = (uint16_t)chance(200),
                           .gso_size = (uint16_t)chance(2000),
                           .csum_start = (uint16_t)chance(100),
                           .csum_offset = (uint16_t)chance(40),
                           .num_buffers = (uint16_t)chance(3)};
    unsigned int i;

    if (chance(2))
        memset(&h, 0, sizeof(h));
    if (!chance(8))
        for (i = 0; i < sizeof(h); i++)
            ((uint8_t *)&h)[i] = (uint8_t)chance(256);
    memcpy(p, &h, sizeof(h));
    memset(p + sizeof(h), 0xff, 6);
    for (i = 0; i < 6; i++)
        p[sizeof(h) + 6 + i] = regs[VR_MMIO_CONFIG + i];
    if (!chance(6))
        p[sizeof(h) + 11] ^= 1;
    p[sizeof(h) + 12] = 0x08;
    for (i = 0; i < 60; i++)
        p[sizeof(h) + 13 + i] = (uint8_t)chance(256);
}

/* A chain of up to 8 pieces of @len bytes in all, from entry @at on. */
static void make_chain(unsigned int q, unsigned int at, uint32_t len)
{
    uint64_t addr = pool + QUEUES * PAGE;
    unsigned int i, n = 1 + chance(8);

    for (i = 0; i < n; i++) {
        struct desc *d = &descs(q)[(at + i) % ENTRIES];
        uint32_t piece = i + 1 == n ? len : chance(len + 1);

        *d = (struct desc){
            addr, piece, (i + 1 < n ? NEXT : 0) | (q == SENDING ? 0 : WRITABLE),
            (uint16_t)((at + i + 1) % ENTRIES)};
        addr += piece;
        len -= piece;
        if (chance(40))
            continue;
        switch (chance(6)) { /* one in 40 is not as it should be */
        case 0:
            d->addr = pool + chance(2 * LEN) - LEN / 2;
            break;
        case 1:
            d->addr = (uint64_t)chance(1u << 31) << chance(33);
            break;
        case 2:
            d->len = chance(1u << 31);
            break;
        case 3:
            d->flags ^= WRITABLE;
            break;
        case 4:
            d->flags |= NEXT;
            break;
        case 5:
            d->next = (uint16_t)chance(65536);
            break;
        }
    }
}

static void offer(unsigned int q, unsigned int at)
{
    avail(q)[2 + sent[q]++ % ENTRIES] =
        (uint16_t)(chance(200) ? at % ENTRIES : chance(65536));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    avail(q)[1] = (uint16_t)(sent[q] + (chance(400) ? 0 : chance(65536)));
}

static int failed(void)
{
    return (get(VR_MMIO_STATUS) & NEEDS_RESET) != 0;
}

/* Until all of a queue came back. Does not take long, unless it never does. */
static int settled(unsigned int q)
{
    unsigned int i;

    for (i = 0; i < NAPS && used(q)[1] != sent[q] && !failed(); i++)
        usleep(1000);
    return used(q)[1] == sent[q];
}

static int rubble(unsigned int n)
{
    unsigned long resets = 0, back = 0, silent = 0;
    unsigned int i, q, k;

    start(0);
    for (i = 0; i < n; i++) {
        for (k = 0; k < 1 + chance(4); k++) {
            for (q = 0; q < QUEUES; q++) {
                make_frame(mem + QUEUES * PAGE);
                make_chain(q, 8 * k,
                           chance(3) ? 26 + chance(200) : chance(SPACE));
                offer(q, 8 * k);
            }
        }
        put(VR_MMIO_QUEUE_NOTIFY, 0);
        put(VR_MMIO_QUEUE_NOTIFY, SENDING);
        if (settled(SENDING)) {
            back++;
        } else if (failed()) {
            resets++;
        } else {
            silent++;
        }
        /* Receive buffers may wait for ever: they go by a reset. */
        if (failed() || (uint16_t)(sent[0] - used(0)[1]) > ENTRIES / 2 ||
            !chance(16))
            start(some_features());
    }
    put(VR_MMIO_STATUS, 0);
    printf("%u rounds, %lu back, %lu resets, %lu silent\n", n, back, resets,
           silent);
    return 0;
}

static int flood(int seconds)
{
    unsigned long count = 0;
    time_t end = time(NULL) + seconds;
    unsigned int i;

    start(0);
    memset(mem + QUEUES * PAGE, 0, VR_NET_HDR_LEN);
    seed = 1;
    make_frame(mem + QUEUES * PAGE);
    memset(mem + QUEUES * PAGE, 0, VR_NET_HDR_LEN);
    for (i = 0; i < ENTRIES; i++)
        descs(SENDING)[i] =
            (struct desc){pool + QUEUES * PAGE, VR_NET_HDR_LEN + 60, 0, 0};
    while (time(NULL) < end && !failed()) {
        for (i = 0; i < ENTRIES; i++, count++)
            avail(SENDING)[2 + sent[SENDING]++ % ENTRIES] = (uint16_t)i;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        avail(SENDING)[1] = sent[SENDING];
        put(VR_MMIO_QUEUE_NOTIFY, SENDING);
        for (i = 0; i < NAPS && used(SENDING)[1] != sent[SENDING]; i++)
            usleep(i ? 1000 : 50);
    }
    printf("%lu %s\n", count, failed() ? "failed" : "works");
    put(VR_MMIO_STATUS, 0);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    pool = strtoull(argv[2], NULL, 0);
    regs = map(strtoull(argv[1], NULL, 0), VR_MMIO_SIZE);
    mem = map(pool, LEN);
    if (!regs || !mem) {
        perror("badnet: /dev/mem");
        return 1;
    }
    if (argc == 6 && !strcmp(argv[3], "rubble")) {
        seed = (uint32_t)strtoul(argv[5], NULL, 0);
        return rubble((unsigned int)atoi(argv[4]));
    }
    return strcmp(argv[3], "flood") ? 2 : flood(atoi(argv[4]));
}

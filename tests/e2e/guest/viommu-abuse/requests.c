// SPDX-License-Identifier: GPL-2.0
/* Requests, well-formed and other, in rings that are in order. */
#include <linux/random.h>
#include <linux/virtio_iommu.h>

#include "abuse.h"

#define FEATURES (~BIT_ULL(VIRTIO_RING_F_EVENT_IDX))

const u64 nowhere[] = {
#ifdef CONFIG_X86
    0xa0000 /* video */,
    0xff000 /* BIOS */,
    0xfeb00000 /* virtio-mmio */,
    0xfec00000 /* I/O APIC */,
    0xfeffc000 /* xenstore's page */,
#else
    0,
    0x1000,
    0x2000000 /* virtio-mmio */,
    0x3001000 /* GIC */,
    0x39000000 /* xenstore's page */,
#endif
    0x38000000 /* grant table */,
    0x1000000000 /* our own IOVA */,
    BIT_ULL(40),
    BIT_ULL(52),
    BIT_ULL(63),
    ~0ULL - 15,
    ~0ULL,
};
const unsigned int nnowhere = ARRAY_SIZE(nowhere);

int put_attach(u8 *p, u32 domain, u32 endpoint)
{
    struct virtio_iommu_req_attach r = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(domain),
        .endpoint = cpu_to_le32(endpoint),
    };

    memcpy(p, &r, sizeof(r));
    return sizeof(r) - TAIL;
}

int put_detach(u8 *p, u32 domain, u32 endpoint)
{
    int n = put_attach(p, domain, endpoint);

    p[0] = VIRTIO_IOMMU_T_DETACH;
    return n;
}

int put_map(u8 *p, u32 domain, u64 start, u64 end, u64 phys, u32 flags)
{
    struct virtio_iommu_req_map r = {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = cpu_to_le32(domain),
        .virt_start = cpu_to_le64(start),
        .virt_end = cpu_to_le64(end),
        .phys_start = cpu_to_le64(phys),
        .flags = cpu_to_le32(flags),
    };

    memcpy(p, &r, sizeof(r));
    return sizeof(r) - TAIL;
}

int put_unmap(u8 *p, u32 domain, u64 start, u64 end)
{
    struct virtio_iommu_req_unmap r = {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = cpu_to_le32(domain),
        .virt_start = cpu_to_le64(start),
        .virt_end = cpu_to_le64(end),
    };

    memcpy(p, &r, sizeof(r));
    return sizeof(r) - TAIL;
}

int put_probe(u8 *p, u32 endpoint)
{
    struct virtio_iommu_req_probe r = {
        .head.type = VIRTIO_IOMMU_T_PROBE,
        .endpoint = cpu_to_le32(endpoint),
    };

    memcpy(p, &r, sizeof(r));
    return sizeof(r);
}

int ask(int in_len)
{
    enum answer a;

    slot_out(0)[0] = 0xff;
    slot_desc(0, in_len, TAIL);
    ring_post(0);
    ring_kick();
    a = ring_wait(3000);
    ring_forget();
    return a == ANSWERED ? slot_out(0)[0] : -1;
}

int attach(u32 domain, u32 endpoint)
{
    return ask(put_attach(slot_in(0), domain, endpoint));
}

int map(u32 domain, u64 start, u64 end, u64 phys, u32 flags)
{
    return ask(put_map(slot_in(0), domain, start, end, phys, flags));
}

int unmap(u32 domain, u64 start, u64 end)
{
    return ask(put_unmap(slot_in(0), domain, start, end));
}

bool works(const char *after)
{
    u64 at = dev.window[0][0];
    int a, m, u, d;

    if (dev_setup(FEATURES)) {
        wrong("%s: cannot be set up again, status 0x%x", after, dev_status());
        return false;
    }
    a = attach(1, 0);
    m = map(1, at, at + PAGE_SIZE - 1, virt_to_phys(dev.spare), 3);
    u = unmap(1, at, at + PAGE_SIZE - 1);
    d = ask(put_detach(slot_in(0), 1, 0));
    if (!a && !m && !u && !d)
        return true;
    wrong("%s: ATTACH %d MAP %d UNMAP %d DETACH %d", after, a, m, u, d);
    return false;
}

/* ---- every type, every length ---- */

static const u16 out_lens[] = {0, 1, 3, 4, 5, 12, 515, 516, 517, 640};

static unsigned int expected_max(u8 type, u32 in_len, u32 out_len)
{
    if (out_len < TAIL || !in_len || !type || type > 5)
        return 0;
    return type == VIRTIO_IOMMU_T_PROBE ? min(out_len, 516u) : TAIL;
}

/* Random, but as often as not with fields that could be meant. */
static void fill(u8 *p, u8 type)
{
    u32 small = get_random_u32() & 3;

    get_random_bytes(p, 96);
    p[0] = type;
    if (get_random_u32() & 1)
        return;
    memset(p + 1, 0, 3);
    memcpy(p + 4, &small, 4);
    small = get_random_u32() & 3;
    if (type == VIRTIO_IOMMU_T_MAP || type == VIRTIO_IOMMU_T_UNMAP) {
        u64 at = dev.lo + (get_random_u32() % 4096) * PAGE_SIZE;
        u64 end = at + (get_random_u32() % 8) * PAGE_SIZE - 1;

        memcpy(p + 8, &at, 8);
        memcpy(p + 16, &end, 8);
        memcpy(p + 32, &small, 4);
    } else {
        memcpy(p + 8, &small, 4);
        if (get_random_u32() & 1)
            memset(p + 12, 0, 80);
    }
}

static void check(unsigned int n, u8 type, u32 in_len, u32 out_len)
{
    u32 len = ring_used_len(n), max = expected_max(type, in_len, out_len);
    const u8 *out = slot_out(n);
    unsigned int i;

    if (len != max)
        wrong("type %u, %u and %u bytes: used length %u", type, in_len, out_len,
              len);
    else if (len && (out[len - 4] > VIRTIO_IOMMU_S_NOMEM || out[len - 3] ||
                     out[len - 2] || out[len - 1]))
        wrong("type %u: tail %02x %02x%02x%02x", type, out[len - 4],
              out[len - 3], out[len - 2], out[len - 1]);
    for (i = len; i < 660; i++) {
        if (out[i] == CANARY)
            continue;
        wrong("type %u, %u and %u bytes: byte %u was written", type, in_len,
              out_len, i);
        break;
    }
}

/* Requests to be sent together. */
static struct {
    u8 type;
    u16 in_len, out_len;
} waiting[NSLOTS];
static unsigned int nwaiting;

static bool send(void)
{
    unsigned int i, n = nwaiting;
    enum answer a;

    nwaiting = 0;
    ring_kick();
    a = ring_wait(10000);
    for (i = 0; a == ANSWERED && i < n; i++)
        check(i, waiting[i].type, waiting[i].in_len, waiting[i].out_len);
    ring_forget();
    if (a == ANSWERED)
        return true;
    wrong("type %u, %u bytes, and others: %s", waiting[0].type,
          waiting[0].in_len, a == BROKEN ? "queue broken" : "no answer");
    return works("requests");
}

static bool add(u8 type, u32 in_len, u32 out_len)
{
    unsigned int i = nwaiting++;

    waiting[i].type = type;
    waiting[i].in_len = in_len;
    waiting[i].out_len = out_len;
    fill(slot_in(i), type);
    memset(slot_out(i), CANARY, 660);
    slot_desc(i, in_len, out_len);
    ring_post(2 * i);
    return nwaiting < NSLOTS || send();
}

void do_requests(unsigned long a, unsigned long b)
{
    unsigned int type, len, i;
    unsigned long count = 0;

    if (!works("before"))
        return;
    nwaiting = 0;
    for (type = 0; type < 256; type++) {
        /* One by one where a length can decide. */
        for (len = 1; len <= 96; len += type <= 6 ? 1 : 12) {
            for (i = 0; i < ARRAY_SIZE(out_lens); i++)
                if (!add(type, len, out_lens[i]))
                    return;
            count += i;
        }
    }
    if (nwaiting && !send())
        return;
    tell("%lu requests", count);
    works("after");
}

/* ---- every page ---- */

struct found {
    u64 first, last;
    unsigned long pages, tried;
    bool any;
};

static void note(struct found *f, u64 gfn)
{
    if (f->any && f->last + 1 != gfn) {
        tell("mapped 0x%llx-0x%llx", f->first, f->last);
        f->any = false;
    }
    if (!f->any)
        f->first = gfn;
    f->any = true;
    f->last = gfn;
    f->pages++;
}

/* MAP of @n frames, @step apart, each for itself; one UNMAP for all. */
static bool some_pages(struct found *f, u64 gfn, u64 step, unsigned int n)
{
    u64 at = dev.window[0][0];
    unsigned int i;
    u8 *p;

    for (i = 0; i < n; i++) {
        p = slot_in(i);
        slot_out(i)[0] = 0xff;
        slot_desc(i,
                  put_map(p, 1, at + i * PAGE_SIZE,
                          at + (i + 1) * PAGE_SIZE - 1,
                          (gfn + i * step) << PAGE_SHIFT, 1 + i % 3),
                  TAIL);
        ring_post(2 * i);
    }
    slot_out(n)[0] = 0xff;
    slot_desc(n, put_unmap(slot_in(n), 1, at, at + n * PAGE_SIZE - 1), TAIL);
    ring_post(2 * n);
    ring_kick();
    if (ring_wait(5000) != ANSWERED) {
        wrong("MAP of 0x%llx and more: no answer", gfn);
        return false;
    }
    ring_forget();
    for (i = 0; i < n; i++) {
        u8 status = slot_out(i)[0];

        if (!status)
            note(f, gfn + i * step);
        else if (status != VIRTIO_IOMMU_S_FAULT)
            wrong("MAP of frame 0x%llx: status %u", gfn + i * step, status);
    }
    f->tried += n;
    if (slot_out(n)[0])
        wrong("UNMAP: status %u", slot_out(n)[0]);
    return true;
}

/* Nothing lies between these on Arm (xen/include/public/arch-arm.h). */
#ifdef CONFIG_X86
#define GAP_START 0
#define GAP_END   0
#else
#define GAP_START 0x4000
#define GAP_END   0x38000
#endif
#define GAP_STEP 16

/* One by one up to frame @top, but for the gap, if any; then here and there. */
void do_every_page(unsigned long top, unsigned long b)
{
    const unsigned int n = NSLOTS - 1;
    struct found f = {};
    u64 gfn, step, size = PAGE_SIZE * 8, at = dev.window[0][0];
    unsigned int shift;

    if (!works("before") || attach(1, 0))
        return;
    for (gfn = 0; gfn < top; gfn += n * step) {
        step = gfn >= GAP_START && gfn + n * GAP_STEP < GAP_END ? GAP_STEP : 1;
        if (!some_pages(&f, gfn, step, min_t(u64, n, top - gfn)))
            return;
    }
    for (shift = fls64(top); shift < 52; shift++)
        if (!some_pages(&f, (1ULL << shift) - 8, 1, 16) ||
            !some_pages(&f, 1ULL << shift, (1ULL << shift) / 64, 63))
            return;
    if (f.any)
        tell("mapped 0x%llx-0x%llx", f.first, f.last);
    tell("%lu frames tried, %lu mapped", f.tried, f.pages);
    /* Half of a range is not enough. */
    if (f.any && map(1, at, at + size - 1, (f.last - 6) << PAGE_SHIFT, 3) !=
                     VIRTIO_IOMMU_S_FAULT)
        wrong("a range that reaches out of RAM was mapped");
    if (f.any && map(1, at, at + size - 1, (f.first - 1) << PAGE_SHIFT, 3) !=
                     VIRTIO_IOMMU_S_FAULT)
        wrong("a range that begins outside of RAM was mapped");
    works("after");
}

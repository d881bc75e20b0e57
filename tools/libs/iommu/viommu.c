/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-iommu's requests, as viommu.h has it: takes them apart, keeps what
 * is mapped, says what to grant and what to take back. Called by the broker's
 * worker, on its copy of what the guest wrote. Pure. Sections in comments are
 * those of virtio 1.2. Statuses that the standard leaves open are chosen where
 * they are returned.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "viommu.h"

#define TAIL_LEN UINT32_C(4)

/* Offsets in the device-readable parts (5.13.6.3 to 5.13.6.7). */
#define AT_TYPE 0

#define ATTACH_DOMAIN   4
#define ATTACH_ENDPOINT 8
#define ATTACH_FLAGS    12
#define ATTACH_RESERVED 16
#define ATTACH_LEN      20

#define DETACH_DOMAIN   4
#define DETACH_ENDPOINT 8
#define DETACH_LEN      20

#define MAP_DOMAIN     4
#define MAP_VIRT_START 8
#define MAP_VIRT_END   16
#define MAP_PHYS_START 24
#define MAP_FLAGS      32
#define MAP_LEN        36

#define UNMAP_DOMAIN     4
#define UNMAP_VIRT_START 8
#define UNMAP_VIRT_END   16
#define UNMAP_RESERVED   24
#define UNMAP_LEN        28

#define PROBE_ENDPOINT 4
#define PROBE_LEN      72

/* RESV_MEM property (5.13.6.8.1) */
#define PROBE_T_RESV_MEM   1
#define RESV_MEM_RESERVED  0
#define RESV_MEM_MSI       1
#define PROPERTY_HEAD_LEN  4
#define PROPERTY_LEN       2
#define RESV_MEM_SUBTYPE   4
#define RESV_MEM_START     8
#define RESV_MEM_END       16
#define RESV_MEM_TOTAL_LEN 24

/* The pool's property. */
#define POOL_SIGNATURE 4
#define POOL_BASE      8
#define POOL_SIZE      16
#define POOL_TOTAL_LEN 24

/* What a request came to: a status, or that it has to wait. */
#define PENDING (-1)

#define PAGE_MASK (VR_PAGE_SIZE - 1)

_Static_assert(PROBE_LEN == VR_VIOMMU_IN_MAX, "the longest request");
_Static_assert(3 * RESV_MEM_TOTAL_LEN + POOL_TOTAL_LEN <= VR_VIOMMU_PROBE_SIZE,
               "two ranges and a pool");

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static void put16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static struct vr_viommu_ep *ep_by_id(struct vr_viommu *v, uint32_t id)
{
    return id < v->neps && v->ep[id].present ? &v->ep[id] : NULL;
}

/*
 * A domain exists as long as an endpoint, the only one, is attached to it.
 * Drivers number their domains one after the other: remembered by the low bits
 * of that number, the endpoint is found at once.
 */
static struct vr_viommu_ep *ep_by_domain(struct vr_viommu *v, uint32_t domain)
{
    uint8_t *hint = &v->hint[domain % VR_ARRAY_SIZE(v->hint)];
    struct vr_viommu_ep *ep = &v->ep[*hint];
    unsigned int i;

    if (ep->attached && ep->domain == domain)
        return ep;
    for (i = 0; i < v->neps; i++) {
        ep = &v->ep[i];
        if (ep->attached && ep->domain == domain) {
            *hint = i;
            return ep;
        }
    }
    return NULL;
}

static uint32_t page_of(const struct vr_viommu_ep *ep, uint64_t addr)
{
    return (addr - ep->base) >> VR_PAGE_SHIFT;
}

/*
 * Revokes pages @first to @last. Returns true when none can be reached any
 * more. What cannot be revoked yet stays marked as mapped, so that the next
 * attempt, by the same request or by a reset, includes it.
 */
static bool take_back(struct vr_viommu *v, struct vr_viommu_ep *ep,
                      uint32_t first, uint32_t last, bool now)
{
    unsigned int id = ep - v->ep;
    uint32_t start, n;
    bool done = true;
    uint64_t left;

    for (; vr_iovamap_run(&ep->map, first, last, &start, &n);
         first = start + n) {
        left = v->ops->unmap(v->ctx, id, start, n, now);
        vr_iovamap_remove(&ep->map, start, n, left);
        if (left)
            done = false;
    }
    return done;
}

/* True when @ep is attached to nothing and reaches nothing any more. */
static bool detach_ep(struct vr_viommu *v, struct vr_viommu_ep *ep)
{
    ep->leaving = true;
    if (!take_back(v, ep, 0, ep->map.npages - 1, true))
        return false;
    ep->leaving = false;
    ep->attached = false;
    return true;
}

/* True when no endpoint is attached any more. */
static bool go_on_resetting(struct vr_viommu *v)
{
    unsigned int i;

    v->resetting = false;
    for (i = 0; i < v->neps; i++)
        if (v->ep[i].attached && !detach_ep(v, &v->ep[i]))
            v->resetting = true;
    return !v->resetting;
}

/* 5.13.6.3.2 */
static int attach(struct vr_viommu *v, const uint8_t *in)
{
    uint32_t domain = get32(in + ATTACH_DOMAIN);
    struct vr_viommu_ep *ep, *holder;

    /* No flag is known: BYPASS belongs to BYPASS_CONFIG, not offered. */
    if (get32(in + ATTACH_RESERVED) || get32(in + ATTACH_FLAGS))
        return VR_VIOMMU_S_INVAL;
    ep = ep_by_id(v, get32(in + ATTACH_ENDPOINT));
    if (!ep)
        return VR_VIOMMU_S_NOENT;
    /* 5.13.6: not one of the values that are supported. No status is laid
     * down; this is the one for parameters out of their range. */
    if (domain < v->domain_start || domain > v->domain_end)
        return VR_VIOMMU_S_RANGE;
    holder = ep_by_domain(v, domain);
    if (holder == ep && !ep->leaving)
        return VR_VIOMMU_S_OK;
    /* Any other endpoint's window is reserved for this one and the reverse:
     * there is no address that both could use. */
    if (holder && holder != ep)
        return VR_VIOMMU_S_UNSUPP;
    /* As if DETACH had been sent before. */
    if (ep->attached && !detach_ep(v, ep))
        return PENDING;
    ep->domain = domain;
    ep->attached = true;
    return VR_VIOMMU_S_OK;
}

/* 5.13.6.4.2 */
static int detach(struct vr_viommu *v, const uint8_t *in)
{
    struct vr_viommu_ep *ep = ep_by_id(v, get32(in + DETACH_ENDPOINT));

    if (!ep)
        return VR_VIOMMU_S_NOENT;
    /* The device may say so, and a driver should know that it is confused. */
    if (ep_by_domain(v, get32(in + DETACH_DOMAIN)) != ep)
        return VR_VIOMMU_S_INVAL;
    return detach_ep(v, ep) ? VR_VIOMMU_S_OK : PENDING;
}

/* Revokes what a MAP had granted before it failed. The answer is not INVAL
 * (that says "a mapping exists there", and by the driver's account none does)
 * but DEVERR: the guest has changed entries that belong to the device. */
static int undo_map(struct vr_viommu *v)
{
    if (!take_back(v, v->undo, v->undo_first, v->undo_last, false))
        return PENDING;
    v->undo = NULL;
    return VR_VIOMMU_S_DEVERR;
}

/* 5.13.6.5.2. What the device MUST refuse comes first, then in the order of
 * the fields' meaning: who, where, and what is there. */
/* The answer to a MAP that the operation has taken, or refused. */
static int map_status(int r)
{
    switch (r) {
    case 0:
        return VR_VIOMMU_S_OK;
    case -EINVAL:
        return VR_VIOMMU_S_FAULT; /* "bad address": no RAM of the guest's */
    case -ENOMEM:
        return VR_VIOMMU_S_NOMEM;
    default:
        return VR_VIOMMU_S_DEVERR; /* -EBUSY among them: see undo_map() */
    }
}

static int map(struct vr_viommu *v, const uint8_t *in)
{
    uint64_t start = get64(in + MAP_VIRT_START);
    uint64_t end = get64(in + MAP_VIRT_END);
    uint64_t phys = get64(in + MAP_PHYS_START);
    uint32_t flags = get32(in + MAP_FLAGS), first, last;
    struct vr_viommu_ep *ep;
    int r;

    if (flags & ~(VR_VIOMMU_MAP_READ | VR_VIOMMU_MAP_WRITE))
        return VR_VIOMMU_S_INVAL;
    ep = ep_by_domain(v, get32(in + MAP_DOMAIN));
    if (!ep)
        return VR_VIOMMU_S_NOENT;
    if ((start | phys | (end + 1)) & PAGE_MASK)
        return VR_VIOMMU_S_RANGE;
    /* The driver MUST NOT end a range before its start (5.13.6.5.1), but the
     * standard names no status for that. Not RANGE: no limit that the device
     * has announced is exceeded. */
    if (end < start)
        return VR_VIOMMU_S_INVAL;
    /* Which flags may be combined depends on the page table (5.13.6.5). No
     * flags at all would be a mapping without access, for which there is no
     * grant entry. */
    if (!flags)
        return VR_VIOMMU_S_INVAL;
    /* Outside of the input range such a request fails (5.13.6), and one that
     * overlaps a RESV_MEM region, which is all between input range and window,
     * should be rejected (5.13.6.8.1.2). The standard names no status; RANGE,
     * because both are outside of the range that the endpoint was told. */
    if (start < ep->base || end > ep->last)
        return VR_VIOMMU_S_RANGE;
    first = page_of(ep, start);
    last = page_of(ep, end);
    if (vr_iovamap_any(&ep->map, first, last))
        return VR_VIOMMU_S_INVAL;
    /* 5.13.6.5: phys_end should be within the guest-physical address space.
     * Beyond 64 bits it is as bad an address as one that is no RAM. */
    if (end - start > UINT64_MAX - phys)
        return VR_VIOMMU_S_FAULT;
    /* Grants know no write-only access: with WRITE alone the backend can read
     * as well. */
    r = v->ops->map(v->ctx, ep - v->ep, first, last - first + 1,
                    phys >> VR_PAGE_SHIFT, !(flags & VR_VIOMMU_MAP_WRITE));
    if (r > 0) {
        v->undo = ep;
        v->undo_first = first;
        v->undo_last = first + (r - 1);
        vr_iovamap_add(&ep->map, v->undo_first, v->undo_last);
        return undo_map(v);
    }
    if (!r)
        vr_iovamap_add(&ep->map, first, last);
    return map_status(r);
}

/* 5.13.6.6.2 */
static int unmap(struct vr_viommu *v, const uint8_t *in)
{
    uint64_t start = get64(in + UNMAP_VIRT_START);
    uint64_t end = get64(in + UNMAP_VIRT_END);
    uint32_t first, last;
    struct vr_viommu_ep *ep;

    /* The device may refuse this, and then must not unmap anything: an
     * extension unknown to it may mean only a part of the range. */
    if (get32(in + UNMAP_RESERVED))
        return VR_VIOMMU_S_INVAL;
    ep = ep_by_domain(v, get32(in + UNMAP_DOMAIN));
    if (!ep)
        return VR_VIOMMU_S_NOENT;
    /* The range ends before its start. After OK the driver would believe that
     * what it meant is unmapped. */
    if (end < start)
        return VR_VIOMMU_S_INVAL;
    /* Nothing can be mapped outside of the window. */
    if (start > ep->last || end < ep->base)
        return VR_VIOMMU_S_OK;
    first = start > ep->base ? page_of(ep, start) : 0;
    last = end < ep->last ? page_of(ep, end) : ep->map.npages - 1;
    /* The ends need no alignment, but must not lie within a mapping, be it
     * between two of its pages or in the middle of one. */
    if (start > ep->base &&
        (start & PAGE_MASK ? vr_iovamap_is_mapped(&ep->map, first)
                           : vr_iovamap_splits(&ep->map, first)))
        return VR_VIOMMU_S_RANGE;
    if (end < ep->last &&
        ((end + 1) & PAGE_MASK ? vr_iovamap_is_mapped(&ep->map, last)
                               : vr_iovamap_splits(&ep->map, last + 1)))
        return VR_VIOMMU_S_RANGE;
    return take_back(v, ep, first, last, false) ? VR_VIOMMU_S_OK : PENDING;
}

static size_t put_resv_mem(uint8_t *p, uint8_t subtype, uint64_t start,
                           uint64_t end)
{
    memset(p, 0, RESV_MEM_TOTAL_LEN);
    put16(p, PROBE_T_RESV_MEM);
    put16(p + PROPERTY_LEN, RESV_MEM_TOTAL_LEN - PROPERTY_HEAD_LEN);
    p[RESV_MEM_SUBTYPE] = subtype;
    put64(p + RESV_MEM_START, start);
    put64(p + RESV_MEM_END, end);
    return RESV_MEM_TOTAL_LEN;
}

static void put_pool(uint8_t *p, uint64_t base, uint64_t size)
{
    put16(p, VR_VIOMMU_PROBE_T_POOL);
    put16(p + PROPERTY_LEN, POOL_TOTAL_LEN - PROPERTY_HEAD_LEN);
    memcpy(p + POOL_SIGNATURE, VR_VIOMMU_POOL_SIGNATURE, 4);
    put64(p + POOL_BASE, base);
    put64(p + POOL_SIZE, size);
}

/*
 * 5.13.6.7.2. Fills the device-writable part but for the status and sets
 * @room to the length of the property list, behind which the tail stands.
 *
 * The driver has to provide a list of probe_size bytes. In a larger buffer the
 * tail stands where the driver then expects it, right behind these bytes. A
 * smaller buffer holds a shorter list; the tail is the end of it. The list is
 * zeroed, also when the request is rejected: the used length counts from the
 * start of the buffer and must not cover what nobody has written (2.7.8.2).
 */
static int put_probe(struct vr_viommu *v, const uint8_t *in, size_t in_len,
                     uint8_t *out, size_t out_cap, size_t *room)
{
    size_t len = out_cap - TAIL_LEN;
    struct vr_viommu_ep *ep;

    if (len > VR_VIOMMU_PROBE_SIZE)
        len = VR_VIOMMU_PROBE_SIZE;
    *room = len;
    memset(out, 0, len);
    if (in_len < PROBE_LEN || len < VR_VIOMMU_PROBE_SIZE)
        return VR_VIOMMU_S_INVAL;
    ep = ep_by_id(v, get32(in + PROBE_ENDPOINT));
    if (!ep)
        return VR_VIOMMU_S_NOENT;
    if (ep->base > v->input_start)
        out +=
            put_resv_mem(out, RESV_MEM_RESERVED, v->input_start, ep->base - 1);
    if (ep->last < v->input_end)
        out += put_resv_mem(out, RESV_MEM_RESERVED, ep->last + 1, v->input_end);
    if (ep->msi_size)
        out += put_resv_mem(out, RESV_MEM_MSI, ep->msi_base,
                            ep->msi_base + ep->msi_size - 1);
    /* Behind all that the standard knows: a driver that stops at what it does
     * not know has read the rest. */
    if (ep->pool_size)
        put_pool(out, ep->pool_base, ep->pool_size);
    return VR_VIOMMU_S_OK;
}

enum vr_viommu_result vr_viommu_request(struct vr_viommu *v, const uint8_t *in,
                                        size_t in_len, uint8_t *out,
                                        size_t out_cap, size_t *out_len)
{
    size_t room = 0; /* device-writable bytes before the tail */
    int status;
    bool failed;

    *out_len = 0;
    if (v->resetting && !go_on_resetting(v))
        return VR_VIOMMU_PENDING;
    failed = v->undo;
    if (failed && undo_map(v) == PENDING)
        return VR_VIOMMU_PENDING;
    /* 5.13.6: without a tail there is no status. Without a status nothing is
     * done: the driver takes it for a failure. */
    if (in_len <= AT_TYPE || out_cap < TAIL_LEN)
        return VR_VIOMMU_DONE;
    /* Too short for its type, but the tail is there: it can say so. */
    status = VR_VIOMMU_S_INVAL;
    switch (in[AT_TYPE]) {
    case VR_VIOMMU_T_ATTACH:
        if (in_len >= ATTACH_LEN)
            status = attach(v, in);
        break;
    case VR_VIOMMU_T_DETACH:
        if (in_len >= DETACH_LEN)
            status = detach(v, in);
        break;
    case VR_VIOMMU_T_MAP:
        if (!(v->features & VR_VIOMMU_F_MAP_UNMAP))
            return VR_VIOMMU_DONE;
        if (failed)
            status = VR_VIOMMU_S_DEVERR;
        else if (in_len >= MAP_LEN)
            status = map(v, in);
        break;
    case VR_VIOMMU_T_UNMAP:
        if (!(v->features & VR_VIOMMU_F_MAP_UNMAP))
            return VR_VIOMMU_DONE;
        if (in_len >= UNMAP_LEN)
            status = unmap(v, in);
        break;
    case VR_VIOMMU_T_PROBE:
        if (!(v->features & VR_VIOMMU_F_PROBE))
            return VR_VIOMMU_DONE;
        status = put_probe(v, in, in_len, out, out_cap, &room);
        break;
    default:
        return VR_VIOMMU_DONE;
    }
    if (status == PENDING)
        return VR_VIOMMU_PENDING;
    put32(out + room, status); /* status and three reserved bytes: 0 */
    *out_len = room + TAIL_LEN;
    return VR_VIOMMU_DONE;
}

enum vr_viommu_result vr_viommu_reset(struct vr_viommu *v)
{
    v->features = 0;
    v->undo = NULL;
    return go_on_resetting(v) ? VR_VIOMMU_DONE : VR_VIOMMU_PENDING;
}

void vr_viommu_negotiated(struct vr_viommu *v, uint64_t features)
{
    v->features = features & VR_VIOMMU_FEATURES;
}

bool vr_viommu_attached(const struct vr_viommu *v, unsigned int ep)
{
    return ep < v->neps && v->ep[ep].attached && !v->ep[ep].leaving;
}

uint32_t vr_viommu_mapped_pages(const struct vr_viommu *v, unsigned int ep)
{
    return ep < v->neps ? v->ep[ep].map.mapped : 0;
}

uint32_t vr_viommu_peak_pages(const struct vr_viommu *v, unsigned int ep)
{
    return ep < v->neps ? v->ep[ep].map.peak : 0;
}

bool vr_viommu_next_mapping(const struct vr_viommu *v, unsigned int ep,
                            uint32_t from, uint32_t *first, uint32_t *npages)
{
    return ep < v->neps && vr_iovamap_next(&v->ep[ep].map, from, first, npages);
}

void vr_viommu_config(const struct vr_viommu *v,
                      uint8_t out[VR_VIOMMU_CONFIG_LEN])
{
    put64(out, VR_PAGE_SIZE); /* page_size_mask */
    put64(out + 8, v->input_start);
    put64(out + 16, v->input_end);
    put32(out + 24, v->domain_start);
    put32(out + 28, v->domain_end);
    put32(out + 32, VR_VIOMMU_PROBE_SIZE);
    put32(out + 36, 0); /* bypass and three reserved bytes */
}

size_t vr_viommu_fault(const struct vr_viommu *v, unsigned int ep,
                       uint32_t flags, uint64_t address, uint8_t *out,
                       size_t cap)
{
    const uint32_t access = VR_VIOMMU_FAULT_READ | VR_VIOMMU_FAULT_WRITE;
    uint32_t reason = VR_VIOMMU_FAULT_R_UNKNOWN;

    if (cap < VR_VIOMMU_FAULT_LEN || ep >= v->neps || !v->ep[ep].present)
        return 0;
    flags &= access | VR_VIOMMU_FAULT_ADDRESS;
    if (flags & access)
        reason = vr_viommu_attached(v, ep) ? VR_VIOMMU_FAULT_R_MAPPING
                                           : VR_VIOMMU_FAULT_R_DOMAIN;
    put32(out, reason); /* and three reserved bytes */
    put32(out + 4, flags);
    put32(out + 8, ep);
    put32(out + 12, 0); /* reserved1 */
    put64(out + 16, flags & VR_VIOMMU_FAULT_ADDRESS ? address : 0);
    return VR_VIOMMU_FAULT_LEN;
}

static bool window_ok(const struct vr_viommu_desc *desc,
                      const struct vr_viommu_ep_desc *e)
{
    uint64_t size = (uint64_t)e->npages << VR_PAGE_SHIFT;

    return e->npages && e->npages <= VR_IOVAMAP_MAX_PAGES &&
           !(e->base & PAGE_MASK) && e->base >= desc->input_start &&
           e->base <= desc->input_end && size - 1 <= desc->input_end - e->base;
}

/* To the device an address is in the pool or in the window, never in both. */
static bool pool_ok(const struct vr_viommu_ep_desc *e)
{
    uint64_t last = e->base + (((uint64_t)e->npages << VR_PAGE_SHIFT) - 1);

    if (!e->pool_size)
        return true;
    return !((e->pool_base | e->pool_size) & PAGE_MASK) &&
           e->pool_size - 1 <= UINT64_MAX - e->pool_base &&
           (e->pool_base > last || e->pool_base + (e->pool_size - 1) < e->base);
}

static bool windows_overlap(const struct vr_viommu_ep_desc *a,
                            const struct vr_viommu_ep_desc *b)
{
    const struct vr_viommu_ep_desc *low = a->base < b->base ? a : b;
    const struct vr_viommu_ep_desc *high = low == a ? b : a;

    return (high->base - low->base) >> VR_PAGE_SHIFT < low->npages;
}

static bool desc_ok(const struct vr_viommu_desc *desc)
{
    unsigned int i, j, n = 0;

    if (!desc->neps || desc->neps > VR_MAX_DEVICES ||
        desc->domain_end < desc->domain_start ||
        desc->input_end < desc->input_start || desc->input_start & PAGE_MASK ||
        (desc->input_end + 1) & PAGE_MASK)
        return false;
    for (i = 0; i < desc->neps; i++) {
        if (!desc->ep[i].present)
            continue;
        if (!window_ok(desc, &desc->ep[i]) || !pool_ok(&desc->ep[i]))
            return false;
        for (j = 0; j < i; j++)
            if (desc->ep[j].present &&
                windows_overlap(&desc->ep[i], &desc->ep[j]))
                return false;
        n++;
    }
    return n > 0;
}

size_t vr_viommu_memory(const struct vr_viommu_desc *desc)
{
    size_t size = 0;
    unsigned int i;

    for (i = 0; i < desc->neps && i < VR_MAX_DEVICES; i++)
        if (desc->ep[i].present)
            size += vr_iovamap_size(desc->ep[i].npages);
    return size;
}

int vr_viommu_init(struct vr_viommu *v, const struct vr_viommu_desc *desc,
                   const struct vr_viommu_ops *ops, void *ctx, void *mem,
                   size_t size)
{
    uint8_t *at = mem;
    unsigned int i;

    if (!desc_ok(desc))
        return -EINVAL;
    if (size < vr_viommu_memory(desc))
        return -ENOSPC;
    memset(v, 0, sizeof(*v));
    v->ops = ops;
    v->ctx = ctx;
    v->input_start = desc->input_start;
    v->input_end = desc->input_end;
    v->domain_start = desc->domain_start;
    v->domain_end = desc->domain_end;
    v->neps = desc->neps;
    for (i = 0; i < desc->neps; i++) {
        const struct vr_viommu_ep_desc *e = &desc->ep[i];

        if (!e->present)
            continue;
        v->ep[i].present = true;
        v->ep[i].base = e->base;
        v->ep[i].last = e->base + (((uint64_t)e->npages << VR_PAGE_SHIFT) - 1);
        v->ep[i].pool_base = e->pool_base;
        v->ep[i].pool_size = e->pool_size;
        v->ep[i].msi_base = e->msi_base;
        v->ep[i].msi_size = e->msi_size;
        vr_iovamap_init(&v->ep[i].map, e->npages, at);
        at += vr_iovamap_size(e->npages);
    }
    return 0;
}

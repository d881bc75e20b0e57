/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-iommu and its model, under a guest, a device and a caller that do
 * what a stream of numbers says: random ones in a test, an input's bytes when
 * fuzzing. world_step() returns false when the two differ.
 */
#ifndef TEST_VIOMMU_WORLD_H
#define TEST_VIOMMU_WORLD_H

#include <stdio.h>

#include "viommu_model.h"

#define WORLD_INPUT UINT64_C(0x1000000000)
#define WORLD_AT(p) (WORLD_INPUT + (p)*UINT64_C(4096))
#define WORLD_DOM   3u /* first of few, so that they meet */

struct world_source {
    const uint8_t *data; /* NULL: random numbers */
    size_t size;
    uint64_t random;
};

struct world {
    struct vr_viommu v;
    struct rig_table t;
    struct model m;
    struct world_source s;
    uint64_t mem[64];
    uint8_t in[VR_VIOMMU_IN_MAX + 8];
    size_t in_len, out_cap;
    uint64_t requests, pending, resets;
    uint64_t status[9];
    char wrong[128];
};

static const struct vr_viommu_desc world_desc = {
    .input_start = WORLD_INPUT,
    .input_end = WORLD_INPUT + 4096 * UINT64_C(4096) - 1,
    .domain_start = WORLD_DOM,
    .domain_end = WORLD_DOM + 20,
    .neps = 5,
    /* two that touch, one that is small, one as wide as a word of the books */
    .ep = {{true, WORLD_AT(0), 100, 0, 0, 0, 0},
           {false, 0, 0, 0, 0, 0, 0},
           {true, WORLD_AT(100), 130, 0x48000000, 0x800000, 0, 0},
           {true, WORLD_AT(1000), 1, 0, 0x1000, 0, 0},
           {true, WORLD_AT(2000), 64, 0, 0, 0, 0}},
};

/* A number below @n; 0 when the bytes have run out. */
static inline uint64_t world_pick(struct world *w, uint64_t n)
{
    struct world_source *s = &w->s;
    uint64_t v = 0, width;

    if (!s->data) {
        /* xorshift64* */
        s->random ^= s->random >> 12;
        s->random ^= s->random << 25;
        s->random ^= s->random >> 27;
        v = s->random * UINT64_C(0x2545f4914f6cdd1d) >> 16;
        return n ? v % n : v;
    }
    for (width = n ? n - 1 : UINT64_MAX; width && s->size; width >>= 8) {
        v = v << 8 | *s->data++;
        s->size--;
    }
    return n ? v % n : v;
}

static inline bool world_fail(struct world *w, const char *what,
                              unsigned long long expected,
                              unsigned long long got)
{
    snprintf(w->wrong, sizeof(w->wrong), "%s: expected %#llx, is %#llx", what,
             expected, got);
    return false;
}

static inline void world_init(struct world *w)
{
    unsigned int i;

    memset(w, 0, sizeof(*w));
    for (i = 0; i < world_desc.neps; i++)
        w->t.npages[i] = world_desc.ep[i].npages;
    RIG_REQUIRE(sizeof(w->mem) >= vr_viommu_memory(&world_desc));
    RIG_REQUIRE(!vr_viommu_init(&w->v, &world_desc, &rig_ops, &w->t, w->mem,
                                sizeof(w->mem)));
    model_init(&w->m, &world_desc, &w->t);
    vr_viommu_negotiated(&w->v, VR_VIOMMU_FEATURES);
    w->m.features = VR_VIOMMU_FEATURES;
}

/* ---- comparison ---- */

static inline bool world_compare_pages(struct world *w, unsigned int ep)
{
    const struct rig_page *have = w->t.page[ep], *want = w->m.ep[ep].page;
    uint32_t n = 0, p = 0, first, len;
    unsigned int i;

    for (i = 0; i < w->t.npages[ep]; i++) {
        if (have[i].granted != want[i].granted)
            return world_fail(w, "page granted", want[i].granted, i);
        if (!have[i].granted)
            continue;
        n++;
        if (have[i].gfn != want[i].gfn)
            return world_fail(w, "frame", want[i].gfn, have[i].gfn);
        if (have[i].readonly != want[i].readonly)
            return world_fail(w, "read-only", want[i].readonly, i);
    }
    if (vr_viommu_mapped_pages(&w->v, ep) != n)
        return world_fail(w, "mapped pages", n,
                          vr_viommu_mapped_pages(&w->v, ep));
    /* Each of them belongs to a mapping, or what is left of one. */
    for (; vr_viommu_next_mapping(&w->v, ep, p, &first, &len); p = first + len)
        for (i = first; i < first + len; i++, n--)
            if (!have[i].granted)
                return world_fail(w, "page of a mapping", ep, i);
    if (n)
        return world_fail(w, "pages of no mapping", 0, n);
    return true;
}

/* The list of mappings, each endpoint's. Only while nothing is pending. */
static inline bool world_compare_mappings(struct world *w)
{
    unsigned int ep, i, count = 0;
    uint32_t first, n;

    for (ep = 0; ep < world_desc.neps; ep++) {
        uint32_t p = 0;

        for (; vr_viommu_next_mapping(&w->v, ep, p, &first, &n);
             p = first + n) {
            for (i = 0; i < w->m.nmappings; i++)
                if (w->m.mapping[i].domain == w->m.ep[ep].domain &&
                    w->m.mapping[i].start ==
                        world_desc.ep[ep].base + first * UINT64_C(4096) &&
                    w->m.mapping[i].end == world_desc.ep[ep].base +
                                               (first + n) * UINT64_C(4096) - 1)
                    break;
            if (i == w->m.nmappings || !w->m.ep[ep].attached)
                return world_fail(w, "no such mapping", ep, first);
            count++;
        }
    }
    if (count != w->m.nmappings)
        return world_fail(w, "mappings", w->m.nmappings, count);
    return true;
}

static inline bool world_compare(struct world *w, bool settled)
{
    unsigned int ep;

    for (ep = 0; ep < world_desc.neps; ep++) {
        const struct model_ep *e = &w->m.ep[ep];

        if (vr_viommu_attached(&w->v, ep) != (e->attached && !e->leaving))
            return world_fail(w, "attached", e->attached, ep);
        if (!world_compare_pages(w, ep))
            return false;
    }
    return !settled || world_compare_mappings(w);
}

/* ---- the caller ---- */

/* Brings the request once. Buffers of exact size, for those who watch. */
static inline bool world_call(struct world *w, bool *pending)
{
    size_t room =
        w->out_cap < VR_VIOMMU_OUT_MAX ? w->out_cap : VR_VIOMMU_OUT_MAX;
    size_t len = 99;
    uint8_t *in = malloc(w->in_len ? w->in_len : 1);
    uint8_t *out = malloc(room ? room : 1);
    struct model_answer a;
    enum vr_viommu_result r;
    bool ok = false;

    RIG_REQUIRE(in && out);
    memcpy(in, w->in, w->in_len);
    model_request(&w->m, in, w->in_len, w->out_cap, &a);
    r = vr_viommu_request(&w->v, in, w->in_len, out, w->out_cap, &len);
    *pending = r == VR_VIOMMU_PENDING;
    if (*pending != a.pending)
        world_fail(w, "pending", a.pending, *pending);
    else if (len != a.len)
        world_fail(w, "used length", a.len, len);
    else if (memcmp(out, a.out, len))
        world_fail(w, "answer", a.out[len - 4], out[len - 4]);
    else
        ok = true;
    if (len && len <= room && out[len - 4] < 9)
        w->status[out[len - 4]]++;
    free(in);
    free(out);
    return ok;
}

static inline void world_release(struct world *w, bool all)
{
    unsigned int ep, i;

    for (ep = 0; ep < world_desc.neps; ep++)
        for (i = 0; i < w->t.npages[ep]; i++)
            if (w->t.page[ep][i].held && (all || world_pick(w, 2)))
                w->t.page[ep][i].held = false;
}

static inline void world_negotiate(struct world *w)
{
    uint64_t f = world_pick(w, 32) ? VR_VIOMMU_FEATURES : world_pick(w, 256);

    vr_viommu_negotiated(&w->v, f);
    w->m.features = f & VR_VIOMMU_FEATURES;
}

/* Sometimes the guest goes on before the reset is through. */
static inline bool world_reset(struct world *w)
{
    unsigned int i;

    w->resets++;
    for (i = 0;; i++) {
        bool done = model_reset(&w->m);

        if ((vr_viommu_reset(&w->v) == VR_VIOMMU_DONE) != done)
            return world_fail(w, "reset done", done, !done);
        if (!world_compare(w, done))
            return false;
        if (done || !world_pick(w, 4))
            break;
        world_release(w, i > 3);
    }
    world_negotiate(w);
    return true;
}

/* A request, until it is answered or a reset comes. */
static inline bool world_request(struct world *w)
{
    unsigned int i;
    bool pending;

    w->requests++;
    for (i = 0;; i++) {
        if (!world_call(w, &pending))
            return false;
        if (!pending)
            break;
        w->pending++;
        if (!world_compare(w, false))
            return false;
        if (!world_pick(w, 16))
            return world_reset(w);
        if (world_pick(w, 2))
            world_release(w, i > 2);
    }
    /* All of it every time would be most of a test's time. */
    return (!w->s.data && w->requests % 16) || world_compare(w, true);
}

/* ---- the guest ---- */

static inline uint32_t world_domain(struct world *w)
{
    unsigned int i;

    for (i = 0; i < 3; i++) {
        uint32_t ep = world_pick(w, world_desc.neps);

        if (w->m.ep[ep].attached && world_pick(w, 32))
            return w->m.ep[ep].domain;
    }
    return world_pick(w, 64) ? WORLD_DOM + world_pick(w, 8) : world_pick(w, 0);
}

static inline uint32_t world_endpoint(struct world *w)
{
    return world_pick(w, 32) ? world_pick(w, 6) : world_pick(w, 0);
}

/* An address that matters, give or take. */
static inline uint64_t world_edge(struct world *w)
{
    static const uint64_t edge[] = {0,
                                    UINT64_MAX,
                                    WORLD_INPUT,
                                    WORLD_INPUT - 1,
                                    WORLD_AT(100),
                                    WORLD_AT(230),
                                    WORLD_AT(1001),
                                    WORLD_AT(4096)};

    return edge[world_pick(w, 8)] + world_pick(w, 3) - 1;
}

/* Whole pages in the window of @domain, or anywhere when there is none. */
static inline void world_range(struct world *w, uint32_t domain,
                               uint64_t *start, uint64_t *end)
{
    int ep = model_domain(&w->m, domain);
    uint32_t n = ep < 0 ? 4096 : world_desc.ep[ep].npages;
    uint64_t base = ep < 0 ? WORLD_INPUT : world_desc.ep[ep].base;

    *start = base + world_pick(w, n) * 4096;
    *end = *start + (world_pick(w, world_pick(w, 8) ? 6 : n) + 1) * 4096 - 1;
}

static inline void world_spoil_range(struct world *w, uint64_t *start,
                                     uint64_t *end)
{
    switch (world_pick(w, 64)) {
    case 0:
        *start = world_edge(w);
        break;
    case 1:
        *end = world_edge(w);
        break;
    case 2:
        *start += world_pick(w, 4096);
        break;
    case 3:
        *end -= world_pick(w, 8192);
        break;
    case 4:
        *start += world_pick(w, 4096);
        *end -= world_pick(w, 4096);
        break;
    }
}

static inline void world_make_map(struct world *w, struct rig_map *r)
{
    static const uint32_t flags[] = {1, 2, 3, 3, 3, 3, 3, 3};
    uint64_t start, end;

    r->domain = world_domain(w);
    world_range(w, r->domain, &start, &end);
    world_spoil_range(w, &start, &end);
    r->virt_start = start;
    r->virt_end = end;
    r->phys_start = (RIG_RAM0 + world_pick(w, 0x3fe)) << 12;
    if (!world_pick(w, 32))
        r->phys_start = world_pick(w, 0) << (world_pick(w, 2) * 12);
    r->flags = flags[world_pick(w, 8)];
    if (!world_pick(w, 64))
        r->flags = world_pick(w, 16);
}

static inline void world_make_unmap(struct world *w, struct rig_unmap *r)
{
    const struct model *m = &w->m;
    uint64_t start, end;

    r->domain = world_domain(w);
    world_range(w, r->domain, &start, &end);
    if (m->nmappings && world_pick(w, 8)) {
        const struct model_mapping *a, *b;

        a = b = &m->mapping[world_pick(w, m->nmappings)];
        if (!world_pick(w, 8))
            b = &m->mapping[world_pick(w, m->nmappings)];
        r->domain = a->domain;
        start = a->start;
        end = b->end;
    }
    world_spoil_range(w, &start, &end);
    r->virt_start = start;
    r->virt_end = end;
    if (!world_pick(w, 256))
        r->reserved[world_pick(w, 4)] = world_pick(w, 256);
}

static inline void world_make(struct world *w, unsigned int kind)
{
    union {
        uint8_t bytes[sizeof(w->in)];
        struct rig_attach attach;
        struct rig_detach detach;
        struct rig_map map;
        struct rig_unmap unmap;
        struct rig_probe probe;
    } r;
    size_t i;

    memset(&r, 0, sizeof(r));
    w->out_cap = 4;
    switch (kind) {
    case VR_VIOMMU_T_ATTACH:
        r.attach.domain = world_domain(w);
        r.attach.endpoint = world_endpoint(w);
        if (!world_pick(w, 64))
            r.attach.flags = world_pick(w, 4);
        w->in_len = sizeof(r.attach);
        break;
    case VR_VIOMMU_T_DETACH:
        r.detach.domain = world_domain(w);
        r.detach.endpoint = world_endpoint(w);
        w->in_len = sizeof(r.detach);
        break;
    case VR_VIOMMU_T_MAP:
        world_make_map(w, &r.map);
        w->in_len = sizeof(r.map);
        break;
    case VR_VIOMMU_T_UNMAP:
        world_make_unmap(w, &r.unmap);
        w->in_len = sizeof(r.unmap);
        break;
    case VR_VIOMMU_T_PROBE:
        r.probe.endpoint = world_endpoint(w);
        w->in_len = sizeof(r.probe);
        w->out_cap = VR_VIOMMU_OUT_MAX;
        break;
    default: /* any bytes */
        w->in_len = world_pick(w, sizeof(w->in) + 1);
        for (i = 1; i < w->in_len; i++)
            r.bytes[i] = world_pick(w, 256);
        kind = world_pick(w, 256);
        w->out_cap = world_pick(w, 600);
        break;
    }
    r.bytes[0] = kind;
    memcpy(w->in, r.bytes, sizeof(w->in));
    switch (world_pick(w, 128)) {
    case 0:
        w->in[world_pick(w, w->in_len ? w->in_len : 1)] ^= 1u
                                                           << world_pick(w, 8);
        break;
    case 1:
        w->in_len = world_pick(w, sizeof(w->in) + 1);
        break;
    case 2:
        w->out_cap = world_pick(w, 600);
        break;
    case 3:
        w->out_cap += world_pick(w, 3) - 1;
        break;
    }
}

/* Somebody holds on to a page, or the guest writes to its grant table. */
static inline void world_meddle(struct world *w)
{
    unsigned int ep = world_pick(w, world_desc.neps), i;
    struct rig_page *p;

    if (!world_desc.ep[ep].present)
        return;
    i = world_pick(w, world_desc.ep[ep].npages);
    p = &w->t.page[ep][i];
    switch (world_pick(w, 4)) {
    case 0:
    case 1:
        p->held = true;
        break;
    case 2:
        /* Never over a live entry: what becomes of that is not our affair. */
        p->planted = !p->planted && !p->granted;
        break;
    default:
        for (i = 0; i < RIG_PAGES; i++)
            w->t.page[ep][i].planted = w->t.page[ep][i].held = false;
        break;
    }
}

/* One thing happens. */
static inline bool world_step(struct world *w)
{
    static const uint8_t kinds[] = {VR_VIOMMU_T_ATTACH, VR_VIOMMU_T_MAP,
                                    VR_VIOMMU_T_MAP,    VR_VIOMMU_T_UNMAP,
                                    VR_VIOMMU_T_UNMAP,  VR_VIOMMU_T_MAP,
                                    VR_VIOMMU_T_UNMAP,  VR_VIOMMU_T_MAP};
    uint64_t what = world_pick(w, 256);

    if (what == 0 && !world_pick(w, 8))
        return world_reset(w);
    if (what < 8)
        world_make(w, VR_VIOMMU_T_DETACH);
    else if (what < 12)
        world_make(w, VR_VIOMMU_T_PROBE);
    else if (what < 16)
        world_make(w, 0);
    else if (what < 24) {
        world_meddle(w);
        return true;
    } else
        world_make(w, kinds[what % 8]);
    return world_request(w);
}

#endif /* TEST_VIOMMU_WORLD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A second virtio-iommu, as simple as can be, to compare the real one with:
 * mappings are a list, ranges are counted in bytes, every question is answered
 * by going through everything. It tells beforehand what vr_viommu_request()
 * has to answer and what the page table has to look like then.
 */
#ifndef TEST_VIOMMU_MODEL_H
#define TEST_VIOMMU_MODEL_H

#include "viommu_rig.h"

#define MODEL_MAPPINGS (VR_MAX_DEVICES * RIG_PAGES)
#define MODEL_PENDING  (-1)
#define MODEL_SILENT   (-2) /* returned unwritten */

struct model_mapping {
    uint32_t domain;
    uint64_t start, end; /* bytes, inclusive */
};

struct model_ep {
    bool attached, leaving;
    uint32_t domain;
    struct rig_page page[RIG_PAGES]; /* granted, readonly and gfn count */
};

struct model {
    const struct vr_viommu_desc *desc;
    const struct rig_table *table; /* for: who holds what, what is planted */
    uint64_t features;
    bool resetting;
    unsigned int nmappings;
    struct model_mapping mapping[MODEL_MAPPINGS];
    struct model_ep ep[VR_MAX_DEVICES];
    int undo_ep; /* a MAP that failed half-way; -1: none */
    uint32_t undo_first, undo_npages;
};

/* What the model expects. */
struct model_answer {
    bool pending;
    size_t len;
    uint8_t out[VR_VIOMMU_OUT_MAX];
};

static inline void model_init(struct model *m,
                              const struct vr_viommu_desc *desc,
                              const struct rig_table *table)
{
    memset(m, 0, sizeof(*m));
    m->desc = desc;
    m->table = table;
    m->undo_ep = -1;
}

static inline bool model_exists(const struct model *m, uint32_t ep)
{
    return ep < m->desc->neps && m->desc->ep[ep].present;
}

static inline uint64_t model_last(const struct model *m, uint32_t ep)
{
    return m->desc->ep[ep].base + m->desc->ep[ep].npages * UINT64_C(4096) - 1;
}

static inline uint32_t model_page(const struct model *m, uint32_t ep,
                                  uint64_t addr)
{
    return (addr - m->desc->ep[ep].base) / 4096;
}

/* -1: there is no such domain. */
static inline int model_domain(const struct model *m, uint32_t domain)
{
    unsigned int i;

    for (i = 0; i < m->desc->neps; i++)
        if (m->ep[i].attached && m->ep[i].domain == domain)
            return i;
    return -1;
}

/* Closes what is not held; true when no page is left open. */
static inline bool model_close(struct model *m, uint32_t ep, uint32_t first,
                               uint32_t npages)
{
    bool closed = true;
    uint32_t i;

    for (i = first; i < first + npages; i++) {
        if (!m->table->page[ep][i].held)
            m->ep[ep].page[i].granted = false;
        if (m->ep[ep].page[i].granted)
            closed = false;
    }
    return closed;
}

static inline bool model_detach_ep(struct model *m, uint32_t ep)
{
    unsigned int i;

    m->ep[ep].leaving = true;
    if (!model_close(m, ep, 0, m->desc->ep[ep].npages))
        return false;
    for (i = 0; i < m->nmappings;) {
        if (m->mapping[i].domain == m->ep[ep].domain)
            m->mapping[i] = m->mapping[--m->nmappings];
        else
            i++;
    }
    m->ep[ep].attached = false;
    m->ep[ep].leaving = false;
    return true;
}

/* True when it is complete. */
static inline bool model_go_on_resetting(struct model *m)
{
    unsigned int i;

    m->resetting = false;
    for (i = 0; i < m->desc->neps; i++)
        if (m->ep[i].attached && !model_detach_ep(m, i))
            m->resetting = true;
    return !m->resetting;
}

static inline bool model_reset(struct model *m)
{
    m->features = 0;
    m->undo_ep = -1;
    return model_go_on_resetting(m);
}

static inline int model_attach(struct model *m, const struct rig_attach *r)
{
    int holder;

    if (r->reserved[0] || r->reserved[1] || r->reserved[2] || r->reserved[3])
        return VR_VIOMMU_S_INVAL;
    if (r->flags)
        return VR_VIOMMU_S_INVAL;
    if (!model_exists(m, r->endpoint))
        return VR_VIOMMU_S_NOENT;
    if (r->domain < m->desc->domain_start || r->domain > m->desc->domain_end)
        return VR_VIOMMU_S_RANGE;
    holder = model_domain(m, r->domain);
    if (holder >= 0 && (uint32_t)holder != r->endpoint)
        return VR_VIOMMU_S_UNSUPP;
    if (holder >= 0 && !m->ep[holder].leaving)
        return VR_VIOMMU_S_OK;
    if (m->ep[r->endpoint].attached && !model_detach_ep(m, r->endpoint))
        return MODEL_PENDING;
    m->ep[r->endpoint].attached = true;
    m->ep[r->endpoint].domain = r->domain;
    return VR_VIOMMU_S_OK;
}

static inline int model_detach(struct model *m, const struct rig_detach *r)
{
    if (!model_exists(m, r->endpoint))
        return VR_VIOMMU_S_NOENT;
    if (!m->ep[r->endpoint].attached || m->ep[r->endpoint].domain != r->domain)
        return VR_VIOMMU_S_INVAL;
    return model_detach_ep(m, r->endpoint) ? VR_VIOMMU_S_OK : MODEL_PENDING;
}

/* The page table's part in MAP. */
static inline int model_open(struct model *m, uint32_t ep, uint32_t first,
                             uint32_t npages, uint64_t gfn, bool readonly)
{
    uint32_t i;

    for (i = 0; i < npages; i++)
        if (!rig_is_ram(gfn + i))
            return VR_VIOMMU_S_FAULT;
    for (i = 0; i < npages; i++) {
        struct rig_page *p = &m->ep[ep].page[first + i];

        if (m->table->page[ep][first + i].planted) {
            if (model_close(m, ep, first, i))
                return VR_VIOMMU_S_DEVERR;
            m->undo_ep = ep;
            m->undo_first = first;
            m->undo_npages = i;
            return MODEL_PENDING;
        }
        p->granted = true;
        p->readonly = readonly;
        p->gfn = gfn + i;
    }
    return VR_VIOMMU_S_OK;
}

static inline int model_map(struct model *m, const struct rig_map *r)
{
    uint64_t length = r->virt_end - r->virt_start;
    int ep = model_domain(m, r->domain), status;
    unsigned int i;

    if (r->flags > 3)
        return VR_VIOMMU_S_INVAL;
    if (ep < 0)
        return VR_VIOMMU_S_NOENT;
    if (r->virt_start % 4096 || r->phys_start % 4096 ||
        r->virt_end % 4096 != 4095)
        return VR_VIOMMU_S_RANGE;
    if (r->virt_end < r->virt_start || r->flags == 0)
        return VR_VIOMMU_S_INVAL;
    if (r->virt_start < m->desc->ep[ep].base || r->virt_end > model_last(m, ep))
        return VR_VIOMMU_S_RANGE;
    for (i = 0; i < m->nmappings; i++)
        if (m->mapping[i].domain == r->domain &&
            m->mapping[i].start <= r->virt_end &&
            m->mapping[i].end >= r->virt_start)
            return VR_VIOMMU_S_INVAL;
    if (r->phys_start + length < r->phys_start)
        return VR_VIOMMU_S_FAULT;
    status = model_open(m, ep, model_page(m, ep, r->virt_start),
                        length / 4096 + 1, r->phys_start / 4096, r->flags == 1);
    if (status == VR_VIOMMU_S_OK)
        m->mapping[m->nmappings++] =
            (struct model_mapping){r->domain, r->virt_start, r->virt_end};
    return status;
}

static inline int model_unmap(struct model *m, const struct rig_unmap *r)
{
    int ep = model_domain(m, r->domain);
    bool closed = true;
    unsigned int i;

    if (r->reserved[0] || r->reserved[1] || r->reserved[2] || r->reserved[3])
        return VR_VIOMMU_S_INVAL;
    if (ep < 0)
        return VR_VIOMMU_S_NOENT;
    if (r->virt_end < r->virt_start)
        return VR_VIOMMU_S_INVAL;
    for (i = 0; i < m->nmappings; i++) {
        const struct model_mapping *a = &m->mapping[i];

        if (a->domain != r->domain || a->end < r->virt_start ||
            a->start > r->virt_end)
            continue;
        if (a->start < r->virt_start || a->end > r->virt_end)
            return VR_VIOMMU_S_RANGE;
    }
    for (i = 0; i < m->nmappings; i++) {
        const struct model_mapping *a = &m->mapping[i];

        if (a->domain == r->domain && a->start >= r->virt_start &&
            a->end <= r->virt_end &&
            !model_close(m, ep, model_page(m, ep, a->start),
                         (a->end - a->start) / 4096 + 1))
            closed = false;
    }
    if (!closed)
        return MODEL_PENDING;
    for (i = 0; i < m->nmappings;) {
        const struct model_mapping *a = &m->mapping[i];

        if (a->domain == r->domain && a->start >= r->virt_start &&
            a->end <= r->virt_end)
            m->mapping[i] = m->mapping[--m->nmappings];
        else
            i++;
    }
    return VR_VIOMMU_S_OK;
}

/* As 5.13.6.7 and 5.13.6.8.1 lay it out. */
struct model_property {
    uint16_t type, length;
    uint8_t subtype, reserved[3];
    uint64_t start, end;
} __attribute__((packed));

/* As docs/proposals/restricted-dma-pool.md does. */
struct model_pool {
    uint16_t type, length;
    char signature[4];
    uint64_t base, size;
} __attribute__((packed));

static inline int model_probe(const struct model *m, const struct rig_probe *r,
                              size_t room, uint8_t *list)
{
    struct model_property p = {.type = 1, .length = 20};
    struct model_pool pool = {
        .type = 0xfff, .length = 20, .signature = {'V', 'R', 'D', 'P'}};

    if (room < 512)
        return VR_VIOMMU_S_INVAL;
    if (!model_exists(m, r->endpoint))
        return VR_VIOMMU_S_NOENT;
    if (m->desc->ep[r->endpoint].base != m->desc->input_start) {
        p.start = m->desc->input_start;
        p.end = m->desc->ep[r->endpoint].base - 1;
        memcpy(list, &p, sizeof(p));
        list += sizeof(p);
    }
    if (model_last(m, r->endpoint) != m->desc->input_end) {
        p.start = model_last(m, r->endpoint) + 1;
        p.end = m->desc->input_end;
        memcpy(list, &p, sizeof(p));
        list += sizeof(p);
    }
    pool.base = m->desc->ep[r->endpoint].pool_base;
    pool.size = m->desc->ep[r->endpoint].pool_size;
    if (pool.size)
        memcpy(list, &pool, sizeof(pool));
    return VR_VIOMMU_S_OK;
}

static inline int model_status(struct model *m, bool undone, const uint8_t *in,
                               size_t in_len, size_t room, uint8_t *list)
{
    union {
        struct rig_attach attach;
        struct rig_detach detach;
        struct rig_map map;
        struct rig_unmap unmap;
        struct rig_probe probe;
    } r;
    bool is_map = in[0] == VR_VIOMMU_T_MAP;

    memset(&r, 0, sizeof(r));
    memcpy(&r, in, in_len < sizeof(r) ? in_len : sizeof(r));
    if ((is_map || in[0] == VR_VIOMMU_T_UNMAP) &&
        !(m->features & VR_VIOMMU_F_MAP_UNMAP))
        return MODEL_SILENT;
    if (in[0] == VR_VIOMMU_T_PROBE && !(m->features & VR_VIOMMU_F_PROBE))
        return MODEL_SILENT;
    if (is_map && undone)
        return VR_VIOMMU_S_DEVERR;
    switch (in[0]) {
    case VR_VIOMMU_T_ATTACH:
        return in_len < 20 ? VR_VIOMMU_S_INVAL : model_attach(m, &r.attach);
    case VR_VIOMMU_T_DETACH:
        return in_len < 20 ? VR_VIOMMU_S_INVAL : model_detach(m, &r.detach);
    case VR_VIOMMU_T_MAP:
        return in_len < 36 ? VR_VIOMMU_S_INVAL : model_map(m, &r.map);
    case VR_VIOMMU_T_UNMAP:
        return in_len < 28 ? VR_VIOMMU_S_INVAL : model_unmap(m, &r.unmap);
    case VR_VIOMMU_T_PROBE:
        return in_len < 72 ? VR_VIOMMU_S_INVAL
                           : model_probe(m, &r.probe, room, list);
    default:
        return MODEL_SILENT;
    }
}

static inline void model_request(struct model *m, const uint8_t *in,
                                 size_t in_len, size_t out_cap,
                                 struct model_answer *a)
{
    bool undone = false;
    size_t room = 0;
    int status;

    memset(a, 0, sizeof(*a));
    a->pending = true;
    if (m->resetting && !model_go_on_resetting(m))
        return;
    if (m->undo_ep >= 0) {
        if (!model_close(m, m->undo_ep, m->undo_first, m->undo_npages))
            return;
        m->undo_ep = -1;
        undone = true;
    }
    a->pending = false;
    if (!in_len || out_cap < 4)
        return;
    if (in[0] == VR_VIOMMU_T_PROBE)
        room = out_cap - 4 < 512 ? out_cap - 4 : 512;
    status = model_status(m, undone, in, in_len, room, a->out);
    a->pending = status == MODEL_PENDING;
    if (status < 0)
        return;
    a->out[room] = status;
    a->len = room + 4;
}

#endif /* TEST_VIOMMU_MODEL_H */

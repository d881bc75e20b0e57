/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See advice.h. For vrctl. */
#include <string.h>

#include "libs/window/bounds.h"
#include "advice.h"

/* A saving below this share is not worth another mode. */
#define WORTH 0.9
/* The longest piece for which an aperture is made large. */
#define APERTURE_MAX (UINT64_C(64) << 20)
/* Beyond any grant table: figures that say so are made up. */
#define POOL_MAX (UINT64_C(1) << 30)
/* Of the pool, beside what was in use: what has come back to the guest and is
 * not given back to the pool yet, and what does not adjoin. */
#define SPARE_SHARE  4u
#define SWIOTLB_SLOT 2048u

const struct vr_survey_costs vr_survey_counted = {
    .exit_ns = 37000,
    .rate = 8,
    .page_ns = 4700,
};

double vr_survey_map_ns(const struct vr_survey_costs *c, double buffers,
                        double pages)
{
    return 2 * c->exit_ns * buffers + c->page_ns * pages;
}

double vr_survey_copy_ns(const struct vr_survey_costs *c, double bytes)
{
    return bytes / c->rate;
}

uint64_t vr_survey_crossover(const struct vr_survey_costs *c)
{
    double gain = vr_survey_copy_ns(c, VR_PAGE_SIZE) - c->page_ns, pages;
    uint64_t whole;

    if (!(gain > 0))
        return 0;
    pages = 2 * c->exit_ns / gain;
    if (!(pages < (double)(UINT64_C(1) << 28)))
        return 0;
    whole = (uint64_t)pages;
    if ((double)whole < pages || !whole)
        whole++;
    return whole << VR_PAGE_SHIFT;
}

unsigned int vr_survey_quantile(const uint64_t *counts, unsigned int n,
                                double share)
{
    double all = 0, sum = 0;
    unsigned int i;

    for (i = 0; i < n; i++)
        all += (double)counts[i];
    for (i = 0; i < n; i++) {
        sum += (double)counts[i];
        if (sum > 0 && sum >= share * all)
            return i;
    }
    return n;
}

/* ---- the mode ---- */

/* What is in whole pages and of class @from or longer is mapped, the rest is
 * copied. */
static double mixed_ns(const struct vr_survey_figures *f,
                       const struct vr_survey_costs *costs, unsigned int from)
{
    double ns = 0;
    unsigned int i;

    for (i = 0; i < VR_SURVEY_SIZES; i++) {
        const struct vr_survey_size *s = &f->size[i];
        double bytes = (double)s->bytes, whole = (double)s->whole;

        if (i < from || !bytes)
            whole = 0;
        if (whole > bytes)
            whole = bytes;
        ns += vr_survey_copy_ns(costs, bytes - whole);
        if (whole > 0)
            ns += vr_survey_map_ns(costs, (double)s->buffers * whole / bytes,
                                   whole / VR_PAGE_SIZE);
    }
    return ns;
}

static void weigh(const struct vr_survey_figures *f,
                  const struct vr_survey_costs *costs,
                  struct vr_survey_advice *a)
{
    double buffers = 0, bytes = 0, pages = 0, ns;
    double requests = (double)f->looked;
    unsigned int i;

    for (i = 0; i < VR_SURVEY_SIZES; i++) {
        buffers += (double)f->size[i].buffers;
        bytes += (double)f->size[i].bytes;
        pages += (double)f->size[i].pages;
    }
    a->copied_ns = vr_survey_copy_ns(costs, bytes) / requests;
    a->mapped_ns = vr_survey_map_ns(costs, buffers, pages) / requests;
    a->mixed_ns = a->copied_ns;
    for (i = vr_survey_class(VR_PAGE_SIZE, VR_SURVEY_LEAST, VR_SURVEY_SIZES);
         i < VR_SURVEY_SIZES; i++) {
        ns = mixed_ns(f, costs, i) / requests;
        /* Of those that come to the same, the longest. */
        if (ns < a->copied_ns && ns <= a->mixed_ns) {
            a->mixed_ns = ns;
            a->mixed_from = VR_SURVEY_LEAST << i;
        }
    }
    a->exposed = bytes > 0 ? pages * VR_PAGE_SIZE / bytes : 0;
    a->pieces = buffers / requests;
    a->per_piece = buffers > 0 ? bytes / buffers : 0;
}

/* ---- how large ---- */

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

static uint64_t rounded(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static uint64_t rings(const struct vr_dev_cfg *cfg)
{
    /* Descriptors, available and used ring (virtio 1.2, 2.7). */
    return cfg->queues *
           rounded(26 * (uint64_t)cfg->queue_size + 12, 2 * VR_PAGE_SIZE);
}

/*
 * Of a pool the guest module has an eighth in small slots, which short buffers
 * take before they take pages; Linux's restricted pools have one kind of slot.
 * It is to do for both.
 */
static uint64_t pool_size(const struct vr_survey_figures *f,
                          const struct vr_dev_cfg *cfg, uint64_t *room)
{
    uint64_t pages = at_most(f->most_pages, POOL_MAX >> VR_PAGE_SHIFT);
    uint64_t small = at_most(f->most_small, POOL_MAX / VR_SURVEY_SMALL);
    uint64_t least = vr_type_pool_min(cfg), one, other, over;

    *room = (pages << VR_PAGE_SHIFT) + small * VR_SURVEY_SMALL + rings(cfg);
    pages += rings(cfg) >> VR_PAGE_SHIFT;
    pages += pages / SPARE_SHARE;
    small += small / SPARE_SHARE;
    one = (pages << VR_PAGE_SHIFT) + small * SWIOTLB_SLOT;
    other = (pages << VR_PAGE_SHIFT) / 7 * 8;
    over = other / 8 / VR_SURVEY_SMALL;
    if (small > over)
        /* Each in a page of its own at worst. */
        other += at_most((small - over) << VR_PAGE_SHIFT,
                         (small - over) * 8 * VR_SURVEY_SMALL);
    if (other > one)
        one = other;
    if (one < least)
        one = least;
    return rounded(one, UINT64_C(256) << 10);
}

static uint64_t aperture(const struct vr_survey_figures *f,
                         const struct vr_dev_cfg *cfg, bool mixed)
{
    uint64_t least = vr_aperture_min(cfg->queues, cfg->queue_size, mixed);
    uint64_t size = UINT64_C(1) << 20, longest = VR_PAGE_SIZE;
    unsigned int i;

    for (i = 0; i < VR_SURVEY_SIZES; i++)
        if (f->size[i].buffers && (VR_SURVEY_LEAST << i) > longest)
            longest = VR_SURVEY_LEAST << i;
    longest = at_most(longest, VR_SIZE_MAX_LIMIT);
    while (size < least && size < POOL_MAX)
        size <<= 1;
    while (size < APERTURE_MAX &&
           vr_size_max(size, cfg->queues, cfg->queue_size, mixed) < longest)
        size <<= 1;
    return size;
}

void vr_survey_advise(const struct vr_survey_figures *f,
                      const struct vr_dev_cfg *cfg,
                      const struct vr_survey_costs *costs,
                      struct vr_survey_advice *out)
{
    uint64_t size;

    memset(out, 0, sizeof(*out));
    if (!f->looked)
        return;
    out->known = true;
    weigh(f, costs, out);
    size = pool_size(f, cfg, &out->room);
    out->mode = VR_MODE_STATIC;
    if (out->mapped_ns < WORTH * out->copied_ns &&
        WORTH * out->mapped_ns <= out->mixed_ns) {
        /* As good as mixed, and no memory is set aside. */
        out->mode = VR_MODE_DYNAMIC;
    } else if (out->mixed_ns < WORTH * out->copied_ns) {
        out->mode = VR_MODE_MIXED;
        out->threshold = out->mixed_from;
    }
    if (out->mode != VR_MODE_DYNAMIC)
        out->size = size;
    if (out->mode != VR_MODE_STATIC)
        out->aperture = aperture(f, cfg, out->mode == VR_MODE_MIXED);
}

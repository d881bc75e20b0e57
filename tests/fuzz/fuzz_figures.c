/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A survey's figures, as a driver domain may write them, and any machine's
 * costs: the recommendation is one that the configuration can have.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "libs/survey/advice.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void any_figures(struct vr_survey_figures *f)
{
    uint64_t *word = (uint64_t *)f;
    size_t i;

    for (i = 0; i < sizeof(*f) / sizeof(*word); i++)
        word[i] = eat(1) & 1 ? eat(8) : eat(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_survey_figures f;
    struct vr_survey_advice a;
    struct vr_survey_costs c;
    struct vr_dev_cfg cfg;

    in = data;
    left = size;
    memset(&cfg, 0, sizeof(cfg));
    cfg.type = eat(1) & 1 ? VR_TYPE_block : VR_TYPE_rng;
    cfg.queues = 1 + (unsigned int)eat(1) % VR_MAX_QUEUES;
    cfg.queue_size = 4u << eat(1) % 7;
    c.exit_ns = (double)(eat(5) % 1000000000000);
    c.rate = (double)(1 + eat(5)) / 1000000;
    c.page_ns = (double)(eat(5) % 1000000000000);
    any_figures(&f);
    vr_survey_advise(&f, &cfg, &c, &a);
    require(vr_survey_crossover(&c) % VR_PAGE_SIZE == 0);
    require(vr_survey_quantile(f.time, VR_SURVEY_TIMES, 0.9) <=
            VR_SURVEY_TIMES);
    if (!a.known)
        return 0;
    require(isfinite(a.copied_ns) && isfinite(a.mapped_ns) &&
            isfinite(a.mixed_ns) && isfinite(a.exposed) && isfinite(a.pieces) &&
            isfinite(a.per_piece));
    require(a.mixed_ns <= a.copied_ns);
    require((a.mode == VR_MODE_DYNAMIC) == !a.size);
    require((a.mode == VR_MODE_STATIC) == !a.aperture);
    require((a.mode == VR_MODE_MIXED) == !!a.threshold);
    require(a.size % VR_PAGE_SIZE == 0 && a.size <= UINT64_C(16) << 30);
    require(a.aperture % VR_PAGE_SIZE == 0 && a.aperture <= UINT64_C(2) << 30);
    require(a.threshold % VR_PAGE_SIZE == 0);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the figures of a survey, and from what a copy and a mapping cost, to
 * what a device should be set to. Bears any figures. Pure.
 *
 *   copy(size) = size / rate
 *   map(size)  = 2 * exit + pages * page
 *
 * docs/survey/README.md has the formula's reasons.
 */
#ifndef VR_SURVEY_ADVICE_H
#define VR_SURVEY_ADVICE_H

#include "libs/types/types.h"
#include "figures.h"

struct vr_survey_costs {
    double exit_ns; /* of a MAP or an UNMAP, without its pages */
    double rate;    /* bytes that the guest copies in a nanosecond */
    double page_ns; /* to grant a page, to reach it, to take it back */
};

/* Those of this project's emulated arm64 host, on the clock that counts
 * instructions: docs/performance.md, "The module's threshold". */
extern const struct vr_survey_costs vr_survey_counted;

/** vr_survey_map_ns(), vr_survey_copy_ns() - of @buffers that have @bytes and
 * touch @pages altogether. */
double vr_survey_map_ns(const struct vr_survey_costs *c, double buffers,
                        double pages);
double vr_survey_copy_ns(const struct vr_survey_costs *c, double bytes);

/**
 * vr_survey_crossover() - the least whole number of pages, in bytes, for which
 * mapping is not dearer than copying; 0: there is none below 1 TiB.
 */
uint64_t vr_survey_crossover(const struct vr_survey_costs *c);

struct vr_survey_advice {
    bool known; /* requests were seen; else nothing else is */
    enum vr_mode mode;
    uint64_t size;      /* of the pool; 0: none is needed */
    uint64_t aperture;  /* 0: none is needed */
    uint64_t threshold; /* mixed: of the guest module; else 0 */
    /* For each request, nanoseconds: */
    double copied_ns, mapped_ns;
    double mixed_ns;     /* with the threshold that suits best, */
    uint64_t mixed_from; /* which is this; 0: nothing is worth mapping */
    double exposed;      /* bytes of pages for each byte, if all is mapped */
    double pieces, per_piece; /* buffers of a request, bytes of a buffer */
    uint64_t room;            /* bytes of a pool that were in use at once */
};

/** vr_survey_advise() - for a device of which @cfg is what it is now. */
void vr_survey_advise(const struct vr_survey_figures *f,
                      const struct vr_dev_cfg *cfg,
                      const struct vr_survey_costs *costs,
                      struct vr_survey_advice *out);

/**
 * vr_survey_quantile() - the class that holds the middle (@share 0.5), or
 * another share, of what @n classes counted; @n: nothing was.
 */
unsigned int vr_survey_quantile(const uint64_t *counts, unsigned int n,
                                double share);

#endif /* VR_SURVEY_ADVICE_H */

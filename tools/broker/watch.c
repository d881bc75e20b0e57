/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking on before sleeping (poll=): a guest's accesses come in groups, and
 * to be woken costs more than to answer.
 */
#include <time.h>

#include "iommu.h"

/* After looking in vain so many occasions are let pass at the most. */
#define SKIP_MAX 255

static int64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* One look at all there is; serves what it finds. */
static bool look_around(struct worker *w)
{
    bool found = false;
    unsigned int i;

    for (i = 0; i < w->nvcpus; i++) {
        if (w->ioreqs->vcpu_ioreq[i].state == STATE_IOREQ_READY)
            found |= vcpu_event(w, i);
    }
    for (i = 0; i < w->ndevs; i++) {
        struct device *d = &w->dev[i];

        if (!device_has_news(d))
            continue;
        device_serve_news(d);
        found = true;
    }
    if (w->iommu && iommu_has_news(w->iommu)) {
        iommu_serve_news(w->iommu);
        found = true;
    }
    return found;
}

/*
 * After something was served: looks on for poll_ns, anew after each find.
 * When nothing came in that time, the next occasions are let pass, more of
 * them with each failure, so that the processor is not kept from those that
 * we wait for. Bounded by LOOK_MS.
 */
void worker_watch(struct worker *w)
{
    int64_t end;
    bool found = false;
    unsigned int n = 0;

    if (!w->poll_ns)
        return;
    if (w->skip) {
        w->skip--;
        return;
    }
    end = clock_ns() + w->poll_ns;
    for (;;) {
        if (look_around(w)) {
            found = true;
            w->now = broker_now_ms();
            if (w->now - w->looked >= LOOK_MS)
                break;
            end = clock_ns() + w->poll_ns;
        } else if (!(++n % 8) && clock_ns() >= end) {
            break;
        }
        vr_cpu_relax();
    }
    if (found) {
        w->penalty /= 2;
    } else {
        w->penalty = w->penalty * 2 + 1;
        if (w->penalty > SKIP_MAX)
            w->penalty = SKIP_MAX;
        w->skip = w->penalty;
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the windows' grants still what was written? The guest can overwrite them,
 * and a Linux whose own grants do not fit in front of the windows does. Nobody
 * notices at once: what a backend has mapped stays mapped, until its process is
 * started again and cannot map it any more. Of a pool that is not granted each
 * entry has to be empty, or it could not be.
 *
 * The supervisor looks at the table when a backend is in trouble, and now and
 * then. It takes no more from it than how many entries are lost, and never
 * writes: the guest takes the entries for its own, and would be writing them at
 * the same time.
 */
#include <string.h>

#include "libs/host/lost.h"
#include "supervisor.h"

#define LOOK_MS 60000
/* A backend in trouble can be so as often as it likes. */
#define SPACING_MS 1000

/* False: there is no rule, while a backend holds some of its pool. */
static bool find_rule(const struct super *s, unsigned int i, unsigned int kind,
                      enum vr_lost_rule *rule)
{
    enum vr_pool_state pool = vr_pools_state(s->pools, i);

    *rule = kind == VR_WINDOW_IOVA    ? VR_LOST_DYNAMIC
            : pool == VR_POOL_GRANTED ? VR_LOST_POOL
                                      : VR_LOST_PRIVATE;
    return kind == VR_WINDOW_IOVA || pool != VR_POOL_HELD;
}

static void count_lost(const struct super *s, const struct vr_gtable *gt,
                       unsigned int i, uint32_t *lost, uint32_t *of)
{
    uint16_t domid = dev_driver(s, i)->domid;
    enum vr_lost_rule rule;
    unsigned int kind;

    *lost = *of = 0;
    for (kind = 0; kind < VR_WINDOWS; kind++) {
        const struct vr_gwin *win = vr_record_window(&s->rec.devs[i], kind);

        if (!win || !find_rule(s, i, kind, &rule))
            continue;
        *lost += vr_lost_count(vr_gtable_entry(gt, win->gref_base), win, rule,
                               domid);
        *of += vr_gwin_pages(win);
    }
}

static void judge(struct super *s, const struct vr_gtable *gt, unsigned int i)
{
    struct sdev *d = &s->dev[i];
    uint32_t lost, of;

    count_lost(s, gt, i, &lost, &of);
    /* A failed device's pool is private again, so what was overwritten may not
     * be seen any more. It still is why the device failed. */
    if (!lost && d->overwritten && d->fail != VR_FAIL_NONE)
        return;
    d->overwritten = lost;
    vr_lost_text(&d->why, &s->rec, "its windows", d->overwritten, of);
    backends_show(s, i);
}

void grants_check(struct super *s, bool suspect)
{
    int64_t now = vr_now_ms();
    uint32_t first = vr_record_lowest_gref(&s->rec) / VR_GNTENT_PER_FRAME;
    struct vr_gtable gt;
    unsigned int i;

    if (!s->published || (s->step != STEP_READY && s->step != STEP_RUNNING))
        return;
    s->suspect |= suspect;
    if (now - s->grants_at < (s->suspect ? SPACING_MS : LOOK_MS))
        return;
    s->grants_at = now;
    s->suspect = false;
    /* For a moment only: a mapping would keep a guest from going. */
    if (!vr_gtable_map(&gt, s->fm, s->rec.domid, first,
                       s->rec.grant_frames - first, false, NULL)) {
        for (i = 0; i < s->rec.ndevs; i++)
            if (!s->dev[i].gone)
                judge(s, &gt, i);
        vr_gtable_unmap(&gt);
    }
}

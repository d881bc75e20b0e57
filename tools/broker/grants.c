/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the windows' grants still what was written? The guest can overwrite them,
 * and a Linux whose own grants do not fit in front of the windows does. Nobody
 * notices at once: what a backend has mapped stays mapped, until its process is
 * started again and cannot map it any more.
 *
 * The supervisor looks at the table when a backend is in trouble, and now and
 * then. It takes no more from it than how many entries are lost, and never
 * writes: the guest takes the entries for its own, and would be writing them at
 * the same time.
 */
#include <string.h>

#include "lost.h"
#include "supervisor.h"
#include "xen/gtable.h"

#define LOOK_MS 60000
/* A backend in trouble can be so as often as it likes. */
#define SPACING_MS 1000

static void count_lost(const struct vr_record *rec, const struct vr_gtable *gt,
                       unsigned int i, uint32_t *lost, uint32_t *of)
{
    uint16_t domid = rec->drivers[rec->devs[i].driver].domid;
    unsigned int kind;

    *lost = *of = 0;
    for (kind = 0; kind < VR_WINDOWS; kind++) {
        const struct vr_gwin *win = vr_record_window(&rec->devs[i], kind);

        if (!win)
            continue;
        *lost += vr_lost_count(vr_gtable_entry(gt, win->gref_base), win, kind,
                               domid);
        *of += vr_gwin_pages(win);
    }
}

static void judge(struct super *s, const struct vr_gtable *gt, unsigned int i)
{
    struct sdev *d = &s->dev[i];
    uint32_t of;

    count_lost(&s->rec, gt, i, &d->overwritten, &of);
    vr_lost_text(&d->why, &s->rec, "its windows", d->overwritten, of);
    backends_show(s, i);
}

void grants_check(struct super *s, bool suspect)
{
    int64_t now = vr_now_ms();
    uint32_t first = vr_record_lowest_gref(&s->rec) / VR_GNTENT_PER_FRAME;
    xenforeignmemory_handle *fm;
    struct vr_gtable gt;
    unsigned int i;

    if (!s->published || (s->step != STEP_READY && s->step != STEP_RUNNING))
        return;
    s->suspect |= suspect;
    if (now - s->grants_at < (s->suspect ? SPACING_MS : LOOK_MS))
        return;
    s->grants_at = now;
    s->suspect = false;
    fm = xenforeignmemory_open(NULL, 0);
    if (!fm)
        return;
    /* For a moment only: a mapping would keep a guest from going. */
    if (!vr_gtable_map(&gt, fm, s->rec.domid, first,
                       s->rec.grant_frames - first, false, NULL)) {
        for (i = 0; i < s->rec.ndevs; i++)
            if (!s->dev[i].gone)
                judge(s, &gt, i);
        vr_gtable_unmap(&gt);
    }
    xenforeignmemory_close(fm);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words for grant entries that the guest has overwritten, for broker and
 * vrctl audit. Pure.
 */
#include <inttypes.h>

#include "lost.h"

uint32_t vr_lost_count(const struct vr_gntent *e, const struct vr_gwin *win,
                       enum vr_lost_rule rule, uint16_t domid)
{
    uint32_t i, n = vr_gwin_pages(win), lost = 0;
    uint64_t gfn = win->base >> VR_PAGE_SHIFT;

    for (i = 0; i < n; i++) {
        const struct vr_gntent now = vr_gntent_read(&e[i]);

        switch (rule) {
        case VR_LOST_POOL:
            lost += !vr_gntent_grants(&now, domid, gfn + i);
            break;
        case VR_LOST_PRIVATE:
            lost += now.flags != 0;
            break;
        case VR_LOST_DYNAMIC:
            lost += vr_gntent_foreign(&now, domid);
            break;
        }
    }
    return lost;
}

void vr_lost_text(struct vr_err *text, const struct vr_record *rec,
                  const char *what, uint32_t lost, uint32_t of)
{
    vr_err_set(text,
               "%" PRIu32 " of the %" PRIu32 " grant entries of %s have been "
               "overwritten by the guest, probably because its own grants (PV "
               "disks, interfaces) do not fit into the %" PRIu32 " in front of "
               "the windows: raise virtio_restricted_grants= and create it "
               "again; see LIMITS in xl-virtio-restricted.cfg(5)",
               lost, of, what, vr_record_lowest_gref(rec));
}

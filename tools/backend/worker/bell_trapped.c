/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BELL(trapped): the broker stands between the guest's driver and us. What its
 * channel is about stands in the control page. */
#include "bell.h"

static bool trapped_ring(void *state, struct vr_ctrl_page *page,
                         uint64_t queues)
{
    (void)state;
    return vr_ctrl_post(&page->intr, queues);
}

const struct vr_bell_ops vr_bell_trapped = {.ring = trapped_ring};

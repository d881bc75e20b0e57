/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control page as the other side left it: any bytes at all. */
#include <stdlib.h>
#include <string.h>

#include "libs/proto/ctrl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vr_ctrl_page page;
    struct vr_ctrl_request req;
    struct vr_ctrl_device dev;
    struct vr_ctrl_counters c;
    uint32_t generation;
    unsigned int i;

    memset(&page, 0, sizeof(page));
    memcpy(&page, data, size < sizeof(page) ? size : sizeof(page));
    vr_ctrl_check(&page);
    vr_ctrl_take_counters(&page, &c);
    vr_ctrl_collect(&page.kick);
    if (!vr_ctrl_take_device(&page, &dev) && dev.config_len > VR_CONFIG_LEN)
        abort();
    if (!vr_ctrl_take(&page, &req, &generation)) {
        if (req.nqueues > VR_MAX_QUEUES)
            abort();
        for (i = 0; i < VR_MAX_QUEUES; i++) {
            const struct vr_ctrl_queue *q = &req.q[i];

            if (q->epoch && (!q->size || q->size > VR_MAX_QUEUE_SIZE ||
                             (q->size & (q->size - 1))))
                abort();
        }
        vr_ctrl_ack(&page, generation);
        /* What we publish over it must come out again. */
        if (vr_ctrl_publish(&page, &req) & 1)
            abort();
        if (vr_ctrl_take(&page, &req, &generation))
            abort();
    }
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wrong with a device, and who is told: counters, control page, log,
 * operator. Called by loop, memory and type.
 */
#include <inttypes.h>
#include <stdio.h>

#include "device.h"

#define LOG_PERIOD_NS INT64_C(10000000000)

bool vr_log_due(const struct vr_dev *d, int64_t *last)
{
    if (*last && d->now - *last < LOG_PERIOD_NS)
        return false;
    *last = d->now;
    return true;
}

static void log_fault(struct vr_dev *d, int64_t *last, const struct vr_queue *q,
                      const char *what, uint64_t addr, const char *then)
{
    char text[256];

    if (!vr_log_due(d, last))
        return;
    snprintf(text, sizeof(text), "queue %u%s (0x%" PRIx64 ")%s",
             (unsigned int)(q - d->q), what, addr, then);
    vr_dev_log(d, text);
}

static void count_fault(struct vr_dev *d, uint64_t addr)
{
    vr_counters(d)->faults++;
    vr_counters(d)->fault_addr = addr;
}

void vr_queue_fault(struct vr_dev *d, struct vr_queue *q)
{
    char what[128];

    if (!q->vq.fault || q->reported)
        return;
    q->reported = true;
    vr_counters(d)->fault_access = 0;
    count_fault(d, q->vq.fault_addr);
    vr_set_status(d, VR_CTRL_BACKEND_FAILED);
    vr_tell_broker(d);
    snprintf(what, sizeof(what), " stopped: %s", vr_vq_fault_text(q->vq.fault));
    log_fault(d, &d->last_log, q, what, q->vq.fault_addr,
              "; the guest has to reset the device");
}

void vr_access_fault(struct vr_dev *d, struct vr_queue *q, uint64_t addr,
                     bool write)
{
    vr_counters(d)->fault_access =
        write ? VR_CTRL_FAULT_WRITE : VR_CTRL_FAULT_READ;
    count_fault(d, addr);
    d->tell = true;
    log_fault(d, &d->last_access_log, q,
              ": the guest's memory is not mapped, or not so", addr,
              "; the request fails");
}

void vr_dev_note(struct vr_dev *d, const char *text)
{
    snprintf(d->noted, sizeof(d->noted), "%s", text);
    if (!d->pool_noted)
        d->cfg.ops->note(d->cfg.ctx, d->noted);
}

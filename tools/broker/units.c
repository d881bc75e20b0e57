/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker can serve: one line for each kind of unit. The worker's start
 * calls them in this order, so that the virtio-iommu finds its devices.
 */
#include "broker/iommu/iommu.h"
#include "broker/worker/device.h"

int (*const unit_kinds[])(struct worker *w, const struct unit_start *s,
                          struct vr_err *err) = {
    device_start,
    iommu_start,
    NULL,
};

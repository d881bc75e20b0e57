/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of the virtio specification that are no transport's and no device
 * type's. */
#ifndef VR_SPEC_H
#define VR_SPEC_H

#include <stdint.h>

/* Device status (virtio 1.2, 2.1) */
#define VR_STATUS_ACKNOWLEDGE 1u
#define VR_STATUS_DRIVER      2u
#define VR_STATUS_DRIVER_OK   4u
#define VR_STATUS_FEATURES_OK 8u
#define VR_STATUS_NEEDS_RESET 64u
#define VR_STATUS_FAILED      128u

/* What an interrupt is about (4.1.4.5, 4.2.2) */
#define VR_INT_USED   1u
#define VR_INT_CONFIG 2u

/* Reserved feature bits (virtio 1.2, 6) */
#define VR_F_INDIRECT_DESC   (UINT64_C(1) << 28)
#define VR_F_EVENT_IDX       (UINT64_C(1) << 29)
#define VR_F_VERSION_1       (UINT64_C(1) << 32)
#define VR_F_ACCESS_PLATFORM (UINT64_C(1) << 33)
#define VR_F_RING_RESET      (UINT64_C(1) << 40)

#define VR_F_MANDATORY (VR_F_VERSION_1 | VR_F_ACCESS_PLATFORM)
#define VR_F_TRANSPORT                                                         \
    (VR_F_MANDATORY | VR_F_INDIRECT_DESC | VR_F_EVENT_IDX | VR_F_RING_RESET)
/* Bits that belong to the device type: 0 to 23 and 50 up. */
#define VR_F_DEVICE_TYPE (UINT64_C(0xffffff) | (UINT64_MAX << 50))

#endif /* VR_SPEC_H */

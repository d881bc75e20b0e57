/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the device strings share:
 *
 *   cfg.c       takes the string apart and reads each key's value
 *   cfgcheck.c  the rules between keys, and between devices
 *   cfgname.c   the words for those values that are words
 *
 * Each uses those below it only.
 */
#ifndef VR_CFG_INT_H
#define VR_CFG_INT_H

#include "cfg.h"

/* More than any grant table covers; also keeps sums far from overflow. */
#define SIZE_LIMIT (UINT64_C(1) << 30)
/* Arm guests' RAM ends below 2^40 (Xen's GUEST_RAM1), x86's below 2^48. */
#define ADDR_LIMIT (UINT64_C(1) << 48)
#define BASE_REMEDY                                                            \
    "use an address inside its RAM on Arm, from 0x2000000000 up on x86, or "   \
    "leave base= out"

/** cfg_check_device() - once all keys of a device are read: are there all that
 * are needed, and none that contradict others? */
int cfg_check_device(struct vr_parser *p);

#endif /* VR_CFG_INT_H */

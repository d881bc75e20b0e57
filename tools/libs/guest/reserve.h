/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many grants a guest has to have for itself, below the windows.
 *
 * Linux takes the whole of its grant table for its own: it allocates references
 * from the first one up and makes the table grow up to its end, where the
 * windows are. Nothing tells it to stop before (GNTTABOP_query_size names the
 * real size, which the windows need), so what its PV drivers can take has to
 * fit in front of them. This counts what Linux 6.1 to 6.12 take at the most,
 * with the parameters that guest and backend have by default. Pure arithmetic.
 */
#ifndef VR_RESERVE_H
#define VR_RESERVE_H

#include "libs/base/vr.h"

/* The PV devices of a guest. Consoles, channels, keyboards and TPMs, which take
 * a page or two each, need not be counted. */
struct vr_reserve {
    unsigned int vcpus; /* at the most */
    unsigned int disks;
    unsigned int nics;
    unsigned int p9s; /* shared folders */
};

/* A table of this many references is left to any guest: what it has always had,
 * for devices that are attached while it runs. */
#define VR_RESERVE_LEAST 4096u

/* The largest number that an administrator can ask for. */
#define VR_RESERVE_MOST (1u << 24)

/** vr_reserve_grants() - references to be left to such a guest; never more than
 * VR_RESERVE_MOST. */
uint32_t vr_reserve_grants(const struct vr_reserve *r);

#endif /* VR_RESERVE_H */

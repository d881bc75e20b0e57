/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The time, in a file of its own: a test that brings these functions has a
 * clock of its own. */
#include <time.h>

#include "vr.h"

uint64_t vr_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

uint64_t vr_now_ms(void)
{
    return vr_now_ns() / 1000000;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for a word in memory that processes share, without a lock. */
#ifndef VR_FUTEX_H
#define VR_FUTEX_H

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/** vr_futex_wait() - sleep while @word is @value; may return too early. */
static inline void vr_futex_wait(const uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

/** vr_futex_wake() - wake who sleeps for @word, which was changed. */
static inline void vr_futex_wake(const uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

#endif /* VR_FUTEX_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process may take at the most, from now on and for good. */
#ifndef VR_LIMIT_H
#define VR_LIMIT_H

#include <stddef.h>
#include <sys/resource.h>

/** vr_limit() - at most @value of @resource (setrlimit(2)). 0 or -errno. */
int vr_limit(int resource, rlim_t value);

/**
 * vr_memory_in_use() - bytes of address space, and of it data (RLIMIT_DATA)
 * unless @data is NULL. Returns 0, or -errno: -ENOENT without /proc.
 */
int vr_memory_in_use(rlim_t *space, rlim_t *data);

#endif /* VR_LIMIT_H */

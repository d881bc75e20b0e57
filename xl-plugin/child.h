/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that the plug-in starts from inside xl. */
#ifndef VR_CHILD_H
#define VR_CHILD_H

#include "libs/base/vr.h"

/**
 * vr_child_capture() - run @path and collect its output.
 * @argv: argv[0] and so on, NULL-terminated.
 * @out, @out_size: its standard output, terminated; more is an error.
 * @say, @say_size: the beginning of its standard error, terminated.
 * @status: as from waitpid().
 * Returns 0, -ETIMEDOUT (it was killed), -E2BIG or -errno.
 */
int vr_child_capture(const char *path, const char *const *argv,
                     unsigned int timeout_ms, char *out, size_t out_size,
                     char *say, size_t say_size, int *status);

/**
 * vr_child_cleanup() - run `vrctl cleanup [--abort] UUID`, wait for it.
 * Returns 0, or -errno with @err. After -ETIMEDOUT it goes on by itself.
 */
int vr_child_cleanup(const char *uuid, bool abort_it, struct vr_err *err);

/**
 * vr_child_broker() - start vr-broker for guest @uuid, detached from xl.
 * @fd: our end of the link (link.h), close-on-exec.
 * Returns 0 or -errno with @err.
 */
int vr_child_broker(const char *uuid, int *fd, struct vr_err *err);

#endif /* VR_CHILD_H */

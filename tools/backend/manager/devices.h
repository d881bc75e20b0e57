/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices that xenstore asks for, and their workers: started when the
 * nodes appear, started again (ever more slowly) when they die, ended when
 * the nodes vanish.
 */
#ifndef VR_DEVICES_H
#define VR_DEVICES_H

#include "backend/worker/worker.h"

/**
 * vr_devices_serve() - until SIGTERM, and then until no guest is left or for
 * @opts->wait, or until SIGINT; then every worker is ended.
 * Returns 0, or -errno with @err when xenstore cannot be reached.
 */
int vr_devices_serve(const struct vr_worker_opts *opts, struct vr_err *err);

#endif /* VR_DEVICES_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plug-in and broker talk over a SOCK_SEQPACKET pair that the broker inherits
 * as fd 3. Each message is one byte and, behind it, text:
 *
 *   plug-in -> broker   'P' uuid     prepare: the record names the domains
 *                                    to come. If the plug-in's end closes
 *                                    after this and before 'C', everything is
 *                                    undone.
 *                       'S' uuid     start: all domains exist, the paused
 *                                    guest is built. Serve;
 *                                    answer when every backend is connected.
 *                       'C'          commit: the guest may run.
 *                       'A'          abort: undo everything.
 *   broker -> plug-in   'O'          done
 *                       'E' text     failed, for this reason; the broker
 *                                    undoes nothing before it is told.
 *
 * The record itself stands in VR_RUN_DIR (record.h). Only the side whose turn
 * it is writes it: the plug-in before it sends, the broker before it answers
 * (its own pid, the phase); the plug-in loads it again after each answer.
 *
 * After 'A', or a close before 'C', the broker replaces itself by
 * `vrctl cleanup --abort UUID`. From 'P' on no signal but SIGKILL ends it.
 */
#ifndef VR_LINK_H
#define VR_LINK_H

#include "libs/base/vr.h"

#define VR_LINK_FD  3
#define VR_LINK_MAX 1024

/**
 * vr_link_send() - send one message. Returns 0 or -errno.
 * vr_link_recv() - receive one, wait at most @timeout_ms (-1: forever).
 * @text: VR_LINK_MAX + 1 bytes, terminated.
 * Returns 0, -ETIMEDOUT, -EPIPE (the other end is closed) or -errno.
 */
int vr_link_send(int fd, char type, const char *text);
int vr_link_recv(int fd, int timeout_ms, char *type, char *text);

#endif /* VR_LINK_H */

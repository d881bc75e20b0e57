/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xl's own lock. With autoballoon= on, xl takes it before it makes room for a
 * domain in the host's memory and has it until libxl has made the domain, so
 * that nobody else takes the room; every other `xl create` waits meanwhile.
 * So the plug-in lets go of it wherever it waits for somebody who is not of
 * the toolstack: a driver domain must not stop the creation of others.
 */
#ifndef VR_XLLOCK_H
#define VR_XLLOCK_H

/**
 * vr_xllock_drop() - unlock it, if this process has it. That xl does so once
 * more is harmless. Returns xl's descriptor, or -1: it is not locked.
 */
int vr_xllock_drop(void);

/** vr_xllock_take() - lock it again. @fd: as vr_xllock_drop() returned it. */
void vr_xllock_take(int fd);

#endif /* VR_XLLOCK_H */

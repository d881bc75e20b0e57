/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in which the broker shows what it is doing: it maps them and writes,
 * others map them and read.
 */
#ifndef VR_SHFILE_H
#define VR_SHFILE_H

#include <stddef.h>

/**
 * vr_shfile_create() - make @path anew, of @size zero bytes, mode 0600.
 *
 * A reader may still have an earlier file mapped; it keeps that one.
 * Returns the writable mapping, or NULL with errno set. Undo with munmap().
 */
void *vr_shfile_create(const char *path, size_t size);

/**
 * vr_shfile_open() - map @path for reading.
 * Returns NULL with errno set on failure; ENOENT when there is none, EPROTO
 * when it is no file of @size bytes. Undo with munmap().
 */
void *vr_shfile_open(const char *path, size_t size);

#endif /* VR_SHFILE_H */

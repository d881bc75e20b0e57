/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in which the broker shows what it is doing: it maps them and writes,
 * others map them and read, or say there what they would like to see.
 *
 * What is shown together with entries of the guest's grant table has a
 * generation beside it, which is odd while both change. A reader that finds the
 * same even one before and after it has read both has seen both as of one
 * instant, even while the guest runs. The only writer takes no lock and makes
 * no system call.
 */
#ifndef VR_SHFILE_H
#define VR_SHFILE_H

#include <stddef.h>
#include <stdint.h>

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
/** vr_shfile_join() - the same, for reading and writing. */
void *vr_shfile_join(const char *path, size_t size);

/** vr_shfile_begin(), vr_shfile_end() - around each batch of changes; they do
 * not nest. */
static inline void vr_shfile_begin(uint32_t *generation)
{
    __atomic_store_n(generation, *generation + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void vr_shfile_end(uint32_t *generation)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(generation, *generation + 1, __ATOMIC_RELAXED);
}

/** vr_shfile_generation() - for a reader, before and after it looks. */
static inline uint32_t vr_shfile_generation(const uint32_t *generation)
{
    uint32_t now;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    now = __atomic_load_n(generation, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return now;
}

#endif /* VR_SHFILE_H */

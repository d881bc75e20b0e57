/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and other people's words, on their way to a terminal, a log or JSON.
 *
 * A domain's name is whatever the administrator gave it: xl takes any bytes.
 * Names that are UTF-8 are shown as they are. Text that a driver domain wrote
 * is another matter: it stays within printable ASCII (vr_xs_sanitise()), and
 * stands in quotes, so that it cannot be taken for ours.
 */
#ifndef VR_TEXT_H
#define VR_TEXT_H

#include "vr.h"

/** vr_name_valid() - can a domain of this name have a record? 1 to VR_NAME_LEN
 * bytes of UTF-8 without control characters (C1 included). */
bool vr_name_valid(const char *name);

/**
 * vr_name_clean() - a name that may be anything, made valid: other bytes
 * become '?', and it is cut to @size - 1 bytes between two characters.
 */
void vr_name_clean(char *dst, size_t size, const char *src, size_t len);

/* Room for vr_quote(): what a driver domain can take of a line of ours. */
#define VR_QUOTE_LEN 128

/**
 * vr_quote() - @src as somebody else's words: in double quotes, printable
 * ASCII, without double quotes of its own, cut with "..." where it is longer.
 * @dst: VR_QUOTE_LEN bytes. Returns @dst.
 */
char *vr_quote(char *dst, const char *src);

#define VR_LOG_DIR "/var/log/xen"
/* Room for vr_log_path(). */
#define VR_LOG_PATH (sizeof(VR_LOG_DIR) + 32 + VR_NAME_LEN)

/**
 * vr_log_path() - the log of the broker of guest @name: what cannot be in a
 * file's name is '_'. @buf: VR_LOG_PATH bytes. Returns @buf.
 */
char *vr_log_path(char *buf, const char *name);

#endif /* VR_TEXT_H */

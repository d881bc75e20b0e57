/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the plug-in says, among xl's own lines. Called by all of its files;
 * calls none of them. */
#include <stdarg.h>
#include <stdio.h>

#include "state.h"

void vr_say(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("xl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

char *vr_uuid_text(const libxl_uuid *uuid, char *buf)
{
    snprintf(buf, VR_UUID_LEN + 1, LIBXL_UUID_FMT, LIBXL_UUID_BYTES(*uuid));
    return buf;
}

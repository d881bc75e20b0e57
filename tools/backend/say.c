/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log of all processes of vr-backend: standard error. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "say.h"

void vr_log(uint32_t g, const char *id, const char *fmt, ...)
{
    char line[600], *p = line;
    size_t left = sizeof(line) - 1;
    va_list ap;
    int r;

    if (id)
        r = snprintf(p, left, "vr-backend: %u/%s: ", g, id);
    else
        r = snprintf(p, left, "vr-backend: ");
    p += r;
    left -= r;
    va_start(ap, fmt);
    r = vsnprintf(p, left, fmt, ap);
    va_end(ap);
    p += (size_t)r < left ? (size_t)r : left - 1;
    *p++ = '\n';
    /* One write: lines of several processes stay whole. */
    if (write(STDERR_FILENO, line, p - line) < 0)
        return;
}

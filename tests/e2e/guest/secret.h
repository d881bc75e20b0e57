/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What neighbour puts into a page and seek looks for in others. */
#ifndef SECRET_H
#define SECRET_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PATTERN 32

/* Hexadecimal digits of one pattern. Returns 0, or -1: it is none. */
static inline int parse(const char *hex, uint8_t *out)
{
    unsigned int v;

    if (strlen(hex) != 2 * PATTERN)
        return -1;
    for (int i = 0; i < PATTERN; i++) {
        if (sscanf(hex + 2 * i, "%2x", &v) != 1)
            return -1;
        out[i] = v;
    }
    return 0;
}

#endif /* SECRET_H */

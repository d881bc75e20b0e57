/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An input, eaten piece by piece. Behind its end there are only zeros. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

static const uint8_t *in;
static size_t left; /* bytes */

/* The next @n bytes, at most 8, as a number. */
static uint64_t eat(unsigned int n)
{
    uint64_t v = 0;

    while (n--) {
        v <<= 8;
        if (left) {
            v |= *in++;
            left--;
        }
    }
    return v;
}

#endif /* FUZZ_INPUT_H */

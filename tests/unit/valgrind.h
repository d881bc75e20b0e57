/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_VALGRIND_H
#define TEST_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/** in_valgrind() - does the test run in it? It cannot do everything. */
static inline bool in_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

#endif /* TEST_VALGRIND_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What ps shows of a process of the broker: the guest's name among it. Linux
 * reads it out of the memory in which the arguments came.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"

/* The memory that ps reads. */
static struct {
    char *start;
    size_t size;
} title;

void broker_title(const char *fmt, ...)
{
    va_list ap;

    if (!title.size)
        return;
    memset(title.start, 0, title.size);
    va_start(ap, fmt);
    vsnprintf(title.start, title.size, fmt, ap);
    va_end(ap);
}

/* Argument strings lie one behind the other. */
void broker_title_init(int argc, char **argv)
{
    char *end = argv[0];
    int i;

    for (i = 0; i < argc; i++)
        if (argv[i] == end)
            end += strlen(argv[i]) + 1;
    title.start = argv[0];
    title.size = end - argv[0];
}

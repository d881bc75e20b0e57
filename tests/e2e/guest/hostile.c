/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile -g VICTIM -b SELF -m FIRST_PAGE:PAGES -r REFS [-w REF:COUNT]... [-c]
 *
 * What root of a driver domain can try against another domain, with every
 * handle that it can open. Prints a JSON list of outcomes. -c: positive
 * control in dom0, the same calls (those that do no harm) are to succeed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

void tally_add(struct tally *t, bool allowed, int error)
{
    t->attempted++;
    if (allowed) {
        t->allowed++;
    } else {
        t->refused++;
        t->errors[(uint8_t)error]++;
    }
}

void tally_print(struct hostile *h, const struct tally *t)
{
    bool first = true;

    printf("%s\n{\"name\":\"%s\",\"expect\":\"%s\",\"attempted\":%llu,"
           "\"refused\":%llu,\"allowed\":%llu,\"errors\":{",
           h->first ? "" : ",", t->name, t->expect,
           (unsigned long long)t->attempted, (unsigned long long)t->refused,
           (unsigned long long)t->allowed);
    for (unsigned int i = 0; i < 256; i++) {
        if (!t->errors[i])
            continue;
        if (t->grant)
            printf("%s\"GNTST_-%u\":%llu", first ? "" : ",", i,
                   (unsigned long long)t->errors[i]);
        else
            printf("%s\"%s\":%llu", first ? "" : ",",
                   i ? strerrorname_np(i) : "none",
                   (unsigned long long)t->errors[i]);
        first = false;
    }
    printf("}}");
    h->first = false;
    fflush(stdout);
}

bool in_window(const struct hostile *h, uint32_t ref)
{
    for (unsigned int i = 0; i < h->nwindows; i++)
        if (ref >= h->window[i].base &&
            ref - h->window[i].base < h->window[i].count)
            return true;
    return false;
}

static struct range parse(const char *s)
{
    struct range r = {0};
    char *end;

    r.base = strtoull(s, &end, 0);
    if (*end == ':')
        r.count = strtoull(end + 1, NULL, 0);
    return r;
}

int main(int argc, char **argv)
{
    static struct hostile h = {.refs = 64 * 512, .first = true};
    int opt;

    while ((opt = getopt(argc, argv, "g:b:m:r:w:c")) != -1) {
        switch (opt) {
        case 'g':
            h.victim = strtoul(optarg, NULL, 0);
            break;
        case 'b':
            h.self = strtoul(optarg, NULL, 0);
            break;
        case 'm':
            h.ram = parse(optarg);
            break;
        case 'r':
            h.refs = strtoul(optarg, NULL, 0);
            break;
        case 'c':
            h.control = true;
            break;
        case 'w':
            if (h.nwindows == MAX_WINDOWS)
                return 2;
            h.window[h.nwindows++] = parse(optarg);
            break;
        default:
            return 2;
        }
    }
    if (!h.victim || !h.ram.count)
        return 2;
    printf("[");
    hostile_bulk(&h);
    hostile_ops(&h);
    hostile_xs(&h);
    printf("\n]\n");
    return 0;
}

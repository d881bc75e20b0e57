/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hostile program's frame: attempts against a victim domain, counted by
 * outcome. hostile_bulk.c tries every page and grant reference, hostile_ops.c
 * the management operations, hostile_xs.c xenstore.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_WINDOWS 16

struct range {
    uint64_t base, count;
};

struct hostile {
    uint32_t victim, self;
    bool control;     /* run in dom0: only what harms nobody, should succeed */
    struct range ram; /* the victim's memory, in pages */
    uint32_t refs;    /* grant references to try: 0 .. refs - 1 */
    unsigned int nwindows;
    struct range window[MAX_WINDOWS]; /* granted to this domain */
    bool first;                       /* of the JSON list */
};

/* The outcome of one kind of attempt. */
struct tally {
    const char *name;
    const char *expect; /* "refused", "allowed" or "any" */
    uint64_t attempted, refused, allowed;
    uint64_t errors[256]; /* by errno or by -GNTST, cut to a byte */
    bool grant;           /* errors are grant statuses */
};

void tally_add(struct tally *t, bool allowed, int error);
void tally_print(struct hostile *h, const struct tally *t);

bool in_window(const struct hostile *h, uint32_t ref);

void hostile_bulk(struct hostile *h);
void hostile_ops(struct hostile *h);
void hostile_xs(struct hostile *h);

#endif /* HOSTILE_H */

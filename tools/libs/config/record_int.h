/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files that turn the record into JSON and back share:
 *
 *   record.c    the tables: which keys there are and where their values go
 *   recwrite.c  from the record to JSON
 *   recread.c   from JSON to the record, key by key
 *   reccheck.c  the rules that no single key can break
 *
 * One table per object says which keys it has, where they go and what they may
 * be. Writer and reader both walk the tables, so neither can know a key that
 * the other does not. The rules are checked after reading.
 */
#ifndef VR_RECORD_INT_H
#define VR_RECORD_INT_H

#include "record.h"

enum kind {
    K_STRING, /* size: of the array, with its terminator */
    K_NUMBER, /* size 4 or 8; unsigned; at most max */
    K_BOOL,
    K_PHASE,
    K_TYPE,
    K_MODE,
    K_POOL_IN,
    K_TRANSPORT,
    K_ARRAY, /* of objects: max entries, elem describes one */
    K_VERSION,
};

struct object;

struct field {
    const char *key;
    enum kind kind;
    size_t offset, size;
    uint64_t max;
    const struct object *elem;
    size_t count_offset; /* K_ARRAY: of an unsigned int */
    /* The versions that have it: 0: from the first, to the newest. */
    uint64_t since, until;
};

struct object {
    const char *name;
    size_t size;
    const struct field *fields;
    unsigned int nfields;
};

/* The record itself; the objects in it are reached from here. */
extern const struct object vr_record_layout;

/* Fields of one object: the reader has a bit for each in a uint64_t. */
#define MAX_FIELDS 64

/* Addresses: what a 32-bit frame number of a version 1 grant can name. */
#define ADDR_MAX ((UINT64_C(1) << (32 + VR_PAGE_SHIFT)) - 1)

/** vr_phase_parse() - the reverse of vr_phase_name(). Returns 0 or -EINVAL. */
int vr_phase_parse(const char *s, uint32_t *out);

/**
 * vr_record_check() - are the values possible, each and together?
 * Returns 0 or -EINVAL with @err.
 */
int vr_record_check(const struct vr_record *rec, struct vr_err *err);

#endif /* VR_RECORD_INT_H */

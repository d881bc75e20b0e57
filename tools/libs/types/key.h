/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A key of the device string, described once: what the parser, its messages,
 * the nodes in xenstore, the manual page and the fuzz target know of keys is
 * from tables of these. Keys that every device has are in config/cfg.c, those
 * of a type in its folder.
 */
#ifndef VR_TYPES_KEY_H
#define VR_TYPES_KEY_H

#include <stdarg.h>

#include "dev.h"

/* Which modes know a key: bits. */
#define VR_IN(mode) (1u << (mode))
#define VR_IN_POOL  (VR_IN(VR_MODE_STATIC) | VR_IN(VR_MODE_MIXED))
#define VR_IN_IOVA  (VR_IN(VR_MODE_DYNAMIC) | VR_IN(VR_MODE_MIXED))
#define VR_IN_ALL   (VR_IN_POOL | VR_IN_IOVA)

/* What a field is, for those who copy it without understanding it. */
enum vr_key_kind {
    VR_KEY_TEXT,   /* an array of char */
    VR_KEY_PATH,   /* the same; an absolute path */
    VR_KEY_COUNT,  /* an unsigned int from @min to @max */
    VR_KEY_CHOICE, /* a bool: one of two @words */
    VR_KEY_OTHER,
};

struct vr_parser;

struct vr_key {
    const char *name;
    unsigned int modes;  /* VR_IN_*; 0: all */
    const char *foreign; /* what to do where a mode does not know it */
    /* Fills its field of p->cfg. Returns 0 or -EINVAL, the error told. */
    int (*parse)(struct vr_parser *p, const struct vr_key *key,
                 const char *value);
    const char *example; /* of a value that is right */
    bool required;
    const char *fallback; /* the value that holds without it; NULL: none */

    enum vr_key_kind kind;
    size_t offset, size; /* of the field in struct vr_dev_cfg */
    unsigned int min, max;
    const char *words[2]; /* for false and true */
    /* Its node in xenstore; NULL: none, or not by this table. With @bits, a
     * choice is 0 or 1 there. */
    const char *node;
    bool bits;
};

#define VR_KEY_FIELD(m)                                                        \
    .offset = offsetof(struct vr_dev_cfg, m),                                  \
    .size = sizeof(((struct vr_dev_cfg *)0)->m)

/* More than there are keys of all and of any one type. */
#define VR_KEYS_MAX 32

struct vr_type_spec;

struct vr_parser {
    struct vr_dev_cfg *cfg;
    const struct vr_type_spec *spec; /* NULL: the type is not known */
    struct {
        const struct vr_key *key;
        const char *value;
    } given[VR_KEYS_MAX];
    unsigned int ngiven;
    struct vr_err *err;
    unsigned int index; /* of the device in the list */
};

/** vr_given() - the value that the user gave @name; NULL: none. */
const char *vr_given(const struct vr_parser *p, const char *name);

/** vr_parse_fail() - says which device the error is of. Returns -EINVAL. */
int vr_parse_fail(struct vr_parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* What the user wrote, fit for one line: printable and not too long. */
struct vr_shown {
    char text[52];
};

/** vr_shown() - see there. */
struct vr_shown vr_shown(const char *s);

/** vr_key_count(), vr_key_path(), vr_key_choice() - parsers of these kinds. */
int vr_key_count(struct vr_parser *p, const struct vr_key *key,
                 const char *value);
int vr_key_path(struct vr_parser *p, const struct vr_key *key,
                const char *value);
int vr_key_choice(struct vr_parser *p, const struct vr_key *key,
                  const char *value);

/** vr_key_find() - by its name, of @n at @keys; NULL: none. */
const struct vr_key *vr_key_find(const struct vr_key *keys, unsigned int n,
                                 const char *name);

/** vr_key_text() - the value of @cfg's field, as its node has it; not of
 * VR_KEY_OTHER. @buf: VR_PATH_LEN + 1 bytes. Returns @buf. */
char *vr_key_text(const struct vr_key *key, const struct vr_dev_cfg *cfg,
                  char *buf);

/**
 * vr_key_read() - the reverse, for nodes that others may have written.
 * Returns 0, or -EINVAL with *@why what is wrong with it.
 */
int vr_key_read(const struct vr_key *key, const char *text,
                struct vr_dev_cfg *cfg, const char **why);

#endif /* VR_TYPES_KEY_H */

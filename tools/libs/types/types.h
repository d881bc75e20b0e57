/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a type of device is, apart from how its requests are served (the
 * backend's serve.h). Each type has a folder here, with a table as below in its
 * spec.c (const struct vr_type_spec vr_spec_NAME), and a line in types.def;
 * nothing else knows of it.
 */
#ifndef VR_TYPES_H
#define VR_TYPES_H

#include "key.h"

/* What is known of a device that runs, for who shows it. */
struct vr_seen {
    const struct vr_dev_cfg *cfg;
    /* Its config space as the guest sees it, the first VR_SEEN_CONFIG bytes;
     * NULL: the backend has not described the device yet. */
    const uint8_t *config;
    /* The backend's own words, unverified: bytes that the target has, and bits
     * that are the type's. */
    uint64_t target_size, target_io;
    const uint64_t *own; /* figures of the type, VR_CTRL_OWN */
};

#define VR_SEEN_CONFIG 64u

/* Where it is shown: to a person, a line each, and to programs. */
struct vr_show {
    void (*line)(void *ctx, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
    void (*text)(void *ctx, const char *name, const char *value);
    void (*number)(void *ctx, const char *name, uint64_t value);
    void (*flag)(void *ctx, const char *name, bool value);
    void *ctx;
};

struct vr_type_spec {
    const char *name;
    enum vr_type type;
    const struct vr_key *keys; /* of its own */
    unsigned int nkeys;
    /* The least pool, in bytes: room for the longest request that a driver may
     * have alone under way. Or what says so, where it depends on other keys. */
    uint64_t size_min;
    uint64_t (*pool_min)(const struct vr_dev_cfg *cfg);

    /** Before any key is read: what no key says. NULL: there is nothing. */
    void (*begin)(struct vr_dev_cfg *cfg);

    /** Once all keys are read: what must not be said together. Returns 0 or
     * -EINVAL, the error told. NULL: there is nothing. */
    int (*check)(struct vr_parser *p);
    /** What the user has left out, and the guest decides. NULL: nothing. */
    void (*complete)(struct vr_dev_cfg *cfg, const char *uuid);
    /** May two devices be about the same thing of one driver domain? NULL: they
     * must not; else @remedy says how they could. */
    bool (*shares)(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b);
    const char *remedy;
    /** What they are about, as the user writes it. NULL: target=. */
    void (*about)(const struct vr_dev_cfg *cfg, char *buf, size_t size);

    /** Byte @off of config space of a device that failed before DRIVER_OK, so
     * that Linux' driver gives it up in its probe. NULL: 0 for all. */
    uint8_t (*blind)(unsigned int off);
    /**
     * The backend describes the device anew while it has a driver. Takes from
     * @fresh into @config what a driver can bear; both have VR_CONFIG_LEN
     * bytes. Returns whether anything has changed. NULL: all is taken.
     */
    bool (*renew)(uint8_t *config, const uint8_t *fresh);

    /** What it is about, in a few lines; and the same for programs. NULL:
     * nothing. */
    void (*show)(const struct vr_seen *seen, const struct vr_show *to);
    void (*json)(const struct vr_seen *seen, const struct vr_show *to);
};

#define TYPE(name, id) extern const struct vr_type_spec vr_spec_##name;
#include "types.def"
#undef TYPE

/** vr_type_spec() - of a virtio device id; NULL: of none of ours. */
const struct vr_type_spec *vr_type_spec(uint32_t type);
/** vr_type_at() - the @i-th of all types, in their table's order; NULL: there
 * are no more. */
const struct vr_type_spec *vr_type_at(unsigned int i);
/** vr_type_pool_min() - the least pool of a device, in bytes. */
uint64_t vr_type_pool_min(const struct vr_dev_cfg *cfg);
/** vr_type_about() - what a device is about, fit for a message. Returns @buf.
 */
#define VR_ABOUT_LEN 80
char *vr_type_about(const struct vr_dev_cfg *cfg, char *buf);
/** vr_type_clash() - are two devices of one driver domain about the same thing
 * there, and must not be? */
bool vr_type_clash(const struct vr_dev_cfg *a, const struct vr_dev_cfg *b);
/** vr_type_name() - such as "block"; NULL for a value that is none. */
const char *vr_type_name(enum vr_type type);
/** vr_type_parse() - the reverse. Returns 0 or -EINVAL. */
int vr_type_parse(const char *s, enum vr_type *out);

#endif /* VR_TYPES_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the device strings share:
 *
 *   cfg.c       takes the string apart and reads each key's value
 *   cfgcheck.c  the rules between keys, and between devices
 *   cfgname.c   the words for keys and for those values that are words
 *
 * Each uses those below it only.
 */
#ifndef VR_CFG_INT_H
#define VR_CFG_INT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cfg.h"

/* More than any grant table covers; also keeps sums far from overflow. */
#define SIZE_LIMIT (UINT64_C(1) << 30)
/* Arm guests' RAM ends below 2^40 (Xen's GUEST_RAM1), x86's below 2^48. */
#define ADDR_LIMIT (UINT64_C(1) << 48)
#define BASE_REMEDY                                                            \
    "use an address inside its RAM on Arm, from 0x2000000000 up on x86, or "   \
    "leave base= out"

enum key {
    KEY_ID,
    KEY_TYPE,
    KEY_MODE,
    KEY_SIZE,
    KEY_BASE,
    KEY_POOL_IN,
    KEY_APERTURE,
    KEY_MAP_THRESHOLD,
    KEY_REVOKE_TIMEOUT,
    KEY_DRIVER,
    KEY_BACKEND,
    KEY_TARGET,
    KEY_ACCESS,
    KEY_QUEUES,
    KEY_QUEUE_SIZE,
    KEY_SERIAL,
    KEY_DISCARD,
    KEY_TIMEOUT,
    KEY_POLL,
    KEY_COUNT
};

extern const char *const cfg_key_name[KEY_COUNT];

struct parser {
    struct vr_dev_cfg *cfg;
    unsigned int seen; /* bit per key */
    unsigned int last; /* enum key, or KEY_COUNT */
    struct vr_err *err;
    unsigned int index;
};

static inline bool seen(const struct parser *p, enum key key)
{
    return p->seen & (1u << key);
}

/* Says which device the error is of. */
static inline int fail(struct parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static inline int fail(struct parser *p, const char *fmt, ...)
{
    char text[sizeof(p->err->text)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    vr_err_set(p->err, "virtio_restricted[%u]: %s", p->index, text);
    return -EINVAL;
}

/* What the user wrote, fit for one line: printable and not too long. */
struct shown {
    char text[52];
};

static inline struct shown show(const char *s)
{
    struct shown out;
    size_t i;

    for (i = 0; s[i] && i < sizeof(out.text) - 4; i++)
        out.text[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
    strcpy(out.text + i, s[i] ? "..." : "");
    return out;
}

/** cfg_check_device() - once all keys of a device are read: are there all that
 * are needed, and none that contradict others? */
int cfg_check_device(struct parser *p);

#endif /* VR_CFG_INT_H */

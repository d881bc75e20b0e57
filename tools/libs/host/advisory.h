/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Xen's own security advisories that concern what restricted devices rest on:
 * grants, copies of them, the device model's interface and the removal of
 * mappings. Which of them a hypervisor may have is judged by its version alone;
 * that a distribution has added the mend to an older version cannot be seen.
 * Pure: a table, and what it says of a host.
 */
#ifndef VR_ADVISORY_H
#define VR_ADVISORY_H

#include "hostparse.h"

/* Branches from Xen 4.17 on. */
#define VR_ADVISORY_FIRST_MINOR 17
#define VR_ADVISORY_BRANCHES    6

struct vr_advisory {
    unsigned int xsa;
    const char *arch; /* "arm64", "x86_64"; NULL: any */
    /* Only with version 2 of the grant table? */
    bool version2;
    /* The first release with the mend, of each branch: 4.17.x, 4.18.x, ...
     * Later branches have had it from their start. */
    uint8_t fixed[VR_ADVISORY_BRANCHES];
    const char *means; /* for restricted devices */
};

/**
 * vr_advisory_next() - the advisories that this host may have, one by one.
 * @a: the one before, or NULL. Returns NULL after the last.
 */
const struct vr_advisory *vr_advisory_next(const struct vr_advisory *a,
                                           const struct vr_hostinfo *info);

/**
 * vr_advisory_fixed() - as text, the release of this host's branch that has the
 * mend. @buf: at least 24 bytes. Returns @buf.
 */
char *vr_advisory_fixed(const struct vr_advisory *a,
                        const struct vr_hostinfo *info, char *buf, size_t size);

#endif /* VR_ADVISORY_H */

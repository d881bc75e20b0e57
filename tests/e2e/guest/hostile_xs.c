/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes of xenstore that a driver domain must not change or read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include "hostile.h"

enum op { WRITE, MAKE, RM, PERMS, READ };

static bool attempt(struct xs_handle *xs, enum op op, const char *path)
{
    struct xs_permissions all = {.id = 0,
                                 .perms = XS_PERM_READ | XS_PERM_WRITE};
    unsigned int len;
    char *value;

    switch (op) {
    case WRITE:
        return xs_write(xs, XBT_NULL, path, "7", 1);
    case MAKE:
        return xs_mkdir(xs, XBT_NULL, path);
    case RM:
        return xs_rm(xs, XBT_NULL, path);
    case PERMS:
        return xs_set_permissions(xs, XBT_NULL, path, &all, 1);
    case READ:
        value = xs_read(xs, XBT_NULL, path, &len);
        free(value);
        return value;
    }
    return false;
}

/* Try all operations that change a node; the last component of each. */
static void change(struct xs_handle *xs, struct tally *t, const char *path)
{
    char below[512];

    tally_add(t, attempt(xs, WRITE, path), errno);
    tally_add(t, attempt(xs, PERMS, path), errno);
    snprintf(below, sizeof(below), "%s/vr-hostile", path);
    tally_add(t, attempt(xs, MAKE, below), errno);
    tally_add(t, attempt(xs, RM, path), errno);
}

/* All nodes below @path, deepest first; @own: state and error are B's. */
static void walk(struct xs_handle *xs, struct tally *t, const char *path,
                 int depth)
{
    char below[512], **list;
    unsigned int n = 0;

    list = depth < 8 ? xs_directory(xs, XBT_NULL, path, &n) : NULL;
    for (unsigned int i = 0; list && i < n; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, list[i]);
        /* its own to write; the counters and text there harm nobody */
        if (!strcmp(list[i], "state") || !strcmp(list[i], "error"))
            continue;
        walk(xs, t, below, depth + 1);
    }
    free(list);
    change(xs, t, path);
}

void hostile_xs(struct hostile *h)
{
    static const char *const victim[] = {
        "/local/domain/%u",
        "/local/domain/%u/name",
        "/local/domain/%u/memory/target",
        "/local/domain/%u/control/shutdown",
        "/local/domain/%u/device",
        "/local/domain/%u/device/virtio_restricted",
        "/local/domain/%u/console",
        "/local/domain/%u/store/ring-ref",
        "/local/domain/%u/data",
        "/libxl/%u",
        "/libxl/%u/virtio_restricted",
        "/vm",
        "/tool",
        "/local/domain/0/backend",
        "/local/domain/0/name",
    };
    struct tally t = {.name = "xenstore_change", .expect = "refused"};
    struct tally own = {.name = "xenstore_own_config", .expect = "refused"};
    struct tally rd = {.name = "xenstore_read_secret", .expect = "refused"};
    struct xs_handle *xs = xs_open(0);
    char path[256];

    if (h->control || !xs) {
        if (xs)
            xs_close(xs);
        return;
    }
    for (size_t i = 0; i < sizeof(victim) / sizeof(victim[0]); i++) {
        snprintf(path, sizeof(path), victim[i], h->victim);
        change(xs, &t, path);
    }
    tally_print(h, &t);
    snprintf(path, sizeof(path), "/local/domain/%u/backend/virtio_restricted",
             h->self);
    walk(xs, &own, path, 0);
    tally_print(h, &own);
    snprintf(path, sizeof(path), "/libxl/%u/virtio_restricted", h->victim);
    tally_add(&rd, attempt(xs, READ, path), errno);
    snprintf(path, sizeof(path), "/local/domain/%u/device/virtio_restricted",
             h->victim);
    tally_add(&rd, attempt(xs, READ, path), errno);
    snprintf(path, sizeof(path), "/local/domain/%u/data/vr-test/cmd",
             h->victim);
    tally_add(&rd, attempt(xs, READ, path), errno);
    tally_print(h, &rd);
    xs_close(xs);
}

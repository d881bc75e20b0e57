/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenstore, as a small tree in memory that treats permissions as xenstored
 * does: a node that is made gets its parent's. A test that includes this file
 * has these calls instead of libxenstore's. However often it is opened, there
 * is one handle.
 */
#ifndef TEST_FAKESTORE_H
#define TEST_FAKESTORE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libs/xen/store.h"

#define FS_NODES   512
#define FS_VALUE   4096 /* bytes; xenstored takes no more */
#define FS_WATCHES 16
#define FS_EVENTS  64
#define FS_REQUIRE(x)                                                          \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);            \
            abort();                                                           \
        }                                                                      \
    } while (0)

struct node {
    char path[VR_XS_PATH];
    char *value; /* ends with a 0 of ours */
    unsigned int len;
    struct xs_permissions perms[2];
    unsigned int nperms;
};

struct xs_watched {
    char path[VR_XS_PATH], token[8];
};

struct xs_handle {
    struct node nodes[FS_NODES];
    unsigned int n;
    unsigned int calls, perm_calls; /* since they were last cleared */
    unsigned int conflicts;         /* so many transactions are to fail */
    bool open;                      /* a transaction is under way */
    bool deaf;                      /* nothing can be read */
    bool absent;                    /* it cannot be opened */
    /* Sees what the code under test writes. */
    void (*written)(const char *path, const char *value, unsigned int len);
    struct xs_watched watch[FS_WATCHES];
    unsigned int nwatches;
    struct xs_watched event[FS_EVENTS];
    unsigned int nevents;
};

static struct xs_handle store;

static struct node *find(const char *path)
{
    unsigned int i;

    for (i = 0; i < store.n; i++)
        if (!strcmp(store.nodes[i].path, path))
            return &store.nodes[i];
    return NULL;
}

static struct node *make(const char *path)
{
    struct node *node = find(path), *parent;
    char up[VR_XS_PATH];
    char *slash;

    if (node)
        return node;
    snprintf(up, sizeof(up), "%s", path);
    slash = strrchr(up, '/');
    FS_REQUIRE(slash);
    *slash = '\0';
    parent = make(slash == up ? "/" : up);
    FS_REQUIRE(store.n < FS_NODES);
    node = &store.nodes[store.n++];
    snprintf(node->path, sizeof(node->path), "%s", path);
    node->value = calloc(1, 1);
    node->len = 0;
    memcpy(node->perms, parent->perms, sizeof(node->perms));
    node->nperms = parent->nperms;
    return node;
}

/* Is @path, or what is below it, at or below @folder? */
static inline bool fs_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return !strncmp(path, folder, len) && (!path[len] || path[len] == '/');
}

static void fs_fire(const char *path)
{
    unsigned int i;

    for (i = 0; i < store.nwatches && store.nevents < FS_EVENTS; i++) {
        struct xs_watched *e = &store.event[store.nevents];

        if (!fs_below(path, store.watch[i].path) &&
            !fs_below(store.watch[i].path, path))
            continue;
        strcpy(e->path, path);
        strcpy(e->token, store.watch[i].token);
        store.nevents++;
    }
}

static void fs_set(struct node *node, const void *value, unsigned int len)
{
    FS_REQUIRE(node && len <= FS_VALUE);
    node->value = realloc(node->value, len + 1);
    FS_REQUIRE(node->value);
    memcpy(node->value, value, len);
    node->value[len] = '\0';
    node->len = len;
    fs_fire(node->path);
}

/* The tree with nothing in it. */
static void fs_init(void)
{
    while (store.n)
        free(store.nodes[--store.n].value);
    store.n = 1;
    store.calls = store.perm_calls = store.conflicts = 0;
    store.open = store.deaf = store.absent = false;
    store.written = NULL;
    store.nwatches = store.nevents = 0;
    memset(&store.nodes[0], 0, sizeof(store.nodes[0]));
    strcpy(store.nodes[0].path, "/");
    store.nodes[0].value = calloc(1, 1);
    store.nodes[0].nperms = 1;
}

static void put(const char *path, const char *value, uint32_t owner)
{
    struct node *node = make(path);

    fs_set(node, value, strlen(value));
    node->perms[0].id = owner;
    node->perms[0].perms = XS_PERM_READ | XS_PERM_WRITE;
    node->nperms = 1;
}

/* ---- libxenstore ---- */

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
              unsigned int *len)
{
    struct node *node = find(path);
    char *copy;

    (void)t;
    h->calls++;
    if (!strcmp(path, "domid")) {
        *len = 1;
        return strdup("0");
    }
    if (!node || h->deaf) {
        errno = node ? EIO : ENOENT;
        return NULL;
    }
    *len = node->len;
    copy = malloc(node->len + 1);
    FS_REQUIRE(copy);
    memcpy(copy, node->value, node->len + 1);
    return copy;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
              const void *data, unsigned int len)
{
    (void)t;
    h->calls++;
    if (h->written)
        h->written(path, data, len);
    fs_set(make(path), data, len);
    return true;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    (void)t;
    h->calls++;
    make(path);
    return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    unsigned int i, k = 0, before = h->n;

    (void)t;
    h->calls++;
    for (i = 0; i < h->n; i++) {
        if (fs_below(h->nodes[i].path, path)) {
            free(h->nodes[i].value);
            continue;
        }
        if (k != i)
            h->nodes[k] = h->nodes[i];
        k++;
    }
    h->n = k;
    fs_fire(path);
    errno = ENOENT;
    return k < before;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
                    unsigned int *num)
{
    const unsigned int max = h->n;
    /* In one piece, as the library's: the caller frees it at once. */
    char **names = calloc(1, max * (sizeof(char *) + VR_XS_PATH));
    char *text = (char *)(names + max);
    size_t len = strlen(path);
    unsigned int i;

    (void)t;
    h->calls++;
    FS_REQUIRE(names);
    *num = 0;
    for (i = 0; i < max; i++) {
        const char *p = h->nodes[i].path;

        if (strncmp(p, path, len) || p[len] != '/' || strchr(p + len + 1, '/'))
            continue;
        names[(*num)++] = text;
        text += sprintf(text, "%s", p + len + 1) + 1;
    }
    return names;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t,
                        const char *path, struct xs_permissions *perms,
                        unsigned int n)
{
    struct node *node = find(path);

    (void)t;
    h->calls++;
    h->perm_calls++;
    FS_REQUIRE(node);
    FS_REQUIRE(n && n <= 2);
    memcpy(node->perms, perms, n * sizeof(*perms));
    node->nperms = n;
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    FS_REQUIRE(!h->open);
    h->open = true;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool undo)
{
    (void)t;
    FS_REQUIRE(h->open);
    h->open = false;
    if (undo || !h->conflicts)
        return true;
    h->conflicts--;
    errno = EAGAIN;
    return false;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    errno = ECONNREFUSED;
    return store.absent ? NULL : &store;
}

void xs_close(struct xs_handle *h)
{
    FS_REQUIRE(!h->open);
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    struct xs_watched *w = h->watch;

    for (; w < h->watch + h->nwatches; w++)
        if (!strcmp(w->path, path) && !strcmp(w->token, token))
            break;
    if (w == h->watch + h->nwatches)
        h->nwatches++;
    FS_REQUIRE(h->nwatches <= FS_WATCHES);
    strcpy(w->path, path);
    strcpy(w->token, token);
    fs_fire(path);
    return true;
}

char **xs_check_watch(struct xs_handle *h)
{
    char **w, *text;

    if (!h->nevents) {
        errno = EAGAIN;
        return NULL;
    }
    w = malloc(2 * sizeof(*w) + sizeof(h->event[0]));
    FS_REQUIRE(w);
    text = (char *)(w + 2);
    w[XS_WATCH_PATH] = strcpy(text, h->event[0].path);
    text += VR_XS_PATH;
    w[XS_WATCH_TOKEN] = strcpy(text, h->event[0].token);
    memmove(h->event, h->event + 1, --h->nevents * sizeof(h->event[0]));
    return w;
}

#endif /* TEST_FAKESTORE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xentoollog.h>

#include "gntdev.h"

/* gntdev passes on so many pieces at once (Linux: GNTDEV_COPY_BATCH). */
#define PER_CALL 16

static void *gnt_map(void *ctx, const uint32_t *refs, unsigned int n,
                     bool write)
{
    struct vr_gntdev *g = ctx;

    /* The library does not change them, it only says it might. */
    return xengnttab_map_domain_grant_refs(g->gt, n, g->domid, (uint32_t *)refs,
                                           PROT_READ |
                                               (write ? PROT_WRITE : 0));
}

static void gnt_unmap(void *ctx, void *p, unsigned int n)
{
    struct vr_gntdev *g = ctx;

    /* The guest waits for the page and must not be told that it is free. When
     * the process ends, the kernel unmaps everything. */
    if (xengnttab_unmap(g->gt, p, n))
        abort();
}

static void fill(xengnttab_grant_copy_segment_t *to, const struct vr_gseg *from,
                 uint16_t domid)
{
    union xengnttab_copy_ptr *local = &to->dest, *guest = &to->source;

    to->flags = GNTCOPY_source_gref;
    if (from->to_guest) {
        to->flags = GNTCOPY_dest_gref;
        local = &to->source;
        guest = &to->dest;
    }
    local->virt = from->local;
    guest->foreign.ref = from->ref;
    guest->foreign.offset = from->offset;
    guest->foreign.domid = domid;
    to->len = from->len;
    to->status = GNTST_general_error;
}

static int gnt_copy(void *ctx, struct vr_gseg *seg, unsigned int n)
{
    struct vr_gntdev *g = ctx;
    unsigned int i;

    for (i = 0; i < n; i++)
        fill(&g->seg[i], &seg[i], g->domid);
    /* An error leaves pieces behind that look done and are not. */
    if (xengnttab_grant_copy(g->gt, n, g->seg))
        return -errno;
    for (i = 0; i < n; i++)
        seg[i].status = g->seg[i].status;
    return 0;
}

const struct vr_dynmem_ops vr_gntdev_ops = {
    .map = gnt_map,
    .unmap = gnt_unmap,
    .copy = gnt_copy,
    .per_call = PER_CALL,
};

static void no_message(struct xentoollog_logger *logger, xentoollog_level level,
                       int errnoval, const char *context, const char *format,
                       va_list al) __attribute__((format(printf, 5, 0)));

static void no_message(struct xentoollog_logger *logger, xentoollog_level level,
                       int errnoval, const char *context, const char *format,
                       va_list al)
{
    (void)logger;
    (void)level;
    (void)errnoval;
    (void)context;
    (void)format;
    (void)al;
}

static void no_destroy(struct xentoollog_logger *logger)
{
    (void)logger;
}

struct xentoollog_logger vr_gntdev_quiet = {
    .vmessage = no_message,
    .destroy = no_destroy,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges a copy of a grant table by what was declared, for vrctl audit. Pure:
 * the guest wrote the entries, and any of them is possible.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "libs/proto/maps.h"

/* The judge's material. */
struct table {
    const struct vr_gntent *entries;
    uint32_t n;
    const struct vr_audit_window *win;
    unsigned int nwin;
    const struct vr_record_ram *ram;
    unsigned int nram;
};

/* One page that a domain can reach, or should. */
struct item {
    uint16_t domid;
    uint8_t kind;
    bool readonly;
    bool in_use;
    unsigned int window;
    uint32_t gfn, gref;
};

static int cmp(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_range(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    int r = cmp(a->domid, b->domid);

    if (!r)
        r = cmp(a->kind, b->kind);
    if (!r)
        r = cmp(a->window, b->window);
    if (!r)
        r = cmp(a->readonly, b->readonly);
    if (!r)
        r = cmp(a->gfn, b->gfn);
    return r ? r : cmp(a->gref, b->gref);
}

static int by_page(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    int r = cmp(a->domid, b->domid);

    return r ? r : cmp(a->gfn, b->gfn);
}

/* The window that reference @gref belongs to; t->nwin when none. */
static unsigned int find_window(const struct table *t, uint32_t gref)
{
    unsigned int i;

    for (i = 0; i < t->nwin; i++)
        if (gref >= t->win[i].gref && gref - t->win[i].gref < t->win[i].count)
            break;
    return i;
}

static bool serves(const struct vr_audit_window *win, unsigned int nwin,
                   uint16_t domid)
{
    unsigned int i;

    for (i = 0; i < nwin; i++)
        if (win[i].domid == domid)
            return true;
    return false;
}

static bool is_ram(const struct table *t, uint32_t gfn)
{
    unsigned int i;

    for (i = 0; i < t->nram; i++)
        if (gfn >= t->ram[i].start && gfn < t->ram[i].end)
            return true;
    return false;
}

/* Must there be an entry for page @page of the window? */
static bool is_due(const struct vr_audit_window *w, uint32_t page)
{
    if (!w->dynamic)
        return w->pool == VR_POOL_GRANTED;
    return w->mapped && vr_maps_test(w->mapped, page);
}

/* Is there one as the window says, for page @page of it? */
static bool is_right(const struct table *t, const struct vr_audit_window *w,
                     const struct vr_gntent *e, uint32_t page)
{
    if (!w->dynamic)
        return w->pool != VR_POOL_PRIVATE &&
               vr_gntent_grants(e, w->domid, w->gfn + page);
    return e->flags & VR_GTF_TYPE_MASK && !vr_gntent_foreign(e, w->domid) &&
           is_ram(t, e->frame);
}

/* Has the guest written something of its own there? (lost.h) */
static bool is_lost(const struct vr_audit_window *w, const struct vr_gntent *e,
                    bool right)
{
    if (w->dynamic)
        return vr_gntent_foreign(e, w->domid);
    return !right && (w->pool == VR_POOL_GRANTED || e->flags);
}

static struct item missing(const struct table *t, unsigned int w, uint32_t page)
{
    return (struct item){
        .domid = t->win[w].domid,
        .kind = VR_AUDIT_MISSING,
        .window = w,
        .gfn = t->win[w].gfn + page,
        .gref = t->win[w].gref + page,
    };
}

/* What entry @e is, which lies in window @win (NULL: in none); -1: it lets
 * nobody reach a page, such as an offer to take one. @right: it is as the
 * window says. */
static int kind_of(const struct table *t, const struct vr_audit_window *win,
                   const struct vr_gntent *e, bool right)
{
    if (right)
        return VR_AUDIT_WINDOW;
    if (serves(t->win, t->nwin, e->domid) || (win && win->dynamic))
        return VR_AUDIT_EXCESS;
    if ((e->flags & VR_GTF_TYPE_MASK) == VR_GTF_PERMIT_ACCESS)
        return VR_AUDIT_OTHER;
    return -1;
}

/* Items for entry @i, at most two, to @items; returns how many. */
static uint32_t collect_entry(const struct table *t, uint32_t i,
                              struct item *items, struct vr_audit *out)
{
    const struct vr_gntent *e = &t->entries[i];
    unsigned int type = e->flags & VR_GTF_TYPE_MASK;
    unsigned int w = find_window(t, i);
    const struct vr_audit_window *win = w < t->nwin ? &t->win[w] : NULL;
    bool right = false, due = false;
    uint32_t page = 0, count = 0;
    int kind;

    if (type && type != VR_GTF_PERMIT_ACCESS)
        out->odd++;
    if (win) {
        page = i - win->gref;
        due = is_due(win, page);
        right = is_right(t, win, e, page);
        out->lost += is_lost(win, e, right);
    }
    if (due && !right)
        items[count++] = missing(t, w, page);
    if (!type)
        return count;
    /* Not known what is mapped: what could be, counts as such. */
    if (win && !due && win->mapped)
        right = false;
    kind = kind_of(t, win, e, right);
    if (kind < 0)
        return count;
    if (right)
        out->live[w]++;
    items[count++] = (struct item){
        .domid = e->domid,
        .kind = kind,
        .readonly = e->flags & VR_GTF_READONLY,
        .in_use = e->flags & VR_GTF_IN_USE,
        .window = right || (win && win->dynamic) ? w : t->nwin,
        .gfn = e->frame,
        .gref = i,
    };
    return count;
}

/* Items for all entries that grant something or should; returns how many. */
static uint32_t collect(const struct table *t, struct item *items,
                        struct vr_audit *out)
{
    uint32_t i, count = 0;

    for (i = 0; i < t->n; i++)
        count += collect_entry(t, i, items + count, out);
    return count;
}

/* What a window declares beyond the table's end is missing as well. */
static uint32_t collect_beyond(const struct table *t, struct item *items)
{
    uint32_t i, count = 0;
    unsigned int w;

    for (w = 0; w < t->nwin; w++)
        for (i = 0; i < t->win[w].count; i++)
            if ((uint64_t)t->win[w].gref + i >= t->n && is_due(&t->win[w], i))
                items[count++] = missing(t, w, i);
    return count;
}

static void make_ranges(struct vr_audit *out, const struct item *items,
                        uint32_t count)
{
    struct vr_audit_range *r = NULL;
    uint32_t i;

    for (i = 0; i < count; i++) {
        const struct item *it = &items[i];

        if (!r || r->domid != it->domid || (uint8_t)r->kind != it->kind ||
            r->window != it->window || r->readonly != it->readonly ||
            (it->gfn != r->last && it->gfn != r->last + 1)) {
            r = &out->ranges[out->nranges++];
            *r = (struct vr_audit_range){
                .kind = (enum vr_audit_kind)it->kind,
                .domid = it->domid,
                .readonly = it->readonly,
                .first = it->gfn,
                .gref = it->gref,
                .window = it->window,
            };
        }
        r->last = it->gfn;
        r->entries++;
        r->in_use += it->in_use;
    }
}

static bool find_dom(const struct vr_audit *out, uint16_t domid)
{
    unsigned int i;

    for (i = 0; i < out->ndoms; i++)
        if (out->doms[i].domid == domid)
            break;
    return i < out->ndoms;
}

static void make_sums(struct vr_audit *out, const struct item *items,
                      uint32_t count, const struct vr_audit_window *win,
                      unsigned int nwin)
{
    struct vr_audit_dom *d = NULL;
    const struct item *last = NULL; /* reachable page counted last */
    uint32_t i;

    for (i = 0; i < count; i++) {
        const struct item *it = &items[i];

        if (!d || d->domid != it->domid) {
            d = &out->doms[out->ndoms++];
            *d = (struct vr_audit_dom){
                .domid = it->domid,
                .driver = serves(win, nwin, it->domid),
            };
            last = NULL;
        }
        d->in_use += it->in_use;
        d->declared += it->kind == VR_AUDIT_WINDOW;
        d->missing += it->kind == VR_AUDIT_MISSING;
        d->excess += it->kind == VR_AUDIT_EXCESS;
        if (it->kind == VR_AUDIT_MISSING || (last && last->gfn == it->gfn))
            continue;
        d->pages++;
        last = it;
    }
    for (i = 0; i < out->ndoms; i++)
        if (out->doms[i].missing || out->doms[i].excess)
            out->ok = false;
    /* That a driver domain can reach nothing is to be said, too. */
    for (i = 0; i < nwin; i++)
        if (!find_dom(out, win[i].domid))
            out->doms[out->ndoms++] =
                (struct vr_audit_dom){.domid = win[i].domid, .driver = true};
}

int vr_audit_run(const struct vr_gntent *entries, uint32_t n,
                 const struct vr_audit_window *win, unsigned int nwin,
                 const struct vr_record_ram *ram, unsigned int nram,
                 struct vr_audit *out)
{
    const struct table t = {entries, n, win, nwin, ram, nram};
    /* An entry makes at most two items, a declared page beyond it one. */
    uint64_t room = 2 * (uint64_t)n + 1;
    struct item *items;
    uint32_t count;
    unsigned int w;

    memset(out, 0, sizeof(*out));
    out->ok = true;
    if (nwin > VR_AUDIT_WINDOWS)
        return -EINVAL;
    for (w = 0; w < nwin; w++)
        room += win[w].count;
    items = calloc(room, sizeof(*items));
    if (!items)
        return -ENOMEM;
    count = collect(&t, items, out);
    count += collect_beyond(&t, items + count);
    out->ranges = calloc(count + 1, sizeof(*out->ranges));
    out->doms = calloc(count + nwin + 1, sizeof(*out->doms));
    if (!out->ranges || !out->doms) {
        free(items);
        vr_audit_free(out);
        return -ENOMEM;
    }
    qsort(items, count, sizeof(*items), by_range);
    make_ranges(out, items, count);
    qsort(items, count, sizeof(*items), by_page);
    make_sums(out, items, count, win, nwin);
    free(items);
    return 0;
}

void vr_audit_free(struct vr_audit *audit)
{
    free(audit->ranges);
    free(audit->doms);
    memset(audit, 0, sizeof(*audit));
}

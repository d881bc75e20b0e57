/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl audit: what audit.c has found out, for people and as JSON. Decides
 * nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit_job.h"
#include "libs/host/lost.h"

static const char *const kind_names[] = {
    [VR_AUDIT_WINDOW] = "window",
    [VR_AUDIT_MISSING] = "MISSING",
    [VR_AUDIT_EXCESS] = "EXCESS",
    [VR_AUDIT_OTHER] = "granted by the guest itself or the toolstack",
};

static bool is_dynamic(const struct job *job, unsigned int w)
{
    return w < job->nwin && job->win[w].dynamic;
}

/* The driver domain in the record that @domid was; -1: none. */
static int driver_of(const struct job *job, uint16_t domid)
{
    unsigned int i;

    for (i = 0; job->has_rec && i < job->g.rec.ndrivers; i++)
        if (job->g.rec.drivers[i].domid == domid)
            return i;
    return -1;
}

/* The name of a domain in the answer; the record knows those that are gone. */
static void name_of(const struct job *job, uint16_t domid, char *buf,
                    size_t size)
{
    int i = driver_of(job, domid);

    if (i >= 0)
        snprintf(buf, size, "%s", job->g.rec.drivers[i].name);
    else
        dom_name(job->xs, domid, buf, size);
}

/* NULL: not a driver domain of this guest. */
static const char *state_of(const struct job *job, uint16_t domid)
{
    int i = driver_of(job, domid);

    return i < 0 ? NULL
                 : vr_domstate_name(guest_driver_state(job->xch, &job->g, i));
}

/* Its broker takes back what was granted to it. Until then it reaches nobody,
 * since there is no domain of this number. */
static bool is_gone(const struct job *job, uint16_t domid)
{
    int i = driver_of(job, domid);

    return i >= 0 && vr_domstate_dead(guest_driver_state(job->xch, &job->g, i));
}

static const char *window_id(const struct job *job, unsigned int w)
{
    return w < job->nwin ? job->g.rec.devs[job->dev[w]].cfg.id : "";
}

/* ---- for people ---- */

/* A window by its device, and by its kind where there are two. */
struct label {
    char text[VR_ID_LEN + 16];
};

static struct label window_label(const struct job *job, unsigned int w)
{
    struct label l = {""};

    if (w >= job->nwin)
        return l;
    if (job->g.rec.devs[job->dev[w]].cfg.mode == VR_MODE_MIXED)
        snprintf(l.text, sizeof(l.text), "%s (%s)", window_id(job, w),
                 vr_window_name(is_dynamic(job, w) ? VR_WINDOW_IOVA
                                                   : VR_WINDOW_POOL));
    else
        snprintf(l.text, sizeof(l.text), "%s", window_id(job, w));
    return l;
}

/* A dynamic window is in as many pieces as the guest has buffers. */
#define MAX_PIECES 16

static void print_range(const struct job *job, const struct vr_audit_range *r)
{
    if (r->kind == VR_AUDIT_MISSING && is_dynamic(job, r->window)) {
        printf("  iova [0x%" PRIx64 "-0x%" PRIx64 "] %" PRIu32
               " pages, from reference %" PRIu32 ": %s of %s\n",
               (uint64_t)r->first << VR_PAGE_SHIFT,
               ((uint64_t)r->last << VR_PAGE_SHIFT) + VR_PAGE_SIZE - 1,
               r->last - r->first + 1, r->gref, kind_names[r->kind],
               window_label(job, r->window).text);
        return;
    }
    printf("  gfn [0x%" PRIx32 "-0x%" PRIx32 "] %s, %" PRIu32 " pages, %" PRIu32
           " in use, from reference %" PRIu32 ": %s",
           r->first, r->last, r->readonly ? "ro" : "rw", r->last - r->first + 1,
           r->in_use, r->gref, kind_names[r->kind]);
    if (r->kind == VR_AUDIT_WINDOW || r->kind == VR_AUDIT_MISSING)
        printf(" of %s", window_label(job, r->window).text);
    else if (is_dynamic(job, r->window))
        printf(" in the window of %s", window_label(job, r->window).text);
    printf("\n");
}

static void print_ranges(const struct job *job, uint16_t domid)
{
    unsigned int i, pieces[VR_AUDIT_WINDOWS] = {0};

    for (i = 0; i < job->result.nranges; i++) {
        const struct vr_audit_range *r = &job->result.ranges[i];

        if (r->domid != domid)
            continue;
        if (r->kind == VR_AUDIT_WINDOW && is_dynamic(job, r->window) &&
            ++pieces[r->window] > MAX_PIECES)
            continue;
        print_range(job, r);
    }
    for (i = 0; i < job->nwin; i++)
        if (pieces[i] > MAX_PIECES)
            printf("  and %u more pieces of the window of %s (--json shows "
                   "them)\n",
                   pieces[i] - MAX_PIECES, window_label(job, i).text);
}

static unsigned int num_dynamic(const struct job *job)
{
    unsigned int i, n = 0;

    for (i = 0; i < job->nwin; i++)
        n += job->win[i].dynamic;
    return n;
}

/* How large the windows are that a domain has, and how full. */
static void print_windows(const struct job *job, uint16_t domid)
{
    unsigned int i;

    for (i = 0; i < job->nwin; i++) {
        const struct vr_audit_window *w = &job->win[i];

        if (w->domid != domid)
            continue;
        if (w->dynamic)
            printf("  dynamic window of %s: %" PRIu32 " of %" PRIu32
                   " pages granted\n",
                   window_id(job, i), job->result.live[i], w->count);
        else if (w->pool == VR_POOL_PRIVATE)
            printf("  pool of %s: not granted, since the device does not run\n",
                   window_id(job, i));
        else if (w->pool == VR_POOL_HELD)
            printf("  pool of %s: taken back, but for %" PRIu32 " pages that "
                   "the backend holds\n",
                   window_id(job, i), job->result.live[i]);
    }
}

static const char *as_what(const struct job *job)
{
    if (!num_dynamic(job))
        return "exactly as declared";
    return job->why_not ? "all of them in its windows"
                        : "exactly as declared and mapped";
}

static void print_verdict(const struct job *job, const struct vr_audit_dom *d)
{
    char name[VR_NAME_LEN + 1];

    name_of(job, d->domid, name, sizeof(name));
    if (d->driver && is_gone(job, d->domid) && d->pages)
        printf("audit: domain %u (%s) is gone: nobody can reach the %" PRIu32
               " pages that are granted to it\n",
               d->domid, name, d->pages);
    else if (d->driver && is_gone(job, d->domid))
        printf("audit: domain %u (%s) is gone, and nothing is granted to it\n",
               d->domid, name);
    else if (d->driver && !d->missing && !d->excess)
        printf("audit: OK, %" PRIu32 " pages reachable by domain %u (%s), "
               "%s\n",
               d->pages, d->domid, name, as_what(job));
    if (d->excess)
        printf("audit: EXCESS, domain %u (%s) is granted %" PRIu32
               " pages beyond %s\n",
               d->domid, name, d->excess,
               num_dynamic(job) && !job->why_not
                   ? "the declared windows and what is mapped"
                   : "the declared windows");
    if (d->missing)
        printf("audit: MISSING, %" PRIu32 " declared pages are not "
               "granted to domain %u (%s)\n",
               d->missing, d->domid, name);
}

/* Entries that are not as they were written, and why. False: all are, or the
 * windows are being taken down, which empties them. */
static bool lost_text(const struct job *job, struct vr_err *text)
{
    uint32_t entries = 0;
    unsigned int i;

    if (!job->result.lost || job->g.rec.phase != VR_PHASE_RUNNING)
        return false;
    for (i = 0; i < job->nwin; i++)
        entries += job->win[i].count;
    vr_lost_text(text, &job->g.rec, "the windows", job->result.lost, entries);
    return true;
}

void audit_print(const struct job *job)
{
    char name[VR_NAME_LEN + 1];
    struct vr_err why;
    unsigned int i;

    printf("guest %s, domain %" PRIu32 ": %" PRIu32 " grant entries\n",
           job->name, job->domid, job->n);
    for (i = 0; i < job->result.ndoms; i++) {
        const struct vr_audit_dom *d = &job->result.doms[i];

        name_of(job, d->domid, name, sizeof(name));
        printf("domain %u (%s%s): %" PRIu32 " pages, %" PRIu32 " in use\n",
               d->domid, name, is_gone(job, d->domid) ? ", gone" : "", d->pages,
               d->in_use);
        print_windows(job, d->domid);
        print_ranges(job, d->domid);
    }
    if (job->result.odd)
        printf("%" PRIu32 " entries of another type than page access\n",
               job->result.odd);
    for (i = 0; i < job->result.ndoms; i++)
        print_verdict(job, &job->result.doms[i]);
    if (lost_text(job, &why))
        printf("audit: %s\n", why.text);
    if (job->why_not)
        printf("audit: dynamic windows are not compared with what guest %s has "
               "mapped: %s\n",
               job->name, job->why_not);
    if (!job->nwin)
        printf("audit: %s\n",
               job->has_rec
                   ? "the guest is being created: no window has its place yet"
                   : "no restricted devices are declared for this domain");
}

/* ---- as JSON ---- */

static void json_range(yajl_gen j, const struct job *job,
                       const struct vr_audit_range *r)
{
    static const char *const names[] = {
        [VR_AUDIT_WINDOW] = "window",
        [VR_AUDIT_MISSING] = "missing",
        [VR_AUDIT_EXCESS] = "excess",
        [VR_AUDIT_OTHER] = "other",
    };

    yajl_gen_map_open(j);
    json_str(j, "kind", names[r->kind]);
    if (r->window < job->nwin) {
        json_str(j, "device", window_id(job, r->window));
        json_str(j, "window",
                 vr_window_name(is_dynamic(job, r->window) ? VR_WINDOW_IOVA
                                                           : VR_WINDOW_POOL));
    }
    if (r->kind == VR_AUDIT_MISSING && is_dynamic(job, r->window)) {
        json_u64(j, "first_iova", (uint64_t)r->first << VR_PAGE_SHIFT);
        json_u64(j, "last_iova", (uint64_t)r->last << VR_PAGE_SHIFT);
    } else {
        json_u64(j, "first_gfn", r->first);
        json_u64(j, "last_gfn", r->last);
    }
    json_str(j, "access", r->readonly ? "ro" : "rw");
    json_u64(j, "entries", r->entries);
    json_u64(j, "in_use", r->in_use);
    json_u64(j, "first_gref", r->gref);
    yajl_gen_map_close(j);
}

/* Whether the pools are granted; the dynamic windows, and whether they were
 * compared with what is mapped. */
static void json_windows(yajl_gen j, const struct job *job)
{
    unsigned int i;

    json_key(j, "pools");
    yajl_gen_array_open(j);
    for (i = 0; i < job->nwin; i++) {
        if (job->win[i].dynamic)
            continue;
        yajl_gen_map_open(j);
        json_str(j, "device", window_id(job, i));
        json_str(j, "state", vr_pool_state_name(job->win[i].pool));
        json_u64(j, "window_pages", job->win[i].count);
        json_u64(j, "granted_pages", job->result.live[i]);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
    json_bool(j, "compared", num_dynamic(job) && !job->why_not);
    json_str(j, "not_compared_because", job->why_not ? job->why_not : "");
    json_key(j, "dynamic");
    yajl_gen_array_open(j);
    for (i = 0; i < job->nwin; i++) {
        if (!job->win[i].dynamic)
            continue;
        yajl_gen_map_open(j);
        json_str(j, "device", window_id(job, i));
        json_u64(j, "window_pages", job->win[i].count);
        json_u64(j, "granted_pages", job->result.live[i]);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
}

void audit_json(const struct job *job)
{
    char name[VR_NAME_LEN + 1];
    yajl_gen j = json_begin();
    struct vr_err why = {""};
    unsigned int i, k;

    if (!j)
        return;
    json_str(j, "guest", job->name);
    json_u64(j, "domid", job->domid);
    json_u64(j, "entries", job->n);
    json_u64(j, "windows", job->nwin);
    json_bool(j, "ok", job->result.ok);
    json_u64(j, "odd_entries", job->result.odd);
    lost_text(job, &why);
    json_u64(j, "lost_entries", job->result.lost);
    json_str(j, "lost_because", why.text);
    json_windows(j, job);
    json_key(j, "domains");
    yajl_gen_array_open(j);
    for (i = 0; i < job->result.ndoms; i++) {
        const struct vr_audit_dom *d = &job->result.doms[i];

        name_of(job, d->domid, name, sizeof(name));
        yajl_gen_map_open(j);
        json_u64(j, "domid", d->domid);
        json_str(j, "name", name);
        json_bool(j, "driver", d->driver);
        if (state_of(job, d->domid))
            json_str(j, "state", state_of(job, d->domid));
        json_u64(j, "pages", d->pages);
        json_u64(j, "declared", d->declared);
        json_u64(j, "missing", d->missing);
        json_u64(j, "excess", d->excess);
        json_u64(j, "in_use", d->in_use);
        json_key(j, "ranges");
        yajl_gen_array_open(j);
        for (k = 0; k < job->result.nranges; k++)
            if (job->result.ranges[k].domid == d->domid)
                json_range(j, job, &job->result.ranges[k]);
        yajl_gen_array_close(j);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
    json_end(j);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl audit: reads a guest's whole grant table and says which of its pages
 * each other domain can reach, and whether that is what was declared. It asks
 * the hypervisor, not the plug-in: only the declaration comes from the record,
 * and what the guest has mapped at present from its broker.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit.h"
#include "lost.h"
#include "maps.h"
#include "vrctl.h"
#include "xen/compat.h"
#include "xen/gtable.h"

/* So long the broker may keep changing what it says is mapped. */
#define STABLE_MS 2000

struct job {
    xc_interface *xch;
    struct xs_handle *xs;
    uint32_t domid;
    char name[VR_NAME_LEN + 1];
    bool has_rec;
    struct guest g;
    struct vr_audit_window win[VR_AUDIT_WINDOWS];
    unsigned int dev[VR_AUDIT_WINDOWS]; /* whose it is */
    unsigned int nwin;
    struct vr_gntent *copy;
    uint32_t n;
    struct vr_maps *maps; /* NULL: no dynamic device, or see why_not */
    uint64_t *bits;       /* a copy of its bits, of the table's instant */
    const char *why_not;  /* why dynamic windows are not compared with it */
    struct vr_audit result;
};

static const char *const kind_names[] = {
    [VR_AUDIT_WINDOW] = "window",
    [VR_AUDIT_MISSING] = "MISSING",
    [VR_AUDIT_EXCESS] = "EXCESS",
    [VR_AUDIT_OTHER] = "granted by the guest itself or the toolstack",
};

/* Frames that the table has now: to map more would make it grow. */
static int table_size(struct job *job, uint32_t *frames, struct vr_err *err)
{
    struct gnttab_query_size q = {.dom = job->domid};
    int r;

    r = xc_gnttab_get_version(job->xch, job->domid);
    if (r > 1) {
        vr_err_set(err,
                   "domain %" PRIu32 ": its grant table is version %d; "
                   "restricted devices and this audit need version 1: set "
                   "max_grant_version=1 in its config",
                   job->domid, r);
        return -ENOTSUP;
    }
    r = xc_gnttab_query_size(job->xch, &q);
    if (r || q.status != GNTST_okay) {
        vr_err_set(err,
                   "domain %" PRIu32 ": cannot ask for the size of its grant "
                   "table (%s, status %d)",
                   job->domid, r ? strerror(errno) : "refused", q.status);
        return -EIO;
    }
    *frames = q.nr_frames;
    return 0;
}

/* What the guest has mapped, by its broker's account. */
static int open_maps(struct job *job, struct vr_err *err)
{
    const struct vr_record *rec = &job->g.rec;
    size_t words;

    if (!job->has_rec || !vr_record_endpoints(rec))
        return 0;
    job->maps = vr_maps_open(rec, false);
    if (!job->maps) {
        job->why_not = errno == ENOENT
                           ? "its broker has not published what is mapped"
                           : "its broker publishes what is mapped in another "
                             "way: install matching versions";
        return 0;
    }
    words = vr_maps_offset(rec, rec->ndevs);
    job->bits = calloc(words + 1, sizeof(*job->bits));
    if (!job->bits) {
        vr_err_set(err, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

/* Copies the grant table and the broker's account of what is mapped. False:
 * the broker changed them meanwhile, so the copies do not belong together. */
static bool copy_once(struct job *job, const struct vr_gtable *gt)
{
    uint32_t i, before = job->maps ? vr_maps_generation(job->maps) : 0;
    size_t k, words = vr_maps_offset(&job->g.rec, job->g.rec.ndevs);

    for (k = 0; job->maps && k < words; k++)
        job->bits[k] = __atomic_load_n(&job->maps->bits[k], __ATOMIC_RELAXED);
    for (i = 0; i < job->n; i++)
        job->copy[i] = vr_gntent_read(&gt->entries[i]);
    return !job->maps ||
           (!(before & 1) && vr_maps_generation(job->maps) == before);
}

/* The broker may change both many times a second, so this tries again until it
 * finds a moment without a change. That comes soon, and for certain once the
 * guest is paused. */
static void copy_both(struct job *job, const struct vr_gtable *gt)
{
    const struct timespec nap = {.tv_nsec = 1000 * 1000};
    uint64_t deadline = vr_now_ms() + STABLE_MS;

    while (!copy_once(job, gt)) {
        if (vr_now_ms() > deadline) {
            job->why_not = "it mapped and unmapped all the time; use --pause";
            return;
        }
        nanosleep(&nap, NULL);
    }
}

/* Copies the table and lets go of it again. */
static int copy_table(struct job *job, struct vr_err *err)
{
    xenforeignmemory_handle *fm;
    struct vr_gtable gt = {0};
    uint32_t frames = 0;
    int rc;

    fm = xenforeignmemory_open(NULL, 0);
    if (!fm) {
        rc = errno ? -errno : -EIO;
        vr_err_set(err, "cannot open /dev/xen/privcmd: %s", strerror(-rc));
        return rc;
    }
    rc = table_size(job, &frames, err);
    if (rc || !frames)
        goto out;
    rc = vr_gtable_map(&gt, fm, job->domid, 0, frames, false, err);
    if (rc)
        goto out;
    rc = -ENOMEM;
    job->n = frames * (uint32_t)VR_GNTENT_PER_FRAME;
    job->copy = calloc(job->n, sizeof(*job->copy));
    if (!job->copy) {
        vr_err_set(err, "out of memory");
        goto out;
    }
    copy_both(job, &gt);
    rc = 0;
out:
    vr_gtable_unmap(&gt);
    xenforeignmemory_close(fm);
    return rc;
}

static bool is_dynamic(const struct job *job, unsigned int w)
{
    return w < job->nwin && job->win[w].dynamic;
}

static void declare_window(struct job *job, unsigned int i,
                           enum vr_window_kind kind)
{
    const struct vr_record *rec = &job->g.rec;
    const struct vr_gwin *w = vr_record_window(&rec->devs[i], kind);
    bool dynamic = kind == VR_WINDOW_IOVA;

    if (!w)
        return;
    job->dev[job->nwin] = i;
    job->win[job->nwin++] = (struct vr_audit_window){
        .domid = rec->drivers[rec->devs[i].driver].domid,
        .dynamic = dynamic,
        .gfn = w->base >> VR_PAGE_SHIFT,
        .gref = w->gref_base,
        .count = vr_gwin_pages(w),
        .mapped = dynamic && job->bits && !job->why_not
                      ? job->bits + vr_maps_offset(rec, i)
                      : NULL,
    };
}

static void declare(struct job *job)
{
    unsigned int i;

    for (i = 0; job->has_rec && i < job->g.rec.ndevs; i++) {
        declare_window(job, i, VR_WINDOW_POOL);
        declare_window(job, i, VR_WINDOW_IOVA);
    }
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

/* What is granted to a domain that is gone stays granted, and reaches nobody.
 */
static bool is_gone(const struct job *job, uint16_t domid)
{
    int i = driver_of(job, domid);

    return i >= 0 && guest_driver_state(job->xch, &job->g, i) == VR_DOM_GONE;
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

/* How large the dynamic windows are that a domain has, and how full. */
static void print_dynamic(const struct job *job, uint16_t domid)
{
    unsigned int i;

    for (i = 0; i < job->nwin; i++)
        if (job->win[i].dynamic && job->win[i].domid == domid)
            printf("  dynamic window of %s: %" PRIu32 " of %" PRIu32
                   " pages granted\n",
                   window_id(job, i), job->result.live[i], job->win[i].count);
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
    if (d->driver && is_gone(job, d->domid))
        printf("audit: domain %u (%s) is gone: nobody can reach the %" PRIu32
               " pages that are granted to it\n",
               d->domid, name, d->pages);
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

static void print_result(const struct job *job)
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
        print_dynamic(job, d->domid);
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

/* The dynamic windows, and whether they were compared with what is mapped. */
static void json_dynamic(yajl_gen j, const struct job *job)
{
    unsigned int i;

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

static void json_result(const struct job *job)
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
    json_dynamic(j, job);
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

static int find_domain(struct job *job, const char *what, struct vr_err *err)
{
    xc_domaininfo_t info;
    char uuid[VR_UUID_LEN + 1];
    int rc;

    if (dom_lookup(job->xch, job->xs, what, &job->domid) ||
        vr_domain_info(job->xch, job->domid, &info)) {
        vr_err_set(err, "%s: no such domain; xl list shows those there are",
                   what);
        return -ESRCH;
    }
    dom_name(job->xs, job->domid, job->name, sizeof(job->name));
    rc = guest_load(job->xch, dom_uuid(&info, uuid), &job->g, err);
    if (rc && rc != -ENOENT)
        return rc;
    /* The record of another domain with this uuid declares nothing here. */
    job->has_rec = !rc && job->g.rec.domid == job->domid;
    if (job->has_rec)
        strcpy(job->name, job->g.rec.name);
    return 0;
}

static int audit(struct job *job, bool pause, struct vr_err *err)
{
    sigset_t set, before;
    bool paused = false;
    int rc;

    rc = open_maps(job, err);
    if (rc)
        return rc;
    /* ^C must not leave the guest paused. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &before);
    if (pause) {
        if (xc_domain_pause(job->xch, job->domid)) {
            rc = -errno;
            vr_err_set(err, "domain %" PRIu32 ": cannot pause it: %s",
                       job->domid, strerror(-rc));
            goto out;
        }
        paused = true;
    }
    rc = copy_table(job, err);
out:
    if (paused)
        xc_domain_unpause(job->xch, job->domid);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return rc;
    if (pause && job->maps && job->why_not) {
        vr_err_set(err,
                   "guest %s is paused, but its broker goes on changing what "
                   "is mapped: see vrctl show %s",
                   job->name, job->name);
        return -EBUSY;
    }
    declare(job);
    rc = vr_audit_run(job->copy, job->n, job->win, job->nwin, job->g.rec.ram,
                      job->g.rec.nram, &job->result);
    if (rc)
        vr_err_set(err, "out of memory");
    return rc;
}

int cmd_audit(int argc, char **argv)
{
    bool json = false, pause = false;
    const char *what = NULL;
    int i, status = EX_FAILED;
    struct vr_err err;
    struct job *job;

    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "--pause"))
            pause = true;
        else if (argv[i][0] != '-' && !what)
            what = argv[i];
        else
            what = NULL, i = argc;
    }
    if (!what) {
        fprintf(stderr, "usage: vrctl audit [--json] [--pause] GUEST\n");
        return EX_USAGE;
    }
    job = calloc(1, sizeof(*job));
    if (!job)
        return EX_FAILED;
    job->xch = xc_interface_open(NULL, NULL, 0);
    job->xs = xs_open(0);
    if (!job->xch || !job->xs) {
        say("cannot reach %s: %s; run this as root in the toolstack domain",
            job->xch ? "xenstored" : "the hypervisor", strerror(errno));
        goto out;
    }
    if (find_domain(job, what, &err) || audit(job, pause, &err)) {
        say("%s", err.text);
        goto out;
    }
    if (json)
        json_result(job);
    else
        print_result(job);
    status = job->result.ok ? EX_OK : EX_FAILED;
out:
    vr_audit_free(&job->result);
    vr_maps_close(job->maps, &job->g.rec);
    free(job->bits);
    free(job->copy);
    if (job->xs)
        xs_close(job->xs);
    if (job->xch)
        xc_interface_close(job->xch);
    free(job);
    return status;
}

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

#include "audit_job.h"
#include "libs/proto/maps.h"
#include "libs/proto/pools.h"
#include "libs/xen/compat.h"
#include "libs/xen/gtable.h"

/* How long to look for a moment at which the broker does not change what it
 * says is mapped, in ms. */
#define STABLE_MS 2000

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

/* Which pools are granted, by the supervisor's account. */
static int open_pools(struct job *job, struct vr_err *err)
{
    if (!job->has_rec)
        return 0;
    job->pools = vr_pools_open(job->g.rec.uuid, false);
    if (job->pools || errno == ENOENT)
        return 0;
    vr_err_set(err,
               "guest %s: its broker publishes in another way which pools are "
               "granted (%s): install matching versions",
               job->name, strerror(errno));
    return -EPROTO;
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

static uint32_t generation(const struct job *job)
{
    return job->maps ? vr_maps_generation(job->maps) : 0;
}

static uint32_t pools_generation(const struct job *job)
{
    return job->pools ? vr_shfile_generation(&job->pools->generation) : 0;
}

/* Copies the grant table and the broker's account of what is granted and
 * mapped. False: the broker changed them meanwhile, so the copies do not belong
 * together. */
static bool copy_once(struct job *job, const struct vr_gtable *gt)
{
    uint32_t i, before = generation(job), pools = pools_generation(job);
    size_t k, words = vr_maps_offset(&job->g.rec, job->g.rec.ndevs);

    for (i = 0; i < job->g.rec.ndevs; i++)
        job->pool[i] = vr_pools_state(job->pools, i);
    for (k = 0; job->maps && k < words; k++)
        job->bits[k] = __atomic_load_n(&job->maps->bits[k], __ATOMIC_RELAXED);
    for (i = 0; i < job->n; i++)
        job->copy[i] = vr_gntent_read(&gt->entries[i]);
    return !((before | pools) & 1) && generation(job) == before &&
           pools_generation(job) == pools;
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
        .pool = job->pool[i],
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

    rc = open_pools(job, err);
    if (!rc)
        rc = open_maps(job, err);
    if (rc)
        return rc;
    /* ^C must not leave the guest paused. */
    proc_polite(&set);
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
        audit_json(job);
    else
        audit_print(job);
    status = job->result.ok ? EX_OK : EX_FAILED;
out:
    vr_audit_free(&job->result);
    vr_pools_close(job->pools);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl cleanup: the one implementation of taking a guest's restricted devices
 * down. `xl destroy`, the broker and the operator all come here. In the order
 * it runs:
 *
 *  1. take the guest's lock; whoever waited for it looks again
 *  2. pause the guest: without the broker its next register access would hang
 *  3. stop the broker
 *  4. withdraw the backend nodes: a sound backend lets go of the windows
 *  5. wait, bounded, until Xen shows the windows unused
 *  6. destroy the driver domains that were made for this guest: what they
 *     still hold goes with them. One that was asked to go down, and had to
 *     wait for the guest, gets the time for it first
 *  7. look again, revoke every entry
 *  8. with --abort: destroy the guest
 *  9. remove what is left in xenstore, the record and the files beside it
 * 10. other driver domains that waited for the guest may go down
 *
 * Each step is bounded and finds its work done already when it runs again.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vrctl.h"
#include "libs/xen/compat.h"
#include "libs/xen/domstate.h"
#include "libs/xen/down.h"
#include "libs/xen/store.h"
#include "libs/xen/zombies.h"

#define LOCK_MS       120000
#define BROKER_MS     3000
#define RELEASE_MS    2000
#define STORE_SECONDS 15
#define DOWN_MS       15000

/* A later guest's record has the same uuid but other processes. */
static bool same_life(const struct vr_record *a, const struct vr_record *b)
{
    return a->creator == b->creator && a->creator_start == b->creator_start &&
           !strcmp(a->uuid, b->uuid);
}

/*
 * The domid by which xenstore paths name a domain: its own while it lives.
 * When it is gone, the recorded one, unless another domain has that by now:
 * then VR_DOMID_NONE.
 */
static uint32_t resolve(xc_interface *xch, const char *uuid, uint32_t domid)
{
    xc_domaininfo_t info;

    if (!dom_identify(xch, uuid, domid, &info))
        return info.domain;
    if (domid == VR_DOMID_NONE || !vr_domain_info(xch, domid, &info))
        return VR_DOMID_NONE;
    return domid;
}

static void resolve_all(xc_interface *xch, struct guest *g)
{
    unsigned int i;

    g->rec.domid = resolve(xch, g->rec.uuid, g->rec.domid);
    for (i = 0; i < g->rec.ndrivers; i++)
        g->rec.drivers[i].domid =
            resolve(xch, g->rec.drivers[i].uuid, g->rec.drivers[i].domid);
}

/*
 * The guest is paused, so nothing is lost by this, and a broker has nothing to
 * put away. Its worker gets the same signal before it is seen to be gone. When
 * we are what the broker has become, it has ended its worker before.
 */
static void stop_broker(const struct vr_record *rec)
{
    int rc;

    if (rec->broker == getpid())
        return;
    rc = proc_kill(rec->broker, rec->broker_start, BROKER_MS);
    if (rc)
        say("guest %s: broker %d does not end: %s", rec->name, (int)rec->broker,
            strerror(-rc));
}

struct withdrawal {
    const struct vr_record *rec;
    bool all;
};

static int withdraw_nodes(void *ctx)
{
    const struct withdrawal *w = ctx;
    struct xs_handle *xs = xs_open(0);

    if (!xs)
        return 1;
    vr_store_withdraw(xs, w->rec, w->all);
    xs_close(xs);
    return 0;
}

static int withdraw(const struct vr_record *rec, bool all)
{
    struct withdrawal w = {.rec = rec, .all = all};
    int rc = proc_bounded(withdraw_nodes, &w, STORE_SECONDS);

    if (rc)
        say("guest %s: xenstore does not answer: nodes of its devices may be "
            "left; see whether xenstored runs, then run vrctl cleanup again",
            rec->name);
    return rc;
}

struct request {
    uint32_t domid;
    bool ask; /* or only see whether there is a note */
};

static int down_request(void *ctx)
{
    const struct request *r = ctx;
    struct xs_handle *xs = xs_open(0);
    int rc = 1;

    if (!xs)
        return 1;
    if (r->ask)
        rc = vr_down_ask(xs, r->domid) ? 1 : 0;
    else if (vr_down_noted(xs, r->domid))
        rc = 0;
    xs_close(xs);
    return rc;
}

/* Waits, until @end, for a domain that goes down. */
static void await_down(xc_interface *xch, const struct vr_record_driver *d,
                       uint64_t end)
{
    const struct timespec step = {.tv_nsec = 50 * 1000 * 1000};
    xc_domaininfo_t info;

    while (vr_now_ms() < end && !dom_identify(xch, d->uuid, d->domid, &info) &&
           !(info.flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying)))
        nanosleep(&step, NULL);
}

/*
 * Driver domains that were asked to go down while they still were needed: those
 * that end with this guest (@owned; they are waited for), or those that no
 * other guest uses.
 */
static void down_drivers(xc_interface *xch, const struct vr_record *rec,
                         bool owned)
{
    bool asked[VR_MAX_DEVICES] = {false};
    unsigned int i;
    uint64_t end;

    for (i = 0; i < rec->ndrivers; i++) {
        const struct vr_record_driver *d = &rec->drivers[i];
        struct request r = {.domid = d->domid};

        if (d->owned != owned || d->domid == VR_DOMID_NONE ||
            proc_bounded(down_request, &r, STORE_SECONDS) ||
            (!owned && vr_down_guests(xch, d->domid, rec->uuid, NULL, 0)))
            continue;
        r.ask = true;
        asked[i] = !proc_bounded(down_request, &r, STORE_SECONDS);
    }
    end = vr_now_ms() + DOWN_MS;
    for (i = 0; owned && i < rec->ndrivers; i++)
        if (asked[i])
            await_down(xch, &rec->drivers[i], end);
}

/* @which: its name, or its uuid, which no `xl rename` changes. */
static bool is_driver(const struct vr_record_driver *d, const char *which)
{
    return d->owned && (!strcmp(which, d->name) || !strcmp(which, d->uuid));
}

/*
 * Those that were made for the guest, or the one that @only means.
 * Returns 0, or the first error: then something of a driver domain is left.
 */
static int destroy_drivers(xc_interface *xch, const struct vr_record *rec,
                           const char *only, bool unfinished)
{
    unsigned int i;
    int rc = 0, rc2;

    for (i = 0; i < rec->ndrivers; i++) {
        const struct vr_record_driver *d = &rec->drivers[i];

        if (only ? !is_driver(d, only) : !d->owned)
            continue;
        rc2 = destroy_domain(xch, d->uuid, d->domid, unfinished);
        if (rc2) {
            say("guest %s: driver domain %s (%s) could not be destroyed "
                "completely: %s; run vrctl cleanup --stale, or xl destroy %s",
                rec->name, d->name, d->uuid, strerror(-rc2), d->name);
            if (!rc)
                rc = rc2;
        }
    }
    return rc;
}

struct keeping {
    const struct vr_record_driver *driver;
    struct vr_zombie zombie;
};

static int note_zombie(void *ctx)
{
    const struct keeping *k = ctx;
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    struct xs_handle *xs = xs_open(0);
    int rc = 1;

    if (xch && xs)
        rc = vr_zombie_note(xch, xs, k->driver->domid, &k->zombie) ? 1 : 0;
    if (xs)
        xs_close(xs);
    if (xch)
        xc_interface_close(xch);
    return rc;
}

/* Driver domain @j keeps @pages of the guest, which may not be told any more:
 * 0. Whoever asks what it keeps looks whether the guest has gone after all. */
static void report_held(xc_interface *xch, const struct guest *g,
                        unsigned int j, uint32_t pages)
{
    const struct vr_record_driver *d = &g->rec.drivers[j];
    struct keeping k = {.driver = d, .zombie.pages = pages};
    char some[12] = "some";

    if (pages)
        snprintf(some, sizeof(some), "%" PRIu32, pages);
    say("guest %s: driver domain %s (%" PRIu32 ") still holds %s of its pages; "
        "until it lets go, they are not freed and the guest stays as a zombie, "
        "beside which it can be started again: restart vr-backend there, or xl "
        "destroy %s",
        g->rec.name, d->name, d->domid, some, d->name);
    if (!g->exists || d->domid == VR_DOMID_NONE ||
        vr_domstate_dead(guest_driver_state(xch, g, j)))
        return;
    k.zombie.domid = g->info.domain;
    strcpy(k.zombie.uuid, g->rec.uuid);
    strcpy(k.zombie.name, g->rec.name);
    if (proc_bounded(note_zombie, &k, STORE_SECONDS))
        say("guest %s: that could not be noted in xenstore: vrctl list will "
            "not show it",
            g->rec.name);
}

/*
 * Its table cannot be looked at when a guest is dying. That it stays says that
 * something of it is kept, most likely by one that it shared.
 */
static bool stays(xc_interface *xch, const struct guest *g)
{
    const struct timespec step = {.tv_nsec = 50 * 1000 * 1000};
    const uint64_t end = vr_now_ms() + RELEASE_MS;
    xc_domaininfo_t info;

    while (!vr_domain_info(xch, g->info.domain, &info)) {
        if (vr_now_ms() >= end)
            return true;
        nanosleep(&step, NULL);
    }
    return false;
}

/* @again: that was done when it was not dying yet. */
static void report_all(xc_interface *xch, const struct guest *g,
                       const uint32_t held[VR_MAX_DEVICES], bool again)
{
    bool dying = g->exists && g->info.flags & XEN_DOMINF_dying;
    unsigned int j;

    if (dying && (again || !stays(xch, g)))
        return;
    for (j = 0; j < g->rec.ndrivers; j++)
        if (held[j] || (dying && !g->rec.drivers[j].owned))
            report_held(xch, g, j, held[j]);
}

static int teardown(xc_interface *xch, struct guest *g, bool abort)
{
    const bool again = g->rec.phase == VR_PHASE_CLOSING;
    const uint32_t domid = g->rec.domid;
    uint32_t held[VR_MAX_DEVICES];
    int rc, status = EX_OK;
    struct vr_err err;

    resolve_all(xch, g);
    if (g->exists && !(g->info.flags & XEN_DOMINF_dying))
        xc_domain_pause(xch, g->info.domain);
    if (!abort && g->rec.phase != VR_PHASE_CLOSING) {
        /* From here on the record is good for nothing but this. */
        g->rec.phase = VR_PHASE_CLOSING;
        if (vr_record_save(&g->rec, &err))
            say("%s", err.text);
    }
    stop_broker(&g->rec);
    withdraw(&g->rec, false);
    windows_busy(g, RELEASE_MS, held);
    down_drivers(xch, &g->rec, true);
    rc = destroy_drivers(xch, &g->rec, NULL, abort);
    if (rc)
        status = EX_LEFT;
    windows_busy(g, RELEASE_MS, held);
    report_all(xch, g, held, again);
    if (windows_revoke(g))
        status = EX_LEFT;
    if (abort) {
        rc = destroy_domain(xch, g->rec.uuid, domid, true);
        if (rc) {
            say("guest %s: could not be destroyed completely: %s; run vrctl "
                "cleanup --stale, or xl destroy %s",
                g->rec.name, strerror(-rc), g->rec.name);
            status = EX_LEFT;
        }
    }
    if (withdraw(&g->rec, true))
        status = EX_LEFT;
    /* With something left, the record says what, and lets one try again. */
    if (status == EX_OK)
        vr_record_remove(g->rec.uuid);
    /* A guest that reboots needs them again in a moment. */
    if (!g->exists || vr_domain_state(&g->info) != VR_DOM_REBOOTING)
        down_drivers(xch, &g->rec, false);
    return status;
}

static int cleanup_one(xc_interface *xch, const char *uuid, bool abort)
{
    struct guest before, g;
    sigset_t polite, old;
    struct vr_err err;
    int lock, rc, status;

    rc = guest_load(xch, uuid, &before, &err);
    if (rc == -ENOENT) /* nothing was promised, or all is done */
        return EX_OK;
    if (rc) {
        say("%s; when it is beyond repair, destroy the guest and its driver "
            "domains by xl destroy and remove %s/%s.json",
            err.text, VR_RUN_DIR, uuid);
        return EX_FAILED;
    }
    lock = lock_take(uuid, LOCK_MS);
    if (lock < 0) {
        say("guest %s: another clean-up of it is at work: %s", before.rec.name,
            strerror(-lock));
        return EX_FAILED;
    }
    /* A ^C has to wait: a teardown that stops half-way would be worse, and it
     * takes a bounded time. */
    proc_polite(&polite);
    sigprocmask(SIG_BLOCK, &polite, &old);
    rc = guest_load(xch, uuid, &g, &err);
    if (rc == -ENOENT || (!rc && !same_life(&before.rec, &g.rec))) {
        /* Whoever held the lock before has done the work. If there is a record
         * again, it belongs to a guest that was started since, and must
         * stay. */
        status = EX_OK;
    } else if (rc) {
        say("%s", err.text);
        status = EX_FAILED;
    } else {
        status = teardown(xch, &g, abort);
    }
    lock_drop(uuid, lock);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return status;
}

static int cleanup_stale(xc_interface *xch)
{
    char(*uuids)[VR_UUID_LEN + 1] = NULL;
    int i, n, status = EX_OK, one;
    struct vr_err err;
    struct guest g;

    n = vr_record_list(&uuids);
    if (n < 0) {
        say("%s: %s", VR_RUN_DIR, strerror(-n));
        return EX_FAILED;
    }
    for (i = 0; i < n; i++) {
        const char *why;
        bool abort;

        if (guest_load(xch, uuids[i], &g, &err)) {
            say("%s", err.text);
            status = EX_FAILED;
            continue;
        }
        why = guest_stale(&g);
        if (!why)
            continue;
        /* A guest that was never let run has nobody to destroy it. */
        abort =
            g.rec.phase == VR_PHASE_CREATING || g.rec.phase == VR_PHASE_READY;
        printf("%s (%s): %s: cleaning up\n", g.rec.name, uuids[i], why);
        one = cleanup_one(xch, uuids[i], abort);
        if (one > status)
            status = one;
    }
    free(uuids);
    return status;
}

static int usage(void)
{
    fprintf(stderr, "usage: vrctl cleanup [--abort] UUID\n"
                    "       vrctl cleanup --driver DRIVER UUID\n"
                    "       vrctl cleanup --stale\n");
    return EX_USAGE;
}

static bool owns_driver(const struct vr_record *rec, const char *name)
{
    unsigned int i;

    for (i = 0; i < rec->ndrivers; i++)
        if (is_driver(&rec->drivers[i], name))
            return true;
    return false;
}

/* Destroys one driver domain, which holds memory that the guest has taken
 * back. The guest goes on. */
static int cleanup_driver(xc_interface *xch, const char *uuid, const char *name)
{
    struct vr_record *rec = malloc(sizeof(*rec));
    int status = EX_FAILED;
    struct vr_err err;

    if (!rec || vr_record_load(uuid, rec, &err))
        say("cleanup: %s", rec ? err.text : "out of memory");
    else if (!owns_driver(rec, name))
        say("cleanup: no driver domain %s was made for guest %s; vrctl show "
            "%s names those that were",
            name, rec->name, rec->name);
    else if (!destroy_drivers(xch, rec, name, false))
        status = EX_OK;
    free(rec);
    return status;
}

/* The broker becomes this program: whatever it did to its signals, a child's
 * end must be seen here. Those that ask for our end stay as they are: blocked
 * by the broker, not by a shell. */
static void reset_signals(void)
{
    sigset_t set, old, polite;

    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    proc_polite(&polite);
    sigprocmask(SIG_SETMASK, NULL, &old);
    sigandset(&set, &old, &polite);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

int cmd_cleanup(int argc, char **argv)
{
    bool abort = false, stale = false;
    const char *uuid = NULL, *driver = NULL;
    xc_interface *xch;
    int i, status;

    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--abort"))
            abort = true;
        else if (!strcmp(argv[i], "--driver") && argv[i + 1])
            driver = argv[++i];
        else if (!strcmp(argv[i], "--stale"))
            stale = true;
        else if (argv[i][0] != '-' && !uuid)
            uuid = argv[i];
        else
            return usage();
    }
    if ((stale ? abort || uuid : !uuid) || (driver && (stale || abort)))
        return usage();
    if (uuid && !vr_uuid_valid(uuid)) {
        say("cleanup: \"%s\": not a uuid in lower case; vrctl list --json "
            "shows it",
            uuid);
        return EX_USAGE;
    }
    reset_signals();
    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch) {
        say("cleanup: cannot reach the hypervisor: %s; run this as root in "
            "the toolstack domain",
            strerror(errno));
        return EX_FAILED;
    }
    if (driver)
        status = cleanup_driver(xch, uuid, driver);
    else
        status = stale ? cleanup_stale(xch) : cleanup_one(xch, uuid, abort);
    xc_interface_close(xch);
    return status;
}

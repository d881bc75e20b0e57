/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl survey: has the backends count for a while, and says what a guest's
 * devices should be set to. survey_print.c prints it. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "survey_job.h"

#define SECONDS 10u
/* Broker and backend hear of it within so much, and their figures are as old
 * when they arrive. */
#define LATE_MS 12000
#define LOOK_NS 100000000

static volatile sig_atomic_t enough;

static void on_signal(int sig)
{
    (void)sig;
    enough = 1;
}

/* Whoever does not want to wait any longer gets what was counted so far; nobody
 * is left that counts. */
static void hear_signals(void)
{
    const struct sigaction sa = {.sa_handler = on_signal};
    static const int polite[] = {SIGHUP, SIGINT, SIGTERM};
    unsigned int i;

    enough = 0;
    for (i = 0; i < VR_ARRAY_SIZE(polite); i++)
        sigaction(polite[i], &sa, NULL);
}

struct words {
    bool json, model;
    unsigned int seconds;
    const char *guest, *id;
    struct vr_survey_costs costs;
};

static bool parse_number(const char *s, double *out)
{
    char *end;

    errno = 0;
    *out = strtod(s, &end);
    return !errno && end != s && !*end && isfinite(*out) && *out >= 0 &&
           *out <= 1e12;
}

static bool parse_seconds(const char *s, unsigned int *out)
{
    double n;

    if (!parse_number(s, &n) || n < 1 || n > 3600)
        return false;
    *out = (unsigned int)n;
    return true;
}

static bool parse_model(char **argv, struct words *w)
{
    double mib;

    w->model = true;
    if (!parse_number(argv[0], &w->costs.exit_ns) ||
        !parse_number(argv[1], &mib) ||
        !parse_number(argv[2], &w->costs.page_ns))
        return false;
    w->costs.rate = mib * (1 << 20) / 1e9;
    /* A KiB a second: what is divided by it stays a number. */
    return mib >= 1.0 / 1024;
}

static bool parse_words(int argc, char **argv, struct words *w)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            w->json = true;
        } else if (!strcmp(argv[i], "--seconds") && i + 1 < argc) {
            if (!parse_seconds(argv[++i], &w->seconds))
                return false;
        } else if (!strcmp(argv[i], "--model") && i + 3 < argc) {
            if (!parse_model(argv + i + 1, w))
                return false;
            i += 3;
        } else if (argv[i][0] == '-' || w->id) {
            return false;
        } else if (w->guest) {
            w->id = argv[i];
        } else {
            w->guest = argv[i];
        }
    }
    return w->guest || w->model;
}

static bool wanted(const struct words *w, const struct vr_record *rec,
                   unsigned int i)
{
    return !w->id || !strcmp(w->id, rec->devs[i].cfg.id);
}

/* Are the figures of all devices of survey @session, and of a whole one? */
static bool ready(const struct words *w, const struct vr_record *rec,
                  const struct vr_stats *stats, uint32_t session)
{
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++) {
        const struct vr_survey_figures *f = &stats->dev[i].survey;

        if (wanted(w, rec, i) &&
            (f->session != session || f->ns / 1000000000 < w->seconds))
            return false;
    }
    return true;
}

/* Has one of them begun? */
static bool begun(const struct vr_record *rec, const struct vr_stats *stats,
                  uint32_t session)
{
    unsigned int i;

    for (i = 0; i < rec->ndevs; i++)
        if (stats->dev[i].survey.session == session)
            return true;
    return false;
}

/* Returns 0 or -errno, said. */
static int count(const struct words *w, const struct vr_record *rec,
                 struct vr_stats *stats, uint32_t *session)
{
    const struct timespec step = {.tv_nsec = LOOK_NS};
    int64_t now = (int64_t)vr_now_ms();
    int64_t until = now + w->seconds * INT64_C(1000) + LATE_MS;
    bool told = false;
    int rc;

    /* Not 0, and not that of the one before. */
    *session = (uint32_t)now | 1;
    if (*session == stats->survey.session)
        *session += 2;
    hear_signals();
    rc = vr_stats_ask(rec->uuid, *session, until);
    if (rc) {
        say("guest %s: its figures cannot be written to: %s", rec->name,
            strerror(-rc));
        return rc;
    }
    while (!enough && !ready(w, rec, stats, *session) &&
           (int64_t)vr_now_ms() < until) {
        nanosleep(&step, NULL);
        if (!told && begun(rec, stats, *session)) {
            say("counting for %u s", w->seconds);
            told = true;
        }
        if (stats->survey.session == *session)
            continue;
        say("guest %s: another survey has begun", rec->name);
        return -EBUSY;
    }
    return vr_stats_ask(rec->uuid, *session, 0);
}

static int take(const struct words *w, const struct vr_record *rec,
                struct vr_stats *stats)
{
    struct survey_job job = {.rec = rec, .costs = &w->costs, .own = w->model};
    uint32_t session;
    unsigned int i, n = 0;

    if (count(w, rec, stats, &session))
        return EX_FAILED;
    for (i = 0; i < rec->ndevs && i < VR_MAX_DEVICES; i++) {
        struct survey_dev *d = &job.dev[i];

        if (!wanted(w, rec, i))
            continue;
        n++;
        d->shown = true;
        d->figures = stats->dev[i].survey;
        d->counted = d->figures.session == session;
        if (d->counted)
            vr_survey_advise(&d->figures, &rec->devs[i].cfg, &w->costs,
                             &d->advice);
    }
    if (!n) {
        say("guest %s has no restricted device \"%s\"", rec->name, w->id);
        return EX_FAILED;
    }
    if (w->json)
        survey_json(&job);
    else
        survey_print(&job);
    return EX_OK;
}

static int survey_guest(const struct words *w)
{
    struct vr_stats *stats = NULL;
    struct guest *g = NULL;
    int status = EX_FAILED;
    struct vr_err err;
    xc_interface *xch;

    xch = xc_interface_open(NULL, NULL, 0);
    g = calloc(1, sizeof(*g));
    if (!xch || !g) {
        say("cannot reach the hypervisor: %s; run this as root in the "
            "toolstack domain",
            strerror(errno));
        goto out;
    }
    if (guest_lookup(xch, w->guest, g, &err)) {
        say("%s", err.text);
        goto out;
    }
    stats = vr_stats_open(g->rec.uuid, false);
    if (!stats) {
        say("guest %s has no figures: %s; its broker may be of another "
            "release, or is gone",
            g->rec.name, strerror(errno));
        goto out;
    }
    status = take(w, &g->rec, stats);
out:
    vr_stats_close(stats);
    free(g);
    if (xch)
        xc_interface_close(xch);
    return status;
}

int cmd_survey(int argc, char **argv)
{
    struct words w = {.seconds = SECONDS, .costs = vr_survey_counted};

    if (!parse_words(argc, argv, &w)) {
        fprintf(stderr,
                "usage: vrctl survey [--json] [--seconds N] [--model EXIT RATE "
                "PAGE] GUEST [ID]\n"
                "       vrctl survey --model EXIT RATE PAGE\n"
                "EXIT: nanoseconds of a MAP or UNMAP without its pages; RATE: "
                "MiB/s of a copy;\n"
                "PAGE: nanoseconds to grant, reach and take back a page\n");
        return EX_USAGE;
    }
    if (!w.guest) {
        survey_model(&w.costs, w.json);
        return EX_OK;
    }
    return survey_guest(&w);
}

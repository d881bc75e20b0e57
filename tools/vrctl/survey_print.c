/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrctl survey's answer, for people and as JSON. The figures may be anything;
 * only numbers of them are printed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "survey_job.h"

struct text {
    char s[32];
};

/* In the largest unit of which there is one; each has @step of the one before.
 */
static struct text scaled(double n, double step, const char *const unit[4])
{
    struct text t;
    unsigned int i = 0;

    for (; n >= step && i < 3; i++)
        n /= step;
    snprintf(t.s, sizeof(t.s), n < 10 && i ? "%.1f %s" : "%.0f %s", n, unit[i]);
    return t;
}

static struct text size_of(double bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB"};

    return scaled(bytes, 1024, unit);
}

static struct text time_of(double ns)
{
    static const char *const unit[] = {"ns", "us", "ms", "s"};

    return scaled(ns, 1000, unit);
}

static double sum(const uint64_t *counts, unsigned int n)
{
    double all = 0;

    while (n--)
        all += (double)counts[n];
    return all;
}

static double percent(double part, double all)
{
    return all > 0 ? 100 * part / all : 0;
}

static const char *mode_name(enum vr_mode mode)
{
    return mode == VR_MODE_STATIC    ? "static"
           : mode == VR_MODE_DYNAMIC ? "dynamic"
                                     : "mixed";
}

/* As in the configuration: "mode=static, size=4M". */
static void print_keys(enum vr_mode mode, uint64_t size, uint64_t aperture)
{
    char text[24];

    printf("mode=%s", mode_name(mode));
    if (size)
        printf(", size=%s", vr_format_size(size, text));
    if (aperture)
        printf(", aperture=%s", vr_format_size(aperture, text));
}

/* ---- for people ---- */

static void print_load(const struct vr_survey_figures *f,
                       const struct vr_survey_advice *a)
{
    const double seconds = (double)f->ns / 1e9;
    unsigned int half = vr_survey_quantile(f->time, VR_SURVEY_TIMES, 0.5);
    unsigned int most = vr_survey_quantile(f->time, VR_SURVEY_TIMES, 0.9);

    printf("  requests      %" PRIu64 " in %.1f s; %s to the guest, %s from "
           "it\n",
           f->requests, seconds, size_of((double)f->in_bytes).s,
           size_of((double)f->out_bytes).s);
    printf("  under way     at most %" PRIu64 " requests of %s; they take %s "
           "of a pool\n",
           f->most_requests, size_of((double)f->most_bytes).s,
           size_of((double)a->room).s);
    if (most < VR_SURVEY_TIMES)
        printf("  answered      half of them within %s, nine of ten within "
               "%s\n",
               time_of(2e3 * (double)(1u << half)).s,
               time_of(2e3 * (double)(1u << most)).s);
}

static void print_buffers(const struct vr_survey_figures *f,
                          const struct vr_survey_advice *a)
{
    double buffers = 0, bytes = 0;
    unsigned int i;

    for (i = 0; i < VR_SURVEY_SIZES; i++) {
        buffers += (double)f->size[i].buffers;
        bytes += (double)f->size[i].bytes;
    }
    printf("  buffers       %.1f a request, %s each\n", a->pieces,
           size_of(a->per_piece).s);
    for (i = 0; i < VR_SURVEY_SIZES; i++) {
        const struct vr_survey_size *s = &f->size[i];

        if (s->buffers)
            printf("    from %-8s %5.1f %% of the buffers, %5.1f %% of the "
                   "bytes, %5.1f %% of these in whole pages\n",
                   size_of(i ? (double)(VR_SURVEY_LEAST << i) : 0).s,
                   percent((double)s->buffers, buffers),
                   percent((double)s->bytes, bytes),
                   percent((double)s->whole, (double)s->bytes));
    }
}

static void print_pages(const struct vr_survey_figures *f,
                        const struct vr_survey_advice *a)
{
    const double all = sum(f->align, VR_SURVEY_ALIGN);
    const double met = sum(f->again, VR_SURVEY_AGAIN);

    printf(
        "  begin         %.0f %% at a page, %.0f %% at 512 bytes, %.0f %% at "
        "16, %.0f %% elsewhere\n",
        percent((double)f->align[0], all), percent((double)f->align[1], all),
        percent((double)f->align[2], all), percent((double)f->align[3], all));
    printf("  pages         %.0f %% again of one of the last 15 buffers, %.0f "
           "%% of the last 1023\n",
           percent(sum(f->again, 2), met), percent(sum(f->again, 5), met));
    printf("  neighbours    %.0f %% beside another one on the page, %.0f %% "
           "less than 64 bytes away\n",
           percent(sum(f->apart, VR_SURVEY_APART), all),
           percent((double)f->apart[0], all));
    printf(
        "  if mapped     %.1f bytes of pages are in reach for each byte that "
        "is needed\n",
        a->exposed);
}

static void print_costs(const struct survey_job *job,
                        const struct vr_survey_advice *a)
{
    const struct vr_survey_costs *c = job->costs;

    printf("  cost          of a request: %s if copied, %s if mapped",
           time_of(a->copied_ns).s, time_of(a->mapped_ns).s);
    if (a->mixed_from)
        printf(", %s if mapped from %s on", time_of(a->mixed_ns).s,
               size_of((double)a->mixed_from).s);
    printf("\n                (an exit %s, a page %s, a copy %.1f GB/s: %s)\n",
           time_of(c->exit_ns).s, time_of(c->page_ns).s, c->rate,
           job->own ? "as said by --model"
                    : "this project's emulated host; see --model");
}

static void print_reason(const struct vr_survey_advice *a)
{
    switch (a->mode) {
    case VR_MODE_STATIC:
        if (a->mapped_ns > a->copied_ns)
            printf("mapping costs %.1f times as much as copying",
                   a->copied_ns > 0 ? a->mapped_ns / a->copied_ns : 0);
        else
            printf("mapping saves too little");
        printf(", and a pool exposes nothing beside the buffers");
        break;
    case VR_MODE_MIXED:
        printf("to map from %s on, and to copy the rest, costs %.2f of copying "
               "all; it needs the guest module",
               size_of((double)a->threshold).s, a->mixed_ns / a->copied_ns);
        break;
    case VR_MODE_DYNAMIC:
        printf("mapping costs %.2f of copying; %.1f bytes are exposed for each "
               "one",
               a->mapped_ns / a->copied_ns, a->exposed);
        break;
    }
}

static void print_advice(const struct vr_survey_advice *a)
{
    char text[24];

    printf("  recommended   ");
    print_keys(a->mode, a->size, a->aperture);
    if (a->threshold)
        printf("; in the guest threshold=%s",
               vr_format_size(a->threshold, text));
    printf("\n  because       ");
    print_reason(a);
    putchar('\n');
}

static void print_dev(const struct survey_job *job, unsigned int i)
{
    const struct vr_dev_cfg *cfg = &job->rec->devs[i].cfg;
    const struct survey_dev *d = &job->dev[i];

    printf("device %s: %s, ", cfg->id, vr_type_name(cfg->type));
    print_keys(cfg->mode, vr_cfg_has_pool(cfg) ? cfg->size : 0,
               vr_cfg_has_iova(cfg) ? cfg->aperture : 0);
    putchar('\n');
    if (!d->counted) {
        printf("  its backend did not count: the guest's driver does not run "
               "the device, or the backend is of another release or does not "
               "answer\n");
        return;
    }
    if (!d->advice.known) {
        printf("  no request was seen: survey it while it is used\n");
        return;
    }
    print_load(&d->figures, &d->advice);
    print_buffers(&d->figures, &d->advice);
    print_pages(&d->figures, &d->advice);
    print_costs(job, &d->advice);
    print_advice(&d->advice);
    if (cfg->mode == VR_MODE_STATIC)
        printf("  note          seen are the copies in the pool; where the "
               "driver's own buffers lie, a recorder in the guest sees "
               "(docs/survey)\n");
}

void survey_print(const struct survey_job *job)
{
    unsigned int i, n = 0;

    for (i = 0; i < job->rec->ndevs; i++) {
        if (!job->dev[i].shown)
            continue;
        if (n++)
            putchar('\n');
        print_dev(job, i);
    }
}

/* ---- as JSON ---- */

static void json_counts(yajl_gen j, const char *name, const uint64_t *counts,
                        unsigned int n)
{
    unsigned int i;

    json_key(j, name);
    yajl_gen_array_open(j);
    for (i = 0; i < n; i++)
        json_count(j, counts[i]);
    yajl_gen_array_close(j);
}

static void json_figures(yajl_gen j, const struct vr_survey_figures *f)
{
    unsigned int i;

    json_u64(j, "ns", f->ns);
    json_u64(j, "requests", f->requests);
    json_u64(j, "looked", f->looked);
    json_u64(j, "out_bytes", f->out_bytes);
    json_u64(j, "in_bytes", f->in_bytes);
    json_u64(j, "most_requests", f->most_requests);
    json_u64(j, "most_bytes", f->most_bytes);
    json_u64(j, "most_small", f->most_small);
    json_u64(j, "most_pages", f->most_pages);
    json_key(j, "sizes");
    yajl_gen_array_open(j);
    for (i = 0; i < VR_SURVEY_SIZES; i++) {
        yajl_gen_map_open(j);
        json_u64(j, "from", i ? VR_SURVEY_LEAST << i : 0);
        json_u64(j, "buffers", f->size[i].buffers);
        json_u64(j, "bytes", f->size[i].bytes);
        json_u64(j, "whole", f->size[i].whole);
        json_u64(j, "pages", f->size[i].pages);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
    json_counts(j, "align", f->align, VR_SURVEY_ALIGN);
    json_counts(j, "again", f->again, VR_SURVEY_AGAIN);
    json_counts(j, "apart", f->apart, VR_SURVEY_APART);
    json_counts(j, "time", f->time, VR_SURVEY_TIMES);
}

static void json_advice(yajl_gen j, const struct vr_survey_advice *a)
{
    json_key(j, "advice");
    yajl_gen_map_open(j);
    json_str(j, "mode", mode_name(a->mode));
    json_u64(j, "size", a->size);
    json_u64(j, "aperture", a->aperture);
    json_u64(j, "threshold", a->threshold);
    json_u64(j, "room", a->room);
    json_double(j, "copied_ns", a->copied_ns);
    json_double(j, "mapped_ns", a->mapped_ns);
    json_double(j, "mixed_ns", a->mixed_ns);
    json_u64(j, "mixed_from", a->mixed_from);
    json_double(j, "exposed", a->exposed);
    yajl_gen_map_close(j);
}

static void json_costs(yajl_gen j, const struct vr_survey_costs *c)
{
    json_key(j, "costs");
    yajl_gen_map_open(j);
    json_double(j, "exit_ns", c->exit_ns);
    json_double(j, "bytes_per_ns", c->rate);
    json_double(j, "page_ns", c->page_ns);
    yajl_gen_map_close(j);
}

void survey_json(const struct survey_job *job)
{
    yajl_gen j = json_begin();
    unsigned int i;

    if (!j)
        return;
    json_str(j, "guest", job->rec->name);
    json_costs(j, job->costs);
    json_key(j, "devices");
    yajl_gen_array_open(j);
    for (i = 0; i < job->rec->ndevs; i++) {
        const struct survey_dev *d = &job->dev[i];

        if (!d->shown)
            continue;
        yajl_gen_map_open(j);
        json_str(j, "id", job->rec->devs[i].cfg.id);
        json_str(j, "type", vr_type_name(job->rec->devs[i].cfg.type));
        json_str(j, "mode", mode_name(job->rec->devs[i].cfg.mode));
        json_bool(j, "counted", d->counted);
        if (d->counted)
            json_figures(j, &d->figures);
        if (d->advice.known)
            json_advice(j, &d->advice);
        yajl_gen_map_close(j);
    }
    yajl_gen_array_close(j);
    json_end(j);
}

/* ---- the calculator ---- */

void survey_model(const struct vr_survey_costs *costs, bool json)
{
    const uint64_t from = vr_survey_crossover(costs);
    const uint64_t longest = UINT64_C(1) << 20;
    char text[24];

    if (json) {
        yajl_gen j = json_begin();

        if (!j)
            return;
        json_costs(j, costs);
        json_u64(j, "crossover", from);
        json_end(j);
        return;
    }
    if (!from) {
        printf("Copying is cheaper at every size: a page is copied in %s and "
               "mapped in %s. Use mode=static.\n",
               time_of(vr_survey_copy_ns(costs, VR_PAGE_SIZE)).s,
               time_of(costs->page_ns).s);
        return;
    }
    printf("Mapping is cheaper from %s on", size_of((double)from).s);
    if (from > longest)
        printf(", longer than a buffer can be. Use mode=static.\n");
    else
        printf(". Use mode=mixed with threshold=%s in the guest, or "
               "mode=dynamic if nearly all buffers are longer.\n",
               vr_format_size(from, text));
}

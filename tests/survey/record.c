/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records what one device's driver does with memory while a command runs:
 *
 *     record [-b KIB] -d DEVICE -o FILE COMMAND [ARGUMENT...]
 *
 * DEVICE is what the kernel calls the device that does the DMA, for a virtio
 * device its parent: 0000:00:03.0. The driver is not changed; nothing is needed
 * but a kernel with the trace events of the DMA API (Linux 6.12), and root. The
 * command may write to /sys/kernel/tracing/trace_marker; what it writes stands
 * in FILE as it came.
 *
 * FILE has a line for each event: microseconds, kind, direction, address for
 * the device, address in memory, size; see events.h. Events are kept in the
 * kernel until the command has ended, so that writing them disturbs nothing.
 * When some did not fit, that is an error: say a larger -b.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events.h"

#define TRACING     "/sys/kernel/tracing/"
#define DEFAULT_KIB "65536"

/* What is asked of the kernel: an event, the field that names the device, and
 * whether a kernel without the event will do. */
static const struct {
    const char *event, *device;
    bool optional;
} wanted[] = {
    {"dma/dma_map_page", "device", false},
    {"dma/dma_unmap_page", "device", false},
    {"dma/dma_map_sg", "device", false},
    {"dma/dma_unmap_sg", "device", false},
    {"dma/dma_alloc", "device", false},
    {"dma/dma_free", "device", false},
    {"dma/dma_map_sg_err", "device", true},
    {"dma/dma_map_resource", "device", true},
    {"dma/dma_unmap_resource", "device", true},
    {"dma/dma_alloc_pages", "device", true},
    {"dma/dma_free_pages", "device", true},
    {"swiotlb/swiotlb_bounced", "dev_name", true},
    /* These name no device: leave others alone meanwhile. */
    {"iommu/map", NULL, true},
    {"iommu/unmap", NULL, true},
};

static int put(const char *name, const char *text)
{
    char path[256];
    ssize_t r;
    int fd;

    snprintf(path, sizeof(path), TRACING "%s", name);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return -1;
    r = write(fd, text, strlen(text));
    close(fd);
    return r < 0 ? -1 : 0;
}

static int fail(const char *what)
{
    fprintf(stderr, "record: " TRACING "%s: %s\n", what, strerror(errno));
    return -1;
}

/* Asks for one event of this device. */
static int want(size_t i, const char *device)
{
    char name[128], filter[128];

    snprintf(name, sizeof(name), "events/%s/enable", wanted[i].event);
    if (put(name, "0"))
        return wanted[i].optional && errno == ENOENT ? 0 : fail(name);
    if (wanted[i].device) {
        snprintf(name, sizeof(name), "events/%s/filter", wanted[i].event);
        snprintf(filter, sizeof(filter), "%s == \"%s\"", wanted[i].device,
                 device);
        if (put(name, filter))
            return fail(name);
        snprintf(name, sizeof(name), "events/%s/enable", wanted[i].event);
    }
    return put(name, "1") ? fail(name) : 0;
}

static int start(const char *device, const char *kib)
{
    static const char *const before[][2] = {
        {"tracing_on", "0"},
        {"events/enable", "0"},
        {"current_tracer", "nop"},
        {"trace_clock", "mono"},
    };
    size_t i;

    for (i = 0; i < sizeof(before) / sizeof(*before); i++) {
        if (put(before[i][0], before[i][1]))
            return fail(before[i][0]);
    }
    if (put("buffer_size_kb", kib))
        return fail("buffer_size_kb");
    if (put("trace", ""))
        return fail("trace");
    for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        if (want(i, device))
            return -1;
    }
    return put("tracing_on", "1") ? fail("tracing_on") : 0;
}

/* How many events found no room. */
static int lost(uint64_t *lost_r)
{
    unsigned long long n;
    char line[128];
    glob_t found;
    FILE *file;
    size_t i;

    *lost_r = 0;
    if (glob(TRACING "per_cpu/cpu*/stats", 0, NULL, &found))
        return fail("per_cpu");
    for (i = 0; i < found.gl_pathc; i++) {
        file = fopen(found.gl_pathv[i], "re");
        if (!file)
            continue;
        while (fgets(line, sizeof(line), file)) {
            if (sscanf(line, "overrun: %llu", &n) == 1 ||
                sscanf(line, "commit overrun: %llu", &n) == 1 ||
                sscanf(line, "dropped events: %llu", &n) == 1)
                *lost_r += n;
        }
        fclose(file);
    }
    globfree(&found);
    return 0;
}

static void print(const struct sv_event *ev, void *arg)
{
    FILE *out = arg;

    if (ev->kind == SV_MARK)
        fprintf(out, "%" PRIu64 ",mark,%s\n", ev->us, ev->text);
    else
        fprintf(out, "%" PRIu64 ",%s,%s,%" PRIx64 ",%" PRIx64 ",%" PRIu64 "\n",
                ev->us, sv_kind_name(ev->kind), sv_dir_name(ev->dir), ev->dma,
                ev->phys, ev->size);
}

static int save(const char *path)
{
    static char line[SV_MAX_LINE];
    FILE *trace = NULL, *out = NULL;
    uint64_t missed;
    int rc = -1;

    trace = fopen(TRACING "trace", "re");
    out = fopen(path, "we");
    if (!trace || !out) {
        fprintf(stderr, "record: %s: %s\n", out ? TRACING "trace" : path,
                strerror(errno));
        goto out;
    }
    while (fgets(line, sizeof(line), trace)) {
        line[strcspn(line, "\n")] = '\0';
        if (sv_parse(line, print, out) >= 0)
            continue;
        fprintf(stderr, "record: not as Linux 6.12 writes it: %s\n", line);
        goto out;
    }
    if (lost(&missed))
        goto out;
    if (missed) {
        fprintf(stderr,
                "record: %" PRIu64 " events found no room: say a larger -b\n",
                missed);
        goto out;
    }
    rc = 0;

out:
    if (trace)
        fclose(trace);
    if (out && fclose(out)) {
        fprintf(stderr, "record: %s: %s\n", path, strerror(errno));
        rc = -1;
    }
    return rc;
}

static int run(char **command)
{
    int status;
    pid_t pid;

    pid = fork();
    if (!pid) {
        execvp(command[0], command);
        fprintf(stderr, "record: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    fprintf(stderr, "record: %s failed, status %#x\n", command[0], status);
    return -1;
}

int main(int argc, char **argv)
{
    const char *device = NULL, *path = NULL, *kib = DEFAULT_KIB;
    int opt, rc;

    while ((opt = getopt(argc, argv, "+b:d:o:")) != -1) {
        switch (opt) {
        case 'b':
            kib = optarg;
            break;
        case 'd':
            device = optarg;
            break;
        case 'o':
            path = optarg;
            break;
        default:
            device = NULL;
            optind = argc;
        }
    }
    if (!device || !path || optind >= argc || strlen(device) > 64) {
        fprintf(stderr,
                "usage: record [-b KIB] -d DEVICE -o FILE COMMAND...\n");
        return 2;
    }
    if (start(device, kib))
        return 1;
    rc = run(argv + optind);
    if (put("tracing_on", "0") || put("events/enable", "0"))
        rc = fail("tracing_on");
    if (save(path))
        rc = -1;
    return rc ? 1 : 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vr-backend: serves restricted virtio devices from within a driver domain. The
 * command line; manager/ does the rest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/manager/devices.h"
#include "backend/net/keeper.h"
#include "sandbox.h"

#define WAIT_DEFAULT 180 /* seconds */
#define WAIT_MAX     3600

static void usage(FILE *f)
{
    fprintf(f,
            "usage: vr-backend [-dhnSt] [-c auto|direct|buffered] [-u user] "
            "[-w seconds]\n"
            "       vr-backend --version\n"
            "Serves the virtio_restricted devices that xenstore lists for "
            "this domain.\n"
            "  -c  how to do I/O: direct where it works (auto, the default),\n"
            "      always direct, or through the page cache\n"
            "  -d  no system call filter, for a debugger\n"
            "  -n  serve network devices, too: a process keeps root's rights "
            "for\n"
            "      their interfaces\n"
            "  -S  wait for xenstore instead of failing\n"
            "  -t  threads instead of io_uring\n"
            "  -u  the user to become\n"
            "  -w  how long SIGTERM waits for guests to end (%u); SIGINT does "
            "not\n",
            WAIT_DEFAULT);
}

static int parse_cache(const char *s, enum vr_cache *out)
{
    static const char *const names[] = {
        [VR_CACHE_AUTO] = "auto",
        [VR_CACHE_DIRECT] = "direct",
        [VR_CACHE_BUFFERED] = "buffered",
    };
    unsigned int i;

    for (i = 0; i < VR_ARRAY_SIZE(names); i++) {
        if (!strcmp(s, names[i])) {
            *out = i;
            return 0;
        }
    }
    return -EINVAL;
}

struct options {
    struct vr_worker_opts worker;
    const char *user; /* to become; NULL: as we are */
    bool patient;     /* wait for xenstore */
    bool network;     /* start a keeper */
    bool help;
};

/* One option. 0, or -EINVAL when that was said. */
static int take_option(struct options *o, int option)
{
    uint64_t seconds;

    switch (option) {
    case 'c':
        if (!parse_cache(optarg, &o->worker.io.cache))
            return 0;
        fprintf(stderr, "vr-backend: -c %s: not auto, direct or buffered\n",
                optarg);
        return -EINVAL;
    case 'd':
        o->worker.no_sandbox = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    case 'n':
        o->network = true;
        return 0;
    case 'S':
        o->patient = true;
        return 0;
    case 't':
        o->worker.io.threads = true;
        return 0;
    case 'u':
        o->user = optarg;
        return 0;
    case 'w':
        if (vr_parse_u64(optarg, WAIT_MAX, &seconds)) {
            fprintf(stderr, "vr-backend: -w %s: not 0 to %u seconds\n", optarg,
                    WAIT_MAX);
            return -EINVAL;
        }
        o->worker.wait = seconds * 1000;
        return 0;
    default:
        usage(stderr);
        return -EINVAL;
    }
}

static int parse_options(int argc, char **argv, struct options *o)
{
    int option;

    while ((option = getopt(argc, argv, "c:dhnStu:w:")) != -1) {
        if (take_option(o, option))
            return -EINVAL;
        if (o->help)
            return 0;
    }
    if (optind == argc)
        return 0;
    usage(stderr);
    return -EINVAL;
}

int main(int argc, char **argv)
{
    struct options o = {
        .worker = {.io = {.cache = VR_CACHE_AUTO, .keeper = -1},
                   .wait = WAIT_DEFAULT * 1000,
                   .haste = 1},
    };
    struct vr_err err = {""};
    int rc;

    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("vr-backend (virtio-restricted) " VR_VERSION);
        return 0;
    }
    if (parse_options(argc, argv, &o))
        return 2;
    if (o.help) {
        usage(stdout);
        return 0;
    }
    rc = o.network ? vr_keeper_start(&o.worker.io.keeper, &err) : 0;
    vr_sandbox_locked();
    if (!rc && o.user)
        rc = vr_sandbox_user(o.user, &err);
    if (!rc) {
        do {
            rc = vr_devices_serve(&o.worker, &err);
        } while (rc && o.patient && !sleep(1));
    }
    if (rc)
        fprintf(stderr, "vr-backend: %s\n", err.text);
    return rc ? 1 : 0;
}

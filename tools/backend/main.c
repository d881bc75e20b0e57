/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vr-backend: serves restricted virtio devices from within a driver domain. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/manager/devices.h"
#include "sandbox.h"

#define WAIT_DEFAULT 180 /* seconds */
#define WAIT_MAX     3600

static void usage(FILE *f)
{
    fprintf(f,
            "usage: vr-backend [-dhSt] [-c auto|direct|buffered] [-u user] "
            "[-w seconds]\n"
            "       vr-backend --version\n"
            "Serves the virtio_restricted devices that xenstore lists for "
            "this domain.\n"
            "  -c  how to do I/O: direct where it works (auto, the default),\n"
            "      always direct, or through the page cache\n"
            "  -d  no system call filter, for a debugger\n"
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

int main(int argc, char **argv)
{
    struct vr_worker_opts opts = {
        .io = {.cache = VR_CACHE_AUTO},
        .wait = WAIT_DEFAULT * 1000,
        .haste = 1,
    };
    const char *user = NULL;
    bool patient = false;
    struct vr_err err = {""};
    uint64_t seconds;
    int rc, o;

    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("vr-backend (virtio-restricted) " VR_VERSION);
        return 0;
    }
    while ((o = getopt(argc, argv, "c:dhStu:w:")) != -1) {
        switch (o) {
        case 'c':
            if (parse_cache(optarg, &opts.io.cache)) {
                fprintf(stderr,
                        "vr-backend: -c %s: not auto, direct or "
                        "buffered\n",
                        optarg);
                return 2;
            }
            break;
        case 'd':
            opts.no_sandbox = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        case 'S':
            patient = true;
            break;
        case 't':
            opts.io.threads = true;
            break;
        case 'u':
            user = optarg;
            break;
        case 'w':
            if (vr_parse_u64(optarg, WAIT_MAX, &seconds)) {
                fprintf(stderr, "vr-backend: -w %s: not 0 to %u seconds\n",
                        optarg, WAIT_MAX);
                return 2;
            }
            opts.wait = seconds * 1000;
            break;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return 2;
    }
    rc = user ? vr_sandbox_user(user, &err) : 0;
    if (!rc) {
        do {
            rc = vr_devices_serve(&opts, &err);
        } while (rc && patient && !sleep(1));
    }
    if (rc)
        fprintf(stderr, "vr-backend: %s\n", err.text);
    return rc ? 1 : 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gx [-t SECONDS] [-u SECONDS] GUEST [COMMAND...]
 *
 * In dom0: runs a shell command in the domain GUEST (a name or a domid) through
 * the agent there (agent.c), prints its output and ends with its status. Waits
 * -u seconds (60) for the agent to come up. Without COMMAND only that.
 * 124: killed after -t seconds (30). 125: no agent or no such domain.
 * 126: the agent does not answer.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static char *node(struct xs_handle *xs, unsigned int dom, const char *leaf)
{
    char path[128];
    unsigned int len;

    snprintf(path, sizeof(path), "/local/domain/%u/%s", dom, leaf);
    return xs_read(xs, XBT_NULL, path, &len);
}

/* The domain of that name or number that came last; -1: none. */
static int lookup(struct xs_handle *xs, const char *guest)
{
    unsigned int num;
    int found = -1;
    char *name, **dirs;

    if (guest[strspn(guest, "0123456789")] == '\0')
        return atoi(guest);
    dirs = xs_directory(xs, XBT_NULL, "/local/domain", &num);
    for (unsigned int i = 0; dirs && i < num; i++) {
        name = node(xs, atoi(dirs[i]), "name");
        if (name && !strcmp(name, guest) && atoi(dirs[i]) > found)
            found = atoi(dirs[i]);
        free(name);
    }
    free(dirs);
    return found;
}

int main(int argc, char **argv)
{
    double limit = 30, up = 60, end;
    unsigned long seq, got;
    struct xs_handle *xs;
    unsigned int len;
    int dom = -1, opt, rc, pieces, step = 10000;
    char path[128], leaf[32], *value;
    static char command[3900];
    size_t at;

    while ((opt = getopt(argc, argv, "+t:u:")) != -1) {
        if (opt == 't')
            limit = atof(optarg);
        else if (opt == 'u')
            up = atof(optarg);
        else
            return 2;
    }
    if (optind >= argc)
        return 2;
    xs = xs_open(0);
    if (!xs) {
        fprintf(stderr, "gx: no xenstore\n");
        return 125;
    }
    end = now() + up;
    for (;;) {
        dom = lookup(xs, argv[optind]);
        value = dom < 0 ? NULL : node(xs, dom, "data/vr-test/up");
        if (value)
            break;
        if (now() > end) {
            fprintf(stderr, "gx: %s: %s after %g s\n", argv[optind],
                    dom < 0 ? "no such domain" : "agent not up", up);
            return 125;
        }
        usleep(50000);
    }
    free(value);
    if (optind + 1 == argc)
        return 0;

    seq = (unsigned long)(now() * 1e6) ^ ((unsigned long)getpid() << 44);
    at = snprintf(command, sizeof(command), "%lu %g ", seq, limit);
    for (int i = optind + 1; i < argc; i++)
        at += snprintf(command + at, sizeof(command) - at, "%s%s",
                       i > optind + 1 ? " " : "", argv[i]);
    if (at >= sizeof(command)) {
        fprintf(stderr, "gx: command too long\n");
        return 2;
    }
    snprintf(path, sizeof(path), "/local/domain/%d/data/vr-test/cmd", dom);
    if (!xs_write(xs, XBT_NULL, path, command, at)) {
        fprintf(stderr, "gx: %s: %s\n", path, strerror(errno));
        return 125;
    }
    end = now() + limit + 20;
    for (;;) {
        usleep(step);
        if (step < 100000)
            step += step / 4;
        value = node(xs, dom, "data/vr-test/rc");
        if (value && sscanf(value, "%lu %d %d", &got, &rc, &pieces) == 3 &&
            got == seq)
            break;
        if (!value) {
            free(value);
            value = node(xs, dom, "data/vr-test/up");
            if (!value) {
                fprintf(stderr, "gx: %s is gone\n", argv[optind]);
                return 125;
            }
        }
        free(value);
        if (now() > end) {
            fprintf(stderr, "gx: %s does not answer\n", argv[optind]);
            return 126;
        }
    }
    free(value);
    for (int i = 0; i < pieces && i < 64; i++) {
        snprintf(leaf, sizeof(leaf), "data/vr-test/out/%d", i);
        snprintf(path, sizeof(path), "/local/domain/%d/%s", dom, leaf);
        value = xs_read(xs, XBT_NULL, path, &len);
        if (value)
            fwrite(value, 1, len, stdout);
        free(value);
    }
    xs_close(xs);
    return rc;
}

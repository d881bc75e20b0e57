/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl: finds the command and calls it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vrctl.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis;
} commands[] = {
    {"list", cmd_list, "[--json]                  all restricted devices"},
    {"show", cmd_show, "[--json] GUEST [ID]       one guest in detail"},
    {"check", cmd_check, "[--json]                  can this host do it?"},
    {"audit", cmd_audit,
     "[--json] [--pause] GUEST  who can reach which of its pages"},
    {"survey", cmd_survey,
     "[--json] [--seconds N] GUEST [ID]\n"
     "                                     which mode fits, and how large\n"
     "  survey   --model EXIT RATE PAGE    the same, from three figures"},
    {"cleanup", cmd_cleanup,
     "--stale | [--abort] UUID  take devices down, undo leftovers\n"
     "  cleanup  --driver DRIVER UUID      destroy one of its driver domains"},
};

void say(const char *fmt, ...)
{
    va_list ap;

    fputs("vrctl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static void help(FILE *out)
{
    size_t i;

    fputs("usage: vrctl COMMAND ...\n       vrctl --version\n\n", out);
    for (i = 0; i < VR_ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].synopsis);
    fputs("\nGUEST: name, domid or uuid. See vrctl(8).\n", out);
}

int main(int argc, char **argv)
{
    size_t i;
    int r;

    if (argc < 2) {
        help(stderr);
        return EX_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        help(stdout);
        return EX_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("vrctl (virtio-restricted) " VR_VERSION);
        return EX_OK;
    }
    for (i = 0; i < VR_ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[1], commands[i].name))
            continue;
        r = commands[i].run(argc - 1, argv + 1);
        if (fflush(stdout)) {
            say("cannot write the answer");
            return EX_FAILED;
        }
        return r;
    }
    say("unknown command \"%s\"; vrctl --help lists them", argv[1]);
    return EX_USAGE;
}

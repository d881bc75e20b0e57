/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domclock used SECONDS DOMID...
 * domclock now DOMID...
 * domclock reboot DOMID
 *
 * In dom0. `used`: milliseconds of processor time that each of the domains has
 * had in so many seconds, by Xen's count. `now`: nanoseconds that each has had
 * since it is there. `reboot`: makes a guest shut down as
 * one that reboots; milliseconds until xl lets its next life run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xen/sched.h>

#define MAX_DOMAINS 8
#define LIMIT_MS    60000.0

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static int info_of(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
    return xc_domain_getinfolist(xch, domid, 1, info) != 1 ||
           info->domain != domid;
}

static int used(xc_interface *xch, int seconds, int n, char **domids)
{
    uint64_t before[MAX_DOMAINS];
    xc_domaininfo_t info;
    int i;

    if (n > MAX_DOMAINS)
        return 2;
    for (i = 0; i < n; i++) {
        if (info_of(xch, atoi(domids[i]), &info))
            return 1;
        before[i] = info.cpu_time;
    }
    sleep(seconds);
    for (i = 0; i < n; i++) {
        if (info_of(xch, atoi(domids[i]), &info))
            return 1;
        printf("%.3f\n", (info.cpu_time - before[i]) / 1e6);
    }
    return 0;
}

static int now(xc_interface *xch, int n, char **domids)
{
    xc_domaininfo_t info;
    int i;

    for (i = 0; i < n; i++) {
        if (info_of(xch, atoi(domids[i]), &info))
            return 1;
        printf("%llu\n", (unsigned long long)info.cpu_time);
    }
    return 0;
}

/* A later life has another number and the same uuid. */
static int reboot(xc_interface *xch, uint32_t domid)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    xc_domaininfo_t old, new;
    double start;

    if (info_of(xch, domid, &old))
        return 1;
    start = now_ms();
    if (xc_domain_shutdown(xch, domid, SHUTDOWN_reboot))
        return 1;
    while (now_ms() - start < LIMIT_MS) {
        nanosleep(&nap, NULL);
        if (xc_domain_getinfolist(xch, domid + 1, 1, &new) != 1 ||
            memcmp(old.handle, new.handle, sizeof(old.handle)) != 0 ||
            new.flags & XEN_DOMINF_paused)
            continue;
        printf("%.3f\n", now_ms() - start);
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);

    if (!xch)
        return 1;
    if (argc > 3 && !strcmp(argv[1], "used"))
        return used(xch, atoi(argv[2]), argc - 3, argv + 3);
    if (argc > 2 && !strcmp(argv[1], "now"))
        return now(xch, argc - 2, argv + 2);
    if (argc == 3 && !strcmp(argv[1], "reboot"))
        return reboot(xch, atoi(argv[2]));
    return 2;
}

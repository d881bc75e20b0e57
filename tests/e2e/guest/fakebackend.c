/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fakebackend garbage|connected|flood|storm
 *
 * In a driver domain, in place of vr-backend: a backend that misbehaves.
 *   garbage    rubbish in the state and error nodes and all over the control
 *              page, again and again
 *   connected  says Connected, and never touches the control page
 *   flood      says Connected with a plausible device, then signals without
 *              end and rewrites the control page all the time
 *   storm      takes over a device in use, of which it serves nothing: signals
 *              used buffers as fast as it can; now and then the disk grows, or
 *              comes and goes
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "libs/proto/ctrl.h"

static char base[512];

/* Fills in where device @n below backend/virtio_restricted is. */
static int find(struct xs_handle *xs, unsigned int n)
{
    static const char *const top = "backend/virtio_restricted";
    char path[256], **guest, **dev;
    unsigned int count;

    guest = xs_directory(xs, XBT_NULL, top, &count);
    if (!guest || !count)
        return -1;
    snprintf(path, sizeof(path), "%s/%s", top, guest[0]);
    dev = xs_directory(xs, XBT_NULL, path, &count);
    if (!dev || count <= n)
        return -1;
    snprintf(base, sizeof(base), "%s/%s", path, dev[n]);
    return 0;
}

static unsigned long number(struct xs_handle *xs, const char *leaf)
{
    char path[600], *value;
    unsigned int len;
    unsigned long v;

    snprintf(path, sizeof(path), "%s/%s", base, leaf);
    value = xs_read(xs, XBT_NULL, path, &len);
    v = value ? strtoul(value, NULL, 0) : 0;
    free(value);
    return v;
}

static void say(struct xs_handle *xs, const char *leaf, const void *v,
                size_t len)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/%s", base, leaf);
    xs_write(xs, XBT_NULL, path, v, len);
}

static void storm(struct vr_ctrl_page *page, xenevtchn_handle *ev, int port)
{
    uint64_t sectors;
    unsigned int n;

    memcpy(&sectors, page->dev.config, sizeof(sectors));
    for (n = 0;; n++) {
        __atomic_fetch_or(&page->intr, UINT64_MAX, __ATOMIC_SEQ_CST);
        if (n % 16 == 0) {
            sectors += n % 256 == 0;
            memcpy(page->dev.config, &sectors, sizeof(sectors));
            page->dev.config_generation += 2;
            page->status =
                n % 64 ? VR_CTRL_BACKEND_READY : VR_CTRL_BACKEND_ABSENT;
        }
        xenevtchn_notify(ev, port);
    }
}

static int misbehave(const char *mode)
{
    static const unsigned char rubbish[] = "4\x00\xff\x1b[2J999999999999999\n";
    struct vr_ctrl_page *page;
    struct xs_handle *xs = xs_open(0);
    xengnttab_handle *gt = xengnttab_open(NULL, 0);
    xenevtchn_handle *ev = xenevtchn_open(NULL, 0);
    uint32_t x = 0x12345678;
    int port = -1;

    if (!xs || !gt || !ev)
        return 2;
    printf("fakebackend: %s on %s\n", mode, base);
    fflush(stdout);
    if (!strcmp(mode, "connected")) {
        say(xs, "state", "4", 1);
        for (;;)
            pause();
    }
    page = xengnttab_map_grant_ref(gt, number(xs, "ctrl-domid"),
                                   number(xs, "ctrl-gref"),
                                   PROT_READ | PROT_WRITE);
    if (!page) {
        perror("control page");
        return 1;
    }
    port = xenevtchn_bind_interdomain(ev, number(xs, "ctrl-domid"),
                                      number(xs, "event-channel"));
    if (!strcmp(mode, "storm"))
        storm(page, ev, port);
    if (!strcmp(mode, "flood")) {
        uint64_t sectors = 2048;

        memcpy(page->dev.config, &sectors, sizeof(sectors));
        page->dev.config_len = 60;
        page->dev.features = 0;
        page->status = VR_CTRL_BACKEND_READY;
        say(xs, "state", "4", 1);
        for (;;) {
            page->intr = ~UINT64_C(0);
            page->ack++;
            page->dev.config_generation += 2;
            if (port >= 0)
                xenevtchn_notify(ev, port);
            usleep(1000);
        }
    }
    for (;;) {
        say(xs, "error", rubbish, sizeof(rubbish));
        say(xs, "state", rubbish, sizeof(rubbish));
        for (size_t i = 0; i < sizeof(*page) / 4; i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            ((volatile uint32_t *)page)[i] = x;
        }
        if (port >= 0)
            xenevtchn_notify(ev, port);
        say(xs, "state", "4", 1);
        usleep(20000);
    }
}

/* A process for each device of the guest. */
int main(int argc, char **argv)
{
    struct xs_handle *xs = xs_open(0);
    unsigned int n = 0;

    if (argc != 2 || !xs)
        return 2;
    for (;;) {
        if (find(xs, n))
            usleep(50000);
        else if (n++, !fork())
            return misbehave(argv[1]);
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrctl list: a line for each restricted device of this host, and for each
 * guest that has ended but whose pages a driver domain keeps. Changes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vrctl.h"
#include "libs/xen/zombies.h"

/* "8M"; for a device of two windows "8M+16M". */
static const char *window_text(const struct vr_dev_cfg *cfg, char *buf,
                               size_t size)
{
    char pool[24], iova[24];

    if (cfg->mode == VR_MODE_MIXED)
        snprintf(buf, size, "%s+%s", vr_format_size(cfg->size, pool),
                 vr_format_size(cfg->aperture, iova));
    else
        vr_format_size(vr_cfg_window(cfg), buf);
    return buf;
}

static void print_row(const struct guest *g, unsigned int i,
                      const struct vr_devstate *s)
{
    const struct vr_record_dev *d = &g->rec.devs[i];
    const struct vr_record_driver *drv = &g->rec.drivers[d->driver];
    char domid[12], bdomid[12], size[56], driver[VR_NAME_LEN + 16];

    snprintf(driver, sizeof(driver), "%s(%s)", drv->name,
             dom_number(drv->domid, bdomid, sizeof(bdomid)));
    printf("%-20s %5s %-12s %-6s %-7s %9s %-24s %-10s %s\n", g->rec.name,
           dom_number(g->rec.domid, domid, sizeof(domid)), d->cfg.id,
           vr_type_name(d->cfg.type), vr_mode_name(d->cfg.mode),
           window_text(&d->cfg, size, sizeof(size)), driver,
           vr_state_name(s->state), s->reason);
}

static void json_row(yajl_gen j, const struct guest *g, unsigned int i,
                     const struct vr_devstate *s)
{
    const struct vr_record_dev *d = &g->rec.devs[i];
    const struct vr_record_driver *drv = &g->rec.drivers[d->driver];

    yajl_gen_map_open(j);
    json_str(j, "guest", g->rec.name);
    json_str(j, "uuid", g->rec.uuid);
    if (g->rec.domid != VR_DOMID_NONE)
        json_u64(j, "domid", g->rec.domid);
    json_bool(j, "exists", g->exists);
    json_str(j, "id", d->cfg.id);
    json_str(j, "type", vr_type_name(d->cfg.type));
    json_str(j, "mode", vr_mode_name(d->cfg.mode));
    json_u64(j, "size", vr_cfg_window(&d->cfg));
    json_u64(j, "pool_size", d->cfg.size);
    json_u64(j, "aperture", d->cfg.aperture);
    json_str(j, "driver", drv->name);
    if (drv->domid != VR_DOMID_NONE)
        json_u64(j, "driver_domid", drv->domid);
    json_bool(j, "driver_owned", drv->owned);
    json_str(j, "state", vr_state_name(s->state));
    json_str(j, "error", s->reason);
    yajl_gen_map_close(j);
}

static void list_guest(xc_interface *xch, struct xs_handle *xs,
                       const struct guest *g, yajl_gen j)
{
    struct vr_stats *stats = vr_stats_open(g->rec.uuid, false);
    struct vr_devstate state;
    unsigned int i;

    for (i = 0; i < g->rec.ndevs; i++) {
        guest_dev_state(xch, xs, g, i, stats, &state);
        if (j)
            json_row(j, g, i, &state);
        else
            print_row(g, i, &state);
    }
    if (stats)
        vr_stats_close(stats);
}

/* ---- guests that have ended, and are kept ---- */

static void print_zombie(const struct vr_zombie *z, const char *driver,
                         uint32_t b)
{
    char shown[VR_NAME_LEN + 16], some[12] = "some";

    snprintf(shown, sizeof(shown), "%s(%" PRIu32 ")", driver, b);
    if (z->pages)
        snprintf(some, sizeof(some), "%" PRIu32, z->pages);
    printf("%-20s %5" PRIu32 " %-12s %-6s %-7s %9s %-24s %-10s it has ended, "
           "but driver domain %s keeps %s of its pages: restart vr-backend "
           "there, or xl destroy %s\n",
           z->name, z->domid, "-", "-", "-", "-", shown, "zombie", driver, some,
           driver);
}

static void json_zombie(yajl_gen j, const struct vr_zombie *z,
                        const char *driver, uint32_t b)
{
    yajl_gen_map_open(j);
    json_str(j, "guest", z->name);
    json_str(j, "uuid", z->uuid);
    json_u64(j, "domid", z->domid);
    json_str(j, "driver", driver);
    json_u64(j, "driver_domid", b);
    json_u64(j, "pages", z->pages);
    yajl_gen_map_close(j);
}

/* By the notes that are kept with each driver domain. */
static void list_zombies(xc_interface *xch, struct xs_handle *xs, yajl_gen j)
{
    struct vr_zombie z[VR_ZOMBIES_MAX];
    char name[VR_NAME_LEN + 1];
    unsigned int i, k, n, num = 0;
    char **nodes = xs_directory(xs, XBT_NULL, "/libxl", &num);
    uint64_t b;

    for (i = 0; nodes && i < num; i++) {
        if (vr_parse_u64(nodes[i], VR_DOMID_MAX, &b))
            continue;
        n = vr_zombie_list(xch, xs, b, z, VR_ARRAY_SIZE(z));
        if (n)
            dom_name(xs, b, name, sizeof(name));
        for (k = 0; k < n && k < VR_ARRAY_SIZE(z); k++) {
            if (j)
                json_zombie(j, &z[k], name, b);
            else
                print_zombie(&z[k], name, b);
        }
    }
    free(nodes);
}

/* All guests, and those that have ended; @j NULL: for people. Returns the exit
 * status. */
static int list_all(xc_interface *xch, struct xs_handle *xs,
                    char (*uuids)[VR_UUID_LEN + 1], int n, yajl_gen j)
{
    int i, status = EX_OK;
    struct vr_err err;
    struct guest g;

    if (j) {
        json_key(j, "devices");
        yajl_gen_array_open(j);
    } else {
        printf("%-20s %5s %-12s %-6s %-7s %9s %-24s %-10s %s\n", "GUEST",
               "DOMID", "ID", "TYPE", "MODE", "WINDOW", "DRIVER", "STATE",
               "REASON");
    }
    for (i = 0; i < n; i++) {
        if (!guest_load(xch, uuids[i], &g, &err)) {
            list_guest(xch, xs, &g, j);
        } else {
            say("%s", err.text);
            status = EX_FAILED;
        }
    }
    if (j) {
        yajl_gen_array_close(j);
        json_key(j, "zombies");
        yajl_gen_array_open(j);
    }
    if (xch && xs)
        list_zombies(xch, xs, j);
    if (j)
        yajl_gen_array_close(j);
    return status;
}

int cmd_list(int argc, char **argv)
{
    char(*uuids)[VR_UUID_LEN + 1] = NULL;
    xc_interface *xch = NULL;
    struct xs_handle *xs = NULL;
    int n, status = EX_FAILED;
    yajl_gen j = NULL;
    bool json = argc == 2 && !strcmp(argv[1], "--json");

    if (argc > 1 && !json) {
        fprintf(stderr, "usage: vrctl list [--json]\n");
        return EX_USAGE;
    }
    n = vr_record_list(&uuids);
    if (n < 0) {
        say("%s: %s; run this as root", VR_RUN_DIR, strerror(-n));
        return EX_FAILED;
    }
    xch = xc_interface_open(NULL, NULL, 0);
    xs = xs_open(0);
    if (n && (!xch || !xs)) {
        say("cannot reach %s: %s; run this as root in the toolstack domain",
            xch ? "xenstored" : "the hypervisor", strerror(errno));
        goto out;
    }
    if (json) {
        j = json_begin();
        if (!j)
            goto out;
    }
    status = list_all(xch, xs, uuids, n, j);
    json_end(j);
out:
    free(uuids);
    if (xs)
        xs_close(xs);
    if (xch)
        xc_interface_close(xch);
    return status;
}

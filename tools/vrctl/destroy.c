/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a domain, in this order: the hotplug scripts of its devices, if
 * its creation was cut off; the domain, by libxl if that works in time; what is
 * left of it in xenstore. Whatever cannot be brought to its end is an error:
 * the record stays, and the next clean-up finds the rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libxl.h>
#include <xentoollog.h>

#include "vrctl.h"
#include "libs/xen/compat.h"
#include "libs/xen/store.h"

/* libxl waits up to 10 s for each of a domain's devices. */
#define LIBXL_SECONDS  60
#define DIRECT_SECONDS 20
#define STORE_SECONDS  15
#define SCRIPT_MS      10000
#define SETTLE_MS      2000
#define STEP_MS        100

static void nap(void)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000};

    nanosleep(&step, NULL);
}

static int by_libxl(void *ctx)
{
    uint32_t domid = *(const uint32_t *)ctx;
    xentoollog_logger_stdiostream *lg;
    libxl_ctx *xl = NULL;
    int r = 1;

    lg = xtl_createlogger_stdiostream(stderr, XTL_WARN, 0);
    if (!lg)
        return 1;
    if (!libxl_ctx_alloc(&xl, LIBXL_VERSION, 0, (xentoollog_logger *)lg))
        r = libxl_domain_destroy(xl, domid, NULL) ? 1 : 0;
    libxl_ctx_free(xl);
    xtl_logger_destroy((xentoollog_logger *)lg);
    return r;
}

static int directly(void *ctx)
{
    uint32_t domid = *(const uint32_t *)ctx;
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    int r;

    if (!xch)
        return 1;
    r = xc_domain_destroy(xch, domid);
    xc_interface_close(xch);
    return r ? 1 : 0;
}

static int forget_nodes(void *ctx)
{
    uint32_t domid = *(const uint32_t *)ctx;
    struct xs_handle *xs = xs_open(0);
    unsigned int n;

    if (!xs)
        return -1;
    n = vr_store_forget(xs, domid);
    xs_close(xs);
    return n > 0;
}

/* A script that an xl has started goes on when that xl is killed, or has given
 * up: it writes to the device's node, whether that still exists or not. */
static int await_scripts(uint32_t domid)
{
    int waited = 0;

    while (proc_hotplug(domid)) {
        if (waited >= SCRIPT_MS) {
            say("domain %" PRIu32 ": a hotplug script of one of its devices "
                "does not end: look for XENBUS_PATH=.../%" PRIu32 "/... in "
                "/proc/*/environ",
                domid, domid);
            return -EBUSY;
        }
        nap();
        waited += STEP_MS;
    }
    return 0;
}

/* Looks again as long as something is found: dom0's backend drivers may be in
 * the midst of a node, too. */
static int forget(uint32_t domid)
{
    int r, waited = 0;

    for (;;) {
        r = proc_bounded(forget_nodes, &domid, STORE_SECONDS);
        if (!r)
            return 0;
        if (r != 1 || waited >= SETTLE_MS) {
            say("domain %" PRIu32 ": its nodes in xenstore cannot be removed: "
                "look at xenstore-ls -f | grep /%" PRIu32 "/",
                domid, domid);
            return r < 0 ? r : -EBUSY;
        }
        if (!waited)
            say("domain %" PRIu32 ": nodes that were left of it in xenstore "
                "are removed",
                domid);
        nap();
        waited += STEP_MS;
    }
}

static int end(xc_interface *xch, const char *uuid, uint32_t domid)
{
    xc_domaininfo_t info;
    int rc, r;

    r = proc_bounded(by_libxl, &domid, LIBXL_SECONDS);
    if (!r)
        return 0;
    rc = dom_identify(xch, uuid, domid, &info);
    /* It has failed because somebody else was faster. */
    if (r > 0 && rc == -ESRCH)
        return 0;
    say("domain %" PRIu32 ": libxl did not destroy it (%s), the hypervisor is "
        "asked: its device model and loop devices may be left, see ps and "
        "losetup",
        domid, r == -ETIMEDOUT ? "no answer in time" : "failed");
    if (!rc && !(info.flags & XEN_DOMINF_dying) &&
        proc_bounded(directly, &domid, DIRECT_SECONDS))
        return -EIO;
    if (rc && rc != -ESRCH)
        return rc;
    return r < 0 ? r : -EIO;
}

/* Is the number of a domain that is gone still nobody else's? */
static bool number_free(xc_interface *xch, uint32_t domid)
{
    xc_domaininfo_t info;

    return domid != VR_DOMID_NONE &&
           vr_domain_info(xch, domid, &info) == -ESRCH;
}

int destroy_domain(xc_interface *xch, const char *uuid, uint32_t domid,
                   bool unfinished)
{
    xc_domaininfo_t info;
    int rc, busy = 0, rc2;

    /* Never by number alone: it may be another domain's by now. */
    rc = dom_identify(xch, uuid, domid, &info);
    if (rc && rc != -ESRCH)
        return rc;
    if (!rc)
        domid = info.domain;
    else if (!number_free(xch, domid))
        return 0;
    if (unfinished)
        busy = await_scripts(domid);
    rc = rc ? 0 : end(xch, uuid, domid);
    if (rc && !dom_identify(xch, uuid, domid, &info) &&
        !(info.flags & XEN_DOMINF_dying))
        return rc;
    rc2 = forget(domid);
    if (!rc)
        rc = rc2;
    return rc ? rc : busy;
}

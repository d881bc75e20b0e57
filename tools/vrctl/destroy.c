/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libxl.h>
#include <xentoollog.h>

#include "vrctl.h"

/* libxl waits up to 10 s for each of a domain's devices. */
#define LIBXL_SECONDS  60
#define DIRECT_SECONDS 20

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

int destroy_domain(xc_interface *xch, const char *uuid, uint32_t domid)
{
    xc_domaininfo_t info;
    int rc;

    /* Never by number alone: it may be another domain's by now. */
    rc = dom_identify(xch, uuid, domid, &info);
    if (rc)
        return rc == -ESRCH ? 0 : rc;
    domid = info.domain;
    rc = proc_bounded(by_libxl, &domid, LIBXL_SECONDS);
    if (!rc)
        return 0;
    say("domain %" PRIu32 ": libxl did not destroy it (%s); asking the "
        "hypervisor",
        domid, rc == -ETIMEDOUT ? "no answer in time" : "failed");
    rc = dom_identify(xch, uuid, domid, &info);
    if (rc || (info.flags & XEN_DOMINF_dying))
        return rc == -ESRCH ? 0 : rc;
    rc = proc_bounded(directly, &domid, DIRECT_SECONDS);
    return rc > 0 ? -EIO : rc;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xlcall suspend|resume DOMID
 *
 * In dom0: what `xl suspend` and `xl resume` of Xen 4.20 and later ask libxl
 * for, from which Debian's xl 4.17 has neither. With the plug-in preloaded it
 * passes for xl, since it uses libxlutil.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <libxlutil.h>

int main(int argc, char **argv)
{
    xentoollog_logger_stdiostream *log;
    libxl_ctx *ctx = NULL;
    int rc = 1;

    if (argc != 3)
        return 2;
    log = xtl_createlogger_stdiostream(stderr, XTL_PROGRESS, 0);
    if (!log || !xlu_cfg_init(stderr, argv[0]) ||
        libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)log))
        return 1;
    if (!strcmp(argv[1], "suspend"))
        rc = libxl_domain_suspend_only(ctx, atoi(argv[2]), NULL);
    else if (!strcmp(argv[1], "resume"))
        rc = libxl_domain_resume(ctx, atoi(argv[2]), 1, NULL);
    libxl_ctx_free(ctx);
    return rc != 0;
}

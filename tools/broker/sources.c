/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much is logged of what somebody decides who is not trusted: both
 * processes log by this what guest or driver domain can bring about.
 */
#include <stdio.h>

#include "broker.h"

/* Lines about one source: at once, and in the long run. */
#define BURST     32
#define PERIOD_MS 60000

void broker_log_of(struct log_source *source, const char *fmt, ...)
{
    char text[1200];
    va_list ap;

    if (!vr_rate_take(&source->rate, vr_now_ms(), PERIOD_MS, BURST)) {
        source->left_out++;
        return;
    }
    if (source->left_out)
        broker_log("%u lines of the next one's kind were left out",
                   source->left_out);
    source->left_out = 0;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    broker_log("%s", text);
}

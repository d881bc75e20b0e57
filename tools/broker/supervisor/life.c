/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two ways in which a guest's devices come to their end here: they cannot
 * be started, which the plug-in is told; or all is to be undone. Everything
 * else of the supervisor calls this.
 */
#include "libs/proto/link.h"
#include "supervisor.h"

void super_refuse(struct super *s, const char *text)
{
    broker_log("cannot start: %s", text);
    if (s->step == STEP_STARTING || s->step == STEP_PREPARED ||
        s->step == STEP_IDLE)
        s->step = STEP_FAILED;
    vr_link_send(s->link, 'E', text);
}

/*
 * vrctl takes our place, process number included: whoever waits for the
 * broker's end waits for the end of the clean-up. In an abort the link stays
 * open for as long.
 */
void super_cleanup(struct super *s, bool abort)
{
    spawn_stop(s);
    if (s->xs)
        xs_close(s->xs);
    if (s->xch)
        xc_interface_close(s->xch);
    pools_stop(s);
    vr_stats_close(s->stats);
    s->xs = NULL;
    s->xch = NULL;
    s->stats = NULL;
    spawn_cleanup(s, abort);
    s->done = true;
    s->status = 1;
}

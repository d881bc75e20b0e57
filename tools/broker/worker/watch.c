/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks on for a moment before the worker sleeps: a guest's accesses come in
 * groups, and being woken costs more than answering. An interrupt is followed
 * by two accesses, a read of InterruptStatus and its acknowledgement. The
 * worker waits for these even without poll=.
 */
#include "worker.h"

/* How long to wait for the accesses that follow an interrupt. They come as soon
 * as the guest's vCPU takes it, which is at once unless no processor is free
 * for that vCPU. */
#define IRQ_LOOK_NS 500000

/* One look at all there is; serves what it finds. */
static bool look_around(struct worker *w)
{
    bool found = false;
    unsigned int i;

    for (i = 0; i < w->nvcpus; i++) {
        if (w->ioreqs->vcpu_ioreq[i].state == STATE_IOREQ_READY)
            found |= vcpu_event(w, i);
    }
    for (i = 0; i < w->nunits; i++)
        found |= w->unit[i]->ops->poll(w->unit[i]);
    return found;
}

/* Nanoseconds to look on for after something of @kind; 0: not at all. */
static int64_t look_time(const struct worker *w, enum vr_look_kind kind)
{
    bool sure = kind == VR_LOOK_IRQ || kind == VR_LOOK_READ;

    return sure && w->poll_ns < IRQ_LOOK_NS ? IRQ_LOOK_NS : w->poll_ns;
}

/*
 * After something was served: looks on, anew after each find. Whether that
 * pays is learned for each kind of what was served last, see look.h. Bounded
 * by LOOK_MS.
 */
void worker_watch(struct worker *w)
{
    enum vr_look_kind kind;
    unsigned int n = 0;
    int64_t end;
    bool found;

    do {
        kind = w->last;
        if (!look_time(w, kind) || !vr_look_begin(&w->look, kind))
            return;
        end = vr_now_ns() + look_time(w, kind);
        while (!(found = look_around(w)) &&
               (++n % 8 || (int64_t)vr_now_ns() < end))
            vr_cpu_relax();
        vr_look_end(&w->look, kind, found);
        w->now = vr_now_ms();
    } while (found && w->now - w->looked < LOOK_MS);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's trapped accesses: which unit they are for, and the vCPUs that
 * wait for the answer. A vCPU's request is copied once, into struct vcpu.
 */
#include <string.h>

#include "worker.h"

static void vcpu_done(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];

    if (w->vcpu[v].req.dir == IOREQ_READ)
        slot->data = w->vcpu[v].req.data;
    /* The answer before the state (Xen reads them the other way round). */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    slot->state = STATE_IORESP_READY;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    xenevtchn_notify(w->xce, w->vcpu[v].port);
}

void vcpu_finish(struct unit *u)
{
    struct worker *w = u->w;
    unsigned int v;

    for (v = 0; v < w->nvcpus; v++) {
        if (w->vcpu[v].waits != u)
            continue;
        w->vcpu[v].waits = NULL;
        vcpu_done(w, v);
    }
}

bool vcpu_access(struct unit *u, unsigned int v)
{
    struct vcpu *vcpu = &u->w->vcpu[v];

    return ioreq_exec(vcpu->place, &vcpu->req) == VR_VDEV_DONE;
}

void vcpu_answer(struct unit *u, unsigned int v, bool complete)
{
    if (complete)
        vcpu_done(u->w, v);
    else
        u->w->vcpu[v].waits = u;
}

bool vcpu_event(struct worker *w, unsigned int v)
{
    ioreq_t *slot = &w->ioreqs->vcpu_ioreq[v];
    struct vcpu *vcpu = &w->vcpu[v];
    struct unit *u = NULL;
    int i;

    if (vcpu->waits || slot->state != STATE_IOREQ_READY)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    slot->state = STATE_IOREQ_INPROCESS;
    vcpu->req = *slot;
    /* What follows from it may say more. */
    w->last = vcpu->req.dir == IOREQ_READ ? VR_LOOK_READ : VR_LOOK_WRITE;
    i = ioreq_find(w->place, w->nplaces, &vcpu->req);
    if (i < 0) {
        ioreq_refuse(&vcpu->req);
    } else {
        vcpu->place = &w->place[i];
        u = vcpu->place->owner;
        if (!u)
            ioreq_exec(vcpu->place, &vcpu->req);
    }
    if (u)
        u->ops->access(u, v);
    else
        vcpu_done(w, v);
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the worker hears and is heard: event channels (whose event it is, when
 * they are unmasked; see worker.c), interrupts, messages to the supervisor.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "libs/transport/pci/function.h"
#include "worker.h"

/* The library unmasks one port a call, the kernel takes any number. */
void ports_flush(struct worker *w)
{
    size_t len = w->nunmask * sizeof(w->unmask[0]);

    if (len && write(w->evtchn_fd, w->unmask, len) != (ssize_t)len)
        broker_log("worker: cannot unmask event channels: %s", strerror(errno));
    w->nunmask = 0;
}

void ports_unmask(struct worker *w, evtchn_port_t port)
{
    if (w->nunmask == BATCH)
        ports_flush(w);
    w->unmask[w->nunmask++] = port;
}

static bool serve_port(struct worker *w, evtchn_port_t port)
{
    unsigned int i;

    for (i = 0; i < w->nvcpus; i++) {
        if (w->vcpu[i].port == port) {
            w->vcpu[i].masked = true;
            return vcpu_event(w, i);
        }
    }
    for (i = 0; i < w->nunits; i++) {
        if (w->unit[i]->port == port)
            return w->unit[i]->ops->event(w->unit[i]);
    }
    return false;
}

bool ports_serve(struct worker *w)
{
    evtchn_port_t ports[BATCH];
    ssize_t r = read(w->evtchn_fd, ports, sizeof(ports));
    bool useful = false;
    unsigned int i, n;

    if (r < 0)
        return false;
    n = r / sizeof(ports[0]);
    for (i = 0; i < n; i++)
        useful |= serve_port(w, ports[i]);
    if (n && !w->counters_at)
        w->counters_at = w->now + COUNTERS_MS;
    return useful;
}

void unit_line(struct unit *u, uint32_t irq, bool level)
{
    struct worker *w = u->w;

    if (!level && !w->arch->level)
        return;
    if (!w->arch->irq(w->dm, w->rec->domid, irq, level) || w->irq_error)
        return;
    w->irq_error = true;
    broker_log("%s: cannot raise interrupt %" PRIu32 ": %s", u->name, irq,
               strerror(errno));
}

void unit_irq(struct unit *u, bool level)
{
    if (level)
        u->w->last = VR_LOOK_IRQ;
    if (u->pci)
        vr_pci_irq(u->pci, level);
    else
        unit_line(u, u->irq, level);
}

bool unit_message(struct unit *u, uint32_t cause, uint32_t queues)
{
    return u->pci && vr_pci_message(u->pci, cause, queues);
}

bool unit_unacked(const struct unit *u)
{
    return u->pci && vr_pci_by_message(u->pci);
}

int unit_tell(struct unit *u, enum vr_msg_type type)
{
    struct vr_msg msg = {.type = type, .dev = u->index};

    return broker_msg_send(u->w->sock, &msg);
}

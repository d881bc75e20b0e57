/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wake-ups by the control page and its event channel: kick and intr words,
 * generation and acknowledgement, interrupts. Nobody sleeps for ever while
 * there is something for him to do: such a state is a deadlock of this model,
 * since nothing in it has a time limit and nobody looks on before he sleeps.
 * README.md beside this file says what stands for what. The defines FAULT_*
 * change the code for the worse; `run` expects each to be noticed.
 *
 * Parameters:
 *   DEPTH   requests that the ring holds
 *   RESETS  1: a vCPU writes registers that wait for the backend
 */
#ifndef DEPTH
#define DEPTH 1
#endif
#ifndef RESETS
#define RESETS 1
#endif

/* ---- the control page, tools/libs/proto/ctrl.h ---- */
bool kick, intr; /* one queue, one bit */
byte gen;        /* generation, odd while the request changes */
byte ack;
#define NEXT(g) ((g + 1) % 4) /* one request at a time is unacknowledged */

/* ---- the ring ---- */
byte avail;            /* made available, not yet taken */
byte used;             /* completed, not yet seen by the driver */
bool want_kick = true; /* the device's half of EVENT_IDX */

/* ---- the event channel ---- */
typedef port_t {
    bool pending;
    bool masked
}
port_t to_backend, to_broker;
/* Events coalesce. One that comes while the port is masked stays pending. */
#define NOTIFY(p) p.pending = true
#define HEARD(p)  (p.pending && !p.masked)
/* The kernel masks the port; it is unmasked by hand. */
#define DRAIN(p)  p.pending = false; p.masked = true

/* vr_ctrl_post(), and the notification if need be */
inline post(word, port)
{
#ifdef FAULT_NOTIFY_FIRST
    if
    :: !word -> NOTIFY(port)
    :: else
    fi;
    word = true
#else
    if
    :: atomic { !word -> word = true }; NOTIFY(port)
    :: word
    fi
#endif
}

/* ---- the guest's vCPUs and the registers ---- */
mtype = { NOTHING, QUEUE_NOTIFY, STATUS, INTERRUPT_ACK };
mtype trap[3] = NOTHING; /* the vCPUs' slots of the ioreq page */
bool isr;                /* InterruptStatus */
bool irq;                /* the interrupt is pending at the guest */
bool held;               /* a write waits for the acknowledgement */

/* A vCPU goes on when its access is complete. */
inline access(vcpu, what)
{
    trap[vcpu] = what;
    trap[vcpu] == NOTHING
}

/* ======== tools/broker/worker/worker.c ======== */

/* What is posted while the guest has an interrupt to acknowledge stays in the
 * page until it has. */
inline collect()
{
    atomic {
        if
        :: !isr && intr -> intr = false; isr = true; irq = true
        :: else
        fi
    }
}

inline take_ack()
{
    atomic {
        if
        :: held && ack == gen -> held = false; trap[1] = NOTHING
        :: else
        fi
    }
}

inline look()
{
#ifdef FAULT_NO_LOOK
    skip
#else
    take_ack();
    collect()
#endif
}

/* device_hear(): before it sleeps, the port is unmasked unless the guest has an
 * interrupt to acknowledge and waits for nothing. */
#ifdef FAULT_REARM
#define REARM !isr
#else
#define REARM (!isr || held)
#endif

active proctype Broker()
{
end:
    do
    :: trap[0] == QUEUE_NOTIFY -> /* on_notify() */
       post(kick, to_backend);
       trap[0] = NOTHING
    :: trap[1] == STATUS && !held -> /* on_publish(), vr_ctrl_publish() */
       atomic { held = true; gen = NEXT(gen) };
       gen = NEXT(gen);
       NOTIFY(to_backend);
       look()
    :: trap[2] == INTERRUPT_ACK ->
       atomic { isr = false; trap[2] = NOTHING };
       look()
    :: atomic { HEARD(to_broker) -> DRAIN(to_broker) }; /* device_event() */
       collect();
       take_ack()
    :: atomic { to_broker.masked && REARM -> to_broker.masked = false }
    od
}

/* ======== tools/backend/worker/loop.c ======== */

#define MORE (avail > 0 || gen != mine)

active proctype Backend()
{
    byte mine;  /* generation that was taken */
    bool armed; /* kicks are asked for */

again:
    /* read_request(), follow_request() */
    if
    :: atomic { gen != mine && !(gen & 1) ->
       mine = gen;
       want_kick = false; armed = false }; /* disarm() */
       ack = mine;
       NOTIFY(to_broker)
    :: else
    fi;

    /* pop_all(), and whatever it takes to complete them; publish() */
    if
    :: atomic { avail > 0 -> used = used + avail; avail = 0 };
       atomic { want_kick = false; armed = false }; /* disarm() */
       post(intr, to_broker)
    :: else
    fi;

    if
    :: armed
    :: else -> /* arm() */
#ifdef FAULT_LOST_WAKEUP
       if
       :: MORE -> goto again
       :: else
       fi;
#endif
       want_kick = true;
       kick = false; /* vr_ctrl_collect() */
       atomic { to_backend.masked = false; armed = true };
#ifndef FAULT_LOST_WAKEUP
       if
       :: MORE -> goto again
       :: else
       fi
#endif
    fi;

end: /* asleep */
    atomic { HEARD(to_backend) -> DRAIN(to_backend) };
    kick = false; /* vr_ctrl_collect() */
    atomic { want_kick = false; armed = false }; /* disarm() */
    goto again
}

/* ======== the guest ======== */

/* Any number of requests, and each may be the last one. */
active proctype Submitter()
{
    do
    :: avail + used < DEPTH ->
       avail++;
       if
       :: want_kick -> access(0, QUEUE_NOTIFY)
       :: else
       fi
    :: break
    od;
    avail + used == 0
}

/* Resets of devices and queues: the write is held until they are quiet. */
active [RESETS] proctype Resetter()
{
    do
    :: access(1, STATUS)
    :: break
    od
}

/* Acknowledges before it handles, as Linux does, or behind. The interrupt goes
 * to the vCPU that resets: while its write is held nobody acknowledges. */
active proctype Interrupt()
{
end:
    do
    :: atomic { irq && trap[1] == NOTHING -> irq = false };
       if
       :: access(2, INTERRUPT_ACK); used = 0
       :: used = 0; access(2, INTERRUPT_ACK)
       fi
    od
}

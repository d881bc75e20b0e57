/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Direct doorbells: an event channel for each queue, between the guest and the
 * process that serves the device, in both directions. Nobody sleeps for ever
 * while there is something for him to do (such a state is a deadlock), whatever
 * the order of requests, resets, killed processes and events about nothing.
 * README.md beside this file says what stands for what. The defines FAULT_*
 * change the code for the worse; `run` expects each to be noticed.
 *
 * Parameters:
 *   QUEUES  of the device: 1 or 2. With 2 it is about kicks: the drivers look
 *           at the used rings by themselves
 *   DEPTH   requests that a ring holds
 *   LIVES   how often a queue is started, each time with a new channel
 *   KILLS   1: the process is killed, at any time and any number of times
 */
#ifndef QUEUES
#define QUEUES 1
#endif
#ifndef DEPTH
#define DEPTH 1
#endif
#ifndef LIVES
#define LIVES 2
#endif
#ifndef KILLS
#define KILLS 1
#endif

/* ---- the rings ---- */

/* Indices, relative to what the driver has seen of the used ring, which is at
 * SEEN. What lies DEPTH or more before it is all the same. */
#define SEEN DEPTH
typedef ring_t {
    byte avail, used;
    /* EVENT_IDX: "tell me when you pass this" */
    byte avail_event, used_event;
    byte popped;    /* how far the device has read: in its log */
    byte done;      /* how much of that is done */
    byte signalled; /* where it last asked whether the driver is to be told */
}
ring_t ring[QUEUES];

/* virtio 1.2, 2.7.7: was @event passed on the way from @old to @now? */
#define PASSED(event, now, old) ((old) <= (event) && (event) < (now))

/* The driver sees one more: what was at i is at i - 1. */
#define BACK(index) index = (index -> index - 1 : 0)

/* ---- the control page ---- */
byte req[QUEUES]; /* epoch of each queue; 0: not in use */
byte gen, ack;
byte logged[QUEUES]; /* the log's epoch */

/* ---- event channels ---- */

/* Who has the driver domain's end of a channel: nobody, the process, or one
 * that was killed and whose descriptors are not closed yet. */
mtype = { NONE, LIVE, DYING };

/* Events coalesce. One that comes while the port is masked stays. */
typedef port_t {
    bool pending, masked
}
#define HEARD(p) (p.pending && !p.masked)
/* The kernel masks the port; it is unmasked by hand. */
#define DRAIN(p) p.pending = false; p.masked = true

/* A queue's channel. The guest makes it for the driver domain, so its end is
 * there without the other one. */
typedef bell_t {
    bool open;
    mtype far = NONE;
    port_t guest, back
}
bell_t bell[QUEUES];

/* The device's own channel, from the broker to the process. */
mtype ctrl_far = NONE;
port_t ctrl;

/* Xen drops an event when nobody has the other end. */
#define SEND(there, p) \
    if \
    :: there -> p.pending = true \
    :: else \
    fi

/* ======== tools/backend/worker, one process after the other ======== */

typedef queue_t {
    byte want;  /* epoch in the request */
    byte epoch; /* that is served; 0: stopped */
    bool bound;
    bool valid; /* ring.signalled is */
    bool held;  /* it was not asked yet whether the guest is to be told */
    bool intr   /* the guest is to be told */
}

#define STALE(i)    (q[i].epoch && q[i].want != q[i].epoch)
#define INFLIGHT(i) (q[i].epoch && ring[i].popped != ring[i].done)
#define PENDING(i)  (q[i].epoch && q[i].want == q[i].epoch && \
                     ring[i].avail != ring[i].popped)
#define RUNG(i)     (q[i].bound && HEARD(bell[i].back))
#if QUEUES == 1
#define ANY(what) what(0)
#define EACH(i)
#define DONE(i) skip
#else
#define ANY(what) (what(0) || what(1))
#define EACH(i) i = 0; do :: i < QUEUES ->
#define DONE(i) i++ :: else -> i = 0; break od
#endif

/* Each step is one access to what others access, too. Before it the process may
 * be killed, unless nobody does that any more. */
bool spared = !KILLS;
#define STEP \
    atomic { \
        if \
        :: !spared -> goto dead \
        :: true \
        fi;

inline unbind(i)
{
    d_step {
        if
        :: q[i].bound && bell[i].far == LIVE -> bell[i].far = NONE
        :: else
        fi;
        q[i].bound = false;
        bell[i].back.pending = false;
        bell[i].back.masked = false
    }
}

/* Waits while a former process's end is not closed. A guest that does what it
 * should is never refused. Xen sets the new end pending, in case something was
 * lost before; nothing depends on that, so it is left out here. */
inline bind(i)
{
    if
    :: bell[i].far != DYING
    :: !spared -> goto dead
    fi;
    d_step {
        assert(bell[i].open && bell[i].far == NONE);
        bell[i].far = LIVE;
        q[i].bound = true
    }
}

inline start_queue(i)
{
    bind(i);
    d_step {
        q[i].epoch = q[i].want;
        q[i].valid = false;
        if
        :: logged[i] != q[i].epoch ->
           logged[i] = q[i].epoch;
           ring[i].popped = SEEN;
           ring[i].done = SEEN
        :: else ->
           ring[i].done = ring[i].used;
           /* The former process may have died before it told the guest. */
#ifdef FAULT_NO_RETELL
           skip
#else
           q[i].intr = true
#endif
        fi
    }
}

/* Queues that are not wanted stop when they have nothing under way; only then
 * is the request acknowledged. */
inline follow_request(i)
{
    STEP EACH(i)
        if
        :: STALE(i) && !INFLIGHT(i) ->
           q[i].epoch = 0;
           q[i].held = false;
#ifndef FAULT_UNBIND_LATE
           unbind(i)
#endif
        :: else
        fi;
    DONE(i) };
    STEP EACH(i)
        if
        :: q[i].want && !q[i].epoch -> start_queue(i)
        :: else
        fi;
    DONE(i) };
    STEP
        if
        :: !ANY(STALE) -> ack = mine; acked = true
        :: else
        fi
    }
#ifdef FAULT_UNBIND_LATE
    STEP EACH(i)
        if
        :: acked && !q[i].epoch -> unbind(i)
        :: else
        fi;
    DONE(i) }
#endif
}

/* Was the driver's wish passed since it was last read? */
inline should_tell(i, now)
{
    d_step {
        q[i].intr = q[i].intr || !q[i].valid ||
            PASSED(ring[i].used_event, now, ring[i].signalled);
        ring[i].signalled = now;
        q[i].valid = true
    }
}

/* vr_loop_publish(): while others are under way the guest may be told of this
 * one later. */
#define DUE(i) (q[i].epoch && (ring[i].used != ring[i].done || q[i].held))
inline publish(i)
{
#ifdef FAULT_TELL_FIRST
    STEP EACH(i)
        if
        :: DUE(i) -> should_tell(i, ring[i].done)
        :: else
        fi;
    DONE(i) };
#endif
    STEP EACH(i)
        if
        :: DUE(i) -> ring[i].used = ring[i].done; q[i].held = true
        :: else
        fi;
    DONE(i) };
#ifndef FAULT_TELL_FIRST
    STEP EACH(i)
        if
        :: q[i].held -> should_tell(i, ring[i].used); q[i].held = false
        :: q[i].held && INFLIGHT(i)
        :: else
        fi;
    DONE(i) };
#endif
    STEP EACH(i)
        if
        :: q[i].intr ->
           SEND(bell[i].open && bell[i].far == LIVE, bell[i].guest);
           q[i].intr = false
        :: else
        fi;
    DONE(i) }
}

/* The broker is always heard again, the guest not while it is quiet. */
inline unmask(i)
{
    d_step {
        ctrl.masked = false;
#ifdef FAULT_UNMASK_ONE
        if
        :: !quiet -> bell[0].back.masked = false
        :: else
        fi
#else
        EACH(i)
            if
            :: !quiet -> bell[i].back.masked = false
            :: else
            fi;
        DONE(i)
#endif
    }
}

inline look()
{
    STEP
        if
        :: ANY(PENDING) || gen != mine -> goto again
        :: else
        fi
    }
}

/* Asks for kicks, hears the ports again, then looks. */
inline arm(i)
{
#ifdef FAULT_LOOK_FIRST
    look();
#endif
    STEP EACH(i)
        if
        :: q[i].epoch && q[i].want == q[i].epoch ->
           ring[i].avail_event = ring[i].popped
        :: else
        fi;
    DONE(i) };
    STEP unmask(i); armed = true }
#ifndef FAULT_LOOK_FIRST
    look()
#endif
}

/* take_event(). Was that one too many of the guest's about nothing? */
inline take_event(i)
{
    if
    :: ANY(RUNG) && !ANY(PENDING) -> quiet = true
    :: true
    fi;
    d_step {
        armed = false;
        if
        :: HEARD(ctrl) -> DRAIN(ctrl)
        :: else
        fi;
        EACH(i)
            if
            :: RUNG(i) -> DRAIN(bell[i].back)
            :: else
            fi;
        DONE(i)
    }
}

/* One request, or all of them. */
inline complete(i)
{
    if
    :: INFLIGHT(i) ->
       if
       :: ring[i].done++
       :: ring[i].done = ring[i].popped
       fi
    :: else
    fi
}

active proctype Process()
{
    queue_t q[QUEUES];
    byte mine; /* generation that was taken */
    bool acked, armed;
    bool quiet; /* events about nothing: ports stay masked for a while */
    byte i;

start:
    ctrl_far == NONE;
    d_step {
        ctrl_far = LIVE;
        ctrl.pending = true;
        ctrl.masked = false;
        mine = 255
    }

    /* vr_loop_run() */
again:
    STEP
        if
        :: gen != mine ->
           mine = gen;
           acked = false;
           EACH(i)
               q[i].want = req[i];
           DONE(i)
        :: else
        fi
    }
    if
    :: !acked -> armed = false; follow_request(i)
    :: else
    fi;
    STEP EACH(i)
        if
        :: PENDING(i) -> ring[i].popped = ring[i].avail; armed = false
        :: else
        fi;
    DONE(i) };
    publish(i);
    if
    :: armed || ANY(INFLIGHT) /* what is done wakes us, and soon */
    :: else -> arm(i)
    fi;

end: /* asleep */
    atomic {
        if
        :: HEARD(ctrl) || ANY(RUNG) -> take_event(i)
        :: ANY(INFLIGHT) ->
           EACH(i)
               complete(i);
           DONE(i)
#ifndef FAULT_QUIET_FOR_EVER
        :: quiet -> quiet = false; armed = false /* the time is over */
#endif
        :: !spared -> goto dead
        fi
    };
    goto again;

dead:
    atomic {
        ctrl_far = DYING;
        ctrl.pending = false;
        acked = false;
        armed = false;
        quiet = false;
        EACH(i)
            if
            :: q[i].bound && bell[i].far == LIVE -> bell[i].far = DYING
            :: else
            fi;
            bell[i].back.pending = false;
            bell[i].back.masked = false;
            q[i].bound = false;
            q[i].epoch = 0;
            q[i].want = 0;
            q[i].valid = false;
            q[i].held = false;
            q[i].intr = false;
        DONE(i)
    }
    goto start
}

active [KILLS] proctype Killer()
{
    spared = true
}

/* The kernel closes what a process had, one descriptor after the other. */
active [KILLS] proctype Kernel()
{
end:
    do
    :: d_step { ctrl_far == DYING -> ctrl_far = NONE }
    :: d_step { bell[0].far == DYING -> bell[0].far = NONE }
#if QUEUES == 2
    :: d_step { bell[1].far == DYING -> bell[1].far = NONE }
#endif
    od
}

/* ======== the guest: tools/guest-linux/doorbell.c and a virtio driver ======== */

bool handling[QUEUES]; /* the interrupt handler runs */

/* A write of a register. The broker publishes it and notifies the process. */
inline write(n, epoch)
{
    atomic {
        req[n] = epoch;
        gen++;
        SEND(ctrl_far == LIVE, ctrl)
    }
}

inline open_bell(n)
{
    d_step {
        bell[n].open = true;
        bell[n].far = NONE;
        bell[n].guest.pending = false;
        bell[n].guest.masked = false;
        ring[n].avail = SEEN;
        ring[n].used = SEEN;
        ring[n].popped = SEEN;
        ring[n].done = SEEN;
        ring[n].signalled = SEEN;
        ring[n].avail_event = SEEN;
        ring[n].used_event = SEEN
    }
}

/* When it returns the handler does not run any more. */
inline close_bell(n)
{
    d_step {
        !handling[n] ->
        bell[n].open = false;
        bell[n].guest.pending = false;
        bell[n].far = NONE
    }
}

/* A write that stops the queue is held until the process has acknowledged.
 * Then nobody is left who could send an event. */
inline stop(n)
{
    write(n, 0);
    ack == gen;
    assert(bell[n].far != LIVE)
}

/* The driver sees all that is used. */
inline see(n)
{
    d_step {
        do
        :: ring[n].used != SEEN ->
           ring[n].used--;
           BACK(ring[n].avail);
           BACK(ring[n].popped);
           BACK(ring[n].done);
           BACK(ring[n].avail_event);
           BACK(ring[n].used_event);
           BACK(ring[n].signalled)
        :: else -> break
        od
    }
}

/* The driver is bound to the device and unbound, or the device or the queue is
 * reset: with requests under way, or without. Starting waits for nothing. */
proctype Driver(byte n)
{
    byte lives;

    do
    :: lives < LIVES ->
       lives++;
       open_bell(n);
       write(n, lives);
       /* Any number of requests, and each may be the last one. */
       do
       :: ring[n].avail < SEEN + DEPTH ->
          ring[n].avail++;
          atomic {
              if
              :: PASSED(ring[n].avail_event, ring[n].avail,
                        ring[n].avail - 1) ->
                 SEND(bell[n].far == LIVE, bell[n].back)
              :: else
              fi
          }
#if QUEUES == 2
       :: ring[n].used != SEEN -> see(n)
#endif
       :: break
       od;
       if
#if QUEUES == 2
       :: true -> ring[n].avail == ring[n].used
#else
       :: true -> ring[n].avail == SEEN
#endif
       :: true
       fi;
#ifdef FAULT_CLOSE_FIRST
       close_bell(n);
       stop(n)
#else
       stop(n);
       close_bell(n)
#endif
    :: break
    od
}

/* Masked until the handler says that it is done: at once, or after a while when
 * it was about nothing. */
proctype Interrupt(byte n)
{
end:
    do
    :: atomic { bell[n].open && HEARD(bell[n].guest) ->
                DRAIN(bell[n].guest); handling[n] = true };
       if
       :: ring[n].used != SEEN ->
more:     see(n);
          ring[n].used_event = SEEN;
          if
          :: ring[n].used != SEEN -> goto more
          :: else
          fi;
          bell[n].guest.masked = false
       :: else ->
#ifdef FAULT_NO_EOI
          skip
#else
          bell[n].guest.masked = false
#endif
       fi;
       handling[n] = false
    od
}

init {
    atomic {
        run Driver(0);
#if QUEUES == 2
        run Driver(1)
#else
        run Interrupt(0)
#endif
    }
}

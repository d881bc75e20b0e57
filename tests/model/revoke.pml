/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Revocation of grants: the guest's virtio-iommu driver, the broker's worker,
 * Xen's grant table code, backends that obey and backends that do not, and the
 * supervisor. README.md beside this file says what stands for what, and what is
 * left out. `run` checks it, and that it notices when the code is changed for
 * the worse (the defines FAULT_*).
 *
 * One step is one access to memory that two parties share. What nobody else can
 * see, as what Xen does under the lock of an active entry, is part of a step.
 *
 * Parameters:
 *   DOMS     endpoints and driver domains; domain d serves endpoint d, whose
 *            window is one page of device addresses, tied to grant entry d.
 *            Backends run in domain 0.
 *   SHARED   domain 0 serves endpoint 1 as well
 *   RW_ONLY  all is mapped, and granted, for reading and writing
 *   PAGES    pages that the guest has
 *   VCPUS    vCPUs of the hostile driver domain
 *   RESETS   1: the guest resets the IOMMU at any time
 *   HONEST   the backend obeys, and has time enough: no time limit but the
 *            first is reached
 *   ONE_BAD  the backend's process is hostile, its kernel is not, and what is
 *            started after the process was killed obeys
 *   LIVE     the formula at the end is to be checked
 */
#ifndef DOMS
#define DOMS 1
#endif
#ifndef VCPUS
#define VCPUS 1
#endif
#ifndef PAGES
#define PAGES 2
#endif
#define NONE PAGES
#ifdef SHARED
#define OWNER(r) 0
#else
#define OWNER(r) (r)
#endif
#ifndef RESETS
#define RESETS 1
#endif

/* What leads to the property, beside the property itself (CONFINED). Left out
 * where the consequence of a fault is to be seen, not its first sign. */
#ifdef ACCESS_ONLY
#define INVARIANT(c) skip
#else
#define INVARIANT(c) assert(c)
#endif

/* ---- shared memory ---- */

/* tools/libs/window/gntent.h, grant_entry_v1_t. Xen writes flags and domid
 * together; frame stands beside them. */
#define PERMIT   1 /* GTF_permit_access */
#define READONLY 2
#define READING  4
#define WRITING  8
#define IN_USE   (READING | WRITING)

typedef entry_t {
    byte flags;
    byte domid;
    byte frame
}
entry_t ent[DOMS];

/* tools/libs/proto/ctrl.h: what the guest's driver wants, whether the backend
 * has still to take the request (its generation is new), and whether ack equals
 * the generation. That neither of the two is missed is shown in wakeup.pml. */
typedef ctrl_t {
    bool on; /* req.run */
    bool fresh;
    bool acked
}
ctrl_t ctrl[DOMS];

/* A hostile backend has always acknowledged. */
#define ACKED(d) (ctrl[d].acked || worker[OWNER(d)] == BAD)

/* ---- inside Xen ---- */

/* struct active_grant_entry, with act->lock */
typedef active_t {
    bool lock;
    byte ro; /* act->pin, by kind */
    byte rw;
    byte domid;
    byte frame
}
active_t act[DOMS];
#define PINS(r)   (act[r].ro + act[r].rw)
#define PINNED(r) (PINS(r) > 0)
#ifndef MAX_PINS
#define MAX_PINS 2 /* a limit of the model: one of each kind, or two of one */
#endif

/* What the domain of endpoint d can reach by its mappings of entry d, from its
 * vCPUs and from hardware that is assigned to it: its p2m, which its IOMMU
 * shares. */
typedef p2m_t {
    byte ro;
    byte rw;
    byte frame
}
p2m_t p2m[DOMS];
#define REACHES(d) (p2m[d].ro + p2m[d].rw > 0)
/* By any of its mappings */
#if DOMS > 1
#define MAPS(d, r) (OWNER(r) == (d) && REACHES(r))
#define REACHES_ANY(d) (MAPS(d, 0) || MAPS(d, 1))
#else
#define REACHES_ANY(d) REACHES(d)
#endif

/* ---- the guest ---- */

/* What the guest lets the domain of endpoint d do: from its MAP to the answer of
 * its UNMAP. */
typedef view_t {
    byte frame = NONE; /* no page */
    bool rw
}
view_t view[DOMS];
#define ALLOWED(d, page, write) \
    (view[d].frame == (page) && (!(write) || view[d].rw))

mtype = { IDLE, MAP, UNMAP };
mtype req = IDLE;  /* the request queue of the virtio-iommu */
byte req_ref;
bool stopped;      /* its driver has stopped the queue: nobody waits for it */
bool reset_iommu;  /* a write of 0 to its status is not yet complete */
bool refuse[DOMS]; /* the broker lets no driver start this device */

/* ---- supervisor, life of a driver domain ---- */

mtype = { BAD, GOOD, NOBODY };
mtype worker[DOMS] = NOBODY; /* who runs in domain d */
bool kill[DOMS], destroy[DOMS]; /* the broker asks for it */
bool dead[DOMS];    /* it is destroyed: getdomaininfo says so, which looks for
                     * DOMDYING_dead, the end of domain_kill() */
bool kept[DOMS];    /* a third domain has a page of its own mapped, and so it
                     * stays in the list: a zombie */

/* ======== Xen: xen/common/grant_table.c ======== */

/*
 * What follows works for a process that runs in domain d and uses its locals:
 * ref and readonly, the grant that is asked for; todo, the in-use bits are
 * still to be set; f and dom, the entry as it was seen.
 */

/* _set_status_v1(): what it looks for in an entry that is not pinned, or that
 * is pinned for reading only and is now to be written. */
#define VALID \
    ((PINNED(ref) || ((f & PERMIT) && dom == d)) && \
     (readonly || !(f & READONLY)))
#define SAME (ent[ref].flags == f && ent[ref].domid == dom)

inline look()
{
    f = ent[ref].flags;
    dom = ent[ref].domid;
#ifdef FAULT_XEN_FRAME_EARLY
    act[ref].frame = ent[ref].frame;
#endif
    if
    :: VALID -> todo = true
    :: else -> refused()
    fi
}

inline refused()
{
    act[ref].lock = false;
    f = 0; dom = 0; todo = false;
    ref = 0; readonly = false;
    goto next
}

/*
 * What map_grant_ref() and acquire_grant_for_copy() have in common: they take
 * a pin on any entry, after _set_status_v1() if need be. The frame is read
 * after the bits were set, by an access of its own. @who: begins only while
 * these run in the domain (one that is paused begins nothing).
 */
#define MAY_PIN(r, who) (worker[d] == who && !act[r].lock && PINS(r) < MAX_PINS)
inline pin(who)
{
    atomic {
        if
        :: MAY_PIN(0, who) -> ref = 0
#if DOMS > 1
        :: MAY_PIN(1, who) -> ref = 1
#endif
        fi;
        act[ref].lock = true; /* active_entry_acquire() */
#ifndef RW_ONLY
        if
        :: readonly = true
        :: readonly = false
        fi;
#endif
        if
        :: PINNED(ref) && act[ref].domid != d -> refused()
        :: !PINNED(ref) ||
           (act[ref].domid == d && !readonly && !act[ref].rw) -> look()
        :: else
        fi
    };
    do
    :: atomic { todo && SAME -> /* guest_cmpxchg() */
       ent[ref].flags = f | READING | (readonly -> 0 : WRITING);
       f = 0; dom = 0; todo = false }
    :: atomic { todo && !SAME -> look() }
    :: atomic { todo && !SAME -> refused() } /* it was the last try */
    :: !todo -> break
    od;
    atomic {
        if
        :: !PINNED(ref) ->
#ifndef FAULT_XEN_FRAME_EARLY
           act[ref].frame = ent[ref].frame;
#endif
           act[ref].domid = d
        :: else
        fi;
        if
        :: readonly -> act[ref].ro++
        :: else -> act[ref].rw++
        fi;
        act[ref].lock = false
    }
}

/* unmap_common_complete(), release_grant_for_copy(): the pin is dropped, then
 * reduce_status_for_pin(), an atomic AND. (That frame and domid are forgotten
 * saves states; nobody reads them without a pin.) */
inline unpin()
{
    atomic {
        !act[ref].lock;
        if
        :: readonly -> act[ref].ro--
        :: else -> act[ref].rw--
        fi;
        if
        :: !act[ref].rw -> ent[ref].flags = ent[ref].flags & ~WRITING
        :: else
        fi;
        if
        :: !PINNED(ref) ->
           ent[ref].flags = ent[ref].flags & ~READING;
           act[ref].frame = 0;
           act[ref].domid = 0
        :: else
        fi;
        ref = 0; readonly = false
    }
}

/* The second half of GNTTABOP_map_grant_ref: create_grant_host_mapping() */
inline then_map()
{
    atomic {
        INVARIANT(OWNER(ref) == d);
        INVARIANT(!REACHES(ref) || p2m[ref].frame == act[ref].frame);
        p2m[ref].frame = act[ref].frame;
        if
        :: readonly -> p2m[ref].ro++
        :: else -> p2m[ref].rw++
        fi;
        ref = 0; readonly = false
    }
}

/* The second half of GNTTABOP_copy */
inline then_copy()
{
    assert(ALLOWED(ref, act[ref].frame, !readonly));
    unpin()
}

/* GNTTABOP_unmap_grant_ref: the mapping goes, TLBs are flushed, then the pin */
inline unmap(who)
{
    atomic {
        worker[d] == who && REACHES_ANY(d);
#if DOMS > 1
        if
        :: MAPS(d, 0) -> ref = 0
        :: MAPS(d, 1) -> ref = 1
        fi;
#else
        ref = d;
#endif
        if
        :: p2m[ref].ro > 0 -> p2m[ref].ro--; readonly = true
        :: p2m[ref].rw > 0 -> p2m[ref].rw--
        fi;
        if
        :: !REACHES(ref) -> p2m[ref].frame = 0
        :: else
        fi
    };
    unpin()
}

/* Nothing of domain d is under way: each pin belongs to a mapping. */
#define SETTLED(r) \
    (!act[r].lock && act[r].ro == p2m[r].ro && act[r].rw == p2m[r].rw)
#ifdef SHARED
#define QUIET(d) (SETTLED(0) && SETTLED(1))
#else
#define QUIET(d) SETTLED(d)
#endif

/* ======== driver domains ======== */

/* Its kernel and its processes do what they like: they map, copy, unmap, and
 * pretend to have let go (ACKED). What they do with a mapping need not be
 * modelled: Monitor looks at what they could do. */
proctype Hostile(byte d)
{
    byte ref, f, dom;
    bool readonly, todo;

next:
    do
    :: pin(BAD);
       if
       :: then_map()
       :: then_copy()
       fi
    :: unmap(BAD)
    od
}

/* tools/backend/worker/loop.c: rings are mapped while the device runs, payload
 * is copied; a request with run=0 is acknowledged when all is unmapped. */
proctype Honest(byte d)
{
    byte ref, f, dom;
    bool readonly, todo, running;

next:
    do
    :: atomic { worker[d] == GOOD && ctrl[d].fresh -> /* read_request() */
       running = ctrl[d].on;
       ctrl[d].fresh = false };
       do /* follow_request() */
       :: !running && REACHES(d) -> unmap(GOOD)
       :: else -> break
       od;
       /* vr_ctrl_ack(): of the generation that was taken */
       ctrl[d].acked = !ctrl[d].fresh
    :: worker[d] == GOOD && !ctrl[d].fresh && running ->
       pin(GOOD);
       if
       :: !REACHES(d) -> then_map()
       :: then_copy()
       fi
    od
}

/* Main process and kernel of domain d, and Xen where the domain ends. */
proctype Supervisor(byte d)
{
    byte ref;
    bool readonly;

    do
    :: kill[d] ->
       kill[d] = false;
       if
       :: worker[d] == BAD ->
          /* SIGKILL; what is under way ends, then gntdev unmaps */
          worker[d] = NOBODY;
          QUIET(d);
          do
          :: unmap(NOBODY)
          :: !REACHES_ANY(d) -> break
          od;
          /* a new process: it begins with the request as it stands */
          atomic {
              ctrl[d].fresh = true;
#ifdef ONE_BAD
              worker[d] = GOOD
#else
              worker[d] = BAD
#endif
          }
#ifdef ONE_BAD
       :: worker[d] == GOOD /* such a one is given the time it needs */
#else
       :: skip /* the domain does not do as it is told */
#endif
       fi
    :: destroy[d] ->
       /* domain_kill(): DOMDYING_dying, domain_pause() */
#ifdef FAULT_XEN_DYING_EARLY
       dead[d] = true;
#endif
       worker[d] = NOBODY;
       QUIET(d);
       /* gnttab_release_mappings(): pins and bits, not the p2m */
       do
       :: PINNED(d) ->
          atomic { ref = d; readonly = (act[d].ro > 0) };
          unpin()
#ifdef SHARED
       :: PINNED(1) ->
          atomic { ref = 1; readonly = (act[1].ro > 0) };
          unpin()
       :: !PINNED(d) && !PINNED(1) -> break
#else
       :: else -> break
#endif
       od;
       /* iommu_release_dt_devices(), p2m_teardown() */
       atomic {
           p2m[d].ro = 0; p2m[d].rw = 0; p2m[d].frame = 0;
#ifdef SHARED
           p2m[1].ro = 0; p2m[1].rw = 0; p2m[1].frame = 0;
#endif
       };
       dead[d] = true; /* DOMDYING_dead */
       break
    od
}

/* The third domain lets go when it likes, or never. */
proctype Colluder(byte d)
{
    do
    :: kept[d] ->
       if
       :: kept[d] = false
       :: skip
       fi
    :: else -> break
    od
}

/* ======== the broker's worker ======== */

/* vr_ctrl_publish() */
inline publish(dev, run_it)
{
    d_step {
        ctrl[dev].on = run_it;
        ctrl[dev].fresh = true;
        ctrl[dev].acked = false
    }
}

#define FREE(r) (ent[r].flags == 0 && !PINNED(r))

/* vr_gntent_grant(): each store is one to a free entry */
inline grant(r)
{
#ifdef FAULT_FLAGS_FIRST
    ent[r].flags = PERMIT | (view[r].rw -> 0 : READONLY);
#endif
    atomic { INVARIANT(FREE(r)); ent[r].domid = OWNER(r) };
    atomic { INVARIANT(FREE(r)); ent[r].frame = view[r].frame };
#ifndef FAULT_FLAGS_FIRST
    atomic {
        INVARIANT(FREE(r));
        ent[r].flags = PERMIT | (view[r].rw -> 0 : READONLY)
    }
#endif
}

/* vr_gntent_revoke(). The caller's local f is 0 when the entry is free, else
 * what stands there. */
inline take_away(r)
{
    f = ent[r].flags;
    do
    :: f == 0 || (f & IN_USE) ->
       break
    :: else ->
#ifdef FAULT_PLAIN_STORE
       atomic { ent[r].flags = 0; f = 0 }
#else
       atomic {
           if
           :: ent[r].flags == f -> ent[r].flags = 0; f = 0
           :: else -> f = ent[r].flags
           fi
       }
#endif
    od
}

/* The ladder. A rung is left when its time is over, which may be at once: the
 * others have moved as far as they like by then. Where no rung is left the
 * broker goes on trying. */
mtype = { RETRY, STOP, STOPPED, KILLED, DESTROYED };

#if defined(HONEST) || defined(FAULT_NO_KILL) || defined(FAULT_GIVE_UP)
#define LAST_RUNG STOPPED
#elif defined(ONE_BAD) || defined(FAULT_NO_DESTROY)
#define LAST_RUNG KILLED
#else
#define LAST_RUNG DESTROYED
#endif

/* Nothing of a domain whose end was asked for is taken away before that has
 * come: Xen clears the bits before it takes the hardware away. Where the guest
 * cannot stop the queue, waiting for it is a step of its own (fewer states). */
#ifdef FAULT_AWAIT_GONE
#define ENDED(d) (dead[d] && !kept[d])
#else
#define ENDED(d) dead[d]
#endif
#ifdef FAULT_ONE_ENDPOINT
#define ASKED_BY(r) (r)
#else
#define ASKED_BY(r) OWNER(r)
#endif
#ifdef SHARED
bool destroyed[DOMS];
#define WITHHELD(r) (destroyed[ASKED_BY(r)] && !ENDED(OWNER(r)))
#endif

inline revoke(r, first, given_up)
{
    rung = first;
    do
    :: given_up -> break
    :: else ->
#ifdef FAULT_TRUST_ACK
       if
       :: rung != RETRY && rung != STOP && ACKED(r) -> ent[r].flags = 0
       :: else
       fi;
#endif
#ifdef SHARED
       if
       :: WITHHELD(r) -> f = IN_USE
       :: else -> take_away(r)
       fi;
#else
       take_away(r);
#endif
       if
       :: f == 0 -> break
       :: else
       fi;
       if
       :: rung == LAST_RUNG
#ifdef FAULT_GIVE_UP /* an error is an answer, too */
          -> break
#endif
       :: rung == RETRY ->
          rung = STOP
       :: rung == STOP ->
#ifndef FAULT_RESTART
          refuse[r] = true;
#endif
#ifndef FAULT_NO_ASK
          publish(r, false);
#endif
          rung = STOPPED
       :: rung == STOPPED && rung != LAST_RUNG ->
          kill[OWNER(r)] = true;
          rung = KILLED
       :: rung == KILLED && rung != LAST_RUNG ->
          destroy[OWNER(r)] = true;
          rung = DESTROYED;
#ifdef SHARED
          destroyed[ASKED_BY(r)] = true
#elif !defined(FAULT_BITS_ONLY)
          ENDED(OWNER(r))
#endif
       fi
    od;
    atomic { refuse[r] = false; f = 0; rung = RETRY }
}

inline answer(r)
{
    d_step {
        INVARIANT(FREE(r));
        view[r].frame = NONE;
        view[r].rw = false
    }
}

active proctype Broker()
{
    byte f, r;
    mtype rung = RETRY;

    do
    :: req == MAP && !reset_iommu ->
       grant(req_ref);
       d_step { req = IDLE; req_ref = 0 }
    :: req == UNMAP && !reset_iommu ->
       /* A reset of the IOMMU ends the wait: it revokes everything itself. */
       revoke(req_ref, RETRY, (reset_iommu || stopped));
       if
       :: reset_iommu
#ifdef SHARED
       :: stopped -> /* what was taken is taken */
          atomic { stopped = false; req = IDLE; req_ref = 0 }
#endif
       :: else ->
          atomic { answer(req_ref); req = IDLE; req_ref = 0 }
       fi
    :: reset_iommu ->
       /* So go DETACH and the change to another IOMMU domain. */
       r = 0;
       do
       :: r < DOMS ->
#ifndef FAULT_RESET_FORGETS
          revoke(r, STOP, false);
#endif
          r++
       :: else -> break
       od;
       atomic {
           r = 0;
           do
           :: r < DOMS -> answer(r); r++
           :: else -> break
           od;
           r = 0;
           req = IDLE;
           req_ref = 0;
           stopped = false;
           reset_iommu = false
       }
    od
}

/* ======== the guest ======== */

/* Maps a page, unmaps it, and does with it what it likes: keeps it, maps it
 * for another endpoint, or with another permission. */
active proctype Driver()
{
    byte r;

    do
    :: atomic { req == IDLE && !reset_iommu ->
       if
       :: r = 0
#if DOMS > 1
       :: r = 1
#endif
       fi;
       if
       :: view[r].frame == NONE ->
          if
          :: view[r].frame = 0
#if PAGES > 1
          :: view[r].frame = 1
#endif
          fi;
          view[r].rw = true;
#ifndef RW_ONLY
          if
          :: view[r].rw = false
          :: skip
          fi;
#endif
          req = MAP
       :: else ->
          req = UNMAP
       fi;
       req_ref = r;
       r = 0 }
    od
}

/* Another vCPU */
active [RESETS] proctype Resetter()
{
    do
    :: atomic { !reset_iommu -> reset_iommu = true }
    od
}

#ifdef SHARED
/* It stops the request queue while an UNMAP waits, and starts it again. */
active proctype Stopper()
{
    do
    :: atomic { req == UNMAP && !stopped -> stopped = true }
    od
}
#endif

/* Another one starts device 0 and resets it, as long as it likes. */
proctype Starter()
{
    do
    :: atomic { worker[0] == GOOD && !ctrl[0].on && !refuse[0] ->
       publish(0, true) }
    :: atomic { worker[0] == GOOD && ctrl[0].on -> publish(0, false) }
    :: worker[0] == GOOD -> break
    od
}

/* ======== properties ======== */

/* In-use bits are there for as long as there is a pin. */
#define TRUE_BITS(r) \
    ((!PINNED(r) || (ent[r].flags & READING)) && \
     (!act[r].rw || (ent[r].flags & WRITING)))
/* Nothing but what the guest allows is pinned, or can be reached. */
#define CONFINED(d) \
    ((!PINNED(d) || ALLOWED(d, act[d].frame, act[d].rw > 0)) && \
     (!REACHES(d) || ALLOWED(d, p2m[d].frame, p2m[d].rw > 0)))

active proctype Monitor()
{
end:
    do
    :: atomic { !CONFINED(0) -> assert(CONFINED(0)) }
    :: atomic { !TRUE_BITS(0) -> INVARIANT(TRUE_BITS(0)) }
#if DOMS > 1
    :: atomic { !CONFINED(1) -> assert(CONFINED(1)) }
    :: atomic { !TRUE_BITS(1) -> INVARIANT(TRUE_BITS(1)) }
#endif
    od
}

#ifdef LIVE
#define WAITING (req == UNMAP || reset_iommu)
ltl answered { [] (WAITING -> <> !WAITING) }
#endif

init
{
    atomic {
#ifdef HONEST
        worker[0] = GOOD;
#else
        worker[0] = BAD;
        run Hostile(0);
#if VCPUS > 1
        run Hostile(0);
#endif
        run Supervisor(0);
#ifdef LIVE /* it is for nothing but waiting in vain */
        if
        :: kept[0] = true; run Colluder(0)
        :: skip
        fi;
#endif
#endif
#if defined(HONEST) || defined(ONE_BAD)
        run Honest(0);
        run Starter()
#endif
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an operator reads of a device: one word for its state, and the reason
 * when it does not work. There is one table of these. The broker writes its
 * words to xenstore, and vrctl shows them; vrctl(8) lists them. Pure: facts
 * in, words out.
 *
 * The words and the reason belong together: only "connected" has no reason.
 */
#ifndef VR_DEVSTATE_H
#define VR_DEVSTATE_H

#include "stats.h"
#include "xsnode.h"

enum vr_dev_state {
    VR_STATE_NONE, /* nothing is known of it yet; has no word */
    VR_STATE_STARTING,
    VR_STATE_CONNECTED,
    VR_STATE_WAITING,
    VR_STATE_DAMAGED,
    VR_STATE_FAILED,
    VR_STATE_CLOSING,
    VR_STATE_STALE,
};

/** vr_state_name() - "connected", ... Never NULL. */
const char *vr_state_name(enum vr_dev_state state);

/** vr_state_parse() - the state of that name; VR_STATE_NONE: there is none. */
enum vr_dev_state vr_state_parse(const char *name);

/* A domain, as the hypervisor knows it. */
enum vr_domstate {
    VR_DOM_RUNNING = 0,
    VR_DOM_PAUSED,
    VR_DOM_SUSPENDED, /* it goes on when it was only to be checkpointed, or
                       * could not be saved */
    VR_DOM_SHUTDOWN,
    VR_DOM_REBOOTING,
    VR_DOM_CRASHED,
    VR_DOM_DYING,
    VR_DOM_GONE,
    VR_DOM_UNMADE, /* it is still to be created */
};

/** vr_domstate_ended() - has it ended, never to run again? */
static inline bool vr_domstate_ended(enum vr_domstate state)
{
    return state >= VR_DOM_SHUTDOWN && state <= VR_DOM_GONE;
}

/**
 * vr_domstate_dead() - has Xen taken everything from it? As users see it, a
 * domain is dying only when all of that is over: nothing runs there, its grants
 * are released, its hardware is taken away (Xen's domain_kill()). It remains in
 * the list for as long as somebody else has a page of its own mapped, which may
 * be for ever, and reaches nothing.
 */
static inline bool vr_domstate_dead(enum vr_domstate state)
{
    return state == VR_DOM_DYING || state == VR_DOM_GONE;
}

/** vr_domstate_name() - "running", "shut down", ... Never NULL. */
const char *vr_domstate_name(enum vr_domstate state);

/** vr_xbstate_name() - "connected", ... Never NULL. */
const char *vr_xbstate_name(enum vr_xbstate state);

struct vr_devfacts {
    enum vr_phase phase;
    const char *stale;    /* why the record is nobody's; NULL: it is not */
    bool broker_gone;     /* its process ... */
    const char *lost;     /* ... or only its worker: the log; NULL: no */
    const char *name;     /* the driver domain */
    uint32_t domid;       /* VR_DOMID_NONE: not known */
    enum vr_domstate dom; /* how it is */
    bool owned;           /* made for the guest */
    bool holds; /* keeps memory that the guest has taken back, and does not
                 * end the process that has it */
    enum vr_xbstate backend; /* what it says in xenstore: its state ... */
    const char *says;        /* ... and its own words; "" or NULL: none */
    enum vr_fail fail;       /* what the broker's worker has found */
    const char *overwritten; /* the guest has, grants of the device's windows:
                              * lost.h's words; NULL: it has not */
};

/* Room for the longest reason: a name and a quotation beside our own words. */
#define VR_REASON_LEN 512

struct vr_devstate {
    enum vr_dev_state state;
    enum vr_fail fail;          /* the worker's finding that @reason tells of;
                                 * VR_FAIL_NONE: it is about something else */
    char reason[VR_REASON_LEN]; /* one line; "" for "connected" alone */
};

/** vr_devstate() - the state of a device of which @f is known. */
void vr_devstate(const struct vr_devfacts *f, struct vr_devstate *out);

/**
 * vr_devstate_missing() - what is missing of a device that should have
 * connected. @described: its control page has a valid description.
 * @buf, @size: for the text, without the device's name. Returns @buf.
 */
const char *vr_devstate_missing(const struct vr_devfacts *f, bool described,
                                char *buf, size_t size);

#endif /* VR_DEVSTATE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's state in words, from what is known of its parts. Used by the
 * broker's supervisor, vrctl and the plug-in. Pure. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devstate.h"
#include "libs/base/text.h"

static const char *const state_names[] = {
    [VR_STATE_NONE] = "unknown",        [VR_STATE_STARTING] = "starting",
    [VR_STATE_CONNECTED] = "connected", [VR_STATE_WAITING] = "waiting",
    [VR_STATE_DAMAGED] = "damaged",     [VR_STATE_FAILED] = "failed",
    [VR_STATE_CLOSING] = "closing",     [VR_STATE_STALE] = "stale",
};

const char *vr_state_name(enum vr_dev_state state)
{
    return (unsigned int)state < VR_ARRAY_SIZE(state_names)
               ? state_names[state]
               : state_names[VR_STATE_NONE];
}

enum vr_dev_state vr_state_parse(const char *name)
{
    unsigned int i;

    for (i = VR_STATE_STARTING; i < VR_ARRAY_SIZE(state_names); i++)
        if (!strcmp(name, state_names[i]))
            return i;
    return VR_STATE_NONE;
}

const char *vr_domstate_name(enum vr_domstate state)
{
    static const char *const names[] = {
        [VR_DOM_RUNNING] = "running",     [VR_DOM_PAUSED] = "paused",
        [VR_DOM_SHUTDOWN] = "shut down",  [VR_DOM_REBOOTING] = "rebooting",
        [VR_DOM_SUSPENDED] = "suspended", [VR_DOM_CRASHED] = "crashed",
        [VR_DOM_DYING] = "dying",         [VR_DOM_GONE] = "gone",
        [VR_DOM_UNMADE] = "not made yet",
    };

    return (unsigned int)state < VR_ARRAY_SIZE(names) ? names[state] : "?";
}

const char *vr_xbstate_name(enum vr_xbstate state)
{
    static const char *const names[] = {
        "unknown",   "initialising", "init-wait", "initialised",
        "connected", "closing",      "closed"};

    return (unsigned int)state < VR_ARRAY_SIZE(names) ? names[state]
                                                      : "unknown";
}

/* A driver domain, and its words, in our lines. */
struct who {
    char text[VR_NAME_LEN + 32];
};

struct said {
    char text[VR_QUOTE_LEN + 16];
};

static struct who driver(const struct vr_devfacts *f)
{
    struct who p;

    if (f->domid == VR_DOMID_NONE)
        snprintf(p.text, sizeof(p.text), "driver domain %s", f->name);
    else
        snprintf(p.text, sizeof(p.text), "driver domain %s (%" PRIu32 ")",
                 f->name, f->domid);
    return p;
}

static struct said words(const struct vr_devfacts *f, const char *before)
{
    char quote[VR_QUOTE_LEN];
    struct said p = {""};

    if (f->says && f->says[0])
        snprintf(p.text, sizeof(p.text), "%s%s", before,
                 vr_quote(quote, f->says));
    return p;
}

static void starting(const struct vr_devfacts *f, struct vr_devstate *out)
{
    const char *what = f->dom == VR_DOM_RUNNING ? "waiting for it to connect"
                                                : vr_domstate_name(f->dom);

    out->state = VR_STATE_STARTING;
    snprintf(out->reason, sizeof(out->reason), "%s: %s%s", driver(f).text, what,
             words(f, "; it says ").text);
}

/* The driver domain has ended, or will never let go. */
static bool driver_failed(const struct vr_devfacts *f, struct vr_devstate *out)
{
    if (vr_domstate_ended(f->dom))
        snprintf(out->reason, sizeof(out->reason),
                 "%s is %s: the guest's requests wait; see its console's log, "
                 "destroy the guest and create it again",
                 driver(f).text, vr_domstate_name(f->dom));
    else if (f->holds)
        snprintf(out->reason, sizeof(out->reason),
                 "%s keeps memory that the guest has taken away, and does not "
                 "end its process%s",
                 driver(f).text,
                 f->owned ? ": it is destroyed"
                          : ": the guest waits for it; destroy one of them");
    else
        return false;
    out->state = VR_STATE_FAILED;
    return true;
}

/* The cause of what a backend complains of; or all still works, but only as
 * long as its process has the windows mapped. */
static bool damaged(const struct vr_devfacts *f, struct vr_devstate *out)
{
    bool works = f->backend == VR_XB_CONNECTED && f->fail == VR_FAIL_NONE;

    if (!f->overwritten ||
        (f->backend == VR_XB_CONNECTED && f->fail != VR_FAIL_NONE &&
         f->fail != VR_FAIL_BACKEND && f->fail != VR_FAIL_GRANTS))
        return false;
    out->state = works ? VR_STATE_DAMAGED : VR_STATE_FAILED;
    snprintf(out->reason, sizeof(out->reason), "%s", f->overwritten);
    return true;
}

/* Requests wait, and go on by themselves when this is over. */
static bool waiting(const struct vr_devfacts *f, struct vr_devstate *out)
{
    if (f->dom == VR_DOM_PAUSED || f->dom == VR_DOM_SUSPENDED)
        snprintf(out->reason, sizeof(out->reason),
                 "%s is %s: the guest's requests wait until it runs again",
                 driver(f).text, vr_domstate_name(f->dom));
    else if (f->backend != VR_XB_CONNECTED)
        snprintf(out->reason, sizeof(out->reason),
                 "the backend in %s is not connected: the guest's requests "
                 "wait for it%s",
                 driver(f).text, words(f, "; it says ").text);
    else if (f->fail == VR_FAIL_SILENT)
        snprintf(out->reason, sizeof(out->reason), "%s%s",
                 vr_fail_text(f->fail), words(f, "; it says ").text);
    else
        return false;
    out->state = VR_STATE_WAITING;
    return true;
}

void vr_devstate(const struct vr_devfacts *f, struct vr_devstate *out)
{
    bool serving = f->phase == VR_PHASE_READY || f->phase == VR_PHASE_RUNNING;

    out->fail = VR_FAIL_NONE;
    out->reason[0] = '\0';
    if (f->stale) {
        out->state = VR_STATE_STALE;
        snprintf(out->reason, sizeof(out->reason),
                 "%s: run vrctl cleanup --stale", f->stale);
    } else if (f->phase == VR_PHASE_CLOSING) {
        out->state = VR_STATE_CLOSING;
        snprintf(out->reason, sizeof(out->reason),
                 "the guest's devices are being taken down");
    } else if (serving && f->broker_gone) {
        out->state = VR_STATE_FAILED;
        snprintf(out->reason, sizeof(out->reason),
                 "the broker is gone: the guest hangs at its next access to a "
                 "device; destroy it");
    } else if (f->lost) {
        out->state = VR_STATE_FAILED;
        snprintf(out->reason, sizeof(out->reason),
                 "the broker's worker died: destroy the guest and create it "
                 "again; see %s",
                 f->lost);
    } else if (driver_failed(f, out)) {
        return;
    } else if (!serving) {
        starting(f, out);
    } else if (damaged(f, out)) {
        return;
    } else if (f->fail != VR_FAIL_NONE && f->fail != VR_FAIL_SILENT) {
        out->state = VR_STATE_FAILED;
        out->fail = f->fail;
        snprintf(out->reason, sizeof(out->reason), "%s%s",
                 vr_fail_text(f->fail),
                 f->fail == VR_FAIL_BACKEND ? words(f, "; it says ").text : "");
    } else if (!waiting(f, out)) {
        out->state = VR_STATE_CONNECTED;
    }
}

const char *vr_devstate_missing(const struct vr_devfacts *f, bool described,
                                char *buf, size_t size)
{
    if (f->dom != VR_DOM_RUNNING)
        snprintf(buf, size, "%s is %s", driver(f).text,
                 vr_domstate_name(f->dom));
    else if (f->says && f->says[0])
        snprintf(buf, size, "%s%s", driver(f).text, words(f, " says ").text);
    else
        snprintf(buf, size,
                 "%s: backend %s, control page %s (does vr-backend run there? "
                 "see /var/log/xen/console/guest-%s.log)",
                 driver(f).text, vr_xbstate_name(f->backend),
                 described ? "ready" : "not ready", f->name);
    return buf;
}

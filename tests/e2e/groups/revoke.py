# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory is taken back for certain, whatever the backend does."""

import re
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic
from vre2e.report import Group, Skip, require

from .dynamic import audit, iommu, start, stop

group = Group("revoke", sweep=True)


@group.on_teardown
def teardown(h):
    if "dr" in h.domains():
        stop(h, "dr")


# Linux takes addresses from the top: first the rings', then the requests'.
RINGS, REQUESTS = 2, 62


def launch(h, **keys):
    """Guest dr: a dynamic disk whose backend is not to be trusted, a static
    one of another driver domain, and a program that watches its memory."""
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("b2.cfg", driver_cfg("b2", ("/dev/vdb",)))
    start(h, "dr", [dynamic(serial="one", **keys),
                    device(id="disk1", driver="/host/cfg/b2.cfg",
                           serial="two")], memory=160)
    h.gx_ok("dr", "freed /tmp/freed 6 >/dev/null 2>&1 </dev/null & "
            "diskof one two")


def ready(h):
    """The guest of the check before, when it left one whole, or a new one."""
    if {"dr", "dr-b1"} - set(h.domains()):
        launch(h)


def load(h, disk, mode="randwrite", seconds=300):
    """I/O in the background. What is to be verified is little: it is read back
    block by block."""
    span = 4 if mode == "verify" else 16
    h.gx_ok("dr", f"ioload -f $(diskof {disk}) -m {mode} -q 4 "
            f"-t {seconds} -s {span} -p /tmp/{disk}.n > /tmp/{disk}.io 2>&1 "
            "</dev/null & sleep 1")


def unharmed(h):
    """The guest lives, its memory was left alone, its other disk works."""
    out = h.gx_ok("dr", "cat /tmp/freed; "
                  "ioload -f $(diskof two) -m verify -q 4 -t 1 -s 4", 120)
    rounds, changed = re.match(r"(\d+) rounds, (\d+) changed", out).groups()
    require(changed == "0", f"private memory has changed: {out}")
    require(int(rounds) > 0, "the watching program did nothing")
    require('"errors":0,' in out, out)
    return int(rounds)


def hold(h):
    """A program in the driver domain takes a page of a request and keeps
    it."""
    dev = next(d for d in h.show("dr")["devices"] if d["mode"] == "dynamic")
    first = dev["gref_base"] + dev["gref_count"] - RINGS - REQUESTS
    h.gx_ok("dr-b1", f"hold keep {h.domid('dr')} {first} {REQUESTS} "
            "> /tmp/hold 2>&1 </dev/null &")


@group.check("a backend that keeps a page, and is kept itself: answered", 400)
def keeps(h):
    """Another domain has a page of the driver domain mapped: Xen takes all from
    it, and then keeps it in its list."""
    h.put("c.cfg", driver_cfg("c", ()))
    h.ok("xl create /host/cfg/c.cfg", 90)
    launch(h)
    b1 = h.domid("dr-b1")
    # No transitive grants, by which what is kept could still be used.
    require('"max_grant_version": 1' in h.ok("xl list -l dr-b1"),
            "its grant table may be of version 2")
    h.gx_ok("dr-b1", f"hold share {h.domid('c')} > /tmp/share 2>&1 </dev/null &")
    gref = h.gx_ok("dr-b1", "until [ -s /tmp/share ]; do sleep 0.1; done; "
                   "cat /tmp/share")
    h.gx_ok("c", f"hold pin {b1} {gref.strip()} > /tmp/pin 2>&1 </dev/null & "
            "until grep -q pinned /tmp/pin; do sleep 0.1; done")
    load(h, "one", "randread")
    load(h, "two", "randread")
    hold(h)
    h.wait("the driver domain is destroyed",
           lambda: "dr-b1" not in h.domains(), 60)
    # Counted when it ends.
    h.wait("the UNMAP is answered",
           lambda: iommu(h, "dr")["counters"]["longest_wait_ms"], 30)
    c = iommu(h, "dr")["counters"]
    require(c["waits"] >= 1 and c["stops"] >= 1 and c["kills"] >= 1 and
            c["destroys"] == 1, f"{c}")
    require(c["longest_wait_ms"] >= 2000, "answered before the page was free: "
            f"{c['longest_wait_ms']} ms")
    require(b1 in h.domains().values(), "nothing is left of it: this showed "
            f"nothing: {h.domains()}")
    rounds = unharmed(h)
    text = h.ok("vrctl show dr; xenstore-ls /libxl/"
                f"{h.domid('dr')}/virtio_restricted/disk0 | grep error")
    require("keeps memory" in text or "gone" in text or "driver domain" in
            text, text[-300:])
    h.ok("xl destroy dr", 90)
    require(b1 in h.domains().values(), "who keeps it has let go")
    h.ok("xl destroy c", 60)
    h.leftovers(20)
    return f"answered after {c['longest_wait_ms']} ms, {rounds} rounds"


def tease(h):
    """Why a device was stopped whose backend keeps pages for a moment, again
    and again, and the counters."""
    launch(h)
    load(h, "one", "randread")
    dev = next(d for d in h.show("dr")["devices"] if d["mode"] == "dynamic")
    first = dev["gref_base"] + dev["gref_count"] - RINGS - REQUESTS
    h.gx_ok("dr-b1", f"hold tease {h.domid('dr')} {first} {REQUESTS} 4 "
            "> /tmp/hold 2>&1 </dev/null &")
    h.wait("its device is stopped", lambda: iommu(h, "dr")["counters"]["stops"],
           120)
    counters = iommu(h, "dr")["counters"]
    why = next(d["error"] for d in h.show("dr")["devices"]
               if d["id"] == dev["id"])
    return why, counters


@group.check("pages kept for a moment, again and again: stopped", 600)
def teases(h):
    # On a busy machine a moment may take longer than one may at all.
    for _ in range(3):
        why, c = tease(h)
        if "too often" in why:
            break
        stop(h, "dr")
        require(c["longest_wait_ms"] >= 20, f"{why}: {c}")
    else:
        raise Skip("a moment took longer than one may at all: "
                   f"{c['longest_wait_ms']} ms; slow machine")
    require(c["spent"] and not c["kills"] and c["waits"] >= 10, f"{c}")
    rounds = unharmed(h)
    stop(h, "dr")
    return f"{c['waits']} waits, {c['waited_ms']} ms in all, {rounds} rounds"


@group.check("its process killed under load: the next one goes on", 240)
def killed(h):
    launch(h)
    load(h, "one", "verify", 6)
    for _ in range(3):
        h.gx_ok("dr-b1", "kill -9 $(pidof vr-worker) 2>/dev/null || "
                "kill -9 $(ps | awk '/vr-worker/ && !/awk/ {print $1}'); "
                "sleep 1.5")
    out = h.gx_ok("dr", "while pidof ioload >/dev/null; do sleep 0.3; done; "
                  "cat /tmp/one.io", 120)
    require('"errors":0,' in out and '"mismatches":0' in out, out)
    dev = next(d for d in h.show("dr")["devices"] if d["mode"] == "dynamic")
    require(dev["counters"]["restarts"] >= 2, f"{dev['counters']}")
    audit(h, "dr", "--pause")
    unharmed(h)
    return f"{dev['counters']['restarts']} restarts, " \
           f"{dev['counters']['resumed']} requests executed again"


@group.check("driver domain paused under load: requests wait, then go on", 200)
def paused(h):
    ready(h)
    load(h, "one", "verify", 4)
    h.ok("xl pause dr-b1")
    time.sleep(4)
    rounds = unharmed(h)
    h.ok("xl unpause dr-b1")
    out = h.gx_ok("dr", "while pidof ioload >/dev/null; do sleep 0.3; done; "
                  "cat /tmp/one.io", 150)
    require('"errors":0,' in out and '"mismatches":0' in out, out)
    audit(h, "dr", "--pause")
    return f"{rounds} rounds"


@group.check("paused with a page in its hands: its watchdog destroys it", 200)
def paused_holding(h):
    ready(h)
    load(h, "one", "randread")
    # Paused before the broker can have its process killed.
    hold(h)
    h.wait("an answer is withheld",
           lambda: iommu(h, "dr")["counters"]["waits"] >= 1, 30, 0.1)
    h.sh("xl pause dr-b1")
    h.wait("the driver domain is destroyed",
           lambda: "dr-b1" not in h.domains(), 60)
    unharmed(h)
    stop(h, "dr")


@group.check("panics with a page in its hands: its watchdog destroys it", 300)
def panics_holding(h):
    # Time enough to panic before the broker has its process killed.
    launch(h, revoke_timeout=5000)
    load(h, "one", "randread")
    hold(h)
    h.wait("an answer is withheld",
           lambda: iommu(h, "dr")["counters"]["waits"] >= 1, 30, 0.1)
    h.gx_ok("dr-b1", "(sleep 0.2; echo c > /proc/sysrq-trigger) "
            "</dev/null >/dev/null 2>&1 &")
    h.wait("the driver domain is destroyed",
           lambda: "dr-b1" not in h.domains(), 60)
    h.wait("the UNMAP is answered",
           lambda: iommu(h, "dr")["counters"]["longest_wait_ms"], 30)
    waited = iommu(h, "dr")["counters"]["longest_wait_ms"]
    rounds = unharmed(h)
    require("Kernel panic" in h.guest_log("dr-b1"), "it did not panic")
    stop(h, "dr")
    return f"answered after {waited} ms, {rounds} rounds"


@group.check("its control page is written over under load", 240)
def scrawled(h):
    launch(h)
    load(h, "one")
    dev = next(d for d in h.show("dr")["devices"] if d["mode"] == "dynamic")
    node = (f"/local/domain/{h.domid('dr-b1')}/backend/virtio_restricted/"
            f"{h.domid('dr')}/{dev['id']}")
    page = h.ok(f"xenstore-read {node}/ctrl-domid {node}/ctrl-gref").split()
    h.gx_ok("dr-b1", f"hold scrawl {page[0]} {page[1]} 5", 60)
    rounds = unharmed(h)
    require(h.show("dr")["broker"], "the broker is gone")
    audit(h, "dr", "--pause")
    stop(h, "dr")
    return f"{rounds} rounds"


@group.check("driver domain panics under load", 300)
def panics(h):
    launch(h)
    load(h, "one")
    h.gx_ok("dr-b1", "(sleep 0.2; echo c > /proc/sysrq-trigger) "
            ">/dev/null 2>&1 </dev/null &")
    time.sleep(3)
    rounds = unharmed(h)
    # Nothing can be unmapped while requests are under way that nobody ends,
    # and Linux does not give them up: the broker says what it knows.
    h.wait("the operator is told", lambda: h.show("dr")["devices"][0]["state"]
           == arch.now.panicked, 30)
    audit(h, "dr", "--pause")
    stop(h, "dr")
    return f"{rounds} rounds"


@group.check("driver domain destroyed under load", 240)
def destroyed(h):
    launch(h)
    load(h, "one")
    h.ok("xl destroy dr-b1", 60)
    time.sleep(2)
    rounds = unharmed(h)
    audit(h, "dr")
    stop(h, "dr")
    return f"{rounds} rounds"

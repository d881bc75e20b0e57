# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one guest's coming and going costs those that are there already. Counted
by how often their processes sleep and wake, not by times."""

import time

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

group = Group("operations/many", sweep=True)

B = "mb"
IDLE, MANY, NEXT, PLAIN = "mi", "mm", "mn", "mp"
DEVICES = 8  # of MANY: as much to read for the backend as eight guests
NODES = 22   # of a device, about: what its backend reads of a new one
LIVES = 3
LOOK = 5     # seconds between two looks by the clock
# xl without the plug-in, as libvirt and others use libxl.
BARE_XL = "/usr/lib/xen-4.17/bin/xl"

SWITCHES = ("for t in /proc/{pid}/task/*; do {skip} cat $t/status; done | "
            "awk '/ctxt_switches/ {{ n += $2 }} END {{ print n + 0 }}'")


def shared(name, devices=1):
    """A guest of one driver domain; nobody writes, so all share one disk."""
    return guest_cfg(name, [
        device(id=f"disk{i}", driver=None, backend=B, size="2M", access="ro")
        for i in range(devices)], memory=64)


def asked(h, guest):
    """How often its broker has had an event or an answer of xenstore's, which
    a thread of libxenstore takes."""
    pid = h.show(guest)["broker"]
    return int(h.ok(SWITCHES.format(
        pid=pid, skip=f"[ ${{t##*/}} = {pid} ] ||")))


def served(h):
    """How often the backend's main process has slept, any thread of it: with
    each request to xenstore, once or twice."""
    return int(h.gx_ok(B, "pid=$(pidof vr-backend | tr ' ' '\\n' | sort -n | "
                       "head -n 1); " + SWITCHES.format(pid="$pid", skip="")))


def lives(h, name):
    """A guest comes, and goes before it has run."""
    r = h.create(f"/host/cfg/{name}.cfg", 120, "-p")
    require(r.rc == 0, r.text[-400:])
    h.ok(f"xl destroy {name}", 90)
    h.wait_gone(name)


@group.on_setup
def setup(h):
    h.put("mb.cfg", driver_cfg(B, lines='on_crash = "preserve"').replace(
        'on_crash = "destroy"\n', ""))
    for name in (IDLE, NEXT):
        h.put(f"{name}.cfg", shared(name))
    h.put(f"{MANY}.cfg", shared(MANY, DEVICES))
    h.put(f"{PLAIN}.cfg", guest_cfg(PLAIN, memory=64))
    r = h.create("/host/cfg/mb.cfg")
    require(r.rc == 0, r.text[-400:])
    h.gx_ok(B, "true", up=120)
    # It runs where that takes no time.
    r = h.create(f"/host/cfg/{IDLE}.cfg", 120,
                 "" if arch.now.name == "arm64" else "-p")
    require(r.rc == 0, r.text[-400:])
    if arch.now.name == "arm64":
        h.gx_ok(IDLE, "dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct "
                "2>/dev/null", up=60)
        h.counted(IDLE)
    return {}


@group.on_teardown
def teardown(h):
    for name in (NEXT, MANY, PLAIN, IDLE):
        h.sh(f"xl destroy {name}", 60)
    h.sh(f"xl destroy {B}", 60)
    h.wait_gone(IDLE, B)


@group.check("an idle guest's broker asks xenstore for nothing", 100)
def idle(h, _made):
    # After what its start still had to tell.
    time.sleep(2 * LOOK)
    before = asked(h, IDLE)
    time.sleep(3 * LOOK)
    now = asked(h, IDLE)
    require(now == before, f"{now - before} times in {3 * LOOK} s")
    # xenstored would look at a socket for each request of the others.
    links = h.ok(f"ls -l /proc/{h.show(IDLE)['broker']}/fd")
    require("/dev/xen/xenbus" in links, links)


@group.check("it does not hear of other guests", 300)
def apart(h, _made):
    before = asked(h, IDLE)
    for _ in range(LIVES):
        lives(h, PLAIN)
    lives(h, NEXT)
    now = asked(h, IDLE)
    require(now == before, f"{now - before} times while {LIVES + 1} guests "
            "came and went")


def cost(h):
    """Sleeps of the backend for a guest's life, beyond those of as long a time
    in which nothing happens."""
    begin, first = time.monotonic(), served(h)
    time.sleep(3 * LOOK)
    rate = (served(h) - first) / (time.monotonic() - begin)
    begin, first = time.monotonic(), served(h)
    lives(h, NEXT)
    return served(h) - first - rate * (time.monotonic() - begin)


@group.check("what a guest costs the backend does not depend on the others",
             400)
def alike(h, _made):
    few = cost(h)
    r = h.create(f"/host/cfg/{MANY}.cfg", 120, "-p")
    require(r.rc == 0, r.text[-400:])
    many = cost(h)
    h.ok(f"xl destroy {MANY}", 90)
    note = (f"{few:.0f} sleeps beside a device, {many:.0f} beside "
            f"{DEVICES + 1}")
    require(many - few < DEVICES * NODES / 2, note)
    return note


@group.check("a guest destroyed behind the plug-in's back: all ends", 200)
def behind(h, _made):
    r = h.create(f"/host/cfg/{NEXT}.cfg", 120, "-p")
    require(r.rc == 0, r.text[-400:])
    pid = h.show(NEXT)["broker"]
    h.ok(f"{BARE_XL} destroy {NEXT}", 60)
    h.wait_gone(NEXT)
    h.wait("its broker has ended",
           lambda: h.sh(f"test -e /proc/{pid}").rc != 0)
    require(NEXT not in h.ok("vrctl list").split(), "its record is left")


@group.check("a driver domain that crashed and is kept: the broker sees it",
             100)
def kept(h, _made):
    # vrctl would see it by itself.
    node = f"/libxl/{h.domid(IDLE)}/virtio_restricted/disk0"
    h.ok(f"plant crash {h.domid(B)}")
    h.wait("the device has failed", lambda: h.ok(
        f"xenstore-read {node}/state").strip() == "failed", LOOK + 10)
    error = h.ok(f"xenstore-read {node}/error").strip()
    require(B in error and "crashed" in error, error)
    return error

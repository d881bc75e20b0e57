# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver domain or its backend fails under I/O."""

import json
import time

from vre2e import arch
from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

# A driver domain made for a guest carries the guest's name in front.
B = "g1-b1"

group = Group("failure", sweep=True)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("g1.cfg", guest_cfg("g1", [device()]))
    return {}


def fresh(h):
    """A running guest g1 with driver domain b1, made when there is none."""
    domains = h.domains()
    if "g1" in domains and B in domains:
        return
    if domains:
        h.sweep()
    r = h.create("/host/cfg/g1.cfg")
    require(r.rc == 0, f"xl create: {r.text[-400:]}")
    h.gx_ok("g1", "true")


def start_io(h, mode="verify"):
    """I/O in the guest's background."""
    h.gx_ok("g1", f"load start -f /dev/vda -m {mode} -q 16 -t 120 -s 4")


def progress(h):
    return int(h.gx_ok("g1", "load at") or 0)


def moves(h, seconds=20):
    """Wait until requests complete again."""
    at = progress(h)
    h.wait("requests complete", lambda: progress(h) > at, seconds, 0.3)


def end_io(h, seconds=180):
    """End the load; its own verdict after it has read all back, one block after
    the other: on a busy machine that takes long."""
    out = h.gx_ok("g1", f"load end {seconds}", seconds + 5)
    require("rc 0" in out, f"I/O: {out[-400:]}")
    line = next(l for l in out.splitlines() if l.startswith("{"))
    return json.loads(line)


def backend_pids(h):
    """Main process and workers of vr-backend in b1."""
    out = h.gx_ok(B, "ps -o pid,ppid,comm,args | grep '[v]r-backend'")
    rows = [l.split(None, 3) for l in out.splitlines() if l.strip()]
    pids = {r[0] for r in rows}
    main = [r[0] for r in rows if r[1] not in pids]
    workers = [r[0] for r in rows if r[1] in pids]
    return main, workers


@group.check("backend's worker killed under I/O: restarted, data right", 300)
def worker(h, _made):
    fresh(h)
    start_io(h)
    main, workers = backend_pids(h)
    require(workers, f"no worker: main {main}")
    h.gx_ok(B, f"kill -9 {workers[0]}")
    h.gx_ok("g1", "true", limit=5)
    moves(h)
    _, again = backend_pids(h)
    require(again and again[0] != workers[0], "no new worker")
    h.gx_ok(B, f"kill -9 {again[0]}")
    moves(h)
    io = end_io(h)
    require(not io["errors"] and not io["mismatches"], str(io))
    dev = h.show("g1")["devices"][0]
    require(dev["counters"]["restarts"] >= 1, "the restart is not counted")
    return (f"{io['ios']} writes, slowest {io['lat_max_us'] / 1e6:.1f} s, "
            f"{dev['counters']['resumed']} resumed")


@group.check("backend's main process killed under I/O: data right", 300)
def main_process(h, _made):
    fresh(h)
    start_io(h)
    main, _workers = backend_pids(h)
    h.gx_ok(B, f"kill -9 {main[0]}")
    h.gx_ok("g1", "true", limit=5)
    moves(h, 40)
    io = end_io(h)
    require(not io["errors"] and not io["mismatches"], str(io))
    return f"{io['ios']} writes, slowest {io['lat_max_us'] / 1e6:.1f} s"


@group.check("backend storms with interrupts and changes: the guest goes on",
             180)
def storm(h, _made):
    fresh(h)
    main, workers = backend_pids(h)
    log = "/var/log/xen/vr-broker-g1.log"
    size = int(h.ok(f"wc -c < {log}"))
    h.gx_ok(B, f"kill -STOP {main[0]}; kill -9 {workers[0]}; sleep 1; "
            "fakebackend storm >/dev/null 2>&1 & sleep 2")
    turns, interrupts = map(int, h.gx_ok("g1", "turns 8", limit=120).split())
    count = h.show("g1")["devices"][0]["counters"]
    # Emulated, all of this is slow: how often is up to the machine.
    require(turns and interrupts, f"{turns} turns, {interrupts} interrupts")
    if arch.now.transport == "pci":
        # How long a message takes the guest is not known: 5000 a second.
        require(interrupts < 5000 * 8, f"too many messages: {count}")
    else:
        require(count["interrupts_held"] * 2 > interrupts,
                f"few held: {count}")
    require(count["config_changes"] <= 60, f"too many changes: {count}")
    grown = int(h.ok(f"wc -c < {log}")) - size
    require(grown < 16384, f"the log has grown by {grown} bytes")
    # The device works again with the backend that it had.
    h.gx_ok(B, f"killall -9 fakebackend; kill -CONT {main[0]}")
    start_io(h)
    moves(h, 40)
    h.gx_ok("g1", "killall -9 ioload")
    return (f"{turns} turns beside {interrupts} interrupts, "
            f"{count['interrupts_held']} held, {count['config_changes']} "
            f"changes, {grown} bytes of log")


@group.check("driver domain paused and unpaused: requests wait", 300)
def paused(h, _made):
    fresh(h)
    start_io(h)
    h.ok(f"xl pause {B}")
    time.sleep(1.5)
    at = progress(h)
    time.sleep(2.5)
    require(progress(h) - at <= 16, "requests complete without a backend")
    h.gx_ok("g1", "echo alive", limit=5)
    h.ok(f"xl unpause {B}")
    moves(h)
    io = end_io(h)
    require(not io["errors"] and not io["mismatches"], str(io))
    require(io["lat_max_us"] > 2e6, "no request waited")
    return f"slowest request {io['lat_max_us'] / 1e6:.1f} s"


def stands(h):
    """Does nothing complete any more?"""
    at = progress(h)
    time.sleep(arch.now.patience)
    return progress(h) - at <= 16


def dead(h, how, kill):
    """The driver domain ends under I/O; guest and operator go on."""
    fresh(h)
    start_io(h, "randwrite")
    kill()
    if how == "destroyed":
        h.wait_gone(B, seconds=20)
    h.wait("no request completes without a backend", lambda: stands(h))
    h.gx_ok("g1", "echo alive", limit=10)
    seen = h.wait("the operator sees why",
                  lambda: next((d for d in h.show("g1")["devices"]
                                if d["error"] or d["state"] != "connected"),
                               None), 20)
    text = h.ok("vrctl list")
    require(seen["state"] not in ("connected",) and
            (B in text or seen["error"]), text)
    begin = time.monotonic()
    h.ok("xl destroy g1", 60)
    h.wait_gone("g1", B, seconds=20)
    h.leftovers(10)
    return (f"the operator reads \"{seen['state']}: {seen['error']}\"; "
            f"xl destroy took {time.monotonic() - begin:.1f} s")


@group.check("driver domain destroyed under I/O", 180)
def destroyed(h, _made):
    return dead(h, "destroyed", lambda: h.ok(f"xl destroy {B}"))


@group.check("driver domain panics under I/O", 180)
def panicked(h, _made):
    # Xen on Arm hears nothing of a panic: the domain just stands still
    return dead(h, "panicked", lambda: h.gx(
        B, "(sleep 0.3; echo c > /proc/sysrq-trigger) </dev/null "
        ">/dev/null 2>&1 &", limit=3))


@group.check("guest destroyed while the paused driver domain holds its pages",
             180)
def zombie(h, _made):
    fresh(h)
    start_io(h, "randwrite")
    h.ok(f"xl pause {B}")
    time.sleep(1)
    begin = time.monotonic()
    h.ok("xl destroy g1", 90)
    h.wait_gone("g1", B, seconds=20)
    h.leftovers(10)
    return f"xl destroy took {time.monotonic() - begin:.1f} s"


@group.check("guest crashes while the paused driver domain holds its pages",
             180)
def crash_paused(h, _made):
    fresh(h)
    start_io(h, "randwrite")
    h.ok(f"xl pause {B}")
    time.sleep(1)
    h.ok(f"plant crash {h.domid('g1')}")
    h.wait_gone("g1", B, seconds=40)
    h.leftovers(10)


@group.check("broker killed: the guest can still be destroyed", 180)
def broker(h, _made):
    fresh(h)
    pid = h.show("g1")["broker"]
    h.ok(f"kill -9 {pid} $(awk '$4 == {pid} {{print $1}}' "
         "/proc/[0-9]*/stat 2>/dev/null); sleep 1")
    text = h.sh("vrctl list; vrctl show g1").text
    h.ok("xl destroy g1", 90)
    h.sh("vrctl cleanup --stale", 60)
    h.wait_gone("g1", B, seconds=30)
    h.leftovers(10)
    return next((l.strip() for l in text.splitlines() if "broker" in l), "")

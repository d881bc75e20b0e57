# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool is granted while the guest's driver has its device running, and at no
other time; nothing is left to a driver domain that is dead."""

import json
import re

from vre2e import arch
from vre2e.host import device, driver_cfg, dynamic, guest_cfg
from vre2e.report import Group, require

G, B = "lt", "lt-b1"
PAGES = 2048  # of the pool
WORKERS = "$(ps | awk '/vr-worker/ && !/awk/ {print $1}')"
DRIVER = arch.now.bound[0]

group = Group("operations/late", sweep=True)


def begin(h):
    """Guest lt, paused before its first instruction: a static disk and a
    dynamic one, both of one driver domain."""
    h.put("b1.cfg", driver_cfg("b1", ("/dev/vda", "/dev/vdb")))
    cfg = h.put(f"{G}.cfg", guest_cfg(G, [
        device(serial="one"),
        dynamic(id="disk1", target="/dev/xvdc", serial="two")],
        **arch.now.usual))
    r = h.create(cfg, 150, args="-p")
    require(r.rc == 0, f"xl create ended with {r.rc}: {r.text[-600:]}")


def ready(h):
    """The guest of the check before, or a new one."""
    if {G, B} - set(h.domains()):
        begin(h)
        h.ok(f"xl unpause {G}")
        h.gx_ok(G, "true", up=150)


def pool(h):
    """The static disk's window."""
    return next(d["windows"][0] for d in h.show(G)["devices"]
                if d["mode"] == "static")


def state(h):
    """Whether it is granted, as vrctl and xenstore say."""
    shown = next(d for d in h.show(G)["devices"] if d["mode"] == "static")
    node = f"/libxl/{h.domid(G)}/virtio_restricted/disk0/pool"
    h.wait(f"xenstore says {shown['pool']}", lambda: h.ok(
        f"xenstore-read {node}").strip() == shown["pool"])
    return shown["pool"]


def reached(h):
    """How many references of the pool the driver domain can copy from."""
    w = pool(h)
    out = h.gx_ok(B, f"hold count {h.domid(G)} {w['gref_base']} "
                  f"{w['gref_count']}", 60)
    return int(out.split()[0])


def audit(h):
    """It has to be as declared; the driver domain's part of it."""
    r = h.sh(f"vrctl audit --pause --json {G}")
    require(r.rc == 0, f"[{r.rc}] {r.text[-500:]}")
    found = json.loads(r.out)
    require(not found["lost_entries"], r.out[:500])
    return found["pools"][0], next(d for d in found["domains"] if d["driver"])


def private(h):
    """Nobody can reach a page of the pool."""
    require(state(h) == "private", f"the pool is {state(h)}")
    require(reached(h) == 0, "the driver domain can read the pool")
    p, _ = audit(h)
    require(p["state"] == "private" and not p["granted_pages"], f"{p}")


def granted(h):
    """The driver domain can reach all of it."""
    require(state(h) == "granted", f"the pool is {state(h)}")
    require(reached(h) == PAGES, "the driver domain cannot read the pool")
    p, _ = audit(h)
    require(p["state"] == "granted" and p["granted_pages"] == PAGES, f"{p}")


def disk(h):
    """The disk's name and its device's. The serial is the backend's answer."""
    return h.gx_ok(G, "d=$(grep -l one /sys/block/vd*/serial | cut -d/ -f4); "
                   "echo $d; p=$(readlink -f /sys/block/$d/device); "
                   "basename ${p%/*}").split()


def works(h):
    h.gx_ok(G, f"ioload -f /dev/{disk(h)[0]} -m verify -b 65536 -q 4 -t 1 "
            "-s 8", 90)


def unbind(h, name):
    """The driver resets the device, and lets go of it."""
    h.gx_ok(G, f"echo {name} > {DRIVER}/unbind", 60)


def bind(h, name):
    h.gx_ok(G, f"echo {name} > {DRIVER}/bind", 60)


@group.check("before the guest runs nothing is granted", 200)
def before(h):
    begin(h)
    private(h)
    _, b = audit(h)
    require(b["pages"] == 0, f"{b}")
    text = h.ok(f"vrctl audit {G}")
    require("pool of disk0: not granted" in text and "audit: OK, 0 pages" in
            text, text)


@group.check("granted when its driver has started it", 200)
def started(h):
    h.ok(f"xl unpause {G}")
    h.gx_ok(G, "true", up=150)
    granted(h)
    works(h)


@group.check("private after unbind, granted again after bind", 200)
def bound(h):
    ready(h)
    _, name = disk(h)
    for _ in range(2):
        unbind(h, name)
        private(h)
        bind(h, name)
        granted(h)
    works(h)
    dev = h.show(G)["devices"][0]
    require(dev["state"] == "connected", f"{dev['state']}: {dev['error']}")


@group.check("a backend that does not stop: killed, then it is private", 200)
def stopped(h):
    ready(h)
    _, name = disk(h)
    h.gx_ok(B, f"kill -STOP {WORKERS}")
    unbind(h, name)
    h.wait("the pool is private", lambda: state(h) == "private", 30)
    private(h)
    log = h.ok(f"cat /var/log/xen/vr-broker-{G}.log")
    require("disk0: its backend keeps memory" in log, log[-600:])
    h.gx_ok(B, f"kill -CONT {WORKERS}")  # the other disk's
    bind(h, name)
    granted(h)
    works(h)


def pinned(h):
    """Pages that the driver domain's kernel holds for the workers' rings."""
    out = h.gx_ok(B, f"for p in {WORKERS}; do grep VmPin /proc/$p/status; done")
    return sum(int(line.split()[1]) for line in out.splitlines()) // 4


def load(h, name):
    h.gx_ok(G, f"ioload -f /dev/{name} -m randread -b 65536 -q 32 -t 300 -s 8 "
            "> /tmp/io 2>&1 </dev/null & sleep 1")


@group.check("registered with io_uring: private again after a reset, and after "
             "a kill under load", 300)
def registered(h):
    ready(h)
    for kill in (False, True, True):
        granted(h)
        name, dev = disk(h)
        require(pinned(h) == PAGES, f"{pinned(h)} pages are registered")
        shown = next(d for d in h.show(G)["devices"] if d["mode"] == "static")
        require(shown["pool_registered"], "vrctl show says otherwise")
        load(h, name)
        if kill:
            h.gx_ok(B, f"kill -9 {WORKERS}")
        unbind(h, dev)
        private(h)
        h.wait("nothing is registered", lambda: pinned(h) == 0, 20)
        bind(h, dev)
        h.gx_ok(G, "killall ioload; while pidof ioload; do sleep 0.1; done")
    granted(h)
    works(h)


@group.check("a driver domain that keeps a page: no device until it lets go",
             200)
def kept(h):
    ready(h)
    w, (_, name) = pool(h), disk(h)
    h.gx_ok(B, f"keep-pages {h.domid(G)} {w['gref_base']} {w['gref_count']}")
    unbind(h, name)
    require(state(h) == "held", f"the pool is {state(h)}")
    p, _ = audit(h)
    require(p["state"] == "held" and p["granted_pages"] == 1, f"{p}")
    require(reached(h) == 1, "more than that page can be read")
    bind(h, name)
    dev = h.show(G)["devices"][0]
    require(dev["state"] == "failed" and state(h) == "held",
            f"{dev['state']}: {dev['error']}")
    h.gx_ok(B, "killall -9 hold")
    h.wait("the pool is private", lambda: state(h) == "private", 30)
    private(h)
    unbind(h, name)
    bind(h, name)
    granted(h)
    works(h)


@group.check("entries that the guest uses: refused, with the remedy", 200)
def used(h):
    ready(h)
    w, (_, name) = pool(h), disk(h)
    unbind(h, name)
    h.ok(f"plant add {h.domid(G)} 0 {w['gref_base'] + 5} {arch.now.ram + 99}")
    # Its first read waits for ever.
    h.gx_ok(G, f"echo {name} > {DRIVER}/bind 2>/dev/null </dev/null &")
    node = f"/libxl/{h.domid(G)}/virtio_restricted/disk0/error"
    said = h.wait("the broker says why", lambda: re.search(
        r"1 of the \d+ grant entries of its windows.*virtio_restricted_grants",
        h.ok(f"xenstore-read {node}")), 30)
    dev = h.show(G)["devices"][0]
    require(dev["state"] == "failed" and "virtio_restricted_grants=" in
            dev["error"], f"{dev['state']}: {dev['error']}")
    require(reached(h) == 0, "the driver domain can read the pool")
    require(state(h) == "private", f"the pool is {state(h)}")
    h.end(G, B)
    return said.group(0)[:60]


@group.check("a dead driver domain's number comes again: nothing is there",
             400)
def again(h):
    ready(h)
    granted(h)
    domid, old = h.domid(G), h.domid(B)
    node = f"/local/domain/{old}/backend/virtio_restricted/{domid}"
    ends = [h.ok(f"xenstore-read {node}/{d}/ctrl-gref "
                 f"{node}/{d}/event-channel").split()
            for d in ("disk0", "disk1")]
    windows = [w for d in h.show(G)["devices"] for w in d["windows"]]
    # So that pages of the dynamic disk are mapped when its backend ends.
    h.gx_ok(G, "d=$(grep -l two /sys/block/vd*/serial | cut -d/ -f4); "
            "ioload -f /dev/$d -m randread -q 8 -t 300 -s 8 "
            "> /tmp/io 2>&1 </dev/null & sleep 1")
    h.ok(f"xl destroy {B}", 60)
    h.wait_gone(B)
    h.wait("nothing is granted", lambda: audit(h)[1]["pages"] == 0, 20)
    _, b = audit(h)
    require(b["state"] == "gone" and not b["in_use"], f"{b}")
    require(state(h) == "private", f"the pool is {state(h)}")
    h.put("b9.cfg", driver_cfg("b9"))
    h.ok(f"DOMID={old} LIBXL_DOMID_REUSE_TIMEOUT=0 "
         "LD_PRELOAD=/host/bin/samedomid.so xl create /host/cfg/b9.cfg", 90)
    require(h.domid("b9") == old, f"b9 is {h.domid('b9')}, not {old}")
    for w in windows:
        out = h.gx_ok("b9", f"hold count {domid} {w['gref_base']} "
                      f"{w['gref_count']}", 60, up=150)
        require(out.startswith("0 of"), f"it can read the guest: {out}")
    for gref, port in ends:
        out = h.gx_ok("b9", f"hold ends 0 {gref} {port}").strip()
        require("page refused, port refused" in out, out)
    # What the guest wants to be mapped is not mapped for this one either.
    h.gx_ok(G, "true")
    _, b = audit(h)
    require(b["pages"] == 0, f"{b}")
    h.end(G)
    h.end("b9")

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways in which a guest begins and ends."""

import re
import time

from vre2e.host import device, driver_cfg, guest_cfg
from vre2e.report import Group, require

B = "l1-b1"

group = Group("life", sweep=True)


@group.on_setup
def setup(h):
    h.put("b1.cfg", driver_cfg("b1"))
    h.put("l1.cfg", guest_cfg("l1", [device()]))
    return {}


def create(h, args=""):
    r = h.create("/host/cfg/l1.cfg", args=args)
    require(r.rc == 0, f"xl create {args}: {r.text[-400:]}")


@group.check("xl create -p, then xl unpause", 150)
def paused(h, _made):
    create(h, "-p")
    line = h.ok("xl list l1").splitlines()[-1]
    require(re.search(r"l1\s+\d+\s+\d+\s+\d+\s+--p", line), line)
    require(h.show("l1")["phase"] in ("ready", "running"), "phase")
    h.ok("xl unpause l1")
    h.gx_ok("l1", "ioload -f /dev/vda -m verify -q 4 -t 1 -s 2", 120)


@group.check("guest powers off by itself: all ends", 150)
def poweroff(h, _made):
    if "l1" not in h.domains():
        create(h)
    h.gx("l1", "(sleep 0.3; /sbin/poweroff) </dev/null >/dev/null 2>&1 &")
    h.wait_gone("l1", B, seconds=30)
    h.leftovers(15)


@group.check("xl shutdown: all ends", 150)
def shutdown(h, _made):
    create(h)
    h.gx_ok("l1", "true")
    h.ok("xl shutdown l1")
    h.wait_gone("l1", B, seconds=40)
    h.leftovers(15)


@group.check("guest crashes under I/O: all ends", 150)
def crash(h, _made):
    create(h)
    h.gx_ok("l1", "(ioload -f /dev/vda -m randwrite -q 16 -t 30 -s 16) "
            "</dev/null >/dev/null 2>&1 & sleep 1; true")
    h.ok(f"plant crash {h.domid('l1')}")
    h.wait_gone("l1", B, seconds=40)
    h.leftovers(15)


@group.check("xl destroy right after xl create", 150)
def early(h, _made):
    create(h)
    h.ok("xl destroy l1", 60)
    h.wait_gone("l1", B, seconds=20)
    h.leftovers(15)


@group.check("paused guest that never ran is destroyed", 150)
def never_ran(h, _made):
    create(h, "-p")
    h.ok("xl destroy l1", 60)
    h.wait_gone("l1", B, seconds=20)
    h.leftovers(15)


@group.check("a file in the driver domain as target", 150)
def file_target(h, _made):
    h.put("b2.cfg", driver_cfg("b2"))
    b = h.create("/host/cfg/b2.cfg")
    require(b.rc == 0, b.text[-300:])
    h.gx_ok("b2", "dd if=/dev/zero of=/tmp/disk.img bs=1M count=24 "
            "2>/dev/null; chmod 666 /tmp/disk.img")
    cfg = h.put("l2.cfg", guest_cfg("l2", [
        device(driver=None, backend="b2", target="/tmp/disk.img")]))
    r = h.create(cfg)
    require(r.rc == 0, r.text[-400:])
    h.gx_ok("l2", "ioload -f /dev/vda -m verify -q 8 -t 2 -s 2", 120)
    h.ok("xl destroy l2; xl destroy b2", 60)


@group.check("the plug-in's own time in xl create", 200)
def own_time(h, _made):
    """Everything but the driver domain: with the driver domain running."""
    h.ok("xl create /host/cfg/b1.cfg", 60)
    h.gx_ok("b1", "true")
    plain = h.put("tp.cfg", guest_cfg("tp", None))
    cfg = h.put("tr.cfg", guest_cfg("tr", [
        device(driver=None, backend="b1")]))
    times = {}
    for name, path in (("tp", plain), ("tr", cfg)) * 3:
        out = h.ok("a=$(cut -d' ' -f1 /proc/uptime); "
                   f"xl create -p {path} >/dev/null 2>&1 || exit 1; "
                   f"b=$(cut -d' ' -f1 /proc/uptime); xl destroy {name}; "
                   "echo $a $b", 60)
        a, b = out.split()[-2:]
        times.setdefault(name, []).append(float(b) - float(a))
        time.sleep(0.3)
    h.ok("xl destroy b1", 60)
    median = {n: sorted(t)[1] for n, t in times.items()}
    return (f"plain guest {median['tp']:.2f} s, restricted "
            f"{median['tr']:.2f} s with a driver domain that runs")
